"""One point of a sweep: from settings by name to class counts, and the statement of the problem they pose."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..counts.counts import Counts, as_counts, long_tail_counts, step_counts
from ..counts.sources import load_counts
from ..errors import ProblemError
from ..objectives.base import is_number
from ..objectives.registry import objective_options

# Goes into every hash: raise it when an old answer must not stand for a new problem.
PROBLEM_FORMAT = 1

# What each way of giving counts takes; "rule" is for the first two.
_RULES = {
    "step": ("majority", "minority", "classes", "per_class", "ratio"),
    "long_tail": ("classes", "largest", "ratio"),
}
_WAYS = _RULES | {"profile": ("profile", "ratio"), "values": ("values",)}
COUNTS_KEYS = tuple(dict.fromkeys(["rule", *(key for keys in _WAYS.values() for key in keys)]))
# The text of counts that cannot be.
NO_COUNTS = "[[], [], false]"
# The least number of classes, and of other numbers what they must be.
_LEAST_CLASSES = {"majority": 0, "minority": 0, "classes": 2}
_BOUNDS = {"ratio": "of at least 1", "per_class": "above 0", "largest": "above 0"}
# Losses of proportions alone; every other one needs to know how many examples a class of the tail has.
_OF_PROPORTIONS = ("gcl",)
# CIFAR-LT cuts its tail out of so many images.
_IMAGES = 50_000


def hash_of(text: str) -> str:
    """The hash under which the journal keeps the problem of that statement, or these counts."""
    return hashlib.sha256(text.encode()).hexdigest()


@functools.lru_cache(maxsize=4096)
def counts_text(counts: Counts) -> str:
    """JSON of the distinct counts, how many classes have each, and whether they are proportions."""
    return json.dumps([counts.distinct.tolist(), counts.multiplicity.tolist(), counts.are_proportions])


def statement_of(name: str, options: Mapping[str, Any], counts: str, dim: int | None, tol: float) -> str:
    """Canonical JSON of a problem: what is hashed, and kept in the journal.

    Options at their defaults are left out, so a loss that gains an option keeps its hashes.
    """
    defaults = objective_options(name)
    given = {key: _canonical(value) for key, value in options.items() if value != defaults.get(key)}
    if ".py:" in str(given.get("loss")):
        # The code is the problem, wherever its file is.
        path, _, function = str(given["loss"]).rpartition(":")
        given["loss"] = f"{function} in {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    problem = {"format": PROBLEM_FORMAT, "objective": name, "options": given, "counts": hash_of(counts)}
    return json.dumps({**problem, "dim": dim, "tol": tol}, sort_keys=True, separators=(",", ":"))


def _canonical(value: Any) -> Any:
    """1, 1.0 and "1" are one setting; infinity is a word, which JSON can write."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return number if math.isfinite(number) else str(number)


def counts_errors(settings: Mapping[str, Any]) -> list[str]:
    """What is wrong with the keys of [counts] one by one."""
    ways = [way for way in ("rule", "profile", "values") if way in settings]
    if len(ways) > 1:
        return [f"counts: must be given in one way; got {' and '.join(ways)}"]
    rule = _way(settings)
    if rule not in (_RULES if ways == ["rule"] else _WAYS):
        return [f"rule: must be one of {', '.join(_RULES)}; got {rule!r:.40}"]
    hint = ' (rule = "long_tail" has it)'
    errors = []
    for key, value in settings.items():
        number = is_number(value) and math.isfinite(value)
        wanted = None
        if key != "rule" and key not in _WAYS[rule]:
            takes = f'counts given by "{rule}" take {", ".join(_WAYS[rule])} alone'
            errors.append(f"{key}: {takes}; got {value!r:.40}{hint if key == 'largest' else ''}")
        elif key in _LEAST_CLASSES:
            least = _LEAST_CLASSES[key]
            if not number or value != int(value) or not least <= value <= 1_000_000:
                wanted = f"a whole number from {least} to 1,000,000"
        elif key in _BOUNDS and (not number or value <= 0 or (key == "ratio" and value < 1)):
            wanted = f"a number {_BOUNDS[key]}"
        elif key == "profile" and not isinstance(value, str):
            wanted = "a name or a CSV file in quotes"
        if wanted is not None:
            errors.append(f"{key}: must be {wanted}; got {value!r:.40}")
    return errors


def _way(settings: Mapping[str, Any]) -> Any:
    return settings.get("rule", next((way for way in ("profile", "values") if way in settings), "step"))


def build_counts(settings: Mapping[str, Any], name: str, folder: Path) -> Counts:
    """The class counts of a point for the loss of that name; a relative path of a file starts from the folder."""
    if errors := counts_errors(settings):
        raise ProblemError("; ".join(errors))
    rule, ratio = _way(settings), settings.get("ratio")
    if rule == "values":
        return as_counts(settings["values"])
    if rule == "profile":
        profile = settings["profile"]
        if ratio is None:
            return load_counts(folder / profile if profile.lower().endswith(".csv") else profile)
        if not profile.startswith("cifar") or ":" in profile:
            raise ProblemError(f'ratio: the counts of "{profile:.40}" have a ratio of their own; leave it out')
        return load_counts(f"{profile}:{ratio!r}")
    if ratio is None:
        raise ProblemError(f"ratio: the {rule} rule needs it; got none (write it in [grid] or [counts], such as 100)")
    known: dict[str, Any] = dict.fromkeys(_LEAST_CLASSES) | dict(settings)
    majority, minority, classes = (known[key] for key in _LEAST_CLASSES)
    if classes is None and (rule == "long_tail" or majority is None or minority is None):
        key = "classes" if rule == "long_tail" else "majority" if majority is None else "minority"
        raise ProblemError(f"{key}: the {rule} rule needs it; got none (a number of classes)")
    if rule == "long_tail":
        return long_tail_counts(classes, settings.get("largest", _IMAGES / classes), ratio)
    per_class = settings.get("per_class", 1.0 if name in _OF_PROPORTIONS else None)
    if per_class is None:
        raise ProblemError(f"per_class: {name} needs the examples of a class of the tail; got none (write 10, say)")
    # Half and half where only their sum is given.
    if majority is None:
        majority = classes // 2 if minority is None else classes - minority
    minority = classes - majority if minority is None else minority
    if min(majority, minority) < 0 or classes not in (None, majority + minority):
        raise ProblemError(
            f"classes: must be the sum of majority and minority; got {classes} with {majority} and {minority}"
        )
    return step_counts(majority, minority, per_class, ratio)
