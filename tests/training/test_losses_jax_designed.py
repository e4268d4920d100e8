"""The loss that designed weights are for: against a plain loop, the objective of the design, and other losses."""

import math

import jax
import numpy as np
import pytest
from atoms import gram_of, unit_rows

import geomsolve as gs
from geomsolve.training import losses_jax as losses

LABELS = np.array([2, 0, 1, 0, 2, 0])  # class 1 has one example, class 3 none
TAU = 0.4


def value(z, labels, **options):
    """The loss in float64, jitted."""
    with jax.enable_x64(True):
        out = jax.jit(losses.weighted_sup_con)(z, labels, **options)
        assert (out.shape, out.dtype) == ((), np.float64)
        return float(out)


def loop(points, labels, anchors, pairs, offsets):
    """The formula, sample by sample; one alone of its class is its own positive."""
    total = []
    for i, y in enumerate(labels):
        means, kin = {}, [k for k in range(len(labels)) if labels[k] == y and k != i] or [i]
        for j in set(labels):
            seen = kin if j == y else [k for k in range(len(labels)) if labels[k] == j]
            means[j] = math.fsum(math.exp(points[i] @ points[k] / TAU) for k in seen) / len(seen)
        denominator = math.fsum((offsets[y] if j == y else pairs[y, j]) * mean for j, mean in means.items())
        pull = math.fsum(points[i] @ points[p] for p in kin) / len(kin) / TAU
        total.append(anchors[y] * (math.log(denominator) - pull))
    return math.fsum(total) / len(total)


@pytest.mark.parametrize("views", [1, 2])
def test_it_is_the_loop(views):
    rng = np.random.default_rng(views)
    z = rng.normal(size=(views, 6, 3)) * np.exp(rng.normal(size=(views, 6, 1)))
    anchors, pairs, offsets = rng.uniform(size=4), rng.uniform(size=(4, 4)), rng.uniform(0.1, 1.0, size=4)
    pairs[0, 2] = 0.0
    points = (z / np.linalg.norm(z, axis=-1, keepdims=True)).reshape(-1, 3)
    options = {"anchor_weights": anchors, "negative_weights": pairs, "temperature": TAU}
    expected = loop(points, np.tile(LABELS, views), anchors, pairs, offsets)
    found = value(z, LABELS, **options, offsets=offsets)
    assert math.isclose(found, expected, rel_tol=1e-13)
    pairs[np.diag_indices(4)] = np.nan
    assert value(z, LABELS, **options, offsets=offsets) == found, "the diagonal is not looked at"
    expected = loop(points, np.tile(LABELS, views), anchors, pairs, np.ones(4))
    assert math.isclose(value(z, LABELS, **options), expected, rel_tol=1e-13)


@pytest.mark.parametrize("anchors", ["class", "instance"])
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("tau", [0.05, 0.4, 2.0])
def test_it_is_the_objective_of_the_design(anchors, views, tau):
    """At any class means, not only those that are wanted; a class of one example counts like any."""
    rng, counts = np.random.default_rng(views), np.array([7, 1, 4, 2])
    target = gs.solve(gs.SupCon([90, 30, 10, 5], temperature=0.5)).gram
    labels = np.repeat(np.arange(4), counts)
    for wanted in (None, target):
        made = gs.design(counts, wanted, temperature=tau, anchors=anchors)
        options = {"anchor_weights": made.anchor_weights, "negative_weights": made.weights, "temperature": tau}
        for _ in range(3):
            means = unit_rows(rng, 4, 5)
            shown = np.broadcast_to(means[labels], (views, 14, 5))
            expected = made.objective.value(gram_of(made.objective, means))
            assert math.isclose(value(shown, labels, **options), expected, rel_tol=1e-12, abs_tol=1e-12)
            assert value(shown, labels, **options, offsets=made.offsets) == value(shown, labels, **options)


def test_supcon_is_a_case():
    """Weights N_j, offsets N_c - 1 and anchors of weight 1, for examples anywhere."""
    counts = np.array([4, 2, 3])
    labels, z = np.repeat(np.arange(3), counts), np.random.default_rng(0).normal(size=(2, 9, 4))
    with jax.enable_x64(True):
        expected = float(losses.sup_con(z, labels, temperature=TAU))
    pairs = np.broadcast_to(2.0 * counts, (3, 3))
    found = value(
        z,
        labels,
        anchor_weights=np.ones(3),
        negative_weights=pairs,
        offsets=2.0 * counts - 1.0,
        temperature=TAU,
    )
    assert math.isclose(found, expected, rel_tol=1e-13)


def test_a_sample_alone_is_still_pushed_away():
    z = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    slope = jax.grad(losses.weighted_sup_con)(
        z, LABELS, anchor_weights=np.array([0.0, 1.0, 0.0]), negative_weights=np.ones((3, 3)), temperature=0.4
    )
    assert np.linalg.norm(slope[2]) > 1e-3, "class 1 alone has anchors, and only one"


BAD = {
    "square": (
        {"negative_weights": np.ones((3, 4))},
        r"negative_weights: must have shape \(classes, classes\).*3, 4",
    ),
    "anchors": ({"anchor_weights": np.ones(2)}, r"anchor_weights: must have shape \(3,\), one number per.*got \(2,\)"),
    "offsets": ({"offsets": 1.0}, r"offsets: must have shape \(3,\), one number per class; got \(\)"),
    "temperature": ({"temperature": 0}, "temperature: must be finite and above 0; got 0"),
}


@pytest.mark.parametrize(("wrong", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(wrong, message):
    options = {"anchor_weights": np.ones(3), "negative_weights": np.ones((3, 3)), "temperature": 0.1} | wrong
    with pytest.raises(gs.ProblemError, match=message):
        losses.weighted_sup_con(np.ones((6, 3)), LABELS, **options)
