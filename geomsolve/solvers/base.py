"""What a solver is: a frozen object with options that turns an objective into a Gram matrix, and proves nothing."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from ..arrays import Progress
from ..geometry.kernel import KernelGram
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective

Point = TypeVar("Point")


class Termination(enum.Enum):
    """Why a solver stopped. The text is the advice; whether the answer is right, the certificate says."""

    CONVERGED = "converged to the solver's own tolerance"
    STEP_LIMIT = "stopped at max_steps: raise max_steps, or start from another solver's answer"
    STALLED = "no further progress at this precision: try another solver"
    FAILED = "the solver broke down: see the attempt's message and try another solver"
    NOT_APPLICABLE = "this solver cannot treat the objective: see the attempt's message"


@dataclass(frozen=True, eq=False)
class Attempt:
    """What one run of one solver gave.

    Attributes:
        solver: its name.
        termination: why it stopped.
        gram: its answer, or None.
        steps: iterations taken.
        message: a line about what happened, for people.
        history: one dict per step of whatever the solver tracks (always with "step").
    """

    solver: str
    termination: Termination
    gram: OrbitGram | KernelGram | None = None
    steps: int = 0
    message: str = ""
    history: tuple[dict[str, float], ...] = field(default=(), repr=False)


class Solver(Protocol):
    """A frozen dataclass with the options of one method; common options are `tol`, `max_steps` and `seed`."""

    @property
    def name(self) -> str:
        """A short lower-case name, as on the command line."""
        ...

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at the objective, from `start` where that helps. Never raises for a solver's failure."""
        ...


@dataclass
class Iteration:
    """The loop of every iterative solver: it counts, reports, remembers and stops. A solver gives the step.

    Attributes:
        max_steps: of all phases of a solver together.
        progress: called with a line for every step.
        history: one dict for every step.
    """

    max_steps: int
    progress: Progress | None = None
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def full(self) -> bool:
        """Whether all steps are taken."""
        return len(self.history) >= self.max_steps

    def note(self, what: str, change: float, **more: float) -> None:
        """One step more: how large it was, and what else there is to remember."""
        self.history.append({"step": len(self.history), "change": change, **more})
        self.say(f"{what}, step {len(self.history)}: {change:.1e}")

    def say(self, line: str) -> None:
        """A line of progress."""
        if self.progress is not None:
            self.progress(line)

    def run(
        self,
        step: Callable[[Point], tuple[Point, float] | None],
        point: Point,
        what: str,
        *,
        tol: float,
        patience: int,
        rounding: float = 0.0,
    ) -> tuple[Point, Termination]:
        """The last point of an iteration, and why it ended.

        CONVERGED after a step of at most `tol`, or of at most `rounding` that is no shorter than half the one before.
        STALLED where there is no step, or where `patience` steps in a row come nowhere near to halving the least size.

        Args:
            step: the next point and how large the step to it was; None where there is none.
            point: where to begin.
            what: the name of a step, for progress.
            tol: the size of a step that ends it.
            patience: see above.
            rounding: see above.
        """
        least, last, idle = float("inf"), float("inf"), 0
        while not self.full:
            taken = step(point)
            if taken is None:
                return point, Termination.STALLED
            point, size = taken
            self.note(what, size)
            if size <= tol or (size <= rounding and size > 0.5 * last):
                return point, Termination.CONVERGED
            least, idle = (size, 0) if size < 0.7 * least else (least, idle + 1)
            if idle >= patience:
                return point, Termination.STALLED
            last = size
        return point, Termination.STEP_LIMIT

    def attempt(
        self, solver: str, termination: Termination, gram: OrbitGram | KernelGram | None, message: str = ""
    ) -> Attempt:
        """What a solver says at its end."""
        return Attempt(solver, termination, gram, len(self.history), message, tuple(self.history))
