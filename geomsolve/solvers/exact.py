"""The optimum in decimals, where the value is proved and forces below the rounding of float64 decide the cosines."""

from __future__ import annotations

from dataclasses import dataclass

from ..certificate import certify
from ..decimals import floats
from ..exactoptimum import exact_optimum
from ..objectives.base import Objective
from ..orbits import OrbitGram
from .base import Attempt, Progress, Termination
from .decimal_path import MOST_FOLLOWED, decimal_path
from .interior import follow_path, start_level

_MOST_STEPS = 200
# The least eigenvalue of G up to where the path of float64 is near enough: Newton's method is slow in a narrow valley.
_DEFINITE = 1e-3


@dataclass(frozen=True)
class Exact:
    """Newton's method in 60 decimal digits from an answer whose value is proved: see `exact_optimum`.

    Where that finds nothing, and atoms are few, the path through the interior is followed from where float64 ends: see
    `decimal_path`.

    Attributes:
        tol: the relative gap of an answer that it begins from.

    Cost: some 0.1 s a step; the path, up to 20 atoms, ten seconds.
    Fails: never silently: nothing is answered that is not an optimum.
    Source: ours.
    """

    tol: float = 1e-9

    @property
    def name(self) -> str:
        """The name "decimals"."""
        return "decimals"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at a row softmax that attracts, from `start`."""
        if start is None or objective.decimal_rows is None:
            return Attempt(self.name, Termination.NOT_APPLICABLE, message="no answer, or no attraction, to begin from")
        if not certify(objective, start).relative_gap <= self.tol:
            return Attempt(self.name, Termination.NOT_APPLICABLE, message="not even the value is proved")
        best = exact_optimum(objective, start)
        if best is not None:
            return Attempt(self.name, Termination.CONVERGED, OrbitGram(start.orbits, floats(best.cosines)))
        if objective.orbits.atoms > MOST_FOLLOWED:
            return Attempt(self.name, Termination.STALLED, message="no optimum near by")
        history: list[dict[str, float]] = []
        single, report = objective.ungrouped(), progress or (lambda _: None)
        gram, level = _inside(single, history, report)
        best = decimal_path(single, gram, level, report)
        if best is None:
            return Attempt(self.name, Termination.STALLED, message="the path came to no end")
        cosines = OrbitGram.averaged(floats(best.cosines), objective.orbits)
        return Attempt(self.name, Termination.CONVERGED, cosines, len(history), "along the path")


def _inside(objective: Objective, history: list[dict[str, float]], report: Progress) -> tuple[OrbitGram, float]:
    """A Gram matrix on the path of float64 and its mu, before rounding can have made it indefinite."""
    simplex, steps = OrbitGram.simplex(objective.orbits), _MOST_STEPS
    while True:
        history.clear()
        gram = follow_path(objective, simplex, steps, history, report)
        if gram.eigenvalues[0] > _DEFINITE or len(history) < 2:
            break
        steps = 3 * len(history) // 4
    return gram, start_level(objective, simplex) * (history[-1]["change"] if history else 1.0)
