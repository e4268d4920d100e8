"""Descent over unit vectors in few dimensions: the formulas, out of saddle points, curvature, clocks and Ctrl-C."""

import itertools

import numpy as np
import pytest
from helpers import unit_rows
from scipy.optimize import minimize as scipy_minimize
from test_descent import KINDS

import geomsolve as gs
from geomsolve.solvers.descent import point_losses
from geomsolve.solvers.descent.factor_descent import minimise
from geomsolve.solvers.descent.point_losses import point_loss, positive_excess

MORE = {
    "several kinds of points": lambda tau: gs.BCL([20, 9, 4, 4], temperature=max(tau, 0.1)),
    "a sum of losses": lambda tau: gs.ECL([20, 9, 4, 4], temperature=max(tau, 0.1)),
    "instances": lambda tau: gs.SupCL([4, 3, 2], alpha=0.4, temperature=tau),
}


def random_points(objective, dim, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal((round(objective.orbits.atoms), dim)))


def descend(objective, starts, **options):
    return minimise(point_loss(objective), list(starts), positive=positive_excess(objective), **options)


@pytest.mark.parametrize("kind", [*KINDS, *MORE])
def test_value_slope_and_pulls_are_those_of_the_objective(kind):
    """The value from the objective, the slope from differences of it."""
    objective = {**KINDS, **MORE}[kind](0.3)
    each, points = objective.ungrouped(), random_points(objective, 3)
    loss = point_loss(objective)
    value, slope = loss.slope(points)

    def excess(moved):
        return each.excess(gs.OrbitGram.from_matrix(moved @ moved.T, objective.orbits))

    assert value == pytest.approx(excess(points), rel=1e-12)
    rng = np.random.default_rng(1)
    move = rng.standard_normal(points.shape)
    move -= np.sum(move * points, axis=1, keepdims=True) * points
    h = 1e-6
    assert np.sum(slope * move) == pytest.approx(
        (excess(unit_rows(points + h * move)) - excess(unit_rows(points - h * move))) / (2 * h), rel=1e-6, abs=1e-9
    )
    force = slope - np.sum(slope * points, axis=1, keepdims=True) * points
    assert np.all(np.linalg.norm(force, axis=1) <= loss.pulls(points) * (1 + 1e-9))


@pytest.mark.parametrize(
    "objective", [gs.SupCon(np.arange(300, 0, -1), temperature=0.1), gs.BCL([9, 4, 2] * 40, temperature=0.2).by_class()]
)
def test_blocks_of_rows_change_nothing(objective, monkeypatch):
    points = random_points(objective, 5)
    whole, pulls = point_loss(objective).slope(points), point_loss(objective).pulls(points)
    monkeypatch.setattr(point_losses, "_BLOCK", 1)
    monkeypatch.setattr(point_losses, "_ROWS", 64)
    value, slope = point_loss(objective).slope(points)
    assert value == pytest.approx(whole[0], rel=1e-13)
    np.testing.assert_allclose(slope, whole[1], rtol=0, atol=1e-13 * np.abs(slope).max())
    np.testing.assert_allclose(point_loss(objective).pulls(points), pulls, rtol=1e-12)
    value, slope = point_loss(objective, np.float32).slope(points)
    assert value == pytest.approx(whole[0], rel=1e-5)
    np.testing.assert_allclose(slope, whole[1], rtol=0, atol=1e-5 * np.abs(slope).max())


def polygon(count, dim):
    angles = 2 * np.pi * np.arange(count) / count
    return np.pad(np.column_stack([np.cos(angles), np.sin(angles)]), ((0, 0), (0, dim - 2)))


def test_a_plane_in_space_is_a_saddle_point_and_is_left():
    """No force leads out of the plane, so descent stays there: the tetrahedron is found by curvature alone."""
    objective = gs.SupCon([10] * 4, temperature=0.5)
    flat = descend(objective, [polygon(4, 3)], second_order=False)
    assert np.abs(flat.points[:, 2]).max() < 1e-9
    assert flat.curvature is None
    found = descend(objective, [polygon(4, 3)])
    np.testing.assert_allclose(found.points @ found.points.T, (4 * np.eye(4) - 1) / 3, atol=1e-7)
    assert found.curvature > 1e-3
    assert found.residual < 1e-7


def test_a_point_that_cannot_move_is_no_minimum():
    """All classes in two antipodal points: every force vanishes, every direction is downhill."""
    points = np.zeros((6, 3))
    points[:, 0] = [1, 1, 1, -1, -1, -1]
    found = descend(gs.SupCon([10] * 6, temperature=0.5), [points])
    octahedron = np.sort((found.points @ found.points.T)[np.triu_indices(6, 1)])
    np.testing.assert_allclose(octahedron, [-1] * 3 + [0] * 12, atol=1e-6)


def angles_of(points):
    return np.arctan2(points[:, 1], points[:, 0])


def test_in_the_plane_the_end_is_scipys_and_the_curvature_that_of_differences():
    """A point is its angle: the Hessian in angles, scaled by the forces, without the common rotation."""
    objective = gs.SupCon([30, 20, 12, 8, 5], temperature=0.3)  # with one minimum that all starts reach
    starts = [random_points(objective, 2, seed) for seed in range(4)]
    found = descend(objective, starts)
    loss, angles = point_loss(objective), angles_of(found.points)

    def excess(moved):
        return loss.slope(np.column_stack([np.cos(moved), np.sin(moved)]))[0]

    best = min(scipy_minimize(excess, angles_of(start), options={"gtol": 1e-10}).fun for start in starts)
    assert found.excess == pytest.approx(best, rel=1e-8)
    h, steps = 1e-4, 1e-4 * np.eye(5)
    hessian = np.zeros((5, 5))
    for (i, a), (j, b) in itertools.product(enumerate(steps), repeat=2):
        hessian[i, j] = sum(p * q * excess(angles + p * a + q * b) for p in (1, -1) for q in (1, -1)) / (4 * h * h)
    pull = loss.pulls(found.points)
    values = np.linalg.eigvalsh(hessian / np.sqrt(np.outer(pull, pull)))
    assert values[0] == pytest.approx(0, abs=1e-5)  # the common rotation
    assert found.curvature == pytest.approx(values[1], rel=1e-4)


def test_hops_count_as_starts_and_find_what_these_starts_do_not():
    """Ten long-tailed classes in three dimensions have many local minima."""
    objective = gs.SupCon(np.geomspace(500, 5, 10).astype(int), temperature=0.1)
    starts = [random_points(objective, 3, seed) for seed in range(4)]
    alone = descend(objective, starts, polish=False)
    found = descend(objective, starts, hops=20, polish=False)
    assert (len(alone.excesses), len(found.excesses)) == (4, 24)
    np.testing.assert_array_equal(found.excesses[:4], alone.excesses)
    assert found.excess < 0.999 * alone.excess


def test_no_more_hops_follow_when_sixteen_ends_agree():
    objective = gs.SupCon(np.geomspace(500, 5, 10).astype(int), temperature=0.1)
    found = descend(objective, [random_points(objective, 8, seed) for seed in range(4)], hops=124)
    assert found.reached == 16
    assert len(found.excesses) < 128
    assert np.sort(found.excesses)[15] == pytest.approx(found.excess, rel=2e-6)


@pytest.fixture(scope="module")
def long():
    """A problem whose descent takes hundreds of steps."""
    return gs.SupCon(np.geomspace(500, 5, 60), temperature=0.1)


def test_a_time_limit_gives_the_best_so_far_and_says_so(long):
    lines = []
    starts = [random_points(long, 20, seed) for seed in range(3)]
    found = descend(long, starts, seconds=1e-9, progress=lines.append)
    assert found.stopped == "seconds"
    assert len(found.excesses) == found.steps == 1
    assert found.curvature is None
    assert "0 s left" in lines[0]
    assert found.excess < point_loss(long).slope(starts[0])[0]


def test_a_step_limit_is_said(long):
    found = descend(long, [random_points(long, 20)], max_steps=5, polish=False)
    assert (found.stopped, found.steps) == ("steps", 5)


class Interrupted:
    """A loss with Ctrl-C at one of its slopes."""

    def __init__(self, loss, last):
        self.loss, self.calls, self.last, self.pulls = loss, 0, last, loss.pulls

    def slope(self, points):
        self.calls += 1
        if self.calls == self.last:
            raise KeyboardInterrupt
        return self.loss.slope(points)


@pytest.mark.parametrize("steps", [3, 40])
def test_ctrl_c_gives_the_best_so_far(long, steps):
    """Interrupted in its second start, it answers with the better end of both."""
    loss = point_loss(long)
    starts = [random_points(long, 20, seed) for seed in range(9)]
    found = minimise(Interrupted(loss, 600 + steps), starts, positive=True)
    assert found.stopped == "interrupt"
    assert 1 < len(found.excesses) < 9
    assert found.excess == pytest.approx(loss.slope(found.points)[0], rel=1e-12)
    assert found.excess == found.excesses.min()


def test_ctrl_c_at_any_time_gives_unit_rows_and_their_loss():
    """In a start, in the Newton steps, in the curvature, or in what follows a saddle point."""
    objective = gs.SupCon([9, 7, 5, 3, 2, 1], temperature=0.5)
    loss, start = point_loss(objective), random_points(objective, 2, 0)
    whole = Interrupted(loss, 0)
    minimise(whole, [start], positive=True, gain=1e-2)
    raised = 0
    for last in (*range(4, 120), *range(120, whole.calls, max(whole.calls // 40, 1))):
        try:
            found = minimise(Interrupted(loss, last), [start], positive=True, gain=1e-2)
        except KeyboardInterrupt:
            raised += 1  # between two phases
            continue
        np.testing.assert_allclose(np.linalg.norm(found.points, axis=1), np.ones(6), rtol=1e-12)
        assert found.excess == pytest.approx(loss.slope(found.points)[0], rel=1e-12)
    assert raised <= 3


def test_ctrl_c_at_every_slope_is_raised():
    class Stuck:
        def slope(self, points):
            raise KeyboardInterrupt

        pulls = slope

    with pytest.raises(KeyboardInterrupt):
        minimise(Stuck(), [np.eye(3)], positive=True)


def test_kinks_are_descended_without_a_second_order():
    hinge = gs.solve(gs.GCL([1] * 5, loss="hinge", margin=1.5)).embed(2)
    assert hinge.curvature is None
    assert hinge.second_order is None
    assert hinge.value >= hinge.lower_bound - 1e-12
