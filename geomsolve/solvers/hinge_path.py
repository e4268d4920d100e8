"""The path of a hinge loss: what moves on it, and what must vanish."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..objectives.pairwise import PairLoss
from ..orbits import OrbitGram, Orbits
from .spheres import gram_of, retract, truncate

# float64, or long double: see `Point`.
Array = NDArray[np.floating[Any]]

# Shares of the spectrum below which a direction may have vanished.
_VANISHED = (1e-13, 1e-11, 1e-9, 1e-7)
# Rounding of a cosine on the path.
_ULPS = 8.0 * float(np.finfo(np.longdouble).eps)
# Rounding of a force, in units of the multiplier.
_ROUNDED = 50.0 * float(np.finfo(np.longdouble).eps)


class Point(NamedTuple):
    """Where the path stands: the factor, and of every pair of orbits multipliers and distances.

    In long double. Where classes are alike, supervised weights m_a m_b (c_a + c_b) / 2, c = 1/(1 - class mass), are of
    rank one up to 1e-6 or less of themselves. As little is 1 - slope, and are most eigenvalues of S, and with products
    of 1e-13, the least in float64, pairs on the kink are still 1e-6 off it, and what vanishes of G is not told from the
    rest.
    """

    means: Array  # (K, K) L
    spread: Array  # (K,) w
    pull: Array  # (P,) weight x slope
    rest: Array  # (P,) weight x (1 - slope)
    lacks: Array  # (P,) to the kink
    beyond: Array  # (P,) of it; beyond - lacks = cosine - (1 - margin)
    lift: Array  # (K,) z, the multiplier of L_aa >= 0
    opening: Array  # (K,) of w_a >= 0

    def positive(self, plural: NDArray[np.bool_]) -> bool:
        """Whether everything is that has to be."""
        parts = [np.diag(self.means), *self[2:7], self.spread[plural], self.opening[plural]]
        return min(float(part.min(initial=1.0)) for part in parts) > 0

    def plus(self, step: Point, share: float) -> Point:
        """The point moved in all variables."""
        return Point(*(part + share * change for part, change in zip(self, step, strict=True)))

    def rounded(self) -> Point:
        """In float64."""
        return Point(*(np.asarray(part, dtype=np.float64) for part in self))

    def products(self) -> tuple[Array, Array, Array, Array]:
        """Of all pairs of a variable and its multiplier."""
        return (
            self.lift * np.diag(self.means),
            self.pull * self.lacks,
            self.rest * self.beyond,
            self.opening * self.spread,
        )


class Forces(NamedTuple):
    """What is left of stationarity, and the multipliers of the unit rows."""

    means: Array
    spread: Array
    outward: Array  # (K,) Z_aa
    between: Array  # (K, K) Z off the diagonal
    inside: Array  # (K,) of the pairs inside orbits

    def rounded(self) -> Forces:
        """In float64."""
        return Forces(*(np.asarray(part, dtype=np.float64) for part in self))


class Problem(NamedTuple):
    """Weights and indices, orbits sorted from heavy to rare."""

    orbits: Orbits
    order: NDArray[np.intp]
    plural: NDArray[np.bool_]
    kink: float
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    weights: Array  # (P,) of the pairs, the largest 1
    bend: Array  # (K,) 2 n / (n - 1): the cosine inside is 1 - bend w^2 / 2
    scales: NDArray[np.float64]  # (K,) the sums of the weights of a class

    @classmethod
    def of(cls, objective: PairLoss, margin: float) -> Problem:
        """Of a hinge loss of that margin."""
        row = objective.masses[:, None] * objective.draws.partner
        order = np.argsort(-objective.masses * objective.orbits.sizes, kind="stable")
        sizes, plural = objective.orbits.sizes[order], objective.orbits.plural[order]
        pairs = sizes[:, None] * objective.orbits.partners[np.ix_(order, order)]
        weights = pairs * ((row + row.T) / 2.0)[np.ix_(order, order)]
        np.fill_diagonal(weights, np.diag(weights) / 2.0)
        weights /= weights.max()
        first, second = np.nonzero(np.triu(pairs > 0))
        scales = weights.sum(axis=1)
        bend = np.where(plural, 2.0 * sizes / np.where(plural, sizes - 1.0, 1.0), 0.0)
        kink = 1.0 - margin
        return cls(objective.orbits, order, plural, kink, first, second, weights[first, second], bend, scales)

    @property
    def own(self) -> NDArray[np.bool_]:
        """Which pairs are of one orbit."""
        return self.first == self.second

    def goals(self, mu: Array) -> tuple[Array, Array]:
        """What products are to be: (K,) of the barriers, made to fall, and (P,) of the hinges."""
        return np.minimum.accumulate(mu), np.sqrt(mu[self.first] * mu[self.second])

    def safe(self, spread: Array) -> Array:
        """The spread, 1 where there is none."""
        return np.where(self.plural, spread, 1.0)

    def start(self, left: float = 0.3) -> Point:
        """Half way from the regular simplex to the identity, hinges on their path."""
        orbits = Orbits(self.orbits.sizes[self.order])
        cosine = -0.5 / (orbits.atoms - 1.0)
        means = np.full((len(self.order),) * 2, cosine)
        np.fill_diagonal(means, np.where(self.plural, (1.0 + (orbits.sizes - 1.0) * cosine) / orbits.sizes, 1.0))
        means = np.linalg.cholesky(means)
        spread = np.where(self.plural, np.sqrt(np.maximum(1.0 - np.sum(means**2, axis=1), 0.0)), 0.0)
        means, spread = np.asarray(means, dtype=np.longdouble), np.asarray(spread, dtype=np.longdouble)
        length = np.sqrt(np.sum(means**2, axis=1) + spread**2)
        means, spread = means / length[:, None], spread / length
        goal, pairs = self.goals(left * self.scales)
        share = pairs / self.weights
        tilt = self.heights(means, spread) / share
        tilt = tilt / (2.0 + np.sqrt(4.0 + tilt * tilt))
        pull, rest = self.weights * (1.0 + tilt) / 2.0, self.weights * (1.0 - tilt) / 2.0
        opening = np.where(self.plural, goal / self.safe(spread), 0.0)
        return Point(means, spread, pull, rest, pairs / pull, pairs / rest, goal / np.diag(means), opening)

    def heights(self, means: Array, spread: Array) -> Array:
        """(P,) cosines above the kink."""
        cosines = np.inner(means, means)[self.first, self.second]
        inside = 1.0 - self.bend * spread**2 / 2.0
        return np.asarray(np.where(self.own, inside[self.first], cosines) - self.kink, dtype=np.longdouble)

    def split(self, values: Array) -> tuple[Array, Array]:
        """(K, K) the values of pairs of two orbits, and (K,) of those inside one."""
        matrix = np.zeros((len(self.order),) * 2, dtype=values.dtype)
        matrix[self.first, self.second] = values
        matrix[self.second, self.first] = values
        inside = np.diag(matrix).copy()
        np.fill_diagonal(matrix, 0.0)
        return matrix, inside

    def forces(self, point: Point) -> Forces:
        """Stationarity of every row along its sphere."""
        between, inside = self.split(point.pull)
        # Of long doubles numpy's dot is faster than its @.
        means = np.tril(between.dot(point.means)) - np.diag(point.lift)
        spread = -inside * self.bend * point.spread - point.opening
        outward = -(np.sum(means * point.means, axis=1) + spread * point.spread)
        means += outward[:, None] * point.means
        spread = np.where(self.plural, spread + outward * point.spread, 0.0)
        return Forces(means, spread, outward, between, inside)

    def relative(self, point: Point, mu: Array) -> Array:
        """All products in units of their goals."""
        goal, pairs = self.goals(mu)
        lift, pull, rest, opening = point.products()
        parts = [lift / goal, pull / pairs, rest / pairs, (opening / goal)[self.plural]]
        return np.concatenate(parts)

    def off(self, vectors: Array, between: Array, inside: Array) -> float:
        """The largest force on an orbit, as a cosine: |F_a| / Z_aa, and F_a . v_b / sqrt(Z_aa Z_bb)."""
        force = np.column_stack([between.dot(vectors[:, :-1]), -inside * self.bend * vectors[:, -1]])
        outward = -np.sum(force * vectors, axis=1)
        if not outward.min() > 0:
            return np.inf
        force += outward[:, None] * vectors
        units = np.sqrt(outward)
        across = np.abs((force / units[:, None]).astype(np.float64) @ (vectors / units[:, None]).T.astype(np.float64))
        return float(max(across.max(), (np.linalg.norm(force, axis=1) / outward).max()))

    def complementarity(self, point: Point, forces: Forces) -> float:
        """The largest product, in units of the multipliers of the rows, or force, as the square of a cosine.

        With a product p of S in some direction and the variance of the points there cosines can be sqrt(p) off.
        """
        outward = np.maximum(forces.outward, 1e-300)
        pairs = np.sqrt(outward[self.first] * outward[self.second])
        lift, pull, rest, opening = point.products()
        parts = [lift / outward, pull / pairs, rest / pairs, opening / outward]
        off = self.off(np.column_stack([point.means, point.spread]), forces.between, forces.inside)
        return max(off**2, *(float(part.max()) for part in parts))

    def apart(self, point: Point, forces: Forces, mu: Array) -> float:
        """How far from the path: the largest of the eigenvalues of L^T S L, in units of mu, and of their inverses.

        On the path L^T S L is the diagonal of mu. Its lower triangle is L^T times what the rows lack of balance, and
        where it is indefinite, S is, and Newton's equations with it.
        """
        inner = forces.means + np.diag(point.lift)
        means, inner, outward = (np.asarray(part, dtype=np.float64) for part in (point.means, inner, forces.outward))
        product = np.tril(means.T @ inner)
        product = product + np.tril(product, -1).T
        units = np.sqrt(self.goals(mu)[0])
        # What rounding of the forces can be in it does not count.
        product[np.diag_indices_from(product)] += _ROUNDED * (outward @ means**2)
        values = np.linalg.eigvalsh(product / units / units[:, None])
        return float(max(values[-1], 1.0 / values[0])) if values[0] > 0 else np.inf

    def missing(self, point: Point, mu: Array) -> tuple[Array, Array, Array, Array]:
        """What products lack to their goals."""
        goal, pairs = self.goals(mu)
        lift, pull, rest, opening = point.products()
        return goal - lift, pairs - pull, pairs - rest, np.where(self.plural, goal - opening, 0.0)

    def moved(self, point: Point, step: Point, share: float, flat: bool) -> Point | None:
        """The point after a step, rows on their spheres; None outside.

        Along the factor, or, `flat`, along the Gram matrix, in which the kinks are flat; neither is always longer.
        """
        after = point.plus(step, share)
        means, spread = after.means, after.spread
        if flat:
            change = step.means @ np.asarray(point.means.T, dtype=np.float64)
            gram = np.inner(point.means, point.means) + share * (change + change.T)
            variance = np.where(self.plural, 1.0 - np.diag(gram), 0.0)
            if np.any(variance[self.plural] <= 0):
                return None
            factor = _cholesky(gram)
            if factor is None:
                return None
            means = factor
            spread = np.sqrt(variance)
        length = np.sqrt(np.sum(means**2, axis=1) + spread**2)
        means, spread = means / length[:, None], spread / length
        after = after._replace(means=means, spread=spread)
        if not after.positive(self.plural):
            return None
        # The smaller of the two distances keeps its digits.
        heights, below = self.heights(means, spread), after.lacks < after.beyond
        # And where both are less than the rounding of a cosine the step knows better than the cosine.
        expected = after.beyond - after.lacks
        heights = np.where(np.abs(heights - expected) <= _ULPS, expected, heights)
        lacks = np.where(below, after.lacks, after.beyond - heights)
        beyond = np.where(below, after.lacks + heights, after.beyond)
        after = after._replace(lacks=lacks, beyond=beyond)
        return after if after.positive(self.plural) else None

    def grams(self, point: Point) -> list[OrbitGram]:
        """The Gram matrix in the caller's order, the slopes with it, as it is and without what seems to vanish.

        Where its variance is 1e-12 a direction that vanishes is still 1e-6: left out where that leaves less force. But
        not all that is faint vanishes.
        """
        between, inside = self.split(point.pull)
        sorted_orbits = Orbits(self.orbits.sizes[self.order])
        vectors = np.asarray(np.column_stack([point.means, point.spread]), dtype=np.float64)
        fewer = (truncate(sorted_orbits, vectors, tol) for tol in _VANISHED)
        least = min(fewer, key=lambda vectors: self.off(vectors, between, inside))
        back = np.argsort(self.order)
        slopes, inside = self.split(point.pull / (point.pull + point.rest))
        np.fill_diagonal(slopes, inside)
        known = np.asarray(slopes[np.ix_(back, back)], dtype=np.float64)
        return [replace(gram_of(self.orbits, retract(v[back], 0.0)), slopes=known) for v in (vectors, least)]


def _cholesky(matrix: Array) -> Array | None:
    """The lower Cholesky factor in the precision of the matrix; None where it has none."""
    factor = np.tril(matrix)
    for k in range(len(matrix)):
        factor[k:, k] -= factor[k:, :k] @ factor[k, :k]
        if not factor[k, k] > 0:
            return None
        factor[k:, k] /= np.sqrt(factor[k, k])
    return factor
