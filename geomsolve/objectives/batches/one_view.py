"""Mini-batch SupCon with one view an example: anchors that find no positive in their batch drop out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...errors import ProblemError
from .expectation import VIRTUAL, ExpectedLog
from .laplace import laplace_rule


@dataclass(frozen=True, eq=False)
class Together:
    """The classes at each atom: one row an atom, in which classes of equal share may stand once and 0 fills up."""

    shares: Array  # (K, P) p, the probability to draw each class
    weights: Array  # (K, P) w, how the anchors of an atom divide into these; they sum to 1

    def per_atom(self, labels: NDArray[np.intp]) -> Together:
        """The same, each atom an orbit."""
        return Together(self.shares[labels], self.weights[labels])


@dataclass(frozen=True, eq=False, kw_only=True)
class OneView(ExpectedLog):
    """The expected log of a random sum on the event that the anchor's own class is among the draws.

        L(G) = sum_a m_a sum_p w_ap E[ 1{M_p >= 1} log sum_j M_j x_aj ],    x_aj = e^{t_aj/tau}

    with M the multinomial counts of k draws and x = 1 at the atom itself. Usually an atom is one class (P = 1); where
    several classes are held in one point, p runs over them, each with a chance of its own to be drawn.

    Let o be the probability to draw the atom, p that of the class, q = 1 - o, f = sum_{j foreign} pi_j e^{-s x_j}. With
    h(f) = (f + o e^{-s})^k - (f + (o - p) e^{-s})^k,

        E[1{M_p >= 1} log ...] = int [ (1 - (1-p)^k) e^{-s} - h(f) ] dv,    above the floor: int [ h(q) - h(f) ] dv

    and with A, A' the two brackets of h at q, B, B' at f, that integrand is free of cancellation as

        A^k { (1 - (A'/A)^k) (1 - (B/A)^k)  -  (A'B/A^2)^k [ 1 - (1 + (A-A')(A-B)/(A B'))^{-k} ] }.

    (The factors are the chances that k draws hit two events, as if independent, and what is amiss with that: at most
    half. Ours; confirmed against enumeration in the tests.)

    Attributes:
        together: the classes at each atom, where an atom is not one class.
    """

    together: Together | None = field(default=None, repr=False)

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
        """(K,) q, summed from the foreign classes: 1 - o would lose its digits where one class has nearly all."""
        return self._probabilities.sum(axis=1)

    @property
    def _classes(self) -> Together:
        own = self.own[:, None]
        return Together(own, np.ones_like(own)) if self.together is None else self.together

    @cached_property
    def _rest(self) -> Array:
        """(K, P) o - p, the other classes at the same atom."""
        return np.maximum(self.own[:, None] - self._classes.shares, 0.0)

    def _still(self, s: Array) -> tuple[Array, Array, Array, Array]:
        """A and its logarithm (n, K), (o - p) e^{-s} and log(A'/A) (n, K, P)."""
        decay = np.exp(-s)
        a = self._far + self.own * decay
        log_a = np.where(a > 0.5, np.log1p(np.maximum(self.own * np.expm1(-s), -0.5)), np.log(a))
        rest = self._rest * decay[:, :, None]
        return a, log_a, rest, -np.log1p(self._classes.shares * decay[:, :, None] / (self._far[:, None] + rest))

    @cached_property
    def _row_floors(self) -> Array:
        """Sum_p w_p E[1{M_p >= 1} log of the number of draws at the atom]: all others infinitely far away."""
        k, (s, steps) = self.count, (part[:, None] for part in self._rule)
        _, log_a, _, log_absent = self._still(s)
        present = -np.expm1(-k * np.log1p(self._classes.shares / (self._far[:, None] + self._rest)))
        integrand = present * np.exp(-s)[:, :, None] + np.exp(k * log_a)[:, :, None] * np.expm1(k * log_absent)
        return np.einsum("kp,nkp->k", self._classes.weights, steps[:, :, None] * integrand)

    def _left(self, s: Array, moved: Array) -> tuple[Array, Array]:
        """F and log(B/A), both (n, K)."""
        # f is never below q e^{-s} for cosines up to 1; the bound keeps rounding and virtual cosines from reaching 0.
        f = np.maximum(self._far + moved, 1e-30 * self._far)
        return f, -np.log1p(-moved / (f + self.own * np.exp(-s)))

    def _fall(self, s: Array, moved: Array) -> Array:
        k = self.count
        a, log_a, rest, log_absent = self._still(s)
        f, log_left = self._left(s, moved)
        log_left = log_left[:, :, None]
        mine = self._classes.shares * np.exp(-s)[:, :, None]
        both = np.log1p(mine * (-moved / a)[:, :, None] / (f[:, :, None] + rest))
        hit = np.expm1(k * log_absent) * np.expm1(k * log_left)
        amiss = np.exp(k * (log_absent + log_left)) * np.expm1(-k * both)
        return np.exp(k * log_a) * np.einsum("kp,nkp->nk", self._classes.weights, hit + amiss)

    def _weights(self, s: Array, moved: Array) -> tuple[Array, Array]:
        k = self.count
        _, log_a, rest, _ = self._still(s)
        f, log_left = self._left(s, moved)
        log_b = (log_a + log_left)[:, :, None]
        mine = self._classes.shares * np.exp(-s)[:, :, None]
        log_absent = -np.log1p(mine / (f[:, :, None] + rest))
        slopes = -np.exp((k - 1) * log_b) * np.expm1((k - 1) * log_absent)
        bends = -np.exp((k - 2) * log_b) * np.expm1((k - 2) * log_absent)
        weights = self._classes.weights
        return np.einsum("kp,nkp->nk", weights, slopes), np.einsum("kp,nkp->nk", weights, bends)
