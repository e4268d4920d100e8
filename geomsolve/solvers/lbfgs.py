"""L-BFGS on the device, for points too many to send to the host and back at every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any

# Of an accepted step: the share of the decrease promised, and of the slope left (weak Wolfe conditions).
_DECREASE, _SLOPE = 1e-4, 0.9
_MOST_TRIALS = 25


def minimise(
    function: Callable[[Any], tuple[Any, Any]],
    start: Any,
    *,
    memory: int,
    max_steps: int,
    ftol: float,
    gtol: float,
    each: Callable[[], None],
) -> Any:
    """Where a smooth function is lowest near `start`, as far as its values can tell.

    Line search by bisection (Lewis & Overton 2013), which ends where rounding hides the decrease.

    Args:
        function: gives a value and a gradient, compiled.
        start: an array on the device.
        memory: how many steps are remembered; 2 memory + 5 arrays of the size of `start` are held.
        max_steps: iterations.
        ftol: ends when the value falls by less than this times max(|value|, 1).
        gtol: ends when no entry of the gradient is larger.
        each: called after every step.
    """
    tools = _tools()
    past: deque[tuple[Any, Any, Any]] = deque(maxlen=memory)
    x, (value, gradient) = start, function(start)
    for _ in range(max_steps):
        if float(tools["largest"](gradient)) <= gtol:
            break
        direction, slope, size = tools["direction"](gradient, tuple(past))
        if not float(slope) < 0:
            past.clear()
            direction, slope, size = tools["direction"](gradient, ())
        step = 1.0 if past else min(1.0, 1.0 / max(float(size), 1e-300))
        found = _search(function, tools["move"], x, direction, float(value), float(slope), step, tools["dot"])
        if found is None:
            if not past:
                break
            past.clear()  # once more, downhill
            continue
        before = float(value)
        moved, value, new = found
        if len(past) == memory:
            past.popleft()
        change = tools["change"](moved, x, new, gradient)
        x, gradient = moved, new
        if float(change[2]) > 0:
            past.append(change)
        each()
        if before - float(value) <= ftol * max(abs(before), abs(float(value)), 1.0):
            break
    return x


def _search(
    function: Any, move: Any, x: Any, direction: Any, value: float, slope: float, step: float, dot: Any
) -> tuple[Any, Any, Any] | None:
    low, high = 0.0, float("inf")
    for _ in range(_MOST_TRIALS):
        moved = move(x, direction, step)
        there, gradient = function(moved)
        if not float(there) <= value + _DECREASE * step * slope:
            high = step
        elif float(dot(gradient, direction)) < _SLOPE * slope:
            low = step
        else:
            return moved, there, gradient
        step = 2.0 * step if high == float("inf") else 0.5 * (low + high)
    return None


@cache
def _tools() -> dict[str, Any]:
    import jax
    import jax.numpy as jnp

    def direction(gradient: Any, past: tuple) -> tuple[Any, Any, Any]:
        """The two-loop recursion, its slope along the gradient, and its length."""
        d, shares = -gradient, []
        for s, y, product in reversed(past):
            share = jnp.sum(s * d) / product
            d = d - share * y
            shares.append(share)
        if past:
            _, y, product = past[-1]
            d = d * (product / jnp.sum(y**2))
        for (s, y, product), share in zip(past, reversed(shares), strict=True):
            d = d + (share - jnp.sum(y * d) / product) * s
        return d, jnp.sum(d * gradient), jnp.sqrt(jnp.sum(d**2))

    def change(moved: Any, x: Any, new: Any, gradient: Any) -> tuple[Any, Any, Any]:
        s, y = moved - x, new - gradient
        return s, y, jnp.sum(s * y)

    return {
        "change": jax.jit(change),
        "direction": jax.jit(direction),
        "dot": jax.jit(lambda a, b: jnp.sum(a * b)),
        "largest": jax.jit(lambda a: jnp.max(jnp.abs(a))),
        "move": jax.jit(lambda x, direction, step: x + step * direction),
    }
