"""Losses as functions of unit vectors: value and derivative by the objectives' own formulas, in NumPy."""

from typing import Any, Protocol

import numpy as np

from ...arrays import Array
from ...geometry.orbit_gram import OrbitGram
from ...objectives.base import Objective
from ...objectives.kinds.parts import PartedSum
from ...objectives.rows.row_softmax import RowSoftmax

# Numbers in a block of rows, what stays in a core's cache, and the fewest rows that are worth a product.
_BLOCK, _ROWS = 2**17, 128


class PointLoss(Protocol):
    """A loss above its floor as a function of (m, d) unit rows; arrays are NumPy's or JAX's, as they came."""

    def slope(self, points: Any) -> tuple[float, Any]:
        """The loss above its floor, and (m, d) its derivative in the points, not projected."""
        ...

    def pulls(self, points: Any) -> Any:
        """(m,) the sum of the sizes of all forces on a point; two that cancel both count."""
        ...


def point_loss(objective: Objective, dtype: type = np.float64) -> PointLoss:
    """The loss of one unit vector per atom, for an objective whose atoms are listed one by one.

    Row softmax and sums of it take two matrix products a block of rows, in float64 or float32. Any other objective is
    evaluated by its own `excess` and `row_gradient` on the (m, m) Gram matrix, in float64.
    """
    if isinstance(objective, PartedSum):
        plain = sum(one.floor - one.plain_floor for one in objective.losses)
        return _Sum([point_loss(one, dtype) for one in objective.losses], plain)
    if isinstance(objective, RowSoftmax):
        return _Softmax(objective, dtype)
    return _Dense(objective)


def positive_excess(objective: Objective) -> bool:
    """Whether the loss above its floor is positive whatever the points: with all cosines at -1 it is lowest.

    That holds for a loss that only repels; one that attracts is above its floor everywhere.
    """
    orbits = objective.orbits
    cosines = np.full((len(orbits.sizes),) * 2, -1.0)
    cosines[np.diag_indices_from(cosines)] = np.where(orbits.plural, -1.0, 1.0)
    return objective.excess(OrbitGram(orbits, cosines)) > 0


class _Sum:
    def __init__(self, terms: list[PointLoss], constant: float):
        self.terms, self.constant = terms, constant

    def slope(self, points: Array) -> tuple[float, Array]:
        values, slopes = zip(*(one.slope(points) for one in self.terms), strict=True)
        return sum(values) + self.constant, sum(slopes[1:], slopes[0])

    def pulls(self, points: Array) -> Array:
        return np.sum([one.pulls(points) for one in self.terms], axis=0)


class _Dense:
    """Any objective, on the whole Gram matrix."""

    def __init__(self, objective: Objective):
        self.objective = objective.ungrouped()

    def slope(self, points: Array) -> tuple[float, Array]:
        gram = self._gram(points)
        return self.objective.excess(gram), self._forces(gram) @ points

    def pulls(self, points: Array) -> Array:
        return np.abs(self._forces(self._gram(points))).sum(axis=1)

    def _gram(self, points: Array) -> OrbitGram:
        cosines = np.clip(points @ points.T, -1.0, 1.0)
        np.fill_diagonal(cosines, 1.0)
        return OrbitGram(self.objective.orbits, cosines)

    def _forces(self, gram: OrbitGram) -> Array:
        forces = self.objective.row_gradient(gram)
        forces = forces + forces.T
        np.fill_diagonal(forces, 0.0)
        return forces


class _Softmax:
    """sum_i m_i [ log(a_i + sum_{j != i} W_ij E_ij) - sum_j P_ij t_ij / tau ],  t_ij = z_i . z_j - 1,  E = e^{t / tau}.

    With D_i the argument of the logarithm and p_i = m_i / (tau D_i) the derivative in the points is C z, for the
    symmetric C_ij = (p_i W_ij + p_j W_ji) E_ij - (m_i P_ij + m_j P_ji) / tau. Only pairs of a block of rows with
    itself and with later rows are computed: 3 m^2 d multiplications and m^2 / 2 exponentials, which are kept.
    """

    def __init__(self, objective: RowSoftmax, dtype: type):
        labels, count = objective.orbits.listed(), len(objective.orbits.sizes)
        self.labels, self.tau, self.dtype = labels, objective.temperature, np.dtype(dtype).type
        self.masses, self.offsets = objective.masses[labels], objective.offsets[labels]
        self.bounded = self.offsets > 0
        self.safe = np.where(self.bounded, self.offsets, 1.0)
        self.floors = np.where(self.bounded, 0.0, objective._row_floors[labels])
        weights: Array = np.broadcast_to(objective.weights, (count, count)).astype(dtype, copy=False)
        # Rows that are all the same are one row.
        self.weights = weights[0][labels] if np.all(weights == weights[:1]) else weights
        self.pull: Array | None = (
            None if objective.positives is None else (2.0 * np.asarray(objective.attraction)).astype(dtype)
        )

    def slope(self, points: Array) -> tuple[float, Array]:
        z = np.ascontiguousarray(points, dtype=self.dtype)
        value, strengths, exponentials = self._rows(z)
        slope = np.zeros_like(z)
        for first, block in exponentials:
            last = first + len(block)
            forces = self._forces(first, block, strengths)
            slope[first:last] += forces @ z[first:]
            slope[last:] += forces[:, len(block) :].T @ z[first:last]
        return value, slope.astype(points.dtype, copy=False)

    def pulls(self, points: Array) -> Array:
        _, strengths, exponentials = self._rows(np.ascontiguousarray(points, dtype=self.dtype))
        pulls = np.zeros(len(points))
        for first, block in exponentials:
            forces = np.abs(self._forces(first, block, strengths, 1.0))
            pulls[first : first + len(block)] += forces.sum(axis=1)
            pulls[first + len(block) :] += forces[:, len(block) :].sum(axis=0)
        return pulls

    def _rows(self, z: Array) -> tuple[float, Array, list[tuple[int, Array]]]:
        """The loss above its floor, (m,) p, and E in blocks of rows, each from its first column on."""
        atoms = len(z)
        size = min(max(_BLOCK // atoms, _ROWS), atoms)
        sums, pulled, blocks = np.zeros(atoms), 0.0, []
        scaled = z / self.dtype(self.tau)
        for first in range(0, atoms, size):
            last = min(first + size, atoms)
            block, own = scaled[first:last] @ z[first:].T, np.arange(last - first)
            block -= self.dtype(1.0 / self.tau)
            if self.pull is not None:
                work = self._pairs(self.pull, first, last) * block
                pulled -= self.tau * float(work[:, len(own) :].sum() + 0.5 * work[:, : len(own)].sum())
            np.exp(block, out=block)
            block[own, own] = 0.0
            if self.weights.ndim == 1:
                sums[first:last] += block @ self.weights[first:]
                sums[last:] += self.weights[first:last] @ block[:, len(own) :]
            else:
                sums[first:last] += np.sum(self._pairs(self.weights, first, last) * block, axis=1)
                back = self._pairs(self.weights.T, first, last) * block
                sums[last:] += back[:, len(own) :].sum(axis=0)
            blocks.append((first, block))
        with np.errstate(divide="ignore"):
            rows = np.where(self.bounded, np.log1p(sums / self.safe), np.log(sums) - self.floors)
        strengths = self.masses / (self.offsets + sums) / self.tau
        return float(self.masses @ rows) + pulled, strengths.astype(self.dtype), blocks

    def _forces(self, first: int, block: Array, strengths: Array, sign: float = -1.0) -> Array:
        """C from row and column `first` on; with sign 1 both its parts count as positive."""
        last = first + len(block)
        ours, theirs = strengths[first:last, None], strengths[first:]
        if self.weights.ndim == 1:
            forces = ours * self.weights[first:]
            forces += self.weights[first:last, None] * theirs
        else:
            forces = ours * self._pairs(self.weights, first, last)
            forces += self._pairs(self.weights.T, first, last) * theirs
        forces *= block
        if self.pull is not None:
            pull: Array = self._pairs(self.pull, first, last)
            own = np.arange(len(block))
            pull[own, own] = 0.0
            forces += self.dtype(sign) * pull
        return forces

    def _pairs(self, matrix: Array, first: int, last: int) -> Array:
        """Numbers by orbits, for the pairs of a block of atoms with itself and all later ones."""
        return matrix[np.ix_(self.labels[first:last], self.labels[first:])]
