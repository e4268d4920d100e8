"""Independent routes to one answer, and whether they agree: of an optimum here, of other answers in later wings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .. import __version__
from ..arrays import Progress
from ..certificates.certificate import Certificate, certify, check_tol
from ..errors import BackendError
from ..geometry.kernel import KernelGram
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective
from ..results import Result
from ..text import attributes, number, sentence, table
from .base import Attempt, Solver, Termination
from .conic.conic import Conic
from .descent.jax_descent import NO_GPU, Descent, check_device
from .newton.newton import Newton
from .newton.quadrature import Quadrature

# A route speaks on the optimum once its own certificate is this good; a worse one is not evidence either way.
CONCLUSIVE = 1e-5
# Classes (or samples) up to which descent of full dimension is a route.
MOST_DESCENDED = 600
_DIFFERENCES = ("value_difference", "cosine_difference")
_CERTIFIED = ("value", "gap", "relative_gap", "cosine_residual")


@dataclass(frozen=True, eq=False)
class Route:
    """One way to an answer, and how it compares with the others.

    Attributes:
        name: the solver.
        verdict: "reference", "agrees", "disagrees", "inconclusive" (its certificate is too weak to speak, or it did not
            converge), or "not applicable".
        seconds: wall time.
        message: what the solver says.
        found: the numbers that are compared, None where it has no answer: see the function that made the check.
        gram: its answer, or None.
        certificate: of that.
        termination: why the solver stopped.
    """

    name: str
    verdict: str
    seconds: float
    message: str
    found: Mapping[str, Any] = field(default_factory=dict)
    gram: OrbitGram | None = field(default=None, repr=False)
    certificate: Certificate | None = field(default=None, repr=False)
    termination: Termination | None = None

    @classmethod
    def taken(
        cls, solver: Solver, objective: Objective, start: OrbitGram | None = None, progress: Progress | None = None
    ) -> Route:
        """A solver's answer with its certificate, not compared yet: "inconclusive", or "not applicable"."""
        clock = time.perf_counter()
        try:
            if isinstance(solver, Descent) and objective.orbits.atoms > MOST_DESCENDED:
                raise BackendError(f"descent checks at most {MOST_DESCENDED} points; got {objective.orbits.atoms:g}")
            attempt = solver.run(objective, start=start, progress=progress)
        except BackendError as error:  # too large, or the route's package is not installed
            attempt = Attempt(solver.name, Termination.NOT_APPLICABLE, message=str(error))
        seconds = time.perf_counter() - clock
        found = attempt.gram.written(objective.orbits) if isinstance(attempt.gram, KernelGram) else attempt.gram
        gram = None if found is None else found.repaired()[0]
        certificate = None if gram is None else certify(objective, gram)
        verdict = "not applicable" if attempt.termination is Termination.NOT_APPLICABLE else "inconclusive"
        about = sentence(attempt.message)
        return cls(solver.name, verdict, seconds, about, {}, gram, certificate, attempt.termination)

    def judged(self, verdict: str | None = None, **found: Any) -> Route:
        """With a verdict, and the numbers it is about."""
        return replace(self, verdict=verdict or self.verdict, found={**self.found, **found})

    def to_dict(self) -> dict[str, Any]:
        """The route as a dictionary."""
        return {**attributes(self, "name", "verdict"), **self.found, **attributes(self, "seconds", "message")}


@dataclass(frozen=True, eq=False, repr=False)
class CrossCheck(Result):
    """An answer, and what independent routes say of it.

    Attributes:
        answer: what is checked: an objective, a Threshold or a Realization.
        title: it in words.
        about: it and its routes as a dictionary.
        routes: at the same optimum, or on both sides of a critical value.
        proved: whether what they are held against is proved to the tolerance asked for.
    """

    answer: Any = field(repr=False)
    title: str
    about: Mapping[str, Any]
    routes: tuple[Route, ...]
    proved: bool

    @property
    def compared(self) -> bool:
        """Whether any route but the reference is conclusive."""
        return any(route.verdict in ("agrees", "disagrees") for route in self.routes)

    @property
    def agree(self) -> bool:
        """Whether some route is conclusive, and every conclusive one agrees with what is proved."""
        return self.proved and self.compared and all(route.verdict != "disagrees" for route in self.routes)

    @property
    def ok(self) -> bool:
        """Whether the routes agree, or a certified one stands by itself because no other fits the size."""
        return self.agree or (not self.compared and any(route.found.get("certified") for route in self.routes))

    @property
    def outcome(self) -> str:
        """Whether the routes agree, in a sentence."""
        if not self.compared:
            limits = f"conic programs go to 60 distinct counts, descent to {MOST_DESCENDED} points"
            return f"Nothing to compare with: no other route is conclusive ({limits})."
        if any(route.verdict == "disagrees" for route in self.routes):
            return "The routes do NOT agree."
        return "The routes agree." if self.proved else "The routes agree, but NOT on what is proved so narrowly."

    @property
    def summary(self) -> str:
        """What was checked, and whether the routes agree."""
        return f"{self.title.splitlines()[0]}: {self.outcome}"

    def to_dict(self) -> dict[str, Any]:
        """The cross-check as a dictionary."""
        return {"agree": self.agree if self.compared else None, **self.about, "version": __version__}

    def lines(self) -> list[str]:
        """The cross-check as a table."""

        def cell(name: str, value: Any) -> str:
            if isinstance(value, bool):
                return "yes" if value else "no"
            return number(value, ".12g" if name in ("value", "excess") else ".1e")

        names = self.routes[0].found if self.routes else ()
        rows = [("route", "verdict", *(name.replace("_", " ") for name in names), "seconds")]
        for route in self.routes:
            cells = (cell(name, route.found[name]) for name in names)
            rows.append((route.name, route.verdict, *cells, number(route.seconds, ".2f")))
        notes = [
            f"  {route.name}: {route.message}"
            for route in self.routes
            if route.message and (route.verdict not in ("reference", "agrees") or route.message.startswith(NO_GPU))
        ]
        return [*self.title.splitlines(), "", *table(rows), *notes, "", self.outcome]


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
    only on paper: the loss is written once in numpy, once in cvxpy and once in JAX (batches of one view and a psi of
    your own in numpy only). Each answer is judged by `certify`.

    Args:
        objective: the problem.
        seeds: random starts of the descent.
        device: for JAX: "cpu", "gpu" or None for its default.
        tol: the relative gap called certified.
        progress: called with a line of text as the work goes on.

    Returns:
        A CrossCheck. The reference is the route of the smallest gap. They agree if it is certified, at least one other
        is conclusive (relative gap at most 1e-5), and every conclusive one has its value to 1e-7 of the loss (at least
        1) and, where the loss fixes them, its cosines to 1e-5. A route's numbers are value, gap, relative_gap and
        cosine_residual of its certificate, value_difference and cosine_difference from the reference, and certified.

    Raises:
        ProblemError: a bad tol or device.

    A route whose package is not installed (cvxpy, JAX) is "not applicable", and says so.
    """
    check_tol(tol)
    check_device(device)
    objective = objective.by_class()
    objective.check()
    taken: list[Route] = []
    start: OrbitGram | None = None
    for solver in _solvers(objective, seeds, device):
        if progress:
            progress(f"cross-check: {solver.name}")
        taken.append(Route.taken(solver, objective, start if isinstance(solver, Newton) else None, progress))
        if not objective.smooth and isinstance(solver, Conic) and start is None:
            start = taken[-1].gram
    best = min(taken, key=lambda route: float("inf") if route.certificate is None else route.certificate.gap)
    routes = tuple(_compared(route, best, objective.smooth, tol) for route in taken)
    counts = objective.counts
    about = {"reference": best.name, "objective": objective.name, "temperature": objective.temperature}
    about |= {} if counts is None else counts.to_dict()
    title = f"{objective.name}, temperature {objective.temperature:g}, differences from {best.name}"
    return CrossCheck(
        objective,
        title if counts is None else f"{title}\n{counts}",
        {**about, "routes": [route.to_dict() for route in routes]},
        routes,
        best.certificate is not None and best.certificate.holds(tol),
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


def _compared(route: Route, best: Route, smooth: bool, tol: float) -> Route:
    if route.certificate is None or best.certificate is None or route.gram is None or best.gram is None:
        return route.judged(**dict.fromkeys((*_CERTIFIED, *_DIFFERENCES)), certified=False)
    values = abs(route.certificate.value - best.certificate.value)
    cosines = float(abs(route.gram.cosines - best.gram.cosines).max())
    if route is best:
        verdict = "reference"
    elif route.certificate.relative_gap > CONCLUSIVE:
        verdict = "inconclusive"
    else:
        # The optimum of a loss with kinks need not be unique: then only the values must agree.
        same = values <= 1e-7 * max(1.0, abs(best.certificate.value)) and (cosines <= 1e-5 or not smooth)
        verdict = "agrees" if same else "disagrees"
    numbers = {**attributes(route.certificate, *_CERTIFIED), **dict(zip(_DIFFERENCES, (values, cosines), strict=True))}
    return route.judged(verdict, **numbers, certified=route.certificate.holds(tol))
