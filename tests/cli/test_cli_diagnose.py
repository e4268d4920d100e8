"""The verb `diagnose`."""

import functools
import re

import numpy as np
import pytest
from command_line import printed, refuses, reported, strict

import geomsolve as gs

COUNTS = (12, 6, 4, 2)


@pytest.fixture
def files(tmp_path):
    """Embeddings at the optimum of SupCon, their labels, and the points as a classifier."""
    points = gs.solve(gs.SupCon(COUNTS, temperature=0.1)).embed(8).points
    labels = np.repeat(np.arange(4), COUNTS)
    z = points[labels] + 0.01 * np.random.default_rng(0).normal(size=(2, 24, 8))
    np.save(tmp_path / "z.npy", (z / np.linalg.norm(z, axis=2, keepdims=True)).astype(np.float32))
    np.save(tmp_path / "y.npy", np.array(["cat", "dog", "eel", "fox"])[labels])
    np.save(tmp_path / "w.npy", points)
    return tmp_path


def asked(files, *options, embeddings="z.npy", labels="y.npy"):
    return ["diagnose", "--embeddings", str(files / embeddings), "--labels", str(files / labels), *options]


def told(files, capsys, *options, **names):
    return reported(capsys, *asked(files, *options, **names))


def test_json_on_stdout(files, capsys):
    report = told(files, capsys, "--objective", "supcon", "--temperature", "0.1")
    assert report["verdict"] == "at the optimum"
    assert report["labels"] == ["cat", "dog", "eel", "fox"]
    assert 0 < report["excess"] < 1e-5
    assert report["neighbours"] == 2
    assert report["optimum"]["quality"] == "certified"
    assert report["nc3"] is None


def test_without_a_loss(files, capsys):
    report = told(files, capsys, "--weights", str(files / "w.npy"), "--neighbours", "3")
    assert report["excess"] is None
    assert report["optimum"] is None
    assert report["verdict"] == "spread"
    assert report["neighbours"] == 3
    assert report["nc4"] == 0
    assert report["nc4_against"] == "classifier"


@pytest.mark.parametrize("loss", [("--temperature", "0.1"), ("--objective", "gcl"), ("--objective=gcl",)])
def test_any_option_of_a_loss_asks_for_it(files, capsys, loss):
    assert told(files, capsys, *loss)["excess"] is not None


def test_an_uncertified_optimum_is_told(files, capsys, monkeypatch):
    hasty = functools.partial(gs.solve, solver=gs.solvers.Newton(max_steps=1))
    monkeypatch.setattr("geomsolve.training.optima.solve", hasty)
    out = printed(capsys, *asked(files, "--temperature", "0.1"), code=3)
    assert "The optimum is not certified" in out
    assert "(uncertified, gap" in out


def test_report_folder(files, capsys):
    folder = files / "new" / "report"
    line = asked(files, "--temperature", "0.1", "--counts", "1200,600,400,200", "--report", folder)
    out = printed(capsys, *line)
    text = (folder / "report.txt").read_text()
    assert out.startswith(text.rstrip())
    assert f"wrote {folder / 'diagnosis.png'}" in out
    report = strict((folder / "diagnosis.json").read_text())
    assert report["counts"] == [1200, 600, 400, 200]
    assert report["samples_per_class"] == list(COUNTS)
    assert {path.name for path in folder.iterdir()} == {"diagnosis.json", "diagnosis.png", "report.html", "report.txt"}
    assert (folder / "diagnosis.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "data:image/png;base64," in page
    assert text.splitlines()[-1] in page


@pytest.mark.parametrize("numbers", [False, True])
def test_labels_from_a_csv(files, capsys, numbers):
    names = ["3", "11", "12", "20"] if numbers else ["cat", "dog", "eel", "fox"]
    (files / "y.csv").write_text("image,label\n" + "".join(f"i,{names[c]}\n" for c in np.repeat(range(4), COUNTS)))
    report = told(files, capsys, "--temperature", "0.1", labels="y.csv")
    assert report["labels"] == ([3, 11, 12, 20] if numbers else names)
    assert report["verdict"] == "at the optimum"


def test_a_report_that_cannot_be_written_is_known_first(files, capsys, monkeypatch):
    (files / "report" / "diagnosis.png").mkdir(parents=True)
    monkeypatch.setattr("geomsolve.training.optima.solve", None)
    line = asked(files, "--temperature", "0.1", "--report", files / "report")
    refuses(capsys, line, r"report: must be a path that can be written; .*diagnosis\.png")


def test_a_profile_with_sorted_classes(files, capsys):
    np.save(files / "y8.npy", np.repeat(np.arange(8), 3))
    options = ("--counts", "isic2019", "--sorted-classes", "--temperature", "0.1")
    assert told(files, capsys, *options, labels="y8.npy")["counts"][0] == 12875


@pytest.mark.parametrize("kind", ["npz", "parquet", pytest.param("pt", marks=pytest.mark.torch)])
def test_files_of_other_kinds(files, capsys, kind):
    """Several arrays of a file by name, a table of numbers with its labels, a dictionary of tensors."""
    z, y = np.load(files / "z.npy")[0], np.repeat(np.arange(4), COUNTS)
    np.save(files / "one.npy", z)
    np.save(files / "numbers.npy", y)
    wanted = told(files, capsys, embeddings="one.npy", labels="numbers.npy")
    if kind == "npz":
        np.savez(files / "run.npz", embeddings=z, labels=y)
    elif kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow")
        table = pyarrow.table({**{f"z{i}": column for i, column in enumerate(z.T)}, "label": y})
        pytest.importorskip("pyarrow.parquet").write_table(table, files / "run.parquet")
    else:
        torch = pytest.importorskip("torch", reason="needs PyTorch: make test-torch")
        torch.save({"embeddings": torch.tensor(z), "labels": torch.tensor(y), "epoch": 3}, files / "run.pt")
    assert told(files, capsys, embeddings=f"run.{kind}", labels=f"run.{kind}") == wanted


def write_bad_files(folder):
    np.save(folder / "objects.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    np.save(folder / "short.npy", np.arange(5))
    np.savez(folder / "two.npz", a=np.eye(2), b=np.eye(2))
    np.savez(folder / "objects.npz", np.array([{"a": 1}], dtype=object))
    (folder / "cut.npy").write_bytes((folder / "z.npy").read_bytes()[:-100])
    (folder / "halves.csv").write_text("label\n" + "0.5\n1\n" * 12)
    (folder / "columns.csv").write_text("name,colour\n" + "a,red\nb,red\n" * 12)
    (folder / "y.txt").write_text("0\n1\n" * 12)
    nan = np.load(folder / "z.npy")
    nan[1, 7] = np.nan
    np.save(folder / "nan.npy", nan)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embeddings": "objects.npy"}, "embeddings: "),
        ({"labels": "objects.npy"}, "labels: "),
        ({"embeddings": "two.npz"}, "must hold one array, or one of the name embeddings; it has a, b"),
        ({"embeddings": "objects.npz"}, "must hold one array, or one of the name embeddings; it has none"),
        ({"embeddings": "cut.npy"}, "must be a whole .npy file of one array"),
        ({"embeddings": "."}, "embeddings: cannot read"),
        ({"embeddings": "y.npy"}, "embeddings: must be real numbers; got dtype <U3"),
        ({"embeddings": "nan.npy"}, "row 7 of view 1 has NaN"),
        ({"labels": "short.npy"}, "labels: must be one per sample, shape (24,); got (5,)"),
        ({"labels": "halves.csv"}, "labels: must be integers or texts; sample 0 has 0.5"),
        ({"labels": "columns.csv"}, 'needs one column "label"'),
        ({"labels": "y.txt"}, "or a .csv file"),
    ],
)
def test_bad_files_in_one_line(files, capsys, options, message):
    write_bad_files(files)
    refuses(capsys, asked(files, **options), re.escape(message))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--objective", "nonsense"), "objective: must be one of"),
        (("--convention", "paper"), "convention: must be one of geomsolve, ttc; got 'paper'"),
        (("--base-temperature", "0.07"), "base-temperature: is the unit of a loss; got it without an objective"),
        (("--temperature", "0.1", "--tol", "2"), "tol: must be"),
        (("--report", "/proc/nowhere"), "report: must be a folder"),
    ],
)
def test_bad_options_in_one_line(files, capsys, options, message):
    refuses(capsys, asked(files, *options), message)
