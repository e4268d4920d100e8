"""Losses of k negatives: the expectation by enumeration, by sums over the binomial law, and its limit."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from helpers import generalised, infonce, law, random_gram

import geomsolve as gs


@pytest.mark.parametrize("sampling", ["supervised", "unsupervised"])
@pytest.mark.parametrize("normalization", ["mean", "sum"])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_finite_k_is_the_enumerated_expectation(k, normalization, sampling):
    rng = np.random.default_rng(k)
    for counts in ([9, 1], [5, 2, 2], [60, 8, 8, 1]):
        for temperature in (0.1, 1.0):
            objective = gs.GCL(
                counts, temperature=temperature, sampling=sampling, negatives=k, normalization=normalization
            )
            gram = random_gram(rng, objective.orbits)
            beta = 1.0 / k if normalization == "mean" else 1.0
            expected = generalised(counts, gram.expand(), infonce(temperature, beta), k, sampling)
            assert abs(objective.value(gram) - expected) <= 1e-12
            floor = far_away(counts, beta, k, sampling)
            assert abs(objective.floor - floor) <= 1e-12
            assert math.isclose(objective.excess(gram), expected - floor, rel_tol=1e-9, abs_tol=1e-14)


def far_away(counts, beta, k, sampling):
    """The expectation with every other class infinitely far away: only draws of the own class count."""
    far = [[0.0 if i == j else -1e9 for j in range(len(counts))] for i in range(len(counts))]
    return generalised(counts, far, infonce(1.0, beta), k, sampling)


def binomial_law(k, p):
    """P(M = 0..k), by ratios from the mode: relative errors of some ulps where it matters, at any k."""
    mode = int((k + 1) * p)
    steps = np.arange(k, dtype=float)
    ratios = (k - steps) / (steps + 1) * p / (1 - p)
    up, down = np.cumprod(ratios[mode:]), np.cumprod(1 / ratios[:mode][::-1])[::-1]
    weights = np.concatenate([down, [1.0], up])
    return weights / math.fsum(weights)


@pytest.mark.parametrize(
    ("k", "normalization", "temperature"),
    [(2, "sum", 0.1), (300, "mean", 1.0), (65536, "mean", 0.1), (65536, "sum", 1.0)],
)
def test_two_classes_by_the_binomial_sum(k, normalization, temperature):
    """Own draws are binomial: the expectation is a plain sum over k + 1 terms."""
    counts, cosine = [7, 3], -0.625
    objective = gs.GCL(
        counts, temperature=temperature, sampling="unsupervised", negatives=k, normalization=normalization
    )
    gram = gs.OrbitGram(objective.orbits, np.array([[1.0, cosine], [cosine, 1.0]]))
    beta = 1.0 / k if normalization == "mean" else 1.0
    far = math.exp((cosine - 1) / temperature)
    own = np.arange(k + 1)
    expected = floor = 0.0
    for share in (0.7, 0.3):
        chance = binomial_law(k, share)
        expected += share * math.fsum(chance * np.log1p(beta * (own + (k - own) * far)))
        floor += share * math.fsum(chance * np.log1p(beta * own))
    assert math.isclose(objective.value(gram), expected, rel_tol=1e-12)
    assert math.isclose(objective.floor, floor, rel_tol=1e-12)


@pytest.mark.parametrize("normalization", ["mean", "sum"])
def test_one_foreign_orbit_by_the_binomial_sum(normalization):
    """An anchor of one class against two kinds of partners, supervised, k = 65,536, eight classes."""
    k, temperature = 65536, 0.5
    counts = [4, 1, 1, 1, 2, 2, 2, 2]
    objective = gs.GCL(counts, temperature=temperature, negatives=k, normalization=normalization)
    rng = np.random.default_rng(0)
    # The head sees two kinds; the others would see three, so they are switched off.
    objective = type(objective)(
        orbits=objective.orbits, masses=np.array([1.0, 0.0, 0.0]), temperature=temperature,
        partner=objective.partner, own=objective.own, count=k, alpha=objective.alpha, beta=objective.beta,
    )  # fmt: skip
    gram = random_gram(rng, objective.orbits)
    beta = 1.0 / k if normalization == "mean" else 1.0
    two, one = np.exp((gram.cosines[0, 1:] - 1) / temperature)  # counts 2, then counts 1
    drawn = np.arange(k + 1)
    expected = math.fsum(binomial_law(k, 8 / 11) * np.log1p(beta * (drawn * two + (k - drawn) * one)))
    assert math.isclose(objective.value(gram), expected, rel_tol=1e-12)


@pytest.mark.parametrize("sampling", ["supervised", "unsupervised"])
def test_many_negatives_approach_the_large_batch_loss(sampling):
    """L_inf - L_k = Var(X) / (2 k (1 + E X)^2) + O(1/k^2), an anchor at a time."""
    rng = np.random.default_rng(2)
    counts, temperature = [30, 5, 5, 2, 1], 0.5
    limit = gs.GCL(counts, temperature=temperature, sampling=sampling)
    gram = random_gram(rng, limit.orbits)
    dense = gram.expand()
    leading = 0.0
    for c, own in enumerate(counts):
        p = np.array(law(counts, c, sampling))
        x = np.exp((dense[c] - 1) / temperature)
        mean = p @ x
        leading += own / sum(counts) * (p @ x**2 - mean**2) / (2 * (1 + mean) ** 2)
    for k in (1024, 65536):
        finite = gs.GCL(counts, temperature=temperature, sampling=sampling, negatives=k)
        difference = limit.value(gram) - finite.value(gram)
        assert abs(difference - leading / k) <= 2 * leading / k**2 + 1e-15
        shift = np.abs(finite.row_gradient(gram) - limit.row_gradient(gram)).max()
        assert shift <= 10 / k * np.abs(limit.row_gradient(gram)).max()


@pytest.mark.parametrize(("k", "sampling"), [(1, "supervised"), (6, "unsupervised")])
def test_sampled_excess_at_low_temperature(k, sampling):
    counts, temperature, cosine = [3, 1], 0.01, -0.75
    objective = gs.GCL(counts, temperature=temperature, sampling=sampling, negatives=k, normalization="sum")
    gram = gs.OrbitGram(objective.orbits, np.array([[1, cosine], [cosine, 1]]))
    with localcontext() as context:
        context.prec = 150
        drift = ((Decimal(cosine) - 1) / Decimal(temperature)).exp()
        expected = Decimal(0)
        for share in (Decimal("0.75"), Decimal("0.25")):
            same = share if sampling == "unsupervised" else Decimal(0)
            for own in range(k + 1):
                chance = math.comb(k, own) * same**own * (1 - same) ** (k - own) if own or same else (1 - same) ** k
                expected += share * chance * ((1 + own + (k - own) * drift).ln() - Decimal(1 + own).ln())
    assert expected < 1e-70
    assert math.isclose(objective.excess(gram), float(expected), rel_tol=1e-13)
