"""One point of a sweep: from settings by name to class counts, and the statement of the problem they pose."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..counts.counts import Counts, as_counts, long_tail_counts, step_counts
from ..counts.sources import load_counts
from ..errors import ProblemError
from ..objectives.base import is_number
from ..objectives.registry import objective_options

# Goes into every hash: raise it when an old answer must not stand for a new problem.
PROBLEM_FORMAT = 1

# The text of counts that cannot be.
NO_COUNTS = "[[], [], false]"
# The least numbers, of classes and others.
_CLASSES = {"majority": 0, "minority": 0, "classes": 2}
_LEAST = {"ratio": 1.0, "per_class": math.ulp(0.0), "largest": math.ulp(0.0)}


def hash_of(text: str) -> str:
    """The hash under which the journal keeps the problem of that statement, or a sweep."""
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


def _step(majority: int, minority: int, ratio: float, per_class: float = 1.0) -> Counts:
    return step_counts(majority, minority, per_class, ratio)


def _long_tail(ratio: float, classes: int, largest: float | None = None) -> Counts:
    # CIFAR-LT cuts its tail out of 50,000 images.
    return long_tail_counts(classes, 50_000 / classes if largest is None else largest, ratio)


def _profile(profile: str, ratio: float | None = None) -> Counts:
    if ratio is None:
        return load_counts(profile)
    if not profile.startswith("cifar") or ":" in profile:
        raise ProblemError(f'ratio: the counts of "{profile:.40}" have a ratio of their own; leave it out')
    return load_counts(f"{profile}:{ratio!r}")


# The ways of giving counts; what a way takes, and what it needs, is read off its builder.
_RULES: dict[str, Callable[..., Counts]] = {"step": _step, "long_tail": _long_tail}
_WAYS = {
    **_RULES,
    "profile": _profile,
    "values": lambda values: as_counts(values),
}
_TAKES = {way: inspect.signature(builder).parameters for way, builder in _WAYS.items()}
COUNTS_KEYS = ("rule", *dict.fromkeys(key for keys in _TAKES.values() for key in keys))


def counts_errors(settings: Mapping[str, Any], name: str) -> list[str]:
    """What is wrong with the keys of [counts] one by one, for the loss of that name."""
    ways = [way for way in ("rule", "profile", "values") if way in settings]
    if len(ways) > 1:
        return [f"counts: must be given in one way; got {' and '.join(ways)}"]
    way = _way(settings)
    if way not in (_RULES if ways == ["rule"] else _WAYS):
        return [f"rule: must be one of {', '.join(_RULES)}; got {way!r:.40}"]
    takes, errors = _TAKES[way], []
    for key, value in settings.items():
        least, wanted = _LEAST.get(key), None
        if key not in ("rule", *takes):
            errors.append(f'{key}: counts given by "{way}" take {", ".join(takes)} alone; got {value!r:.40}')
        elif key == "profile" and not isinstance(value, str):
            wanted = "a name or a CSV file in quotes"
        elif key in _CLASSES and (not is_number(value) or value not in range(_CLASSES[key], 1_000_001)):
            wanted = f"a whole number from {_CLASSES[key]} to 1,000,000"
        elif least is not None and not (is_number(value) and math.isfinite(value) and value >= least):
            wanted = "a number of at least 1" if key == "ratio" else "a number above 0"
        if wanted is not None:
            errors.append(f"{key}: must be {wanted}; got {value!r:.40}")
    needed = [key for key, one in takes.items() if one.default is one.empty and key not in settings]
    # A loss of proportions alone need not know how many examples a class of the tail has.
    if way == "step" and name != "gcl" and "per_class" not in settings:
        needed.append("per_class")
    return errors + [f"{key}: the {way} rule needs it for {name}; got none (write {key} = 10, say)" for key in needed]


def _way(settings: Mapping[str, Any]) -> Any:
    return settings.get("rule", next((way for way in ("profile", "values") if way in settings), "step"))


def build_counts(settings: Mapping[str, Any], name: str, folder: Path) -> Counts:
    """The class counts of a point for the loss of that name; a relative path of a file starts from the folder."""
    if errors := counts_errors(settings, name):
        raise ProblemError("; ".join(errors))
    given = {key: value for key, value in settings.items() if key != "rule"}
    if str(given.get("profile")).lower().endswith(".csv"):
        given["profile"] = str(folder / given["profile"])
    return _WAYS[_way(settings)](**given)
