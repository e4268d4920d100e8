"""L-BFGS as a sequence of points, on NumPy's arrays and on JAX's where they are."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

# Steps remembered; of an accepted step the share of the decrease promised, and of the slope left (weak Wolfe).
_MEMORY, _DECREASE, _SLOPE, _TRIALS = 10, 1e-4, 0.9, 25


def lbfgs(function: Callable[[Any], tuple[float, Any]], x: Any) -> Iterator[tuple[Any, float]]:
    """The points and values that L-BFGS steps through from x; it ends where rounding hides any decrease.

    Works on NumPy's arrays and on JAX's where they are. The line search is Lewis & Overton's bisection (2013).
    """
    past: deque[tuple[Any, Any, float]] = deque(maxlen=_MEMORY)
    value, gradient = function(x)
    while True:
        direction = _direction(gradient, past)
        slope = _dot(direction, gradient)
        if not slope < 0 and past:
            past.clear()
            continue
        if not slope < 0:
            return
        step = 1.0 if past else min(1.0, 1.0 / math.sqrt(-slope))
        found = _search(function, x, direction, value, slope, step)
        if found is None and past:
            past.clear()  # once more, downhill
            continue
        if found is None:
            return
        moved, value, new = found
        change, bent = moved - x, new - gradient
        x, gradient = moved, new
        product = _dot(change, bent)
        if product > 0:
            past.append((change, bent, product))
        yield x, value


def _direction(gradient: Any, past: deque[tuple[Any, Any, float]]) -> Any:
    """Minus the gradient times the inverse Hessian that the past suggests, by the two-loop recursion."""
    direction, shares = -gradient, []
    for change, bent, product in reversed(past):
        share = _dot(change, direction) / product
        direction = direction - share * bent
        shares.append(share)
    if past:
        _, bent, product = past[-1]
        direction = direction * (product / _dot(bent, bent))
    for (change, bent, product), share in zip(past, reversed(shares), strict=True):
        direction = direction + (share - _dot(bent, direction) / product) * change
    return direction


def _search(
    function: Callable[[Any], tuple[float, Any]], x: Any, direction: Any, value: float, slope: float, step: float
) -> tuple[Any, float, Any] | None:
    low, high = 0.0, math.inf
    for _ in range(_TRIALS):
        moved = x + step * direction
        there, gradient = function(moved)
        if not there <= value + _DECREASE * step * slope:
            high = step
        elif _dot(gradient, direction) < _SLOPE * slope:
            low = step
        else:
            return moved, there, gradient
        step = 2.0 * step if high == math.inf else 0.5 * (low + high)
    return None


def _dot(a: Any, b: Any) -> float:
    return float(a.ravel() @ b.ravel())
