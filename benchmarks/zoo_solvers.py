"""The solvers that `zoo.py` runs: every one is a function objective -> (Gram matrix, what it says), for any loss.

None is told the optimum, none judges itself. Rivals over embeddings start from the same random points of dimension
m - 1 for m atoms, count the loss from its floor in units of its value there, and get the objective's own gradient.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import record  # noqa: F401 - puts this checkout on the path, so it comes before geomsolve

import geomsolve as gs  # isort: skip

Answer = tuple[Any, str]


class NotTriedError(Exception):
    """A problem that a solver is not given, with the reason."""


def newton(objective: gs.Objective) -> Answer:
    attempt = gs.solvers.Newton().run(objective)
    return attempt.gram, f"{attempt.termination.name}: {attempt.message}"


def ladder(objective: gs.Objective) -> Answer:
    solution = gs.solve(objective, throw=False)
    return solution.orbits, " -> ".join(rung.solver for rung in solution.stats)


def conic(backend: str, full: bool, most: int) -> Callable[[gs.Objective], Answer]:
    """The conic program through cvxpy, on orbits or (full) on all atoms, of which `most` are tried."""

    def run(objective: gs.Objective) -> Answer:
        size = round(objective.orbits.atoms) if full else len(objective.orbits.sizes)
        if size > most:
            raise NotTriedError(f"{size} {'atoms' if full else 'orbits'}, at most {most} are tried")
        attempt = gs.solvers.Conic(backend, full=full).run(objective)
        return attempt.gram, f"{attempt.termination.name}: {attempt.message}"

    return run


def descent(objective: gs.Objective) -> Answer:
    few_atoms(objective, 40)
    attempt = gs.solvers.Descent().run(objective)
    return attempt.gram, f"{attempt.termination.name}: {attempt.message}"


def sequential(objective: gs.Objective) -> Answer:
    """Second order through cvxpy: a convex quadratic model of the loss over Gram matrices, minimised by Clarabel.

    At G, with R the row derivative and the row model diag(c) - p p^T/sum(p) of its curvature (`RowModel`), step to

        min over G + d feasible of  <R, d> + 1/2 sum_i [ sum_j c_ij d_ij^2 - (sum_j p_ij d_ij)^2 / sum_j p_ij ],

    halved until the loss falls; until no step lowers it. Positive semidefinite and second-order cones, no exponentials.
    """
    import cvxpy as cp

    from geomsolve.solvers.conic_form import elliptope

    if not objective.smooth:
        raise NotTriedError("the loss has kinks")
    orbits = objective.orbits
    if len(orbits.sizes) > 40:
        raise NotTriedError(f"{len(orbits.sizes)} orbits, at most 40 are tried")
    gram, partners = gs.OrbitGram.simplex(orbits), orbits.partners
    excess, steps, message = objective.excess(gram), 0, "60 steps"
    for _ in range(60):
        model, slope = objective.rows(gram), partners * objective.row_gradient(gram)
        curvature, coupling = partners * model.curvature, partners * np.broadcast_to(model.coupling, partners.shape)
        sums = coupling.sum(axis=1)
        variable, constraints = elliptope(orbits)
        scale = orbits.sizes[:, None] / max(float(np.abs(orbits.sizes[:, None] * slope).sum()), 1e-300)
        change = (variable - gram.cosines) / objective.temperature
        unit = objective.temperature**2 * scale
        mean = cp.sum(cp.multiply(coupling / np.where(sums > 0, sums, 1.0)[:, None], change), axis=1)
        spread = change - cp.reshape(mean, (len(sums), 1), order="C") @ np.ones((1, len(sums)))
        quadratic = cp.sum_squares(cp.multiply(np.sqrt(np.maximum(curvature - coupling, 0.0) * unit), change))
        quadratic += cp.sum_squares(cp.multiply(np.sqrt(coupling * unit), spread))
        loss = cp.sum(cp.multiply(slope * scale * objective.temperature, change)) + quadratic / 2.0
        try:
            cp.Problem(cp.Minimize(loss), constraints).solve(
                solver="CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12, accept_unknown=True
            )
        except cp.SolverError as error:
            message = f"Clarabel: {error}"
            break
        if variable.value is None:
            message = "Clarabel gave no point"
            break
        target = (variable.value + variable.value.T) / 2.0
        np.fill_diagonal(target, np.where(orbits.plural, np.diag(target), 1.0))
        length = 1.0
        while length > 1e-4:
            trial = gs.OrbitGram(orbits, gram.cosines + length * (target - gram.cosines)).repaired()[0]
            if objective.excess(trial) < excess:
                break
            length /= 2.0
        else:
            message = "no step lowers the loss"
            break
        gram, excess, steps = trial, objective.excess(trial), steps + 1
    return gram, f"{steps} steps; {message}"


class Embedded:
    """A loss over unit rows, with its gradient."""

    def __init__(self, objective: gs.Objective, most: int):
        """Start from random points; NotTriedError beyond so many atoms or where the loss has kinks."""
        few_atoms(objective, most)
        if not objective.smooth:
            raise NotTriedError("the loss has kinks")
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

    def loss(self, points: np.ndarray) -> float:
        """The scaled loss at unit rows."""
        return self.each.excess(self.gram(points)) / self.unit

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """Its Euclidean gradient."""
        forces = self.each.row_gradient(self.gram(points)) / self.unit
        forces = forces + forces.T
        np.fill_diagonal(forces, 0.0)
        return forces @ points


def few_atoms(objective: gs.Objective, most: int) -> None:
    if objective.orbits.atoms > most:
        raise NotTriedError(f"{objective.orbits.atoms:g} atoms, at most {most} are tried")


def lbfgs(objective: gs.Objective) -> Answer:
    """Scipy's L-BFGS-B on rows that the loss normalises; started again from where it stops, up to 20 times."""
    from scipy.optimize import minimize

    loss = Embedded(objective, 200)
    shape = loss.start.shape

    def both(flat):
        rows = flat.reshape(shape)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        points = rows / lengths
        gradient = loss.gradient(points)
        gradient -= np.sum(gradient * points, axis=1, keepdims=True) * points
        return loss.loss(points), (gradient / lengths).ravel()

    points, message, before = loss.start, "", np.inf
    for _ in range(20):
        options = {"maxiter": 10**9, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0, "maxcor": 20}
        result = minimize(both, points.ravel(), jac=True, method="L-BFGS-B", options=options)
        points = result.x.reshape(shape)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        message = str(result.message)
        if not result.fun < before:
            break
        before = result.fun
    return loss.gram(points), message


def trust(objective: gs.Objective) -> Answer:
    """Pymanopt's trust regions on the oblique manifold; Hessians by central differences of the gradient."""
    import pymanopt
    from pymanopt import optimizers
    from pymanopt.manifolds import Oblique

    loss = Embedded(objective, 60)
    space = Oblique(*loss.start.T.shape)

    @pymanopt.function.numpy(space)
    def cost(columns):
        return loss.loss(columns.T)

    @pymanopt.function.numpy(space)
    def gradient(columns):
        return loss.gradient(columns.T).T

    @pymanopt.function.numpy(space)
    def hessian(columns, direction):
        length = np.linalg.norm(direction)
        if length == 0:
            return np.zeros_like(direction)
        step = 1e-6 / length
        ahead, behind = loss.gradient((columns + step * direction).T), loss.gradient((columns - step * direction).T)
        return (ahead - behind).T / (2.0 * step)

    task = pymanopt.Problem(space, cost, euclidean_gradient=gradient, euclidean_hessian=hessian)
    solver = optimizers.TrustRegions(max_time=8.0, max_iterations=500, min_gradient_norm=1e-14, verbosity=0)
    result = solver.run(task, initial_point=loss.start.T)
    points = result.point.T
    return loss.gram(points / np.linalg.norm(points, axis=1, keepdims=True)), result.stopping_criterion


SOLVERS: dict[str, Callable[[gs.Objective], Answer]] = {
    "newton": newton,
    "ladder": ladder,
    "orbit-clarabel": conic("CLARABEL", False, 40),
    "orbit-scs": conic("SCS", False, 40),
    "cvxpy-clarabel": conic("CLARABEL", True, 20),
    "cvxpy-sqp": sequential,
    "scipy-lbfgs": lbfgs,
    "pymanopt-trust": trust,
    "jax-descent": descent,
}
# What a first call imports and compiles is no solver's time.
WARM_UP = gs.SupCon([30, 20, 10], temperature=0.5)


def prepare(solver: str) -> None:
    """Imports and first-call work."""
    warnings.simplefilter("ignore")
    SOLVERS[solver](WARM_UP)
