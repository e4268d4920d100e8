"""Newton's answers against the tables and closed forms known to high precision, and on every shipped profile."""

import itertools

import numpy as np
import pytest
from helpers import dense_simplex

import geomsolve as gs
from geomsolve.objectives.classes.supcon import class_orbits

PROFILES = [name for name in gs.profile_names() if not name.endswith(":IR")]


def solve(objective):
    """A certified answer of Newton alone."""
    return gs.solve(objective, gs.solvers.Newton())


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
def test_balanced_classes_form_the_simplex_and_nearly_balanced_ones_nearly(build):
    """Also without an orbit to make it trivial: counts that differ in the ninth digit."""
    for classes, temperature in itertools.product((2, 3, 47), (0.01, 1.0, 10.0)):
        solution = solve(build([20] * classes, temperature))
        assert np.abs(solution.gram - dense_simplex(classes)).max() <= 1e-10, (classes, temperature)
        assert solution.rank == classes - 1
    for classes, temperature in itertools.product((3, 12), (0.1, 1.0)):
        solution = solve(build(20 * (1 + 1e-9 * np.arange(classes)), temperature))
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


def geometric(classes, temperature, ratio, offset):
    """A geometric long tail: weights pi, offset a pi."""
    counts = gs.as_counts(1e7 * ratio ** (-np.arange(classes) / (classes - 1)))
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
