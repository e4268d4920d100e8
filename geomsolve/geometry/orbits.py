"""Which atoms are exchangeable: the orbits."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, frozen
from ..errors import ProblemError


@dataclass(frozen=True, eq=False)
class Orbits:
    """Which atoms are exchangeable: K orbits of sizes n_a, and the orbit of every atom.

    Attributes:
        sizes: (K,) atoms per orbit; integers wherever atoms are listed in `labels`, elsewhere any numbers above 0
            (weights of a quadrature over orbits, say).
        labels: (m,) the orbit of every atom in the caller's order, or None where atoms are not listed one by one.
    """

    sizes: Array
    labels: NDArray[np.intp] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", frozen("sizes", self.sizes))
        if self.labels is not None:
            object.__setattr__(self, "labels", frozen("labels", self.labels, np.intp))

    def check(self) -> None:
        """Raise ProblemError unless sizes are positive, two atoms or more in all, and those that `labels` lists."""
        if self.sizes.ndim != 1 or not (np.isfinite(self.sizes).all() and np.all(self.sizes > 0)):
            raise ProblemError("sizes: must be one-dimensional, finite and above 0")
        if not self.atoms > 1:
            raise ProblemError(f"sizes: must be two atoms or more in all; got {self.atoms:g}")
        if self.labels is None:
            return
        count = len(self.sizes)
        if self.labels.ndim != 1 or np.any((self.labels < 0) | (self.labels >= count)):
            raise ProblemError(f"labels: must be orbit numbers from 0 to {count - 1}")
        if not np.array_equal(np.bincount(self.labels, minlength=count), self.sizes):
            raise ProblemError("labels: must list as many atoms of every orbit as `sizes` says")

    @property
    def atoms(self) -> float:
        """m, the number of atoms: the trace of every Gram matrix."""
        return float(self.sizes.sum())

    @cached_property
    def partners(self) -> Array:
        """(K, K) how many partners one atom of orbit a has in orbit b: n_b - [a = b]."""
        return self.sizes[None, :] - np.eye(len(self.sizes))

    @cached_property
    def plural(self) -> NDArray[np.bool_]:
        """(K,) whether an orbit has pairs of atoms inside."""
        return self.sizes != 1

    def mirrored(self, matrix: Array) -> Array:
        """The mean of a matrix by orbits and its transpose."""
        return np.asarray((matrix + matrix.T) / 2.0, dtype=np.float64)

    def over_partners(self, matrix: Array) -> Array:
        """(K,) the sum of a row over the partners of one atom: over whole orbits, less the atom itself."""
        return np.asarray(matrix @ self.sizes - np.diag(matrix), dtype=np.float64)

    def quotient(self, entries: Array, diagonal: Array | float) -> Array:
        """(K, K) a matrix over atoms on vectors that are constant on orbits, from its entries and its diagonal d.

        Q_ab = sqrt(n_a n_b) e_ab and Q_aa = d_a + (n_a - 1) e_aa; on differences inside an orbit it is d_a - e_aa.
        """
        root = np.sqrt(self.sizes)
        quotient: Array = entries * root
        quotient *= root[:, None]
        np.fill_diagonal(quotient, diagonal + np.where(self.plural, (self.sizes - 1.0) * np.diag(entries), 0.0))
        return quotient

    def summed(self, rows: Array) -> Array:
        """(K, ...) the sums of (m, ...) numbers over the atoms of every orbit."""
        sums = np.zeros((len(self.sizes), *rows.shape[1:]))
        np.add.at(sums, self.listed(), rows)
        return sums

    def same_as(self, other: Orbits) -> bool:
        """Whether two orbit structures are the same, atom by atom."""
        names = [part.name for part in fields(self)]
        return self is other or (
            type(self) is type(other) and all(np.array_equal(getattr(self, n), getattr(other, n)) for n in names)
        )

    def singletons(self) -> Orbits:
        """The same atoms, each an orbit of its own."""
        count = round(self.atoms)
        return Orbits(np.ones(count), np.arange(count))

    def listed(self) -> NDArray[np.intp]:
        """`labels`, or an error where the atoms are not listed one by one."""
        if self.labels is None:
            raise ProblemError("orbits: the atoms are not listed one by one, so nothing can be expanded to them")
        return self.labels
