"""Independent routes to the same optimum, and whether they agree."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import __version__
from ..arrays import Progress
from ..certificates.certificate import Certificate, certify, check_tol
from ..errors import BackendError
from ..geometry.kernel import KernelGram
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective
from ..results import Result
from ..text import number, sentence, table
from .base import Attempt, Solver, Termination
from .conic.conic import Conic
from .descent.descent import NO_GPU, Descent, check_device
from .newton.newton import Newton
from .newton.quadrature import Quadrature

# A route speaks on the optimum once its own certificate is this good; a worse one is not evidence either way.
CONCLUSIVE = 1e-5
# Classes (or samples) up to which descent of full dimension is a route.
MOST_DESCENDED = 600


@dataclass(frozen=True)
class Route:
    """One way to the optimum, and how it compares with the reference.

    Attributes:
        name: the solver.
        verdict: "reference", "agrees", "disagrees", "inconclusive" (its own certificate is too weak to speak), or
            "not applicable".
        value: its loss; None where it has no answer, as for the four that follow.
        gap: certified, absolute.
        relative_gap: certified.
        cosine_residual: certified.
        value_difference: |value - reference|.
        cosine_difference: the largest difference of a cosine from the reference.
        certified: whether its answer is CERTIFIED at the tolerance asked for.
        seconds: wall time.
        message: what the solver says.
    """

    name: str
    verdict: str
    value: float | None
    gap: float | None
    relative_gap: float | None
    cosine_residual: float | None
    value_difference: float | None
    cosine_difference: float | None
    certified: bool
    seconds: float
    message: str


@dataclass(frozen=True, eq=False, repr=False)
class CrossCheck(Result):
    """All routes that fit the size.

    Attributes:
        objective: the problem.
        routes: one entry per route.
        reference: the name of the route with the smallest gap, which the others are compared with.
        agree: the reference is certified, at least one other route is conclusive, and every conclusive one agrees:
            values to 1e-7 of the loss (at least 1), cosines to 1e-5 where the loss fixes them.
        compared: whether any other route was conclusive. Where none fits the size, there is nothing to agree with, and
            the reference's certificate stands by itself.
    """

    objective: Objective = field(repr=False)
    routes: tuple[Route, ...]
    reference: str
    agree: bool
    compared: bool

    @property
    def ok(self) -> bool:
        """Whether the routes agree, or a certified one stands by itself because no other fits the size."""
        return self.agree or (not self.compared and any(route.certified for route in self.routes))

    @property
    def summary(self) -> str:
        """How many routes there are, and whether they agree."""
        state = "agree" if self.agree else "do NOT agree"
        if not self.compared:
            state = "have nothing to compare with"
        routes = ", ".join(route.name for route in self.routes if route.value is not None)
        return f"{self.objective.name} at temperature {self.objective.temperature:g}: {routes} {state}"

    def to_dict(self) -> dict[str, Any]:
        """The cross-check as a dictionary."""
        counts = self.objective.counts
        return {
            "agree": self.agree if self.compared else None,
            "reference": self.reference,
            "objective": self.objective.name,
            "temperature": self.objective.temperature,
            **({} if counts is None else counts.to_dict()),
            "version": __version__,
            "routes": [dataclasses.asdict(route) for route in self.routes],
        }

    def lines(self) -> list[str]:
        """The cross-check as a table."""
        head = ("route", "verdict", "loss", "rel. gap", "cos. residual", "certified", "loss diff.", "cosine diff.")
        rows = [
            (
                route.name,
                route.verdict,
                number(route.value, ".12g"),
                number(route.relative_gap, ".1e"),
                number(route.cosine_residual, ".1e"),
                "yes" if route.certified else "no",
                number(route.value_difference, ".1e"),
                number(route.cosine_difference, ".1e"),
                number(route.seconds, ".2f"),
            )
            for route in self.routes
        ]
        notes = [
            f"  {route.name}: {sentence(route.message)}"
            for route in self.routes
            if route.message and (route.verdict not in ("reference", "agrees") or route.message.startswith(NO_GPU))
        ]
        counts, orbits = self.objective.counts, self.objective.orbits
        verdict = "The routes agree." if self.agree else "The routes do NOT agree."
        if not self.compared:
            verdict = (
                f"Nothing to compare with: no other route is conclusive at {orbits.atoms:g} classes and "
                f"{len(orbits.sizes)} distinct counts (conic programs go to 60 distinct counts, descent to 600 "
                "classes); the certificate stands by itself."
            )
        return [
            f"{self.objective.name}, temperature {self.objective.temperature:g}",
            *([] if counts is None else [str(counts)]),
            "",
            *table([(*head, "seconds"), *rows]),
            *notes,
            "",
            f"{verdict} Differences are taken from {self.reference}.",
        ]


def crosscheck(
    objective: Objective,
    *,
    seeds: int = 1,
    device: str | None = None,
    tol: float = 1e-9,
    progress: Progress | None = None,
) -> CrossCheck:
    """Whether Newton, quadrature, the conic programs and gradient descent find the same optimum.

    Newton on the dual factor (with its collapse handling), from 150 distinct counts also on a Gauss rule of them; the
    semidefinite program through cvxpy with Clarabel by orbits and, to 30 classes, over all classes, and with SCS to 20
    distinct counts; JAX descent over embeddings of full dimension to 600 classes. They share the objective's definition
    only on paper: the loss is written once in numpy, once in cvxpy and once in JAX. Each answer is judged by `certify`.

    Args:
        objective: the problem.
        seeds: random starts of the descent.
        device: for JAX: "cpu", "gpu" or None for its default.
        tol: the relative gap called certified.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: a bad tol or device.

    A route whose package is not installed (cvxpy, JAX) is "not applicable", and says so.
    """
    check_tol(tol)
    check_device(device)
    objective.check()
    rows: list[tuple[str, float, str, OrbitGram | None, Certificate | None, Termination]] = []
    conic_start: OrbitGram | None = None
    for solver in _solvers(objective, seeds, device):
        if progress:
            progress(f"cross-check: {solver.name}")
        clock = time.perf_counter()
        try:
            attempt = solver.run(
                objective, start=conic_start if isinstance(solver, Newton) else None, progress=progress
            )
        except BackendError as error:  # the route's package is not installed
            attempt = Attempt(solver.name, Termination.NOT_APPLICABLE, message=str(error))
        seconds = time.perf_counter() - clock
        found = attempt.gram.written(objective.orbits) if isinstance(attempt.gram, KernelGram) else attempt.gram
        gram = None if found is None else found.repaired()[0]
        certificate = None if gram is None else certify(objective, gram)
        if not objective.smooth and isinstance(solver, Conic) and gram is not None and conic_start is None:
            conic_start = gram
        rows.append((solver.name, seconds, attempt.message, gram, certificate, attempt.termination))
    answered = [row for row in rows if row[4] is not None]
    best = min(answered, key=lambda row: row[4].gap if row[4] else np.inf)
    routes = tuple(_compare(row, best, objective.smooth, tol) for row in rows)
    reference = next(route for route in routes if route.verdict == "reference")
    others = [route.verdict for route in routes if route.verdict in ("agrees", "disagrees")]
    return CrossCheck(
        objective,
        routes,
        reference.name,
        bool(reference.certified and others and "disagrees" not in others),
        bool(others),
    )


def _solvers(objective: Objective, seeds: int, device: str | None) -> Iterator[Solver]:
    orbits, classes = len(objective.orbits.sizes), objective.orbits.atoms
    if objective.smooth:
        yield Newton()
    if objective.law is not None and objective.law.worthwhile and objective.law.writable:
        yield Quadrature()
    if orbits <= 60:
        yield Conic()
    if not objective.smooth:
        yield Newton()
    if classes <= 30 and orbits < classes:
        yield Conic(full=True)
    if orbits <= 20:
        yield Conic(backend="SCS")
    if classes <= MOST_DESCENDED:
        yield Descent(restarts=seeds, device=device)


def _compare(row: tuple, best: tuple, smooth: bool, tol: float) -> Route:
    name, seconds, message, gram, certificate, termination = row
    if certificate is None:
        verdict = "not applicable" if termination is Termination.NOT_APPLICABLE else "inconclusive"
        return Route(name, verdict, None, None, None, None, None, None, False, seconds, message)
    value_difference = abs(certificate.value - best[4].value)
    cosine_difference = float(np.abs(gram.cosines - best[3].cosines).max())
    if row is best:
        verdict = "reference"
    elif certificate.relative_gap > CONCLUSIVE:
        verdict = "inconclusive"
    else:
        # The optimum of a loss with kinks need not be unique: then only the values must agree.
        same = value_difference <= 1e-7 * max(1.0, abs(best[4].value)) and (cosine_difference <= 1e-5 or not smooth)
        verdict = "agrees" if same else "disagrees"
    return Route(
        name,
        verdict,
        certificate.value,
        certificate.gap,
        certificate.relative_gap,
        certificate.cosine_residual,
        value_difference,
        cosine_difference,
        certificate.holds(tol),
        seconds,
        message,
    )
