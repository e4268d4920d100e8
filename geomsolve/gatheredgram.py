"""A Gram matrix of many classes that is never written out: some frequent classes, and all others in one point."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ProblemError
from .orbits import OrbitGram, Orbits
from .unwritten import UnwrittenGram, check_numbers

Array = NDArray[np.float64]

# Heads that a sample always shows.
_MOST_SHOWN = 100
# Numbers in the points of a quotient: 1.6 GB.
_MOST_NUMBERS = 200_000_000


@dataclass(frozen=True, eq=False)
class GatheredGram(UnwrittenGram):
    """A Gram matrix in which all classes but those of the h largest distinct counts sit in one point.

    Attributes:
        line: the distinct counts.
        quotient: the Gram matrix of the other classes, by their counts, and of that point: orbits of as many atoms as
            classes have each of the h largest counts, and a last one of one atom.

    Raises:
        ProblemError: a quotient whose orbits are not these, whose last class is in no one point, or whose cosines are
            not finite or not symmetric.
    """

    quotient: OrbitGram = field(repr=False)

    def __post_init__(self) -> None:
        sizes, heads = self.quotient.sizes, self.heads
        if not 1 <= heads < len(self.sizes) or not np.array_equal(sizes, [*self.sizes[:heads], 1.0]):
            raise ProblemError(
                "gram: the quotient must have one orbit for each of the largest counts, of as many atoms as classes "
                f"have it, then one of one atom; got {len(sizes)} orbits for {len(self.sizes)} distinct counts"
            )
        cosines = self.quotient.cosines
        if not (np.isfinite(cosines).all() and np.allclose(cosines, cosines.T, rtol=0, atol=1e-9)):
            raise ProblemError("gram: the quotient's cosines must be finite and symmetric")
        if cosines[-1, -1] != 1.0:  # forces inside the point are read off here
            raise ProblemError(f"gram: the last cosine must be 1, of one point; got {cosines[-1, -1]}")

    @property
    def heads(self) -> int:
        """H, how many distinct counts are not in the point."""
        return len(self.quotient.sizes) - 1

    @cached_property
    def owners(self) -> NDArray[np.intp]:
        """(K,) the last row of `factor` for all but the heads."""
        return np.minimum(np.arange(len(self.sizes)), self.heads)

    @cached_property
    def _modes(self) -> tuple[Array, Array]:
        values, vectors = np.linalg.eigh(self.quotient.cosines)
        return values, vectors

    @property
    def factor(self) -> Array:
        """(h + 1, h + 1) F with G_ij = sum_q lambda_q F_iq F_jq for two classes, i and j the rows of their counts."""
        return self._modes[1]

    @property
    def strengths(self) -> Array:
        """(h + 1,) lambda of `factor`, ascending."""
        return self._modes[0]

    def cosines(self, positions: NDArray[np.intp]) -> Array:
        """(n, n) the cosines of classes of some distinct counts, on the diagonal that of two different ones."""
        rows = self.owners[positions]
        return np.asarray(self.quotient.cosines[rows[:, None], rows], dtype=np.float64)

    @property
    def shown(self) -> NDArray[np.intp]:
        """The positions of the first heads, and of the first class beside them."""
        return np.arange(min(self.heads, _MOST_SHOWN) + 1)

    @property
    def smallest_eigenvalue(self) -> float:
        """Of the quotient, which has the sign of the whole's: G = E B E^T, the columns of E at right angles."""
        return self.quotient.smallest_eigenvalue

    @cached_property
    def _whole(self) -> OrbitGram:
        """The same over all classes: those in one point are exchangeable, whatever their counts."""
        sizes = self.quotient.sizes.copy()
        sizes[-1] = self.sizes[self.heads :].sum()
        return OrbitGram(Orbits(sizes), self.quotient.cosines)

    def written(self, orbits: Orbits) -> OrbitGram:
        """The same as an OrbitGram on the orbits of its counts: see `UnwrittenGram.written`."""
        points = self.quotient.points
        return replace(super().written(orbits), points=None if points is None else points[self.owners])

    def rank(self, tol: float = 1e-8) -> int:
        """The number of eigenvalues of G above `tol`."""
        return self._whole.rank(tol)

    def merged(self, tol: float = 1e-8) -> list[list[int]]:
        """The groups of distinct counts whose classes share a point."""
        everywhere = np.arange(len(self.sizes))
        groups = [np.flatnonzero(np.isin(self.owners, group)) for group in self._whole.merged(tol)]
        return [everywhere[group].tolist() for group in groups]

    def repaired(self) -> tuple[GatheredGram, float]:
        """The nearest point of the segment to the identity that is positive semidefinite, and how far along it is.

        The segment is the quotient's: the classes in one point stay there.
        """
        quotient, step = self.quotient.repaired()
        return (self, 0.0) if quotient is self.quotient else (replace(self, quotient=quotient), step)

    def points(self) -> GatheredPoints:
        """Unit vectors with these inner products, of as many coordinates as G has rank.

        Raises:
            ProblemError: a distribution of counts, or heads of so many classes that their points do not fit into
                200,000,000 numbers.
        """
        sizes, labels = self.quotient.sizes, self.labels
        if not len(labels):
            raise ProblemError("points: these are a distribution of counts; its classes are not listed one by one")
        if sizes.sum() * self.rank() > _MOST_NUMBERS:
            raise ProblemError(
                f"points: {sizes.sum():g} classes apart are more than fit into {_MOST_NUMBERS:,} numbers"
            )
        several = np.repeat(np.arange(len(sizes)), sizes.astype(np.intp))
        places = OrbitGram(Orbits(sizes, several), self.quotient.cosines).embed()
        # Classes of one head count take its points in turn, all others the last one.
        order = np.flatnonzero(labels < self.heads)
        order = order[np.argsort(labels[order], kind="stable")]
        taken = np.full(len(labels), len(places) - 1)
        taken[order] = np.arange(len(order))
        return GatheredPoints(places, taken)


@dataclass(frozen=True, eq=False)
class GatheredPoints:
    """C unit vectors in r dimensions, many of them the same.

    Attributes:
        places: (m, r) the different ones.
        taken: (C,) which of them each class has.
    """

    places: Array = field(repr=False)
    taken: NDArray[np.intp] = field(repr=False)

    def rows(self, classes: ArrayLike) -> Array:
        """(n, r) the points of some classes, given as numbers from 0."""
        return np.asarray(self.places[self.taken[check_numbers(classes, len(self.taken))]], dtype=np.float64)

    def __matmul__(self, other: Array) -> Array:
        """(C, k) the points times an (r, k) matrix: their coordinates along k directions."""
        return np.asarray((self.places @ other)[self.taken], dtype=np.float64)
