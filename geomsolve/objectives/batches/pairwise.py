"""Losses of pairs (k = 1): logistic (InfoNCE with one negative), the triplet loss's hinge, exponential energies."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import lsq_linear, minimize

from ...arrays import Array
from ...geometry.orbit_gram import OrbitGram
from ..base import RowModel, ratio
from .expectation import SampledObjective


@dataclass(frozen=True)
class Logistic:
    """psi(x) = log(1 + e^x)."""

    floor: ClassVar[float] = 0.0

    def at(self, x: Array) -> tuple[Array, Array, Array]:
        """psi(x) - floor, psi'(x) and psi''(x)."""
        power = np.exp(x)
        return np.log1p(power), power / (1.0 + power), power / (1.0 + power) ** 2


@dataclass(frozen=True)
class Exponential:
    """psi(x) = e^x."""

    floor: ClassVar[float] = 0.0

    def at(self, x: Array) -> tuple[Array, Array, Array]:
        """Thrice the same."""
        return (np.exp(x),) * 3


@dataclass(frozen=True)
class Hinge:
    """psi(x) = max(x + margin, 0), the triplet loss. Not smooth: its optima often sit on the kink x = -margin."""

    margin: float

    @property
    def floor(self) -> float:
        """-margin: one margin below the infimum 0, which can be attained, so that no gap is measured against 0."""
        return -self.margin

    def at(self, x: Array) -> tuple[Array, Array, Array]:
        """psi(x) - floor, psi'(x), at the kink 0, and psi''(x)."""
        above = x + self.margin
        return np.maximum(above, 0.0) + self.margin, (above > 0).astype(float), np.zeros_like(x)


@dataclass(frozen=True, eq=False, kw_only=True)
class PairLoss(SampledObjective):
    """A loss of pairs: one negative per anchor.

        L(G) = sum_i m_i [ own_i psi(0) + sum_{j != i} w_ij psi((G_ij - 1)/tau) ]

    Attributes:
        shape: psi, convex and nondecreasing; with a hinge tau is 1.
    """

    shape: Logistic | Exponential | Hinge

    @property
    def smooth(self) -> bool:
        """Whether psi is smooth."""
        return not isinstance(self.shape, Hinge)

    @property
    def _row_floors(self) -> Array:
        """Own psi(0) + (1 - own) x the floor of psi."""
        return self.own * self.shape.at(np.zeros(1))[0] + self.shape.floor

    @cached_property
    def _weights(self) -> Array:
        return self.masses[:, None] * self.partner

    def _at(self, gram: OrbitGram) -> tuple[Array, Array, Array]:
        return self.shape.at((gram.cosines - 1.0) / self.temperature)

    def _row_excess(self, gram: OrbitGram) -> Array:
        return (self._probabilities * self._at(gram)[0]).sum(axis=1)

    def support(self, gram: OrbitGram) -> tuple[Array, float]:
        """The row gradient; at the kink of the hinge, the slopes in [0, 1] for which S G = 0 comes closest."""
        if not isinstance(self.shape, Hinge):
            return self.row_gradient(gram), 0.0
        above = gram.cosines - 1.0 + self.shape.margin
        slopes = hinge_slopes(self, gram, above)
        # psi(t) - slope (t + margin) >= 0: what the line through the kink misses at a t beside it.
        missed = self._probabilities * (np.maximum(above, 0.0) - slopes * above)
        return self._weights * slopes, self._summed(missed.sum(axis=1))

    def rows(self, gram: OrbitGram) -> RowModel:
        """M w psi', m w psi''; the rows of a pair loss do not couple."""
        _, slope, curvature = self._at(gram)
        softness = ratio(slope, curvature) * self.temperature
        return RowModel(self._weights * slope / self.temperature, softness, 0.0)


def hinge_slopes(objective: PairLoss, gram: OrbitGram, above: Array, width: float = 1e-7) -> Array:
    """(K, K) a slope of the hinge for every pair: 0 below the kink, 1 above, and at it what balances the forces.

    The slack matrix S is linear in the free slopes, and any of them prove a bound; wanted are those that make S
    positive semidefinite: the bounded least-squares solution of S G = 0, from which the negative part of S, a convex
    function of the slopes, is driven out. Slopes that come with the Gram matrix are taken as they are.
    """
    counted = gram.orbits.partners > 0
    slopes = (above > 0).astype(float)
    free = np.argwhere(np.triu(counted & (np.abs(above) <= width)))
    if not len(free):
        return slopes
    weights = objective._weights
    full = (weights + weights.T) / 2.0
    if gram.slopes is not None:
        found = np.clip(gram.slopes[free[:, 0], free[:, 1]], 0.0, 1.0)
    else:
        found = _balancing(gram, np.where(counted & (np.abs(above) > width), slopes * full, 0.0), full, free)
    slopes[free[:, 0], free[:, 1]] = slopes[free[:, 1], free[:, 0]] = found
    return slopes


def _balancing(gram: OrbitGram, entries: Array, full: Array, free: NDArray[np.intp]) -> Array:
    """The slopes of the free pairs, of these weights, beside the entries of the others."""
    fixed, blocks = _slack(gram, entries), _blocks(gram)
    units = []
    for a, b in free:
        unit = np.zeros_like(full)
        unit[a, b] = unit[b, a] = full[a, b]
        units.append(_slack(gram, unit))
    size = np.linalg.norm([np.linalg.norm(unit) for unit in units])
    forces = np.column_stack([(unit @ blocks).ravel() for unit in units]) / size
    found = lsq_linear(forces, -(fixed @ blocks).ravel() / size, bounds=(0.0, 1.0), tol=1e-15, method="bvls").x
    stacked = np.stack(units)

    def negative_part(x: Array) -> tuple[float, Array]:
        slack = (fixed + np.tensordot(x, stacked, 1)) / size
        values, vectors = np.linalg.eigh(slack)
        clipped = (vectors * np.minimum(values, 0.0)) @ vectors.T
        force = slack @ blocks
        gradient = np.tensordot(stacked, clipped + force @ blocks, 2) / size
        return 0.5 * float(np.sum(clipped**2) + np.sum(force**2)), gradient

    if negative_part(found)[0] <= 1e-24:
        return found
    options = {"ftol": 0.0, "gtol": 1e-18, "maxiter": 2000, "maxfun": 4000}
    return minimize(negative_part, found, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(free), options=options).x


def _slack(gram: OrbitGram, entries: Array) -> Array:
    """S by blocks: its quotient over the orbits, then its eigenvalue on differences inside each orbit."""
    diagonal = -np.einsum("ab,ab->a", gram.orbits.partners * entries, gram.cosines)
    inside = np.where(gram.orbits.plural, diagonal - np.diag(entries), 0.0)
    return block_diag(gram.orbits.quotient(entries, diagonal), np.diag(inside))


def _blocks(gram: OrbitGram) -> Array:
    """G by the same blocks."""
    return block_diag(gram.quotient, np.diag(np.where(gram.orbits.plural, 1.0 - np.diag(gram.cosines), 0.0)))
