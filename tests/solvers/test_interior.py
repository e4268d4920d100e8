"""The interior-point method: its path ends at the optimum, and Newton's method adds the last digits."""

from __future__ import annotations

import numpy as np
import pytest
from loss_families import OBJECTIVES

import geomsolve as gs
from geomsolve.certificates.certificate import certify
from geomsolve.geometry.orbit_gram import OrbitGram
from geomsolve.solvers.base import Iteration
from geomsolve.solvers.conic.interior import Interior, follow_path


def samples(count: int, width: int, *, sigma: float, temperature: float, self_pairs: bool, seed: int):
    """Weighted InfoNCE over Gaussian labels."""
    labels = np.random.default_rng(seed).normal(size=(count, width))
    return gs.WeightedInfoNCE(
        gs.similarities.y_aware_weights(labels, sigma=sigma, self_pairs=self_pairs), temperature=temperature
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_path_ends_where_forces_balance_not_where_multipliers_vanish(seed):
    # Weights of which the optimum meets all but 1e-20: nothing presses, so the multipliers fall as fast as the path
    # lets them, while the weakest weights are still far from what they ask for.
    objective = samples(12, 2, sigma=0.23, temperature=0.034, self_pairs=False, seed=seed)
    found = follow_path(objective, OrbitGram.simplex(objective.orbits), Iteration(200)).gram
    assert certify(objective, found).relative_gap < 1e-11
    nearby = OrbitGram(found.orbits, 0.99 * found.cosines + 0.01 * np.eye(12))
    assert objective.resolved(found) < objective.resolved(nearby)


def test_the_path_is_certified_as_it_is_where_many_directions_vanish():
    objective = samples(20, 1, sigma=0.4, temperature=0.1, self_pairs=True, seed=0)
    attempt = Interior().run(objective)
    assert certify(objective, attempt.gram).holds()
    assert np.count_nonzero(np.linalg.eigvalsh(attempt.gram.cosines) > 1e-8) < 20


def test_what_a_solver_compares_is_the_loss_less_the_entropy():
    objective = samples(9, 2, sigma=0.7, temperature=0.2, self_pairs=False, seed=3)
    rng = np.random.default_rng(0)
    values, finer = [], []
    for _ in range(4):
        points = rng.normal(size=(9, 5))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        gram = OrbitGram.from_matrix(points @ points.T, objective.orbits)
        values.append(objective.value(gram))
        finer.append(objective.resolved(gram))
    np.testing.assert_allclose(np.diff(values), np.diff(finer), rtol=1e-12)
    assert min(finer) > 0


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_interior_path_ends_where_newton_does(name):
    objective = OBJECTIVES[name]()
    loop = Iteration(100)
    gram = follow_path(objective, OrbitGram.simplex(objective.orbits), loop).gram
    best = gs.solve(objective)
    assert gs.certify(objective, gram).relative_gap < 1e-5  # what rounding of cosines leaves, where G is singular
    np.testing.assert_allclose(objective.excess(gram), objective.excess(best.orbits), rtol=1e-6)
    assert 5 < len(loop.history) < 60
    assert loop.history[-1]["change"] < 1e-9


@pytest.mark.parametrize("name", OBJECTIVES)
def test_interior_is_certified_by_itself(name):
    solution = gs.solve(OBJECTIVES[name](), gs.solvers.Interior())
    assert solution.quality is gs.Quality.CERTIFIED
    assert solution.solver == "interior"
    best = gs.solve(OBJECTIVES[name](), gs.solvers.Newton())
    np.testing.assert_allclose(solution.orbits.cosines, best.orbits.cosines, atol=1e-6)


def test_interior_finds_low_rank():
    """Weights from e^{-d^2} span 300 decades, and most directions vanish."""
    rng = np.random.default_rng(3)
    weights = gs.similarities.y_aware_weights(rng.normal(size=(14, 2)), sigma=0.2, self_pairs=False)
    solution = gs.solve(gs.WeightedInfoNCE(weights, temperature=0.03), gs.solvers.Interior(), throw=False)
    assert solution.certificate.relative_gap < 1e-10
    assert solution.rank < 14


def test_interior_says_what_it_is_not_for():
    kinks = gs.GCL([3, 2, 2], loss="hinge", margin=1.6)
    assert Interior().run(kinks).message == "not smooth: no Newton steps"
    many = gs.SupCon(np.arange(2, 202), temperature=0.5)
    assert Interior().run(many).message == "200 orbits are too many for a dense factor of all cosines"
