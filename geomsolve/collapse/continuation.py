"""A curve f(x, y) = 0 in the plane, followed from a point on it: predictor along the tangent, corrector across it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Array

_LARGEST_STEP, _SMALLEST_STEP = 0.15, 1e-4
_MOST_POINTS = 4000


def trace(function: Callable[[Array], float], start: Array, low: Array, high: Array, tol: float = 1e-11) -> Array:
    """(n, 2) points of the curve through `start`, at the edge of the box, until it leaves the box or closes.

    The step shrinks where the curve turns, so folds are followed. Scale the coordinates so that 0.1 is a small step.
    """
    point = np.array(start, dtype=np.float64)
    points = [point]
    centre = (low + high) / 2.0
    direction = _tangent(function, point, low, high)
    # Into the box: towards the side the edge is not on.
    if direction @ _inward(point, low, high, centre) < 0:
        direction = -direction
    step = _LARGEST_STEP / 3.0
    while len(points) < _MOST_POINTS:
        guess = _corrected(function, point + step * direction, low, high, tol)
        if guess is not None and np.linalg.norm(guess - point - step * direction) < 0.3 * step:
            tangent = _tangent(function, guess, low, high)
            turn = tangent @ direction
            tangent = tangent if turn > 0 else -tangent
            if abs(turn) > 0.97:
                if np.any(guess < low) or np.any(guess > high):
                    points.append(_at_edge(function, point, guess, low, high, tol))
                    break
                if len(points) > 5 and np.linalg.norm(guess - points[0]) < step:
                    points.append(points[0])
                    break
                point, direction = guess, tangent
                points.append(point)
                step = min(1.5 * step, _LARGEST_STEP) if abs(turn) > 0.995 else step
                continue
        step /= 2.0
        if step < _SMALLEST_STEP:
            break
    return np.array(points)


def _inward(point: Array, low: Array, high: Array, centre: Array) -> Array:
    edge = np.minimum(np.abs(point - low), np.abs(point - high))
    axis = int(np.argmin(edge))
    inward = np.zeros(2)
    inward[axis] = np.sign(centre[axis] - point[axis])
    return inward


def _gradient(function: Callable[[Array], float], point: Array, low: Array, high: Array) -> Array:
    gradient = np.zeros(2)
    for axis in range(2):
        move = np.zeros(2)
        move[axis] = 1e-5
        # One-sided at the lower edge, below which the function need not exist (a ratio below 1).
        back = point if point[axis] - 1e-5 < low[axis] else point - move
        gradient[axis] = (function(point + move) - function(back)) / (point[axis] + 1e-5 - back[axis])
    return gradient


def _tangent(function: Callable[[Array], float], point: Array, low: Array, high: Array) -> Array:
    gradient = _gradient(function, point, low, high)
    tangent = np.array([-gradient[1], gradient[0]])
    return tangent / np.linalg.norm(tangent)


def _corrected(function: Callable[[Array], float], point: Array, low: Array, high: Array, tol: float) -> Array | None:
    """The nearest zero, by Newton's method along the gradient; None where it does not get there."""
    for _ in range(12):
        point = np.maximum(point, low)
        value = function(point)
        if not np.isfinite(value):
            return None
        if abs(value) <= tol:
            return point
        gradient = _gradient(function, point, low, high)
        point = point - value * gradient / (gradient @ gradient)
    return None


def _at_edge(
    function: Callable[[Array], float], inside: Array, outside: Array, low: Array, high: Array, tol: float
) -> Array:
    """Where the curve between two of its points leaves the box."""
    leaving = np.maximum((outside - high) / (outside - inside + 1e-300), (low - outside) / (inside - outside + 1e-300))
    axis = int(np.argmax(np.where((outside > high) | (outside < low), leaving, -np.inf)))
    edge = high[axis] if outside[axis] > high[axis] else low[axis]
    share = (edge - inside[axis]) / (outside[axis] - inside[axis])
    point = inside + share * (outside - inside)
    other = 1 - axis
    for _ in range(20):  # Newton along the edge
        point[axis] = edge
        value = function(point)
        if abs(value) <= tol:
            break
        slope = _gradient(function, point, low, high)[other]
        point[other] -= value / slope
    return point
