"""Losses over batches: who is drawn, what a mean is over, and what divides it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import hypergeom

from ...arrays import Array
from ...counts.counts import Counts
from ...errors import ProblemError
from ...geometry.orbit_gram import Orbits
from ..base import Objective, check_array, check_temperature
from ..batches.batch_means import BatchMean
from ..batches.expectation import ExpectedSoftmax, ForeignSoftmax, law_of
from ..batches.one_view import OneView
from ..batches.outcomes import Drawn, Groups, few_classes, independent, outcomes, without_replacement
from ..count_laws import by_counts
from ..rows.full_batch import check_batch, check_word, full_batch
from ..sampling import (
    AVERAGES,
    Averaging,
    ClassTable,
    Sampler,
    class_orbits,
    classes_and_examples,
    drawn_shares,
)


@dataclass(frozen=True, eq=False)
class Batches:
    """How batches are drawn and what is averaged over them."""

    views: int
    orbits: Orbits
    count: int
    replaced: bool
    draws: Callable[[], Drawn]
    shares: Array  # (K,) the chance that a draw is of one class of each orbit
    masses: Array  # (K,) the same for an anchor, times its weight if there are any
    name: str  # "views=2, batch=64, ..."
    counts: Counts | None = None  # None where they have no part
    plain: bool = False  # whether examples are drawn independently, all alike, and anchors weigh alike
    averaging: str = "anchor"
    reducer: str = "mean"

    @cached_property
    def law(self) -> Drawn:
        """The numbers of examples of the classes in a batch."""
        return self.draws()

    @property
    def all_anchors(self) -> bool:
        """Whether the mean is over all anchors, whatever is in a batch."""
        return self.averaging == "anchor" and (self.reducer == "mean" or self.views > 1)

    @property
    def alone(self) -> Array:
        """(C,) the chance that an anchor finds no other example of its class."""
        count = self.count
        if self.counts is None:
            chance = self.law.own[:, 0]
        elif self.replaced:
            # Of a class with nearly everything 1 - p has no digits; what the others have does.
            others = self.orbits.partners @ self.shares
            chance = np.where(self.shares < 0.5, 1.0 - self.shares, others) ** count
        else:
            total = round(self.counts.total)
            chance = hypergeom.pmf(0, total - 1, np.rint(self.shares * total).astype(int) - 1, count)
        return np.asarray(chance[self.orbits.listed()])

    def worth(self, examples: Array) -> Array:
        """What an anchor weighs in the mean whose class has so many examples in the batch, itself counted."""
        positives = np.maximum(self.views * examples - 1.0, 0.0)
        if self.averaging == "pair":
            return self.views * positives
        return (positives > 0) / (np.maximum(examples, 1.0) if self.averaging == "class" else 1.0)

    def loss(self, loss: str, counts: Counts, temperature: float | ArrayLike, own: float | None) -> Objective:
        """The loss over class means with `own` in an anchor's denominator: all positives where that is None."""
        if np.ndim(temperature):
            raise ProblemError("temperature: one a class goes with the full batch (leave batch out)")
        tau, name = check_temperature(temperature), f"{loss}({self.name})"
        if not (self.replaced and self.all_anchors and (own is None or self.views > 1)):
            return self._mean(tau, name, own)
        drawn = partial(self._drawn, tau, name, own)
        if self.plain:
            # With one view an anchor whose own class was not drawn has no loss, wherever other classes are.
            return by_counts(counts, tau, name, lambda some: drawn(class_orbits(some), some.proportions))
        return replace(drawn(self.orbits, self.shares), masses=self.masses, counts=self.counts)

    def _drawn(self, temperature: float, name: str, own: float | None, orbits: Orbits, shares: Array) -> Objective:
        common: dict[str, Any] = {"orbits": orbits, "masses": shares, "count": self.count, **law_of(shares)}
        common |= {"temperature": temperature, "name": name}
        if own is not None:
            return ForeignSoftmax(**common, alpha=own, beta=float(self.views))
        if self.views == 1:
            return OneView(**common)
        return ExpectedSoftmax(**common, alpha=self.views - 1.0, beta=float(self.views))

    def _mean(self, temperature: float, name: str, own: float | None) -> BatchMean:
        if self.views == 1 and not self.law.own[:, 1:].any():
            raise ProblemError("views: with one view and one example of a class no anchor has a positive (write 2)")
        members, most = np.arange(self.law.others.shape[1] + 1.0), self.views * (self.count + 1.0)
        by_pair = max(2.0, most * (self.views - 1.0)), most * (most - 1.0)

        def tell(drawn: Array, again: Array) -> tuple:
            return (self.views * (drawn + 1.0) - 1.0 if own is None else own), (0.0,), (0.0,), (0.0, 0.0)

        groups = Groups(
            classes=self.orbits.sizes,
            places=np.arange(len(self.orbits.sizes))[None],
            law=self.law,
            weights=self.views * members[None, :-1],
            own=outcomes(self.law, self.worth, tell),
            members=None if self.all_anchors else members * self.worth(members),
            divisors=by_pair if self.averaging == "pair" else (1.0, most),
        )
        return BatchMean(
            orbits=self.orbits,
            masses=self.masses,
            temperature=temperature,
            name=name,
            counts=self.counts,
            count=self.count,
            groups=groups,
        )


def of_classes(
    loss: str,
    counts: Counts,
    temperature: float | ArrayLike,
    own: float | None,
    batch: int | None,
    views: int,
    sampler: Sampler,
    draw: str,
    averaging: Averaging,
    reducer: str = "mean",
) -> Objective:
    """The loss over class means, of the full batch or over batches; `own` as in `full_batch`."""
    drawn = batches(counts, batch, views, sampler, draw, averaging, reducer)
    if drawn is None:
        return full_batch(loss, counts, temperature, views, averaging, own)
    return drawn.loss(loss, counts, temperature, own)


def batches(
    counts: Counts,
    batch: int | None,
    views: int,
    sampler: Sampler = "instance",
    draw: str = "independent",
    averaging: Averaging = "anchor",
    reducer: str = "mean",
) -> Batches | None:
    """The batches that these settings of a loss mean, see `SupCon`; None for the full batch."""
    check_word("draw", draw, ("independent", "shuffle"))
    check_word("reducer", reducer, ("mean", "nonzero"))
    pattern = classes_and_examples(sampler, counts)
    if pattern is not None:
        if draw == "shuffle" or not isinstance(averaging, str):
            raise ProblemError(f"sampler: {sampler!r:.40} draws classes, all alike; leave draw and weights out")
        return _classes_of_examples(counts, views, batch, *pattern)
    alike = isinstance(sampler, str) and sampler == "instance"
    if batch is None:
        if not alike:
            raise ProblemError(f"sampler: draws batches, so it needs batch=, their size; got {sampler!r:.40} without")
        if draw == "shuffle":
            raise ProblemError("draw: shuffle draws batches, so it needs batch=, their size; got none")
        return None
    batch = check_batch(batch, views)
    shares, weights, name = drawn_shares(counts, sampler), None, f"views={views}, batch={batch}"
    if isinstance(averaging, str):
        check_word("averaging", averaging, AVERAGES)
    else:
        weights, averaging = check_array("averaging", averaging, (counts.classes,), above=0), "anchor"
    told = {
        "shuffled": draw == "shuffle",
        f"sampler={sampler if np.ndim(sampler) == 0 else 'given'}": not alike,
        f"averaging={averaging}": averaging != "anchor",
        "weights given": weights is not None,
        f"reducer={reducer}": reducer != "mean",
    }
    each = shares if np.ndim(sampler) else shares[counts.groups]
    table = ClassTable.of(counts, each if np.ndim(sampler) or weights is not None else None, weights)
    shares = (*table.columns, shares)[0]
    masses = shares if weights is None else shares * table.columns[1]
    draws = partial(independent, shares, batch)
    if draw == "shuffle":
        _check_shuffled(counts, batch, sampler if not alike else None)
        draws = partial(without_replacement, table.counts, counts.total, batch)
    return Batches(
        views,
        table.orbits,
        batch - 1,
        draw == "independent",
        draws,
        shares,
        masses / (table.orbits.sizes @ masses),
        ", ".join([name, *(word for word, said in told.items() if said)]),
        counts=table.as_counts(counts) if table.columns else counts,
        plain=alike and weights is None and draw == "independent",
        averaging=averaging,
        reducer=reducer,
    )


def _check_shuffled(counts: Counts, batch: int, sampler: Sampler | None) -> None:
    if sampler is not None:
        raise ProblemError(f"sampler: a shuffled epoch takes every example once; got {sampler!r:.40} (leave it out)")
    if counts.are_proportions or np.any(counts.distinct != np.rint(counts.distinct)):
        raise ProblemError("counts: a shuffled epoch draws from whole numbers of examples; give counts")
    if batch > counts.total:
        raise ProblemError(
            f"batch: at most the {counts.total:g} examples there are can be drawn without replacement; got {batch}"
        )


def _classes_of_examples(counts: Counts, views: int, batch: int | None, classes: int, examples: int) -> Batches:
    """M examples of each of P classes: all of them have as many members, so all means are the same."""
    if batch is not None and batch != classes * examples:
        raise ProblemError(f"batch: {classes}x{examples} makes {classes * examples}; got {batch} (leave it out)")
    every = len(counts.groups) or counts.classes
    orbits, share = Orbits(np.array([float(every)]), np.zeros(every, np.intp)), np.array([1.0 / every])
    name = f"views={views}, {classes} classes of {examples}"
    draws = partial(few_classes, classes, every, examples)
    return Batches(views, orbits, classes * examples - 1, False, draws, share, share, name)
