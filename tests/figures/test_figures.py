"""The gallery: figures, cut down to what a test can wait for, and the data behind them, beside closed forms."""

import csv
import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import printed, refuses, reported

import geomsolve as gs
from geomsolve import cli
from geomsolve.figures.gallery import catalogue, pages, step_counts
from geomsolve.figures.gallery.realizability import critical_bandwidth, label_embeddings


def supervised(classes, temperature=1.0):
    """The threshold of one majority class under the logistic loss, supervised negatives."""
    rho = (1 + math.exp(2 / temperature)) / 2
    return (-(2 * classes - 3) + math.sqrt((2 * classes - 3) ** 2 + 8 * (classes - 1) ** 2 * rho)) / 2


def unsupervised(classes, temperature=1.0):
    return (classes - 1) * (1 + math.exp(2 / temperature)) / 2


# The decays beyond which the first and the last of 100, 20 and 4 examples vanish, and both sides of them.
EDGES = np.sqrt(np.array([100, 4]) * 2 / 3) / 124
DECAYS = np.outer(EDGES, [1 - 1e-9, 1 + 1e-9]).ravel()
# The two ratios at which the minority of the first mix collapses.
COLLAPSES = {"supervised": supervised(4), "unsupervised": unsupervised(4)}
# What a figure is cut down to.
SMALL = {
    "cosines": {
        "mixes": ((1, 3), (2, 8), (5, 5)),
        "ratios": (1.0, *(ratio * factor for ratio in COLLAPSES.values() for factor in (0.9, 1.1))),
    },
    "threshold-negatives": {"negatives": (1, 2, 16, 256)},
    "threshold-temperature": {"coldnesses": (0.5, 2.0, 7.0), "minority": 3},
    "phase-diagrams": {"grid": (4, 3)},
    "collapse-window": {"grid": (3, 2)},
    "critical-ratios": {"majorities": (1, 3), "minorities": (2, 4)},
    "sphere": {},
    "long-tails": {"names": ("isic2019", "places_lt")},
    "layer-peeled": {"each": 2, "feature_energy": 1.0, "ratios": (1.0, 2.0)},
    "seli": {"ratios": (1.0, 30.0)},
    "relu-vanishing": {"counts": gs.long_tail_counts(3, 100, 25.0), "decays": sorted(DECAYS)},
    "soft-supcon": {"ratios": (1.0, 3.0, 300.0)},
    "y-aware-gap": {"samples": 6, "radii": (0.3, 0.999, 2.0)},
    "x-clr-boundary": {"cells": 4},
    "label-circle": {},
}


def read(path):
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """What the command reported and wrote, and the pictures it drew, by name."""
    out, pictures = tmp_path_factory.mktemp("gallery") / "deep" / "figures", {}

    def cheap(name, draw):
        return lambda progress: pictures.setdefault(name, draw(**SMALL[name], progress=progress))

    with pytest.MonkeyPatch.context() as patched:
        for name, draw in list(catalogue.FIGURES.items()):
            patched.setitem(catalogue.FIGURES, name, cheap(name, draw))
        report = out.parents[1] / "report.json"
        assert cli.run(["figures", "--out", str(out), "--json", str(report)]) == 0
    return SimpleNamespace(report=json.loads(report.read_text())["figures"], out=out, pictures=pictures)


def test_the_command_draws_every_figure_with_its_data(gallery):
    assert [figure["name"] for figure in gallery.report] == list(catalogue.FIGURES)
    for figure in gallery.report:
        pdf, png, table = (gallery.out / f"{figure['name']}{suffix}" for suffix in (".pdf", ".png", ".csv"))
        assert figure["files"] == [str(pdf), str(png), str(table)]
        assert pdf.read_bytes().startswith(b"%PDF")
        assert png.read_bytes().startswith(b"\x89PNG")
        width, height = np.frombuffer(png.read_bytes()[16:24], ">u4")
        assert 800 <= width <= 2000
        assert 400 <= height <= 1500
        rows = read(table)
        assert len(rows) == figure["points"]
        assert {row["quality"] for row in rows} == {"certified"}
        assert figure["uncertified"] == 0
        assert all(float(row["relative_gap"]) <= 1e-6 for row in rows)
    assert len(list(gallery.out.iterdir())) == 3 * len(catalogue.FIGURES)


def test_named_figures_only_once_each_and_the_same_bytes_again(gallery, tmp_path):
    lines = []
    (drawn,) = gs.draw_figures(tmp_path, ["sphere", "sphere"], progress=lines.append)
    assert drawn.name == "sphere"
    assert lines[0] == "figure 1 of 1, sphere"
    assert "figure 1 of 1, sphere: before" in lines
    assert [file.name for file in drawn.files] == ["sphere.pdf", "sphere.png", "sphere.csv"]
    for file in drawn.files:
        assert file.read_bytes() == (gallery.out / file.name).read_bytes()


def test_the_list_names_every_figure(capsys):
    text = printed(capsys, "figures", "--list")
    for name, draw in catalogue.FIGURES.items():
        assert name in text
        assert draw.__doc__.splitlines()[0] in text
    listed = reported(capsys, "figures", "--list")["figures"]
    assert [figure["name"] for figure in listed] == list(catalogue.FIGURES)


def test_bad_names_and_folders_are_refused_before_anything_is_drawn(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(pages.Picture, "save", lambda *_: pytest.fail("drawn"))
    (tmp_path / "file").write_text("")
    (tmp_path / "taken" / "sphere.csv").mkdir(parents=True)
    for name, out, message in (
        ("nothing", tmp_path / "out", "names: must be among cosines, .*got 'nothing'"),
        ("sphere", None, "out: must be given; got none"),
        ("sphere", tmp_path / "file", "out: must be a folder that can be made"),
        ("sphere", tmp_path / "taken", "out: must be a path that can be written"),
    ):
        refuses(capsys, ["figures", name, *([] if out is None else ["--out", out])], message)
    assert not (tmp_path / "out").exists()


def test_an_uncertified_point_is_told_in_the_picture_and_by_the_exit_code(tmp_path, capsys, monkeypatch):
    rows = [{"x": 1.0, "quality": "certified"}, {"x": 2.0, "quality": "uncertified"}]
    picture = pages.Picture("A title", rows, (4, 3))
    assert picture.figure.get_suptitle() == "A title\n1 of 2 points NOT certified"
    assert pages.Picture("A title", rows[:1], (4, 3)).figure.get_suptitle() == "A title"
    monkeypatch.setitem(catalogue.FIGURES, "sphere", lambda progress=None: picture)
    assert reported(capsys, "figures", "sphere", "--out", tmp_path, code=3)["figures"][0]["uncertified"] == 1


def test_cosines_collapse_at_the_threshold_and_start_from_the_simplex(gallery):
    picture = gallery.pictures["cosines"]
    for row in picture.rows:
        classes = row["majority"] + row["minority"]
        if row["ratio"] == 1.0:
            for column in ("majority_cosine", "between_cosine", "minority_cosine"):
                assert row[column] is None or row[column] == pytest.approx(-1 / (classes - 1), abs=1e-9)
        if (row["majority"], row["minority"]) == (1, 3):
            assert row["majority_cosine"] is None
            assert row["threshold"] == pytest.approx(COLLAPSES[row["sampling"]], rel=1e-11)
            collapsed = row["ratio"] > row["threshold"]
            assert (row["minority_cosine"] > 1 - 1e-8) == collapsed
            assert (row["between_cosine"] < -1 + 1e-8) == collapsed
        if row["majority"] == 5:
            assert row["threshold"] is None
            assert row["minority_cosine"] < 0.3
    two = [row["threshold"] for row in picture.rows if row["majority"] == 2 and row["sampling"] == "unsupervised"]
    assert two == pytest.approx([70.5462540289] * 5, rel=1e-10)
    words = [text.get_text() for axes in picture.figure.get_axes() for text in axes.texts]
    assert words.count("never collapses") == 2
    assert f"{supervised(4):.4f}" in words


def test_thresholds_against_negatives_are_the_known_ones(gallery):
    rows = gallery.pictures["threshold-negatives"].rows
    found = {(row["sampling"], row["normalization"], row["negatives"]): row["threshold"] for row in rows}
    known = {"mean": (18.9183, 21.5484, 24.4662, 24.8984), "sum": (18.9183, 18.7700, 16.6447, 14.6802)}
    for normalization, values in known.items():
        for count, value in zip((1, 2, 16, 256), values, strict=True):
            assert found["supervised", normalization, count] == pytest.approx(value, abs=5e-5)
    assert found["unsupervised", "sum", 1] == pytest.approx(unsupervised(10), rel=1e-11)
    assert found["supervised", "mean", math.inf] > found["supervised", "mean", 256]
    assert ("supervised", "sum", math.inf) not in found
    for row in rows:
        assert row["bracket_low"] <= row["threshold"] <= row["bracket_high"]


def test_thresholds_against_temperature_follow_closed_forms_and_asymptotes(gallery):
    rows = gallery.pictures["threshold-temperature"].rows
    assert len(rows) == 12
    for row in rows:
        if row["negatives"] == 1:
            closed = {"supervised": supervised, "unsupervised": unsupervised}[row["sampling"]]
            assert row["threshold"] == pytest.approx(closed(4, row["temperature"]), rel=1e-10)
        if row["temperature"] < 0.2:
            assert row["threshold"] == pytest.approx(row["asymptote"], rel=5e-3)


def test_the_boundary_of_the_phase_diagram_is_where_the_cosine_reaches_one(gallery):
    picture = gallery.pictures["phase-diagrams"]
    rows = [row for row in picture.rows if row["over"] == "negatives" and row["sampling"] == "unsupervised"]
    boundary = {row["value"]: row["ratio"] for row in rows if row["kind"] == "boundary"}
    assert boundary[1.0] == pytest.approx(unsupervised(10), rel=1e-9)
    grid = [row for row in rows if row["kind"] == "grid"]
    assert len(grid) == 12
    for row in grid:
        assert (row["minority_cosine"] > 1 - 1e-8) == (row["ratio"] > boundary[row["value"]])
    assert all(row["minority_cosine"] > 1 - 1e-6 for row in picture.rows if row["kind"] == "boundary")


def test_the_sphere_shows_collapse_at_the_threshold(gallery):
    rows = gallery.pictures["sphere"].rows
    by_part = {part: [row for row in rows if row["part"] == part] for part, _ in step_counts.PARTS}
    assert [sum(row["classes"] for row in part) for part in by_part.values()] == [4, 4, 4]
    assert [len(part) for part in by_part.values()] == [4, 2, 2]
    for row in rows:
        assert row["x"] ** 2 + row["y"] ** 2 + row["z"] ** 2 == pytest.approx(1, abs=1e-12)
        assert row["threshold"] == pytest.approx(supervised(4), rel=1e-11)
    before = by_part["before"]
    points = np.array([[row[axis] for axis in "xyz"] for row in before])
    gram = points @ points.T
    np.testing.assert_allclose(gram[0], [1, *[before[0]["between_cosine"]] * 3], atol=1e-9)
    np.testing.assert_allclose(gram[1:, 1:][np.triu_indices(3, 1)], before[0]["minority_cosine"], atol=1e-9)


def test_long_tails_hold_the_cosines_of_their_ranks(gallery):
    picture = gallery.pictures["long-tails"]
    places = gs.load_counts("places_lt")
    gram = gs.solve(gs.SupCon(places, temperature=0.1)).gram
    order = np.argsort(-places.per_class, kind="stable")
    rows = [row for row in picture.rows if row["profile"] == "places_lt"]
    assert len(rows) == 100 * 101 / 2
    for row in rows[::37]:
        a, b = order[row["rank"] - 1], order[row["other_rank"] - 1]
        assert row["cosine"] == pytest.approx(gram[a, b], abs=1e-12)
        assert (row["count"], row["other_count"]) == (places.per_class[a], places.per_class[b])
    assert sum(row["profile"] == "isic2019" for row in picture.rows) == 36


def test_seli_has_the_cosines_of_the_weighted_centring_matrix(gallery):
    """From the dense singular values of (I - 11'/C) D^(1/2): classifiers U S^(1/2), features S^(1/2) V' D^(-1/2)."""
    for row in gallery.pictures["seli"].rows:
        root = np.sqrt(np.array([row["ratio"]] * 5 + [1.0] * 5))
        left, values, right = np.linalg.svd((np.eye(10) - 0.1) * root)
        for part, factor in (("classifier", left * np.sqrt(values)), ("feature", right.T * np.sqrt(values))):
            unit = factor / np.linalg.norm(factor, axis=1, keepdims=True)
            expected = {"minority": unit[8] @ unit[9], "between": unit[0] @ unit[9], "majority": unit[0] @ unit[1]}
            for pair, cosine in expected.items():
                assert row[f"{pair}_{part}"] == pytest.approx(cosine, abs=1e-12)
        assert row["value"] == pytest.approx(values.sum(), rel=1e-12)


def test_classes_vanish_where_the_picture_says(gallery):
    picture = gallery.pictures["relu-vanishing"]
    assert {row["count"] for row in picture.rows} == {100, 20, 4}
    for row in picture.rows:
        assert (row["logit"] == 0) == (row["feature_norm"] == 0) == (row["decay"] > row["vanishes_at"])
    dots = [float(line.get_xdata()[0]) for line in picture.figure.axes[0].lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose([dots[0], dots[2]], EDGES, rtol=1e-12)


def test_an_uncertified_solution_is_so_in_the_rows():
    solution = gs.solve(gs.SupCon([10, 5, 2], temperature=0.5))
    assert pages.proof(solution)["quality"] == "certified"
    assert pages.proof(replace(solution, quality=gs.Quality.UNCERTIFIED))["quality"] == "uncertified"


def test_soft_supcon_has_one_cosine_at_every_ratio_from_the_critical_epsilon_on(gallery):
    rows = gallery.pictures["soft-supcon"].rows
    critical = math.exp(-4 / (3 * 0.5))
    assert {row["epsilon"] for row in rows} == {0.0, critical / 4, critical, 4 * critical}
    for row in rows:
        attained = row["epsilon"] >= critical
        assert row["realizable"] == attained
        assert row["within_cosine"] == pytest.approx(1, abs=1e-8)
        if attained:
            cosine = 1 + 0.5 * math.log(row["epsilon"])
            assert row["between_cosine"] == pytest.approx(cosine, abs=1e-9)
            assert row["small_cosine"] == pytest.approx(cosine, abs=1e-9)
            assert row["excess"] < 1e-14
        else:
            assert row["excess_lower"] > 1e-5
            simplex = row["small_cosine"] == pytest.approx(-1 / 3, abs=1e-6)
            assert simplex == (row["ratio"] == 1.0)
        if row["epsilon"] == critical:
            assert row["between_cosine"] == pytest.approx(-1 / 3, abs=1e-9)
        # A family only with self-pairs out and above the critical epsilon; its upper end is collapse.
        assert (row["between_lowest"] is not None) == (not row["self_pairs"] and row["epsilon"] > critical)
        if row["between_lowest"] is not None:
            assert row["within_highest"] == pytest.approx(1, abs=1e-6)
            assert row["within_lowest"] - row["between_lowest"] == pytest.approx(-0.5 * math.log(row["epsilon"]))
            assert row["between_lowest"] < row["between_highest"] - 0.1


def test_the_y_aware_bound_is_attained_on_spheres_up_to_the_allowed_radius(gallery):
    rows = gallery.pictures["y-aware-gap"].rows
    for row in rows:
        assert row["realizable"] == (row["radius"] <= row["largest_radius"] * (1 + 1e-9))
        assert (row["excess"] < 1e-14) == row["realizable"]
        assert row["realizable"] or row["excess_lower"] > 0
        if row["shape"] in ("circle", "sphere"):
            assert row["largest_radius"] == pytest.approx(1, rel=1e-9)
        elif row["self_pairs"]:
            assert row["largest_radius"] == 0
        else:
            assert 0.3 < row["largest_radius"] < 1
    # Further beyond the limit, further from the bound.
    for shape in ("line", "disc", "circle", "sphere"):
        for inside in (True, False):
            chosen = [row for row in rows if (row["shape"], row["self_pairs"]) == (shape, inside)]
            excesses = [row["excess"] for row in chosen if not row["realizable"]]
            assert excesses == sorted(excesses)
            assert excesses


def test_the_x_clr_boundary_is_the_circumradius_of_the_labels(gallery):
    expected = {"random": 1.0, "cone": 2.0, "one-hot": 4 / 3}
    rows = gallery.pictures["x-clr-boundary"].rows
    assert {row["labels"] for row in rows} == set(expected)
    for row in rows:
        assert row["largest_temperature"] == pytest.approx(expected[row["labels"]] * row["label_temperature"], rel=1e-9)
        assert row["realizable"] == (row["line"] < 0) == (row["temperature"] < row["largest_temperature"])
        assert (row["excess"] < 1e-14) == row["realizable"]
        labels = label_embeddings()[row["labels"]][1]
        ratio = row["temperature"] / row["label_temperature"]
        lowest = np.linalg.eigvalsh(ratio * labels @ labels.T + 1 - ratio)[0]
        assert (lowest > -1e-9) == row["realizable"]
    for _, labels in label_embeddings().values():
        np.testing.assert_allclose(np.linalg.norm(labels, axis=1), 1, atol=1e-12)


def test_the_hours_stand_on_a_circle_of_the_radius_that_the_bandwidth_asks_for(gallery):
    picture = gallery.pictures["label-circle"]
    critical = critical_bandwidth(0.5)
    for multiple in (1.5, 1.0, 0.5):
        for dim in (2, 3):
            rows = [row for row in picture.rows if row["dim"] == dim and row["sigma"] == multiple * critical]
            assert [row["hour"] for row in rows] == list(range(24))
            points = np.array([[row[axis] for axis in "xyz"] for row in rows])
            np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-9)
            assert {row["realizable"] for row in rows} == {multiple >= 1.0}
            optimal = multiple == 1.0 or (multiple, dim) == (1.5, 3)
            assert {row["points"] for row in rows} == {"optimal" if optimal else "best found"}
            assert (rows[0]["points_excess"] < 1e-14) == optimal
            assert rows[0]["points_excess"] >= rows[0]["excess_lower"]
            if optimal:
                # A circle of radius 1/multiple, horizontal in 3-D, that runs clockwise from midnight at the top.
                angle = np.pi * np.arange(24) / 12
                circle = np.column_stack([np.sin(angle), np.cos(angle)]) / multiple
                np.testing.assert_allclose(points[:, :2], circle, atol=1e-6)
                np.testing.assert_allclose(points[:, 2], math.sqrt(1 - multiple**-2), atol=1e-5)
