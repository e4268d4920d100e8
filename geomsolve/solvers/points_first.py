"""Losses of several kinds of atoms: exchangeable atoms first held in one point each, then let part where they gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import Progress
from ..certificates.certificate import certify
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective
from ..objectives.parts import closed_orbits, parts_of
from .base import Attempt, Termination
from .newton import Newton


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
        """An attempt at a loss of several kinds of atoms with exchangeable ones among them."""
        parts = parts_of(objective)
        if start is not None or parts is None or len(set(parts.names)) < 2 or not objective.orbits.plural.any():
            return Attempt(self.name, Termination.NOT_APPLICABLE, message="no orbits beside atoms of another kind")
        newton = Newton(max_steps=self.max_steps)
        first = newton.run(closed_orbits(objective), progress=progress)
        if not isinstance(first.gram, OrbitGram):
            return Attempt(self.name, first.termination, None, first.steps, first.message)
        points = first.gram.points
        if points is not None:
            points = np.column_stack([points[:, :-1], np.zeros(len(points))])
        gram = OrbitGram(objective.orbits, first.gram.cosines, points=points)
        if certify(objective, gram).holds():
            return Attempt(self.name, first.termination, gram, first.steps, "every orbit in one point", first.history)
        second = newton.run(objective, start=gram, progress=progress)
        history = (*first.history, *second.history)
        return Attempt(self.name, second.termination, second.gram, len(history), second.message, history)
