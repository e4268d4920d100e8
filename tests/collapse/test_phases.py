"""Phase diagrams: the boundary against closed forms, and the geometry on both sides of it."""

import math

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.figures.maps import plot_phases


@pytest.fixture(scope="module")
def diagram():
    return gs.phase_diagram(
        gs.GCL, sampling="unsupervised", negatives=1, majority=1, minority=9, ratios=(1.0, 300.0), grid=(9, 7)
    )


def test_boundary_over_temperature(diagram):
    (curve,) = diagram.boundary
    ratio, temperature = curve.T
    np.testing.assert_allclose(ratio, 9.0 * (1.0 + np.exp(2.0 / temperature)) / 2.0, rtol=1e-9)
    assert temperature.max() == pytest.approx(2.0)
    assert ratio.max() == pytest.approx(300.0)
    assert len(curve) > 15


def test_order_parameters_agree_with_the_boundary(diagram):
    assert diagram.certified.all()
    assert diagram.relative_gap.max() < 1e-9
    beyond = diagram.ratios > 9.0 * (1.0 + np.exp(2.0 / diagram.values[:, None])) / 2.0
    assert beyond.any()
    assert not beyond.all()
    np.testing.assert_array_equal(diagram.minority_cosine >= 1.0 - 1e-8, beyond)
    np.testing.assert_array_equal(diagram.rank == 1, beyond)
    np.testing.assert_allclose(diagram.cross_cosine[beyond], -1.0)
    np.testing.assert_allclose(diagram.minority_cosine[:, 0], -1.0 / 9.0, atol=1e-9)  # ratio 1: the regular simplex


def test_both_branches_of_a_re_entrant_boundary():
    """SupCon with two majorities: at one ratio two critical temperatures, on one curve that comes back."""
    diagram = gs.phase_diagram(
        gs.SupCon, majority=2, minority=5, per_class=20, ratios=(1.0, 2000.0), span=(0.2, 3.0), grid=(2, 2)
    )
    logs = [np.log(curve) for curve in diagram.boundary]
    level = math.log(356.87)
    crossings = sum(int(np.count_nonzero(np.diff(np.sign(curve[:, 0] - level)))) for curve in logs)
    assert crossings == 2
    found = gs.threshold(gs.SupCon, majority=2, minority=5, per_class=20, ratio=356.87, vary="temperature")
    for crossing in found.crossings:
        target = np.array([level, math.log(crossing.value)])
        nearest = min(np.linalg.norm(curve - target, axis=1).min() for curve in logs)
        assert nearest < 0.1


def test_boundary_over_negatives():
    diagram = gs.phase_diagram(gs.GCL, over="negatives", temperature=1.0, span=(1, 300), grid=(3, 12))
    (curve,) = diagram.boundary
    assert curve[0, 1] == pytest.approx(1)
    for ratio, k in curve:
        alone = gs.threshold(gs.GCL, majority=1, minority=9, temperature=1.0, negatives=round(k), certify=False)
        assert ratio == pytest.approx(alone.value, rel=1e-11)


def test_critical_ratios_over_numbers_of_classes():
    diagram = gs.phase_diagram(
        gs.GCL, over="classes", majority=[1, 2, 3], minority=[2, 8], sampling="unsupervised", negatives=1
    )
    ratios = {(int(a), int(b)): ratio for a, b, ratio in diagram.boundary[0]}
    assert ratios[1, 8] == pytest.approx(8 * (1 + math.exp(2.0)) / 2, rel=1e-12)
    assert ratios[2, 8] == pytest.approx(70.5462540289, abs=1e-10)
    assert ratios[2, 2] == pytest.approx(ratios[2, 8] / 4.0, rel=1e-12)
    assert math.isnan(ratios[3, 2])
    assert "never" in str(diagram)
    assert {row["critical_ratio"] for row in diagram.rows()} >= {"never"}
    texts = [text.get_text() for text in plot_phases(diagram).axes[0].texts]
    assert sorted(texts) == sorted(["8.39", "33.6", "17.6", "70.5", "never", "never"])


def test_picture_and_table(diagram, tmp_path):
    figure = plot_phases(diagram, tmp_path / "phase.png")
    assert (tmp_path / "phase.png").read_bytes()[:4] == b"\x89PNG"
    axes = figure.axes[0]
    drawn = [line.get_xydata() for line in axes.lines if line.get_label() == "critical ratio"]
    np.testing.assert_array_equal(drawn[0], diagram.boundary[0])
    diagram.write_csv(tmp_path / "phase.csv")
    table = np.genfromtxt(tmp_path / "phase.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert len(table) == diagram.certified.size
    np.testing.assert_array_equal(table["minority_cosine"], diagram.minority_cosine.ravel())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"over": "heat"}, "over: must be one of temperature, negatives, classes; got 'heat'"),
        ({"temperature": 1.0}, "temperature: is what is varied; got 1.0"),
        ({"ratios": (0.5, 10.0)}, "ratios: must be two ascending numbers between 1 and 1e\\+12; got 0.5, 10"),
        ({"ratios": 10.0}, "ratios: must be two numbers, from and to; got 10.0"),
        ({"span": (0.0, 1.0)}, "span: must be two ascending numbers between 0.005 and 1000; got 0, 1"),
        ({"grid": (1, 5)}, r"grid: must be two numbers of points from 2 to 1000; got \(1, 5\)"),
        ({"majority": [1, 2]}, 'majority, minority: must be whole numbers unless over="classes"'),
        ({"tol": 0.0}, "tol: must be a number between 0 and 1"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(gs.ProblemError, match=message):
        gs.phase_diagram(gs.GCL, **{"negatives": 1, "grid": (2, 2), **arguments})
