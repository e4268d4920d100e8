"""`solve --objective tsc`: what Python says, the targets named, exit 0 only where the bound meets the value."""

import numpy as np
import pytest
from command_line import printed, reported

import geomsolve as gs

SOLVE = ["solve", "--objective", "tsc", "--counts", "20,5,1", "--temperature", "0.5"]


def test_the_report_is_what_python_says(capsys):
    report = reported(capsys, *SOLVE, "--pull", "2")
    found = gs.choosing.targeted_supcon([20, 5, 1], temperature=0.5, pull=2.0)
    assert (report["value"], report["lower_bound"]) == (found.value, found.lower_bound)
    assert report["quality"] == "certified"
    assert 0 <= report["relative_gap"] <= 1e-9
    np.testing.assert_array_equal(report["own_target"], found.own_target)
    assert [orbit["count"] for orbit in report["orbits"][:3]] == [20, 5, 1]
    assert [orbit["size"] for orbit in report["orbits"][:3]] == [40, 10, 2]
    assert report["orbits"][2]["within"] == pytest.approx(1.0, abs=1e-3)  # of two views
    assert report["between"][0][0] is None
    assert report["between"][0][1] == found.gram.cosines[0, 1]


def test_text_and_tolerance(capsys):
    text = printed(capsys, *SOLVE)
    assert "CERTIFIED: proved optimal for these targets" in text
    assert f"{gs.choosing.targeted_supcon([20, 5, 1], temperature=0.5).own_target[1]:+.9f}" in text
    assert "NOT CERTIFIED" in printed(capsys, *SOLVE, "--tol", "1e-16", code=3)
