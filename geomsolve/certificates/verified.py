"""What is proved in ball arithmetic."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from ..arrays import Array
from ..objectives.base import Objective
from ..results import Result
from ..text import attributes, entry

# How numbers of a problem are read, in words.
READ_AS = {
    "fractions": "numbers of the problem read as the simplest fractions within 2^-50 of them",
    "binary": "numbers of the problem read as exact binary values",
}


@dataclass(frozen=True, eq=False, repr=False)
class Verified(Result):
    """An optimum, proved in ball arithmetic: `lower` <= minimum of the loss <= `upper`. See `verify`.

    Attributes:
        value: the loss of the optimum in nats, in decimals: the true one is within one unit of the last place; ""
            where not even whole nats are proved.
        excess: the same above the floor of the loss, the logarithm of what an anchor's own class contributes.
        lower: a lower bound in decimals, rounded down: no geometry of any dimension has a smaller loss.
        upper: an upper bound, rounded up: some geometry has a loss at most as large.
        gap: upper - lower, at most.
        relative_gap: gap over excess, at most.
        digits: how many were asked for.
        proved: whether `relative_gap` is at most 10^-digits.
        cosines: (K, K) the cosines of the optimum by orbits, in decimals: those of every optimal Gram matrix are
            within one unit of the last place; "" where no digit is proved, and inside an orbit of one atom.
        cosine_errors: (K, K) what those behind `cosines` can be wrong by, before rounding to decimals; infinite where
            the loss has no curvature that would hold a cosine, 0 inside an orbit of one atom.
        temperature: the temperature as it was read.
        reading: how the stored float64 numbers of the problem were read: "fractions" or "binary".
        bits: the working precision.
        steps: Newton steps in extended precision; 0 where a given Gram matrix was judged as it stands.
        seconds: wall time.
        objective: the problem.
        notes: what was not provable, and why.
    """

    value: str
    excess: str
    lower: str
    upper: str
    gap: float
    relative_gap: float
    digits: int
    proved: bool
    cosines: tuple[tuple[str, ...], ...] = field(repr=False)
    cosine_errors: Array = field(repr=False)
    temperature: Fraction
    reading: str
    bits: int
    steps: int
    seconds: float
    objective: Objective = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether as many digits as asked for are proved."""
        return self.proved

    @property
    def summary(self) -> str:
        """The optimum and how it is proved."""
        state = f"proved to {self.digits} digits" if self.proved else "NOT proved to as many digits as asked for"
        return f"{self.objective.name}: optimum {self.value} nats, {state} (relative gap {self.relative_gap:.1e})"

    def to_dict(self) -> dict[str, Any]:
        """The proof as a dictionary; long numbers are strings of decimals."""
        return {
            **attributes(self, "value", "excess", "lower", "upper", "gap", "relative_gap", "digits", "proved"),
            **attributes(self, "cosines", "cosine_errors", "reading", "bits", "steps", "seconds"),
            "temperature": str(self.temperature),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The proof in a few aligned lines."""
        state = "PROVED" if self.proved else "NOT PROVED"
        errors = self.cosine_errors[np.triu(self.objective.orbits.partners) > 0]
        known = errors[np.isfinite(errors)]
        words = "none proved"
        if known.size:
            words = f"{known.size} of {errors.size} between orbits proved, each to {known.max():.1e} or better"
        return [
            f"{state} to {self.digits} digits, in ball arithmetic of {self.bits} bits",
            entry("optimum", f"{self.value} nats"),
            entry("at least", self.lower),
            entry("at most", self.upper),
            entry("gap", f"{self.gap:.1e} ({self.relative_gap:.1e} of the loss above its floor)"),
            entry("cosines", words),
            entry("read", READ_AS[self.reading]),
            *(entry("", note) for note in self.notes),
        ]
