"""The Riemannian Hessian on the spheres, whole, by blocks of orbits, or as a product."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..arrays import Array
from ..objectives.base import Objective
from .spheres import State, retract
from .tangents import across, near, offsets, tangent

# Unit vectors this close are one point: what ties them leaves no more between them.
_ONE = 1e-13
_CLOSE = 1e-12  # of cosines to 1, where distances are looked at


@dataclass(frozen=True, eq=False)
class Curvature:
    """Second derivatives of the loss at orbit vectors v_a = (mu_a, w_a), of which some are the same point.

    Orbits in one point (an anchor and a positive, say, whose tie is tens of orders of magnitude stiffer than what moves
    the two) move as one, and forces between them are left out: nothing of them is in what is added up.

    Attributes:
        state: where; orbits of a point in exactly one point.
        points: (B, K) which orbits are in which point.
        forms: (K, K, K) the Hessians of the rows in their cosines, see `Objective.row_hessians`.
        forces: (K, K) between different points.
        multipliers: (K,) what these hold the unit vectors with.
    """

    state: State
    points: Array
    forms: Array
    forces: Array
    multipliers: Array

    @classmethod
    def at(cls, objective: Objective, state: State) -> Curvature:
        """The curvature at a state, orbits that are in one point but for rounding moved there first."""
        points = _points(state)
        if len(points) < len(state.point):
            points = _points(state, _held(state, points))
        if len(points) == len(state.point):
            return cls(state, points, state.forms, state.forces, state.multipliers)
        middle = points @ state.point
        state = State.at(objective, retract((points.T @ middle), 0.0), state.curved)
        together = points.T @ points
        np.fill_diagonal(together, 0.0)
        forms = np.where(together[:, :, None] + together[:, None, :] > 0, 0.0, state.forms)
        forces = np.where(together > 0, 0.0, state.forces)
        means = state.point[:, :-1]
        inside = 2.0 * np.sum(state.forces * together * (means @ means.T), axis=1)
        return cls(state, points, forms, forces, state.multipliers - inside)

    @property
    def places(self) -> Array:
        """(B, p + 1) the points."""
        return self.state.point[self.points.argmax(axis=1)]

    def gradient(self, state: State) -> Array:
        """(B, p + 1) the Riemannian gradient at a state, summed over points, less the forces inside them."""
        if len(self.points) == len(state.point):
            return state.gradient
        together = self.points.T @ self.points
        np.fill_diagonal(together, 0.0)
        forces = np.where(together > 0, 0.0, state.forces)
        return np.asarray(self.points @ across(state.orbits, forces, state.inside, state.point))

    def spread_out(self, steps: Array) -> Array:
        """(K, p + 1) steps of points, as steps of their orbits."""
        return np.asarray(self.state.tangent(self.points.T @ steps))

    @cached_property
    def _rows(self) -> NDArray[np.intp]:
        """The orbits whose rows bend at all: anchors."""
        return np.flatnonzero(self.forms.any(axis=(1, 2)))

    @cached_property
    def _bending(self) -> Array:
        """(A, K, K) their forms."""
        return self.forms if len(self._rows) == len(self.forms) else self.forms[self._rows]

    @cached_property
    def _shift(self) -> Array:
        """(K,) how much the cosine inside an orbit changes with its spread."""
        orbits = self.state.orbits
        fewer = np.where(orbits.plural, orbits.sizes - 1.0, 1.0)
        return np.asarray(-2.0 * orbits.plural * self.state.point[:, -1] / fewer)

    @cached_property
    def _close(self) -> tuple[NDArray[np.bool_], Array]:
        """(K, K) which orbits are near each other, and (K, p + 1) where they are from the first of them."""
        close = near(self.state.point)
        return close, offsets(self.state.point, close)

    def _slopes(self, group: NDArray[np.intp]) -> Array:
        """(B', K, p + 1) the derivatives of all cosines of some orbits in these orbits' vectors, across them.

        Of orbits a distance theta apart this has the size theta, and all its digits.
        """
        point, (close, apart) = self.state.point, self._close
        mine, means = point[group], np.column_stack([point[:, :-1], 0.0 * point[:, -1]])
        slopes = means - (mine[:, :-1] @ point[:, :-1].T)[:, :, None] * mine[:, None, :]
        a, b = np.nonzero(close[group])
        slopes[a, b] = tangent(mine[a], apart[b] - apart[group[a]])
        own = 2.0 * means[group]
        own[:, -1] += self._shift[group]
        slopes[np.arange(len(group)), group] = tangent(mine, own)
        return np.asarray(slopes)

    def block(self, group: NDArray[np.intp]) -> Array:
        """(B', p + 1, B', p + 1) the Hessian of the points of some orbits, tangent on both sides."""
        orbits, point, rows = self.state.orbits, self.state.point, self._rows
        mine, slopes = point[group], self._slopes(group)
        count, width = len(group), point.shape[1]
        orbit = np.arange(count)
        moved = slopes.copy()
        moved[orbit, group] = 0.0  # the cosine inside an orbit is its own
        answers = self.forms[group] @ slopes
        seen = np.ascontiguousarray(moved[:, rows].transpose(1, 0, 2))
        forces = 2.0 * self.forces[group[:, None], group]
        plane = mine.copy()
        plane[:, -1] = 0.0
        between = plane @ plane.T
        hessian = np.zeros((count, width, count, width))
        for c in range(count):
            # Row r answers to its partners b and c, which move; with those before c only, the rest is the same.
            bent = seen[:, : c + 1] * self.forms[rows, group[c]][:, group[: c + 1], None]
            slab = (seen[:, c].T @ bent.reshape(len(rows), (c + 1) * width)).reshape(width, c + 1, width)
            # Row c, or b, moves itself and its partner.
            slab += answers[c, group[: c + 1]].T[:, :, None] * moved[: c + 1, group[c]]
            slab += moved[c, group[: c + 1]].T[:, :, None] * answers[: c + 1, group[c]]
            # The forces, of a unit matrix the tangent part in the two orbits.
            force = forces[c, : c + 1, None]
            np.einsum("kbk->kb", slab)[:-1] += force[:, 0]
            slab -= mine[c][:, None, None] * (force * (plane[c] - between[c, : c + 1, None] * mine[: c + 1]))
            slab -= (force * plane[: c + 1]).T[:, :, None] * mine[: c + 1]
            hessian[c, :, : c + 1] = slab
            hessian[:c, :, c] = slab[:, :c].transpose(1, 2, 0)
        # An orbit with itself: its row, what holds unit vectors on their spheres, and what acts inside it.
        own = slopes.transpose(0, 2, 1) @ answers
        held = np.repeat(self.multipliers[group, None], width, axis=1)
        held[:, -1] += 2.0 * (orbits.sizes * orbits.plural * self.state.inside)[group]
        half = held * mine - 0.5 * np.sum(held * mine**2, axis=1)[:, None] * mine
        own += half[:, :, None] * mine[:, None, :] + mine[:, :, None] * half[:, None, :]
        own[:, np.arange(width), np.arange(width)] -= held
        hessian[orbit, :, orbit] += own
        points = self.points[:, group]
        points = points[points.any(axis=1)]
        if len(points) < count:
            summed = np.tensordot(points, np.tensordot(hessian, points, axes=(2, 1)), axes=(1, 0))
            hessian = summed.transpose(0, 1, 3, 2)
        return hessian

    def product(self, steps: Array) -> Array:
        """(B, p + 1) the Hessian times steps of all points."""
        state = self.state
        direction = self.spread_out(steps)
        means, moves = state.point[:, :-1], direction[:, :-1]
        close, apart = self._close
        change = means @ moves.T
        change = change + change.T
        change[np.diag_indices_from(change)] += self._shift * direction[:, -1]
        a, b = np.nonzero(np.triu(close))
        turned = np.sum((apart[b] - apart[a]) * (direction[a] - direction[b]), axis=1)
        change[a, b] = change[b, a] = turned
        answer = np.zeros_like(change)
        rows = self._rows
        answer[rows] = np.matmul(self._bending, change[rows][:, :, None])[:, :, 0]
        both = answer + answer.T
        ties = np.where(close, both, 0.0)
        bent = (both - ties) @ means + 2.0 * self.forces @ moves
        orbits = state.orbits
        opening = self._shift * np.diag(answer) - 2.0 * orbits.sizes * orbits.plural * state.inside * direction[:, -1]
        euclidean = np.column_stack([bent, opening]) - self.multipliers[:, None] * direction
        euclidean = state.tangent(euclidean) + state.tangent(ties @ apart - ties.sum(axis=1)[:, None] * apart)
        return np.asarray(self.points @ euclidean)


def _points(state: State, held: NDArray[np.bool_] | None = None) -> Array:
    """(B, K) the orbits that are in one point, of `held` pairs; orbits with a spread are by themselves."""
    point = state.point
    near = np.zeros((len(point), len(point)), bool)
    for a, b in np.argwhere(np.triu(2.0 - 2.0 * point @ point.T < _CLOSE, 1)):
        near[a, b] = point[a, -1] == point[b, -1] == 0.0 and np.linalg.norm(point[a] - point[b]) <= _ONE
    if held is not None:
        near &= held
    count, labels = connected_components(near, directed=False)
    return np.asarray(labels == np.arange(count)[:, None], dtype=np.float64)


def _held(state: State, points: Array) -> NDArray[np.bool_]:
    """(K, K) which pairs forces from outside their point would leave as close as `_ONE`: against the tie, and its bend.

    A tie that vanishes between two equal points is one that is not there, or of the third power of their distance.
    """
    together = points.T @ points > 0
    drawn = across(state.orbits, np.where(together, 0.0, state.forces), state.inside, state.point)
    size = np.linalg.norm(drawn, axis=1)
    orbit = np.arange(len(size))
    bend = np.abs(state.forms[orbit[:, None], orbit, orbit])
    tie = 2.0 * np.abs(state.forces) + (bend + bend.T) * _ONE**2
    return np.asarray(np.maximum(size[:, None], size) <= _ONE * tie)
