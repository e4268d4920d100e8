"""What training asks of the losses in JAX: slopes, types, low temperature, jit and vmap, and plain errors."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import geomsolve as gs
from geomsolve.training import losses_jax as losses

LABELS = np.array([2, 0, 1, 0, 2, 0])  # not sorted: nothing may depend on the order
PROTOTYPES, CLASSIFIERS = (np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float32) for seed in (1, 2))
NEGATIVES = np.random.default_rng(0).integers(6, size=(6, 5), dtype=np.int32)
PAIRS = np.random.default_rng(3).uniform(0.1, 2.0, size=(3, 3)).astype(np.float32)
CALLS = {
    "sup_con": losses.sup_con,
    "supervised_minority": losses.supervised_minority,
    "supervised_prototypes": lambda z, y, **o: losses.supervised_prototypes(z, y // 2, PROTOTYPES[:2], **o),
    "sup_cl": functools.partial(losses.sup_cl, alpha=0.3),
    "sup_cl without self-pairs": functools.partial(losses.sup_cl, alpha=0.3, self_pairs=False),
    "kcl": losses.kcl,
    "weighted_sup_con": functools.partial(
        losses.weighted_sup_con, anchor_weights=[1.0, 0.2, 3.0], negative_weights=PAIRS
    ),
    "bcl": lambda z, y, **o: losses.bcl(z, y, PROTOTYPES, **o),
    "bcl by class": lambda z, y, **o: losses.bcl(z, y, PROTOTYPES, anchors="class", **o),
    "ecl": lambda z, y, **o: losses.ecl(z, y, PROTOTYPES, CLASSIFIERS, counts=np.array([9, 5, 1]), **o),
    "cross_entropy": lambda z, y, *, temperature: losses.cosine_cross_entropy(
        z, y, CLASSIFIERS, scale=1 / temperature, counts=np.array([9, 5, 1]), class_weights=np.array([1, 2, 9])
    ),
    "weighted_infonce": lambda z, y, **o: losses.weighted_infonce(
        z[0], jax.nn.softmax(1.0 * (y[:, None] == y), axis=1).astype(z.dtype), **o
    ),
    "euclidean": lambda z, y, **o: losses.weighted_infonce(
        z[0], jnp.full((6, 6), 0.2, z.dtype), self_pairs=False, similarity="euclidean", **o
    ),
    "gcl": lambda z, y, **o: losses.gcl(z[0], z[1], z[0][NEGATIVES], **o),
}
EVERY = pytest.mark.parametrize("loss", CALLS.values(), ids=CALLS.keys())


def batches():
    """Embeddings: any, all in one point, in two opposite points, and with a sample of length 0."""
    rng = np.random.default_rng(0)
    yield rng.normal(size=(2, 6, 4))
    yield np.ones((2, 6, 4))
    yield np.where(LABELS == 0, 1.0, -1.0)[None, :, None] * np.ones((2, 6, 4))
    hole = rng.normal(size=(2, 6, 4))
    hole[:, 2] = 0.0
    yield hole


@EVERY
def test_float32_is_finite_and_right_at_low_temperature(loss):
    """And stays float32; class 1 has one example, so in half of the losses no positive."""
    both = jax.jit(jax.value_and_grad(lambda z, y, tau: loss(z, y, temperature=tau)))
    for z in batches():
        for tau in (0.01, 0.5):
            found, slope = both(z.astype(np.float32), LABELS, tau)
            assert (found.dtype, slope.dtype) == (np.float32, np.float32)
            assert np.isfinite(found)
            assert np.isfinite(slope).all()
            with jax.enable_x64(True):
                exact, exact_slope = both(z.astype(np.float32).astype(np.float64), LABELS, tau)
            assert math.isclose(found, exact, rel_tol=2e-6 / tau, abs_tol=2e-6 / tau)
            assert np.allclose(slope, exact_slope, rtol=2e-4 / tau, atol=2e-4 / tau * np.abs(exact_slope).max())
    assert jax.numpy.zeros(1).dtype == np.float32, "the global setting is as it was"


@EVERY
def test_slope_is_that_of_the_loss(loss):
    rng = np.random.default_rng(3)
    z, step = rng.normal(size=(2, 6, 4)), 1e-6
    both = jax.jit(jax.value_and_grad(lambda z: loss(z, LABELS, temperature=0.3)))
    with jax.enable_x64(True):
        for _ in range(3):
            along = rng.normal(size=z.shape)
            ahead, behind = (both(z + s * step * along)[0] for s in (1, -1))
            slope = np.sum(np.asarray(both(z)[1]) * along)
            assert math.isclose((ahead - behind) / (2 * step), slope, rel_tol=1e-6, abs_tol=1e-8)


@EVERY
def test_jit_and_vmap_are_the_loss(loss):
    rng = np.random.default_rng(4)
    many, labels = rng.normal(size=(3, 2, 6, 4)).astype(np.float32), np.array([LABELS, LABELS[::-1], LABELS])
    taus = np.array([0.1, 0.2, 0.3], np.float32)
    single = jax.jit(lambda z, y, tau: loss(z, y, temperature=tau))
    one = [single(z, y, tau) for z, y, tau in zip(many, labels, taus, strict=True)]
    found = jax.jit(jax.vmap(single))(many, labels, taus)
    assert np.allclose(found, one, rtol=1e-5)


def test_slopes_reach_prototypes_and_classifiers():
    z = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32)

    def loss(prototypes, classifiers):
        return losses.ecl(z, LABELS, prototypes, classifiers, temperature=0.1, counts=np.array([9, 5, 1]))

    for slope in jax.jit(jax.grad(loss, argnums=(0, 1)))(PROTOTYPES, CLASSIFIERS):
        assert (np.linalg.norm(slope, axis=1) > 1e-6).all()


def test_a_sample_alone_has_nothing_to_lose():
    """Its denominator is empty."""
    both = jax.jit(jax.value_and_grad(lambda z: losses.sup_con(z, np.array([0]), temperature=0.01)))
    found, slope = both(np.ones((1, 4), np.float32))
    assert found == 0
    assert not slope.any()


def test_types_of_numbers():
    z = np.random.default_rng(0).normal(size=(2, 6, 4))
    half = losses.gcl(*jnp.ones((2, 2, 3), jnp.bfloat16), jnp.ones((2, 1, 3), jnp.bfloat16))
    assert half.dtype == np.float32
    with jax.enable_x64(True):
        single = losses.ecl(
            z.astype(np.float32), LABELS, PROTOTYPES, CLASSIFIERS, temperature=np.float64(0.1), counts=[9, 5, 1]
        )
        assert single.dtype == np.float32, "neither counts nor a float64 temperature make it double"


@pytest.mark.parametrize("stray", [-1, 3])
def test_a_label_of_no_class_is_not_passed_over(stray):
    z, labels = np.ones((2, 6, 4), np.float32), np.where(LABELS == 1, stray, LABELS)
    assert np.isnan(losses.bcl(z, labels, PROTOTYPES, temperature=0.1))
    assert np.isnan(losses.ecl(z, labels, PROTOTYPES, temperature=0.1))
    options = {"anchor_weights": np.ones(3), "negative_weights": PAIRS, "temperature": 0.1}
    assert np.isnan(losses.weighted_sup_con(z, labels, **options))
    assert np.isnan(losses.cosine_cross_entropy(z, labels, CLASSIFIERS, scale=3.0))
    assert np.isnan(losses.supervised_prototypes(z, labels, PROTOTYPES[:2], temperature=0.1))


def call(loss, z=np.ones((2, 6, 4)), y=LABELS, *rest, **options):  # noqa: B008
    return lambda: loss(z, y, *rest, **{"temperature": 0.1} | options)


W = np.full((6, 6), 1 / 6)
BAD = {
    "one axis": (call(losses.sup_con, np.ones(6)), r"embeddings: must have shape \(views, examples, dim\).*got \(6,\)"),
    "nothing": (call(losses.sup_con, np.ones((2, 0, 4)), LABELS[:0]), r"embeddings: must have shape.*got \(2, 0, 4\)"),
    "complex": (call(losses.sup_con, 1j * np.ones((6, 4))), "embeddings: must be real numbers; got complex"),
    "labels": (call(losses.sup_con, y=LABELS[:5]), r"labels: must have shape \(6,\), one label per.*got \(5,\)"),
    "real labels": (call(losses.sup_con, y=LABELS + 0.0), "labels: must be integers; got float32"),
    "zero": (call(losses.sup_con, temperature=0), "temperature: must be finite and above 0; got 0"),
    "temperatures": (call(losses.sup_con, temperature=np.ones(2)), "temperature: must be one number; got array"),
    "a word": (call(losses.sup_con, temperature="0.1"), "temperature: must be one number; got '0.1'"),
    "one view": (call(losses.kcl, np.ones((6, 4))), r"embeddings: this loss needs at least 2 views.*got \(6, 4\)"),
    "views": (call(losses.sup_cl, np.ones((6, 4)), alpha=0.5, self_pairs=False), "views: must be at least 2 without"),
    "alpha": (call(losses.sup_cl, alpha=1.5), "alpha: must be a finite number of at least 0 and at most 1; got 1.5"),
    "k": (call(losses.kcl, positives=0), "positives: must be a whole number of at least 1; got 0"),
    "prototypes": (
        call(losses.bcl, np.ones((2, 6, 4)), LABELS, np.ones((3, 5))),
        r"prototypes: must have shape \(classes, 4\), one row per class; got \(3, 5\)",
    ),
    "three": (
        call(losses.supervised_prototypes, np.ones((2, 6, 4)), LABELS, PROTOTYPES),
        r"prototypes: must have shape \(2, 4\), one row per class; got \(3, 4\)",
    ),
    "anchors": (
        call(losses.bcl, np.ones((2, 6, 4)), LABELS, PROTOTYPES, anchors="all"),
        "anchors: must be one of instance, class; got 'all'",
    ),
    "classifiers": (
        call(losses.ecl, np.ones((2, 6, 4)), LABELS, PROTOTYPES, CLASSIFIERS[:2], counts=[1, 2, 3]),
        r"classifiers: must have shape \(3, 4\), one row per class; got \(2, 4\)",
    ),
    "no counts": (
        call(losses.ecl, np.ones((2, 6, 4)), LABELS, PROTOTYPES, CLASSIFIERS),
        "counts: must be given with classifiers",
    ),
    "scale": (
        call(losses.ecl, np.ones((2, 6, 4)), LABELS, PROTOTYPES, CLASSIFIERS, counts=[1, 2, 3], scale=0.0),
        "scale: must be a finite number above 0; got 0.0",
    ),
    "counts": (
        lambda: losses.cosine_cross_entropy(np.ones((6, 4)), LABELS, CLASSIFIERS, scale=3, counts=[1, 2]),
        r"counts: must have shape \(3,\), one number per class; got \(2,\)",
    ),
    "weights": (call(losses.weighted_infonce, np.ones((6, 4)), W[:5]), r"weights: must have shape \(6, 6\).*\(5, 6\)"),
    "similarity": (
        call(losses.weighted_infonce, np.ones((6, 4)), W, similarity="dot"),
        "similarity: must be one of cosine, euclidean; got 'dot'",
    ),
    "self_pairs": (
        call(losses.weighted_infonce, np.ones((6, 4)), W, self_pairs=1),
        "self_pairs: must be True or False; got 1",
    ),
    "views weighted": (call(losses.weighted_infonce, y=W), r"embeddings: must have shape \(samples, dim\); got \(2, 6"),
    "positives": (
        call(losses.gcl, np.ones((6, 4)), np.ones((5, 4)), np.ones((6, 3, 4))),
        r"positives: must have shape \(6, 4\), that of the anchors; got \(5, 4\)",
    ),
    "negatives": (
        call(losses.gcl, np.ones((6, 4)), np.ones((6, 4)), np.ones((6, 4))),
        r"negatives: must have shape \(6, k, 4\), k >= 1 for each anchor; got \(6, 4\)",
    ),
    "normalization": (
        call(losses.gcl, np.ones((6, 4)), np.ones((6, 4)), np.ones((6, 3, 4)), normalization="max"),
        "normalization: must be one of mean, sum; got 'max'",
    ),
    "sampling": (
        lambda: losses.draw_negatives(jax.random.key(0), LABELS, 3, sampling="hard"),
        "sampling: must be one of supervised, unsupervised; got 'hard'",
    ),
    "draws": (lambda: losses.draw_negatives(jax.random.key(0), LABELS, 0), "count: must be a whole number of at least"),
}


@pytest.mark.parametrize(("wrong", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(wrong, message):
    with pytest.raises(gs.ProblemError, match=message):
        wrong()
