"""The slack matrix S = D - Diag(y) of a Gram matrix: the gap it proves, and how far from stationary the cosines are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..geometry.orbits import OrbitGram, Orbits
from ..geometry.spectra import near_rank_one
from .bipartite_residual import bipartite_reading
from .blocks import BlockForces, balancing, decided, orbit_push, products
from .kkt import Forces, damping, dual_reading, shortfall

if TYPE_CHECKING:
    from ..objectives.base import Objective


def _over_partners(orbits: Orbits, matrix: Array) -> Array:
    """(K,) the sum of a row over the partners of one atom: over whole orbits, less the atom itself."""
    return np.asarray(matrix @ orbits.sizes - np.diag(matrix), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Slack:
    """S = D - Diag(y) by orbits: off-diagonal entries, diagonal, and what they say."""

    gram: OrbitGram
    entries: Array  # (K, K) D_ij between two different atoms
    diagonal: Array  # (K,) S_ii
    own: Array  # (K,) the derivative of the loss in G_ii
    attraction: Array | float  # (K, K) the constant part of D, which is subtracted
    support: float  # how far the supporting function lies below the loss at G
    temperature: float
    smooth: bool
    terms: Array | None = None  # (K, K) what the entries are summed from, where less than repulsion and attraction
    jitter: Array | None = None  # (K, K) what one ulp of a cosine is in the entries
    objective: Objective | None = None  # where there is attraction

    @classmethod
    def of(cls, objective: Objective, gram: OrbitGram) -> Slack:
        """The slack matrix at a feasible Gram matrix."""
        row, support = objective.support(gram)
        # A single class has no partner in its own orbit; what stands there would drown the rest.
        np.fill_diagonal(row, np.where(gram.orbits.plural, np.diag(row), 0.0))
        entries = row + row.T
        entries /= 2.0
        diagonal = -_over_partners(gram.orbits, entries * gram.cosines)
        # The loss sees G_ij - G_ii, so its derivative in G_ii is minus the row sum.
        own = -_over_partners(gram.orbits, row)
        kind = objective.attraction, support, objective.temperature, objective.smooth
        sizes = objective.row_terms(gram)
        terms, jitter = (None, None) if sizes is None else ((size + size.T) / 2.0 for size in sizes)
        pulled = None if isinstance(objective.attraction, float) else objective
        return cls(gram, entries, diagonal, own, *kind, terms, jitter, pulled)

    def _damped(self, left: Array, counted: Array) -> float:
        """The largest of what is left of logarithms of forces, each times its `damping`."""
        if self.objective is None:
            return float(np.abs(left).max())
        answer = damping(self.objective.rows(self.gram), self.gram.orbits.partners, counted, self.gram.orbits.atoms)
        return float(np.abs(answer * left).max())

    @property
    def radial(self) -> Array:
        """(K,) y_i with the derivative in G_ii counted: the multiplier of |z_i| <= 1."""
        return self.own - self.diagonal

    @property
    def radial_scale(self) -> Array:
        """(K,) the size of the terms y_i is the sum of."""
        terms = np.abs(self.entries) + 2.0 * self.attraction
        return np.sum(self.gram.orbits.partners * terms * (1.0 + np.abs(self.gram.cosines)), axis=1)

    @cached_property
    def quotient(self) -> Array:
        """(K, K) S between orbits, in the form of `OrbitGram.quotient`."""
        root = np.sqrt(self.gram.sizes)
        quotient = self.entries * root
        quotient *= root[:, None]
        inside = np.where(self.gram.orbits.plural, (self.gram.sizes - 1.0) * np.diag(self.entries), 0.0)
        np.fill_diagonal(quotient, self.diagonal + inside)
        return quotient

    @property
    def spread(self) -> Array:
        """(K,) the eigenvalue of S on differences inside an orbit; infinite where there are none."""
        return np.where(self.gram.orbits.plural, self.diagonal - np.diag(self.entries), np.inf)

    @property
    def gap(self) -> float:
        """An upper bound of the loss above the optimum: m max(0, -lambda_min(S)), rounding allowed for."""
        # Rounding: a few ulps of the norm for the eigenvalue, and of the exponent of each entry.
        rounding = (8.0 + 2.0 / self.temperature) * np.finfo(float).eps
        smallest, norm = near_rank_one(self.quotient), float(np.trace(self.quotient))
        if not smallest >= -64.0 * np.finfo(float).eps * norm:
            values = np.linalg.eigvalsh(self.quotient)
            smallest, norm = values[0], max(abs(values[0]), abs(values[-1]))
        smallest = min(smallest, self.spread.min())
        return self.support + float(self.gram.orbits.atoms * max(0.0, rounding * norm - smallest))

    @property
    def cosine_residual(self) -> float:
        """The smallest of several readings, each of which is zero only at stationarity, of cosines that are feasible.

        Where S has rank one, see `_rank_one_reading` and `_factored_reading`. Where S = 0, repulsion equals attraction,
        and `damping` times tau |log| of their ratio is the error of a cosine. Otherwise see
        `_complementarity_reading`; `_dual_reading` and `bipartite_reading`, which solve for all cosines at once; and
        `_exact_reading`, the distance to an optimum.
        """
        plural = self.gram.orbits.plural
        if isinstance(self.attraction, float) and not np.any(self.gram.orbits.partners * self.entries):
            # A satisfied hinge has no forces, and every geometry is stationary; a smooth loss's have underflowed.
            return np.inf if self.smooth else 0.0
        readings, settled = [self._rank_one_reading], False
        if not isinstance(self.attraction, float):
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                excess = self.entries / self.attraction
            np.fill_diagonal(excess, np.where(plural, np.diag(excess), 0.0))
            if excess.min() > -1.0:
                left = np.abs(np.log1p(excess))
                free = self._feasible(self._damped(left, self.gram.orbits.partners))
                readings.append(free)
                moved = self.gram.orbits.atoms * self.temperature * float(left.max())
                settled = moved <= 1e-9 and self.temperature * free <= 1e-7
        if self.temperature * min(readings) >= 1e-9:
            readings.append(self._factored_reading)
        if np.all(self.diagonal > 0) and self.temperature * min(readings) >= 1e-9:
            readings.append(self._complementarity_reading)
        reading = self.temperature * float(min(readings))
        # Where repulsion equals attraction pair by pair nothing hides behind a tie (no damping is above the atoms).
        if not isinstance(self.attraction, float) and not settled:
            reading = max(reading, self._block_push)
        reading = self._refined(reading)
        if reading <= 1e-6:
            return max(reading, bipartite_reading(self.objective, self.gram))
        return reading

    def _refined(self, reading: float) -> float:
        """The `_dual_reading` where the others leave anything open: it solves for all cosines at once.

        Others can be 9 times too small where few cosines answer to many. A hundred times more can only be of a factor
        that is not that of the optimum.
        """
        if reading <= 1e-8:
            return reading
        return dual if (dual := self._dual_reading) <= 100.0 * reading else reading

    @property
    def _block_push(self) -> float:
        """See `BlockForces.push`: `_push` of orbits that are close or tied, moved together."""
        sizes = self.gram.sizes
        forces = sizes[:, None] * self.gram.orbits.partners * self.entries
        pairs = sizes[:, None] * sizes
        rounded = self._ulps * (np.abs(forces) + pairs * self._terms)
        jitter = 0.0 if self.jitter is None else pairs * self.jitter
        objective = self.objective
        forms = None if objective is None else lambda: objective.row_hessians(self.gram)
        return BlockForces(self.gram, forces, rounded, jitter, self.temperature, forms).push

    @property
    def _terms(self) -> Array:
        """(K, K) the size of what the entries are summed from, beside themselves."""
        return np.broadcast_to(self.attraction, self.entries.shape) if self.terms is None else self.terms

    @property
    def _ulps(self) -> Array:
        """(K, K) how many parts of its terms rounding can be in an entry.

        A repulsion is rounded like its exponent, (1 - c) / tau: hardly at all where a tie has closed.
        """
        return 64.0 * np.finfo(float).eps * (1.0 + np.maximum(self.gram.apart, 0.0) / self.temperature)

    @property
    def _complementarity_reading(self) -> float:
        """How far S G = 0, S >= 0 fail, every row in its own units, in which rare classes count like frequent ones.

        A small product is not enough: with an eigenvalue s of S and a variance g of G in its direction, cosines are
        wrong by tau s if the direction should be open and by about g if it should be closed: by the lesser at least.
        """
        plural, sizes = self.gram.orbits.plural, self.gram.sizes
        # The force on the mean of an orbit: attraction inside a point is no part of it, and can be far larger.
        outward = np.diag(self.quotient) / sizes
        if not outward.min() > 0:
            return np.inf
        factor = np.sqrt(outward)
        scaled = self.quotient / factor[:, None] / factor
        error = products(self.gram, scaled, factor)
        values, vectors = np.linalg.eigh(scaled)
        moved = factor[:, None] * vectors
        variance = np.einsum("ak,ak->k", moved, self.gram.quotient @ moved) / np.einsum("ak,ak->k", moved, moved)
        spread = np.where(plural, self.spread / self.diagonal, 0.0)
        inside = 1.0 - np.diag(self.gram.cosines)
        between = np.minimum(self._strict(values, values[-1]), np.abs(variance) / self.temperature)
        within = np.minimum(self._strict(spread, values[-1]), np.abs(inside) / self.temperature)
        indefinite = max(0.0, -values[0], -spread.min())
        return float(max(np.abs(error).max(), between.max(), within.max(), indefinite, self._push / self.temperature))

    def _strict(self, dual: Array, norm: float = 0.0) -> Array:
        return np.abs(dual) if self.smooth else decided(dual, norm)

    @property
    def _push(self) -> float:
        # Off its kinks a hinge is linear: nothing but S holds an orbit.
        bent = self.entries + self.attraction if self.smooth else np.zeros_like(self.entries)
        return orbit_push(self.gram, self.quotient, bent, self.temperature)

    @cached_property
    def _closed(self) -> NDArray[np.bool_]:
        """(K,) which orbits are points."""
        return self.gram.orbits.plural & (np.diag(self.gram.cosines) >= 1.0 - 1e-12)

    @cached_property
    def _counted(self) -> Array:
        """(K, K) how many partners outside its point an atom has."""
        counted = self.gram.orbits.partners.copy()
        np.fill_diagonal(counted, np.where(self._closed, 0.0, np.diag(counted)))
        return counted

    @cached_property
    def _log_factors(self) -> list[Array]:
        """Two guesses of (K,) log u where S_ij = u_i u_j off the diagonal: see `_factored_reading`."""
        sizes, counted = self.gram.sizes, self._counted
        attraction = np.broadcast_to(self.attraction, counted.shape)
        known = np.where((counted > 0) & (self.entries > attraction), counted, 0.0)
        if not known.any():
            return []
        weighted = sizes[:, None] * known
        logs = np.log(np.where(known > 0, self.entries, 1.0))
        normal = weighted + np.diag(weighted.sum(axis=1))
        factors = [np.linalg.lstsq(normal, np.sum(weighted * logs, axis=1))[0]]
        kernel = np.abs(np.linalg.eigh(self.gram.quotient)[1][:, 0]) / np.sqrt(sizes)
        if kernel.min() > 0:
            log_u = np.log(kernel)
            factors.append(log_u + np.average(logs - log_u[:, None] - log_u, weights=weighted) / 2.0)
        return factors

    @property
    def _factored_reading(self) -> float:
        """The rank-one reading where whole orbits have closed to points, or attraction all but cancels repulsion.

        Pairs inside a closed orbit are left out: their multiplier is free, as long as S is positive semidefinite there.
        The others should have repulsion = attraction + u_i u_j, and the logarithm of this ratio is the error of their
        cosine even where S_ij is a difference that rounding has eaten. The factor u comes from the pairs in which
        S_ij is the larger part, or, where those do not determine it (two classes), from the kernel of G.
        """
        orbits, closed, counted = self.gram.orbits, self._closed, self._counted
        points = orbits.atoms - float(np.sum(orbits.sizes[closed] - 1.0))
        attraction = np.broadcast_to(self.attraction, counted.shape)
        repulsion = np.where(counted > 0, self.entries + attraction, 1.0)
        if points < 2 or not repulsion.min() > 0 or not self._log_factors or np.any(self.diagonal[closed] <= 0):
            return np.inf
        indefinite = -float((self.spread[closed] / self.diagonal[closed]).min(initial=0.0))
        with np.errstate(divide="ignore"):
            log_attraction = np.log(attraction)
        readings = []
        for log_u in self._log_factors:
            wanted = np.logaddexp(log_attraction, log_u[:, None] + log_u)
            left = self._strict(np.where(counted > 0, np.log(repulsion) - wanted, 0.0))
            readings.append(self._feasible(max(self._damped(left, counted), self._imbalance(log_u), indefinite), log_u))
        return min(readings)

    @cached_property
    def forces(self) -> Forces | None:
        """What `dual_reading` is taken from, each entry in the form of the least rounding; None for other losses.

        Closed orbits are left out where S is positive on differences inside them beyond rounding; elsewhere their
        cosine may move like any other.
        """
        fine = None if self.objective is None else self.objective.fine_rows(self.gram)
        if self.objective is None or fine is None:
            return None
        noise = self._ulps * (np.abs(self.entries) + self._terms)
        if self.jitter is not None:
            noise = noise + self.jitter
        held = self._closed & (self.spread > self.gram.sizes * np.diag(noise))
        counted = self.gram.orbits.partners.copy()
        np.fill_diagonal(counted, np.where(held, 0.0, np.diag(counted)))
        row, loose = ((part + part.T) / 2.0 for part in (fine.gradient, fine.rounded))
        entries, noise = np.where(loose < noise, row, self.entries), np.minimum(loose, noise)
        return Forces(entries, noise, counted, self.objective.rows(self.gram), self.temperature, fine.rests)

    def factor(self, faint: float = 1e-8) -> Array:
        """(K, q) U of S = U U^T between orbits, on the directions in which G has less than `faint` of its largest."""
        values, vectors = np.linalg.eigh(self.gram.quotient)
        empty = vectors[:, values <= faint * values[-1]]
        strengths, turned = np.linalg.eigh(empty.T @ self.quotient @ empty)
        strong = strengths > 64.0 * np.finfo(float).eps * np.abs(self.quotient).max()
        factor = (empty @ turned[:, strong]) * np.sqrt(strengths[strong])
        return np.asarray(factor / np.sqrt(self.gram.sizes)[:, None], dtype=np.float64)

    @property
    def _dual_reading(self) -> float:
        """The smallest `dual_reading`, already in cosines: of S = 0, of one factor by its logarithm, of several."""
        if self.forces is None:
            return np.inf
        guesses = [np.zeros((len(self.entries), 0)), *(np.exp(log_u)[:, None] for log_u in self._log_factors)]
        several, least = self.factor(), np.inf
        for guess in guesses if several.shape[1] == 0 else [*guesses, several]:
            least = min(least, dual_reading(self.gram, self.forces, guess))
            if least <= 1e-9:
                break
        return least

    @property
    def _rank_one_reading(self) -> float:
        """How far the cosines are from an optimum at which S = u u^T, in units of tau.

        Off the diagonal log S_ij = log u_i + log u_j, whose least-squares solution is explicit; what it leaves is the
        error of the cosine of i and j. And G u = 0: |(G u)_i| / sum(u) is what every cosine of i would have to move by.
        (The diagonal would give u_i = sqrt(S_ii) too, but a small S_ii is a difference of large numbers.)
        """
        orbits = self.gram.orbits
        logs = self.entries.copy()
        np.fill_diagonal(logs, np.where(orbits.plural, np.diag(logs), 1.0))
        if orbits.atoms < 3 or not logs.min() > 0:
            return np.inf
        np.log(logs, out=logs)
        rows = _over_partners(orbits, logs)
        log_u = (rows - float(orbits.sizes @ rows) / (2.0 * orbits.atoms - 2.0)) / (orbits.atoms - 2.0)
        logs -= log_u
        logs -= log_u[:, None]
        np.fill_diagonal(logs, np.where(orbits.plural, np.diag(logs), 0.0))
        left = self._strict(np.array(max(logs.max(), -logs.min())))
        return self._feasible(max(float(left), self._imbalance(log_u)), log_u)

    def _feasible(self, reading: float, log_u: Array | None = None) -> float:
        """The reading, or where cosines that move by as much need not be a Gram matrix any more: see `shortfall`."""
        tau = self.temperature
        if not tau * reading <= 1e-6:
            return reading
        factor = None if log_u is None else np.exp(log_u - log_u.max())[:, None]
        return max(reading, shortfall(self.gram, 0.0, factor, tau * reading) / tau)

    def _imbalance(self, log_u: Array) -> float:
        """|(G u)_i| / sum(u), in units of tau; of a hinge the moves that G u = 0 takes, see `balancing`."""
        u = np.exp(log_u - log_u.max())
        balance = u + self.gram.cosines @ (self.gram.sizes * u) - np.diag(self.gram.cosines) * u
        plain = float(np.abs(balance).max()) / float(self.gram.sizes @ u) / self.temperature
        return plain if self.smooth else max(plain, balancing(self.gram, self.entries, u) / self.temperature)
