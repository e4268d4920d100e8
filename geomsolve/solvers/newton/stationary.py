"""Newton's method on the dual factor with given orbits collapsed: two equations per orbit."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...geometry.orbit_gram import OrbitGram
from ...objectives.base import Objective
from ..base import Iteration, Termination
from .dual_step import dual_step

# Steps in the logs are capped here: a factor e^2 in a weight, two temperatures in a cosine.
_CAP = 2.0
# Steps without one shorter than all before after which it is given up: where it converges, 16 at most were seen.
_PATIENCE = 25
# A size of steps that rounding can make.
_ROUNDED = 1e-9


def stationary_point(objective: Objective, start: OrbitGram | None = None, tol: float = 1e-13) -> OrbitGram | None:
    """The solution of the 2K equations with no orbit collapsed, its dual factor in `balance`; None where none is found.

    Where classes collapse it is virtual: cosines beyond 1, or a matrix that is not positive semidefinite. It moves
    smoothly with the problem, so the zero of its smallest eigenvalues says where collapse begins.
    """
    gram = OrbitGram.simplex(objective.orbits) if start is None else OrbitGram(objective.orbits, start.cosines)
    point = point_at(objective, gram)
    settled = None if point is None else settle(objective, point, tol)
    return None if settled is None else answer(settled)


class Point(NamedTuple):
    """Where Newton's method stands, and the sizes of its last step."""

    gram: OrbitGram
    log_u: Array
    size: float = np.inf


def settle(objective: Objective, point: Point, tol: float) -> Point | None:
    """Where Newton's method comes to rest from there with no orbit collapsed, or None."""
    point, termination = dual_newton(objective, point, np.zeros(len(point.log_u), bool), tol, Iteration(120))
    return point if termination is Termination.CONVERGED else None


def answer(point: Point) -> OrbitGram:
    """The Gram matrix where Newton's method stands, its dual factor in `balance`."""
    cosines = point.gram.cosines
    return OrbitGram(point.gram.orbits, (cosines + cosines.T) / 2.0, np.exp(point.log_u - point.log_u.max()))


def point_at(objective: Objective, gram: OrbitGram, collapsed: NDArray[np.bool_] | None = None) -> Point | None:
    """A guess of G, with u from the diagonal of its slack matrix; None where no forces act.

    Of a collapsed orbit it is the force on its point: forces inside have no part in u.
    """
    row = objective.row_gradient(gram)  # not repulsion less attraction, of which nothing is left at low temperature
    forces = objective.orbits.partners * ((row + row.T) / 2.0)
    if not np.any(forces):
        return None
    units = np.ones(len(forces))
    if collapsed is not None:
        np.fill_diagonal(forces, np.where(collapsed, 0.0, np.diag(forces)))
        units = np.where(collapsed, gram.sizes, 1.0)
    radial = -np.einsum("ab,ab->a", forces, gram.cosines) / units
    least = 1e-12 * np.abs(radial).max() * objective.masses / objective.masses.max()
    return Point(gram, 0.5 * np.log(np.maximum(radial, np.maximum(least, 1e-300))))


def dual_newton(
    objective: Objective, point: Point, collapsed: NDArray[np.bool_], tol: float, loop: Iteration
) -> tuple[Point, Termination]:
    """The solution of the 2K equations with the given orbits collapsed; its cosines may be virtual (beyond 1)."""
    # Cosines inside a point are not free: neither a single class's own nor a collapsed orbit's.
    held = collapsed | ~objective.orbits.plural

    def step(at: Point) -> tuple[Point, float] | None:
        taken = dual_step(objective, at.gram, held, at.log_u, tol)
        if taken is None:
            return None
        delta_log, delta = taken
        size = float(max(np.abs(delta_log).max(), delta.max(), -delta.min()))
        if not np.isfinite(size):
            return None
        damping = _CAP / max(size, _CAP)
        delta *= damping * objective.temperature
        moved = Point(OrbitGram(objective.orbits, at.gram.cosines + delta), at.log_u + damping * delta_log, size)
        # By quadratic convergence the next step would be about c size^2; by linear, size^2 over the last.
        ahead = max(1.0, size / at.size**2) * size**2
        if not objective.exact_rows and np.isfinite(at.size):
            ahead = max(ahead, size**2 / at.size)
        return moved, min(size, ahead)

    return loop.run(step, point, "Newton on the dual factor", tol=tol, rounding=_ROUNDED, patience=_PATIENCE)
