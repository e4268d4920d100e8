"""Row softmax in which the anchors of each class have a temperature of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...arrays import Array
from ...errors import ProblemError
from ...geometry.orbit_gram import OrbitGram
from ..base import Objective, RowModel, check_weights
from ..row_hessians import softmax_forms


@dataclass(frozen=True, eq=False, kw_only=True)
class TemperedSoftmax(Objective):
    """A sum of row softmaxes of several temperatures, which is convex like each of them.

        L(G) = sum_i m_i log( a_i + sum_{j != i} W_ij e^{t_ij / tau_i} ),   t_ij = G_ij - 1

    Attributes:
        weights: (K, K) or broadcastable: W >= 0 for one partner.
        offsets: (K,) a > 0.
        temperatures: (K,) tau of the anchors of each orbit; `temperature` is the largest, the unit of cosines.
    """

    weights: Array
    offsets: Array
    temperatures: Array

    def _validate(self) -> None:
        super()._validate()
        count = len(self.orbits.sizes)
        check_weights("weights", self.weights, (count, count))
        check_weights("offsets", self.offsets, (count,))
        check_weights("temperatures", self.temperatures, (count,))
        if not (self.offsets.min() > 0 and self.temperatures.min() > 0):
            raise ProblemError("offsets, temperatures: must be above 0 in every row")
        if self.temperatures.max() != self.temperature:
            raise ProblemError("temperature: must be the largest of the temperatures")

    def _terms(self, gram: OrbitGram) -> Array:
        """(K, K) W e^{t/tau}, of one partner."""
        return self.weights * np.exp((gram.cosines - 1.0) / self.temperatures[:, None])

    def _sums(self, gram: OrbitGram) -> Array:
        return np.einsum("ab,ab->a", self.orbits.partners, self._terms(gram))

    @property
    def floor(self) -> float:
        """Sum m log a, the loss when every other class is infinitely far away."""
        return float(self.orbits.sizes * self.masses @ np.log(self.offsets))

    def excess(self, gram: OrbitGram) -> float:
        """The loss above `floor`."""
        return float(self.orbits.sizes * self.masses @ np.log1p(self._sums(gram) / self.offsets))

    def rows(self, gram: OrbitGram) -> RowModel:
        """With q = W e^{t/tau} / Z and Q = sum q: repulsion m q/tau, softness tau, answer Q/tau."""
        terms, tau = self._terms(gram), self.temperatures[:, None]
        sums = np.einsum("ab,ab->a", self.orbits.partners, terms)
        denominators = self.offsets + sums
        repulsion = terms * (self.masses / denominators)[:, None] / tau
        softness = np.broadcast_to(tau, repulsion.shape).copy()
        return RowModel(repulsion, softness, (sums / denominators)[:, None] / tau)

    def row_hessians(self, gram: OrbitGram) -> Array:
        """m_i / tau_i^2 (Diag(q_i) - q_i q_i^T), see `softmax_forms`."""
        sums = self.orbits.partners * self._terms(gram)
        denominators = self.offsets + sums.sum(axis=1)
        stiffness = self.orbits.sizes * self.masses / self.temperatures**2
        return softmax_forms(sums / denominators[:, None], self.offsets / denominators, stiffness)

    def ungrouped(self) -> TemperedSoftmax:
        """The same loss, each atom an orbit."""
        labels = self.orbits.listed()
        numbers: dict[str, Any] = {"offsets": self.offsets[labels], "temperatures": self.temperatures[labels]}
        return replace(self, **self._per_atom(), weights=self._spread(self.weights), **numbers)
