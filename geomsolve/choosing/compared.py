"""One loss of a comparison: its optimal class means, and what is measured of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
        shares: (K,) the count of one class of every orbit of `means`.
        within: the mean variance of a class's examples about their mean; 0 where classes are points.
        alignment: the mean cosine of a class mean with its own classifier, prototype or target; None without any.
        classifier: the cosines of classifiers or prototypes, where the loss trains any.
    """

    loss: str
    description: str
    solution: Solution | BoundedGeometry | LogitSolution | None
    reason: str = ""
    means: OrbitGram | None = field(default=None, repr=False)
    shares: Array | None = field(default=None, repr=False)
    within: float | None = None
    alignment: float | None = None
    classifier: OrbitGram | None = field(default=None, repr=False)

    @property
    def _solved(self) -> Solution | BoundedGeometry | LogitSolution | None:
        return None if self.means is None else self.solution

    @property
    def value(self) -> float | None:
        """The loss, in nats."""
        return None if self._solved is None else self._solved.value

    @property
    def relative_gap(self) -> float | None:
        """What is proved of it, over the loss above its floor."""
        found = self._solved
        if found is None or isinstance(found, BoundedGeometry):
            return None if found is None else found.relative_gap
        return found.certificate.relative_gap

    @property
    def certified(self) -> bool:
        """Whether the optimum is proved."""
        return self._solved is not None and self._solved.ok

    def _mean(self, first_in_tail: bool, second_in_tail: bool) -> float | None:
        """The mean cosine over pairs of different classes, the first and the second in the tail or not."""
        if self.means is None or self.tail is None:
            return None
        first, second = self.tail == first_in_tail, self.tail == second_in_tail
        weights = pairs_of(self.means) * first[:, None] * second
        return float(np.sum(weights * self.means.cosines) / weights.sum()) if weights.sum() > 0 else None

    @property
    def tail(self) -> NDArray[np.bool_] | None:
        """(K,) which orbits have fewer examples than the average class."""
        if self.means is None or self.shares is None:
            return None
        return np.asarray(self.shares < float(self.means.sizes @ self.shares) / self.means.orbits.atoms)

    @cached_property
    def largest_cosine(self) -> float | None:
        """The cosine of the two nearest classes."""
        return None if self.means is None else _largest(self.means)

    @property
    def separation(self) -> float | None:
        """The angle between the two nearest classes, in degrees."""
        return None if self.means is None else _angle(self.means)

    @property
    def classifier_separation(self) -> float | None:
        """The angle between the two nearest classifiers or prototypes, in degrees; None where the loss has none."""
        return None if self.classifier is None else _angle(self.classifier)

    @property
    def tail_tail(self) -> float | None:
        """The mean cosine of two classes with fewer examples than average."""
        return self._mean(True, True)

    @property
    def head_tail(self) -> float | None:
        """The mean cosine of a class with fewer examples than average and one with more."""
        return self._mean(True, False)

    @property
    def simplex_distance(self) -> float | None:
        """The root mean square over pairs of classes of their cosine less that of the regular simplex."""
        if self.means is None:
            return None
        pairs = pairs_of(self.means)
        away = self.means.cosines + 1.0 / (self.means.orbits.atoms - 1.0)
        return float(np.sqrt(np.sum(pairs * away**2) / pairs.sum()))

    @property
    def rank(self) -> int | None:
        """The rank of the cosines of class means."""
        return None if self.means is None else self.means.rank()

    @property
    def collapsed(self) -> bool | None:
        """Whether two classes share a point."""
        return None if self.largest_cosine is None else self.largest_cosine >= 1.0 - 1e-8

    @property
    def quality(self) -> str:
        """One of "certified", "uncertified", "not solved"."""
        return "not solved" if self.means is None else ("certified" if self.certified else "uncertified")

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


def pairs_of(means: OrbitGram) -> Array:
    """(K, K) how many ordered pairs of different classes there are."""
    return np.asarray(means.sizes[:, None] * means.orbits.partners)


def _largest(gram: OrbitGram) -> float:
    return float(gram.cosines[pairs_of(gram) > 0].max())


def _angle(gram: OrbitGram) -> float:
    return math.degrees(math.acos(max(-1.0, min(1.0, _largest(gram)))))
