"""What the tests of losses over several kinds of atoms share: random points, slopes, and routes to compare."""

import math

import numpy as np
from helpers import random_direction, random_gram

import geomsolve as gs


def unit_rows(rng, count, dim):
    points = rng.normal(size=(count, dim))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def gram_of(objective, points):
    """The Gram matrix of points, one per atom, for the objective with every atom on its own."""
    return gs.OrbitGram.from_matrix(points @ points.T, objective.orbits)


def check_slopes(objective, seed=0):
    """Derivatives along random directions, by central differences."""
    rng = np.random.default_rng(seed)
    for _ in range(5):
        gram, direction = random_gram(rng, objective.orbits), random_direction(rng, objective.orbits)
        step = 1e-5 * objective.temperature
        up, down = (objective.excess(gs.OrbitGram(gram.orbits, gram.cosines + s * step * direction)) for s in (1, -1))
        pairs = objective.orbits.sizes[:, None] * objective.orbits.partners
        slope = float(np.sum(pairs * objective.row_gradient(gram) * direction))
        assert math.isclose((up - down) / (2 * step), slope, rel_tol=1e-6, abs_tol=1e-8 * abs(objective.excess(gram)))


def check_routes(objective, cosines=1e-7):
    """Newton's answer is certified, and descent over points, atom by atom in JAX, finds the same."""
    found, other = gs.solve(objective, gs.solvers.Newton()), gs.solve(objective, gs.solvers.Descent(), throw=False)
    assert other.certificate.relative_gap <= 1e-9
    assert math.isclose(found.value, other.value, rel_tol=1e-9)
    assert np.abs(found.gram - other.gram).max() <= cosines
    return found
