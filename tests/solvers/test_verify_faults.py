"""What `verify` must not prove, and what it must refuse."""

import math
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.certificates import ball_arithmetic
from geomsolve.certificates.enclosures import Bounds
from geomsolve.certificates.logsums import log_sums
from geomsolve.solvers import verification as verification

pytest.importorskip("flint")
mpmath = pytest.importorskip("mpmath")
mp = mpmath.mp


@pytest.fixture(autouse=True)
def many_digits():
    with mpmath.workdps(200):
        yield


@pytest.mark.parametrize("error", [1e-14, 1e-12, 1e-6, 1e-2])
def test_a_wrong_gram_is_not_proved(error):
    """As it stands: the gap is at least what its loss is above the optimum, no cosine is claimed too narrowly."""
    objective = gs.SupCon([1000, 100, 10], temperature=0.1)
    truth = gs.verify(objective)
    gram = np.array([[float(x or 1) for x in row] for row in truth.cosines])
    gram[0, 2] = gram[2, 0] = gram[0, 2] + error
    found = gs.verify(objective, gram)
    assert not found.proved
    assert found.steps == 0
    assert "judged as they stand" in found.notes[0]
    assert "is 1e-" not in found.notes[0]
    assert mp.mpf(found.lower) <= mp.mpf(truth.lower)
    assert mp.mpf(found.upper) >= mp.mpf(truth.upper)
    if found.value:
        places = len(found.value.partition(".")[2])
        assert abs(mp.mpf(found.value) - mp.mpf(truth.value)) <= mp.mpf(10) ** -places
    certificate = gs.certify(objective, gram)
    assert certificate.value - float(truth.value) <= found.gap * (1 + 1e-9) + 1e-14
    assert found.gap <= 3 * certificate.gap + 1e-30
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert abs(gram[a, b] - float(truth.cosines[a][b])) <= found.cosine_errors[a, b] * (1 + 1e-9) + 1e-16


def test_a_guess_is_refined_and_a_wrong_answer_of_newton_is_caught(monkeypatch):
    objective = gs.SupCon([1000, 100, 10], temperature=0.1)
    solution, truth = gs.solve(objective), gs.verify(objective)
    moved = solution.orbits.cosines + 1e-3 * np.array([[0, 1, -1], [1, 0, 1], [-1, 1, 0]])
    rough = replace(solution, geometry=gs.OrbitGram(objective.orbits, moved).repaired()[0])
    assert gs.verify(rough).value == truth.value

    honest = verification.refine

    def wrong(*given):
        found = honest(*given)
        if found is None:
            return None
        cosines = [list(row) for row in found[0]]
        cosines[0][1] = cosines[1][0] = cosines[0][1] + ball_arithmetic.ball(Fraction(1, 10**12))
        return cosines, found[1]

    monkeypatch.setattr(verification, "refine", wrong)
    found = gs.verify(objective)
    assert not found.proved
    assert found.relative_gap > 1e-13
    assert mp.mpf(found.lower) <= mp.mpf(truth.value) <= mp.mpf(found.upper)
    monkeypatch.setattr(verification, "refine", lambda *given: None)
    found = gs.verify(objective)
    assert not found.proved
    assert any("did not converge" in note for note in found.notes)
    assert mp.mpf(found.lower) <= mp.mpf(truth.value) <= mp.mpf(found.upper)


def test_what_is_not_positive_semidefinite_is_moved():
    """No vectors have these cosines: the upper bound is the loss of others, not theirs."""
    objective = gs.SupCon([5, 5, 5], temperature=0.5)
    found = gs.verify(objective, np.full((3, 3), -0.9) + 1.9 * np.eye(3))
    below = math.log(9 + 20 * math.exp(-1.9 / 0.5))
    truth = math.log(9 + 20 * math.exp(-1.5 / 0.5))
    assert below < truth <= float(found.upper)
    assert float(found.lower) <= truth


def test_a_wrong_collapse_is_not_proved():
    """Below the critical ratio, with the minority in one point: S is negative on its differences alone."""
    objective = gs.GCL([3, 1, 1], negatives=1)
    truth = gs.verify(objective)
    collapsed = gs.OrbitGram(objective.orbits, np.array([[1.0, -1.0], [-1.0, 1.0]]))
    found = gs.verify(objective, collapsed)
    assert not found.proved
    assert mp.mpf(found.lower) <= mp.mpf(truth.lower)
    assert objective.value(collapsed) - float(truth.value) > 1e-4
    assert found.gap >= objective.value(collapsed) - float(truth.value)


def test_a_cosine_beyond_one_is_moved():
    """Between the orbits nothing is wrong: the matrix of their means is positive definite."""
    objective = gs.GCL([9, 1, 1], negatives=1)
    with ball_arithmetic.precision(200):
        cosines = [[ball_arithmetic.ball(Fraction(x)) for x in row] for row in ([1.0, -0.875], [-0.875, 1.25])]
        bounds = Bounds(log_sums(objective, "fractions"), cosines)
        assert bounds.cosines[1][1] <= 1
    assert 0.2 <= bounds.moved < 0.21


def test_the_slack_inside_an_orbit_counts_towards_the_bound(monkeypatch):
    """Newton misled into closing an orbit: the gap says so."""
    objective = gs.GCL([3, 1, 1], negatives=1)
    truth, honest = gs.verify(objective), verification.refine

    def closing(loss, cosines, closed, width, digits):
        return honest(loss, cosines, np.array([False, True]), width, digits)

    monkeypatch.setattr(verification, "refine", closing)
    found = gs.verify(objective)
    assert not found.proved
    assert mp.mpf(found.lower) <= mp.mpf(truth.value) <= mp.mpf(found.upper)


# Bad input ------------------------------------------------------------------------------------------------------------


def test_bad_input():
    objective = gs.SupCon([3, 2, 1], temperature=0.5)
    for digits in (0, 301, 2.5, True, "30"):
        with pytest.raises(gs.ProblemError, match="digits: must be a whole number from 1 to 300; got"):
            gs.verify(objective, digits=digits)
    with pytest.raises(gs.ProblemError, match=r"reading: must be one of fractions, binary; got 'exact'"):
        gs.verify(objective, reading="exact")
    with pytest.raises(gs.ProblemError, match=r"problem: must be an objective, such as .* got list"):
        gs.verify([3, 2, 1])
    with pytest.raises(gs.ProblemError, match=r"gram: must have shape \(3, 3\)"):
        gs.verify(objective, np.eye(4))
    crooked = gs.OrbitGram(objective.orbits, np.array([[1, 0.1, 0.2], [0.3, 1, 0], [0.2, 0, 1]]))
    with pytest.raises(gs.ProblemError, match="gram: cosines must be finite and symmetric"):
        gs.verify(objective, crooked)
    with pytest.raises(gs.ProblemError, match=r"at most 100 orbits .* got 101"):
        gs.verify(gs.SupCon(np.arange(1, 102), temperature=0.5))
    with pytest.raises(gs.ProblemError, match=r"sums of logarithms .* got GCL\(hinge"):
        gs.verify(gs.GCL([3, 2, 1], loss="hinge", margin=0.5))
    with pytest.raises(gs.ProblemError, match=r"k = 256 draws over 5 distinct counts fall in .* take fewer"):
        gs.verify(gs.GCL([5, 4, 3, 2, 1], negatives=256))


def test_without_flint(monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(gs.BackendError, match=r'verify: needs python-flint, .* pip install "\.\[verify\]"'):
        gs.verify(gs.SupCon([3, 2, 1], temperature=0.5))


def test_the_precision_outside_is_left_alone():
    before = ball_arithmetic.flint().ctx.prec
    gs.verify(gs.SupCon([3, 2, 1], temperature=0.5), digits=100)
    assert ball_arithmetic.flint().ctx.prec == before
