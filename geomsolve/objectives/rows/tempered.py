"""Row softmax in which the anchors of each class have a temperature of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...arrays import Array
from ...errors import ProblemError
from ...geometry.orbit_gram import OrbitGram
from ..base import check_weights
from .row_softmax import SoftmaxRows


@dataclass(frozen=True, eq=False, kw_only=True)
class TemperedSoftmax(SoftmaxRows):
    """A sum of row softmaxes of several temperatures, which is convex like each of them.

        L(G) = sum_i m_i log( a_i + sum_{j != i} W_ij e^{t_ij / tau_i} ),   t_ij = G_ij - 1

    Attributes:
        temperatures: (K,) tau of the anchors of each orbit; `temperature` is the largest, the unit of cosines.
    """

    temperatures: Array

    def _validate(self) -> None:
        super()._validate()
        check_weights("temperatures", self.temperatures, self.masses.shape)
        if not (self.offsets.min() > 0 and self.temperatures.min() > 0):
            raise ProblemError("offsets, temperatures: must be above 0 in every row")
        if self.temperatures.max() != self.temperature:
            raise ProblemError("temperature: must be the largest of the temperatures")

    @property
    def _taus(self) -> Array:
        return self.temperatures[:, None]

    def _exponentials(self, gram: OrbitGram) -> Array:
        return np.exp((gram.cosines - 1.0) / self._taus)

    @property
    def floor(self) -> float:
        """Sum m log a, the loss when every other class is infinitely far away."""
        return float(self.orbits.sizes * self.masses @ np.log(self.offsets))

    def excess(self, gram: OrbitGram) -> float:
        """The loss above `floor`."""
        return float(self.orbits.sizes * self.masses @ np.log1p(self._sums(gram) / self.offsets))
