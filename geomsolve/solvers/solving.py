"""`solve`: one way from an objective to a certified solution."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, overload

import numpy as np

from ..arrays import Progress
from ..certificates.certificate import Certificate, certify, check_tol
from ..errors import BackendError, NotCertified, ProblemError
from ..geometry.kernel import KernelGram
from ..geometry.kinds import KindGram, Kinds
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective
from ..objectives.logits.cross_entropy import CrossEntropy
from ..objectives.logits.layer_peeled import LayerPeeled
from .base import Attempt, Solver, Termination
from .conic.conic import Conic
from .descent.jax_descent import Descent
from .logits.layer_peeled import PeeledSolution, solve_peeled
from .logits.logit_solution import LogitSolution, solve_logits
from .newton.followers import Followers
from .newton.newton import Newton
from .newton.quadrature import Quadrature
from .solution import AttemptRecord, Quality, Solution

# Solvers by the names of the command line.
_MAKERS: dict[str, Callable[..., Any]] = {
    "newton": Newton,
    "quadrature": Quadrature,
    "followers": Followers,
    **{name: lambda name=name, **options: Conic(name, **options) for name in ("clarabel", "scs", "mosek", "moreau")},
    "descent": Descent,
}
SOLVERS = tuple(_MAKERS)
# Newton steps before the conic program has its turn, and the orbits up to which it has one.
_BRIEF, _MOST_CONIC = 150, 50


@overload
def solve(
    objective: CrossEntropy, *, tol: float = ..., throw: bool = ..., progress: Progress | None = ...
) -> LogitSolution: ...
@overload
def solve(
    objective: LayerPeeled, *, tol: float = ..., throw: bool = ..., progress: Progress | None = ...
) -> PeeledSolution: ...
@overload
def solve(
    objective: Objective,
    solver: Solver | str | None = ...,
    *,
    tol: float = ...,
    throw: bool = ...,
    start: OrbitGram | None = ...,
    progress: Progress | None = ...,
) -> Solution: ...
def solve(
    objective: Objective | CrossEntropy | LayerPeeled,
    solver: Solver | str | None = None,
    *,
    tol: float = 1e-9,
    throw: bool = True,
    start: OrbitGram | None = None,
    progress: Progress | None = None,
) -> Solution | LogitSolution | PeeledSolution:
    """The optimal Gram matrix of an objective, with the proof that it is optimal.

    Of the solvers that fit the objective (see `solvers_for`), or the given one alone, every answer is repaired and
    certified; the first that is CERTIFIED is returned, otherwise the one with the smallest gap, as UNCERTIFIED.

        minimise L(G)  over  G >= 0 (positive semidefinite), diag G = 1

    Args:
        objective: what a builder such as `SupCon` returns; of `CrossEntropy` the result is a LogitSolution,
            of `LayerPeeled` a PeeledSolution.
        solver: one solver (`Newton()`, `Conic(...)`, or a name of `SOLVERS`) instead of all that fit.
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
    optimum loses rank. Conic programs are tried up to 50 orbits.
    Source: ours; see the theory page.
    """
    if isinstance(objective, CrossEntropy):
        return solve_logits(objective, tol=tol, throw=throw, progress=progress)
    if isinstance(objective, LayerPeeled):
        return solve_peeled(objective, tol=tol, throw=throw, progress=progress)
    if not isinstance(objective, Objective):
        raise ProblemError(
            f"objective: must come from a builder such as geomsolve.SupCon; got {type(objective).__name__}"
        )
    if isinstance(solver, str):
        solver = build_solver(solver)
    if solver is not None and (isinstance(solver, type) or not hasattr(solver, "run")):
        raise ProblemError(
            f"solver: must be a solver object such as Newton(), Conic() or Descent(), or a name; got {solver!r:.60}"
        )
    tol = check_tol(tol)
    objective.check()
    solved = objective.grouped or objective
    if not (solver is None or isinstance(solver, (Followers, Newton))):
        solved = objective = objective.by_class()  # the others know orbits of atoms only
    if start is not None and not (isinstance(start, OrbitGram) and objective.orbits.same_as(start.orbits)):
        raise ProblemError(
            "start: must be an OrbitGram on the objective's own orbits, such as another solution's orbits"
        )
    records: list[AttemptRecord] = []
    best: tuple[Certificate, Attempt, OrbitGram | KernelGram] | None = None
    fitting = solvers_for(solved) if solver is None else [solver]
    for each in fitting:
        clock = time.perf_counter()
        attempt = _attempted(each, solved, start, progress, named=solver is not None)
        gram, certificate = attempt.gram, None
        if isinstance(gram, OrbitGram):
            start = gram  # for the next one, if there is one
        # What a solver was stopped at is a start for the last one, and not worth a proof.
        if gram is not None and not (attempt.termination is Termination.STEP_LIMIT and each is not fitting[-1]):
            certificate, given = certify(solved, gram, most=tol), gram
            if isinstance(gram, KindGram) and not isinstance(objective.orbits, Kinds):
                given = gram.written()
            if given is not gram and not certificate.holds(tol):
                again = certify(objective, given, most=tol)
                certificate = min(certificate, again, key=lambda found: _merit(found, tol))
            gram = given.repaired()[0]
            if best is None or _merit(certificate, tol) < _merit(best[0], tol):
                best = certificate, attempt, gram
        seconds = time.perf_counter() - clock
        records.append(
            AttemptRecord(attempt.solver, seconds, attempt.steps, attempt.termination, certificate, attempt.message)
        )
        if certificate is not None and certificate.holds(tol):
            break
    if best is None:
        # Nothing answered at all; the regular simplex is feasible, and its certificate says how far off it is.
        law = objective.law
        if isinstance(objective.orbits, Kinds):
            gram = KindGram.together(objective.orbits)
        else:
            gram = OrbitGram.simplex(objective.orbits) if law is None or law.writable else KernelGram.simplex(law.line)
        best = certify(objective, gram), Attempt("simplex", records[-1].termination, gram), gram
    certificate, attempt, gram = best
    if np.isinf(certificate.cosine_residual):  # left out where the gap was too large for it to matter
        certificate = replace(certificate, cosine_residual=certify(objective, gram).cosine_residual)
    solution = Solution(
        objective=objective,
        geometry=gram,
        certificate=certificate,
        quality=Quality.CERTIFIED if certificate.holds(tol) else Quality.UNCERTIFIED,
        termination=attempt.termination,
        solver=attempt.solver,
        stats=tuple(records),
        history=attempt.history,
    )
    if throw and solution.quality is Quality.UNCERTIFIED:
        lacking = certificate.lacking(tol)
        raise NotCertified(
            f"not certified at tol={tol:g}: relative gap {certificate.relative_gap:.2g}, cosine residual "
            f"{certificate.cosine_residual:.2g}{lacking and f': {lacking}'} ({solution.tried}); pass throw=False for "
            "the uncertified answer",
            solution,
        )
    return solution


def solvers_for(objective: Objective) -> list[Solver]:
    """The solvers that fit an objective, in the order in which `solve` tries them.

    A loss over orbits of classes goes by `Followers`, and where these lose rank by Newton's method on unit vectors. A
    smooth one that sees a class through its count goes by a Gauss rule of many distinct counts; then by Newton's
    method, and where there are few orbits the conic program. A loss with kinks goes by the conic program. Newton's
    method finishes what that gives.
    """
    found: list[Solver] = []
    if isinstance(objective.orbits, Kinds):
        return [Followers(), Newton()]
    if not objective.smooth:
        return [Newton(), Conic(), Newton()]  # the first only tells where nothing pushes, the last polishes
    if objective.law is not None and objective.law.worthwhile:
        found.append(Quadrature())
        if not objective.law.writable:
            return found
    if len(objective.orbits.sizes) <= _MOST_CONIC:
        return [*found, Newton(max_steps=_BRIEF), Conic(), Newton(near=True)]
    return [*found, Newton()]


def build_solver(name: str | None, *, max_steps: int | None = None, seed: int | None = None) -> Solver | None:
    """The solver of that name with its options, or None (all that fit) for None.

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
    if name not in _MAKERS:
        raise ProblemError(f"solver: must be one of {', '.join(SOLVERS)}; got {name!r:.40}")
    options: dict[str, Any] = {} if max_steps is None else {"max_steps": max_steps}
    if name == "quadrature" and options:
        raise ProblemError(f"max-steps: {name} has none to limit; got {max_steps} (leave it out)")
    if name == "descent":
        options["seed"] = seed or 0
    built: Solver = _MAKERS[name](**options)
    return built


def _attempted(
    solver: Solver, objective: Objective, start: OrbitGram | None, progress: Progress | None, named: bool
) -> Attempt:
    """What a solver makes of an objective, failures too: of several, one may fail; one asked for by name may not."""
    try:
        return solver.run(objective, start=start, progress=progress)
    except (np.linalg.LinAlgError, ArithmeticError) as error:
        return Attempt(solver.name, Termination.FAILED, message=f"{type(error).__name__}: {error}")
    except BackendError as error:
        if named:
            raise
        return Attempt(solver.name, Termination.NOT_APPLICABLE, message=str(error))


def _merit(certificate: Certificate, tol: float) -> tuple[bool, float]:
    return (not certificate.holds(tol), certificate.gap)
