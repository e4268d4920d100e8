"""Embeddings of TSC as unit vectors around targets that stay, one for every orbit of classes: Riemannian Newton."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np

from ..arrays import Array
from ..geometry.kinds import KindGram, Kinds
from ..geometry.unit_rows import tangent
from ..objectives.base import Objective
from ..objectives.kinds.parts import PartedSoftmax
from ..solvers.base import Iteration
from ..solvers.spheres.riemannian import descend, polish
from ..solvers.spheres.spheres import State, fewer, floored, retract

# Steps in all; rounds in which classes open, and what S says of them, in units of multipliers, that is no rounding.
_STEPS, _ROUNDS, _HELD = 300, 12, 1e-10
# Relative decreases of the loss that a step must promise, a smaller one where forces are left in the end.
_RESOLUTIONS, _SETTLED = (1e-9, 1e-13), 1e-9


class Targets(NamedTuple):
    """The rows of targets at a regular simplex: means Diag(length) (1 - unit unit^T), and differences."""

    length: Array
    unit: Array
    across: Array

    @classmethod
    def of(cls, kinds: Kinds) -> Self:
        """Those of orbits of classes."""
        total, wider = kinds.classes.sum(), np.sqrt(kinds.classes.sum() / (kinds.classes.sum() - 1.0))
        unit, across = np.sqrt(kinds.classes / total), wider * np.sqrt(1.0 - 1.0 / kinds.classes)
        return cls(wider / np.sqrt(kinds.classes), unit, across)

    @property
    def rows(self) -> Array:
        """(K, K + 2) as `TargetState` has rows."""
        means = self.drawn(np.eye(len(self.unit)))
        return np.column_stack([means, self.across, np.zeros_like(self.across)])

    def drawn(self, pairs: Array) -> Array:
        """A matrix times their means."""
        pairs = pairs * self.length
        return pairs - np.outer(pairs @ self.unit, self.unit)

    def cosines(self, means: Array) -> Array:
        """Products of means with theirs."""
        return (means - np.outer(means @ self.unit, self.unit)) * self.length


@dataclass(frozen=True, eq=False)
class TargetState(State):
    """The loss at one point: (K, K + 2) unit rows (mean, difference, spread) of embeddings, see `KindGram.of_points`.

    Of matrices over pairs there are the rows of embeddings, (K, 2 K + 2): with embeddings and targets of every orbit in
    turn, then with those of the own class.
    """

    orbits: Kinds
    tails = 2

    @staticmethod
    def gram_at(orbits: Kinds, point: Array) -> KindGram:
        """The Gram matrix of embeddings and targets, with the digits within a class that forces are differences of."""
        fixed, number = Targets.of(orbits).rows, orbits.each[:, 0]
        gram = KindGram.of_points(orbits, np.stack([point, fixed], axis=1).reshape(orbits.cells, -1))
        common = point[:, -1] ** 2 * number / fewer(number)
        near = np.repeat(-common, 4).reshape(-1, 2, 2)
        near[:, 0, 0] = 0.0
        near[:, 0, 1] = near[:, 1, 0] = 0.5 * np.sum((point - fixed) ** 2, axis=1) - common
        return replace(gram, near=near, common=common)

    @classmethod
    def at(cls, objective: Objective, point: Array) -> Self:
        """The state at unit rows."""
        kinds: Any = objective.orbits
        gram, pairs = cls.gram_at(kinds, point), (kinds.sizes[:, None] * kinds.partners)[::2]
        model, forces = objective.rows(gram), _mirrored(pairs * objective.row_gradient(gram)[::2])
        pulled = cls.pull(kinds, forces, point) + _drawn(kinds, forces)
        multipliers, bent = np.sum(pulled * point, axis=1), np.sum(pairs * model.curvature[::2], axis=1)
        scale = floored(multipliers, bent, (kinds.sizes * objective.masses)[::2])[:, None]
        excess, gradient = objective.resolved(gram), tangent(point, pulled)
        return cls(objective, kinds, point, excess, model, forces, multipliers, gradient, scale)

    @classmethod
    def pull(cls, orbits: Kinds, pairs: Array, vectors: Array) -> Array:
        """What forces between embeddings do to their rows."""
        others, inside = pairs[:, : orbits.cells : 2], pairs[:, orbits.cells]
        means = others @ vectors[:, :-2] + inside[:, None] * vectors[:, :-2]
        across = (inside - np.diag(others) / fewer(orbits.classes)) * vectors[:, -2]
        return 2.0 * np.column_stack([means, across, -inside / fewer(orbits.each[:, 0]) * vectors[:, -1]])

    @property
    def opening(self) -> Array:
        """(K,) the square of the spread at which closed classes hold themselves, by curvature; 0 where S holds them."""
        number, inside = self.orbits.each[:, 0], self.orbits.cells
        spare = 0.5 * self.multipliers + self.forces[:, inside] / fewer(number)
        opens = (spare > _HELD * self.scale[:, 0]) & (self.point[:, -1] == 0.0) & (number > 1)
        stiff = self._bent[0][:, inside] * number / fewer(number) ** 2
        return np.where(opens, np.minimum(spare / np.maximum(stiff, self.scale[:, 0]), 0.1), 0.0)

    @cached_property
    def _bent(self) -> tuple[Array, Array, Array]:
        """The curvature of the rows, and the coupling of their softmax with its sums."""
        pairs = (self.orbits.sizes[:, None] * self.orbits.partners)[::2]
        coupling = pairs * self.model.coupling[::2]
        return pairs * self.model.curvature[::2], coupling, np.maximum(coupling.sum(axis=1), 1e-300)

    def change(self, direction: Array) -> Array:
        """How the cosines of embeddings change along a tangent direction."""
        kinds, point, targets = self.orbits, self.point, Targets.of(self.orbits)
        change = np.empty((len(point), kinds.cells + 2))
        for column, across in enumerate((point[:, -2], targets.across)):
            half = targets.cosines(direction[:, :-2]) if column else direction[:, :-2] @ point[:, :-2].T
            own, turned = np.diag(half).copy(), direction[:, -2] * across
            np.fill_diagonal(half, own - turned / fewer(kinds.classes))
            change[:, kinds.cells + column] = own + turned
            change[:, column : kinds.cells : 2] = half if column else half + half.T
        opened = direction[:, -1] * point[:, -1] / fewer(kinds.each[:, 0])
        change[:, kinds.cells] = 2.0 * (change[:, kinds.cells] - opened)
        return change

    def hessian(self, direction: Array) -> Array:
        """The Riemannian Hessian times a tangent direction."""
        (curvature, coupling, total), change = self._bent, self.change(direction)
        bent = curvature * change
        bent -= coupling * (np.einsum("ab,ab->a", coupling, change) / total)[:, None]
        bent = _mirrored(bent)
        euclidean = self.pull(self.orbits, bent, self.point) + _drawn(self.orbits, bent)
        euclidean += self.pull(self.orbits, self.forces, direction)
        return self.tangent(euclidean - self.multipliers[:, None] * direction)

    def truncated(self) -> Self:
        """The state as it is: targets span all directions."""
        return self


def settled(objective: PartedSoftmax) -> KindGram:
    """The optimum over embeddings, from all of them at their targets; the best that was found."""
    kinds: Any = objective.orbits
    state: Any = TargetState.at(objective, Targets.of(kinds).rows)
    loop = Iteration(_STEPS)
    for _ in range(_ROUNDS):
        for resolution in _RESOLUTIONS:
            state = polish(objective, descend(objective, state, loop, resolution), loop)
            if state.force() < _SETTLED:
                break
        opening = state.opening
        if not opening.any():
            break
        point = state.point.copy()
        point[:, -1] += np.sqrt(opening)
        state = TargetState.at(objective, retract(point, 0.0))
    return TargetState.gram_at(kinds, state.point)


def _mirrored(pairs: Array) -> Array:
    """The mean with the transpose: targets, which are no anchors, have nothing to add."""
    both, count = 0.5 * pairs, len(pairs)
    both[:, : 2 * count : 2] += both[:, : 2 * count : 2].T.copy()
    both[:, -2] = pairs[:, -2]
    return both


def _drawn(kinds: Kinds, pairs: Array) -> Array:
    """What forces to targets do to the rows of embeddings."""
    others, own, targets = pairs[:, 1 : kinds.cells : 2].copy(), pairs[:, -1], Targets.of(kinds)
    across = (own - np.diag(others) / fewer(kinds.classes)) * targets.across
    others[np.diag_indices_from(others)] += own
    return 2.0 * np.column_stack([targets.drawn(others), across, np.zeros_like(own)])
