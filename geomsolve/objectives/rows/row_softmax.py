"""Row softmax: the form that almost every contrastive loss takes over class means."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...arrays import Array
from ...errors import ProblemError
from ...geometry.orbit_gram import OrbitGram
from ..base import Objective, RowModel, check_weights
from ..net_forces import FineRows, Rows, entropic_floors, fine_rows, net_forces, settled_excess


@dataclass(frozen=True, eq=False, kw_only=True)
class SoftmaxRows(Objective):
    """Base of what has a softmax in every row."""

    weights: Array
    offsets: Array

    def _validate(self) -> None:
        super()._validate()
        shape = self.orbits.partners.shape
        check_weights("weights", self.weights, shape)
        check_weights("offsets", self.offsets, shape[:1])
        bare = self.offsets <= 0
        if np.any(bare) and np.any(bare & (self._negatives.sum(axis=1) <= 0)):
            raise ProblemError(
                "weights, offsets: every row needs an offset or a weight above 0; the log of 0 is no loss"
            )

    @property
    def _taus(self) -> Array | float:
        """Tau, or (K, 1) those of the rows."""
        return self.temperature

    def _exponentials(self, gram: OrbitGram) -> Array:
        return gram.exponentials(self.temperature)

    @cached_property
    def _negatives(self) -> Array:
        return self.orbits.partners * self.weights

    def _sums(self, gram: OrbitGram) -> Array:
        """(K,) sum_j W_ij e^{t_ij/tau}."""
        return np.einsum("ab,ab->a", self._negatives, self._exponentials(gram))

    def rows(self, gram: OrbitGram) -> RowModel:
        """With q_ij = W_ij e^{t_ij/tau} / Z_i and Q = sum q: repulsion m q/tau, softness tau, answer Q/tau."""
        sums, tau = self._sums(gram), self._taus
        denominators = self.offsets + sums
        repulsion = self._exponentials(gram) * self.weights
        repulsion *= (self.masses / denominators)[:, None] / tau
        softness = tau + np.zeros_like(repulsion) if np.ndim(tau) else tau
        return RowModel(repulsion, softness, (sums / denominators)[:, None] / tau)


@dataclass(frozen=True, eq=False, kw_only=True)
class RowSoftmax(SoftmaxRows):
    """Row softmax, the form almost every contrastive loss takes over class means.

        L(G) = sum_i m_i [ - sum_j P_ij t_ij / tau  +  log( a_i + sum_{j != i} W_ij e^{t_ij / tau} ) ],  t_ij = G_ij - 1

    Attributes:
        weights: (K, K) W >= 0 for one partner.
        offsets: (K,) a >= 0, what an anchor's own class contributes to its denominator.
        positives: (K, K) P >= 0 for one partner, or None where positives coincide with their anchor.
    """

    positives: Array | None = None

    def _validate(self) -> None:
        super()._validate()
        if self.positives is not None:
            check_weights("positives", self.positives, self.orbits.partners.shape)

    @cached_property
    def _plain_floors(self) -> Array:
        # Without an offset: every other class at the antipode, t = -2, which can be attained, and one nat below it, so
        # that no gap is ever measured against an excess of 0.
        with np.errstate(divide="ignore", invalid="ignore"):
            antipodal = np.log(self._negatives.sum(axis=1)) - 2.0 / self.temperature - 1.0
            return np.where(self.offsets > 0, np.log(self.offsets), antipodal)

    @cached_property
    def _row_floors(self) -> Array:
        """Log a, every other class infinitely far away; where a = 0 and there are positives, `entropic_floors`."""
        rows = self._rows
        if rows is None:
            return self._plain_floors
        bare = self.offsets <= 0
        with np.errstate(divide="ignore", invalid="ignore"):
            floors = np.where(bare, np.maximum(self._plain_floors, entropic_floors(rows)), self._plain_floors)
            return np.where(rows.settled & bare, np.log(rows.nearby), floors)

    @property
    def plain_floor(self) -> float:
        """Sum m log a (at the antipode where a = 0), whatever attracts."""
        return self._summed(self._plain_floors)

    @cached_property
    def _rows(self) -> Rows | None:
        if self.positives is None:
            return None
        weights = np.broadcast_to(self.weights, self.orbits.partners.shape)
        return Rows(self.masses, weights, self.offsets, self.positives, self.orbits.partners, self.temperature)

    @cached_property
    def _above(self) -> Array | float:
        """(K,) what no geometry takes from a settled row, above its floor: see `settled_excess`."""
        rows = self._rows
        if rows is None:
            return 0.0
        return np.where(rows.settled, np.log(np.where(rows.settled, rows.nearby, 1.0)) - self._row_floors, 0.0)

    def _row_excess(self, gram: OrbitGram) -> Array:
        return self._resolved(gram) + self._above

    def resolved(self, gram: OrbitGram) -> float:
        """The excess less what no geometry takes from it."""
        return self._summed(self._resolved(gram))

    def _resolved(self, gram: OrbitGram) -> Array:
        """(K,) through log1p, so e^{-1/tau} is seen at low temperature."""
        sums, rows = self._sums(gram), self._rows
        with np.errstate(divide="ignore", invalid="ignore"):
            plain = np.where(
                self.offsets > 0,
                np.log1p(sums / np.where(self.offsets > 0, self.offsets, 1.0)),
                np.log(sums) - self._plain_floors,
            )
        if rows is None:
            return plain
        plain -= np.sum(rows.partners * rows.positives * (gram.cosines - 1.0), axis=1) / self.temperature
        plain += self._plain_floors - self._row_floors - self._above
        fine, close = settled_excess(rows, gram)
        return np.where(rows.settled & close, fine, plain)

    def fine_rows(self, gram: OrbitGram) -> FineRows | None:
        """See the function of that name."""
        return None if self._rows is None else fine_rows(self._rows, gram)

    def row_gradient(self, gram: OrbitGram) -> Array:
        """m_i (q_ij - P_ij) / tau, not as a difference of the two where they nearly cancel: see `net_forces`."""
        return self.rows(gram).repulsion if self._rows is None else net_forces(self._rows, gram)[0]

    def row_terms(self, gram: OrbitGram) -> tuple[Array, Array] | None:
        """The sizes that `net_forces` gives."""
        return None if self._rows is None else net_forces(self._rows, gram)[1:]

    @cached_property
    def attraction(self) -> Array | float:
        """(m_i P_ij + m_j P_ji) / (2 tau)."""
        if self.positives is None:
            return 0.0
        return self.orbits.mirrored(self.masses[:, None] * self.positives) / self.temperature


@dataclass(frozen=True, eq=False, kw_only=True)
class ViewedRows(RowSoftmax):
    """Row softmax over examples, the views of each in one point."""

    own_shares: Array  # (K,) the share of an example's attraction that goes to its own views
    views: int
    self_pairs: bool = False  # whether an embedding is its own positive and in its own denominator

    def untied(self, gram: OrbitGram) -> float:
        """How far the loss can fall, at most, where the views of an example may part.

        Over all views, S has on differences between the V views of example i the eigenvalue (S_ii - V d_i)/V, S_ii that
        over examples and d_i = m_i/tau (1/Z_i - own_i/V') the derivative in the cosine of two of its views; V' = V with
        self-pairs, V - 1 without. Where none is negative, views stay together; else the trace of all bounds the gain.
        """
        if self.views == 1:
            return 0.0
        others = self.views if self.self_pairs else self.views - 1
        diagonal = -self.orbits.over_partners(self.orbits.mirrored(self.row_gradient(gram)) * gram.cosines)
        unit = self.masses / self.temperature
        apart = self.views * unit * (1.0 / (self.offsets + self._sums(gram)) - self.own_shares / others)
        left = diagonal - apart + 1e-12 * unit
        return float(self.orbits.atoms * max(0.0, -left.min()))
