"""Where a training loss stopped: the nearest level of a loss, and the units in which it is one."""

import math
from dataclasses import dataclass

from ..objectives.base import check_number

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

    @property
    def reading(self) -> str:
        """What the observed loss says, in a sentence."""
        observed, words = self.value + self.difference, self.level.replace("_", " ")
        units = "" if self.base_temperature is None else f", in units of temperature / {self.base_temperature:g}"
        units += "" if self.averaging == _AVERAGINGS[0] else f", {self.averaging}"
        if self.met:
            return f"{observed:g} is the level {words} ({self.value:.6g}{units})"
        if self.position < 0:
            return (
                f"{observed:g} is below the optimum ({self.value:.6g}{units}), which no geometry of this loss is: what "
                "was logged is over mini-batches, or another average"
            )
        where = f"{100 * self.position:.3g} % of the way from the optimum to full collapse"
        return f"{observed:g} is nearest to {words} ({self.value:.6g}{units}), {where}"


def nearest(
    observed: float,
    levels: dict[str, float],
    temperature: float,
    base_temperature: float | None,
    anchors: float | None = None,
) -> Level:
    """The nearest level, and the units in which it is one.

    Units come in the order of how usual they are. The first in which a level is met is taken; else the nearest level in
    units in which the value lies between optimum and collapse; else the nearest in all.

    Args:
        observed: the value.
        levels: the loss of every level in nats, "collapsed" and "optimum" among them.
        temperature: tau.
        base_temperature: of the training code; None: not known, both none and 0.07 are tried.
        anchors: views x batch, for the unusual averages (a sum over anchors, a second division by them); None: these
            are not tried.
    """
    check_number("observed", observed, -math.inf, hint="a loss from a log")
    bases = (None, _USUAL_BASE) if base_temperature is None else (check_base(base_temperature),)
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


def check_base(base: float) -> float:
    """The base temperature, or a ProblemError unless it is finite and above 0."""
    return check_number("base_temperature", base, 1e-300, hint="0.07 is usual")
