"""Who is drawn and what weighs: samplers of batches, and averages over anchors."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.orbit_gram import Orbits
from .base import check_array

SAMPLERS = {"instance": 1.0, "class-balanced": 0.0, "square-root": 0.5, "sqrt": 0.5}
AVERAGES = ("anchor", "pair", "class")
Sampler = str | float | ArrayLike
Averaging = str | ArrayLike


@dataclass(frozen=True, eq=False)
class ClassTable:
    """What a loss is told of each class, by orbits of classes told the same, those of most examples first."""

    orbits: Orbits
    counts: Array  # (K,) examples of one class of each orbit
    columns: tuple[Array, ...] = ()  # (K,) what else was told

    @classmethod
    def of(cls, counts: Counts, *columns: Array | None) -> ClassTable:
        """The table of these counts and of (C,) columns; where no column is given, one orbit a distinct count."""
        given = [column for column in columns if column is not None]
        if not given:
            return cls(class_orbits(counts), counts.distinct, ())
        rows, labels, sizes = np.unique(
            np.column_stack([-counts.per_class, *given]), axis=0, return_inverse=True, return_counts=True
        )
        return cls(Orbits(sizes.astype(np.float64), labels.reshape(-1)), -rows[:, 0], tuple(rows[:, 1:].T))

    def as_counts(self, counts: Counts) -> Counts:
        """The counts by these orbits, for reports: equal ones stand apart where classes were told different things."""
        labels = np.empty(0, np.intp) if self.orbits.labels is None else self.orbits.labels
        return replace(counts, distinct=self.counts, multiplicity=self.orbits.sizes, groups=labels)


def class_orbits(counts: Counts) -> Orbits:
    """The orbits of a loss that sees a class only through its count: one per distinct count."""
    return Orbits(counts.multiplicity, counts.groups if len(counts.groups) else None)


def drawn_shares(counts: Counts, sampler: Sampler) -> Array:
    """The chance that one draw of a batch is of a class: (K,) by distinct counts, or (C,) where given class by class.

    Args:
        counts: examples per class.
        sampler: "instance" (every example alike), "class-balanced" (every class alike), "square-root" or "sqrt" (by
            the root of the count), an exponent q in [0, 1] (by count^q), or (C,) probabilities.

    Raises:
        ProblemError: an unknown word, an exponent out of range, probabilities that do not fit.
    """
    if isinstance(sampler, str):
        word = sampler.replace("_", "-")
        if word not in SAMPLERS:
            raise ProblemError(
                f"sampler: must be one of {', '.join(SAMPLERS)}, PxM (8x4: 8 classes of 4 examples), an exponent from "
                f"0 to 1, or one probability a class; got {sampler!r:.40}"
            )
        sampler = SAMPLERS[word]
    given = np.asarray(sampler)
    if given.dtype.kind not in "fiu":
        raise ProblemError(f"sampler: must be a word, a number or one probability a class; got {sampler!r:.40}")
    if given.ndim == 0:
        if not 0.0 <= float(given) <= 1.0:
            raise ProblemError(
                f"sampler: an exponent lies between 0 (classes alike) and 1 (examples alike); got {given:g}"
            )
        powers = np.power(counts.distinct / counts.distinct[0], float(given))
        return np.asarray(powers / (counts.multiplicity @ powers))
    given = check_array("sampler", given, (counts.classes,), above=0)
    if abs(given.sum() - 1.0) > 1e-6:
        raise ProblemError(f"sampler: probabilities must sum to 1; they sum to {given.sum():.9g} (divide by the sum)")
    return given / given.sum()


def resampled(counts: Counts, sampler: Sampler) -> Counts:
    """The counts as the shares of draws, for a loss that sees proportions only."""
    if isinstance(sampler, str) and sampler == "instance":
        return counts
    shares = drawn_shares(counts, sampler)
    drawn = as_counts(shares if np.ndim(sampler) else shares[counts.groups], name=counts.name)
    return replace(drawn, names=counts.names)


def classes_and_examples(sampler: Sampler, counts: Counts) -> tuple[int, int] | None:
    """P and M of a sampler "PxM", P classes of M examples each; None for any other."""
    found = re.fullmatch("([0-9]+)x([0-9]+)", sampler.lower()) if isinstance(sampler, str) else None
    if found is None:
        return None
    classes, examples = int(found[1]), int(found[2])
    if not 2 <= classes <= counts.classes or examples < 1:
        raise ProblemError(
            f"sampler: PxM draws 2 to {counts.classes} classes (P) of at least 1 example (M) each; got {sampler!r}"
        )
    return classes, examples


def anchor_masses(counts: Counts, averaging: Averaging, views: int) -> Array:
    """What all anchors of one class weigh in the mean: (K,) by distinct counts, or (C,) where given class by class.

    With N = views * count embeddings in a class: N for "anchor" (every anchor alike), N (N - 1) for "pair" (every
    positive pair alike), 1 for "class" (every class alike), and N w for weights w of an anchor of each class, such as
    `inverse_frequency` and `effective_numbers`; divided by the sum over classes.

    Raises:
        ProblemError: an unknown word, or weights that do not fit.
    """
    if not isinstance(averaging, (str, bytes)):
        weighed = check_array("averaging", averaging, (counts.classes,), above=0) * counts.per_class
        return np.asarray(weighed / weighed.sum())
    if averaging not in AVERAGES:
        known = ", ".join(AVERAGES)
        raise ProblemError(f"averaging: must be one of {known}, or one weight a class; got {averaging!r:.40}")
    if averaging == "anchor":
        return counts.proportions
    examples = views * counts.distinct
    weighed = examples * (examples - 1.0) if averaging == "pair" else np.ones_like(examples)
    return np.asarray(weighed / (counts.multiplicity @ weighed))


def inverse_frequency(counts: ArrayLike) -> Array:
    """(C,) the weight 1/n of an anchor, which gives every class the same mass."""
    return 1.0 / np.asarray(counts, dtype=np.float64)


def effective_numbers(counts: ArrayLike, beta: float = 0.999) -> Array:
    """(C,) the weight (1 - beta) / (1 - beta^n) of an anchor (Cui et al., CVPR 2019, "effective number of samples").

    Raises:
        ProblemError: a beta that is not between 0 and 1.
    """
    if not 0.0 <= beta < 1.0:
        raise ProblemError(f"beta: must be at least 0 and below 1; got {beta!r:.40} (0.999 is usual)")
    return np.asarray((1.0 - beta) / -np.expm1(np.asarray(counts, dtype=np.float64) * np.log(beta or 1e-300)))
