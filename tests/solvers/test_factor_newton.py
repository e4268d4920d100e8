"""Newton's method on S = U U^T, G U = 0: attraction that balances repulsion, and the last digits of an answer."""

import numpy as np
import pytest
from atoms import softmax_of_atoms
from helpers import unit_rows

import geomsolve as gs
from geomsolve.solvers.base import Iteration
from geomsolve.solvers.newton.factor_newton import balance, sharpened


def pulled(temperature, seed=0):
    """Atoms alike but for random positives between them; the optimum is definite where these are strong."""
    positives = 0.1 * np.random.default_rng(seed).uniform(0.1, 1, (6, 6))
    return softmax_of_atoms(temperature, np.full(6, 1 / 6), positives=(positives + positives.T) / 2)


@pytest.mark.parametrize("seed", range(2))
def test_positives_that_leave_the_boundary(seed):
    """Strong positives at low temperature: the optimum is definite, every force vanishes, S = 0."""
    objective = pulled(0.2, seed)
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
    for found in (gs.solve(objective).orbits, balance(objective, Iteration(60))):
        assert np.abs(found.cosines - expected).max() <= 1e-12


def test_a_shift_the_loss_does_not_see_makes_the_least_eigenvalue_largest():
    labels = np.linspace(-1, 1, 8)[:, None]
    weights = gs.similarities.y_aware_weights(labels, sigma=0.3, self_pairs=False)
    objective = gs.WeightedInfoNCE(weights, temperature=0.05)
    gram = balance(objective, Iteration(60))
    assert gs.certify(objective, gram).holds()
    for shift in (-1e-3, 1e-3):
        moved = gram.cosines + shift * (1 - np.eye(8))
        assert objective.excess(gs.OrbitGram(gram.orbits, moved)) == pytest.approx(objective.excess(gram), rel=1e-12)
        assert np.linalg.eigvalsh(moved)[0] < gram.smallest_eigenvalue


@pytest.mark.parametrize("seed", range(3))
def test_an_optimum_of_low_rank_is_found_from_near_by(seed):
    """From 1e-6 away: gap and cosines to all digits."""
    labels = np.random.default_rng(seed).normal(size=(12, 1))
    weights = gs.similarities.y_aware_weights(labels, sigma=0.5)
    objective = gs.WeightedInfoNCE(weights, temperature=0.2)
    best = gs.solve(objective).orbits
    assert best.rank() < 10
    near = gs.OrbitGram(best.orbits, (1 - 1e-6) * best.cosines + 1e-6 * np.eye(len(best.sizes)))
    found = sharpened(objective, near, Iteration(60))
    np.testing.assert_allclose(found.cosines, best.cosines, atol=1e-7)
    assert gs.certify(objective, found).relative_gap < 1e-11


def test_nothing_from_where_no_optimum_is_near():
    """The equations may have other solutions; those are not given out."""
    labels = np.random.default_rng(0).normal(size=(12, 1))
    objective = gs.WeightedInfoNCE(gs.similarities.y_aware_weights(labels, sigma=0.5), temperature=0.2)
    points = unit_rows(np.random.default_rng(1).normal(size=(12, 3)))
    found = sharpened(objective, gs.OrbitGram.from_matrix(points @ points.T, objective.orbits), Iteration(60))
    assert found is None or gs.certify(objective, found).holds()


def test_many_vanishing_directions_are_found_by_the_conic_program_and_the_factor():
    """Weights from e^{-d^2} span 300 decades, and most directions vanish: Newton on unit vectors crawls."""
    labels = np.random.default_rng(3).normal(size=(14, 2))
    weights = gs.similarities.y_aware_weights(labels, sigma=0.2, self_pairs=False)
    solution = gs.solve(gs.WeightedInfoNCE(weights, temperature=0.03), throw=False)
    assert solution.certificate.relative_gap < 1e-10
    assert solution.rank < 14


def test_what_a_solver_compares_is_the_loss_less_the_entropy():
    labels, rng = np.random.default_rng(3).normal(size=(9, 2)), np.random.default_rng(0)
    weights = gs.similarities.y_aware_weights(labels, sigma=0.7, self_pairs=False)
    objective = gs.WeightedInfoNCE(weights, temperature=0.2)
    points = unit_rows(rng.normal(size=(4, 9, 5)))
    grams = [gs.OrbitGram.from_matrix(each @ each.T, objective.orbits) for each in points]
    values, finer = [objective.value(gram) for gram in grams], [objective.resolved(gram) for gram in grams]
    np.testing.assert_allclose(np.diff(values), np.diff(finer), rtol=1e-12)
    assert min(finer) > 0
