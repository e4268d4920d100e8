"""Objectives and solvers by name and options, as the command line and sweep files give them."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import runpy
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .arrays import read_npy
from .counts import Counts
from .errors import ProblemError
from .objectives.base import Objective
from .solvers.base import Solver

if TYPE_CHECKING:
    from .targeted import TargetedGeometry
    from .twoclasses import PrototypeGeometry
    from .weightings import Weighting

# The loss by its name on the command line, and where its builder lives. What options a loss takes, and which it
# requires, is read off the builder's keyword arguments.
_OBJECTIVES = {
    "supcon": ("objectives.supcon", "SupCon"),
    "gcl": ("objectives.generalized", "GCL"),
    "bcl": ("objectives.balanced", "BCL"),
    "kcl": ("objectives.balanced", "KCL"),
    "ecl": ("objectives.equilibrium", "ECL"),
    "lc": ("objectives.equilibrium", "LogitCompensated"),
    "supmin": ("objectives.two_class", "SupMin"),
    "supcl": ("objectives.supcl", "SupCL"),
    "supcon-instances": ("objectives.two_class", "SupConInstances"),
}
# Supervised Prototypes by its name on the command line: not convex, so not an objective, and only `solve` takes it.
PROTOTYPES = "supproto"
# TSC: convex, but with part of its Gram matrix given, so no objective either.
TARGETED = "tsc"
# Weightings of samples by the name of their scheme.
_SCHEMES = {
    "supcon": "supcon_weights",
    "soft-supcon": "soft_supcon_weights",
    "y-aware": "y_aware_weights",
    "x-clr": "x_clr_weights",
    "euclidean": "y_aware_weights",
}
# What `objective_options` gives for an option without a default.
REQUIRED = inspect.Parameter.empty
_CONIC = ("clarabel", "scs", "mosek", "moreau")
_SOLVERS = ("newton", "quadrature", "interior", *_CONIC, "descent")


def build_objective(name: str, counts: Counts, options: Mapping[str, Any]) -> Objective:
    """The objective of that name.

    Args:
        name: "supcon" or "gcl".
        counts: class counts.
        options: keyword arguments of the builder, such as temperature; None means "not given". Numbers may be texts.

    Raises:
        ProblemError: an unknown name, an option the loss does not take, a missing one, or what the builder refuses.
    """
    builder = _builder(name)
    given = _checked_options(name, builder, options)
    if ".py:" in str(given.get("loss")):
        given["loss"] = _load_function(str(given["loss"]))
    if "negatives" in given:
        given["negatives"] = _count_or_infinity(given["negatives"])
    return builder(counts, **given)


def build_prototypes(counts: Counts, options: Mapping[str, Any]) -> PrototypeGeometry:
    """Supervised Prototypes over these counts, with options as for `build_objective`.

    Raises:
        ProblemError: an option it does not take, or what `supervised_prototypes` refuses.
        NotCertified: see `supervised_prototypes`.
    """
    from .twoclasses import supervised_prototypes

    return supervised_prototypes(counts, **_checked_options(PROTOTYPES, supervised_prototypes, options))


def build_targeted(counts: Counts, options: Mapping[str, Any]) -> TargetedGeometry:
    """TSC over these counts, with options as for `build_objective`.

    Raises:
        ProblemError: an option it does not take, or what `targeted_supcon` refuses.
    """
    from .targeted import targeted_supcon

    return targeted_supcon(counts, **_checked_options(TARGETED, targeted_supcon, options))


def build_weighting(scheme: str, labels: Any, options: Mapping[str, Any]) -> Weighting:
    """The weighting of that scheme over these labels, with options as for `build_objective`.

    Raises:
        ProblemError: an unknown scheme, an option it does not take, or what its function refuses.
    """
    from . import schemes

    if scheme not in _SCHEMES:
        raise ProblemError(f"scheme: must be one of {', '.join(_SCHEMES)}; got {scheme!r:.40}")
    builder = getattr(schemes, _SCHEMES[scheme])
    return builder(labels, **_checked_options(scheme, builder, options))


def _checked_options(name: str, builder: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are given, or a ProblemError where the builder takes others."""
    known = {option: default is REQUIRED for option, default in _options(builder).items()}
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if option not in known:
            # The one option of a neighbour whose own name for it one would not guess.
            instead = (
                "write scale, the inverse temperature" if (name, option) == ("lc", "temperature") else "leave it out"
            )
            raise ProblemError(
                f"{_flag(option)}: {name} has no such option; got {value} ({instead}; it takes {', '.join(known)})"
            )
    for option, required in known.items():
        if required and option not in given:
            example = " (0.1 is usual)" if option == "temperature" else ""
            raise ProblemError(f"{_flag(option)}: {name} needs it; got none{example}")
    return given


def objective_options(name: str) -> Mapping[str, Any]:
    """The options of the loss of that name with their defaults, REQUIRED for one that has none.

    Raises:
        ProblemError: an unknown name.
    """
    return _options(_builder(name))


@functools.cache
def _options(builder: Callable[..., Any]) -> Mapping[str, Any]:
    parameters = inspect.signature(builder).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}


def _builder(name: str) -> Callable[..., Objective]:
    if name in (PROTOTYPES, TARGETED):
        raise ProblemError(
            f"objective: must be free and convex here, one of {', '.join(_OBJECTIVES)}; got {name} "
            "(geomsolve solve takes it)"
        )
    if name not in _OBJECTIVES:
        raise ProblemError(f"objective: must be one of {', '.join(_OBJECTIVES)}; got {name!r:.40}")
    module, builder = _OBJECTIVES[name]
    return getattr(importlib.import_module(f".{module}", __package__), builder)


def _flag(option: str) -> str:
    return option.replace("_", "-")


def _count_or_infinity(negatives: Any) -> float:
    try:
        return float(negatives)
    except (TypeError, ValueError):
        raise ProblemError(f"negatives: must be a whole number of at least 1, or inf; got {negatives!r:.40}") from None


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


def read_array(argument: str, path: Path) -> NDArray[Any]:
    """The array in a .npy file, never unpickled: real numbers, in the precision of the file.

    Raises:
        ProblemError: a file that is missing, is no .npy file, or holds something else than numbers.
    """
    array = read_npy(argument, path, "fiu", "a .npy file of one array of numbers, as numpy.save writes it")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def build_solver(name: str | None, *, max_steps: int | None = None, seed: int | None = None) -> Solver | None:
    """The solver of that name with its options, or None (the ladder) for None.

    Raises:
        ProblemError: an unknown name, or an option without a solver that takes it.
    """
    if max_steps is not None and max_steps < 1:
        raise ProblemError(f"max-steps: must be at least 1; got {max_steps}")
    if seed is not None and seed < 0:
        raise ProblemError(f"seed: must be at least 0; got {seed}")
    if name is None:
        if max_steps is not None:
            raise ProblemError(
                f"max-steps: needs a solver, one of {', '.join(_SOLVERS)}; got {max_steps} without --solver"
            )
        return None
    if name not in _SOLVERS:
        raise ProblemError(f"solver: must be one of {', '.join(_SOLVERS)}; got {name!r:.40}")
    options: dict[str, Any] = {} if max_steps is None else {"max_steps": max_steps}
    if name == "newton":
        from .solvers.newton import Newton

        return Newton(**options)
    if name == "quadrature":
        from .solvers.quadrature import Quadrature

        if max_steps is not None:
            raise ProblemError(f"max-steps: {name} has none to limit; got {max_steps} (leave it out)")
        return Quadrature()
    if name == "interior":
        from .solvers.interior import Interior

        return Interior(**options)
    if name in _CONIC:
        from .solvers.conic import Conic

        return Conic(name, **options)
    from .solvers.descent import Descent

    return Descent(**options, seed=seed or 0)
