"""Unit rows, their tangents, and hops from some to others."""

from typing import Any

import numpy as np

from ..arrays import Array

# How far a hop moves the points that it keeps.
_SHAKE = 0.02


def unit(points: Any) -> Any:
    """Rows of length 1, in float64: NumPy's, or JAX's as they came; rows of zeros stay."""
    points, xp = points.astype(np.float64), points.__array_namespace__()
    return points / xp.maximum(xp.sqrt(xp.sum(points * points, axis=1, keepdims=True)), 1e-300)


def tangent(points: Array, vectors: Array) -> Array:
    """Vectors without their parts along unit rows."""
    return vectors - np.sum(vectors * points, axis=1, keepdims=True) * points


def fitted(points: Array, width: int) -> Array:
    """(m, width) points in their leading principal axes, or with zeros appended."""
    points = np.asarray(points, dtype=np.float64)
    if points.shape[1] > width:
        points = points @ np.linalg.eigh(points.T @ points)[1][:, ::-1][:, :width]
    return np.pad(points, ((0, 0), (0, width - points.shape[1])))


def hopped(points: Any, rng: np.random.Generator, more: int = 0) -> Array:
    """Unit rows a little moved, one or two of them, of many a few and at most `more` more, at random places."""
    count, width = np.shape(points)
    moved = np.array(points) + _SHAKE * rng.standard_normal((count, width)) / np.sqrt(width)
    chosen = rng.choice(count, int(rng.integers(1, min(count, 2 + count // 40 + more) + 1)), replace=False)
    moved[chosen] = rng.standard_normal((len(chosen), width))
    return np.asarray(unit(moved))
