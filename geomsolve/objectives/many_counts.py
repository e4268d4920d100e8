"""Losses that see a class only through its count, and so can be written down for any other counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

from ..counts.counts import Counts
from ..counts.gauss_rules import CountLine
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram, Orbits
from .base import Objective, check_temperature
from .count_laws import MOST_DISTINCT, CountLaw


@dataclass(frozen=True, eq=False, kw_only=True)
class ManyCounts(Objective):
    """A loss of so many distinct counts that nothing about pairs of them is ever written out.

    It can be solved and certified (by `Quadrature`) and asked for nothing else.
    """

    def _validate(self) -> None:
        self.orbits.check()
        check_temperature(self.temperature)

    def _refuse(self, gram: OrbitGram | None = None) -> NoReturn:
        raise _too_many(len(self.masses))

    _row_floors = property(_refuse)
    _row_excess = rows = ungrouped = _refuse


def check_pairs(counts: Counts) -> None:
    """Nothing, or a ProblemError where there are too many distinct counts to write out what each pair of them does."""
    if len(counts.distinct) > MOST_DISTINCT:
        raise _too_many(len(counts.distinct))


def _too_many(distinct: int) -> ProblemError:
    return ProblemError(
        f"counts: {distinct:,} distinct counts are more than the {MOST_DISTINCT:,} whose pairs are written out; "
        "geomsolve solve takes them for supcon and gcl (infonce, logistic), everything else takes fewer (round them)"
    )


def by_counts(counts: Counts, temperature: float, name: str, build: Callable[[Counts], Objective]) -> Objective:
    """The loss on these counts, which remembers how it is written down for others."""
    law = CountLaw(CountLine(counts), build)
    if len(counts.distinct) <= MOST_DISTINCT:
        return replace(build(counts), law=law, counts=counts)
    return ManyCounts(
        orbits=class_orbits(counts),
        masses=counts.proportions,
        temperature=temperature,
        name=name,
        law=law,
        counts=counts,
    )


def class_orbits(counts: Counts) -> Orbits:
    """The orbits of a loss that sees a class only through its count: one per distinct count."""
    return Orbits(counts.multiplicity, counts.groups if len(counts.groups) else None)
