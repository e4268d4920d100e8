"""`solve` of losses that are no objectives, supproto and tsc: exit 0 only where the bound meets the value."""

import math

import numpy as np
import pytest
from command_line import printed, reported, run, strict

import geomsolve as gs
from geomsolve.choosing import prototype_geometry as twoclasses

SOLVE = ["solve", "--objective", "supproto"]
TSC = ["solve", "--objective", "tsc", "--counts", "20,5,1", "--temperature", "0.5"]


@pytest.mark.parametrize(
    ("counts", "options", "code"),
    [
        ([100, 20], {}, 0),
        ([20, 100], {"temperature": 0.05, "views": 4, "batch": 24}, 0),
        ([253, 3], {}, 3),
        ([255, 1], {}, 3),
        ([10, 6], {"temperature": 0.2}, 0),
        ([100, 20], {"temperature": 0.2}, 3),
    ],
)
def test_the_report_is_what_python_says(capsys, counts, options, code):
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    got, out, err = run(capsys, *SOLVE, "--counts", ",".join(map(str, counts)), *words, "--json", "-")
    assert (got, err) == (code, "")
    report, found = strict(out), gs.choosing.supervised_prototypes(counts, **options)
    assert (report["value"], report["lower_bound"], report["gap"]) == (found.value, found.lower_bound, found.gap)
    assert report["quality"] == ("uncertified" if code else "certified")
    assert (report["relative_gap"] <= 1e-9) is (code == 0)
    assert report["convex"] is False
    assert report["temperature"] == options.get("temperature", 0.07)
    assert report["views"] == options.get("views", 2)
    assert report["cross_cosine"] == found.gram.cosines[0, 1]
    assert report["within_cosines"] == [orbit["within"] for orbit in report["orbits"]]
    assert [orbit["size"] for orbit in report["orbits"]] == found.counts.per_class.tolist()
    assert (report["rank"], report["collapsed"]) == (found.gram.rank(), [])
    assert report["seconds"] >= 0
    if counts[1] == 1:
        assert report["within_cosines"][1] is None


def test_text_does_not_claim_an_optimum(capsys, tmp_path):
    out = printed(capsys, *SOLVE, "--counts", "100,20", "--json", tmp_path / "a.json")
    assert "NOT CONVEX, BOUND CLOSED" in out
    assert "+0.242424242" in out
    assert strict((tmp_path / "a.json").read_text())["quality"] == "certified"
    out = printed(capsys, *SOLVE, "--counts", "255,1", code=3)
    assert "NOT CONVEX, NOT CERTIFIED" in out
    assert "class 1" not in out
    assert printed(capsys, *SOLVE, "--counts", "253,3", "--tol", 0.01)


def test_rounding_counts_against_the_bound(capsys):
    """With four views the loss is log 3 and 1e-9 above: two bounds that print the same prove nothing to 1e-9."""
    report = reported(capsys, *SOLVE, "--counts", "20,10", "--views", 4, "--temperature", 0.03, code=3)
    assert math.isclose(report["value"], math.log(3), rel_tol=1e-6)
    assert report["relative_gap"] > 1e-9
    assert report["quality"] == "uncertified"


def test_directions_without_a_certificate_are_exit_3(capsys, monkeypatch):
    def give_up(objective):
        raise gs.NotCertified("nothing reached\na certificate", None)

    monkeypatch.setattr(twoclasses, "solve", give_up)
    told = run(capsys, *SOLVE, "--counts", "9,4", "--json", "-")
    assert told == (3, "", "geomsolve: nothing reached a certificate\n")


def test_the_report_of_tsc_is_what_python_says(capsys):
    report = reported(capsys, *TSC, "--pull", "2")
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


def test_text_names_the_targets_and_tolerance_counts(capsys):
    text = printed(capsys, *TSC)
    assert "CERTIFIED: proved optimal for these targets" in text
    assert f"{gs.choosing.targeted_supcon([20, 5, 1], temperature=0.5).own_target[1]:+.9f}" in text
    assert "NOT CERTIFIED" in printed(capsys, *TSC, "--tol", "1e-16", code=3)
