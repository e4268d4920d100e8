"""Few coordinates: where they attain the bound, which rank that takes, and what is said where none does."""

import numpy as np
import pytest
from rows_of_weights import circle, mean_divergence, softmax, unit_vectors

import geomsolve as gs
from geomsolve.objectives.weighted.weightings import weighting_from_matrix
from geomsolve.similarities.dimensions import realize_in
from geomsolve.similarities.kernels import y_aware_weights
from geomsolve.similarities.realizations import realize

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
