"""Class counts: how many examples each class has, whichever way they are given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Array, frozen
from ..errors import ProblemError
from ..text import ranges


@dataclass(frozen=True, eq=False)
class Counts:
    """Class counts, kept as a histogram: the optimum depends on nothing else.

    Classes of equal count are exchangeable, so everything downstream works with the K distinct counts.

    Attributes:
        values: (K,) the distinct counts, largest first; positive (real numbers are welcome: the theory never
            needs integers).
        multiplicity: (K,) how many classes have each of those counts.
        groups: (C,) for every class, in the caller's order, the position of its count in `values`; empty where classes
            are not listed one by one: a distribution of counts, whose multiplicities need not be whole.
        name: where the counts come from, for reports.
        are_proportions: whether `values` are shares of one data set that sum to 1 over the classes.
        names: (C,) what the classes are called, in the caller's order; None where they have no names.
    """

    values: Array
    multiplicity: Array
    groups: NDArray[np.intp] = field(repr=False)
    name: str = "counts"
    are_proportions: bool = False
    names: tuple[str, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen("values", self.values))
        object.__setattr__(self, "multiplicity", frozen("multiplicity", self.multiplicity))
        object.__setattr__(self, "groups", frozen("groups", self.groups, np.intp))

    @property
    def classes(self) -> int:
        """The number of classes C."""
        return len(self.groups) or round(float(self.multiplicity.sum()))

    @property
    def total(self) -> float:
        """The number of examples (1 for proportions)."""
        return float(self.values @ self.multiplicity)

    @property
    def proportions(self) -> Array:
        """(K,) the share of the data that one class of each distinct count has."""
        return self.values / self.total

    @property
    def per_class(self) -> Array:
        """(C,) the counts in the caller's class order; a ProblemError for a distribution of counts."""
        if not len(self.groups):
            raise ProblemError(f"counts: {self.name} is a distribution; its classes are not listed one by one")
        return self.values[self.groups]

    @property
    def imbalance_ratio(self) -> float:
        """Largest count over smallest."""
        return float(self.values[0] / self.values[-1])

    def __str__(self) -> str:
        largest, smallest = self.values[0], self.values[-1]
        what = "shares" if self.are_proportions else "counts"
        line = f"{self.name}: {self.classes} classes"
        if largest == smallest:
            return f"{line}, all of {what[:-1]} {largest:g}"
        distinct = f"ratio {self.imbalance_ratio:.4g}, {len(self.values)} distinct"
        return f"{line}, {what} {largest:g} to {smallest:g} ({distinct})"

    def to_dict(self) -> dict[str, Any]:
        """What reports say of the counts: their name, how many classes, and what these are called."""
        return {"counts": self.name, "classes": self.classes} | ({} if self.names is None else {"names": self.names})

    def label(self, c: int) -> str:
        """What class c is called: its name, or its number."""
        return f"{c}" if self.names is None else self.names[c]

    def which(self, classes: Iterable[int], most: int = 6) -> str:
        """Classes in words: "classes cat, dog", or by number "classes 1-9, 12"."""
        if self.names is None:
            return ranges(classes, most)
        words = [self.names[c] for c in classes]
        more = f" and {len(words) - most} more" if len(words) > most else ""
        return ("class " if len(words) == 1 else "classes ") + ", ".join(words[:most]) + more

    def classes_with(self, a: int) -> NDArray[np.intp]:
        """The classes of the distinct count at position a."""
        return np.flatnonzero(self.groups == a)

    def named(self, names: Sequence[str] | None) -> Counts:
        """The same counts with names of the classes, in the caller's order."""
        if names is not None and len(names) != self.classes:
            raise ProblemError(f"names: must be one per class, {self.classes}; got {len(names)}")
        return replace(self, names=None if names is None else tuple(map(str, names)))

    def by_class(self) -> Counts:
        """The same counts with one row for every class, classes of equal count not put together, largest first."""
        order = np.argsort(self.groups, kind="stable")
        groups = np.empty(self.classes, np.intp)
        groups[order] = np.arange(self.classes)
        return replace(self, values=self.per_class[order], multiplicity=np.ones(self.classes), groups=groups)


def as_counts(counts: Counts | ArrayLike, *, name: str = "counts") -> Counts:
    """Counts from an array-like of one positive number per class, in the caller's class order.

    Numbers that are all below 1 are read as proportions and must sum to 1 (to 1e-6).

    Raises:
        ProblemError: empty, a single class, not one-dimensional, non-numeric, NaN, infinite, zero, negative, or
            proportions that do not sum to 1.
    """
    if isinstance(counts, Counts):
        return counts
    try:
        array = np.asarray(counts, dtype=np.float64)
    except (TypeError, ValueError):
        hint = " (a name or a file goes through load_counts)" if isinstance(counts, (str, Path)) else ""
        raise ProblemError(f"{name}: must be numbers, one per class; got {counts!r:.80}{hint}") from None
    if array.ndim != 1:
        raise ProblemError(f"{name}: must be one-dimensional, one number per class; got shape {array.shape}")
    if array.size == 0:
        raise ProblemError(f"{name}: must have at least two classes; got none")
    bad = np.flatnonzero(~(np.isfinite(array) & (array > 0)))
    extreme = np.flatnonzero((array > 1e100) | (array < 1e-100))
    if bad.size:
        raise ProblemError(
            f"{name}: every class must have a finite number of examples above 0; class {bad[0]} has {array[bad[0]]:g} "
            "(leave out classes without examples; if these are labels, one per example, use counts_from_labels)"
        )
    if extreme.size:
        raise ProblemError(f"{name}: must lie between 1e-100 and 1e100; class {extreme[0]} has {array[extreme[0]]:g}")
    if array.size == 1:
        raise ProblemError(f"{name}: must have at least two classes; got one (count {array[0]:g})")
    are_proportions = bool(np.all(array < 1))
    if are_proportions:
        if abs(array.sum() - 1) > 1e-6:
            raise ProblemError(
                f"{name}: numbers that are all below 1 are read as proportions and must sum to 1; they sum to "
                f"{array.sum():.9g} (divide by the sum, or give counts)"
            )
        array = array / array.sum()
    ascending, inverse, multiplicity = np.unique(array, return_inverse=True, return_counts=True)
    return Counts(
        values=ascending[::-1].copy(),
        multiplicity=multiplicity[::-1].astype(np.float64),
        groups=(len(ascending) - 1 - inverse.reshape(-1)).astype(np.intp),
        name=name,
        are_proportions=are_proportions,
    )


def counts_from_labels(labels: ArrayLike) -> Counts:
    """Counts of an array of labels (integers, strings, ...), classes in the sorted order of their labels.

    Raises:
        ProblemError: labels that are not one-dimensional, contain NaN, or show fewer than two classes.
    """
    array = np.asarray(labels)
    if array.ndim != 1 or array.size == 0:
        raise ProblemError(f"labels: must be a non-empty one-dimensional array; got shape {array.shape}")
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ProblemError("labels: must not contain NaN (drop the unlabelled examples)")
    try:
        return as_counts(np.unique(array, return_counts=True)[1], name="labels")
    except TypeError:
        raise ProblemError("labels: must all be of one kind, such as all integers or all strings") from None


def long_tail_counts(classes: int, largest: float, imbalance_ratio: float) -> Counts:
    """The long-tail rule of CIFAR-LT: class i of C has int(largest * (1/IR)**(i/(C-1))) examples (truncated).

    Raises:
        ProblemError: fewer than two classes, a ratio below 1, or a tail that is left without examples.
    """
    if classes < 2:
        raise ProblemError(f"classes: must be at least 2; got {classes}")
    if not imbalance_ratio >= 1 or not math.isfinite(imbalance_ratio):
        raise ProblemError(f"imbalance_ratio: must be a finite number of at least 1; got {imbalance_ratio}")
    if not (math.isfinite(largest) and largest >= 1):
        raise ProblemError(f"largest: must be a finite count of at least 1; got {largest}")
    # The data sets were cut with exactly this expression; any rearrangement can truncate to another integer.
    tail = [int(largest * (1 / imbalance_ratio) ** (i / (classes - 1))) for i in range(classes)]
    if tail[-1] < 1:
        raise ProblemError(
            f"imbalance_ratio: with {largest:g} examples in the largest class the rule leaves class {tail.index(0)} "
            f"empty at ratio {imbalance_ratio:g}; a ratio of at most {largest:g} leaves every class an example"
        )
    return as_counts(tail, name=f"long tail, C={classes}, IR={imbalance_ratio:g}")


def step_counts(majority: int, minority: int, per_class: float, imbalance_ratio: float) -> Counts:
    """The step rule: `majority` classes of per_class * imbalance_ratio examples, `minority` classes of per_class.

    Raises:
        ProblemError: a negative number of classes, fewer than two in all, or a ratio that is not positive.
    """
    if majority < 0 or minority < 0 or majority + minority < 2:
        raise ProblemError(f"majority, minority: must be at least 0 and 2 in all; got {majority} and {minority}")
    if not imbalance_ratio > 0:
        raise ProblemError(f"imbalance_ratio: must be above 0; got {imbalance_ratio}")
    return as_counts([per_class * imbalance_ratio] * majority + [per_class] * minority, name="step")
