"""The certificate: how far a Gram matrix can be from optimal, from (objective, Gram matrix) alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .orbits import OrbitGram

if TYPE_CHECKING:
    from .objectives.base import Objective

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Certificate:
    """What is proved of a Gram matrix.

    Attributes:
        value: the loss of the repaired Gram matrix.
        gap: an upper bound of value - optimum: absolute, in nats.
        lower_bound: value - gap, below the loss of every Gram matrix on the sphere.
        excess: value minus the floor no geometry goes below.
        relative_gap: gap / excess. At low temperature the excess is of order e^{-1/tau}, and a gap that is small beside
            the value says nothing.
        cosine_residual: how far the cosines are from what stationarity says they must be, in units of cosine. Classes
            of the tail weigh so little that a small gap alone does not fix their cosines.
        repair: how far the Gram matrix had to be moved towards the identity to be positive semidefinite.
        ball_gap: the same bound if embeddings may lie anywhere in the unit ball.
        ball_optimal: True where `ball_gap` proves the Gram matrix optimal over the ball too, False where shrinking
            some class provably lowers the loss, None where neither is proved.
    """

    value: float
    gap: float
    lower_bound: float
    excess: float
    relative_gap: float
    cosine_residual: float
    repair: float
    ball_gap: float
    ball_optimal: bool | None

    def holds(self, tol: float = 1e-9, *, cosine_tol: float = 1e-6) -> bool:
        """Whether the Gram matrix is proved optimal: relative gap and cosine residual both within tolerance."""
        return bool(self.relative_gap <= tol and self.cosine_residual <= cosine_tol)


def certify(objective: Objective, gram: OrbitGram | ArrayLike) -> Certificate:
    """The certificate of a Gram matrix for an objective, whichever solver, training run or guess it comes from.

    L is convex. With D its gradient at a feasible G, y_i = (D G)_ii and S = D - Diag(y), every unit-diagonal H >= 0 has

        L(H) >= L(G) + <D, H - G> = L(G) + <S, H> >= L(G) + m min(0, lambda_min(S)),

    so gap = m max(0, -lambda_min(S)), counted after the repair of G (no solver's dual is needed). lambda_min comes from
    the K x K form of S and carries an allowance for rounding, so a gap is never claimed below it. Where the loss has a
    kink, D is the subgradient closest to complementarity S G = 0. (Ours; the argument is standard convex duality.)

    Args:
        objective: the problem.
        gram: an OrbitGram on the objective's orbits, or any (C, C) Gram matrix in the caller's class order.

    Raises:
        ProblemError: a Gram matrix of the wrong shape, not finite, asymmetric, or without unit diagonal.

    Cost: two symmetric eigenvalue problems of size K (C for a plain matrix).
    """
    if not isinstance(gram, OrbitGram):
        gram, objective = OrbitGram.from_matrix(gram, objective.orbits), objective.ungrouped()
    elif not objective.orbits.same_as(gram.orbits):
        gram, objective = OrbitGram.from_matrix(gram.expand(), objective.orbits), objective.ungrouped()
    gram, repair = gram.repaired()
    excess = objective.excess(gram)
    slack = _Slack.of(objective, gram)
    gap = slack.gap
    ball_gap = gap + float(gram.sizes @ np.maximum(slack.radial, 0.0))
    relative = _ratio(gap, excess)
    if _ratio(ball_gap, excess) <= max(1e-9, relative):
        ball_optimal: bool | None = True
    else:
        # Shrinking class i changes the loss at the rate -2 y_i: a clearly positive y_i is a descent direction.
        ball_optimal = False if np.any(slack.radial > 1e-6 * slack.radial_scale) else None
    return Certificate(
        value=objective.floor + excess,
        gap=gap,
        lower_bound=objective.floor + (excess - gap),
        excess=excess,
        relative_gap=relative,
        cosine_residual=slack.cosine_residual(objective.temperature),
        repair=repair,
        ball_gap=ball_gap,
        ball_optimal=ball_optimal,
    )


def _ratio(gap: float, excess: float) -> float:
    if gap <= 0:
        return 0.0
    return gap / excess if excess > 0 else np.inf


@dataclass(frozen=True, eq=False)
class _Slack:
    """S = D - Diag(y) by orbits: off-diagonal entries, diagonal, and what they say."""

    gram: OrbitGram
    entries: Array  # (K, K) D_ij between two different atoms
    diagonal: Array  # (K,) S_ii
    radial: Array  # (K,) y_i with the derivative in G_ii counted: the multiplier of |z_i| <= 1
    radial_scale: Array  # (K,) the size of the terms y_i is the sum of
    support: float  # how far the supporting function lies below the loss at G

    @classmethod
    def of(cls, objective: Objective, gram: OrbitGram) -> _Slack:
        partners = gram.orbits.partners
        row, support = objective.support(gram)
        entries = (row + row.T) / 2.0
        pull = partners * entries
        diagonal = -np.einsum("ab,ab->a", pull, gram.cosines)
        # The loss sees G_ij - G_ii, so its derivative in G_ii is minus the row sum.
        own = -np.einsum("ab,ab->a", partners, row)
        scale = np.abs(own) + np.einsum("ab,ab->a", np.abs(pull), np.abs(gram.cosines))
        return cls(gram, entries, diagonal, own - diagonal, scale, support)

    @property
    def quotient(self) -> Array:
        root = np.sqrt(self.gram.sizes)
        quotient = root[:, None] * root * self.entries
        inside = np.where(self.gram.orbits.plural, (self.gram.sizes - 1.0) * np.diag(self.entries), 0.0)
        np.fill_diagonal(quotient, self.diagonal + inside)
        return quotient

    @property
    def spread(self) -> Array:
        """(K,) the eigenvalue of S on differences inside an orbit; infinite where there are none."""
        return np.where(self.gram.orbits.plural, self.diagonal - np.diag(self.entries), np.inf)

    @property
    def gap(self) -> float:
        quotient = self.quotient
        values = np.linalg.eigvalsh(quotient)
        smallest = min(values[0], self.spread.min())
        # Rounding: a few ulps of the norm for the eigenvalue, and of the terms each entry is the sum of.
        allowance = 8.0 * np.finfo(float).eps * max(abs(values[0]), abs(values[-1]))
        return self.support + float(self.gram.orbits.atoms * max(0.0, allowance - smallest))

    def cosine_residual(self, temperature: float) -> float:
        """The smaller of two readings, each of which is zero only at stationarity.

        Where S has rank one, S_ij = u_i u_j with u_i = sqrt(S_ii), so tau |log(u_i u_j / S_ij)| is the error of the
        cosine of i and j. Otherwise complementarity S G = 0, entry (i, k) in units of sqrt(S_ii S_kk) / tau.
        """
        counted = self.gram.orbits.partners > 0
        if not self.entries[counted].any():
            return 0.0  # no forces at all: every geometry is stationary
        if np.any(self.diagonal <= 0):
            return np.inf
        factor = np.sqrt(self.diagonal)
        product = factor[:, None] * factor
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.abs(np.log(product[counted] / self.entries[counted]))
        rank_one = np.inf if np.isnan(logs).any() else float(logs.max())
        if rank_one < 1e-6:
            return temperature * rank_one
        sizes = self.gram.sizes
        error = self.quotient @ self.gram.quotient / np.sqrt(sizes[:, None] * sizes)
        plural = self.gram.orbits.plural
        inside = np.where(plural, self.diagonal - np.diag(self.entries), 0.0) * (1.0 - np.diag(self.gram.cosines))
        wide = max(np.abs(error / product).max(), np.abs(inside / self.diagonal).max())
        return temperature * float(min(rank_one, wide))
