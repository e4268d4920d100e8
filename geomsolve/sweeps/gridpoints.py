"""One point of a sweep: from settings by name to class counts, an objective, and the hash of the problem they pose."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..counts.counts import Counts, as_counts, long_tail_counts, step_counts
from ..counts.sources import load_counts
from ..errors import ProblemError
from ..objectives.registry import build_objective, objective_options

# Goes into every hash: raise it when an old answer must not stand for a new problem.
PROBLEM_FORMAT = 1

# What each way of giving counts takes; "rule" is for the first two.
RULES = {
    "step": ("majority", "minority", "classes", "per_class", "ratio"),
    "long_tail": ("classes", "largest", "ratio"),
}
_OTHERS = {"profile": ("profile", "ratio"), "values": ("values",)}
COUNTS_KEYS = tuple(dict.fromkeys(["rule", *(key for keys in (RULES | _OTHERS).values() for key in keys)]))
# Losses of proportions alone; every other one needs to know how many examples a class of the tail has.
_OF_PROPORTIONS = ("gcl",)
# CIFAR-LT cuts its tail out of so many images.
_IMAGES = 50_000


@dataclass(frozen=True, eq=False)
class Problem:
    """One problem of a sweep, ready to be built anywhere.

    Attributes:
        name: of the loss, as `build_objective` takes it.
        options: of the loss.
        counts: the class counts.
        dim: of an embedding that is wanted too, or None.
    """

    name: str
    options: Mapping[str, Any]
    counts: Counts
    dim: int | None

    def statement(self, tol: float) -> str:
        """Canonical JSON of the problem: what is hashed, and kept in the journal.

        Options at their defaults are left out, so a loss that gains an option keeps its hashes.
        """
        defaults = objective_options(self.name)
        options = {key: _canonical(value) for key, value in self.options.items() if value != defaults.get(key)}
        if ".py:" in str(options.get("loss")):
            # The code is the problem, wherever its file is.
            path, _, function = str(options["loss"]).rpartition(":")
            options["loss"] = f"{function} in {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
        problem = {
            "format": PROBLEM_FORMAT,
            "objective": self.name,
            "options": options,
            "counts": hash_of(counts_text(self.counts)),
            "dim": self.dim,
            "tol": tol,
        }
        return json.dumps(problem, sort_keys=True, separators=(",", ":"))

    def point(self, tol: float) -> dict[str, Any]:
        """The problem as plain things, which any executor can carry."""
        statement, counts = self.statement(tol), counts_text(self.counts)
        point = {"key": hash_of(statement), "statement": statement, "counts": counts, "digest": hash_of(counts)}
        return {**point, "name": self.name, "options": self.options, "dim": self.dim}


def hash_of(text: str) -> str:
    """The hash under which the journal keeps the problem of that statement, or these counts."""
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """1, 1.0 and "1" are one setting; infinity is a word, which JSON can write."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return number if math.isfinite(number) else str(number)


# The text of counts that cannot be.
NO_COUNTS = "[[], [], false]"


@functools.lru_cache(maxsize=4096)
def counts_text(counts: Counts) -> str:
    """JSON of the distinct counts, how many classes have each, and whether they are proportions."""
    return json.dumps([counts.distinct.tolist(), counts.multiplicity.tolist(), counts.are_proportions])


def option_errors(name: str, options: Mapping[str, Any], counts: Counts) -> list[str]:
    """The first complaint of a loss about its options: none where it can be built."""
    try:
        build_objective(name, counts, options)
    except ProblemError as error:
        return [str(error)]
    except (TypeError, ValueError, ArithmeticError) as error:
        words = ", ".join(f"{key} = {value!r:.40}" for key, value in options.items())
        return [f"objective: {name} refuses {words}: {type(error).__name__}: {error}"]
    return []


def counts_errors(settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with the keys of [counts] one by one."""
    rule, errors = _rule(settings)
    if errors:
        return errors
    takes = (RULES | _OTHERS)[rule]
    for key, value in settings.items():
        if key != "rule" and key not in takes:
            hint = ' (rule = "long_tail" has it)' if key == "largest" else ""
            errors.append(f'{key}: counts given by "{rule}" take {", ".join(takes)} alone; got {value!r:.40}{hint}')
    return errors + _number_errors({key: value for key, value in settings.items() if key in takes})


def build_counts(settings: Mapping[str, Any], name: str, folder: Path) -> Counts:
    """The class counts of a point.

    Args:
        settings: the point's keys of [counts].
        name: of the loss, which decides what may be left out.
        folder: that a relative path of a CSV file starts from.

    Raises:
        ProblemError: with everything that is wrong, joined by "; ".
    """
    if errors := counts_errors(settings):
        raise ProblemError("; ".join(errors))
    rule, _ = _rule(settings)
    ratio = settings.get("ratio")
    if rule == "values":
        return as_counts(settings["values"])
    if rule == "profile":
        return _profile(settings["profile"], ratio, folder)
    if ratio is None:
        raise ProblemError(f"ratio: the {rule} rule needs it; got none (write it in [grid] or [counts], such as 100)")
    if rule == "long_tail":
        classes = _given(settings, "classes", rule)
        return long_tail_counts(classes, settings.get("largest", _IMAGES / classes), ratio)
    proportions = name in _OF_PROPORTIONS or settings.get("batch") is not None
    per_class = settings.get("per_class", 1.0 if proportions else None)
    if per_class is None:
        raise ProblemError(f"per_class: {name} needs the examples of a class of the tail; got none (write 10, say)")
    return step_counts(*_heads_and_tails(settings), per_class, ratio)


def _rule(settings: Mapping[str, Any]) -> tuple[str, list[str]]:
    """How counts are given, and what is wrong with that."""
    ways = [way for way in ("rule", "profile", "values") if way in settings]
    if len(ways) > 1:
        return "step", [f"counts: must be given in one way; got {' and '.join(ways)}"]
    rule = settings.get("rule", ways[0] if ways else "step")
    if rule not in (*RULES, *_OTHERS) or (ways == ["rule"] and rule not in RULES):
        return "step", [f"rule: must be one of {', '.join(RULES)}; got {rule!r:.40}"]
    return rule, []


def _number_errors(settings: Mapping[str, Any]) -> list[str]:
    errors = []
    least = {"majority": 0, "minority": 0, "classes": 2, "ratio": 1}
    for key, value in settings.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if key in ("majority", "minority", "classes"):
            if not number or value != int(value) or not least[key] <= value <= 1_000_000:
                errors.append(f"{key}: must be a whole number from {least[key]} to 1,000,000; got {value!r:.40}")
        elif key in ("ratio", "per_class", "largest"):
            if not number or value < least.get(key, 0) or value == 0:
                rule = "of at least 1" if key in least else "above 0"
                errors.append(f"{key}: must be a number {rule}; got {value!r:.40}")
        elif key == "profile" and not isinstance(value, str):
            errors.append(f"profile: must be a name or a CSV file in quotes; got {value!r:.40}")
    return errors


def _heads_and_tails(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Classes of many and of few examples; half and half where only their sum is given."""
    majority, minority, classes = (settings.get(key) for key in ("majority", "minority", "classes"))
    if classes is None:
        return _given(settings, "majority", "step"), _given(settings, "minority", "step")
    if majority is None:
        majority = classes - minority if minority is not None else classes // 2
    minority = classes - majority if minority is None else minority
    if min(majority, minority) < 0 or majority + minority != classes:
        raise ProblemError(
            f"classes: must be the sum of majority and minority; got {classes} with {majority} and {minority}"
        )
    return majority, minority


def _given(settings: Mapping[str, Any], key: str, rule: str) -> int:
    if key not in settings:
        raise ProblemError(f"{key}: the {rule} rule needs it; got none (a number of classes)")
    return settings[key]


def _profile(profile: str, ratio: float | None, folder: Path) -> Counts:
    if ratio is not None:
        if not profile.startswith("cifar") or ":" in profile:
            raise ProblemError(f'ratio: the counts of "{profile:.40}" have a ratio of their own; leave it out')
        return load_counts(f"{profile}:{ratio!r}")
    return load_counts(folder / profile if profile.lower().endswith(".csv") else profile)
