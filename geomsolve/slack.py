"""The slack matrix S = D - Diag(y) of a Gram matrix: the gap it proves, and how far from stationary the cosines are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from .orbits import OrbitGram, Orbits
from .spectra import near_rank_one

if TYPE_CHECKING:
    from .objectives.base import Objective

Array = NDArray[np.float64]


def _over_partners(orbits: Orbits, matrix: Array) -> Array:
    """(K,) the sum of a row over the partners of one atom: over whole orbits, less the atom itself."""
    return np.asarray(matrix @ orbits.sizes - np.diag(matrix), dtype=np.float64)


def _linked(distances: Array, below: float) -> tuple[Array, list[int], list[tuple[int, int]]]:
    """(m, K) the sets that single linkage makes below a distance: single orbits, then one set for each merger.

    With them the numbers of the sets that are in no other, and the two parts of each merger.
    """
    count = len(distances)
    tree = linkage(squareform(np.minimum(distances, below), checks=False), "single") if count > 1 else np.empty((0, 4))
    parts = [(int(a), int(b)) for a, b in tree[tree[:, 2] < below, :2]]
    sets = np.vstack([np.eye(count), np.zeros((len(parts), count))])
    for merged, (a, b) in enumerate(parts, start=count):
        sets[merged] = sets[a] + sets[b]
    inner = {part for pair in parts for part in pair}
    return sets, [number for number in range(len(sets)) if number not in inner], parts


def _indefinite(form: Array, noise: Array) -> float:
    """How far a form is from positive semidefinite beyond its noise, in units of its diagonal.

    The form is S between blocks, each in units of its own stiffness: in units of single orbits a direction that ties
    oppose would drown one in which whole blocks move.
    """
    scale = np.sqrt(np.maximum(np.diag(form), np.diag(noise)) + 1e-300)
    form = form / scale / scale[:, None]
    form[np.diag_indices_from(form)] += np.sum(noise / scale / scale[:, None], axis=1)
    return max(0.0, -float(np.linalg.eigvalsh((form + form.T) / 2.0)[0]))


def _damping(objective: Objective, gram: OrbitGram) -> Array:
    """(K, K) 1/(1 - Q), Q the share of partners in the denominator of the row (the larger of two), at most the atoms.

    Where all cosines of an atom move alike, by d, its repulsions grow by (1 - Q) d/tau only: the denominator answers.
    """
    model, partners = objective.rows(gram), gram.orbits.partners
    bend, answer = (np.sum(partners * part, axis=1) for part in (model.curvature, model.coupling))
    damping = 1.0 / np.maximum(1.0 - answer / np.where(bend > 0, bend, 1.0), 1.0 / gram.orbits.atoms)
    return np.maximum(damping[:, None], damping)


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
    damping: Array | float = 1.0  # (K, K) see `_damping`

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
        damping = 1.0 if isinstance(objective.attraction, float) else _damping(objective, gram)
        return cls(gram, entries, diagonal, own, *kind, terms, jitter, damping)

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
        """The smallest of several readings, each of which is zero only at stationarity.

        Where S has rank one, see `_rank_one_reading` and `_factored_reading`. Where S = 0, repulsion equals attraction,
        and `damping` tau |log| of their ratio is the error of a cosine. Otherwise see `_complementarity_reading`.
        """
        plural = self.gram.orbits.plural
        if isinstance(self.attraction, float) and not np.any(self.gram.orbits.partners * self.entries):
            # A satisfied hinge has no forces, and every geometry is stationary; a smooth loss's have underflowed.
            return np.inf if self.smooth else 0.0
        readings, balanced = [self._rank_one_reading], np.inf
        if not isinstance(self.attraction, float):
            with np.errstate(divide="ignore", invalid="ignore"):
                excess = self.entries / self.attraction
            np.fill_diagonal(excess, np.where(plural, np.diag(excess), 0.0))
            if excess.min() > -1.0:
                left = np.abs(np.log1p(excess))
                readings.append(float((self.damping * left).max()))
                balanced = self.temperature * float(left.max())
        if self.temperature * min(readings) >= 1e-9:
            readings.append(self._factored_reading)
        if np.all(self.diagonal > 0) and self.temperature * min(readings) >= 1e-9:
            readings.append(self._complementarity_reading)
        reading = self.temperature * float(min(readings))
        if isinstance(self.attraction, float) or self.gram.orbits.atoms * balanced <= 1e-9:
            # Repulsion equals attraction pair by pair, so nothing hides behind a tie (no damping is above the atoms).
            return reading
        return max(reading, self._block_push)

    @property
    def _block_push(self) -> float:
        """`_push` for orbits that are close or tied, moved together; and whether S >= 0 among such blocks.

        What ties orbits can be a billion times stronger than what moves them as one, and hides it from any reading of a
        single row. The forces on a block add up, and so does S; the ties cancel, which `_resultants` does by hand. With
        the sets that single linkage makes, of near orbits and of strong ties, no block is hidden by a larger one
        around it. Where nothing but rounding is left of the stiffness 1'S1 of a block, nothing is known of it.
        """
        count = len(self.gram.sizes)
        near, _, _ = _linked(1.0 - self.gram.cosines, 0.3)
        tied, roots, parts = _linked(-self._ties, 0.0)
        blocks = np.vstack([tied, near[count:]])
        if len(blocks) == count:
            return 0.0
        rows, noise = self._resultants(blocks)
        stiffness, unsure = np.sum(rows * blocks, axis=1), np.sum(noise * blocks, axis=1)
        # An orbit may be held by one saturated tie alone, in which repulsion equals attraction up to rounding.
        # Nothing cancels in its stiffness but that, so a few ulps decide.
        unsure[:count] /= 16.0
        if np.any(stiffness <= unsure):
            return np.inf
        # The roots, and of each merger the less stiff part: the indicators of these K sets are a basis.
        basis = np.array([*roots, *(min(part, key=lambda block: stiffness[block]) for part in parts)], dtype=int)
        indefinite = _indefinite(rows[basis] @ blocks[basis].T, noise[basis] @ blocks[basis].T)
        values, vectors = np.linalg.eigh(self.gram.quotient)
        points = vectors * np.sqrt(np.where(values > 1e-13 * values[-1], values, 0.0))
        points /= np.sqrt(self.gram.sizes)[:, None]
        # One ulp of a tie that is 1% of the stiffness moves an orbit by 1% of how far the other end is to the side.
        aside = self._rounded / 64.0 * np.sqrt(np.maximum(1.0 - self.gram.cosines**2, 0.0))
        loose = np.sum((blocks @ aside) * (1.0 - blocks), axis=1)
        push = (np.linalg.norm(rows @ points, axis=1) + loose) / stiffness
        return max(float(push.max()), self.temperature * indefinite)

    @property
    def _ties(self) -> Array:
        """(K, K) minus the sum of S_ij over the pairs of two orbits: positive where they hold each other."""
        return -self.gram.sizes[:, None] * self.gram.orbits.partners * self.entries

    @cached_property
    def _rounded(self) -> Array:
        """(K, K) what rounding can be in the sums of D over the pairs of two orbits: that of repulsion and attraction.

        A repulsion is rounded like its exponent, (1 - c) / tau: hardly at all where a tie has closed.
        """
        sizes, apart = self.gram.sizes, np.maximum(self.gram.apart, 0.0)
        pairs = sizes[:, None] * sizes
        if self.terms is not None:
            terms = np.abs(self._ties) + pairs * self.terms
        else:
            terms = np.abs(self._ties) + pairs * np.broadcast_to(self.attraction, apart.shape)
        return 64.0 * np.finfo(float).eps * (1.0 + apart / self.temperature) * terms

    def _resultants(self, blocks: Array) -> tuple[Array, Array]:
        """(m, K) 1'S summed over blocks of whole orbits, one a row, and what rounding can be in it.

        With F the sums of D over the pairs of two orbits and S_ii = -sum_j D_ij c_ij, what orbit i has from block B is

            sum over j in B of F_ij                                           if i is outside,
            sum over j in B of F_ij (1 - c_ij)  -  sum outside of F_ij c_ij   if i is in B,

        so that ties inside a block cancel before they are rounded.
        """
        cosines = self.gram.cosines
        pairs = -self._ties
        apart = np.maximum(self.gram.apart, 0.0)
        inner = blocks @ (pairs * apart) - (1.0 - blocks) @ (pairs * cosines)
        rows = np.where(blocks > 0, inner, blocks @ pairs)
        # A cosine inside a block is known to its last digits only, and a tie makes a force of them.
        rounded = self._rounded
        shaken = rounded
        if self.jitter is not None:
            shaken = rounded + self.gram.sizes[:, None] * self.gram.sizes * self.jitter
        loose = blocks @ (shaken * apart + rounded / 16.0) + (1.0 - blocks) @ (shaken * np.abs(cosines))
        return rows, np.where(blocks > 0, loose, blocks @ shaken)

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
        error = scaled @ (self.gram.quotient * factor[:, None] / factor) / np.sqrt(sizes[:, None] * sizes)
        values, vectors = np.linalg.eigh(scaled)
        moved = factor[:, None] * vectors
        variance = np.einsum("ak,ak->k", moved, self.gram.quotient @ moved) / np.einsum("ak,ak->k", moved, moved)
        spread = np.where(plural, self.spread / self.diagonal, 0.0)
        inside = 1.0 - np.diag(self.gram.cosines)
        between = np.minimum(np.abs(values), np.abs(variance) / self.temperature)
        within = np.minimum(np.abs(spread), np.abs(inside) / self.temperature)
        indefinite = max(0.0, -values[0], -spread.min())
        return float(max(np.abs(error).max(), between.max(), within.max(), indefinite, self._push / self.temperature))

    @property
    def _push(self) -> float:
        """How far the force that is left on an orbit would move it: force over stiffness in its direction.

        With z the points, the force on i is f_i = sum_j S_ij z_j. A rare class that only heavy ones push weighs nothing
        in any entry of S G; here it is held against what resists moving its orbit as a whole, S_ii for a single class
        plus sum_j (repulsion_ij / tau) cos^2(f_i, z_j).
        """
        sizes = self.gram.sizes
        values, vectors = np.linalg.eigh(self.gram.quotient)
        # Rounding makes an eigenvalue 0 of G 1e-16, and that a coordinate of 1e-8: such directions are no directions.
        points = vectors * np.sqrt(np.where(values > 1e-13 * values[-1], values, 0.0))
        forces = (self.quotient @ points) / np.sqrt(sizes)[:, None]
        size = np.linalg.norm(forces, axis=1)
        along = (forces @ points.T) / np.sqrt(sizes) / np.maximum(size, 1e-300)[:, None]
        curvature = sizes * np.maximum(self.entries + self.attraction, 0.0) * along**2
        np.fill_diagonal(curvature, 0.0)
        stiffness = np.diag(self.quotient) + curvature.sum(axis=1) / self.temperature
        return float((size / stiffness).max())

    @property
    def _factored_reading(self) -> float:
        """The rank-one reading where whole orbits have closed to points, or attraction all but cancels repulsion.

        Pairs inside a closed orbit are left out: their multiplier is free, as long as S is positive semidefinite there.
        The others should have repulsion = attraction + u_i u_j, and the logarithm of this ratio is the error of their
        cosine even where S_ij is a difference that rounding has eaten. The factor u comes from the pairs in which
        S_ij is the larger part, or, where those do not determine it (two classes), from the kernel of G.
        """
        orbits, sizes = self.gram.orbits, self.gram.sizes
        closed = orbits.plural & (np.diag(self.gram.cosines) >= 1.0 - 1e-12)
        points = orbits.atoms - float(np.sum(orbits.sizes[closed] - 1.0))
        counted = orbits.partners.copy()
        np.fill_diagonal(counted, np.where(closed, 0.0, np.diag(counted)))
        attraction = np.broadcast_to(self.attraction, counted.shape)
        repulsion = np.where(counted > 0, self.entries + attraction, 1.0)
        known = np.where((counted > 0) & (self.entries > attraction), counted, 0.0)
        if points < 2 or not repulsion.min() > 0 or not known.any() or np.any(self.diagonal[closed] <= 0):
            return np.inf
        weighted = sizes[:, None] * known
        logs = np.log(np.where(known > 0, self.entries, 1.0))
        normal = weighted + np.diag(weighted.sum(axis=1))
        factors = [np.linalg.lstsq(normal, np.sum(weighted * logs, axis=1))[0]]
        kernel = np.abs(np.linalg.eigh(self.gram.quotient)[1][:, 0]) / np.sqrt(sizes)
        if kernel.min() > 0:
            log_u = np.log(kernel)
            factors.append(log_u + np.average(logs - log_u[:, None] - log_u, weights=weighted) / 2.0)
        indefinite = -float((self.spread[closed] / self.diagonal[closed]).min(initial=0.0))
        with np.errstate(divide="ignore"):
            log_attraction = np.log(attraction)
        readings = []
        for log_u in factors:
            wanted = np.logaddexp(log_attraction, log_u[:, None] + log_u)
            left = np.where(counted > 0, np.log(repulsion) - wanted, 0.0)
            readings.append(max(float(np.abs(self.damping * left).max()), self._imbalance(log_u), indefinite))
        return min(readings)

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
        return max(float(logs.max()), -float(logs.min()), self._imbalance(log_u))

    def _imbalance(self, log_u: Array) -> float:
        """|(G u)_i| / sum(u), in units of tau."""
        u = np.exp(log_u - log_u.max())
        balance = u + self.gram.cosines @ (self.gram.sizes * u) - np.diag(self.gram.cosines) * u
        return float(np.abs(balance).max()) / float(self.gram.sizes @ u) / self.temperature
