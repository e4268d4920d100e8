"""Losses whose anchors see only atoms that are no anchors, a cosine classifier's: their slack matrix without these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..geometry.orbits import OrbitGram, Orbits
from ..objectives.base import Objective
from ..objectives.rows.row_softmax import RowSoftmax
from .slack import Slack


@dataclass(frozen=True, eq=False)
class Bipartite:
    """A row softmax of C anchors z over C others w, anchor y with the single positive w_y and no offset.

        L = sum_y m_y log( 1 + sum_{k != y} W_yk/W_yy e^{s (X_yk - X_yy)} ),       X_yk = z_y.w_k,

    up to a constant. Only X counts. With F = dL/dX, and a, b the multipliers of |z_y| = 1 and |w_k| = 1, the optimality
    conditions are

        F W = -Diag(a) Z,    F^T Z = -Diag(b) W,    [[Diag(a), F], [F^T, Diag(b)]] >= 0.

    If besides the balance sum_y u_y z_y = 0 no direction is lost, the last is of rank C + 1, its Schur complement
    Diag(a) - F Diag(b)^{-1} F^T = u u^T. In the unknowns X and log u that is, for y < k and j neither of the two,

        rho_y F_ky + rho_k F_yk = u_y u_k + sum_j F_yj F_kj / b_j,       rho = -F_yy/b_y,
        a_y = F_yy^2/b_y + sum_{j != y} F_yj^2/b_j + u_y^2,              a = -diag(F X^T),  b = -diag(F^T X),
        sum_y u_y X_yk = 0,       and       H = -Diag(b)^{-1} F^T X is symmetric:

    C^2 + C equations. H is the Gram matrix of the w, that of the z is -Diag(a)^{-1} F X^T, and all of them together
    are a Gram matrix iff H is one. The first line has terms of one sign only, each of the size m_y m_k whatever the
    masses, and is taken in logarithms. On spheres two rare classes of mass m turn about frequent ones against m of what
    ties an anchor to its positive, along a valley as narrow as sqrt(m); here nothing is stiff, and the equations have
    condition numbers of 10 to 200 at masses down to 1e-10.

    Attributes:
        anchors: (C,) the places of the anchors among the orbits.
        others: (C,) those of their positives.
        masses: (C,) m.
        weights: (C, C) W_yk / W_yy.
        scale: s.

    Cost: a Newton step takes some ten to sixty products of O(C^3).
    Source: ours.
    """

    anchors: NDArray[np.intp]
    others: NDArray[np.intp]
    masses: Array
    weights: Array
    scale: float

    @classmethod
    def of(cls, objective: Objective) -> Bipartite | None:
        """The objective in this form; None where it has another, or fewer than three classes."""
        if not isinstance(objective, RowSoftmax) or objective.positives is None or np.any(objective.orbits.sizes != 1):
            return None
        anchors, rest = np.flatnonzero(objective.masses > 0), np.flatnonzero(objective.masses == 0)
        if len(anchors) != len(rest) or len(anchors) < 3 or np.any(objective.offsets[anchors] > 0):
            return None
        positives = np.asarray(objective.positives)[anchors]
        weights = np.broadcast_to(objective.weights, objective.orbits.partners.shape)[anchors]
        others = rest[positives[:, rest].argmax(axis=1)]
        matched = np.zeros_like(positives)
        matched[np.arange(len(anchors)), others] = 1.0
        if len(set(others.tolist())) < len(others) or not np.array_equal(positives, matched):
            return None
        if np.any(weights[:, anchors] > 0) or not weights[:, others].min() > 0:
            return None
        weights = weights[:, others] / np.diag(weights[:, others])[:, None]
        return cls(anchors, others, objective.masses[anchors], weights, 1.0 / objective.temperature)

    @property
    def merged(self) -> RowSoftmax:
        """The loss with every anchor in one point with its positive: a guess, and a good one at low temperature."""
        count = len(self.masses)
        return RowSoftmax(
            orbits=Orbits(np.ones(count), np.arange(count)),
            masses=self.masses,
            weights=self.weights,
            offsets=np.ones(count),
            temperature=1.0 / self.scale,
        )

    def between(self, gram: OrbitGram) -> Array:
        """(C, C) X of a Gram matrix of all atoms."""
        return np.asarray(gram.cosines[np.ix_(self.anchors, self.others)])

    def pulls(self, cosines: Array) -> tuple[Array, Array]:
        """(C, C) W_yk e^{s (X_yk - X_yy)} of the classifiers of others, and (C,) their sum over 1 + their sum."""
        pulls = self.weights * np.exp(self.scale * (cosines - np.diag(cosines)[:, None]))
        np.fill_diagonal(pulls, 0.0)
        rests = pulls.sum(axis=1)
        return pulls, rests / (1.0 + rests)


def without_classifiers(slack: Slack) -> Slack | None:
    """The slack matrix of the anchors with the classifiers eliminated; None for other losses.

    In rows of S two rare classes turn about frequent ones against their mass times what ties an anchor to its positive,
    and 0.1 of a cosine may be 1e-10 of a row. In the Schur complement Diag(a) - F Diag(b)^{-1} F^T, which is positive
    semidefinite with S and T Z = 0 where S G = 0, nothing ties them, and off its diagonal are terms of size m_y m_k,

        T_yk = rho_y F_ky + rho_k F_yk - sum_j F_yj F_kj / b_j,       rho = -F_yy/b_y,    j neither y nor k.
    """
    loss = Bipartite.of(slack.objective)
    if loss is None:
        return None
    cosines, units = loss.between(slack.gram), loss.masses * loss.scale
    pulls, rests = loss.pulls(cosines)
    apart = units[:, None] * pulls / (1.0 + pulls.sum(axis=1))[:, None]
    inward = units * rests * np.diag(cosines) - np.sum(apart * cosines, axis=0)
    rho = units * rests / inward
    entries = rho[:, None] * apart.T + rho * apart.copy() - (apart / inward) @ apart.T
    entries = (entries + entries.T) / 2.0
    np.fill_diagonal(entries, 0.0)
    anchors = slack.gram.cosines[np.ix_(loss.anchors, loss.anchors)]
    gram = OrbitGram(Orbits(np.ones(len(units))), anchors.copy())
    diagonal = -np.sum(entries * anchors, axis=1)
    return Slack(slack.objective, gram, entries, np.where(inward > 0, diagonal, -1.0), np.zeros(len(units)), 0.0)
