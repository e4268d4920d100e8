"""The geometry of a loss that is no objective, and a bound proved of it: TSC and Supervised Prototypes."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .. import __version__
from ..arrays import Array
from ..counts.counts import Counts
from ..geometry.kinds import KindGram
from ..geometry.orbit_gram import OrbitGram
from ..objectives.kinds.parts import PartedSoftmax
from ..results import Result
from ..solvers.solution import Quality, Solution
from ..text import attributes, entry

# Classes of which each has a row of its own in reports.
MOST_LISTED = 200


@dataclass(frozen=True, eq=False, repr=False)
class BoundedGeometry(Result):
    """A geometry, and what is proved of its loss. See `targeted_supcon` and `supervised_prototypes`.

    Attributes:
        counts: examples per class, those of a batch.
        loss: its name.
        temperature: tau.
        objective: of TSC the loss over embeddings and targets, of Supervised Prototypes that of the parts of examples
            orthogonal to the prototypes.
        geometry: cosines of embeddings and targets, or of examples.
        excess: the loss above its floor; of Supervised Prototypes its limit, which no geometry need attain.
        gap: proved: no geometry (with these targets) has a loss that is lower by more.
        told: what else is said of it in the dictionary.
        solution: of Supervised Prototypes the certified optimum of the orthogonal parts.
        tol: the relative gap called certified.
        seconds: wall time.
    """

    counts: Counts
    loss: str
    temperature: float
    objective: PartedSoftmax = field(repr=False)
    geometry: OrbitGram = field(repr=False)
    excess: float
    gap: float
    told: dict[str, Any] = field(repr=False)
    solution: Solution | None = field(default=None, repr=False)
    tol: float = 1e-9
    seconds: float = 0.0

    @property
    def value(self) -> float:
        """The loss."""
        return self.objective.floor + self.excess

    @property
    def lower_bound(self) -> float:
        """Below the loss of every geometry."""
        return self.objective.floor + max(self.excess - self.gap, 0.0)

    @property
    def relative_gap(self) -> float:
        """The gap over the loss above its floor."""
        return self.gap / self.excess if self.excess > 0 else math.inf

    @property
    def ok(self) -> bool:
        """Whether the value is proved to be the least, to the tolerance."""
        return self.relative_gap <= self.tol

    @property
    def quality(self) -> Quality:
        """CERTIFIED or UNCERTIFIED."""
        return Quality.CERTIFIED if self.ok else Quality.UNCERTIFIED

    @cached_property
    def gram(self) -> OrbitGram:
        """The cosines with each kind of atom of each class an orbit, class by class within each kind."""
        return self.geometry.written() if isinstance(self.geometry, KindGram) else self.geometry

    @property
    def own_target(self) -> Array:
        """(C,) the cosine of each class with its target, or with its prototype."""
        return np.asarray(self.told["own_target"])

    @property
    def _shown(self) -> OrbitGram:
        return self.gram if self.counts.classes <= MOST_LISTED else self.geometry

    @property
    def summary(self) -> str:
        """The loss and what is proved of it."""
        return (
            f"{self.quality.value} geometry of {self.loss} at temperature {self.temperature:g} on {self.counts.name}: "
            f"loss {self.value:.12g} nats, gap {self.gap:.1e}, {self.counts.classes} classes"
        )

    def to_dict(self) -> dict[str, Any]:
        """The geometry and its bound as a dictionary; keys as in that of a Solution where they fit."""
        shown = self._shown
        return {
            **attributes(self, "value", "lower_bound", "gap", "relative_gap"),
            "quality": self.quality.value,
            "solver": "newton" if self.solution is None else self.solution.solver,
            "seconds": self.seconds,
            "objective": self.loss,
            "temperature": self.temperature,
            **self.counts.to_dict(),
            "rank": self.geometry.rank(),
            "version": __version__,
            **self.told,
            **self.objective.description.report(np.arange(len(shown.sizes)), shown, []),
        }

    def lines(self) -> list[str]:
        """The geometry and its bound in a few aligned lines."""
        verdict = "CERTIFIED: proved optimal for these targets" if self.ok else "NOT CERTIFIED: the best answer found"
        if self.solution is not None:
            verdict = "NOT CONVEX, NOT CERTIFIED: the infimum lies between the loss and its lower bound"
            if self.ok:
                verdict = "NOT CONVEX, BOUND CLOSED: the loss is a limit, proved to be the infimum, to the gap below"
        shown, own = self._shown, self.own_target
        return [
            f"{self.loss}, temperature {self.temperature:g}",
            str(self.counts),
            "",
            verdict,
            entry("loss", f"{self.value:.12g} nats"),
            entry("lower bound", f"{self.lower_bound:.12g} nats for every geometry"),
            entry("gap", f"{self.gap:.1e} ({self.relative_gap:.1e} of the loss above its floor)"),
            entry("with own target", f"{own.min():+.6f} to {own.max():+.6f}"),
            "",
            *self.objective.description.lines(np.arange(0), shown, self.geometry.rank(), []),
        ]
