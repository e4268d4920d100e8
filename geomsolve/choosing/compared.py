"""One loss of a comparison: its optimal class means, and what is measured of them."""

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram
from ..solvers.logits.logit_solution import LogitSolution
from ..solvers.solution import Solution
from ..text import attributes
from .bounded import BoundedGeometry


@dataclass(frozen=True, eq=False)
class Compared:
    """One loss of a comparison. Everything geometric is None where it was not solved.

    Attributes:
        loss: its name in the comparison.
        description: in words.
        solution: the certified optimum (or its best approximation); None where there is none. Of TSC and Supervised
            Prototypes a BoundedGeometry, of cross-entropy a LogitSolution.
        reason: why nothing was solved.
        means: the cosines of class means.
        within: the mean variance of a class's examples about their mean; 0 where classes are points.
        alignment: the mean cosine of a class mean with its own classifier, prototype or target; None without any.
        classifier: the cosines of classifiers or prototypes, where the loss trains any.
        largest_cosine: of the two nearest classes.
        separation: the angle between them, in degrees.
        classifier_separation: the angle between the two nearest classifiers or prototypes, in degrees.
        tail_tail: the mean cosine of two classes with fewer examples than average.
        head_tail: the mean cosine of a class with fewer examples than average and one with more.
        simplex_distance: the root mean square over pairs of classes of their cosine less that of the regular simplex.
        rank: of the cosines of class means.
        collapsed: whether two classes share a point.
    """

    loss: str
    description: str
    solution: Solution | BoundedGeometry | LogitSolution | None
    reason: str = ""
    means: OrbitGram | None = field(default=None, repr=False)
    within: float | None = None
    alignment: float | None = None
    classifier: OrbitGram | None = field(default=None, repr=False)
    largest_cosine: float | None = None
    separation: float | None = None
    classifier_separation: float | None = None
    tail_tail: float | None = None
    head_tail: float | None = None
    simplex_distance: float | None = None
    rank: int | None = None
    collapsed: bool | None = None

    @classmethod
    def of(
        cls,
        loss: str,
        description: str,
        solution: Solution | BoundedGeometry | LogitSolution,
        means: OrbitGram,
        each: Array,
        within: float,
        alignment: float | None = None,
        classifier: OrbitGram | None = None,
    ) -> Self:
        """What is measured of class means, `each` (K,) the examples of one class of every orbit of theirs."""
        pairs = means.sizes[:, None] * means.orbits.partners
        tail = each < float(means.sizes @ each) / means.orbits.atoms

        def mean(values: Array, weights: Array) -> float | None:
            return float(np.sum(weights * values) / weights.sum()) if weights.sum() > 0 else None

        square = mean((means.cosines + 1.0 / (means.orbits.atoms - 1.0)) ** 2, pairs)
        largest = _largest(means)
        return cls(
            loss,
            description,
            solution,
            means=means,
            within=within,
            alignment=alignment,
            classifier=classifier,
            largest_cosine=largest,
            separation=_degrees(largest),
            classifier_separation=None if classifier is None else _degrees(_largest(classifier)),
            tail_tail=mean(means.cosines, pairs * tail[:, None] * tail),
            head_tail=mean(means.cosines, pairs * tail[:, None] * ~tail),
            simplex_distance=None if square is None else math.sqrt(square),
            rank=means.rank(),
            collapsed=largest >= 1.0 - 1e-8,
        )

    @property
    def value(self) -> float | None:
        """The loss, in nats."""
        return None if self.solution is None else self.solution.value

    @property
    def relative_gap(self) -> float | None:
        """What is proved of it, over the loss above its floor."""
        if self.solution is None:
            return None
        proved = self.solution if isinstance(self.solution, BoundedGeometry) else self.solution.certificate
        return proved.relative_gap

    @property
    def certified(self) -> bool:
        """Whether the optimum is proved."""
        return self.solution is not None and self.solution.ok

    @property
    def quality(self) -> str:
        """One of "certified", "uncertified", "not solved"."""
        return "not solved" if self.solution is None else ("certified" if self.certified else "uncertified")

    def to_dict(self) -> dict[str, Any]:
        """The row as a dictionary."""
        residual = self.solution.certificate.cosine_residual if isinstance(self.solution, Solution) else None
        return {
            **attributes(self, "loss", "description", "separation", "largest_cosine", "tail_tail", "head_tail"),
            **attributes(self, "simplex_distance", "rank", "collapsed", "within", "alignment", "classifier_separation"),
            **attributes(self, "value", "relative_gap"),
            "cosine_residual": residual,
            **attributes(self, "quality", "reason"),
        }


def _largest(gram: OrbitGram) -> float:
    return float(gram.cosines[gram.orbits.partners > 0].max())


def _degrees(cosine: float) -> float:
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
