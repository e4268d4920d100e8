"""Sphere codes: points whose largest cosine is as small as descent finds, and what no points can go below."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from ...arrays import Array, Progress
from ...errors import ProblemError
from ..descent.factor_descent import minimise

# From temperature to temperature, until that many powers of ten below the first.
_FIRST, _FALL, _LAST = 0.3, 0.4, 1e-5


@dataclass(frozen=True, eq=False)
class SphereCode:
    """Points on a sphere, far from one another.

    Attributes:
        points: (N, d) unit rows.
        bound: proved: N points in d dimensions have a largest cosine of at least this.
        restarts: how many starts were descended from.
    """

    points: Array
    bound: float
    restarts: int

    @property
    def cosine(self) -> float:
        """The largest cosine of two of the points."""
        gram = self.points @ self.points.T
        np.fill_diagonal(gram, -1.0)
        return float(min(gram.max(), 1.0))

    @property
    def degrees(self) -> float:
        """The smallest angle between two of the points."""
        return math.degrees(math.acos(self.cosine))

    def __repr__(self) -> str:
        count, dim = self.points.shape
        return (
            f"SphereCode({count} points in {dim} dimensions, largest cosine {self.cosine:.8g}, bound {self.bound:.8g})"
        )


def sphere_code(
    count: int,
    dim: int,
    *,
    restarts: int | None = None,
    seed: int = 0,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> SphereCode:
    """`count` points on the sphere of `dim` coordinates whose largest cosine is as small as descent finds.

    The limit of a contrastive loss of equal classes at temperature 0 (Tammes' problem): tau log sum e^{z_i . z_j/tau}
    over all pairs is descended at lower and lower tau.

    Args:
        count: N >= 2.
        dim: d >= 2.
        restarts: random starts, the best end counts; None: 32 for the fewest points, 1 above 1000 numbers.
        seed: of the starts.
        seconds: the descents end about then with the best so far; None: no limit.
        progress: called with a line of text now and then.

    Raises:
        ProblemError: a number that is too small.

    Cost: O(N^2 d) a step, some hundred steps a temperature, thirteen temperatures.
    Source: the bound is Levenshtein's (1979) to 2 d + 1 and more points, in three dimensions Fejes Toth's (1943).
    """
    if restarts is None:
        restarts = int(np.clip(2000 // max(count * dim, 1), 1, 32))
    for name, number, least in (("count", count, 2), ("dim", dim, 2), ("restarts", restarts, 1)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
            raise ProblemError(f"{name}: must be a whole number of at least {least}; got {number!r:.40}")
    rng = np.random.default_rng(seed)
    steps = int(math.log(_LAST / _FIRST) / math.log(_FALL)) + 2
    share = None if seconds is None else seconds / (restarts * steps)
    codes = []
    for start in range(restarts):
        points = rng.standard_normal((count, dim))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        # Every other start begins colder: from hot on many lead to the same place.
        for step in range(3 * (start % 2), steps):
            loss = _Crowding(_FIRST * _FALL**step)
            found = minimise(
                loss, [points], positive=False, gain=1e-12, polish=False, max_steps=400, seconds=share,
                progress=progress,
            )  # fmt: skip
            points = found.points
        codes.append(SphereCode(points, code_bound(count, dim), restarts))
    return min(codes, key=lambda code: code.cosine)


class _Crowding:
    """1 + tau log sum_{i != j} e^{z_i . z_j / tau}, a smooth largest cosine: a `PointLoss`."""

    def __init__(self, temperature: float):
        self.temperature = temperature

    def _shares(self, points: Array) -> tuple[float, Array]:
        cosines = points @ points.T
        np.fill_diagonal(cosines, -np.inf)
        top = float(cosines.max())
        shares = np.exp((cosines - top) / self.temperature)
        total = shares.sum()
        return 1.0 + top + self.temperature * math.log(total), shares / total

    def slope(self, points: Array) -> tuple[float, Array]:
        value, shares = self._shares(points)
        return value, 2.0 * shares @ points

    def pulls(self, points: Array) -> Array:
        return 2.0 * self._shares(points)[1].sum(axis=1)


def code_bound(count: int, dim: int) -> float:
    """A cosine that the two nearest of `count` points on the sphere of `dim` coordinates are proved to have or exceed.

    -1/(N - 1) to N = d + 1 (the simplex), 0 to 2 d (Rankin), then where it applies the s that solves
    N = d (1 - s)(2 + (d + 1) s)/(1 - d s^2) (Levenshtein), s <= (sqrt(d + 3) - 1)/(d + 2). In the plane cos(2 pi/N); in
    three dimensions also (cot^2(w) - 1)/2, w = N pi/(6 (N - 2)) (Fejes Toth).
    """
    if count <= dim + 1:
        return -1.0 / (count - 1)
    if dim == 2:
        return math.cos(2.0 * math.pi / count)
    if count <= 2 * dim:
        return 0.0
    best, last = 0.0, (math.sqrt(dim + 3.0) - 1.0) / (dim + 2.0)

    def points(s: float) -> float:
        return dim * (1.0 - s) * (2.0 + (dim + 1.0) * s) / (1.0 - dim * s**2)

    best = last if points(last) <= count else float(brentq(lambda s: points(s) - count, 0.0, last, xtol=1e-15))
    if dim == 3:
        angle = count * math.pi / (6.0 * (count - 2.0))
        best = max(best, (1.0 / math.tan(angle) ** 2 - 1.0) / 2.0)
    return best
