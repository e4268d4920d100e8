"""What a batch may hold of an anchor's own class and of another: laws of draws, and what each number of them means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, poisson

from ...arrays import Array

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A law of the numbers of examples, by groups of classes alike, tilted to the total that it must have."""

    count: int  # k, how many examples a batch has beside an anchor
    others: Array  # (G, M + 1) chances of m examples of one other class
    own: Array  # (G, M + 1) chances of m more of the anchor's class
    replaced: bool = False  # whether one of these may be the anchor's own example again

    def each(self, labels: NDArray[np.intp]) -> Drawn:
        """The same law, each class a group."""
        return replace(self, others=self.others[labels], own=self.own[labels])


def independent(shares: Array, batch: int) -> Drawn:
    """Draws from these shares of the classes, with replacement: Poisson numbers of them."""
    mean = (batch - 1.0) * shares
    numbers = np.arange(min(batch, int(mean.max() + 10.0 * np.sqrt(mean.max()) + 30.0)))
    chances = poisson.pmf(numbers, mean[:, None])
    return Drawn(batch - 1, chances, chances, replaced=True)


def without_replacement(examples: Array, total: float, batch: int) -> Drawn:
    """Draws from whole numbers of examples of the classes, each at most once: binomial numbers of them."""
    share = (batch - 0.5) / total
    numbers = np.arange(min(batch, int(examples.max()) + 1))
    others, own = (binom.pmf(numbers, left[:, None], share) for left in (examples, examples - 1.0))
    return Drawn(batch - 1, others, own)


def few_classes(drawn: int, classes: int, examples: int) -> Drawn:
    """So many examples of each of some of the classes, all alike: one group."""
    others, own = np.zeros((2, 1, examples + 1))
    others[0, [0, -1]] = 1.0 - (drawn - 1.0) / (classes - 1.0), (drawn - 1.0) / (classes - 1.0)
    own[0, examples - 1] = 1.0
    return Drawn(drawn * examples - 1, others, own)


@dataclass(frozen=True, eq=False)
class Own:
    """What an anchor's own class may be in a batch: outcomes o."""

    drawn: NDArray[np.intp]  # (O,) how many others of the class are drawn
    chances: Array  # (O,) the tilted chance of the outcome times a, what the anchor weighs in the mean
    fixed: Array  # (O,) what is at t = 0 in the denominator
    weights: Array  # (T, O) what other atoms of the class have there, by kind
    positives: Array  # (T, O) what they have of the attraction
    view: Array  # (2, O) what one other view of the anchor's example has in either

    @property
    def whole(self) -> Array:
        """(O,) the denominator with the own class in one point and all others infinitely far away."""
        return np.asarray(self.fixed + self.weights.sum(axis=0))

    @property
    def floors(self) -> Array:
        """(O,) what no place of the own class goes below: in one point, or with the force on it balanced."""
        whole, rest = self.whole, 1.0 - self.positives.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            among = np.where(self.positives > 0, self.positives * np.log(self.weights / self.positives), 0.0)
            apart = among.sum(axis=0) + np.where(rest > 0, rest * np.log(self.fixed / rest), 0.0)
            settled = np.all(self.weights <= self.positives * whole * (1.0 + 8.0 * _EPS), axis=0)
            return np.where(settled, np.log(whole), apart)


def outcomes(
    law: Drawn, worth: Callable[[Any], Any], tell: Callable[[Array, Array], Any], examples: Array | None = None
) -> tuple[Own, ...]:
    """The outcomes of every group, those without worth left out.

    `worth` is a of an anchor as a function of the examples of its class in the batch, its own counted. `tell` gives
    (fixed, weights, positives, view) of (drawn, again): how many others of the class are drawn, and how many of these
    are the anchor's own example, where `examples` (G,) of one class are told apart.
    """
    found = []
    repeats = np.zeros(len(law.own)) if examples is None or not law.replaced else 1.0 / examples
    for chances, repeat in zip(law.own, repeats, strict=True):
        drawn = np.arange(len(chances))
        again = np.zeros_like(drawn)
        if repeat > 0:
            drawn, again = np.tril_indices(len(chances))
        each = chances[drawn] * binom.pmf(again, drawn, repeat) * worth(drawn + 1.0)
        kept = each > 1e-20 * each.max()
        drawn, again, each = drawn[kept], again[kept], each[kept]
        told = tell(drawn.astype(np.float64), again.astype(np.float64))
        fixed, *parts = (np.array([part + 0.0 * each for part in some]) for some in ((told[0],), *told[1:]))
        found.append(Own(drawn, each, fixed[0], *parts))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Groups:
    """Classes by groups of them alike."""

    classes: Array  # (G,) how many there are of each group
    places: NDArray[np.intp]  # (T, G) the orbit of each kind of atom of a group; anchors are of the first kind
    law: Drawn
    weights: Array  # (T, M + 1) what the atoms of another class of m examples have in a denominator, by kind
    own: tuple[Own, ...]  # (G,)
    members: Array | None = None  # (M + 2,) what a class of m examples adds to the divisor of the mean, if that varies
    divisors: tuple[float, float] = (1.0, 1.0)  # its least and largest sum

    def per_atom(self, labels: NDArray[np.intp]) -> Groups:
        """The same, each class a group."""
        return replace(
            self,
            classes=np.ones(len(labels)),
            places=np.arange(len(labels))[None],
            law=self.law.each(labels),
            own=tuple(self.own[label] for label in labels),
        )
