"""Newton on the dual factor: two equations per orbit instead of a semidefinite program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Progress
from ..certificates.bipartite import Bipartite
from ..certificates.certificate import certify
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective
from .balance import balance
from .base import Attempt, Termination
from .bipartite import bipartite_optimum
from .closing import may_stay, opened, start_closed, wrongly_closed
from .coarse import coarsen
from .dual_step import DENSE, dual_step
from .kinks import polish_kinks
from .merging import class_points, opened_classes
from .spheres import State, gram_of
from .staircase import climb, narrow_start, refine, wide_start

# Steps in the logs are capped here: a factor e^2 in a weight, two temperatures in a cosine.
_CAP = 2.0
# Steps after which a solve of the 2K equations is given up: where it converges it does so sooner.
_PATIENCE = 120
# And after so many steps in a row that were each larger than the one before: where it converges, 5 at most were seen.
# So it goes where attraction wins somewhere, and u falls towards 0 for ever.
_ASTRAY = 10
# And after so many without one shorter than all before: 16 at most were seen. The others go round in circles.
_CIRCLING = 30
# A force, in units of what holds an orbit, below which Newton's steps from classes need no trust region; and above,
# as long as none turns a unit vector by more (0.13 at most was seen where they came to their end, 0.4 elsewhere).
_NEAR, _REACH = 0.03, 0.3


@dataclass(frozen=True)
class Newton:
    """Newton's method on the dual factor, with an active set for collapse.

    Where no classes merge, the slack matrix S of the certificate has rank one, S = u u^T with u > 0, so an optimum is

        dL/dG_ij = u_i u_j  (i != j)     and     sum_j G_ij u_j = 0  for every i.

    The first line gives every cosine from u and one scalar per row (its denominator), leaving 2K equations in 2K
    unknowns. Orbits whose cosine would exceed 1 are closed (merged into one point) and the system solved again. Where
    even then G is not positive semidefinite, a direction vanishes with no two classes equal; Newton on a product of
    spheres takes over from there: of full dimension (`minimise_on_spheres`), or, for many orbits and a guess of low
    rank, of as few dimensions as it takes (`climb`).

    Problems of many orbits start from their own solution on a few quadrature nodes, see `coarsen`.

    Attributes:
        tol: stop when, by quadratic convergence, one more step would change no logarithm by more than this.
        max_steps: Newton steps in all.
        enough: asked of Gram matrices on the way, where many orbits lose rank: True ends the search there. A loss can
            be proved to many digits long before the cosines have settled.
        turn: steps on spheres of full dimension after which it gives up, to leave the rest to another solver.

    Cost: 1-10 steps of O(K^2) each (GMRES); O(K^3) per step on the spheres.
    Fails: never silently: the answer of a failed run does not pass the certificate.
    Source: ours; derivation on the theory page.
    """

    tol: float = 1e-13
    max_steps: int = 400
    enough: Callable[[OrbitGram], bool] | None = None
    turn: int | None = None

    @property
    def name(self) -> str:
        """The name "newton"."""
        return "newton"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at the objective; `start` is a guess of the Gram matrix (the regular simplex if left out)."""
        report = progress or (lambda _: None)
        orbits = objective.orbits
        history: list[dict[str, float]] = []
        point = None
        if objective.smooth and start is None and len(orbits.sizes) > DENSE:
            point = _coarse_point(objective, self.tol)
        coarse = point is not None
        if point is None:
            gram = start if start is not None else OrbitGram.simplex(orbits)
            point = _point_at(objective, gram)
        if point is None:
            # A hinge that is satisfied everywhere, say: a convex function is minimal where no forces act.
            return Attempt(self.name, Termination.CONVERGED, gram, message="no forces act at the start")
        gram = point.gram
        if not objective.smooth:
            if start is None:
                return Attempt(
                    self.name, Termination.NOT_APPLICABLE, message="not smooth: Newton needs a start near by"
                )
            gram, termination, message = polish_kinks(objective, gram, history, report)
            return Attempt(self.name, termination, gram, len(history), message, tuple(history))
        pairs = _bipartite(objective, start, history, report)
        if pairs is not None:
            done = Termination.CONVERGED
            return Attempt(self.name, done, pairs, len(history), "dual factor of two kinds of atoms", tuple(history))
        even = balance(objective, history, report) if start is None else None
        if even is not None:
            done = Termination.CONVERGED
            return Attempt(self.name, done, even, len(history), "repulsion balances attraction", tuple(history))
        points = _in_points(objective, self.tol, history, report) if start is None else None
        if points is not None:
            done = Termination.CONVERGED
            return Attempt(self.name, done, points, len(history), "dual factor of rank one", tuple(history))
        closed = np.zeros(len(gram.sizes), bool)
        termination = Termination.STALLED
        while point is not None and len(history) < self.max_steps:
            trial, termination = _dual_newton(objective, point, closed, self.tol, self.max_steps, history, report)
            if trial is None and not coarse:
                break
            if trial is None:
                gram = OrbitGram.simplex(orbits)  # the coarse problem misled
            else:
                over = orbits.plural & ~closed & (np.diag(trial.gram.cosines) >= 1.0)
                if not over.any():
                    gram = _answer(trial)
                    break
                closed = closed | over
                gram = start_closed(orbits, closed)
            point, coarse = _point_at(objective, gram, closed), False
        if termination is Termination.CONVERGED and may_stay(objective, gram, closed):
            return Attempt(self.name, termination, gram, len(history), "dual factor of rank one", tuple(history))
        if len(history) >= self.max_steps:
            return Attempt(self.name, Termination.STEP_LIMIT, gram, len(history), "", tuple(history))
        report("the optimum loses rank: Newton on the spheres")
        places = class_points(objective, replace(self, turn=None)) if start is None else None
        if places is not None:
            vectors = opened_classes(objective, places)
            if vectors is None:
                gram = gram_of(orbits, places)
                done = Termination.CONVERGED
                return Attempt(self.name, done, gram, len(history), "no force acts on classes that are points")
            reach = np.inf if State.at(objective, vectors).force() < _NEAR else _REACH
            gram, termination = refine(objective, vectors, self.max_steps, history, report, reach)
            if termination is not Termination.CONVERGED and reach < np.inf:
                gram, termination = climb(objective, vectors, self.max_steps, history, report, resolutions=(1e-3,))
            if certify(objective, gram).holds():
                message = "from classes that are points"
                return Attempt(self.name, termination, gram, len(history), message, tuple(history))
            start = gram  # what is left of the way is not in any one class
        guesses = [guess for guess in (start, gram) if guess is not None]
        vectors = narrow_start(objective, guesses)
        most = self.max_steps if self.turn is None or vectors is not None or places is not None else self.turn
        if vectors is None:
            best = min(guesses, key=objective.resolved)
            vectors = wide_start(best)
        again = partial(_near_by, objective, self, history, report)
        gram, termination = climb(objective, vectors, most, history, report, self.enough, instead=again)
        if most < self.max_steps and termination is Termination.STEP_LIMIT:
            return Attempt(self.name, termination, None, len(history), f"rank loss: {most} steps on the spheres")
        return Attempt(self.name, termination, gram, len(history), "on the spheres (rank loss)", tuple(history))


def stationary_point(objective: Objective, start: OrbitGram | None = None, tol: float = 1e-13) -> OrbitGram | None:
    """The solution of the 2K equations with no orbit closed, its dual factor in `balance`; None where none is found.

    Where classes collapse it is virtual: cosines beyond 1, or a matrix that is not positive semidefinite. It moves
    smoothly with the problem, so the zero of its smallest eigenvalues says where collapse begins.
    """
    point = None
    if start is not None:
        point = _point_at(objective, OrbitGram(objective.orbits, start.cosines))
    elif len(objective.orbits.sizes) > DENSE:
        point = _coarse_point(objective, tol)
    if point is None:
        point = _point_at(objective, OrbitGram.simplex(objective.orbits))
    if point is None:
        return None
    none = np.zeros(len(point.log_u), bool)
    solved, termination = _dual_newton(objective, point, none, tol, _PATIENCE, [], lambda _: None)
    if solved is None or termination is not Termination.CONVERGED:
        return None
    return _answer(solved)


class _Point(NamedTuple):
    """Where Newton's method stands."""

    gram: OrbitGram
    log_u: Array


def _answer(point: _Point) -> OrbitGram:
    cosines = point.gram.cosines
    return OrbitGram(point.gram.orbits, (cosines + cosines.T) / 2.0, np.exp(point.log_u - point.log_u.max()))


def _near_by(
    objective: Objective, how: Newton, history: list[dict[str, float]], report: Progress, near: OrbitGram
) -> OrbitGram | None:
    """The optimum from the 2K equations, tried once more from a Gram matrix on the spheres; None where it is not found.

    S can have rank one where G has much less than full rank: a design for points of few dimensions is such. Directions
    in which both vanish make the steps on the spheres short, and these steps not at all; only they must start nearer.
    Forces that are not all repulsive have no such factor, which saves most of the attempts that come to nothing.
    """
    row = objective.row_gradient(near)
    if not np.all((row + row.T > 0) | (objective.orbits.partners == 0)):
        return None
    point = _point_at(objective, near)
    if point is None:
        return None
    closed = np.zeros(len(near.sizes), bool)
    found, termination = _dual_newton(objective, point, closed, how.tol, how.max_steps, history, report)
    if found is None or termination is not Termination.CONVERGED:
        return None
    gram = _answer(found)
    return gram if may_stay(objective, gram, closed) else None


def _bipartite(
    objective: Objective, start: OrbitGram | None, history: list[dict[str, float]], report: Progress
) -> OrbitGram | None:
    """The optimum of a loss of anchors and others, from both in the same points; None where it is not found."""
    loss = Bipartite.of(objective)
    if loss is None:
        return None
    if start is not None:
        guess = loss.between(start)
    else:
        merged = loss.merged
        guess = (stationary_point(merged) or OrbitGram.simplex(merged.orbits)).cosines

    def note(size: float) -> None:
        history.append({"step": len(history), "change": size})
        report(f"cosines and dual factor, step {len(history)}: change {size:.1e}")

    point = bipartite_optimum(loss, guess, note=note)
    return None if point is None or not point.definite else point.whole(objective.orbits)


def _in_points(objective: Objective, tol: float, history: list[dict[str, float]], report: Progress) -> OrbitGram | None:
    """The optimum from all orbits closed that attraction holds together, some opened again; None if it is not found.

    At low temperature nothing else is near: examples of a class that start apart find to each other in a hundred steps.
    """
    orbits = objective.orbits
    tied = orbits.plural & (np.diag(np.broadcast_to(objective.attraction, (len(orbits.sizes),) * 2)) > 0)
    point = _point_at(objective, start_closed(orbits, tied), tied) if tied.any() else None
    if point is None:
        return None
    closed = tied
    while point is not None:
        trial, termination = _dual_newton(objective, point, closed, tol, len(history) + _CIRCLING, history, report)
        if trial is None or termination is not Termination.CONVERGED:
            return None
        gram = _answer(trial)
        if may_stay(objective, gram, closed):
            return gram
        opening = wrongly_closed(objective, gram, closed)
        guess = opened(objective, gram, opening)
        if guess is None:
            return None
        closed = closed & ~opening
        point = _point_at(objective, guess, closed)
    return None


def _point_at(objective: Objective, gram: OrbitGram, closed: NDArray[np.bool_] | None = None) -> _Point | None:
    """A guess of G, with u from the diagonal of its slack matrix; None where no forces act.

    Of a closed orbit it is the force on its point: forces inside have no part in u.
    """
    row = objective.row_gradient(gram)  # not repulsion less attraction, of which nothing is left at low temperature
    forces = objective.orbits.partners * ((row + row.T) / 2.0)
    if not np.any(forces):
        return None
    units = np.ones(len(forces))
    if closed is not None:
        np.fill_diagonal(forces, np.where(closed, 0.0, np.diag(forces)))
        units = np.where(closed, gram.sizes, 1.0)
    balance = -np.einsum("ab,ab->a", forces, gram.cosines) / units
    least = 1e-12 * np.abs(balance).max() * objective.masses / objective.masses.max()
    return _Point(gram, 0.5 * np.log(np.maximum(balance, np.maximum(least, 1e-300))))


def _coarse_point(objective: Objective, tol: float) -> _Point | None:
    """The solution on quadrature nodes, interpolated: right to many digits where the loss is smooth in the masses."""
    coarse = coarsen(objective)
    if coarse is None:
        return None
    point = _point_at(coarse.objective, OrbitGram.simplex(coarse.objective.orbits))
    if point is None:
        return None
    none = np.zeros(len(point.log_u), bool)
    # The nodes are not worth more digits than a single step can add.
    solved, termination = _dual_newton(coarse.objective, point, none, max(tol, 1e-8), 20, [], lambda _: None)
    if solved is None or termination is not Termination.CONVERGED:
        return None
    cosines = coarse.extension @ solved.gram.cosines @ coarse.extension.T
    np.fill_diagonal(cosines, np.where(objective.orbits.plural, np.diag(cosines), 1.0))
    return _Point(OrbitGram(objective.orbits, cosines), coarse.extension @ solved.log_u)


def _dual_newton(
    objective: Objective,
    point: _Point,
    closed: NDArray[np.bool_],
    tol: float,
    max_steps: int,
    history: list[dict[str, float]],
    report: Progress,
) -> tuple[_Point | None, Termination]:
    """The solution of the 2K equations with the given orbits closed; its cosines may be virtual (beyond 1)."""
    # Cosines inside a point are not free: neither a single class's own nor a closed orbit's.
    held = closed | ~objective.orbits.plural
    gram, log_u = point
    previous, first, rising = np.inf, len(history), 0
    shortest, since = np.inf, 0
    while len(history) < max_steps:
        if len(history) - first >= _PATIENCE or rising >= _ASTRAY or since >= _CIRCLING:
            return None, Termination.STALLED  # astray: this is how a collapse shows that closes no orbit
        step = dual_step(objective, gram, held, log_u, tol)
        if step is None:
            return None, Termination.STALLED
        delta_log, delta = step
        size = float(max(np.abs(delta_log).max(), delta.max(), -delta.min()))
        if not np.isfinite(size):
            return None, Termination.STALLED
        rising = rising + 1 if size > max(previous, _CAP) else 0
        shortest, since = (size, 0) if size < shortest else (shortest, since + 1)
        damping = _CAP / max(size, _CAP)
        log_u = log_u + damping * delta_log
        delta *= damping * objective.temperature
        gram = OrbitGram(objective.orbits, gram.cosines + delta)
        history.append({"step": len(history), "change": size})
        report(f"Newton step {len(history)}: change {size:.1e}")
        # The next step would be about c size^2. Rounding ends the quadratic phase: small steps that no longer shrink
        # are as good as it gets.
        expected = max(1.0, size / previous**2) * size**2
        if not objective.exact_rows and np.isfinite(previous):
            expected = max(expected, size**2 / previous)  # linear convergence
        if min(size, expected) <= tol or (size < 1e-9 and size > 0.9 * previous):
            return _Point(gram, log_u), Termination.CONVERGED
        previous = size
    return _Point(gram, log_u), Termination.STEP_LIMIT
