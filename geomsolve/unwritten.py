"""Gram matrices over the classes of given counts that are never written out: what all their forms have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .countlines import CountLine
from .counts import Counts
from .errors import ProblemError
from .orbits import MOST_WRITTEN, OrbitGram, Orbits

Array = NDArray[np.float64]


class UnwrittenPoints(Protocol):
    """C points that are held as fewer numbers than they have coordinates."""

    def rows(self, classes: ArrayLike) -> Array:
        """(n, d) the points of some classes, given as numbers from 0."""
        ...

    def __matmul__(self, other: Array) -> Array:
        """(C, k) the points times a (d, k) matrix."""
        ...


@dataclass(frozen=True, eq=False)
class UnwrittenGram(ABC):
    """A Gram matrix with unit diagonal that sees a class through its count only, held as far fewer than K^2 numbers.

        G_ij = sum_q strengths_q F_iq F_jq   for two classes i != j,  F_i the row of `factor` at `owners` of i's count

    Attributes:
        line: the K distinct counts.
    """

    line: CountLine

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
    @abstractmethod
    def factor(self) -> Array:
        """(R, r) F."""

    @property
    @abstractmethod
    def strengths(self) -> Array:
        """(r,) what multiplies its columns."""

    @property
    @abstractmethod
    def owners(self) -> NDArray[np.intp]:
        """(K,) the row of F that classes of each distinct count have."""

    @property
    def labels(self) -> NDArray[np.intp]:
        """(C,) the row of F that each class has, in the caller's order; empty for a distribution of counts."""
        return np.asarray(self.owners[self.counts.groups], dtype=np.intp)

    @abstractmethod
    def cosines(self, positions: NDArray[np.intp]) -> Array:
        """(n, n) the cosines of classes of some distinct counts, on the diagonal that of two different ones."""

    @property
    def shown(self) -> NDArray[np.intp]:
        """The positions of distinct counts that no sample leaves out, the first and the last apart."""
        return np.empty(0, np.intp)

    @abstractmethod
    def rank(self, tol: float = 1e-8) -> int:
        """The number of eigenvalues of G above `tol`."""

    @abstractmethod
    def merged(self, tol: float = 1e-8) -> list[list[int]]:
        """The groups of distinct counts whose classes share a point."""

    @abstractmethod
    def repaired(self) -> tuple[Self, float]:
        """The nearest point of the segment to the identity that is positive semidefinite, and how far along it is."""

    @abstractmethod
    def points(self) -> UnwrittenPoints:
        """Unit vectors with these inner products."""

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
        cosines = self.cosines(np.arange(count))
        cosines = (cosines + cosines.T) / 2.0
        np.fill_diagonal(cosines, np.where(orbits.plural, np.diag(cosines), 1.0))
        return OrbitGram(orbits, cosines)

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
        chosen = np.unique(np.concatenate([by_rank, by_count, self.shown, [0, len(ranks) - 1]]))
        edges = np.concatenate([[0.0], (ranks[chosen][1:] + ranks[chosen][:-1]) / 2.0, [self.atoms]])
        return chosen, OrbitGram(Orbits(np.diff(edges)), self.cosines(chosen))

    def rows(self, classes: ArrayLike) -> Array:
        """(n, C) the cosines of some classes, given as numbers from 0, with all, in the caller's order."""
        labels = self.labels
        chosen = check_numbers(classes, len(labels))
        part = (self.factor[labels[chosen]] * self.strengths) @ self.factor.T
        found = part[:, labels]
        found[np.arange(len(chosen)), chosen] = 1.0
        return np.asarray(found, dtype=np.float64)


def check_numbers(classes: ArrayLike, most: int) -> NDArray[np.intp]:
    """Class numbers as an array, or a ProblemError unless they are whole and from 0 to most - 1."""
    if not most:
        raise ProblemError("classes: these are a distribution of counts; its classes are not listed one by one")
    chosen = np.atleast_1d(np.asarray(classes))
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or np.any((chosen < 0) | (chosen >= most)):
        raise ProblemError(f"classes: must be whole numbers from 0 to {most - 1}; got {classes!r:.60}")
    return chosen.astype(np.intp)
