"""The slack matrix S = D - Diag(y) of a Gram matrix, and the gap it proves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram
from ..geometry.spectra import near_rank_one
from ..objectives.base import Objective

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Slack:
    """S by orbits: its entries between two atoms, its diagonal, and what they say.

    Attributes:
        objective: the loss.
        gram: G.
        entries: (K, K) D_ij between two different atoms, D the symmetrised derivative of the loss.
        diagonal: (K,) S_ii = -sum_j D_ij G_ij.
        own: (K,) the derivative of the loss in G_ii.
        support: how far the supporting function lies below the loss at G; 0 where the loss is differentiable.
    """

    objective: Objective
    gram: OrbitGram
    entries: Array
    diagonal: Array
    own: Array
    support: float

    @classmethod
    def of(cls, objective: Objective, gram: OrbitGram) -> Slack:
        """The slack matrix at a feasible Gram matrix."""
        row, support = objective.support(gram)
        # What stands for a pair that is none, in the orbit of a single class, would drown the rest.
        row[gram.orbits.partners == 0] = 0.0
        entries = gram.orbits.mirrored(row)
        diagonal = -gram.orbits.over_partners(entries * gram.cosines)
        # The loss sees G_ij - G_ii, so its derivative in G_ii is minus the row sum.
        own = -gram.orbits.over_partners(row)
        return cls(objective, gram, entries, diagonal, own, support)

    @property
    def attracts(self) -> bool:
        """Whether the loss pulls atoms together: then an entry may be a difference of larger numbers."""
        return not isinstance(self.objective.attraction, float)

    @property
    def radial(self) -> Array:
        """(K,) y_i with the derivative in G_ii counted: the multiplier of |z_i| <= 1."""
        return self.own - self.diagonal

    @property
    def radial_scale(self) -> Array:
        """(K,) the size of the terms y_i is the sum of."""
        terms = np.abs(self.entries) + 2.0 * self.objective.attraction
        return np.sum(self.gram.orbits.partners * terms * (1.0 + np.abs(self.gram.cosines)), axis=1)

    @cached_property
    def quotient(self) -> Array:
        """(K, K) S between orbits, in the form of `OrbitGram.quotient`."""
        return self.gram.orbits.quotient(self.entries, self.diagonal)

    @property
    def spread(self) -> Array:
        """(K,) the eigenvalue of S on differences inside an orbit; infinite where there are none."""
        return np.where(self.gram.orbits.plural, self.diagonal - np.diag(self.entries), np.inf)

    @property
    def gap(self) -> float:
        """An upper bound of the loss above the optimum: m max(0, -lambda_min(S)), rounding allowed for."""
        smallest, norm = near_rank_one(self.quotient), float(np.trace(self.quotient))
        if not smallest >= -64.0 * _EPS * norm:
            values = np.linalg.eigvalsh(self.quotient)
            smallest, norm = values[0], max(abs(values[0]), abs(values[-1]))
        smallest = min(smallest, float(np.min(self.spread)))
        return self.support + self.gram.atoms * max(0.0, self.ulps * norm - smallest)

    @property
    def ulps(self) -> float:
        """What rounding is in an eigenvalue, of the norm: a few ulps of it, and of the exponent of each entry."""
        return (8.0 + 2.0 / self.objective.temperature) * _EPS

    @cached_property
    def rounding(self) -> Array:
        """(K, K) how far rounding can have moved an entry, but for the last digit of its cosine (`jitter`).

        A repulsion is rounded like its exponent, (1 - c) / tau: hardly at all where a tie has closed.
        """
        ulps = 64.0 * _EPS * (1.0 + np.maximum(self.gram.apart, 0.0) / self.objective.temperature)
        return np.asarray(ulps * (np.abs(self.entries) + self._terms[0]), dtype=np.float64)

    @property
    def jitter(self) -> Array | float:
        """(K, K) what one ulp of a cosine is in an entry."""
        return self._terms[1]

    @cached_property
    def _terms(self) -> tuple[Array | float, Array | float]:
        sizes = self.objective.row_terms(self.gram)
        if sizes is None:
            return self.objective.attraction, 0.0
        return self.gram.orbits.mirrored(sizes[0]), self.gram.orbits.mirrored(sizes[1])

    @cached_property
    def closed(self) -> NDArray[np.bool_]:
        """(K,) which orbits are points held by S: its eigenvalue inside them is positive beyond rounding."""
        points = self.gram.orbits.plural & (np.diag(self.gram.cosines) >= 1.0 - 1e-12)
        if not points.any():
            return points
        return points & (self.spread > self.gram.sizes * np.diag(self.rounding + self.jitter))

    @cached_property
    def counted(self) -> Array:
        """(K, K) partners whose cosine with an atom may move: none inside a closed orbit."""
        counted = self.gram.orbits.partners.copy()
        np.fill_diagonal(counted, np.where(self.closed, 0.0, np.diag(counted)))
        return counted
