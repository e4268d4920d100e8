"""One negative at a time (k = 1): logistic loss (InfoNCE with one negative) and the hinge of the triplet loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..orbits import OrbitGram
from .base import RowModel, SampledObjective

Array = NDArray[np.float64]


class Shape(Protocol):
    """psi of one argument t = z.z- - z.z+: convex and nondecreasing."""

    @property
    def floor(self) -> float:
        """The infimum of psi."""
        ...

    @property
    def smooth(self) -> bool:
        """Whether psi has two derivatives everywhere."""
        ...

    def value(self, t: Array) -> Array:
        """psi(t) - floor."""
        ...

    def slope(self, t: Array) -> Array:
        """psi'(t); at a kink, one of the slopes."""
        ...

    def curvature(self, t: Array) -> Array:
        """psi''(t)."""
        ...


@dataclass(frozen=True)
class Logistic:
    """psi(t) = log(1 + e^{t/tau})."""

    temperature: float
    floor: float = 0.0
    smooth: bool = True

    def value(self, t: Array) -> Array:
        """log(1 + e^{t/tau})."""
        return np.log1p(np.exp(t / self.temperature))

    def slope(self, t: Array) -> Array:
        """e^{t/tau} / (1 + e^{t/tau}) / tau."""
        drift = np.exp(t / self.temperature)
        return drift / (1.0 + drift) / self.temperature

    def curvature(self, t: Array) -> Array:
        """e^{t/tau} / (1 + e^{t/tau})^2 / tau^2."""
        drift = np.exp(t / self.temperature)
        return drift / (1.0 + drift) ** 2 / self.temperature**2


@dataclass(frozen=True)
class Hinge:
    """psi(t) = max(t + margin, 0), the triplet loss. Not smooth: its optima often sit on the kink t = -margin."""

    margin: float
    floor: float = 0.0
    smooth: bool = False

    def value(self, t: Array) -> Array:
        """max(t + margin, 0)."""
        return np.maximum(t + self.margin, 0.0)

    def slope(self, t: Array) -> Array:
        """1 above the kink, 0 at it and below."""
        return (t + self.margin > 0).astype(float)

    def curvature(self, t: Array) -> Array:
        """0."""
        return np.zeros_like(t)


@dataclass(frozen=True, eq=False, kw_only=True)
class PairLoss(SampledObjective):
    """A loss of pairs: one negative per anchor.

        L(G) = sum_i m_i [ own_i psi(0) + sum_{j != i} w_ij psi(G_ij - 1) ]

    Attributes:
        shape: psi.
    """

    shape: Shape

    @property
    def smooth(self) -> bool:
        """Whether psi is smooth."""
        return self.shape.smooth

    @property
    def floor(self) -> float:
        """sum m [ own psi(0) + (1 - own) inf psi ]."""
        at_zero = float(self.shape.value(np.zeros(1))[0])
        return float(self.orbits.sizes * self.masses @ (self.draws.own * at_zero)) + self.shape.floor

    @cached_property
    def _weights(self) -> Array:
        return self.masses[:, None] * self.draws.partner

    def excess(self, gram: OrbitGram) -> float:
        """sum m w (psi - inf psi)."""
        values = self._probabilities * self.shape.value(gram.cosines - 1.0)
        return float(self.orbits.sizes * self.masses @ values.sum(axis=1))

    def rows(self, gram: OrbitGram) -> RowModel:
        """m w psi', m w psi''; the rows of a pair loss do not couple."""
        t = gram.cosines - 1.0
        return RowModel(self._weights * self.shape.slope(t), self._weights * self.shape.curvature(t), np.zeros_like(t))
