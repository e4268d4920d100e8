"""The orbit Gram matrix: cosines of an embedding geometry, one entry for each pair of orbits of like atoms."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import helmert

from ..arrays import Array, frozen
from ..errors import ProblemError
from .orbits import Orbits as Orbits
from .spectra import smallest_alone

# Orbits whose cosines are written out as a square array: 0.8 GB.
MOST_WRITTEN = 10_000
# How far a diagonal may be off 1 to be rescaled: a conic solver's is by its tolerance.
MOST_RESCALED = 1e-4


@dataclass(frozen=True, eq=False)
class OrbitGram:
    """A Gram matrix with unit diagonal that is constant on orbits, in its K x K form.

    G_ij is `cosines[a, b]` for different atoms i in orbit a and j in orbit b. With sizes n_a its spectrum is that of
    the K x K matrix

        B_ab = sqrt(n_a n_b) cosines[a, b]  (a != b),    B_aa = 1 + (n_a - 1) cosines[a, a]

    together with 1 - cosines[a, a], n_a - 1 times each. Nothing here ever holds an m x m array except `expand`.

    Attributes:
        orbits: the orbits.
        cosines: (K, K) symmetric; the diagonal is the cosine inside an orbit (1 for an orbit of one atom). Read-only
            from then on, the array given too.
        balance: (K,) a guess of weights u of the atoms with G u = 0, or None. Never trusted; a good one saves the
            eigenvalues.
        slopes: (K, K) the slopes of a hinge at its kink, or None. Not trusted: any in [0, 1] prove a bound.
    """

    orbits: Orbits
    cosines: Array = field(repr=False)
    balance: Array | None = field(default=None, repr=False)
    slopes: Array | None = field(default=None, repr=False)
    _exponentials: dict[float, Array] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        count = len(self.orbits.sizes)
        # What is derived from the cosines is kept, so they must not change any more. An array of their own is frozen
        # where it is, because Newton's method makes many; anything else is copied.
        if self.cosines.base is not None or self.cosines.dtype != np.float64:
            object.__setattr__(self, "cosines", frozen("cosines", self.cosines))
        self.cosines.flags.writeable = False
        if self.cosines.shape != (count, count):
            raise ProblemError(
                f"cosines: must have shape ({count}, {count}), one row per orbit; got {self.cosines.shape}"
            )

    @classmethod
    def simplex(cls, orbits: Orbits) -> OrbitGram:
        """The regular simplex: every cosine -1/(m-1).

        Raises:
            ProblemError: more than 10,000 orbits, whose square array nobody should write by accident.
        """
        if len(orbits.sizes) > MOST_WRITTEN:
            raise ProblemError(
                f"gram: {len(orbits.sizes):,} orbits are not written out as a square array (at most {MOST_WRITTEN:,}); "
                "of such counts only solve's own choice of solver and quadrature take supcon and gcl"
            )
        cosines = np.full((len(orbits.sizes),) * 2, -1.0 / (orbits.atoms - 1.0))
        cosines[np.diag_indices_from(cosines)] = np.where(orbits.plural, cosines.diagonal(), 1.0)
        return cls(orbits, cosines)

    @classmethod
    def from_matrix(cls, matrix: ArrayLike, orbits: Orbits) -> OrbitGram:
        """An (m, m) Gram matrix, no two atoms exchangeable; G_ij over sqrt(G_ii G_jj).

        Raises:
            ProblemError: a wrong shape, entries that are not finite, asymmetry beyond 1e-6, or a diagonal off 1 beyond
                1e-4.
        """
        try:
            array = np.array(matrix, dtype=np.float64)
        except (TypeError, ValueError):
            raise ProblemError("gram: must be a square array of numbers") from None
        count = round(orbits.atoms)
        if array.shape != (count, count):
            raise ProblemError(f"gram: must have shape ({count}, {count}), one row per class; got {array.shape}")
        if not np.isfinite(array).all():
            raise ProblemError("gram: every entry must be finite")
        if not np.allclose(array, array.T, rtol=0, atol=1e-6):
            raise ProblemError(f"gram: must be symmetric; entries differ by {np.abs(array - array.T).max():.3g}")
        own = np.diag(array).copy()
        if not np.abs(own - 1.0).max() <= MOST_RESCALED:
            raise ProblemError(
                f"gram: must have a unit diagonal; it is off by {np.abs(own - 1.0).max():.3g}, and at most "
                f"{MOST_RESCALED:g} is rescaled (normalise the rows of the embedding first)"
            )
        array /= np.sqrt(own[:, None] * own)
        array = (array + array.T) / 2
        np.fill_diagonal(array, 1.0)
        return cls(orbits.singletons(), array)

    @classmethod
    def averaged(cls, matrix: Array, orbits: Orbits) -> OrbitGram:
        """The mean of an (m, m) Gram matrix over the permutations inside orbits: no worse for a convex loss."""
        return cls._mean(orbits.summed(orbits.summed(matrix).T), orbits.summed(np.diag(matrix)), orbits)

    @classmethod
    def averaged_points(cls, points: Array, orbits: Orbits) -> OrbitGram:
        """The mean of the Gram matrix of (m, d) rows over the permutations inside orbits, without its m x m entries.

        With s_a the sum of the rows of orbit a, s_a . s_b are the sums of the entries between two orbits, and |s_a|^2
        less the rows' own squares those inside one. Cost: K^2 d, and (K, d) numbers.
        """
        sums = orbits.summed(points)
        return cls._mean(sums @ sums.T, orbits.summed(np.einsum("ij,ij->i", points, points)), orbits)

    @classmethod
    def _mean(cls, totals: Array, own: Array, orbits: Orbits) -> OrbitGram:
        """From the sums over all pairs of atoms of two orbits, an atom with itself included, and over these alone."""
        pairs = orbits.sizes[:, None] * orbits.partners
        cosines = np.where(pairs > 0, (totals - np.diag(own)) / np.where(pairs > 0, pairs, 1.0), 1.0)
        return cls(orbits, (cosines + cosines.T) / 2.0)

    @property
    def sizes(self) -> Array:
        """(K,) the orbit sizes."""
        return self.orbits.sizes

    @property
    def atoms(self) -> float:
        """The number of atoms."""
        return self.orbits.atoms

    @property
    def within(self) -> Array:
        """(K,) the cosine between two atoms of one orbit; NaN for an orbit of a single atom."""
        return np.where(self.orbits.plural, np.diag(self.cosines), np.nan)

    @property
    def between(self) -> Array:
        """(K, K) the cosine between atoms of two different orbits; NaN on the diagonal."""
        between = self.cosines.copy()
        np.fill_diagonal(between, np.nan)
        return between

    @property
    def from_points(self) -> bool:
        """Whether the cosines are those of points that are kept beside them: of several kinds of atoms alone."""
        return False

    @cached_property
    def apart(self) -> Array:
        """(K, K) 1 - cosines."""
        return 1.0 - self.cosines

    def exponentials(self, temperature: float) -> Array:
        """(K, K) e^{(cosines - 1)/temperature}, kept: a loss, its derivative and its certificate all start from it."""
        if temperature not in self._exponentials:
            exponents: Array = self.cosines - 1.0
            exponents /= temperature
            np.exp(exponents, out=exponents)
            self._exponentials[temperature] = exponents
        return self._exponentials[temperature]

    def beside(self, temperature: float, bare: NDArray[np.bool_]) -> tuple[Array, Array]:
        """(K, K) `apart`, in rows that are `bare` less any number, and e^(-that/temperature)."""
        del bare
        return self.apart, self.exponentials(temperature)

    @cached_property
    def quotient(self) -> Array:
        """(K, K) the matrix B above."""
        return self.orbits.quotient(self.cosines, 1.0)

    @cached_property
    def eigenvalues(self) -> Array:
        """(K,) the eigenvalues of B, ascending."""
        return np.asarray(np.linalg.eigvalsh(self.quotient), dtype=np.float64)

    @cached_property
    def smallest_eigenvalue(self) -> float:
        """The smallest eigenvalue of the whole Gram matrix."""
        spread = 1.0 - np.diag(self.cosines)[self.orbits.plural]
        inside = None if self.balance is None else smallest_alone(self.quotient, np.sqrt(self.sizes) * self.balance)
        return float(min(self.eigenvalues[0] if inside is None else inside, spread.min(initial=np.inf)))

    def rank(self, tol: float = 1e-8) -> int:
        """The number of eigenvalues above `tol`."""
        spread = 1.0 - np.diag(self.cosines)
        inside = np.where(self.orbits.plural & (spread > tol), self.sizes - 1.0, 0.0)
        return round(float(np.count_nonzero(self.eigenvalues > tol) + inside.sum()))

    def repaired(self) -> tuple[OrbitGram, float]:
        """The nearest point of the segment to the identity that is positive semidefinite, and how far along it is.

        G' = (1 - t) G + t I with t = max(0, -lambda_min)/(1 - lambda_min) keeps the diagonal and the orbits. Where only
        rounding makes G indefinite, m times an ulp for orbits of many atoms, see `_repaired_by_blocks`.
        """
        return self._repaired

    @cached_property
    def _repaired(self) -> tuple[OrbitGram, float]:
        smallest = self.smallest_eigenvalue
        if not smallest < 0:
            return self, 0.0
        step = -smallest / (1.0 - smallest)
        if step <= 64.0 * np.finfo(float).eps * self.orbits.atoms and np.any(self.orbits.plural):
            blockwise, less = self._repaired_by_blocks()
            if less < step:
                return blockwise, less
        cosines = (1.0 - step) * self.cosines
        cosines[np.diag_indices_from(cosines)] = np.where(self.orbits.plural, np.diag(cosines), 1.0)
        return OrbitGram(self.orbits, cosines, slopes=self.slopes), step

    def _repaired_by_blocks(self) -> tuple[OrbitGram, float]:
        """The nearest positive semidefinite point of the segment to P, and how far along it is.

        P is block diagonal: of every orbit with B_aa >= 1 the block of G itself, else the identity. It is a Gram matrix
        with quotient D = diag(max(B_aa, 1)), and D^-1/2 B D^-1/2 has entries up to 1, so that rounding moves its least
        eigenvalue by K ulps and not by m, and an orbit in one point stays one.
        """
        own = np.maximum(np.diag(self.quotient), 1.0)
        root = np.sqrt(own)
        smallest = float(np.linalg.eigvalsh(self.quotient / root / root[:, None])[0])
        step = max(0.0, -smallest / (1.0 - smallest))
        cosines = (1.0 - step) * self.cosines
        inside = np.minimum(np.diag(self.cosines), 1.0)
        inside = np.where(np.diag(self.quotient) >= 1.0, inside, np.diag(cosines))
        np.fill_diagonal(cosines, np.where(self.orbits.plural, inside, 1.0))
        return OrbitGram(self.orbits, cosines, slopes=self.slopes), step

    def expand(self) -> Array:
        """(m, m) the Gram matrix over the atoms in the caller's order. Costs 8 m^2 bytes."""
        labels = self.orbits.listed()
        gram = self.cosines[labels[:, None], labels]
        np.fill_diagonal(gram, 1.0)
        return gram

    def ungrouped(self) -> OrbitGram:
        """The same Gram matrix with every atom an orbit of its own."""
        return OrbitGram(self.orbits.singletons(), self.expand())

    def mean_factor(self, tol: float = 1e-12) -> Array:
        """(K, r) the orbit means, as rows: B = diag(sqrt n) M M^T diag(sqrt n) with r eigenvalues above `tol`."""
        values, vectors = np.linalg.eigh(self.quotient)
        keep = values > tol * max(values[-1], 1.0)
        return vectors[:, keep] * np.sqrt(values[keep]) / np.sqrt(self.sizes)[:, None]

    def embed(self) -> Array:
        """(m, rank) unit rows whose Gram matrix this is.

        Each orbit is a regular simplex in a block of coordinates of its own, moved to its mean. Costs 8 m rank bytes.
        """
        labels = self.orbits.listed()
        spread = np.sqrt(np.clip(1.0 - np.diag(self.cosines), 0.0, None))
        blocks = [self.mean_factor()[labels]]
        for a in np.flatnonzero(self.orbits.plural & (spread > 1e-7)):
            # The rows of the transposed Helmert matrix have Gram matrix I - 11^T/size: a centred regular simplex.
            simplex = spread[a] * helmert(int(self.sizes[a])).T
            blocks.append(np.zeros((len(labels), simplex.shape[1])))
            blocks[-1][labels == a] = simplex
        points = np.hstack(blocks)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        return points

    def merged(self, tol: float = 1e-8) -> list[list[int]]:
        """The groups of orbits that sit in one point (all their cosines within `tol` of 1), largest sizes' order kept.

        An orbit of several atoms is a group by itself when its atoms coincide; an orbit of one atom never is.
        """
        close = self.cosines >= 1.0 - tol
        closed = np.diag(close)
        first = (close & closed).argmax(axis=1)  # of the orbits in the point of each
        groups = [np.flatnonzero(closed & (first == a)).tolist() for a in np.unique(first[closed])]
        return [group for group in groups if len(group) > 1 or self.orbits.plural[group[0]]]
