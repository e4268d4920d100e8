"""Weights of pairs by their logarithms: rows that sum to 1, their symmetric part, divergences without cancellation."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from ...arrays import Array
from ...errors import ProblemError


def row_normalised(log_weights: ArrayLike, self_pairs: bool) -> Array:
    """(n, n) the logarithms of weights whose rows sum to 1: log w_ij = x_ij - log sum_k e^{x_ik}.

    The largest entry of a row comes from log1p of the others, so a weight that is nearly 1 keeps its digits. The
    diagonal is -inf without self-pairs.

    Raises:
        ProblemError: no square matrix, NaN or +inf, or a row without any weight.
    """
    try:
        logs = np.array(log_weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise ProblemError(f"log_weights: must be numbers; got {log_weights!r:.60}") from None
    if logs.ndim != 2 or logs.shape[0] != logs.shape[1] or len(logs) < 2:
        raise ProblemError(f"log_weights: must have shape (n, n) with n >= 2; got {logs.shape}")
    if not self_pairs:
        np.fill_diagonal(logs, -np.inf)
    bad = np.isnan(logs) | (logs == np.inf)
    if bad.any():
        i, j = np.argwhere(bad)[0]
        raise ProblemError(f"log_weights: must be finite or -inf (weight 0); got {logs[i, j]} at ({i}, {j})")
    top = logs.argmax(axis=1)[:, None]
    largest = np.take_along_axis(logs, top, axis=1)
    empty = np.flatnonzero(largest == -np.inf)
    if empty.size:
        raise ProblemError(f"log_weights: every row needs a weight above 0; row {empty[0]} has none")
    logs -= largest
    rest = np.exp(logs)
    np.put_along_axis(rest, top, 0.0, axis=1)
    return logs - np.log1p(rest.sum(axis=1, keepdims=True))


def symmetric_part(log_w: Array, self_pairs: bool) -> tuple[Array, float, tuple[int, ...]]:
    """A symmetric l with zero diagonal such that log w_ij = l_ij + a_i, as nearly as there is one.

    Self-pairs in, the diagonal gives a_i = log w_ii and l is the mean of log w_ij - log w_ii and its transpose, so of
    w_ij = K_ij / r_i it is log K_ij / sqrt(K_ii K_jj); it fits only if all K_ii are alike.

    Self-pairs out, a is the least-squares solution of A_ij = log w_ij - log w_ji = a_i - a_j over pairs with both
    weights: the row means of A if there are no zeros, else a system with the Laplacian of the graph of such pairs. Its
    free constant, one a component, is chosen so that the largest l_ij, i != j, of each component is 0. Around a cycle,
    A must sum to 0. The residuals E = A - a_i + a_j are a flow that no sample keeps, so through the pair with the
    largest one runs a cycle of positive residuals, whose sum is at least as large; without zeros a triangle does.

    Returns:
        l (n, n), -inf where a pair lacks a weight in either direction, +inf next to a sample of no weight to itself;
        asymmetry, in units of log w: with self-pairs the largest |log w_ij - log w_ii - log w_ji + log w_jj|, without
        the violation |A_ij + A_jk + ...| of the cycle, and inf where a weight is 0 one way only, or one to itself is;
        worst, the pair or cycle where that is so, (i, i) for a sample of no weight to itself, () where nothing is
        violated. O(n^2), with zeros and without self-pairs O(n^3).
    """
    own = np.diag(log_w)
    gone = np.isneginf(log_w)
    one_way = gone != gone.T
    if self_pairs:
        alone = np.flatnonzero(np.isneginf(own))
        with np.errstate(invalid="ignore"):
            ratios = log_w - own[:, None]
            ratios[gone] = -np.inf
            differences = np.abs(ratios - ratios.T)
            fitted = (ratios + ratios.T) / 2.0
        fitted[gone | gone.T] = -np.inf
        fitted[~gone & ~gone.T & (np.isinf(ratios) | np.isinf(ratios.T))] = np.inf
        np.fill_diagonal(fitted, 0.0)
        if alone.size:
            return fitted, np.inf, (int(alone[0]), int(alone[0]))
        if one_way.any():
            return fitted, np.inf, _indices(one_way)
        differences[gone] = 0.0
        asymmetry = float(differences.max())
        return fitted, asymmetry, _indices(differences) if asymmetry else ()
    return _without_diagonal(log_w, gone, one_way)


def _without_diagonal(log_w: Array, gone: NDArray[np.bool_], one_way: NDArray[np.bool_]) -> tuple:
    n = len(log_w)
    there = ~(gone | gone.T)
    np.fill_diagonal(there, False)
    finite = np.where(there, log_w, 0.0)
    twist = finite - finite.T
    count, labels = connected_components(csr_array(there), directed=False)
    members = labels[:, None] == labels
    if there.sum() == n * (n - 1):
        rows = twist.mean(axis=1)
    else:
        laplacian = np.diag(there.sum(axis=1).astype(float)) - there + members / members.sum(axis=1)
        rows = np.linalg.solve(laplacian, twist.sum(axis=1))
        residual = np.where(there, twist - rows[:, None] + rows, 0.0)
        rows += np.linalg.solve(laplacian, residual.sum(axis=1))
    shifted = np.where(there, log_w - rows[:, None], -np.inf)
    fitted = np.where(there, (shifted + shifted.T) / 2.0, -np.inf)
    largest = np.full(count, -np.inf)
    np.maximum.at(largest, labels, fitted.max(axis=1))
    fitted -= np.where(np.isfinite(largest), largest, 0.0)[labels][:, None]
    fitted = np.maximum(fitted, fitted.T)  # to the last bit: the constant is the same on both sides
    np.fill_diagonal(fitted, 0.0)
    if one_way.any():
        return fitted, np.inf, _indices(one_way)
    cycle = _cycle(np.where(there, twist - rows[:, None] + rows, 0.0), there)
    return fitted, abs(float(sum(twist[i, j] for i, j in zip(cycle, cycle[1:] + cycle[:1], strict=True)))), cycle


def _cycle(residual: Array, there: NDArray[np.bool_]) -> tuple[int, ...]:
    """The worst triangle over the pair of the largest residual, or a longer cycle where that has none as bad."""
    i, j = _indices(residual)
    if residual[i, j] <= 0.0:
        return ()
    both = there[i] & there[j]
    sums = np.where(both, np.abs(residual[i, j] + residual[j] + residual[:, i]), -1.0)
    k = int(sums.argmax())
    if sums[k] >= 0.999 * residual[i, j]:
        return (i, j, k)
    _, before = breadth_first_order(csr_array(residual > 0.0), j)
    if before[i] < 0:  # residuals of rounding alone
        return (i, j, k) if both.any() else ()
    back = [i]
    while back[-1] != j:
        back.append(int(before[back[-1]]))
    return (i, *back[:0:-1])


def _indices(matrix: NDArray) -> tuple[int, int]:
    i, j = np.unravel_index(int(matrix.argmax()), matrix.shape)
    return int(i), int(j)


def divergences(log_w: Array, log_p: Array) -> Array:
    """(n,) KL_i = sum_j w_ij log(w_ij / p_ij), row by row, as the sum of `divergence_terms`. O(n^2)."""
    return np.asarray(divergence_terms(log_w, log_p).sum(axis=1), dtype=np.float64)


def divergence_terms(log_w: Array, log_p: Array) -> Array:
    """The terms w h(x), x = log(p / w), h(x) = e^x - 1 - x, elementwise; p where w = 0.

    Where w and p both sum to 1 these sum to KL(w || p), and every term is 0 or more: a divergence of 1e-30 has digits.
    """
    with np.errstate(invalid="ignore"):
        gone = np.isneginf(log_w)
        x = np.where(gone, 0.0, log_p - log_w)
    weights, shares = np.exp(log_w), np.exp(log_p)
    small = np.abs(x) < 0.3
    near = np.where(small, x, 0.0)
    series = np.ones_like(near)
    for term in range(14, 2, -1):
        series = 1.0 + near / term * series
    with np.errstate(over="ignore", invalid="ignore"):
        far = shares - weights - np.where(weights > 0.0, weights * x, 0.0)
    terms = np.where(small, weights * near**2 / 2.0 * series, far)
    return np.asarray(np.where(gone, shares, terms), dtype=np.float64)
