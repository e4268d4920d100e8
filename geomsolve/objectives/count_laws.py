"""Losses that see a class only through its count, and so can be written down for any other counts."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..counts.counts import Counts
from ..counts.gauss_rules import CountLine
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram
from .base import Objective, check_temperature
from .sampling import class_orbits

# Distinct counts above which nothing is ever written out pair by pair: one matrix of them takes 0.2 GB.
MOST_DISTINCT = 5000
# Distinct counts from which a rule of them is solved sooner than they are.
FEW_DISTINCT = 150
# The size of an orbit added to see what a class of that count would do: it changes nothing for the others.
NOTHING = 1e-100


@dataclass(frozen=True, eq=False)
class CountLaw:
    """The counts of a loss, and the loss on any other counts."""

    line: CountLine
    build: Callable[[Counts], Objective] = field(repr=False)  # multiplicities of the counts need not be whole

    @property
    def counts(self) -> Counts:
        """The classes'."""
        return self.line.counts

    @property
    def writable(self) -> bool:
        """Whether classes are listed, and few enough of their counts distinct to write down what each pair does."""
        return bool(len(self.counts.groups)) and len(self.counts.distinct) <= MOST_DISTINCT

    @property
    def worthwhile(self) -> bool:
        """Whether a rule of the counts is a much smaller problem than the counts are."""
        return not self.writable or len(self.counts.distinct) >= FEW_DISTINCT

    def on_nodes(self, nodes: int, places: Array) -> tuple[Objective, Array, int]:
        """The loss on a Gauss rule of the counts and on (n,) places more; where its orbits are; the size of the rule.

        Sums over classes are integrals of smooth functions of log counts, and a rule of a few nodes takes them to all
        digits. Orbits of size (almost) 0 at further places change nothing and show what classes there would do. Places
        are in [-1, 1], from the smallest log count to the largest.
        """
        where, weights = self.line.rule(nodes)
        everywhere = np.concatenate([where, places])
        counts = Counts(
            distinct=self.line.values_at(everywhere),
            multiplicity=np.concatenate([weights, np.full(len(places), NOTHING)]),
            groups=np.empty(0, np.intp),
            name=self.counts.name,
        )
        return self.build(counts), everywhere, len(where)


@dataclass(frozen=True, eq=False, kw_only=True)
class ManyCounts(Objective):
    """A loss of so many distinct counts that nothing about pairs of them is ever written out.

    It can be solved and certified (by `Quadrature`) and asked for nothing else.
    """

    def _validate(self) -> None:
        self.orbits.check()
        check_temperature(self.temperature)

    def _refuse(self, gram: OrbitGram | None = None) -> Any:
        check_pairs(self.law.counts)

    _row_floors = property(_refuse)
    _row_excess = rows = ungrouped = _refuse


def check_pairs(counts: Counts) -> None:
    """Nothing, or a ProblemError where there are too many distinct counts to write out what each pair of them does."""
    if len(counts.distinct) > MOST_DISTINCT:
        raise ProblemError(
            f"counts: {len(counts.distinct):,} distinct counts are more than the {MOST_DISTINCT:,} whose pairs are "
            "written out; geomsolve solve takes them for supcon and gcl (infonce, logistic), everything else takes "
            "fewer (round them)"
        )


def by_counts(counts: Counts, temperature: float, name: str, build: Callable[[Counts], Objective]) -> Objective:
    """The loss on these counts, which remembers how it is written down for others."""
    law = CountLaw(CountLine(counts), build)
    if len(counts.distinct) <= MOST_DISTINCT:
        return replace(build(counts), law=law, counts=counts)
    orbits, masses = class_orbits(counts), counts.proportions
    return ManyCounts(orbits=orbits, masses=masses, temperature=temperature, name=name, law=law, counts=counts)
