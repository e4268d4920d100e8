import math

import numpy as np
import pytest
from command_line import printed, refuses, reported

import geomsolve as gs

SOLVE = ["solve", "--objective", "supcl", "--temperature", "0.1"]


def test_solve_reports_the_variances(capsys):
    report = reported(capsys, *SOLVE, "--alpha", 0.5, "--classes", 10, "--instances", 50)
    assert abs(report["within_variance"] - 0.380) <= 3e-4
    assert abs(report["between_variance"] - 0.620) <= 3e-4
    assert math.isclose(report["total_variance"], 1.0)
    assert abs(report["alpha_c"] - 0.0201) <= 3e-4
    assert report["quality"] == "certified"
    assert report["collapsed"] == []
    assert report["views_coincide"] is True
    assert (report["classes"], report["instances"], report["rank"]) == (10, 500, 499)
    assert [orbit["size"] for orbit in report["orbits"]] == [50] * 10
    listed = reported(capsys, *SOLVE, "--alpha", 0.5, "--counts", ",".join(["50"] * 10))
    assert listed["value"] == report["value"]


def test_solve_with_unequal_classes_and_without_self_pairs(capsys, tmp_path):
    arguments = [*SOLVE, "--alpha", 0.15, "--counts", "5,50,20", "--no-self-pairs"]
    report = reported(capsys, *arguments, "--out", tmp_path)
    assert report["self_pairs"] is False
    assert report["class_orbit"] == [2, 0, 1]
    assert [orbit["count"] for orbit in report["orbits"]] == [50, 20, 5]
    variances = np.array(report["class_variances"])
    assert np.all(np.diff(variances[[1, 2, 0]]) < 0)
    assert math.isclose(report["within_variance"], variances @ [5, 50, 20] / 75)
    gram = np.load(tmp_path / "gram.npy")
    assert gram.shape == (75, 75)
    assert math.isclose(1 - gram[5:55, 5:55].mean(), variances[1])
    points = np.load(tmp_path / "points.npy")
    assert np.allclose(points @ points.T, gram, atol=1e-7)
    out = printed(capsys, *arguments)
    assert "within classes" in out
    assert "critical alpha" in out


def test_solve_says_which_classes_collapse(capsys):
    some = [*SOLVE, "--alpha", 0.1, "--counts", "5,50,20,5"]
    assert sorted(reported(capsys, *some)["collapsed"]) == [[0], [3]]
    assert "2 of 4 classes are one point each (classes 0, 3)" in printed(capsys, *some)
    every = [*SOLVE, "--alpha", 0.01, "--classes", 3, "--instances", 20, "--no-self-pairs"]
    report = reported(capsys, *every, code=3)  # nothing is proved where views would part
    assert sorted(report["collapsed"]) == [[0], [1], [2]]
    assert report["within_variance"] <= 1e-12
    assert report["views_coincide"] is False
    out = printed(capsys, *every, code=3)
    assert "every class is one point" in out
    assert "moving them apart would lower the loss" in out


def test_guideline(capsys, tmp_path):
    arguments = ["guideline", "--variance", 0.3, "--classes", 10, "--instances", 50]
    report = reported(capsys, *arguments, "--plot", tmp_path / "map.png")
    assert [point["temperature"] for point in report["points"]] == [0.05, 0.07, 0.1, 0.2, 0.5, 1.0]
    for point in report["points"]:
        got = gs.choosing.supcl_variance(10, 50, alpha=point["alpha"], temperature=point["temperature"])
        assert abs(got - 0.3) <= 1e-12
        assert point["alpha_c"] == gs.choosing.supcl_critical_alpha(10, 50, temperature=point["temperature"])
    assert report["files"] == [str(tmp_path / "map.png")]
    out = printed(capsys, "guideline", "--variance", 0.3, "--counts", "20,10,4", "--temperature", 0.3)
    alpha = gs.choosing.keep_variance([20, 10, 4], 0.3, temperatures=0.3).alphas[0]
    assert f"{alpha:.6f}" in out


CLI_BAD = {
    "alpha": ([*SOLVE, "--alpha", 1.5, "--counts", "5,4"], r"alpha: must be a number from 0"),
    "no alpha": ([*SOLVE, "--counts", "5,4"], r"alpha: supcl needs it; got none"),
    "one instance": ([*SOLVE, "--alpha", 0.5, "--classes", 3, "--instances", 1], r"instances: .*at least 2; got 1"),
    "no instances": ([*SOLVE, "--alpha", 0.5, "--classes", 3], r"instances: must be given with classes; got none"),
    "no classes": ([*SOLVE, "--alpha", 0.5, "--instances", 3], r"classes: must be given with instances; got none"),
    "two ways": (
        [*SOLVE, "--alpha", 0.5, "--counts", "5,4", "--classes", 3],
        r"counts: stand in place of classes and instances; got '5,4' beside them",
    ),
    "no counts": ([*SOLVE, "--alpha", 0.5], r"counts: must be given; got none"),
    "a class of one": ([*SOLVE, "--alpha", 0.5, "--counts", "5,1"], r"counts: .*; class 1 has 1"),
    "alpha of supcon": (["solve", "--temperature", 0.1, "--counts", "5,4", "--alpha", 0.5], r"alpha: supcon has no"),
    "variance": (
        ["guideline", "--variance", 1.5, "--classes", 3, "--instances", 4],
        r"variance: must be above 0 and at most 0.818182, .*; got 1.5",
    ),
    "guideline without counts": (["guideline", "--variance", 0.3], r"counts: must be given; got none"),
    "temperature": (
        ["guideline", "--variance", 0.3, "--counts", "5,4", "--temperature", 0],
        r"temperature: must be finite and above 0; got 0",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), CLI_BAD.values(), ids=CLI_BAD.keys())
def test_bad_command_lines(capsys, arguments, message):
    refuses(capsys, arguments, message)
