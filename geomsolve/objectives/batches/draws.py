"""What losses of independently drawn negatives share: the law of a draw."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ...arrays import Array
from ...errors import ProblemError
from ..base import Objective, check_weights


@dataclass(frozen=True, eq=False, kw_only=True)
class SampledObjective(Objective):
    """Base of the losses of independently drawn negatives, with the law of one negative for an anchor of orbit a."""

    partner: Array = field(repr=False)  # (K, K) the probability to draw one given partner in orbit b
    own: Array = field(repr=False)  # (K,) the probability to draw the anchor's own class, which sits at t = 0
    count: int = 1  # k, the number of draws

    @property
    def exact_rows(self) -> bool:
        """False unless there is one negative: draws that share a row couple in more ways than the model has."""
        return self.count == 1

    def _validate(self) -> None:
        super()._validate()
        count = len(self.orbits.sizes)
        check_weights("partner", self.partner, (count, count))
        check_weights("own", self.own, (count,))
        worst = float(np.abs(self._probabilities.sum(axis=1) + self.own - 1.0).max())
        if worst > 1e-9:
            raise ProblemError(f"draws: the probabilities of one draw must sum to 1; they are off by {worst:.3g}")

    @cached_property
    def _probabilities(self) -> Array:
        """(K, K) the probability that a draw falls into orbit b, own class apart."""
        return self.orbits.partners * self.partner


def law_of(shares: Array) -> dict[str, Any]:
    """The law of draws from these shares of the classes, whatever the anchor."""
    return {"partner": np.broadcast_to(shares, (len(shares), len(shares))), "own": shares}
