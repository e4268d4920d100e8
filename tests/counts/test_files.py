"""Small files of counts in the shapes people have: each is read right, or refused with the sentence that solves it."""

from pathlib import Path

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.counts.tables import number

FILES = Path(__file__).parent / "files"
PLANTS = ("fern", "moss", "lichen")
SMALL = [812, 140, 33]

# What is in a file: counts and names (None: it has none), with the column where it has to be said.
READ = {
    "plain.csv": (SMALL, PLANTS),
    "semicolon.csv": (SMALL, PLANTS),
    "tabs.tsv": (SMALL, PLANTS),
    "thousands.csv": ([12812, 1140, 33], PLANTS),
    "splits.csv:train": (SMALL, PLANTS),
    "no_header.csv": (SMALL, PLANTS),
    "bare.txt": (SMALL, None),
    "across.csv": (SMALL, PLANTS),
    "across_bare.txt": (SMALL, None),
    "value_counts.txt": (SMALL, ("fern", "king moss", "lichen")),
    "counter.txt": (SMALL, PLANTS),
    "mapping.json": (SMALL, PLANTS),
    "list.json": (SMALL, None),
    "records.json:instance_count": (SMALL, PLANTS),
    "split_mapping.json:train": (SMALL, PLANTS),
    "mapping.yaml": (SMALL, PLANTS),
    "paths.txt": ([3, 2, 1], ("0", "1", "2")),
    "texts.csv": ([3, 1, 2], ("fern", "lichen", "moss")),
    "diagnoses.csv": ([2, 3], ("mel", "nv")),
    "one_hot.csv": ([3, 1, 1], ("FERN", "MOSS", "LICHEN")),
    "labels.csv": ([2, 3], ("1", "3")),
    "markdown.md": (SMALL, PLANTS),
    "excel.csv": (SMALL, PLANTS),
    "decimal_comma.csv": ([0.75, 0.2, 0.05], PLANTS),
    "shares_beside.csv": (SMALL, PLANTS),
    "sizes.csv:label": ([2, 1], ("fern", "moss")),
    "examples.jsonl": ([2, 1], ("fern", "moss")),
    "odd_name.csv": (SMALL, PLANTS),
}
# Read, and what is said of it.
SAID = {
    "total.csv": (SMALL, PLANTS, r"the row TOTAL \(985\) is the sum: left out"),
    "coco.json": ([3, 1], ("fern", "moss"), "annotations are counted"),
    "multi_label.csv": ([3, 2, 1], PLANTS, "2 of 4 examples have several labels: .* sums over classes that overlap"),
    "lists.json": ([3, 1], ("fern", "moss"), "its entries are counted"),
}  # fmt: skip
REFUSED = {
    "splits.csv": r"several columns of numbers, train, val, test; .* \(say which: --column train\)",
    "records.json": "several columns of numbers, image_count, instance_count",
    "split_mapping.json": r"several parts, train, val; .* --column train\)",
    "wrong_total.csv": "a row 'Total' of 999, and the others sum to 985",
    "empty_class.csv": r"classes without examples, moss \(row 1\); .*--drop-empty",
    "ambiguous_separator.csv": "twelve or 12875",
    "percent.csv": r"has percentages; its columns are class, share \(give counts\)",
    "sizes.csv": r"counts in \"size\" and labels in \"label\" that repeat; .* --column label, or --column size",
    "words.csv": "line 2: \"count\" must be a number; got 'many'",
    "counts.pkl": "a pickle runs whatever it holds .* json.dump",
}


def load(entry):
    name, _, column = entry.partition(":")
    return gs.load_counts(FILES / name, column=column or None)


def test_every_file_is_in_a_table():
    assert {path.name for path in FILES.iterdir()} == {name.partition(":")[0] for name in (*READ, *SAID, *REFUSED)}


@pytest.mark.parametrize("entry", READ)
def test_read_right(entry):
    counts, names = READ[entry]
    found = load(entry)
    assert found.per_class.tolist() == pytest.approx(counts, rel=1e-15)
    assert found.names == names
    assert found.name == entry.partition(":")[0]


@pytest.mark.parametrize("entry", SAID)
def test_what_was_decided_is_said(entry):
    counts, names, words = SAID[entry]
    with pytest.warns(UserWarning, match=words):
        found = load(entry)
    assert (found.per_class.tolist(), found.names) == (counts, names)


@pytest.mark.parametrize("entry", REFUSED)
def test_refused_with_what_to_write(entry):
    with pytest.raises(gs.ProblemError, match=REFUSED[entry]):
        load(entry)


def test_classes_without_examples_are_left_out_when_asked():
    with pytest.warns(UserWarning, match=r"left out: moss \(row 1\)"):
        found = gs.load_counts(FILES / "empty_class.csv", drop_empty=True)
    assert (found.per_class.tolist(), found.names) == ([812, 33], ("fern", "lichen"))


def test_a_negative_count_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("label,count\nmoa,9\nkea,4\ntui,-6\n")
    with pytest.raises(gs.ProblemError, match=r"a.csv: every class must have a count above 0; tui \(row 2\) has -6"):
        gs.load_counts(tmp_path / "a.csv")


def test_without_names_the_rows_that_stay_keep_their_numbers(tmp_path):
    np.save(tmp_path / "a.npy", [5, 0, 3])
    with pytest.warns(UserWarning, match="left out: 1"):
        assert gs.load_counts(tmp_path / "a.npy", drop_empty=True).names == ("0", "2")


@pytest.mark.parametrize(
    ("array", "counts", "names"),
    [
        (np.array([812, 140, 33]), SMALL, None),
        (np.array([[812.0, 140.0, 33.0]]), SMALL, None),
        (np.array(["moss", "fern", "fern"]), [2, 1], ("fern", "moss")),
        (np.eye(3)[[0, 0, 1, 2, 0]], [3, 1, 1], None),
    ],
)
def test_arrays(tmp_path, array, counts, names):
    np.save(tmp_path / "a.npy", array)
    found = gs.load_counts(tmp_path / "a.npy")
    assert (found.per_class.tolist(), found.names) == (counts, names)


def test_an_array_of_labels_is_counted_and_this_is_said(tmp_path):
    np.save(tmp_path / "a.npy", np.repeat([0, 1, 2], [9, 5, 2]))
    with pytest.warns(UserWarning, match="16 labels from 0 to 2 are counted"):
        assert gs.load_counts(tmp_path / "a.npy").per_class.tolist() == [9, 5, 2]
    np.save(tmp_path / "a.npy", np.repeat([1, 2], [9, 5]))
    with pytest.raises(gs.ProblemError, match="14 numbers from 1 to 2, each many times, are labels or counts"):
        gs.load_counts(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([1.5, np.nan]), "must be finite; entry 1 is not"),
        (np.ones((2, 2, 2)), r"one-dimensional.*\(2, 2, 2\)"),
        (np.array([[0.2, 0.8], [0.6, 0.4]]), r"one-dimensional, or one row of 0 and 1 per example; got shape \(2, 2\)"),
        (np.array([{"a": 1}, None]), "never objects"),
    ],
)
def test_bad_arrays(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(gs.ProblemError, match=message):
        gs.load_counts(tmp_path / "a.npy")


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"plant": list(PLANTS), "n": SMALL}), tmp_path / "a.parquet")
    found = gs.load_counts(tmp_path / "a.parquet")
    assert (found.per_class.tolist(), found.names) == (SMALL, PLANTS)


def test_a_folder_of_one_folder_a_class(tmp_path):
    for name, size in (("fern", 3), ("moss", 1)):
        (tmp_path / name).mkdir()
        for i in range(size):
            (tmp_path / name / f"{i}.jpg").write_text("")
    found = gs.load_counts(tmp_path)
    assert (found.per_class.tolist(), found.names) == ([3, 1], ("fern", "moss"))


@pytest.mark.parametrize(
    ("suffix", "package", "extra"), [("yaml", "yaml", "yaml"), ("parquet", "pyarrow.parquet", "parquet")]
)
def test_readers_that_are_not_installed(tmp_path, monkeypatch, suffix, package, extra):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    path = tmp_path / f"a.{suffix}"
    path.write_text("fern: 3\n")
    with pytest.raises(gs.BackendError, match=rf'pip install "\.\[{extra}\]"'):
        gs.load_counts(path)


@pytest.mark.parametrize(
    ("text", "classes", "total"), [("100x500", 100, 50_000), ("128x1", 128, 128), ("1x5000,9x50", 10, 5450)]
)
def test_so_many_classes_of_so_many(text, classes, total):
    found = gs.load_counts(text)
    assert (found.classes, found.total, found.name) == (classes, total, text)


def test_a_column_that_is_not_there():
    with pytest.raises(gs.ProblemError, match=r"column: plain.csv has the columns class, count; got 'n'"):
        gs.load_counts(FILES / "plain.csv", column="n")


def test_an_existing_file_is_read_whatever_it_is_called(tmp_path):
    (tmp_path / "numbers").write_text("812\n140\n")
    assert gs.load_counts(tmp_path / "numbers").per_class.tolist() == [812, 140]


@pytest.mark.parametrize(
    ("text", "value"),
    [("12,875", 12875), ("1 234 567", 1234567), ("12'875.5", 12875.5), ("0,25", 0.25), ("1e3", 1000), ("3,", None)],
)
def test_numbers_as_people_write_them(text, value):
    assert number(text) == value
