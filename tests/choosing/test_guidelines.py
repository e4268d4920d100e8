import math

import numpy as np
import pytest
from helpers import random_gram

import geomsolve as gs
from geomsolve.choosing.guidelines import _opening

CONVENTIONS = pytest.mark.parametrize("self_pairs", [True, False], ids=["self-pairs", "no self-pairs"])


def test_variances_are_those_of_the_points():
    rng = np.random.default_rng(4)
    counts = [4, 7, 2, 3]
    orbits = gs.SupCL(counts, alpha=0.5, temperature=0.2).orbits
    of = np.repeat(np.arange(4), counts)
    for _ in range(20):
        gram = random_gram(rng, orbits)
        points, found = gram.embed(), gs.geometry.ClassVariances(gram)
        centres = np.array([points[of == c].mean(axis=0) for c in range(4)])
        within = np.array([np.mean(np.sum((points[of == c] - centres[c]) ** 2, axis=1)) for c in range(4)])
        assert np.allclose(found.per_class[[1, 0, 3, 2]], within, rtol=0, atol=1e-12)
        assert math.isclose(found.within, within @ counts / 16, abs_tol=1e-12)
        between = np.mean(np.sum((centres[of] - points.mean(axis=0)) ** 2, axis=1))
        assert math.isclose(found.between, between, abs_tol=1e-12)
        assert math.isclose(found.total, points.var(axis=0).sum(), abs_tol=1e-12)


@CONVENTIONS
def test_the_opening_of_equal_classes_is_the_closed_form(self_pairs):
    for m, n, p, temperature in ((3, 7, 2, 0.3), (2, 2, 3, 1.0), (10, 50, 2, 0.1), (10, 50, 2, 0.02)):
        found, proved = _opening(gs.as_counts([n] * m), temperature, p, self_pairs)
        expected = gs.choosing.supcl_critical_alpha(m, n, temperature=temperature, views=p, self_pairs=self_pairs)
        assert proved
        assert math.isclose(found, expected, rel_tol=1e-9)
        first = gs.choosing.smallest_critical_alpha([n] * m, temperature=temperature, views=p, self_pairs=self_pairs)
        assert math.isclose(first, expected, rel_tol=1e-12)


@pytest.mark.parametrize(("counts", "self_pairs"), [([5, 20, 5], True), ([30, 2, 2], False)], ids=str)
def test_the_largest_class_opens_first(counts, self_pairs):
    settings = {"temperature": 0.2, "self_pairs": self_pairs}
    alpha = gs.choosing.smallest_critical_alpha(counts, **settings)
    for factor, closed in ((1 - 1e-4, True), (1 + 1e-4, False)):
        # Of views in one point: without self-pairs and at small alpha they would part, and nothing is certified.
        gram = gs.solve(gs.SupCL(counts, alpha=alpha * factor, **settings), "newton", throw=False).orbits
        variances = gs.geometry.ClassVariances(gram).per_class
        assert (variances[0] < 1e-9) == closed
        assert (variances[1:] < 1e-9).all()


@CONVENTIONS
def test_the_guideline_keeps_what_was_asked(self_pairs):
    settings = {"views": 3, "self_pairs": self_pairs}
    found = gs.choosing.keep_variance([50] * 10, 0.3, **settings)
    for temperature, alpha in zip(found.temperatures, found.alphas, strict=True):
        got = gs.choosing.supcl_variance(10, 50, alpha=float(alpha), temperature=float(temperature), **settings)
        assert abs(got - 0.3) <= 1e-12
    found = gs.choosing.keep_variance([20, 10, 4], 0.3, temperatures=[0.15, 0.6], **settings)
    assert found.certified.all()
    assert np.all(found.critical < found.alphas)
    for temperature, alpha in zip(found.temperatures, found.alphas, strict=True):
        gram = gs.solve(gs.SupCL([20, 10, 4], alpha=float(alpha), temperature=float(temperature), **settings)).orbits
        assert abs(gs.geometry.ClassVariances(gram).within - 0.3) <= 1e-8
    most = (34 - 3) / 33
    assert gs.choosing.keep_variance([20, 10, 4], most, temperatures=0.5).alphas[0] >= 1 - 1e-9


def test_maps_of_equal_and_unequal_classes():
    equal = gs.choosing.variance_map([6, 6, 6], alphas=[0.9, 0.1, 0.5], temperatures=[0.5, 0.2])
    assert equal.alphas.tolist() == [0.1, 0.5, 0.9]
    assert equal.temperatures.tolist() == [0.2, 0.5]
    for i, temperature in enumerate(equal.temperatures):
        for j, alpha in enumerate(equal.alphas):
            got = gs.choosing.supcl_variance(3, 6, alpha=float(alpha), temperature=float(temperature))
            assert equal.variance[i, j] == got
    nearly = gs.choosing.variance_map([6, 6, 7], alphas=[0.1, 0.5, 0.9], temperatures=[0.2, 0.5])
    assert nearly.certified.all()
    for i, temperature in enumerate(nearly.temperatures):
        critical = gs.choosing.smallest_critical_alpha([6, 6, 7], temperature=float(temperature))
        assert nearly.critical[i] == critical
        assert critical < equal.critical[i], "a larger class opens earlier"
    gram = gs.solve(gs.SupCL([6, 6, 7], alpha=0.5, temperature=0.2)).orbits
    assert nearly.variance[0, 1] == gs.geometry.ClassVariances(gram).within
    assert np.array_equal(nearly.variance == 0, nearly.alphas <= nearly.critical[:, None])


def test_the_picture_has_the_boundary_and_the_line(tmp_path):
    over = gs.choosing.variance_map([50] * 10)
    figure = gs.figures.plot_variance_map(over, tmp_path / "map.png", variance=0.3)
    assert (tmp_path / "map.png").stat().st_size > 20_000
    axes = figure.axes[0]
    lines = [line for line in axes.get_lines() if len(line.get_xdata())]
    assert all(np.array_equal(line.get_xdata(), over.critical) for line in lines)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "V = 0.3",
        "every class in one point, left of this",
    ]


def test_bad_arguments():
    for variance in (0.0, -1.0, 0.95, math.nan, "big"):
        with pytest.raises(
            gs.ProblemError, match=r"variance: must be a finite number above 0 and at most 0\.9\d*; got"
        ):
            gs.choosing.keep_variance([10, 10, 10], variance)
    with pytest.raises(gs.ProblemError, match=r"temperature: must be finite and above 0; got 0"):
        gs.choosing.keep_variance([10, 10], 0.3, temperatures=[0.1, 0.0])
    with pytest.raises(gs.ProblemError, match=r"temperatures: must be numbers in a row"):
        gs.choosing.keep_variance([10, 10], 0.3, temperatures=[])
