"""The hinge of the triplet loss: kinks, subgradients, and optima that are not unique."""

import numpy as np
import pytest

import geomsolve as gs

COUNTS = ([30] + [1] * 9, [5, 5, 1, 1, 1], [1000, 300, 100, 30, 10], [8, 5, 3, 2, 1])


@pytest.mark.parametrize("counts", COUNTS, ids=str)
@pytest.mark.parametrize("margin", [0.5, 1.3, 1.5, 1.9, 2.5])
@pytest.mark.parametrize("sampling", ["supervised", "unsupervised"])
def test_certified_at_every_margin(counts, margin, sampling):
    solution = gs.solve(gs.GCL(counts, loss="hinge", margin=margin, sampling=sampling))
    descent = gs.solve(solution.objective, gs.Descent(), throw=False)
    assert solution.certificate.lower_bound <= descent.value + 1e-12
    assert solution.value <= descent.value + 1e-9


@pytest.mark.parametrize("classes", [3, 4, 10])
def test_a_margin_the_simplex_satisfies_costs_nothing(classes):
    counts = np.arange(1, classes + 1)
    for margin in (0.5, 1.0, classes / (classes - 1)):
        assert gs.solve(gs.GCL(counts, loss="hinge", margin=margin)).value == pytest.approx(0, abs=1e-12)
    assert gs.solve(gs.GCL(counts, loss="hinge", margin=classes / (classes - 1) + 0.01)).value > 1e-4


@pytest.mark.parametrize("margin", [1.3, 2.0, 3.0])
def test_balanced_value_is_that_of_the_simplex(margin):
    """Every pair weighs the same, and the sum of the cosines is least at the simplex: margin - C/(C-1) above 0."""
    solution = gs.solve(gs.GCL([7] * 6, loss="hinge", margin=margin))
    assert solution.value == pytest.approx(max(margin - 6 / 5, 0), abs=1e-10)


@pytest.mark.parametrize("ratio", [2, 30, 1e4])
def test_below_margin_two_the_minority_never_collapses_onto_itself_for_free(ratio):
    """psi'(-2) = 0 where the margin is below 2: opposite pairs have no force, nothing holds minorities together."""
    solution = gs.solve(gs.GCL(gs.step_counts(1, 4, 1, ratio), loss="hinge", margin=1.9))
    assert solution.orbits.within[-1] < 1 - 1e-3


def test_every_pair_is_linear_beyond_margin_two_and_the_minority_collapses():
    solution = gs.solve(gs.GCL(gs.step_counts(1, 4, 1, 1e3), loss="hinge", margin=2.5))
    assert solution.collapsed == [[1, 2, 3, 4]]


def test_wrong_slopes_only_weaken_the_bound():
    """Any slopes in [0, 1] on the kink prove a bound: off its optimum a Gram matrix is bounded, not certified."""
    solution = gs.solve(gs.GCL([8, 5, 3, 2, 1], loss="hinge", margin=1.5))
    rng = np.random.default_rng(0)
    for size in (1e-4, 1e-2, 0.3):
        points = solution.embed().points + size * rng.normal(size=(5, solution.rank))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        certificate = gs.certify(solution.objective, points @ points.T)
        assert certificate.lower_bound <= solution.value + 1e-12
        assert not certificate.holds()


def test_newton_alone_says_that_it_cannot():
    solution = gs.solve(gs.GCL([8, 5, 3], loss="hinge", margin=1.6), gs.Newton(), throw=False)
    assert solution.quality is gs.Quality.UNCERTIFIED
    assert solution.termination is gs.Termination.NOT_APPLICABLE
