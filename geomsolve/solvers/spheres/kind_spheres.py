"""Points of a product of spheres for orbits of classes with several kinds of atoms: one unit vector per cell.

Cell s is a unit vector (mean m_s, difference f_s between the classes of its orbit, spread w_s), see
`KindGram.of_points`: atoms of other classes have the cosine m.m', those of another class of one orbit
m.m' - f f'/(n - 1), other kinds of the own class m.m' + f f', and atoms of one kind and class 1 - w^2 mu/(mu - 1).
"""

from dataclasses import dataclass

import numpy as np

from ...arrays import Array
from ...geometry.kinds import KindGram, Kinds
from .spheres import State, fewer, retract


@dataclass(frozen=True, eq=False)
class KindState(State):
    """The loss, its gradient and its Hessian at one point; matrices of pairs are (M, M + T)."""

    orbits: Kinds
    tails = 2

    @staticmethod
    def gram_at(orbits: Kinds, point: Array) -> KindGram:
        """The Gram matrix of vectors of cells."""
        return KindGram.of_points(orbits, point)

    @staticmethod
    def within(orbits: Kinds, pairs: Array) -> Array:
        """(M,) what pairs of atoms of one kind and class have, a share for each other atom of it."""
        return np.einsum("ktt->kt", orbits.own(pairs)).ravel() / fewer(orbits.atoms_each)

    @classmethod
    def pull(cls, orbits: Kinds, pairs: Array, vectors: Array) -> Array:
        """What forces between atoms, summed over pairs, do to vectors of cells."""
        shape, means = orbits.each.shape, vectors[:, :-2]
        pulled = pairs[:, : orbits.cells] @ means + (orbits.own(pairs) @ means.reshape(*shape, -1)).reshape(means.shape)
        across = (_on_differences(orbits, pairs) @ vectors[:, -2].reshape(*shape, 1)).ravel()
        return 2.0 * np.column_stack([pulled, across, -cls.within(orbits, pairs) * vectors[:, -1]])

    def on_means(self, pairs: Array) -> Array:
        """(M, M) what pairs of atoms have between the means of cells."""
        return np.asarray(pairs[:, : self.orbits.cells] + _blocks(self.orbits, self.orbits.own(pairs)))

    def change(self, direction: Array) -> Array:
        """How the cosines change along a tangent direction."""
        kinds, point = self.orbits, self.point
        change = np.empty(kinds.partners.shape)
        half = point[:, :-2] @ direction[:, :-2].T
        change[:, : kinds.cells] = half + half.T
        orbits, number = kinds.each.shape
        place, same = np.arange(orbits), np.arange(number)
        f, df = (part[:, -2].reshape(orbits, number) for part in (point, direction))
        turned = f[:, :, None] * df[:, None, :]
        turned = turned + turned.swapaxes(1, 2)
        beside = change[:, : kinds.cells].reshape(orbits, number, orbits, number)
        own = beside[place, :, place, :] + turned
        opened = 2.0 * point[:, -1] * direction[:, -1] / fewer(kinds.atoms_each)
        own[:, same, same] -= opened.reshape(orbits, number)
        kinds.own(change)[:] = own
        beside[place, :, place, :] -= turned / fewer(kinds.classes)[:, None, None]
        return change

    def closed(self, inside: Array, units: Array, least: float) -> Array:
        """(M, 2) what of differences between the classes of an orbit, and within a class, gains by opening."""
        kinds, shape = self.orbits, self.orbits.each.shape
        root = np.sqrt(kinds.sizes).reshape(shape)
        block = _on_differences(kinds, self.forces) / root[:, :, None] / root[:, None, :]
        same = np.arange(shape[1])
        block[:, same, same] -= (self.multipliers / (2.0 * kinds.sizes)).reshape(shape)
        weights = units.reshape(shape)
        values, vectors = np.linalg.eigh(block / weights[:, :, None] / weights[:, None, :])
        opens = (values[:, 0] < -least) & (kinds.classes > 1) & np.all(self.point[:, -2].reshape(shape) == 0.0, axis=1)
        amount = np.sqrt(np.where(opens, -values[:, 0], 0.0))
        across = (amount[:, None] * vectors[:, :, 0] / (weights * root)).ravel()
        return np.column_stack([across, super().closed(inside, units, least)])


def kind_factor(gram: KindGram, blur: float = 0.0) -> Array:
    """(M, p + 2) unit rows near a guess, mixed with simplex and identity so that no direction of means is missing."""
    kinds = gram.orbits
    cosines = (1.0 - blur) * np.clip(gram.cosines, -1.0, 1.0) + 0.5 * blur * KindGram.together(kinds).cosines
    values, vectors = np.linalg.eigh(KindGram(kinds, cosines).quotient)
    means = vectors * np.sqrt(np.maximum(values, 0.0)) / np.sqrt(kinds.sizes)[:, None]
    blocks = KindGram(kinds, cosines).blocks.differences
    values, vectors = np.linalg.eigh(blocks)
    share = np.where(kinds.classes > 1, 1.0 - 1.0 / kinds.classes, 0.0)
    across = np.sqrt(np.maximum(values[:, -1:], 0.0) * share[:, None]) * vectors[:, :, -1] / np.sqrt(kinds.each)
    left = 1.0 - np.sum(means**2, axis=1) - across.ravel() ** 2
    spread = np.sqrt(np.maximum(left, 0.0)) * kinds.plural
    # Anchors have no more dimensions than there are orbits, and those that follow are in their span.
    means = means[:, -len(kinds.classes) :]
    return retract(np.column_stack([means, across.ravel(), spread]), 0.0)


def _blocks(kinds: Kinds, blocks: Array) -> Array:
    """(M, M) a matrix of the blocks (K, T, T) on its diagonal."""
    orbits, number = kinds.each.shape
    whole, place = np.zeros((orbits, number, orbits, number)), np.arange(orbits)
    whole[place, :, place, :] = blocks
    return whole.reshape(kinds.cells, kinds.cells)


def _on_differences(kinds: Kinds, pairs: Array) -> Array:
    return np.asarray(kinds.own(pairs) - kinds.beside(pairs) / fewer(kinds.classes)[:, None, None])
