"""`geomsolve targets`: what Python says, exit codes, warnings, one line for bad input."""

import numpy as np
import pytest
from command_line import printed, refuses, reported

import geomsolve as gs
from geomsolve.choosing import named

COUNTS = [30, 900, 7, 30]
ASK = ["targets", "--counts", "30,900,7,30", "--objective", "supcon", "--temperature", "0.1"]


def test_the_file_is_what_python_makes(tmp_path, capsys):
    path = tmp_path / "T.safetensors"
    report = reported(capsys, *ASK, "--dim", "8", "--out", path, "--layout", "weights", "--seed", "3")
    found = gs.targets(gs.SupCon(COUNTS, temperature=0.1), COUNTS, dim=8, seed=3)
    read = gs.training.read_targets(path)
    np.testing.assert_array_equal(read.rows, found.rows)
    assert read.counts == tuple(COUNTS)
    assert report["quality"] == "certified"
    assert report["layout"] == "weights"
    assert report["per_class"] == COUNTS
    assert report["exchangeable"] == [[0, 3]]
    assert (report["gap"], report["value"]) == (found.gap, found.value)
    assert report["files"] == [str(path)]
    assert "no loader may re-match" in report["warning"]


def test_text_says_what_is_proved_and_warns(tmp_path, capsys):
    text = printed(capsys, *ASK, "--dim", "8", "--out", tmp_path / "T.npy")
    assert "CERTIFIED" in text
    assert "4 x 8 float32 (proxies)" in text
    assert "exchangeable        classes 0, 3" in text
    assert "WARNING: row c belongs to class c of the counts: no loader may re-match" in text
    assert f"wrote {tmp_path / 'T.npy'}\n" in text
    assert f"wrote {tmp_path / 'T.npy.json'}\n" in text


def test_balanced_counts_need_no_warning(tmp_path, capsys):
    text = printed(capsys, *ASK[:2], "5,5,5", *ASK[3:], "--dim", "8", "--out", tmp_path / "T.npy")
    assert "WARNING" not in text
    assert "any assignment" in text


def test_a_folder(tmp_path, capsys):
    folder = tmp_path / "tsc"
    assert str(folder / "optimal_4_8_label.npy") in printed(capsys, *ASK, "--dim", "8", "--out", folder)
    assert np.load(folder / "optimal_4_8_analytical.npy").shape == (4, 8)


def test_below_the_rank(tmp_path, capsys):
    path = tmp_path / "T.npy"
    text = printed(capsys, *ASK, "--dim", "2", "--out", path)
    assert "BELOW THE RANK (3): where descent ended" in text
    assert "CERTIFIED" not in text
    assert gs.training.read_targets(path).quality == "descended"


def test_uncertified_is_written_so_named_and_exits_3(tmp_path, capsys, monkeypatch):
    def hasty(objective, **options):
        return gs.solve(objective, **{**options, "solver": gs.solvers.Newton(max_steps=1)})

    monkeypatch.setattr(named, "solve", hasty)
    path = tmp_path / "T.npy"
    text = printed(capsys, *ASK, "--dim", "8", "--out", path, code=3)
    assert "NOT CERTIFIED: not known to be the optimum" in text
    assert gs.training.read_targets(path).quality == "uncertified"


@pytest.mark.parametrize(
    ("extra", "part", "code"),
    [
        (["tsc", "--temperature", "0.5", "--part", "target"], "target", 0),
        (["tsc", "--temperature", "0.5", "--tol", "1e-16"], "instances", 3),
        (["lc", "--part", "classifier"], "classifier", 0),
        (["kcl", "--temperature", "0.1"], "instances", 0),
    ],
)
def test_losses_over_several_points(tmp_path, capsys, extra, part, code):
    path = tmp_path / "T.safetensors"
    line = ["targets", "--counts", "20,5,5", "--objective", *extra, "--dim", "8", "--out", path]
    assert "each row is" in printed(capsys, *line, code=code)
    found = gs.training.read_targets(path)
    assert found.part == part
    assert found.exchangeable == ((1, 2),)


def test_supervised_prototypes(tmp_path, capsys):
    path = tmp_path / "T.npy"
    assert printed(capsys, "targets", "--counts", "20,5", "--objective", "supproto", "--dim", "3", "--out", path)
    assert gs.training.read_targets(path).rows.shape == (2, 3)


def test_profiles_are_refused_unless_the_classes_are_sorted(tmp_path, capsys):
    path = tmp_path / "T.npy"
    ask = ["targets", "--counts", "isic2019", "--temperature", "0.1", "--dim", "8", "--out", str(path)]
    refuses(capsys, ask, "^geomsolve: counts: must be in the class order of your training labels; got isic2019")
    assert not path.exists()
    assert printed(capsys, *ask, "--sorted-classes")
    assert path.exists()
