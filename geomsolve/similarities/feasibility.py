"""Whether a Gram matrix has the values that positive weights ask for, and a matrix that proves it where none has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..objectives.weighted.logweights import symmetric_part
from ..objectives.weighted.weightings import Weighting
from .witnesses import Witness

_EPS = float(np.finfo(np.float64).eps)


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
        asymmetry: by how much log w fails to come from a symmetric K, in units of log w.
        worst: the orbits of the pair or cycle where that is so.
    """

    weighting: Weighting
    entries: Array = field(repr=False)
    asymmetry: float
    worst: tuple[int, ...]

    @classmethod
    def of(cls, weighting: Weighting) -> LogGram:
        """L of positive weights."""
        logs, own = weighting.logs, weighting.own
        full = logs.copy()
        np.fill_diagonal(full, own if weighting.self_pairs else -np.inf)
        entries, asymmetry, worst = symmetric_part(full, weighting.self_pairs)
        rows = own
        if not weighting.self_pairs:
            # log w_ab = L_ab + a_a with the same a_a inside the orbit.
            beside = (np.arange(len(own)) + 1) % len(own)
            rows = logs[np.arange(len(own)), beside] - entries[np.arange(len(own)), beside]
            if len(own) == 1:
                rows = np.diag(logs).copy()
        np.fill_diagonal(entries, np.where(weighting.orbits.plural, np.diag(logs) - rows, 0.0))
        return cls(weighting, entries, asymmetry, worst)

    @property
    def orbits(self) -> Orbits:
        """The orbits of samples."""
        return self.weighting.orbits

    @property
    def symmetric(self) -> bool:
        """Whether the weights come from a symmetric matrix, as far as their rounding tells."""
        return self.asymmetry <= 8.0 * float(self._error.max(initial=0.0))

    @property
    def flat(self) -> bool:
        """Whether nothing but rounding is left of the differences between weights."""
        return bool(np.all(np.abs(self.entries) <= 4.0 * self._error))

    @cached_property
    def _error(self) -> Array:
        """(K, K) how far rounding of the weights may have moved an entry of L."""
        logs = self.weighting.logs
        there = self.orbits.partners > 0
        size = np.abs(np.where(there, logs, 0.0)).max(axis=1)
        return np.where(there, 2.0 * self.weighting.rounding + 2.0 * _EPS * (size[:, None] + size), 0.0)

    @cached_property
    def rounding(self) -> float:
        """How far rounding may have moved an eigenvalue of L."""
        sizes = self.orbits.sizes
        largest = max(float(self._error.max()), 1e-300)
        moved = largest * float(np.sqrt(sizes @ (self._error / largest) ** 2 @ sizes))
        return moved + 8.0 * _EPS * float(np.abs(self._spectrum[0]).max())

    @cached_property
    def _spectrum(self) -> tuple[Array, Array, Array]:
        """Eigenvalues of L on means of orbits, ascending, eigenvectors, and these times the vector of ones."""
        root = np.sqrt(self.orbits.sizes)
        quotient = self.entries * root * root[:, None]
        inside = np.where(self.orbits.plural, (self.orbits.sizes - 1.0) * np.diag(self.entries), 0.0)
        np.fill_diagonal(quotient, inside)
        values, vectors = np.linalg.eigh(quotient)
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
    def _spread(self) -> float:
        """The smallest eigenvalue of L on differences inside an orbit."""
        return float((-np.diag(self.entries))[self.orbits.plural].min(initial=np.inf))

    def lowest(self, beta: float) -> float:
        """The smallest eigenvalue of L + beta 1 1^T."""
        return min(self._root(beta), self._alone[0], self._spread)

    @cached_property
    def _alone(self) -> tuple[float, int]:
        """The smallest eigenvalue whose vector sums to 0, which beta leaves as it is, and its position."""
        values, _, sums = self._spectrum
        alone = np.where(sums == 0.0, values, np.inf)
        return float(alone.min()), int(alone.argmin())

    def _root(self, beta: float) -> float:
        """The smallest root of 1 + beta sum_k s_k^2 / (d_k - x), by bisection."""
        values, _, sums = self._spectrum
        values, weights = values[sums != 0.0], sums[sums != 0.0] ** 2
        if not len(values):
            return np.inf
        if beta == 0.0 or len(values) == 1:
            return float(values[0] + beta * weights[0])
        # The root lies between the two smallest d where beta > 0, to the left of both where beta < 0.
        low, high = (values[0], values[1]) if beta > 0 else (values[0] + beta * self.orbits.atoms, values[0])
        with np.errstate(divide="ignore", over="ignore"):

            def left(x: float) -> bool:
                return (1.0 + beta * float(weights @ (1.0 / (values - x))) > 0) == (beta < 0)

            return bisect(left, float(low), float(high))[0]

    def direction(self, beta: float) -> Array:
        """(K, 2) an eigenvector of the smallest eigenvalue.

        Its value on every sample of an orbit, and the share of it that is +1/sqrt 2 and -1/sqrt 2 on the first two
        samples of the orbit.
        """
        values, vectors, sums = self._spectrum
        root = self._root(beta)
        direction = np.zeros((len(values), 2))
        if self._spread < min(root, self._alone[0]):
            inside = np.where(self.orbits.plural, -np.diag(self.entries), np.inf)
            direction[int(np.argmin(inside)), 1] = 1.0
            return direction
        if self._alone[0] < root:
            components = np.zeros(len(values))
            components[self._alone[1]] = 1.0
        else:
            distance = values - root
            smallest = np.where(sums != 0.0, np.abs(distance), np.inf).min()
            if smallest > 0.0:
                components = sums * (smallest / np.where(sums != 0.0, distance, 1.0))
            else:
                components = np.where(sums != 0.0, (distance == 0.0).astype(float), 0.0)
        vector = vectors @ (components / np.linalg.norm(components))
        direction[:, 0] = vector / np.sqrt(self.orbits.sizes)
        return direction

    def _overlap(self, beta: float) -> float:
        """(1.v)^2 for the unit eigenvector v of the smallest eigenvalue: its slope in beta."""
        return float((self.orbits.sizes @ self.direction(beta)[:, 0]) ** 2)

    @cached_property
    def _scale(self) -> float:
        return max(float(np.abs(self.entries).max()), 1e-300)

    @cached_property
    def _best(self) -> tuple[float, float]:
        """An interval of beta around the minimum of beta - lambda_min, self-pairs out."""
        low, high = -self._scale, self._scale
        while self._overlap(low) <= 1.0 and low > -1e12 * self._scale:
            low *= 2.0
        while self._overlap(high) > 1.0 and high < 1e12 * self._scale:
            high *= 2.0
        return bisect(lambda beta: self._overlap(beta) > 1.0, low, high)

    def cost(self, beta: float) -> float:
        """The smallest alpha + beta for this beta: 1/tau must be as large."""
        return beta - self.lowest(beta)

    @cached_property
    def smallest_inverse(self) -> float:
        """1 over the largest temperature at which the bound is attained; 0 or less for any, infinite for none."""
        if not self.weighting.self_pairs:
            return min(self.cost(beta) for beta in self._best)
        if self.lowest(0.0) >= -self.rounding:
            return 0.0
        # L + beta 1 1^T has the eigenvalue x = -rounding for one beta only, and it is the smallest one there if nothing
        # that beta leaves alone lies below, and at most one eigenvalue of L.
        values, _, sums = self._spectrum
        some = sums != 0.0
        below = int(np.count_nonzero(values[some] < -self.rounding))
        if min(self._alone[0], self._spread) < -self.rounding or below > 1:
            return np.inf
        level = float(np.sum(sums[some] ** 2 / (values[some] + self.rounding)))
        # Where the sum is positive no beta lifts it; where it all but vanishes, only one beyond the digits of L does.
        return -1.0 / level if level < -1.0 / (1e8 * self._scale) else np.inf

    @property
    def largest_temperature(self) -> float:
        """The largest temperature at which the bound is attained: 0 where at none, infinite where at all."""
        inverse = self.smallest_inverse
        return np.inf if inverse <= self.rounding else 1.0 / inverse

    def deficit(self, temperature: float) -> float:
        """How far L is from feasible at the temperature, in units of log w; within `rounding` it is."""
        if self.weighting.self_pairs:
            return -self.lowest(1.0 / temperature)
        return self.smallest_inverse - 1.0 / temperature

    def feasible(self, temperature: float) -> bool:
        """Whether a Gram matrix has the values asked for, as far as rounding tells."""
        return self.symmetric and self.deficit(temperature) <= self.rounding

    def nearest_shift(self, temperature: float) -> float:
        """The free constant c whose matrix comes nearest to a Gram matrix; 1 with self-pairs."""
        return 1.0 if self.weighting.self_pairs else temperature * min(self._best, key=self.cost)

    def shifts(self, temperature: float) -> tuple[float, float]:
        """The interval of the free constant c = beta tau, for a feasible temperature; (1, 1) with self-pairs."""
        if self.weighting.self_pairs:
            return 1.0, 1.0
        best = min(self._best, key=self.cost)
        allowed = 1.0 / temperature
        if self.cost(best) >= allowed - self.rounding:
            return best * temperature, best * temperature
        low, high = best - self._scale, best + self._scale
        while self.cost(low) <= allowed:
            low -= 2.0 * (best - low)
        while self.cost(high) <= allowed:
            high += 2.0 * (high - best)
        lower = bisect(lambda beta: self.cost(beta) > allowed, low, best)[1]
        upper = bisect(lambda beta: self.cost(beta) <= allowed, best, high)[0]
        return lower * temperature, upper * temperature

    def gram(self, temperature: float, shift: float = 1.0) -> OrbitGram:
        """The matrix tau L + c off the diagonal, 1 on it; feasible or not."""
        return of_pairs(self.orbits, temperature * self.entries + shift)

    def witness(self, temperature: float) -> Witness | None:
        """The proof that the bound is not attained, or None where rounding allows no proof."""
        if not self.symmetric:
            return self._asymmetric(temperature)
        betas = (1.0 / temperature,) if self.weighting.self_pairs else self._best
        directions = [self.direction(beta) for beta in betas]
        sizes, partners = self.orbits.sizes, self.orbits.partners
        if len(directions) == 2:
            # Mixed so that the entries of X off the diagonal sum to 0: <X, 1 1^T> = trace X.
            above, below = ((sizes @ each[:, 0]) ** 2 for each in directions)
            share = np.clip((1.0 - below) / (above - below), 0.0, 1.0) if above > below else 0.5
            directions = [np.sqrt(share) * directions[0], np.sqrt(1.0 - share) * directions[1]]
        asked = self.gram(temperature, self.nearest_shift(temperature)).cosines
        slack = temperature * self._error + 4.0 * _EPS * (1.0 + np.abs(asked))
        value = allowance = 0.0
        for each in directions:
            # By orbits: sums of x, of its squares, and of its sizes at most.
            sums, squares = sizes * each[:, 0], sizes * each[:, 0] ** 2 + each[:, 1] ** 2
            most = sizes * np.abs(each[:, 0]) + np.sqrt(2.0) * np.abs(each[:, 1])
            value += float(sums @ asked @ sums + squares @ (1.0 - np.diag(asked)))
            allowance += float(most @ slack @ most)
        if not self.weighting.self_pairs:
            # The open constant is bounded: cosines lie in [-1, 1].
            entries = asked[partners > 0]
            reach = max(abs(1.0 - entries.min()), abs(-1.0 - entries.max()), 0.0)
            off = sum(
                float((sizes @ each[:, 0]) ** 2 - sizes @ each[:, 0] ** 2 - np.sum(each[:, 1] ** 2))
                for each in directions
            )
            allowance += reach * abs(off)
        margin = -value - allowance
        factor = np.column_stack([self._listed(each) for each in directions])
        return Witness("indefinite", asked, self.orbits.listed(), factor, None, value, margin) if margin > 0 else None

    def _listed(self, coordinates: Array) -> Array:
        """(N,) a direction in the form of `direction`, written out over samples."""
        labels = self.orbits.listed()
        vector = coordinates[labels, 0]
        for a in np.flatnonzero(coordinates[:, 1]):
            first, second = np.flatnonzero(labels == a)[:2]
            vector[first] += coordinates[a, 1] / np.sqrt(2.0)
            vector[second] -= coordinates[a, 1] / np.sqrt(2.0)
        return vector

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
        error = 2.0 * len(cycle) * temperature * float(self._error.max())
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
