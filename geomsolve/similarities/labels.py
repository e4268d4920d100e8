"""Labels of samples by name: a file, numbers, or the data sets that scikit-learn brings along."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import BackendError, ProblemError
from ..files import read_npy

DATA_SETS = ("diabetes", "digits", "digits-classes")


def load_labels(source: str | Path) -> NDArray[Any]:
    """Labels, one per sample, whichever way they are given.

    - a path ending in .npy: (N,) or (N, d), numbers or texts, as numpy.save writes them (never unpickled);
    - a path ending in .csv: a file with a column "label", one row per sample;
    - "0.5,1,2": numbers separated by commas;
    - "diabetes": the targets of scikit-learn's diabetes data (442 measures of disease progression);
      "digits": its 1797 images of digits as vectors of length 64, and "digits-classes" their classes.
      These need scikit-learn.

    Raises:
        ProblemError: an unknown name, or a file that is missing or holds something else.
        BackendError: a data set, and scikit-learn is not installed.
    """
    text = str(source).strip()
    if text in DATA_SETS:
        return _data_set(text)
    if text.lower().endswith(".npy"):
        wanted = "a .npy file of one array of numbers or texts, as numpy.save writes it"
        return read_npy("labels", Path(text), "fiubUS", wanted)
    if text.lower().endswith(".csv"):
        return _read_csv(Path(text))
    try:
        return np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise ProblemError(
            f'labels: must be a .npy file, a .csv file with a column "label", numbers separated by commas, or one of '
            f"{', '.join(DATA_SETS)}; got {text!r:.60}"
        ) from None


def _data_set(name: str) -> NDArray[Any]:
    try:
        from sklearn import datasets
    except ImportError:
        raise BackendError(
            f'labels: {name} comes with scikit-learn, which is not installed; run: pip install "geomsolve[labels]"'
        ) from None
    if name == "diabetes":
        return np.asarray(datasets.load_diabetes().target)
    digits = datasets.load_digits()
    return np.asarray(digits.data if name == "digits" else digits.target)


def _read_csv(path: Path) -> NDArray[Any]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.reader(handle))
    except OSError as error:
        raise ProblemError(f"labels: cannot read {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProblemError(f"labels: {path} is not a CSV text file: {error}") from None
    while rows and not any(entry.strip() for entry in rows[-1]):
        rows.pop()
    columns = [column.strip() for column in rows[0]] if rows else []
    if columns.count("label") != 1 or len(rows) < 2:
        names = ", ".join(columns) or "none"
        raise ProblemError(f'labels: {path} needs one column "label" and a row per sample; its columns are {names}')
    texts = []
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(columns):
            hint = "" if row else " (a blank line would shift the numbers of the samples after it)"
            raise ProblemError(
                f"labels: {path}: row {number} must have as many columns as the first line, {len(columns)}; got "
                f"{len(row)}{hint}"
            )
        texts.append(row[columns.index("label")].strip())
    if "" in texts:
        raise ProblemError(f"labels: {path}: every row needs a label; row {texts.index('') + 1} has none")
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        return np.array(texts)
