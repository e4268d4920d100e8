"""Where a function of one parameter changes its sign: all places, by stepping no farther than its slope allows."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scipy.optimize import brentq

Function = Callable[[float], float]


@dataclass(frozen=True)
class Crossing:
    """One sign change of an order parameter: positive where classes are apart, negative where they are together.

    Attributes:
        value: the critical value of the parameter (of a whole-numbered one, the last before the change).
        bracket: two values around it, as close as rounding allows, at which the order parameter has opposite signs.
        residual: the size of the order parameter at `value`.
        collapses: "above" or "below": on which side of `value` classes are together.
    """

    value: float
    bracket: tuple[float, float]
    residual: float
    collapses: str

    def side(self, parameter: str) -> str:
        """Where classes are together, in words."""
        if parameter != "negatives":
            return f"{self.collapses} {parameter} {self.value:.12g}"
        low, high = self.bracket
        return f"from k = {high:g} on" if self.collapses == "above" else f"up to k = {low:g}"


def crossings(
    order: Function,
    start: float,
    stop: float,
    *,
    slope: float,
    step: float,
    at: Function = float,
    resolution: float = 1e-15,
) -> Iterator[Crossing]:
    """The crossings in ascending order of x, the parameter `at(x)`, x from `start` to `stop`.

    Where |order| is h and its slope in x at most `slope`, there is no zero within h/slope, and it steps that far. Near
    zero it steps `step`, or farther where it has just seen a smaller slope, up to 16 of them. Two zeros closer together
    than that can be missed.
    """
    place, value, seen = start, order(at(start)), slope
    while place < stop:
        safe, likely = abs(value) / slope, abs(value) / max(4.0 * seen, 1e-300)
        there = min(place + max(step, safe, min(likely, 16.0 * step)), stop)
        found = order(at(there))
        if (value > 0) != (found > 0):
            yield refine(order, *sorted((at(place), at(there))), resolution=resolution)
        if abs(value - found) < abs(value):  # not infinite
            seen = abs(value - found) / (there - place)
        place, value = there, found


def refine(order: Function, low: float, high: float, *, resolution: float = 1e-15) -> Crossing:
    """The crossing between two values of opposite sign, to the last digits that `order` resolves.

    It looks no closer than `resolution`, relative.
    """
    order = functools.cache(order)  # zero to rounding, it may not have the same sign each time it is asked
    at_low, at_high = order(low), order(high)
    if (at_low > 0) == (at_high > 0):
        # One end is zero to rounding: look on both sides of it.
        nearest = low if abs(at_low) < abs(at_high) else high
        low, high = 0.999 * nearest, 1.001 * nearest
        at_low = order(low)
    falling = at_low > 0
    # Infinite at one end (no force at all) would stop the interpolation: cut it off.
    value = float(brentq(lambda s: max(-1e3, min(1e3, order(s))), low, high, xtol=1e-300, rtol=resolution, maxiter=500))
    width = resolution * abs(value)
    while width < 1e-3 * abs(value):
        ends = max(value - width, low), min(value + width, high)
        if (order(ends[0]) > 0) == falling and (order(ends[1]) > 0) != falling:
            low, high = ends
            break
        width *= 2.0
    return Crossing(value, (low, high), abs(order(value)), "above" if falling else "below")


def whole_crossings(order: Function, most: int) -> list[Crossing]:
    """The crossings in whole numbers from 1 to `most`, found between powers of 2: two within one octave are missed."""
    octaves = [2**j for j in range(int(math.log2(most)) + 1)]
    apart = [order(k) > 0 for k in octaves]
    found = []
    for j in range(len(octaves) - 1):
        if apart[j] == apart[j + 1]:
            continue
        low, high = octaves[j], octaves[j + 1]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if (order(middle) > 0) == apart[j] else (low, middle)
        found.append(Crossing(float(low), (float(low), float(high)), abs(order(low)), "above" if apart[j] else "below"))
    return found
