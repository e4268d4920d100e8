"""Trained features and their classifier beside the optimum of cross-entropy: diagnose, the Monitor, targets."""

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.training import Monitor

COUNTS = [90, 40, 20, 6, 6]
DECAYS = {"feature_decay": 1e-4, "classifier_decay": 5e-3}
PROBLEM = gs.CrossEntropy(COUNTS, **DECAYS)


def factored(gram, dim=8, seed=0):
    """(C, dim) rows with that Gram matrix."""
    values, vectors = np.linalg.eigh(gram)
    rows = vectors * np.sqrt(np.maximum(values, 0.0))
    frame = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, len(gram))))[0]
    return rows @ frame.T


def trained(solution):
    """Examples at the optimal features, and the optimal classifier, in one frame."""
    joint = np.block([[solution.classifier, solution.logits], [solution.logits.T, solution.features]])
    rows = factored(joint, dim=12)
    return np.repeat(rows[5:], COUNTS, axis=0), np.repeat(np.arange(5), COUNTS), rows[:5]


def test_the_optimum_itself_is_at_the_optimum_where_it_is_no_simplex():
    solution = gs.solve(PROBLEM)
    features, labels, weights = trained(solution)
    np.testing.assert_allclose(weights @ features[0], solution.logits[:, 0], atol=1e-8)
    for given in (PROBLEM, solution):
        found = gs.diagnose(features, labels, weights=weights, objective=given)
        assert found.verdict.value == "at the optimum"
        assert found.optimum.rms < 1e-8
        assert found.optimum.nc3 < 1e-7
        assert found.collapse.nc3 > 0.05  # beside a simplex it is off
    assert "scores beside those of the optimum" in str(found)
    assert found.to_dict()["optimum"]["nc3"] == found.optimum.nc3
    assert "feature and classifier" in " ".join(found.sentences())
    without = gs.diagnose(features, labels, objective=solution)
    assert without.optimum.nc3 is None


def test_a_simplex_is_off():
    simplex = factored((5 * np.eye(5) - 1) / 4)
    features, labels = np.repeat(simplex, COUNTS, axis=0), np.repeat(np.arange(5), COUNTS)
    found = gs.diagnose(features, labels, weights=simplex, objective=PROBLEM)
    assert found.collapse.nc3 < 1e-7
    assert found.optimum.nc3 > 0.05
    wanted = gs.solve(PROBLEM)
    scores = wanted.logits / wanted.feature_norms
    even = (5 * np.eye(5) - 1) / np.linalg.norm(5 * np.eye(5) - 1)
    assert found.optimum.nc3 == pytest.approx(np.linalg.norm(even - scores / np.linalg.norm(scores)))


def test_the_monitor_says_the_same():
    features, labels, weights = trained(gs.solve(PROBLEM))
    monitor = Monitor(PROBLEM, classifier=lambda: weights)
    monitor.update(features, labels)
    found = monitor.compute()
    assert found["nc3_off"] < 1e-6
    assert found["at_optimum"] == 1.0
    assert "excess" not in found


@pytest.mark.parametrize("part", [None, "feature", "classifier"])
def test_targets_are_the_directions(part):
    solution = gs.solve(PROBLEM)
    found = gs.targets(PROBLEM, dim=6, part=part)
    rows = found.rows.astype(float)
    wanted = solution.classifier_cosines if part == "classifier" else solution.feature_cosines
    np.testing.assert_allclose(rows @ rows.T, wanted, atol=1e-6)
    assert (found.part, found.quality, found.rank) == (part or "feature", "certified", 4)
    assert found.exchangeable == ((3, 4),)


def test_what_has_no_direction_is_no_target():
    gone = gs.CrossEntropy(COUNTS, feature_decay=0.02, classifier_decay=0.02, relu=True)
    with pytest.raises(gs.ProblemError, match="source: the feature of class 3 is 0 at the optimum"):
        gs.targets(gone, dim=6)
    with pytest.raises(gs.ProblemError, match="dim: must be at least 4"):
        gs.targets(PROBLEM, dim=3)
    with pytest.raises(gs.ProblemError, match="part: cross-entropy has one point per class; got 'target'"):
        gs.targets(PROBLEM, dim=6, part="target")
