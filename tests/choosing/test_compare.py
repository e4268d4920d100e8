"""`compare`: every loss on the same counts, against what each loss gives alone and against known optima."""

import numpy as np
import pytest
from command_line import reported

import geomsolve as gs
from geomsolve.figures.charts import plot_comparison

COUNTS = [60, 12, 12, 3]


@pytest.fixture(scope="module")
def found():
    return gs.compare(COUNTS, temperature=0.5)


def test_every_loss_is_certified_or_says_why_not(found):
    assert [row.loss for row in found.losses] == list(gs.choosing.compared_names())
    for row in found.losses:
        if row.loss in ("supmin", "supproto"):
            assert row.quality == "not solved"
            assert "two classes" in row.reason
            assert (row.value, row.tail_tail, row.head_tail, row.largest_cosine, row.separation) == (None,) * 5
            assert (row.simplex_distance, row.rank, row.collapsed) == (None,) * 3
        else:
            assert row.certified, row.loss


def test_measures_are_those_of_the_gram_matrix(found):
    row = found["supcon"]
    gram = gs.solve(gs.SupCon(COUNTS, temperature=0.5)).gram
    above = gram[np.triu_indices(4, 1)]
    assert row.largest_cosine == pytest.approx(above.max(), abs=1e-12)
    assert row.separation == pytest.approx(np.degrees(np.arccos(above.max())))
    # 87 examples in 4 classes: all but the first have fewer than average.
    assert row.tail_tail == pytest.approx(np.mean([gram[1, 2], gram[1, 3], gram[2, 3]]), abs=1e-12)
    assert row.head_tail == pytest.approx(gram[0, 1:].mean(), abs=1e-12)
    assert row.simplex_distance == pytest.approx(np.sqrt(np.mean((above + 1 / 3) ** 2)), abs=1e-12)
    assert (row.rank, row.collapsed, row.within, row.alignment) == (3, False, 0.0, None)


def test_cross_entropy_has_angles_of_features_and_of_classifier(found):
    """From the factors: unit features and classifiers, which point at each other more or less."""
    losses = {"ce": gs.CrossEntropy, "ce-adjusted": gs.objectives.logit_adjusted, "ce-ldam": gs.objectives.ldam}
    off = ~np.eye(4, dtype=bool)
    for name, loss in losses.items():
        solution = gs.solve(loss(COUNTS, feature_decay=5e-4 / sum(COUNTS), classifier_decay=5e-4))
        row = found[name]
        np.testing.assert_allclose(row.means.expand(), solution.feature_cosines, atol=1e-6)
        angles = [np.degrees(np.arccos(part[off].max())) for part in (row.means.expand(), solution.classifier_cosines)]
        np.testing.assert_allclose([row.separation, row.classifier_separation], angles, atol=1e-4)
        own = np.diag(solution.logits) / (solution.feature_norms * solution.classifier_norms)
        assert row.alignment == pytest.approx(own.mean(), abs=1e-6)
        assert (row.value, row.solution.value) == (pytest.approx(solution.value, rel=1e-9),) * 2
        report = row.to_dict()
        assert report["cosine_residual"] is None
        assert report["classifier_separation"] == row.classifier_separation
    # Logit adjustment makes room for the classifiers of rare classes, and takes it from features.
    assert found["ce-adjusted"].classifier_separation > found["ce"].classifier_separation
    assert found["ce-adjusted"].separation < found["ce"].separation


def test_means_of_losses_over_instances(found):
    """From points: the class means of SupCL's optimum, and the mean spread about them."""
    solution = gs.solve(gs.SupCL(COUNTS, alpha=0.5, temperature=0.5))
    points = solution.embed().points
    labels = np.repeat(np.arange(4), COUNTS)
    means = np.array([points[labels == c].mean(axis=0) for c in range(4)])
    within = np.sum((points - means[labels]) ** 2, axis=1).mean()
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    row = found["supcl"]
    np.testing.assert_allclose(row.means.expand(), unit @ unit.T, atol=1e-6)
    assert row.within == pytest.approx(within, abs=1e-6)


def test_class_balanced_losses_reach_the_simplex(found):
    for loss in ("bcl-class", "design"):
        assert found[loss].simplex_distance < 1e-8
        assert loss in found.recommendation
    assert found["bcl-class"].alignment == pytest.approx(1.0, abs=1e-9)
    assert found["bcl-class"].classifier_separation == pytest.approx(np.degrees(np.arccos(-1 / 3)), abs=1e-6)
    assert found["bcl"].simplex_distance > 0.05
    assert found["bcl"].alignment < 1.0 - 1e-6


def test_large_problems_are_solved_by_orbits_of_classes():
    counts = np.repeat(np.linspace(200, 5, 40).astype(int), 2)
    losses = ["bcl", "bcl-class", "ecl", "kcl", "lc", "design"]
    found = gs.compare(counts, temperature=0.2, losses=losses)
    for loss in losses:
        assert found[loss].certified
    for loss in ("bcl", "bcl-class", "ecl", "lc"):
        assert found[loss].solution.solver == "followers"
        assert found[loss].rank == 79
    for loss in ("bcl-class", "design"):
        assert found[loss].simplex_distance < 1e-12
    # The same class by class.
    dense = gs.solve(gs.BCL(counts, temperature=0.2)).orbits.cosines
    row = found["bcl"]
    assert row.alignment == pytest.approx(np.mean(np.diag(dense[:80, 80:])), rel=1e-12)
    np.testing.assert_allclose(row.means.expand(), dense[:80, :80], atol=1e-12)
    np.testing.assert_allclose(row.classifier.expand(), dense[80:, 80:], atol=1e-12)
    assert found["design"].value == pytest.approx(
        gs.choosing.design(counts, temperature=0.2).certificate.value, rel=1e-12
    )


def test_losses_with_bounds_of_their_own(found):
    targeted = gs.choosing.targeted_supcon(COUNTS, temperature=0.5)
    row = found["tsc"]
    assert row.certified
    assert row.value == targeted.value
    labels = np.repeat(np.arange(4), 2 * np.array(COUNTS))
    points = targeted.gram.embed()
    means = np.array([points[: len(labels)][labels == c].mean(axis=0) for c in range(4)])
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(row.means.expand(), unit @ unit.T, atol=1e-6)
    assert row.alignment == pytest.approx(np.mean(np.sum(unit * points[len(labels) :], axis=1)), abs=1e-6)
    two = gs.compare([100, 20], temperature=0.07, losses=["supproto"])["supproto"]
    assert two.certified
    assert two.value == gs.choosing.supervised_prototypes([100, 20]).value
    assert not gs.compare([255, 1], temperature=0.07, losses=["supproto"])["supproto"].certified


def test_collapse_is_named():
    found = gs.compare([3000, 3, 3, 3], temperature=2.0, losses=["supcon", "gcl-supervised", "design"])
    assert found["supcon"].collapsed
    assert not found["design"].collapsed
    assert "Classes share a point under supcon" in found.recommendation


def test_two_classes_have_supervised_minority():
    found = gs.compare([40, 8], temperature=0.5, losses=["supcon", "supmin"])
    assert found["supmin"].certified
    assert found["supmin"].within > 0.1
    assert "supmin" in found.recommendation


def test_two_classes_are_not_told_apart_by_the_angle_of_their_means():
    found = gs.compare([100, 10], temperature=0.1)
    assert found["lc"].certified
    words = found.recommendation
    assert "With two classes the class means are opposite under every loss certified here" in words
    assert "regular simplex" not in words
    assert "No two classes share a point" not in words
    assert "Every class is one point under supcon," in words
    assert "stay apart (variance within) under supmin (0.908), supproto (0.750), supcl (0.432), kcl (0.324)" in words
    assert "Class means do not point" not in words
    even = gs.compare([50, 50], temperature=0.1, losses=["supcon", "supcl"]).recommendation
    assert even.endswith("With equal counts there is no imbalance to correct.")


def test_report_text_and_picture(found, tmp_path):
    report = found.to_dict()
    assert {row["loss"]: row["quality"] for row in report["losses"]}["supmin"] == "not solved"
    text = str(found)
    assert "supmin: not solved" in text
    for row in found.losses:
        assert row.loss in text
    figure = plot_comparison(found, tmp_path / "compare.png")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == [row.loss for row in found.losses if row.means is not None]
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    np.testing.assert_allclose(widths, [row.separation for row in found.losses if row.means is not None])
    (drawn,) = [line.get_xdata() for line in figure.axes[0].lines if "classifiers" in str(line.get_label())]
    angles = [row.classifier_separation for row in found.losses if row.means is not None]
    np.testing.assert_allclose(drawn, [np.nan if angle is None else angle for angle in angles])
    assert sum(angle is not None for angle in angles) == 8  # bcl, bcl-class, ecl, lc, normface, ce and two kin


def test_on_the_command_line(tmp_path, capsys):
    picture = tmp_path / "c.png"
    arguments = ["compare", "--counts", "60,12,3", "--temperature", "0.5", "--losses", "supcon, design"]
    report = reported(capsys, *arguments, "--plot", picture)
    assert [row["loss"] for row in report["losses"]] == ["supcon", "design"]
    assert report["recommendation"]
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": ["triplet"]}, "losses: must be among supcon, supcon-batch"),
        ({"temperature": 0.0}, "temperature: must be finite and above 0"),
        ({"counts": [5]}, "counts: must have at least two classes"),
        ({"tol": 3.0}, "tol: must be a number between 0 and 1"),
        ({"counts": [0.5, 0.5], "losses": "supcon"}, "SupCon depends on the number of examples"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(gs.ProblemError, match=message):
        gs.compare(**{"counts": COUNTS, "temperature": 0.5, **arguments})


def test_classes_in_any_order_compare_alike():
    rows = [gs.compare(counts, temperature=0.3, losses=["supcon", "bcl"]) for counts in ([3, 15, 7], [15, 7, 3])]
    for loss in ("supcon", "bcl"):
        assert rows[0][loss].head_tail == pytest.approx(rows[1][loss].head_tail, abs=1e-9)
        assert rows[0][loss].tail_tail == pytest.approx(rows[1][loss].tail_tail, abs=1e-9)


def test_batches_and_samplers_are_those_of_the_losses_that_have_them():
    counts, options = [30, 8, 4], {"batch": 8, "sampler": "sqrt"}
    found = gs.compare(counts, temperature=0.3, losses=["supcon", "sincere", "lc", "bcl-class"], **options)
    for name, loss in (("supcon", gs.SupCon), ("sincere", gs.SINCERE)):
        expected = gs.solve(loss(counts, temperature=0.3, **options))
        assert found[name].value == pytest.approx(expected.value, rel=1e-12)
        assert found[name].description == expected.objective.name
    assert found["lc"].value == gs.compare(counts, temperature=0.3, losses=["lc"])["lc"].value
    assert "over batches instances are averaged" in found["bcl-class"].reason
