"""What a solver is: a frozen object with options that turns an objective into a Gram matrix, and proves nothing."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Protocol

from ..arrays import Progress
from ..geometry.kernel import KernelGram
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective


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
