"""Feasible or not, against dense eigenvalues and one-dimensional minimisation, and every witness by its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows_of_weights import circle, unit_vectors
from scipy.optimize import minimize_scalar

from geomsolve.objectives.weighted.weightings import weighting_from_matrix
from geomsolve.similarities.feasibility import LogGram
from geomsolve.similarities.kernels import x_clr_weights, y_aware_weights
from geomsolve.similarities.schemes import soft_supcon_weights


def line(rng, n, self_pairs):
    return y_aware_weights(rng.normal(size=n), sigma=rng.uniform(0.3, 2), self_pairs=self_pairs)


def plane(rng, n, self_pairs):
    return y_aware_weights(rng.normal(size=(n, 2)), sigma=rng.uniform(0.3, 2), self_pairs=self_pairs)


def cyclic(rng, n, self_pairs):
    """Equal eigenvalues, and a vector of ones that is an eigenvector."""
    return y_aware_weights(np.arange(n), sigma=rng.uniform(0.3, 2), period=n, self_pairs=self_pairs)


def twins(rng, n, self_pairs):
    kernel = str(rng.choice(["gaussian", "laplacian", "cauchy"]))
    labels = rng.integers(0, 3, size=n + 2).astype(float)
    return y_aware_weights(labels, sigma=rng.uniform(0.3, 2), kernel=kernel, self_pairs=self_pairs)


def arbitrary(rng, n, self_pairs):
    matrix = rng.random((n, n)) + 0.01
    matrix = matrix + matrix.T
    np.fill_diagonal(matrix, 1.0)
    return weighting_from_matrix(matrix, self_pairs=self_pairs)


def classes(rng, n, self_pairs):
    return soft_supcon_weights(rng.integers(0, 3, size=n + 2), epsilon=rng.uniform(0.01, 1.3), self_pairs=self_pairs)


SAMPLERS = (line, plane, cyclic, twins, arbitrary, classes)


def dense(logs):
    """(N, N) L, 0 on the diagonal."""
    labels = logs.orbits.listed()
    full = logs.entries[labels[:, None], labels].copy()
    np.fill_diagonal(full, 0.0)
    return full


def drawn(seed, sampler, self_pairs):
    rng = np.random.default_rng(seed)
    weighting = sampler(rng, int(rng.integers(2, 9)), self_pairs)
    logs = LogGram.of(weighting)
    assert logs.symmetric
    return rng, weighting, logs, dense(logs)


def check_witness(witness, weighting, temperature):
    """Everything that a reader of the docstring may rely on, from the weights alone."""
    matrix = witness.matrix
    count = len(matrix)
    scale = np.abs(matrix).max() * count
    assert np.linalg.eigvalsh((matrix + matrix.T) / 2)[0] >= -1e-13 * scale
    assert 0 < witness.margin <= -witness.value * (1 + 1e-9)
    assert np.sum(matrix * witness.required) == pytest.approx(witness.value, rel=1e-9)
    off = ~np.eye(count, dtype=bool)
    assert np.array_equal(np.diag(witness.required), np.ones(count))
    # The matrix asked for, from the weights: row by row tau log w_ij and a constant.
    weights = weighting.expand()
    with np.errstate(divide="ignore"):
        rest = np.where(off, witness.required - temperature * np.log(np.where(off, weights, 1.0)), 0.0)
    if weighting.self_pairs:
        rows = 1.0 - temperature * np.log(np.diag(weights))
        np.testing.assert_allclose(rest[off], np.broadcast_to(rows[:, None], rest.shape)[off], atol=1e-9)
    else:
        spread = np.where(off, rest, -np.inf).max(axis=1) - np.where(off, rest, np.inf).min(axis=1)
        assert spread.max() <= 1e-9 * max(1.0, np.abs(witness.required).max())
    if witness.kind == "indefinite":
        assert np.array_equal(matrix, witness.factor @ witness.factor.T)
        if not weighting.self_pairs:
            assert abs(matrix[off].sum()) <= 1e-10 * scale
    else:
        assert witness.kind == "asymmetric"
        assert np.array_equal(matrix, -matrix.T)
        if not weighting.self_pairs:
            assert np.abs(matrix.sum(axis=1)).max() == 0


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("sampler", SAMPLERS)
@settings(max_examples=8)
@given(seed=st.integers(0, 10**9))
def test_the_log_matrix_and_its_lowest_eigenvalue(sampler, self_pairs, seed):
    rng, weighting, logs, full = drawn(seed, sampler, self_pairs)
    count = len(full)
    for beta in (0.0, *rng.normal(size=3) * 3, 100.0, -100.0):
        lowest = np.linalg.eigvalsh(full + beta * np.ones((count, count)))[0]
        assert logs.lowest(beta) == pytest.approx(lowest, abs=1e-13 * count * (abs(beta) + np.abs(full).max()))
    # L is log w up to a constant a row, or log w_ij - log w_ii.
    off = ~np.eye(count, dtype=bool)
    rest = np.where(off, np.log(np.where(off, weighting.expand(), 1.0)) - full, 0.0)
    own = np.log(np.diag(weighting.expand())) if self_pairs else rest.sum(axis=1) / (count - 1)
    np.testing.assert_allclose(rest[off], np.broadcast_to(own[:, None], rest.shape)[off], atol=1e-11)


@pytest.mark.parametrize("sampler", SAMPLERS)
@settings(max_examples=6)
@given(seed=st.integers(0, 10**9))
def test_the_largest_temperature_without_self_pairs(sampler, seed):
    _, _, logs, full = drawn(seed, sampler, False)
    ones = np.ones_like(full)
    found = minimize_scalar(lambda b: b - np.linalg.eigvalsh(full + b * ones)[0], bracket=(-1, 1), tol=1e-12)
    assert logs.smallest_inverse == pytest.approx(found.fun, abs=1e-7 * max(1.0, abs(found.fun)))
    assert logs.largest_temperature > 0
    if found.fun > 1e-6:
        assert logs.largest_temperature == pytest.approx(1 / found.fun, rel=1e-6)


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("sampler", SAMPLERS)
@settings(max_examples=6)
@given(seed=st.integers(0, 10**9))
def test_feasible_or_a_witness_and_never_both(sampler, self_pairs, seed):
    _, weighting, logs, full = drawn(seed, sampler, self_pairs)
    count, largest = len(full), logs.largest_temperature
    for temperature in (0.05, 0.3, 1.0, 0.999 * largest, 1.001 * largest):
        if not 1e-6 < temperature < 1e6:
            continue
        witness = logs.witness(temperature)
        if not logs.feasible(temperature):
            assert witness is not None
            check_witness(witness, weighting, temperature)
            assert temperature >= largest
            continue
        assert witness is None
        assert temperature <= largest
        low, high = logs.shifts(temperature)
        noise = 1e-10 * count * max(1.0, temperature * np.abs(full).max())
        for shift in (low, high, (low + high) / 2):
            gram = logs.gram(temperature, shift).expand()
            assert np.linalg.eigvalsh(gram)[0] >= -noise
            expected = temperature * full + shift
            np.fill_diagonal(expected, 1.0)
            np.testing.assert_allclose(gram, expected, atol=1e-13 * (1 + np.abs(expected).max()))
        if self_pairs:
            assert (low, high) == (1.0, 1.0)
            continue
        for shift in (low - 1e-3, high + 1e-3):
            assert np.linalg.eigvalsh(logs.gram(temperature, shift).expand())[0] < 0


@settings(max_examples=40)
@given(seed=st.integers(0, 10**9), self_pairs=st.booleans())
def test_asymmetric_weights(seed, self_pairs):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3 - self_pairs, 8))
    kernel = rng.uniform(0.2, 1.0, (count, count))
    kernel = kernel + kernel.T
    np.fill_diagonal(kernel, 1.0)
    kernel[0, 1] *= rng.choice([1.0 + 1e-9, 1.1, 3.0])
    weighting = weighting_from_matrix(kernel * rng.uniform(0.1, 10, (count, 1)), self_pairs=self_pairs)
    logs = LogGram.of(weighting)
    assert not logs.symmetric
    assert not logs.feasible(0.5)
    witness = logs.witness(0.5)
    assert witness.kind == "asymmetric"
    check_witness(witness, weighting, 0.5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("count", [3, 30, 120])
def test_rounding_of_a_symmetric_kernel_is_not_asymmetry(dtype, self_pairs, count):
    rng = np.random.default_rng(count)
    points = unit_vectors(rng, count, 4)
    kernel = np.exp((points @ points.T) / 0.05)
    weights = (kernel / kernel.sum(axis=1, keepdims=True)).astype(dtype)
    logs = LogGram.of(weighting_from_matrix(weights, self_pairs=self_pairs))
    assert logs.symmetric
    assert logs.feasible(0.05)
    assert logs.witness(0.05) is None


def test_equal_classes_have_one_largest_temperature():
    """With self-pairs epsilon >= e^{-C/((C-1) tau)}: tau <= -C / ((C-1) log epsilon)."""
    for count in (2, 3, 7):
        logs = LogGram.of(soft_supcon_weights(np.repeat(np.arange(count), 4), epsilon=0.2))
        assert logs.largest_temperature == pytest.approx(-count / ((count - 1) * np.log(0.2)), rel=1e-12)
    assert LogGram.of(soft_supcon_weights([0, 0, 1], epsilon=1.2)).largest_temperature == 0
    assert LogGram.of(soft_supcon_weights([0, 0, 1], epsilon=1.0)).largest_temperature == np.inf


def test_x_clr_reaches_its_label_temperature():
    """Labels that balance: sum_i u_i y_i = 0 with weights that do not sum to 0 leaves nothing above tau_s."""
    assert LogGram.of(x_clr_weights(circle(5), label_temperature=0.3)).largest_temperature == pytest.approx(
        0.3, rel=1e-9
    )
