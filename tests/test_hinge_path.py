"""The path of a hinge loss and its polish: closed forms where rare classes decide, and equations by differences."""

from dataclasses import replace

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.certificate import certify
from geomsolve.objectives.pairwise import hinge_slopes
from geomsolve.solvers.base import Termination
from geomsolve.solvers.hinge_path import Problem
from geomsolve.solvers.hinge_system import System
from geomsolve.solvers.kink_polish import polish_kinks
from geomsolve.solvers.kinks import Hinges
from geomsolve.solvers.spheres import gram_of, retract


@pytest.mark.parametrize("rare", [[1e5, 7e4], [1e3, 1e3], [40, 3]], ids=str)
@pytest.mark.parametrize("margin", [1.35, 1.42, 1.49])
def test_rare_classes_decide_where_frequent_ones_have_room(rare, margin):
    """Two frequent classes of cosine k have most room for two others that keep k from both: 1 - 2 k^2/(1 + k) across.

    Three classes can all keep the margin and four cannot, so two rare ones are 4 k^2/(1 + k) - 1 apart; the frequent
    ones lose nothing by any cosine below k, and what asks for k weighs 1e-7 to 1e-17 of what they weigh.
    """
    solution = gs.solve(gs.GCL([3e9, 1e9, *rare], loss="hinge", margin=margin, sampling="unsupervised"))
    kink = 1.0 - margin
    expected = np.full((4, 4), kink)
    expected[2, 3] = expected[3, 2] = 4.0 * kink**2 / (1.0 + kink) - 1.0
    np.fill_diagonal(expected, 1.0)
    assert np.abs(solution.gram - expected).max() < 1e-6


# Found by drawing at random: frequent classes with room, directions held by 1e-8 of the forces on them, classes of
# almost equal weight, and a loss that is linear.
HARD = [
    (np.repeat([10_000_000, 59, 8], [24, 19, 69]), "supervised", 1.0152),
    (np.repeat([600_000, 2_000_000, 160_000, 700, 33], [94, 6, 15, 1, 25]), "supervised", 1.7422),
    (np.repeat([90, 84, 77, 71, 66, 59, 50], [3, 7, 5, 2, 10, 1, 4]), "supervised", 1.5),
    (np.repeat([10**9, 10**8, 3 * 10**5, 900, 20], [1, 30, 1, 6, 12]), "supervised", 1.24),
    (np.repeat([4_000_000, 300_000, 9000, 40, 2], [5, 1, 17, 3, 1]), "supervised", 2.0502),
]
# Weights almost of rank one, so that S is, with slopes 1e-6 from 1: more than float64 has digits for.
needs_long_double = pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="long double is float64 here")
NEARLY_ALIKE = [
    (np.repeat([1260, 1527, 1969, 2009, 2029, 2097], [4, 1, 48, 3, 17, 42]), "supervised", 1.4093),
    (np.repeat([1126, 1208, 1332, 1360, 1419, 1505, 2504], [9, 13, 46, 42, 69, 48, 7]), "supervised", 1.1138),
]


@pytest.mark.parametrize(
    ("counts", "sampling", "margin"), [*HARD, *(pytest.param(*case, marks=needs_long_double) for case in NEARLY_ALIKE)]
)
def test_the_first_way_arrives(counts, sampling, margin):
    objective = gs.GCL(counts, loss="hinge", margin=margin, sampling=sampling)
    attempt = Hinges(enough=lambda gram: certify(objective, gram).holds()).run(objective)
    assert certify(objective, attempt.gram).holds()


def test_balanced_points_of_nearly_equal_classes_are_not_an_optimum():
    """S is u u^T but for 1e-7 and less of it, and G u = 0: what is left of S decides, and says that it is wrong.

    With the logarithm of S_ij / u_i u_j taken for the error of a cosine any balanced geometry was certified.
    """
    counts = 10_000.0 + np.arange(6)
    objective = gs.GCL(counts, loss="hinge", margin=1.95, sampling="supervised")
    masses = counts / counts.sum()
    u = masses / np.sqrt(1.0 - masses)
    points = np.random.default_rng(3).normal(size=(6, 3))
    for _ in range(5000):
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        points -= u @ points / u.sum()
    points = points[np.argsort(np.argsort(objective.masses))]
    wrong = certify(objective, gram_of(objective.orbits, retract(np.column_stack([points, np.zeros(6)]), 0.0)))
    best = gs.solve(objective).certificate
    assert wrong.relative_gap < 1e-9
    assert wrong.excess > best.excess * (1.0 + 1e-12) > best.excess
    assert wrong.cosine_residual > 1e-5


def test_slopes_good_to_ten_digits_do_not_hide_rank_one():
    """A frequent class on the kink with all others: S = u u^T, and its slope is (margin - 1) (other masses) / its own.

    Off the kink S_ij = m_i m_j. G u = 0, with cosines 1 - margin to the first, has u_1 = (margin - 1) sum_j m_j.
    """
    counts = np.array([1000.0, 100, 90, 80, 70, 60])
    objective = gs.GCL(counts, loss="hinge", margin=1.3, sampling="unsupervised")
    gram = gs.solve(objective).orbits
    first = int(np.argmax(objective.masses))
    others = np.arange(6) != first
    assert np.abs(gram.cosines[first, others] + 0.3).max() < 1e-8
    noise = 1e-10 * np.random.default_rng(0).normal(size=(6, 6))
    known = np.ones((6, 6))
    known[first] = known[:, first] = 0.3 * 400.0 / 1000.0
    given = replace(gram, slopes=known + noise + noise.T)
    slopes = hinge_slopes(objective, given, given.cosines + 0.3)
    assert np.abs(slopes - known)[first, others].max() < 4e-10
    assert np.ptp(slopes[first, others]) < 1e-14
    assert certify(objective, given).holds()
    # With slopes that say something else nothing is mended, and turned points are no optimum with any.
    known[first] = known[:, first] = 0.13
    assert not certify(objective, replace(gram, slopes=known)).holds()
    order = np.roll(np.flatnonzero(others), 1)
    turned = gram.cosines.copy()
    turned[np.ix_(others, others)] = turned[np.ix_(order, order)]
    assert not certify(objective, replace(given, cosines=turned, points=None)).holds()


@needs_long_double
def test_the_path_goes_on_beyond_float64():
    """On the path all products are their goals, and S G = 0 up to them: 1e-17 here, where float64 ends at 1e-14."""
    objective = gs.GCL(np.repeat([1126, 1208, 1332, 2504], [9, 13, 46, 7]), loss="hinge", margin=1.1138)
    attempt = Hinges().run(objective)
    assert attempt.termination is Termination.CONVERGED
    assert attempt.history[-1]["change"] < 1e-17


@pytest.mark.parametrize(("counts", "sampling", "margin"), [*HARD[:2], ([1000, 300, 100, 30, 10], "supervised", 1.5)])
def test_polish_returns_from_near_by(counts, sampling, margin):
    solution = gs.solve(gs.GCL(counts, loss="hinge", margin=margin, sampling=sampling))
    objective, orbits = solution.objective, solution.orbits.orbits
    best = polish_kinks(objective, solution.orbits, [], lambda _: None)[0]
    rng = np.random.default_rng(0)
    points = best.points
    moved = retract(points, 2e-10 * rng.normal(size=points.shape) * (points != 0))
    found, _, _ = polish_kinks(objective, replace(gram_of(orbits, moved), slopes=best.slopes), [], lambda _: None)
    assert np.abs(found.cosines - best.cosines).max() < 1e-12
    assert certify(objective, found).holds()
    assert 0.0 <= found.slopes.min() <= found.slopes.max() <= 1.0 + 1e-9


@pytest.mark.parametrize("counts", [[8, 5, 3, 2, 1], [900, 900, 40, 40, 40, 3], [7, 7, 7, 2]], ids=str)
def test_newton_step_removes_forces_and_what_products_miss(counts):
    """At first order: after a share t of the step, 1 - t of them is left."""
    objective = gs.GCL(counts, loss="hinge", margin=1.4)
    problem = Problem.of(objective, 1.4)
    point, share = problem.start(), 1e-6
    mu = 0.1 * problem.scales
    forces, missing = problem.forces(point), problem.missing(point, mu)
    step = System(problem, point, forces).step(forces, missing)
    after = problem.moved(point, step, share, flat=False)
    now = problem.forces(after)
    lengths = np.sum(point.means * step.means, axis=1) + point.spread * step.spread
    assert np.abs(lengths).max() < 1e-12
    # Across the spheres; what is along them the multipliers of the unit rows take.
    rate = np.column_stack([now.means - forces.means, now.spread - forces.spread]) / share
    rows = np.column_stack([point.means, point.spread])
    left = rate + np.column_stack([forces.means, forces.spread])
    left -= np.sum(left * rows, axis=1, keepdims=True) * rows
    assert np.abs(left).max() < 1e-4
    for old, new in zip(missing, problem.missing(after, mu), strict=True):
        assert np.abs((new - old) / share + old).max() < 1e-4 * max(1.0, np.abs(old).max())


def test_on_the_path_the_slack_is_diagonal_in_the_factor():
    objective = gs.GCL([900, 900, 40, 40, 40, 3], loss="hinge", margin=1.4)
    problem = Problem.of(objective, 1.4)
    point, mu = problem.start(), 0.3 * problem.scales
    far = problem.apart(point, problem.forces(point), mu)
    for _ in range(30):
        forces = problem.forces(point)
        step = System(problem, point, forces).step(forces, problem.missing(point, mu))
        point = problem.moved(point, step, 1.0, flat=True) or problem.moved(point, step, 0.3, flat=True)
    assert problem.apart(point, problem.forces(point), mu) == pytest.approx(1.0, abs=1e-8)
    assert far > 1.1
