"""Features that are not negative: the orthogonal frame, and the relaxation for losses that pull."""

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.geometry import OrbitGram
from geomsolve.objectives import NormFace, SigLIP, weighting_from_matrix
from geomsolve.solvers import solve_nonnegative

PULLING = {
    "instances and prototypes": lambda: gs.BCL([6, 4, 3], temperature=0.5),
    "cosine classifier": lambda: NormFace([6, 4, 3, 2], scale=5),
    "two towers, positives hardly matter": lambda: SigLIP([9, 5, 3], temperature=0.2, bias=2.0),
    "weights": lambda: weighted(np.random.default_rng(1).uniform(size=(6, 6))),
}


def weighted(weights):
    return gs.WeightedInfoNCE(weighting_from_matrix(weights + weights.T, self_pairs=False), temperature=0.3)


def loss_of(objective, features):
    whole = objective.ungrouped()
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    return whole.value(OrbitGram(whole.orbits, rows @ rows.T))


@pytest.mark.parametrize("seed", range(12))
def test_losses_that_push_have_the_orthogonal_frame(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 1000, int(rng.integers(2, 12))) + 1
    temperature = 10 ** rng.uniform(-1.5, 1)
    objective = gs.SupCon(counts, temperature=temperature) if seed % 2 else gs.GCL(counts, temperature=temperature)
    found = solve_nonnegative(objective)
    assert found.frame
    assert found.ok
    np.testing.assert_array_equal(found.gram, np.eye(len(counts)))
    assert found.value == pytest.approx(loss_of(objective, np.eye(len(counts))), rel=1e-13)
    for spread in (1.0, 0.1):
        features = np.eye(len(counts)) + spread * rng.uniform(size=(len(counts),) * 2)
        assert loss_of(objective, features) >= found.lower_bound
    assert gs.solve(objective).value <= found.lower_bound  # of features of any sign


@pytest.mark.parametrize("name", PULLING)
def test_relaxation_and_descent_meet(name):
    objective = PULLING[name]()
    found, rng = solve_nonnegative(objective, relaxed=True), np.random.default_rng(0)
    assert found.ok
    assert not found.frame
    assert found.features.min() >= 0
    assert found.value == pytest.approx(loss_of(objective, found.features), rel=1e-12)
    for spread in (1.0, 1e-2, 1e-4):
        features = found.features + spread * rng.uniform(size=found.features.shape)
        assert loss_of(objective, features) > found.lower_bound
    if name != "weights":  # classes in one point with what stands for them, and orthogonal
        assert np.abs(found.gram - np.round(found.gram)).max() < 1e-5
        assert np.linalg.matrix_rank(np.round(found.gram)) == 3 + (name == "cosine classifier")


def test_a_cycle_of_five_is_not_called_exact():
    """The smallest matrix that is positive semidefinite and not negative, and no h h^T of such features, is of five."""
    cycle = np.roll(np.eye(5), 1, axis=0) + 5e-4
    found = solve_nonnegative(weighted(cycle), relaxed=True)
    assert not found.ok
    assert "not proved optimal" in found.summary
    assert found.value - found.lower_bound > 1e-3
    four = np.roll(np.eye(4), 1, axis=0) + 5e-4
    assert solve_nonnegative(weighted(four), relaxed=True).ok
