"""The hinge of the triplet loss: kinks, subgradients, and optima that are not unique."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from helpers import random_direction

import geomsolve as gs
from geomsolve.certificates.slack import Slack
from geomsolve.geometry.orbit_gram import OrbitGram

COUNTS = ([30] + [1] * 9, [5, 5, 1, 1, 1], [1000, 300, 100, 30, 10], [8, 5, 3, 2, 1])


@pytest.mark.parametrize(
    ("counts", "margin", "sampling"),
    [
        (COUNTS[0], 0.5, "supervised"),
        (COUNTS[0], 1.9, "unsupervised"),
        (COUNTS[1], 1.3, "unsupervised"),
        (COUNTS[2], 1.5, "supervised"),
        (COUNTS[2], 2.5, "unsupervised"),
        (COUNTS[3], 1.9, "supervised"),
    ],
)
def test_certified_at_every_margin(counts, margin, sampling):
    solution = gs.solve(gs.GCL(counts, loss="hinge", margin=margin, sampling=sampling))
    descent = gs.solve(solution.objective, gs.solvers.Descent(), throw=False)
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
    solution = gs.solve(gs.GCL([8, 5, 3], loss="hinge", margin=1.6), gs.solvers.Newton(), throw=False)
    assert solution.quality is gs.Quality.UNCERTIFIED
    assert solution.termination is gs.solvers.Termination.NOT_APPLICABLE


# Drawn at random over ten decades of counts, where the conic solver has no scale of its own for a rare class.
UNBALANCED = [
    ([10, 66, 221_323, 20_954_757, 1_950_513_085], "supervised", 1.9997),
    ([63, 28_343, 1_603_819, 8_007_633_648], "unsupervised", 1.8539),
]


@pytest.mark.parametrize(("counts", "sampling", "margin"), UNBALANCED)
def test_counts_over_ten_decades(counts, sampling, margin):
    solution = gs.solve(gs.GCL(counts, loss="hinge", margin=margin, sampling=sampling))
    slack = Slack.of(solution.objective, solution.orbits)
    # S >= 0 and S G = 0 with every class in units of its own multiplier, slopes in [0, 1] and 0 or 1 off the kink.
    scale = np.sqrt(np.diag(slack.quotient))
    form = slack.quotient / scale / scale[:, None]
    assert np.linalg.eigvalsh(form)[0] > -1e-9
    assert np.abs(form @ (solution.orbits.quotient * scale[:, None] / scale)).max() < 1e-6
    pairs = solution.orbits.orbits.partners > 0
    slopes, above = solution.orbits.slopes[pairs], solution.orbits.cosines[pairs] - 1 + margin
    assert 0 <= slopes.min() <= slopes.max() <= 1
    assert above[slopes > 1e-9].min(initial=0.0) > -1e-6
    assert above[slopes < 1 - 1e-4].max(initial=0.0) < 1e-6


def test_slopes_that_come_with_a_gram_matrix_are_not_trusted():
    """Those of the optimum prove nothing of another Gram matrix, and wrong ones only weaken the bound."""
    rng = np.random.default_rng(0)
    for counts, sampling, margin in ([30] + [1] * 9, "supervised", 1.5), ([8, 5, 3, 2, 1], "unsupervised", 1.9):
        solution = gs.solve(gs.GCL(counts, loss="hinge", margin=margin, sampling=sampling))
        gram = solution.orbits
        for size in (3e-6, 1e-4, 1e-2):
            moved = OrbitGram(gram.orbits, gram.cosines + size * random_direction(rng, gram.orbits), slopes=gram.slopes)
            certificate = gs.certify(solution.objective, moved)
            assert not certificate.holds()
            assert certificate.lower_bound <= solution.value * (1 + 1e-12)
        for wrong in (0.0, 0.5, 1.0, 7.0):
            certificate = gs.certify(solution.objective, replace(gram, slopes=np.full_like(gram.cosines, wrong)))
            assert certificate.lower_bound <= solution.value * (1 + 1e-12)


@pytest.mark.parametrize("share", [0.55, 0.8, 0.999])
@pytest.mark.parametrize("margin", [2.0, 2.7])
def test_beyond_margin_two_a_majority_has_all_others_opposite(share, margin):
    """The loss is margin - 1 + |sum pi z|^2 then, and the sum of the rare classes falls short of the majority."""
    counts = np.array([share, *((1 - share) * np.array([0.6, 0.3, 0.1]))]) * 1e6
    solution = gs.solve(gs.GCL(counts, loss="hinge", margin=margin, sampling="unsupervised"))
    assert solution.value == pytest.approx(margin - 1 + (2 * share - 1) ** 2, abs=1e-9)


@pytest.mark.parametrize("frequent", [10**3, 10**6, 10**9])
@pytest.mark.parametrize("off", [3e-5, 0.1, 0.9])
def test_a_rare_class_at_a_wrong_angle_to_opposite_ones_is_seen(frequent, off):
    """Of n, n and 2 the optimum is the triangle with n z_1 + n z_2 + 2 z_3 = 0, and G u = 0 to 1e-6 says nothing."""
    objective = gs.GCL([frequent, frequent, 2], loss="hinge", sampling="unsupervised", margin=2.5)
    points = np.array([[1.0, 0.0], [-1.0, 0.0], [off, np.sqrt(1.0 - off**2)]])
    points[:2, 1] -= points[2, 1] / frequent
    points /= np.linalg.norm(points, axis=1)[:, None]
    found = gs.certify(objective, points @ points.T)
    assert found.cosine_residual > 0.3 * off
    assert not found.holds()


@pytest.mark.parametrize(
    "counts", [(1185284860, 1185284850, 11), (10**9 + 1, 10**9, 2), (10**8 + 10, 10**8, 11), (30, 20, 15)]
)
def test_three_classes_that_all_repel_are_the_triangle_of_their_counts(counts):
    a, b, c = map(Fraction, counts)
    solution = gs.solve(gs.GCL(counts, loss="hinge", sampling="unsupervised", margin=2.9))
    exact = float((b**2 - a**2 - c**2) / (2 * a * c))  # of a z_1 + b z_2 + c z_3 = 0
    assert solution.gram[2, 0] == pytest.approx(exact, abs=1e-6)
