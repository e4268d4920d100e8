"""Ball arithmetic: numbers with a bound of their error, kept by every operation (python-flint, the Arb library)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .errors import BackendError


def flint() -> Any:
    """The module, imported when first asked for.

    Raises:
        BackendError: it is not installed.
    """
    try:
        import flint as module
    except ImportError as error:
        raise BackendError(
            f'prove: needs python-flint, which is not installed ({error}): pip install "geomsolve[verify]"; '
            "without it the margins of `witness` and `excess`, in floating point, are what there is"
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
