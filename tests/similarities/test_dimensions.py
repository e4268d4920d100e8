"""Few coordinates: signs and descents by brute force, and a lower bound that no points may cross."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize

import geomsolve as gs
from geomsolve.objectives.weightings import weighting_from_matrix
from geomsolve.similarities.dimensions import _Block, _kappa, rank_bound, realize_in
from geomsolve.similarities.feasibility import LogGram
from geomsolve.similarities.realizations import Verdict, realize
from geomsolve.similarities.schemes import soft_supcon_weights, x_clr_weights, y_aware_weights

CONVENTIONS = pytest.mark.parametrize("self_pairs", [True, False])


def circle(count):
    angle = 2 * np.pi * np.arange(count) / count
    return np.column_stack([np.cos(angle), np.sin(angle)])


def sphere(rng, count, dim):
    points = rng.normal(size=(count, dim))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def softmax(gram, temperature, self_pairs):
    shares = np.exp((gram - 1.0) / temperature)
    if not self_pairs:
        np.fill_diagonal(shares, 0.0)
    return shares / shares.sum(axis=1, keepdims=True)


def excess(weights, gram, temperature, self_pairs):
    """Mean KL(w_i || p_i) in plain terms."""
    shares = softmax(gram, temperature, self_pairs)
    there = weights > 0
    return float(np.sum(weights[there] * np.log(weights[there] / shares[there])) / len(weights))


def best_of_descents(weights, temperature, self_pairs, dim, starts, rng):
    """The least excess that a descent of its own finds in `dim` >= 2 coordinates."""
    count = len(weights)

    def function(flat):
        rows = flat.reshape(count, dim)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        z = rows / lengths
        pull = (softmax(z @ z.T, temperature, self_pairs) - weights) / temperature / count
        slope = (pull + pull.T) @ z
        slope -= (slope * z).sum(axis=1, keepdims=True) * z
        return excess(weights, z @ z.T, temperature, self_pairs), (slope / lengths).ravel()

    found = [minimize(function, rng.normal(size=count * dim), jac=True, method="L-BFGS-B") for _ in range(starts)]
    return min(each.fun for each in found)


def best_of_signs(weights, temperature, self_pairs):
    signs = (np.array((1.0, *rest)) for rest in itertools.product((1.0, -1.0), repeat=len(weights) - 1))
    return min(excess(weights, np.outer(s, s), temperature, self_pairs) for s in signs)


def examples(self_pairs):
    rng = np.random.default_rng(7)
    lopsided = rng.random((8, 8)) + 0.05
    gaps = lopsided * (rng.random((8, 8)) < 0.7) + 0.01 * np.eye(8) + np.roll(np.eye(8), 1, axis=1)
    return [
        (y_aware_weights(circle(8), sigma=0.8, self_pairs=self_pairs), 0.5),
        (y_aware_weights(circle(9), sigma=0.3, self_pairs=self_pairs), 0.09),
        (y_aware_weights(sphere(rng, 9, 3), sigma=0.5, self_pairs=self_pairs), 0.2),
        (y_aware_weights(rng.normal(size=(9, 2)), sigma=1.0, kernel="laplacian", self_pairs=self_pairs), 0.3),
        (x_clr_weights(sphere(rng, 9, 5), label_temperature=0.2, self_pairs=self_pairs), 0.1),
        (soft_supcon_weights([0, 0, 1, 1, 2, 2, 3, 3], epsilon=math.exp(-1 / 0.2), self_pairs=self_pairs), 0.2),
        (weighting_from_matrix(lopsided, self_pairs=self_pairs), 0.2),
        (weighting_from_matrix(gaps, self_pairs=self_pairs), 0.4),
        (weighting_from_matrix(np.exp(-12.0 * rng.random((7, 7))), self_pairs=self_pairs), 2.0),
    ]


@CONVENTIONS
@pytest.mark.parametrize("number", range(9))
def test_no_points_are_below_the_bound(number, self_pairs):
    weighting, temperature = examples(self_pairs)[number]
    weights, rng = weighting.expand(), np.random.default_rng(number)
    least = best_of_signs(weights, temperature, self_pairs)
    assert 0.0 <= rank_bound(weighting, temperature=temperature, dim=1) <= least
    for dim in (2, 3):
        found = best_of_descents(weights, temperature, self_pairs, dim, 6, rng)
        assert rank_bound(weighting, temperature=temperature, dim=dim) <= found + 1e-12
        assert found <= 1.01 * least + 1e-5, "more coordinates are no worse: else this descent is no test"
        least = found


@pytest.mark.parametrize("reach", [-3.0, -1e-3, 0.0, 5e-3, 0.02, 1.0, 6.0, 40.0])
def test_the_inequalities_of_the_bound(reach):
    kappa = float(_kappa(np.array(reach)))
    x = np.linspace(-reach, max(3.0, -reach) + 2.0, 400)
    h = np.expm1(x) - x
    assert np.all(h >= kappa * x**2 * (1 - 1e-9) - 1e-15)
    assert kappa * reach**2 == pytest.approx(math.expm1(-reach) + reach, rel=1e-7, abs=1e-18)
    if reach > 0:
        assert kappa >= 1.0 / (2.0 + reach)


@CONVENTIONS
def test_circle_in_one_dimension(self_pairs):
    """Brute force over all signs, a bound above 0, and attained from two coordinates on."""
    weighting = y_aware_weights(circle(8), sigma=0.8, self_pairs=self_pairs)
    realization = realize(weighting, temperature=0.64)
    assert realization.min_dim == 2
    one = realize_in(realization, 1)
    assert not one.realizable
    assert not one.exact
    assert set(np.unique(one.points)) <= {-1.0, 1.0}
    assert one.excess == pytest.approx(best_of_signs(weighting.expand(), 0.64, self_pairs), rel=1e-10)
    assert one.excess == pytest.approx(one.excess_per_sample.mean())
    assert 0.005 * one.excess < one.excess_lower_bound < one.excess
    two = realize_in(realization, 2)
    assert two.realizable
    assert two.exact
    assert two.excess_lower_bound == 0.0
    np.testing.assert_allclose(two.points @ two.points.T, circle(8) @ circle(8).T, atol=1e-7)


def test_the_centre_of_the_labels_takes_a_dimension():
    """Below the largest temperature the circle is a small one, on a sphere of three coordinates. Self-pairs alone show
    that two will not do: otherwise the third is the constant of a row.
    """
    weighting = y_aware_weights(circle(8), sigma=0.8)
    assert realize(weighting, temperature=0.3).min_dim == 3
    assert rank_bound(weighting, temperature=0.3, dim=2) > 1e-3
    assert rank_bound(weighting, temperature=0.3, dim=3) == 0.0
    without = y_aware_weights(circle(8), sigma=0.8, self_pairs=False)
    assert rank_bound(without, temperature=0.3, dim=2) == 0.0


@CONVENTIONS
def test_labels_on_a_sphere(self_pairs):
    rng = np.random.default_rng(3)
    weighting = y_aware_weights(sphere(rng, 24, 3), sigma=0.7, self_pairs=self_pairs)
    realization = realize(weighting, temperature=0.49)
    assert [realize_in(realization, dim).realizable for dim in (3, 4, 9)] == [True] * 3
    wide = realize_in(realization, 9)
    assert wide.points.shape == (24, 9)
    shares = softmax(wide.points @ wide.points.T, 0.49, self_pairs)
    np.testing.assert_allclose(shares, weighting.expand(), atol=1e-12)
    flat = realize_in(realization, 2, restarts=2)
    assert not flat.realizable
    assert flat.points.shape == (24, 2)
    np.testing.assert_allclose(np.linalg.norm(flat.points, axis=1), 1.0)
    gram = flat.points @ flat.points.T
    assert flat.excess == pytest.approx(excess(weighting.expand(), gram, 0.49, self_pairs), rel=1e-9)
    assert 0.0 < flat.excess_lower_bound < flat.excess
    assert "rank 3, more than 2" in flat.reason


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
    if classes > 2:
        assert rank_bound(weighting, temperature=temperature, dim=classes - 2) > 1e-5


def test_the_rank_of_the_family_is_least_at_an_end():
    rng = np.random.default_rng(0)
    for labels in (circle(7), sphere(rng, 9, 3), rng.normal(size=(8, 2)) / 3):
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
    assert best.excess_lower_bound == realization.excess_lower_bound
    assert best.points.shape == (6, rank + 1)
    one = realize_in(realization, 1)
    assert one.excess == pytest.approx(best_of_signs(weighting.expand(), 0.5, True), rel=1e-9)
    assert one.excess > best.excess
    assert realization.excess_lower_bound <= one.excess_lower_bound <= one.excess


def test_the_ends_of_shifts_save_a_coordinate():
    """Self-pairs out and asymmetric weights: optima are an interval, of rank 6 inside and of rank 5 at its ends."""
    weights = 1.0 + 0.3 * np.random.default_rng(0).random((6, 6))
    realization = realize(weighting_from_matrix(weights, self_pairs=False), temperature=0.5)
    assert realization.shifts is not None
    assert realization.min_dim == (5 if 0.0 in realization.shifts else 6)
    found = realize_in(realization, 5)
    assert found.exact
    assert not found.realizable
    np.fill_diagonal(weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    measured = excess(weights, found.points @ found.points.T, 0.5, False)
    assert measured == pytest.approx(realization.excess, rel=1e-5)


def test_zero_weights_and_large_problems():
    classes = np.repeat(np.arange(4), 3)
    weighting = soft_supcon_weights(classes, epsilon=0.0)
    assert rank_bound(weighting, temperature=0.2, dim=1) == 0.0, "blocks without zeros are constant"
    rng = np.random.default_rng(1)
    wide = y_aware_weights(sphere(rng, 120, 6), sigma=0.8)
    bounds = [rank_bound(wide, temperature=0.64, dim=dim) for dim in (1, 2, 4, 6)]
    assert bounds[0] > bounds[1] > bounds[2] > 0.0
    assert bounds[3] == 0.0


def test_errors():
    weighting = y_aware_weights(circle(5), sigma=1.0)
    realization = realize(weighting, temperature=0.5)
    for bad in (0, -1, 2.5, True, "2"):
        with pytest.raises(gs.ProblemError, match="dim"):
            realize_in(realization, bad)
        with pytest.raises(gs.ProblemError, match="dim"):
            rank_bound(weighting, temperature=0.5, dim=bad)
    with pytest.raises(gs.ProblemError, match="restarts"):
        realize_in(realization, 2, restarts=0)
    with pytest.raises(gs.ProblemError, match="temperature"):
        rank_bound(weighting, temperature=0.0, dim=2)
    with pytest.raises(gs.ProblemError, match="None"):
        rank_bound(weighting, temperature=0.5, dim=None)


def test_the_bound_of_a_block_is_tight():
    """Weights a little off a geometry, in one block only: the best matrix of rank 1 there costs what is proved."""
    rng = np.random.default_rng(4)
    wanted = 1e-3 * rng.normal(size=(10, 10))
    weighting = weighting_from_matrix(np.exp(wanted), self_pairs=False)
    rows, columns = np.arange(5), np.arange(5, 10)
    logs = np.log(np.where(np.eye(10), 1.0, weighting.expand()))
    np.fill_diagonal(logs, -np.inf)
    proved = _Block.of(logs, rows, columns, 1.0, weighting).bound(1)
    block = wanted[:5, 5:]
    mean = block.mean(axis=1, keepdims=True)
    left, values, right = np.linalg.svd(block - mean)
    given = wanted.copy()
    given[:5, 5:] = mean + values[0] * np.outer(left[:, 0], right[0])
    measured = 10 * excess(weighting.expand(), given, 1.0, False)
    assert 0.98 * measured < proved <= measured


@CONVENTIONS
def test_near_misses_of_one_dimension(self_pairs):
    """Weights made from signs and a little noise: here the bound comes near to the least excess, and stays below."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(60):
        count, temperature = int(rng.integers(4, 8)), 10.0 ** rng.uniform(-0.7, 1.5)
        signs = rng.choice([-1.0, 1.0], count)
        noise = rng.normal(size=(count, count))
        noise += rng.choice([0.0, 1.0]) * noise.T
        weights = np.exp(np.outer(signs, signs) / temperature + 10.0 ** rng.uniform(-4, 0) * noise)
        weighting = weighting_from_matrix(weights, self_pairs=self_pairs)
        least = best_of_signs(weighting.expand(), temperature, self_pairs)
        shares.append(rank_bound(weighting, temperature=temperature, dim=1) / least)
    assert max(shares) < 1.0
    assert max(shares) > 0.1
