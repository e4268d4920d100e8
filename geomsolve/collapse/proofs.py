"""Critical values of two-level counts, proved in ball arithmetic: a multiplier changes sign between two decimals."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..certificates.ball_arithmetic import decimal, flint, precision
from ..certificates.logsums import LogSums, log_sums, read
from ..certificates.verified import READ_AS
from ..errors import ProblemError
from ..objectives.base import Objective
from ..results import Result
from ..text import attributes, entry
from .crossings import Crossing
from .two_levels import TwoLevels

# How near the proved bracket must lie to the value found in floating point, and two numbers to count as one.
_NEAR = 1e-9
_MOST_STEPS = 100


@dataclass(frozen=True, repr=False)
class VerifiedThreshold(Result):
    """A critical value, proved: between `lower` and `upper` minority collapse begins (or ends). See `verify`.

    Attributes:
        parameter: what varies: "ratio", "temperature" or "negatives".
        value: the critical value in decimals, within one unit of the last place (of negatives the last k before the
            change).
        lower: an exact decimal; the minority's state there is proved.
        upper: another, at which the opposite is proved.
        collapses: "above" or "below": on which side of the value the minority shares a point.
        digits: how many were asked for; upper - lower is at most 10^-digits of the value (1 for negatives).
        statement: in a sentence.
        reading: how the stored numbers of the problem were read, see `verify`.
        bits: the working precision.
        seconds: wall time.
    """

    parameter: str
    value: str
    lower: str
    upper: str
    collapses: str
    digits: int
    statement: str
    reading: str
    bits: int
    seconds: float

    @property
    def summary(self) -> str:
        """The critical value and what is proved of it."""
        return f"critical {self.parameter} {self.value}: {self.statement}"

    def to_dict(self) -> dict[str, Any]:
        """The proved bracket as a dictionary; long numbers are strings of decimals."""
        names = ("parameter", "value", "lower", "upper", "collapses", "digits", "statement", "reading", "bits")
        return attributes(self, *names, "seconds")

    def lines(self) -> list[str]:
        """The proved bracket in a few aligned lines."""
        return [
            f"PROVED in ball arithmetic of {self.bits} bits",
            entry(f"critical {self.parameter}", self.value),
            entry("more than", self.lower),
            entry("less than", self.upper),
            entry("read", READ_AS[self.reading]),
        ]


def verify_bracket(family: TwoLevels, crossing: Crossing, digits: int, reading: str) -> VerifiedThreshold:
    """A critical value of a family of problems with a proved bracket, to so many digits.

    At both ends the best geometry with the minority in one point is enclosed: its one free cosine b lies between two
    numbers at which the derivative of the loss has opposite signs, or is -1. There n_A D_AB - n_B D_BB (b = -1) or
    D_AB^2 - D_AA D_BB (b > -1) is a ball that does not contain 0.

    Raises:
        ProblemError: a loss whose numbers are not fractions linear in the parameter, as those of SupCon and GCL are; a
            value that is not critical; a sign that could not be proved.
    """
    clock, parameter = time.perf_counter(), family.vary
    bits = math.ceil((2 * digits + 30) * math.log2(10.0))
    with precision(bits):
        if parameter == "negatives":
            low, high = (str(int(end)) for end in crossing.bracket)
            margins = [collapse_margin(log_sums(family.objective(int(k)), reading)) for k in (low, high)]
            shown = low
        else:
            loss = _exact_family(family, crossing.value, reading)
            low, high, shown = _bracket(loss, crossing.value, digits)
            margins = [collapse_margin(loss(Fraction(end))) for end in (low, high)]
        above = bool(margins[1] > 0)
        free, held = margins if above else reversed(margins)
        if not (free < 0 and held > 0):
            raise ProblemError(
                f"threshold: no change of sign could be proved between {parameter} {low} and {high}; ask for other "
                "digits"
            )
    states = ("apart", "in one point") if above else ("in one point", "apart")
    statement = (
        f"at {parameter} {low} the optimum has the {family.minority} minority classes {states[0]}, at {high} "
        f"{states[1]}: proved in balls of {bits} bits"
    )
    side, seconds = "above" if above else "below", time.perf_counter() - clock
    return VerifiedThreshold(parameter, shown, low, high, side, digits, statement, reading, bits, seconds)


def _bracket(loss: Callable[[Fraction], LogSums], near: float, digits: int) -> tuple[str, str, str]:
    """Two neighbouring decimals around the zero of the margin, and the zero."""
    arb = flint().arb
    here = _secant(lambda x: collapse_margin(loss(Fraction(str(x.fmpq())))), arb(near) * (1 - arb(2) ** -32), arb(near))
    if not (here > near * (1 - _NEAR) and here < near * (1 + _NEAR)):
        raise ProblemError(
            f"threshold: its value must be a critical one; got {near!r}, and the multiplier has no zero within a "
            f"part {_NEAR:g} of it"
        )
    # 10^-places is at most 10^-digits of the value.
    places = max(digits - math.floor(math.log10(near)), 0)
    return decimal(here, places, up=False), decimal(here, places, up=True), decimal(here, max(places - 1, 0))


def _secant(height: Callable[[Any], Any], before: Any, here: Any) -> Any:
    """The zero of a function of balls near two numbers, to the working precision but 20 bits. It proves nothing."""
    arb, bits = flint().arb, flint().ctx.prec
    before, here = before.mid(), here.mid()
    at_before, at_here = height(before).mid(), height(here).mid()
    for _ in range(_MOST_STEPS):
        if at_here == at_before or abs(here - before) < abs(here) * arb(2) ** (20 - bits):
            break
        there = (here - at_here * (here - before) / (at_here - at_before)).mid()
        before, at_before, here, at_here = here, at_here, there, height(there).mid()
    return here


def collapse_margin(loss: LogSums) -> Any:
    """The logarithm of what holds a collapsed minority together over what drives it apart, as a ball.

    The best collapsed geometry is computed in balls, see `verify_bracket`; the ball is everything where its equation
    could not be enclosed.
    """
    arb = flint().arb
    n_a, n_b = loss.sizes

    def forces(cross: Any) -> tuple[Any, Any, Any]:
        majority = (n_a * cross * cross - 1) / (n_a - 1) if n_a > 1 else arb(1)
        total = loss.forces([[majority, cross], [cross, arb(1)]])
        pairs = n_a * (n_a - 1)
        return (total[0][0] / pairs if pairs else arb(0)), total[0][1] / (n_a * n_b), total[1][1] / (n_b * (n_b - 1))

    def balance(cross: Any) -> Any:
        aa, ab, _ = forces(cross)
        return n_a * cross * aa + n_b * ab

    if n_a == 1 or balance(arb(-1)) >= 0:
        _, ab, bb = forces(arb(-1))
        return (n_a * ab / (n_b * bb)).log()
    if not balance(arb(-1)) < 0:
        return arb("nan")
    cross = _enclosed(balance)
    if cross is None:
        return arb("nan")
    aa, ab, bb = forces(cross)
    return (ab / aa * (ab / bb)).log()


def _enclosed(balance: Callable[[Any], Any]) -> Any:
    """A ball around the zero of an increasing function that is negative at -1; None where none could be proved."""
    arb, bits = flint().arb, flint().ctx.prec
    low, high = arb(-1), arb(0)
    for _ in range(30):
        middle = ((low + high) / 2).mid()
        low, high = (middle, high) if balance(middle) < 0 else (low, middle)
    here = _secant(balance, low, high)
    width = abs(here).mid() * arb(2) ** (30 - bits)
    for _ in range(8):
        ends = (here - width).mid(), (here + width).mid()
        if balance(ends[0]) < 0 and balance(ends[1]) > 0 and ends[0] > -1:
            return ends[0].union(ends[1])
        width = width * 16
    return None


# Values of the parameter at which the numbers of a loss are looked at.
_LOOKED_AT = (2, 3, 5)


def _exact_family(family: TwoLevels, near: float, reading: str) -> Callable[[Fraction], LogSums]:
    """The loss as a function of the exact parameter x: each of its numbers is (a + b x)/(c + d x).

    Of SupCon and GCL they are, in the ratio (shares of classes) and in the temperature. Three values fix them, and the
    builder's own numbers at three others are held against the result.
    """
    objective = family.objective(float(_LOOKED_AT[0]))
    known = [_numbers(family.objective(float(value))) for value in _LOOKED_AT]

    def exact(value: Fraction) -> list[Fraction]:
        return [_through(value, each, reading) for each in zip(*known, strict=True)]

    for value in (near, 1.3 * near, 7.0):
        stored, wanted = _numbers(family.objective(value)), exact(Fraction(value))
        if len(stored) != len(wanted) or any(
            abs(x - Fraction(y)) > _NEAR * abs(Fraction(y)) for x, y in zip(wanted, stored, strict=True)
        ):
            raise ProblemError(
                "threshold: a bracket is proved where the numbers of a loss are fractions linear in the "
                f"{family.vary}, as those of SupCon and GCL are; got {objective.name}, which depends on it otherwise"
            )

    def loss(value: Fraction) -> LogSums:
        numbers = iter(exact(value))
        return log_sums(objective, lambda _: next(numbers))

    return loss


def _numbers(objective: Objective) -> list[float]:
    """The stored numbers of a loss, in the order in which they are read."""
    found: list[float] = []

    def noted(number: float) -> Fraction:
        found.append(number)
        return Fraction(number)

    log_sums(objective, noted)
    return found


def _through(value: Fraction, known: tuple[float, ...], reading: str) -> Fraction:
    """(a + b x)/(c + d x) at a value, from what it is where it was looked at: cross-ratios are equal."""
    x, y, z = _LOOKED_AT
    at_x, at_y, at_z = (read(number, "fractions") for number in known)
    if at_x == at_y == at_z:
        return read(known[0], reading)
    if value == z:
        return at_z
    if at_y == at_z:
        return Fraction(0)  # of another kind, and will not agree
    ratio = (value - x) * (y - z) / ((value - z) * (y - x)) * (at_y - at_x) / (at_y - at_z)
    return (at_x - ratio * at_z) / (1 - ratio) if ratio != 1 else Fraction(0)
