"""Weights of pairs of samples, as weighted InfoNCE takes them: kept in logarithms, and by orbits of samples alike."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from ...arrays import Array, frozen
from ...errors import ProblemError
from ...geometry.orbit_gram import Orbits

# K x K arrays, of which a verdict holds about ten: 2 GB.
MOST_ORBITS = 5000


@dataclass(frozen=True, eq=False)
class Weighting:
    """The weights w_ij >= 0 of one sample's partners, rows of sum 1, for N samples in K orbits of exchangeable ones.

    Make one with `weighting_from_matrix`, `y_aware_weights`, `x_clr_weights` or `soft_supcon_weights`.
    """

    orbits: Orbits  # which samples are exchangeable (repeated labels)
    logs: Array = field(repr=False)  # (K, K) log w_ij for one partner j in orbit b of a sample i in orbit a
    own: Array = field(repr=False)  # (K,) log w_ii, -inf without self-pairs
    self_pairs: bool  # whether j = i is a term of the sums
    name: str = "weights"
    rounding: float = float(np.finfo(np.float64).eps)  # the relative error of the weights as they were given
    labels: Array | None = field(default=None, repr=False)  # (K, d), where the weights are a kernel of their distances
    bandwidth: float | None = None  # sigma of that kernel
    kernel: str | None = None
    # Where a few labels stand for many: how many, and how far from them in the root mean square, in bandwidths. All
    # else is then of these few, with the sizes of what they stand for.
    represented: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        for name in ("logs", "own"):
            object.__setattr__(self, name, frozen(name, getattr(self, name)))

    @classmethod
    def normalised(
        cls,
        orbits: Orbits,
        logs: Array,
        own: Array,
        self_pairs: bool,
        name: str,
        **kernel: Any,
    ) -> Weighting:
        """The weighting with these logarithms of weights, up to the sums of rows; `kernel` is what else is known.

        Raises:
            ProblemError: more than 5000 orbits, a single sample, self_pairs that are not True or False, or a sample
                without any partner.
        """
        if len(orbits.sizes) > MOST_ORBITS:
            raise ProblemError(
                f"weights: at most {MOST_ORBITS} different samples; got {len(orbits.sizes)} (take a random subset)"
            )
        if orbits.atoms < 2:
            raise ProblemError(f"weights: must be over two samples or more; got {orbits.atoms:g}")
        check_self_pairs(self_pairs)
        own = own if self_pairs else np.full(len(own), -np.inf)
        with np.errstate(divide="ignore"):
            many = np.log(orbits.partners) + logs
        sums = logsumexp(np.column_stack([np.where(orbits.partners > 0, many, -np.inf), own]), axis=1)
        alone = np.flatnonzero(np.isneginf(sums))
        if alone.size:
            first = int(np.flatnonzero(orbits.listed() == alone[0])[0])
            hint = "" if self_pairs else " (self-pairs count for nothing here: leave it out, or put self-pairs in)"
            raise ProblemError(
                f"weights: every sample needs a partner of weight above 0; sample {first} has none{hint}"
            )
        return cls(orbits, logs - sums[:, None], own - sums, bool(self_pairs), name, **kernel)

    @property
    def samples(self) -> int:
        """N."""
        return round(self.orbits.atoms)

    @property
    def convention(self) -> str:
        """Whether self-pairs are in, in words."""
        return "self-pairs in" if self.self_pairs else "self-pairs out"

    @cached_property
    def entropies(self) -> Array:
        """(K,) H(w_i) = -sum_j w_ij log w_ij of one sample of each orbit, in nats."""
        terms = self.orbits.partners * _minus_x_log_x(self.logs)
        return np.asarray(terms.sum(axis=1) + _minus_x_log_x(self.own), dtype=np.float64)

    @property
    def entropy_bound(self) -> float:
        """Mean H(w_i): no similarities whatever make the loss smaller."""
        return float(self.orbits.sizes @ self.entropies / self.orbits.atoms)

    @cached_property
    def zeros(self) -> NDArray[np.bool_]:
        """(K, K) which pairs of samples that exist have weight 0; on the diagonal, those inside an orbit."""
        return np.isneginf(self.logs) & (self.orbits.partners > 0)

    @property
    def positive(self) -> bool:
        """Whether every term of the sums has a weight above 0."""
        return not (self.zeros.any() or (self.self_pairs and np.isneginf(self.own).any()))

    def log_matrix(self) -> Array:
        """(N, N) log w_ij in the caller's order; -inf on the diagonal without self-pairs."""
        labels = self.orbits.listed()
        logs = self.logs[labels[:, None], labels]
        np.fill_diagonal(logs, self.own[labels])
        return logs

    def per_atom(self, labels: NDArray[np.intp]) -> Weighting:
        """The same weights, each sample an orbit."""
        kept = None if self.labels is None else self.labels[labels]
        single, logs = self.orbits.singletons(), self.log_matrix()
        return replace(self, orbits=single, logs=logs, own=self.own[labels], labels=kept)

    def expand(self) -> Array:
        """(N, N) the weights in the caller's order, rows of sum 1; the diagonal is 0 without self-pairs."""
        return np.exp(self.log_matrix())


def _minus_x_log_x(logs: Array) -> Array:
    return np.where(np.isneginf(logs), 0.0, -np.exp(logs) * np.where(np.isneginf(logs), 0.0, logs))


def weighting_from_matrix(weights: ArrayLike, *, self_pairs: bool | None = None, name: str = "weights") -> Weighting:
    """The weighting with these weights, samples whose rows and columns are alike folded into orbits.

    Args:
        weights: (N, N) not negative; rows are divided by their sums. They may be asymmetric.
        self_pairs: whether a sample is one of its own terms, with weight w_ii; None: if the diagonal is not all 0.
            Without self-pairs the diagonal is ignored.
        name: for reports.

    Raises:
        ProblemError: weights that are not square, not numbers, NaN, infinite or negative, a sample without partners,
            or more than 5000 samples that differ.

    Cost: O(N^2), and 8 N^2 bytes a few times.
    """
    try:
        given = np.asarray(weights)
        if given.dtype.kind not in "fiub":
            raise TypeError
        with np.errstate(over="ignore"):
            array = given.astype(np.float64)
    except (TypeError, ValueError):
        raise ProblemError(f"{name}: must be a square array of real numbers; got {type(weights).__name__}") from None
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ProblemError(f"{name}: must be square, one row and one column per sample; got shape {array.shape}")
    if len(array) < 2:
        raise ProblemError(f"{name}: must be over two samples or more; got {len(array)}")
    bad = np.argwhere(~(np.isfinite(array) & (array >= 0)))
    if bad.size:
        i, j = bad[0]
        raise ProblemError(f"{name}: must be finite and not negative; entry [{i}, {j}] is {array[i, j]:g}")
    kind = given.dtype if given.dtype.kind == "f" and given.dtype.itemsize <= 8 else np.dtype(np.float64)
    smallest = float(np.finfo(kind).smallest_normal)
    faint = np.argwhere((array > 0) & (array < smallest))
    if faint.size:
        i, j = faint[0]
        raise ProblemError(
            f"{name}: must be 0 or at least {smallest:.3g}, below which {kind} loses digits; entry [{i}, {j}] is "
            f"{array[i, j]:.3g} (set such weights to 0, multiply the row, or compute it in a longer type)"
        )
    if self_pairs is None:
        self_pairs = bool(np.diag(array).any())
        if not self_pairs and looks_like_distances(array):
            raise ProblemError(
                f"{name}: must be weights, larger for samples that are more alike; these look like distances: 0 on the "
                "diagonal, and large where rows differ (write distances and a bandwidth; or leave self-pairs out "
                "explicitly, if they are weights)"
            )
    check_self_pairs(self_pairs)
    array = array.copy()
    if not self_pairs:
        np.fill_diagonal(array, 0.0)
    # The scale of a row means nothing; taken out as a power of 2, no digit of a logarithm is spent on it.
    mantissas, exponents = np.frexp(array)
    scale = np.where(array > 0, exponents, np.iinfo(exponents.dtype).min).max(axis=1, initial=-5000)[:, None]
    orbits = exchangeable(array)
    with np.errstate(divide="ignore"):
        full = np.log(mantissas) + (exponents - scale) * np.log(2.0)
    every, own = by_orbits(full, orbits)
    return Weighting.normalised(orbits, every, own, self_pairs, name, rounding=float(np.finfo(kind).eps))


def by_orbits(full: Array, orbits: Orbits) -> tuple[Array, Array]:
    """(K, K) an entry of two different samples, by their orbits, and (K,) the entry of one with itself."""
    labels = orbits.listed()
    first = np.unique(labels, return_index=True)[1]
    every = full[np.ix_(first, first)]
    own = np.diag(every).copy()
    for a in np.flatnonzero(orbits.plural):
        i, j = np.flatnonzero(labels == a)[:2]
        every[a, a] = full[i, j]
    return every, own


def looks_like_distances(matrix: Array) -> bool:
    """Whether a matrix with a diagonal of 0 grows where the rows of two samples differ, as distances do.

    The correlation of its entries with the distances between rows tells. O(N^3), of 200 samples at most.
    """
    matrix = matrix[:200, :200]
    off = ~np.eye(len(matrix), dtype=bool)
    if len(matrix) < 5 or not np.array_equal(matrix, matrix.T) or not (matrix[off] > 0).all():
        return False
    least = np.min([row[:, None] + row for row in matrix], axis=0)
    if (matrix > (1.0 + 1e-9) * least).any():
        return False
    squares = np.einsum("ij,ij->i", matrix, matrix)
    apart = squares[:, None] + squares - 2.0 * matrix @ matrix.T - 2.0 * matrix**2
    rows = np.sqrt(np.maximum(apart[off], 0.0))
    if np.ptp(rows) <= 1e-9 * rows.max(initial=0.0) or np.ptp(matrix[off]) == 0.0:
        return False
    return bool(np.corrcoef(matrix[off], rows)[0, 1] > 0.2)


def check_self_pairs(self_pairs: object) -> None:
    """Nothing, or a ProblemError unless it is True or False."""
    if not isinstance(self_pairs, (bool, np.bool_)):
        raise ProblemError(f"self_pairs: must be True or False; got {self_pairs!r:.40}")


def exchangeable(matrix: Array) -> Orbits:
    """Orbits of samples that can be swapped without changing the matrix, in the order of their first sample."""
    # Candidates share a hash of row and column, the own entry replaced by the row's largest other one, with repeated
    # labels that of a twin; then they are compared. A twin that is missed costs speed only.
    filled = matrix + 0.0
    np.fill_diagonal(filled, -np.inf)
    np.fill_diagonal(filled, filled.max(axis=1))
    bits, salt = filled.view(np.int64), np.random.default_rng(0).integers(2**62, size=len(matrix))
    keys = zip((bits @ salt).tolist(), (salt @ bits).tolist(), np.diag(matrix).tolist(), strict=True)
    heads: dict[tuple, list[int]] = {}
    labels = np.arange(len(matrix))
    for i, key in enumerate(keys):
        known = heads.setdefault(key, [])
        labels[i] = next((head for head in known if _alike(matrix, head, i)), i)
        if labels[i] == i:
            known.append(i)
    labels = np.unique(labels, return_inverse=True)[1]
    return Orbits(np.bincount(labels).astype(np.float64), labels)


def _alike(matrix: Array, i: int, j: int) -> bool:
    if matrix[i, i] != matrix[j, j] or matrix[i, j] != matrix[j, i]:
        return False
    row, column = matrix[i] == matrix[j], matrix[:, i] == matrix[:, j]
    row[[i, j]] = column[[i, j]] = True
    return bool(row.all() and column.all())
