"""What a sweep is to solve: a TOML file, or a dictionary like one, checked before anything is solved."""

import functools
import inspect
import itertools
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..counts.counts import Counts, as_counts, long_tail_counts, step_counts
from ..counts.sources import load_counts
from ..errors import ProblemError
from ..objectives.base import is_number
from ..objectives.registry import build_objective, objective_options
from ..solvers.points.embedding import check_dim
from .chains import NO_COUNTS, counts_text, hash_of, statement_of

_SECTIONS = ("objective", "counts", "grid")
_RANGE: dict[str, Any] = {"from": None, "to": None, "num": None, "scale": "linear"}
# A grid of more points is a slip of the pen.
_MOST_POINTS = 200_000
_STAND_IN = as_counts([30.0, 20.0, 10.0])

# The least numbers, of classes and others.
_CLASSES = {"majority": 0, "minority": 0, "classes": 2}
_LEAST = {"ratio": 1.0, "per_class": math.ulp(0.0), "largest": math.ulp(0.0)}


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
_WAYS = {**_RULES, "profile": _profile, "values": lambda values: as_counts(values)}
_TAKES = {way: inspect.signature(builder).parameters for way, builder in _WAYS.items()}
_COUNTS_KEYS = ("rule", *dict.fromkeys(key for keys in _TAKES.values() for key in keys))


def _counts_errors(settings: Mapping[str, Any], name: str) -> list[str]:
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


class Spec:
    """A sweep, as read: which settings are fixed, and which the grid goes over.

    Attributes:
        axes: the grid's names and their values, in the order of the file; the last one runs fastest.
        fixed: every other setting.
        folder: that relative paths in it start from.
        shape: the lengths of the axes.
        size: the number of points.
    """

    def __init__(self, axes: Mapping[str, tuple[Any, ...]], fixed: Mapping[str, Any], folder: Path):
        self.axes, self.fixed, self.folder = axes, fixed, folder
        self.shape = tuple(len(values) for values in axes.values())
        self.size = math.prod(self.shape)
        self._counts: dict[str, Counts] = {}

    def at(self, index: tuple[int, ...]) -> dict[str, Any]:
        """The grid's settings at one point."""
        return {name: values[i] for (name, values), i in zip(self.axes.items(), index, strict=True)}

    def point(self, index: tuple[int, ...], tol: float) -> dict[str, Any]:
        """The problem at one point as plain things, see `solve_chain`; with `error`, where there is none."""
        name, options, dim = self._parts(index)[1:]
        told = {"name": name, "options": options, "dim": dim}
        try:
            counts = counts_text(self.counts(index))
            statement = statement_of(name, options, counts, dim, tol)
        except ProblemError as error:
            # Settings that each make sense, but not together: recorded like any other failure.
            counts, told["error"] = NO_COUNTS, str(error)
            statement = f"{self.fixed} at {self.at(index)}: no counts"
        return {"key": hash_of(statement), "statement": statement, "counts": counts, **told}

    def counts(self, index: tuple[int, ...]) -> Counts:
        """The class counts at one point, or a ProblemError where they cannot be."""
        settings, name, *_ = self._parts(index)
        key = repr((name, settings))
        if key not in self._counts:
            if errors := _counts_errors(settings, name):
                raise ProblemError("; ".join(errors))
            given = {setting: value for setting, value in settings.items() if setting != "rule"}
            if str(given.get("profile")).lower().endswith(".csv"):
                given["profile"] = str(self.folder / given["profile"])
            self._counts[key] = _WAYS[_way(settings)](**given)
        return self._counts[key]

    def _parts(self, index: tuple[int, ...]) -> tuple[dict[str, Any], str, dict[str, Any], Any]:
        """Settings of the counts, name and options of the loss, and the dimension."""
        settings = {**self.fixed, **self.at(index)}
        counts = {key: settings.pop(key) for key in _COUNTS_KEYS if key in settings}
        name, dim = settings.pop("name"), settings.pop("dim", None)
        if ".py:" in str(settings.get("loss")):
            settings["loss"] = str(self.folder / settings["loss"])
        return counts, name, settings, dim

    def errors_at(self, index: tuple[int, ...]) -> list[str]:
        """Everything that is wrong with one point."""
        settings, name, options, dim = self._parts(index)
        errors, counts = _counts_errors(settings, name), _STAND_IN
        with _collecting(errors):
            counts = counts if errors else self.counts(index)
        with _collecting(errors):
            check_dim(dim, counts.classes)
        with _collecting(errors):
            build_objective(name, counts, options)
        return errors


@contextmanager
def _collecting(errors: list[str]) -> Iterator[None]:
    """A block whose ProblemError, or what else a user's own loss raises, is one more of these errors."""
    try:
        yield
    except (TypeError, ValueError, ArithmeticError) as error:
        errors.append(str(error) if isinstance(error, ProblemError) else f"objective: {type(error).__name__}: {error}")


def read_spec(spec: str | Path | Mapping[str, Any]) -> Spec:
    """The sweep that a TOML file or a dictionary of its three tables describes.

    A value that no point of the grid can use is an error of the spec. Points that fail only in combination, such as
    infinitely many negatives under normalization "sum", are left to the sweep, which records them.

    Raises:
        ProblemError: everything that is wrong, joined by "; ".
    """
    document, folder = _document(spec)
    errors = [f"{name}: unknown table; a spec has {', '.join(_SECTIONS)}" for name in document if name not in _SECTIONS]
    tables = {name: document.get(name, {}) for name in _SECTIONS}
    wrong = {name: table for name, table in tables.items() if not isinstance(table, Mapping)}
    errors += [f"{name}: must be a table, [{name}]; got {table!r:.40}" for name, table in wrong.items()]
    if errors:
        raise ProblemError("; ".join(errors))
    axes: dict[str, tuple[Any, ...]] = {}
    for name, values in tables["grid"].items():
        with _collecting(errors):
            axes[name] = _axis(name, values)
    if not tables["grid"]:
        errors.append("grid: must have at least one axis, such as ratio = [1, 10, 100]; got none")
    read = Spec(axes, {**tables["objective"], **tables["counts"]}, folder)
    errors += [f"{name}: given in [grid] and outside of it; leave one out" for name in axes if name in read.fixed]
    errors += _key_errors(tables, axes)
    if read.size > _MOST_POINTS:
        errors.append(f"grid: must have at most {_MOST_POINTS:,} points; got {read.size:,} (split it)")
    errors = errors or _point_errors(read)
    if errors:
        raise ProblemError("; ".join(dict.fromkeys(errors)))
    return read


def _document(spec: str | Path | Mapping[str, Any]) -> tuple[Mapping[str, Any], Path]:
    if isinstance(spec, Mapping):
        return spec, Path.cwd()
    if not isinstance(spec, (str, Path)):
        raise ProblemError(f"spec: must be a TOML file or a dictionary of its tables; got {type(spec).__name__}")
    path = Path(spec)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig")), path.resolve().parent
    except OSError as error:
        raise ProblemError(f"spec: cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        what = "is not a text file" if isinstance(error, UnicodeDecodeError) else f"is not TOML: {error}"
        raise ProblemError(f"spec: {path} {what}") from None


def _axis(name: str, values: Any) -> tuple[Any, ...]:
    """The values of one axis: those listed, or those of a range."""
    if isinstance(values, Mapping):
        return _range(name, values)
    rule = None
    if not isinstance(values, (list, tuple)):
        rule = f"it must be a list or a range; got {values!r:.40} (write [{values!r:.40}])"
    elif not values:
        rule = "it must have at least one value; got an empty list"
    elif wrong := [v for v in values if not isinstance(v, (int, float, str)) or isinstance(v, bool) or v != v]:
        rule = f"every value must be a number or a text; got {wrong[0]!r:.40}"
    elif len(set(values)) < len(values):
        rule = f"every value must be there once; got {next(v for v in values if values.count(v) > 1)!r:.40} twice"
    if rule is not None:
        raise ProblemError(f"{name}: in [grid] {rule}")
    return tuple(values)


def _range(name: str, table: Mapping[str, Any]) -> tuple[float, ...]:
    first, last, num, scale = (table.get(key, default) for key, default in _RANGE.items())
    good = table.keys() <= _RANGE.keys() and all(is_number(end) and math.isfinite(end) for end in (first, last))
    good = good and first != last and scale in ("linear", "log") and (scale == "linear" or min(first, last) > 0)
    if not good or isinstance(num, bool) or not isinstance(num, int) or not 2 <= num <= _MOST_POINTS:
        raise ProblemError(
            f"{name}: a range has from and to, two numbers (above 0 on a log scale), num, a whole number from 2, and "
            f'scale, linear or log; got {dict(table)!r:.80} (write {{ from = 0.1, to = 1.0, num = 10, scale = "log" }})'
        )
    spaced = (np.geomspace if scale == "log" else np.linspace)(first, last, num).tolist()
    # Options that count something take whole numbers only.
    return tuple(int(value) if value.is_integer() else value for value in spaced)


def _key_errors(tables: Mapping[str, Mapping[str, Any]], axes: Mapping[str, tuple[Any, ...]]) -> list[str]:
    """Keys that nothing takes, and the name of the loss."""
    if "name" not in tables["objective"] and "name" not in tables["grid"]:
        return ['name: the [objective] must have one, such as name = "supcon"; got none']
    names = axes.get("name", ()) if "name" in tables["grid"] else (tables["objective"]["name"],)
    errors: list[str] = []
    options: dict[str, Any] = {"name": None, "dim": None}
    for name in names:
        with _collecting(errors):
            options |= objective_options(str(name))
    if errors or not names:  # which options there are, nobody can say
        return [error.replace("objective:", "name:", 1) for error in errors]
    counts = [key for key in _COUNTS_KEYS if key != "values"]
    known = {"objective": list(options), "counts": _COUNTS_KEYS, "grid": [*options, *counts]}
    return [
        f"{key}: [{section}] has no such key; it takes {', '.join(keys)}"
        for section, keys in known.items()
        for key in tables[section]
        if key not in keys
    ]


def _point_errors(spec: Spec) -> list[str]:
    """What is wrong with values that no point can use."""
    errors_at, dead = functools.cache(spec.errors_at), []
    for axis, (name, values) in enumerate(spec.axes.items()):
        for i, value in enumerate(values):
            plane = itertools.product(*((i,) if a == axis else range(length) for a, length in enumerate(spec.shape)))
            least = None
            for errors in map(errors_at, plane):
                least = errors if least is None or len(errors) < len(least) else least
                if not errors:
                    break
            dead += [(name, value, error) for error in least or ()]
    # A message that does not name the value's axis says which value it is about, unless no value is any good.
    some = len({(name, value) for name, value, _ in dead}) < sum(spec.shape)
    return [
        f"{error} (at {name} = {value!r:.40})" if some and not error.startswith(name) else error
        for name, value, error in dead
    ]
