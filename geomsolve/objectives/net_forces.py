"""Repulsion less attraction of a row softmax without subtracting the two, and the loss to the same digits.

At low temperature an anchor is pulled to its positives and pushed from them by the denominator with nearly the same
force, and what chooses a geometry is the difference, down to e^{-2/tau} of either. Functions here take the rows of

    L = sum_i m_i [ - sum_j P_ij x_ij + log( a_i + sum_j W_ij e^{x_ij} ) ],    x_ij = (G_ij - 1) / tau

with the sum over j split into the positives of i ("kin", P_ij > 0) and the rest. Ours.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram

_EPS = float(np.finfo(np.float64).eps)


class Rows(NamedTuple):
    """The numbers of a row softmax by orbits."""

    masses: Array  # (K,) m
    weights: Array  # (K, K) W of one partner
    offsets: Array  # (K,) a
    positives: Array  # (K, K) P of one partner
    partners: Array  # (K, K) how many partners there are
    temperature: float

    @property
    def kin(self) -> NDArray[np.bool_]:
        """(K, K) whether a partner is a positive."""
        return self.positives > 0

    @property
    def nearby(self) -> Array:
        """(K,) A_i, the denominator with all positives at t = 0 and all others far away."""
        return np.asarray(self.offsets + np.where(self.kin, self.partners * self.weights, 0.0).sum(axis=1))

    @property
    def unbalance(self) -> Array:
        """(K, K) W_ij - P_ij A_i, the force on a positive (times A_i) there; 0 where only rounding is left of it."""
        wanted = self.positives * self.nearby[:, None]
        left = self.weights - wanted
        return np.where(np.abs(left) > 8.0 * _EPS * wanted, left, 0.0)

    @property
    def settled(self) -> NDArray[np.bool_]:
        """(K,) whether no force acts in a row there, so that nothing is below log A_i."""
        return np.asarray(np.all((self.unbalance == 0) | ~self.kin, axis=1) & (self.nearby > 0))


def net_forces(rows: Rows, gram: OrbitGram) -> tuple[Array, Array, Array]:
    """(K, K) m_i (q_ij - P_ij) / tau, the size of the terms it is summed from, and what one ulp of a cosine is in it.

    With Z_i the denominator and expm1(x) = e^x - 1,

        Z_i (q_ij - P_ij) = [W_ij - P_ij A_i] + W_ij expm1(x_ij)
                            - P_ij sum_kin W_ik expm1(x_ik) - P_ij sum_rest W_ik e^{x_ik}

    has none of the large terms left. j is its own kin: the coefficient of expm1(x_ij) is W_ij (1 - P_ij N_ij).
    """
    weights, positives, kin = rows.weights, rows.positives, rows.kin
    # A softmax without an offset takes any number off all of a row: what its positives have in common.
    far, exponentials = gram.beside(rows.temperature, rows.offsets <= 0)
    negatives = rows.partners * rows.weights
    sums = negatives * exponentials
    denominators = (rows.offsets + sums.sum(axis=1))[:, None]
    unit = rows.masses[:, None] / denominators / rows.temperature
    apart = np.expm1(-far / rows.temperature)
    stretched = np.where(kin, negatives * apart, 0.0)
    all_stretched = np.abs(stretched).sum(axis=1)[:, None]
    # Less itself; of a single positive nothing is left, and rounding must not be.
    single = kin.sum(axis=1)[:, None] == 1
    others = np.where(single & kin, 0.0, stretched.sum(axis=1)[:, None] - stretched)
    rest = np.where(kin, 0.0, sums).sum(axis=1)[:, None]
    pull, unbalance = positives * rows.partners, rows.unbalance
    own = weights * (1.0 - pull)
    split = unbalance + own * apart - positives * (others + rest)
    size = np.abs(unbalance) + np.abs(own * apart) + positives * (np.abs(others) + rest)
    # Differences of larger numbers keep the rounding of these; sizes are multiplied by 64 ulps later.
    size += np.where(unbalance != 0, positives * rows.nearby[:, None], 0.0) / 32.0
    size += np.where(own != 0, weights * pull * np.abs(apart), 0.0) / 32.0
    size += np.where(single, 0.0, positives * all_stretched) / 32.0
    direct, attracted = weights * exponentials, positives * denominators
    shorter = kin & (size < direct + attracted)
    row = np.where(shorter, split, direct - attracted) * unit
    terms = np.where(shorter, size, direct + attracted) * unit
    loose = np.abs(own) + np.where(single, 0.0, positives * np.where(kin, negatives, 0.0).sum(axis=1)[:, None])
    # Points a distance d apart are known to an ulp of 1, and so d^2 / 2 to d ulps.
    last = np.minimum(1.0, 16.0 * np.sqrt(np.abs(gram.apart))) if gram.from_points else 1.0
    return row, terms, _EPS * np.where(shorter, loose, 0.0) * last * unit / rows.temperature


class FineRows(NamedTuple):
    """The derivative of rows, see `fine_rows`."""

    gradient: Array  # (K, K) m_i (q_ij - P_ij) / tau
    rounded: Array  # (K, K) how far rounding can have moved it
    rests: Array  # (K,) a_i / Z_i, the share of a denominator that no partner has


def fine_rows(rows: Rows, gram: OrbitGram) -> FineRows:
    """m_i (q_ij - P_ij) / tau from long doubles, and how far rounding can have moved it.

    With u = eps/2 of the type, x has two roundings and e^x one more or two: its relative error is below
    (2|x| + 4) u. Products with W and N add 2 u; a sum of K + 1 positive terms at most K u, and the mean of their own
    errors. So, in units of eps and generously,

        |error of q| <= q ( |x| + sum_k q_k |x_k| + K/2 + 8 ),       |error of q - P| <= that + q + P,

    and rounding to float64 adds an ulp of what is left. On machines whose long double is float64 this is no finer than
    `net_forces`, but as true.
    """
    long = np.longdouble
    eps = float(np.finfo(long).eps)
    near = gram.apart.astype(long) if gram.from_points else 1 - gram.cosines.astype(long)
    x = -near / long(rows.temperature)
    pulls = rows.weights.astype(long) * np.exp(x)
    sums = np.where(rows.partners > 0, rows.partners * pulls, 0)
    denominators = rows.offsets + sums.sum(axis=1)
    unit = (rows.masses / (denominators * long(rows.temperature)))[:, None]
    row = np.asarray((pulls - rows.positives * denominators[:, None]) * unit, dtype=np.float64)
    size = np.abs(np.asarray(x, dtype=np.float64))
    shares = np.asarray(sums / denominators[:, None], dtype=np.float64)
    roundings = size + np.sum(shares * size, axis=1)[:, None] + 0.5 * len(size) + 10.0
    terms = np.asarray((pulls + rows.positives * denominators[:, None]) * unit, dtype=np.float64)
    rests = np.asarray(rows.offsets / denominators, dtype=np.float64)
    return FineRows(row, eps * roundings * terms + _EPS * np.abs(row), rests)


def settled_excess(rows: Rows, gram: OrbitGram) -> tuple[Array, NDArray[np.bool_]]:
    """(K,) settled rows above log A_i, and where that is finer than the plain sum: where positives are close.

    With P_ij = W_ij / A_i such a row is

        log(1 + y) - sum_kin P_ij x_ij,    y = sum_kin P_ij expm1(x_ij) + sum_rest W_ij e^{x_ij} / A_i,

    both parts being the same to first order in the x of positives: their difference is taken term by term.
    """
    pull = np.where(rows.kin, rows.partners * rows.positives, 0.0)
    near = np.where(rows.kin, -gram.apart / rows.temperature, 0.0)
    rest = np.where(rows.kin, 0.0, rows.partners * rows.weights * gram.exponentials(rows.temperature)).sum(axis=1)
    rest = rest / np.where(rows.nearby > 0, rows.nearby, 1.0)
    y = np.sum(pull * np.expm1(near), axis=1) + rest
    fine = np.sum(pull * expm1_less(near), axis=1) + rest + log1p_less(np.maximum(y, -0.5))
    alone = (np.count_nonzero(pull, axis=1) == 1) & (pull.sum(axis=1) == 1.0) & (rows.offsets == 0)
    with np.errstate(over="ignore", invalid="ignore"):
        fine = np.where(alone, np.log1p(rest * np.exp(-near.sum(axis=1))), fine)
    return fine, alone | (y > -0.5)


def entropic_floors(rows: Rows) -> Array:
    """(K,) a lower bound of each row: the cross-entropy of its positives, where they and own views are all there is.

    With p_0 = 1 - sum_j P_ij, what attracts at t = 0, log(a + sum W e^x) >= sum_j P_j (x_j + log(W_j/P_j)) + p_0
    log(a/p_0) by convexity, and the attraction cancels the x. Minus infinity where P sums to more than 1.
    """
    pull = np.where(rows.kin, rows.partners * rows.positives, 0.0)
    rest = 1.0 - pull.sum(axis=1)
    rest = np.where(np.abs(rest) < 8.0 * _EPS * len(pull), 0.0, rest)
    with np.errstate(divide="ignore", invalid="ignore"):
        among = np.where(pull > 0, pull * np.log(rows.weights / np.where(rows.kin, rows.positives, 1.0)), 0.0)
        own = np.where(rest > 0, rest * np.log(rows.offsets / np.where(rest > 0, rest, 1.0)), 0.0)
    return np.where(rest >= 0, among.sum(axis=1) + own, -np.inf)


def expm1_less(x: Array) -> Array:
    """e^x - 1 - x with relative accuracy."""
    small = np.abs(x) < 1e-2
    z = np.where(small, x, 0.0)
    return np.where(small, z * z * (0.5 + z * (1 / 6 + z * (1 / 24 + z * (1 / 120 + z / 720)))), np.expm1(x) - x)


def log1p_less(y: Array) -> Array:
    """log(1 + y) - y with relative accuracy."""
    small = np.abs(y) < 1e-2
    z = np.where(small, y, 0.0)
    series = -z * z * (1 / 2 - z * (1 / 3 - z * (1 / 4 - z * (1 / 5 - z * (1 / 6 - z * (1 / 7 - z / 8))))))
    return np.where(small, series, np.log1p(y) - y)
