"""What reports are made of: strict JSON, aligned rows and tables, numbers in words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...counts.counts import Counts


def dumps(report: Any) -> str:
    """Strict JSON text of a report: numbers that are not finite become null."""
    return json.dumps(_plain(report), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def whole(number: float) -> float | int:
    """A whole number as an int, so that JSON has no 10.0 classes."""
    return int(number) if float(number).is_integer() else float(number)


def row(name: str, text: str) -> str:
    """One aligned line."""
    return f"  {name:<19} {text}"


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of cells as aligned lines, the first column to the left."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def cells(row: tuple[str, ...]) -> list[str]:
        return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]

    return ["  ".join(cells(row)) for row in rows]


def number(value: float | None, form: str) -> str:
    """The number in that format, a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def counts_line(counts: Counts) -> str:
    """Class counts in one line."""
    largest, smallest = counts.values[0], counts.values[-1]
    what = "shares" if counts.are_proportions else "counts"
    line = f"{counts.name}: {counts.classes} classes"
    if largest == smallest:
        return f"{line}, all of {what[:-1]} {largest:g}"
    distinct = f"ratio {counts.imbalance_ratio:.4g}, {len(counts.values)} distinct"
    return f"{line}, {what} {largest:g} to {smallest:g} ({distinct})"


def ranges(indices: Iterable[int], most: int = 6) -> str:
    """Class indices as runs, as in "classes 1-9, 12"."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    words = [f"{first}" if first == last else f"{first}-{last}" for first, last in runs]
    more = f", ... {len(words) - most} more runs" if len(words) > most else ""
    return "classes " + ", ".join(words[:most]) + more
