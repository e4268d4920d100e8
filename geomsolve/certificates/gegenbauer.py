"""Gegenbauer polynomials, and the least value of sums of them and pair potentials: proved, not only found."""

import numpy as np

from ..arrays import Array
from .pair_models import Indices, PairModel

_EPS = float(np.finfo(np.float64).eps)
# Intervals of [0, pi] that every pair begins with, and how often one of them is halved at most.
_INTERVALS, _HALVINGS = 64, 40
# Numbers held at once.
_BLOCK = 4_000_000


def gegenbauer(dim: int, degree: int, cosines: Array) -> Array:
    """(degree + 1, ...) P_0, P_1, ... at the cosines, P_k(1) = 1: the zonal polynomials of the sphere in `dim` >= 2.

    (k + d - 2) P_{k+1}(t) = (2 k + d - 2) t P_k(t) - k P_{k-1}(t): Chebyshev's for d = 2, Legendre's for d = 3.
    For unit vectors z_i in d dimensions the matrix P_k(z_i . z_j) is positive semidefinite (Schoenberg).
    """
    rows = [np.ones_like(cosines), cosines]
    for k in range(1, degree):
        rows.append(((2 * k + dim - 2) * cosines * rows[k] - k * rows[k - 1]) / (k + dim - 2))
    return np.stack(rows[: degree + 1])


def least_of_pairs(model: PairModel, coefficients: Array, dim: int, tol: Array) -> Array:
    """(n,) numbers below phi(t) - sum_k c_k P_k(t), at every t in [-1, 1], and not by much more than `tol`.

    Over t = cos(theta) a function psi with psi'' <= B on an interval of width w is at least the smaller of its values
    at the ends minus B w^2/8. Here |d^2/dtheta^2 P_k| <= P_k'(1) = k (k + d - 2)/(d - 1), as P_k(cos theta) is a mean
    of cos(m theta), and with x = 1 - e^{-p} <= p for p = log(1 + r e^s),

        d^2 p/dtheta^2 = x (1 - x) sin^2(theta)/tau^2 - x cos(theta)/tau <= p (1/tau^2 + 1/tau),

    largest at the left end. Intervals whose bound is below the best value so far minus tol are halved.

    phi is of the n kinds of pairs of the model, and the coefficients (n, degree + 1).
    """
    order, tau = np.arange(coefficients.shape[1] * 1.0), model.temperature
    size, slopes = np.abs(coefficients), np.abs(model.slopes)
    curl = size @ (order * (order + dim - 2) / (dim - 1)) + slopes / tau
    every = np.arange(len(curl))
    blocks = np.array_split(every, -(-len(every) * (_INTERVALS + 1) // _BLOCK))
    least = np.concatenate([_halved(model, coefficients, dim, curl, tol, block) for block in blocks])
    # Rounding: of the recurrence, of the logarithms and sums, and of the angles.
    largest = model.at(every, np.ones(1))[1][:, 0]
    noise = size @ (8.0 * (order + 1.0) ** 2) + (8.0 + 8.0 / tau) * (largest + slopes)
    return least - 4.0 * _EPS * noise


def _halved(model: PairModel, coefficients: Array, dim: int, curl: Array, tol: Array, block: Indices) -> Array:
    """The least values of a block of pairs: intervals in which some may have theirs are halved until none may."""
    degree, bend = coefficients.shape[1] - 1, 1.0 / model.temperature**2 + 1.0 / model.temperature
    angles = np.linspace(0.0, np.pi, _INTERVALS + 1)
    values, part = model.at(block, np.cos(angles))
    values = values - coefficients[block] @ gegenbauer(dim, degree, np.cos(angles))
    width, known, proved = angles[1], values.min(axis=1), np.full(len(block), np.inf)
    pair, left = np.repeat(np.arange(len(block)), _INTERVALS), np.tile(angles[:-1], len(block))
    low, high, part = values[:, :-1].ravel(), values[:, 1:].ravel(), part[:, :-1].ravel()
    for halvings in range(_HALVINGS + 1):
        floor = np.minimum(low, high) - (width**2 / 8.0) * (curl[block[pair]] + bend * part)
        open_ = floor < (known - tol[block])[pair]
        if halvings == _HALVINGS or open_.sum() > _BLOCK:
            open_[:] = False
        np.minimum.at(proved, pair[~open_], floor[~open_])
        if not open_.any():
            break
        pair, left, low, high, part = (array[open_] for array in (pair, left, low, high, part))
        width /= 2.0
        cosines = np.cos(left + width)
        phi, inner = model.at(block[pair], cosines[:, None])
        middle = phi[:, 0] - np.einsum("nk,kn->n", coefficients[block[pair]], gegenbauer(dim, degree, cosines))
        np.minimum.at(known, pair, middle)
        pair, left = np.tile(pair, 2), np.concatenate([left, left + width])
        low, high, part = map(np.concatenate, ((low, middle), (middle, high), (part, inner[:, 0])))
    return proved
