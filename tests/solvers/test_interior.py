"""The interior path: the forces of its end are balanced, however weak, and it is on the ladder where it is quicker."""

from __future__ import annotations

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.certificates.certificate import certify
from geomsolve.geometry.orbits import OrbitGram
from geomsolve.solvers.interior import Interior, follow_path
from geomsolve.solvers.newton import Newton


def samples(count: int, width: int, *, sigma: float, temperature: float, self_pairs: bool, seed: int):
    """Weighted InfoNCE over Gaussian labels."""
    labels = np.random.default_rng(seed).normal(size=(count, width))
    return gs.WeightedInfoNCE(
        gs.similarities.y_aware_weights(labels, sigma=sigma, self_pairs=self_pairs), temperature=temperature
    )


def silent(_: str) -> None:
    """No report."""


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_path_ends_where_forces_balance_not_where_multipliers_vanish(seed):
    # Weights of which the optimum meets all but 1e-20: nothing presses, so the multipliers fall as fast as the path
    # lets them, while the weakest weights are still far from what they ask for.
    objective = samples(12, 2, sigma=0.23, temperature=0.034, self_pairs=False, seed=seed)
    found = follow_path(objective, OrbitGram.simplex(objective.orbits), 200, [], silent)
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


def test_newton_leaves_what_takes_many_steps_to_the_interior():
    objective = samples(20, 1, sigma=0.4, temperature=0.1, self_pairs=True, seed=0)
    brief = Newton(turn=3).run(objective)
    assert brief.gram is None
    assert "rank loss" in brief.message
    solution = gs.solve(objective)
    assert solution.quality is gs.Quality.CERTIFIED
    assert [record.solver for record in solution.stats] == ["newton", "interior"]
