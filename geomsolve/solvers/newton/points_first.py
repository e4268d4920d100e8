"""Losses of several kinds of atoms: exchangeable atoms first held in one point each, then let part where they gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...arrays import Array, Progress
from ...certificates.certificate import certify
from ...geometry.orbits import OrbitGram
from ...objectives.base import Objective
from ...objectives.kinds.parts import PartedSoftmax, PartedSum, closed_orbits
from ..base import Attempt, Iteration, Termination
from ..spheres.riemannian import climb, factor_of
from ..spheres.spheres import gram_of
from .newton import Newton

# Squares of the spread that is looked for, and how often the interval is halved.
_NARROWEST, _WIDEST, _HALVINGS = 1e-14, 0.5, 30


@dataclass(frozen=True)
class PointsFirst:
    """Newton's method on the loss whose orbits are points, and from there on the loss itself.

    Instances of a class part, if at all, by little, so the loss of which each class has one instance, with all their
    mass, is smaller, better conditioned and nearly always next to the answer; often it is the answer.

    Attributes:
        max_steps: Newton steps of each of the two.

    Cost: two runs of `Newton`, the second from next to its end.
    Fails: never silently: the answer of a failed run does not pass the certificate.
    """

    max_steps: int = 400

    @property
    def name(self) -> str:
        """The name "points-first"."""
        return "points-first"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at a loss of several kinds of atoms with exchangeable ones among them; `start` is of no use."""
        if not fits(objective):
            return Attempt(self.name, Termination.NOT_APPLICABLE, message="no orbits beside atoms of another kind")
        first = Newton(max_steps=self.max_steps).run(closed_orbits(objective), progress=progress)
        if not isinstance(first.gram, OrbitGram):
            return Attempt(self.name, first.termination, None, first.steps, first.message)
        rows = factor_of(first.gram) if first.gram.points is None else first.gram.points
        gram = gram_of(objective.orbits, np.column_stack([rows[:, :-1], np.zeros(len(rows))]))
        if certify(objective, gram).holds():
            return Attempt(self.name, first.termination, gram, first.steps, "every orbit in one point", first.history)
        loop = Iteration(self.max_steps, progress, list(first.history))
        gram, termination = climb(objective, parted(objective, rows[:, :-1]), loop)
        return loop.attempt(self.name, termination, gram, "orbits parted from their points")


def parted(objective: Objective, means: Array) -> Array:
    """(K, p + 1) orbit vectors at these means, each orbit as wide as it holds itself, the others left where they are.

    On differences inside an orbit of spread w the slack matrix has the eigenvalue s - D_aa. It grows with w, so where
    it is negative at w = 0 its zero is found by bisection in log w, for all orbits at once: for a force f that parts
    them w is often f^(1/2), which Newton's method from w = 0, or from far, is slow to find.
    """
    orbits = objective.orbits

    def at(square: Array) -> Array:
        return np.column_stack([means * np.sqrt(1.0 - square)[:, None], np.sqrt(square)])

    def held(square: Array) -> Array:
        gram = gram_of(orbits, at(square))
        row = objective.row_gradient(gram)
        forces = (row + row.T) / 2.0
        return -np.einsum("ab,ab->a", orbits.partners * forces, gram.cosines) - np.diag(forces)

    opens = orbits.plural & (held(np.zeros(len(means))) < 0)
    low, high = np.full(len(means), np.log(_NARROWEST)), np.full(len(means), np.log(_WIDEST))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        wider = held(np.where(opens, np.exp(middle), 0.0)) < 0
        low, high = np.where(wider, middle, low), np.where(wider, high, middle)
    return at(np.where(opens, np.exp((low + high) / 2.0), 0.0))


def fits(objective: Objective) -> bool:
    """Whether the loss is of full batches, has several kinds of atoms, and exchangeable ones among them."""
    if not isinstance(objective, (PartedSoftmax, PartedSum)):
        return False
    return len(set(objective.parts.names)) > 1 and bool(objective.orbits.plural.any())
