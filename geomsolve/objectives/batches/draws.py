"""Losses of independently drawn negatives: the law of a draw, and what such losses share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array, frozen
from ...errors import ProblemError
from ..base import Objective, check_weights


@dataclass(frozen=True, eq=False)
class Draws:
    """The law of one independently drawn negative, for an anchor of orbit a."""

    partner: Array  # (K, K) the probability to draw one given partner in orbit b
    own: Array  # (K,) the probability to draw the anchor's own class, which sits at t = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "partner", frozen("partner", self.partner))
        object.__setattr__(self, "own", frozen("own", self.own))

    @classmethod
    def alike(cls, shares: Array) -> Draws:
        """Draws from these shares of the classes, whatever the anchor."""
        return cls(partner=np.broadcast_to(shares, (len(shares), len(shares))), own=shares.copy())

    def per_atom(self, labels: NDArray[np.intp]) -> Draws:
        """The same law, each atom an orbit."""
        return Draws(self.partner[labels[:, None], labels] * (1.0 - np.eye(len(labels))), self.own[labels])


@dataclass(frozen=True, eq=False, kw_only=True)
class SampledObjective(Objective):
    """Base of the losses of independently drawn negatives."""

    draws: Draws = field(repr=False)  # the law of one negative

    def _validate(self) -> None:
        super()._validate()
        count = len(self.orbits.sizes)
        check_weights("draws.partner", self.draws.partner, (count, count))
        check_weights("draws.own", self.draws.own, (count,))
        worst = float(np.abs(self._probabilities.sum(axis=1) + self.draws.own - 1.0).max())
        if worst > 1e-9:
            raise ProblemError(f"draws: the probabilities of one draw must sum to 1; they are off by {worst:.3g}")

    @cached_property
    def _probabilities(self) -> Array:
        """(K, K) the probability that a draw falls into orbit b, own class apart."""
        return self.orbits.partners * self.draws.partner
