"""Training losses (in NumPy) against the Gram objectives of the same name."""

import functools
import math

import numpy as np
import pytest
from atoms import gram_of, unit_rows
from test_losses import LABELS, directions, value

import geomsolve as gs
from geomsolve.objectives.kinds.parts import parts_of
from geomsolve.training import losses


def gram_value(objective, points):
    each = objective.ungrouped()
    return each.value(gram_of(each, points))


@pytest.mark.parametrize(("tau", "views"), [(0.05, 2), (2.0, 3)])
def test_losses_over_samples_are_their_gram_objectives(tau, views):
    rng, counts = np.random.default_rng(views), [4, 2, 3]
    labels = np.repeat(np.arange(3), counts)
    close = functools.partial(math.isclose, rel_tol=1e-12, abs_tol=1e-12)
    means, points = unit_rows(rng, 3, 4), unit_rows(rng, 9, 4)
    shown = functools.partial(np.broadcast_to, shape=(views, 9, 4))
    found = value(losses.sup_con, shown(means[labels]), labels, temperature=tau)
    assert close(found, gram_value(gs.SupCon(counts, temperature=tau, views=views), means))
    found = value(losses.sup_con, shown(points), labels, temperature=tau)
    assert close(found, gram_value(gs.SupConInstances(counts, temperature=tau, views=views), points))
    for k in (1, 3):
        for draw in ("samples", "examples"):
            options = {"temperature": tau, "positives": k, "draw": draw}
            found = value(losses.kcl, shown(points), labels, **options)
            assert close(found, gram_value(gs.KCL(counts, views=views, **options), points))
    for self_pairs in (True, False):
        options = {"alpha": 0.3, "temperature": tau, "self_pairs": self_pairs}
        found = value(losses.sup_cl, shown(points), labels, **options)
        assert close(found, gram_value(gs.SupCL(counts, views=views, **options), points))
    for two, minority in (([7, 2], 1), ([3, 6], 0)):
        labels = np.repeat([0, 1], two)
        found = value(losses.sup_min, shown(points), labels, temperature=tau, minority=minority)
        assert close(found, gram_value(gs.SupMin(two, temperature=tau, views=views), points))


@pytest.mark.parametrize(("tau", "anchors", "views"), [(0.05, "instance", 1), (2.0, "class", 2)])
def test_losses_with_prototypes_are_their_gram_objectives(tau, anchors, views):
    counts = np.array([4, 2, 3])
    rng, labels = np.random.default_rng(views), np.repeat(np.arange(3), counts)
    means, prototypes, classifiers = (unit_rows(rng, 3, 4) for _ in range(3))
    shown, options = np.broadcast_to(means[labels], (views, 9, 4)), {"temperature": tau, "anchors": anchors}
    kinds = {"instances": means, "prototype": prototypes, "classifier": classifiers}

    def at(objective):
        parts = parts_of(objective.ungrouped())
        return gram_value(objective, np.array([kinds[n][c] for n, c in zip(parts.names, parts.classes, strict=True)]))

    close = functools.partial(math.isclose, rel_tol=1e-12, abs_tol=1e-12)
    found = value(losses.bcl, shown, labels, prototypes, **options)
    assert close(found, at(gs.BCL(counts, views=views, **options)))
    found = value(losses.ecl, shown, labels, prototypes, **options)
    assert close(found, at(gs.ECL(counts, classifier=False, views=views, **options)))
    options |= {"contrast": 0.35, "align": 2.0, "scale": 5.0}
    found = value(losses.ecl, shown, labels, prototypes, classifiers, counts=counts, **options)
    assert close(found, at(gs.ECL(counts, views=views, **options)))
    joint, every = gs.ECL(counts, tied=True, **options), np.vstack([means, prototypes, classifiers])
    assert close(found, joint.value(gram_of(joint, every)))
    found = value(losses.cosine_cross_entropy, shown, labels, classifiers, scale=5.0, counts=counts)
    assert close(found, gram_value(gs.LogitCompensated(counts, scale=5.0), np.vstack([means, classifiers])))


@pytest.mark.parametrize(("anchors", "tau"), [("class", 0.05), ("instance", 2.0)])
def test_weighted_sup_con_is_the_objective_of_the_design(anchors, tau):
    """At any class means, not only those that are wanted; a class of one example counts like any."""
    rng, counts = np.random.default_rng(0), np.array([7, 1, 4, 2])
    target = gs.solve(gs.SupCon([90, 30, 10, 5], temperature=0.5)).gram
    for wanted in (None, target):
        made = gs.design(counts, wanted, temperature=tau, anchors=anchors)
        options = {"anchor_weights": made.anchor_weights, "negative_weights": made.weights, "temperature": tau}
        means, labels = unit_rows(rng, 4, 5), np.repeat(np.arange(4), counts)
        expected = made.objective.value(gram_of(made.objective, means))
        found = value(losses.weighted_sup_con, np.stack([means[labels]] * 2), labels, **options)
        assert math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-12)


def test_layouts():
    """(n, d) of one view, (n, views, d), labels in a column, lists."""
    z = directions(np.random.default_rng(0), 2, 6, 4)
    assert value(losses.sup_con, z[0], LABELS, 0.1) == value(losses.sup_con, z[:1], LABELS, 0.1)
    plain = value(losses.sup_con, z, LABELS, 0.1)
    assert value(losses.sup_con, z.swapaxes(0, 1), LABELS[:, None], 0.1, view_axis=1) == plain
    assert value(losses.sup_con, z.tolist(), LABELS.tolist(), np.float64(0.1)) == plain
