"""Diagnoses of planted geometries: the verdict must be right every time, and the distance to the optimum exact."""

import functools
import math
import re

import numpy as np
import pytest
from matplotlib.image import imread
from pictures import assert_nothing_overlaps

import geomsolve as gs
from geomsolve.text import dumps

COUNTS = (12, 6, 4, 2)
# Its certified optimum has the three small classes in one point, opposite the large one.
COLLAPSING = {"objective": "gcl", "temperature": 1.0, "negatives": 16}


@functools.cache
def optimum():
    return gs.solve(gs.SupCon(COUNTS, temperature=0.1)).embed(8).points


def plant(means, counts, noise, seed=0, views=2):
    """Examples about class means: noise, one number or one per class, is their distance from the mean, about."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    away = np.broadcast_to(noise, len(counts))[labels, None]
    z = means[labels] + away * rng.normal(size=(views, len(labels), means.shape[1])) / math.sqrt(means.shape[1])
    return z / np.linalg.norm(z, axis=2, keepdims=True), labels


def verdicts(z, labels, **loss):
    loss = loss or {"objective": "supcon", "temperature": 0.1}
    with_loss, alone = gs.diagnose(z, labels, **loss), gs.diagnose(z, labels)
    assert with_loss.merged == alone.merged
    return with_loss.verdict, alone.verdict


@pytest.mark.parametrize("seed", range(4))
def test_planted_geometries(seed):
    points, kinds = optimum(), gs.training.Verdict
    assert verdicts(*plant(points, COUNTS, 0.03, seed)) == (kinds.AT_OPTIMUM, kinds.SPREAD)
    assert verdicts(*plant(points[[0, 0, 0, 0]], COUNTS, 0.1, seed)) == (kinds.FULL_FAILURE, kinds.FULL)
    assert verdicts(*plant(points[[0, 1, 2, 2]], COUNTS, 0.1, seed)) == (kinds.MINORITY_FAILURE, kinds.MINORITY)
    assert verdicts(*plant(points[[0, 1, 1, 1]], COUNTS, 0.1, seed)) == (kinds.MERGED_FAILURE, kinds.MERGED)
    assert verdicts(*plant(points, COUNTS, 1e3, seed)) == (kinds.FAR, kinds.SPREAD)
    axis = np.eye(8)[:1]
    merged = np.concatenate([axis, -axis, -axis, -axis])
    assert verdicts(*plant(merged, (120, 3, 2, 2), 0.1, seed, views=1), **COLLAPSING) == (
        kinds.MINORITY_AS_OPTIMUM,
        kinds.MINORITY,
    )


def test_other_verdicts():
    simplex = gs.OrbitGram.simplex(gs.geometry.Orbits(np.ones(4), np.arange(4))).embed()
    kinds = gs.training.Verdict
    assert gs.diagnose(*plant(simplex, COUNTS, 0.01, 0)).verdict is kinds.SIMPLEX
    balanced = plant(simplex[[0, 1, 2, 2]], (5, 5, 5, 5), 0.1, 0)
    assert verdicts(*balanced) == (kinds.MERGED_FAILURE, kinds.MERGED), "nobody is a minority"
    # Cosines near 0.985 and 0.9 are no collapse, and a little noise is not far.
    assert verdicts(*plant(optimum(), COUNTS, 0.3, 0))[0] is kinds.NEAR_OPTIMUM
    # Labels that say nothing: class means coincide, and only they do.
    rng = np.random.default_rng(0)
    cone = np.append(2.0, np.zeros(7)) + rng.normal(size=(4000, 8))
    found = verdicts(cone / np.linalg.norm(cone, axis=1, keepdims=True), np.arange(4000) % 4)
    assert found == (kinds.COINCIDENT, kinds.COINCIDENT)


def test_distance_is_the_one_of_certify():
    z, labels = plant(optimum(), COUNTS, 1.0, 3)
    objective = gs.SupCon(COUNTS, temperature=0.1)
    found = gs.diagnose(z, labels, objective=objective).optimum
    means = np.array([z[:, labels == c].mean(axis=(0, 1)) for c in range(4)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    best = gs.solve(objective)
    measured = gs.certify(objective, means @ means.T)
    assert math.isclose(found.value, measured.value, rel_tol=1e-14)
    assert math.isclose(found.excess, measured.excess - best.certificate.excess, rel_tol=1e-9)
    assert found.excess <= found.excess_bound <= found.excess + 1e-9
    off = (means @ means.T - best.gram)[~np.eye(4, dtype=bool)]
    assert math.isclose(found.rms, np.sqrt(np.mean(off**2)), rel_tol=1e-9)
    assert math.isclose(found.worst, np.abs(off).max(), rel_tol=1e-9)
    i, j = found.worst_pair
    assert math.isclose(abs(means[i] @ means[j] - best.gram[i, j]), found.worst, rel_tol=1e-9)
    assert math.isclose(found.collapsed_value, math.log(2 * sum(COUNTS) - 1), rel_tol=1e-12)
    named = gs.diagnose(z, labels, objective="supcon", temperature=0.1, views=2).optimum
    assert named.excess == found.excess


def test_level_is_one_at_full_collapse_and_zero_at_the_optimum():
    labels = np.repeat(np.arange(4), COUNTS)
    for rows, level in ((optimum()[labels], 0), (optimum()[np.zeros(24, int)], 1)):
        found = gs.diagnose(rows, labels, objective="supcon", temperature=0.1).optimum
        assert math.isclose(found.level, level, abs_tol=1e-12)


def test_a_balanced_test_set_needs_the_counts_of_training():
    z, labels = plant(optimum(), (5, 5, 5, 5), 0.03, 0)
    loss = {"objective": "supcon", "temperature": 0.1}
    right, wrong = gs.diagnose(z, labels, counts=COUNTS, **loss), gs.diagnose(z, labels, **loss)
    assert right.verdict is gs.training.Verdict.AT_OPTIMUM
    assert right.optimum.rms < 0.3 * wrong.optimum.rms


@pytest.mark.parametrize("seed", range(2))
def test_order_does_not_matter(seed):
    """Samples in another order, and classes under other names: everything follows."""
    rng = np.random.default_rng(seed)
    z, labels = plant(optimum(), COUNTS, 0.8, seed)
    first = gs.diagnose(z, labels, objective="supcon", temperature=0.1, weights=optimum())
    order, names = rng.permutation(24), rng.permutation(4)
    second = gs.diagnose(
        z[:, order], names[labels[order]], objective="supcon", temperature=0.1, weights=optimum()[np.argsort(names)]
    )
    for name in ("saa", "cac", "sad", "cad", "uniformity", "alignment"):
        assert np.allclose(getattr(second.local, name)[names], getattr(first.local, name), rtol=1e-9), name
    for name in ("nc1", "nc2_equinorm", "nc2_equiangularity", "nc3", "nc4", "fc", "ms", "sd", "effective_rank"):
        assert math.isclose(getattr(second.collapse, name), getattr(first.collapse, name), rel_tol=1e-7), name
    assert math.isclose(second.optimum.excess, first.optimum.excess, rel_tol=1e-6)
    assert [names[c] for c in first.worst_classes] == list(second.worst_classes)


Z, Y = np.eye(6)[:, :3] + 0.1, np.array([0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"embeddings": Z.astype(object)}, "embeddings: must be real numbers; got dtype object"),
        ({"embeddings": Z[0]}, r"embeddings: must have shape .*; got \(3,\)"),
        ({"embeddings": np.where(np.arange(6)[:, None] == 4, np.nan, Z)}, "finite; row 4 has NaN or infinity"),
        ({"embeddings": Z * (np.arange(6) != 3)[:, None]}, "nonzero; row 3 has all zeros"),
        ({"embeddings": [Z, Z * (np.arange(6) != 5)[:, None]]}, "row 5 of view 1 has all zeros"),
        ({"labels": Y[:5]}, r"labels: must be one per sample, shape \(6,\); got \(5,\)"),
        ({"labels": np.zeros(6)}, "labels: must show two classes or more; got 0 alone"),
        ({"labels": [0, 1, np.nan, 1, 2, 2]}, "labels: must not contain NaN"),
        (
            {"labels": np.array([0, 1, "a", 1, 2, 2], dtype=object)},
            r"got dtype object \(labels.astype\(int\) makes numbers",
        ),
        ({"labels": [0.5, 0, 1, 1, 2, 2]}, r"integers or texts; sample 0 has 0.5 \(labels.astype\(str\)"),
        ({"labels": [0, 1, 2.0**60, 1, 2, 2]}, "labels: must be integers or texts; sample 2 has 1.15292e"),
        ({"labels": [[1], [1, 2], [3]]}, "labels: must be one array; got rows of different lengths"),
        ({"labels": np.ma.masked_equal(Y, 2)}, "labels: must be integers or texts; got masked entries"),
        ({"embeddings": np.ma.masked_less(Z, 0.5)}, "embeddings: must not be masked"),
        ({"weights": np.ones((2, 3))}, r"weights: must have shape \(3, 3\).*got \(2, 3\)"),
        ({"weights": np.diag([1.0, 0, 1])}, "weights: every row must be finite and not all zeros; row 1"),
        ({"weights": np.diag([1e300, 1e-300, 1])}, "weights: every row must be finite and not all zeros; row 1 is not"),
        ({"neighbours": 0}, "neighbours: must be a whole number of at most 5 .*; got 0"),
        ({"neighbours": True}, "neighbours: .*; got True"),
        ({"counts": [3, 2]}, "counts: must be one per class of the labels, 3 in sorted order; got 2"),
        ({"objective": gs.SupCon([2, 2, 2], temperature=1), "views": 2}, "views: belongs to a loss by name"),
        ({"objective": 3}, "objective: must be the name of a loss, .*; got int"),
        ({"objective": "supcon"}, "temperature: supcon needs it"),
        ({"objective": gs.SupCon([3, 3], temperature=1)}, "objective: must be over the 3 classes of the labels"),
    ],
)
def test_bad_input_in_one_line(arguments, message):
    with pytest.raises(gs.ProblemError, match=message) as caught:
        gs.diagnose(**{"embeddings": Z, "labels": Y, **arguments})
    assert "\n" not in str(caught.value)


def test_classes_of_one_sample_and_vectors_to_normalise():
    found = gs.diagnose(3 * Z[:4], [0, 1, 1, 2], objective="gcl")
    assert np.isnan(found.local.cac).tolist() == [True, False, True]
    text = str(found)
    assert "without CAC, CAD and uniformity: classes 0, 2" in text
    assert "The embeddings were normalised: their lengths were 0.5196 to 3.3" in text
    report = found.to_dict()
    assert report["normalised"] is True
    assert '"cac": [null, ' in dumps(report)


def test_the_text_says_what_merged_and_what_missed():
    z, labels = plant(optimum()[[0, 1, 2, 2]], COUNTS, 0.1, 0)
    names = np.array(["cat", "dog", "eel", "fox"])[labels]
    text = str(gs.diagnose(z, names, objective="supcon", temperature=0.1))
    assert text.startswith("MINORITY COLLAPSED THOUGH THE OPTIMUM IS NOT: TRAINING FAILURE\n")
    assert "One point is shared by classes eel, fox." in text
    assert "The optimum has no two classes in one point." in text
    assert "eel and fox, +1.000 where" in text or "+0.99" in text
    far = str(gs.diagnose(*plant(optimum(), COUNTS, 1e3, 0), objective="supcon", temperature=0.1))
    assert re.search(r"Not near the optimum, because: .*1 - cosine within classes \d\.\d+ \(limit 0\.25\)", far)


@pytest.mark.parametrize(("classes", "with_loss"), [(12, True), (420, False)])
def test_pictures(classes, with_loss, tmp_path):
    """Nothing lies over anything else or outside: panels with their ticks, titles, legends and colour bars."""
    loss = {"objective": "supcon", "temperature": 0.1} if with_loss else {}
    rng = np.random.default_rng(classes)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, 30)])
    z = rng.normal(size=(len(labels), 6))
    names = np.array([f"a long name of {c}" for c in labels])
    found = gs.diagnose(np.stack([z, -z]), labels, **loss) if loss else gs.diagnose(z, names)
    figure = gs.figures.plot_diagnosis(found, tmp_path / "a.png")
    assert imread(tmp_path / "a.png").std() > 0.05
    assert len(figure.axes) == 5
    assert_nothing_overlaps(figure, figure.axes)


def test_names_of_the_counts_stand_for_numbered_labels():
    rng, y = np.random.default_rng(0), np.repeat([0, 1, 2], 10)
    z = np.eye(3)[y] @ rng.normal(size=(3, 8)) + 0.05 * rng.normal(size=(30, 8))
    counts = gs.as_counts([120, 36, 12]).named(["melanoma", "nevus", "keratosis"])
    found = gs.diagnose(z, y, objective="supcon", counts=counts, temperature=0.1)
    assert found.labels == ["melanoma", "nevus", "keratosis"]
    figure = found.plot()
    for axes in (*figure.axes[:2], figure.axes[3]):
        assert [tick.get_text() for tick in axes.get_xticklabels()] == found.labels
    assert gs.diagnose(z, y, objective="supcon", counts=[120, 36, 12], temperature=0.1).labels == [0, 1, 2]
