"""BCL and KCL against plain loops over instances, prototypes and drawn positives."""

import json
import math

import numpy as np
import pytest
from atoms import check_routes, check_slopes
from helpers import dense_simplex

import geomsolve as gs
from geomsolve.cli import run

# BCL ------------------------------------------------------------------------------------------------------------------


def bcl_instances(labels, temperature, anchors):
    """The same loss as row softmax over single instances, then prototypes."""
    sizes = np.bincount(labels).astype(float)
    kinds = np.append(labels, np.arange(len(sizes)))
    same = (kinds[:, None] == kinds) & ~np.eye(len(kinds), dtype=bool)
    is_anchor = np.arange(len(kinds)) < len(labels)
    share = 1 / len(labels) if anchors == "instance" else 1 / len(sizes) / sizes[kinds]
    weights = np.where(same, 1 / sizes[kinds][:, None], 1 / (sizes[kinds] + 1)) * (1 - np.eye(len(kinds)))
    return gs.RowSoftmax(
        orbits=gs.geometry.Orbits(np.ones(len(kinds)), np.arange(len(kinds))),
        masses=np.where(is_anchor, share, 0),
        weights=weights,
        offsets=np.zeros(len(kinds)),
        positives=same / sizes[kinds][:, None],
        temperature=temperature,
    )


@pytest.mark.parametrize(("anchors", "temperature"), [("instance", 0.2), ("class", 0.5)])
def test_bcl_by_orbits_is_that_over_all_instances(anchors, temperature):
    counts = np.array([5, 3, 1])
    labels = np.repeat(np.arange(3), counts)
    found = gs.solve(gs.BCL(counts, temperature=temperature, anchors=anchors))
    certificate = gs.certify(bcl_instances(labels, temperature, anchors), found.gram)
    # Each was repaired by some ulps, which moves its loss by that much over the temperature.
    repairs = certificate.repair + found.certificate.repair
    assert abs(certificate.value - found.value) <= 1e-12 * found.value + repairs / temperature
    assert certificate.gap <= 1e-12


@pytest.mark.parametrize("anchors", ["instance", "class"])
def test_bcl_slopes(anchors):
    check_slopes(gs.BCL([20, 5, 1], temperature=0.5, anchors=anchors))


def test_bcl_routes_agree():
    check_routes(gs.BCL([9, 9, 2, 2], temperature=0.3))


def test_bcl_of_three_classes():
    """By instances the optimum lies below the simplex, and prototypes stand apart: holding them back has a price."""
    found = gs.solve(gs.BCL([20, 5, 1], temperature=0.5))
    assert math.isclose(found.value, 0.0834210128, rel_tol=1e-8)
    assert np.allclose(found.orbits.cosines[[0, 0, 1], [1, 2, 2]], [-0.6795, -0.6263, -0.1464], atol=5e-5)
    assert np.allclose(np.diag(found.orbits.cosines[:3, 3:]), [0.99877, 0.98191, 0.99879], atol=1e-4)
    assert found.rank == 2
    simplex = np.tile(dense_simplex(3), (2, 2))
    value = math.log1p(2 * math.exp(-1.5 / 0.5))
    at_simplex = gs.certify(found.objective, gs.OrbitGram(found.objective.orbits, simplex))
    assert math.isclose(at_simplex.value, value, rel_tol=1e-12)
    assert math.isclose(value, 0.09492, abs_tol=5e-6)
    assert not at_simplex.holds()
    # One point for the class and its prototype: the loss of the class means alone, and its optimum.
    merged = gs.RowSoftmax(
        orbits=gs.geometry.Orbits(np.ones(3), np.arange(3)),
        masses=np.array([20, 5, 1]) / 26,
        weights=np.ones((3, 3)),
        offsets=np.ones(3),
        temperature=0.5,
    )
    together = gs.solve(merged)
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


# KCL ------------------------------------------------------------------------------------------------------------------


def views_objective(objective, labels, shares, views):
    """The same loss with every view an atom."""
    example = np.repeat(np.arange(len(labels)), views)
    own = (example[:, None] == example) & ~np.eye(len(example), dtype=bool)
    kin = (labels[example][:, None] == labels[example]) & (example[:, None] != example)
    share = shares[labels[example]][:, None]
    positives = own * (1 - share) / (views - 1) + kin * share / np.maximum(kin.sum(axis=1, keepdims=True), 1)
    return gs.RowSoftmax(
        orbits=gs.geometry.Orbits(np.ones(len(example)), np.arange(len(example))),
        masses=np.full(len(example), 1 / len(example)),
        weights=1 - np.eye(len(example)),
        offsets=np.zeros(len(example)),
        positives=positives,
        temperature=objective.temperature,
    ), example


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.2), (50, 1.0)])
def test_kcl_views_share_a_point(k, temperature):
    counts, views = np.array([6, 3, 2]), 2
    found = gs.solve(gs.KCL(counts, temperature=temperature, positives=k, views=views, draw="examples"))
    drawn = np.minimum(k, counts - 1.0)
    each, example = views_objective(
        found.objective, np.repeat(np.arange(3), counts), drawn / (views - 1 + drawn), views
    )
    certificate = gs.certify(each, found.gram[np.ix_(example, example)])
    assert math.isclose(certificate.value, found.value, rel_tol=1e-11)
    assert certificate.gap <= 1e-11


def test_kcl_slopes_and_routes():
    check_slopes(gs.KCL([9, 4, 2], temperature=0.5, positives=2))
    found = check_routes(gs.KCL([9, 4, 2], temperature=0.5, positives=2))
    # Few positives keep a large class apart, and not a small one, whose examples are drawn often.
    assert found.orbits.within[0] < 0.5
    assert found.orbits.within[2] > 1 - 1e-8


def test_kcl_of_many_positives_collapses_classes_like_supcon():
    """From k = n - 1 on every other example is drawn, and weighs less than in SupCon, but enough at temperature 1."""
    found = gs.solve(gs.KCL([9, 4, 3], temperature=1.0, positives=100))
    supcon = gs.solve(gs.SupCon([9, 4, 3], temperature=1.0))
    assert np.allclose(found.orbits.within, 1, atol=1e-8)
    assert math.isclose(found.value, supcon.value, rel_tol=1e-9)


# Bad input and the command --------------------------------------------------------------------------------------------

BAD = {
    "anchors": (
        lambda: gs.BCL([3, 2], temperature=1, anchors="pair"),
        "anchors: must be one of instance, class; got 'p",
    ),
    "proportions": (lambda: gs.BCL([0.5, 0.5], temperature=1), "counts: BCL depends on the number of examples"),
    "halves": (lambda: gs.BCL([2.5, 2], temperature=1), r"counts: BCL .* whole number; class 0 has 2.5 \(round it\)"),
    "classes": (
        lambda: gs.BCL(np.arange(1, 1002), temperature=1),
        "counts: BCL .* pair of 2 kinds of atoms at 1001 distinct counts, at most 2000; got 2002",
    ),
    "one view": (lambda: gs.KCL([2, 2], temperature=1, views=1), "views: must be a whole number of at least 2; got 1"),
    "no positives": (
        lambda: gs.KCL([2, 2], temperature=1, positives=0),
        "positives: must be a whole number of at least",
    ),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input(call, message):
    with pytest.raises(gs.ProblemError, match=message):
        call()


def test_command(tmp_path, capsys):
    words = ["solve", "--counts", "20,5,1", "--objective", "bcl", "--temperature", "0.5"]
    assert run([*words, "--json", "-", "--out", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert math.isclose(report["value"], 0.0834210128, rel_tol=1e-8)
    assert [(orbit["part"], orbit["class"]) for orbit in report["orbits"][2:4]] == [("instances", 2), ("prototype", 0)]
    assert [orbit["count"] for orbit in report["orbits"]] == [20, 5, 1, 20, 5, 1]
    assert math.isclose(report["between"][0][1], -0.6795048, abs_tol=1e-7)
    assert np.load(tmp_path / "gram.npy").shape == (29, 29)
    assert run([*words, "--anchors", "class"]) == 0
    out = capsys.readouterr().out
    assert "two classes         -0.500000000  (instances)" in out
    assert "0.0949229" in out


def test_command_for_examples(capsys):
    assert run(["solve", "--counts", "100,20,5", "--objective", "kcl", "--temperature", "1", "--positives", "60"]) == 0
    out = capsys.readouterr().out
    assert "in one point" in out
    assert "instances of class 2" in out


def test_command_refuses(tmp_path, capsys):
    words = ["solve", "--counts", "20,5,1", "--objective", "bcl", "--temperature", "0.5"]
    assert run([*words, "--positives", "3"]) == 2
    assert "positives: bcl has no such option; got 3" in capsys.readouterr().err
