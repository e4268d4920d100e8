"""Weights of pairs by their logarithms: rows that sum to 1, their symmetric part, divergences without cancellation."""

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array


def row_normalised(logs: Array) -> Array:
    """(n, n) the logarithms of weights whose rows sum to 1: log w_ij = x_ij - log sum_k e^{x_ik}.

    The largest entry of a row comes from log1p of the others, so a weight that is nearly 1 keeps its digits.
    """
    top = logs.argmax(axis=1)[:, None]
    logs = logs - np.take_along_axis(logs, top, axis=1)
    rest = np.exp(logs)
    np.put_along_axis(rest, top, 0.0, axis=1)
    return np.asarray(logs - np.log1p(rest.sum(axis=1, keepdims=True)))


def symmetric_part(log_w: Array, self_pairs: bool) -> tuple[Array, float, tuple[int, ...]]:
    """A symmetric l with zero diagonal such that log w_ij = l_ij + a_i, as nearly as there is one, of weights above 0.

    Self-pairs in, the diagonal gives a_i = log w_ii and l is the mean of log w_ij - log w_ii and its transpose, so of
    w_ij = K_ij / r_i it is log K_ij / sqrt(K_ii K_jj); it fits only if all K_ii are alike.

    Self-pairs out, a is the least-squares solution of A_ij = log w_ij - log w_ji = a_i - a_j, the row means of A. Its
    free constant is chosen so that the largest l_ij, i != j, is 0. Around a triangle, A must sum to 0.

    Returns:
        l (n, n); asymmetry, in units of log w: with self-pairs the largest |log w_ij - log w_ii - log w_ji + log w_jj|,
        without the violation |A_ij + A_jk + A_ki| of a triangle; worst, the pair or triangle where that is so, () where
        nothing is violated. O(n^2).
    """
    off = ~np.eye(len(log_w), dtype=bool)
    if self_pairs:
        rows = np.diag(log_w)
    else:
        twist = np.subtract(log_w, log_w.T, out=np.zeros_like(log_w), where=off)
        rows = twist.mean(axis=1)
    shifted = np.where(off, log_w, 0.0) - rows[:, None]
    fitted = (shifted + shifted.T) / 2.0
    if not self_pairs:
        fitted -= fitted.max(where=off, initial=-np.inf)
    np.fill_diagonal(fitted, 0.0)
    if self_pairs:
        differences = np.abs(np.subtract(shifted, shifted.T, out=np.zeros_like(log_w), where=off))
        return fitted, float(differences.max()), _indices(differences) if differences.any() else ()
    residual = twist - rows[:, None] + rows
    i, j = _indices(residual)
    if len(log_w) < 3 or residual[i, j] <= 0.0:
        return fitted, 0.0, ()
    sums = np.where(off[i] & off[j], np.abs(residual[i, j] + residual[j] + residual[:, i]), -1.0)
    k = int(sums.argmax())
    return fitted, abs(float(twist[i, j] + twist[j, k] + twist[k, i])), (i, j, k)


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
