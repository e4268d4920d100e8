"""Forces on unit vectors of which some are almost the same."""

import numpy as np
from mpmath import mp, mpf

import geomsolve as gs
from geomsolve.geometry.orbits import Orbits
from geomsolve.solvers.curvature import Curvature
from geomsolve.solvers.spheres import State, retract
from geomsolve.solvers.tangents import across, near, offsets


def tied_points(theta, count=3, width=4, seed=0):
    """(2 count, width + 1) points without spread, the second half a distance theta off the first."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(count, width))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = retract(first, theta * rng.normal(size=first.shape))
    return np.column_stack([np.vstack([first, second]), np.zeros(2 * count)])


def test_a_tie_leaves_the_force_that_turns_both_its_digits():
    theta = 1e-9
    point = tied_points(theta)
    orbits = Orbits(np.ones(len(point)))
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(len(point), len(point)))
    weights += weights.T
    for a in range(3):
        weights[a, a + 3] = weights[a + 3, a] = -1.0 / theta
    found = across(orbits, weights, np.zeros(len(point)), point)
    with mp.workdps(50):
        exact = [[mpf(x) for x in row] for row in point.tolist()]
        wanted = np.zeros_like(point)
        both = np.zeros((3, point.shape[1]))
        rows = []
        for a, mine in enumerate(exact):
            pulled = [2 * sum(mpf(weights[a, b]) * other[k] for b, other in enumerate(exact)) for k in range(5)]
            # Points are unit vectors up to rounding: what is across them is what their own direction has no part in.
            along = sum(x * y for x, y in zip(pulled, mine, strict=True)) / sum(x * x for x in mine)
            rows.append([x - along * y for x, y in zip(pulled, mine, strict=True)])
            wanted[a] = [float(x) for x in rows[-1]]
        for a in range(3):
            both[a] = [float(x + y) for x, y in zip(rows[a], rows[a + 3], strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-13)
    np.testing.assert_allclose(found[:3] + found[3:], both, atol=1e-13)


def test_points_near_each_other_are_told_apart_from_one_of_them():
    point = tied_points(1e-8)
    close = near(point)
    np.testing.assert_array_equal(close, np.roll(np.eye(6, dtype=bool), 3, axis=0))
    apart = offsets(point, close)
    np.testing.assert_array_equal(apart[:3], 0.0)
    np.testing.assert_array_equal(apart[3:], point[3:] - point[:3])
    spread = point.copy()
    spread[:, -1] = 0.1
    assert not near(retract(spread, 0.0)).any()


def test_curvature_between_tied_points_is_as_small_as_their_distance():
    """Of a row's bend in the cosine of two points, theta^2 is left: from the product of the two, ulps of 1 would be."""
    theta = 1e-7
    objective = gs.BCL([9, 5, 3], temperature=0.1)
    curvature = Curvature.at(objective, State.at(objective, tied_points(theta, 3, 3)))
    forms = np.zeros_like(curvature.forms)
    forms[0, 3, 3] = 1.0
    only = Curvature(curvature.state, curvature.points, forms, 0.0 * curvature.forces, 0.0 * curvature.multipliers)
    whole = only.block(np.arange(6))
    place = curvature.state.point
    turn = (place[3] - place[0]) / np.linalg.norm(place[3] - place[0])
    turn -= turn @ place[0] * place[0]
    # One turned by e, the cosine changes by -theta: the other way round for the other.
    np.testing.assert_allclose(whole[0, :, 0] @ turn @ turn, np.sum((place[3] - place[0]) ** 2), rtol=1e-6)
    np.testing.assert_allclose(whole[0, :, 3] @ turn @ turn, -np.sum((place[3] - place[0]) ** 2), rtol=1e-6)
    step = np.random.default_rng(3).normal(size=place.shape)
    step[:, -1] = 0.0
    step = curvature.state.tangent(step)
    np.testing.assert_allclose(
        np.einsum("akbl,bl->ak", whole, step), only.product(step), atol=1e-12 * np.abs(whole).max()
    )
