"""Newton's method near a stationary point on the spheres: the last digits, rare classes' too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh_tridiagonal, ldl, solve_triangular
from scipy.linalg.lapack import dpotri
from scipy.sparse.csgraph import connected_components

from ..arrays import Array, Progress
from ..objectives.base import Objective
from ..objectives.parts import parts_of
from .curvature import Curvature
from .spheres import State, note, retract

# Orbits whose row Hessians, K^3 numbers, are written out.
_MOST_ORBITS = 256
# Unknowns of a dense factor: a third of a second of one core.
_MOST_DENSE = 1700
# The least curvature of an indefinite Hessian, of 1.
_SOFTEST = 1e-12
_SHARES = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 1e-3)
# Steps in which the steps must become three times shorter: of few unknowns, and of many.
_PATIENCE, _LESS = 100, 50
_FEW = 800
# And where forces are so small that rounding is what steps are made of.
_SOON, _SMALL = 15, 1e-10
_FINEST = 1e-13
# A force of less may be rounding.
_REST = 1e-14
# Corrections with one factor.
_CHORDS = 4
# A gain in the loss of less, relatively, may be rounding: as long as a shorter step may be better, and at last.
_ROUNDED, _LEAST = 1e-12, 1e-15
# Products with the Hessian in one correction, which must leave this much of the square of a residual.
_PRODUCTS, _NEARLY = 60, 1e-5


def settles(state: State) -> bool:
    """Whether `settle` has the memory for a state."""
    return len(state.point) <= _MOST_ORBITS


def settle(
    objective: Objective,
    state: State,
    last: int,
    history: list[dict[str, float]],
    report: Progress,
    reach: float = np.inf,
) -> State:
    """The stationary state near one, by Newton's method with damping by natural monotonicity.

    A step d of the Newton equation H d = -g is taken if the next correction, H^{-1} g at its end with the old Hessian,
    is shorter. Unlike loss and force that test does not see how stiff a direction is, so rare classes, whose forces
    vanish beside those of the others, are turned to their last digits. Far from the solution, where the Hessian is not
    even definite and its absolute value takes its place, a lower loss will do. A step by more than `reach` is not
    taken, and ends it.

    Cost: with K orbits and p columns O((K p)^3) a step up to 1700 unknowns, beyond them some products of O(K^3).
    Source: ours; the test is Deuflhard's (Newton Methods for Nonlinear Problems, 2004).
    """
    moves: list[float] = []
    patience = _PATIENCE if state.point.size <= _FEW else _LESS
    inverse = _Factor if state.point.size <= _MOST_DENSE else _Blocks
    ratio = 0.0
    while len(history) < last:
        note(state, history, report)
        curvature = Curvature.at(objective, state)
        state = curvature.state
        correct = inverse.of(objective, curvature)
        step = -correct.solve(state)
        length = correct.length(step)
        step = curvature.spread_out(step)
        moves.append(float(np.abs(step).max()))
        if moves[-1] > reach:
            break
        short = 1.0 / max(1.0, moves[-1])  # no unit vector turns by more
        step, length = short * step, short * length
        slope = float(np.sum(state.gradient * step))
        soon = _SOON if state.force() < _SMALL else patience
        if moves[-1] < _FINEST or (len(moves) > soon and moves[-1] > 0.3 * moves[-soon]):
            break
        if state.force() < _REST and len(moves) > 1 and moves[-1] > 0.5 * moves[-2]:
            break  # rounding
        # Where a direction vanishes with the cube of its size, Newton's steps are a third of the way.
        lowest = state
        for share in (3.0, *_SHARES) if 0.25 < ratio < 0.8 else _SHARES:
            trial = straight = State.at(objective, retract(state.point, share * step), state.curved)
            after = np.inf
            # A turn about a heavy class is a curve: what is stiff comes off it at second order, and goes back first.
            for _ in range(_CHORDS):
                correction = correct.solve(trial)
                before, after = after, correct.length(correction)
                if after <= (1.0 - 0.25 * min(share, 1.0)) * length or after > 0.5 * before:
                    break
                moved = trial.tangent(curvature.points.T @ correction)
                trial = State.at(objective, retract(trial.point, -moved), state.curved)
            if after <= (1.0 - 0.25 * min(share, 1.0)) * length:
                break
            trial = min(straight, trial, key=lambda end: end.excess)
            gain = state.excess - trial.excess
            if share <= 1.0 and gain >= max(-1e-2 * share * slope, _ROUNDED * abs(state.excess)):
                break
            lowest = min(lowest, trial, key=lambda end: end.excess)
        else:
            if not lowest.excess < state.excess - _LEAST * abs(state.excess):
                break
            trial, share = lowest, 0.0
        state, ratio = trial, after / length if share >= 1.0 else 0.0
    return state


@dataclass(frozen=True, eq=False)
class _Factor:
    """The inverse of the Hessian, by a dense factor in which every point has units of its own stiffness."""

    curvature: Curvature
    scale: Array
    inverse: Callable[[Array], Array]

    @classmethod
    def of(cls, _: Objective, curvature: Curvature) -> _Factor:
        hessian = curvature.block(np.arange(len(curvature.state.point)))
        scale = _scaled(hessian)
        first = curvature.points.argmax(axis=1)
        _fill_null_space(hessian, curvature.places, ~curvature.state.orbits.plural[first])
        # Gradients have no part in rotations, so neither do steps.
        _fill_rotations(hessian, curvature.places[:, :-1])
        matrix = hessian.reshape(scale.size * hessian.shape[1], -1)
        return cls(curvature, scale, _inverse(matrix))

    def solve(self, state: State) -> Array:
        """(B, p + 1) H^{-1} times the gradient at a state, which may be the end of a step."""
        gradient = self.curvature.gradient(state) / self.scale
        return np.asarray(self.inverse(gradient.ravel()).reshape(gradient.shape) / self.scale)

    def length(self, step: Array) -> float:
        """The length of a step, points in units of their stiffness."""
        return float(np.linalg.norm(self.scale * step))


@dataclass(frozen=True, eq=False)
class _Blocks:
    """The inverse by conjugate gradients, preconditioned by the Hessian's own blocks.

    A block is a point, or the parts of a class: a rare class's mean and classifier are held to one another a million
    times stiffer than the two to anything else, and within the block both kinds of stiffness are there.
    """

    curvature: Curvature
    groups: list[tuple[NDArray[np.intp], Array]]  # (G, B') points of groups of a size, and (G, n, n) inverse blocks
    scale: Array

    @classmethod
    def of(cls, objective: Objective, curvature: Curvature) -> _Blocks:
        parts = parts_of(objective)
        count = len(curvature.state.point)
        classes = np.arange(count) if parts is None else np.array(parts.classes)
        # Classes that share a point are one group.
        linked = (classes[:, None] == classes) | (curvature.points.T @ curvature.points > 0)
        labels = connected_components(linked, directed=False)[1]
        first = curvature.points.argmax(axis=1)
        scales = np.ones((len(curvature.points), 1))
        sizes: dict[int, list[tuple[NDArray[np.intp], Array]]] = {}
        for label in range(labels.max() + 1):
            group = np.flatnonzero(labels == label)
            hessian = curvature.block(group)
            points = np.flatnonzero(curvature.points[:, group].any(axis=1))
            scales[points] = _scaled(hessian)
            _fill_null_space(hessian, curvature.places[points], ~curvature.state.orbits.plural[first[points]])
            root = _definite(hessian.reshape(len(points) * hessian.shape[1], -1))
            sizes.setdefault(len(points), []).append((points, dpotri(root)[0]))
        groups = []
        for same in sizes.values():
            inverse = np.triu([upper for _, upper in same])
            inverse += np.triu(inverse, 1).transpose(0, 2, 1)
            groups.append((np.array([points for points, _ in same]), inverse))
        return cls(curvature, groups, scales)

    def _precondition(self, vectors: Array) -> Array:
        right, answer = vectors / self.scale, np.empty_like(vectors)
        for points, inverse in self.groups:
            solved = inverse @ right[points].reshape(len(points), -1, 1)
            answer[points] = solved.reshape(*points.shape, -1)
        answer /= self.scale
        places = self.curvature.places
        return answer - np.sum(answer * places, axis=1, keepdims=True) * places

    def solve(self, state: State) -> Array:
        """(B, p + 1) of all iterates of H x = g the one that comes nearest: rounding sends them off along rotations."""
        residual = self.curvature.gradient(state)
        z = self._precondition(residual)
        direction, answer = z, np.zeros_like(z)
        rho = best = start = float(np.sum(residual * z))
        nearest = z
        for _ in range(_PRODUCTS):
            image = self.curvature.product(direction)
            bend = float(np.sum(direction * image))
            if not bend > 0 or not _NEARLY * start < rho < 25.0 * best:
                break
            answer = answer + rho / bend * direction
            residual = residual - rho / bend * image
            z = self._precondition(residual)
            rho, old = float(np.sum(residual * z)), rho
            if rho < best:
                best, nearest = rho, answer
            direction = z + rho / old * direction
        return nearest

    def length(self, step: Array) -> float:
        """The length of a step, points in units of their stiffness."""
        return float(np.linalg.norm(self.scale * step))


def _scaled(hessian: Array) -> Array:
    """(B, 1) the root of the stiffness of every point, which the Hessian is divided by in place."""
    own = np.abs(np.einsum("akak->a", hessian)) / max(hessian.shape[1] - 2, 1)
    scale = np.sqrt(np.maximum(own, np.finfo(float).tiny))[:, None]
    hessian /= scale[:, :, None, None]
    hessian /= scale
    return np.asarray(scale)


def _inverse(matrix: Array) -> Callable[[Array], Array]:
    """H^{-1} times a vector; where H is not definite |H|^{-1}, or of many unknowns (L |D| L^T)^{-1} with H = L D L^T.

    Raises:
        LinAlgError: a matrix that is not finite.
    """
    if not np.isfinite(matrix).all():
        raise LinAlgError("the Hessian on the spheres is not finite")
    try:
        factor = cho_factor(matrix, check_finite=False)
        return lambda right: np.asarray(cho_solve(factor, right, check_finite=False))
    except LinAlgError:
        if len(matrix) <= _FEW:  # of few, by eigenvalues: where many are next to 0 the others' steps end closer
            root = _definite(matrix)
            return lambda right: np.asarray(cho_solve((root, False), right, check_finite=False))
        lower, blocks, order = ldl(matrix, check_finite=False)
        # A tridiagonal matrix of blocks: its absolute value by eigenvalues of each.
        values, vectors = eigh_tridiagonal(np.diag(blocks), np.diag(blocks, 1))
    lower = lower[order]
    sizes = np.maximum(np.abs(values), _SOFTEST)

    def solve(right: Array) -> Array:
        half = solve_triangular(lower, right[order], lower=True, unit_diagonal=True, check_finite=False)
        half = vectors @ ((vectors.T @ half) / sizes)
        answer = np.empty_like(right)
        answer[order] = solve_triangular(lower, half, lower=True, trans="T", unit_diagonal=True, check_finite=False)
        return answer

    return solve


def _definite(matrix: Array) -> Array:
    """An upper triangular U with U^T U = H, or |H| where H is not definite: away from a saddle as fast as to a minimum.

    Raises:
        LinAlgError: a matrix that is not finite.
    """
    if not np.isfinite(matrix).all():
        raise LinAlgError("the Hessian on the spheres is not finite")
    try:
        return np.asarray(cho_factor(matrix, check_finite=False)[0])
    except LinAlgError:
        values, vectors = np.linalg.eigh(matrix)
        root = np.sqrt(np.maximum(np.abs(values), _SOFTEST))
        return np.asarray(np.linalg.qr((vectors * root).T, "r"))


def _fill_null_space(hessian: Array, places: Array, single: NDArray[np.bool_]) -> None:
    """Curvature, in place, for what changes nothing: the length of a unit vector, the spread of one of a kind."""
    point = np.arange(len(places))
    hessian[point, :, point, :] += places[:, :, None] * places[:, None, :]
    hessian[point, -1, point, -1] += single


def _fill_rotations(hessian: Array, means: Array) -> None:
    """Curvature, in place, of |sum_a (mu_a d_a^T - d_a mu_a^T)|^2 / (2 K) for rotations of all points."""
    count, width = means.shape
    turning = np.einsum("al,bk->akbl", -means, means)
    for k in range(width):
        turning[:, k, :, k] += means @ means.T
    hessian[:, :width, :, :width] += turning / count
