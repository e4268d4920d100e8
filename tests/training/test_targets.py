"""Targets for training: the solution's cosines, the user's class order, what is proved, files bit for bit."""

import functools
import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

import geomsolve as gs

SHUFFLED = [30, 900, 7, 30, 120]


@pytest.fixture(scope="module")
def solution():
    return gs.solve(gs.SupCon(SHUFFLED, temperature=0.1))


def cosines(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows @ rows.T


@pytest.mark.parametrize("dim", [4, 5, 64])
@pytest.mark.parametrize("rotate", [True, False])
def test_rows_have_the_cosines_of_the_solution_in_class_order(solution, dim, rotate):
    found = gs.targets(solution, SHUFFLED, dim=dim, rotate=rotate)
    assert found.rows.dtype == np.float32
    assert found.rows.shape == (5, dim)
    np.testing.assert_allclose(cosines(found.rows), solution.gram, atol=1e-6)
    # Which class is which shows: the largest is farther from all others than they are from one another.
    nearest = np.where(np.eye(5, dtype=bool), -1, cosines(found.rows)).max(axis=1)
    assert nearest.argmin() == 1
    assert (found.quality, found.exact, found.rank, found.dim) == ("certified", True, 4, dim)
    assert found.counts == tuple(SHUFFLED)
    assert found.exchangeable == ((0, 3),)
    assert found.gap == solution.certificate.gap


def test_rotation_uses_every_coordinate_and_its_seed(solution):
    turned = gs.targets(solution, dim=32)
    assert (np.abs(turned.rows).max(axis=0) > 1e-3).all()
    np.testing.assert_array_equal(turned.rows, gs.targets(solution, dim=32).rows)
    assert np.abs(turned.rows - gs.targets(solution, dim=32, seed=1).rows).max() > 0.1
    flat = gs.targets(solution, dim=32, rotate=False)
    assert not flat.rows[:, 4:].any()
    assert (turned.seed, flat.seed) == (0, None)


def test_rotations_are_uniform():
    """The mean of every coordinate over seeds is 0 (without the signs of R it is not: LAPACK makes them all alike)."""
    solution = gs.solve(gs.SupCon([3, 1], temperature=0.5))
    rows = np.array([gs.targets(solution, dim=2, seed=seed).rows[0] for seed in range(200)])
    assert np.abs(rows.mean(axis=0)).max() < 0.25
    np.testing.assert_allclose((rows**2).mean(axis=0), 0.5, atol=0.12)


@pytest.mark.parametrize("dim", [1, 2])
def test_below_the_rank_the_gap_is_proved_and_said(solution, dim):
    found = gs.targets(solution, SHUFFLED, dim=dim, restarts=2)
    assert (found.quality, found.exact, found.rank) == ("descended", False, 4)
    np.testing.assert_allclose(np.linalg.norm(found.rows, axis=1), 1.0, atol=1e-6)
    loss = solution.objective.ungrouped()
    value = loss.value(gs.OrbitGram.from_matrix(cosines(found.rows), loss.orbits))
    assert value == pytest.approx(found.value, rel=1e-6)
    assert found.gap == pytest.approx(found.value - solution.certificate.lower_bound, rel=1e-12)
    assert found.gap > 1e-6
    floor = solution.objective.floor
    assert found.relative_gap == pytest.approx(found.gap / (found.value - floor), rel=1e-9)


def test_class_means_of_losses_over_instances():
    """SupCL at alpha 0.5 spreads its classes; the row of a class is its mean, in the order of the counts."""
    counts = [5, 20, 8]
    solution = gs.solve(gs.SupCL(counts, alpha=0.5, temperature=0.5))
    points = solution.embed().points
    means = np.array([points[sum(counts[:c]) : sum(counts[: c + 1])].mean(axis=0) for c in range(3)])
    assert np.linalg.norm(means, axis=1).min() < 0.9
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    found = gs.targets(solution, counts, dim=4)
    np.testing.assert_allclose(cosines(found.rows), means @ means.T, atol=1e-6)
    assert (found.part, found.quality, found.rank) == ("instances", "certified", 2)
    assert found.whole_rank == solution.rank > 4


def test_parts_by_name():
    counts = [20, 5, 5]
    solution = gs.solve(gs.BCL(counts, temperature=0.5))
    rows = {part: gs.targets(solution, counts, dim=6, part=part).rows for part in (None, "instances", "prototype")}
    np.testing.assert_array_equal(rows[None], rows["instances"])
    points, labels = solution.embed().points, np.repeat([0, 1, 2], counts)
    means = np.array([points[:30][labels == c].mean(axis=0) for c in range(3)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(cosines(rows[None]), cosines(means), atol=1e-6)
    np.testing.assert_allclose(cosines(rows["prototype"]), cosines(points[30:]), atol=1e-6)
    assert np.abs(cosines(means) - cosines(points[30:])).max() > 1e-4, "or nothing was told apart"
    assert gs.targets(solution, counts, dim=6).exchangeable == ((1, 2),)
    assert gs.targets(solution, dim=6).exchangeable == (), "without counts nothing is known to be alike"
    below = gs.targets(solution, counts, dim=1, restarts=2)
    assert below.quality == "descended"
    assert set(np.abs(below.rows.ravel())) == {np.float32(1.0)}


def test_tsc_and_supervised_prototypes():
    tsc = gs.choosing.targeted_supcon([20, 5, 1], temperature=0.5)
    found = gs.targets(tsc, dim=4)
    assert (found.quality, found.counts, found.part) == ("certified", (20.0, 5.0, 1.0), "instances")
    simplex = gs.targets(tsc, dim=4, part="target")
    np.testing.assert_allclose(cosines(simplex.rows), (3 * np.eye(3) - 1) / 2, atol=1e-6)
    assert gs.targets(tsc, dim=4, tol=1e-16).quality == "uncertified"
    with pytest.raises(gs.ProblemError, match="dim: must be at least 2, the rank of these points; got 1"):
        gs.targets(tsc, dim=1)
    two = gs.targets(gs.choosing.supervised_prototypes([20, 5]), dim=3)
    assert two.loss == "Supervised Prototypes(views=2)"
    assert two.temperature == 0.07
    assert cosines(two.rows)[0, 1] < -0.9


def test_classes_that_share_a_row_below_the_rank_are_named():
    """On a line there are two places for three classes."""
    found = gs.targets(gs.SupCon([900, 30, 7], temperature=0.1), dim=1, restarts=2)
    assert found.quality == "descended"
    assert found.collapsed == ((1, 2),)
    np.testing.assert_array_equal(found.rows[1], found.rows[2])


def test_collapsed_classes_share_a_row():
    counts = [1000] + [1] * 3
    found = gs.targets(gs.GCL(counts, temperature=1.0, negatives=16), counts, dim=4)
    assert found.collapsed == ((1, 2, 3),)
    np.testing.assert_allclose(found.rows[1], found.rows[3], atol=1e-6)


def test_the_warning_knows_when_the_order_does_not_matter(solution):
    assert "no loader may re-match" in gs.targets(solution, dim=4).warning
    alike = gs.targets(gs.SupCon([5, 5, 5], temperature=0.1), dim=4)
    assert alike.exchangeable == ((0, 1, 2),)
    assert not alike.ordered
    assert "any assignment" in alike.warning


def test_nothing_uncertified_is_called_optimal(monkeypatch):
    objective = gs.SupCon(SHUFFLED, temperature=0.1)
    loose = gs.solve(objective, gs.solvers.Newton(max_steps=1), throw=False)
    assert loose.quality is gs.Quality.UNCERTIFIED
    assert gs.targets(loose, SHUFFLED, dim=8).quality == "uncertified"
    assert gs.targets(loose, SHUFFLED, dim=2, restarts=1).quality == "uncertified"
    monkeypatch.setattr(
        "geomsolve.training.optima.solve", functools.partial(gs.solve, solver=gs.solvers.Newton(max_steps=1))
    )
    with pytest.raises(gs.NotCertified):
        gs.targets(objective, SHUFFLED, dim=8)


def same(first, second):
    np.testing.assert_array_equal(first.rows, second.rows)
    return all(getattr(first, name) == getattr(second, name) for name in first.__dataclass_fields__ if name != "rows")


@pytest.mark.parametrize("suffix", [".npy", ".safetensors", ".NPY"])
@pytest.mark.parametrize("layout", ["proxies", "weights"])
def test_files_come_back_bit_for_bit(solution, tmp_path, suffix, layout):
    found = gs.targets(solution, SHUFFLED, dim=6)
    path = tmp_path / f"T{suffix}"
    written = found.save(path, layout=layout)
    assert written[0] == path
    assert sorted(written) == sorted(tmp_path.iterdir())
    assert same(gs.training.read_targets(path), found)


@pytest.mark.parametrize(("layout", "shape"), [("proxies", (5, 6)), ("weights", (6, 5))])
def test_other_readers_find_the_array(solution, tmp_path, layout, shape):
    from safetensors import safe_open
    from safetensors.numpy import load_file

    found = gs.targets(solution, SHUFFLED, dim=6)
    found.save(tmp_path / "T.npy", layout=layout)
    found.save(tmp_path / "T.safetensors", layout=layout)
    arrays = [np.load(tmp_path / "T.npy"), load_file(tmp_path / "T.safetensors")["targets"]]
    for array in arrays:
        assert (array.shape, array.dtype) == (shape, np.float32)
        np.testing.assert_array_equal(array if layout == "proxies" else array.T, found.rows)
    with safe_open(tmp_path / "T.safetensors", framework="numpy") as opened:
        told = opened.metadata()
    assert told == json.loads((tmp_path / "T.npy.json").read_text())
    assert told["quality"] == "certified"
    assert told["layout"] == layout
    assert json.loads(told["counts"]) == SHUFFLED
    assert json.loads(told["exchangeable"]) == [[0, 3]]
    assert float(told["gap"]) == found.gap
    assert told["loss"].startswith("SupCon")
    assert (float(told["temperature"]), told["version"]) == (0.1, gs.__version__)
    assert "no loader may re-match" in told["warning"]


def test_a_folder_gets_the_names_of_tscs_loader(solution, tmp_path):
    found = gs.targets(solution, SHUFFLED, dim=6)
    found.save(tmp_path / "new")
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "optimal_5_6_analytical.npy"), found.rows)
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "optimal_5_6_label.npy"), np.arange(5))
    assert same(gs.training.read_targets(tmp_path / "new" / "optimal_5_6_analytical.npy"), found)


def test_arrays_of_other_origin(tmp_path):
    rows = np.eye(3, 5, dtype=np.float32)
    rows[0, :2] = 0.6, 0.8
    np.save(tmp_path / "rows.npy", rows)
    np.save(tmp_path / "columns.npy", rows.T)
    for name in ("rows.npy", "columns.npy"):
        found = gs.training.read_targets(tmp_path / name)
        np.testing.assert_array_equal(found.rows, rows)
        assert (found.quality, found.gap, found.counts) == ("unknown", None, None)


def test_what_is_said_of_another_array_is_not_believed(solution, tmp_path):
    path = tmp_path / "T.npy"
    gs.targets(solution, dim=6).save(path)
    np.save(path, np.eye(5, 6, dtype=np.float32))
    with pytest.raises(gs.ProblemError, match="is said of another array"):
        gs.training.read_targets(path)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


# A damaged header that asks for more memory than there is.
HUGE = npy(np.eye(3, 5, dtype=np.float32)).replace(b"(3, 5), }" + b" " * 12, b"(99999999999999,), }")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("T.txt", b"", "targets: must be a .npy or .safetensors or .pt file; got"),
        ("T.npy", None, "targets: cannot read .*T.npy: No such file"),
        ("T.safetensors", None, "targets: cannot read .*T.safetensors: No such file"),
        ("T.npy", b"PK\x03\x04 and nothing else", "must be a file of one float32 array of two axes"),
        ("T.npy", HUGE, "must be a file of one float32 array of two axes"),
        ("T.npy", npy(np.eye(3)), "must be a file of one float32 array of two axes"),
        ("T.npy", npy(np.ones((0, 4), dtype=np.float32)), "must be a file of one float32 array of two axes"),
        ("T.npy", npy(np.ones((3, 4), dtype=np.float32)), "must have length 1"),
        ("T.safetensors", b"\x10\0\0\0\0\0\0\0rubbish", "must be a file of one float32 array of two axes"),
    ],
)
def test_unreadable_files(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(gs.ProblemError, match=message):
        gs.training.read_targets(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", r"T\.npy\.json must be as Targets\.save writes it"),
        ('{"gap": "much"}', "metadata of"),
        ('{"quality": "excellent"}', "metadata of"),
        ('{"counts": "[1, 2]"}', "metadata of"),
        ('{"counts": "3"}', "metadata of"),
    ],
)
def test_metadata_that_say_nothing(tmp_path, text, message):
    np.save(tmp_path / "T.npy", np.eye(3, dtype=np.float32))
    (tmp_path / "T.npy.json").write_text(text)
    with pytest.raises(gs.ProblemError, match=message):
        gs.training.read_targets(tmp_path / "T.npy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim: must be a whole number of at least 1; got 0"),
        ({"dim": 10**9}, "dim: the points must fit into"),
        ({"source": [3, 2, 1], "dim": 4}, r"source: must be a loss such as .*; got list"),
        ({"dim": 4, "part": "prototype"}, "part: SupCon.* has one point per class; got 'prototype'"),
        (
            {"source": gs.BCL([3, 2], temperature=0.5), "dim": 4, "part": "target"},
            r"part: must be one of instances, prototype for BCL.*; got 'target'",
        ),
        ({"dim": 4, "counts": [1, 2, 3]}, "counts: must be one per class, 5 of them; got 3"),
        ({"dim": 4, "counts": [30, 900, 7, 31, 120]}, "counts: must be those of the loss, in its class order; class 0"),
        ({"dim": 4, "counts": gs.load_counts("isic2019")}, "counts: must be in the class order of your training"),
        ({"dim": 2, "restarts": 0}, "restarts: must be at least 1; got 0"),
        ({"dim": 4, "tol": 2}, "tol: must be a number between 0 and 1; got 2"),
    ],
)
def test_bad_arguments(solution, options, message):
    with pytest.raises(gs.ProblemError, match=message):
        gs.targets(**{"source": solution} | options)


def test_a_class_without_direction_is_named():
    objective = gs.SupCL([2, 2], alpha=1.0, temperature=0.5)
    solution = replace(gs.solve(objective), geometry=gs.OrbitGram(objective.orbits, -np.eye(2)))
    with pytest.raises(gs.ProblemError, match="source: the examples of class 0 balance around the origin"):
        gs.targets(solution, dim=4)


def test_profiles_need_a_word():
    counts = gs.load_counts("isic2019")
    objective = gs.SupCon(counts, temperature=0.1)
    assert gs.targets(objective, counts, dim=8, sorted_classes=True).quality == "certified"
    rule = gs.load_counts("cifar10_lt:10")  # this rule is in the order of the classes
    assert gs.targets(gs.SupCon(rule, temperature=0.1), rule, dim=9).rank == 9


def test_safetensors_missing(solution, tmp_path, monkeypatch):
    found = gs.targets(solution, dim=4)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(gs.BackendError, match=r'pip install "\.\[safetensors\]"'):
        found.save(tmp_path / "T.safetensors")
    found.save(tmp_path / "T.npy")


@pytest.mark.parametrize(
    ("name", "layout", "message"),
    [
        ("T.txt", "proxies", "out: must end in .npy or .safetensors or .pt, or be a folder; got"),
        ("T.npy", "columns", "layout: must be one of proxies, weights; got 'columns'"),
        ("folder", "weights", "layout: a folder is for TSC's loader, which wants proxies; got weights"),
        ("none/T.npy", "proxies", "out: must be a path that can be written; got .*No such file"),
        ("none/T.safetensors", "proxies", "out: must be a path that can be written; got .*No such file"),
    ],
)
def test_bad_destinations(solution, tmp_path, name, layout, message):
    with pytest.raises(gs.ProblemError, match=message):
        gs.targets(solution, dim=4).save(tmp_path / name, layout=layout)
    assert list(tmp_path.iterdir()) == []
