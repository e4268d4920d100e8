"""Tables of class counts: which column has them, which row is a total, what the classes are called."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ProblemError
from .cells import MISSING, check_overlap, looks_like_labels, number, of_labels, words

# What columns are called. Exact names come first, then single words of a name.
_COUNTS = ("count", "counts", "n", "num", "number", "freq", "frequency", "cnt", "support", "size", "quantity", "total")
_COUNTED = {*_COUNTS, "images", "photos", "samples", "instances", "examples", "occurrences", "items", "records"}
_COUNTED |= {"files", "train", "training", "val", "valid", "validation", "test"}
_LABELS = (
    "label",
    "labels",
    "class",
    "target",
    "category",
    "y",
    "dx",
    "diagnosis",
    "species",
    "class_name",
    "classname",
)
_LABELLED = {"label", "class", "category", "target", "diagnosis", "species", "genus", "topic", "genre"}
_NUMBERED = {"id", "ids", "idx", "index", "rank", "class", "label", "category", "target", "code", "no", "unnamed", "y"}
_TOTALS = {"total", "totals", "sum", "all", "overall", "grand total", "grandtotal", "σ", "total:", "sum:", "#total"}


@dataclass(frozen=True)
class Table:
    """Rows of texts.

    Attributes:
        source: what to call it in messages.
        header: the names of the columns; None where there are none.
        rows: the cells.
        lines: the line of every row, for messages.
    """

    source: str
    header: tuple[str, ...] | None
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, place: int) -> list[str]:
        """The cells of a column."""
        return [row[place] for row in self.rows]

    def title(self, place: int) -> str:
        """What a column is called."""
        return f"column {place + 1}" if self.header is None else f'"{self.header[place]}"'


def counted(table: Table, column: str | None) -> tuple[list[float], list[str] | None]:
    """Counts and names of classes in a table, whichever shape it has."""
    if not table.rows:
        raise ProblemError(f"counts: {table.source} has no rows of counts; got none")
    if column is not None:
        return _of_column(table, _place(table, column))
    across = _across(table)
    if across is not None:
        return across
    hot = _one_hot(table)
    if hot is not None:
        return hot
    place = _counts_column(table)
    if place is not None:
        return _of_column(table, place)
    place = _labels_column(table)
    if place is not None:
        return _of_labels(table, place)
    raise _unclear(table, _numeric(table))


def _place(table: Table, column: str) -> int:
    header = table.header or tuple(str(place + 1) for place in range(len(table.rows[0])))
    if column in header:
        return header.index(column)
    alike = [place for place, name in enumerate(header) if name.lower() == column.lower()]
    if len(alike) == 1:
        return alike[0]
    raise ProblemError(f"column: {table.source} has the columns {', '.join(header)}; got {column!r:.60}")


def _numeric(table: Table) -> list[int]:
    """The columns that have numbers in all rows but totals and rows without any."""
    places = []
    for place in range(len(table.rows[0])):
        cells = [cell for cell in table.column(place) if cell.strip().lower() not in MISSING]
        if cells and all(number(cell) is not None for cell in cells):
            places.append(place)
    return places


def _steps(table: Table, place: int) -> bool:
    """Whether a column only numbers the rows, from 0 or 1."""
    values = [number(cell) for cell in table.column(place)]
    return len(values) > 2 and any(values == [start + i for i in range(len(values))] for start in (0.0, 1.0))


def _is_numbering(table: Table, place: int) -> bool:
    """Whether a column numbers the rows, or says that it does."""
    title = None if table.header is None else table.header[place]
    return _steps(table, place) or (title is not None and (not title.strip() or bool(words(title) & _NUMBERED)))


def _counts_column(table: Table) -> int | None:
    numeric = _numeric(table)
    if table.header is None:
        free = [place for place in numeric if not _is_numbering(table, place)] or numeric
        return free[0] if len(free) == 1 and not _are_labels(table, free[0]) else None
    names = [name.strip().lower() for name in table.header]
    exact = [place for place in numeric if names[place] in _COUNTS]
    if not numeric and "count" in names:  # with a fault in it, which is said
        return names.index("count")
    said = [place for place in numeric if words(table.header[place]) & _COUNTED and not _is_id(names[place])]
    said = [place for place in said if place in exact or not _steps(table, place)]
    labels = [place for place in range(len(names)) if names[place] in _LABELS and _repeats(table, place)]
    if said and labels and names[said[0]] not in ("count", "counts"):
        raise ProblemError(
            f"counts: {table.source} has counts in {table.title(said[0])} and labels in {table.title(labels[0])} that "
            f"repeat; got no word of which to take (say it: --column {_quoted(table.header[labels[0]])}, or --column "
            f"{_quoted(table.header[said[0]])})"
        )
    if len(exact) == 1 and not [place for place in said if words(table.header[place]) & {"train", "training"}]:
        return exact[0]
    if len(said) > 1:
        raise _unclear(table, said)
    if said:
        return said[0]
    if _labels_column(table) is not None:
        return None
    free = [place for place in numeric if not _is_numbering(table, place)]
    if len(free) == 1 and _distinct_names(table, free[0]):
        return free[0]
    return None


def _repeats(table: Table, place: int) -> bool:
    return len(set(table.column(place))) < len(table.rows)


def _is_id(name: str) -> bool:
    return bool(words(name) & {"id", "ids", "idx", "index"})


def _distinct_names(table: Table, place: int) -> bool:
    """Whether some other column tells the rows apart, or there is none."""
    others = [other for other in range(len(table.rows[0])) if other != place]
    return not others or any(len(set(table.column(other))) == len(table.rows) for other in others)


def _are_labels(table: Table, place: int) -> bool:
    """Whether a column without a name is labels: the numbers of classes, each many times, or paths beside it."""
    values = [number(cell) for cell in table.column(place)]
    paths = [other for other in range(len(table.rows[0])) if other != place and _are_paths(table.column(other))]
    return bool(paths) or looks_like_labels([value for value in values if value is not None])


def _labels_column(table: Table) -> int | None:
    """The column of labels in a table of one row per example."""
    repeated = [place for place in range(len(table.rows[0])) if _repeats(table, place)]
    if table.header is None:
        paths = [place for place in range(len(table.rows[0])) if _are_paths(table.column(place))]
        others = [place for place in range(len(table.rows[0])) if place not in paths]
        if paths and len(others) == 1:
            return others[0]
        return others[0] if len(others) == 1 and _are_labels_alone(table, others[0]) else None
    names = [name.strip().lower() for name in table.header]
    exact = [place for label in _LABELS for place in repeated if names[place] == label]
    if exact:
        return exact[0]
    said = [place for place in repeated if words(table.header[place]) & _LABELLED and not _is_id(names[place])]
    return said[0] if len(said) == 1 else None


def _are_labels_alone(table: Table, place: int) -> bool:
    cells = table.column(place)
    if any(number(cell) is None for cell in cells):
        return len(set(cells)) < len(cells) and len(set(cells)) > 1
    return _are_labels(table, place)


def _are_paths(cells: Sequence[str]) -> bool:
    return all(re.search(r"[/\\]|\.(jpe?g|png|bmp|tiff?|webp|gif|npy|wav|mp4)$", cell.strip(), re.I) for cell in cells)


def _of_labels(table: Table, place: int) -> tuple[list[float], list[str]]:
    return of_labels(table.column(place), table.source)


def _of_column(table: Table, place: int) -> tuple[list[float], list[str] | None]:
    cells = table.column(place)
    if not any(number(cell) is not None for cell in cells) and len(set(cells)) < len(cells):
        return _of_labels(table, place)
    names = _names(table, place)
    kept: list[tuple[str | None, float]] = []
    for i, cell in enumerate(cells):
        value = number(cell)
        if value is None and cell.strip().endswith("%"):
            raise ProblemError(f"counts: {table.source} has percentages; got {cell.strip()!r:.40} (give counts)")
        if value is None:
            raise ProblemError(
                f"counts: {table.source}, line {table.lines[i]}: {table.title(place)} must be a number; got "
                f"{cell.strip()!r:.40}"
            )
        kept.append((None if names is None else names[i], value))
    kept = without_total(kept, table.source)
    return [value for _, value in kept], None if names is None else [str(name) for name, _ in kept]


def without_total(rows: list[tuple[str | None, float]], source: str) -> list[tuple[str | None, float]]:
    """The rows without the one that is their total, which is said.

    Raises:
        ProblemError: a row is called a total and is not one.
    """
    for i, (name, value) in enumerate(rows):
        called = name is not None and name.strip().lower() in _TOTALS
        blank = name is not None and not name.strip() and i == len(rows) - 1
        if not (called or blank) or len(rows) < 3:
            continue
        rest = sum(other for j, (_, other) in enumerate(rows) if j != i)
        if abs(rest - value) <= 1e-6 * abs(rest):
            warnings.warn(
                f"{source}: the row {name or 'without a name'} ({value:g}) is the sum: left out", stacklevel=2
            )
            return rows[:i] + rows[i + 1 :]
        if called and name is not None and name.strip().lower().startswith(("total", "sum", "grand")):
            raise ProblemError(
                f"counts: {source} has a row {name!r:.30} of {value:g}, and the others sum to {rest:g} (take it out, "
                "or give the class another name)"
            )
    return rows


def _names(table: Table, place: int) -> list[str] | None:
    """What the rows are called: the first column of texts that tells them apart."""
    numeric = set(_numeric(table))
    others = [other for other in range(len(table.rows[0])) if other != place]
    for other in [*(o for o in others if o not in numeric), *others]:
        cells = [cell.strip() for cell in table.column(other)]
        if other in numeric and (table.header is None or not words(table.header[other]) & _NUMBERED):
            continue
        if len(set(cells)) == len(cells):
            return None if _plain_numbers(cells) else cells
    for other in others:
        cells = [cell.strip() for cell in table.column(other)]
        if other not in numeric and len(set(cells)) < len(cells):
            twice = Counter(cells).most_common(1)[0][0]
            warnings.warn(f"{table.source}: several rows are called {twice!r:.30}; names are left out", stacklevel=2)
            return None
    return None


def _plain_numbers(cells: Sequence[str]) -> bool:
    return [number(cell) for cell in cells] == [float(i) for i in range(len(cells))]


def _across(table: Table) -> tuple[list[float], list[str] | None] | None:
    """Counts in one row, under the names of the classes or without any."""
    if len(table.rows) != 1 or len(table.rows[0]) < 2:
        return None
    cells = table.rows[0]
    places = [place for place, cell in enumerate(cells) if number(cell) is not None]
    if len(places) < max(2, len(cells) - 1):
        return None
    values = [float(number(cells[place]) or 0.0) for place in places]
    if table.header is None:
        return values, None
    kept = without_total(
        [(table.header[place], value) for place, value in zip(places, values, strict=True)], table.source
    )
    return [value for _, value in kept], [str(name) for name, _ in kept]


def _one_hot(table: Table) -> tuple[list[float], list[str]] | None:
    """The sums of columns of 0 and 1, one a class and one row an example."""
    if table.header is None or len(table.rows) < 3:
        return None
    hot = [place for place in _numeric(table) if {number(cell) for cell in table.column(place)} <= {0.0, 1.0}]
    counts = [words(table.header[place]) & _COUNTED for place in _numeric(table)]
    if len(hot) < 2 or len(hot) < len(_numeric(table)) or any(counts):
        return None
    rows = [sum(float(number(row[place]) or 0.0) for place in hot) for row in table.rows]
    if max(rows) <= 0:
        return None
    check_overlap(rows, table.source)
    sums = [sum(float(number(cell) or 0.0) for cell in table.column(place)) for place in hot]
    return sums, [table.header[place] for place in hot]


def _unclear(table: Table, places: Sequence[int]) -> ProblemError:
    names = [table.title(place).strip('"') for place in places]
    every = ", ".join(table.header) if table.header is not None else f"{len(table.rows[0])} without names"
    if any(cell.strip().endswith("%") and number(cell.strip()[:-1]) is not None for row in table.rows for cell in row):
        return ProblemError(f"counts: {table.source} has percentages; its columns are {every} (give counts)")
    if not names:
        return ProblemError(
            f'counts: {table.source} needs one column "count"; its columns are {every} (name the column of counts or '
            "of labels: --column NAME)"
        )
    likely = next((name for name in names if words(name) & {"train", "training"}), names[0])
    return ProblemError(
        f"counts: {table.source} has several columns of numbers, {', '.join(names)}; its columns are {every} (say "
        f"which: --column {_quoted(likely)})"
    )


def _quoted(name: str) -> str:
    return f"'{name}'" if re.search(r"\s", name) else name
