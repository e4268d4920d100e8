"""Labelled embeddings, checked, put on the sphere and sorted by class."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Array
from ..errors import ProblemError

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
    """

    points: Array = field(repr=False)
    views: int
    classes: NDArray[Any]
    counts: NDArray[np.intp]
    shortest: float
    longest: float

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


def as_samples(embeddings: ArrayLike, labels: ArrayLike) -> Samples:
    """Samples from embeddings (n, d) or (views, n, d) and one label per sample.

    Raises:
        ProblemError: embeddings that are no numbers, of another shape, masked, not finite or zero; labels of another
            length, that are neither whole numbers nor texts, or of one class only.

    Cost: three copies of the embeddings in float64.
    """
    array = numbers("embeddings", embeddings)
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ProblemError(
            f"embeddings: must have shape (samples, dimensions) or (views, samples, dimensions); got {array.shape}"
        )
    views = array.shape[0] if array.ndim == 3 else 1
    names = _checked_labels(labels, array.shape[-2])
    classes, codes = np.unique(names, return_inverse=True)
    if len(classes) < 2:
        raise ProblemError(f"labels: must show two classes or more; got {classes[0]!s:.40} alone")
    order = np.argsort(codes, kind="stable")
    stacked = array.reshape(views, *array.shape[-2:])[:, order]
    points = np.ascontiguousarray(np.swapaxes(stacked, 0, 1), dtype=np.float64).reshape(-1, array.shape[-1])
    # Scaled by the largest entry first: squares of very long or very short vectors would leave the range of floats.
    scale = np.abs(points).max(axis=1)
    for wrong, what in ((~np.isfinite(scale), "finite"), (scale == 0.0, "nonzero")):
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            got = "NaN or infinity" if what == "finite" else "all zeros"
            where = f"row {order[place // views]}" + (f" of view {place % views}" if views > 1 else "")
            raise ProblemError(
                f"embeddings: every vector must be {what}; {where} has {got} ({np.count_nonzero(wrong)} such; leave "
                "them out, with their labels)"
            )
    points /= scale[:, None]
    lengths = np.sqrt(np.einsum("ij,ij->i", points, points))
    points /= lengths[:, None]
    lengths *= scale
    return Samples(points, views, classes, np.bincount(codes), float(lengths.min()), float(lengths.max()))


def numbers(argument: str, values: ArrayLike) -> NDArray[Any]:
    """The values as an array of real numbers, or a ProblemError."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        raise ProblemError(f"{argument}: must be one array of numbers; got rows of different lengths") from None
    if np.ma.is_masked(values):
        raise ProblemError(f"{argument}: must not be masked (leave out what is masked: values.filled() makes it count)")
    if array.dtype.kind not in "fiu":
        raise ProblemError(f"{argument}: must be real numbers; got dtype {array.dtype} (convert to float32 or float64)")
    return array


def _checked_labels(labels: ArrayLike, samples: int) -> NDArray[Any]:
    try:
        array = np.asarray(labels)
    except ValueError:
        raise ProblemError("labels: must be one array; got rows of different lengths") from None
    if array.dtype.kind not in "fiubUS" or np.ma.is_masked(labels):
        what = "masked entries" if np.ma.is_masked(labels) else f"dtype {array.dtype}"
        raise ProblemError(
            f"labels: must be integers or texts; got {what} (labels.astype(int) makes numbers of them, "
            "labels.astype(str) texts, which are sorted as texts)"
        )
    if array.shape != (samples,):
        raise ProblemError(
            f"labels: must be one per sample, shape ({samples},); got {array.shape} (views of a sample share its "
            "label: embeddings of shape (views, samples, dimensions))"
        )
    if array.dtype.kind != "f":
        return array
    if not np.isfinite(array).all():
        raise ProblemError("labels: must not contain NaN or infinity (leave out samples without a label)")
    # Beyond 2^53 different labels may have become one number.
    bad = np.flatnonzero((array != np.floor(array)) | (np.abs(array) > 2.0**53))
    if bad.size:
        raise ProblemError(
            f"labels: must be integers or texts; sample {bad[0]} has {array[bad[0]]:g} (labels.astype(str) makes "
            "texts of them)"
        )
    return array.astype(np.int64)


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
    bad = np.flatnonzero(~finite | ~scaled.any(axis=1))
    if bad.size:
        raise ProblemError(f"weights: every row must be finite and not all zeros; row {bad[0]} is not")
    return scaled
