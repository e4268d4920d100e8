"""The equations of the path of a hinge loss: what moves on it, what must vanish, and Newton's equations."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular

from ..objectives.pairwise import PairLoss
from ..orbits import OrbitGram, Orbits
from .spheres import gram_of, retract, truncate

Array = NDArray[np.float64]

# Shares of the spectrum below which a direction may have vanished.
_VANISHED = (1e-13, 1e-11, 1e-9, 1e-7)
# How stiff unit rows are made, in units of the multipliers.
_STIFF = 2.0
# Rounding of a cosine.
_ULPS = 8.0 * float(np.finfo(np.float64).eps)
# Rounding of a force, in units of the multiplier.
_ROUNDED = 1e-14


class Point(NamedTuple):
    """Where the path stands: the factor, and of every pair of orbits multipliers and distances."""

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
    scales: Array  # (K,) the sums of the weights of a class

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
        means /= np.sqrt(np.sum(means**2, axis=1) + spread**2)[:, None]
        goal, pairs = self.goals(left * self.scales)
        share = pairs / self.weights
        tilt = self.heights(means, spread) / share
        tilt = tilt / (2.0 + np.sqrt(4.0 + tilt * tilt))
        pull, rest = self.weights * (1.0 + tilt) / 2.0, self.weights * (1.0 - tilt) / 2.0
        opening = np.where(self.plural, goal / self.safe(spread), 0.0)
        return Point(means, spread, pull, rest, pairs / pull, pairs / rest, goal / np.diag(means), opening)

    def heights(self, means: Array, spread: Array) -> Array:
        """(P,) cosines above the kink."""
        cosines = (means @ means.T)[self.first, self.second]
        inside = 1.0 - self.bend * spread**2 / 2.0
        return np.asarray(np.where(self.own, inside[self.first], cosines) - self.kink, dtype=np.float64)

    def split(self, values: Array) -> tuple[Array, Array]:
        """(K, K) the values of pairs of two orbits, and (K,) of those inside one."""
        matrix = np.zeros((len(self.order),) * 2)
        matrix[self.first, self.second] = values
        matrix[self.second, self.first] = values
        inside = np.diag(matrix).copy()
        np.fill_diagonal(matrix, 0.0)
        return matrix, inside

    def forces(self, point: Point) -> Forces:
        """Stationarity of every row along its sphere."""
        between, inside = self.split(point.pull)
        means = np.tril(between @ point.means) - np.diag(point.lift)
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
        force = np.column_stack([between @ vectors[:, :-1], -inside * self.bend * vectors[:, -1]])
        outward = -np.sum(force * vectors, axis=1)
        if not outward.min() > 0:
            return np.inf
        force += outward[:, None] * vectors
        units = np.sqrt(outward)
        across = np.abs((force / units[:, None]) @ (vectors / units[:, None]).T)
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
        product = np.tril(point.means.T @ inner)
        product = product + np.tril(product, -1).T
        units = np.sqrt(self.goals(mu)[0])
        # What rounding of the forces can be in it does not count.
        product[np.diag_indices_from(product)] += _ROUNDED * (forces.outward @ point.means**2)
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
            change = step.means @ point.means.T
            gram = point.means @ point.means.T + share * (change + change.T)
            variance = np.where(self.plural, 1.0 - np.diag(gram), 0.0)
            if np.any(variance[self.plural] <= 0):
                return None
            try:
                means = np.asarray(np.linalg.cholesky(gram), dtype=np.float64)
            except LinAlgError:
                return None
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

    def gram(self, point: Point) -> OrbitGram:
        """The Gram matrix in the caller's order, the slopes with it.

        Where its variance is 1e-12 a direction that vanishes is still 1e-6: left out where that leaves less force.
        """
        between, inside = self.split(point.pull)
        sorted_orbits = Orbits(self.orbits.sizes[self.order])

        vectors = np.column_stack([point.means, point.spread])
        vectors = min(
            [vectors, *(truncate(sorted_orbits, vectors, tol) for tol in _VANISHED)],
            key=lambda vectors: self.off(vectors, between, inside),
        )
        back = np.argsort(self.order)
        slopes, inside = self.split(point.pull / (point.pull + point.rest))
        np.fill_diagonal(slopes, inside)
        gram = gram_of(self.orbits, retract(vectors[back], 0.0))
        return replace(gram, slopes=slopes[np.ix_(back, back)])


class System:
    """The Newton equations at a point, factorised: symmetric, with the unit rows held by multipliers.

    Positive definite along the spheres where S is; what the rows may not do is made stiff before the Cholesky factor,
    which changes no solution. Raises LinAlgError where they are indefinite.
    """

    def __init__(self, problem: Problem, point: Point, forces: Forces) -> None:
        self.problem, self.point = problem, point
        means, count = point.means, len(problem.order)
        self.rows, self.columns = rows, columns = np.tril_indices(count)
        self.open = np.flatnonzero(problem.plural)
        self.distance = np.diag(means).copy()
        self.stiff = 1.0 / (point.beyond / point.rest + point.lacks / point.pull)
        stiff, stiff_inside = problem.split(self.stiff)
        size, wide = len(rows), len(rows) + len(self.open)
        matrix = np.zeros((wide, wide))
        # Row (a, k), column (b, l): stiff_ab L_al L_bk + Z_ab [k = l], and more where a = b.
        each = np.arange(count)
        own = np.einsum("im,mk,ml->ikl", stiff, means, means, optimize=True)
        own[:, each, each] += forces.outward[:, None]
        own[each, each, each] += point.lift / self.distance
        for a, first in enumerate(each * (each + 1) // 2):
            part = matrix[first : first + a + 1, :size]
            np.multiply(means[rows, : a + 1].T, stiff[a, rows] * means[a, columns], out=part)
            known = np.flatnonzero(columns <= a)
            part[columns[known], known] += forces.between[a, rows[known]]
            part[:, first : first + a + 1] += own[a, : a + 1, : a + 1]
        curved = forces.outward - forces.inside * problem.bend + stiff_inside * (problem.bend * point.spread) ** 2
        curved += point.opening / problem.safe(point.spread)
        matrix[np.arange(size, wide), np.arange(size, wide)] = curved[self.open]
        self.row_of = np.concatenate([rows, self.open])
        self.unit = 1.0 / np.sqrt(forces.outward[self.row_of])
        matrix *= self.unit
        matrix *= self.unit[:, None]
        # The unit rows, each in the coordinates of its own class.
        self.held = np.concatenate([means[rows, columns], point.spread[self.open]])
        for a, first in enumerate(each * (each + 1) // 2):
            inside = slice(first, first + a + 1)
            matrix[inside, inside] += _STIFF * np.outer(means[a, : a + 1], means[a, : a + 1])
        across = _STIFF * self.held[:size] * np.where(problem.plural, point.spread, 0.0)[rows]
        place = size + np.cumsum(problem.plural)[rows] - 1
        pairs = np.flatnonzero(problem.plural[rows])
        matrix[pairs, place[pairs]] += across[pairs]
        matrix[place[pairs], pairs] += across[pairs]
        matrix[np.arange(size, wide), np.arange(size, wide)] += _STIFF * point.spread[self.open] ** 2
        normals = np.zeros((wide, count), order="F")
        normals[np.arange(wide), self.row_of] = self.held
        self.factor = cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)
        self.normals = solve_triangular(self.factor[0], normals, lower=True, overwrite_b=True, check_finite=False)
        self.inner = cho_factor(self.normals.T @ self.normals, lower=True, check_finite=False)

    def _solve(self, means: Array, spread: Array) -> Array:
        right = np.concatenate([means[self.rows, self.columns], spread[self.open]]) * self.unit
        lower = self.factor[0]
        half = solve_triangular(lower, right, lower=True, check_finite=False)
        half -= self.normals @ cho_solve(self.inner, self.normals.T @ half, check_finite=False)
        return np.asarray(solve_triangular(lower, half, lower=True, trans=1, check_finite=False), dtype=np.float64)

    def decrement(self, forces: Forces, mu: Array) -> float:
        """The Newton decrement of the worst class, in units of its mu."""
        right = np.concatenate([forces.means[self.rows, self.columns], forces.spread[self.open]]) * self.unit
        gain = np.abs(right * self._solve(forces.means, forces.spread))
        return float(np.sqrt((np.bincount(self.row_of, gain) / mu).max()))

    def step(self, forces: Forces, missing: tuple[Array, Array, Array, Array]) -> Point:
        """The change of everything that removes forces and what products miss, at first order."""
        problem, point = self.problem, self.point
        lift, pull, rest, opening = missing
        offset = rest / point.rest - pull / point.pull
        between, inside = problem.split(-self.stiff * offset)
        means = forces.means + np.tril(between @ point.means) - np.diag(lift / self.distance)
        spread = forces.spread - inside * problem.bend * point.spread - opening / problem.safe(point.spread)
        answer = -self._solve(means, spread) * self.unit
        size = len(self.rows)
        moves, widening = np.zeros_like(point.means), np.zeros_like(point.spread)
        moves[self.rows, self.columns] = answer[:size]
        widening[self.open] = answer[size:]
        change = moves @ point.means.T
        heights = (change + change.T)[problem.first, problem.second]
        heights = np.where(problem.own, -(problem.bend * point.spread * widening)[problem.first], heights)
        more = self.stiff * (heights - offset)
        return Point(
            moves,
            widening,
            more,
            -more,
            (pull - point.lacks * more) / point.pull,
            (rest + point.beyond * more) / point.rest,
            (lift - point.lift * np.diag(moves)) / self.distance,
            np.where(problem.plural, (opening - point.opening * widening) / problem.safe(point.spread), 0.0),
        )
