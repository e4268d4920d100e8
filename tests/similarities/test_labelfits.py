"""The sphere of labels against distance geometry, closed forms and the verdict itself."""

import math

import numpy as np
import pytest
from rows_of_weights import unit_vectors

import geomsolve as gs
from geomsolve.similarities.kernels import x_clr_weights, y_aware_weights
from geomsolve.similarities.label_fits import label_fit
from geomsolve.similarities.realizations import Verdict, realize
from geomsolve.similarities.schemes import soft_supcon_weights


def circumradius(labels):
    """1 / sqrt(2 1^T D^+ 1), D squared distances."""
    square = ((labels[:, None] - labels) ** 2).sum(axis=2)
    return 1.0 / math.sqrt(2.0 * np.linalg.pinv(square, rcond=1e-10).sum())


def largest_ratio(fit):
    """In the weighting's own convention."""
    return fit.largest_ratio_with if fit.self_pairs else fit.largest_ratio_without


def fits(fit):
    return fit.ratio <= largest_ratio(fit) * (1.0 + 1e-9)


@pytest.mark.parametrize(("count", "dim"), [(12, 2), (15, 3), (4, 5), (30, 6)])
def test_labels_on_a_sphere(count, dim):
    rng = np.random.default_rng(count)
    labels = 3.0 * unit_vectors(rng, count, dim) + rng.normal(size=dim)
    fit = label_fit(y_aware_weights(labels, sigma=0.7), 0.1)
    assert fit.needed_radius == pytest.approx(circumradius(labels), rel=1e-7)
    # A simplex of fewer labels lies on the smaller sphere that its hull cuts out.
    if count > dim:
        assert fit.needed_radius == pytest.approx(3.0, rel=1e-7)
    else:
        assert fit.needed_radius < 3.0 - 1e-3
    assert fit.allowed_radius == pytest.approx(0.7 / math.sqrt(0.1))
    assert fit.largest_ratio_with == pytest.approx(1.0 / fit.needed_radius**2, rel=1e-7)
    assert f"radius {fit.needed_radius:.4g}" in fit.sentence


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("step", [0.999, 1.001])
def test_the_verdict_turns_at_the_largest_ratio(self_pairs, step):
    labels = 2.0 * unit_vectors(np.random.default_rng(5), 9, 3)
    weighting = y_aware_weights(labels, sigma=1.3, self_pairs=self_pairs)
    temperature = step * largest_ratio(label_fit(weighting, 1.0)) * 1.3**2
    fit = label_fit(weighting, temperature)
    realized = realize(weighting, temperature=temperature).verdict is Verdict.REALIZABLE
    assert realized == fits(fit) == (step < 1)
    # Self-pairs out is the weaker demand.
    assert fit.largest_ratio_without >= fit.largest_ratio_with


def test_a_line_of_three_has_no_sphere():
    fit = label_fit(y_aware_weights([0.0, 1.0, 2.0], sigma=1.0), 0.1)
    assert math.isinf(fit.needed_radius)
    assert fit.largest_ratio_with == 0.0
    assert "no sphere" in fit.sentence
    assert not fits(fit)
    out = label_fit(y_aware_weights([0.0, 1.0, 2.0], sigma=1.0, self_pairs=False), 0.1)
    assert out.largest_ratio_without > 0.1
    assert fits(out)
    assert "Self-pairs are out" in out.sentence


def test_two_labels_and_one():
    two = label_fit(y_aware_weights([0.0, 3.0, 3.0], sigma=1.0), 0.1)
    assert two.needed_radius == pytest.approx(1.5)
    one = label_fit(y_aware_weights([[2.0, 1.0]] * 3, sigma=1.0), 0.1)
    assert one.needed_radius == 0.0
    assert fits(one)


def test_x_clr_and_far_labels():
    labels = unit_vectors(np.random.default_rng(0), 20, 4)
    fit = label_fit(x_clr_weights(labels, label_temperature=0.3), 0.2)
    assert fit.needed_radius == pytest.approx(1.0)
    assert fit.ratio == pytest.approx(0.2 / 0.3)
    assert fits(fit)
    # Weights of far labels underflow, but their distances do not: one circle, whatever sigma.
    hours = np.arange(24.0)
    fit = label_fit(y_aware_weights(hours, sigma=0.01, period=24.0), 0.1)
    assert fit.needed_radius == pytest.approx(24 / (2 * math.pi), rel=1e-9)


@pytest.mark.parametrize(
    "weighting",
    [soft_supcon_weights([0, 1, 1], epsilon=0.1), y_aware_weights([0.0, 1.0], sigma=1.0, kernel="laplacian")],
)
def test_other_weights_have_no_labels_to_fit(weighting):
    assert label_fit(weighting, 0.1) is None


def test_temperature_is_checked():
    with pytest.raises(gs.ProblemError, match="temperature"):
        label_fit(y_aware_weights([0.0, 1.0], sigma=1.0), 0.0)
