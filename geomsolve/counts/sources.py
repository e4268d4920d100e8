"""Counts by name: built-in profiles, rules, laws and CSV files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..errors import ProblemError
from .counts import Counts, as_counts, long_tail_counts
from .laws import exponential_counts, lognormal_counts, zipf_counts

_LAWS: dict[str, tuple[str, Callable[..., Counts]]] = {
    "zipf": ("classes:exponent:largest", zipf_counts),
    "lognormal": ("classes:sigma:median", lognormal_counts),
    "exponential": ("classes:ratio:largest", exponential_counts),
}
_RULES = {"cifar10_lt": (10, 5000), "cifar100_lt": (100, 500)}


@cache
def _profiles() -> dict[str, dict]:
    return json.loads((files("geomsolve.counts") / "data" / "profiles.json").read_text())


def profile_names() -> tuple[str, ...]:
    """The names `load_counts` knows; the two CIFAR rules take an imbalance ratio, as in "cifar10_lt:100"."""
    return (*sorted(_profiles()), *(f"{rule}:IR" for rule in _RULES))


def load_counts(source: str | Path, column: str | None = None) -> Counts:
    """Counts by name: a built-in profile, a CIFAR-LT rule, a CSV file, or numbers separated by commas.

    - "imagenet_lt", "places_lt", "inaturalist2018", "lvis_v1_instance_count", "isic2019", "creditcard_fraud":
      profiles of public data sets. They are histograms: **their classes are sorted by count, largest first**, not in
      the data set's own order. Where the order matters (exported targets), give your own counts.
    - "cifar10_lt:100", "cifar100_lt:50": the CIFAR-LT rule with that imbalance ratio.
    - "zipf:1000000:1.0:10000", "lognormal:1000000:1.5:100", "exponential:1000000:1000:10000": laws of many classes, see
      `zipf_counts` (classes, exponent, largest count), `lognormal_counts` (classes, sigma, median) and
      `exponential_counts` (classes, imbalance ratio, largest count); the number of classes may be inf.
    - a path ending in .csv: a file with a column `count`, one row per class, in class order.
    - "1000,100,10": numbers, in class order.

    Raises:
        ProblemError: an unknown name, a missing file or column, or numbers that `as_counts` refuses.
    """
    if not isinstance(source, (str, Path)):
        raise ProblemError(
            f"counts: load_counts takes a name or a path; got {type(source).__name__} (numbers, one per class, go "
            "straight into the loss; labels, one per example, into counts_from_labels)"
        )
    text = str(source).strip()
    if text in _profiles():
        rows = np.array(_profiles()[text]["histogram"], dtype=np.float64)
        multiplicity = rows[:, 1]
        return Counts(rows[:, 0], multiplicity, np.repeat(np.arange(len(rows)), multiplicity.astype(int)), text)
    rule, _, ratio = text.partition(":")
    if rule in _RULES:
        if not ratio:
            raise ProblemError(f'counts: "{rule}" is a rule and needs an imbalance ratio; write "{rule}:100"')
        try:
            imbalance_ratio = float(ratio)
        except ValueError:
            raise ProblemError(f'counts: the ratio in "{text}" must be a number; write "{rule}:100"') from None
        classes, largest = _RULES[rule]
        tail = long_tail_counts(classes, largest, imbalance_ratio)
        return Counts(tail.values, tail.multiplicity, tail.groups, text)
    if rule in _LAWS:
        return _law(rule, text)
    if text.lower().endswith(".csv"):
        return _read_csv(Path(text))
    parts = [part.strip() for part in text.split(",")] if text else []
    if all(_is_number(part) for part in parts):
        return as_counts([float(part) for part in parts])
    if len(parts) > 1:
        wrong = next(part for part in parts if not _is_number(part))
        raise ProblemError(f'counts: every entry must be a number; got "{wrong:.40}" in "{text:.80}"')
    raise ProblemError(
        f'counts: unknown profile "{text:.80}"; known are {", ".join(profile_names())}, laws such as '
        'zipf:1000000:1.0:10000, or give a .csv file with a column "count", or numbers such as 1000,100,10'
    )


def _law(rule: str, text: str) -> Counts:
    parts = text.split(":")[1:]
    if not 2 <= len(parts) <= 3 or not all(_is_number(part) for part in parts):
        example = "100:1.5" if rule == "lognormal" else "1000000:1.2:10000"
        raise ProblemError(f'counts: write "{rule}:{_LAWS[rule][0]}", such as "{rule}:{example}"; got "{text:.60}"')
    return _LAWS[rule][1](*(float(part) for part in parts))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_csv(path: Path) -> Counts:
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.reader(handle)
            columns = [column.strip() for column in next(reader, [])]
            if columns.count("count") != 1:
                raise ProblemError(
                    f'counts: {path} needs one column "count"; its columns are {", ".join(columns) or "none"}'
                )
            rows = [(reader.line_num, row) for row in reader if any(entry.strip() for entry in row)]
    except OSError as error:
        raise ProblemError(f"counts: cannot read {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProblemError(f"counts: {path} is not a CSV text file: {error}") from None
    numbers = []
    for line, row in rows:
        if len(row) != len(columns):
            raise ProblemError(
                f"counts: {path}, line {line}: must have {len(columns)} columns; got {len(row)} "
                "(a number such as 1,000 must be written 1000)"
            )
        entry = row[columns.index("count")]
        if not _is_number(entry):
            raise ProblemError(f'counts: {path}, line {line}: "count" must be a number; got {entry!r}')
        numbers.append(float(entry))
    counts = as_counts(numbers)
    return Counts(counts.values, counts.multiplicity, counts.groups, path.name, counts.are_proportions)
