"""Local minima on products of spheres: out of saddle points, and curvatures as differences have them."""

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.solvers.restarts import local_minima


def polygon(count, dim):
    angles = 2 * np.pi * np.arange(count) / count
    return np.pad(np.column_stack([np.cos(angles), np.sin(angles)]), ((0, 0), (0, dim - 2)))


def test_a_plane_in_space_is_a_saddle_point_and_is_left():
    """No force leads out of the plane, so descent stays there: the tetrahedron is found by curvature alone."""
    objective = gs.SupCon([10] * 4, temperature=0.5)
    found = local_minima(objective, polygon(4, 3)[None])
    assert found.escapes >= 1
    np.testing.assert_allclose(found.points @ found.points.T, (4 * np.eye(4) - 1) / 3, atol=1e-7)
    assert found.curvature > 1e-3
    assert found.residual < 1e-7


def test_a_point_that_cannot_move_is_no_minimum():
    """All classes in two antipodal points: every force vanishes, every direction is downhill."""
    points = np.zeros((6, 3))
    points[:, 0] = [1, 1, 1, -1, -1, -1]
    objective = gs.SupCon([10] * 6, temperature=0.5)
    found = local_minima(objective, points[None])
    octahedron = np.sort((found.points @ found.points.T)[np.triu_indices(6, 1)])
    np.testing.assert_allclose(octahedron, [-1] * 3 + [0] * 12, atol=1e-6)


def test_the_curvature_is_that_of_differences():
    """In the plane a point is its angle: the Hessian in angles, scaled by the forces, without the common rotation."""
    objective = gs.SupCon([30, 20, 12, 8, 5], temperature=0.3)
    rng = np.random.default_rng(0)
    starts = rng.normal(size=(4, 5, 2))
    found = local_minima(objective, starts / np.linalg.norm(starts, axis=2, keepdims=True))
    singles = objective.ungrouped()
    angles = np.arctan2(found.points[:, 1], found.points[:, 0])

    def logarithm(moved):
        gram = np.cos(moved[:, None] - moved)
        return np.log(singles.excess(gs.OrbitGram.from_matrix(gram, objective.orbits)))

    h, steps = 1e-4, 1e-4 * np.eye(5)
    hessian = np.array(
        [
            [
                sum(p * q * logarithm(angles + p * a + q * b) for p in (1, -1) for q in (1, -1)) / (4 * h * h)
                for b in steps
            ]
            for a in steps
        ]
    )
    gram = gs.OrbitGram.from_matrix(found.points @ found.points.T, objective.orbits)
    row = singles.row_gradient(gram)
    pull = ((row + row.T) * (1 - np.eye(5))).sum(axis=1) / singles.excess(gram)
    scaled = hessian / np.sqrt(np.outer(pull, pull))
    values = np.linalg.eigvalsh(scaled)
    assert values[0] == pytest.approx(0, abs=1e-5)  # the common rotation
    assert found.curvature == pytest.approx(values[1], rel=1e-4)


def test_restarts_that_end_alike_are_counted():
    starts = np.random.default_rng(0).normal(size=(8, 5, 2))
    starts /= np.linalg.norm(starts, axis=2, keepdims=True)
    found = local_minima(gs.SupCon([10] * 5, temperature=0.3), starts)
    assert found.reached == 8
    assert found.excesses.shape == (8,)
    assert found.ends.shape == (8, 5, 2)
    np.testing.assert_allclose(found.excesses, found.excesses[0], rtol=1e-6)


def test_kinks_have_no_second_order():
    starts = np.random.default_rng(0).normal(size=(4, 5, 2))
    starts /= np.linalg.norm(starts, axis=2, keepdims=True)
    found = local_minima(gs.GCL([1] * 5, loss="hinge", margin=1.5), starts, max_steps=200)
    assert found.curvature is None
