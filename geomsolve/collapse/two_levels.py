"""Two-level counts, n_A majority and n_B minority classes, as a family of problems in one parameter."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..arrays import Progress
from ..certificates.certificate import certify
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective, check_number
from ..objectives.kinds.supcl import InstanceSoftmax
from ..objectives.rows.full_batch import check_whole
from ..solvers.solution import Solution
from .crossings import Crossing, crossings, whole_crossings
from .states import minority_collapse

Builder = Callable[..., Objective]

# Ratios are examined up to here; counts may not be larger.
MOST_RATIO = 1e100
TEMPERATURES = (5e-3, 1e3)
MOST_NEGATIVES = 65_536
# What varies in the loss itself, not in the counts.
MOVING = ("temperature", "negatives")


def two_level_counts(majority: int, minority: int, ratio: float, per_class: float | None = None) -> Counts:
    """Counts of exactly two orbits, majority first, at ratio 1 too; proportions where `per_class` is None."""
    values = np.array([ratio, 1.0]) * (1.0 / (majority * ratio + minority) if per_class is None else per_class)
    groups = np.repeat([0, 1], [majority, minority])
    name = f"{majority} of ratio {ratio:.10g} and {minority} of 1"
    return Counts(values, np.array([majority, minority], dtype=float), groups, name)


def check_loss(builder: Builder, vary: str, options: dict[str, Any]) -> None:
    """A ProblemError unless collapse of the loss has a critical value of this kind, whatever the counts.

    Every orbit must be classes, and no force attract: then the minority collapses at once. Examples or classifiers
    that attract each other close up gradually, class by class.
    """
    given = {**options, vary: 1.0} if vary in MOVING else options
    try:
        objective = builder(as_counts([400.0, 400.0, 200.0, 200.0]), **given)
    except ProblemError:
        return  # bad options, or a loss of two classes: it says so itself, with the counts it is for
    if isinstance(objective.attraction, float):
        return
    instead = "geomsolve solve shows which classes share a point"
    if isinstance(objective, InstanceSoftmax):
        instead = "for the alpha at which classes open: geomsolve guideline, geomsolve.choosing.smallest_critical_alpha"
    raise ProblemError(
        "objective: critical values are those of losses that only push classes apart, supcon, gcl and functions of "
        f"your own; got {objective.name}, in which atoms attract each other ({instead})"
    )


@dataclass(eq=False)
class Family:
    """A loss over counts, with one parameter of either that varies."""

    builder: Builder
    vary: str
    options: dict[str, Any]

    def counts_at(self, value: float) -> Counts:
        """The counts at one value of the parameter."""
        raise NotImplementedError

    @property
    def words(self) -> str:
        """The counts in words."""
        raise NotImplementedError

    def objective(self, value: float) -> Objective:
        """The problem at one value of the parameter."""
        moving = {self.vary: value} if self.vary in MOVING else {}
        return self.builder(self.counts_at(value), **{**self.options, **moving})

    def described(self) -> dict[str, Any]:
        """The loss and the counts for dictionaries."""
        objective = self.objective(1.0)
        temperature = None if self.vary == "temperature" else objective.temperature
        return {"objective": objective.name, "temperature": temperature, "counts": self.words}

    @property
    def problem(self) -> str:
        """The loss, without the parameter that varies, and the counts in words."""
        objective = self.objective(1.0)
        name = objective.name.replace("k=1,", "any k,") if self.vary == "negatives" else objective.name
        heat = "" if self.vary == "temperature" else f", temperature {objective.temperature:g}"
        return f"{name}{heat}, {self.words}"


@dataclass(eq=False)
class TwoLevels(Family):
    """The family: `ratio`, `temperature` or `negatives` vary. The order parameter is minus the collapse margin.

    Raises:
        ProblemError: numbers of classes, examples or a ratio that make no problem, or a loss that refuses them.
    """

    majority: Any  # checked to be whole numbers
    minority: Any
    per_class: float | None = None
    ratio: float | None = None

    def __post_init__(self) -> None:
        if self.vary in ("power", "tail"):
            raise ProblemError(f'vary: "{self.vary}" needs counts; with majority and minority write "ratio"')
        self.majority = check_whole("majority", self.majority, least=1)
        self.minority = check_whole("minority", self.minority, least=2)
        if self.per_class is not None:
            check_number("per_class", self.per_class, 1e-3, 1e12, hint="examples of a minority class")
        if self.vary == "ratio" and self.ratio is not None:
            raise ProblemError(f"ratio: is what is varied; got {self.ratio} (leave it out, or vary something else)")
        if self.vary != "ratio" and (self.ratio is None or not 1 <= self.ratio <= MOST_RATIO):
            raise ProblemError(f"ratio: must be at least 1, majority count over minority count; got {self.ratio}")
        check_loss(self.builder, self.vary, self.options)
        try:
            self.objective(1.0)
        except ProblemError as error:
            if self.per_class is None and "depends on the number of examples" in str(error):
                raise ProblemError(
                    "per_class: this loss depends on numbers of examples; give that of a minority class, such as 10"
                ) from None
            raise

    def counts_at(self, value: float) -> Counts:
        """The counts at one value of the parameter."""
        ratio = value if self.ratio is None else self.ratio
        return two_level_counts(self.majority, self.minority, ratio, self.per_class)

    @property
    def words(self) -> str:
        """The classes in words."""
        ratio = "" if self.ratio is None else f", ratio {self.ratio:g}"
        sizes = "" if self.per_class is None else f" of {self.per_class:g} examples"
        return f"{self.majority} majority and {self.minority} minority classes{sizes}{ratio}"

    def order(self, value: float) -> float:
        """Positive where the minority classes are apart: minus the log of holding over driving force."""
        return -minority_collapse(self.objective(value)).margin

    opening_words: ClassVar[str] = "1 - cosine of two minority classes"

    def opening(self, gram: OrbitGram) -> float:
        """0 where the minority classes share a point."""
        return float(1.0 - gram.cosines[1, 1])

    def shows(self, solution: Solution, apart: bool) -> bool:
        """Whether a certified solution has the minority apart, or together, as it should.

        Where the optimum is not unique it is enough that the collapsed geometry is certified too.
        """
        if solution.orbits.within[1] >= 1.0 - 1e-8:
            return not apart
        if apart:
            return True
        collapsed = minority_collapse(solution.objective).gram(solution.objective)
        return certify(solution.objective, collapsed).holds()

    def crossings(self, progress: Progress) -> tuple[list[Crossing], str]:
        """Every critical value, ascending, and what happens there in words."""
        progress(f"looking for critical values of the {self.vary}")
        found = self._critical()
        if not found:
            return [], self._never()
        first = found[0]
        more = f"; {len(found) - 1} more critical values follow" if len(found) > 1 else ""
        if first.collapses == "above" and -1e-11 < self.order(1.5 * first.value) < 0 and self.vary == "ratio":
            more += " (the loss is linear there: so do other optima, in which they are apart)"
        return found, f"the {self.minority} minority classes share one point {first.side(self.vary)}{more}"

    def classes(self, crossing: Crossing, progress: Progress) -> tuple[tuple[int, ...], tuple[float, float] | None]:
        """The classes that go first, the minority; they share a point from the crossing on."""
        return tuple(range(self.majority, self.majority + self.minority)), None

    def critical_ratios(self, low: float, high: float) -> Iterator[Crossing]:
        """The critical ratios between two, ascending."""
        return crossings(self.order, math.log(low), math.log(high), slope=3.0, step=0.25, at=math.exp)

    def _critical(self) -> list[Crossing]:
        if self.vary == "negatives":
            return whole_crossings(self.order, MOST_NEGATIVES)
        if self.vary == "temperature":
            # Every force is a product of powers of e^{1/tau} and bounded factors: 1/tau is the variable of even slope.
            low, high = (1.0 / temperature for temperature in reversed(TEMPERATURES))
            return list(crossings(self.order, low, high, slope=4.0, step=0.02, at=lambda inverse: 1.0 / inverse))[::-1]
        if self.order(1.0) <= 0:
            # Only a loss that is linear in the cosines holds classes together without any imbalance.
            return [Crossing(1.0, (1.0, 1.0), abs(self.order(1.0)), "above")]
        return list(self.critical_ratios(1.0, MOST_RATIO))

    def _never(self) -> str:
        if self.vary != "ratio":
            state = "apart" if self.order(1.0) > 0 else "in one point"
            low, high = TEMPERATURES
            values = f"temperature from {low:g} to {high:g}" if self.vary == "temperature" else "k examined"
            return f"never changes: at ratio {self.ratio:g} the minority classes are {state} at every {values}"
        far = minority_collapse(self.objective(MOST_RATIO)).margin
        temperature = float(self.options.get("temperature", 1.0))
        if far == -math.inf and self.objective(1.0).smooth and temperature < 3e-3:
            return f"no collapse found: at temperature {temperature:g} the forces at opposite points underflow"
        if far == -math.inf:
            return (
                "never: with the minority in one point the loss exerts no force between it and the majority (psi' is 0 "
                "at their distance), and nothing holds it together against its own repulsion"
            )
        nearer = minority_collapse(self.objective(MOST_RATIO * 1e-20)).margin
        coldest = math.exp(min(2.0 / temperature, 700.0))
        if abs(far - nearer) < 1e-6 and coldest < MOST_RATIO * 1e-25:
            return (
                "never: as the ratio grows, what holds the collapsed minority together (D_AB^2) tends to "
                f"{math.exp(far):.6g} times what drives it apart (D_AA D_BB), and below 1 it falls apart"
            )
        return f"no collapse up to ratio {MOST_RATIO:g}; larger ones were not examined"
