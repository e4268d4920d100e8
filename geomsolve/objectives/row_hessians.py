"""Second derivatives of rows, without subtracting large numbers: what Newton's method needs at low temperature."""

from __future__ import annotations

import numpy as np

from ..arrays import Array


def softmax_forms(shares: Array, own: Array, stiffness: Array) -> Array:
    """(K, K, K) the Hessians of rows of log(own + sum of shares), entry [a, b, c] of row a in the cosines b and c.

        stiffness_a (Diag(q) - q q^T),   q_ab the share of orbit b in the denominator of a

    with q (1 - q) from the sum of the others: at low temperature one partner has all but 1e-20 of the denominator, and
    what bends the row is the rest.
    """
    count = len(shares)
    rows = np.arange(count)
    largest = np.argmax(shares, axis=1)
    others = shares.copy()
    others[rows, largest] = 0.0
    left = 1.0 - shares
    left[rows, largest] = own + others.sum(axis=1)
    scaled = stiffness[:, None] * shares
    forms = scaled[:, :, None] * -shares[:, None, :]
    forms[:, rows, rows] = scaled * left
    return forms


def model_forms(curvature: Array, coupling: Array) -> Array:
    """(K, K, K) Diag(curvature_a) - p p^T / sum(p), p = coupling_a, for every row a: the general row model."""
    rows = np.arange(len(coupling))
    total = coupling.sum(axis=1)
    scaled = coupling / np.where(total != 0, total, 1.0)[:, None]
    forms = scaled[:, :, None] * -coupling[:, None, :]
    forms[:, rows, rows] += curvature
    return forms
