"""Expected log of a random sum, exactly: InfoNCE with k sampled negatives, and mini-batches, without sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import ProblemError
from ..orbits import OrbitGram
from .base import RowModel, SampledObjective, ratio

Array = NDArray[np.float64]

# The integrand below is analytic in |Im v| < pi/2, so the trapezoid rule with this step errs by e^(-pi^2/step), 1e-17.
_STEP = 0.25


@dataclass(frozen=True, eq=False, kw_only=True)
class ExpectedSoftmax(SampledObjective):
    """InfoNCE with k negatives drawn independently, its expectation taken exactly.

        L(G) = sum_i m_i E log( alpha + beta sum_{l=1..k} X_l ),    X_l = e^{t_{i j_l}/tau},  j_l drawn from `draws`

    With log x = int_0^inf (e^{-s} - e^{-s x}) ds/s and s = e^v, above the floor E log(alpha + beta #own draws),

        E log(...) - floor = int e^{-alpha s} ( phi_0(s)^k - phi(s)^k ) dv,    phi(s) = E e^{-s beta X},

    phi_0 the same with every foreign class infinitely far away. The trapezoid rule in v converges geometrically, so the
    cost is about 200 evaluations of phi for any k. (Ours; confirmed against enumeration in the tests.)

    Attributes:
        count: k, the number of draws.
        alpha: what the positives contribute to the denominator, above 0.
        beta: the weight of one negative.
    """

    count: int
    alpha: float
    beta: float

    def _validate(self) -> None:
        super()._validate()
        for name, number in (("alpha", self.alpha), ("beta", self.beta), ("count", self.count)):
            if not (math.isfinite(number) and number > 0):
                raise ProblemError(f"{name}: must be finite and above 0; got {number}")

    def _nodes(self, smallest_drift: float) -> Array:
        # Below the lower end the integrand falls like e^v, above the upper end like e^{-alpha e^v}.
        low = -math.log(self.alpha + self.beta * self.count) - 40.0
        high = math.log(760.0 / (self.alpha + self.count * self.beta * smallest_drift))
        high = min(high, math.log(50.0 / self.alpha))
        return np.exp(np.arange(low, high + _STEP, _STEP))

    @cached_property
    def _own_excess(self) -> Array:
        """(K,) E log(alpha + beta M) - log(alpha), M the binomial number of draws of the own class."""
        nodes = self._nodes(0.0)[:, None]
        log_phi = np.log1p(self.draws.own * np.expm1(-self.beta * nodes))
        return _STEP * np.sum(np.exp(-self.alpha * nodes) * -np.expm1(self.count * log_phi), axis=0)

    @property
    def floor(self) -> float:
        """E log(alpha + beta x number of own-class draws): the loss when every other class is infinitely far away."""
        return float(self.orbits.sizes * self.masses @ (math.log(self.alpha) + self._own_excess))

    def _phi(self, s: float, drops: Array) -> tuple[Array, Array]:
        """Log phi_0 and log(phi / phi_0) at one node, per row, from e^{-s beta x} - 1 of every pair."""
        own = self.draws.own * math.expm1(-self.beta * s)
        foreign = np.einsum("ab,ab->a", self._probabilities, drops)
        return np.log1p(own), np.log1p(np.maximum(foreign / (1.0 + own), -1.0 + 2.0**-53))

    def excess(self, gram: OrbitGram) -> float:
        """The loss above `floor`, by the integral."""
        drifts = gram.drifts(self.temperature)
        total = np.zeros(len(drifts))
        for s in self._nodes(0.0):
            log_floor, log_ratio = self._phi(s, np.expm1(-self.beta * s * drifts))
            total += math.exp(-self.alpha * s) * np.exp(self.count * log_floor) * -np.expm1(self.count * log_ratio)
        return float(self.orbits.sizes * self.masses @ total) * _STEP

    def rows(self, gram: OrbitGram) -> RowModel:
        """The derivatives of the integral, in one pass over its nodes."""
        drifts = gram.drifts(self.temperature)
        k, scale = self.count, self.beta * drifts
        first, second, coupling = (np.zeros_like(drifts) for _ in range(3))
        for s in self._nodes(0.0):
            decay = np.expm1(-s * scale)
            log_floor, log_ratio = self._phi(s, decay)
            log_phi = log_floor + log_ratio
            decay += 1.0
            weight = s * np.exp(-self.alpha * s + (k - 1) * log_phi)
            first += weight[:, None] * decay
            second += (s * weight)[:, None] * decay
            if k > 1:
                pull = np.einsum("ab,ab->a", self._probabilities, scale * decay)
                coupling += (s * np.exp(-log_phi) * weight * pull)[:, None] * decay
        amplitude = self.masses[:, None] * k * _STEP * self.draws.partner * scale / self.temperature
        return RowModel(
            amplitude * first,
            self.temperature * ratio(first, first - scale * second),
            (k - 1) * coupling / np.where(first > 0, first, 1.0) / self.temperature,
        )
