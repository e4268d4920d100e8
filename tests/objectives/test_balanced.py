"""BCL and KCL: closed forms; `test_free_descent` has their values and optima."""

import math

import numpy as np
import pytest
from atoms import softmax_of_atoms
from command_line import printed, reported
from helpers import dense_simplex

import geomsolve as gs


def test_holding_prototypes_to_their_class_has_a_price():
    """One point for the class and its prototype: the loss of the class means alone, and its optimum."""
    found = gs.solve(gs.BCL([20, 5, 1], temperature=0.5))
    together = gs.solve(softmax_of_atoms(0.5, np.array([20, 5, 1]) / 26))
    tiled = gs.certify(found.objective, gs.OrbitGram(found.objective.orbits, np.tile(together.gram, (2, 2))))
    assert math.isclose(tiled.value, together.value, rel_tol=1e-12)
    assert tiled.lower_bound <= found.value < together.value - 5e-4


@pytest.mark.parametrize(("counts", "temperature"), [([20, 5, 1], 0.5), ([1000, 30, 30, 2], 0.1), ([3, 1], 2.0)])
def test_bcl_with_class_anchors_is_the_simplex(counts, temperature):
    classes = len(counts)
    objective = gs.BCL(counts, temperature=temperature, anchors="class")
    found = gs.solve(objective)
    assert np.abs(found.orbits.cosines - np.tile(dense_simplex(classes), (2, 2))).max() <= 1e-7
    expected = math.log1p((classes - 1) * math.exp(-classes / (classes - 1) / temperature))
    # A sum of attraction and repulsion of order one: no digits beyond 1e-15.
    assert math.isclose(found.value, expected, rel_tol=1e-12, abs_tol=4e-15)


def test_bcl_views_multiply_counts():
    assert gs.solve(gs.BCL([10, 5, 2], temperature=0.5, views=2)).value == pytest.approx(
        gs.solve(gs.BCL([20, 10, 4], temperature=0.5)).value, rel=1e-13
    )


def test_parts_name_the_atoms():
    objective = gs.BCL([20, 5, 1], temperature=0.5)
    assert objective.parts == gs.objectives.Parts(("instances",) * 3 + ("prototype",) * 3, (0, 1, 2, 0, 1, 2))
    assert objective.ungrouped().parts.names == ("instances",) * 26 + ("prototype",) * 3
    single = gs.KCL([3, 2], temperature=0.5).ungrouped()
    assert single.parts.classes == (0, 0, 0, 1, 1)


def test_kcl_of_many_positives_collapses_classes_like_supcon():
    """From k = n - 1 on every other example is drawn, and weighs less than in SupCon, but enough at temperature 1."""
    found = gs.solve(gs.KCL([9, 4, 3], temperature=1.0, positives=100))
    supcon = gs.solve(gs.SupCon([9, 4, 3], temperature=1.0))
    assert np.allclose(found.orbits.within, 1, atol=1e-8)
    assert math.isclose(found.value, supcon.value, rel_tol=1e-9)


def test_command(tmp_path, capsys):
    words = ["solve", "--counts", "20,5,1", "--objective", "bcl", "--temperature", "0.5"]
    report = reported(capsys, *words, "--out", tmp_path)
    assert math.isclose(report["value"], 0.0834210128, rel_tol=1e-8)
    assert [(orbit["part"], orbit["class"]) for orbit in report["orbits"][2:4]] == [("instances", 2), ("prototype", 0)]
    assert [orbit["count"] for orbit in report["orbits"]] == [20, 5, 1, 20, 5, 1]
    assert math.isclose(report["between"][0][1], -0.6795048, abs_tol=1e-7)
    assert np.load(tmp_path / "gram.npy").shape == (29, 29)
    out = printed(capsys, *words, "--anchors", "class")
    assert "two classes         -0.500000000  (instances)" in out
    assert "0.0949229" in out
