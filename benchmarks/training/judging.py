"""What is measured of a trained encoder, beside what was predicted."""

from __future__ import annotations

from typing import Any

import numpy as np

import geomsolve as gs


def upper(matrix: np.ndarray) -> list[float]:
    """The entries above the diagonal, row by row."""
    return np.round(matrix[np.triu_indices(len(matrix), 1)], 7).tolist()


def matrix(entries: list[float]) -> np.ndarray:
    """The symmetric matrix of unit diagonal that `upper` took them from."""
    size = round((1 + np.sqrt(1 + 8 * len(entries))) / 2)
    full = np.zeros((size, size))
    full[np.triu_indices(size, 1)] = entries
    return full + full.T + np.eye(size)


def mean_cosines(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(C, C) cosines of the class means of normalised points; labels are 0 to C - 1."""
    rows = unit(points)
    means = unit(np.stack([rows[labels == c].mean(axis=0) for c in range(labels.max() + 1)]))
    return means @ means.T


def unit(points: np.ndarray) -> np.ndarray:
    """The rows in float64, divided by their lengths."""
    rows = np.asarray(points, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def off_by(cosines: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Root mean square and largest error over pairs of classes."""
    error = np.abs(cosines - predicted)[np.triu_indices(len(cosines), 1)]
    return float(np.sqrt(np.mean(error**2))), float(error.max())


def simplex(classes: int) -> np.ndarray:
    """The Gram matrix of the regular simplex, where balanced classes go."""
    return np.eye(classes) * classes / (classes - 1.0) - 1.0 / (classes - 1.0)


def geometry(points: np.ndarray, labels: np.ndarray, objective: gs.Objective) -> dict[str, Any]:
    """Class means of embeddings (n, d) against the certified optimum of the loss they were trained with."""
    found = gs.diagnose(points, labels, objective=objective).optimum
    return {
        "rms": found.rms,
        "worst": found.worst,
        "simplex_rms": off_by(simplex(len(found.solution.gram)), found.solution.gram)[0],
        "cosines": upper(mean_cosines(points, labels)),
    }


def nearest_mean_accuracy(points: np.ndarray, labels: np.ndarray, tests: np.ndarray, truth: np.ndarray) -> float:
    """Balanced accuracy, percent, of giving held-out embeddings the class of the nearest mean direction."""
    rows = unit(points)
    means = unit(np.stack([rows[labels == c].mean(axis=0) for c in range(labels.max() + 1)]))
    right = np.argmax(unit(tests) @ means.T, axis=1) == truth
    return 100.0 * float(np.mean([right[truth == c].mean() for c in range(labels.max() + 1)]))
