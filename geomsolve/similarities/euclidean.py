"""Weighted InfoNCE over squared distances: the weights that points in Euclidean space attain, and the best points."""

import time
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from scipy.spatial.distance import cdist

from ..arrays import Array, Progress
from ..errors import ProblemError
from ..geometry.unit_rows import fitted
from ..objectives.base import check_temperature
from ..objectives.weighted.logweights import divergences, row_normalised, symmetric_part
from ..objectives.weighted.weightings import Weighting
from ..solvers.points.embedding import check_dim
from .verdicts import EuclideanGeometry, Verdict

_MOST_SAMPLES = 2000
_MOST_MINIMISED = 1000
# What counts as no violation.
_TOL = 1e-9
_OPTIONS = {"maxiter": 2000, "maxfun": 6000, "ftol": 1e-15, "gtol": 1e-12, "maxcor": 30}


def euclidean_realization(
    weighting: Weighting,
    *,
    temperature: float,
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
        weighting: the weights, as for `realize`.
        temperature: tau.
        dim: coordinates. Fewer than the best embedding has: the points are those of a descent, from its leading axes,
            and verdict and `min_dim` stay those of any number of coordinates.
        seconds: a descent ends after this time with the points that it has.
        progress: called with a line of text as the work goes on.

    Returns:
        An EuclideanGeometry. O(n^3) where the bound is attained, else some hundred times O(n^2 d). Violations of
        symmetry up to 1e-9 max(1, max |l|) in units of log w, and negative eigenvalues of B up to 1e-9 max |tau l|,
        count as none; what they cost shows in `excess`.

    Raises:
        ProblemError: a bad temperature, more than 2000 samples, or more than 1000 to minimise over.

    Source: classical scaling (Torgerson 1952; Gower 1966; Schoenberg 1935), Lingoes 1971.
    """
    temperature = check_temperature(temperature)
    count, self_pairs = weighting.samples, weighting.self_pairs
    if count > _MOST_SAMPLES:
        raise ProblemError(f"weighting: euclidean_realization takes at most {_MOST_SAMPLES} samples; got {count}")
    if dim is not None:
        check_dim(dim, count)
    log_w = row_normalised(weighting.log_matrix())
    logs, told = euclidean_verdict(log_w, temperature, self_pairs)
    points = told.pop("points", None)

    def descended(logs: Array, dim: int | None) -> Array:
        until = started + seconds
        return _descended(log_w, logs, temperature, self_pairs, dim, until, progress or (lambda _: None))

    started = time.monotonic()
    if points is None:
        if count > _MOST_MINIMISED:
            raise ProblemError(
                f"weighting: {told['reason']}; the best embedding takes at most {_MOST_MINIMISED} samples"
            )
        points = descended(logs, None)
    width = points.shape[1]
    if dim is not None and dim < width:
        told["reason"] += f"; the points are the best found in {dim} of {width} dimensions"
        points = descended(logits(points, temperature), dim)
    points = fitted(points - points.mean(axis=0), width if dim is None else dim)
    each = divergences(log_w, row_normalised(logits(points, temperature, self_pairs)))
    return EuclideanGeometry(
        entropy_bound=weighting.entropy_bound, excess=float(each.mean()), excess_per_sample=each, points=points,
        weighting=weighting, temperature=temperature, min_dim=width, **told,
    )  # fmt: skip


def euclidean_verdict(log_w: Array, temperature: float, self_pairs: bool) -> tuple[Array, dict[str, Any]]:
    """(n, n) what is asked of squared distances over -2 tau, and the verdict, with points where that is attained."""
    # Where a weight is 0 there is no answer, and a small one in its place is where the best points are looked for.
    logs, asymmetry, worst = symmetric_part(np.maximum(log_w, log_w[np.isfinite(log_w)].min() - 5.0), self_pairs)
    told: dict[str, Any] = {"verdict": Verdict.INCONSISTENT, "unique": self_pairs}
    zeros = np.argwhere(np.isneginf(log_w) & (self_pairs | ~np.eye(len(logs), dtype=bool)))
    if len(zeros):
        i, j = zeros[0]
        told = {"verdict": Verdict.DEGENERATE, "unique": False}
        return logs, {**told, "reason": f"the weight of pair ({i}, {j}) is 0, which no finite distance gives"}
    size = float(np.abs(logs).max())
    if asymmetry > _TOL * max(1.0, size):
        around = ", ".join(map(str, worst))
        reason = f"log w of samples {around} in the two directions differ by {asymmetry:.3g}; distances are symmetric"
        return logs, {**told, "reason": reason}
    inner = temperature * _centred(logs)
    scale = max(1.0, float(np.abs(inner).max()) * len(logs))
    values, vectors = np.linalg.eigh(inner + 2.0 * scale / len(logs))
    values, vectors = values[:-1], vectors[:, :-1]  # without 1, which comes last
    lowest = float(values[0])
    shift = 0.0 if self_pairs else lowest
    required = -2.0 * (temperature * logs + shift * (1.0 - np.eye(len(logs))))
    # Log w has rounding of its own.
    floor = (
        8.0
        * np.finfo(float).eps
        * max(scale, len(logs) * temperature * max(size, float(np.abs(log_w[np.isfinite(log_w)]).max())))
    )
    if lowest - shift < -max(floor, _TOL * temperature * size):
        lowest_vector = vectors[:, 0] - vectors[:, 0].mean()
        told["witness"] = np.outer(lowest_vector, lowest_vector)
        reason = f"the squared distances asked for are not Euclidean: their Gram matrix has eigenvalue {lowest:.3g}"
        return logs, {**told, "required": required, "reason": reason}
    kept = values - shift > max(floor, shift - lowest)
    told |= {"verdict": Verdict.REALIZABLE, "required": required, "shifts": None if self_pairs else (-np.inf, shift)}
    told["points"] = (vectors[:, kept] * np.sqrt(values[kept] - shift))[:, ::-1]
    what = "they ask for are Euclidean" if self_pairs else "may be shifted"
    return logs, {**told, "reason": f"the weights are symmetric up to their rows, and the squared distances {what}"}


def _descended(
    log_w: Array, logs: Array, temperature: float, self_pairs: bool, dim: int | None, until: float, report: Progress
) -> Array:
    """(n, d) the best points found in `dim` coordinates (None: as many as it takes), by L-BFGS from `logs`."""
    n, weights = len(logs), np.exp(log_w)
    values, vectors = np.linalg.eigh(temperature * _centred(np.minimum(logs, 0.0)))
    kept = np.flatnonzero(values > 1e-3 * values[-1])[::-1]
    most = min(n - 1, len(kept) + 4) if self_pairs else n - 1
    width = most if dim is None else dim
    kept = kept[:width]
    start = np.random.default_rng(0).normal(size=(n, width)) * np.sqrt(1e-3 * temperature / width)
    start[:, : len(kept)] += vectors[:, kept] * np.sqrt(values[kept])

    def loss(flat: Array) -> tuple[float, Array]:
        points = flat.reshape(n, width)
        log_p = row_normalised(logits(points, temperature, self_pairs))
        pull = np.exp(log_p) - weights
        pull = (pull + pull.T) / (n * temperature)
        np.fill_diagonal(pull, 0.0)
        slope = pull @ points - pull.sum(axis=1)[:, None] * points
        return float(divergences(log_w, log_p).mean()), slope.ravel()

    def after(intermediate_result: OptimizeResult) -> None:
        report(f"excess {intermediate_result.fun:.4g} nats in {width} coordinates")
        if time.monotonic() > until:
            raise StopIteration

    points = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", callback=after, options=_OPTIONS).x
    points = points.reshape(n, width) - points.reshape(n, width).mean(axis=0)
    if dim is not None:
        return points
    # The coordinates in which points have more than nothing.
    sizes = np.linalg.svd(points, compute_uv=False)
    return fitted(points, int(np.count_nonzero(sizes > 1e-4 * max(float(sizes[0]), temperature**0.5))))


def logits(points: Array, temperature: float, self_pairs: bool = True) -> Array:
    """(n, n) -d_ij^2 / 2 tau; -inf on the diagonal without self-pairs."""
    logits = -cdist(points, points, "sqeuclidean") / (2.0 * temperature)
    np.fill_diagonal(logits, 0.0 if self_pairs else -np.inf)
    return np.asarray(logits)


def _centred(matrix: Array) -> Array:
    """C A C of a symmetric (n, n) A, C = I - 11^T/n."""
    rows = matrix.mean(axis=1)
    return matrix - rows[:, None] - rows + rows.mean()
