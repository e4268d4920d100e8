"""The best points for weighted InfoNCE over squared distances with self-pairs, and a bound that proves it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import OptimizeResult, minimize
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, minres

from ..arrays import Array, Progress
from ..objectives.weighted.logweights import divergences, row_normalised

# Of L-BFGS; and of Newton's method steps, and products with the Hessian for one.
_OPTIONS = {"maxiter": 2000, "maxfun": 6000, "ftol": 1e-15, "gtol": 1e-15, "maxcor": 30}
_STEPS, _PRODUCTS = 30, 400


def entropies(log_w: Array) -> Array:
    """(n,) the entropy of every row."""
    return -np.sum(np.exp(log_w) * np.where(np.isneginf(log_w), 0.0, log_w), axis=1)


def centred(matrix: Array) -> Array:
    """C A C of a symmetric (n, n) A, C = I - 11^T/n."""
    rows = matrix.mean(axis=1)
    return matrix - rows[:, None] - rows + rows.mean()


@dataclass(frozen=True, eq=False)
class DistanceLoss:
    """The excess of weighted InfoNCE over squared distances as a function of points, with two derivatives.

    Points come in units of their samples' total weight to others: samples of little weight curve little, and in these
    units all curve about alike.

    `log_w` are (n, n) logarithms of weights, and `unit`, (n, 1), is what points are multiplied by.
    """

    log_w: Array = field(repr=False)
    temperature: float
    self_pairs: bool
    unit: Array = field(repr=False)

    @classmethod
    def of(cls, log_w: Array, temperature: float, self_pairs: bool) -> DistanceLoss:
        """The loss for these weights."""
        degrees = np.maximum(links(log_w).sum(axis=1), 1e-200)
        return cls(log_w, temperature, self_pairs, np.sqrt(np.maximum(degrees / degrees.max(), 1e-12))[:, None])

    def shares(self, points: Array) -> Array:
        """(n, n) log p_ij."""
        gram = points @ points.T
        squares = np.maximum(np.diag(gram)[:, None] + np.diag(gram) - 2.0 * gram, 0.0)
        np.fill_diagonal(squares, 0.0)
        return row_normalised(-squares / (2.0 * self.temperature), self.self_pairs)

    def _slack(self, rows: Array) -> Array:
        pull = (rows + rows.T) / (2.0 * len(rows) * self.temperature)
        np.fill_diagonal(pull, 0.0)
        return np.asarray(pull - np.diag(pull.sum(axis=1)))

    def __call__(self, rows: Array) -> tuple[float, Array]:
        """The excess and its derivative. O(n^2 d)."""
        points = rows / self.unit
        log_p = self.shares(points)
        slope = 2.0 * self._slack(np.exp(log_p) - np.exp(self.log_w)) @ points
        return float(divergences(self.log_w, log_p).mean()), slope / self.unit

    def curvature(self, rows: Array) -> Callable[[Array], Array]:
        """The Hessian as a function."""
        points = rows / self.unit
        shared = np.exp(self.shares(points))
        still = self._slack(shared - np.exp(self.log_w))

        def times(along: Array) -> Array:
            move = along / self.unit
            cross = points @ move.T
            grow = (np.diag(cross)[:, None] + np.diag(cross) - cross - cross.T) / self.temperature
            change = shared * (np.sum(shared * grow, axis=1, keepdims=True) - grow)
            return np.asarray(2.0 * (still @ move + self._slack(change) @ points) / self.unit)

        return times


def links(log_w: Array) -> Array:
    """(n, n) the symmetric part of the weights, 0 on the diagonal."""
    weights = np.exp(log_w)
    both = (weights + weights.T) / 2.0
    np.fill_diagonal(both, 0.0)
    return np.asarray(both)


def descended(loss: DistanceLoss, logs: Array, dim: int | None, until: float, report: Progress) -> Array:
    """(n, d) the best points found in `dim` coordinates (None: as many as it takes): L-BFGS, then Newton.

    `logs`, (n, n) symmetric, is what the weights ask of squared distances over -2 tau; the descent begins there.
    """
    n, temperature = len(logs), loss.temperature
    logs = np.minimum(logs, 0.0)
    logs[np.isneginf(logs)] = logs[np.isfinite(logs)].min() - 5.0
    values, vectors = np.linalg.eigh(temperature * centred(logs))
    kept = np.flatnonzero(values > 1e-3 * values[-1])[::-1]
    width = min(n - 1, len(kept) + 4) if dim is None else dim
    kept = kept[:width]
    start = np.random.default_rng(0).normal(size=(n, width)) * np.sqrt(1e-3 * temperature / width)
    start[:, : len(kept)] += vectors[:, kept] * np.sqrt(values[kept])
    rows = start * loss.unit

    def function(flat: Array) -> tuple[float, Array]:
        value, slope = loss(flat.reshape(n, -1))
        return value, slope.ravel()

    def after(intermediate_result: OptimizeResult) -> None:
        report(f"excess {intermediate_result.fun:.4g} nats in {width} coordinates")
        if time.monotonic() > until:
            raise StopIteration

    # Newton needs the right rank; where columns that should vanish have not yet, the descent goes on.
    for _ in range(2):
        found = minimize(function, rows.ravel(), jac=True, method="L-BFGS-B", callback=after, options=_OPTIONS)
        points = found.x.reshape(n, -1) / loss.unit
        left, sizes, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
        kept = sizes > 1e-5 * max(float(sizes[0]), temperature**0.5)
        rows = _newton(loss, left[:, kept] * sizes[kept] * loss.unit, until)
        if not kept.any() or np.linalg.norm(loss(rows)[1]) < 1e-12 or time.monotonic() > until:
            break
    points = rows / loss.unit
    points = points - points.mean(axis=0)
    return points if dim is None else np.pad(points, ((0, 0), (0, dim - points.shape[1])))


def _newton(loss: DistanceLoss, rows: Array, until: float) -> Array:
    """The rows after Newton's method: L-BFGS stops at half the digits of the slope."""
    slope = loss(rows)[1]
    for _ in range(_STEPS):
        if np.linalg.norm(slope) < 1e-15 or time.monotonic() > until:
            break
        times = loss.curvature(rows)
        curvature = LinearOperator((rows.size,) * 2, lambda flat: times(flat.reshape(rows.shape)).ravel())  # noqa: B023
        step = minres(curvature, -slope.ravel(), rtol=1e-4, maxiter=_PRODUCTS)[0].reshape(rows.shape)
        found = loss(rows + step)[1]
        if not np.linalg.norm(found) < 0.9 * np.linalg.norm(slope):
            break
        rows, slope = rows + step, found
    return rows


def least_loss(loss: DistanceLoss, points: Array) -> float:
    """Proved to lie below the loss of any points, with self-pairs; near the loss of points that are nearly best.

    The best of four bounds: w may lack links, which only makes Lap(w) less; the weakest cost the rest its digits.
    """
    joined, log_p, best = links(loss.log_w), loss.shares(points), 0.0
    for least in (0.0, 1e-16, 1e-12, 1e-8):
        count, labels = connected_components(csr_array(joined > least), directed=False)
        total = 0.0
        for block in range(count):
            own = np.flatnonzero(labels == block)
            if len(own) > 1:
                square = np.ix_(own, own)
                total += _dual_sum(joined[square], row_normalised(log_p[square], True))
        best = max(best, total)
    return best / len(joined)


def _dual_sum(links: Array, log_p: Array) -> float:
    """sum_i H(q_i) for the q between p and the identity with Lap(q) <= Lap(w), or 0 where rounding hides it."""
    n, shared = len(links), np.exp(log_p)
    near = (shared + shared.T) / 2.0
    np.fill_diagonal(near, 0.0)
    root = np.sqrt(np.maximum(links.sum(axis=1), 1e-300))

    def laplacian(part: Array) -> Array:
        return (np.diag(part.sum(axis=1)) - part) / root / root[:, None]

    null = root / np.linalg.norm(root)
    whole = laplacian(links) + np.outer(null, null)
    least = float(np.linalg.eigvalsh(whole)[0])
    slop = 4.0 * n * np.finfo(float).eps
    if least < 100.0 * slop:
        return 0.0
    excess = max(float(eigh(laplacian(near), whole, eigvals_only=True)[-1]), 1.0)
    excess *= 1.0 + slop / least
    mixed = log_p - np.log(excess)
    np.fill_diagonal(mixed, np.log(np.diag(shared) / excess + (excess - 1.0) / excess))
    return float(entropies(mixed).sum())
