"""Optima proved in ball arithmetic: closed forms to 30 digits, what must not be proved, and what is refused."""

import math
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from attacks import HEADS, planar, two_heads
from hypothesis import given, settings
from hypothesis import strategies as st

import geomsolve as gs
from geomsolve.certificates import ball_arithmetic
from geomsolve.certificates.enclosures import Bounds
from geomsolve.certificates.logsums import log_sums
from geomsolve.solvers import verification

pytest.importorskip("flint")
mp = pytest.importorskip("mpmath").mp
pytestmark = pytest.mark.usefixtures("many_digits")


def holds(verified, truth, digits=30):
    """The truth lies between the bounds, and `value` is right in its last place."""
    assert verified.proved
    assert verified.digits == digits
    assert mp.mpf(verified.lower) <= truth <= mp.mpf(verified.upper)
    places = len(verified.value.partition(".")[2])
    assert abs(mp.mpf(verified.value) - truth) <= mp.mpf(10) ** -places
    assert mp.mpf(verified.upper) - mp.mpf(verified.lower) <= mp.mpf(10) ** -digits * mp.mpf(verified.excess)
    return True


def cosine(verified, a, b):
    return mp.mpf(verified.cosines[a][b])


# Closed forms ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "temperature"), [(2, 0.005), (10, 0.07), (3, 5.0)])
def test_the_regular_simplex(classes, temperature):
    """SupCon of equal counts: log( 2n - 1 + 2n (C - 1) e^{-C/((C-1) tau)} ); its digits start at e^{-2/tau}."""
    verified = gs.verify(gs.SupCon([7] * classes, temperature=temperature))
    drift = mp.exp(-mp.mpf(classes) / (classes - 1) / mp.mpf(str(temperature)))
    assert holds(verified, mp.log(13 + 14 * (classes - 1) * drift))
    assert abs(cosine(verified, 0, 0) + mp.mpf(1) / (classes - 1)) <= mp.mpf(10) ** -30
    assert abs(mp.mpf(verified.excess) / mp.log1p(mp.mpf(14) * (classes - 1) * drift / 13) - 1) < mp.mpf(10) ** -29


@pytest.mark.parametrize(
    "name",
    [
        "supcon-balanced-batch8", "supcon-tail-at-60", "supcon-collapsed", "gcl-balanced-k5-unsupervised",
        "gcl-two-classes-k3", "gcl-k256-collapsed", "gcl-k16-sum-collapsed", "bcl-class-anchors", "lc-balanced",
    ],
)  # fmt: skip
def test_closed_forms_of_the_zoo(name):
    """To forty digits; their temperatures are the same number in binary."""
    problem = gs.zoo.problem(name)
    assert holds(gs.verify(problem.objective), mp.mpf(problem.value))


def test_supcl_of_equal_sizes():
    """One equation for the variance V within classes; s_w = 1 - V n/(n-1), s_b = -(1-V)/(m-1)."""
    m, n, alpha, tau = 3, 4, mp.mpf(1) / 2, mp.mpf(1) / 5

    def equation(v):
        within, between = mp.exp((1 - v * n / (n - 1)) / tau), mp.exp(-(1 - v) / (m - 1) / tau)
        inner = mp.exp(1 / tau) + (n - 1) * within + n * (m - 1) * between
        return (1 - alpha) * n / (n - 1) * inner - n * (within - between)

    root = mp.findroot(equation, (0.1, 0.6), solver="anderson", tol=mp.mpf(10) ** -120)
    verified = gs.verify(gs.SupCL([n] * m, alpha=0.5, temperature=0.2))
    assert verified.proved
    for a in range(m):
        assert abs(cosine(verified, a, a) - (1 - root * n / (n - 1))) <= mp.mpf(10) ** -30
        assert abs(cosine(verified, a, (a + 1) % m) + (1 - root) / (m - 1)) <= mp.mpf(10) ** -30


def test_weights_that_are_attained():
    """Soft SupCon above its critical epsilon: the optimum is the entropy, all forces vanish; cosine 1 + tau ln eps."""
    weighting = gs.similarities.soft_supcon_weights([0, 0, 0, 1, 1, 2], epsilon=0.5)
    verified = gs.verify(gs.WeightedInfoNCE(weighting, temperature=0.5))
    half = mp.mpf(1) / 2
    rows = [(3, 3 + 3 * half, 3), (2, 2 + 4 * half, 4), (1, 1 + 5 * half, 5)]
    entropy = sum(size * (mp.log(row) - others * half / row * mp.log(half)) for size, row, others in rows) / 6
    # Weights are stored as logarithms, so they carry their rounding into the value.
    assert verified.proved
    assert abs(mp.mpf(verified.value) - entropy) < 1e-14
    assert abs(cosine(verified, 0, 1) - (1 + mp.log(half) / 2)) < 1e-14


# Independent routes ---------------------------------------------------------------------------------------------------


def test_against_newton_in_mpmath():
    """The 2K equations of one dual factor, written down again and solved by mpmath."""
    counts, tau = [100, 30, 7], mp.mpf(1) / 5

    def drift(u, z, a, b):
        return 2 * tau * u[a] * u[b] / (mp.mpf(2 * counts[a] * counts[b]) / 137 * (1 / z[a] + 1 / z[b]))

    def equations(*unknown):
        u, z = [mp.exp(x) for x in unknown[:3]], [mp.exp(x) for x in unknown[3:]]
        found = []
        for a in range(3):
            others = [b for b in range(3) if b != a]
            found.append(2 * counts[a] - 1 + sum(2 * counts[b] * drift(u, z, a, b) for b in others) - z[a])
            found.append(u[a] + sum(u[b] * (1 + tau * mp.log(drift(u, z, a, b))) for b in others))
        return found

    objective = gs.SupCon(counts, temperature=0.2)
    gram = gs.solve(objective).orbits
    row = objective.row_gradient(gram)
    pairs = (row + row.T) / 2
    start = [math.log(-sum(pairs[a, b] * gram.cosines[a, b] for b in range(3) if b != a)) / 2 for a in range(3)]
    exponentials = np.exp((gram.cosines - 1) / 0.2)
    sums = [
        2 * n - 1 + sum(2 * counts[b] * exponentials[a, b] for b in range(3) if b != a) for a, n in enumerate(counts)
    ]
    solved = mp.findroot(equations, start + [math.log(z) for z in sums], tol=mp.mpf(10) ** -150)
    u, z = [mp.exp(x) for x in solved[:3]], [mp.exp(x) for x in solved[3:]]
    verified = gs.verify(objective, digits=40)
    assert holds(verified, sum(mp.mpf(n) / 137 * mp.log(z[a]) for a, n in enumerate(counts)), 40)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert abs(cosine(verified, a, b) - 1 - tau * mp.log(drift(u, z, a, b))) <= mp.mpf(10) ** -40


@pytest.mark.parametrize("problem", HEADS)
def test_truths_of_90_digits(problem):
    """ECL of two heads and two rare classes, rank 2 in 12 atoms; the angles are from Newton's method in 90 digits."""
    count, temperature, align = problem
    truth = planar(two_heads(*HEADS[problem]))
    verified = gs.verify(gs.ECL([count, count, 1, 1], temperature=temperature, align=align, tied=True))
    assert verified.proved
    known = np.isfinite(verified.cosine_errors) & ~np.eye(12, dtype=bool)
    assert known.sum() > 40
    for a, b in np.argwhere(known):
        if verified.cosines[a][b]:
            places = len(verified.cosines[a][b].partition(".")[2])
            assert abs(float(verified.cosines[a][b]) - truth[a, b]) < 4e-15 + 10.0**-places


@pytest.mark.parametrize(
    "objective",
    [
        gs.GCL([6, 3, 3, 1], temperature=0.5, negatives=3),
        gs.GCL([6, 3, 3, 1], temperature=0.5, negatives=3, sampling="unsupervised"),
        gs.SupCon([6, 3, 3, 1], temperature=0.5, batch=5),
        gs.SupCon([6, 3, 3, 1], temperature=0.5, batch=5, views=1),
        gs.SupMin([8, 3], temperature=0.2),
        gs.KCL([8, 3, 2], temperature=0.2),
        gs.ECL([8, 3, 2], temperature=0.5, scale=5.0),
        gs.LogitCompensated([8, 3, 2], scale=6.0),
        gs.SupCL([8, 3, 2], alpha=0.3, temperature=0.3, self_pairs=False),
        gs.WeightedInfoNCE(gs.similarities.y_aware_weights(np.linspace(-1, 1, 7), sigma=0.3), temperature=0.5),
    ],
    ids=lambda objective: objective.name,
)
def test_every_form_of_loss(objective):
    solution = gs.solve(objective)
    verified = gs.verify(solution)
    assert verified.proved
    assert verified.relative_gap < 1e-45
    assert float(verified.value) == pytest.approx(solution.value, rel=1e-13)
    for a, row in enumerate(verified.cosines):
        for b, text in enumerate(row):
            if text:
                assert float(text) == pytest.approx(solution.orbits.cosines[a, b], abs=1e-7)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=6), st.sampled_from([0.03, 0.1, 0.5, 2.0]))
def test_random_counts(counts, temperature):
    solution = gs.solve(gs.SupCon(counts, temperature=temperature), throw=False)
    verified = gs.verify(solution, digits=20)
    assert float(verified.lower) <= solution.value * (1 + 1e-13)
    assert float(verified.upper) >= solution.certificate.lower_bound * (1 - 1e-13)
    if verified.proved:
        assert float(verified.excess) == pytest.approx(solution.certificate.excess, rel=1e-9)


# Readings -------------------------------------------------------------------------------------------------------------


def test_binary_reading():
    """0.1 is then what float64 has for it, and the optimum another in the 17th digit."""
    objective = gs.SupCon([7] * 3, temperature=0.1)
    binary, fractions = gs.verify(objective, reading="binary"), gs.verify(objective)
    assert binary.temperature == Fraction(0.1) != fractions.temperature == Fraction(1, 10)
    masses = sum(mp.mpf(float(m)) for m in gs.as_counts([7] * 3).proportions[[0, 0, 0]])
    assert holds(binary, masses * mp.log(13 + 28 * mp.exp(-mp.mpf(3) / 2 / mp.mpf(0.1))))
    assert 1e-18 < abs(mp.mpf(binary.value) - mp.mpf(fractions.value)) < 1e-15


# What must not be proved ----------------------------------------------------------------------------------------------


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
