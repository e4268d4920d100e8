"""Honesty: what is certified is optimal, and every bound is a bound, for Gram matrices from anywhere."""

import itertools
import math

import numpy as np
import pytest
from helpers import dense_simplex, random_counts, random_direction, random_gram
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import geomsolve as gs

SEEDS = st.integers(0, 2**32 - 1)

FAMILY = {
    "supcon": lambda n, tau: gs.SupCon(n, temperature=tau),
    "gcl inf unsup": lambda n, tau: gs.GCL(n, temperature=tau, sampling="unsupervised"),
    "gcl 1 unsup": lambda n, tau: gs.GCL(n, temperature=tau, sampling="unsupervised", negatives=1),
    "gcl 4 sup mean": lambda n, tau: gs.GCL(n, temperature=tau, negatives=4),
}
SMOOTH = pytest.mark.parametrize("build", FAMILY.values(), ids=FAMILY.keys())
WITH_HINGE = pytest.mark.parametrize(
    "build",
    [*FAMILY.values(), lambda n, tau: gs.GCL(n, loss="hinge", margin=min(1.9, 0.3 + tau), sampling="unsupervised")],
    ids=[*FAMILY.keys(), "hinge"],
)


def draw(build, seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(3, 9))
    counts = random_counts(rng, classes, spread=2, distinct=int(rng.integers(1, classes + 1)))
    return rng, build(counts, float(rng.choice([0.1, 0.3, 1.0]))), counts


def optimum(objective):
    solution = gs.solve(objective, gs.solvers.Newton(), throw=False)
    assume(solution.quality is gs.Quality.CERTIFIED)
    return solution.orbits


def rotated(rng, gram, size):
    """A feasible neighbour: every atom's unit vector moved by about `size`, in all dimensions."""
    points = gram.embed()
    width = len(points)
    points = np.pad(points, ((0, 0), (0, width - points.shape[1])))
    moved = points + size * rng.normal(size=points.shape) / math.sqrt(width)
    moved /= np.linalg.norm(moved, axis=1, keepdims=True)
    return moved @ moved.T


# Bounds ---------------------------------------------------------------------------------------------------------------


@WITH_HINGE
@given(seed=SEEDS)
@settings(max_examples=25)
def test_lower_bound_is_below_every_feasible_gram(build, seed):
    """The soundness of everything: certify(G).lower_bound <= L(H) for feasible H and any G, repaired if need be."""
    rng, objective, _ = draw(build, seed)
    others = [random_gram(rng, objective.orbits) for _ in range(3)]
    others += [gs.OrbitGram.simplex(objective.orbits)]
    noise = random_direction(rng, objective.orbits)
    wrong = [gs.OrbitGram(objective.orbits, others[0].cosines + size * noise) for size in (1e-6, 1e-2, 1.0)]
    for gram in others + wrong:
        certificate = gs.certify(objective, gram)
        assert certificate.gap >= 0
        smallest = np.linalg.eigvalsh(gram.expand())[0]
        if smallest < -1e-9:
            assert math.isclose(certificate.repair, -smallest / (1 - smallest), rel_tol=1e-6)
        scale = abs(certificate.value) + certificate.gap
        assert abs(certificate.value - objective.value(gram.repaired()[0])) <= 1e-15 * scale
        for other in others:
            assert certificate.lower_bound <= objective.value(other.repaired()[0]) + 1e-14 * scale


@SMOOTH
@given(seed=SEEDS)
@settings(max_examples=12)
def test_bounds_hold_near_the_optimum(build, seed):
    """The gap covers the true excess over the optimum, from 1e-6 to everything, and shrinks with it."""
    rng, objective, _ = draw(build, seed)
    best = optimum(objective)
    least = gs.certify(objective, best)
    single = objective.ungrouped()
    gaps = []
    for size in (1e-6, 1e-4, 1e-2, 1.0):
        certificate = gs.certify(objective, rotated(rng, best, size))
        assert certificate.lower_bound <= least.value + 1e-14 * abs(least.value)
        true = certificate.excess - least.excess
        assert -1e-13 * certificate.excess <= true <= certificate.gap + 1e-13 * certificate.excess
        gaps.append(certificate.gap)
    assert gaps[0] < 1e-2 * gaps[3]
    assert math.isclose(single.value(best.ungrouped()), least.value, rel_tol=1e-13)


@WITH_HINGE
@given(seed=SEEDS)
@settings(max_examples=25)
def test_dense_certificate_is_the_orbit_certificate(build, seed):
    rng, objective, _ = draw(build, seed)
    gram = random_gram(rng, objective.orbits)
    # Away from the boundary of the cone, where rounding alone decides what is repaired.
    gram = gs.OrbitGram(gram.orbits, 0.9 * gram.cosines + 0.1 * np.diag(np.where(gram.orbits.plural, 0.0, 1.0)))
    orbit, dense = gs.certify(objective, gram), gs.certify(objective, gram.expand())
    for name in ("value", "gap", "excess", "ball_gap"):
        assert math.isclose(getattr(orbit, name), getattr(dense, name), rel_tol=1e-10), name
    assert orbit.ball_optimal == dense.ball_optimal
    # Far from an optimum the residual is large in both forms, and infinite where a block of atoms has no stiffness.
    assert (orbit.cosine_residual > 1e-6) == (dense.cosine_residual > 1e-6)


def test_two_classes_by_hand():
    """C = 2, SupCon: L(g) in closed form, its slope D, S = [[-D g, D], [D, -D g]], gap = 2 max(0, -(-D g - D))."""
    counts, temperature, g = [6, 2], 0.5, 0.25
    certificate = gs.certify(gs.SupCon(counts, temperature=temperature), [[1, g], [g, 1]])
    e = math.exp((g - 1) / temperature)
    value = 0.75 * math.log(11 + 4 * e) + 0.25 * math.log(3 + 12 * e)
    slope = (0.75 * 4 * e / (11 + 4 * e) + 0.25 * 12 * e / (3 + 12 * e)) / temperature / 2
    assert math.isclose(certificate.value, value, rel_tol=1e-15)
    assert math.isclose(certificate.gap, 2 * slope * (1 + g), rel_tol=1e-12)
    assert math.isclose(certificate.lower_bound, value - 2 * slope * (1 + g), rel_tol=1e-13)
    floor = 0.75 * math.log(11) + 0.25 * math.log(3)
    assert math.isclose(certificate.relative_gap, 2 * slope * (1 + g) / (value - floor), rel_tol=1e-12)
    assert certificate.repair == 0
    assert not certificate.holds()
    assert gs.certify(gs.SupCon(counts, temperature=temperature), [[1, -1], [-1, 1]]).holds()


# Nothing wrong is certified -------------------------------------------------------------------------------------------


@SMOOTH
def test_perturbed_optima_are_never_certified(build):
    """Hundreds over the family: all cosines, one cosine, the tail's only; feasible and not."""
    tried, problems = 0, 0
    for seed in range(6):
        rng, objective, _ = draw(build, seed)
        trials = 10 if hasattr(objective, "count") else 20  # an integral per certificate there
        solution = gs.solve(objective, gs.solvers.Newton(), throw=False)
        if solution.quality is not gs.Quality.CERTIFIED:
            continue
        best = solution.orbits
        dense = best.expand()
        problems += 1
        for _ in range(trials):
            size = 10 ** rng.uniform(-5, 0)
            changed = rotated(rng, best, size)
            if np.abs(changed - dense).max() > 1e-5:
                assert not gs.certify(objective, changed).holds(), (seed, size)
                tried += 1
            i, j = rng.choice(len(dense), 2, replace=False)
            changed = dense.copy()
            changed[i, j] += size * rng.choice([-1, 1])
            changed[j, i] = changed[i, j]
            assert not gs.certify(objective, changed).holds(), (seed, size, i, j)
            tried += 1
    assert problems >= 5
    assert tried > 1.5 * problems * trials


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_wrong_problems_are_never_certified(temperature):
    rng = np.random.default_rng(7)
    counts = np.array([1000, 300, 100, 30, 10])
    objective = gs.SupCon(counts, temperature=temperature)
    right = gs.solve(objective, gs.solvers.Newton())
    assert gs.certify(objective, right.gram).holds()
    others = [
        gs.SupCon(counts, temperature=temperature * (1 + 1e-4)),
        gs.SupCon(counts, temperature=temperature / 2),
        gs.SupCon([1001, 300, 100, 30, 10], temperature=temperature),
        gs.SupCon([1000, 300, 100, 30, 11], temperature=temperature),
        gs.SupCon(counts, temperature=temperature, views=1),
        gs.GCL(counts, temperature=temperature),
        gs.GCL(counts, temperature=temperature, sampling="unsupervised"),
        gs.GCL(counts, temperature=temperature, negatives=64),
    ]
    for other in others:
        wrong = gs.solve(other, gs.solvers.Newton())
        assert not gs.certify(objective, wrong.gram).holds(), other.name
        assert not gs.certify(objective, wrong.orbits).holds(), other.name
    assert not gs.certify(objective, np.eye(5)).holds()
    assert not gs.certify(objective, np.ones((5, 5))).holds()
    assert not gs.certify(objective, dense_simplex(5)).holds()
    for order in itertools.islice((rng.permutation(5) for _ in itertools.count()), 20):
        same = np.array_equal(order, np.arange(5))
        assert gs.certify(objective, right.gram[np.ix_(order, order)]).holds() == same


def test_orbits_of_another_problem_are_not_trusted():
    """An orbit Gram matrix carries its own classes: the same number of orbits does not make it this problem's."""
    here = gs.SupCon([10, 100, 1000], temperature=0.1)
    there = gs.solve(gs.SupCon([1000, 100, 10], temperature=0.1), gs.solvers.Newton())
    assert not gs.certify(here, there.orbits).holds(), "class 0 is the rare one here"
    assert gs.certify(here, there.gram[::-1, ::-1]).holds()

    here = gs.SupCon([1000, 100, 100, 10], temperature=0.1)
    there = gs.solve(gs.SupCon([1000, 1000, 100, 10], temperature=0.1), gs.solvers.Newton())
    orbit, dense = gs.certify(here, there.orbits), gs.certify(here, there.gram)
    assert math.isclose(orbit.value, dense.value, rel_tol=1e-14)
    assert math.isclose(orbit.gap, dense.gap, rel_tol=1e-8)

    with pytest.raises(gs.ProblemError, match="shape"):
        gs.certify(here, gs.solve(gs.SupCon([10, 100, 1000], temperature=0.1), gs.solvers.Newton()).orbits)


@pytest.mark.parametrize("temperature", [1e-3, 5e-4])
def test_underflow_is_not_optimality(temperature):
    """e^{-1/tau} = 0 in float64 says that nothing is known, not that every geometry is optimal."""
    objective = gs.SupCon([1000, 100, 10], temperature=temperature)
    assert not gs.certify(objective, np.eye(3)).holds()
    assert not gs.certify(objective, [[1, -0.9, 0], [-0.9, 1, 0], [0, 0, 1]]).holds()


def test_not_certified_carries_the_answer():
    objective = gs.SupCon([10000, 100, 10, 3], temperature=0.5)
    with pytest.raises(gs.NotCertified, match=r"not certified at tol=1e-09.*throw=False") as caught:
        gs.solve(objective, gs.solvers.Newton(max_steps=2))
    solution = caught.value.solution
    assert solution.quality is gs.Quality.UNCERTIFIED
    assert not solution.certificate.holds()
    assert solution.gram.shape == (4, 4)
    assert solution.certificate.lower_bound <= gs.solve(objective, gs.solvers.Newton()).value


@pytest.mark.parametrize("build", [gs.BCL, gs.ECL, gs.KCL])
def test_the_orbits_of_a_solution_are_certified_as_they_are(build):
    """Three million examples: no matrix of them fits."""
    solution = gs.solve(build([3_000_000, 20_000, 500, 500, 2], temperature=0.5))
    again = gs.certify(solution.objective, solution.orbits)
    assert again.holds()
    assert again.excess == pytest.approx(solution.certificate.excess, rel=1e-11)


def test_a_bound_is_not_fooled_by_a_slight_asymmetry():
    objective = gs.SupCon([1000, 100, 10], temperature=0.1)
    optimum = gs.solve(objective)
    rng = np.random.default_rng(0)
    for _ in range(50):
        skew = np.triu(rng.uniform(-5e-10, 5e-10, (3, 3)), 1)
        gram = gs.OrbitGram(objective.orbits, optimum.orbits.cosines + skew - skew.T)
        assert gs.certify(objective, gram).lower_bound <= optimum.value


# Cosines that no vectors have, and a diagonal near 1 ------------------------------------------------------------------


def test_an_infeasible_matrix_is_never_certified():
    """Repaired it is the regular simplex, which is optimal: but it is not the matrix that was asked about."""
    objective = gs.SupCon([10, 10, 10], temperature=0.1)
    wrong = np.full((3, 3), -0.9) + 1.9 * np.eye(3)
    found = gs.certify(objective, wrong)
    assert not found.feasible
    assert not found.holds()
    assert found.relative_gap < 1e-9, "of the repaired matrix"
    assert found.smallest_eigenvalue == pytest.approx(-0.8)
    assert found.repair == pytest.approx(0.8 / 1.8)
    text = "\n".join(found.lines())
    assert "smallest eigenvalue is -0.8" in text
    assert "0.44 of the way to the identity" in text
    assert found.to_dict()["feasible"] is False


@pytest.mark.parametrize(("below", "feasible"), [(0.0, True), (5e-7, True), (2e-6, False)])
def test_feasible_is_a_repair_of_at_most_a_millionth(below, feasible):
    simplex = np.full((3, 3), -0.5 - below / 2.0) + (1.5 + below / 2.0) * np.eye(3)
    found = gs.certify(gs.SupCon([10, 10, 10], temperature=0.1), simplex)
    assert found.repair == pytest.approx(below, rel=1e-5, abs=1e-15)
    assert found.feasible is feasible
    assert found.holds() is feasible


def test_a_diagonal_off_by_a_solver_s_tolerance_is_rescaled():
    objective = gs.SupCon([1000, 100, 10], temperature=0.5)
    gram = gs.solve(objective).gram
    scale = np.sqrt(1.0 + np.array([3e-6, -5e-5, 9e-5]))
    found = gs.certify(objective, gram * scale * scale[:, None])
    assert found.holds()
    assert found.rescaled == pytest.approx(9e-5)
    assert "off 1 by up to 9e-05" in "\n".join(found.lines())
    assert gs.certify(objective, gram).rescaled < 1e-12
    with pytest.raises(gs.ProblemError, match=r"off by 0\.0002, and at most 0\.0001 is rescaled"):
        gs.certify(objective, gram * (1.0 + 2e-4))


def test_a_bound_below_the_floor_proves_nothing():
    found = gs.certify(gs.SupCon([10, 10, 10], temperature=0.1), 0.9 + 0.1 * np.eye(3))
    assert found.relative_gap > 1.0
    assert "times the loss above its floor: this proves nothing" in "\n".join(found.lines())
