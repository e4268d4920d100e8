"""Unit vectors in few dimensions that minimise a loss: L-BFGS on normalised rows, and a look at the second order."""

import math
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...arrays import Array, Progress
from ...errors import BackendError
from ...geometry.unit_rows import hopped, unit
from .curvature import balance, newton, smallest_curvature
from .lbfgs import lbfgs
from .point_losses import PointLoss

# A scaled curvature above minus this is rounding; below, a way out of a saddle point.
FLAT = 1e-5
# Starts whose excess comes within this share of the best one have reached it.
SAME = 1e-6
# An end within the first share of the best excess is as good to hop from, whether better or worse; a descent ends where
# a tenth of its steps gains less than the second share of how far it is above that.
_NEAR, _SLOW = 1e-3, 0.1
# Ends that agree on the best one after which no other follows; the more do, the more points a hop moves.
_AGREED = 16
# Seconds between two lines of progress.
_TELL = 0.25
_ESCAPES = 10
# What ten steps of the last descent gain, as a share of the excess: what float64 can tell.
_FINE = 1e-14


@dataclass(frozen=True, eq=False)
class Minimum:
    """The best point that descents reached.

    Attributes:
        points: (m, d) unit rows.
        excess: their loss above its floor.
        excesses: that of every start and hop that was descended from, as L-BFGS left it.
        reached: how many of them ended within 1e-6 of the best one.
        residual: the largest net force on a point as a share of the forces that act on it.
        curvature: the smallest eigenvalue of the scaled Hessian, rotations apart (`smallest_curvature`); below 0 at a
            saddle point; None where it was not computed.
        steps: of L-BFGS.
        stopped: "" where descent came to its end, otherwise why not: "seconds", "interrupt" or "steps".
        seconds: wall time.
    """

    points: Array
    excess: float
    excesses: Array
    reached: int
    residual: float
    curvature: float | None
    steps: int
    stopped: str
    seconds: float


def minimise(
    loss: PointLoss,
    starts: Sequence[Any],
    *,
    positive: bool,
    rough: PointLoss | None = None,
    hops: int = 0,
    seed: int = 0,
    gain: float = 1e-9,
    tol: float = 1e-12,
    max_steps: int = 2000,
    seconds: float | None = None,
    polish: bool = True,
    second_order: bool = True,
    progress: Progress | None = None,
) -> Minimum:
    """The best local minimum over unit rows that the starts lead to.

    L-BFGS runs on rows x of any length, of which the loss sees the directions x / |x|, and on the logarithm of the loss
    above its floor (or that loss in units of the start's, where it need not be positive). The best end is polished by
    Newton steps, and where its smallest curvature is negative (`smallest_curvature`) the points move along it and
    descend again.

    Args:
        loss: of unit rows, in float64.
        starts: (m, d) unit rows each, d >= 2; NumPy's arrays, or JAX's where the loss takes them.
        positive: whether the loss above its floor is positive whatever the points.
        rough: the same loss in float32, whose rows are so too; descent goes as far as it can by this one first.
        hops: further starts, each the last end near the best one with a few points at random places; fewer where
            sixteen ends agree.
        seed: of those.
        gain: a descent ends when a tenth of its steps (at least ten) gained less than this share of the excess.
        tol: Newton steps end when no net force is a larger share of the forces on a point.
        max_steps: L-BFGS steps a start.
        seconds: all of it ends about then, with the best so far; so it does at Ctrl-C.
        polish: whether Newton steps follow.
        second_order: whether the curvature is looked at after them.
        progress: called with a line of text now and then.

    Raises:
        BackendError: the loss is not a number at any start.

    Cost: a step is one or two evaluations; the second order a few hundred.
    """
    descent = _Descent(loss, rough, positive, gain, tol, max_steps, seconds, progress)
    return descent.of(starts, hops, np.random.default_rng(seed), polish, second_order)


class _Descent:
    """One call of `minimise`: its losses, its clock and what it has found so far."""

    def __init__(
        self, loss: PointLoss, rough: PointLoss | None, positive: bool, gain: float, tol: float, max_steps: int,
        seconds: float | None, progress: Progress | None,
    ):  # fmt: skip
        self.loss, self.rough, self.positive = loss, rough, positive
        self.gain, self.tol, self.max_steps = gain, tol, max_steps
        self.progress = progress or (lambda line: None)
        self.begun, self.told = time.perf_counter(), -math.inf
        self.seconds = math.inf if seconds is None else seconds
        self.steps, self.stopped = 0, ""
        self.latest: Any = None
        self.curvature: float | None = None

    def of(
        self, starts: Sequence[Any], hops: int, rng: np.random.Generator, polish: bool, second_order: bool
    ) -> Minimum:
        ends, last = list[tuple[float, Any]](), (math.inf, starts[0])
        try:
            for number in range(len(starts) + hops):
                best = min((excess for excess, _ in ends), default=math.inf)
                agreed = sum(excess - best <= SAME * abs(best) for excess, _ in ends)
                if agreed >= _AGREED or agreed == number == len(starts) > 2:
                    break
                start = starts[number] if number < len(starts) else hopped(last[1], rng, agreed // 2)
                near = best + _NEAR * abs(best)
                ends.append(self._start(start, f"start {number + 1} of {len(starts) + hops}", near))
                if number == 0 or ends[-1][0] <= near:
                    last = ends[-1]
        except (KeyboardInterrupt, TimeoutError) as error:
            self._stop(error)
            ends.append(self._end())
        excesses = np.array([excess if math.isfinite(excess) else math.inf for excess, _ in ends])
        if not np.isfinite(excesses).any():
            raise BackendError("descent: the loss is not a number at any start")
        excess, points = ends[int(np.argmin(excesses))]
        reached = int(np.count_nonzero(excesses - excess <= SAME * abs(excess)))
        points = np.asarray(points)
        if polish and self.stopped not in ("seconds", "interrupt"):
            self.latest = points
            try:
                self._finish(second_order)
            except (KeyboardInterrupt, TimeoutError) as error:
                self._stop(error)
            after, points = self._end()
            if after < excess * (1.0 - SAME) and excess > 0:
                reached = 1  # a saddle point was left: nothing else has been here
            excess = after
        return Minimum(
            points, excess, excesses, reached, balance(self.loss, points)[0], self.curvature, self.steps, self.stopped,
            time.perf_counter() - self.begun,
        )  # fmt: skip

    def _stop(self, error: BaseException) -> None:
        self.stopped = "interrupt" if isinstance(error, KeyboardInterrupt) else "seconds"

    def _end(self) -> tuple[float, Any]:
        """The loss above its floor at the latest points, and these."""
        points = unit(self.latest)
        return float(self.loss.slope(points)[0]), points

    def _start(self, start: Any, label: str, near: float) -> tuple[float, Any]:
        """The loss above its floor and the points where L-BFGS leaves a start."""
        self.latest, full = start, False
        if self.rough is not None:
            full = self._down(self.rough, start.astype(np.float32), label, near)
        if not full:
            full = self._down(self.loss, self.latest.astype(np.float64), label, near)
        self.stopped = "steps" if full else ""
        return self._end()

    def _down(self, loss: PointLoss, start: Any, label: str, near: float = math.inf) -> bool:
        """Take the latest points down; whether that ended at the most steps."""
        scale = abs(float(loss.slope(unit(start))[0])) or 1.0
        self.latest, values, first = start, deque[float](), self.steps
        for x, value in lbfgs(lambda rows: self._value(loss, scale, rows), start):
            self.latest = x
            self.steps += 1
            excess = scale * (math.exp(value) if self.positive else value)
            self._tell(label, excess)
            values.append(excess)
            while len(values) > max(10, (self.steps - first) // 10):
                if values.popleft() - excess <= max(self.gain * abs(excess), _SLOW * (excess - near)):
                    return False
            self._check_clock()
            if self.steps - first >= self.max_steps:
                return True
        return False

    def _value(self, loss: PointLoss, scale: float, x: Any) -> tuple[float, Any]:
        """What is minimised, as a function of rows of any length, and its derivative."""
        xp = x.__array_namespace__()
        lengths = xp.sqrt(xp.sum(x * x, axis=1, keepdims=True))
        points = x / lengths
        excess, slope = loss.slope(points)
        excess = float(excess)
        factor = 1.0 / scale
        if self.positive:
            if not excess > 0:
                return math.inf, slope
            excess, factor = scale * math.log(excess / scale), 1.0 / excess
        slope = factor * slope / lengths
        return excess / scale, slope - xp.sum(slope * points, axis=1, keepdims=True) * points

    def _tell(self, label: str, excess: float) -> None:
        now = time.perf_counter()
        if now - self.told > _TELL:
            self.told = now
            left = self.seconds - (now - self.begun)
            clock = f"{now - self.begun:.0f} s" if left == math.inf else f"{max(left, 0.0):.0f} s left"
            self.progress(f"descent: {label}, step {self.steps}, loss above its floor {excess:.8g}, {clock}")

    def _check_clock(self) -> None:
        if time.perf_counter() - self.begun > self.seconds:
            raise TimeoutError

    def _finish(self, second_order: bool) -> None:
        """On to the local minimum near by, and its smallest curvature; saddle points on the way are left."""
        if not self.stopped and self.gain > _FINE:
            self._further(self.latest, "the best one")
        for escape in range(_ESCAPES + 1):
            points = self.latest = newton(self.loss, self.latest, self.tol, self._check_clock)
            if not second_order:
                return
            self.curvature, direction = smallest_curvature(self.loss, points, self._check_clock)
            if self.curvature is None or self.curvature >= -FLAT or escape == _ESCAPES:
                return
            before = self.loss.slope(points)[0]
            trials = [unit(points + side * 0.5**k * direction) for k in range(12) for side in (1.0, -1.0)]
            values = [self.loss.slope(trial)[0] for trial in trials]
            if not min(values) < before:
                return
            self.progress(f"descent: a saddle point, curvature {self.curvature:.1e}: on along it")
            self._further(trials[int(np.argmin(values))], "from a saddle point")

    def _further(self, points: Array, label: str) -> None:
        self.gain, self.curvature = min(self.gain, _FINE), None
        self._down(self.loss, points, label)
        self.latest = np.asarray(unit(self.latest))
