"""`geomsolve crosscheck` and `geomsolve certify`: what they compare and judge, and their exit codes."""

import numpy as np
import pytest
from command_line import printed, refuses, reported

import geomsolve as gs
from geomsolve.cli import checking
from geomsolve.solvers.crosschecks import CrossCheck, Route


def test_crosscheck_says_where_routes_differ(capsys, monkeypatch):
    def differing(objective, **options):
        assert options["seeds"] == 2
        good = Route("newton", "reference", 0.1, "", {"value": 1.5, "certified": True})
        bad = Route("scs", "disagrees", 0.1, "too large", {"value": 1.6, "certified": False})
        about = {"reference": "newton", "routes": [good.to_dict(), bad.to_dict()]}
        return CrossCheck(objective, objective.name, about, (good, bad), True)

    monkeypatch.setattr(checking, "check_routes", differing)
    arguments = ["crosscheck", "--counts", "9,5,2", "--temperature", "1", "--seeds", "2"]
    out = printed(capsys, *arguments, code=3)
    assert "do NOT agree" in out
    assert "scs: too large" in out
    report = reported(capsys, *arguments, code=3)
    assert (report["agree"], report["reference"]) == (False, "newton")
    assert [route["name"] for route in report["routes"]] == ["newton", "scs"]


def test_certify_judges_a_gram_matrix_from_a_file(capsys, tmp_path):
    counts = [1000, 10, 100]
    gram = gs.solve(gs.SupCon(counts, temperature=0.1)).gram
    np.save(tmp_path / "gram.npy", gram)
    certify = ("certify", "--counts", "1000,10,100", "--gram", tmp_path / "gram.npy")
    report = reported(capsys, *certify, "--temperature", "0.1")
    assert report["quality"] == "certified"
    assert report["gap"] <= 1e-12
    assert reported(capsys, *certify, "--temperature", "0.2", code=3)["quality"] == "uncertified"
    assert "CERTIFIED: proved optimal" in printed(capsys, *certify, "--temperature", "0.1")


@pytest.mark.parametrize(
    ("gram", "message"),
    [
        (np.eye(2), r"gram: must have shape \(3, 3\), one row per class; got \(2, 2\)"),
        (np.array([["a"] * 3] * 3), r"gram: .* must be a .npy file of one array of numbers"),
    ],
)
def test_a_bad_gram_is_one_line_and_exit_2(capsys, tmp_path, gram, message):
    np.save(tmp_path / "gram.npy", gram)
    arguments = ("certify", "--counts", "1000,100,10", "--temperature", "0.1", "--gram", tmp_path / "gram.npy")
    refuses(capsys, arguments, message)


def test_a_single_route_has_nothing_to_compare_with_and_that_is_no_failure(capsys):
    counts = ",".join(str(10 + i % 100) for i in range(700))
    out = printed(capsys, "crosscheck", "--counts", counts, "--temperature", "0.1")
    assert "Nothing to compare with" in out
    assert "do NOT agree" not in out


def test_many_distinct_counts_are_solved_two_ways(capsys):
    out = printed(capsys, "crosscheck", "--counts", "inaturalist2018", "--temperature", "0.1")
    assert "quadrature" in out
    assert "The routes agree" in out


@pytest.mark.parametrize(("verb", "tol"), [("solve", "1"), ("crosscheck", "nan"), ("certify", "0")])
def test_a_tolerance_out_of_range_is_bad_input(capsys, tmp_path, verb, tol):
    np.save(tmp_path / "gram.npy", np.eye(3))
    more = ("--gram", tmp_path / "gram.npy") if verb == "certify" else ()
    arguments = [verb, "--counts", "9,5,2", "--temperature", "1", "--tol", tol, *more]
    refuses(capsys, arguments, "tol: must be a number between 0 and 1")
