"""Mini-batches of independent draws, or negatives alone: expected logs of random sums, exactly, without sampling."""

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ...arrays import Array
from ...errors import ProblemError
from ...geometry.orbit_gram import OrbitGram
from ..base import Objective, RowModel, check_weights, ratio
from .laplace import laplace_rule

# Where a mean falls below one rounding of 1 its powers have no part in any sum; bounding it keeps logarithms finite.
_ALMOST = -1.0 + 2.0**-53
# How much larger than with cosines of 1 a sum may be: solvers look at virtual ones.
VIRTUAL = 50.0
# Numbers in one block of nodes (a megabyte): small problems take one pass of numpy, large ones a node at a time.
_BLOCK = 2**17


@dataclass(frozen=True, eq=False, kw_only=True)
class SampledObjective(Objective):
    """Base of the losses of independently drawn negatives, with the law of one negative for an anchor of orbit a."""

    partner: Array = field(repr=False)  # (K, K) the probability to draw one given partner in orbit b
    own: Array = field(repr=False)  # (K,) the probability to draw the anchor's own class, which sits at t = 0
    count: int = 1  # k, the number of draws

    @property
    def exact_rows(self) -> bool:
        """False unless there is one negative: draws that share a row couple in more ways than the model has."""
        return self.count == 1

    def _validate(self) -> None:
        super()._validate()
        count = len(self.orbits.sizes)
        check_weights("partner", self.partner, (count, count))
        check_weights("own", self.own, (count,))
        worst = float(np.abs(self._probabilities.sum(axis=1) + self.own - 1.0).max())
        if worst > 1e-9:
            raise ProblemError(f"draws: the probabilities of one draw must sum to 1; they are off by {worst:.3g}")

    @cached_property
    def _probabilities(self) -> Array:
        """(K, K) the probability that a draw falls into orbit b, own class apart."""
        return self.orbits.partners * self.partner


def law_of(shares: Array) -> dict[str, Any]:
    """The law of draws from these shares of the classes, whatever the anchor."""
    return {"partner": np.broadcast_to(shares, (len(shares), len(shares))), "own": shares}


@dataclass(frozen=True, eq=False, kw_only=True)
class ExpectedLog(SampledObjective):
    """Base of the losses that are the expected log of a sum over k independent draws.

    With log x = int_0^inf (e^{-s} - e^{-s x}) ds/s and s = e^v the loss above its floor is, per row, an integral over v
    of a function of the one sum phi(s) = E e^{-s beta X}, taken by `laplace_rule`: about 60 nodes for any k. A loss
    says what the function is.
    """

    beta: float = 1.0  # the weight of one draw in the sum

    @cached_property
    @abstractmethod
    def _rule(self) -> tuple[Array, Array]:
        """The nodes s = e^v of the integral, and their weights."""

    @abstractmethod
    def _fall(self, s: Array, moved: Array) -> Array:
        """(n, K) the integrand of the excess at nodes s (n, 1).

        `moved` (n, K) is phi less phi with every foreign class infinitely far away; not above 0.
        """

    @abstractmethod
    def _weights(self, s: Array, moved: Array) -> tuple[Array, Array]:
        """(n, K) the derivative of the integrand in -phi over k, and minus the second one over k (k - 1)."""

    def _blocks(self, scale: Array) -> Iterator[tuple[Array, Array, Array, Array]]:
        """Nodes and weights (n, 1), `moved` (n, K) and e^{-s beta x} of every pair (n, K, K), by blocks of nodes."""
        length = max(1, _BLOCK // scale.size)
        for first in range(0, len(self._rule[0]), length):
            s, weights = (part[first : first + length, None] for part in self._rule)
            decay = s[:, :, None] * -scale
            moved = np.einsum("ab,nab->na", self._probabilities, np.expm1(decay, out=decay))
            decay += 1.0
            yield s, weights, moved, decay

    def _row_excess(self, gram: OrbitGram) -> Array:
        total = np.zeros(len(self.masses))
        for s, weights, moved, _ in self._blocks(self.beta * gram.exponentials(self.temperature)):
            total += np.sum(weights * self._fall(s, moved), axis=0)
        return total

    def row_gradient(self, gram: OrbitGram) -> Array:
        """The derivative of the integral alone, at a third of the cost of `rows`."""
        scale = self.beta * gram.exponentials(self.temperature)
        total = np.zeros_like(scale)
        for s, weights, moved, decay in self._blocks(scale):
            slope, _ = self._weights(s, moved)
            total += np.einsum("na,nab->ab", weights * s * slope, decay)
        return self._amplitude * scale * total

    @cached_property
    def _amplitude(self) -> Array:
        return self.masses[:, None] * self.count * self.partner / self.temperature

    def rows(self, gram: OrbitGram) -> RowModel:
        """The derivatives of the integral, in one pass over its nodes."""
        k, scale = self.count, self.beta * gram.exponentials(self.temperature)
        first, second, coupling = (np.zeros_like(scale) for _ in range(3))
        forces = self._probabilities * scale
        for s, weights, moved, decay in self._blocks(scale):
            slope, bend = (weights * s * part for part in self._weights(s, moved))
            first += np.einsum("na,nab->ab", slope, decay)
            second += np.einsum("na,nab->ab", s * slope, decay)
            if k > 1:
                pull = np.einsum("ab,nab->na", forces, decay)
                coupling += np.einsum("na,nab->ab", s * bend * pull, decay)
        return RowModel(
            self._amplitude * scale * first,
            self.temperature * ratio(first, first - scale * second),
            (k - 1) * coupling / np.where(first > 0, first, 1.0) / self.temperature,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class ExpectedSoftmax(ExpectedLog):
    """InfoNCE with k negatives drawn independently, its expectation taken exactly.

        L(G) = sum_i m_i E log( alpha + beta sum_{l=1..k} X_l ),    X_l = e^{t_{i j_l}/tau},  j_l drawn by this law

    Above the floor E log(alpha + beta #own draws) this is

        E log(...) - floor = int e^{-alpha s} ( phi_0(s)^k - phi(s)^k ) dv,    phi(s) = E e^{-s beta X},

    phi_0 the same with every foreign class infinitely far away. (Ours; confirmed against enumeration in the tests.)
    """

    alpha: float  # what the positives contribute to the denominator, above 0

    @cached_property
    def _rule(self) -> tuple[Array, Array]:
        return laplace_rule(self.alpha, VIRTUAL * (self.alpha + self.beta * self.count))

    def _own(self, s: Array) -> Array:
        """(n, K) what draws of the own class take from phi."""
        return self.own * np.expm1(-self.beta * s)

    @cached_property
    def _row_floors(self) -> Array:
        """E log(alpha + beta M), M the binomial number of draws of the own class: all others infinitely far away."""
        nodes, weights = (part[:, None] for part in self._rule)
        log_phi = np.log1p(np.maximum(self._own(nodes), _ALMOST))
        own = np.sum(weights * np.exp(-self.alpha * nodes) * -np.expm1(self.count * log_phi), axis=0)
        return math.log(self.alpha) + own

    def _phi(self, s: Array, moved: Array) -> tuple[Array, Array]:
        """(n, K) log phi_0 and log(phi / phi_0)."""
        own = np.maximum(self._own(s), _ALMOST)
        return np.log1p(own), np.log1p(np.maximum(moved / (1.0 + own), _ALMOST))

    def _fall(self, s: Array, moved: Array) -> Array:
        log_floor, log_ratio = self._phi(s, moved)
        return np.exp(self.count * log_floor - self.alpha * s) * -np.expm1(self.count * log_ratio)

    def _weights(self, s: Array, moved: Array) -> tuple[Array, Array]:
        log_floor, log_ratio = self._phi(s, moved)
        log_phi = log_floor + log_ratio
        slope = np.exp((self.count - 1) * log_phi - self.alpha * s)
        return slope, slope * np.exp(-log_phi)


@dataclass(frozen=True, eq=False, kw_only=True)
class ForeignSoftmax(ExpectedSoftmax):
    """The same where draws of the anchor's own class are left out of the sum: batches of SINCERE."""

    def _own(self, s: Array) -> Array:
        return 0.0 * s * self.own
