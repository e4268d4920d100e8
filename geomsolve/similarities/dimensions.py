"""Weighted InfoNCE in a given number of coordinates: is the entropy bound attained there, and how far off at best?"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from ..arrays import Array, Progress
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..geometry.unit_rows import unit
from ..objectives.weighted.weighted import WeightedSoftmax
from ..solvers.points.embedding import check_dim
from .factors import FactorLoss, descend, polish
from .intervals import first_rows
from .verdicts import Realization, Verdict, principal

# Arrays over all pairs of samples.
_MOST_SAMPLES = 5000
# Starts, and numbers up to which Newton's method ends a descent.
_STARTS, _FEW = 8, 3000
_STEPS = 2000


@dataclass(frozen=True, eq=False)
class InDimension:
    """The best known geometry in `dim` coordinates, and what is proved of it.

    Attributes:
        dim: coordinates.
        realizable: whether the entropy bound is attained in as many.
        reason: why, in a sentence.
        points: (N, dim) unit rows, samples in the caller's order.
        excess: their mean KL(w_i || p_i), the loss above the entropy bound, in nats.
        excess_per_sample: (N,) KL(w_i || p_i).
        excess_lower: proved: no points in any number of coordinates have a smaller excess.
        exact: whether no points in any number of coordinates are better (within the interval of the realization);
            otherwise the points are the best of several descents.
    """

    dim: int
    realizable: bool
    reason: str
    points: Array = field(repr=False)
    excess: float
    excess_per_sample: Array = field(repr=False)
    excess_lower: float
    exact: bool


def realize_in(
    realization: Realization,
    dim: int,
    *,
    restarts: int | None = None,
    seed: int = 0,
    seconds: float = 20.0,
    progress: Progress | None = None,
) -> InDimension:
    """The geometry of weighted InfoNCE in `dim` coordinates.

    Where the verdict is REALIZABLE the entropy bound is attained in `dim` coordinates iff dim >= realization.min_dim.

    Below the rank a descent starts from the best geometry's leading axes, and `restarts` - 1 times from random points
    (None: 8 in all, or one for more than 3000 numbers); none begins after `seconds`.

    Raises:
        ProblemError: dim or restarts below 1, or a descent in one coordinate or over more than 5000 samples.

    Cost: 8 N dim bytes; below the rank O(N^2 dim) a step of a start.
    Source: ours.
    """
    weighting = realization.weighting
    if dim is None:
        raise ProblemError("dim: must be a whole number of at least 1; got None")
    check_dim(dim, weighting.orbits.atoms)
    wrong = isinstance(restarts, bool) or not isinstance(restarts, (int, np.integer, type(None)))
    if wrong or (restarts is not None and restarts < 1):
        raise ProblemError(f"restarts: must be a whole number of at least 1; got {restarts!r}")
    dim, realizable = int(dim), realization.verdict is Verdict.REALIZABLE
    if realization.min_dim is not None and dim >= realization.min_dim:
        reason = (
            f"the entropy bound is attained in {realization.min_dim} coordinates"
            if realizable
            else f"no number of coordinates attains the entropy bound; the best geometry of all fits into {dim}"
        )
        return InDimension(
            dim, realizable, reason, principal(realization.gram.embed(), dim), realization.excess,
            realization.excess_per_sample, realization.excess_lower, True,
        )  # fmt: skip
    if dim == 1:
        raise ProblemError("dim: 1 leaves two points on the sphere, 1 and -1, and nothing to descend; write 2 or more")
    if weighting.samples > _MOST_SAMPLES:
        raise ProblemError(f"dim: below the rank at most {_MOST_SAMPLES} samples; got {weighting.samples} (a subset)")
    if restarts is None:
        restarts = _STARTS if weighting.samples * dim <= _FEW else 1
    objective = realization.objective.ungrouped()
    points = _descended(objective, realization.gram.ungrouped(), dim, restarts, seed, seconds, progress)
    cosines = points @ points.T
    np.fill_diagonal(cosines, 1.0)
    found = OrbitGram(objective.orbits, cosines)
    each = objective.divergences(found)
    reason = "no number of coordinates attains the entropy bound"
    if realization.min_dim is not None:
        reason = f"the geometry that {'attains the entropy bound' if realizable else 'is best'} has rank"
        reason += f" {realization.min_dim}, more than {dim}"
    return InDimension(dim, False, reason, points, float(each.mean()), each, realization.excess_lower, False)


def _descended(
    objective: WeightedSoftmax,
    gram: OrbitGram,
    dim: int,
    restarts: int,
    seed: int,
    seconds: float,
    progress: Progress | None,
) -> Array:
    """(N, dim) the best unit rows of several descents."""
    report = progress or (lambda _: None)
    loss, rng = FactorLoss.of(objective), np.random.default_rng(seed)
    deadline = time.monotonic() + seconds
    best, lowest = np.empty(0), np.inf
    for start in range(restarts):
        shape = (len(loss.sizes), dim)
        rows = first_rows(gram, dim)[:, :-1] if start == 0 else unit(rng.standard_normal(shape))
        if rows.shape[1] < dim:
            rows = np.pad(rows, ((0, 0), (0, dim - rows.shape[1])))
        rows = np.column_stack([rows, np.zeros(len(rows))])

        def told(value: float, _: Array, start: int = start) -> None:
            report(f"in {dim} coordinates, start {start + 1} of {restarts}: excess {value:.4g} nats")

        rows, _ = descend(loss, rows, _STEPS, 1e-9, deadline, told)
        rows = polish(loss, rows, deadline) if rows.size <= _FEW else rows
        value = loss(rows)[0]
        if value < lowest:
            best, lowest = rows[:, :-1], value
        if time.monotonic() > deadline:
            break
    return best
