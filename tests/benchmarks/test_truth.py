"""What stands behind the zoo: its proofs can be made again, wrong answers are counted, rivals get the true loss."""

import importlib
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

import geomsolve as gs

pytest.importorskip("benchmarks", reason="installed without the repository")


@pytest.fixture
def proofs():
    """The script that proves the zoo's optima."""
    pytest.importorskip("flint")
    return importlib.import_module("benchmarks.zoo.prove")


def test_wrong_answers_are_told_from_right_ones(monkeypatch):
    """Candidates right, near and wrong; none of these proved."""
    from benchmarks.truth import answers

    monkeypatch.setattr(answers, "_stopped", lambda objective: iter(()))  # importing cvxpy takes seconds
    problem = gs.zoo.problem("gcl-k1-above")
    rows = [answers.judge(problem, *one) for one in answers.candidates(problem) if one[2] is not None]
    assert {row["class"] for row in rows} == {"right", "near", "wrong"}
    assert not any(row["certified"] for row in rows if row["class"] == "wrong")
    assert all(row["certified"] for row in rows if row["kind"].startswith("truth"))
    by_kind = {(row["kind"], row["size"]): row for row in rows}
    assert by_kind["noise on points", 1e-1]["distance"] > by_kind["noise on points", 1e-3]["distance"] > 1e-8
    # The minority is in one point already.
    assert by_kind["orbit collapsed", None]["class"] == "right"
    assert by_kind["all orbits widened", 1e-3]["class"] == "wrong"


def test_a_false_certificate_is_called_false():
    """Against digits that are proved, a cosine moved by 1e-3 and a lower bound above the optimum both contradict."""
    pytest.importorskip("flint")
    from benchmarks.truth.measure import verdict

    solution = gs.solve(gs.SupCon([30, 20, 5], temperature=0.3))
    proved = gs.verify(solution, digits=10, reading="binary")
    assert verdict(solution, proved)["verdict"] == "true"
    cosines = solution.orbits.cosines.copy()
    cosines[0, 1] = cosines[1, 0] = cosines[0, 1] + 1e-3
    moved = gs.OrbitGram(solution.orbits.orbits, cosines)
    wrong = SimpleNamespace(orbits=moved, certificate=solution.certificate)
    assert verdict(wrong, proved)["verdict"] == "false"
    above = SimpleNamespace(value=solution.value, lower_bound=solution.value + 1e-9)
    assert verdict(SimpleNamespace(orbits=solution.orbits, certificate=above), proved)["verdict"] == "false"


def test_a_cell_of_the_zoo_is_judged_by_certificate_and_truth():
    from benchmarks.zoo import measure

    problem = gs.zoo.problem("supcon-1000-100-10-tau0.5")
    right = measure.cell("Newton alone", problem)
    assert right["outcome"] == "certified"
    assert right["cosines_off"] < 1e-12
    wrong = measure.judged(problem, gs.OrbitGram.simplex(problem.orbits.orbits))
    assert wrong["outcome"] == "not certified"
    assert wrong["cosines_off"] > 0.1
    assert measure.cell("L-BFGS over embeddings", gs.zoo.problem("hinge-satisfied")) == {"outcome": "not tried"}


def test_a_rival_gets_the_loss_and_its_slope():
    from benchmarks.rivals import Embedded

    objective = gs.SupCon([50, 20, 10, 10], temperature=0.3)
    loss = Embedded(objective)
    flat = np.random.default_rng(1).standard_normal(loss.start.size)
    value, slope = loss.of_flat(flat)
    assert value * loss.unit == pytest.approx(loss.each.excess(loss.gram(loss.unit_rows(flat))), rel=1e-12)
    direction = np.random.default_rng(2).standard_normal(flat.size)
    change = (loss.of_flat(flat + 1e-5 * direction)[0] - loss.of_flat(flat - 1e-5 * direction)[0]) / 2e-5
    assert change == pytest.approx(slope @ direction, rel=1e-6)


@pytest.mark.parametrize("name", ["supcon-1000-100-10-tau0.1", "supcl-one-collapsed", "x-clr-hot"])
def test_the_proof_can_be_made_again(proofs, name):
    definition = next(row for row in proofs.zoo_definitions() if row["name"] == name)
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
    from benchmarks.zoo.losses import exact

    proofs.ctx.prec = 768
    assert exact(0.1) == proofs.arb(Fraction(0.1).numerator) / Fraction(0.1).denominator
    assert exact(0.1) != proofs.arb(1) / 10
