"""Solvers of others, on any smooth loss of this package: none is told the optimum, none judges itself."""

from __future__ import annotations

from typing import Any

import numpy as np

import geomsolve as gs


class Embedded:
    """A loss over unit rows of m - 1 dimensions, with its gradient, in units of its excess at random points."""

    def __init__(self, objective: gs.Objective):
        """Start from random points, the same ones each time."""
        self.each = objective.ungrouped()
        self.orbits = self.each.orbits
        count = len(self.orbits.sizes)
        points = np.random.default_rng(0).standard_normal((count, max(count - 1, 2)))
        self.start = points / np.linalg.norm(points, axis=1, keepdims=True)
        self.unit = max(self.each.excess(self.gram(self.start)), 1e-300)

    def gram(self, points: np.ndarray) -> gs.OrbitGram:
        """The Gram matrix of unit rows."""
        matrix = points @ points.T
        np.fill_diagonal(matrix, 1.0)
        return gs.OrbitGram(self.orbits, (matrix + matrix.T) / 2.0)

    def of_flat(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss of rows that are normalised first, and its slope by the rows as they stand."""
        rows = flat.reshape(self.start.shape)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        points = rows / lengths
        gram = self.gram(points)
        forces = self.each.row_gradient(gram) / self.unit
        forces = forces + forces.T
        np.fill_diagonal(forces, 0.0)
        slope = forces @ points
        slope -= np.sum(slope * points, axis=1, keepdims=True) * points
        return self.each.excess(gram) / self.unit, (slope / lengths).ravel()

    def unit_rows(self, flat: np.ndarray) -> np.ndarray:
        """The points that flat numbers stand for."""
        rows = flat.reshape(self.start.shape)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def lbfgs(objective: gs.Objective, *, steps: int = 10**6, starts: int = 20) -> Any:
    """SciPy's L-BFGS-B over embeddings, started again from where it stops."""
    from scipy.optimize import minimize

    loss = Embedded(objective)
    flat, best = loss.start.ravel(), np.inf
    options = {"maxiter": steps, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0, "maxcor": 20}
    for _ in range(starts):
        found = minimize(loss.of_flat, flat, jac=True, method="L-BFGS-B", options=options)
        flat = loss.unit_rows(found.x).ravel()
        if not found.fun < best:
            break
        best = found.fun
    return loss.gram(loss.unit_rows(flat))


def conic(objective: gs.Objective, *, full: bool) -> Any:
    """The loss as a conic program through cvxpy, by Clarabel: over distinct counts, or (full) over all atoms."""
    return gs.solvers.Conic("CLARABEL", full=full).run(objective).gram
