"""Newton on the dual factor: two equations per orbit instead of a semidefinite program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array, Progress
from ...certificates.bipartite import Bipartite
from ...geometry.orbits import OrbitGram, Orbits
from ...objectives.base import Objective
from ...objectives.kinds.parts import parts_of
from ..base import Attempt, Iteration, Termination
from ..spheres.riemannian import climb, start_at
from ..spheres.spheres import gram_of
from .bipartite import bipartite_optimum
from .dual_step import dual_step
from .factor_newton import balance
from .kinks import polish_kinks

# Steps in the logs are capped here: a factor e^2 in a weight, two temperatures in a cosine.
_CAP = 2.0
# Steps without one shorter than all before after which it is given up: where it converges, 16 at most were seen.
_PATIENCE = 25
# A size of steps that rounding can make.
_ROUNDED = 1e-9


@dataclass(frozen=True)
class Newton:
    """Newton's method on the dual factor, with an active set for collapse; where rank is lost, on unit vectors.

    Where no classes merge, the slack matrix S of the certificate has rank one, S = u u^T with u > 0, so an optimum is

        dL/dG_ij = u_i u_j  (i != j)     and     sum_j G_ij u_j = 0  for every i.

    The first line gives every cosine from u and one scalar per row (its denominator), leaving 2K equations in 2K
    unknowns. Orbits whose cosine would exceed 1 are closed (merged into one point) and the system solved again. Where
    attraction balances every repulsion S is 0, see `balance`; a loss of two kinds of atoms has a factor of its own, see
    `bipartite_optimum`. Where even then G is not positive semidefinite, a direction vanishes with no two classes equal:
    Newton on a product of spheres takes over from there, see `climb`.

    Attributes:
        tol: stop when, by quadratic convergence, one more step would change no logarithm by more than this.
        max_steps: Newton steps in all.
        enough: asked of Gram matrices on the way, where many orbits lose rank: True ends the search there. A loss can
            be proved to many digits long before the cosines converge.

    Cost: 4-10 steps of O(K^2) each (GMRES); O(K^2 p) per product with the Hessian on spheres of p dimensions.
    Fails: never silently: the answer of a failed run does not pass the certificate.
    Source: ours; derivation on the theory page.
    """

    tol: float = 1e-13
    max_steps: int = 400
    enough: Callable[[OrbitGram], bool] | None = None

    @property
    def name(self) -> str:
        """The name "newton"."""
        return "newton"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at the objective; `start` is a guess of the Gram matrix (the regular simplex if left out)."""
        loop = Iteration(self.max_steps, progress)
        gram = start if start is not None else OrbitGram.simplex(objective.orbits)
        if _point_at(objective, gram) is None:
            # A hinge that is satisfied everywhere, say: a convex function is minimal where no forces act.
            return loop.attempt(self.name, Termination.CONVERGED, gram, "no forces act at the start")
        if not objective.smooth:
            if start is None:
                message = "not smooth: Newton needs a start near by"
                return loop.attempt(self.name, Termination.NOT_APPLICABLE, None, message)
            gram, termination, message = polish_kinks(objective, gram, loop)
            return loop.attempt(self.name, termination, gram, message)
        found = _bipartite(objective, start, loop)
        if found is not None:
            return loop.attempt(self.name, Termination.CONVERGED, found, "dual factor of two kinds of atoms")
        if start is None:
            found = balance(objective, loop)
            if found is not None:
                return loop.attempt(self.name, Termination.CONVERGED, found, "attraction balances repulsion")
            # At low temperature examples of a class that start apart find to each other in a hundred steps.
            drawn = np.diag(np.broadcast_to(objective.attraction, (len(gram.sizes),) * 2)) > 0
            tied = objective.orbits.plural & drawn
            found = _rank_one(objective, gram, tied, self.tol, loop)[0] if tied.any() else None
        if found is None:
            found, gram = _rank_one(objective, gram, np.zeros(len(gram.sizes), bool), self.tol, loop)
        if found is not None:
            return loop.attempt(self.name, Termination.CONVERGED, found, "dual factor of rank one")
        loop.say("the optimum loses rank: Newton on unit vectors")
        guesses = (start, gram, _kinds_together(objective))
        starts = [start_at(guess) for guess in guesses if guess is not None]
        vectors = min(starts, key=lambda point: objective.resolved(gram_of(objective.orbits, point)))
        gram, termination = climb(objective, vectors, loop, self.enough)
        return loop.attempt(self.name, termination, gram, "on unit vectors (rank loss)")


def stationary_point(objective: Objective, start: OrbitGram | None = None, tol: float = 1e-13) -> OrbitGram | None:
    """The solution of the 2K equations with no orbit closed, its dual factor in `balance`; None where none is found.

    Where classes collapse it is virtual: cosines beyond 1, or a matrix that is not positive semidefinite. It moves
    smoothly with the problem, so the zero of its smallest eigenvalues says where collapse begins.
    """
    gram = OrbitGram.simplex(objective.orbits) if start is None else OrbitGram(objective.orbits, start.cosines)
    point = _point_at(objective, gram)
    if point is None:
        return None
    point, termination = _dual_newton(objective, point, np.zeros(len(gram.sizes), bool), tol, Iteration(120))
    return _answer(point) if termination is Termination.CONVERGED else None


class _Point(NamedTuple):
    """Where Newton's method stands, and the sizes of its last step."""

    gram: OrbitGram
    log_u: Array
    size: float = np.inf


def _answer(point: _Point) -> OrbitGram:
    cosines = point.gram.cosines
    return OrbitGram(point.gram.orbits, (cosines + cosines.T) / 2.0, np.exp(point.log_u - point.log_u.max()))


def _bipartite(objective: Objective, start: OrbitGram | None, loop: Iteration) -> OrbitGram | None:
    """The optimum of a loss of anchors and others, from both in the same points; None where it is not found."""
    loss = Bipartite.of(objective)
    if loss is None:
        return None
    if start is not None:
        guess = loss.between(start)
    else:
        merged = loss.merged
        guess = (stationary_point(merged) or OrbitGram.simplex(merged.orbits)).cosines
    point = bipartite_optimum(loss, guess, note=lambda size: loop.note("cosines and dual factor", size))
    return None if point is None or not point.definite else point.whole(objective.orbits)


def _rank_one(
    objective: Objective, gram: OrbitGram, closed: NDArray[np.bool_], tol: float, loop: Iteration
) -> tuple[OrbitGram | None, OrbitGram]:
    """The optimum with S of rank one and some orbits closed, or None where there is none; and the last Gram matrix."""
    orbits = objective.orbits
    if closed.any():
        gram = _with_points(orbits, closed)
    while not loop.full:
        point = _point_at(objective, gram, closed)
        if point is None:
            break
        point, termination = _dual_newton(objective, point, closed, tol, loop)
        if termination is not Termination.CONVERGED:
            break
        over = orbits.plural & ~closed & (np.diag(point.gram.cosines) >= 1.0)
        if not over.any():
            gram = _answer(point)
            # Orbits of many atoms in one point have eigenvalues of as many units, and ulps of these in the least one.
            rounded = max(1e-9, 64.0 * np.finfo(float).eps * gram.atoms)
            optimal = gram.smallest_eigenvalue > -rounded and not _wrongly_closed(objective, gram, closed).any()
            return gram if optimal else None, gram
        closed = closed | over
        gram = _with_points(orbits, closed)
    return None, gram


def _kinds_together(objective: Objective) -> OrbitGram | None:
    """The regular simplex of classes, all kinds of atoms of a class in one point; None for losses of one kind."""
    parts = parts_of(objective)
    if parts is None or len(set(parts.names)) < 2 or np.any(objective.orbits.plural):
        return None
    classes = np.array(parts.classes)
    together = classes[:, None] == classes
    return OrbitGram(objective.orbits, np.where(together, 1.0, -1.0 / max(int(classes.max()), 1)))


def _wrongly_closed(objective: Objective, gram: OrbitGram, closed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(K,) which closed orbits open, because the loss falls with it: closing several at once can close too many."""
    if not closed.any():
        return closed
    row = objective.row_gradient(gram)  # not as a difference: at low temperature that has no digits inside a point
    forces = (row + row.T) / 2.0
    own = np.diag(forces)
    spread = -np.einsum("ab,ab->a", objective.orbits.partners * forces, gram.cosines) - own
    scale = np.einsum("ab,ab->a", objective.orbits.partners, np.abs(forces))
    return closed & (spread < -1e-9 * scale)


def _with_points(orbits: Orbits, closed: NDArray[np.bool_]) -> OrbitGram:
    """The regular simplex of what is left when the closed orbits are points."""
    points = np.where(closed, 1.0, orbits.sizes).sum()
    cosines = OrbitGram.simplex(orbits).cosines * (orbits.atoms - 1.0) / max(points - 1.0, 1.0)
    np.fill_diagonal(cosines, np.where(closed | ~orbits.plural, 1.0, np.diag(cosines)))
    return OrbitGram(orbits, cosines)


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
    radial = -np.einsum("ab,ab->a", forces, gram.cosines) / units
    least = 1e-12 * np.abs(radial).max() * objective.masses / objective.masses.max()
    return _Point(gram, 0.5 * np.log(np.maximum(radial, np.maximum(least, 1e-300))))


def _dual_newton(
    objective: Objective, point: _Point, closed: NDArray[np.bool_], tol: float, loop: Iteration
) -> tuple[_Point, Termination]:
    """The solution of the 2K equations with the given orbits closed; its cosines may be virtual (beyond 1)."""
    # Cosines inside a point are not free: neither a single class's own nor a closed orbit's.
    held = closed | ~objective.orbits.plural

    def step(at: _Point) -> tuple[_Point, float] | None:
        taken = dual_step(objective, at.gram, held, at.log_u, tol)
        if taken is None:
            return None
        delta_log, delta = taken
        size = float(max(np.abs(delta_log).max(), delta.max(), -delta.min()))
        if not np.isfinite(size):
            return None
        damping = _CAP / max(size, _CAP)
        delta *= damping * objective.temperature
        moved = _Point(OrbitGram(objective.orbits, at.gram.cosines + delta), at.log_u + damping * delta_log, size)
        # By quadratic convergence the next step would be about c size^2; by linear, size^2 over the last.
        ahead = max(1.0, size / at.size**2) * size**2
        if not objective.exact_rows and np.isfinite(at.size):
            ahead = max(ahead, size**2 / at.size)
        return moved, min(size, ahead)

    return loop.run(step, point, "Newton on the dual factor", tol=tol, rounding=_ROUNDED, patience=_PATIENCE)
