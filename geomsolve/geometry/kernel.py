"""A Gram matrix that is never written out: cosines as a smooth function of two classes' counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.polynomial.chebyshev import chebpts2, chebvander
from numpy.typing import ArrayLike, NDArray

from ..arrays import Array, frozen
from ..counts.counts import Counts
from ..counts.gauss_rules import MOST_NODES, CountLine
from ..errors import ProblemError
from .orbit_gram import MOST_WRITTEN, OrbitGram, Orbits

# Counts whose polynomials are held at a time.
_CHUNK = 2**15
# Eigenvalues of the kernel, in units of cosine, below which there is nothing but rounding.
_NEGLIGIBLE = 1e-16
# A class whose own cosine leaves less than this to its diagonal is taken out of it, into the low-rank part.
_LEAST_DIAGONAL = 0.01
_MOST_TAKEN_OUT = 64
# Nodes of a rule that are more than there are polynomials.
_MORE_NODES = 24


@lru_cache(maxsize=16)
def interpolation(count: int) -> tuple[Array, Array, Array]:
    """(n,) places in [-1, 1], (n, n) T_p there, and what makes coefficients of values. Not to be written to."""
    places = np.asarray(chebpts2(count), dtype=np.float64)
    polynomials = np.asarray(chebvander(places, count - 1), dtype=np.float64)
    return places, polynomials, np.asarray(np.linalg.inv(polynomials), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class FactoredPoints:
    """C unit vectors in C dimensions, Diag(scale) (I + basis Diag(stretch) basis^T), held as C (r + 1) numbers.

    Attributes:
        scale: (C,).
        basis: (C, r) orthonormal columns.
        stretch: (r,).
    """

    scale: Array = field(repr=False)
    basis: Array = field(repr=False)
    stretch: Array = field(repr=False)

    def rows(self, classes: ArrayLike) -> Array:
        """(n, C) the points of some classes, given as numbers from 0."""
        chosen = _class_numbers(classes, len(self.scale))
        found = (self.basis[chosen] * self.stretch) @ self.basis.T
        found[np.arange(len(chosen)), chosen] += 1.0
        return np.asarray(found * self.scale[chosen, None], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class KernelGram:
    """A Gram matrix with unit diagonal whose other entries are a polynomial in the logarithms of two counts.

        G_ij = sum_pq core_pq T_p(x_i) T_q(x_j)   (i != j),     x = 2 log(n / n_min) / log(n_max / n_min) - 1

    with T_p the Chebyshev polynomials and n the count of a class. So G is a diagonal plus a matrix of rank r, the
    number of eigenvalues of `core` that are not rounding, and with K distinct counts everything below costs O(K r^2)
    and holds O(K r) numbers.

    Attributes:
        line: the distinct counts.
        core: (M, M) symmetric.
        log_balance: (M,) the coefficients of log u, weights of the classes with G u = 0 (a guess, never trusted).
    """

    line: CountLine
    core: Array = field(repr=False)
    log_balance: Array = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "core", frozen("core", self.core))
        object.__setattr__(self, "log_balance", frozen("log_balance", self.log_balance))

    @classmethod
    def simplex(cls, line: CountLine) -> KernelGram:
        """The regular simplex: every cosine -1/(C-1)."""
        return cls(line, np.full((1, 1), -1.0 / (float(line.counts.multiplicity.sum()) - 1.0)), np.zeros(1))

    @property
    def sizes(self) -> Array:
        """(K,) how many classes have each of the distinct counts."""
        return self.counts.multiplicity

    @property
    def atoms(self) -> float:
        """The number of classes."""
        return float(self.sizes.sum())

    @property
    def counts(self) -> Counts:
        """The distinct counts and how many classes have each."""
        return self.line.counts

    @property
    def places(self) -> Array:
        """(K,) x of the distinct counts."""
        return self.line.places

    def polynomials(self, places: Array) -> Array:
        """(n, M) T_p at places in [-1, 1]."""
        return np.asarray(chebvander(places, len(self.core) - 1), dtype=np.float64)

    @cached_property
    def _modes(self) -> tuple[Array, Array]:
        """(r,) eigenvalues of the core and (M, r) their vectors, without those that are rounding."""
        values, vectors = np.linalg.eigh(np.asarray(self.core, np.float64))
        kept = np.abs(values) > min(_NEGLIGIBLE, np.abs(values).max() / 2.0)
        return values[kept], vectors[:, kept]

    @property
    def strengths(self) -> Array:
        """(r,) lambda of `factor`, ascending."""
        return self._modes[0]

    def modes(self, polynomials: Array) -> Array:
        """(n, r) the rows of `factor` where the polynomials have these values, (n, M)."""
        return np.asarray(polynomials @ self._modes[1], dtype=np.float64)

    @cached_property
    def _classes(self) -> Array:
        """(K, r + 1) `factor` and `log_u`."""
        functions = np.column_stack([self._modes[1], self.log_balance])
        found = np.empty((len(self.places), functions.shape[1]))
        for first in range(0, len(found), _CHUNK):
            part = slice(first, first + _CHUNK)
            found[part] = self.polynomials(self.places[part]) @ functions
        return found

    @property
    def factor(self) -> Array:
        """(K, r) F with G_ij = sum_q lambda_q F_iq F_jq off the diagonal. Costs 8 K r bytes."""
        return self._classes[:, :-1]

    @property
    def log_u(self) -> Array:
        """(K,) the logarithm of u at the distinct counts."""
        return self._classes[:, -1]

    @property
    def order(self) -> int:
        """The nodes of a Gauss rule of the counts that has the products of any two of the polynomials, and more."""
        return min(MOST_NODES, len(self.core) + _MORE_NODES)

    @cached_property
    def ruled(self) -> tuple[Array, Array, Array]:
        """(n,) nodes and weights of that rule, and (n, M) T_p there."""
        nodes, weights = self.line.rule(self.order)
        return nodes, weights, self.polynomials(nodes)

    def at(self, places: Array) -> Array:
        """(n, n) the polynomial at places in [-1, 1], its diagonal what two different classes of that count have."""
        return self.kernel(self.polynomials(places))

    def kernel(self, polynomials: Array) -> Array:
        """The same where the polynomials have these values, (n, M)."""
        part = self.modes(polynomials)
        return np.asarray((part * self.strengths) @ part.T, dtype=np.float64)

    @cached_property
    def within(self) -> Array:
        """(K,) the cosine of two different classes of the same count, or what the polynomial says it would be."""
        return np.einsum("aq,aq,q->a", self.factor, self.factor, self.strengths)

    @cached_property
    def balance(self) -> Array:
        """(K,) u, the largest 1."""
        return np.exp(self.log_u - self.log_u.max())

    def image(self, vector: Array) -> Array:
        """(K,) sum over all classes j of G_ij v_j, for one class i of each distinct count; v (K,) per class."""
        spread = self.factor.T @ (self.sizes * vector)
        return self.factor @ (self.strengths * spread) + (1.0 - self.within) * vector

    @cached_property
    def _diagonal(self) -> tuple[Array, NDArray[np.intp]]:
        """(K,) the diagonal D of G = D + low rank, at least 0.01, and which classes' rest is in the low-rank part."""
        diagonal = 1.0 - self.within
        taken = np.flatnonzero(diagonal < _LEAST_DIAGONAL)
        diagonal[taken] = 1.0
        return diagonal, taken

    @cached_property
    def eigenvalues(self) -> Array:
        """(r,) those eigenvalues of D^{-1/2} B D^{-1/2} that are not 1, ascending; B as in `OrbitGram`, D its diagonal.

        They have the signs of B's (Sylvester), and B's smallest is at least theirs times the largest of D if negative.
        Empty where so many classes are on the verge of merging that no low rank is left.
        """
        diagonal, taken = self._diagonal
        if len(taken) > _MOST_TAKEN_OUT:
            return np.empty(0)
        if not len(taken):
            # Inner products of smooth functions of log counts, which a rule has as well as the sum over all counts.
            _, weights, polynomials = self.ruled
            part = self.modes(polynomials)
            weighted = part * np.sqrt(weights / (1.0 - (part**2) @ self.strengths))[:, None]
        else:
            weighted = self.factor * np.sqrt(self.sizes / diagonal)[:, None]
        extra = np.zeros((len(weighted), len(taken)))
        extra[taken, np.arange(len(taken))] = 1.0
        middle = np.concatenate([self.strengths, -self.within[taken]])
        upper: Array = np.asarray(np.linalg.qr(np.hstack([weighted, extra]), mode="r"))
        return np.asarray(np.linalg.eigvalsh(np.eye(len(upper)) + (upper * middle) @ upper.T), dtype=np.float64)

    @cached_property
    def smallest_eigenvalue(self) -> float:
        """A lower bound of the smallest eigenvalue of G, sharp where it is near 0."""
        if not len(self.eigenvalues):
            return -np.inf
        diagonal, _ = self._diagonal
        least = float(min(self.eigenvalues[0], 1.0))
        inside = 1.0 - self.within[self.sizes != 1]
        return min(least * float(diagonal.max() if least < 0 else diagonal.min()), float(inside.min(initial=np.inf)))

    def rank(self, tol: float = 1e-8) -> int:
        """The number of eigenvalues of G above `tol`."""
        inside = (self.sizes - 1.0)[(self.sizes != 1) & (1.0 - self.within <= tol)]
        # The eigenvalues are what a few columns of C numbers add up to.
        noise = np.finfo(float).eps * self.atoms
        return round(self.atoms - np.count_nonzero(self.eigenvalues <= max(tol, noise)) - float(inside.sum()))

    def merged(self, tol: float = 1e-8) -> list[list[int]]:
        """The distinct counts whose classes share a point (different counts never do in this form)."""
        return [[int(a)] for a in np.flatnonzero((self.sizes != 1) & (1.0 - self.within <= tol))]

    def repaired(self) -> tuple[KernelGram, float]:
        """The nearest point of the segment to the identity that is positive semidefinite, and how far along it is."""
        smallest = self.smallest_eigenvalue
        if not smallest < 0:
            return self, 0.0
        step = -smallest / (1.0 - smallest) if np.isfinite(smallest) else 1.0
        moved = replace(self, core=(1.0 - step) * self.core)
        vars(moved).update(
            _modes=((1.0 - step) * self.strengths, self._modes[1]), _classes=self._classes, ruled=self.ruled
        )
        return moved, step

    def written(self, orbits: Orbits) -> OrbitGram:
        """The same as an OrbitGram on the orbits of its counts.

        Raises:
            ProblemError: more than 10,000 distinct counts, whose square array nobody should write by accident.
        """
        count = len(self.sizes)
        if count > MOST_WRITTEN:
            raise ProblemError(
                f"gram: {count:,} distinct counts are not written out as a square array (at most "
                f"{MOST_WRITTEN:,}); in Python, solution.geometry has its factor, its rows and its points"
            )
        cosines = self.at(self.places)
        cosines = (cosines + cosines.T) / 2.0
        np.fill_diagonal(cosines, np.where(orbits.plural, np.diag(cosines), 1.0))
        return OrbitGram(orbits, cosines, balance=self.balance)

    def sample(self, most: int = 200) -> tuple[NDArray[np.intp], OrbitGram]:
        """Some of the distinct counts, spread evenly over class ranks and over log counts, to look at.

        Returns:
            Their positions, and their cosines as an OrbitGram in which each stands for all classes of counts near it.
        """
        ranks = np.cumsum(self.sizes) - self.sizes / 2.0
        half = max(most // 2, 2)
        by_rank = np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], half))
        places = self.line.places
        order = np.argsort(places, kind="stable")
        by_count = order[np.searchsorted(places[order], np.linspace(-1.0, 1.0, half)).clip(max=len(order) - 1)]
        chosen = np.unique(np.concatenate([by_rank, by_count, [0, len(ranks) - 1]]))
        edges = np.concatenate([[0.0], (ranks[chosen][1:] + ranks[chosen][:-1]) / 2.0, [self.atoms]])
        return chosen, OrbitGram(Orbits(np.diff(edges)), self.at(places[chosen]))

    def rows(self, classes: ArrayLike) -> Array:
        """(n, C) the cosines of some classes, given as numbers from 0, with all, in the caller's order."""
        labels = self.counts.groups
        chosen = _class_numbers(classes, len(labels))
        part = (self.factor[labels[chosen]] * self.strengths) @ self.factor.T
        found = part[:, labels]
        found[np.arange(len(chosen)), chosen] = 1.0
        return np.asarray(found, dtype=np.float64)

    def points(self) -> FactoredPoints:
        """Unit vectors with these inner products, as a factor: they have C coordinates each.

        With G = D^{1/2} (I + Y Lambda Y^T) D^{1/2} and Y Lambda Y^T = E Theta E^T, E^T E = I, the rows of
        D^{1/2} (I + E (sqrt(1 + Theta) - 1) E^T).
        """
        groups, (diagonal, taken) = self.counts.groups, self._diagonal
        if len(taken) > _MOST_TAKEN_OUT:
            raise ProblemError("points: too many classes are about to merge for points in factored form")
        rows = np.flatnonzero(np.isin(groups, taken))
        weighted = (self.factor / np.sqrt(diagonal)[:, None])[groups]
        extra = np.zeros((len(groups), len(rows)))
        extra[rows, np.arange(len(rows))] = 1.0
        middle = np.concatenate([self.strengths, -self.within[groups[rows]]])
        basis, upper = np.linalg.qr(np.hstack([weighted, extra]))
        values, vectors = np.linalg.eigh((upper * middle) @ upper.T)
        stretch = np.sqrt(np.maximum(1.0 + values, 0.0)) - 1.0
        return FactoredPoints(np.sqrt(diagonal)[groups], basis @ vectors, stretch)


def _class_numbers(classes: ArrayLike, most: int) -> NDArray[np.intp]:
    """Class numbers as an array, or a ProblemError unless they are whole and from 0 to most - 1."""
    if not most:
        raise ProblemError("classes: these are a distribution of counts; its classes are not listed one by one")
    chosen = np.atleast_1d(np.asarray(classes))
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or np.any((chosen < 0) | (chosen >= most)):
        raise ProblemError(f"classes: must be whole numbers from 0 to {most - 1}; got {classes!r:.60}")
    return chosen.astype(np.intp)
