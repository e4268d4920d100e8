"""Losses by name and options, as the command line and sweep files give them."""

import contextlib
import difflib
import functools
import importlib
import inspect
import runpy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..counts.counts import Counts
from ..errors import ProblemError
from .base import Objective

# The loss by its name on the command line, and its builder in `geomsolve.objectives`. What options a loss takes, and
# which it requires, is read off the builder's keyword arguments.
OBJECTIVES = {
    "supcon": "SupCon",
    "gcl": "GCL",
    "bcl": "BCL",
    "kcl": "KCL",
    "ecl": "ECL",
    "lc": "LogitCompensated",
    "supmin": "SupMin",
    "supcl": "SupCL",
    "sincere": "SINCERE",
    "ntxent": "NTXent",
    "supcon-instances": "SupConInstances",
    "normface": "NormFace",
    "clip": "CLIP",
    "siglip": "SigLIP",
}
# Settings that have a name of their own, by the loss they are settings of.
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "supcon-batch": ("supcon", {"batch": 256}),
    "gcl-supervised": ("gcl", {"sampling": "supervised"}),
    "gcl-unsupervised": ("gcl", {"sampling": "unsupervised"}),
    "bcl-class": ("bcl", {"anchors": "class"}),
}
# Losses with solvers of their own: not convex, or with part of the Gram matrix given.
ELSEWHERE = ("supproto", "tsc")
# What `objective_options` gives for an option without a default.
REQUIRED = inspect.Parameter.empty


def build_objective(name: str, counts: Counts, options: Mapping[str, Any]) -> Objective:
    """The objective of that name.

    Args:
        name: one of `OBJECTIVES`.
        counts: class counts.
        options: keyword arguments of the builder, such as temperature; None means "not given". Numbers may be texts.

    Raises:
        ProblemError: an unknown name, an option the loss does not take, a missing one, or what the builder refuses.
    """
    name, preset = resolve(name)
    builder = builder_of(name)
    given = checked_options(name, builder, {**preset, **{key: one for key, one in options.items() if one is not None}})
    return builder(counts, **typed(given))


def typed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options with texts read as what they stand for: numbers, shares, functions of a file."""
    given = dict(given)
    if ".py:" in str(given.get("loss")):
        given["loss"] = _load_function(str(given["loss"]))
    for option in {"sampler", "averaging", "negatives"} & set(given):
        given[option] = _word_or_numbers(given[option])
    return given


def checked_options(name: str, builder: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are given, or a ProblemError where the builder takes others."""
    known = {option: default is REQUIRED for option, default in options_of(builder).items()}
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if option not in known:
            # The one option of a neighbour whose own name for it one would not guess.
            instead = (
                "write scale, the inverse temperature" if (name, option) == ("lc", "temperature") else "leave it out"
            )
            flag = option.replace("_", "-")
            raise ProblemError(
                f"{flag}: {name} has no such option; got {value} ({instead}; it takes {', '.join(known)})"
            )
    for option, required in known.items():
        if required and option not in given:
            example = " (0.1 is usual)" if option == "temperature" else ""
            raise ProblemError(f"{option.replace('_', '-')}: {name} needs it; got none{example}")
    return given


def objective_options(name: str) -> Mapping[str, Any]:
    """The options of the loss of that name with their defaults, REQUIRED for one that has none.

    Raises:
        ProblemError: an unknown name.
    """
    return options_of(builder_of(resolve(name)[0]))


def resolve(name: str) -> tuple[str, dict[str, Any]]:
    """The name of a loss as the registry has it, and settings that a name such as "bcl-class" stands for.

    Capitals, underscores and the names of builders are welcome: SupCon, supcon_batch, LogitCompensated.
    """
    plain = name.strip().lower().replace("_", "-")
    builders = {builder.lower(): known for known, builder in OBJECTIVES.items()}
    plain = builders.get(plain, plain)
    base, preset = PRESETS.get(plain, (plain, {}))
    return base, dict(preset)


@functools.cache
def options_of(builder: Callable[..., Any]) -> Mapping[str, Any]:
    """The options of a builder with their defaults, REQUIRED for one that has none: its keyword-only arguments."""
    parameters = inspect.signature(builder).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}


def builder_of(name: str) -> Callable[..., Objective]:
    """The builder of that name, as the registry has it."""
    if name in ELSEWHERE:
        raise ProblemError(
            f"objective: must be free and convex here, one of {', '.join(OBJECTIVES)}; got {name} "
            "(geomsolve solve takes it)"
        )
    if name not in OBJECTIVES:
        near = difflib.get_close_matches(name, [*OBJECTIVES, *PRESETS, *ELSEWHERE], 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ProblemError(f"objective: must be one of {', '.join(OBJECTIVES)}; got {name!r:.40}{hint}")
    return getattr(importlib.import_module(__package__), OBJECTIVES[name])


def _word_or_numbers(text: Any) -> Any:
    """A number or several, where a text is such; else what it was."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except (AttributeError, ValueError):
        return text
    return numbers if len(numbers) > 1 else numbers[0]


@functools.cache  # a threshold builds its loss some sixty times
def _load_function(reference: str) -> Any:
    """The function that "FILE.py:NAME" names."""
    path, _, name = reference.rpartition(":")
    if not Path(path).is_file():
        raise ProblemError(f"loss: {path} does not exist (write FILE.py:NAME, NAME a function psi in that file)")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            function = runpy.run_path(path).get(name)
    except (Exception, SystemExit) as error:
        raise ProblemError(f"loss: running {path} gave {type(error).__name__}: {error}") from None
    if not callable(function):
        raise ProblemError(f"loss: {path} defines no function {name!r:.40}")

    @functools.wraps(function)
    def quiet(t: Any) -> Any:
        with contextlib.redirect_stdout(sys.stderr):
            return function(t)

    return quiet
