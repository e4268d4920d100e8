"""Weighted InfoNCE over squared distances: the weights that points in Euclidean space attain, and the best points."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult, minimize
from scipy.spatial.distance import cdist

from ..arrays import Array, Progress
from ..errors import ProblemError
from ..geometry.orbits import Orbits
from ..geometry.unit_rows import fitted
from ..objectives.base import check_temperature
from ..objectives.weighted.logweights import divergences, row_normalised, symmetric_part
from ..objectives.weighted.weightings import Weighting, check_self_pairs
from ..solvers.points.embedding import check_dim
from .verdicts import EuclideanGeometry

_MOST_SAMPLES = 2000
_MOST_MINIMISED = 1000
# What counts as no violation.
_TOL = 1e-9
_OPTIONS = {"maxiter": 2000, "maxfun": 6000, "ftol": 1e-15, "gtol": 1e-12, "maxcor": 30}


def euclidean_realization(
    log_weights: ArrayLike,
    *,
    temperature: float,
    self_pairs: bool = True,
    dim: int | None = None,
    seconds: float = 20.0,
    progress: Progress | None = None,
) -> EuclideanGeometry:
    """The best points z_i in a Euclidean space of any dimension for weighted InfoNCE without a sphere.

        L(z) = -1/n sum_ij w_ij log p_ij,  p_ij = e^{-d_ij^2 / 2 tau} / sum_k e^{-d_ik^2 / 2 tau},  d_ij = |z_i - z_j|

    L = mean_i H(w_i) + mean_i KL(w_i || p_i), so mean_i H(w_i) is attained iff d_ij^2 / 2 tau = -log w_ij - c_i.

    Self-pairs in (j = i is in both sums). d_ii = 0 gives c_i, and D = -2 tau l is wanted, l_ij = log w_ij - log w_ii:
    l must be symmetric and B = tau C l C >= 0, C = I - 11^T/n. Then B = z z^T, unique up to isometry.

    Self-pairs out. c_i is free: a constant added to all d_ij^2 changes no p_ij, and enough of it makes any symmetric
    matrix Euclidean (Lingoes): D(c) = -2 tau l - 2 c off the diagonal is realizable for all c <= c_max, the least
    eigenvalue of tau C l C on the complement of 1. So only symmetry matters.

    Otherwise, and where some weight is 0, which no finite distance gives, L is minimised by L-BFGS. L is convex in
    z z^T, and without a limit of coordinates every minimum is the best one; how near it is, is not proved.

    Args:
        log_weights: (n, n) logarithms of weights, finite or -inf, up to a constant of each row.
        temperature: tau.
        self_pairs: whether j = i is in the sums; if not, the diagonal of `log_weights` is ignored.
        dim: coordinates. Fewer than the best embedding has: the points are those of a descent, from its leading axes,
            and verdict and `min_dim` stay those of any number of coordinates.
        seconds: a descent ends after this time with the points that it has.
        progress: called with a line of text as the work goes on.

    Returns:
        An EuclideanGeometry. O(n^3) where the bound is attained, else some hundred times O(n^2 d). Violations of
        symmetry up to 1e-9 max(1, max |l|) in units of log w, and negative eigenvalues of B up to 1e-9 max |tau l|,
        count as none; what they cost shows in `excess`.

    Raises:
        ProblemError: no square matrix, NaN or +inf, a row without weight, a bad temperature, more than 2000 samples, or
            more than 1000 to minimise over.

    Source: classical scaling (Torgerson 1952; Gower 1966; Schoenberg 1935), Lingoes 1971.
    """
    temperature = check_temperature(temperature)
    check_self_pairs(self_pairs)
    log_w = row_normalised(log_weights, bool(self_pairs))
    if len(log_w) > _MOST_SAMPLES:
        raise ProblemError(
            f"log_weights: euclidean_realization takes at most {_MOST_SAMPLES} samples; got {len(log_w)}"
        )
    if dim is not None:
        check_dim(dim, len(log_w))
    single = Orbits(np.ones(len(log_w)), np.arange(len(log_w)))
    known = Weighting.normalised(single, log_w, np.diag(log_w).copy(), self_pairs, "weights")
    task = _Task(log_w, known, temperature, self_pairs, time.monotonic() + seconds, progress or (lambda _: None))
    found = task.of_any_dimension()
    if dim is None:
        return found
    if dim >= found.points.shape[1]:
        return replace(found, points=np.pad(found.points, ((0, 0), (0, dim - found.points.shape[1]))))
    logs = -cdist(found.points, found.points, "sqeuclidean") / (2.0 * temperature)
    told = {name: getattr(found, name) for name in ("verdict", "unique", "min_dim", "shifts", "witness", "required")}
    reason = f"{found.reason}; the points are the best found in {dim} of {found.min_dim} dimensions"
    return task.geometry(task.descended(logs, dim), reason=reason, **told)


@dataclass(frozen=True, eq=False)
class _Task:
    """What is asked, and how long there is."""

    log_w: Array
    weighting: Weighting
    temperature: float
    self_pairs: bool
    until: float
    report: Progress

    def of_any_dimension(self) -> EuclideanGeometry:
        """The best geometry."""
        logs, asymmetry, worst = symmetric_part(self.log_w, self.self_pairs)
        zeros = np.isneginf(self.log_w)
        if not self.self_pairs:
            np.fill_diagonal(zeros, False)
        if zeros.any():
            i, j = np.argwhere(zeros)[0]
            reason = f"the weight of pair ({i}, {j}) is 0, which no finite distance gives"
            return self._minimised(np.where(np.isfinite(logs), logs, -np.inf), "degenerate", reason)
        if asymmetry > _TOL * max(1.0, float(np.abs(logs).max())):
            i, j = worst[:2]
            reason = (
                f"log w_ij/w_ii and log w_ji/w_jj of pair ({i}, {j}) differ by {asymmetry:.3g}; distances are symmetric"
                if self.self_pairs
                else f"log w_ij - log w_ji sums to {asymmetry:.3g} in size around cycle "
                f"({', '.join(map(str, worst))}), to 0 for any distances"
            )
            return self._minimised(logs, "inconsistent", reason)
        if not self.self_pairs:
            return self._shifted(logs)
        required = -2.0 * self.temperature * logs
        values, vectors = np.linalg.eigh(-0.5 * centred(required))
        floor = self._rounding(logs)
        if values[0] >= -max(floor, 0.5 * _TOL * np.abs(required).max()):
            kept = values > max(floor, -values[0])
            points = (vectors[:, kept] * np.sqrt(values[kept]))[:, ::-1]
            reason = "the weights are symmetric up to their rows, and the squared distances they ask for Euclidean"
            return self.geometry(points, verdict="realizable", reason=reason, unique=True, required=required)
        lowest = vectors[:, 0] - vectors[:, 0].mean()
        failure = f"the squared distances asked for are not Euclidean: their Gram matrix has eigenvalue {values[0]:.3g}"
        return self._minimised(logs, "inconsistent", failure, witness=np.outer(lowest, lowest), required=required)

    def _minimised(self, logs: Array, verdict: str, reason: str, **told: Any) -> EuclideanGeometry:
        """The end of a descent from what the symmetric `logs` ask for."""
        if len(logs) > _MOST_MINIMISED:
            raise ProblemError(f"log_weights: {reason}; the best embedding takes at most {_MOST_MINIMISED} samples")
        unique = self.self_pairs and verdict == "inconsistent"
        return self.geometry(self.descended(logs, None), verdict=verdict, reason=reason, unique=unique, **told)

    def _shifted(self, logs: Array) -> EuclideanGeometry:
        """Self-pairs out, from log w_ij = l_ij + a_i: squared distances less the most that leaves them so."""
        self.report("eigenvalues of the shifted distances")
        n, inner = len(logs), self.temperature * centred(logs)
        scale = max(1.0, float(np.abs(inner).max()) * n)
        values, vectors = np.linalg.eigh(inner + 2.0 * scale / n)  # 1 comes last
        shift = float(values[0])
        kept = values[:-1] - shift > max(self._rounding(logs), 8.0 * np.finfo(float).eps * scale)
        points = (vectors[:, :-1][:, kept] * np.sqrt(values[:-1][kept] - shift))[:, ::-1]
        return self.geometry(
            points, verdict="realizable", unique=False, shifts=(-np.inf, shift),
            reason="the weights are symmetric up to their rows, and squared distances may be shifted",
            required=-2.0 * (self.temperature * logs + shift * (1.0 - np.eye(n))),
        )  # fmt: skip

    def descended(self, logs: Array, dim: int | None) -> Array:
        """(n, d) the best points found in `dim` coordinates (None: as many as it takes), by L-BFGS.

        `logs`, (n, n) symmetric, is what the weights ask of squared distances over -2 tau; the descent begins there.
        """
        n, weights = len(logs), np.exp(self.log_w)
        logs = np.minimum(logs, 0.0)
        logs[np.isneginf(logs)] = logs[np.isfinite(logs)].min() - 5.0
        values, vectors = np.linalg.eigh(self.temperature * centred(logs))
        kept = np.flatnonzero(values > 1e-3 * values[-1])[::-1]
        most = min(n - 1, len(kept) + 4) if self.self_pairs else n - 1
        width = most if dim is None else dim
        kept = kept[:width]
        start = np.random.default_rng(0).normal(size=(n, width)) * np.sqrt(1e-3 * self.temperature / width)
        start[:, : len(kept)] += vectors[:, kept] * np.sqrt(values[kept])

        def loss(flat: Array) -> tuple[float, Array]:
            points = flat.reshape(n, width)
            log_p = self.shares(points)
            pull = np.exp(log_p) - weights
            pull = (pull + pull.T) / (n * self.temperature)
            np.fill_diagonal(pull, 0.0)
            slope = pull @ points - pull.sum(axis=1)[:, None] * points
            return float(divergences(self.log_w, log_p).mean()), slope.ravel()

        def after(intermediate_result: OptimizeResult) -> None:
            self.report(f"excess {intermediate_result.fun:.4g} nats in {width} coordinates")
            if time.monotonic() > self.until:
                raise StopIteration

        found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", callback=after, options=_OPTIONS)
        points = found.x.reshape(n, width)
        return points if dim is not None else fitted(points - points.mean(axis=0), self._rank(points))

    def shares(self, points: Array) -> Array:
        """(n, n) log p_ij."""
        return row_normalised(-cdist(points, points, "sqeuclidean") / (2.0 * self.temperature), self.self_pairs)

    def _rank(self, points: Array) -> int:
        """Coordinates in which points have more than nothing."""
        sizes = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
        return int(np.count_nonzero(sizes > 1e-4 * max(float(sizes[0]), self.temperature**0.5)))

    def _rounding(self, logs: Array) -> float:
        """What the eigenvalues of tau C l C cannot tell from 0: log w has rounding of its own."""
        largest = max(
            float(np.abs(logs).max()), float(np.abs(np.where(np.isfinite(self.log_w), self.log_w, 0.0)).max())
        )
        return float(8.0 * len(logs) * np.finfo(float).eps * self.temperature * largest)

    def geometry(self, points: Array, **told: Any) -> EuclideanGeometry:
        """Everything that follows from the points."""
        points = points - points.mean(axis=0)
        each = divergences(self.log_w, self.shares(points))
        told = {"min_dim": points.shape[1], **told}
        return EuclideanGeometry(
            entropy_bound=self.weighting.entropy_bound, excess=float(each.mean()), excess_per_sample=each,
            points=points, weighting=self.weighting, temperature=self.temperature, **told,
        )  # fmt: skip


def centred(matrix: Array) -> Array:
    """C A C of a symmetric (n, n) A, C = I - 11^T/n."""
    rows = matrix.mean(axis=1)
    return matrix - rows[:, None] - rows + rows.mean()
