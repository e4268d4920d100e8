"""Batches drawn without replacement: shuffled epochs, and batches of different classes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import hypergeom

from ...arrays import Array
from ...errors import ProblemError
from ...geometry.orbits import OrbitGram
from ..base import Objective, RowModel, check_weights, ratio
from .expectation import STEP

# Numbers in one block of nodes: 16 MB of complex numbers.
_BLOCK = 2**20


@dataclass(frozen=True, eq=False, kw_only=True)
class ShuffledSoftmax(Objective):
    """The expected log of a sum over k draws without replacement, exactly.

        L(G) = sum_i m_i E[ 1{Y > 0} log Y ],    Y = alpha + beta (M_i + sum_j M_j e^{t_ij/tau}),
        M multivariate hypergeometric: k examples of o_i of the anchor's own class and of n_j of every other class j

    With alpha = 0 (one view) an anchor without an own example among the draws has no positive, and counts as 0.

    With log y = int_0^inf (e^{-s} - e^{-s y}) ds/s and [z^k] the coefficient of z^k,

        E e^{-s Y} = e^{-alpha s} [z^k] (1 + z e^{-s beta})^o prod_j (1 + z e^{-s beta x_j})^{n_j} / [z^k] (1 + z)^N,

    N all examples but the anchor, x_j = e^{t_ij/tau}. The coefficient is a mean over a circle of the radius at which
    (1 + z)^N has its mass at k, the integral a trapezoid rule in log s: both converge geometrically. What is above the
    loss with every other class infinitely far away is integrated by itself, so nothing cancels. (Ours; confirmed
    against enumeration in the tests.)

    Attributes:
        examples: (K,) n, those of one class of each orbit as others see them.
        own: (K,) o, the examples of the anchor's own class that are left to be drawn.
        count: k.
        alpha: what an anchor's own views contribute, at least 0.
        beta: the weight of one draw, above 0.

    Cost: with Q = 10 sqrt(k) nodes on the circle, 100 K^2 Q complex logarithms an evaluation: 10 classes 0.05 s.
    """

    examples: Array
    own: Array
    count: int
    alpha: float
    beta: float

    def _validate(self) -> None:
        super()._validate()
        size = (len(self.orbits.sizes),)
        check_weights("examples", self.examples, size)
        check_weights("own", self.own, size)
        if np.ptp(self._others) > 1e-9 * self._total:
            raise ProblemError("examples, own: every anchor must leave the same number of examples to draw from")
        if not 1 <= self.count < self._total:
            raise ProblemError(f"count: must be from 1 to one below the {self._total:g} others; got {self.count}")

    @property
    def exact_rows(self) -> bool:
        """False: draws that share a row couple in more ways than the model has."""
        return False

    @cached_property
    def _others(self) -> Array:
        """(K,) how many examples an anchor leaves to draw from."""
        return self.own + self.orbits.partners @ self.examples

    @property
    def _total(self) -> float:
        return float(self._others[0])

    @cached_property
    def _circle(self) -> tuple[Array, Array]:
        """(Q,) nodes z on the upper half of a circle, and weights whose real part of a sum is the coefficient."""
        share = self.count / self._total
        radius = share / (1.0 - share)
        size = 2 * math.ceil(5.0 * math.sqrt(self.count * (1.0 - share)) + 12.0)
        angles = math.pi * (2 * np.arange(size // 2) + 1) / size
        z = radius * np.exp(1j * angles)
        # Relative to the real axis, where (1 + z)^N is largest.
        weights = np.exp(self._total * _log1p((z - radius) / (1.0 + radius)) - 1j * self.count * angles)
        return z, weights / weights.real.sum()

    @cached_property
    def _nodes(self) -> Array:
        low = -math.log(self.alpha + self.beta * self.count) - 40.0
        return np.exp(np.arange(low, math.log(50.0 / (self.alpha or self.beta)) + STEP, STEP))

    @cached_property
    def _row_floors(self) -> Array:
        """(K,) the expected log with every other class infinitely far away: a sum over the draws of the own class."""
        floors = np.zeros(len(self.own))
        for a, own in enumerate(self.own):
            drawn = np.arange(0 if self.alpha > 0 else 1, min(int(own), self.count) + 1)
            chances = hypergeom.pmf(drawn, round(self._total), int(own), self.count)
            floors[a] = chances @ np.log(self.alpha + self.beta * drawn)
        return floors

    @property
    def floor(self) -> float:
        """The loss with every other class infinitely far away."""
        return float(self.orbits.sizes * self.masses @ self._row_floors)

    def _terms(self, gram: OrbitGram) -> Iterator[tuple[int, Array, Array, Array, Array]]:
        """Row by row and block by block: the row, s (n, 1), z, the weight without other classes, log of their factor.

        The last two are (n, Q): the expected e^{-s Y} is the real part of the sum over Q of weight e^{log factor}.
        """
        z, weights = self._circle
        scale = self.beta * gram.exponentials(self.temperature)
        many = self.orbits.partners * self.examples
        block = max(1, _BLOCK // (len(z) * len(self.own)))
        for a in range(len(self.own)):
            for first in range(0, len(self._nodes), block):
                s = self._nodes[first : first + block, None]
                alone = self.own[a] * _log1p(z * np.expm1(-s * self.beta) / (1.0 + z))
                if self.alpha > 0:
                    factor = np.exp(alone - self.alpha * s)
                else:  # less the part without an own example
                    factor = np.exp(alone) - np.exp(-self.own[a] * _log1p(z))
                decay = np.expm1(-s[:, :, None] * scale[a])
                logs = np.einsum("b,nqb->nq", many[a], _log1p(z[:, None] * decay / (1.0 + z)[:, None]))
                yield a, s, scale[a], weights * factor, logs

    def excess(self, gram: OrbitGram) -> float:
        """The loss above `floor`, by the integral."""
        rows = np.zeros(len(self.own))
        for a, _, _, weight, logs in self._terms(gram):
            rows[a] -= float(np.sum(weight * np.expm1(logs)).real)
        return float(self.orbits.sizes * self.masses @ rows) * STEP

    def _drawn(self, s: Array, scale: Array) -> Array:
        """(n, Q, K) z e/(1 + z e), the share of an example of each other class under the tilted law."""
        z, _ = self._circle
        tilted = z[:, None] * np.exp(-s[:, :, None] * scale)
        return tilted / (1.0 + tilted)

    def row_gradient(self, gram: OrbitGram) -> Array:
        """The derivative of the integral: n_j s beta x_j / tau times the share drawn of class j."""
        found = np.zeros_like(gram.cosines)
        for a, s, scale, weight, logs in self._terms(gram):
            drawn = np.einsum("nq,nqb->nb", weight * np.exp(logs), self._drawn(s, scale)).real
            found[a] += np.sum(s * scale * drawn, axis=0)
        return self._amplitude * found

    @property
    def _amplitude(self) -> Array:
        return self.masses[:, None] * self.examples * (STEP / self.temperature)

    def rows(self, gram: OrbitGram) -> RowModel:
        """First and second derivatives of the integral, in one pass over its nodes."""
        first, second, coupling = (np.zeros_like(gram.cosines) for _ in range(3))
        many = self.orbits.partners * self.examples
        for a, s, scale, weight, logs in self._terms(gram):
            drawn, mass, y = self._drawn(s, scale), weight * np.exp(logs), s * scale
            first[a] += np.sum(y * np.einsum("nq,nqb->nb", mass, drawn).real, axis=0)
            second[a] += np.sum(y**2 * np.einsum("nq,nqb->nb", mass, drawn * (1.0 - drawn)).real, axis=0)
            answer = np.einsum("nq,nqb,nb->nq", mass, drawn, many[a] * y)
            coupling[a] += np.sum(y * np.einsum("nq,nqb->nb", answer, drawn).real, axis=0)
        amplitude = self._amplitude
        softness = self.temperature * ratio(first, first - second)
        return RowModel(amplitude * first, softness, coupling / np.where(first > 0, first, 1.0) / self.temperature)

    def row_hessians(self, gram: OrbitGram) -> Array:
        """(K, K, K) the second derivatives of the integral, all couplings between draws of a row with them."""
        many, count = self.orbits.partners * self.examples, len(self.own)
        forms, orbit = np.zeros((count, count, count)), np.arange(count)
        for a, s, scale, weight, logs in self._terms(gram):
            drawn, mass, y = self._drawn(s, scale), weight * np.exp(logs), s * scale
            pull = drawn * (many[a] * y)[:, None, :]
            flat = pull.reshape(-1, count)
            forms[a] -= (flat.T @ (flat * mass.reshape(-1, 1))).real
            own = np.einsum("nq,nqb->nb", mass, drawn * (1.0 - y[:, None, :] * (1.0 - drawn))).real
            forms[a, orbit, orbit] += np.sum(many[a] * y * own, axis=0)
        return forms * (self.orbits.sizes * self.masses * STEP / self.temperature**2)[:, None, None]

    def ungrouped(self) -> ShuffledSoftmax:
        """The same loss, each atom an orbit."""
        labels = self.orbits.listed()
        return replace(self, **self._per_atom(), examples=self.examples[labels], own=self.own[labels])


def _log1p(z: Any) -> Any:
    """log(1 + z) of complex numbers with relative accuracy where they are small (numpy's has none)."""
    real, imaginary = z.real, z.imag
    return 0.5 * np.log1p(real * (2.0 + real) + imaginary**2) + 1j * np.arctan2(imaginary, 1.0 + real)
