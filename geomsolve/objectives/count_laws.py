"""How a loss that sees a class only through its count is written down for other counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..arrays import Array
from ..counts.counts import Counts
from ..counts.gauss_rules import CountLine

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
    build: Callable[[Counts], Any] = field(repr=False)  # multiplicities of the counts need not be whole

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

    def on_nodes(self, nodes: int, places: Array) -> tuple[Any, Array, int]:
        """The loss on a Gauss rule of the counts and on some places more.

        Sums over classes are integrals of smooth functions of log counts, and a rule of a few nodes takes them to all
        digits. Orbits of size (almost) 0 at further places change nothing and show what classes there would do.

        Returns:
            The objective on the orbits of the rule, then those of the places (n,) in [-1, 1], from the smallest log
            count to the largest; where these orbits are in [-1, 1]; and how many of them belong to the rule.
        """
        where, weights = self.line.rule(nodes)
        everywhere = np.concatenate([where, places])
        counts = Counts(
            distinct=self.line.values_at(everywhere),
            multiplicity=np.concatenate([weights, np.full(len(places), NOTHING)]),
            groups=np.empty(0, np.intp),
            name=self.counts.name,
            are_proportions=self.counts.are_proportions,
        )
        return self.build(counts), everywhere, len(where)
