"""Few coordinates: where they attain the bound, which rank that takes, and what is said where none does."""

import math

import numpy as np
import pytest
from rows_of_weights import circle, mean_divergence, softmax, unit_vectors

import geomsolve as gs
from geomsolve.objectives.weighted.weightings import weighting_from_matrix
from geomsolve.similarities.dimensions import realize_in
from geomsolve.similarities.feasibility import LogGram
from geomsolve.similarities.kernels import y_aware_weights
from geomsolve.similarities.realizations import Verdict, realize
from geomsolve.similarities.schemes import soft_supcon_weights

CONVENTIONS = pytest.mark.parametrize("self_pairs", [True, False])


@CONVENTIONS
def test_circle_in_two_dimensions(self_pairs):
    """Attained from two coordinates on; one has only two points."""
    weighting = y_aware_weights(circle(8), sigma=0.8, self_pairs=self_pairs)
    realization = realize(weighting, temperature=0.64)
    assert realization.min_dim == 2
    with pytest.raises(gs.ProblemError, match="dim: 1 leaves two points"):
        realize_in(realization, 1)
    two = realize_in(realization, 2)
    assert two.realizable
    assert two.exact
    assert two.excess_lower == 0.0
    np.testing.assert_allclose(two.points @ two.points.T, circle(8) @ circle(8).T, atol=1e-7)


@CONVENTIONS
def test_labels_on_a_sphere(self_pairs):
    rng = np.random.default_rng(3)
    weighting = y_aware_weights(unit_vectors(rng, 24, 3), sigma=0.7, self_pairs=self_pairs)
    realization = realize(weighting, temperature=0.49)
    assert [realize_in(realization, dim).realizable for dim in (3, 4, 9)] == [True] * 3
    wide = realize_in(realization, 9)
    assert wide.points.shape == (24, 9)
    shares = softmax(wide.points @ wide.points.T, 0.49, self_pairs)
    np.testing.assert_allclose(shares, weighting.expand(), atol=1e-12)
    flat = realize_in(realization, 2)
    assert not flat.realizable
    assert flat.points.shape == (24, 2)
    np.testing.assert_allclose(np.linalg.norm(flat.points, axis=1), 1.0)
    shares = softmax(flat.points @ flat.points.T, 0.49, self_pairs)
    assert flat.excess == pytest.approx(mean_divergence(weighting.expand(), shares), rel=1e-9)


@CONVENTIONS
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_simplex_needs_one_coordinate_less_than_classes(classes, self_pairs):
    temperature = 0.25
    epsilon = math.exp(-classes / (classes - 1) / temperature) * (1 + 1e-13)
    weighting = soft_supcon_weights(np.repeat(np.arange(classes), 3), epsilon=epsilon, self_pairs=self_pairs)
    realization = realize(weighting, temperature=temperature)
    assert realization.verdict is Verdict.REALIZABLE
    assert realization.min_dim == classes - 1
    found = realize_in(realization, classes - 1)
    assert found.realizable
    simplex = (classes * np.eye(classes) - 1) / (classes - 1)
    np.testing.assert_allclose(found.points @ found.points.T, np.kron(simplex, np.ones((3, 3))), atol=1e-6)


def test_the_rank_of_the_family_is_least_at_an_end():
    rng = np.random.default_rng(0)
    for labels in (circle(7), unit_vectors(rng, 9, 3), rng.normal(size=(8, 2)) / 3):
        weighting = y_aware_weights(labels, sigma=1.0, self_pairs=False)
        realization = realize(weighting, temperature=0.3)
        low, high = realization.shifts
        logs = LogGram.of(weighting)
        ranks = [logs.gram(0.3, low + share * (high - low)).rank(1e-9) for share in (0.0, 0.1, 0.4, 0.7, 0.95, 1.0)]
        assert len(set(ranks[1:-1])) == 1
        assert max(ranks[0], ranks[-1]) < ranks[1]
        assert min(ranks) == realization.min_dim


def test_what_no_dimension_attains():
    """A line of labels: the best geometry has a rank of its own, and fewer coordinates are bounded by its excess."""
    weighting = y_aware_weights(0.7 * np.arange(6.0), sigma=1.0)
    realization = realize(weighting, temperature=0.5)
    rank = realization.min_dim
    best = realize_in(realization, rank + 1)
    assert (best.realizable, best.exact) == (False, True)
    assert best.excess == realization.excess > 1e-4
    assert best.excess_lower == realization.excess_lower
    assert best.points.shape == (6, rank + 1)


def test_bad_dimensions():
    realization = realize(y_aware_weights(circle(5), sigma=1.0), temperature=0.5)
    for bad in (0, 2.5, True, "2"):
        with pytest.raises(gs.ProblemError, match="dim: must be a whole number of at least 1"):
            realize_in(realization, bad)


def test_an_optimum_is_told_at_the_end_of_least_rank():
    """Self-pairs out, all cosines may go together: of three dimensions here one is for nothing."""
    found = realize(
        weighting_from_matrix([[0.0, 0.5, 0.5], [0.2, 0.0, 0.8], [0.1, 0.9, 0.0]], self_pairs=False), temperature=1.0
    )
    assert found.min_dim == 2
    assert found.shifts == pytest.approx((0.0, 0.150638), abs=1e-6)
    assert realize_in(found, 2).excess == pytest.approx(found.excess, rel=1e-6)
