"""Losses over batches whose instances may part, beside a prototype of their class or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import Array
from ...counts.counts import Counts
from ...errors import BackendError, ProblemError
from ..batches.batch_means import BatchMean
from ..batches.outcomes import Groups, outcomes
from ..classes.over_batches import Batches
from .parts import Parted, example_counts, kinds_of, parts_in


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchOfInstances(Parted, BatchMean):
    """A mean over batches whose atoms are examples, exchangeable within their class, and what stands beside them."""

    def ungrouped(self) -> NoReturn:
        """Not to be had: which atoms share a draw is told by classes."""
        raise BackendError(f"{self.name}: batches of instances are taken by classes only (Newton or interior)")


def instances_in_batches(
    loss: str,
    counts: Counts,
    temperature: float,
    drawn: Batches,
    name: str,
    weights: Mapping[str, Callable[[Array], Array]],
    tell: Callable[[Array, Array], tuple],
) -> BatchOfInstances:
    """A loss over batches of instances.

    `weights` are of the kinds of atoms, anchors first: what those of another class with m examples have in a
    denominator. `tell` is that of `outcomes`.
    """
    each, labels = example_counts(loss, counts), drawn.orbits.listed()
    if drawn.counts is None:
        raise ProblemError(f"sampler: {loss} tells examples apart, and PxM is for losses that do not; write shares")
    sizes: dict[str, ArrayLike] = dict.fromkeys(weights, 1.0)
    kinds = kinds_of(loss, counts, sizes | {next(iter(weights)): counts.distinct}, by_class=True)
    law = drawn.law.each(labels)
    members = np.arange(law.others.shape[1], dtype=float)
    masses = np.zeros((len(weights), len(each)))
    masses[0] = drawn.masses[labels] / each
    return BatchOfInstances(
        orbits=kinds.by_class,
        masses=masses.ravel(),
        temperature=temperature,
        name=name,
        counts=counts,
        count=law.count,
        groups=Groups(
            classes=np.ones(len(each)),
            places=np.arange(masses.size).reshape(masses.shape),
            law=law,
            weights=np.array([part(members) for part in weights.values()]),
            own=outcomes(law, np.ones_like, tell, each),
        ),
        views=drawn.views,
        parts=parts_in(kinds),
    )
