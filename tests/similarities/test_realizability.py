"""`realize`: reference values, known embeddings, bounds that no geometry attains, and other routes to the optimum."""

import re

import numpy as np
import pytest
from rows_of_weights import circle, excess_and_slope, mean_divergence, softmax, unit_vectors
from scipy.optimize import minimize

from geomsolve.errors import ProblemError
from geomsolve.geometry.orbit_gram import OrbitGram
from geomsolve.objectives.weighted.weightings import weighting_from_matrix
from geomsolve.similarities.kernels import x_clr_weights, y_aware_weights
from geomsolve.similarities.realizations import realize
from geomsolve.similarities.schemes import soft_supcon_weights, supcon_weights
from geomsolve.similarities.verdicts import Verdict
from geomsolve.solvers.conic.conic import Conic

TEN = np.linspace(-1.0, 1.0, 10)


def check(found):
    """What holds of every realization."""
    weights = found.weighting.expand()
    shares = softmax(found.points @ found.points.T, found.temperature, found.weighting.self_pairs)
    assert found.points.shape == (len(weights), found.min_dim)
    np.testing.assert_allclose(np.linalg.norm(found.points, axis=1), 1.0, rtol=1e-14)
    assert mean_divergence(weights, shares) == pytest.approx(found.excess, rel=1e-6, abs=1e-11)
    assert found.gap <= 1e-9
    assert found.excess_lower <= found.excess
    assert found.excess_per_sample.mean() == pytest.approx(found.excess, rel=1e-12)
    assert (found.excess_per_sample >= 0).all()
    assert found.value == found.entropy_bound + found.excess
    np.testing.assert_allclose(found.nearest_weights(), shares, atol=1e-7)
    assert (found.witness is not None) == (found.verdict is Verdict.INCONSISTENT)
    assert found.unique == (found.shifts is None)
    assert found.reason


# Reference values. ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sigma", "self_pairs", "excess"),
    [(0.3, True, 0.042715), (1.0, True, 1.4127e-4), (0.3, False, 0.061156), (1.0, False, 0.0)],
)
def test_ten_labels_on_a_line(sigma, self_pairs, excess):
    found = realize(y_aware_weights(TEN, sigma=sigma, self_pairs=self_pairs), temperature=0.5)
    check(found)
    assert found.verdict is (Verdict.INCONSISTENT if excess else Verdict.REALIZABLE)
    assert found.excess == pytest.approx(excess, rel=2e-5, abs=1e-20)
    if excess:
        assert found.excess_lower == pytest.approx(excess, rel=2e-5)
        assert found.gap <= 1e-8 * found.excess


def test_labels_on_a_circle_that_is_too_large():
    found = realize(y_aware_weights(circle(12, 1.3 * 0.8 / 0.4**0.5), sigma=0.8), temperature=0.4)
    check(found)
    assert found.verdict is Verdict.INCONSISTENT
    assert found.excess == pytest.approx(0.048925, abs=1e-6)
    # The radius that fits grows as the temperature falls.
    assert found.largest_temperature == pytest.approx(0.4 / 1.3**2, rel=1e-9)


@pytest.mark.parametrize("share", [0.2, 0.999999, 1.0])
def test_labels_on_a_circle_that_is_not(share):
    found = realize(y_aware_weights(circle(12, share * 0.8 / 0.4**0.5), sigma=0.8), temperature=0.4)
    check(found)
    assert found.verdict is Verdict.REALIZABLE
    assert found.excess <= 1e-10
    assert found.unique
    assert found.min_dim == (2 if share == 1.0 else 3)
    distances = np.linalg.norm(found.points[:, None] - found.points, axis=-1)
    labels = circle(12, share * 0.8 / 0.4**0.5)
    wanted = np.linalg.norm(labels[:, None] - labels, axis=-1) * 0.4**0.5 / 0.8
    np.testing.assert_allclose(distances, wanted, atol=1e-9)


SUPCON = {
    ((1000, 100, 10), 0.5): (-0.96139763, -0.56030012, 0.31075666),
    ((500, 50, 50), 0.1): (-0.55170747, -0.55170747, -0.39123773),
}


@pytest.mark.parametrize(("sizes", "temperature"), SUPCON)
def test_supcon(sizes, temperature):
    found = realize(supcon_weights(np.repeat([0, 1, 2], sizes)), temperature=temperature)
    assert found.verdict is Verdict.DEGENERATE
    cosines = found.gram.cosines
    np.testing.assert_allclose(cosines[[0, 0, 1], [1, 2, 2]], SUPCON[sizes, temperature], atol=2e-8)
    np.testing.assert_allclose(np.diag(cosines), 1.0, atol=1e-12)
    sizes = np.array(sizes, dtype=float)
    powers = np.exp((cosines - 1) / temperature) * sizes
    np.fill_diagonal(powers, sizes - 1)
    assert found.value == pytest.approx(sizes @ np.log(powers.sum(axis=1)) / sizes.sum(), rel=1e-12)
    assert found.gap <= max(1e-9 * found.excess, 2e-13)
    assert found.components == 3
    assert "3 groups" in found.reason
    assert found.largest_temperature is None
    assert found.witness is None


@pytest.mark.parametrize(("sizes", "temperature"), [((4, 4, 4), 0.3), ((1, 1), 1.0), ((3, 1, 1, 5), 0.3)])
def test_soft_supcon_has_one_cosine_whatever_the_sizes(sizes, temperature):
    count = len(sizes)
    least = np.exp(-count / ((count - 1) * temperature))
    labels = np.repeat(np.arange(count), sizes)
    for epsilon in (least * (1 + 1e-9), least * 1.5, (1 + least) / 2):
        found = realize(soft_supcon_weights(labels, epsilon=epsilon), temperature=temperature)
        check(found)
        assert found.verdict is Verdict.REALIZABLE
        wanted = np.where(labels[:, None] == labels, 1.0, 1 + temperature * np.log(epsilon))
        np.testing.assert_allclose(found.points @ found.points.T, wanted, atol=1e-8)
        assert found.min_dim == count
    edge = realize(soft_supcon_weights(labels, epsilon=least * (1 + 1e-13)), temperature=temperature)
    assert (edge.verdict, edge.min_dim) == (Verdict.REALIZABLE, count - 1)
    below = realize(soft_supcon_weights(labels, epsilon=least * (1 - 1e-6)), temperature=temperature)
    assert below.verdict is Verdict.INCONSISTENT
    assert below.largest_temperature < temperature


@pytest.mark.parametrize(("temperature", "self_pairs"), [(0.1, True), (0.5, True), (0.3, False)])
def test_x_clr_below_the_label_temperature(temperature, self_pairs):
    labels = unit_vectors(np.random.default_rng(0), 9, 3)
    found = realize(x_clr_weights(labels, label_temperature=0.5, self_pairs=self_pairs), temperature=temperature)
    check(found)
    assert found.verdict is Verdict.REALIZABLE
    share = temperature / 0.5
    wanted = share * labels @ labels.T + (1 - share)
    gram = found.points @ found.points.T
    off = ~np.eye(9, dtype=bool)
    if self_pairs:
        np.testing.assert_allclose(gram, wanted, atol=1e-8)
        assert found.min_dim == (3 if share == 1 else 4)
    else:
        assert np.ptp((gram - wanted)[off]) <= 1e-8


# Weights of known points. --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("self_pairs", [True, False])
def test_weights_of_known_points_are_realizable(self_pairs):
    rng = np.random.default_rng(1)
    for _ in range(15):
        points = unit_vectors(rng, int(rng.integers(2, 9)), int(rng.integers(1, 6)))
        temperature = float(10.0 ** rng.uniform(-1.5, 0.5))
        weighting = weighting_from_matrix(softmax(points @ points.T, temperature, self_pairs), self_pairs=self_pairs)
        found = realize(weighting, temperature=temperature)
        assert found.verdict is Verdict.REALIZABLE
        assert found.excess <= 1e-10
        gram = found.points @ found.points.T
        if self_pairs:
            np.testing.assert_allclose(gram, points @ points.T, atol=1e-9)
            assert found.largest_temperature >= temperature * (1 - 1e-9)
        else:
            assert found.min_dim <= np.linalg.matrix_rank(points)
            np.testing.assert_allclose(softmax(gram, temperature, False), weighting.expand(), atol=1e-10)


def test_points_alone_decide_no_verdict_where_rounding_does():
    """Single precision weights of points in three dimensions: the verdict allows for the rounding of the weights."""
    points = unit_vectors(np.random.default_rng(3), 20, 3)
    weights = softmax(points @ points.T, 0.5, True)
    assert realize(weighting_from_matrix(weights.astype(np.float32)), temperature=0.5).verdict is Verdict.REALIZABLE
    coarse = weighting_from_matrix(weights.astype(np.float32).astype(np.float64))
    assert realize(coarse, temperature=0.5).verdict is Verdict.INCONSISTENT


# Asymmetric and degenerate weights. ----------------------------------------------------------------------------------


def test_asymmetric_weights():
    weights = np.array([[1.0, 0.5, 0.4], [0.25, 1.0, 0.3], [0.4, 0.3, 1.0]])
    found = realize(weighting_from_matrix(weights), temperature=0.5)
    check(found)
    assert found.verdict is Verdict.INCONSISTENT
    assert found.witness.kind == "asymmetric"
    assert "differ by a factor 2 for samples 0 and 1" in found.reason
    assert found.largest_temperature is None
    out = realize(weighting_from_matrix(weights, self_pairs=False), temperature=0.5)
    check(out)
    assert out.witness.kind == "asymmetric"
    assert "products of weights in the two directions differ by a factor 2" in out.reason
    # Rows may have any factor: w_ij = K_ij / r_i is as good as K.
    kernel = np.array([[1.0, 0.5, 0.4], [0.5, 1.0, 0.3], [0.4, 0.3, 1.0]]) * np.array([[1.0], [7.0], [0.1]])
    for self_pairs in (True, False):
        assert realize(weighting_from_matrix(kernel, self_pairs=self_pairs), temperature=0.2).witness is None


@pytest.mark.parametrize(
    ("place", "reason"),
    [((1, 2), "the weight of samples 1 and 2 is 0"), ((1, 1), "sample 1 with itself is 0.*leave self-pairs out")],
    ids=["of a pair", "with oneself"],
)
def test_a_weight_of_zero(place, reason):
    weights = np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 0.3], [0.5, 0.3, 1.0]])
    weights[place] = weights[place[::-1]] = 0.0
    found = realize(weighting_from_matrix(weights), temperature=0.5)
    check(found)
    assert found.verdict is Verdict.DEGENERATE
    assert re.search(reason, found.reason)
    assert found.components == 1
    assert found.excess_lower > 0.01


@pytest.mark.parametrize("self_pairs", [True, False])
def test_groups_of_samples(self_pairs):
    weights = np.zeros((6, 6))
    weights[:2, :2], weights[2:5, 2:5] = 1.0, 1.0
    weights[2, 3] = weights[3, 2] = 0.5
    weights[5, 5] = 1.0
    if not self_pairs:
        weights[4, 5] = weights[5, 4] = 0.5
    found = realize(weighting_from_matrix(weights, self_pairs=self_pairs), temperature=0.5)
    check(found)
    assert found.verdict is Verdict.DEGENERATE
    assert found.components == (3 if self_pairs else 2)


def test_samples_alone_are_groups_of_their_own():
    """Instance discrimination: every sample has weight with itself alone."""
    found = realize(weighting_from_matrix(np.eye(5)), temperature=0.5)
    assert found.components == 5
    np.testing.assert_allclose(found.gram.expand(), 1.25 * np.eye(5) - 0.25, atol=1e-9)


def test_the_family_of_shifts():
    """Without self-pairs every constant between the ends attains the bound, and none outside."""
    weighting = y_aware_weights(TEN, sigma=1.0, self_pairs=False)
    found = realize(weighting, temperature=0.5)
    low, high = found.shifts
    off = ~np.eye(10, dtype=bool)
    logs = np.log(np.where(off, np.exp(-((TEN[:, None] - TEN) ** 2) / 2), 1.0))
    logs = np.where(off, logs - logs[off].max(), 0.0)
    for shift, inside in ((low, 1), (high, 1), ((low + high) / 2, 1), (low - 1e-4, 0), (high + 1e-4, 0)):
        gram = np.where(off, 0.5 * logs + shift, 1.0)
        np.testing.assert_allclose(softmax(gram, 0.5, False), weighting.expand(), rtol=1e-10)
        assert (np.linalg.eigvalsh(gram)[0] > -1e-11) == inside


# Nearest weights, and other routes. ----------------------------------------------------------------------------------


@pytest.mark.parametrize("self_pairs", [True, False])
def test_nearest_weights(self_pairs):
    weighting = y_aware_weights(TEN, sigma=0.4, self_pairs=self_pairs)
    found = realize(weighting, temperature=0.5)
    nearest = found.nearest_weights()
    assert mean_divergence(weighting.expand(), nearest) == pytest.approx(found.excess, rel=1e-9)
    again = realize(weighting_from_matrix(nearest, self_pairs=self_pairs), temperature=0.5)
    assert again.verdict is Verdict.REALIZABLE
    assert again.excess <= 1e-12


ROUTES = {
    "line": lambda s: y_aware_weights(np.linspace(-1, 1, 7), sigma=0.4, self_pairs=s),
    "zeros": lambda s: y_aware_weights(np.linspace(-1, 1, 6), sigma=0.8, kernel="triangular", self_pairs=s),
    "asymmetric": lambda s: weighting_from_matrix(np.random.default_rng(5).random((6, 6)) + 0.1, self_pairs=s),
    "twins": lambda s: y_aware_weights([0.0, 1.0, 1.0, 2.5, 2.5, 2.5], sigma=0.6, self_pairs=s),
}


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("name", ROUTES)
def test_descent_finds_the_same(name, self_pairs):
    found = realize(ROUTES[name](self_pairs), temperature=0.3)
    check(found)
    assert found.verdict is not Verdict.REALIZABLE
    weights = found.weighting.expand()
    start = np.random.default_rng(1).normal(size=weights.size)
    options = {"maxiter": 9000, "maxfun": 20000, "ftol": 0.0, "gtol": 1e-13}
    function = excess_and_slope(weights, 0.3, self_pairs)
    free = minimize(function, start, jac=True, method="L-BFGS-B", options=options)
    assert found.excess_lower - 1e-13 <= free.fun
    assert free.fun == pytest.approx(found.excess, rel=1e-5)


@pytest.mark.parametrize(("name", "self_pairs"), [("zeros", True), ("asymmetric", False)])
def test_the_conic_program_finds_the_same(name, self_pairs):
    found = realize(ROUTES[name](self_pairs), temperature=0.3)
    gram = Conic(full=True).run(found.objective).gram
    assert isinstance(gram, OrbitGram)
    assert found.objective.value(gram.repaired()[0]) == pytest.approx(found.value, rel=1e-6)


def test_orbits_are_only_a_shortcut():
    """The same weights with every sample by itself (a change in the last bit undoes the folding)."""
    labels = np.repeat([0.0, 1.0, 2.5], [2, 1, 3])
    folded = realize(y_aware_weights(labels, sigma=0.6), temperature=0.6)
    apart = realize(y_aware_weights(labels + 1e-13 * np.arange(6), sigma=0.6), temperature=0.6)
    assert len(folded.weighting.orbits.sizes) == 3
    assert len(apart.weighting.orbits.sizes) == 6
    assert apart.verdict is folded.verdict is Verdict.INCONSISTENT
    assert apart.excess == pytest.approx(folded.excess, rel=1e-8)
    np.testing.assert_allclose(apart.points @ apart.points.T, folded.points @ folded.points.T, atol=1e-5)


@pytest.mark.parametrize(
    ("weighting", "temperature", "message"),
    [
        (np.eye(3), 0.5, "weighting: must come from weighting_from_matrix, .*; got ndarray"),
        (soft_supcon_weights([0, 1], epsilon=0.5), 0.0, "temperature: .*0"),
        (soft_supcon_weights([0, 1], epsilon=0.5), np.nan, "temperature: .*nan"),
    ],
)
def test_bad_arguments_are_refused(weighting, temperature, message):
    with pytest.raises(ProblemError, match=message):
        realize(weighting, temperature=temperature)


def test_progress_is_reported():
    lines = []
    realize(y_aware_weights(TEN, sigma=0.3), temperature=0.5, progress=lines.append)
    assert lines[0].startswith("eigenvalues of what the weights ask for; about")
    assert "inconsistent: the bound is not attained; looking for the best geometry" in lines
