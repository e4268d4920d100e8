"""Where a training loss stopped: the nearest level of a loss, and the units in which it is one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import __version__
from ..arrays import Progress
from ..errors import ProblemError
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective, check_temperature
from ..results import Result
from ..solvers.ladder import solve
from ..solvers.solution import Quality, Solution
from ..text import attributes, entry, table

# The base temperature of SupContrast, and of the many codes that began as a copy of it.
_USUAL_BASE = 0.07
# A level is met where the loss is within this share of it, or within half a unit of a third digit after the point.
_MET, _DIGIT = 2e-3, 5e-4
_AVERAGINGS = ("mean over anchors", "sum over anchors", "mean over anchors, divided by their number again")


@dataclass(frozen=True)
class Level:
    """A level that a training loss may have stopped at.

    Attributes:
        level: "collapsed", "simplex", "minority_collapsed" or "optimum".
        value: the loss there, in the units of the training code.
        difference: the observed loss less this value.
        base_temperature: the one by which these are its units; None: no factor temperature / base temperature.
        averaging: of the anchors' losses: their mean, which is usual, or something else.
        position: where the observed loss stands between optimum (0) and full collapse (1) in these units.
    """

    level: str
    value: float
    difference: float
    base_temperature: float | None
    averaging: str
    position: float

    @property
    def met(self) -> bool:
        """Whether the observed loss is that value, to the digits that logs have."""
        return abs(self.difference) <= max(_MET * abs(self.value), _DIGIT)


@dataclass(frozen=True, eq=False, repr=False)
class Plateau(Result):
    """A loss that was observed, and the nearest level. See `plateau`.

    Attributes:
        observed: the loss in the units of the training code.
        nearest: the level, with its units.
        levels: the loss of every level, in nats.
        solution: the optimum with its certificate.
    """

    observed: float
    nearest: Level
    levels: dict[str, float]
    solution: Solution = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the optimum is certified."""
        return self.solution.quality is Quality.CERTIFIED

    @property
    def summary(self) -> str:
        """What the loss says, in a sentence."""
        near, words = self.nearest, self.nearest.level.replace("_", " ")
        units = "" if near.base_temperature is None else f", in units of temperature / {near.base_temperature:g}"
        units += "" if near.averaging == _AVERAGINGS[0] else f", {near.averaging}"
        if near.met:
            return f"{self.observed:g} is the level {words} ({near.value:.6g}{units})"
        where = f"{100 * near.position:.3g} % of the way from the optimum to full collapse"
        return f"{self.observed:g} is nearest to {words} ({near.value:.6g}{units}), {where}"

    def lines(self) -> list[str]:
        """The levels in the units that fit, and the sentence."""
        factor = self.nearest.value / self.levels[self.nearest.level] if self.levels[self.nearest.level] else 1.0
        rows: list[tuple[str, ...]] = [("geometry", "loss")]
        rows += [(name.replace("_", " "), f"{factor * value:.6f}") for name, value in self.levels.items()]
        objective = self.solution.objective
        head = f"{objective.name}, temperature {objective.temperature:g}"
        return [head, "", *(f"  {line}" for line in table(rows)), "", entry("observed", f"{self.summary}.")]

    def to_dict(self) -> dict[str, Any]:
        """The levels in nats, and the nearest in the units of the training code."""
        certificate, objective = self.solution.certificate, self.solution.objective
        return {
            **self.levels,
            **self.reading(),
            "quality": self.solution.quality.value,
            **attributes(certificate, "gap", "relative_gap", "cosine_residual"),
            "objective": objective.name,
            "temperature": objective.temperature,
            "version": __version__,
        }

    def reading(self) -> dict[str, Any]:
        """What was observed and what it is nearest to."""
        near = attributes(self.nearest, "level", "value", "difference", "base_temperature", "averaging", "met")
        return {"observed": self.observed, "nearest": near, "position": self.nearest.position, "reading": self.summary}


def plateau(
    objective: Objective,
    observed: float,
    *,
    base_temperature: float | None = None,
    anchors: float | None = None,
    progress: Progress | None = None,
) -> Plateau:
    """The level of a loss that an observed value is nearest to.

    The levels are the loss with all atoms in one point ("collapsed"; of a hinge its margin), at the regular simplex (of
    class means), and at the certified optimum. Which units the value has is part of the question: without a base
    temperature both none and 0.07 are tried, and, where nothing fits, a sum over anchors or a second division by them.

    Args:
        objective: the loss.
        observed: the value, from a log.
        base_temperature: of the training code; None: not known.
        anchors: views x batch, for the unusual averages; None: these are not tried.
        progress: called with a line of text.
    """
    solution = solve(objective, throw=False, progress=progress)
    ones = np.ones((len(objective.orbits.sizes),) * 2)
    levels = {"collapsed": objective.value(OrbitGram(objective.orbits, ones))}
    if objective.description.atoms == "class means":
        levels["simplex"] = objective.value(OrbitGram.simplex(objective.orbits))
    levels["optimum"] = solution.value
    return Plateau(
        observed, nearest(observed, levels, objective.temperature, base_temperature, anchors), levels, solution
    )


def nearest(
    observed: float, levels: dict[str, float], temperature: float, base_temperature: float | None, anchors: float | None
) -> Level:
    """The nearest level, and the units in which it is one.

    Units come in the order of how usual they are. The first in which a level is met is taken; else the nearest level in
    units in which the value lies between optimum and collapse; else the nearest in all.

    Args:
        observed: the value.
        levels: the loss of every level in nats, "collapsed" and "optimum" among them.
        temperature: tau.
        base_temperature: as in `plateau`, like the rest.
        anchors: views x batch, or None.
    """
    if isinstance(observed, bool) or not isinstance(observed, (int, float, np.number)) or not math.isfinite(observed):
        raise ProblemError(f"observed: must be a finite number, a loss from a log; got {observed!r:.40}")
    bases = (None, _USUAL_BASE) if base_temperature is None else (check_temperature(base_temperature),)
    if math.isclose(levels.get("simplex", math.inf), levels["optimum"], rel_tol=1e-9):
        levels = {name: value for name, value in levels.items() if name != "simplex"}
    averages = {_AVERAGINGS[0]: 1.0}
    if anchors is not None:
        averages |= {_AVERAGINGS[1]: anchors, _AVERAGINGS[2]: 1.0 / anchors}
    found = []
    for averaging, average in averages.items():
        for base in bases:
            factor = average * (1.0 if base is None else temperature / base)
            low, high = factor * levels["optimum"], factor * levels["collapsed"]
            position = (observed - low) / (high - low) if high > low else math.nan
            found += [
                Level(name, factor * value, observed - factor * value, base, averaging, position)
                for name, value in levels.items()
            ]
    met = [level for level in found if level.met]
    usual = [level for level in found if level.averaging == _AVERAGINGS[0]]
    between = [level for level in usual if 0.0 <= level.position <= 1.0]
    return met[0] if met else min(between or usual, key=lambda level: abs(level.difference))
