"""What `solve` returns."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..arrays import Progress
from ..certificates.certificate import Certificate
from ..geometry.kernel import KernelGram
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective
from .base import Termination
from .embedding import Embedding, embed

# Distinct counts in reports and pictures; of more, a sample.
MOST_SHOWN = 5000


class Quality(enum.Enum):
    """What you got: proved optimal, or only the best answer found."""

    CERTIFIED = "certified"
    UNCERTIFIED = "uncertified"


@dataclass(frozen=True)
class AttemptRecord:
    """One rung of the ladder, certified or not.

    Attributes:
        solver: its name.
        seconds: wall time of the attempt and of its certificate.
        steps: iterations taken.
        termination: why it stopped.
        certificate: what was proved of its answer; None where there was no answer.
        message: a line about what happened.
    """

    solver: str
    seconds: float
    steps: int
    termination: Termination
    certificate: Certificate | None
    message: str


@dataclass(frozen=True, eq=False)
class Solution:
    """The optimal geometry, and what is proved of it.

    Attributes:
        objective: the problem.
        geometry: the optimal Gram matrix as the solver left it: an OrbitGram, or (from 300 distinct counts on, as a
            rule) a KernelGram of the counts, which is never written out and has `factor`, `rows` and
            `points()`.
        certificate: what is proved of it.
        quality: CERTIFIED or UNCERTIFIED, by the certificate at the tolerance `solve` was given.
        termination: why the solver whose answer this is stopped.
        solver: its name.
        stats: every attempt, in order.
        history: the steps of the attempt whose answer this is.
    """

    objective: Objective
    geometry: OrbitGram | KernelGram
    certificate: Certificate
    quality: Quality
    termination: Termination
    solver: str
    stats: tuple[AttemptRecord, ...]
    history: tuple[dict[str, float], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        certificate = self.certificate
        return (
            f"{self.quality.value} solution of {self.objective.name} at temperature {self.objective.temperature:g}: "
            f"loss {certificate.value:.12g} nats, gap {certificate.gap:.1e}, cosine residual "
            f"{certificate.cosine_residual:.1e}, {self.geometry.atoms:g} classes, rank {self.rank}"
        )

    @property
    def value(self) -> float:
        """The loss, in nats."""
        return self.certificate.value

    @property
    def seconds(self) -> float:
        """Wall time of all attempts together."""
        return sum(record.seconds for record in self.stats)

    @cached_property
    def orbits(self) -> OrbitGram:
        """The optimal Gram matrix in orbit form (`sizes`, `within`, `between`), K x K for K distinct counts."""
        if isinstance(self.geometry, OrbitGram):
            return self.geometry
        return self.geometry.written(self.objective.orbits)

    @cached_property
    def shown(self) -> tuple[NDArray[np.intp], OrbitGram]:
        """What reports and pictures show: positions of distinct counts, and their orbits. All, or some of too many."""
        if isinstance(self.geometry, KernelGram) and len(self.geometry.sizes) > MOST_SHOWN:
            return self.geometry.sample()
        return np.arange(len(self.orbits.sizes)), self.orbits

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """(C, C) the Gram matrix in the caller's class order. Costs 8 C^2 bytes; `orbits` is the compact form."""
        return self.orbits.expand()

    @cached_property
    def rank(self) -> int:
        """The number of eigenvalues of the Gram matrix above 1e-8: the embedding dimension it needs."""
        return self.geometry.rank()

    def embed(
        self,
        dim: int | None = None,
        *,
        restarts: int | None = None,
        seed: int = 0,
        max_steps: int = 2000,
        progress: Progress | None = None,
    ) -> Embedding:
        """The class means as points on the sphere of `dim` coordinates: see `geomsolve.solvers.embed`."""
        return embed(self, dim, restarts=restarts, seed=seed, max_steps=max_steps, progress=progress)

    @cached_property
    def collapsed(self) -> list[list[int]]:
        """Groups of classes that share one point (cosines within 1e-8 of 1), as class indices.

        Of a distribution, whose classes have none, as positions of distinct counts.
        """
        groups, labels = self.geometry.merged(), self.objective.orbits.labels
        if not groups or labels is None:
            return groups
        return [np.flatnonzero(np.isin(labels, group)).tolist() for group in groups]
