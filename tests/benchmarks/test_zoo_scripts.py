"""The scripts behind the zoo: its proofs can be made again, its suite judges, and wrong answers are counted as such."""

import importlib
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.zoo.problems import zoo_definitions

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """A script of the benchmarks, imported by name."""
    if not BENCHMARKS.is_dir():
        pytest.skip("installed without the repository")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == BENCHMARKS:
            del sys.modules[name]


@pytest.fixture
def proofs(script):
    """The script that proves the zoo's optima."""
    pytest.importorskip("flint")
    return script("zoo_values")


def test_wrong_answers_are_told_from_right_ones(script, monkeypatch):
    """What `fails_safely` counts, on one problem: candidates right, near and wrong; none of these proved."""
    safely = script("fails_safely")
    monkeypatch.setattr(safely, "_stopped", lambda objective: iter(()))  # importing cvxpy takes seconds
    problem = gs.zoo.problem("gcl-k1-above")
    rows = [safely.judge(problem, *one) for one in safely.candidates(problem) if one[2] is not None]
    assert {row["class"] for row in rows} == {"right", "near", "wrong"}
    assert not any(row["certified"] for row in rows if row["class"] == "wrong")
    assert all(row["certified"] for row in rows if row["kind"].startswith("truth"))
    by_kind = {(row["kind"], row["size"]): row for row in rows}
    assert by_kind["noise on points", 1e-1]["distance"] > by_kind["noise on points", 1e-3]["distance"] > 1e-8
    # The minority is in one point already.
    assert by_kind["orbit collapsed", None]["class"] == "right"
    assert by_kind["all orbits opened", 1e-3]["class"] == "wrong"


def test_a_cell_is_judged_by_certificate_and_truth(script):
    suite, solvers = script("zoo"), script("zoo_solvers")
    problem = gs.zoo.problem("supcon-1000-100-10-tau0.5")
    right = suite.attempt(solvers, "newton", problem.objective, problem)
    assert right["outcome"] == "proved"
    assert right["cosines_off"] < 1e-12
    wrong = suite.judged(problem.objective, problem, gs.OrbitGram.simplex(problem.orbits.orbits))
    assert wrong["outcome"] == "unproved"
    assert wrong["cosines_off"] > 0.1
    assert wrong["value_off"] > 0
    hinge = gs.zoo.problem("hinge-satisfied")
    assert suite.attempt(solvers, "scipy-lbfgs", hinge.objective, hinge)["outcome"] == "not tried"


def test_the_profile_counts_failures(script):
    report = script("report_zoo")

    def cell(solver, problem, seconds, gap):
        return {"solver": solver, "problem": problem, "seconds": seconds, "relative_gap": gap, "cosine_residual": 0.0}

    cells = [cell("a", "p", 1.0, 1e-12), cell("b", "p", 4.0, 1e-12), cell("a", "q", 1.0, 1e-7), cell("b", "q", 99.0, 0)]
    ratios, widest = report.profile(cells, ["a", "b"], ["p", "q"], "certified", limit=10.0)
    np.testing.assert_array_equal(ratios["a"], [1.0, np.inf])
    np.testing.assert_array_equal(ratios["b"], [4.0, np.inf])
    assert widest >= 4.0
    np.testing.assert_array_equal(report.profile(cells, ["a"], ["p", "q"], "loss proved", 10.0)[0]["a"], [1.0, 1.0])
    assert report.shifted_mean([0.99, 0.99]) == pytest.approx(0.99)
    assert report.shifted_mean([0.0, 0.99]) == pytest.approx(0.1 - 0.01)


@pytest.mark.parametrize(
    "name", ["supcon-1000-100-10-tau0.1", "supcl-one-collapsed", "bcl", "gcl-k16-sum", "x-clr-hot"]
)
def test_the_proof_can_be_made_again(proofs, name):
    definition = next(row for row in zoo_definitions() if row["name"] == name)
    again, stored = proofs.solve_entry(definition), gs.zoo.problem(name)
    assert again["value"] == stored.value
    assert again["cosines"] == stored.optimum["cosines"]


def test_the_proof_refuses_what_is_not_optimal(proofs):
    """A stationary point is all that the refinement looks for; the bound must notice one that is no minimum."""
    problem = gs.zoo.problem("gcl-k1-just-below")
    loss = proofs.loss_of(problem, problem.counts)
    proofs.ctx.prec = 768
    collapsed = [[proofs.arb(1), proofs.arb(-1)], [proofs.arb(-1), proofs.arb(1)]]
    value, below, _ = proofs.bound(loss, collapsed)
    assert below > 1e-9
    assert value > proofs.arb(problem.value)
    assert value - below < proofs.arb(problem.value)


def test_numbers_are_read_exactly(proofs):
    proofs.ctx.prec = 768
    from zoo_losses import exact

    assert exact(0.1) == proofs.arb(Fraction(0.1).numerator) / Fraction(0.1).denominator
    assert exact(0.1) != proofs.arb(1) / 10
