"""Embeddings as points of a product of spheres, one unit vector per orbit: gradient and Hessian of a loss there.

Orbit a is a unit vector v_a = (mean mu_a, spread w_a):

    c_ab = mu_a . mu_b  (a != b),      c_aa = |mu_a|^2 - w_a^2 / (n_a - 1),

which is every orbit-constant Gram matrix: a Burer-Monteiro factor. Directions that vanish at the optimum, and orbits
that merge (w_a = 0), are interior points here. A product with the Hessian costs O(K^2 p) with p columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ...arrays import Array
from ...geometry.orbit_gram import OrbitGram, Orbits
from ...geometry.unit_rows import tangent
from ...objectives.base import Objective, RowModel

# Orbits up to which products with the Hessian are taken from the rows' own Hessians, K^3 numbers.
EXACT = 100
# 1 less the cosine of points whose difference is looked at.
CLOSE = 1e-6


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
    inside = 1.0 - spread**2 * orbits.sizes / _fewer(orbits)
    np.fill_diagonal(cosines, np.where(orbits.plural, inside, 1.0))
    return OrbitGram(
        orbits, cosines, points=np.where(orbits.plural[:, None], point, np.column_stack([means, 0 * spread]))
    )


def _fewer(orbits: Orbits) -> Array:
    """(K,) n_a - 1; 1 for orbits of one atom, which have no spread to divide."""
    return np.where(orbits.plural, orbits.sizes - 1.0, 1.0)


def across(orbits: Orbits, weights: Array, inside: Array, vectors: Array) -> Array:
    """The part of `pull` orthogonal to each unit vector; pairs that are close enter by their differences.

    A tie f/theta holds two points a distance theta apart, while forces f turn them together: from the tie times the
    points ulps of f/theta would be left, from the tie times their difference, which is exact, they are ulps of f.
    """
    close = near(vectors)
    if not close.any():
        return tangent(vectors, pull(orbits, weights, inside, vectors))
    apart = offsets(vectors, close)
    ties = np.where(close, weights, 0.0)
    drawn = 2.0 * (ties @ apart - ties.sum(axis=1)[:, None] * apart)
    return tangent(vectors, pull(orbits, weights - ties, inside, vectors)) + tangent(vectors, drawn)


def near(vectors: Array) -> NDArray[np.bool_]:
    """(K, K) which two orbits, both without spread, are so close that their difference is exact."""
    close = np.asarray(vectors @ vectors.T > 1.0 - CLOSE) & (vectors[:, -1] == 0.0) & (vectors[:, -1:] == 0.0)
    np.fill_diagonal(close, False)
    return close


def offsets(vectors: Array, close: NDArray[np.bool_]) -> Array:
    """(K, p + 1) each vector less the first of those that close ones link to it."""
    labels = connected_components(close, directed=False)[1]
    return np.asarray(vectors - vectors[np.unique(labels, return_index=True)[1][labels]])


def pull(orbits: Orbits, weights: Array, inside: Array, vectors: Array) -> Array:
    """2 (weights @ means, -n D_aa spread): what forces between atoms do to orbit vectors."""
    return 2.0 * np.column_stack([weights @ vectors[:, :-1], -orbits.sizes * orbits.plural * inside * vectors[:, -1]])


@dataclass(frozen=True, eq=False)
class State:
    """The loss, its gradient and its Hessian at one point of the product of spheres.

    K x K arrays are made once and overwritten: at low rank they, and not the arithmetic, are what a product with the
    Hessian costs.
    """

    objective: Objective
    orbits: Orbits
    point: Array
    excess: float
    model: RowModel
    forces: Array  # (K, K) n_a N_ab D_ab over ordered pairs of atoms, D the symmetrised derivative
    inside: Array  # (K,) D_aa
    multipliers: Array  # (K,) E_a . v_a, E the Euclidean gradient
    gradient: Array  # Riemannian
    scale: Array  # (K, 1) multipliers with a floor
    curved: bool  # whether the preconditioner knows the curvature of the rows
    steps: dict[float, tuple[Array, float, bool]] = field(default_factory=dict)  # taken from here, by trust radius
    tails: ClassVar[int] = 1  # columns that are no means

    @classmethod
    def at(cls, objective: Objective, point: Array, curved: bool = False) -> State:
        """The state at orbit vectors."""
        orbits = objective.orbits
        gram = gram_of(orbits, point)
        model = objective.rows(gram)
        # With attraction, the derivative has more digits than the difference of the two.
        row = model.repulsion if isinstance(objective.attraction, float) else objective.row_gradient(gram)
        forces = row + row.T
        forces /= 2.0
        inside = np.diag(forces).copy()
        _over_pairs(orbits, forces)
        multipliers = np.sum(pull(orbits, forces, inside, point) * point, axis=1)
        gradient = across(orbits, forces, inside, point)
        bent = orbits.sizes * np.einsum("ab,ab->a", orbits.partners, model.curvature)
        scale = floored(multipliers, bent, orbits.sizes * objective.masses)
        excess = objective.resolved(gram)
        scale = scale[:, None]
        return cls(objective, orbits, point, excess, model, forces, inside, multipliers, gradient, scale, curved)

    @staticmethod
    def gram_at(orbits: Orbits, point: Array) -> OrbitGram:
        """The Gram matrix of orbit vectors."""
        return gram_of(orbits, point)

    def closed(self, inside: Array, units: Array, least: float) -> Array:
        """(K, tails) what of spreads that are 0 gains by opening, in units of the multipliers."""
        spread = np.where(self.orbits.plural, inside / units**2, 0.0)
        opens = (spread < -least) & (self.point[:, -1] == 0.0)
        return np.sqrt(np.where(opens, -spread, 0.0))[:, None]

    def force(self) -> float:
        """The largest force on an orbit, in units of its own multiplier."""
        return float(np.max(np.linalg.norm(self.gradient, axis=1) / self.scale[:, 0]))

    def slack(self) -> tuple[Array, Array]:
        """S = D - Diag(y), in the form of `OrbitGram.quotient`, and (K,) its eigenvalue on differences in an orbit."""
        sizes = self.orbits.sizes
        root = np.sqrt(sizes)
        quotient = self.forces / root
        quotient /= root[:, None]
        radial = self.multipliers / (2.0 * sizes)
        quotient[np.diag_indices_from(quotient)] -= radial
        return quotient, -radial - self.inside

    @cached_property
    def _curvature(self) -> tuple[Array, Array]:
        """(K, K) n_a N_ab times the symmetrised curvature of the rows, and (K,) the latter's diagonal."""
        curvature = self.model.curvature
        curvature = curvature + curvature.T
        curvature /= 2.0
        inside = np.diag(curvature).copy()
        return _over_pairs(self.orbits, curvature), inside

    @property
    def curvature_of_means(self) -> Array:
        """(K, K) the curvature of the loss in the products of means."""
        return self._curvature[0]

    @cached_property
    def _coupling(self) -> tuple[Array, Array, Array, Array]:
        """(K, K) n_a N_ab times the coupling of the rows, its row sums, its product with the means, (K,) p_aa."""
        coupling = self.model.coupling
        inside = np.diag(coupling).copy()
        _over_pairs(self.orbits, coupling)
        total = coupling.sum(axis=1)
        return coupling, np.where(total != 0, total, 1.0), coupling @ self.point[:, :-1], inside

    @cached_property
    def _scratch(self) -> Array:
        """(2, K, K) to be overwritten: page faults on fresh arrays cost more than the arithmetic."""
        return np.empty((2, *self.forces.shape))

    def hessian(self, direction: Array) -> Array:
        """The Riemannian Hessian times a tangent direction.

        With X = M d^T + d M^T the change of the cosines, the rows answer with curvature * X - p (p . X)/sum(p). Only
        the first of the two needs X entry by entry; the second is products of p with narrow matrices.
        """
        orbits = self.orbits
        means, spread = self.point[:, :-1], self.point[:, -1]
        moves, opening = direction[:, :-1], direction[:, -1]
        if len(means) <= EXACT:
            return self._exact_hessian(direction)
        (curvature, curved_inside), (coupling, total, coupled, coupled_inside) = self._curvature, self._coupling
        half, change = self._scratch
        np.dot(means, moves.T, out=half)
        np.add(half, half.T, out=change)
        shift = -2.0 * orbits.plural * spread * opening / _fewer(orbits)
        diagonal = np.diag(change) + shift
        np.fill_diagonal(change, diagonal)
        answer = np.sum(means * (coupling @ moves) + moves * coupled, axis=1) + np.diag(coupling) * shift
        answer /= total
        change *= curvature
        bent = change @ means
        bent -= 0.5 * (answer[:, None] * coupled + coupling.T @ (answer[:, None] * means))
        bent += self.forces @ moves
        inside = (curved_inside * diagonal - coupled_inside * answer) * spread + self.inside * opening
        euclidean = 2.0 * np.column_stack([bent, -orbits.sizes * orbits.plural * inside])
        return self.tangent(euclidean - self.multipliers[:, None] * direction)

    @cached_property
    def forms(self) -> Array:
        """(K, K, K) the Hessians of the rows in their cosines, see `Objective.row_hessians`."""
        return self.objective.row_hessians(gram_of(self.orbits, self.point))

    def _exact_hessian(self, direction: Array) -> Array:
        """The same from the rows' own Hessians: at low temperature, where one partner is all of a denominator."""
        orbits = self.orbits
        means, spread = self.point[:, :-1], self.point[:, -1]
        moves, opening = direction[:, :-1], direction[:, -1]
        shift = -2.0 * orbits.plural * spread / _fewer(orbits)
        change = means @ moves.T
        change = change + change.T
        change[np.diag_indices_from(change)] += shift * opening
        answer = np.matmul(self.forms, change[:, :, None])[:, :, 0]
        bent = (answer + answer.T) @ means + 2.0 * self.forces @ moves
        opened = shift * np.diag(answer) - 2.0 * orbits.sizes * orbits.plural * self.inside * opening
        return self.tangent(np.column_stack([bent, opened]) - self.multipliers[:, None] * direction)

    @cached_property
    def _stiffness(self) -> Array:
        """(K, p + 1) the preconditioner, a diagonal: multipliers, and what the curvature of a row adds to them.

        Moving v_a by d changes c_ab by mu_b . d, and only the part of mu_b across v_a counts:

            n_a S_aa  +  sum_b n_a N_ab kappa_ab (mu_bk - c_ab v_ak)^2     in coordinate k.

        In the principal axes of the points, where `descend` and `polish` start, coordinates differ most. At full
        dimension multipliers alone do better: masses that differ by 1e4 need them undisturbed.
        """
        stiffness = np.repeat(self.scale, self.point.shape[1], axis=1)
        if not self.curved:
            return stiffness
        curvature, means = self.curvature_of_means, self.point[:, : -self.tails]
        turned = means @ means.T
        turned *= curvature
        across = curvature @ means**2 - 2.0 * means * (turned @ means)
        across += means**2 * np.einsum("ab,ab->a", turned, means @ means.T)[:, None]
        stiffness[:, : -self.tails] += np.maximum(across, 0.0)
        return stiffness

    @cached_property
    def _softened(self) -> tuple[Array, Array]:
        """Each unit vector over the stiffness, and what makes it orthogonal to itself."""
        soft = self.point / self._stiffness
        return soft, np.sum(soft * self.point, axis=1, keepdims=True)

    def precondition(self, vectors: Array) -> Array:
        """The inverse of the stiffness within the tangent space."""
        soft, norm = self._softened
        return vectors / self._stiffness - np.sum(soft * vectors, axis=1, keepdims=True) / norm * soft

    def inner(self, direction: Array, other: Array) -> float:
        """The inner product of tangent directions, as the trust region measures them."""
        return float(np.sum(self._stiffness * direction * other))

    def length(self, direction: Array) -> float:
        """The length of a tangent direction in that product."""
        return float(np.sqrt(self.inner(direction, direction)))

    def tangent(self, vectors: Array) -> Array:
        """The part of each row orthogonal to its unit vector."""
        return tangent(self.point, vectors)


def floored(multipliers: Array, bent: Array, masses: Array) -> Array:
    """(K,) the sizes of multipliers, or a floor by curvature: where attraction holds the optimum all of them vanish."""
    weight = np.abs(multipliers)
    return np.maximum(weight, 1e-6 * bent + 1e-3 * masses * weight.sum() + 1e-300)


def _over_pairs(orbits: Orbits, matrix: Array) -> Array:
    """The matrix times n_a N_ab, the ordered pairs of atoms, in place."""
    matrix *= orbits.partners
    matrix *= orbits.sizes[:, None]
    return matrix
