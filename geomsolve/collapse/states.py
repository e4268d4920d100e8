"""Minority collapse of two-level counts: the multiplier that decides whether merging the minority is optimal."""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from ..arrays import Array
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective

# Where a loss is linear in the cosines the two forces can be equal at every ratio: rounding is not to decide then. The
# collapsed geometry is optimal, though not alone.
_TIE = 1e-11


class Collapse(NamedTuple):
    """The best geometry with all minority classes in one point, and what its multiplier says.

    Attributes:
        margin: log of the force that holds the minority together over the force that drives it apart. The geometry is
            optimal where this is 0 or more; below, splitting the minority lowers the loss.
        cross: the cosine of a majority class with the minority's point.
    """

    margin: float
    cross: float

    def gram(self, objective: Objective) -> OrbitGram:
        """The geometry as a Gram matrix of the objective."""
        return _geometry(objective, self.cross)


def minority_collapse(objective: Objective) -> Collapse:
    """The multiplier of the collapsed geometry of two orbits, n_A majority and n_B >= 2 minority classes.

    With the minority in one point, G has one free number, the cosine b between the groups: at the optimum G is
    singular, so two majority classes have the cosine a = (n_A b^2 - 1)/(n_A - 1), and b minimises a convex function,

        n_A b D_AA + n_B D_AB = 0,    or b = -1 where this is not negative there (always if n_A = 1),

    D the symmetrised derivative of the loss in one cosine. The slack matrix of the certificate then has eigenvalue
    -n_A b D_AB - n_B D_BB on differences of minority classes and is positive semidefinite elsewhere, so the geometry is
    optimal, and minority collapse happens, exactly if

        n_A D_AB >= n_B D_BB    (b = -1),        D_AB^2 >= D_AA D_BB    (b > -1).

    At a kink of the loss D is the subgradient for which the equation for b holds.

    Raises:
        ProblemError: another number of orbits, a single minority class, or a loss with attraction between classes.

    Cost: one evaluation of the loss's derivative if n_A = 1, some ten otherwise.
    Source: ours; for one majority class and one negative it gives the closed forms on the theory page.
    """
    sizes = objective.orbits.sizes
    if len(sizes) != 2 or sizes[1] < 2:
        raise ProblemError(f"counts: must be of two kinds, the second of two classes or more; got sizes {sizes}")
    if not isinstance(objective.attraction, float):
        raise ProblemError(
            f"objective: {objective.name} pulls classes together; this multiplier is for losses that do not"
        )
    n_a, n_b = map(float, sizes)

    def forces(cross: float) -> Array:
        row = objective.row_gradient(_geometry(objective, cross))
        return np.array([row[0, 0], (row[0, 1] + row[1, 0]) / 2.0, row[1, 1]])

    def balance(cross: float) -> float:
        aa, ab, _ = forces(cross)
        return float(n_a * cross * aa + n_b * ab)

    # Seen from inside, so that a kink at the antipode counts with the slope that it has on the sphere.
    antipode = -1.0 + 2.0**-52
    if n_a == 1 or balance(antipode) >= 0:
        _, ab, bb = forces(antipode)
        return Collapse(_log_ratio(n_a * ab, n_b * bb), -1.0)
    cross = -1.0
    if objective.smooth:
        # As the majority outweighs the rest b goes to 0 like a power of the ratio. In log(-b) the equation is almost
        # linear there, because the forces no longer depend on b.
        def pull(depth: float) -> float:
            aa, ab, _ = forces(-math.exp(-depth))
            return max(-1e3, min(1e3, _log_ratio(n_a * aa, n_b * ab) - depth))

        cross = -math.exp(-float(brentq(pull, 0.0, 500.0, xtol=1e-15, rtol=1e-15)))
    aa, ab, bb = forces(cross)
    if objective.smooth and abs(n_a * cross * aa + n_b * ab) <= 1e-9 * n_b * ab:
        return Collapse(math.log(ab / aa * (ab / bb)), cross)
    # The slope may jump at the minimum: the subgradient in balance lies between those of the two sides.
    low, high = antipode, -1e-250
    while high - low > -1e-13 * low:
        cross = -math.sqrt(-low) * math.sqrt(-high) if low < 4.0 * high else (low + high) / 2.0
        low, high = (cross, high) if balance(cross) < 0 else (low, cross)
    sides = forces(low), forces(high)
    before, after = (n_a * cross * side[0] + n_b * side[1] for side in sides)
    share = -before / (after - before) if after > before else 1.0
    _, ab, bb = (1.0 - share) * sides[0] + share * sides[1]
    margin = _log_ratio(-n_a * cross * ab, n_b * bb)
    if abs(margin) < _TIE:
        margin = _TIE / 10.0
    return Collapse(margin, cross)


def _geometry(objective: Objective, cross: float) -> OrbitGram:
    heads = float(objective.orbits.sizes[0])
    majority = (heads * cross**2 - 1.0) / (heads - 1.0) if heads > 1 else 1.0
    return OrbitGram(objective.orbits, np.array([[majority, cross], [cross, 1.0]]))


def _log(force: float) -> float:
    return math.log(force) if force > 0 else -math.inf


def _log_ratio(holding: float, driving: float) -> float:
    return _log(holding) - _log(driving) if driving > 0 else math.inf
