"""`solve --objective supproto` and `tsc`, which are no objectives: a value, and a lower bound of its own kind."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from ..errors import NotCertified, ProblemError
from .app import NOT_CERTIFIED, OK
from .options import Problem
from .terminal import Outputs, reporting


def solve_prototypes(problem: Problem, *, tol: float, json: str | None, unused: Mapping[str, Any]) -> int:
    """The best geometry known and the bound; OK where the two agree to `tol`.

    Args:
        problem: counts and settings.
        tol: the relative gap called closed.
        json: where JSON goes.
        unused: options of `solve` that need a convex objective, refused unless None.
    """
    from ..certificates.certificate import check_tol
    from .builders import PROTOTYPES, build_prototypes
    from .reports.prototypes import bound_is_tight, prototype_report, prototype_text

    _refuse(PROTOTYPES, unused)
    check_tol(tol)
    outputs = Outputs(json)
    clock = time.perf_counter()
    with reporting() as progress:
        progress("Supervised Prototypes: the upper bound, then the lower")
        try:
            found = build_prototypes(problem.counts, problem.loss.options)
        except NotCertified as error:
            print(f"geomsolve: {' '.join(str(error).split())}", file=sys.stderr)
            return NOT_CERTIFIED
    seconds = time.perf_counter() - clock
    outputs.emit(prototype_report(found, tol, seconds), lambda: prototype_text(found, tol, seconds))
    return OK if bound_is_tight(found, tol) else NOT_CERTIFIED


def solve_targeted(problem: Problem, *, tol: float, json: str | None, unused: Mapping[str, Any]) -> int:
    """TSC with its fixed targets; OK where value and bound agree to `tol`. Arguments as in `solve_prototypes`."""
    from ..certificates.certificate import check_tol
    from .builders import TARGETED, build_targeted
    from .reports.targeted import targeted_report, targeted_text

    _refuse(TARGETED, unused)
    check_tol(tol)
    outputs = Outputs(json)
    clock = time.perf_counter()
    with reporting() as progress:
        progress("TSC with fixed targets")
        found = build_targeted(problem.counts, problem.loss.options)
    report = targeted_report(found, tol, time.perf_counter() - clock)
    outputs.emit(report, lambda: targeted_text(found, report))
    return OK if report["quality"] == "certified" else NOT_CERTIFIED


def _refuse(name: str, unused: Mapping[str, Any]) -> None:
    for option, value in unused.items():
        if value is not None:
            raise ProblemError(f"{option}: {name} has no such option; got {value} (leave it out)")
