"""Weights from what people have: distances, tables, sets of labels, hierarchies; every fault with its message."""

import numpy as np
import pytest

from geomsolve.errors import ProblemError
from geomsolve.objectives.weighted.weightings import looks_like_distances, weighting_from_matrix
from geomsolve.similarities.kernels import distance_weights, x_clr_weights, y_aware_weights
from geomsolve.similarities.labels import load_labels, load_square, load_tree
from geomsolve.similarities.realizations import realize
from geomsolve.similarities.remedies import suggest_remedies
from geomsolve.similarities.schemes import (
    build_weighting,
    hierarchy_weights,
    membership,
    set_weights,
    soft_supcon_weights,
)
from geomsolve.similarities.verdicts import Verdict

# Latitude and longitude in degrees: Lisbon, Madrid, Paris, London, Dublin, Oslo, Stockholm, Berlin, Rome, Athens,
# Warsaw, Helsinki.
CITIES = np.array([
    [38.72, -9.14], [40.42, -3.70], [48.86, 2.35], [51.51, -0.13], [53.35, -6.26], [59.91, 10.75], [59.33, 18.07],
    [52.52, 13.41], [41.90, 12.50], [37.98, 23.73], [52.23, 21.01], [60.17, 24.94],
])  # fmt: skip


def on_sphere():
    """(12, 3) unit vectors, and the angles between them."""
    latitude, longitude = np.radians(CITIES).T
    points = np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
    return points, np.arccos(np.clip(points @ points.T, -1.0, 1.0)) * (1 - np.eye(12))


# Distances. ----------------------------------------------------------------------------------------------------------


def test_geodesic_distances_are_no_cosines():
    """exp(-D^2 / 2 tau) asks for G = 1 - D^2 / 2, whose smallest eigenvalue numpy gives."""
    _, angles = on_sphere()
    weighting = distance_weights(angles, sigma=1.0)
    found = realize(weighting, temperature=1.0)
    assert found.verdict.value == "inconsistent"
    required = 1.0 - angles**2 / 2.0
    np.testing.assert_allclose(found.witness.required, required, atol=1e-12)
    lowest = np.linalg.eigvalsh(required)[0]
    assert -1e-2 < lowest < -1e-6
    assert found.witness.value == pytest.approx(lowest, rel=1e-6)


def test_chords_are_the_points_themselves():
    points, angles = on_sphere()
    found = realize(distance_weights(2.0 * np.sin(angles / 2.0), sigma=1.0), temperature=1.0)
    assert (found.verdict.value, found.min_dim) == ("realizable", 3)
    np.testing.assert_allclose(found.points @ found.points.T, points @ points.T, atol=1e-7)


@pytest.mark.parametrize("self_pairs", [True, False])
def test_distances_of_labels_are_their_kernel(self_pairs):
    labels = np.random.default_rng(0).normal(size=(9, 2))[[*range(9), 2, 2]]
    distances = np.linalg.norm(labels[:, None] - labels, axis=2)
    ours = distance_weights(distances, sigma=0.7, kernel="exponential", self_pairs=self_pairs)
    theirs = y_aware_weights(labels, sigma=0.7, kernel="laplacian", self_pairs=self_pairs)
    np.testing.assert_allclose(ours.expand(), theirs.expand(), atol=1e-12)
    assert sorted(ours.orbits.sizes) == sorted(theirs.orbits.sizes)


GOOD = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 1.5], [2.0, 1.5, 0.0]])


def spoiled(i, j, value):
    matrix = GOOD.copy()
    matrix[i, j] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (spoiled(0, 1, 1.2), r"distances: must be symmetric; entry \[0, 1\] is 1.2, \[1, 0\] is 1"),
        (spoiled(0, 2, -2.0), r"distances: must not be negative; entry \[0, 2\] is -2"),
        (spoiled(1, 1, 1.0), r"distances: must be 0 on the diagonal .*; entry \[1, 1\] is 1"),
        (spoiled(2, 0, np.nan), r"distances: must be finite; entry \[2, 0\] is nan"),
        (GOOD[:2], r"distances: must be square, two samples or more; got shape \(2, 3\)"),
        ([["a", "b"], ["c", "d"]], "distances: must be numbers"),
    ],
)
def test_faulty_distances(matrix, message):
    assert distance_weights(GOOD, sigma=1.0).samples == 3
    with pytest.raises(ProblemError, match=message):
        distance_weights(matrix, sigma=1.0)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_distances_given_as_weights_are_noticed_and_weights_are_not(dim):
    for seed in range(20):
        labels = np.random.default_rng(seed).normal(size=(12, dim))
        distances = np.linalg.norm(labels[:, None] - labels, axis=2)
        with pytest.raises(ProblemError, match="these look like distances"):
            weighting_from_matrix(distances)
        weighting_from_matrix(distances, self_pairs=False)  # said to be weights
        for sigma in (0.1, 1.0, 10.0):
            assert not looks_like_distances(np.exp(-(distances**2) / 2 / sigma**2) * (1 - np.eye(12)))


# Bandwidths. ---------------------------------------------------------------------------------------------------------


def test_rules_for_bandwidths():
    scipy_stats = pytest.importorskip("scipy.stats")
    labels = np.random.default_rng(0).gamma(2.0, size=80)
    for rule in ("scott", "silverman"):
        factor = scipy_stats.gaussian_kde(labels, bw_method=rule).factor
        expected = factor * labels.std(ddof=1)
        assert y_aware_weights(labels, sigma=rule).bandwidth == pytest.approx(expected, rel=1e-12)
    pairs = np.abs(labels[:, None] - labels)[np.triu_indices(80, 1)]
    assert y_aware_weights(labels, sigma="median").bandwidth == pytest.approx(np.median(pairs), rel=1e-12)
    assert build_weighting("y-aware", labels, {"variance": 4.0}).bandwidth == 2.0

    with pytest.raises(ProblemError, match="sigma: median needs labels that differ"):
        y_aware_weights([1.0, 1.0], sigma="median")


# Views. --------------------------------------------------------------------------------------------------------------


def test_two_views_are_two_samples_without_self_pairs():
    labels = np.array([0.0, 1.0, 2.5])
    weighting = build_weighting("y-aware", labels, {"sigma": 1.0, "views": 2})
    kernel = np.exp(-((labels[:, None] - labels) ** 2) / 2.0)
    # One own view of weight 1, two of every other sample.
    expected = np.kron(np.ones((2, 2)), kernel) * (1 - np.eye(6))
    np.testing.assert_allclose(weighting.expand(), expected / expected.sum(axis=1, keepdims=True), rtol=1e-12)
    # The answer changes: labels on a line fit no sphere with one view and self-pairs, with two they do.
    assert realize(y_aware_weights(labels, sigma=1.0), temperature=0.2).verdict.value == "inconsistent"
    assert realize(weighting, temperature=0.2).verdict.value == "realizable"
    with pytest.raises(ProblemError, match="self-pairs: with two views"):
        build_weighting("y-aware", labels, {"sigma": 1.0, "views": 2, "self_pairs": True})


# Sets of labels. -----------------------------------------------------------------------------------------------------


def test_sets_are_compared_by_what_they_share():
    member = np.random.default_rng(0).random((30, 5)) < 0.5
    member[:, 0] = True
    common, sizes = member.astype(int) @ member.T.astype(int), member.sum(axis=1)
    for similarity, of in (
        ("jaccard", sizes[:, None] + sizes - common),
        ("overlap", np.minimum(sizes[:, None], sizes)),
        ("all", np.where((member[:, None] == member).all(axis=2), common, np.inf)),
    ):
        for epsilon in (0.0, 0.1):
            alike = common / of + epsilon
            found = set_weights(member.astype(int), similarity=similarity, epsilon=epsilon).expand()
            np.testing.assert_allclose(found, alike / alike.sum(axis=1, keepdims=True), rtol=1e-13)


def test_sets_from_texts_and_matrices():
    texts = ["cat|dog", "dog", "cat | bird", "dog|cat"]
    member = membership(texts)
    np.testing.assert_array_equal(member, [[0, 1, 1], [0, 0, 1], [1, 1, 0], [0, 1, 1]])  # bird, cat, dog
    expected = np.array([1.0, 0.5, 1 / 3, 1.0]) + 0.1
    np.testing.assert_allclose(set_weights(texts, epsilon=0.1).expand()[0], expected / expected.sum())
    one_hot = np.eye(3, dtype=int)[[0, 0, 1, 2, 2]]
    same = soft_supcon_weights([0, 0, 1, 2, 2], epsilon=0.25 / 1.25).expand()
    np.testing.assert_allclose(set_weights(one_hot, similarity="all", epsilon=0.25).expand(), same)
    with pytest.raises(ProblemError, match=r"entries 0 and 1; entry \[0, 1\] is 2"):
        membership([[1, 2], [0, 1]])
    with pytest.raises(ProblemError, match="sample 1 has none"):
        membership(["a", "|"])


# Hierarchies. --------------------------------------------------------------------------------------------------------


def test_a_hierarchy_three_ways():
    tree = {"poodle": "dog", "pug": "dog", "siamese": "cat", "dog": "animal", "cat": "animal"}
    leaves = ["poodle", "pug", "siamese", "poodle"]
    steps = np.array([[0, 1, 2, 0], [1, 0, 2, 1], [2, 2, 0, 2], [0, 1, 2, 0]])
    expected = 0.3**steps
    expected /= expected.sum(axis=1, keepdims=True)
    by_tree = hierarchy_weights(leaves, epsilon=0.3, tree=tree)
    columns = [["animal", "dog", "poodle"], ["animal", "dog", "pug"], ["animal", "cat", "siamese"]]
    by_columns = hierarchy_weights([*columns, columns[0]], epsilon=0.3)
    by_text = hierarchy_weights(["/".join(row) for row in [*columns, columns[0]]], epsilon=0.3)
    for weighting in (by_tree, by_columns, by_text):
        np.testing.assert_allclose(weighting.expand(), expected, rtol=1e-12)
    # One level is Soft SupCon.
    flat = hierarchy_weights(["a", "b", "a"], epsilon=0.2)
    np.testing.assert_allclose(flat.expand(), soft_supcon_weights(["a", "b", "a"], epsilon=0.2).expand())
    with pytest.raises(ProblemError, match="tree: must not have a cycle; poodle -> dog -> poodle comes back"):
        hierarchy_weights(leaves, epsilon=0.3, tree={**tree, "dog": "poodle"})
    with pytest.raises(ProblemError, match="tree: must hold every class of the labels; it lacks 'wolf'"):
        hierarchy_weights(["wolf", "pug"], epsilon=0.3, tree=tree)
    with pytest.raises(ProblemError, match="epsilon: must be a finite number above 0 and at most 1; got"):
        hierarchy_weights(leaves, epsilon=0.0, tree=tree)


# A floor. ------------------------------------------------------------------------------------------------------------


def test_ratings_with_zeros_get_a_floor():
    ratings = np.array([[5.0, 3, 0, 1], [3, 5, 1, 0], [0, 1, 5, 4], [1, 0, 4, 5]])
    found = realize(weighting_from_matrix(ratings), temperature=0.3)
    assert found.verdict.value == "degenerate"
    (floor,) = [each for each in suggest_remedies(found) if each.change == "floor"]
    assert floor.works
    for factor, works in ((1.0, True), (0.98, False)):
        raised = weighting_from_matrix(ratings + 5.0 * floor.value * factor)
        assert (realize(raised, temperature=0.3).verdict.value == "realizable") == works


# Tables. -------------------------------------------------------------------------------------------------------------


def test_a_matrix_with_and_without_names(tmp_path):
    plain = "\n".join(",".join(map(str, row)) for row in GOOD.tolist())
    named = ",a,b,c\n" + "\n".join(
        f"{name}," + ",".join(map(str, row)) for name, row in zip("abc", GOOD.tolist(), strict=True)
    )
    for name, text in (("m.csv", plain), ("m.tsv", plain.replace(",", "\t")), ("n.csv", named)):
        (tmp_path / name).write_text(text)
        np.testing.assert_array_equal(load_square("distances", tmp_path / name), GOOD)
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    parquet.write_table(pyarrow.table(dict(zip("abc", GOOD.T.tolist(), strict=True))), tmp_path / "m.parquet")
    np.testing.assert_array_equal(load_square("distances", tmp_path / "m.parquet"), GOOD)
    (tmp_path / "bad.csv").write_text("a,b\n1,nan\n2,3\n")
    message = r"weights: .*bad.csv: row 1, column 2 \(b\) must be a finite number; got 'nan'"
    with pytest.raises(ProblemError, match=message):
        load_square("weights", tmp_path / "bad.csv")


def test_columns_of_labels(tmp_path):
    (tmp_path / "t.tsv").write_text("id\tage\tsex\nx\t61\tf\ny\t42\tm\n")
    assert load_labels(tmp_path / "t.tsv", "age").tolist() == [61.0, 42.0]
    assert load_labels(tmp_path / "t.tsv", "id,sex").tolist() == [["x", "f"], ["y", "m"]]
    with pytest.raises(ProblemError, match=r"column: .* needs one column 'agee'; its columns are id, age, sex"):
        load_labels(tmp_path / "t.tsv", "agee")
    (tmp_path / "hot.csv").write_text("cat,dog\n1,0\n1,1\n")
    assert load_labels(tmp_path / "hot.csv").tolist() == [[1.0, 0.0], [1.0, 1.0]]
    (tmp_path / "tree.csv").write_text("child,parent\npug,dog\ndog,\n")
    assert load_tree(tmp_path / "tree.csv") == {"pug": "dog"}
    (tmp_path / "tree.csv").write_text("child,parent\npug,dog\npug,cat\n")
    with pytest.raises(ProblemError, match=r"tree: .* row 2 gives 'pug' a second parent"):
        load_tree(tmp_path / "tree.csv")


@pytest.mark.parametrize("self_pairs", [True, False])
def test_more_labels_than_fit_are_represented(self_pairs):
    """What is proved of all, what is estimated; and the estimate beside that of labels that fit."""
    ages = np.random.default_rng(0).uniform(20, 80, 6000)
    weighting = y_aware_weights(ages, sigma=20.0, self_pairs=self_pairs)
    many, away = weighting.represented
    assert many == len(np.unique(ages))
    assert away < 0.005
    assert np.isin(weighting.labels, ages).all()
    assert weighting.samples == 6000
    found = realize(weighting, temperature=0.5, seconds=0.0)
    text, told = "\n".join(found.lines()), found.to_dict()
    assert found.verdict is Verdict.INCONSISTENT
    assert ("the verdict is proved for all of them" in text) == self_pairs
    assert "(estimated)" in text
    assert told["quality"] == "uncertified"
    assert told["represented"] == (many, away)
    assert y_aware_weights(ages[:50], sigma=20.0).represented is None


def test_labels_that_no_few_stand_for():
    with pytest.raises(ProblemError, match="labels: at most 5000 different ones, or such as 500 of them can stand for"):
        x_clr_weights(np.random.default_rng(0).standard_normal((5001, 12)), label_temperature=0.1)
