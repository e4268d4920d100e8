"""Counts by name: built-in profiles, rules, laws and files."""

import difflib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..errors import ProblemError
from .counts import Counts, as_counts, long_tail_counts
from .files import SUFFIXES, read_file, read_pasted
from .laws import MOST_LISTED, exponential_counts, lognormal_counts, zipf_counts

# What a rule or law takes after its name, what makes the counts, and an example.
_RULES: dict[str, tuple[str, Callable[..., Counts], str]] = {
    "cifar10_lt": ("IR", partial(long_tail_counts, 10, 5000), "100"),
    "cifar100_lt": ("IR", partial(long_tail_counts, 100, 500), "100"),
    "zipf": ("classes:exponent:largest", zipf_counts, "1000000:1.2:10000"),
    "lognormal": ("classes:sigma:median", lognormal_counts, "100:1.5"),
    "exponential": ("classes:ratio:largest", exponential_counts, "1000000:1.2:10000"),
}


@cache
def _profiles() -> dict[str, dict]:
    return json.loads((files("geomsolve.counts") / "data" / "profiles.json").read_text())


def profile_names() -> tuple[str, ...]:
    """The names `load_counts` knows; the two CIFAR rules take an imbalance ratio, as in "cifar10_lt:100"."""
    return (*sorted(_profiles()), *(f"{rule}:IR" for rule, (takes, *_) in _RULES.items() if takes == "IR"))


def load_counts(source: str | Path, column: str | None = None, *, drop_empty: bool = False) -> Counts:
    """Counts by name: a built-in profile, a CIFAR-LT rule, a law, a file, or numbers separated by commas.

    - "imagenet_lt", "places_lt", "inaturalist2018", "lvis_v1_instance_count", "isic2019", "creditcard_fraud":
      profiles of public data sets. They are histograms: **their classes are sorted by count, largest first**, not in
      the data set's own order. Where the order matters (exported targets), give your own counts.
    - "cifar10_lt:100", "cifar100_lt:50": the CIFAR-LT rule with that imbalance ratio.
    - "zipf:1000000:1.0:10000", "lognormal:1000000:1.5:100", "exponential:1000000:1000:10000": laws of many classes, see
      `zipf_counts` (classes, exponent, largest count), `lognormal_counts` (classes, sigma, median) and
      `exponential_counts` (classes, imbalance ratio, largest count); the number of classes may be inf.
    - "1000,100,10": numbers, in class order; "100x500": 100 classes of 500, also among others: "1x5000,9x50".
    - a path: a table with any header or none (CSV, TSV, semicolons, Markdown, what pandas prints), one row across,
      JSON ({class: count}, a list, records, COCO annotations), YAML, parquet, a .npy of counts, labels or rows of 0
      and 1, a table of labels with one row per example, or a folder of one folder a class. Classes come in the order
      of the file (of labels: sorted), with their names.

    A row that is the total of the others is left out. This, and whatever else was decided, is said in a warning.

    Args:
        source: as above.
        column: of a table, or the key of records, that has the counts or the labels; None: found by its name, and
            asked for where several may be it.
        drop_empty: leave classes without examples out, which is said, instead of refusing them.

    Raises:
        ProblemError: an unknown name, a missing file or column, a file that does not say what its counts are, a
            pickle, or numbers that `as_counts` refuses.
        BackendError: YAML or parquet without the package that reads it.
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
    rule, *settings = text.split(":")
    if rule in _RULES:
        takes, made, example = _RULES[rule]
        most = takes.count(":") + 1  # the last of three may be left out
        if len(settings) not in (most, max(most - 1, 1)) or not all(map(_is_number, settings)):
            raise ProblemError(f'counts: write "{rule}:{takes}", such as "{rule}:{example}"; got "{text:.60}"')
        counts = made(*map(float, settings))
        return replace(counts, name=text) if takes == "IR" else counts
    if _is_file(text):
        return read_file(Path(text), column, drop_empty=drop_empty)
    found = _numbers(text)
    if found is not None:
        return found
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1:
        wrong = next(part for part in parts if not _is_number(part))
        raise ProblemError(f'counts: every entry must be a number; got "{wrong:.40}" in "{text:.80}"')
    near = difflib.get_close_matches(rule.lower().replace("-", "_"), [*_profiles(), *_RULES], 1)
    raise ProblemError(
        f'counts: unknown profile "{text:.80}"; known are {", ".join(profile_names())}, laws such as '
        "zipf:1000000:1.0:10000, or give a file, 100x500 or numbers such as 1000,100,10"
        + (f" (did you mean {near[0]}?)" if near else "")
    )


def pasted_counts(text: str) -> Counts:
    """Counts in a text that somebody pasted: numbers such as 1000,100 or 100x500, or what a file of counts holds.

    No file is opened, whatever the text says.

    Raises:
        ProblemError: a text that does not say what its counts are.
    """
    words = text.split()
    found = _numbers(text.strip() if "," in text or "\n" in text.strip() else ",".join(words))
    return read_pasted(text) if found is None else found


def _numbers(text: str) -> Counts | None:
    """The counts of numbers between commas, 100x500 for 100 of 500; None where the text is something else."""
    values: list[float] = []
    for part in text.split(","):
        match = re.fullmatch(r"(?:(\d{1,7})x(?=\d))?(.*)", part.strip())
        if match is None or not _is_number(match[2]):
            return None
        values += [float(match[2])] * int(match[1] or 1)
        if len(values) > MOST_LISTED:
            raise ProblemError(f"counts: at most {MOST_LISTED:,} classes are listed; got {text:.60}")
    return as_counts(values, name=text if "x" in text else "counts")


def _is_file(text: str) -> bool:
    """Whether it exists, or looks like the name of a file that does not."""
    if text.lower().endswith(SUFFIXES) or "/" in text or "\\" in text:
        return True
    try:
        return bool(text) and Path(text).exists()
    except OSError:  # a name longer than any file's
        return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
