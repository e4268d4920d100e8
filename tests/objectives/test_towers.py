"""Two towers and cosine classifiers: free descent by the published formulas, closed forms, where positives part."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import dense_simplex, descended
from scipy.optimize import brentq

import geomsolve as gs
from geomsolve.collapse import misalignment_threshold
from geomsolve.objectives import CLIP, LogitCompensated, NormFace, SigLIP


def clip(x, shares, factor):
    """The published loss of a batch, its means over concepts of given shares; x: logits."""
    weights = jnp.where(jnp.eye(len(x), dtype=bool), 1.0, factor * shares)
    rows, columns = (jnp.log(jnp.sum(weights * jnp.exp(y), axis=1)) - jnp.diag(y) for y in (x, x.T))
    return shares @ (rows + columns) / 2


def siglip(x, shares, factor):
    sign = 2 * jnp.eye(len(x)) - 1
    weights = jnp.where(sign > 0, jnp.diag(shares), factor * jnp.outer(shares, shares))
    return jnp.sum(weights * jnp.log1p(jnp.exp(-sign * x)))


def cosine_classifier(x, shares, margin, prior=0.0):
    x = x - jnp.diag(margin) + prior * jnp.log(shares)
    return shares @ (jnp.log(jnp.exp(x).sum(axis=1)) - jnp.diag(x))


def towers_descended(loss, classes, tau, bias=0.0):
    """The least loss over free unit vectors of two towers, and their cosines."""
    with jax.enable_x64(True):

        def points(flat):
            rows = flat.reshape(2, classes, classes)
            return rows / jnp.linalg.norm(rows, axis=2, keepdims=True)

        def value(flat):
            images, texts = points(flat)
            return loss(images @ texts.T / tau + bias)

        options = {"maxiter": 5000, "maxfun": 20000, "ftol": 1e-16, "gtol": 1e-11, "maxcor": 40}
        starts = (np.random.default_rng(trial).normal(size=2 * classes**2) for trial in range(2))
        best = min((descended(value, start, **options) for start in starts), key=lambda found: found.fun)
        images, texts = np.asarray(points(best.x))
    return float(best.fun), images @ texts.T


@pytest.mark.parametrize("seed", range(8))
def test_free_descent_over_both_towers_finds_the_same(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(3, 8))
    counts = rng.integers(1, 10 ** rng.integers(1, 4), classes) + 1.0
    shares, tau, factor = counts / counts.sum(), rng.uniform(0.1, 1.0), float(rng.integers(2, 30))
    margin = rng.uniform(0, 0.3, classes)
    if seed % 4 == 0:
        problem = CLIP(counts, temperature=tau, negatives=factor)
        value, cosines = towers_descended(lambda x: clip(x, shares, factor), classes, tau)
    elif seed % 4 == 1:
        bias = rng.uniform(-6, 3)
        problem = SigLIP(counts, temperature=tau, bias=bias, negatives=factor)
        value, cosines = towers_descended(lambda x: siglip(x, shares, factor), classes, tau, bias)
    elif seed % 4 == 2:
        problem = NormFace(counts, scale=1 / tau, margin=margin)
        value, cosines = towers_descended(lambda x: cosine_classifier(x, shares, margin / tau), classes, tau)
    else:
        problem = LogitCompensated(counts, scale=1 / tau, compensation=0.5)
        value, cosines = towers_descended(lambda x: cosine_classifier(x, shares, 0 * margin, 0.5), classes, tau)
    found = gs.solve(problem)
    assert found.value == pytest.approx(value, rel=1e-7, abs=1e-9)
    assert value >= found.certificate.lower_bound - 1e-12
    np.testing.assert_allclose(found.gram[:classes, classes:], cosines, atol=2e-3)


@pytest.mark.parametrize("classes", [3, 4, 7])
def test_balanced_towers_in_closed_form(classes):
    for problem in (
        CLIP([5] * classes, temperature=0.2),
        SigLIP([5] * classes, temperature=0.2, bias=-8.0),
        NormFace([5] * classes, scale=6),
    ):
        gram = gs.solve(problem).gram
        np.testing.assert_allclose(gram, np.tile(dense_simplex(classes), (2, 2)), atol=1e-9)
    # Misaligned: other pairs as far apart as a positive of cosine o allows.
    found = gs.solve(SigLIP([5] * classes, temperature=0.2, bias=1.0)).gram[:classes, classes:]

    def slope(o):
        c = -(classes - (classes - 2) * o) / (2 * (classes - 1))
        return (classes - 2) / (2 * (1 + math.exp(-c / 0.2 - 1))) - 1 / (1 + math.exp(o / 0.2 + 1))

    least = brentq(slope, -1, 1, xtol=1e-14)
    np.testing.assert_allclose(np.diag(found), least, atol=1e-8)


@pytest.mark.parametrize(("classes", "temperature"), [(3, 0.2), (4, 0.1), (10, 0.05)])
def test_balanced_positives_part_where_the_formula_says(classes, temperature):
    t = 1 / temperature

    def formula(b):
        return (1 + math.exp(t / (classes - 1) - b)) / (1 + math.exp(t + b)) - (classes - 2) / 2

    found = misalignment_threshold([5] * classes, temperature=temperature)
    assert found.value == pytest.approx(brentq(formula, -t - 20, t + 20, xtol=1e-14), abs=1e-7)
    assert found.collapses == "below"


def test_positives_of_unequal_concepts_part_at_the_threshold():
    counts, tau = np.array([50.0, 20.0, 5.0, 2.0]), 0.2
    shares = counts / counts.sum()
    bias = misalignment_threshold(counts, temperature=tau).value
    assert misalignment_threshold(counts, bias=bias).value == pytest.approx(tau, rel=1e-6)
    for shift, apart in ((-0.2, False), (0.2, True)):
        _, cosines = towers_descended(lambda x: siglip(x, shares, 4.0), 4, tau, bias + shift)
        assert bool(np.diag(cosines).min() < 1 - 1e-3) is apart
    assert misalignment_threshold([5, 5], temperature=0.1) is None


def test_either_tower_gives_targets():
    loss = SigLIP([50, 30, 20, 4], temperature=0.2, bias=1.0)
    whole = gs.solve(loss).gram
    for part, first in ((None, 0), ("text", 4)):
        rows = gs.targets(loss, dim=8, part=part).rows.astype(float)
        np.testing.assert_allclose(rows @ rows.T, whole[first : first + 4, first : first + 4], atol=1e-6)
