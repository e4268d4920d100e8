"""Labelled embeddings, checked, put on the sphere and sorted by class."""

import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Array, as_numpy
from ..counts.labels import as_labels
from ..errors import ProblemError
from .losses.arrays import views_first

# Lengths this close to 1 are those of normalised vectors that went through half precision.
_UNIT = 1e-3


@dataclass(frozen=True, eq=False)
class Samples:
    """Embeddings on the unit sphere, sorted by class; the views of a sample stand side by side.

    Attributes:
        points: (N, d) unit rows, N = samples x views: sample i has the rows i views, ..., i views + views - 1.
        views: views of a sample.
        classes: (C,) the labels, sorted: the class order of everything that follows, that of `counts_from_labels`.
        counts: (C,) samples of every class.
        shortest: the least length of an embedding as it was given.
        longest: the greatest.
        places: (C,) the position of each class among all classes there could be: unused categories are among them.
        known: how many classes there could be.
    """

    points: Array = field(repr=False)
    views: int
    classes: NDArray[Any]
    counts: NDArray[np.intp]
    shortest: float
    longest: float
    places: NDArray[np.intp] = field(repr=False)
    known: int

    @property
    def normalised(self) -> bool:
        """Whether the embeddings had to be normalised: some length was off 1 by more than 0.001."""
        return bool(self.shortest < 1.0 - _UNIT or self.longest > 1.0 + _UNIT)

    @cached_property
    def sizes(self) -> NDArray[np.intp]:
        """(C,) embeddings of every class: samples x views."""
        return self.counts * self.views

    @cached_property
    def ends(self) -> NDArray[np.intp]:
        """(C + 1,) class c has the rows ends[c] to ends[c + 1]."""
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.intp)

    @cached_property
    def codes(self) -> NDArray[np.intp]:
        """(N,) the class of every row."""
        return np.repeat(np.arange(len(self.classes)), self.sizes)

    def per_class(self, values: Array) -> Array:
        """(C, ...) the mean over every class of values that belong to the rows."""
        total = np.add.reduceat(values, self.ends[:-1], axis=0)
        return np.asarray(total / self.sizes.reshape(-1, *[1] * (values.ndim - 1)))


def as_samples(embeddings: Any, labels: Any, *, ignore: Any = None, view_axis: int = 0) -> Samples:
    """Samples from embeddings and labels as `diagnose` takes them, or a ProblemError. Three copies in float64."""
    array = views_first(xp, numbers("embeddings", embeddings), view_axis)
    views, total, dim = array.shape
    codes, known = as_labels(labels, total, ignore=ignore)
    counts = np.bincount(codes[codes >= 0], minlength=len(known))
    present = np.flatnonzero(counts)
    classes = known[present]
    if classes.dtype.kind == "S":
        classes = np.char.decode(classes, "utf-8", "replace")
    if len(present) < 2:
        shown = f"{classes[0]!s:.40} alone" if len(present) else "none"
        raise ProblemError(f"labels: must show two classes or more; got {shown}")
    order = np.argsort(codes, kind="stable")[np.count_nonzero(codes < 0) :]
    points = np.ascontiguousarray(np.swapaxes(array[:, order], 0, 1), dtype=np.float64).reshape(-1, dim)
    # Scaled by the largest entry first: squares of very long or very short vectors would leave the range of floats.
    scale = np.abs(points).max(axis=1)
    wrong = np.flatnonzero(~np.isfinite(scale) | (scale == 0.0))
    if wrong.size:
        what, got = ("nonzero", "all zeros") if scale[wrong[0]] == 0.0 else ("finite", "NaN or infinity")
        where = f"row {order[wrong[0] // views]}" + (f" of view {wrong[0] % views}" if views > 1 else "")
        raise ProblemError(
            f"embeddings: every vector must be {what}; {where} has {got} ({wrong.size} such; leave them out, with "
            "their labels)"
        )
    points /= scale[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->i", points, points))
    points /= lengths[:, None]
    lengths *= scale
    span = float(lengths.min()), float(lengths.max())
    return Samples(points, views, classes, counts[present], *span, present, len(known))


def warn_if_permuted(given: Array, seen: Array) -> None:
    """A warning where samples per class are the given counts, to a factor, but of other classes."""
    shares, found = given / given.sum(), seen / seen.sum()
    if not np.allclose(shares, found, rtol=1e-6) and np.allclose(np.sort(shares), np.sort(found), rtol=1e-6):
        first = int(np.argmax(~np.isclose(shares, found, rtol=1e-6)))
        warnings.warn(
            f"the labels have the given counts, but of other classes (class {first} was given {given[first]:g} and has "
            f"{seen[first]:g} samples): are the counts in the order of the labels?",
            stacklevel=3,
        )


def numbers(argument: str, values: Any) -> NDArray[Any]:
    """The values as an array of real numbers, or a ProblemError."""
    try:
        array = np.asarray(as_numpy(values))
    except (TypeError, ValueError):
        raise ProblemError(f"{argument}: must be one array of numbers; got rows of different lengths") from None
    if np.ma.is_masked(values):
        raise ProblemError(f"{argument}: must not be masked (leave out what is masked: values.filled() makes it count)")
    if array.dtype.kind not in "fiu":
        raise ProblemError(f"{argument}: must be real numbers; got dtype {array.dtype} (convert to float32 or float64)")
    return array


def as_weights(weights: ArrayLike, samples: Samples) -> Array:
    """(C, d) the weights of a linear classifier without bias, the largest 1 in size, or a ProblemError."""
    array = numbers("weights", weights).astype(np.float64)
    shape = (len(samples.classes), samples.points.shape[1])
    if array.shape != shape:
        raise ProblemError(
            f"weights: must have shape {shape}, one row per class in the sorted order of the labels; got {array.shape}"
        )
    finite = np.isfinite(array).all(axis=1)
    # No measure sees their scale; squares of very large or very small ones would leave the range of floats.
    scaled = array / max(float(np.abs(array[finite]).max(initial=0.0)), np.finfo(float).tiny)
    bad = np.flatnonzero(~finite | (np.linalg.norm(scaled, axis=1) == 0.0))
    if bad.size:
        raise ProblemError(f"weights: every row must be finite and not all zeros; row {bad[0]} is not")
    return scaled
