"""Critical values checked by descent: on one side of them it must collapse, on the other it must not."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from .. import __version__
from ..arrays import Progress
from ..certificates.certificate import certify
from ..counts.counts import Counts
from ..errors import ProblemError
from ..geometry.orbits import OrbitGram
from ..results import Result
from ..solvers.base import Termination
from ..solvers.crosschecks import CONCLUSIVE, MOST_DESCENDED
from ..solvers.descent.descent import NO_GPU, Descent, check_device
from ..text import attributes, number, sentence, table
from .crossings import Crossing
from .growing import GrowingCounts
from .thresholds import Threshold, threshold
from .two_levels import Builder, TwoLevels

# What `opening` is in one point, and how far from 0 a geometry is called open. Near a critical value it grows like the
# distance from it; between the two, descent has not converged.
_CLOSED, _OPEN = 1e-8, 1e-6


@dataclass(frozen=True)
class CollapseSide:
    """What descent finds on one side of a critical value.

    Attributes:
        value: of the parameter.
        predicted: whether the classes are collapsed there, by `threshold`.
        opening: 0 where collapsed: 1 minus the mean cosine of two minority classes; for given counts, the smallest
            eigenvalue of the Gram matrix besides the one that is always 0. None where there is no answer.
        relative_gap: of the descent's own certificate.
        verdict: "agrees", "disagrees", "inconclusive" (its certificate is too weak to speak, or the opening is neither
            0 nor not), or "not applicable".
        seconds: wall time.
        message: what the descent says.
    """

    value: float
    predicted: bool
    opening: float | None
    relative_gap: float | None
    verdict: str
    seconds: float
    message: str


@dataclass(frozen=True, eq=False, repr=False)
class CollapseCheck(Result):
    """A critical value and what descent says of it.

    Attributes:
        threshold: the critical value; its `value` may be None.
        opening: what the openings of the sides are, in words.
        sides: below and above the critical value; where there is none, one point that has the phase found everywhere.
        agree: every side agrees with the prediction.
        compared: whether any side was conclusive.
    """

    threshold: Threshold
    opening: str
    sides: tuple[CollapseSide, ...]
    agree: bool
    compared: bool

    @property
    def ok(self) -> bool:
        """Whether descent agrees."""
        return self.agree

    @property
    def summary(self) -> str:
        """Whether descent agrees."""
        return f"{self.threshold.problem}: {self._verdict}"

    @property
    def _verdict(self) -> str:
        if not self.compared:
            return "Nothing to compare with: descent is not conclusive here."
        return "Descent agrees." if self.agree else "Descent does NOT agree."

    def to_dict(self) -> dict[str, Any]:
        """The check of a critical value as a dictionary."""
        names = ("value", "predicted", "opening", "relative_gap", "verdict", "seconds", "message")
        return {
            "agree": self.agree if self.compared else None,
            **attributes(self.threshold, "problem", "parameter", "value", "reason"),
            "opening": self.opening,
            "sides": [attributes(side, *names) for side in self.sides],
            "version": __version__,
        }

    def lines(self) -> list[str]:
        """The check of a critical value as a table."""
        found = self.threshold
        rows = [
            (
                f"{side.value:.10g}",
                "collapsed" if side.predicted else "apart",
                number(side.opening, ".1e"),
                side.verdict,
                number(side.relative_gap, ".1e"),
                number(side.seconds, ".2f"),
            )
            for side in self.sides
        ]
        notes = [
            f"  {found.parameter} {side.value:.10g}: {sentence(side.message)}"
            for side in self.sides
            if side.verdict != "agrees" or side.message.startswith(NO_GPU)
        ]
        return [
            found.problem,
            found.reason[:1].upper() + found.reason[1:] + ".",
            "",
            *table([(found.parameter, "predicted", "opening", "descent", "rel. gap", "seconds"), *rows]),
            *notes,
            "",
            f"{self._verdict} Opening: {self.opening}; 0 where collapsed.",
        ]


def crosscheck_threshold(
    builder: Builder,
    counts: Counts | ArrayLike | None = None,
    *,
    delta: float = 0.02,
    seeds: int = 1,
    device: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> CollapseCheck:
    """Whether descent over embeddings collapses beyond a critical value, and only there.

    `threshold` finds the value without minimising anything: from a multiplier, or an eigenvalue of the stationarity
    equations. Here the loss itself, written a second time, is descended from random points at `delta` below and above
    it, and every answer judged by `certify`. Where there is no critical value, one problem is descended: ratio 10, or
    the given counts.

    Args:
        builder: the loss, as in `threshold`.
        counts: class counts, in place of majority and minority.
        delta: how far to go from the critical value, as a share of it; for a number of negatives, the next whole one.
        seeds: random starts of the descent.
        device: "cpu", "gpu" or None for JAX's default.
        progress: called with a line of text as the work goes on.
        options: whatever else `threshold` takes: vary, majority, minority, per_class, ratio, and those of the builder.

    Raises:
        ProblemError: as `threshold`, or a delta that is not between 1e-4 and 0.5.

    Cost: that of `threshold`, and two descents of full dimension; up to 600 classes.
    """
    check_device(device)
    if not 1e-4 <= delta <= 0.5:
        raise ProblemError(f"delta: must be between 1e-4 and 0.5, a share of the critical value; got {delta:g}")
    found = threshold(builder, counts, certify=False, progress=progress, **options)
    family = found.family
    descent = Descent(restarts=seeds, device=device)
    sides = []
    for value, predicted in _values(found, family, delta):
        if progress:
            state = "collapsed" if predicted else "apart"
            progress(f"descent at {found.parameter} {value:.12g}, {state} by prediction")
        sides.append(_side(family, value, predicted, descent, progress))
    verdicts = [side.verdict for side in sides]
    agree = bool(verdicts) and all(verdict == "agrees" for verdict in verdicts)
    compared = any(verdict in ("agrees", "disagrees") for verdict in verdicts)
    return CollapseCheck(found, family.opening_words, tuple(sides), agree, compared)


def _values(found: Threshold, family: TwoLevels | GrowingCounts, delta: float) -> list[tuple[float, bool]]:
    """Where to descend, and whether collapse is predicted there."""
    if not found.crossings:
        value = 10.0 if found.parameter == "ratio" else 1.0
        order = family.order(value)
        return [] if math.isnan(order) else [(value, order <= 0)]
    first: Crossing = found.crossings[0]
    values = first.bracket
    if found.parameter != "negatives":
        values = first.value * (1.0 - delta), first.value * (1.0 + delta)
    above = first.collapses == "above"
    sides = [(values[0], not above), (values[1], above)]
    return [side for side in sides if found.parameter != "ratio" or side[0] >= 1.0]


def _side(
    family: TwoLevels | GrowingCounts, value: float, predicted: bool, descent: Descent, progress: Progress | None
) -> CollapseSide:
    clock = time.perf_counter()
    objective = family.objective(value)
    opening = gap = None
    if objective.orbits.atoms > MOST_DESCENDED:
        verdict = "not applicable"
        message = f"descent checks at most {MOST_DESCENDED} classes; got {objective.orbits.atoms:g}"
    else:
        attempt = descent.run(objective, progress=progress)
        message, gram = attempt.message, attempt.gram
        verdict = "not applicable" if attempt.termination is Termination.NOT_APPLICABLE else "inconclusive"
        if isinstance(gram, OrbitGram):
            gap, opening = certify(objective, gram).relative_gap, family.opening(gram)
            if gap <= CONCLUSIVE and not _CLOSED < opening < _OPEN:
                verdict = "agrees" if (opening <= _CLOSED) == predicted else "disagrees"
    return CollapseSide(value, predicted, opening, gap, verdict, time.perf_counter() - clock, message)
