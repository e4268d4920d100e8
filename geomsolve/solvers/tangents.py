"""What forces between orbits do to their unit vectors, to all digits where vectors are close to each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..arrays import Array
from ..geometry.orbits import Orbits

# 1 less the cosine of points whose difference is looked at.
_CLOSE = 1e-6


def tangent(point: Array, vectors: Array) -> Array:
    """The part of each row orthogonal to its unit vector."""
    return vectors - np.sum(vectors * point, axis=1, keepdims=True) * point


def across(orbits: Orbits, weights: Array, inside: Array, vectors: Array) -> Array:
    """What of `pull` is orthogonal to each unit vector, of pairs that are close from their differences.

    A tie f/theta holds two points a distance theta apart, while forces f turn them together: from the tie times the
    points ulps of f/theta would be left, from the tie times their difference, which is exact, they are ulps of f.
    """
    close = near(vectors)
    if not close.any():
        return tangent(vectors, pull(orbits, weights, inside, vectors))
    apart = offsets(vectors, close)
    ties = np.where(close, weights, 0.0)
    drawn = 2.0 * (ties @ apart - ties.sum(axis=1)[:, None] * apart)
    return tangent(vectors, pull(orbits, weights - ties, inside, vectors)) + tangent(vectors, drawn)


def near(vectors: Array) -> NDArray[np.bool_]:
    """(K, K) which two orbits, both without spread, are so close that their difference is exact."""
    close = np.asarray(vectors @ vectors.T > 1.0 - _CLOSE) & (vectors[:, -1] == 0.0) & (vectors[:, -1:] == 0.0)
    np.fill_diagonal(close, False)
    return close


def offsets(vectors: Array, close: NDArray[np.bool_]) -> Array:
    """(K, p + 1) each vector less the first of those that close ones link to it."""
    labels = connected_components(close, directed=False)[1]
    return np.asarray(vectors - vectors[np.unique(labels, return_index=True)[1][labels]])


def pull(orbits: Orbits, weights: Array, inside: Array, vectors: Array) -> Array:
    """2 (weights @ means, -n D_aa spread): what forces between atoms do to orbit vectors."""
    return 2.0 * np.column_stack([weights @ vectors[:, :-1], -orbits.sizes * orbits.plural * inside * vectors[:, -1]])
