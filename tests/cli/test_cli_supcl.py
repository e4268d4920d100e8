import math

import numpy as np
from command_line import printed, reported

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
