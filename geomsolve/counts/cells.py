"""What cells of a table say: numbers as people write them, labels, names of columns."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..errors import ProblemError

MISSING = {"", "nan", "none", "null", "na", "n/a"}


def number(text: str) -> float | None:
    """The number a cell says, thousands separators and all, or None."""
    text = text.strip().strip("\"'").replace("\u00a0", " ").replace("\u202f", " ")
    if re.fullmatch(r"[+-]?\d{1,3}([,' _]\d{3})+(\.\d+)?", text):
        text = re.sub(r"[,' _]", "", text)
    elif re.fullmatch(r"[+-]?\d+,\d+", text):  # a decimal comma
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return None


def words(name: str) -> set[str]:
    """The words of a column's name: num_train_images, nPhotos, "Total Images"."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)}


def looks_like_labels(values: Sequence[float]) -> bool:
    """Whether whole numbers are labels, one per example, and not counts: from 0 up without a gap, with repeats.

    Raises:
        ProblemError: they may be either: from 1 up without a gap, each many times.
    """
    whole = Counter(values)
    top = max(whole, default=0.0)
    if len(whole) < 2 or len(values) < 3 * len(whole) or any(value != int(value) for value in whole):
        return False
    if set(whole) == set(map(float, range(int(top) + 1))):
        return True
    if set(whole) == set(map(float, range(1, int(top) + 1))) and len(values) > 5 * len(whole):
        raise ProblemError(
            f"counts: {len(values)} numbers from 1 to {top:g}, each many times, are labels or counts; got no name that "
            "says which (labels: call the column label; counts: call it count)"
        )
    return False


def of_labels(labels: Sequence[Any], source: str) -> tuple[list[float], list[str]]:
    """How often each label stands in a list, labels in sorted order (whole numbers by their size)."""
    texts = [str(label).strip() for label in labels]
    given = [text for text in texts if text.lower() not in MISSING]
    if len(given) < len(texts):
        warnings.warn(f"{source}: {len(texts) - len(given)} rows without a label are left out", stacklevel=2)
    found = Counter(given)
    whole = all(re.fullmatch(r"[+-]?\d+(\.0+)?", text) for text in found)
    order = sorted(found, key=lambda text: float(text)) if whole else sorted(found)
    return [float(found[text]) for text in order], [str(int(float(text))) for text in order] if whole else order


def check_overlap(rows: Sequence[float], source: str) -> None:
    """Say where examples have several labels, or none."""
    several, none = sum(row > 1 for row in rows), sum(row == 0 for row in rows)
    if several:
        warnings.warn(
            f"{source}: {several} of {len(rows)} examples have several labels: these are sums over classes that "
            "overlap, not sizes of classes apart",
            stacklevel=2,
        )
    if none:
        warnings.warn(f"{source}: {none} of {len(rows)} examples have no label and are not counted", stacklevel=2)
