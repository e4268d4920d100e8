"""Points on the sphere: exact from the rank up, bounded below it; rank reduction on the hinge's optimal face."""

import numpy as np
import pytest

import geomsolve as gs


@pytest.fixture(scope="module")
def solution():
    return gs.solve(gs.SupCon([100, 50, 20, 10, 5, 5, 5], temperature=0.2))


@pytest.mark.parametrize(("dim", "width"), [(None, 6), (6, 6), (11, 11)])
def test_points_are_exact_from_the_rank_up_with_nothing_to_restart(solution, dim, width):
    embedding = solution.embed(dim=dim)
    assert embedding.exact
    assert solution.rank == 6
    assert embedding.points.shape == (7, embedding.dim) == (7, width)
    assert (embedding.restarts, embedding.reached, embedding.curvature, embedding.second_order) == (0, 0, None, None)
    assert embedding.bound_in_dimension == embedding.lower_bound
    np.testing.assert_allclose(embedding.points @ embedding.points.T, solution.gram, atol=1e-14)


def test_points_come_in_the_callers_order():
    shuffled = gs.solve(gs.SupCon([5, 100, 10, 5, 20], temperature=0.2))
    points = shuffled.embed().points
    np.testing.assert_allclose(points @ points.T, shuffled.gram, atol=1e-14)
    assert shuffled.gram[0, 3] == pytest.approx(shuffled.orbits.within[-1])


@pytest.mark.parametrize("dim", [1, 3])
def test_below_the_rank_the_value_is_that_of_the_points_and_above_the_bound(solution, dim):
    embedding = solution.embed(dim=dim, restarts=4, seed=1)
    assert not embedding.exact
    np.testing.assert_allclose(np.linalg.norm(embedding.points, axis=1), 1, atol=1e-12)
    gram = gs.OrbitGram.from_matrix(embedding.points @ embedding.points.T, solution.objective.orbits)
    assert embedding.value == pytest.approx(solution.objective.ungrouped().value(gram), abs=1e-12)
    assert embedding.lower_bound <= solution.value < embedding.value
    assert embedding.gap == pytest.approx(embedding.value - embedding.lower_bound)
    assert embedding.lower_bound <= embedding.bound_in_dimension <= embedding.value
    if dim > 1:
        reference = embedding.value - solution.objective.floor
        bound = gs.certificates.dimension_bound(solution.objective, dim, reference=reference)
        assert embedding.bound_in_dimension == pytest.approx(bound, abs=1e-9)
    assert embedding.gap_in_dimension == pytest.approx(embedding.value - embedding.bound_in_dimension)
    assert embedding.restarts == 4
    assert 1 <= embedding.reached <= 4
    assert embedding.second_order is (None if dim == 1 else True)


def test_a_decagon_for_one_negative_is_proved_optimal():
    """The regular polygon is sharp: every start finds it and the bound is attained."""
    found = gs.solve(gs.GCL([1] * 10, negatives=1, temperature=0.1)).embed(dim=2)
    angles = np.sort(np.arctan2(found.points[:, 1], found.points[:, 0]))
    np.testing.assert_allclose(np.diff(angles), np.pi / 5, atol=1e-7)
    assert found.gap_in_dimension < 1e-6 * found.value
    assert found.reached == found.restarts == 8  # alike, so no hops follow
    assert found.second_order


def test_one_dimension_equals_enumeration():
    solution = gs.solve(gs.SupCon([9, 7, 4, 2, 2], temperature=0.5))
    singles = solution.objective.ungrouped()
    values = []
    for word in range(2**5):
        signs = np.array([1.0 if word >> bit & 1 else -1.0 for bit in range(5)])
        values.append(singles.value(gs.OrbitGram.from_matrix(np.outer(signs, signs), solution.objective.orbits)))
    assert solution.embed(dim=1, restarts=8).value == pytest.approx(min(values), abs=1e-12)


def test_seeds_reproduce(solution):
    first, second, other = (solution.embed(dim=3, restarts=4, seed=seed).points for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-2


@pytest.mark.parametrize(
    ("counts", "margin"), [([5, 5, 1, 1, 1], 0.9), ([1] * 10, 1.3), ([3] * 3 + [1] * 7, 1.9), ([8, 5, 3, 2, 1], 2.5)]
)
def test_rank_reduction_keeps_the_loss_and_meets_patakis_bound(counts, margin):
    solution = gs.solve(gs.GCL(counts, loss="hinge", margin=margin))
    reduced = gs.solvers.reduce_rank(solution.objective, solution.orbits)
    again = gs.certify(solution.objective, reduced)
    assert again.value == pytest.approx(solution.value, abs=1e-9)
    assert again.repair < 1e-12
    rank = reduced.rank()
    assert rank <= solution.rank
    above = reduced.expand()[np.triu_indices(len(counts), 1)] - 1 + margin
    assert rank * (rank + 1) / 2 <= len(counts) + np.count_nonzero(np.abs(above) < 1e-7) + 1


def test_rank_reduction_makes_lower_dimensions_exact():
    solution = gs.solve(gs.GCL([1] * 10, loss="hinge", margin=0.9))
    assert solution.rank == 9
    embedding = solution.embed(dim=7)
    assert embedding.exact
    assert embedding.value == pytest.approx(0, abs=1e-12)


def test_a_unique_optimum_is_not_moved(solution):
    assert gs.solvers.reduce_rank(solution.objective, solution.orbits) is solution.orbits


def test_a_collapsed_optimum_needs_one_dimension():
    solution = gs.solve(gs.GCL(gs.step_counts(1, 9, 1, 30), negatives=1))
    assert solution.rank == 1
    points = solution.embed(dim=3).points
    np.testing.assert_allclose(points[1:] @ points[0], -1, atol=1e-12)


def test_too_many_classes_for_descent_is_said():
    solution = gs.solve(gs.SupCon([30] * 20_001, temperature=0.1))
    with pytest.raises(gs.ProblemError, match=r"dim: below the rank \(20000\)"):
        solution.embed(dim=128)
