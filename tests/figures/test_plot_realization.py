"""Pictures of verdicts: every panel shows what it says, for every verdict; nothing overlaps; files as named."""

import functools

import numpy as np
import pytest
from pictures import assert_nothing_overlaps

from geomsolve.figures.realizations import plot_map, plot_realization
from geomsolve.objectives.weighted.weightings import weighting_from_matrix
from geomsolve.similarities.dimensions import InDimension
from geomsolve.similarities.euclidean import euclidean_realization
from geomsolve.similarities.kernels import x_clr_weights, y_aware_weights
from geomsolve.similarities.realizations import realize
from geomsolve.similarities.schemes import soft_supcon_weights, supcon_weights

LABELS = np.array([0.3, -1.0, 0.8, 0.3, 1.0, -0.2, 0.5])
VECTORS = np.random.default_rng(0).normal(size=(20, 3))
ANGLES = 2 * np.pi * np.arange(8) / 8
CASES = {
    "inconsistent": (y_aware_weights(LABELS, sigma=0.3), 0.5),
    "inconsistent, self-pairs out": (y_aware_weights(LABELS, sigma=0.3, self_pairs=False), 0.5),
    "asymmetric": (weighting_from_matrix([[4, 2, 1], [1, 4, 2], [2, 1, 4]]), 0.5),
    "realizable": (x_clr_weights(VECTORS, label_temperature=0.5), 0.3),
    "realizable circle": (y_aware_weights(np.column_stack([np.cos(ANGLES), np.sin(ANGLES)]), sigma=0.5), 0.25),
    "degenerate": (supcon_weights([0, 0, 1, 1, 1, 2, 2]), 0.5),
    "degenerate line": (supcon_weights([0, 0, 1, 1]), 0.5),
    "all weights alike": (weighting_from_matrix(np.ones((4, 4))), 0.5),
    "many samples": (soft_supcon_weights(np.repeat([0, 1, 2], 1200), epsilon=0.05), 0.3),
    "many labels": (y_aware_weights(np.linspace(0, 1, 160), sigma=1.0, kernel="laplacian"), 0.5),
}
PANELS = ("cosines (", "what is asked", "excess per sample", "points")


@functools.cache
def found(case):
    weighting, temperature = CASES[case]
    return realize(weighting, temperature=temperature)


@functools.cache
def drawn(case):
    return plot_realization(found(case))


def panels(figure):
    axes = figure.get_axes()
    chosen = [[each for each in axes if each.get_title().startswith(start)] for start in PANELS]
    assert [len(each) for each in chosen] == [1, 1, 1, 1]
    return [each[0] for each in chosen]


@pytest.mark.parametrize(
    "case", sorted(CASES.keys() - {"inconsistent, self-pairs out", "degenerate line", "realizable circle"})
)
def test_every_verdict_is_drawn_and_nothing_overlaps(case):
    figure = drawn(case)
    for axes in panels(figure):
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    title = figure.get_suptitle()
    assert found(case).verdict.value in title
    assert f"temperature {found(case).temperature:g}" in title
    assert found(case).weighting.convention in title
    assert ("attained" in title) == (found(case).verdict.value == "realizable")
    assert_nothing_overlaps(figure, panels(figure), margin=1)


def test_the_heat_map_goes_from_the_smallest_label_to_the_largest():
    gram_axes = panels(drawn("inconsistent"))[0]
    points = found("inconsistent").points
    order = np.argsort(LABELS, kind="stable")
    (image,) = gram_axes.get_images()
    np.testing.assert_allclose(image.get_array(), (points @ points.T)[np.ix_(order, order)], atol=1e-6)
    assert image.get_clim() == (-1, 1)
    cosines = (points @ points.T)[~np.eye(7, dtype=bool)]
    assert gram_axes.get_title() == f"cosines ({cosines.min():.3g} to {cosines.max():.3g})"


@pytest.mark.parametrize("case", ["inconsistent, self-pairs out", "degenerate"])
def test_dots_are_log_weights_against_log_softmax(case):
    axes = panels(drawn(case))[1]
    weights, shares = found(case).weighting.expand(), found(case).nearest_weights()
    there = (weights > 0) & ~np.eye(len(weights), dtype=bool)
    dots = np.asarray(axes.collections[0].get_offsets())
    for column, matrix in enumerate((weights, shares)):
        ours = np.unique(np.round(np.log(matrix[there]), 6))
        np.testing.assert_allclose(np.unique(np.round(dots[:, column], 6)), ours, atol=2e-6)
    low, high = axes.get_xlim()
    assert axes.get_ylim() == (low, high)
    assert low < dots[:, 1].min()
    assert high > dots.max()


def test_pairs_of_weight_0_are_counted():
    for case in ("degenerate line", "degenerate"):
        weights = found(case).weighting.expand()
        zeros = int(np.sum(weights == 0)) - len(weights)  # self-pairs are out
        (note,) = panels(drawn(case))[1].texts
        assert note.get_text() == f"{zeros} pairs of weight 0"
    assert not panels(drawn("realizable"))[1].texts


def test_excess_stands_over_its_label():
    axes = panels(drawn("inconsistent"))[2]
    curve, witness, mean = axes.get_lines()
    labels, first = np.unique(LABELS, return_index=True)
    np.testing.assert_array_equal(curve.get_xdata(), labels)
    np.testing.assert_allclose(curve.get_ydata(), found("inconsistent").excess_per_sample[first], rtol=1e-12)
    assert mean.get_ydata()[0] == found("inconsistent").excess
    assert axes.get_ylim()[0] == 0.0
    worst_first = panels(drawn("degenerate"))[2].get_lines()[0].get_ydata()
    np.testing.assert_allclose(worst_first, np.sort(found("degenerate").excess_per_sample)[::-1])
    # The witness is x x^T: where it weighs most.
    heavy = np.argsort(-np.abs(found("inconsistent").witness.factor[:, 0]))[:5]
    assert sorted(witness.get_xdata()) == sorted(np.unique(LABELS[heavy]).tolist())


def test_points_keep_their_distances_where_they_lie_in_a_plane():
    case = found("realizable circle")
    assert case.min_dim == 2
    axes = panels(drawn("realizable circle"))[3]
    dots = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(dots @ dots.T, case.points @ case.points.T, atol=1e-12)
    assert axes.get_title() == "points"
    assert [text.get_text() for text in axes.texts] == [str(i) for i in range(8)]


def test_the_share_of_the_spread_that_two_axes_show():
    case = found("realizable")
    points = case.points - case.points.mean(axis=0)
    values = np.linalg.svd(points, compute_uv=False) ** 2
    axes = panels(drawn("realizable"))[3]
    assert axes.get_title().endswith(f": {100 * values[:2].sum() / values.sum():.0f} % of their spread")
    dots = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(np.sum(dots**2, axis=0), values[:2], rtol=1e-10)


def test_points_that_coincide_share_a_label():
    figure = drawn("degenerate line")
    assert [text.get_text() for text in panels(figure)[3].texts] == ["0, 1", "2, 3"]
    assert figure.get_suptitle().endswith(", 1 dimension")


def test_points_in_a_dimension_are_shown_in_place_of_the_optimum():
    realization = found("realizable")
    angles = np.linspace(0, 6, len(realization.points))
    points = np.column_stack([np.cos(angles), np.sin(angles)])
    each = np.full(len(points), 0.25)
    within = InDimension(2, False, points, 0.25, each, 0.125, exact=False)
    axes = panels(plot_realization(realization, within=within))[3]
    assert axes.get_title() == "points in 2 dimensions, excess 0.25 nats,\nat least 0.125"
    shown = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(shown @ shown.T, points @ points.T, atol=1e-12)


def test_negative_eigenvalues_are_marked():
    (axes,) = [each for each in drawn("inconsistent").get_axes() if each.get_title() == "eigenvalues of what is asked"]
    (marked,) = [line for line in axes.get_lines() if "negative" in str(line.get_label())]
    values = np.linalg.eigvalsh(1.0 - 0.5 * (LABELS[:, None] - LABELS) ** 2 / (2 * 0.3**2))
    np.testing.assert_allclose(np.sort(marked.get_ydata()), values[values < -1e-9], rtol=1e-9)


@pytest.mark.parametrize("self_pairs", [True, False])
def test_a_euclidean_map_shows_each_weight_and_each_label(self_pairs):
    """Labels of one number are attained on a line: every pair is on the diagonal, every point at its label."""
    weighting = y_aware_weights(LABELS, sigma=0.5, self_pairs=self_pairs)
    asked, points = plot_map(euclidean_realization(weighting, temperature=0.5)).get_axes()[:2]
    wanted, got = asked.collections[0].get_offsets().T
    np.testing.assert_allclose(wanted, got, atol=1e-9)
    assert len(wanted) == 6 * 5 + 1  # two samples of one label make a pair
    places = points.collections[0].get_offsets()[:, 0]
    np.testing.assert_allclose(np.abs(places - places.mean()), np.abs(LABELS - LABELS.mean()) * np.sqrt(2.0), atol=1e-9)
    assert points.get_title().startswith("points in 1 dimension, excess ")
