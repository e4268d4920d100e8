"""Orbits of classes with several kinds of atoms in each class, and the Gram matrix that is constant on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Array, frozen
from ..counts.counts import Counts
from ..errors import ProblemError
from .orbit_gram import MOST_WRITTEN, OrbitGram
from .orbits import Orbits

# Atoms that are listed one by one.
_LISTED = 1e6


class Blocks(NamedTuple):
    """What a symmetric matrix over atoms is on each of the three kinds of directions, see `Kinds.blocks`.

    Attributes:
        quotient: (M, M) on vectors that are constant on cells.
        differences: (K, T, T) on differences between the classes of an orbit.
        spread: (M,) its eigenvalue on differences between the atoms of one kind in one class; infinite where one atom.
    """

    quotient: Array
    differences: Array
    spread: Array


@dataclass(frozen=True, eq=False)
class Kinds(Orbits):
    """K orbits of n_a exchangeable classes, each class with mu_at exchangeable atoms of T kinds.

    A cell is one kind of one orbit of classes, M = K T of them, those of an orbit next to each other; `sizes` are
    n_a mu_at. A matrix over atoms that is constant on these has for every cell one entry with atoms of *other* classes
    of every cell, and one with atoms of the *own* class of every kind: an (M, M + T) array, others first.

    Attributes:
        classes: (K,) n, the classes of every orbit.
        each: (K, T) mu, the atoms of every kind in one class.
        names: what the T kinds are called.
        groups: (C,) the orbit of every class in the caller's order.
    """

    classes: Array = field(kw_only=True)
    each: Array = field(kw_only=True)
    names: tuple[str, ...] = field(kw_only=True)
    groups: NDArray[np.intp] = field(kw_only=True, repr=False)

    @classmethod
    def of(cls, counts: Counts, each: Mapping[str, ArrayLike]) -> Kinds:
        """The orbits of classes of equal count.

        Args:
            counts: of the classes.
            each: of every kind the atoms in one class: (K,) in the order of `counts.distinct`, or one number.
        """
        columns = [np.broadcast_to(np.asarray(one, dtype=np.float64), counts.distinct.shape) for one in each.values()]
        table = np.column_stack(columns)
        many = counts.multiplicity
        sizes = (many[:, None] * table).ravel()
        return cls(sizes, classes=many, each=frozen("each", table), names=tuple(each), groups=counts.groups)

    def check(self) -> None:
        """Raise ProblemError unless there are two classes or more."""
        if not self.classes.sum() > 1:
            raise ProblemError("counts: must be two classes or more; got one")

    @property
    def cells(self) -> int:
        """M."""
        return len(self.sizes)

    @cached_property
    def atoms_each(self) -> Array:
        """(M,) mu of every cell."""
        return self.each.ravel()

    @cached_property
    def partners(self) -> Array:
        """(M, M + T) how many partners one atom of a cell has in other classes of every cell, and in its own class."""
        orbits, kinds = self.each.shape
        others = np.repeat(self.classes, kinds) - np.kron(np.eye(orbits), np.ones((kinds, kinds)))
        own = np.repeat(self.each[:, None, :], kinds, axis=1) - np.eye(kinds)
        return np.hstack([others * self.atoms_each, own.reshape(self.cells, kinds)])

    @cached_property
    def plural(self) -> NDArray[np.bool_]:
        """(M,) whether a class has several atoms of the kind."""
        return self.atoms_each != 1

    def own(self, matrix: Array) -> Array:
        """(K, T, T) the entries within a class; a view."""
        return matrix[:, self.cells :].reshape(*self.each.shape, self.each.shape[1])

    def beside(self, matrix: Array) -> Array:
        """(K, T, T) the entries between two classes of one orbit; a copy."""
        orbits, kinds = self.each.shape
        place = np.arange(orbits)
        return np.asarray(matrix[:, : self.cells].reshape(orbits, kinds, orbits, kinds)[place, :, place, :])

    def mirrored(self, matrix: Array) -> Array:
        """The mean of a matrix and its transpose."""
        both = np.empty_like(matrix)
        others = matrix[:, : self.cells]
        both[:, : self.cells] = (others + others.T) / 2.0
        own = self.own(matrix)
        self.own(both)[:] = (own + own.swapaxes(1, 2)) / 2.0
        return both

    def over_partners(self, matrix: Array) -> Array:
        """(M,) the sum of a row over the partners of one atom."""
        return np.einsum("ij,ij->i", self.partners, matrix)

    def blocks(self, matrix: Array, diagonal: Array | float) -> Blocks:
        """The blocks of the matrix over atoms with these entries and this diagonal.

        With the entries o_tt' within a class and c_ab,tt' between two, d the diagonal, and

            M_tt = d_t + (mu_t - 1) o_tt,  M_tt' = sqrt(mu_t mu_t') o_tt',  N_ab = sqrt(mu_at mu_bt') c_ab,tt',

        it is on constant vectors Q_ab = sqrt(n_a n_b) N_ab, Q_aa = M_a + (n_a - 1) N_aa, once; on differences between
        classes M_a - N_aa, n_a - 1 times; and d_t - o_tt within a class and kind, n_a (mu_at - 1) times. That is the
        whole spectrum.
        """
        (orbits, kinds), root = self.each.shape, np.sqrt(self.atoms_each)
        spread = np.broadcast_to(diagonal, self.sizes.shape)
        within = self.own(matrix)[:, np.arange(kinds), np.arange(kinds)]
        units = root.reshape(orbits, kinds)
        own = self.own(matrix) * units[:, :, None] * units[:, None, :]
        own[:, np.arange(kinds), np.arange(kinds)] = spread.reshape(orbits, kinds) + (self.each - 1.0) * within
        beside = self.beside(matrix) * units[:, :, None] * units[:, None, :]
        root = root * np.sqrt(np.repeat(self.classes, kinds))
        quotient = matrix[:, : self.cells] * root * root[:, None]
        place = np.arange(orbits)
        quotient.reshape(orbits, kinds, orbits, kinds)[place, :, place, :] = (
            own + (self.classes[:, None, None] - 1.0) * beside
        )
        return Blocks(quotient, own - beside, np.where(self.plural, spread - within.ravel(), np.inf))

    @cached_property
    def placed(self) -> NDArray[np.intp]:
        """(C T,) the cell of every kind of every class: all classes of the first kind, then all of the second."""
        kinds = self.each.shape[1]
        return np.concatenate([self.groups * kinds + kind for kind in range(kinds)])

    @cached_property
    def by_class(self) -> Orbits:
        """The same atoms, each kind of each class an orbit, in the order of `placed`."""
        sizes = self.atoms_each[self.placed]
        if len(sizes) > MOST_WRITTEN:
            raise ProblemError(
                f"counts: {len(sizes):,} kinds of atoms are not written out class by class (at most {MOST_WRITTEN:,}); "
                "look at `geometry`, which is by orbits of classes"
            )
        labels = np.repeat(np.arange(len(sizes)), sizes.astype(int)) if sizes.sum() <= _LISTED else None
        return Orbits(sizes, labels)

    def written(self, matrix: Array) -> Array:
        """(C T, C T) an (M, M + T) matrix class by class, in the order of `placed`."""
        classes, kinds = len(self.groups), self.each.shape[1]
        full = matrix[:, : self.cells][self.placed[:, None], self.placed]
        place = np.arange(classes)
        full.reshape(kinds, classes, kinds, classes)[:, place, :, place] = self.own(matrix)[self.groups]
        return full


@dataclass(frozen=True, eq=False)
class KindGram(OrbitGram):
    """A Gram matrix with unit diagonal over classes with several kinds of atoms, in the form of `Kinds`.

    Attributes:
        orbits: the classes and their kinds of atoms.
        cosines: (M, M + T) with atoms of other classes, then with those of the own class. What stands for a pair that
            is none (an orbit of one class, a kind of one atom) is left out everywhere.
        points: (M, p + 2) unit rows that cosines were computed from, or None, see `of_points`. Not trusted.
        near: (K, T, T) 1 less cosines within a class to more digits than these, less `common`, (K,) or 0; or None.
    """

    orbits: Kinds
    points: Array | None = field(default=None, repr=False)
    near: Array | None = field(default=None, repr=False)
    common: Array | float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cosines", frozen("cosines", self.cosines))
        if self.cosines.shape != self.orbits.partners.shape:
            raise ProblemError(f"cosines: must have shape {self.orbits.partners.shape}; got {self.cosines.shape}")

    @classmethod
    def of_points(cls, orbits: Kinds, points: Array) -> KindGram:
        """The Gram matrix of unit rows (mean of an orbit, difference between its classes, spread within a class).

        With m, f and w their parts, different kinds of a class have the cosine m.m' + f f', of different classes of one
        orbit m.m' - f f' / (n - 1), and atoms of one kind and class 1 - w^2 mu / (mu - 1).
        """
        return cls(orbits, _from_points(orbits, points), points=points)

    @cached_property
    def from_points(self) -> bool:
        """Whether the cosines are those of `points`, up to a few ulps: then only rounding can make G indefinite."""
        if self.points is None:
            return False
        ulps = 16.0 * np.finfo(float).eps
        off = np.where(self.orbits.partners > 0, _from_points(self.orbits, self.points) - self.cosines, 0.0)
        length = np.sum(self.points**2, axis=1)
        return bool(np.abs(length - 1.0).max() <= ulps and np.abs(off).max() <= ulps)

    @cached_property
    def apart(self) -> Array:
        """(M, M + T) 1 - cosines; within a class to the digits of `near`, where that is the same number."""
        apart = 1.0 - self.cosines
        if self.near is not None:
            own, near = self.orbits.own(apart), self.near + np.reshape(self.common, (-1, 1, 1))
            own[:] = np.where(np.abs(own - near) <= 16.0 * np.finfo(float).eps, near, own)
        return apart

    def beside(self, temperature: float, bare: NDArray[np.bool_]) -> tuple[Array, Array]:
        """(M, M + T) `apart`, in rows that are `bare` less what is `common`, and e^(-that/temperature)."""
        if self.near is None or isinstance(self.common, float):
            return super().beside(temperature, bare)
        # Forces within a class are often of differences only. Not where the digits are of other cosines.
        same = self.orbits.own(self.apart) == self.near + self.common[:, None, None]
        fits = bare.reshape(self.orbits.each.shape) & np.all(same, axis=2)
        apart = self.apart - np.where(fits, self.common[:, None], 0.0).reshape(-1, 1)
        self.orbits.own(apart)[fits] = self.near[fits]
        return apart, np.exp(-apart / temperature)

    @classmethod
    def together(cls, orbits: Kinds) -> KindGram:
        """The regular simplex of classes, all atoms of a class in one point."""
        cosines = np.full(orbits.partners.shape, -1.0 / (orbits.classes.sum() - 1.0))
        cosines[:, orbits.cells :] = 1.0
        return cls(orbits, cosines)

    @cached_property
    def blocks(self) -> Blocks:
        """The matrix on constant vectors, on differences between classes, and within a class and kind."""
        return self.orbits.blocks(self.cosines, 1.0)

    @property
    def quotient(self) -> Array:
        """(M, M) on constant vectors."""
        return self.blocks.quotient

    @cached_property
    def spectrum(self) -> tuple[Array, Array]:
        """The eigenvalues of the whole Gram matrix, ascending, and how often each is one."""
        orbits = self.orbits
        values = [self.eigenvalues, np.linalg.eigvalsh(self.blocks.differences).ravel(), self.blocks.spread]
        times = [
            np.ones(orbits.cells),
            np.repeat(orbits.classes - 1.0, orbits.each.shape[1]),
            np.repeat(orbits.classes, orbits.each.shape[1]) * (orbits.atoms_each - 1.0),
        ]
        found, often = np.concatenate(values), np.concatenate(times)
        found, often = found[often > 0], often[often > 0]
        order = np.argsort(found)
        return found[order], often[order]

    @cached_property
    def smallest_eigenvalue(self) -> float:
        """The smallest eigenvalue of the whole Gram matrix."""
        return float(self.spectrum[0][0])

    def rank(self, tol: float = 1e-8) -> int:
        """The number of eigenvalues above `tol`."""
        values, times = self.spectrum
        return round(float(times[values > tol].sum()))

    @cached_property
    def _repaired(self) -> tuple[OrbitGram, float]:
        if self.from_points or not self.smallest_eigenvalue < 0:
            return self, 0.0
        step = self.smallest_eigenvalue / (self.smallest_eigenvalue - 1.0)
        return KindGram(self.orbits, np.where(self.orbits.partners > 0, (1.0 - step) * self.cosines, 1.0)), step

    def written(self) -> OrbitGram:
        """The same Gram matrix with each kind of each class an orbit, see `Kinds.by_class`."""
        dense = self.orbits.by_class
        cosines = self.orbits.written(self.cosines)
        cosines[np.diag_indices_from(cosines)] = np.where(dense.plural, np.diag(cosines), 1.0)
        return OrbitGram(dense, cosines)

    def expand(self) -> Array:
        """(m, m) the Gram matrix over the atoms, class by class within each kind.

        Raises:
            ProblemError: more than 10,000 atoms.
        """
        if self.orbits.atoms > MOST_WRITTEN:
            raise ProblemError(f"gram: {self.orbits.atoms:,.0f} atoms are not written out (at most {MOST_WRITTEN:,})")
        return self.written().expand()

    def means(self, kind: int = 0) -> tuple[OrbitGram, Array]:
        """The cosines between the class means of a kind by orbits of classes, and (K,) the lengths of the means."""
        orbits = self.orbits
        number = orbits.each[:, kind]
        inside = np.where(number > 1, self.orbits.own(self.cosines)[:, kind, kind], 1.0)
        length = np.sqrt((1.0 + (number - 1.0) * inside) / number)
        rows = slice(kind, orbits.cells, orbits.each.shape[1])
        cosines = self.cosines[rows, rows] / length / length[:, None]
        np.fill_diagonal(cosines, np.where(orbits.classes > 1, np.diag(cosines), 1.0))
        return OrbitGram(Orbits(orbits.classes, orbits.groups), cosines), length

    def merged(self, tol: float = 1e-8) -> list[list[int]]:
        """The groups of classes with atoms of the first kind in one point, as class indices."""
        means, length = self.means()
        if np.any(length < 1.0 - tol):
            means = OrbitGram(means.orbits, np.where(length * length[:, None] > 1.0 - tol, means.cosines, -1.0))
        return [np.flatnonzero(np.isin(self.orbits.groups, group)).tolist() for group in means.merged(tol)]


def _from_points(orbits: Kinds, points: Array) -> Array:
    """The cosines of points, those within a class from differences of these."""
    count, kinds = orbits.each.shape
    means, across, spread = points[:, :-2], points[:, -2].reshape(count, kinds), points[:, -1]
    cosines = np.ones(orbits.partners.shape)
    cosines[:, : orbits.cells] = means @ means.T
    beside = across[:, :, None] * across[:, None, :] / np.maximum(orbits.classes - 1.0, 1.0)[:, None, None]
    place = np.arange(count)
    cosines[:, : orbits.cells].reshape(count, kinds, count, kinds)[place, :, place, :] -= beside
    rows = np.column_stack([means, across.ravel()]).reshape(count, kinds, -1)
    between = rows[:, :, None, :] - rows[:, None, :, :]
    squares = spread.reshape(count, kinds) ** 2
    near = 0.5 * (np.sum(between**2, axis=3) + squares[:, :, None] + squares[:, None, :])
    each = np.where(orbits.each > 1, orbits.each / np.maximum(orbits.each - 1.0, 1.0), 0.0)
    near[:, np.arange(kinds), np.arange(kinds)] = squares * each
    orbits.own(cosines)[:] = 1.0 - near
    return np.where(orbits.partners > 0, cosines, 1.0)
