"""The best points for weighted InfoNCE over squared distances with self-pairs, and a bound that proves it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import logsumexp

from ..arrays import Array
from ..objectives.logweights import row_normalised


def entropies(log_w: Array) -> Array:
    """(n,) the entropy of every row."""
    return -np.sum(np.exp(log_w) * np.where(np.isneginf(log_w), 0.0, log_w), axis=1)


def centred(matrix: Array) -> Array:
    """C A C of a symmetric (n, n) A, C = I - 11^T/n."""
    rows = matrix.mean(axis=1)
    return matrix - rows[:, None] - rows + rows.mean()


def minimised(log_w: Array, logs: Array, temperature: float) -> tuple[Array, float]:
    """The best points of linked samples with self-pairs, and a lower bound; L-BFGS, then Newton on the slope."""
    n, weights = len(log_w), np.exp(log_w)
    logs = np.minimum(logs, 0.0)
    logs[np.isneginf(logs)] = logs[np.isfinite(logs)].min() - 5.0
    values, vectors = np.linalg.eigh(temperature * centred(logs))
    kept = values > 1e-3 * values[-1]
    width = min(n - 1, int(kept.sum()) + 4)
    start = np.random.default_rng(0).normal(size=(n, width)) * np.sqrt(1e-3 * temperature / width)
    start[:, : kept.sum()] += vectors[:, kept] * np.sqrt(values[kept])
    links = (weights + weights.T) / 2.0
    np.fill_diagonal(links, 0.0)
    degrees = np.maximum(links.sum(axis=1), 1e-200)
    # Samples of little weight to others curve little; in these units all curve about alike.
    unit = np.sqrt(degrees / degrees.max())[:, None]

    def shares(points: Array) -> tuple[Array, Array]:
        gram = points @ points.T
        squares = np.maximum(np.diag(gram)[:, None] + np.diag(gram) - 2.0 * gram, 0.0)
        np.fill_diagonal(squares, 0.0)
        return squares, -squares / (2.0 * temperature)

    def slack(rows: Array) -> Array:
        pull = (rows + rows.T) / (2.0 * n * temperature)
        np.fill_diagonal(pull, 0.0)
        return pull - np.diag(pull.sum(axis=1))

    def descent(flat: Array) -> tuple[float, Array]:
        points = flat.reshape(n, -1) / unit
        squares, logits = shares(points)
        norms = logsumexp(logits, axis=1)
        slope = 2.0 * slack(np.exp(logits - norms[:, None]) - weights) @ points
        value = (np.sum(weights * squares) / (2.0 * temperature) + norms.sum()) / n
        return float(value), (slope / unit).ravel()

    def curvature(flat: Array) -> Callable[[Array], Array]:
        points = flat.reshape(n, -1) / unit
        shared = np.exp(row_normalised(shares(points)[1], True))
        still = slack(shared - weights)

        def times(along: Array) -> Array:
            move = along.reshape(n, -1) / unit
            cross = points @ move.T
            grow = 2.0 * (np.diag(cross)[:, None] + np.diag(cross) - cross - cross.T) / (2.0 * temperature)
            change = shared * (np.sum(shared * grow, axis=1, keepdims=True) - grow)
            return (2.0 * (still @ move + slack(change) @ points) / unit).ravel()

        return times

    flat = (start * unit).ravel()
    # Newton needs the right rank; where columns that should vanish have not yet, the descent goes on.
    for least in (1e-13, 0.0):
        options = {"maxiter": 2000, "maxfun": 4000, "ftol": least, "gtol": 1e-12, "maxcor": 20}
        flat = minimize(descent, flat, jac=True, method="L-BFGS-B", options=options).x
        points = flat.reshape(n, -1) / unit
        left, sizes, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
        kept = sizes > 1e-5 * max(float(sizes[0]), temperature**0.5)
        flat = _polished(descent, curvature, (left[:, kept] * sizes[kept] * unit).ravel())
        if not kept.any() or np.linalg.norm(descent(flat)[1]) < 1e-12:
            break
    points = flat.reshape(n, -1) / unit
    return points - points.mean(axis=0), _bound(links, row_normalised(shares(points)[1], True))


def _polished(
    descent: Callable[[Array], tuple[float, Array]], curvature: Callable[[Array], Callable[[Array], Array]], flat: Array
) -> Array:
    """Newton with conjugate gradients: L-BFGS stops where the loss no longer resolves its slope, at half the digits."""
    slope = descent(flat)[1]
    for _ in range(12):
        times, size = curvature(flat), float(np.linalg.norm(slope))
        if size < 1e-13:
            break
        step, left, along = np.zeros_like(flat), -slope, -slope
        for _ in range(400):
            bent = times(along)
            bend, square = float(along @ bent), float(left @ left)
            if bend <= 0.0:
                break
            step, left = step + square / bend * along, left - square / bend * bent
            if np.linalg.norm(left) < 1e-3 * size:
                break
            along = left + float(left @ left) / square * along
        for _ in range(4):
            found = descent(flat + step)[1]
            if np.linalg.norm(found) < 0.9 * size:
                break
            step /= 4.0
        else:
            break
        flat, slope = flat + step, found
    return flat


def _bound(links: Array, log_p: Array) -> float:
    """The best of four bounds: w may lack links, which only makes Lap(w) less; the weakest cost the rest its digits."""
    best = 0.0
    for least in (0.0, 1e-16, 1e-12, 1e-8):
        count, labels = connected_components(csr_array(links > least), directed=False)
        total = 0.0
        for block in range(count):
            own = np.flatnonzero(labels == block)
            if len(own) > 1:
                square = np.ix_(own, own)
                total += _dual_sum(links[square], row_normalised(log_p[square], True))
        best = max(best, total)
    return best / len(links)


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
    excess = max(float(eigh(laplacian(near), whole, eigvals_only=True, subset_by_index=(n - 1, n - 1))[0]), 1.0)
    excess *= 1.0 + slop / least
    mixed = log_p - np.log(excess)
    np.fill_diagonal(mixed, np.log(np.diag(shared) / excess + (excess - 1.0) / excess))
    return float(entropies(mixed).sum())
