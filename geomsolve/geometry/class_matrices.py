"""Square matrices of classes that stay as they are when classes of one orbit are exchanged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from .orbit_gram import Orbits


@dataclass(frozen=True, eq=False)
class ClassMatrix:
    """A (C, C) matrix X with three kinds of entries, kept by orbits of n_a classes; it need not be symmetric.

    On the differences of the classes of an orbit X is the number own_a - within_a, n_a - 1 times; on their means it is
    the K x K matrix

        M_ab = sqrt(n_a n_b) between_ab  (a != b),    M_aa = own_a + (n_a - 1) between_aa

    so its singular values (and eigenvalues) are those of M together with these numbers.

    Attributes:
        orbits: which classes are exchangeable.
        own: (K,) the diagonal entries X_ii.
        between: (K, K) entries X_ij for different classes i of orbit a and j of orbit b; on the diagonal for two
            classes of one orbit, 0 in an orbit of one class.
    """

    orbits: Orbits
    own: Array
    between: Array

    @classmethod
    def of_blocks(cls, orbits: Orbits, scalars: Array, means: Array) -> ClassMatrix:
        """The matrix that is `scalars` on differences inside orbits and `means` on their means."""
        sizes = orbits.sizes
        root = np.sqrt(sizes)
        between = means / root[:, None] / root
        diagonal = np.diag(means)
        within = np.where(orbits.plural, (diagonal - scalars) / sizes, 0.0)
        np.fill_diagonal(between, within)
        return cls(orbits, np.where(orbits.plural, within + scalars, diagonal), between)

    @classmethod
    def gathered(cls, orbits: Orbits, matrix: Array) -> ClassMatrix:
        """The mean of a (C, C) matrix over all exchanges of classes of one orbit."""
        own, sizes = orbits.summed(np.diag(matrix)), orbits.sizes
        totals = orbits.summed(orbits.summed(matrix).T).T - np.diag(own)
        return cls(orbits, own / sizes, totals / np.maximum(sizes[:, None] * orbits.partners, 1.0))

    @property
    def scalars(self) -> Array:
        """(K,) own - within, the singular value (with its sign) on differences inside each orbit; 0 where none are."""
        return np.where(self.orbits.plural, self.own - np.diag(self.between), 0.0)

    @property
    def means(self) -> Array:
        """(K, K) M above."""
        return self.orbits.quotient(self.between, self.own)

    @property
    def row_sums(self) -> Array:
        """(K,) the sum of a row of each orbit."""
        return np.asarray(self.own + np.sum(self.orbits.partners * self.between, axis=1))

    @property
    def T(self) -> ClassMatrix:
        """The transpose."""
        return ClassMatrix(self.orbits, self.own, self.between.T)

    def __matmul__(self, other: ClassMatrix) -> ClassMatrix:
        """The product. Cost: one of (K, K) matrices."""
        left, right = self.own - np.diag(self.between), other.own - np.diag(other.between)
        between = (self.between * self.orbits.sizes) @ other.between
        between += left[:, None] * other.between
        between += self.between * right
        return ClassMatrix(self.orbits, np.diag(between) + left * right, between)

    def scaled(self, rows: Array | float = 1.0, columns: Array | float = 1.0) -> ClassMatrix:
        """Diag(rows) X Diag(columns), a factor an orbit on either side."""
        count = len(self.own)
        left, right = np.broadcast_to(rows, count), np.broadcast_to(columns, count)
        return ClassMatrix(self.orbits, self.own * left * right, left[:, None] * self.between * right)

    def expand(self) -> Array:
        """(C, C) the matrix in the caller's class order."""
        labels: NDArray[np.intp] = self.orbits.listed()
        full = self.between[labels[:, None], labels]
        np.fill_diagonal(full, self.own[labels])
        return full
