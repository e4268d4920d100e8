"""SupCon, Soft SupCon, y-Aware and X-CLR: every formula a second time in plain numpy, and bad input."""

import numpy as np
import pytest

from geomsolve.errors import ProblemError
from geomsolve.objectives.weighted.weightings import MOST_ORBITS
from geomsolve.similarities.kernels import KERNELS, x_clr_weights, y_aware_weights
from geomsolve.similarities.schemes import soft_supcon_weights, supcon_weights

FORMULAS = {
    "gaussian": lambda d: np.exp(-(d**2) / 2),
    "laplacian": lambda d: np.exp(-d),
    "cauchy": lambda d: 1 / (1 + d**2),
    "epanechnikov": lambda d: np.maximum(1 - d**2, 0),
    "triangular": lambda d: np.maximum(1 - d, 0),
    "cosine": lambda d: np.where(d < 1, np.cos(np.pi * d / 2), 0.0),
    "uniform": lambda d: (d <= 1).astype(float),
}


def normalised(kernel, self_pairs):
    """Rows of sum 1, with or without the diagonal."""
    kernel = np.array(kernel, dtype=float)
    if not self_pairs:
        np.fill_diagonal(kernel, 0.0)
    return kernel / kernel.sum(axis=1, keepdims=True)


def distances(labels):
    labels = np.asarray(labels, dtype=float).reshape(len(labels), -1)
    return np.linalg.norm(labels[:, None] - labels, axis=-1)


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dim", [1, 3])
def test_y_aware(kernel, self_pairs, dim):
    rng = np.random.default_rng(1)
    labels = rng.normal(size=(9, dim))
    labels = np.concatenate([labels, labels[[2, 2, 5]]])[rng.permutation(12)]
    sigma = 2.5 if dim == 1 else 4.5
    weighting = y_aware_weights(labels if dim > 1 else labels[:, 0], sigma=sigma, kernel=kernel, self_pairs=self_pairs)
    expected = normalised(FORMULAS[kernel](distances(labels) / sigma), self_pairs)
    np.testing.assert_allclose(weighting.expand(), expected, rtol=1e-12, atol=1e-15)
    assert sorted(weighting.orbits.sizes.tolist()) == [1.0] * 7 + [2.0, 3.0]
    assert np.array_equal(weighting.labels[weighting.orbits.labels], labels)
    assert (weighting.bandwidth, weighting.kernel) == (sigma, kernel)
    assert weighting.name == f"y-Aware({kernel}, sigma={sigma:g})"


def test_far_labels_do_not_underflow():
    """A weight of e^-5000 is a number like any other."""
    weighting = y_aware_weights([0.0, 100.0, 1.0], sigma=1.0)
    assert weighting.positive
    assert weighting.logs[0, 1] == pytest.approx(-5000.0 - np.log(1 + np.exp(-0.5)))
    alone = y_aware_weights([0.0, 100.0, 300.0], sigma=1.0, self_pairs=False)
    assert alone.logs[2, 1] == pytest.approx(0.0, abs=1e-12)
    assert alone.logs[2, 0] == pytest.approx(-(300**2 - 200**2) / 2)


@pytest.mark.parametrize("period", [24.0, 1.0, 360.0])
def test_cyclic_labels_are_chords(period):
    hours = np.array([0.0, 0.1, 0.35, 0.9, 0.5]) * period
    weighting = y_aware_weights(hours, sigma=0.2 * period, period=period)
    angle = 2 * np.pi * hours / period
    chord = 2 * np.abs(np.sin((angle[:, None] - angle) / 2)) * period / (2 * np.pi)
    expected = normalised(np.exp(-(chord**2) / (2 * (0.2 * period) ** 2)), True)
    np.testing.assert_allclose(weighting.expand(), expected, rtol=1e-12)


def test_the_end_of_a_period_is_its_beginning():
    weighting = y_aware_weights([0.0, 24.0, 48.0, -24.0, 6.0], sigma=3.0, period=24)
    assert weighting.orbits.sizes.tolist() == [4.0, 1.0]
    shifted = y_aware_weights([24.0, 0.0, 24.0, 0.0, 30.0], sigma=3.0, period=24)
    assert np.array_equal(shifted.expand(), weighting.expand())


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_x_clr(self_pairs, scale):
    rng = np.random.default_rng(2)
    labels = rng.normal(size=(6, 4))[[0, 1, 2, 3, 4, 5, 1]]
    weighting = x_clr_weights(scale * labels, label_temperature=0.3, self_pairs=self_pairs)
    units = labels / np.linalg.norm(labels, axis=1, keepdims=True)
    np.testing.assert_allclose(weighting.expand(), normalised(np.exp(units @ units.T / 0.3), self_pairs), rtol=1e-12)
    if scale == 1.0:
        assert sorted(weighting.orbits.sizes.tolist()) == [1.0] * 5 + [2.0]
    assert weighting.bandwidth == pytest.approx(0.3**0.5)


def test_x_clr_takes_integers():
    found = x_clr_weights(np.array([[1, 0], [0, 7]]), label_temperature=0.5)
    np.testing.assert_allclose(found.expand(), normalised(np.exp(2 * np.eye(2)), True), rtol=1e-14)


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("epsilon", [0, 0.2, 1.5])
@pytest.mark.parametrize("kind", [int, str, bool])
def test_soft_supcon(epsilon, self_pairs, kind):
    labels = np.array([0, 1, 0, 1, 1, 0, 0]).astype(kind)
    weighting = soft_supcon_weights(labels, epsilon=epsilon, self_pairs=self_pairs)
    kernel = np.where(labels[:, None] == labels, 1.0, epsilon)
    np.testing.assert_allclose(weighting.expand(), normalised(kernel, self_pairs), rtol=1e-14)
    assert sorted(weighting.orbits.sizes.tolist()) == [3.0, 4.0]
    assert weighting.positive == (epsilon > 0)
    assert weighting.name == ("SupCon" if epsilon == 0 else f"Soft SupCon(epsilon={epsilon:g})")


Y = [0.0, 1.0, 2.5]
POINTS = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: y_aware_weights(Y, sigma=0), "sigma: must be a finite number above 0; got 0"),
        (lambda: y_aware_weights(Y, sigma="1"), "sigma: must be a number or one of scott, silverman, median; got '1'"),
        (lambda: y_aware_weights(Y, sigma=1, kernel="gauss"), "kernel: must be one of gaussian, .*; got 'gauss'"),
        (lambda: y_aware_weights(Y, sigma=1, period=0.0), "period: must be a finite number above 0; got 0"),
        (lambda: y_aware_weights(POINTS, sigma=1, period=1.0), r"period: goes with one number per sample; .*\(3, 2\)"),
        (lambda: y_aware_weights(Y, sigma=1, self_pairs=None), "self_pairs: must be True or False; got None"),
        (lambda: y_aware_weights([0.0, np.nan, 1.0], sigma=1), "labels: must be finite; sample 1 is not"),
        (lambda: y_aware_weights(["a", "b"], sigma=1), "labels: must be numbers"),
        (lambda: y_aware_weights([1.0], sigma=1), r"labels: must have shape \(N,\) or \(N, d\) with two samples"),
        (lambda: y_aware_weights(np.zeros((2, 2, 2)), sigma=1), r"labels: must have shape .*; got \(2, 2, 2\)"),
        (
            lambda: y_aware_weights([0.0, 0.1, 9.0], sigma=1, kernel="uniform", self_pairs=False),
            "sample 2 has none .self-pairs count for nothing here",
        ),
        (lambda: y_aware_weights(np.arange(MOST_ORBITS + 1), sigma=1), f"labels: at most {MOST_ORBITS} different ones"),
        (
            lambda: x_clr_weights(POINTS, label_temperature=0.0),
            "label_temperature: must be a finite number above 0; got 0",
        ),
        (lambda: x_clr_weights(Y, label_temperature=0.1), r"X-CLR compares vectors, .* got shape \(3,\)"),
        (
            lambda: x_clr_weights([[1.0, 0.0], [0.0, 0.0]], label_temperature=0.1),
            "labels: must not be of length 0; sample 1 is",
        ),
        (lambda: x_clr_weights([[1.0, np.nan], [0.0, 1.0]], label_temperature=0.1), "must be finite; sample 0 is not"),
        (lambda: soft_supcon_weights([0, 1], epsilon=-0.1), "epsilon: must be a finite number of at least 0; got -0.1"),
        (lambda: supcon_weights([0]), r"labels: must be one-dimensional, two samples or more; got shape \(1,\)"),
        (lambda: supcon_weights(np.array([0, "a", None], dtype=object)), "labels: must all be of one kind"),
        (lambda: supcon_weights(["a", "b", "a", "c"]), "sample 1 is the only one of its class"),
    ],
)
def test_bad_arguments_are_refused(function, message):
    with pytest.raises(ProblemError, match=message):
        function()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("labels", [[0.0, 1e308, -1e308], [0.0, 1e200, 1.0]])
def test_labels_that_overflow_say_so(kernel, labels):
    """Without a word their weights would be 0."""
    with pytest.raises(ProblemError, match="labels: their differences over sigma overflow"):
        y_aware_weights(labels, sigma=1.0, kernel=kernel)


def test_zeros_of_either_sign_are_one_label():
    assert y_aware_weights([0.0, -0.0, 1.0], sigma=1.0).orbits.sizes.tolist() == [2.0, 1.0]
    assert y_aware_weights([[0.0, 2.0], [-0.0, 2.0]], sigma=1.0).orbits.sizes.tolist() == [2.0]


def test_supcon_is_soft_supcon_of_epsilon_0_without_self_pairs():
    labels = ["a", "b", "b", "a", "a"]
    for weighting, self_pairs in ((supcon_weights(labels), False), (supcon_weights(labels, self_pairs=True), True)):
        soft = soft_supcon_weights(labels, epsilon=0.0, self_pairs=self_pairs)
        assert weighting.self_pairs is self_pairs
        assert np.array_equal(weighting.expand(), soft.expand())
