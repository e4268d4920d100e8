"""Critical values proved in ball arithmetic: against closed forms to 30 digits, and what must not be proved."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.certificates.logsums import read

pytest.importorskip("flint")
mp = pytest.importorskip("mpmath").mp
pytestmark = pytest.mark.usefixtures("many_digits")


def bracketed(verified, truth, digits=30):
    low, high = Fraction(verified.lower), Fraction(verified.upper)
    assert mp.mpf(low.numerator) / low.denominator < truth < mp.mpf(high.numerator) / high.denominator
    assert 0 < high - low <= Fraction(1, 10**digits) * low * 10
    assert (high - low) / low <= Fraction(1, 10**25)
    assert abs(mp.mpf(verified.value) - truth) <= mp.mpf(10) ** -len(verified.value.partition(".")[2])
    return True


@pytest.mark.parametrize(("classes", "temperature"), [(3, 1.0), (10, 0.1)])
def test_critical_ratios_of_one_negative(classes, temperature):
    """Closed forms: (C - 1) rho unsupervised, the root of a quadratic supervised; rho = (1 + e^{2/tau})/2."""
    tau = read(temperature, "fractions")
    rho = (1 + mp.exp(2 * mp.mpf(tau.denominator) / tau.numerator)) / 2
    linear = 2 * classes - 3
    roots = {
        "unsupervised": (classes - 1) * rho,
        "supervised": (-linear + mp.sqrt(linear**2 + 8 * (classes - 1) ** 2 * rho)) / 2,
    }
    for sampling, root in roots.items():
        options = {"negatives": 1, "sampling": sampling, "temperature": temperature}
        found = gs.threshold(gs.GCL, majority=1, minority=classes - 1, certify=False, **options)
        verified = gs.verify(found)
        assert bracketed(verified, root)
        assert verified.collapses == "above"
        assert verified.lower in verified.statement


def test_several_majorities():
    """r* = 70.5462540289 from the reference: b solves an equation of its own, and is enclosed."""
    options = {"negatives": 1, "sampling": "unsupervised", "temperature": 1.0}
    found = gs.threshold(gs.GCL, majority=2, minority=8, certify=False, **options)
    verified = gs.verify(found, digits=40)
    assert verified.value.startswith("70.5462540289")

    # Again in mpmath: psi' at a = 2 b^2 - 1, b and 1, all pairs weighing as the product of their shares.
    def slope(t):
        return 1 / (1 + mp.exp(-t))

    def margin(ratio, b):
        force_aa, force_ab, force_bb = ratio**2 * slope(2 * b**2 - 2), ratio * slope(b - 1), slope(mp.mpf(0))
        return [2 * b * force_aa + 8 * force_ab, force_ab**2 - force_aa * force_bb]

    ratio, _ = mp.findroot(margin, (70.5, -0.05), tol=mp.mpf(10) ** -120)
    assert bracketed(verified, ratio, 40)


@pytest.mark.parametrize(
    ("builder", "options"),
    [
        (gs.SupCon, {"majority": 2, "minority": 3, "per_class": 10, "temperature": 1.0}),
        (gs.SupCon, {"majority": 1, "minority": 3, "batch": 6, "temperature": 1.0}),
        (gs.SupCon, {"majority": 1, "minority": 3, "batch": 6, "views": 1, "temperature": 1.0}),
        (gs.GCL, {"majority": 2, "minority": 8, "temperature": 1.0}),
        (gs.GCL, {"majority": 1, "minority": 3, "temperature": 1.0, "sampling": "unsupervised"}),
        (gs.GCL, {"majority": 1, "minority": 9, "temperature": 1.0, "negatives": 16, "normalization": "sum"}),
        (gs.GCL, {"majority": 1, "minority": 9, "vary": "temperature", "ratio": 20.0, "negatives": 1}),
        (gs.GCL, {"majority": 1, "minority": 9, "vary": "negatives", "ratio": 22.0}),
    ],
)
def test_every_kind_of_threshold(builder, options):
    found = gs.threshold(builder, certify=False, **options)
    verified = gs.verify(found)
    assert verified.parameter == options.get("vary", "ratio")
    assert verified.collapses == found.crossings[0].collapses
    assert float(verified.value) == pytest.approx(found.value, rel=1e-12)
    gap = Fraction(verified.upper) - Fraction(verified.lower)
    assert gap == 1 if verified.parameter == "negatives" else gap <= Fraction(verified.value) / 10**29


def test_a_wrong_threshold_is_refused():
    found = gs.threshold(gs.GCL, majority=1, minority=9, negatives=1, certify=False)
    crossing = found.crossings[0]
    for value in (found.value * (1 + 1e-6), found.value * 0.9, 1.5):
        wrong = replace(found, value=value, crossings=(replace(crossing, value=value),))
        with pytest.raises(gs.ProblemError, match="threshold: its value must be a critical one; got "):
            gs.verify(wrong)
    shifted = replace(crossing, bracket=(5.0, 6.0), value=5.0)
    counted = gs.threshold(gs.GCL, majority=1, minority=9, vary="negatives", ratio=22.0, certify=False)
    with pytest.raises(gs.ProblemError, match="no change of sign could be proved between negatives 5 and 6"):
        gs.verify(replace(counted, value=5.0, crossings=(shifted,)))


def test_a_loss_that_depends_on_the_ratio_in_its_own_way_is_refused():
    def own(counts, temperature):
        counts = gs.as_counts(counts)
        return gs.GCL(counts, temperature=temperature * (1 + 0.1 / counts.imbalance_ratio**2), negatives=1)

    found = gs.threshold(own, majority=1, minority=4, temperature=1.0, certify=False)
    with pytest.raises(gs.ProblemError, match="fractions linear in the ratio, as those"):
        gs.verify(found)


def test_thresholds_without_a_bracket_are_refused():
    never = gs.threshold(gs.GCL, majority=3, minority=4, negatives=1, sampling="unsupervised", certify=False)
    with pytest.raises(gs.ProblemError, match="no critical value, so there is nothing to bracket"):
        gs.verify(never)
    counts = gs.threshold(gs.SupCon, counts=[60, 20, 10, 3, 2], temperature=2.0, certify=False)
    with pytest.raises(gs.ProblemError, match="for majority and minority only; got arbitrary counts"):
        gs.verify(counts)
    with pytest.raises(gs.ProblemError, match="gram: goes with an objective, not with a threshold"):
        gs.verify(never, np.eye(3))
