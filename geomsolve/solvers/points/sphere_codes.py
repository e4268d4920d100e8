"""Sphere codes: points whose largest cosine is as small as descent finds, and what no points can go below."""

import math
import time
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, linprog
from scipy.sparse import csr_array

from ...arrays import Array, Progress
from ...errors import ProblemError
from ...geometry.unit_rows import unit
from ..descent.factor_descent import minimise

# Temperatures: every other start begins at the second, from the first on many lead to the same place.
_HOT, _COLD, _FALL, _LAST = 0.3, 0.02, 0.4, 2e-3
# The best ends go on to the temperature where float64 loses the cosines, or where linear programs are small, by them.
_BEST, _COLDEST, _LINEAR, _ROUNDS = 4, 1e-5, 500, 40


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
        return _largest_cosine(self.points)

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
    over all pairs is descended at lower and lower tau from every start, and the best ends go on, up to 500 numbers by
    linear programs for the moves that part the nearest pairs, to a largest cosine that no small move lowers.

    Args:
        count: N >= 2.
        dim: d >= 2.
        restarts: random starts, the best end counts; None: 64 up to 156 numbers (N d), 1 above 5000.
        seed: of the starts.
        seconds: the descents end about then with the best so far; None: no limit.
        progress: called with a line of text now and then.

    Raises:
        ProblemError: a number that is too small.

    Cost: O(N^2 d) a step, some hundred steps a temperature, four to seven temperatures a start and six for the best.
    Source: the bound is Levenshtein's (1979) to 2 d + 1 and more points, in three dimensions Fejes Toth's (1943).
    """
    if restarts is None:
        restarts = int(np.clip(10_000 // max(count * dim, 1), 1, 64))
    for name, number, least in (("count", count, 2), ("dim", dim, 2), ("restarts", restarts, 1)):
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
            raise ProblemError(f"{name}: must be a whole number of at least {least}; got {number!r:.40}")
    rng = np.random.default_rng(seed)
    until = math.inf if seconds is None else time.perf_counter() + seconds
    # Half of the time is for the starts, half for finishing the best.
    share = None if seconds is None else seconds / 2.0
    codes = []
    for start in range(restarts):
        points = unit(rng.standard_normal((count, dim)))
        first = _COLD if start % 2 else _HOT
        codes.append(_cooled(points, first, _LAST, 1e-6, share and share / restarts, progress))
    codes = sorted(codes, key=_largest_cosine)[:_BEST]
    for index, points in enumerate(codes):
        if points.size > _LINEAR:
            points = _cooled(points, _FALL * _LAST, _COLDEST, 1e-12, share and share / len(codes), progress)
        codes[index] = points if points.size > _LINEAR else _parted(points, until)
    return SphereCode(min(codes, key=_largest_cosine), code_bound(count, dim), restarts)


def _cooled(
    points: Array, first: float, last: float, gain: float, seconds: float | None, progress: Progress | None
) -> Array:
    """The points after descents at lower and lower temperatures."""
    temperatures = first * _FALL ** np.arange(math.ceil(math.log(last / first) / math.log(_FALL)) + 1)
    for temperature in temperatures:
        points = minimise(
            _Crowding(temperature), [points], positive=False, gain=gain, polish=False, max_steps=400,
            seconds=seconds and seconds / len(temperatures), progress=progress,
        ).points  # fmt: skip
    return points


def _parted(points: Array, until: float) -> Array:
    """The points where no small move lowers the largest cosine: linear programs, each within a trust region."""
    count, dim = points.shape
    radius = 0.1
    own = np.zeros((count, count * dim + 1))
    for _ in range(_ROUNDS):
        gram, largest = points @ points.T, _largest_cosine(points)
        i, j = np.nonzero(np.triu(gram >= largest - 3.0 * radius, 1))
        pairs = np.zeros((len(i), count, dim))
        pairs[np.arange(len(i)), i], pairs[np.arange(len(i)), j] = points[j], points[i]
        rows = np.column_stack([pairs.reshape(len(i), -1), -np.ones(len(i))])
        own[:, :-1] = (np.eye(count)[:, :, None] * points).reshape(count, -1)
        cost = np.append(np.zeros(count * dim), 1.0)
        bounds = [(-radius, radius)] * (count * dim) + [(-1.0, 1.0)]
        found = linprog(cost, csr_array(rows), -gram[i, j], csr_array(own), np.zeros(count), bounds)
        if found.x is None or time.perf_counter() > until or not found.x[-1] < largest - 1e-15:
            return points
        moved = unit(points + found.x[:-1].reshape(count, dim))
        gained = largest - _largest_cosine(moved)
        if gained > 0:
            points = moved
        if gained < 0.25 * (largest - found.x[-1]):
            radius = max(radius / 4.0, 1e-12)
    return points


def _largest_cosine(points: Array) -> float:
    gram = points @ points.T
    np.fill_diagonal(gram, -1.0)
    return float(min(gram.max(), 1.0))


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
