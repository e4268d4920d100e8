"""Weighted InfoNCE over squared distances: the weights that points in Euclidean space attain, and the best points."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from ..arrays import Array, Progress
from ..errors import ProblemError
from ..objectives.base import check_temperature
from ..objectives.weighted.logweights import divergences, row_normalised, symmetric_part
from ..objectives.weighted.weightings import check_self_pairs
from ..solvers.points.embedding import check_dim
from .euclidean_minimum import DistanceLoss, centred, descended, entropies, least_loss
from .verdicts import EuclideanGeometry

_MOST_SAMPLES = 2000
_MOST_MINIMISED = 1000
# What counts as no violation, and Newton steps for the scores of a tournament.
_TOL, _STEPS = 1e-9, 200


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
    l must be symmetric and B = tau C l C >= 0, C = I - 11^T/n. Then B = z z^T, unique up to isometry. Otherwise L is
    minimised; it is convex in G = z z^T. Every stochastic q with Lap(q) <= Lap(w), Lap the Laplacian of the symmetric
    part, proves L >= mean_i H(q_i); if Lap(p) <= (1 + e) Lap(w), q = (p + e I)/(1 + e) is such a q.

    Self-pairs out. c_i is free: a constant added to all d_ij^2 changes no p_ij, and enough of it makes any symmetric
    matrix Euclidean (Lingoes): D(c) = -2 tau l - 2 c off the diagonal is realizable for all c <= c_max, the least
    eigenvalue of tau C l C on the complement of 1. So only symmetry matters: at the optimum p_ij = (w_ij + w_ji) r_j /
    (r_i + r_j) with rows summing to 1: the Bradley-Terry scores of a tournament in which i loses w_ij games to j.

    A weight of 0 is given by no finite distance; L is minimised then, too.

    Args:
        log_weights: (n, n) logarithms of weights, finite or -inf, up to a constant of each row.
        temperature: tau.
        self_pairs: whether j = i is in the sums; if not, the diagonal of `log_weights` is ignored.
        dim: coordinates. Fewer than the best embedding has: the points are those of a descent, from its leading axes,
            and verdict, bound and `min_dim` stay those of any number of coordinates.
        seconds: a descent ends after this time with the points that it has.
        progress: called with a line of text as the work goes on.

    Returns:
        An EuclideanGeometry. O(n^3) where the bound is attained, else some hundred times O(n^2 d). Violations of
        symmetry up to 1e-9 max(1, max |l|) in units of log w, and negative eigenvalues of B up to 1e-9 max |tau l|,
        count as none; what they cost shows in `excess`.

    Raises:
        ProblemError: no square matrix, NaN or +inf, a row without weight, a bad temperature, more than 2000 samples, or
            more than 1000 to minimise over.

    Source: classical scaling (Torgerson 1952; Gower 1966; Schoenberg 1935), Lingoes 1971, Bradley and Terry 1952, Ford
    1957. The bounds, and the tournament behind the loss, are ours.
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
    task = _Task(log_w, temperature, self_pairs, time.monotonic() + seconds, progress or (lambda _: None))
    found = task.of_any_dimension()
    if dim is None:
        return found
    if dim >= found.points.shape[1]:
        return replace(found, points=np.pad(found.points, ((0, 0), (0, dim - found.points.shape[1]))))
    logs = -cdist(found.points, found.points, "sqeuclidean") / (2.0 * temperature)
    points = descended(task.loss, logs, dim, task.until, task.report)
    told = {name: getattr(found, name) for name in ("verdict", "unique", "min_dim", "shifts", "witness", "required")}
    reason = f"{found.reason}; the points are the best found in {dim} of {found.min_dim} dimensions"
    return task.geometry(points, found.lower_bound, reason=reason, **told)


@dataclass(frozen=True, eq=False)
class _Task:
    """What is asked, and how long there is."""

    log_w: Array
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
        failure = ""
        if asymmetry > _TOL * max(1.0, float(np.abs(logs).max())):
            i, j = worst[:2]
            failure = (
                f"log w_ij/w_ii and log w_ji/w_jj of pair ({i}, {j}) differ by {asymmetry:.3g}; distances are symmetric"
                if self.self_pairs
                else f"log w_ij - log w_ji sums to {asymmetry:.3g} in size around cycle "
                f"({', '.join(map(str, worst))}), to 0 for any distances"
            )
        if not self.self_pairs:
            return self._shifted(logs, failure)
        if failure:
            return self._minimised(logs, "inconsistent", failure)
        required = -2.0 * self.temperature * logs
        values, vectors = np.linalg.eigh(-0.5 * centred(required))
        floor = self._rounding(logs)
        if values[0] >= -max(floor, 0.5 * _TOL * np.abs(required).max()):
            kept = values > max(floor, -values[0])
            points = (vectors[:, kept] * np.sqrt(values[kept]))[:, ::-1]
            reason = "the weights are symmetric up to their rows, and the squared distances they ask for Euclidean"
            return self.geometry(points, None, verdict="realizable", reason=reason, unique=True, required=required)
        lowest = vectors[:, 0] - vectors[:, 0].mean()
        failure = f"the squared distances asked for are not Euclidean: their Gram matrix has eigenvalue {values[0]:.3g}"
        return self._minimised(logs, "inconsistent", failure, witness=np.outer(lowest, lowest), required=required)

    def _minimised(self, logs: Array, verdict: str, reason: str, **told: Any) -> EuclideanGeometry:
        """The end of a descent from what the symmetric `logs` ask for, with a bound; self-pairs out, the entropy."""
        if len(logs) > _MOST_MINIMISED:
            raise ProblemError(f"log_weights: {reason}; the best embedding takes at most {_MOST_MINIMISED} samples")
        points = descended(self.loss, logs, None, self.until, self.report)
        self.report("a lower bound over all points")
        lower = least_loss(self.loss, points) if self.self_pairs else None
        return self.geometry(points, lower, verdict=verdict, reason=reason, unique=verdict == "inconsistent", **told)

    def _shifted(self, logs: Array, failure: str) -> EuclideanGeometry:
        """Self-pairs out, from log w_ij = l_ij + a_i: squared distances less the most that leaves them so."""
        self.report("eigenvalues of the shifted distances")
        n, lower = len(logs), None
        if failure:
            logs, entropy, exact = tournament(self.log_w)
            lower = entropy if exact else None
        inner = self.temperature * centred(logs)
        scale = max(1.0, float(np.abs(inner).max()) * n)
        values, vectors = np.linalg.eigh(inner + 2.0 * scale / n)  # 1 comes last
        shift = float(values[0])
        kept = values[:-1] - shift > max(self._rounding(logs), 8.0 * np.finfo(float).eps * scale)
        points = (vectors[:, :-1][:, kept] * np.sqrt(values[:-1][kept] - shift))[:, ::-1]
        required = None if failure else -2.0 * (self.temperature * logs + shift * (1.0 - np.eye(n)))
        reason = failure or "the weights are symmetric up to their rows, and squared distances may be shifted"
        return self.geometry(
            points, lower, verdict="inconsistent" if failure else "realizable", reason=reason, unique=False,
            shifts=(-np.inf, shift), required=required,
        )  # fmt: skip

    @property
    def loss(self) -> DistanceLoss:
        """The excess as a function of points."""
        return DistanceLoss.of(self.log_w, self.temperature, self.self_pairs)

    def _rounding(self, logs: Array) -> float:
        """What the eigenvalues of tau C l C cannot tell from 0: log w has rounding of its own."""
        finite = self.log_w[np.isfinite(self.log_w)]
        largest = max(float(np.abs(logs).max()), float(np.abs(finite).max(initial=0.0)))
        return float(8.0 * len(logs) * np.finfo(float).eps * self.temperature * largest)

    def geometry(self, points: Array, lower: float | None, **told: Any) -> EuclideanGeometry:
        """Everything that follows from the points; without a lower bound, it is the entropy bound."""
        points = points - points.mean(axis=0)
        log_p = row_normalised(-cdist(points, points, "sqeuclidean") / (2.0 * self.temperature), self.self_pairs)
        each, entropy = divergences(self.log_w, log_p), float(entropies(self.log_w).mean())
        excess = float(each.mean())
        least = 0.0 if lower is None else min(max(0.0, lower - entropy), excess)
        told = {"min_dim": points.shape[1], **told}
        return EuclideanGeometry(
            entropy_bound=entropy, excess=excess, excess_lower=least, excess_per_sample=each, points=points, **told
        )


def tournament(log_w: Array) -> tuple[Array, float, bool]:
    """The symmetric l of the best p_ij = (w_ij + w_ji) r_j / (r_i + r_j), by rows, off the diagonal at most 0.

    And the entropy of p, with whether its rows have the sum 1. Scores log r by Newton's method for a convex function,
    its steps at most 1.
    """
    weights, games = np.exp(log_w), np.logaddexp(log_w, log_w.T)
    pairs, scores = np.exp(games), np.zeros(len(log_w))
    for _ in range(_STEPS):
        share = np.exp(-np.logaddexp(0.0, scores[:, None] - scores))
        curved = pairs * share * share.T
        system = np.diag(curved.sum(axis=1) * (1.0 + 1e-15) + 1e-300) - curved + curved.sum() / len(scores) ** 2
        step = np.linalg.solve(system, np.sum(pairs * share - weights, axis=1))
        scores = scores + step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-300))
        if np.abs(step).max() < 1e-15 * max(1.0, np.abs(scores).max()):
            break
    log_q = games - np.logaddexp(0.0, scores[:, None] - scores)
    logs = log_q + scores[:, None]
    logs = np.maximum(logs, logs.T)
    logs -= logs.max()
    np.fill_diagonal(logs, 0.0)
    return logs, float(entropies(log_q).mean()), bool(np.abs(np.exp(log_q).sum(axis=1) - 1.0).max() < 1e-9)
