"""What the training losses share: checked arguments, unit rows, and row softmax."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ...errors import ProblemError
from ...objectives.base import check_temperature

# A logit changes by (rounding of a cosine)/tau, so the 10 bits of a GPU's default float32 product will not do.
_PRECISION = jax.lax.Precision.HIGHEST


class Samples(NamedTuple):
    """The N = V n views of a batch, view by view.

    Attributes:
        points: (N, d) unit rows.
        labels: (N,) the class of each.
        examples: (N,) the example each is a view of.
        views: V.
    """

    points: Array
    labels: Array
    examples: Array
    views: int

    @property
    def distinct(self) -> Array:
        """(N, N) whether two samples are two."""
        return ~jnp.eye(len(self.points), dtype=bool)

    @property
    def same_class(self) -> Array:
        """(N, N) whether two samples have one label."""
        return self.labels[:, None] == self.labels

    @property
    def same_example(self) -> Array:
        """(N, N) whether two samples are views of one example."""
        return self.examples[:, None] == self.examples


def samples(embeddings: ArrayLike, labels: ArrayLike, *, least_views: int = 1) -> Samples:
    """Embeddings (V, n, d), or (n, d) for one view, with labels (n,), as one list of samples."""
    points = floats("embeddings", embeddings)
    if points.ndim == 2:
        points = points[None]
    if points.ndim != 3 or 0 in points.shape:
        raise ProblemError(
            f"embeddings: must have shape (views, examples, dim) or (examples, dim); got {np.shape(embeddings)}"
        )
    views, count, dim = points.shape
    if views < least_views:
        raise ProblemError(
            f"embeddings: this loss needs at least {least_views} views of an example, shape (views, examples, dim); "
            f"got {np.shape(embeddings)}"
        )
    classes = class_labels(labels, count)
    return Samples(
        unit(points.reshape(views * count, dim)), jnp.tile(classes, views), jnp.tile(jnp.arange(count), views), views
    )


def class_labels(labels: ArrayLike, count: int) -> Array:
    """The labels, or a ProblemError unless they are `count` integers."""
    array = jnp.asarray(labels)
    if array.shape != (count,):
        raise ProblemError(f"labels: must have shape ({count},), one label per example; got {array.shape}")
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ProblemError(f"labels: must be integers; got {array.dtype}")
    return array


def class_rows(name: str, rows: ArrayLike, like: Array, *, classes: int | None = None) -> Array:
    """(C, d) unit rows, one per class, in the dimension of `like`."""
    array = floats(name, rows)
    wanted = "classes" if classes is None else str(classes)
    if array.ndim != 2 or array.shape[1] != like.shape[1] or classes not in (None, len(array)) or not len(array):
        raise ProblemError(f"{name}: must have shape ({wanted}, {like.shape[1]}), one row per class; got {array.shape}")
    return unit(array).astype(like.dtype)


def per_class(name: str, numbers: ArrayLike, classes: int, dtype: Any) -> Array:
    """(C,) one number per class."""
    array = jnp.asarray(numbers)
    if array.shape != (classes,):
        raise ProblemError(f"{name}: must have shape ({classes},), one number per class; got {array.shape}")
    return array.astype(dtype)


def class_members(batch: Samples, classes: int) -> Array:
    """(N, C) 1 for the class of a sample, else 0; NaN for a sample of no class."""
    mask = batch.labels[:, None] == jnp.arange(classes)
    return jnp.where(jnp.any(mask, axis=1, keepdims=True), mask, jnp.nan).astype(batch.points.dtype)


def floats(name: str, array: ArrayLike) -> Array:
    """The array in float32, or in float64 if it has that already."""
    numbers = jnp.asarray(array)
    if jnp.issubdtype(numbers.dtype, jnp.complexfloating):
        raise ProblemError(f"{name}: must be real numbers; got {numbers.dtype}")
    return numbers.astype(jnp.promote_types(numbers.dtype, jnp.float32))


def unit(rows: Array) -> Array:
    """The rows divided by their lengths; a row of zeros stays one, with a finite gradient."""
    square = jnp.sum(rows * rows, axis=-1, keepdims=True)
    return rows / jnp.sqrt(jnp.maximum(square, 1e-24))


def scalar(
    name: str, value: Any, dtype: Any, *, least: float = 0.0, most: float = math.inf, open_: bool = False
) -> Any:
    """A number as a scalar array of this type; a Python number is checked, an array (traced, perhaps) is trusted."""
    if isinstance(value, (bool, int, float, np.number)):
        if name == "temperature":
            check_temperature(float(value) if isinstance(value, np.number) else value)
        elif (
            isinstance(value, bool)
            or not (math.isfinite(value) and least <= value <= most)
            or (open_ and value == least)
        ):
            rule = f"above {least:g}" if open_ else f"of at least {least:g}"
            limit = "" if math.isinf(most) else f" and at most {most:g}"
            raise ProblemError(f"{name}: must be a finite number {rule}{limit}; got {value!r:.40}")
    elif not hasattr(value, "dtype") or np.shape(value) != ():
        raise ProblemError(f"{name}: must be one number; got {value!r:.40}")
    return jnp.asarray(value, dtype)


def word(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Nothing, or a ProblemError unless the word is allowed."""
    if value not in allowed:
        raise ProblemError(f"{name}: must be one of {', '.join(allowed)}; got {value!r:.40}")


def cosine_logits(rows: Array, columns: Array, temperature: Array) -> Array:
    """(N, M) (cosine - 1)/tau: softmax does not see the 1, and numbers near 0 keep more digits."""
    return (products(rows, columns) - 1.0) / temperature


def products(rows: Array, columns: Array) -> Array:
    """(N, M) inner products at full precision."""
    return jnp.matmul(rows, columns.T, precision=_PRECISION)


def row_softmax(logits: Array, positives: Array, weights: Array) -> Array:
    """(N,) sum_j P_ij [ log( sum_k W_ik e^{l_ik} ) - l_ij ], 0 for a row without positives.

    Args:
        logits: (N, M) l.
        positives: (N, M) P >= 0.
        weights: (N, M) W >= 0; where it is 0 the logit is not looked at.
    """
    inside = weights > 0
    # A row without any weight gets constants, so that it has a finite logarithm and no gradient.
    outside = jnp.where(jnp.any(inside, axis=1, keepdims=True), -jnp.inf, 0.0)
    terms = jnp.where(inside, logits + jnp.log(jnp.where(inside, weights, 1.0)), outside)
    return jnp.sum(positives, axis=1) * jax.nn.logsumexp(terms, axis=1) - jnp.sum(positives * logits, axis=1)


def shares(mask: Array, dtype: Any) -> Array:
    """(N, M) each row of the mask divided by how many it has; zeros where it has none."""
    return mask.astype(dtype) / jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1)
