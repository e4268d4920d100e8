"""Points of many classes, held as fewer numbers than they have coordinates."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Array
from ..errors import ProblemError


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
        chosen = check_numbers(classes, len(self.scale))
        found = (self.basis[chosen] * self.stretch) @ self.basis.T
        found[np.arange(len(chosen)), chosen] += 1.0
        return np.asarray(found * self.scale[chosen, None], dtype=np.float64)

    def __matmul__(self, other: Array) -> Array:
        """(C, k) the points times a (C, k) matrix: their coordinates along k directions. Costs O(C r k)."""
        mixed = other + self.basis @ (self.stretch[:, None] * (self.basis.T @ other))
        return np.asarray(self.scale[:, None] * mixed, dtype=np.float64)


def check_numbers(classes: ArrayLike, most: int) -> NDArray[np.intp]:
    """Class numbers as an array, or a ProblemError unless they are whole and from 0 to most - 1."""
    if not most:
        raise ProblemError("classes: these are a distribution of counts; its classes are not listed one by one")
    chosen = np.atleast_1d(np.asarray(classes))
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or np.any((chosen < 0) | (chosen >= most)):
        raise ProblemError(f"classes: must be whole numbers from 0 to {most - 1}; got {classes!r:.60}")
    return chosen.astype(np.intp)
