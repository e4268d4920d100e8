"""Weighted InfoNCE in a given number of coordinates: is the entropy bound attained there, and how far off at best?"""

from dataclasses import dataclass, field

import numpy as np

from ..arrays import Array, Progress
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..geometry.unit_rows import fitted, unit
from ..solvers.descent.factor_descent import minimise
from ..solvers.descent.point_losses import point_loss
from ..solvers.points.embedding import check_dim
from .verdicts import Realization, Verdict

# Arrays over all pairs of samples.
_MOST_SAMPLES = 5000
# Starts, and numbers of the points up to which there are so many, and Newton's method ends the best descent; how far
# the first is from the best geometry's leading axes.
_STARTS, _FEW, _NOISE = 8, 3000, 1e-3


@dataclass(frozen=True, eq=False)
class InDimension:
    """The best known geometry in `dim` coordinates, and what is proved of it.

    Attributes:
        dim: coordinates.
        realizable: whether the entropy bound is attained in as many.
        points: (N, dim) unit rows, samples in the caller's order.
        excess: their mean KL(w_i || p_i), the loss above the entropy bound, in nats.
        excess_per_sample: (N,) KL(w_i || p_i).
        excess_lower: proved: no points in any number of coordinates have a smaller excess.
        exact: whether no points in any number of coordinates are better (within the interval of the realization);
            otherwise the points are the best of several descents.
    """

    dim: int
    realizable: bool
    points: Array = field(repr=False)
    excess: float
    excess_per_sample: Array = field(repr=False)
    excess_lower: float
    exact: bool


def realize_in(
    realization: Realization,
    dim: int,
    *,
    seconds: float = 20.0,
    progress: Progress | None = None,
) -> InDimension:
    """The geometry of weighted InfoNCE in `dim` coordinates.

    Where the verdict is REALIZABLE the entropy bound is attained in `dim` coordinates iff dim >= realization.min_dim.

    Below the rank a descent starts from the best geometry's leading axes, and up to 3000 numbers seven times from
    random points (`minimise`); all ends after `seconds`.

    Raises:
        ProblemError: dim below 1, or a descent in one coordinate or over more than 5000 samples.

    Cost: 8 N dim bytes; below the rank O(N^2 dim) a step of a start.
    Source: ours.
    """
    weighting = realization.weighting
    check_dim(dim, weighting.orbits.atoms)
    dim, realizable = int(dim), realization.verdict is Verdict.REALIZABLE
    if realization.min_dim is not None and dim >= realization.min_dim:
        return InDimension(
            dim, realizable, unit(fitted(realization.gram.embed(), dim)), realization.excess,
            realization.excess_per_sample, realization.excess_lower, True,
        )  # fmt: skip
    if dim == 1:
        raise ProblemError("dim: 1 leaves two points on the sphere, 1 and -1, and nothing to descend; write 2 or more")
    if weighting.samples > _MOST_SAMPLES:
        raise ProblemError(f"dim: below the rank at most {_MOST_SAMPLES} samples; got {weighting.samples} (a subset)")
    objective = realization.objective.ungrouped()
    few, rng = weighting.samples * dim <= _FEW, np.random.default_rng(0)
    drawn = rng.standard_normal((_STARTS if few else 1, weighting.samples, dim))
    # No row begins at 0, where it would stay.
    starts = [fitted(realization.points, dim) + _NOISE * drawn[0], *drawn[1:]]
    points = minimise(
        point_loss(objective), starts, positive=True, seconds=seconds, polish=few, second_order=few, progress=progress
    ).points
    cosines = points @ points.T
    np.fill_diagonal(cosines, 1.0)
    found = OrbitGram(objective.orbits, cosines)
    each = objective.divergences(found)
    return InDimension(dim, False, points, float(each.mean()), each, realization.excess_lower, False)
