"""Ball arithmetic: numbers with a bound of their error, kept by every operation (python-flint, the Arb library)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import BackendError

_WITHOUT = {
    "prove": "the margins of `witness` and `excess`, in floating point, are what there is",
    "verify": "the certificate of `solve`, in floating point, is what there is",
}


def flint(purpose: str = "prove") -> Any:
    """The module, imported when first asked for.

    Raises:
        BackendError: it is not installed.
    """
    try:
        import flint as module
    except ImportError as error:
        raise BackendError(
            f'{purpose}: needs python-flint, which is not installed ({error}): pip install ".[verify]"; '
            f"without it {_WITHOUT[purpose]}"
        ) from None
    return module


@contextmanager
def precision(bits: int) -> Iterator[None]:
    """So many bits inside, as many as before outside."""
    context = flint().ctx
    before = context.prec
    context.prec = bits
    try:
        yield
    finally:
        context.prec = before


def rounded_up(ball: Any) -> float:
    """A double that no point of the ball exceeds."""
    value = float(ball.upper())
    while not ball <= flint().arb(value):
        value = float(np.nextafter(value, np.inf))
    return value


def ball(number: Fraction | int) -> Any:
    """A ball around an exact number."""
    module = flint()
    exact = Fraction(number)
    return module.arb(module.fmpq(exact.numerator, exact.denominator))


def positive_definite(matrix: Sequence[Sequence[Any]]) -> bool:
    """Whether every symmetric matrix in the balls is positive definite; False where that is not proved.

    By elimination: all pivots are positive. Only the upper half is read.
    """
    rest = [list(row) for row in matrix]
    for k in range(len(rest)):
        pivot = rest[k][k]
        if not pivot > 0:
            return False
        for i in range(k + 1, len(rest)):
            share = rest[k][i] / pivot
            row, above = rest[i], rest[k]
            for j in range(i, len(rest)):
                row[j] -= share * above[j]
    return True


def decimal(number: Any, places: int, *, up: bool | None = None) -> str:
    """A ball without radius, in decimals: rounded to the nearest, or up, or down (up=False); exactly."""
    scaled = number.fmpq() * 10**places
    nearest = scaled + flint().fmpq(1, 2)
    whole = nearest.floor() if up is None else scaled.ceil() if up else scaled.floor()
    return f"{Decimal(f'{whole}e-{places}'):f}"
