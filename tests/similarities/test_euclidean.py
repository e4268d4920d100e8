"""Weighted InfoNCE over squared distances: what is attained, what cannot be, and the proof of the best."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

import geomsolve as gs
from geomsolve.geometry.orbits import Orbits
from geomsolve.objectives.weighted.logweights import divergences, row_normalised, symmetric_part
from geomsolve.objectives.weighted.weightings import Weighting
from geomsolve.similarities.euclidean import euclidean_realization

NEVER = -np.inf


def squares(points):
    return cdist(points, points, "sqeuclidean")


def gaussian(labels, width=1.0):
    return -squares(labels) / (2.0 * width**2)


def realization(log_weights, *, self_pairs=True, **options):
    """Of logarithms of weights up to a constant of each row; the diagonal is ignored without self-pairs."""
    logs = np.array(log_weights)
    orbits = Orbits(np.ones(len(logs)), np.arange(len(logs)))
    weighting = Weighting.normalised(orbits, logs, np.diag(logs).copy(), self_pairs, "weights")
    return euclidean_realization(weighting, **options)


def loss(points, log_weights, temperature, self_pairs):
    """The definition, written out."""
    log_w = np.array(log_weights)
    if not self_pairs:
        np.fill_diagonal(log_w, NEVER)
    log_w, total = row_normalised(log_w), 0.0
    logits = -squares(points) / (2.0 * temperature)
    for i in range(len(points)):
        others = [j for j in range(len(points)) if self_pairs or j != i]
        norm = np.log(np.sum(np.exp(logits[i, others])))
        total -= sum(np.exp(log_w[i, j]) * (logits[i, j] - norm) for j in others)
    return total / len(points)


def noise(n, seed, scale=1.0, symmetric=True):
    values = scale * np.random.default_rng(seed).normal(size=(n, n))
    if symmetric:
        values = (values + values.T) / 2.0
        np.fill_diagonal(values, scale)
    return values


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("self_pairs", [True, False])
def test_gaussian_weights_of_labels_are_realizable(seed, self_pairs):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(3, 25)), int(rng.integers(1, 5))
    labels, width, temperature = rng.normal(size=(n, d)), rng.uniform(0.3, 3.0), rng.uniform(0.05, 2.0)
    weights = gaussian(labels, width) + rng.normal(size=(n, 1))
    found = realization(weights, temperature=temperature, self_pairs=self_pairs)
    assert found.verdict == "realizable"
    assert found.excess < 1e-24
    assert found.lower_bound == found.entropy_bound
    assert found.unique is self_pairs
    products = found.points.T @ found.points  # principal coordinates, as of classical scaling
    np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-11 * products.max(initial=1e-300))
    wanted = squares(labels) * temperature / width**2
    if self_pairs:
        assert found.min_dim == min(d, n - 1)
        np.testing.assert_allclose(squares(found.points), wanted, atol=1e-11 * wanted.max())
    else:
        assert found.min_dim <= n - 2
        shift = (wanted - squares(found.points))[~np.eye(n, dtype=bool)]
        assert np.ptp(shift) < 1e-11 * wanted.max()
        assert shift.mean() > -1e-11  # the labels lie below c_max


@pytest.mark.parametrize("n", [3, 4, 9])
def test_every_symmetric_kernel_is_realizable_without_self_pairs(n):
    kernel = noise(n, n, 2.0)
    found = realization(kernel, temperature=0.7, self_pairs=False)
    assert found.verdict == "realizable"
    assert found.min_dim <= n - 2
    assert found.excess < 1e-25
    off = ~np.eye(n, dtype=bool)
    for more in (-1e-3, 0.0, 1.0):
        gram = -0.5 * (squares(found.points) + 2.0 * more * off)
        centring = np.eye(n) - 1.0 / n
        assert (np.linalg.eigvalsh(centring @ gram @ centring)[0] > -1e-12) == (more >= 0.0)
    np.testing.assert_allclose(found.required, squares(found.points), atol=1e-11)
    centred = centring @ (0.7 * (kernel - kernel[off].max()) * off) @ centring
    assert np.sort(np.linalg.eigvalsh(centred + 1e3 / n))[0] == pytest.approx(found.shifts[1])


@pytest.mark.parametrize("seed", range(3))
def test_witness_proves_that_distances_are_not_euclidean(seed):
    found = realization(noise(9, seed), temperature=0.4)
    assert found.verdict == "inconsistent"
    assert "not Euclidean" in found.reason
    assert np.abs(found.witness.sum(axis=0)).max() < 1e-14
    assert np.linalg.eigvalsh(found.witness)[0] > -1e-14
    assert np.sum(found.witness * found.required) > 1e-3
    assert np.sum(found.witness * squares(found.points)) < 1e-12


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize(("n", "scale"), [(3, 1.0), (6, 3.0), (30, 2.0)])
def test_any_weights_have_an_embedding(n, scale, self_pairs):
    weights = noise(n, n, scale, symmetric=False)
    found = realization(weights, temperature=0.5, self_pairs=self_pairs)
    assert found.verdict == "inconsistent"
    assert found.excess > 1e-3
    assert found.lower_bound == found.entropy_bound
    assert found.value == pytest.approx(loss(found.points, weights, 0.5, self_pairs), rel=1e-13)
    assert found.excess_per_sample.mean() == pytest.approx(found.excess)
    assert np.abs(found.points.mean(axis=0)).max(initial=0.0) < 1e-12


@pytest.mark.parametrize("self_pairs", [True, False])
def test_restarts_find_nothing_better_and_reach_it(self_pairs):
    n, weights = 5, noise(5, 1, 1.5, symmetric=False)
    found = realization(weights, temperature=0.5, self_pairs=self_pairs)
    starts = np.random.default_rng(0).normal(size=(6, n * (n - 1)))
    values = [minimize(lambda z: loss(z.reshape(n, -1), weights, 0.5, self_pairs), start).fun for start in starts]
    assert min(values) >= found.lower_bound - 1e-12
    assert min(values) == pytest.approx(found.value, abs=1e-8)


def test_two_samples():
    far = realization([[0.0, -2.0], [-2.0, 0.0]], temperature=0.5)
    assert (far.verdict, far.min_dim) == ("realizable", 1)
    assert squares(far.points)[0, 1] == pytest.approx(2.0)
    near = realization([[0.0, 1.0], [1.0, 0.0]], temperature=0.5)  # a partner nearer than oneself
    assert (near.verdict, near.min_dim) == ("inconsistent", 0)
    assert near.value == pytest.approx(np.log(2.0))
    alone = realization(np.zeros((2, 2)), temperature=0.5, self_pairs=False)
    assert (alone.verdict, alone.min_dim, alone.value, alone.unique) == ("realizable", 0, 0.0, False)
    assert alone.shifts == (-np.inf, pytest.approx(0.0))


def test_kernels_whose_own_weights_differ_are_not_attained_with_self_pairs():
    kernel = gaussian(np.random.default_rng(0).normal(size=(5, 2)))
    kernel[2, 2] += 0.5
    found = realization(kernel, temperature=1.0)
    assert found.verdict == "inconsistent"
    assert "differ by 0.5;" in found.reason
    assert found.required is None
    assert realization(kernel, temperature=1.0, self_pairs=False).verdict == "realizable"


def blocks(*parts):
    n = sum(len(part) for part in parts)
    whole, at = np.full((n, n), NEVER), 0
    for part in parts:
        whole[at : at + len(part), at : at + len(part)] = part
        at += len(part)
    return whole


def test_parts_without_a_link_move_apart():
    labels = np.random.default_rng(0).normal(size=(7, 2))
    for self_pairs in (True, False):
        apart = blocks(gaussian(labels[:3]), gaussian(labels[3:]))
        found = realization(apart, temperature=0.5, self_pairs=self_pairs)
        assert (found.verdict, found.unique) == ("degenerate", False)
        assert "pair (0, 3) is 0" in found.reason
        assert found.excess < 1e-10
        far = squares(found.points)
        assert far[:3, 3:].min() > far[3:, 3:].max()
    worse = realization(blocks(gaussian(labels[:3]), noise(5, 0)), temperature=0.5)
    single = realization(noise(5, 0), temperature=0.5)
    assert worse.excess == pytest.approx(single.excess * 5 / 8, rel=1e-9)


def ring(n, seed=0):
    values, weights = np.random.default_rng(seed).normal(size=(2, n)), np.full((n, n), NEVER)
    for i in range(n):
        weights[i, (i + 1) % n], weights[(i + 1) % n, i] = values[:, i]
    return weights


def test_zeros_within_a_part():
    weights = ring(6)
    found = realization(np.logaddexp(weights, np.where(np.eye(6), 1.0, NEVER)), temperature=0.5)
    assert found.verdict == "degenerate"
    assert found.excess > 1e-3
    out = realization(weights, temperature=0.5, self_pairs=False)
    assert out.verdict == "degenerate"
    assert out.excess_lower == 0.0 < out.excess


def test_cycles_that_are_violated():
    weights = row_normalised(noise(8, 0, symmetric=False))
    _, asymmetry, (i, j, k) = symmetric_part(weights, False)
    twist = np.subtract(weights, weights.T, where=~np.eye(8, dtype=bool), out=np.zeros((8, 8)))
    sums = np.abs(twist[:, :, None] + twist[None] + twist.T[:, None, :])
    assert asymmetry == pytest.approx(sums[i, j, k])
    assert sums.max() / 3.0 <= asymmetry <= sums.max() * (1.0 + 1e-12)


def test_divergences_keep_their_digits():
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(0)
    first = row_normalised(rng.normal(size=(4, 4)) * 3.0)
    for size in (1e-6, 0.1, 2.0, 30.0):
        second = row_normalised(first + size * rng.normal(size=(4, 4)))
        with mpmath.workdps(40):
            for i, found in enumerate(divergences(first, second)):
                w, p = ([mpmath.exp(mpmath.mpf(float(x))) for x in row[i]] for row in (first, second))
                exact = sum(a * mpmath.log(a * sum(p) / b / sum(w)) for a, b in zip(w, p, strict=True)) / sum(w)
                assert found == pytest.approx(float(exact), rel=1e-8)
    assert divergences(np.array([[0.0, NEVER]]), np.array([[NEVER, 0.0]]))[0] == np.inf


def test_bad_input():
    with pytest.raises(gs.errors.ProblemError, match="temperature"):
        realization(np.zeros((2, 2)), temperature=0.0)
    with pytest.raises(gs.errors.ProblemError, match="at most 2000"):
        realization(np.zeros((2001, 2001)), temperature=0.5)
