"""Mini-batch SupCon with one view an example: anchors that find no positive in their batch drop out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...arrays import Array
from ...errors import ProblemError
from .expectation import VIRTUAL, ExpectedLog
from .laplace import laplace_rule


@dataclass(frozen=True, eq=False, kw_only=True)
class OneView(ExpectedLog):
    """The expected log of a random sum on the event that the anchor's own class is among the draws.

        L(G) = sum_a m_a E[ 1{M_a >= 1} log sum_j M_j x_aj ],    x_aj = e^{t_aj/tau}

    with M the multinomial counts of k draws and x = 1 at the class itself. Let p be its probability to be drawn,
    q = 1 - p, f = sum_{j foreign} pi_j e^{-s x_j}. With h(f) = (f + p e^{-s})^k - f^k,

        E[1{M_a >= 1} log ...] = int [ (1 - q^k) e^{-s} - h(f) ] dv,    above the floor: int [ h(q) - h(f) ] dv

    and with A, A' the two brackets of h at q, B, B' at f, that integrand is free of cancellation as

        A^k { (1 - (A'/A)^k) (1 - (B/A)^k)  -  (A'B/A^2)^k [ 1 - (1 + (A-A')(A-B)/(A B'))^{-k} ] }.

    (The factors are the chances that k draws hit two events, as if independent, and what is amiss with that: at most
    half. Ours; confirmed against enumeration in the tests.)
    """

    def _validate(self) -> None:
        super()._validate()
        if not (self.count >= 2 and self.count == int(self.count)):
            raise ProblemError(
                f"count: must be a whole number of at least 2, or no draw is left beside the positive; got {self.count}"
            )

    @cached_property
    def _rule(self) -> tuple[Array, Array]:
        return laplace_rule(1.0, VIRTUAL * self.count)

    @cached_property
    def _far(self) -> Array:
        """(K,) q, summed from the foreign classes: 1 - p would lose its digits where one class has nearly all."""
        return self._probabilities.sum(axis=1)

    def _still(self, s: Array) -> tuple[Array, Array, Array]:
        """(n, K) A, its logarithm and log(A'/A)."""
        mine = self.draws.own * np.exp(-s)
        a = self._far + mine
        log_a = np.where(a > 0.5, np.log1p(np.maximum(self.draws.own * np.expm1(-s), -0.5)), np.log(a))
        return a, log_a, -np.log1p(mine / self._far)

    @cached_property
    def _row_floors(self) -> Array:
        """(K,) E[1{M_a >= 1} log M_a]."""
        k, (s, steps) = self.count, (part[:, None] for part in self._rule)
        _, log_a, log_absent = self._still(s)
        present = -np.expm1(-k * np.log1p(self.draws.own / self._far))
        return np.sum(steps * (present * np.exp(-s) + np.exp(k * log_a) * np.expm1(k * log_absent)), axis=0)

    @property
    def floor(self) -> float:
        """E[1{some positive} log(number of own draws)]: every foreign class infinitely far away."""
        return float(self.orbits.sizes * self.masses @ self._row_floors)

    def _left(self, s: Array, moved: Array) -> tuple[Array, Array]:
        """(n, K) f and log(B/A)."""
        # f is never below q e^{-s} for cosines up to 1; the bound keeps rounding and virtual cosines from reaching 0.
        f = np.maximum(self._far + moved, 1e-30 * self._far)
        return f, -np.log1p(-moved / (f + self.draws.own * np.exp(-s)))

    def _fall(self, s: Array, moved: Array) -> Array:
        k = self.count
        a, log_a, log_absent = self._still(s)
        f, log_left = self._left(s, moved)
        both = np.log1p(self.draws.own * np.exp(-s) * (-moved / a) / f)
        hit = np.expm1(k * log_absent) * np.expm1(k * log_left)
        amiss = np.exp(k * (log_absent + log_left)) * np.expm1(-k * both)
        return np.exp(k * log_a) * (hit + amiss)

    def _weights(self, s: Array, moved: Array) -> tuple[Array, Array]:
        k = self.count
        f, log_left = self._left(s, moved)
        log_b = self._still(s)[1] + log_left
        log_absent = -np.log1p(self.draws.own * np.exp(-s) / f)
        slopes = -np.exp((k - 1) * log_b) * np.expm1((k - 1) * log_absent)
        return slopes, -np.exp((k - 2) * log_b) * np.expm1((k - 2) * log_absent)
