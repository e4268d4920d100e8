"""Class labels, one per sample: from arrays, tensors, frames and data sets, in the order of their classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import as_numpy
from ..errors import ProblemError


def as_labels(
    labels: Any, samples: int | None = None, *, classes: int | Sequence[Any] | None = None, ignore: Any = None
) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """The place of every label among the classes, -1 for one that is ignored, and (C,) the classes in order.

    Labels (n,) or (n, 1), as `counts_from_labels` takes them; or a ProblemError.
    That is for labels that are neither whole numbers nor texts, that are none of the classes or not as many as there
    are samples; and for -1 among others that are not negative, unless `ignore` or `classes` speaks of it.
    """
    for name in ("targets", "labels"):  # data sets of torchvision and their like
        if not hasattr(labels, "dtype") and hasattr(labels, name):
            labels = getattr(labels, name)
    if classes is None:
        classes = _categories(labels)
    array = _checked(labels, samples)
    kept = np.ones(len(array), dtype=bool) if ignore is None else array != ignore
    if classes is None:
        known = np.unique(array[kept])
        if known.dtype.kind in "iu" and len(known) > 1 and known[0] == -1 and ignore is None:
            raise ProblemError(
                f"labels: must be classes; got -1 for {np.count_nonzero(array == -1)} samples and {known[1]} and more "
                "for others (write ignore=-1 if it means no label, or name the classes)"
            )
    else:
        known = np.arange(classes) if isinstance(classes, (int, np.integer)) else np.asarray(as_numpy(classes))
    order = np.argsort(known, kind="stable")
    places = order[np.minimum(np.searchsorted(known, array, sorter=order), len(known) - 1)]
    strays = np.flatnonzero(kept & (known[places] != array))
    if strays.size:
        raise ProblemError(
            f"labels: must be one of the {len(known)} classes; sample {strays[0]} has {array[strays[0]]!s:.40} "
            f"({strays.size} such; ignore=... passes over one label)"
        )
    return np.where(kept, places, -1).astype(np.intp), known


def _categories(labels: Any) -> Any:
    """The categories of a pandas column or of a polars Enum, in their order; None of anything else."""
    kind = getattr(labels, "dtype", None)
    categories = getattr(kind, "categories", None)
    return None if categories is None else categories.tolist() if hasattr(categories, "tolist") else list(categories)


def _checked(labels: Any, samples: int | None) -> NDArray[Any]:
    try:
        array = np.asarray(as_numpy(labels))
    except ValueError:
        raise ProblemError("labels: must be one array; got rows of different lengths") from None
    if array.dtype.kind == "O" and all(isinstance(entry, str) for entry in array.ravel()):
        array = array.astype(str)
    if array.dtype.kind not in "fiubUS" or np.ma.is_masked(labels):
        what = "masked entries" if np.ma.is_masked(labels) else f"dtype {array.dtype}"
        raise ProblemError(
            f"labels: must be integers or texts; got {what} (labels.astype(int) makes numbers of them, "
            "labels.astype(str) texts, which are sorted as texts)"
        )
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if samples is not None and array.shape != (samples,):
        raise ProblemError(
            f"labels: must be one per sample, shape ({samples},); got {array.shape} (views of a sample share its "
            "label: embeddings of shape (views, samples, dimensions))"
        )
    if array.ndim != 1 or array.size == 0:
        raise ProblemError(f"labels: must be a non-empty one-dimensional array; got shape {array.shape}")
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
