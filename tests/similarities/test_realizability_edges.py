"""Where rounding, underflow and scale once led `realize` astray."""

import warnings

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.errors import ProblemError

KERNEL = np.exp([[1.0, 0.2, 0.3], [0.2, 1.0, 0.1], [0.3, 0.1, 1.0]])


@pytest.mark.parametrize("self_pairs", [True, False])
def test_the_scale_of_a_row_means_nothing(self_pairs):
    """Rows times powers of 2 are the same weighting to the last bit."""
    scale = 2.0 ** np.array([[900.0], [-800.0], [300.0]])
    plain = gs.objectives.weighting_from_matrix(KERNEL, self_pairs=self_pairs)
    scaled = gs.objectives.weighting_from_matrix(KERNEL * scale, self_pairs=self_pairs)
    np.testing.assert_array_equal(scaled.logs, plain.logs)
    np.testing.assert_array_equal(scaled.own, plain.own)
    assert gs.realize(scaled, temperature=1.0).verdict.value == "realizable"


@pytest.mark.parametrize("sigma", [1e-3, 1e-50, 1e-100, 1e-150])
def test_labels_far_apart_are_no_rounding(sigma):
    """Every weight of a pair is 0 in float64; three labels on a line stay inconsistent, and the loss a simplex's."""
    found = gs.realize(gs.similarities.y_aware_weights([0.0, 1.0, 2.0], sigma=sigma), temperature=1.0)
    assert found.verdict.value == "inconsistent"
    # w is the identity, so the excess is -log p_ii at the regular simplex.
    assert found.excess == pytest.approx(np.log1p(2.0 * np.exp(-1.5)), rel=1e-12)


def test_temperatures_without_digits_are_refused():
    weights = gs.objectives.weighting_from_matrix([[0.0, 1.0, 0.1], [1.0, 0.0, 0.5], [0.3, 0.5, 0.0]])
    with pytest.raises(ProblemError, match=r"temperature: without self-pairs it must be at least 0.003.*; got 0.001"):
        gs.realize(weights, temperature=0.001)
    assert np.isfinite(gs.realize(weights, temperature=0.003).excess)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_weights_too_small_for_their_digits_are_refused(dtype):
    smallest = np.finfo(dtype).smallest_normal
    weights = np.array([[1, smallest / dtype(4)], [smallest / dtype(4), 1]], dtype=dtype)
    with pytest.raises(ProblemError, match=r"must be 0 or at least .* loses digits; entry \[0, 1\] is"):
        gs.objectives.weighting_from_matrix(weights)
    assert gs.objectives.weighting_from_matrix(np.where(weights < 1, smallest, weights)).positive


def test_reasons_of_huge_and_of_tiny_asymmetry():
    weights = np.ones((3, 3))
    weights[0, 1], weights[1, 0] = 1e-300, 1e300
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            "differ by a factor e^1381.55 for samples 0 and 1"
            in gs.realize(gs.objectives.weighting_from_matrix(weights), temperature=1.0).reason
        )
    weights = KERNEL.copy()
    weights[0, 1] *= 1.0 + 1e-6
    assert "differ by a share 1e-06" in gs.realize(gs.objectives.weighting_from_matrix(weights), temperature=1.0).reason


def test_the_gap_is_never_more_than_the_excess():
    labels = np.random.default_rng(3).standard_normal((13, 3))
    found = gs.realize(gs.similarities.x_clr_weights(labels, label_temperature=0.0107), temperature=0.0296)
    assert found.gap <= found.excess
    assert found.excess_lower >= 0.0
