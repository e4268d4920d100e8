"""Class counts: how many examples each class has, whichever way they are given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Array, as_numpy, frozen
from ..errors import ProblemError
from ..text import ranges
from .labels import as_labels


@dataclass(frozen=True, eq=False)
class Counts:
    """Class counts, kept as a histogram: the optimum depends on nothing else.

    Classes of equal count are exchangeable, so everything downstream works with the K distinct counts.

    Attributes:
        distinct: (K,) the distinct counts, largest first; positive (real numbers are welcome: the theory never
            needs integers).
        multiplicity: (K,) how many classes have each of those counts.
        groups: (C,) for every class, in the caller's order, the position of its count in `distinct`; empty where
            classes are not listed one by one: a distribution of counts, whose multiplicities need not be whole.
        name: where the counts come from, for reports.
        names: (C,) what the classes are called, in the caller's order; None where they have no names.
    """

    distinct: Array
    multiplicity: Array
    groups: NDArray[np.intp] = field(repr=False)
    name: str = "counts"
    names: tuple[str, ...] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "distinct", frozen("distinct", self.distinct))
        object.__setattr__(self, "multiplicity", frozen("multiplicity", self.multiplicity))
        object.__setattr__(self, "groups", frozen("groups", self.groups, np.intp))

    @property
    def classes(self) -> int:
        """The number of classes C."""
        return len(self.groups) or round(float(self.multiplicity.sum()))

    @property
    def total(self) -> float:
        """The number of examples (1 for proportions)."""
        return float(self.distinct @ self.multiplicity)

    @property
    def proportions(self) -> Array:
        """(K,) the share of the data that one class of each distinct count has."""
        return self.distinct / self.total

    @property
    def per_class(self) -> Array:
        """(C,) the counts in the caller's class order; a ProblemError for a distribution of counts."""
        if not len(self.groups):
            raise ProblemError(f"counts: {self.name} is a distribution; its classes are not listed one by one")
        return self.distinct[self.groups]

    # Under the name that arrays of them go by.
    values = per_class

    @property
    def are_proportions(self) -> bool:
        """Whether these are shares of one data set: all below 1."""
        return bool(self.distinct.max() < 1)

    @property
    def imbalance_ratio(self) -> float:
        """Largest count over smallest."""
        return float(self.distinct[0] / self.distinct[-1])

    def __str__(self) -> str:
        largest, smallest = self.distinct[0], self.distinct[-1]
        what = "shares" if self.are_proportions else "counts"
        line = f"{self.name}: {self.classes} classes"
        if largest == smallest:
            return f"{line}, all of {what[:-1]} {largest:g}"
        distinct = f"ratio {self.imbalance_ratio:.4g}, {len(self.distinct)} distinct"
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

    @property
    def present(self) -> Counts:
        """The counts of the classes that have an example."""
        if self.distinct[-1] > 0:
            return self
        kept = np.flatnonzero(self.per_class > 0)
        names = None if self.names is None else [self.names[c] for c in kept]
        return replace(as_counts(self.per_class[kept]).named(names), name=self.name)

    def by_class(self) -> Counts:
        """The same counts with one row for every class, classes of equal count not put together, largest first."""
        order = np.argsort(self.groups, kind="stable")
        groups = np.empty(self.classes, np.intp)
        groups[order] = np.arange(self.classes)
        return replace(self, distinct=self.per_class[order], multiplicity=np.ones(self.classes), groups=groups)


def as_counts(counts: Counts | ArrayLike, *, name: str = "counts") -> Counts:
    """Counts from one positive number per class, in the caller's class order.

    An array, a tensor or a list is taken as it stands. A mapping {class: count} or a pandas Series (`value_counts()`)
    goes by its keys or index, in their sorted order, which the counts have as names.

    Numbers that are all below 1 are read as proportions and must sum to 1 (to 1e-6).

    Raises:
        ProblemError: empty, a single class, not one-dimensional, non-numeric, NaN, infinite, zero, negative, or
            proportions that do not sum to 1.
    """
    if isinstance(counts, Counts):
        empty = np.flatnonzero(counts.distinct == 0)
        if empty.size:
            raise ProblemError(
                f"{name}: every class must have an example; {counts.which(counts.classes_with(empty[0]))} of "
                f"{counts.name} {'has' if counts.multiplicity[-1] == 1 else 'have'} none (counts.present leaves out "
                "such classes)"
            )
        return counts
    counts, names = _keyed(counts)
    try:
        array = np.asarray(as_numpy(counts), dtype=np.float64)
    except (TypeError, ValueError):
        hint = " (a name or a file goes through load_counts)" if isinstance(counts, (str, Path)) else ""
        raise ProblemError(f"{name}: must be numbers, one per class; got {counts!r:.80}{hint}") from None
    if array.ndim != 1:
        raise ProblemError(f"{name}: must be one-dimensional, one number per class; got shape {array.shape}")
    bad = np.flatnonzero(~((array >= 1e-100) & (array <= 1e100)))
    if bad.size:
        raise ProblemError(
            f"{name}: every class must have a finite number of examples above 0; class {bad[0]} has {array[bad[0]]:g} "
            "(leave out classes without examples; if these are labels, one per example, use counts_from_labels)"
        )
    if array.size < 2:
        got = f"one (count {array[0]:g})" if array.size else "none"
        raise ProblemError(f"{name}: must have at least two classes; got {got}")
    if np.all(array < 1):
        if abs(array.sum() - 1) > 1e-6:
            raise ProblemError(
                f"{name}: numbers that are all below 1 are read as proportions and must sum to 1; they sum to "
                f"{array.sum():.9g} (divide by the sum, or give counts)"
            )
        array = array / array.sum()
    found = _histogram(array, name)
    return found if names is None else found.named(names)


def _histogram(array: Array, name: str) -> Counts:
    ascending, inverse, multiplicity = np.unique(array, return_inverse=True, return_counts=True)
    groups = len(ascending) - 1 - inverse.reshape(-1)
    return Counts(ascending[::-1], multiplicity[::-1].astype(np.float64), groups, name)


def counts_from_labels(labels: Any, *, classes: int | Sequence[Any] | None = None, ignore: Any = None) -> Counts:
    """Counts of labels, one per example; their names are the labels, unless these are 0 to C - 1.

    Args:
        labels: integers or texts in any array, tensor, series or data set (its `targets`). Classes are in the sorted
            order of the labels, or in that of their categories.
        classes: the classes in order, or their number C for 0 to C - 1: classes without an example are then kept, with
            a count of 0, which no loss takes (`Counts.present` leaves them out).
        ignore: a label to pass over, such as -1.

    Raises:
        ProblemError: what `as_labels` refuses, or fewer than two classes.
    """
    codes, known = as_labels(labels, classes=classes, ignore=ignore)
    names = None if np.array_equal(known, np.arange(len(known))) else known.tolist()
    counted = np.bincount(codes[codes >= 0], minlength=len(known)).astype(np.float64)
    as_counts(counted[counted > 0], name="labels")  # or it says what is wrong with them
    return _histogram(counted, "labels").named(names)


def _keyed(counts: Any) -> tuple[Any, list[Any] | None]:
    """The numbers of a mapping or series in the order of its keys, and these unless 0 to C - 1; all else as it is."""
    if isinstance(counts, Mapping):
        keys, numbers = list(counts), list(counts.values())
    elif hasattr(counts, "index") and hasattr(counts, "to_dict"):
        keys, numbers = counts.index.tolist(), np.asarray(counts).tolist()
    else:
        return counts, None
    if len(set(keys)) < len(keys):
        raise ProblemError("counts: every class must be named once in the index; some are named twice (reset_index?)")
    try:
        order = sorted(range(len(keys)), key=keys.__getitem__)
    except TypeError:
        raise ProblemError(
            "counts: the keys of a mapping must all be of one kind, such as all integers or all texts"
        ) from None
    keys = [keys[place] for place in order]
    plain = all(isinstance(key, (int, np.integer)) for key in keys) and keys == list(range(len(keys)))
    return [numbers[place] for place in order], None if plain else keys


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
