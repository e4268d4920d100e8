"""Labels by name: what each source gives, and one fault at a time."""

import sys

import numpy as np
import pytest

from geomsolve.errors import BackendError, ProblemError
from geomsolve.similarities.labels import DATA_SETS, load_labels


@pytest.mark.parametrize(
    "array",
    [
        np.array([0.5, -1.0, 0.5]),
        np.array([[1, 2], [3, 4], [5, 6]]),
        np.array(["cat", "dog", "cat"]),
        np.array([True, False]),
        np.array([1.0, np.nan], dtype=np.float32),  # whoever makes weights of it refuses it
    ],
    ids=["numbers", "vectors", "texts", "booleans", "single precision"],
)
def test_a_npy_file_comes_back_as_it_is(tmp_path, array):
    path = tmp_path / "labels.NPY"
    with path.open("wb") as handle:
        np.save(handle, array)
    for source in (path, str(path), f" {path} "):
        found = load_labels(source)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("label\n1\n2.5\n-3e2\n", [1.0, 2.5, -300.0]),
        ("name,label,x\na,1,9\nb,2,9\n", [1.0, 2.0]),
        ("label\ncat\n2\n", ["cat", "2"]),
        ('label\n"a,b"\nc\n', ["a,b", "c"]),
        ("\ufefflabel\r\n1\r\n2\r\n", [1.0, 2.0]),  # as a spreadsheet saves it
        ("label\n1\n2\n\n", [1.0, 2.0]),  # nothing follows
        ("cat\ndog\ncat\n", ["cat", "dog", "cat"]),
        ("breed\ncat\ndog\n", ["cat", "dog"]),
    ],
    ids=["numbers", "columns", "texts", "quotes", "byte order mark", "end", "no head", "another head"],
)
def test_the_column_label_of_a_csv_file(tmp_path, text, labels):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode())
    found = load_labels(path)
    assert found.tolist() == labels
    assert found.ndim == 1


@pytest.mark.parametrize(("text", "labels"), [("0.5,1,2", [0.5, 1.0, 2.0]), (" 0, -1 ,2e1 ", [0.0, -1.0, 20.0])])
def test_numbers_separated_by_commas(text, labels):
    found = load_labels(text)
    assert found.dtype == np.float64
    assert found.tolist() == labels


def test_data_sets_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets")
    diabetes, digits, classes = (load_labels(name) for name in ("diabetes", "digits", "digits-classes"))
    assert (diabetes.shape, digits.shape, classes.shape) == ((442,), (1797, 64), (1797,))
    np.testing.assert_array_equal(diabetes, datasets.load_diabetes().target)
    assert (diabetes.min(), diabetes.max()) == (25.0, 346.0)
    assert (digits.min(), digits.max()) == (0.0, 16.0)
    assert np.bincount(classes).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # Images and classes belong together: the mean image of a 1 has ink where that of a 0 has its hole.
    assert digits[classes == 1, 8 * 4 + 4].mean() > 10 > 1 > digits[classes == 0, 8 * 4 + 4].mean()


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_data_set_without_scikit_learn(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(BackendError, match=rf'labels: {name} comes with .*run: pip install ".\[labels\]"'):
        load_labels(name)


class Trap:
    """Unpickling it is noticed."""

    sprung = False

    def __reduce__(self):
        return (setattr, (Trap, "sprung", True))


def test_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "trap.npy", np.array([Trap(), Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(ProblemError, match=r"labels: .*trap.npy must be a .npy file of one array of numbers or texts"):
        load_labels(tmp_path / "trap.npy")
    assert not Trap.sprung
    np.load(tmp_path / "trap.npy", allow_pickle=True)
    assert Trap.sprung  # so the trap works


def cut_off(path):
    np.save(path, np.arange(9.0))
    path.write_bytes(path.read_bytes()[:-1])


def several(path):
    with path.open("wb") as handle:
        np.savez(handle, a=np.arange(9.0))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, r"cannot read .*x.npy: No such file"),
        (lambda path: path.mkdir(), r"cannot read .*x.npy: Is a directory"),
        (lambda path: path.write_text("0.5,1,2"), r"x.npy must be a .npy file of one array of numbers or texts"),
        (lambda path: np.save(path, np.array(["2020-01-01"], dtype="M8[D]")), r"x.npy must be a .npy file"),
        (cut_off, r"x.npy must be a .npy file"),
        (several, r"x.npy must be a .npy file"),
    ],
    ids=["missing", "folder", "text", "dates", "cut off", "several"],
)
def test_faulty_npy_files(tmp_path, write, message):
    write(tmp_path / "x.npy")
    with pytest.raises(ProblemError, match=rf"^labels: .*{message}"):
        load_labels(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot read .*x.csv: No such file"),
        (b"", r"x.csv has no rows"),
        (b"name,value\na,1\n", r'needs one column "label", .*; its columns are name, value'),
        (b"age\n61\n42\n89+\n", r"row 3 must be a number like the others; got '89\+'"),
        (b"name,label\na,1\nb,\n", r"every row needs a label; row 2 has none"),
        (b"name,label\na,1\nb\nc,1\n", r"row 2 must have as many columns as the first line, 2; got 1"),
        (b"label\n1\n\n2\n", r"row 2 must have .* 1; got 0 \(a blank line would shift"),
        (b"label\n\xff\xfe\n", r"x.csv is not a text file: .*decode"),
    ],
)
def test_faulty_csv_files(tmp_path, content, message):
    path = tmp_path / "x.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ProblemError, match=rf"^labels: .*{message}"):
        load_labels(path)


@pytest.mark.parametrize("text", ["", "mnist", "0,one,2", "0,,2", "0;1", "Diabetes"])
def test_other_texts_are_refused(text):
    with pytest.raises(ProblemError, match=r"labels: .*diabetes, digits, digits-classes; got ") as error:
        load_labels(text)
    assert str(error.value).endswith(f"got {text!r}")
