"""What proofs are made of: stored numbers as fractions, balls in decimals, definiteness by elimination."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomsolve.certificates import ball_arithmetic
from geomsolve.certificates.logsums import read

pytest.importorskip("flint")


@given(st.integers(1, 10_000_000), st.integers(1, 10_000_000))
def test_quotients_are_read_back(p, q):
    assert read(p / q, "fractions") == Fraction(p, q)
    assert read(-p / q, "fractions") == Fraction(-p, q)
    assert read(p / q, "binary") == Fraction(p / q)


@given(st.floats(1e-300, 1e300))
def test_a_reading_is_near_and_no_simpler_fraction_is(number):
    found = read(number, "fractions")
    exact = Fraction(number)
    assert abs(found - exact) <= exact / 2**50
    if found.denominator > 1:
        simpler = exact.limit_denominator(found.denominator - 1)
        assert abs(simpler - exact) > exact / 2**50


def test_numbers_that_people_write():
    assert read(0.1, "fractions") == Fraction(1, 10)
    assert read(0.07, "fractions") == Fraction(7, 100)
    assert read(0.0, "fractions") == 0
    assert read(0.7 / 49, "fractions") == Fraction(1, 70), "two roundings"


def test_decimals():
    with ball_arithmetic.precision(100):
        number = ball_arithmetic.ball(Fraction(-21, 8))
        assert [ball_arithmetic.decimal(number, 2, up=up) for up in (None, True, False)] == ["-2.62", "-2.62", "-2.63"]
        assert ball_arithmetic.decimal(ball_arithmetic.ball(Fraction(1, 1024)), 2, up=True) == "0.01"
        assert ball_arithmetic.decimal(ball_arithmetic.ball(3), 0) == "3"
        assert ball_arithmetic.decimal(ball_arithmetic.ball(0), 3, up=True) == "0.000"


def test_definite():
    with ball_arithmetic.precision(100):
        one, half = ball_arithmetic.ball(1), ball_arithmetic.ball(Fraction(1, 2))
        assert ball_arithmetic.positive_definite([[one, half], [half, one]])
        assert not ball_arithmetic.positive_definite([[one, one], [one, one]]), "singular"
        assert not ball_arithmetic.positive_definite([[half, one], [one, one]])
        assert not ball_arithmetic.positive_definite([[one, one.union(half)], [half, one]]), (
            "one matrix of the balls is singular"
        )
        assert ball_arithmetic.positive_definite([])
