"""Solvers by name and options, as the command line gives them."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import ProblemError
from .base import Solver

_HOMES = {
    "newton": "newton.Newton",
    "quadrature": "quadrature.Quadrature",
    "interior": "interior.Interior",
    "descent": "descent.Descent",
}
_CONIC = ("clarabel", "scs", "mosek", "moreau")
SOLVERS = ("newton", "quadrature", "interior", *_CONIC, "descent")


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
                f"max-steps: needs a solver, one of {', '.join(SOLVERS)}; got {max_steps} without --solver"
            )
        return None
    if name not in SOLVERS:
        raise ProblemError(f"solver: must be one of {', '.join(SOLVERS)}; got {name!r:.40}")
    options: dict[str, Any] = {} if max_steps is None else {"max_steps": max_steps}
    if name == "quadrature" and options:
        raise ProblemError(f"max-steps: {name} has none to limit; got {max_steps} (leave it out)")
    if name == "descent":
        options["seed"] = seed or 0
    module, _, solver = _HOMES.get(name, "conic.Conic").partition(".")
    make: Any = getattr(importlib.import_module(f".{module}", __package__), solver)
    built: Solver = make(**options) if name in _HOMES else make(name, **options)
    return built
