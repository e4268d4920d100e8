"""What reports are made of: strict JSON, aligned rows and tables, numbers in words."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def dumps(report: Any) -> str:
    """Strict JSON text of a report: numbers that are not finite become null."""
    return json.dumps(plain(report), allow_nan=False)


def plain(value: Any) -> Any:
    """The value in the types of JSON: arrays as lists, paths as text, numbers that are not finite as None."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def attributes(source: Any, *names: str) -> dict[str, Any]:
    """The attributes of those names as a dictionary."""
    return {name: getattr(source, name) for name in names}


def whole(number: float) -> float | int:
    """A whole number as an int, so that JSON has no 10.0 classes."""
    return int(number) if float(number).is_integer() else float(number)


def entry(name: str, text: str) -> str:
    """One aligned line."""
    return f"  {name:<19} {text}"


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of cells as aligned lines, the first column to the left."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def cells(row: tuple[str, ...]) -> list[str]:
        return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]

    return ["  ".join(cells(row)).rstrip() for row in rows]


def number(value: float | None, form: str) -> str:
    """The number in that format, a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def span(values: Any, form: str) -> str:
    """The least and the largest of some numbers, or the one they all are."""
    low, high = float(np.min(values)), float(np.max(values))
    return format(low, form) if high - low < 1e-9 else f"{low:{form}} to {high:{form}}"


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


def sentence(text: str) -> str:
    """Text of any layout in one line."""
    return " ".join(text.split())
