"""Whether a Gram matrix has the values that positive weights ask for, and a matrix that proves it where none has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..objectives.weighted.logweights import symmetric_part
from ..objectives.weighted.weightings import Weighting

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Witness:
    """A matrix X that proves that no embedding attains the entropy bound.

    Every Gram matrix G that attains it has <X, G> = <X, required> < 0, whatever the constants that the bound leaves
    open. But the symmetric part of X is positive semidefinite, so <X, G> >= 0.

        kind         X                                         required                  left open by the bound
        indefinite   sum_k x_k x_k^T, self-pairs out: sum of   the symmetric matrix of   self-pairs out: one constant
                     the entries off the diagonal 0            wanted cosines            off the diagonal
        asymmetric   antisymmetric: its symmetric part is 0;   tau log w_ij; with        self-pairs out: one constant
                     self-pairs out: rows of sum 0             self-pairs 1 + tau        a row
                                                               log(w_ij / w_ii)

    Attributes:
        kind: "indefinite" or "asymmetric".
        asked: (K, K) `required` for two different samples, by orbit.
        labels: (N,) the orbit of every sample.
        factor: (N, r) the columns x_k; none where X is antisymmetric.
        antisymmetric: (N, N) X where it is, else None.
        value: <X, required>, below 0.
        margin: by how much it is below 0 beyond what rounding and the open constants allow.
    """

    kind: str
    asked: Array = field(repr=False)
    labels: NDArray[np.intp] = field(repr=False)
    factor: Array = field(repr=False)
    antisymmetric: Array | None = field(repr=False)
    value: float
    margin: float

    @property
    def required(self) -> Array:
        """(N, N), in the caller's order; 1 on the diagonal."""
        required = self.asked[self.labels[:, None], self.labels]
        np.fill_diagonal(required, 1.0)
        return required

    @property
    def matrix(self) -> Array:
        """(N, N) X."""
        if self.antisymmetric is not None:
            return self.antisymmetric
        return self.factor @ self.factor.T


@dataclass(frozen=True, eq=False)
class LogGram:
    """The matrix L of positive weights: G = tau (L + alpha I + beta 1 1^T) is what the entropy bound asks for.

    Where w_ij = K_ij / r_i with K symmetric, attaining the bound means tau log K_ij + c off the diagonal, with one
    constant c. So with L_ij = log K_ij, L_ii = 0, and unit diagonal alpha + beta = 1/tau:

        self-pairs in:   alpha = 0; L_ij = log(w_ij / w_ii) and G = 1 1^T + tau L is the only candidate;
        self-pairs out:  beta is free (L itself up to a constant off the diagonal).

    Feasible is what has L + alpha I + beta 1 1^T >= 0. So there is a largest temperature: 1 over the smallest beta, or
    the smallest beta - lambda_min(L + beta 1 1^T). All follows from one eigendecomposition of L.

    Attributes:
        weighting: the weights, all above 0.
        entries: (K, K) L between two different samples.
        error: (K, K) how far rounding of the weights may have moved an entry of L.
        asymmetry: by how much log w fails to come from a symmetric K, in units of log w.
        worst: the orbits of the pair or cycle where that is so.
    """

    weighting: Weighting
    entries: Array = field(repr=False)
    error: Array = field(repr=False)
    asymmetry: float
    worst: tuple[int, ...]

    @classmethod
    def of(cls, weighting: Weighting) -> LogGram:
        """L of positive weights."""
        logs, own, plural = weighting.logs, weighting.own, weighting.orbits.plural
        full = logs.copy()
        np.fill_diagonal(full, own if weighting.self_pairs else -np.inf)
        entries, asymmetry, worst = symmetric_part(full, weighting.self_pairs)
        rows = own
        if not weighting.self_pairs:
            # log w_ab = L_ab + a_a with the same a_a inside the orbit.
            places = np.arange(len(own))
            beside = (places + 1) % len(own)
            rows = (logs - entries)[places, beside] if len(own) > 1 else np.diag(logs)
        np.fill_diagonal(entries, np.where(plural, np.diag(logs) - rows, 0.0))
        there = weighting.orbits.partners > 0
        size = np.abs(np.where(there, logs, 0.0)).max(axis=1)
        error = np.where(there, 2.0 * weighting.rounding + 2.0 * _EPS * (size[:, None] + size), 0.0)
        return cls(weighting, entries, error, asymmetry, worst)

    @property
    def orbits(self) -> Orbits:
        """The orbits of samples."""
        return self.weighting.orbits

    @property
    def symmetric(self) -> bool:
        """Whether the weights come from a symmetric matrix, as far as their rounding tells."""
        return self.asymmetry <= 8.0 * float(self.error.max(initial=0.0))

    @cached_property
    def rounding(self) -> float:
        """How far rounding may have moved an eigenvalue of L."""
        sizes, largest = self.orbits.sizes, max(float(self.error.max()), 1e-300)
        moved = largest * float(np.sqrt(sizes @ (self.error / largest) ** 2 @ sizes))
        return moved + 8.0 * _EPS * self._scale

    @cached_property
    def _spectrum(self) -> tuple[Array, Array, Array]:
        """Eigenvalues of L on means of orbits, ascending, eigenvectors, and these times the vector of ones."""
        root = np.sqrt(self.orbits.sizes)
        values, vectors = np.linalg.eigh(self.orbits.quotient(self.entries, np.zeros(len(root))))
        sums = root @ vectors
        # Of equal eigenvalues one vector shall have all of the ones: the others then stay eigenvectors for any beta.
        near = 16.0 * _EPS * max(abs(float(values[0])), abs(float(values[-1])))
        for run in np.split(np.arange(len(values)), np.flatnonzero(np.diff(values) > near) + 1):
            if len(run) > 1:
                mirror = sums[run].copy()
                mirror[0] += np.copysign(np.linalg.norm(mirror), mirror[0])
                length = float(mirror @ mirror)
                if length > 0:
                    vectors[:, run] -= np.outer(vectors[:, run] @ mirror, 2.0 * mirror / length)
                    sums[run] = root @ vectors[:, run]
        sums[np.abs(sums) <= 64.0 * _EPS * np.sqrt(self.orbits.atoms)] = 0.0
        return values, vectors, sums

    @cached_property
    def _scale(self) -> float:
        return float(np.abs(self._spectrum[0]).max())

    @cached_property
    def _alone(self) -> tuple[float, Array]:
        """The smallest eigenvalue whose vector sums to 0, which beta leaves as it is, and (N,) that vector."""
        values, vectors, sums = self._spectrum
        labels = self.orbits.listed()
        mean = np.where(sums == 0.0, values, np.inf)
        inside = np.where(self.orbits.plural, -np.diag(self.entries), np.inf)
        k, a = int(mean.argmin()), int(inside.argmin())
        if mean[k] <= inside[a]:
            return float(mean[k]), (vectors[:, k] / np.sqrt(self.orbits.sizes))[labels]
        difference = np.zeros(len(labels))
        difference[np.flatnonzero(labels == a)[:2]] = np.sqrt(0.5), -np.sqrt(0.5)
        return float(inside[a]), difference

    def _at(self, x: float) -> tuple[float, Array]:
        """Beta for which x is the smallest eigenvalue but those alone, infinite for none, and (K,) its eigenvector.

        1 + beta f(x) = 0 with f(x) = sum_k s_k^2 / (d_k - x), below the second d and where beta > 0 above the first.
        The vector is s_k / (d_k - x) in the eigenvectors of L.
        """
        values, _, sums = self._spectrum
        distance = np.where(sums != 0.0, values - x, np.inf)
        least = float(np.abs(distance).min())
        part = sums * (least / distance) if least > 0.0 else (distance == 0.0) * sums
        below, over = np.count_nonzero(distance < 0.0), float(sums @ part)
        valid = below < 2 and (over < 0.0) == (below == 1)
        return -least / over if valid else np.inf, part / np.linalg.norm(part)

    def _cost(self, x: float) -> float:
        """Alpha + beta for the smallest eigenvalue x = -alpha: 1/tau must be as large."""
        return self._at(x)[0] - x

    def lowest(self, beta: float) -> float:
        """The smallest eigenvalue of L + beta 1 1^T."""
        low, high = self._poles
        span = beta * self.orbits.atoms
        root = bisect(lambda x: self._at(x)[0] < beta, low + min(span, 0.0), min(high, low + max(span, 0.0)))[0]
        return min(root, self._alone[0])

    @cached_property
    def _poles(self) -> tuple[float, float]:
        """The two smallest eigenvalues that beta moves, infinite for none."""
        values, _, sums = self._spectrum
        moved = [*values[sums != 0.0][:2], np.inf, np.inf]
        return float(moved[0]), float(moved[1])

    @cached_property
    def _best(self) -> tuple[float, float]:
        """Self-pairs out, x around the least alpha + beta = beta(x) - x: where the sum of x's eigenvector falls to 1.

        Its square is the slope of x in beta. At the upper end the eigenvalues that beta leaves alone may begin.
        """
        (low, high), (alone, _), sums = self._poles, self._alone, self._spectrum[2]

        def steep(x: float) -> bool:
            beta, part = self._at(x)
            return beta < np.inf and float(sums @ part) ** 2 > 1.0

        return bisect(steep, min(low, alone) - 2.0 * self._scale, min(high, alone))

    @cached_property
    def smallest_inverse(self) -> float:
        """1 over the largest temperature at which the bound is attained; 0 or less for any, infinite for none."""
        if not self.weighting.self_pairs:
            return min(map(self._cost, self._best))
        if self.lowest(0.0) >= -self.rounding:
            return 0.0
        # L + beta 1 1^T has the eigenvalue x = -rounding for one beta only, and it is the smallest one there if nothing
        # that beta leaves alone lies below. A beta beyond the digits of L is none.
        beta = np.inf if self._alone[0] < -self.rounding else self._at(-self.rounding)[0]
        return beta if beta < 1e8 * float(np.abs(self.entries).max()) else np.inf

    @property
    def largest_temperature(self) -> float:
        """The largest temperature at which the bound is attained: 0 where at none, infinite where at all."""
        inverse = self.smallest_inverse
        return np.inf if inverse <= self.rounding else 1.0 / inverse

    def feasible(self, temperature: float) -> bool:
        """Whether a Gram matrix has the values asked for, as far as rounding tells."""
        beta = 1.0 / temperature
        deficit = -self.lowest(beta) if self.weighting.self_pairs else self.smallest_inverse - beta
        return self.symmetric and deficit <= self.rounding

    def nearest_shift(self, temperature: float) -> float:
        """The free constant c whose matrix comes nearest to a Gram matrix; 1 with self-pairs."""
        return 1.0 if self.weighting.self_pairs else temperature * self._at(min(self._best, key=self._cost))[0]

    def shifts(self, temperature: float) -> tuple[float, float]:
        """The interval of the free constant c = beta tau, for a feasible temperature; (1, 1) with self-pairs."""
        most, nearest = 1.0 / temperature, self.nearest_shift(temperature)
        if self.weighting.self_pairs or self.smallest_inverse >= most - self.rounding:
            return nearest, nearest
        # At both ends beta - x = 1/tau. Below this start it is more: beta(x) is at least (x - the largest d) / N.
        best, start = min(self._best, key=self._cost), -2.0 * (most + self._scale)
        low = bisect(lambda x: self._cost(x) > most, start, best)[1]
        high = bisect(lambda x: self._cost(x) <= most, best, min(self._poles[1], self._alone[0]))[0]
        return 1.0 + temperature * low, 1.0 + temperature * high

    def gram(self, temperature: float, shift: float = 1.0) -> OrbitGram:
        """The matrix tau L + c off the diagonal, 1 on it; feasible or not."""
        return of_pairs(self.orbits, temperature * self.entries + shift)

    def witness(self, temperature: float) -> Witness | None:
        """The proof that the bound is not attained, or None where rounding allows no proof."""
        if not self.symmetric:
            return self._asymmetric(temperature)
        labels = self.orbits.listed()
        factor = [
            self._direction(x) for x in ([self.lowest(1.0 / temperature)] if self.weighting.self_pairs else self._best)
        ]
        if len(factor) == 2:
            # Mixed so that the entries of X off the diagonal sum to 0: <X, 1 1^T> = trace X.
            above, below = (float(x.sum()) ** 2 for x in factor)
            share = np.clip((1.0 - below) / (above - below), 0.0, 1.0) if above > below else 0.5
            factor = [np.sqrt(share) * factor[0], np.sqrt(1.0 - share) * factor[1]]
        asked = self.gram(temperature, self.nearest_shift(temperature)).cosines
        slack = temperature * self.error + 4.0 * _EPS * (1.0 + np.abs(asked))
        value = allowance = off = 0.0
        for x in factor:
            sums, squares, most = (np.bincount(labels, weights=each) for each in (x, x**2, np.abs(x)))
            value += float(sums @ asked @ sums + squares @ (1.0 - np.diag(asked)))
            allowance += float(most @ slack @ most)
            off += float(x.sum() ** 2 - x @ x)
        if not self.weighting.self_pairs:
            # The open constant is bounded: cosines lie in [-1, 1].
            entries = asked[self.orbits.partners > 0]
            allowance += max(abs(1.0 - entries.min()), abs(-1.0 - entries.max())) * abs(off)
        margin = -value - allowance
        return (
            Witness("indefinite", asked, labels, np.column_stack(factor), None, value, margin) if margin > 0 else None
        )

    def _direction(self, x: float) -> Array:
        """(N,) the unit eigenvector of the smallest eigenvalue x of L + beta 1 1^T."""
        alone, vector = self._alone
        if x >= alone:
            return vector
        by_orbit = self._spectrum[1] @ self._at(x)[1] / np.sqrt(self.orbits.sizes)
        return np.asarray(by_orbit[self.orbits.listed()])

    def _asymmetric(self, temperature: float) -> Witness | None:
        labels = self.orbits.listed()
        rows = self.weighting.own if self.weighting.self_pairs else np.zeros(len(self.orbits.sizes))
        asked = temperature * (self.weighting.logs - rows[:, None])
        cycle = [int(np.flatnonzero(labels == a)[0]) for a in self.worst]
        pairs = list(zip(cycle, cycle[1:] + cycle[:1], strict=True))[: 1 if len(cycle) == 2 else None]
        there, back = (np.array([asked[labels[pair[k]], labels[pair[1 - k]]] for pair in pairs]) for k in (0, 1))
        value = float(np.sum(there - back))
        matrix = np.zeros((len(labels),) * 2)
        for i, j in pairs:
            matrix[i, j], matrix[j, i] = (1.0, -1.0) if value < 0 else (-1.0, 1.0)
        error = 2.0 * len(cycle) * temperature * float(self.error.max())
        margin = abs(value) - error - 4.0 * _EPS * float(np.sum(np.abs(there) + np.abs(back)))
        wanted = asked + float(self.weighting.self_pairs)
        if not margin > 0:
            return None
        return Witness("asymmetric", wanted, labels, np.zeros((len(labels), 0)), matrix, -abs(value), margin)


def of_pairs(orbits: Orbits, cosines: Array) -> OrbitGram:
    """The matrix of these cosines of different samples, with 1 for the pair that an orbit of one sample lacks."""
    np.fill_diagonal(cosines, np.where(orbits.plural, np.diag(cosines), 1.0))
    return OrbitGram(orbits, cosines)


def bisect(holds: Callable[[float], bool], low: float, high: float, width: float = 0.0) -> tuple[float, float]:
    """Numbers around the place where a condition that holds at `low` stops holding: neighbours, or `width` apart."""
    for _ in range(200):
        middle = 0.5 * (low + high)
        if not low < middle < high or high - low <= width:
            break
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high
