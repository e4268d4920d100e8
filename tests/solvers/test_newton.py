"""Newton's answers against the tables and closed forms known to high precision, and on every shipped profile."""

import itertools
import math

import numpy as np
import pytest
from helpers import dense_simplex, random_gram

import geomsolve as gs
from geomsolve.objectives.classes.supcon import class_orbits

PROFILES = [name for name in gs.profile_names() if not name.endswith(":IR")]


def solve(objective):
    """A certified answer of Newton alone."""
    return gs.solve(objective, gs.solvers.Newton())


def long_tail(classes, ratio, largest=1.0):
    """Counts largest * IR^(-c/(C-1)), not truncated."""
    return largest * ratio ** (-np.arange(classes) / (classes - 1))


# Balanced classes -----------------------------------------------------------------------------------------------------

LOSSES = {
    "supcon": lambda n, tau: gs.SupCon(n, temperature=tau),
    "supcon, one view": lambda n, tau: gs.SupCon(n, temperature=tau, views=1),
    "gcl inf": lambda n, tau: gs.GCL(n, temperature=tau),
    "gcl inf unsup": lambda n, tau: gs.GCL(n, temperature=tau, sampling="unsupervised"),
    "gcl 1": lambda n, tau: gs.GCL(n, temperature=tau, negatives=1),
    "gcl 16 mean": lambda n, tau: gs.GCL(n, temperature=tau, negatives=16),
    "gcl 65536 sum unsup": lambda n, tau: gs.GCL(
        n, temperature=tau, negatives=65536, normalization="sum", sampling="unsupervised"
    ),
    "logistic unsup": lambda n, tau: gs.GCL(n, temperature=tau, loss="logistic", sampling="unsupervised"),
}


@pytest.mark.parametrize("build", LOSSES.values(), ids=LOSSES.keys())
def test_balanced_classes_form_the_simplex(build):
    for classes, temperature in itertools.product((2, 3, 47), (0.01, 1.0, 10.0)):
        solution = solve(build([20] * classes, temperature))
        assert np.abs(solution.gram - dense_simplex(classes)).max() <= 1e-10, (classes, temperature)
        assert solution.rank == classes - 1


@pytest.mark.parametrize("build", LOSSES.values(), ids=LOSSES.keys())
def test_nearly_balanced_classes_form_nearly_the_simplex(build):
    """The same, without an orbit to make it trivial: counts that differ in the ninth digit."""
    for classes, temperature in itertools.product((3, 12), (0.1, 1.0)):
        counts = 20 * (1 + 1e-9 * np.arange(classes))
        solution = solve(build(counts, temperature))
        assert len(solution.orbits.sizes) == classes
        assert np.abs(solution.gram - dense_simplex(classes)).max() <= 1e-7, (classes, temperature)


# Real data ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("name", PROFILES)
def test_shipped_profiles(name, temperature):
    solution = solve(gs.SupCon(gs.load_counts(name), temperature=temperature))
    certificate = solution.certificate
    assert certificate.gap <= 1e-12
    assert certificate.cosine_residual <= 1e-8
    assert certificate.relative_gap <= 1e-12
    assert solution.solver == "newton"
    assert solution.quality is gs.Quality.CERTIFIED


# Extreme imbalance, rank loss ----------------------------------------------------------------------------------------


def test_the_tail_at_imbalance_1e8():
    gram = solve(gs.SupCon(long_tail(10, 1e8, 1e9), temperature=0.5, views=2)).gram
    tail = gram[5:, 5:][np.triu_indices(5, 1)]
    assert tail.min() > 0.7764
    assert tail.max() < 0.7767


def test_long_tail_flattens_then_becomes_a_line():
    """C = 5, tau = 5: IR = 40 still has rank 4; at IR = 60 the tail is one point opposite the head."""
    gram = solve(gs.SupCon(long_tail(5, 40, 1000), temperature=5, views=1))
    assert gram.rank == 4
    assert gram.gram[2:, 2:].min() >= 0.997
    assert gram.gram[1:, 1:].min() < 1 - 1e-6
    line = solve(gs.SupCon(long_tail(5, 60, 1000), temperature=5, views=1))
    sides = np.array([1, -1, -1, -1, -1])
    assert line.rank == 1
    assert np.allclose(line.gram, np.outer(sides, sides), rtol=0, atol=1e-10)
    assert line.collapsed == [[1, 2, 3, 4]]


def geometric(classes, temperature, ratio, offset):
    """A grid of geometric long tails: weights pi, offset a pi."""
    counts = gs.as_counts(long_tail(classes, ratio, 1e7))
    pi = counts.proportions
    return gs.RowSoftmax(
        orbits=class_orbits(counts),
        masses=pi,
        weights=np.broadcast_to(pi, (len(pi), len(pi))),
        offsets=offset * pi,
        temperature=temperature,
    )


def test_rank_loss_without_merging():
    """tau = 10, a = 10 pi, IR = 100: directions vanish with no two classes equal; the dual factor has six columns."""
    objective = geometric(10, 10.0, 100.0, 10.0)
    solution = solve(objective)
    gram = solution.gram
    assert solution.collapsed == []
    assert gram[np.triu_indices(10, 1)].max() < 1 - 1e-6
    assert np.linalg.matrix_rank(gram, tol=1e-8, hermitian=True) == solution.rank == 4
    # The slack matrix, written out: m_i q_ij + m_j q_ji off the diagonal, S G = 0, of complementary rank.
    pi = objective.masses
    drift = pi * np.exp((gram - 1) / 10) * (1 - np.eye(10))
    q = drift / (10 * pi + drift.sum(axis=1))[:, None]
    slack = pi[:, None] * q + (pi[:, None] * q).T
    np.fill_diagonal(slack, -np.sum(slack * gram * (1 - np.eye(10)), axis=1))
    assert np.abs(slack @ gram).max() <= 1e-13
    unit = np.sqrt(np.diag(slack))
    values = np.linalg.eigvalsh(slack / np.outer(unit, unit))
    assert values[0] >= -1e-11
    assert np.count_nonzero(values > 1e-9) == 6


@pytest.mark.parametrize(("classes", "offset"), [(4, 0.0), (10, 10.0), (30, 1.0)])
def test_geometric_long_tails(classes, offset):
    for temperature, ratio in itertools.product((0.05, 0.5, 2.0, 10.0), (2.0, 100.0, 1e4, 1e6)):
        solution = gs.solve(geometric(classes, temperature, ratio, offset), gs.solvers.Newton(), throw=False)
        assert solution.quality is gs.Quality.CERTIFIED, (temperature, ratio, solution.stats[-1], solution.certificate)


# Positives ------------------------------------------------------------------------------------------------------------


def pulled(rng, strength, temperature, count=6):
    """Six classes alike but for random positives between them."""
    positives = strength * rng.uniform(0.1, 1, (count, count))
    return gs.RowSoftmax(
        orbits=gs.geometry.Orbits(np.ones(count), np.arange(count)),
        masses=np.full(count, 1 / count),
        weights=np.ones((count, count)),
        offsets=np.ones(count),
        positives=(positives + positives.T) / 2,
        temperature=temperature,
    )


@pytest.mark.parametrize(("seed", "strength", "temperature"), [(0, 0.003, 0.2), (1, 0.03, 1.0), (2, 0.1, 1.0)])
def test_positives_between_classes(seed, strength, temperature):
    """(RS) with P != 0: certified, and no feasible direction goes down."""
    rng = np.random.default_rng(seed)
    objective = pulled(rng, strength, temperature)
    count = 6
    solution = solve(objective)
    best = solution.orbits
    excess = objective.excess(best)
    pull = objective.row_gradient(best)
    gradient = (pull + pull.T) / 2 * (1 - np.eye(count))
    for _ in range(60):
        other = random_gram(rng, objective.orbits)
        direction = other.cosines - best.cosines
        assert np.sum(gradient * direction) >= -1e-9 * np.abs(gradient * direction).sum()
        for step in (1e-3, 1e-1, 1.0):
            there = gs.OrbitGram(best.orbits, best.cosines + step * direction)
            assert objective.excess(there) >= excess * (1 - 1e-13)
    # Positives do something: without them the regular simplex would be optimal.
    assert np.abs(solution.gram - dense_simplex(count)).max() > 1e-4


@pytest.mark.parametrize("seed", range(2))
def test_positives_that_leave_the_boundary(seed):
    """Strong positives at low temperature: the optimum is definite, every force vanishes, S = 0."""
    objective = pulled(np.random.default_rng(seed), 0.1, 0.2)
    z = np.ones(6)
    for _ in range(500):  # e^{t/tau} (1/Z_i + 1/Z_j) = 2 P_ij, a contraction here
        drift = 2 * objective.positives / (1 / z[:, None] + 1 / z) * (1 - np.eye(6))
        z = 1 + drift.sum(axis=1)
    expected = 1 + 0.2 * np.log(drift + np.eye(6))
    assert np.linalg.eigvalsh(expected)[0] > 0.01
    assert gs.certify(objective, expected).gap <= 1e-14
    assert gs.certify(objective, expected).holds()
    wrong = expected.copy()
    wrong[0, 1] = wrong[1, 0] = expected[0, 1] + 1e-3
    assert not gs.certify(objective, wrong).holds()
    solution = gs.solve(objective)
    assert np.abs(solution.gram - expected).max() <= 1e-7


def test_two_atoms_with_a_positive_by_hand():
    """L(g) = -p t/tau + log(1 + e^{t/tau}): stationary at e^{t/tau} = p/(1-p); here tau = 0.5, p = 0.2."""
    objective = gs.RowSoftmax(
        orbits=gs.geometry.Orbits(np.array([2.0]), np.array([0, 0])),
        masses=np.array([0.5]),
        weights=np.ones((1, 1)),
        offsets=np.ones(1),
        positives=np.full((1, 1), 0.2),
        temperature=0.5,
    )
    expected = 1 + 0.5 * math.log(0.2 / 0.8)
    for problem in (objective, objective.ungrouped()):
        solution = solve(problem)
        assert abs(solution.gram[0, 1] - expected) <= 1e-10
        assert solution.rank == 2


# The solver's manners -------------------------------------------------------------------------------------------------


def test_start_does_not_change_the_answer():
    objective = gs.SupCon(gs.load_counts("cifar100_lt:100"), temperature=0.1)
    cold = solve(objective)
    near = gs.solve(gs.SupCon(gs.load_counts("cifar100_lt:100"), temperature=0.101), gs.solvers.Newton())
    warm = gs.solve(objective, gs.solvers.Newton(), start=near.orbits)
    assert np.abs(warm.orbits.cosines - cold.orbits.cosines).max() <= 1e-12


def test_history_and_progress():
    lines = []
    solution = gs.solve(gs.SupCon([1000, 100, 10], temperature=0.1), gs.solvers.Newton(), progress=lines.append)
    assert [entry["step"] for entry in solution.history] == list(range(len(solution.history)))
    assert len(solution.history) == solution.stats[0].steps == len(lines)
    assert solution.history[-1]["change"] < 1e-9 < solution.history[0]["change"]


def test_order_of_classes_is_the_callers():
    counts = np.array([10, 1000, 10, 100, 3])
    order = np.argsort(-counts, kind="stable")
    here = solve(gs.SupCon(counts, temperature=0.2)).gram
    there = solve(gs.SupCon(counts[order], temperature=0.2)).gram
    assert np.allclose(here[np.ix_(order, order)], there, rtol=0, atol=1e-13)


def test_grouping_changes_nothing():
    for counts in ([100, 100, 10, 10, 10], [500, 50, 50], [9, 9, 9, 1, 1]):
        objective = gs.SupCon(counts, temperature=0.4)
        grouped, single = solve(objective), solve(objective.ungrouped())
        assert np.abs(grouped.gram - single.gram).max() <= 1e-10
        assert math.isclose(grouped.value, single.value, rel_tol=1e-14)
