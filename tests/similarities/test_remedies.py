"""Remedies, applied: the verdict of the changed problem, closed forms for the numbers, and nothing that is no use."""

import math

import numpy as np
import pytest
from rows_of_weights import circle

from geomsolve.objectives.weighted.weightings import weighting_from_matrix
from geomsolve.similarities.euclidean import euclidean_realization
from geomsolve.similarities.kernels import KERNELS, x_clr_weights, y_aware_weights
from geomsolve.similarities.realizations import Verdict, realize
from geomsolve.similarities.remedies import suggest_remedies
from geomsolve.similarities.schemes import soft_supcon_weights

CIRCLE = circle(8)
LINE = 0.7 * np.arange(6.0)
CONVENTIONS = pytest.mark.parametrize("self_pairs", [True, False])


def by_change(weighting, temperature):
    realization = realize(weighting, temperature=temperature)
    found = suggest_remedies(realization)
    assert all(each.text.endswith(".") for each in found)
    return {each.change: each for each in found}, found


def realizable(weighting, temperature):
    return realize(weighting, temperature=temperature).verdict is Verdict.REALIZABLE


@CONVENTIONS
def test_nothing_to_mend(self_pairs):
    assert suggest_remedies(realize(y_aware_weights(CIRCLE, sigma=1.0, self_pairs=self_pairs), temperature=0.5)) == ()


@CONVENTIONS
@pytest.mark.parametrize(
    ("labels", "kernel"),
    [*zip([CIRCLE, LINE] * 4, KERNELS, strict=False)],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_every_remedy_does_what_it_says(labels, kernel, self_pairs):
    options = {"sigma": 1.0, "kernel": kernel, "self_pairs": self_pairs}
    weighting, temperature = y_aware_weights(labels, **options), 1.7
    changes, found = by_change(weighting, temperature)
    assert found[0].change == "temperature"
    for each in found:
        if each.change == "temperature":
            assert each.works == (each.value is not None)
            if each.works:
                assert realizable(weighting, each.value)
                assert not realizable(weighting, each.value * 1.001)
        elif each.change == "sigma":
            assert each.value > 1.0
            assert realizable(y_aware_weights(labels, **{**options, "sigma": each.value}), temperature)
            assert not realizable(y_aware_weights(labels, **{**options, "sigma": each.value * 0.995}), temperature)
            assert f"{each.value:g}" in each.text
        elif each.change == "kernel":
            name = each.text.split()[2]
            assert realizable(y_aware_weights(labels, **{**options, "kernel": name}), temperature)
        elif each.change == "self-pairs":
            assert self_pairs
            without = y_aware_weights(labels, **{**options, "self_pairs": False})
            assert realizable(without, temperature)
    offered = {each.text.split()[2] for each in found if each.change == "kernel"}
    for name in {"gaussian", "laplacian", "cauchy"} - {kernel}:
        works = realizable(y_aware_weights(labels, **{**options, "kernel": name}), temperature)
        assert works == (name in offered)
    if self_pairs:
        works = realizable(y_aware_weights(labels, **{**options, "self_pairs": False}), temperature)
        assert works == ("self-pairs" in changes)


def test_numbers_of_a_circle():
    """On the unit circle the largest temperature is sigma^2."""
    changes, _ = by_change(y_aware_weights(CIRCLE, sigma=0.5), 0.7)
    assert changes["temperature"].value == pytest.approx(0.25, rel=1e-5)
    assert changes["temperature"].value <= 0.25
    assert changes["sigma"].value == pytest.approx(math.sqrt(0.7), rel=1e-5)
    assert changes["sigma"].value >= math.sqrt(0.7)
    scale = changes["similarity"].value
    assert scale == pytest.approx(math.sqrt(0.7) / 0.5)
    logs = -((scale * (CIRCLE[:, None] - CIRCLE)) ** 2).sum(axis=2) / (2 * 0.7)
    expected = y_aware_weights(CIRCLE, sigma=0.5).expand()
    np.testing.assert_allclose(np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True), expected, atol=1e-14)


def test_labels_on_no_sphere():
    changes, _ = by_change(y_aware_weights(LINE, sigma=1.0), 0.05)
    assert not changes["temperature"].works
    assert "no sphere" in changes["temperature"].text
    assert "sigma" not in changes
    assert changes["self-pairs"].works
    assert changes["similarity"].works


def test_bounded_kernels_get_no_number_out_of_rounding():
    """Wide Epanechnikov weights are 1 - d^2/sigma^2: on a line infeasible until d^4/sigma^4 is lost in rounding."""
    changes, _ = by_change(y_aware_weights(LINE, sigma=1.0, kernel="epanechnikov"), 0.5)
    assert "sigma" not in changes
    changes, _ = by_change(y_aware_weights(LINE, sigma=1.0, kernel="uniform"), 0.5)
    assert "sigma" not in changes, "all weights alike is no remedy"
    changes, _ = by_change(y_aware_weights([0.0, 1.0, 2.0], sigma=1.0, kernel="triangular"), 1.0)
    assert changes["sigma"].value == pytest.approx(2.59464), "from a bandwidth that gives every other sample 0"


@CONVENTIONS
def test_x_clr_needs_a_larger_label_temperature(self_pairs):
    rng = np.random.default_rng(1)
    labels = rng.normal(size=(12, 3))
    changes, _ = by_change(x_clr_weights(labels, label_temperature=0.1, self_pairs=self_pairs), 0.25)
    value = changes["label temperature"].value
    assert value == pytest.approx(0.25, rel=1e-5)
    assert realizable(x_clr_weights(labels, label_temperature=value, self_pairs=self_pairs), 0.25)
    assert not {"sigma", "kernel"} & set(changes)


@CONVENTIONS
@pytest.mark.parametrize(("labels", "epsilon"), [([0, 0, 1, 1, 1, 2, 2], 1e-4), (list("aabbbbccddd"), 0.0)])
def test_soft_supcon_epsilon(labels, epsilon, self_pairs):
    temperature, classes = 0.2, len(set(labels))
    weighting = soft_supcon_weights(labels, epsilon=epsilon, self_pairs=self_pairs)
    changes, _ = by_change(weighting, temperature)
    value = changes["epsilon"].value
    # Without self-pairs, too, while every class has company: cosines inside a class cannot exceed 1.
    assert value == pytest.approx(math.exp(-classes / ((classes - 1) * temperature)), rel=1e-5)
    assert realizable(soft_supcon_weights(labels, epsilon=value, self_pairs=self_pairs), temperature)
    assert not realizable(soft_supcon_weights(labels, epsilon=0.999 * value, self_pairs=self_pairs), temperature)
    assert changes["temperature"].works == (epsilon > 0)


def test_a_lonely_class_and_epsilons_too_large_and_below_all_numbers():
    weighting = soft_supcon_weights([0, 0, 1, 1, 2], epsilon=0.0)
    changes, _ = by_change(weighting, 0.3)
    assert changes["epsilon"].value == pytest.approx(math.exp(-1.5 / 0.3), rel=1e-5)
    assert "self-pairs" not in changes, "the class of one would be left without a partner"
    changes, _ = by_change(soft_supcon_weights([0, 0, 1, 1, 2], epsilon=2.0), 0.3)
    assert changes["epsilon"].value == pytest.approx(math.exp(-1.5 / 0.3), rel=1e-5)
    assert not changes["temperature"].works
    changes, _ = by_change(soft_supcon_weights([0, 0, 1, 1], epsilon=0.0), 1e-3)
    assert "epsilon" not in changes, "e^-2000 is no number to write"


def test_asymmetric_weights():
    weights = 1.0 + 0.3 * np.random.default_rng(0).random((6, 6))
    changes, _ = by_change(weighting_from_matrix(weights, self_pairs=False), 0.2)
    assert not changes["temperature"].works
    assert "asymmetric" in changes["temperature"].text
    assert "similarity" not in changes


def test_a_zero_weight_to_oneself():
    weights = np.ones((4, 4)) + np.eye(4)[::-1]
    np.fill_diagonal(weights, 0.0)
    changes, _ = by_change(weighting_from_matrix(weights, self_pairs=True), 0.5)
    assert changes["self-pairs"].works
    assert not changes["temperature"].works


@CONVENTIONS
def test_squared_distances(self_pairs):
    """Offered where they attain the bound, and only there."""
    rng = np.random.default_rng(2)
    told = []
    for trial in range(8):
        kernel = np.exp(-0.3 * trial * rng.random((5, 5)) - 2.0 * (1 - np.eye(5)))
        kernel = (kernel + kernel.T) / 2
        np.fill_diagonal(kernel, 1.0)
        weighting = weighting_from_matrix(kernel, self_pairs=self_pairs)
        changes, found = by_change(weighting, 2.0)
        if found:
            direct = euclidean_realization(weighting, temperature=2.0)
            assert (direct.verdict == "realizable") == ("similarity" in changes)
            told.append("similarity" in changes)
    assert any(told)
