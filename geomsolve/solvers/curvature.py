"""The Riemannian Hessian on the spheres, whole, by blocks of orbits, or as a product."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..objectives.base import Objective
from .spheres import State, retract

Array = NDArray[np.float64]

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
        euclidean = 2.0 * np.where(together > 0, 0.0, state.forces) @ state.point
        euclidean[:, -1] = state.gradient[:, -1]
        return np.asarray(self.points @ state.tangent(euclidean))

    def spread_out(self, steps: Array) -> Array:
        """(K, p + 1) steps of points, as steps of their orbits."""
        return np.asarray(self.state.tangent(self.points.T @ steps))

    @cached_property
    def _answers(self) -> Array:
        """(K, K, p) sum over c of forms_abc mu_c."""
        return self.forms @ self.state.point[:, :-1]

    @cached_property
    def _squares(self) -> Array:
        """(K, p p) mu_a mu_a^T."""
        means = self.state.point[:, :-1]
        return np.asarray((means[:, :, None] * means[:, None, :]).reshape(len(means), -1))

    @cached_property
    def _shift(self) -> Array:
        """(K,) how much the cosine inside an orbit changes with its spread."""
        orbits = self.state.orbits
        fewer = np.where(orbits.plural, orbits.sizes - 1.0, 1.0)
        return np.asarray(-2.0 * orbits.plural * self.state.point[:, -1] / fewer)

    def block(self, group: NDArray[np.intp]) -> Array:
        """(B', p + 1, B', p + 1) the Hessian of the points of some orbits, tangent on both sides."""
        orbits, point, shift = self.state.orbits, self.state.point, self._shift
        means, mine = point[:, :-1], point[group, :-1]
        count, width = mine.shape
        orbit = np.arange(count)
        answers = self._answers[group][:, group]
        hessian = np.zeros((count, width + 1, count, width + 1))
        between = hessian[:, :width, :, :width]
        # Row r answers to its partners b and c, which move across mu_r, ...
        partners = self.forms[:, group[:, None], group].reshape(len(means), -1).T @ self._squares
        between += partners.reshape(count, count, width, width).transpose(0, 2, 1, 3)
        # ... and to itself, which moves across mu_b.
        hessian[orbit, :width, orbit, :width] += self._answers[group].transpose(0, 2, 1) @ means
        mixed = np.einsum("ack,al->akcl", answers, mine)
        between += mixed
        between += mixed.transpose(2, 3, 0, 1)
        # The spread of an orbit changes the cosine inside it.
        row = np.einsum("ac,al->acl", shift[group, None] * self.forms[group[:, None], group[:, None], group], mine)
        hessian[:, width, :, :width] += row
        hessian[:, :width, :, width] += row.transpose(1, 2, 0)
        own = shift[group, None] * self._answers[group, group]
        hessian[orbit, width, orbit, :width] += own
        hessian[orbit, :width, orbit, width] += own
        hessian[orbit, width, orbit, width] += shift[group] ** 2 * self.forms[group, group, group]
        # The forces, and what holds the unit vectors on their spheres.
        for k in range(width):
            hessian[:, k, :, k] += 2.0 * self.forces[group[:, None], group]
        many = orbits.sizes * orbits.plural
        hessian[orbit, width, orbit, width] -= 2.0 * (many * self.state.inside)[group]
        for k in range(width + 1):
            hessian[orbit, k, orbit, k] -= self.multipliers[group]
        points = self.points[:, group]
        points = points[points.any(axis=1)]
        if len(points) < count:
            summed = np.tensordot(points, np.tensordot(hessian, points, axes=(2, 1)), axes=(1, 0))
            hessian = summed.transpose(0, 1, 3, 2)
        places = point[group[points.argmax(axis=1)]]
        hessian -= np.einsum("ak,al,albm->akbm", places, places, hessian, optimize=True)
        hessian -= np.einsum("akbm,bm,bn->akbn", hessian, places, places, optimize=True)
        return hessian

    def product(self, steps: Array) -> Array:
        """(B, p + 1) the Hessian times steps of all points."""
        state = self.state
        direction = self.spread_out(steps)
        means, moves = state.point[:, :-1], direction[:, :-1]
        change = means @ moves.T
        change = change + change.T
        change[np.diag_indices_from(change)] += self._shift * direction[:, -1]
        answer = np.matmul(self.forms, change[:, :, None])[:, :, 0]
        bent = (answer + answer.T) @ means + 2.0 * self.forces @ moves
        orbits = state.orbits
        opening = self._shift * np.diag(answer) - 2.0 * orbits.sizes * orbits.plural * state.inside * direction[:, -1]
        euclidean = np.column_stack([bent, opening]) - self.multipliers[:, None] * direction
        return np.asarray(self.points @ state.tangent(euclidean))


def _points(state: State) -> Array:
    """(B, K) the orbits that are in one point; orbits with a spread are by themselves."""
    point = state.point
    near = np.zeros((len(point), len(point)), bool)
    for a, b in np.argwhere(np.triu(2.0 - 2.0 * point @ point.T < _CLOSE, 1)):
        near[a, b] = point[a, -1] == point[b, -1] == 0.0 and np.linalg.norm(point[a] - point[b]) <= _ONE
    count, labels = connected_components(near, directed=False)
    return np.asarray(labels == np.arange(count)[:, None], dtype=np.float64)
