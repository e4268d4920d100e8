"""A curve f(x, y) = 0 in the plane, followed from a point on it by steps onto small circles."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from ..arrays import Array

_LARGEST_STEP, _SMALLEST_STEP = 0.15, 1e-4
_MOST_POINTS = 4000
# The farthest a step may turn; one that turns less than half of this may be followed by a longer one.
_MOST_TURN = 0.25


def trace(function: Callable[[Array], float], start: Array, low: Array, high: Array) -> Array:
    """(n, 2) points of the curve through `start`, at the edge of the box, until it leaves the box.

    The step shrinks where the curve turns, so folds are followed. Scale the coordinates so that 0.1 is a small step.
    Outside of the box the function is that of the nearest point in it, so the curve leaves at a right angle.
    """
    points = [np.array(start, dtype=np.float64)]
    heading, width, step = _inward(points[0], low, high), math.pi / 2.0, _LARGEST_STEP / 3.0

    def place(angle: float) -> Array:
        return points[-1] + step * np.array([math.cos(angle), math.sin(angle)])

    def height(turn: float) -> float:
        # Infinite where there is no force at all: cut off, for the interpolation.
        return max(-1e3, min(1e3, function(np.clip(place(heading + turn), low, high))))

    while len(points) < _MOST_POINTS and step > _SMALLEST_STEP:
        turn = math.inf
        if (height(-width) > 0) != (height(width) > 0):
            turn = float(brentq(height, -width, width, xtol=1e-14, rtol=1e-15))
        if abs(turn) > (_MOST_TURN if len(points) > 1 else width):
            step /= 2.0
            continue
        there = place(heading + turn)
        inside = np.clip(there, low, high)
        points.append(inside)
        if np.any(inside != there):
            break
        heading, width = heading + turn, math.pi / 3.0
        step = min(1.5 * step, _LARGEST_STEP) if abs(turn) < _MOST_TURN / 2.0 else step
    return np.array(points)


def _inward(point: Array, low: Array, high: Array) -> float:
    """The direction into the box at a point of its edge."""
    axis = int(np.argmin(np.minimum(np.abs(point - low), np.abs(point - high))))
    inward = np.zeros(2)
    inward[axis] = np.sign((low + high)[axis] / 2.0 - point[axis])
    return math.atan2(inward[1], inward[0])
