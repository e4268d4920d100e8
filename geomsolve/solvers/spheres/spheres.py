"""Embeddings as points of a product of spheres, one unit vector per orbit: gradient and Hessian of a loss there.

Orbit a is a unit vector v_a = (mean mu_a, spread w_a):

    c_ab = mu_a . mu_b  (a != b),      c_aa = |mu_a|^2 - w_a^2 / (n_a - 1),

which is every orbit-constant Gram matrix: a Burer-Monteiro factor. Directions that vanish at the optimum, and orbits
that merge (w_a = 0), are interior points here. A product with the Hessian costs O(K^2 p) with p columns.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from ...arrays import Array
from ...geometry.orbit_gram import OrbitGram, Orbits
from ...geometry.unit_rows import tangent
from ...objectives.base import Objective, RowModel
from ...objectives.kinds.parts import PartedSum


def truncate(orbits: Orbits, point: Array, tails: int, tol: float = 1e-7) -> Array:
    """The point without the directions that carry less than `tol` of the Gram matrix's spectrum, spreads alike."""
    weights = np.sqrt(orbits.sizes)[:, None]
    _, values, axes = np.linalg.svd(weights * point[:, :-tails], full_matrices=False)
    means = point[:, :-tails] @ axes[values**2 > tol].T
    spread = np.where(point[:, -tails:] ** 2 > tol, point[:, -tails:], 0.0)
    return retract(np.column_stack([means, spread]), 0.0)


def retract(point: Array, step: Array | float) -> Array:
    """The point moved by a step, back on the spheres."""
    moved = point + step
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def gram_of(orbits: Orbits, point: Array) -> OrbitGram:
    """The Gram matrix of orbit vectors."""
    means, spread = point[:, :-1], point[:, -1]
    cosines = means @ means.T
    # 1 - (1 - mu^2) n/(n-1): exact at collapse, where the spread is 0.
    inside = 1.0 - spread**2 * orbits.sizes / fewer(orbits.sizes)
    np.fill_diagonal(cosines, np.where(orbits.plural, inside, 1.0))
    return OrbitGram(orbits, cosines)


def fewer(each: Array) -> Array:
    """(K,) of how many others an atom is one; 1 for a single atom, which has no spread to divide."""
    return np.where(each != 1, each - 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class State:
    """The loss, its gradient and its Hessian at one point of the product of spheres."""

    objective: Objective
    orbits: Orbits
    point: Array
    excess: float
    model: RowModel
    forces: Array  # n_a N_ab D_ab over ordered pairs of atoms, D the symmetrised derivative
    multipliers: Array  # (K,) E_a . v_a, E the Euclidean gradient
    gradient: Array  # Riemannian
    scale: Array  # (K, 1) multipliers with a floor
    steps: dict[float, tuple[Array, float, bool]] = field(default_factory=dict)  # taken from here, by trust radius
    tails: ClassVar[int] = 1  # columns that are no means

    @classmethod
    def at(cls, objective: Objective, point: Array) -> Self:
        """The state at orbit vectors."""
        orbits = objective.orbits
        gram, pairs = cls.gram_at(orbits, point), orbits.sizes[:, None] * orbits.partners
        model = objective.rows(gram)
        # With attraction, the derivative has more digits than the difference of the two.
        row = model.repulsion if isinstance(objective.attraction, float) else objective.row_gradient(gram)
        forces = orbits.mirrored(pairs * row)
        pulled = cls.pull(orbits, forces, point)
        multipliers = np.sum(pulled * point, axis=1)
        bent = np.einsum("ab,ab->a", pairs, model.curvature)
        scale = floored(multipliers, bent, orbits.sizes * objective.masses)[:, None]
        gradient = tangent(point, pulled)
        return cls(objective, orbits, point, objective.resolved(gram), model, forces, multipliers, gradient, scale)

    @staticmethod
    def gram_at(orbits: Any, point: Array) -> OrbitGram:
        """The Gram matrix of orbit vectors."""
        return gram_of(orbits, point)

    @staticmethod
    def within(orbits: Any, pairs: Array) -> Array:
        """(K,) what pairs of atoms of one orbit have, a share for each other atom of it."""
        return np.diag(pairs) / fewer(orbits.sizes)

    @classmethod
    def pull(cls, orbits: Any, pairs: Array, vectors: Array) -> Array:
        """What forces between atoms, summed over pairs, do to orbit vectors."""
        return 2.0 * np.column_stack([pairs @ vectors[:, :-1], -cls.within(orbits, pairs) * vectors[:, -1]])

    def on_means(self, pairs: Array) -> Array:
        """(K, K) what pairs of atoms have between the means of orbits."""
        return pairs

    def change(self, direction: Array) -> Array:
        """How the cosines change along a tangent direction."""
        half = self.point[:, :-1] @ direction[:, :-1].T
        change = half + half.T
        change[np.diag_indices_from(change)] -= 2.0 * self.point[:, -1] * direction[:, -1] / fewer(self.orbits.sizes)
        return change

    def closed(self, inside: Array, units: Array, least: float) -> Array:
        """(K, tails) what of spreads that are 0 gains by opening, in units of the multipliers."""
        spread = np.where(self.orbits.plural, inside / units**2, 0.0)
        opens = (spread < -least) & (self.point[:, -1] == 0.0)
        return np.sqrt(np.where(opens, -spread, 0.0))[:, None]

    def truncated(self) -> Self:
        """The state without directions that vanish."""
        return self.at(self.objective, truncate(self.orbits, self.point, self.tails))

    def force(self) -> float:
        """The largest force on an orbit, in units of its own multiplier."""
        return float(np.max(np.linalg.norm(self.gradient, axis=1) / self.scale[:, 0]))

    def slack(self) -> tuple[Array, Array]:
        """S = D - Diag(y), in the form of `OrbitGram.quotient`, and (K,) its eigenvalue on differences in an orbit."""
        sizes, root = self.orbits.sizes, np.sqrt(self.orbits.sizes)
        quotient = self.on_means(self.forces) / root / root[:, None]
        radial = self.multipliers / (2.0 * sizes)
        quotient[np.diag_indices_from(quotient)] -= radial
        return quotient, -radial - self.within(self.orbits, self.forces) / sizes

    @cached_property
    def _pairs(self) -> list[tuple[Any, ...]]:
        """Of every softmax p, its shares, the curvature, what of it p leaves, and which share is largest, and it."""
        pairs, models, told = self.orbits.sizes[:, None] * self.orbits.partners, [self.model], []
        if isinstance(self.objective, PartedSum):
            gram = self.gram_at(self.orbits, self.point)
            models = [term.rows(gram) for term in self.objective.losses]
        for curvature, coupling in ((pairs * model.curvature, pairs * model.coupling) for model in models):
            total, left = coupling.sum(axis=1, keepdims=True), curvature - coupling
            left[np.abs(left) < 1e-15 * curvature] = 0.0  # an ulp
            share = coupling / np.where(total != 0, total, 1.0)
            told.append((coupling, share, curvature, left, share.argmax(1, keepdims=True), share.max(1, keepdims=True)))
        return told

    def hessian(self, direction: Array) -> Array:
        """The Riemannian Hessian times a tangent direction.

        With X the change of the cosines, a row answers with curvature * X - p (p . X)/sum(p). X is taken from the
        largest of p: at low temperature it has all but 1e-20 of the row, and what bends the row is the rest.
        """
        orbits, change, bent = self.orbits, self.change(direction), np.zeros_like(self.forces)
        for coupling, share, curvature, left, largest, most in self._pairs:
            moved = most * np.take_along_axis(change, largest, axis=1)
            apart = change - moved
            bent += curvature * apart - coupling * np.einsum("ab,ab->a", share, apart)[:, None] + left * moved
        euclidean = self.pull(orbits, orbits.mirrored(bent), self.point) + self.pull(orbits, self.forces, direction)
        return self.tangent(euclidean - self.multipliers[:, None] * direction)

    def length(self, direction: Array) -> float:
        """The length of a tangent direction in units of the multipliers, as the trust region measures it."""
        return float(np.sqrt(np.sum(self.scale * direction**2)))

    def tangent(self, vectors: Array) -> Array:
        """The part of each row orthogonal to its unit vector."""
        return tangent(self.point, vectors)


def floored(multipliers: Array, bent: Array, masses: Array) -> Array:
    """(K,) the sizes of multipliers, or a floor by curvature: where attraction holds the optimum all of them vanish."""
    weight = np.abs(multipliers)
    return np.maximum(weight, 1e-6 * bent + 1e-3 * masses * weight.sum() + 1e-300)
