"""Verdicts that were wrong, or could be: one class of many, near pairs, chance, order, and what the text admits."""

import functools
import math

import numpy as np
import pytest
from test_diagnose import plant as planted

import geomsolve as gs

KINDS = gs.training.Verdict
plant = functools.partial(planted, views=1)


@functools.cache
def long_tail():
    """Forty classes at the optimum of SupCon, and the counts of training."""
    counts = np.maximum(2, (500 * 0.01 ** (np.arange(40) / 39)).astype(int))
    return gs.solve(gs.SupCon(counts, temperature=0.1)).embed(64).points, counts


def simplex(classes, dim):
    points = gs.OrbitGram.simplex(gs.geometry.Orbits(np.ones(classes), np.arange(classes))).embed()
    return np.pad(points, ((0, 0), (0, dim - points.shape[1])))


def test_one_unlearnt_class_of_forty_is_seen():
    points, counts = long_tail()
    loss = {"counts": counts, "objective": "supcon", "temperature": 0.1}
    assert gs.diagnose(*plant(points, np.full(40, 10), 0.03), **loss).verdict is KINDS.AT_OPTIMUM
    # Its examples scatter about the right mean: cosines of means, and the mean spread, are those of the optimum.
    loose = np.full(40, 0.03)
    loose[39] = 4.0
    many = np.where(np.arange(40) == 39, 1500, 10)
    found = gs.diagnose(*plant(points, many, loose), **loss)
    assert (found.optimum.rms, found.optimum.worst, found.collapse.spread) < (0.02, 0.1, 0.05)
    assert found.verdict is KINDS.FAR
    text = str(found)
    assert "Not near the optimum, because: 1 - cosine within class 39 0.9" in text
    assert "Examples do not hold together in class 39." in text
    # In between, near: the class holds together, if not as tightly as the others.
    loose[39] = 0.7
    found = gs.diagnose(*plant(points, many, loose), **loss)
    assert found.verdict is KINDS.NEAR_OPTIMUM
    assert "Not at the optimum, because: 1 - cosine within class 39 0.3" in str(found)


def test_one_pair_close_together_is_no_regular_simplex():
    points = simplex(100, 128)
    assert gs.diagnose(*plant(points, np.full(100, 5), 0.01)).verdict is KINDS.SIMPLEX
    points[1] = 0.9 * points[0] + math.sqrt(1 - 0.81) * points[1]
    points[1] /= np.linalg.norm(points[1])
    found = gs.diagnose(*plant(points, np.full(100, 5), 0.01))
    assert found.collapse.ms < 0.02, "the root mean square alone does not see it"
    assert found.verdict is KINDS.SPREAD


def test_a_tail_that_collapses_as_the_optimum_is_not_blamed_for_merged_heads():
    counts, loss = (4000, 3000, 3, 2, 2), {"objective": "supcon", "temperature": 1.0}
    optimum = gs.solve(gs.SupCon(counts, temperature=1.0))
    assert optimum.collapsed == [[2, 3, 4]]
    points = optimum.embed(16).points
    as_it_is = gs.diagnose(*plant(points, (20, 20, 9, 9, 9), 0.02), counts=counts, **loss)
    assert as_it_is.verdict is KINDS.MINORITY_AS_OPTIMUM
    assert "The optimum itself has in one point: classes 2, 3, 4." in str(as_it_is)
    heads = gs.diagnose(*plant(points[[0, 0, 2, 3, 4]], (20, 20, 9, 9, 9), 0.02), counts=counts, **loss)
    assert heads.merged == ((0, 1), (2, 3, 4))
    assert heads.verdict is KINDS.MERGED_FAILURE
    # A group with some of the tail in it is a failure of the tail only if it has nothing else.
    mixed = gs.diagnose(*plant(points[[2, 1, 2, 3, 4]], (20, 20, 9, 9, 9), 0.02), counts=counts, **loss)
    assert mixed.merged == ((0, 2, 3, 4),)
    assert mixed.verdict is KINDS.MERGED_FAILURE


def test_all_but_collapsed_is_not_called_collapsed():
    """Below the threshold of 10.23 the optimum has cosines of 0.98: near enough to say so, not to say more."""
    counts = (150, 15, 15, 15)
    objective = gs.SupCon(counts, temperature=2.0)
    optimum = gs.solve(objective)
    assert optimum.collapsed == []
    assert 0.97 < optimum.gram[1, 2] < 0.99
    points = optimum.embed(8).points
    tail = points[1:].sum(axis=0)
    merged = np.stack([points[0], *[tail / np.linalg.norm(tail)] * 3])
    found = gs.diagnose(*plant(merged, counts, 0.02), objective=objective)
    assert found.verdict is KINDS.MINORITY_AS_OPTIMUM
    text = str(found)
    assert "The optimum itself has all but in one point (cosines of 0.97 and more): classes 1, 2, 3." in text
    assert "itself has in one point" not in text
    report = found.to_dict()["optimum"]
    assert (report["collapse"], report["collapsed"]) == ([[1, 2, 3]], [])


@pytest.mark.parametrize("examples", [2, 3])
def test_random_embeddings_share_no_point_by_chance(examples):
    """Means without their bias are noise where classes are of two examples in few dimensions."""
    labels = np.repeat(np.arange(12), examples)
    merged = [
        gs.diagnose(np.random.default_rng(seed).normal(size=(len(labels), 4)), labels).merged for seed in range(20)
    ]
    assert sum(map(bool, merged)) <= 1


@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5])
def test_full_collapse_with_a_noisy_tail_is_full_collapse(noise):
    counts = np.maximum(3, (500 * 0.01 ** (np.arange(20) / 19)).astype(int))
    for seed in range(4):
        z, labels = plant(np.eye(1, 64)[np.zeros(20, int)], counts, noise, seed)
        assert gs.diagnose(z, labels).verdict is KINDS.FULL


def test_a_chain_of_near_classes_is_not_one_point():
    """Steps of 6 degrees: neighbours share a point, the ends are 30 degrees apart."""
    angles = np.radians(6 * np.arange(6))
    found = gs.diagnose(*plant(np.c_[np.cos(angles), np.sin(angles)], [9] * 6, 0.001))
    assert found.merged == (tuple(range(6)),)
    assert not found.fully_collapsed
    assert found.verdict is KINDS.MERGED
    assert "Small differences remain there: the nearest class mean is the right one for all but 0 %" in str(found)


def test_far_can_be_a_tiny_loss_and_says_so():
    z, labels = plant(simplex(4, 8), (120, 36, 12, 4), 0.02)
    found = gs.diagnose(z, labels, objective="supcon", temperature=0.2)
    assert found.verdict is KINDS.FAR
    assert found.optimum.level < 1e-2
    assert "The loss hardly sees this" in str(found)
    every = gs.diagnose(plant(simplex(4, 8), (120, 36, 12, 4), 1e3)[0], labels, objective="supcon", temperature=1.0)
    assert every.verdict is KINDS.FAR
    assert "hardly sees" not in str(every)


def test_too_few_dimensions_are_named():
    z, labels = plant(np.random.default_rng(0).normal(size=(30, 4)), [5] * 30, 0.1)
    text = str(gs.diagnose(z, labels, objective="supcon", temperature=0.1))
    assert (
        "The optimum needs 29 dimensions; embeddings of 4 are held against the best geometry found in so many" in text
    )


def test_classes_of_one_example_say_nothing_of_the_spread():
    points = simplex(4, 8)
    found = gs.diagnose(points, list("abcd"), objective="supcon", temperature=0.1)
    assert math.isnan(found.collapse.spread)
    assert found.verdict is KINDS.AT_OPTIMUM
    assert "nothing is known of the spread within classes" in str(found)
    report = found.to_dict()
    assert np.isnan(report["spread"])
    some = gs.diagnose(np.concatenate([points, points[:1]]), [0, 1, 2, 3, 0])
    assert np.isnan(some.collapse.spreads).tolist() == [False, True, True, True]
    assert math.isclose(some.collapse.spread, 0.0, abs_tol=1e-12)


@pytest.mark.parametrize("order", [(1, 0, 2), (1, 2, 0), (0, 2, 1)])
def test_weights_in_another_order_are_noticed(order):
    points = simplex(3, 8)
    z, labels = plant(points, [5, 5, 5], 0.1)
    assert "in another order" not in str(gs.diagnose(z, labels, weights=points))
    found = gs.diagnose(z, labels, weights=points[list(order)])
    assert found.collapse.weights_fit == order
    first = next(c for c in range(3) if order[c] != c)
    text = str(found)
    assert f"fit the classes in another order (row {first} belongs to {first} and fits {order[first]})" in text


def test_the_scale_of_weights_does_not_matter():
    points = simplex(3, 8)
    z, labels = plant(points, [5, 5, 5], 0.3)
    plain = gs.diagnose(z, labels, weights=points).collapse
    for scale in (1e300, 1e-300, 1e-310):
        other = gs.diagnose(z, labels, weights=points * scale).collapse
        assert math.isclose(other.nc3, plain.nc3, rel_tol=1e-9)
        assert math.isclose(other.sd, plain.sd, rel_tol=1e-9)
        assert other.nc4 == plain.nc4


def test_numbers_as_texts_are_sorted_as_texts_and_this_is_said():
    z, labels = plant(np.random.default_rng(0).normal(size=(12, 4)), [3] * 12, 0.1)
    text = str(gs.diagnose(z, labels.astype(str)))
    assert "Labels are texts, so their order is 0, 1, 10, ..." in text
    for plain in (labels, labels.astype(float), np.char.add("class ", labels.astype(str))):
        assert "Labels are texts" not in str(gs.diagnose(z, plain))


def test_whole_numbers_in_floats_are_integers():
    z, labels = plant(np.random.default_rng(0).normal(size=(3, 4)), [3] * 3, 0.1)
    assert gs.diagnose(z, labels.astype(np.float32)).samples.classes.tolist() == [0, 1, 2]
    assert gs.diagnose(z, 2 * labels - 2.0).samples.classes.dtype.kind == "i"


def test_profiles_sorted_by_count_need_a_word():
    profile = gs.load_counts("isic2019")
    points = gs.solve(gs.SupCon(profile, temperature=0.1)).embed(16).points
    z, labels = plant(points, [5] * 8, 0.02)
    loss = {"objective": "supcon", "temperature": 0.1, "counts": profile}
    with pytest.raises(gs.ProblemError, match="counts: must be in the class order of your training labels; got isic"):
        gs.diagnose(z, labels, **loss)
    assert gs.diagnose(z, labels, sorted_classes=True, **loss).verdict is KINDS.AT_OPTIMUM


def test_counts_that_the_objective_contradicts():
    z, labels = plant(simplex(3, 8), [5, 5, 5], 0.1)
    objective = gs.SupCon([20, 5, 5], temperature=0.1)
    assert gs.diagnose(z, labels, objective=objective, counts=[40, 10, 10]).counts.total == 60
    with pytest.raises(gs.ProblemError, match="counts: must be those of the loss, in its class order; class 1 has 20"):
        gs.diagnose(z, labels, objective=objective, counts=[5, 20, 5])


def test_a_mask_of_nothing_is_passed_over():
    assert gs.diagnose(np.ma.masked_less(np.eye(3), -1), [0, 1, 1]).samples.views == 1


def test_labels_of_bytes_are_drawn_as_texts():
    found = gs.diagnose(np.eye(4), np.array([b"cat", b"cat", b"\xff", b"\xff"]))
    drawn = gs.figures.plot_diagnosis(found).axes[0].get_xticklabels()
    assert [tick.get_text() for tick in drawn] == ["cat", "\ufffd"]
