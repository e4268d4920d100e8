"""Weighted InfoNCE in a given number of coordinates: is the entropy bound attained there, and how far off at best?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Progress
from ..errors import ProblemError
from ..geometry.orbits import OrbitGram
from ..objectives.base import check_temperature
from ..objectives.logweights import divergences, row_normalised
from ..objectives.weightings import Weighting
from ..solvers.embedding import check_dim
from .verdicts import Realization, Verdict

Indices = NDArray[np.intp]

_EPS = float(np.finfo(np.float64).eps)
# Rows of a block, each of which is a singular value decomposition or ten.
_LARGEST_BLOCK = 512
# Arrays over all pairs of samples.
_MOST_SAMPLES = 4000


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
        excess_lower_bound: proved: no points in `dim` coordinates have a smaller excess.
        exact: whether no points in any number of coordinates are better (to the gap of the certificate); otherwise the
            points are the best of several descents.
    """

    dim: int
    realizable: bool
    reason: str
    points: Array = field(repr=False)
    excess: float
    excess_per_sample: Array = field(repr=False)
    excess_lower_bound: float
    exact: bool


def realize_in(
    realization: Realization,
    dim: int,
    *,
    restarts: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> InDimension:
    """The geometry of weighted InfoNCE in `dim` coordinates.

    Where the verdict is REALIZABLE the entropy bound is attained in `dim` coordinates iff dim >= realization.min_dim.
    Without self-pairs that is the least rank of a family G(c), affine in c, positive semidefinite on an interval. For c
    inside it, x^T G(c) x is a mean of two numbers >= 0, so G(c) x = 0 iff that holds at all c, and the rank is the
    same throughout; at an end it is smaller, for else the interval would go on. So the two ends decide.

    Args:
        realization: from `realize`.
        dim: coordinates, from 1.
        restarts: starts, where points are found by descent; None: as many as `embed` takes.
        seed: of the starts.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: dim or restarts below 1, or a descent over more than 4000 samples.

    Cost: 8 N dim bytes; below the rank that of `embed`, and of `rank_bound`.
    Source: ours.
    """
    dim = _checked(dim, realization.weighting)
    wrong = isinstance(restarts, bool) or not isinstance(restarts, (int, np.integer, type(None)))
    if wrong or (restarts is not None and restarts < 1):
        raise ProblemError(f"restarts: must be a whole number of at least 1; got {restarts!r}")
    realizable = realization.verdict is Verdict.REALIZABLE
    gram = _optimal(realization, dim)
    if gram is not None:
        reason = (
            f"the entropy bound is attained in {realization.min_dim} coordinates"
            if realizable
            else f"no number of coordinates attains the entropy bound; the best geometry of all fits into {dim}"
        )
        return InDimension(
            dim, realizable, reason, _coordinates(gram, dim), realization.excess, realization.excess_per_sample,
            realization.excess_lower_bound, True,
        )  # fmt: skip
    report = progress or (lambda _: None)
    weighting, temperature = realization.weighting, realization.temperature
    points = realization.solution.embed(dim, restarts=restarts, seed=seed, progress=progress).points
    each = divergences(_log_weights(weighting), row_normalised(points @ points.T / temperature, weighting.self_pairs))
    report("a lower bound in this dimension")
    bound = max(realization.excess_lower_bound, rank_bound(weighting, temperature=temperature, dim=dim))
    reason = f"the geometry that {'attains the entropy bound' if realizable else 'is best'} has rank"
    reason += f" {realization.min_dim}, more than {dim}"
    return InDimension(dim, False, reason, points, float(each.mean()), each, bound, False)


def _checked(dim: int, weighting: Weighting) -> int:
    if dim is None:
        raise ProblemError("dim: must be a whole number of at least 1; got None")
    check_dim(dim, weighting.orbits.atoms)
    return int(dim)


def _optimal(realization: Realization, dim: int) -> OrbitGram | None:
    """An optimal Gram matrix of rank `dim` at most, if one is known."""
    gram = realization.solution.orbits
    if dim >= realization.min_dim:
        return gram
    if realization.verdict is Verdict.REALIZABLE or realization.shifts is None:
        return None
    # All cosines may move together, and at the ends of that the rank is smaller.
    for shift in realization.shifts:
        cosines = gram.cosines + shift
        np.fill_diagonal(cosines, np.where(gram.orbits.plural, np.diag(cosines), 1.0))
        moved = OrbitGram(gram.orbits, cosines).repaired()[0]
        if moved.rank(1e-7) <= dim:
            return moved
    return None


def _coordinates(gram: OrbitGram, dim: int) -> Array:
    """(N, dim) points of a Gram matrix whose rank, but for rounding, is at most that."""
    points = gram.embed()
    if points.shape[1] > dim:
        left, values, _ = np.linalg.svd(points, full_matrices=False)
        points = left[:, :dim] * values[:dim]
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return np.pad(points, ((0, 0), (0, dim - points.shape[1])))


def _log_weights(weighting: Weighting) -> Array:
    """(N, N) log w_ij in the caller's order."""
    labels = weighting.orbits.listed()
    logs = weighting.logs[labels[:, None], labels]
    np.fill_diagonal(logs, weighting.own[labels])
    return logs


def rank_bound(weighting: Weighting, *, temperature: float, dim: int) -> float:
    """A number of nats that mean KL(w_i || p_i) is not below, for unit vectors in `dim` coordinates.

    With h(x) = e^x - 1 - x and x_ij = log(p_ij / w_ij) = (G_ij - tau log w_ij) / tau - c_i, both rows summing to 1,

        KL_i = sum_j w_ij h(x_ij),   h(x) >= kappa(B) x^2 for x >= -B,   kappa(B) = h(-B) / B^2,

    since h(x) / x^2 = int_0^1 (1 - t) e^{tx} dt grows with x. Two numbers B hold:

        geometry   p_ij >= e^{-1/tau} / (e^{-1/tau} + (n - 1) e^{1/tau}) over n terms, p_ii >= 1/n, against log w_ij;
        excess     where the KL_i of a block of rows I sum to E at most, h(-B) <= E / w_ij, so that
                   B <= (y + sqrt(y^2 + 8 y)) / 2 with y = E / w_ij, as h(-B) >= B^2 / (2 + B) (tanh b <= b).

    So, with r_i s_j <= w_ij kappa(B_ij) for i in I and j in a set of columns J, either the sum over I exceeds E, or it
    is at least tau^-2 || D_r^{1/2} (G - tau log w - tau c 1^T)_IJ D_s^{1/2} ||^2. G_IJ has rank dim at most; with P the
    projection off D_s^{1/2} 1, which the open c_i take up, Eckart and Young give

        sum_{i in I} KL_i >= min(E, F(E)),   F(E) = tau^-2 sum_{k > dim} sigma_k(D_r^{1/2} (tau log w)_IJ D_s^{1/2} P)^2

    for every E; F falls with E, and E near F(E) is the choice. Without self-pairs I and J are disjoint.

    With self-pairs c_i is not quite open: for T_ij = 1 + tau log(w_ij / w_ii) and D = G - T, D_ii = 0 and x_ii = -c_i.
    With a_ij = w_ij kappa(B_ij), least over c_i, sum_j a_ij (D_ij / tau - c_i)^2 is at least (Cauchy-Schwarz)

        (a_ii / sum_{j in J, i} a_ij) sum_{j in J} a_ij (D_ij / tau)^2,   D_ii = 0 whatever its coefficient,

    so for r_i s_j at most these coefficients (i != j) singular values of D_r^{1/2} T_IJ D_s^{1/2}, without P, do as
    well: the bound is above 0 whenever such a block of T has a rank above dim. Without self-pairs only a rank above dim
    after P is seen.

    Bounds of disjoint sets of rows add up. Blocks are of near samples, of sizes dim + 2, twice that, and so on, as
    long as that helps; the best size counts.

    Args:
        weighting: any; pairs of weight 0 stay out of the blocks.
        temperature: tau > 0.
        dim: coordinates.

    Returns:
        Mean nats over samples, 0 where nothing is proved. What rounding may have added is taken off singular values.

    Raises:
        ProblemError: a bad temperature or dim, or more than 4000 samples.

    Cost: some 40 singular value decompositions of every block, O(N m^2) for blocks of m samples, m <= 512.
    Source: ours.
    """
    temperature = check_temperature(temperature)
    dim = _checked(dim, weighting)
    if weighting.samples > _MOST_SAMPLES:
        raise ProblemError(f"weighting: at most {_MOST_SAMPLES} samples for a bound; got {weighting.samples}")
    logs = _log_weights(weighting)
    best, size = 0.0, dim + 2
    while True:
        total = 0.0
        for rows, choices in _cells(logs, size, weighting.self_pairs):
            blocks = [_Block.of(logs, rows, columns, temperature, weighting) for columns in choices]
            total += max((block.bound(dim) for block in blocks if block is not None), default=0.0)
        best = max(best, total)
        size *= 2
        # Wider blocks have more singular values but lighter pairs: once these prevail, they go on to.
        if size > min(len(logs), _LARGEST_BLOCK) or total < 0.5 * best:
            return best / len(logs)


def _cells(logs: Array, size: int, self_pairs: bool) -> Iterator[tuple[Indices, list[Indices]]]:
    """Disjoint sets of `size` rows or a few more, each with sets of columns to try; columns are near samples."""
    count = len(logs)
    near = np.logaddexp(logs, logs.T)
    np.fill_diagonal(near, np.inf)
    width = size if self_pairs else 2 * size
    left = np.arange(count)
    while left.size:
        # The sample farthest out begins, so that few are left over among far ones.
        first = left[int(np.argmin(near[np.ix_(left, left)].sum(axis=1, where=~np.eye(len(left), dtype=bool))))]
        order = left[np.argsort(-near[first, left], kind="stable")]
        group = order if len(left) < 2 * width else order[:width]
        left = np.setdiff1d(left, group)
        others = np.setdiff1d(np.arange(count), group)
        others = others[np.argsort(-near[np.ix_(group, others)].max(axis=0, initial=-np.inf), kind="stable")]
        around = others[:size]
        if self_pairs:
            yield group, [group, np.concatenate([group, around])] if around.size else [group]
        else:
            for rows, columns in ((group[::2], group[1::2]), (group[1::2], group[::2])):
                yield rows, [columns, np.concatenate([columns, around])] if around.size else [columns]


@dataclass(frozen=True, eq=False)
class _Block:
    """Rows and columns of log w, the error of these, and the bound B of geometry.

    The last column is the row's own log w_ii, if there is one; `same` says where it is another column, too.
    """

    logs: Array
    error: Array
    reach: Array
    same: NDArray[np.bool_]
    temperature: float

    @classmethod
    def of(
        cls, logs: Array, rows: Indices, columns: Indices, temperature: float, weighting: Weighting
    ) -> _Block | None:
        block = logs[np.ix_(rows, columns)]
        kept = np.isfinite(block).all(axis=0)
        block, columns = np.column_stack([block[:, kept], logs[rows, rows]]), columns[kept]
        if not columns.size:
            return None
        terms = len(logs) if weighting.self_pairs else len(logs) - 1
        least = -np.logaddexp(0.0, math.log(max(terms - 1, 1)) + 2.0 / temperature)
        same = rows[:, None] == columns
        reach = block - np.where(np.column_stack([same, np.ones(len(rows), dtype=bool)]), -math.log(terms), least)
        error = 2.0 * weighting.rounding + 4.0 * _EPS * np.abs(block)
        return cls(block, error, reach, same, temperature)

    def bound(self, dim: int) -> float:
        """The sum of KL_i over the rows is at least this."""
        if min(self.same.shape) <= dim:
            return 0.0
        best = self.floor(math.inf, dim)
        level = self.floor(0.0, dim)
        for _ in range(4):
            if not level > best:
                break
            value = self.floor(level, dim)
            best = max(best, min(level, value))
            level = math.sqrt(level * value)
        return best

    def floor(self, level: float, dim: int) -> float:
        """F(E) for E = level."""
        reach = self.reach
        if math.isfinite(level):
            with np.errstate(over="ignore"):
                y = level * np.exp(np.minimum(-self.logs, 700.0))
                reach = np.minimum(reach, 0.5 * (y + np.sqrt(y * (y + 8.0))))
        logs = self.logs + np.log(_kappa(np.where(np.isfinite(reach), reach, 0.0)))
        weights, own = logs[:, :-1], logs[:, -1]
        # Any constant of a row may be taken off first: P does the rest.
        block = self.logs[:, :-1]
        centred = block - block.mean(axis=1, keepdims=True)
        best = max(self._tail(centred, *scales, dim, True) for scales in _scales(weights))
        if np.isfinite(own).all():
            others = np.where(self.same, -np.inf, weights)
            total = np.logaddexp(np.logaddexp.reduce(others, axis=1), own)
            weights = np.where(self.same, np.inf, weights + (own - total)[:, None])
            anchored = 1.0 / self.temperature + block - self.logs[:, -1:]
            best = max(best, *(self._tail(anchored, *scales, dim, False) for scales in _scales(weights)))
        return best

    def _tail(self, matrix: Array, rows: Array, columns: Array, dim: int, projected: bool) -> float:
        """The squares of all singular values but `dim`, for logarithms of r and s."""
        # Only r_i s_j counts: shared out so that neither overflows.
        middle = 0.5 * (rows.max() - columns.max())
        left, right = np.exp(0.5 * (rows - middle)), np.exp(0.5 * (columns + middle))
        if not right.any():
            return 0.0
        matrix = left[:, None] * matrix * right
        error = self.error[:, :-1] if projected else self.error[:, :-1] + self.error[:, -1:]
        noise = float(np.linalg.norm(left[:, None] * error * right) + 32.0 * _EPS * np.linalg.norm(matrix))
        if projected:
            axis = right / np.linalg.norm(right)
            matrix = matrix - np.outer(matrix @ axis, axis)
        values = np.linalg.svd(matrix, compute_uv=False)
        return float(np.sum(np.maximum(values[dim:] - noise, 0.0) ** 2))


def _kappa(reach: Array) -> Array:
    """(e^-B - 1 + B) / B^2 for B of either sign; 1/2 at 0."""
    small = np.abs(reach) < 1e-2
    b = np.where(small, 1.0, np.maximum(reach, -300.0))
    series = 0.5 - reach / 6.0 + reach**2 / 24.0 - reach**3 / 120.0
    return np.where(small, series, (np.expm1(-b) + b) / b**2)


def _scales(logs: Array) -> Iterator[tuple[Array, Array]]:
    """Rows and columns with rows_i + columns_j <= logs_ij: all columns alike; near the fit, then as large as can be.

    Infinite entries set no limit.
    """
    yield logs.min(axis=1), np.zeros(logs.shape[1])
    limited = np.isfinite(logs)
    columns = np.where(limited, logs, 0.0).sum(axis=0) / np.maximum(limited.sum(axis=0), 1)
    rows = (logs - columns).min(axis=1)
    yield rows, (logs - rows[:, None]).min(axis=0)
