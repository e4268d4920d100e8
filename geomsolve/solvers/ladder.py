"""`solve`: one way from an objective to a certified solution."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import overload

import numpy as np

from ..arrays import Progress
from ..certificates.certificate import Certificate, certify, check_tol
from ..errors import BackendError, NotCertified, ProblemError
from ..geometry.kernel import KernelGram
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective
from ..objectives.cross_entropy import CrossEntropy
from .base import Attempt, Solver, Termination
from .logit_solution import LogitSolution, solve_logits
from .solution import AttemptRecord, Quality, Solution

# Orbits for which the interior comes before many steps on spheres, and what is many.
_INNER, _TURN = (16, 60), 40
# Classes up to which the ladder tries descent.
_MOST_DESCENDED = 200


@overload
def solve(
    objective: CrossEntropy, *, tol: float = ..., throw: bool = ..., progress: Progress | None = ...
) -> LogitSolution: ...
@overload
def solve(
    objective: Objective,
    solver: Solver | None = ...,
    *,
    tol: float = ...,
    throw: bool = ...,
    start: OrbitGram | None = ...,
    progress: Progress | None = ...,
) -> Solution: ...
def solve(
    objective: Objective | CrossEntropy,
    solver: Solver | None = None,
    *,
    tol: float = 1e-9,
    throw: bool = True,
    start: OrbitGram | None = None,
    progress: Progress | None = None,
) -> Solution | LogitSolution:
    """The optimal Gram matrix of an objective, with the proof that it is optimal.

    Runs the given solver, or the ladder: from 300 distinct counts on a Gauss rule of them, then Newton on the dual
    factor (with its collapse handling), the interior-point method where it fits or, for a loss with kinks, the conic
    program; descent over embeddings; the answers of the last two polished by Newton. Every answer is repaired and
    certified; the first that is CERTIFIED is returned, otherwise the one with the smallest gap, as UNCERTIFIED.

        minimise L(G)  over  G >= 0 (positive semidefinite), diag G = 1

    Args:
        objective: what a builder such as `SupCon` returns; of `CrossEntropy` the result is a LogitSolution.
        solver: one solver (`Newton()`, `Conic(...)`, `Descent(...)`) instead of the ladder.
        tol: the relative gap to certify, in (0, 1). What a solver reports is never asked.
        throw: raise NotCertified (which carries the solution) where nothing could be certified; False returns it.
        start: a guess of the Gram matrix, for instance the solution at a nearby temperature.
        progress: called with a line of text as the work goes on.

    Returns:
        A Solution: `.gram` (C, C) in the caller's class order, `.orbits` the same by distinct counts, `.value` in nats,
        `.certificate`, `.quality`, `.collapsed`, `.rank`, `.embed(dim)`, and every attempt in `.stats`.

    Raises:
        ProblemError: bad arguments.
        NotCertified: no attempt reached a certificate.

    Cost: with K distinct counts, a few O(K^2) Newton steps and one O(K^3) factorisation; O(K^3) a step where the
    optimum loses rank. Interior-point methods run to 83 orbits, conic programs to 100, descent to
    200 classes.
    Source: ours; see the theory page.
    """
    if isinstance(objective, CrossEntropy):
        return solve_logits(objective, tol=tol, throw=throw, progress=progress)
    if not isinstance(objective, Objective):
        raise ProblemError(
            f"objective: must come from a builder such as geomsolve.SupCon; got {type(objective).__name__}"
        )
    if solver is not None and (isinstance(solver, type) or not hasattr(solver, "run")):
        raise ProblemError(
            f"solver: must be a solver object such as Newton(), Conic() or Descent(); got {solver!r:.60}"
        )
    tol = check_tol(tol)
    objective.check()
    if start is not None and not (isinstance(start, OrbitGram) and objective.orbits.same_as(start.orbits)):
        raise ProblemError(
            "start: must be an OrbitGram on the objective's own orbits, such as another solution's orbits"
        )
    records: list[AttemptRecord] = []
    best: tuple[Certificate, Attempt, OrbitGram | KernelGram] | None = None
    for attempt, seconds in _attempts(objective, solver, start, progress, tol):
        clock = time.perf_counter()
        certificate, gram = None, attempt.gram
        if gram is not None:
            certificate = certify(objective, gram)
            gram = gram.repaired()[0]
        seconds += time.perf_counter() - clock
        records.append(
            AttemptRecord(attempt.solver, seconds, attempt.steps, attempt.termination, certificate, attempt.message)
        )
        if certificate is None or gram is None:
            continue
        if best is None or _merit(certificate, tol) < _merit(best[0], tol):
            best = certificate, attempt, gram
        if certificate.holds(tol):
            break
    if best is None:
        # Nothing answered at all; the regular simplex is feasible, and its certificate says how far off it is.
        law = objective.law
        gram = OrbitGram.simplex(objective.orbits) if law is None or law.writable else KernelGram.simplex(law.line)
        best = certify(objective, gram), Attempt("simplex", records[-1].termination, gram), gram
    certificate, attempt, gram = best
    quality = Quality.CERTIFIED if certificate.holds(tol) else Quality.UNCERTIFIED
    solution = Solution(
        objective=objective,
        geometry=gram,
        certificate=certificate,
        quality=quality,
        termination=attempt.termination,
        solver=attempt.solver,
        stats=tuple(records),
        history=attempt.history,
    )
    if throw and quality is Quality.UNCERTIFIED:
        tried = "; ".join(f"{r.solver}: {r.message or r.termination.value}" for r in records)
        why = _why(certificate, tol)
        raise NotCertified(
            f"not certified at tol={tol:g}: relative gap {certificate.relative_gap:.2g}, cosine residual "
            f"{certificate.cosine_residual:.2g}{why} ({tried}); pass throw=False for the uncertified answer",
            solution,
        )
    return solution


def _why(certificate: Certificate, tol: float) -> str:
    """What is missing where the value is proved and the cosines are not."""
    if certificate.relative_gap > tol:
        return ""
    if np.isinf(certificate.cosine_residual):
        return ": the value is proved, but forces that fix some cosines are below the rounding of float64"
    return ": the value is proved, but not all cosines are"


def _merit(certificate: Certificate, tol: float) -> tuple[bool, float]:
    return (not certificate.holds(tol), certificate.gap)


def _attempts(
    objective: Objective, solver: Solver | None, start: OrbitGram | None, progress: Progress | None, tol: float
) -> Iterator[tuple[Attempt, float]]:
    """The attempts, made as they are asked for, with their seconds."""

    def timed(rung: Solver, guess: OrbitGram | KernelGram | None) -> tuple[Attempt, float]:
        clock = time.perf_counter()
        try:
            attempt = rung.run(objective, start=guess if isinstance(guess, OrbitGram) else None, progress=progress)
        except (np.linalg.LinAlgError, ArithmeticError) as error:
            attempt = Attempt(rung.name, Termination.FAILED, message=f"{type(error).__name__}: {error}")
        except BackendError as error:
            if solver is not None:  # asked for by name; a rung of the ladder is only one of several
                raise
            attempt = Attempt(rung.name, Termination.NOT_APPLICABLE, message=str(error))
        return attempt, time.perf_counter() - clock

    if solver is not None:
        yield timed(solver, start)
        return
    law = objective.law
    if law is not None and start is None and objective.smooth and law.worthwhile:
        from .quadrature import Quadrature

        yield timed(Quadrature(), None)
        if not law.writable:
            return
    # The later rungs are imported only when they are reached: cvxpy takes seconds to import, JAX too.
    from .newton import Newton

    # Where Newton's method loses rank and comes to no end, the interior is quicker.
    brief = objective.smooth and start is None and _INNER[0] <= len(objective.masses) <= _INNER[1]
    first = timed(Newton(turn=_TURN if brief else None), start)
    yield first
    if objective.smooth:
        from .interior import Interior

        inner = timed(Interior(), None)
        yield inner
        if brief and first[0].gram is None:
            yield timed(Newton(), None)
        if inner[0].gram is None and first[0].gram is not None:
            # Where it came to rest far from the optimum in a direction that hardly counts, it begins anew.
            yield timed(Newton(), first[0].gram)
    else:
        from .conic import Conic

        conic = timed(Conic(), None)
        yield conic
        if conic[0].gram is not None:
            yield timed(Newton(), conic[0].gram)
    # A step of descent costs m^3: beyond this many classes the whole takes hours, so it has to be asked for.
    # And where pairs sit on a kink it comes nowhere near the digits that a certificate needs.
    if objective.orbits.atoms > _MOST_DESCENDED or not objective.smooth:
        return
    from .descent import Descent

    descent = timed(Descent(), None)
    yield descent
    if descent[0].gram is not None:
        yield timed(Newton(), descent[0].gram)
