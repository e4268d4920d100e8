"""Second derivatives of rows, without subtracting large numbers: what Newton's method needs at low temperature."""

from __future__ import annotations

import numpy as np

from ..arrays import Array


def softmax_forms(shares: Array, own: Array, stiffness: Array) -> Array:
    """(K, P, P) the Hessians of rows of log(own + sum of shares), entry [a, b, c] of row a in the cosines b and c.

    P is K, or M + T over orbits of classes.

        stiffness_a (Diag(q) - q q^T),   q_ab the share of orbit b in the denominator of a

    with q (1 - q) from the sum of the others: at low temperature one partner has all but 1e-20 of the denominator, and
    what bends the row is the rest.
    """
    rows, cosines = np.arange(len(shares)), np.arange(shares.shape[1])
    largest = np.argmax(shares, axis=1)
    others = shares.copy()
    others[rows, largest] = 0.0
    left = 1.0 - shares
    left[rows, largest] = own + others.sum(axis=1)
    scaled = stiffness[:, None] * shares
    forms = scaled[:, :, None] * -shares[:, None, :]
    forms[:, cosines, cosines] = scaled * left
    return forms


def model_forms(curvature: Array, coupling: Array) -> Array:
    """(K, K, K) Diag(curvature_a) - p p^T / sum(p), p = coupling_a, for every row a: the general row model."""
    cosines = np.arange(coupling.shape[1])
    total = coupling.sum(axis=1)
    scaled = coupling / np.where(total != 0, total, 1.0)[:, None]
    forms = scaled[:, :, None] * -coupling[:, None, :]
    forms[:, cosines, cosines] += curvature
    return forms
