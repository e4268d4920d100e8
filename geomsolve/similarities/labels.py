"""Labels, weights and distances from files as people have them: .npy, CSV, TSV, parquet, numbers, known data sets."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..counts.delimited import is_header
from ..counts.files import parquet_columns
from ..errors import BackendError, ProblemError
from ..files import read_npy

DATA_SETS = ("diabetes", "digits", "digits-classes")
_TABLES = (".csv", ".tsv", ".txt", ".parquet")


def load_labels(source: str | Path, column: str | None = None) -> NDArray[Any]:
    """Labels, one row per sample, whichever way they are given.

    - a path ending in .npy: (N,) or (N, d), numbers or texts, as numpy.save writes them (never unpickled);
    - a path ending in .csv, .tsv, .txt (separated by commas, semicolons or tabs) or .parquet: a row per sample. The
      column "label", or those that `column` names, separated by commas; a table without one: its only column, or all
      where all are numbers;
    - "0.5,1,2": numbers separated by commas;
    - "diabetes", "digits" and "digits-classes", which need scikit-learn.

    Raises:
        ProblemError: an unknown name, or a file that is missing or holds something else; a column of numbers in which
            some entry is none.
        BackendError: a data set, and scikit-learn is not installed; a parquet file, and pyarrow is not.
    """
    text = str(source).strip()
    suffix = Path(text).suffix.lower()
    if column is not None and suffix not in _TABLES:
        raise ProblemError(f"column: goes with a table ({', '.join(_TABLES)}); got {column!r:.40} with {text!r:.60}")
    if text in DATA_SETS:
        return _data_set(text)
    if suffix == ".npy":
        wanted = "a .npy file of one array of numbers or texts, as numpy.save writes it"
        return read_npy("labels", Path(text), "fiubUS", wanted)
    if suffix in _TABLES:
        return _chosen(Path(text), column)
    try:
        return np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise ProblemError(
            f"labels: must be a file (.npy{', '.join(['', *_TABLES])}), numbers separated by commas, or one of "
            f"{', '.join(DATA_SETS)}; got {text!r:.60}"
        ) from None


def load_square(argument: str, path: Path) -> Array:
    """An N x N matrix from a .npy file or a table, with or without names of rows and columns.

    Args:
        argument: what the file was given as, for messages.
        path: the file.

    Raises:
        ProblemError: a file that is missing or holds something else; the cell is named.
        BackendError: a parquet file, and pyarrow is not installed.
    """
    if path.suffix.lower() not in _TABLES:
        array = read_npy(
            argument, path, "fiu", "a .npy file of one array of numbers, or a .csv, .tsv or .parquet table"
        )
        return array if array.dtype.kind == "f" else array.astype(np.float64)
    names, rows = _table(argument, path)
    named = len(rows) > 0 and len(rows[0]) == len(rows) + 1  # a first column of names
    matrix = np.array([[_number(text) for text in row[named:]] for row in rows], ndmin=2)
    for i, j in np.argwhere(~np.isfinite(matrix)):
        where = f"row {i + 1}, column {j + 1 + named}" + (f" ({names[j + named]})" if names else "")
        raise ProblemError(f"{argument}: {path}: {where} must be a finite number; got {rows[i][j + named]!r:.40}")
    return matrix


def load_tree(path: Path) -> dict[str, str]:
    """The parent of every class: a table of two columns, child and parent.

    Raises:
        ProblemError: a file that is missing, has other columns, or gives a class two parents.
    """
    names, rows = _table("tree", path)
    lines = rows if names is None or {name.lower() for name in names} == {"child", "parent"} else [names, *rows]
    if not lines or any(len(row) != 2 for row in lines):
        raise ProblemError(f"tree: {path} must have two columns, child and parent")
    turned = names is not None and names[0].lower() == "parent"
    parents: dict[str, str] = {}
    for number, row in enumerate(lines, start=1):
        child, parent = row[::-1] if turned else row
        if not parent:  # a root
            continue
        if parents.get(child, parent) != parent:
            raise ProblemError(f"tree: {path}: row {number} gives {child!r} a second parent, {parent!r}")
        parents[child] = parent
    return parents


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _chosen(path: Path, column: str | None) -> NDArray[Any]:
    """The labels in a table."""
    names, rows = _table("labels", path)
    if not rows:
        raise ProblemError(f"labels: {path} has no rows")
    told = f"its columns are {', '.join(names)}" if names else "it has no line of names"
    if column is None and not (names and names.count("label") == 1):
        places = list(range(len(rows[0])))
        if len(places) > 1 and any(np.isnan(_number(row[k])) for row in rows for k in places):
            raise ProblemError(f'labels: {path} needs one column "label", or --column; {told}')
    else:
        places = []
        for name in map(str.strip, (column or "label").split(",")):
            if not names or names.count(name) != 1:
                raise ProblemError(f"column: {path} needs one column {name!r:.40}; {told}")
            places.append(names.index(name))
    columns = [_column(path, [row[place] for row in rows]) for place in places]
    if len(columns) == 1:
        return columns[0]
    kinds = {column.dtype.kind for column in columns}
    return np.column_stack(columns if len(kinds) == 1 else [column.astype(str) for column in columns])


def _column(path: Path, texts: list[str]) -> NDArray[Any]:
    """A column as numbers, or as texts where most entries are none."""
    if "" in texts:
        raise ProblemError(f"labels: {path}: every row needs a label; row {texts.index('') + 1} has none")
    numbers = np.array([_number(text) for text in texts])
    wrong = np.flatnonzero(np.isnan(numbers))
    if 2 * wrong.size >= len(texts):
        return np.array(texts)
    if wrong.size:
        place = int(wrong[0])
        raise ProblemError(
            f"labels: {path}: row {place + 1} must be a number like the others; got {texts[place]!r:.40} (write a "
            "number, or leave the row out)"
        )
    return numbers


def _table(argument: str, path: Path) -> tuple[list[str] | None, list[list[str]]]:
    """The names of the columns, None where the first line has a number, and the lines."""
    if path.suffix.lower() == ".parquet":
        columns = parquet_columns(argument, path)
        cells = zip(*columns.values(), strict=True)
        return list(columns), [["" if cell is None else str(cell) for cell in row] for row in cells]
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ProblemError(f"{argument}: cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ProblemError(f"{argument}: {path} is not a text file: {error}") from None
    separator = max("\t;,", key=text.partition("\n")[0].count)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=separator)]
    except csv.Error as error:
        raise ProblemError(f"{argument}: {path} is not a table: {error}") from None
    while rows and not any(rows[-1]):
        rows.pop()
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(rows[0]):
            hint = "" if row else " (a blank line would shift the numbers of the samples after it)"
            raise ProblemError(
                f"{argument}: {path}: row {number} must have as many columns as the first line, {len(rows[0])}; got "
                f"{len(row)}{hint}"
            )
    named = len(rows) > 1 and all(np.isnan(_number(cell)) for cell in rows[0]) and is_header(rows[0], rows[1:])
    return (rows[0], rows[1:]) if named else (None, rows)


def _data_set(name: str) -> NDArray[Any]:
    try:
        from sklearn import datasets
    except ImportError:
        raise BackendError(
            f'labels: {name} comes with scikit-learn, which is not installed; run: pip install ".[labels]"'
        ) from None
    if name == "diabetes":
        return np.asarray(datasets.load_diabetes().target)
    digits = datasets.load_digits()
    return np.asarray(digits.data if name == "digits" else digits.target)
