"""Tables of class counts: what cells say, which column has counts, which row is a total, what classes are called."""

import contextlib
import re
import warnings
from collections.abc import Iterable, Sequence
from shlex import quote
from typing import Any, TypeAlias

import numpy as np

from ..arrays import Array
from ..errors import ProblemError

# Counts and names of classes; None where they have no names.
Found: TypeAlias = tuple[list[float], list[str] | None]

# Cells that say nothing.
_MISSING = {"", "nan", "none", "null", "na", "n/a"}
# What columns are called. Exact names come first, then single words of a name.
_COUNTS = {"count", "counts", "n", "num", "number", "freq", "frequency", "cnt", "support", "size", "quantity", "total"}
_COUNTED = _COUNTS | {"images", "photos", "samples", "instances", "examples", "occurrences", "items", "records"}
_COUNTED |= {"files", "train", "training", "val", "valid", "validation", "test"}
_TRAIN = {"train", "training"}
_LABELS: tuple[str, ...] = ("label", "labels", "class", "target", "category", "y", "dx", "diagnosis", "species")
_LABELS += ("class_name", "classname")
_LABELLED = {"label", "class", "category", "target", "diagnosis", "species", "genus", "topic", "genre"}
_IDS = {"id", "ids", "idx", "index"}
_NUMBERED = _IDS | {"rank", "class", "label", "category", "target", "code", "no", "unnamed", "y"}
_TOTALS = {"total", "totals", "sum", "all", "overall", "grand total", "grandtotal", "σ", "total:", "sum:", "#total"}
_PATH = re.compile(r"[/\\]|\.(jpe?g|png|bmp|tiff?|webp|gif|npy|wav|mp4)$", re.IGNORECASE)


def number(text: str) -> float | None:
    """The number a cell says, thousands separators and all, or None."""
    text = text.strip().strip("\"'").replace("\u00a0", " ").replace("\u202f", " ")
    with contextlib.suppress(ValueError):
        return float(text)
    if re.fullmatch(r"[+-]?\d{1,3}([,' _]\d{3})+(\.\d+)?", text):
        return float(re.sub(r"[,' _]", "", text))
    return float(text.replace(",", ".")) if re.fullmatch(r"[+-]?\d+,\d+", text) else None  # a decimal comma


def words(name: str) -> set[str]:
    """The words of a column's name: num_train_images, nPhotos, "Total Images"."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)}


def looks_like_labels(values: Sequence[float]) -> bool:
    """Whether whole numbers are labels, one per example, and not counts: from 0 up without a gap, with repeats.

    Raises:
        ProblemError: they may be either: from 1 up without a gap, each many times.
    """
    different = np.unique(values)
    if len(different) < 2 or len(values) < 3 * len(different):
        return False
    if _counts_up(different, 1) and len(values) > 5 * len(different):
        raise ProblemError(
            f"counts: {len(values)} numbers from 1 to {different[-1]:g}, each many times, are labels or counts; got no "
            "name that says which (labels: call the column label; counts: call it count)"
        )
    return _counts_up(different, 0)


def of_labels(labels: Sequence[Any], source: str) -> tuple[list[float], list[str]]:
    """How often each label stands in a list, labels in sorted order (whole numbers by their size)."""
    texts = [str(label).strip() for label in labels]
    given = [text for text in texts if text.lower() not in _MISSING]
    if len(given) < len(texts):
        warnings.warn(f"{source}: {len(texts) - len(given)} rows without a label are left out", stacklevel=2)
    whole = all(re.fullmatch(r"[+-]?\d+(\.0+)?", text) for text in given)
    different, counts = np.unique([int(float(text)) for text in given] if whole else given, return_counts=True)
    return counts.astype(np.float64).tolist(), list(map(str, different.tolist()))


def of_one_hot(rows: Array, source: str) -> list[float]:
    """The sums of rows of 0 and 1, one an example; it is said where these have several labels, or none."""
    overlap = "have several labels: these are sums over classes that overlap, not sizes of classes apart"
    labels = rows.sum(axis=1)
    for many, words in ((np.sum(labels > 1), overlap), (np.sum(labels == 0), "have no label and are not counted")):
        if many:
            warnings.warn(f"{source}: {many} of {len(rows)} examples {words}", stacklevel=2)
    return rows.sum(axis=0).tolist()


class Column:
    """A column of texts, and what these say.

    Attributes:
        name: as the head of the table has it; the place, from "1", where there is none.
        title: what messages call it.
        numbers: what the cells say, NaN where that is no number.
        numeric: whether every cell is a number, but those of totals and of rows without any.
        words: of its name.
        lower: its name in small letters.
        repeats: whether some text is there twice.
        steps: whether it only numbers the rows, from 0 or 1.
        numbering: whether it numbers the rows, or says that it does.
    """

    def __init__(self, name: str, title: str, cells: list[str]):
        self.name, self.title, self.cells = name, title, cells
        self.numbers = np.array([number(cell) for cell in cells], dtype=np.float64)
        said = self.numbers[[cell.lower() not in _MISSING for cell in cells]]
        self.numeric = said.size > 0 and not np.isnan(said).any()
        self.words, self.lower = words(name), name.lower()
        self.repeats = len(set(cells)) < len(cells)
        self.steps = len(cells) > 2 and any(_counts_up(self.numbers, first) for first in (0, 1))
        self.numbering = self.steps or name == "" or bool(self.words & _NUMBERED)


class Table:
    """Rows of anything as texts, what is None as an empty cell, under `names` where columns have any.

    `lines` are those of the file.
    """

    def __init__(
        self,
        source: str,
        names: Iterable[object] | None,
        rows: Iterable[Iterable[object]],
        lines: Sequence[int] | None = None,
    ):
        texts = [["" if cell is None else str(cell).strip() for cell in row] for row in rows]
        if not texts:
            raise ProblemError(f"counts: {source} has no rows of counts; got none")
        columns = [list(cells) for cells in zip(*texts, strict=True)]
        self.source, self.headed, self.size = source, names is not None, len(texts)
        self.lines = lines or range(1, self.size + 1)
        if names is None:
            self.columns = [Column(str(i), f"column {i}", cells) for i, cells in enumerate(columns, 1)]
        else:
            self.columns = [Column(str(name), f'"{name}"', cells) for name, cells in zip(names, columns, strict=True)]
        self.numeric = [column for column in self.columns if column.numeric]


def counted(table: Table, column: str | None = None) -> Found:
    """Counts and names of classes in a table, whichever shape it has."""
    if column is not None:
        return _of_column(table, _called(table, column))
    if found := _across(table) or _one_hot(table):
        return found
    if chosen := _counts_column(table):
        return _of_column(table, chosen)
    if chosen := _labels_column(table):
        return of_labels(chosen.cells, table.source)
    raise _unclear(table, table.numeric)


def _called(table: Table, wanted: str) -> Column:
    exact = [column for column in table.columns if column.name == wanted]
    alike = exact or [column for column in table.columns if column.lower == wanted.lower()]
    if not exact and len(alike) != 1:
        names = ", ".join(column.name for column in table.columns)
        raise ProblemError(f"column: {table.source} has the columns {names}; got {wanted!r:.60}")
    return alike[0]


def _counts_column(table: Table) -> Column | None:
    """The column of counts, by its name or as the only one that can be; None where there is none."""
    numeric = table.numeric
    free = [column for column in numeric if not column.numbering]
    if not table.headed:
        free = free or numeric
        return free[0] if len(free) == 1 and not _labels_beside(table, free[0]) else None
    if not numeric:  # one with a fault in it, which is said
        return next((column for column in table.columns if column.lower == "count"), None)
    exact = [column for column in numeric if column.lower in _COUNTS]
    said = [column for column in numeric if column in exact or (column.words & _COUNTED and not column.steps)]
    said = [column for column in said if not column.words & _IDS]
    labels = [column for column in table.columns if column.lower in _LABELS and column.repeats]
    if said and labels and said[0].lower not in ("count", "counts"):
        one, other = quote(labels[0].name), quote(said[0].name)
        raise ProblemError(
            f"counts: {table.source} has counts in {said[0].title} and labels in {labels[0].title} that repeat; got no "
            f"word of which to take (say it: --column {one}, or --column {other})"
        )
    if len(exact) == 1 and not any(column.words & _TRAIN for column in said):
        return exact[0]
    if len(said) > 1:
        raise _unclear(table, said)
    if said or _labels_column(table) is not None:
        return said[0] if said else None
    # Without a word, the only numbers beside names that tell the rows apart.
    others = [column for column in table.columns if column not in free]
    named = not others or not all(column.repeats for column in others)
    return free[0] if len(free) == 1 and named else None


def _labels_beside(table: Table, column: Column) -> bool:
    """Whether a column without a name is labels: numbers of classes, each many times, or beside paths of files."""
    paths = any(_are_paths(other) for other in table.columns if other is not column)
    return paths or looks_like_labels(column.numbers[~np.isnan(column.numbers)].tolist())


def _labels_column(table: Table) -> Column | None:
    """The column of labels in a table of one row per example."""
    if not table.headed:
        others = [column for column in table.columns if not _are_paths(column)]
        if len(others) != 1:
            return None
        if len(others) < len(table.columns):
            return others[0]
        texts = np.isnan(others[0].numbers).any()
        labels = others[0].repeats and len(set(others[0].cells)) > 1 if texts else _labels_beside(table, others[0])
        return others[0] if labels else None
    repeated = {column.lower: column for column in reversed(table.columns) if column.repeats}
    exact = [repeated[name] for name in _LABELS if name in repeated]
    said = [column for column in repeated.values() if column.words & _LABELLED and not column.words & _IDS]
    return exact[0] if exact else said[0] if len(said) == 1 else None


def _are_paths(column: Column) -> bool:
    return all(_PATH.search(cell) for cell in column.cells)


def _of_column(table: Table, column: Column) -> Found:
    """The numbers of a column, with the names of the rows; or how often each text stands in it."""
    wrong = np.flatnonzero(np.isnan(column.numbers))
    if len(wrong) == table.size and column.repeats:
        return of_labels(column.cells, table.source)
    if wrong.size:
        line, cell = table.lines[wrong[0]], column.cells[wrong[0]]
        raise ProblemError(f"counts: {table.source}, line {line}: {column.title} must be a number; got {cell!r:.40}")
    return _without_total(column.numbers.tolist(), _names(table, column), table.source)


def _without_total(values: list[float], names: list[str] | None, source: str) -> Found:
    """The counts without the one that is their total, which is said; a ProblemError for a total that is none."""
    for i, name in enumerate(names or ()):
        called = name.lower() in _TOTALS
        if len(values) < 3 or not (called or (not name and i == len(values) - 1)):
            continue
        value, rest = values[i], sum(values) - values[i]
        if abs(rest - value) <= 1e-6 * abs(rest):
            warnings.warn(
                f"{source}: the row {name or 'without a name'} ({value:g}) is the sum: left out", stacklevel=2
            )
            return values[:i] + values[i + 1 :], [*names[:i], *names[i + 1 :]] if names else None
        if called and name.lower().startswith(("total", "sum", "grand")):
            raise ProblemError(
                f"counts: {source} has a row {name!r:.30} of {value:g}, and the others sum to {rest:g} (take it out, "
                "or give the class another name)"
            )
    return values, names


def _counts_up(numbers: Array, first: int) -> bool:
    return np.array_equal(numbers, np.arange(first, first + len(numbers)))


def _names(table: Table, column: Column) -> list[str] | None:
    """What the rows are called: the first column, of texts rather than numbers, that tells them apart."""
    others = [other for other in table.columns if other is not column]
    texts = [other for other in others if not other.numeric]
    numbered = [other for other in others if other.numeric and other.words & _NUMBERED]
    for other in (*texts, *numbered):
        if not other.repeats:
            return None if _counts_up(other.numbers, 0) else other.cells
    if texts:
        twice = next(cell for cell in texts[0].cells if texts[0].cells.count(cell) > 1)
        warnings.warn(f"{table.source}: several rows are called {twice!r:.30}; names are left out", stacklevel=2)
    return None


def _across(table: Table) -> Found | None:
    """Counts in one row, under the names of the classes or without any."""
    if table.size != 1 or len(table.columns) < 2 or len(table.numeric) < max(2, len(table.columns) - 1):
        return None
    values = [float(np.nan_to_num(column.numbers[0])) for column in table.numeric]
    names = [column.name for column in table.numeric] if table.headed else None
    return _without_total(values, names, table.source)


def _one_hot(table: Table) -> Found | None:
    """The sums of columns of 0 and 1, one a class and one row an example."""
    hot = table.numeric
    if not table.headed or table.size < 3 or len(hot) < 2:
        return None
    rows = np.column_stack([column.numbers for column in hot])
    if any(column.words & _COUNTED for column in hot) or not np.isin(rows, (0, 1)).all() or not rows.any():
        return None
    return of_one_hot(rows, table.source), [column.name for column in hot]


def _unclear(table: Table, columns: Sequence[Column]) -> ProblemError:
    names = ", ".join(column.name for column in columns)
    every = ", ".join(column.name for column in table.columns)
    cells = [cell for column in table.columns for cell in column.cells]
    if any(cell.endswith("%") and number(cell[:-1]) is not None for cell in cells):
        return ProblemError(f"counts: {table.source} has percentages; its columns are {every} (give counts)")
    if not columns:
        return ProblemError(
            f'counts: {table.source} needs one column "count"; its columns are {every} (name the column of counts or '
            "of labels: --column NAME)"
        )
    likely = next((column for column in columns if column.words & _TRAIN), columns[0])
    return ProblemError(
        f"counts: {table.source} has several columns of numbers, {names}; its columns are {every} (say which: --column "
        f"{quote(likely.name)})"
    )
