"""Gegenbauer polynomials, and the least value of sums of them and pair potentials: proved, not only found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array

Indices = NDArray[np.intp]

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


@dataclass(frozen=True, eq=False)
class Potentials:
    """Potentials of n kinds of pairs (a, b), at cosine t with s = (t - 1)/tau: what both anchors pay for each other.

        phi(t) = left p_a(s - log left_tilt) + right p_b(s - log right_tilt) + slope s
        p_a(s) = sum_m chances_am log(1 + ratios_am e^s)

    Attributes:
        ratios: (K, M), not negative.
        chances: (K, M), not negative.
        first: (n,) a.
        second: (n,) b.
        left: (n,) not negative.
        right: (n,) not negative.
        left_tilt: (n,) above 0.
        right_tilt: (n,) above 0.
        slope: (n,) of either sign.
        temperature: tau.
    """

    ratios: Array
    chances: Array
    first: Indices
    second: Indices
    left: Array
    right: Array
    left_tilt: Array
    right_tilt: Array
    slope: Array
    temperature: float

    def at(self, pairs: Indices, cosines: Array) -> tuple[Array, Array]:
        """(n, ...) phi of the pairs, and its part in logarithms; cosines are (..., T) for all or (n, T) each's own."""
        drift = np.exp((cosines - 1.0) / self.temperature)
        part = np.zeros((len(pairs), cosines.shape[-1]))
        sides = ((self.first, self.left, self.left_tilt), (self.second, self.right, self.right_tilt))
        for row, weight, tilt in sides:
            for m in range(self.ratios.shape[1]):
                ratio, chance = self.ratios[row[pairs], m] / tilt[pairs], self.chances[row[pairs], m]
                part += (weight[pairs] * chance)[:, None] * np.log1p(ratio[:, None] * drift)
        return part + self.slope[pairs, None] * ((cosines - 1.0) / self.temperature), part

    def table(self, cosines: Array) -> Array:
        """(n, T) phi of every pair at every cosine."""
        return self.at(np.arange(len(self.first)), cosines)[0]

    def largest(self) -> Array:
        """(n,) above phi's part in logarithms everywhere."""
        return self.at(np.arange(len(self.first)), np.ones(1))[1][:, 0]


def least_of_pairs(potentials: Potentials, coefficients: Array, dim: int, tol: Array) -> Array:
    """(n,) numbers below phi(t) - sum_k c_k P_k(t), at every t in [-1, 1], and not by much more than `tol`.

    Over t = cos(theta) a function psi with psi'' <= B on an interval of width w is at least the smaller of its values
    at the ends minus B w^2/8. Here |d^2/dtheta^2 P_k| <= P_k'(1) = k (k + d - 2)/(d - 1), as P_k(cos theta) is a mean
    of cos(m theta), and with x = 1 - e^{-p} <= p for p = log(1 + r e^s),

        d^2 p/dtheta^2 = x (1 - x) sin^2(theta)/tau^2 - x cos(theta)/tau <= p (1/tau^2 + 1/tau),

    largest at the left end. Intervals whose bound is below the best value so far minus tol are halved.

    Args:
        potentials: phi of n pairs.
        coefficients: (n, degree + 1) c_k.
        dim: of the polynomials.
        tol: (n,) how fine it must be.
    """
    degree = coefficients.shape[1] - 1
    order = np.arange(degree + 1.0)
    size = np.abs(coefficients)
    curl = size @ (order * (order + dim - 2) / (dim - 1)) + np.abs(potentials.slope) / potentials.temperature
    tau = potentials.temperature
    bend = 1.0 / tau**2 + 1.0 / tau
    angles = np.linspace(0.0, np.pi, _INTERVALS + 1)
    polynomials = gegenbauer(dim, degree, np.cos(angles))
    count = len(curl)
    least = np.empty(count)
    step = max(1, _BLOCK // len(angles))
    for first in range(0, count, step):
        block = np.arange(first, min(first + step, count))
        phi, part = potentials.at(block, np.cos(angles))
        values = phi - coefficients[block] @ polynomials
        cells = _Cells(potentials, coefficients, dim, curl[block], bend, tol[block], block)
        least[block] = cells.least(values, part, angles)
    # Rounding: of the recurrence, of the logarithms and sums, and of the angles.
    noise = size @ (8.0 * (order + 1.0) ** 2) + (8.0 + 8.0 / tau) * (potentials.largest() + np.abs(potentials.slope))
    return least - 4.0 * _EPS * noise


@dataclass(frozen=True, eq=False)
class _Cells:
    """Intervals of angles in which some pairs may have their least value, halved until none may."""

    potentials: Potentials
    coefficients: Array
    dim: int
    curl: Array
    bend: float
    tol: Array
    block: Indices

    def least(self, values: Array, part: Array, angles: Array) -> Array:
        """(n,) the proved least values of the pairs of a block, from values on a grid of angles."""
        width = angles[1] - angles[0]
        known, proved = values.min(axis=1), np.full(len(values), np.inf)
        pair = np.repeat(np.arange(len(values)), len(angles) - 1)
        left = np.tile(angles[:-1], len(values))
        low, high, part = values[:, :-1].ravel(), values[:, 1:].ravel(), part[:, :-1].ravel()
        for _ in range(_HALVINGS):
            floor = np.minimum(low, high) - (width**2 / 8.0) * (self.curl[pair] + self.bend * part)
            open_ = floor < (known - self.tol)[pair]
            np.minimum.at(proved, pair[~open_], floor[~open_])
            if not open_.any() or open_.sum() > _BLOCK:
                np.minimum.at(proved, pair, floor)
                break
            pair, left, low, high, part = (array[open_] for array in (pair, left, low, high, part))
            width /= 2.0
            middle, inner = self._at(pair, left + width)
            np.minimum.at(known, pair, middle)
            pair, left = np.tile(pair, 2), np.concatenate([left, left + width])
            low, high, part = map(np.concatenate, ((low, middle), (middle, high), (part, inner)))
        else:
            np.minimum.at(proved, pair, np.minimum(low, high) - (width**2 / 8.0) * (self.curl[pair] + self.bend * part))
        return proved

    def _at(self, pair: Indices, angles: Array) -> tuple[Array, Array]:
        """Values and parts in logarithms, one angle a pair."""
        cosines = np.cos(angles)
        phi, part = self.potentials.at(self.block[pair], cosines[:, None])
        polynomials = gegenbauer(self.dim, self.coefficients.shape[1] - 1, cosines)
        values = phi[:, 0] - np.einsum("nk,kn->n", self.coefficients[self.block[pair]], polynomials)
        return values, part[:, 0]
