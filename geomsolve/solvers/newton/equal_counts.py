"""Where classes of equal count collapse into one point: Newton on the dual factor, with an active set of orbits.

An orbit joins the set when its cosine would exceed 1 (`rank_one_optimum`). Classes of different counts that meet cost
the Gram matrix a dimension: `newton.py` then hands over to `staircase` in `spheres/riemannian.py`.
"""

import numpy as np
from numpy.typing import NDArray

from ...geometry.orbit_gram import OrbitGram, Orbits
from ...objectives.base import Objective
from ..base import Iteration, Termination
from .stationary import Point, answer, dual_newton, point_at


def rank_one_optimum(
    objective: Objective, start: Point, collapsed: NDArray[np.bool_], tol: float, loop: Iteration
) -> tuple[OrbitGram | None, OrbitGram]:
    """The optimum with S of rank one and some orbits collapsed, or None where there is none; and the last matrix."""
    orbits, gram = objective.orbits, start.gram
    point: Point | None = start
    if collapsed.any():
        point = point_at(objective, _with_points(orbits, collapsed), collapsed)
    while point is not None and not loop.full:
        point, termination = dual_newton(objective, point, collapsed, tol, loop)
        if termination is not Termination.CONVERGED:
            break
        over = orbits.plural & ~collapsed & (np.diag(point.gram.cosines) >= 1.0)
        if not over.any():
            gram = answer(point)
            # Orbits of many atoms in one point have eigenvalues of as many units, and ulps of these in the least one.
            rounded = max(1e-9, 64.0 * np.finfo(float).eps * gram.atoms)
            optimal = gram.smallest_eigenvalue > -rounded and not wrongly_collapsed(objective, gram, collapsed).any()
            return gram if optimal else None, gram
        collapsed = collapsed | over
        gram = _with_points(orbits, collapsed)
        point = point_at(objective, gram, collapsed)
    return None, gram


def wrongly_collapsed(objective: Objective, gram: OrbitGram, collapsed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(K,) the collapsed orbits whose opening would lower the loss: closing several at once can close too many."""
    if not collapsed.any():
        return collapsed
    row = objective.row_gradient(gram)  # not as a difference: at low temperature that has no digits inside a point
    forces = (row + row.T) / 2.0
    own = np.diag(forces)
    spread = -np.einsum("ab,ab->a", objective.orbits.partners * forces, gram.cosines) - own
    scale = np.einsum("ab,ab->a", objective.orbits.partners, np.abs(forces))
    return collapsed & (spread < -1e-9 * scale)


def _with_points(orbits: Orbits, collapsed: NDArray[np.bool_]) -> OrbitGram:
    """The regular simplex of what is left when the collapsed orbits are points."""
    points = np.where(collapsed, 1.0, orbits.sizes).sum()
    cosines = OrbitGram.simplex(orbits).cosines * (orbits.atoms - 1.0) / max(points - 1.0, 1.0)
    np.fill_diagonal(cosines, np.where(collapsed | ~orbits.plural, 1.0, np.diag(cosines)))
    return OrbitGram(orbits, cosines)
