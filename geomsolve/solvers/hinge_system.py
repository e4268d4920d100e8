"""Newton's equations on the path of a hinge loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from .hinge_path import Forces, Point, Problem

Array = NDArray[np.floating[Any]]

# How stiff unit rows are made, in units of the multipliers.
_STIFF = 2.0


class System:
    """The Newton equations at a point, factorised: symmetric, with the unit rows held by multipliers.

    Positive definite along the spheres where S is; what the rows may not do is made stiff before the Cholesky factor,
    which changes no solution. Raises LinAlgError where they are indefinite.
    """

    def __init__(self, problem: Problem, point: Point, forces: Forces) -> None:
        point, forces = point.rounded(), forces.rounded()
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
        # Of a symmetric matrix the upper half.
        for a, first in enumerate(each * (each + 1) // 2):
            part, row, column = matrix[first : first + a + 1, first:size], rows[first:], columns[first:]
            np.multiply(means[row, : a + 1].T, stiff[a, row] * means[a, column], out=part)
            known = np.flatnonzero(column <= a)
            part[column[known], known] += forces.between[a, row[known]]
            part[:, : a + 1] += own[a, : a + 1, : a + 1]
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
        forces = forces.rounded()
        right = np.concatenate([forces.means[self.rows, self.columns], forces.spread[self.open]]) * self.unit
        gain = np.abs(right * self._solve(forces.means, forces.spread))
        return float(np.sqrt((np.bincount(self.row_of, gain) / mu).max()))

    def step(self, forces: Forces, missing: tuple[Array, Array, Array, Array]) -> Point:
        """The change of everything that removes forces and what products miss, at first order."""
        problem, point, forces = self.problem, self.point, forces.rounded()
        lift, pull, rest, opening = (np.asarray(part, dtype=np.float64) for part in missing)
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
