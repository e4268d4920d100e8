"""Losses whose anchors see only atoms that are no anchors, a cosine classifier's: their slack matrix without these."""

from __future__ import annotations

import numpy as np

from ..geometry.orbit_gram import OrbitGram, Orbits
from ..objectives.rows.row_softmax import RowSoftmax
from .slack import Slack


def without_classifiers(slack: Slack) -> Slack | None:
    """The slack matrix of the anchors with the classifiers eliminated; None for other losses.

    Of a row softmax of C anchors z over C others w, anchor y with the single positive w_y and no offset,

        L = sum_y m_y log( 1 + sum_{k != y} W_yk/W_yy e^{s (X_yk - X_yy)} ),       X_yk = z_y.w_k,

    with F = dL/dX and a, b the multipliers of |z_y| = 1 and |w_k| = 1, S is [[Diag(a), F], [F^T, Diag(b)]]. In rows of
    S two rare classes turn about frequent ones against their mass times what ties an anchor to its positive, and 0.1 of
    a cosine may be 1e-10 of a row. In the Schur complement Diag(a) - F Diag(b)^{-1} F^T, which is positive semidefinite
    with S and T Z = 0 where S G = 0, nothing ties them, and off its diagonal are terms of size m_y m_k,

        T_yk = rho_y F_ky + rho_k F_yk - sum_j F_yj F_kj / b_j,       rho = -F_yy/b_y,    j neither y nor k.
    """
    loss = slack.objective
    if not isinstance(loss, RowSoftmax) or loss.positives is None or np.any(loss.orbits.sizes != 1):
        return None
    anchors, rest = np.flatnonzero(loss.masses > 0), np.flatnonzero(loss.masses == 0)
    if len(anchors) != len(rest) or len(anchors) < 3 or np.any(loss.offsets[anchors] > 0):
        return None
    positives = np.asarray(loss.positives)[anchors]
    weights = np.broadcast_to(loss.weights, loss.orbits.partners.shape)[anchors]
    others = rest[positives[:, rest].argmax(axis=1)]
    matched = np.zeros_like(positives)
    matched[np.arange(len(anchors)), others] = 1.0
    if len(set(others.tolist())) < len(others) or not np.array_equal(positives, matched):
        return None
    if np.any(weights[:, anchors] > 0) or not weights[:, others].min() > 0:
        return None
    weights = weights[:, others] / np.diag(weights[:, others])[:, None]
    scale = 1.0 / loss.temperature
    cosines, units = slack.gram.cosines[np.ix_(anchors, others)], loss.masses[anchors] * scale
    pulls = weights * np.exp(scale * (cosines - np.diag(cosines)[:, None]))
    np.fill_diagonal(pulls, 0.0)
    sums = pulls.sum(axis=1)
    apart, tied = units[:, None] * pulls / (1.0 + sums)[:, None], units * sums / (1.0 + sums)
    inward = tied * np.diag(cosines) - np.sum(apart * cosines, axis=0)
    rho = tied / inward
    entries = rho[:, None] * apart.T + rho * apart.copy() - (apart / inward) @ apart.T
    entries = (entries + entries.T) / 2.0
    np.fill_diagonal(entries, 0.0)
    between = slack.gram.cosines[np.ix_(anchors, anchors)]
    gram = OrbitGram(Orbits(np.ones(len(units))), between.copy())
    diagonal = -np.sum(entries * between, axis=1)
    return Slack(loss, gram, entries, np.where(inward > 0, diagonal, -1.0), np.zeros(len(units)), 0.0)
