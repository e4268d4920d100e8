"""Losses of class means over batches: who is drawn, what a mean is over, and what divides it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...arrays import Array
from ...counts.counts import Counts
from ...errors import ProblemError
from ...geometry.orbits import Orbits
from ..batches.batch_means import BatchMean
from ..batches.outcomes import Drawn, Groups, Others, few_classes, independent, outcomes, without_replacement
from ..rows.full_batch import check_batch, check_word
from ..sampling import AVERAGES, Averaging, ClassTable, Sampler, classes_and_examples, drawn_shares, per_class

DRAWS, REDUCERS = ("independent", "shuffle"), ("mean", "nonzero")


@dataclass(frozen=True, eq=False)
class Batches:
    """How batches are drawn and what is averaged over them.

    Attributes:
        counts: of the classes, for reports; None where they have no part.
        orbits: of the classes.
        masses: (K,) of one class of each orbit: the chance that an anchor is of it, times its weight if there are any.
        shares: (K,) the chance that a draw is of it.
        law: the numbers of examples.
        name: "views=2, batch=64, ..." for reports.
        plain: whether examples are drawn independently, all alike, and anchors weigh alike.
        averaging: "anchor", "pair" or "class".
        reducer: "mean" or "nonzero".
        views: of an example.
    """

    counts: Counts | None
    orbits: Orbits
    masses: Array
    shares: Array
    law: Drawn
    name: str
    plain: bool
    averaging: str
    reducer: str
    views: int

    @property
    def all_anchors(self) -> bool:
        """Whether the mean is over all anchors, whatever is in a batch."""
        return self.averaging == "anchor" and (self.reducer == "mean" or self.views > 1)

    def worth(self, embeddings: Array) -> Array:
        """What an anchor weighs in the mean whose class has so many embeddings in the batch, itself counted."""
        positives = np.maximum(embeddings - 1.0, 0.0)
        if self.averaging == "pair":
            return self.views * positives
        return (positives > 0) / (np.maximum(embeddings / self.views, 1.0) if self.averaging == "class" else 1.0)

    def mean(self, loss: str, temperature: float, own: float | None) -> BatchMean:
        """The loss with `own` in the denominator for the anchor's class: all positives where that is None."""
        most = self.views * (self.law.count + 1.0)
        members = np.arange(self.law.others.shape[1] + 1.0)
        divisors = (max(2.0, most * (self.views - 1.0)), most * (most - 1.0))
        nothing = np.zeros(1)

        def tell(drawn: Array, again: Array) -> tuple:
            return (self.views * (drawn + 1.0) - 1.0 if own is None else own), nothing, nothing, (0.0, 0.0)

        others = Others(
            chances=self.law.others,
            weights=self.views * members[None, :-1],
            members=None if self.all_anchors else members * self.worth(self.views * members),
            divisors=divisors if self.averaging == "pair" else (1.0, most),
        )
        own_class = outcomes(self.law, self.views, self.worth, tell)
        return BatchMean(
            orbits=self.orbits,
            masses=self.masses,
            temperature=temperature,
            name=f"{loss}({self.name})",
            counts=self.counts,
            count=self.law.count,
            groups=Groups(self.orbits.sizes, np.arange(len(self.orbits.sizes))[None], others, own_class),
        )


def batches(
    counts: Counts,
    batch: int | None,
    views: int,
    sampler: Sampler = "instance",
    draw: str = "independent",
    averaging: Averaging = "anchor",
    reducer: str = "mean",
) -> Batches | None:
    """The batches that these settings of a loss mean, see `SupCon`; None for the full batch.

    Raises:
        ProblemError: settings that are unknown or do not go together.
    """
    check_word("draw", draw, DRAWS)
    check_word("reducer", reducer, REDUCERS)
    pattern = classes_and_examples(sampler, counts)
    if pattern is not None:
        if draw == "shuffle" or not isinstance(averaging, str):
            raise ProblemError(
                f"sampler: {sampler!r:.40} draws classes, all alike; leave draw and weights of anchors out"
            )
        return _classes_of_examples(counts, views, batch, *pattern)
    alike = isinstance(sampler, str) and sampler == "instance"
    if batch is None:
        if not alike:
            raise ProblemError(f"sampler: draws batches, so it needs batch=, their size; got {sampler!r:.40} without")
        if draw == "shuffle":
            raise ProblemError("draw: shuffle draws batches, so it needs batch=, their size; got none")
        return None
    batch = check_batch(batch, views)
    name = f"views={views}, batch={batch}{'' if draw == 'independent' else ', shuffled'}"
    shares, weights = drawn_shares(counts, sampler), None
    if not alike:
        name += f", sampler={sampler if np.ndim(sampler) == 0 else 'given'}"
    if isinstance(averaging, str):
        check_word("averaging", averaging, AVERAGES)
        name += "" if averaging == "anchor" else f", averaging={averaging}"
    else:
        weights, averaging, name = per_class("averaging", averaging, counts), "anchor", f"{name}, weights given"
    name += "" if reducer == "mean" else f", reducer={reducer}"
    each = shares if np.ndim(sampler) else shares[counts.groups]
    table = ClassTable.of(counts, each if np.ndim(sampler) or weights is not None else None, weights)
    masses = shares = (*table.columns, shares)[0]
    if weights is not None:
        masses = shares * table.columns[1] / (table.orbits.sizes @ (shares * table.columns[1]))
    if draw == "shuffle":
        if not alike:
            raise ProblemError(
                f"sampler: a shuffled epoch takes every example once; got {sampler!r:.40} (leave it out)"
            )
        law = _shuffled(counts, table, batch)
    else:
        law = independent(shares, batch)
    plain = alike and weights is None and draw == "independent"
    told = counts if plain else table.as_counts(counts)
    return Batches(told, table.orbits, masses, shares, law, name, plain, averaging, reducer, views)


def _shuffled(counts: Counts, table: ClassTable, batch: int) -> Drawn:
    if counts.are_proportions or np.any(counts.distinct != np.rint(counts.distinct)):
        raise ProblemError("counts: a shuffled epoch draws from whole numbers of examples; give counts")
    if batch > counts.total:
        raise ProblemError(
            f"batch: at most the {counts.total:g} examples there are can be drawn without replacement; got {batch}"
        )
    return without_replacement(table.counts, counts.total, batch)


def _classes_of_examples(counts: Counts, views: int, batch: int | None, classes: int, examples: int) -> Batches:
    """A batch of M examples of each of P classes: P - 1 of the other classes are drawn, each once."""
    if batch is not None and batch != classes * examples:
        raise ProblemError(f"batch: {classes}x{examples} makes {classes * examples}; got {batch} (leave it out)")
    if views * examples < 2:
        raise ProblemError("sampler: with one view and one example of a class no anchor has a positive (write Px2)")
    every = len(counts.groups) or counts.classes
    return Batches(
        counts=None,
        orbits=Orbits(np.array([float(every)]), np.zeros(every, np.intp)),
        masses=np.array([1.0 / every]),
        shares=np.array([1.0 / every]),
        law=few_classes(classes, every, examples),
        name=f"views={views}, {classes} classes of {examples}",
        plain=False,
        averaging="anchor",  # all classes have as many members, so all means are the same
        reducer="mean",
        views=views,
    )
