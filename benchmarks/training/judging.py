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
    """Class means against the certified optimum of their loss, and the metrics of `geomsolve.diagnose`.

    Args:
        points: (n, d), or (views, n, d), embeddings of the training images.
        labels: (n,) from 0 to C - 1.
        objective: what they were trained with, a loss of one mean per class.
    """
    found = gs.diagnose(points, labels, objective=objective)
    optimum = found.optimum
    return {
        "rms": optimum.rms,
        "worst": optimum.worst,
        "excess": optimum.excess,
        "certified": optimum.certified,
        "simplex_rms": off_by(simplex(len(optimum.solution.gram)), optimum.solution.gram)[0],
        "verdict": found.verdict.value,
        "merged": found.merged,
        "cosines": upper(found.collapse.cosines),
        "predicted": upper(optimum.solution.gram),
        **metrics(found),
    }


def metrics(found: gs.Diagnosis) -> dict[str, Any]:
    """Means over classes of what a diagnosis has; None where it is not defined."""
    means = {name: getattr(found.local, name).mean() for name in ("saa", "cac", "cac_limit", "cac_chance")}
    values = means | {name: getattr(found.collapse, name) for name in ("fc", "ms", "sd")}
    return {name: None if value is None or not np.isfinite(value) else float(value) for name, value in values.items()}


def nearest_mean_accuracy(points: np.ndarray, labels: np.ndarray, tests: np.ndarray, truth: np.ndarray) -> float:
    """Balanced accuracy, percent, of giving held-out embeddings the class of the nearest mean direction."""
    rows = unit(points)
    means = unit(np.stack([rows[labels == c].mean(axis=0) for c in range(labels.max() + 1)]))
    right = np.argmax(unit(tests) @ means.T, axis=1) == truth
    return 100.0 * float(np.mean([right[truth == c].mean() for c in range(labels.max() + 1)]))
