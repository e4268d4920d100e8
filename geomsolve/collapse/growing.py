"""Arbitrary counts whose imbalance grows, as a family of problems: when does the optimal Gram matrix lose rank?"""

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Progress
from ..counts.counts import Counts
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..solvers.newton.stationary import stationary_point
from ..solvers.solution import Solution
from ..solvers.solving import solve
from .crossings import Crossing, refine, whole_crossings
from .two_levels import MOST_NEGATIVES, MOVING, TEMPERATURES, Family, check_loss

# The imbalance ratio is not let grow beyond this.
_MOST_RATIO = 1e40


@dataclass(eq=False)
class GrowingCounts(Family):
    """The family: `power`, `tail`, `temperature` or `negatives` vary, from the given counts.

    The order parameter is the smallest eigenvalue of the Gram matrix that solves the stationarity equations with a
    dual factor of rank one, besides the eigenvalue 0 that it always has. Where it is negative that matrix is virtual,
    and the optimum has lost rank.

    Raises:
        ProblemError: a loss that refuses the counts, or counts without imbalance that could grow.
    """

    counts: Counts
    _near: OrbitGram | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_loss(self.builder, self.vary, self.options)
        if self.counts.classes < 3:
            raise ProblemError("counts: two classes are always opposite each other; a threshold needs three or more")
        if self.vary in ("power", "tail") and len(self.counts.distinct) == 1:
            raise ProblemError("counts: all are equal, there is no imbalance that could grow")
        self.objective(1.0)  # refuses what it will not take

    @property
    def _tail(self) -> NDArray[np.bool_]:
        """(K,) which distinct counts are below the average."""
        return np.asarray(self.counts.distinct < self.counts.total / self.counts.classes)

    def counts_at(self, value: float) -> Counts:
        """The counts at one value of the parameter."""
        counts = self.counts
        if self.vary in MOVING:
            return counts
        if self.vary == "power":
            values = counts.distinct[-1] * (counts.distinct / counts.distinct[-1]) ** value
        else:
            values = np.where(self._tail, counts.distinct, counts.distinct * value)
        if counts.are_proportions:
            values = values / (values @ counts.multiplicity)
        return replace(counts, distinct=values, name=f"{counts.name}, {self.vary} {value:.6g}")

    @property
    def words(self) -> str:
        """The counts in words."""
        if self.vary != "tail":
            return self.counts.name
        multiplicity, values = self.counts.multiplicity[self._tail], self.counts.distinct[self._tail]
        return f"{self.counts.name}, tail of {multiplicity.sum():g} classes of {values[0]:g} to {values[-1]:g}"

    def ratio(self, value: float) -> float:
        """The imbalance ratio at one value of the parameter."""
        values = self.counts_at(value).distinct
        return float(values.max() / values.min())

    def order(self, value: float) -> float:
        """The smallest eigenvalue that can vanish; NaN where the equations have no solution in reach."""
        objective = self.objective(value)
        gram = stationary_point(objective, self._near)
        if gram is None and self._near is not None:
            gram = stationary_point(objective)
        if gram is None or gram.balance is None:
            return math.nan
        smallest = smallest_free(gram, gram.balance)
        if smallest > 0:
            self._near = gram
        return smallest

    opening_words: ClassVar[str] = "smallest eigenvalue of the Gram matrix besides 0"

    def opening(self, gram: OrbitGram) -> float:
        """0 where the Gram matrix has lost rank."""
        inside = np.repeat(1.0 - np.diag(gram.cosines), np.where(gram.orbits.plural, gram.sizes - 1.0, 0.0).astype(int))
        return float(np.sort(np.concatenate([gram.eigenvalues, inside]))[1])

    def shows(self, solution: Solution, apart: bool) -> bool:
        """Whether the Gram matrix of a solution has full rank C - 1, or less, as it should."""
        return (solution.rank == self.counts.classes - 1) == apart

    def crossings(self, progress: Progress) -> tuple[list[Crossing], str]:
        """The first critical value from the given counts, and what happens there in words."""
        if self.vary == "negatives":
            found = whole_crossings(self.order, MOST_NEGATIVES)
            state = "of full rank" if self.order(1.0) > 0 else "short of rank"
            note = f"no critical k: the optimum is {state} for every k examined"
        else:
            span, note = self._span(progress)
            found = [] if span is None else [refine(self.order, *sorted(span))]
        if not found:
            return [], note
        grown = f" (imbalance ratio {self.ratio(found[0].value):.6g})" if self.vary in ("power", "tail") else ""
        return found, f"the optimum loses rank {found[0].side(self.vary)}{grown}"

    def _span(self, progress: Progress) -> tuple[tuple[float, float] | None, str]:
        """Two values with the order parameter above 0 at one and below at the other; or None, and why."""
        least, most = TEMPERATURES if self.vary == "temperature" else (1e-3, math.inf)
        apart = together = 0.1 if self.vary == "temperature" else 1.0
        if self.order(apart) > 0:
            while together == apart:
                there = min(1.5 * apart, most)
                if apart == most or self.ratio(there) > _MOST_RATIO:
                    grown = "" if self.vary == "temperature" else f", imbalance ratio {self.ratio(apart):.3g}"
                    tail = (
                        "; with the tail varied, which alone grows rarer then, it may" if self.vary == "power" else ""
                    )
                    return None, f"nothing collapses up to {self.vary} {apart:.4g}{grown}{tail}; more was not examined"
                progress(f"{self.vary} {there:.4g}, imbalance ratio {self.ratio(there):.3g}")
                together, apart = (there, there) if self.order(there) > 0 else (there, apart)
        else:  # how much less would set them apart?
            while apart > least and not self.order(apart) > 0:
                together, apart = apart, apart / 1.5
        # The equations must have a solution, if only a virtual one, at both ends.
        for _ in range(60):
            if self.order(together) <= 0:
                return (apart, together), ""
            middle = math.sqrt(apart * together)
            apart, together = (middle, together) if self.order(middle) > 0 else (apart, middle)
        return None, f"the solution could not be followed beyond {self.vary} {apart:.6g}; nothing collapses below"

    def classes(self, crossing: Crossing, progress: Progress) -> tuple[tuple[int, ...], tuple[float, float] | None]:
        """The first classes to share a point, and between which values of the parameter they begin to."""
        above = crossing.collapses == "above"
        values = [crossing.value * (1.0 + (1e-3 if above else -1e-3) * 3.0**i) for i in range(7)]
        before = crossing.value
        if self.vary == "negatives":
            values = [crossing.bracket[above]]
            before = values[0]
        for value in values:
            progress(f"looking for classes in one point at {self.vary} {value:.6g}")
            solution = solve(self.objective(value), throw=False)
            if solution.ok and solution.collapsed:
                groups = sorted(index for group in solution.collapsed for index in group)
                return tuple(groups), (min(before, value), max(before, value))
            before = value
        return (), None


def smallest_free(gram: OrbitGram, balance: Array) -> float:
    """The smallest eigenvalue besides that of the dual factor `balance`, u with G u = 0."""
    null = np.sqrt(gram.sizes) * balance
    null /= np.linalg.norm(null)
    lifted = gram.quotient + np.trace(gram.quotient) * np.outer(null, null)
    inside = np.where(gram.orbits.plural, 1.0 - np.diag(gram.cosines), np.inf)
    return float(min(np.linalg.eigvalsh(lifted)[0], inside.min()))
