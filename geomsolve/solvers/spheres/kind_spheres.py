"""Points of a product of spheres for orbits of classes with several kinds of atoms: one unit vector per cell.

Cell s is a unit vector (mean m_s, difference f_s between the classes of its orbit, spread w_s), see
`KindGram.of_points`: atoms of other classes have the cosine m.m', those of another class of one orbit
m.m' - f f'/(n - 1), other kinds of the own class m.m' + f f', and atoms of one kind and class 1 - w^2 mu/(mu - 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ...arrays import Array
from ...geometry.kinds import KindGram, Kinds
from ...geometry.unit_rows import tangent
from ...objectives.base import Objective
from ...objectives.kinds.parts import PartedSum
from .spheres import CLOSE, EXACT, State, floored, retract


@dataclass(frozen=True, eq=False)
class KindState(State):
    """The loss, its gradient and its Hessian at one point; `forces` is (M, M + T), over ordered pairs of atoms."""

    orbits: Kinds
    tails = 2

    @classmethod
    def at(cls, objective: Objective, point: Array, curved: bool = False) -> KindState:
        """The state at vectors of cells."""
        kinds = objective.orbits
        assert isinstance(kinds, Kinds)
        gram = cls.gram_at(kinds, point)
        model, pairs = objective.rows(gram), kinds.sizes[:, None] * kinds.partners
        forces = kinds.mirrored(pairs * objective.row_gradient(gram))
        multipliers = np.sum(_pull(kinds, forces, point) * point, axis=1)
        bent = np.einsum("ab,ab->a", pairs, model.curvature)
        scale = floored(multipliers, bent, kinds.sizes * objective.masses)
        same = np.arange(kinds.each.shape[1])
        inside = kinds.own(forces)[:, same, same].ravel() / (kinds.sizes * _fewer(kinds.atoms_each))
        return cls(
            objective, kinds, point, objective.resolved(gram), model, forces, inside, multipliers,
            _across(kinds, forces, point), scale[:, None], curved,
        )  # fmt: skip

    @staticmethod
    def gram_at(orbits: Kinds, point: Array) -> KindGram:  # type: ignore[override]
        """The Gram matrix of vectors of cells."""
        return KindGram.of_points(orbits, point)

    @cached_property
    def _between(self) -> Array:
        """(M, M) forces between means."""
        return _on_means(self.orbits, self.forces)

    def slack(self) -> tuple[Array, Array]:
        """(M, M) S on constant vectors, and (M,) its eigenvalue within a class and kind."""
        sizes, root = self.orbits.sizes, np.sqrt(self.orbits.sizes)
        quotient = self._between / root / root[:, None]
        radial = self.multipliers / (2.0 * sizes)
        quotient[np.diag_indices_from(quotient)] -= radial
        return quotient, -radial - self.inside

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

    @cached_property
    def forms(self) -> Array:
        """(M, M + T, M + T) the Hessians of the rows in their cosines."""
        return self.objective.row_hessians(self.gram_at(self.orbits, self.point))

    @cached_property
    def _pairs(self) -> tuple[Array, list[tuple[Array, Array]]]:
        """The curvature of the rows, and of every softmax the coupling of its own with their sums."""
        pairs, gram = self.orbits.sizes[:, None] * self.orbits.partners, self.gram_at(self.orbits, self.point)
        terms = self.objective.terms.losses if isinstance(self.objective, PartedSum) else ()
        models = [term.rows(gram) for term in terms] or [self.model]
        couplings = [pairs * model.coupling for model in models]
        totals = [coupling.sum(axis=1) for coupling in couplings]
        totals = [np.where(total != 0, total, 1.0)[:, None] for total in totals]
        return pairs * self.model.curvature, list(zip(couplings, totals, strict=True))

    def hessian(self, direction: Array) -> Array:
        """The Riemannian Hessian times a tangent direction."""
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
        opened = 2.0 * point[:, -1] * direction[:, -1] / _fewer(kinds.atoms_each)
        own[:, same, same] -= opened.reshape(orbits, number)
        kinds.own(change)[:] = own
        beside[place, :, place, :] -= turned / _fewer(kinds.classes)[:, None, None]
        if kinds.cells <= EXACT:
            bent = np.matmul(self.forms, change[:, :, None])[:, :, 0]
        else:
            curvature, couplings = self._pairs
            bent = curvature * change
            for coupling, total in couplings:
                bent -= coupling * (np.einsum("ab,ab->a", coupling, change)[:, None] / total)
        euclidean = _pull(kinds, kinds.mirrored(bent), point) + _pull(kinds, self.forces, direction)
        return self.tangent(euclidean - self.multipliers[:, None] * direction)

    @cached_property
    def curvature_of_means(self) -> Array:
        """(M, M) the curvature of the loss in the products of means."""
        return _on_means(self.orbits, self.orbits.mirrored(self._pairs[0]))


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


def _fewer(each: Array) -> Array:
    return np.where(each > 1, each - 1.0, 1.0)


def _blocks(kinds: Kinds, blocks: Array) -> Array:
    """(M, M) a matrix of the blocks (K, T, T) on its diagonal."""
    orbits, number = kinds.each.shape
    whole, place = np.zeros((orbits, number, orbits, number)), np.arange(orbits)
    whole[place, :, place, :] = blocks
    return whole.reshape(kinds.cells, kinds.cells)


def _on_means(kinds: Kinds, pairs: Array) -> Array:
    return np.asarray(pairs[:, : kinds.cells] + _blocks(kinds, kinds.own(pairs)))


def _on_differences(kinds: Kinds, pairs: Array) -> Array:
    return np.asarray(kinds.own(pairs) - kinds.beside(pairs) / _fewer(kinds.classes)[:, None, None])


def _pull(kinds: Kinds, pairs: Array, vectors: Array) -> Array:
    """What forces between atoms, summed over pairs, do to vectors of cells."""
    orbits, number = kinds.each.shape
    means = vectors[:, :-2]
    own = kinds.own(pairs)
    same = np.arange(number)
    pulled = pairs[:, : kinds.cells] @ means + (own @ means.reshape(orbits, number, -1)).reshape(means.shape)
    across = (_on_differences(kinds, pairs) @ vectors[:, -2].reshape(orbits, number, 1)).ravel()
    spread = own[:, same, same].ravel() * vectors[:, -1] / _fewer(kinds.atoms_each)
    return 2.0 * np.column_stack([pulled, across, -spread])


def _across(kinds: Kinds, pairs: Array, vectors: Array) -> Array:
    """What of `_pull` is orthogonal to each vector, of close pairs from their differences as in `spheres.across`."""
    close = _near(kinds, vectors)
    if not close.any():
        return tangent(vectors, _pull(kinds, pairs, vectors))
    labels = connected_components(close, directed=False)[1]
    apart = vectors - vectors[np.unique(labels, return_index=True)[1][labels]]
    orbits, number = kinds.each.shape
    place = np.arange(orbits)
    within = close.reshape(orbits, number, orbits, number)[place, :, place, :].copy()
    close.reshape(orbits, number, orbits, number)[place, :, place, :] = False
    ties = np.zeros_like(pairs)
    ties[:, : kinds.cells] = np.where(close, pairs[:, : kinds.cells], 0.0)
    kinds.own(ties)[:] = np.where(within, kinds.own(pairs), 0.0)
    drawn = _pull(kinds, ties, apart) - 2.0 * ties.sum(axis=1)[:, None] * apart
    return tangent(vectors, _pull(kinds, pairs - ties, vectors)) + tangent(vectors, drawn)


def _near(kinds: Kinds, vectors: Array) -> NDArray[np.bool_]:
    """(M, M) which cells, all without spread, are so close that their difference is exact."""
    orbits, number = kinds.each.shape
    f = vectors[:, -2].reshape(orbits, number)
    cosines = vectors[:, :-2] @ vectors[:, :-2].T + _blocks(kinds, f[:, :, None] * f[:, None, :])
    flat = vectors[:, -2] == 0.0
    same = np.arange(kinds.cells) // number
    close = (cosines > 1.0 - CLOSE) & (vectors[:, -1] == 0.0) & (vectors[:, -1:] == 0.0)
    close &= (flat & flat[:, None]) | (same[:, None] == same)
    np.fill_diagonal(close, False)
    return np.asarray(close)
