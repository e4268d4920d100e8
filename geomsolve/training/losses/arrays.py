"""What the training losses share, written once for torch, JAX and NumPy: checked arguments, unit rows, row softmax."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from array_api_compat import (
    array_namespace,
    device,
    is_array_api_obj,
    is_jax_array,
    is_numpy_array,
    is_torch_array,
    to_device,
)

from ...errors import ProblemError
from ...objectives.base import check_number, check_temperature
from ...objectives.kinds.supcl import check_alpha
from ...objectives.rows.full_batch import check_word

# A torch tensor, a JAX array (traced, perhaps), a NumPy array, or what numpy.asarray takes.
Tensor = Any
AVERAGINGS = ("anchor", "pair", "class")
# Numbers that are to be more than not negative.
_CHECKS: dict[str, Callable[[Any], float]] = {
    "temperature": check_temperature,
    "alpha": check_alpha,
    "scale": partial(check_number, "scale", least=1e-300),
}


@dataclass(frozen=True, eq=False)
class Batch:
    """The N = V n views of a batch, view by view: (N, d) unit rows, the class of each, and the example it is of."""

    xp: Any
    points: Tensor
    labels: Tensor
    examples: Tensor
    views: int

    @property
    def distinct(self) -> Tensor:
        """(N, N) whether two samples are two."""
        order = arange(self.xp, self.points.shape[0], self.points)
        return order[:, None] != order[None, :]

    @property
    def same_class(self) -> Tensor:
        """(N, N) whether two samples have one label."""
        return self.labels[:, None] == self.labels[None, :]

    @property
    def same_example(self) -> Tensor:
        """(N, N) whether two samples are views of one example."""
        return self.examples[:, None] == self.examples[None, :]

    def number(self, values: Tensor) -> Tensor:
        """The values in the type of the points."""
        return self.xp.astype(values, self.points.dtype)

    def array(self, values: Tensor) -> Tensor:
        """The values as an array of this framework, on this device, in the type of the points."""
        return self.number(as_array(self.xp, values, self.points))

    def scalar(self, name: str, value: Any) -> Any:
        """The number itself, checked, or a scalar array in the type of the points, trusted (it may be traced)."""
        if isinstance(value, (bool, int, float, np.number)):
            return _CHECKS[name](value) if name in _CHECKS else check_number(name, value)
        if not is_array_api_obj(value) or tuple(value.shape) not in ((), (1,)):
            raise ProblemError(f"{name}: must be one number; got {value!r:.40}")
        return self.xp.reshape(self.array(value), ())

    def per_class(self, name: str, numbers: Tensor, classes: int) -> Tensor:
        """(C,) one number per class."""
        array = self.array(numbers)
        if tuple(array.shape) != (classes,):
            raise ProblemError(f"{name}: must have shape ({classes},), one number per class; got {tuple(array.shape)}")
        return array

    def class_rows(self, name: str, rows: Tensor, classes: int | None = None) -> Tensor:
        """(C, d) unit rows, one per class, in the dimension and type of the samples."""
        array = floats(self.xp, name, rows, self.points)
        got, dim = tuple(array.shape), self.points.shape[1]
        if len(got) != 2 or got[1] != dim or got[0] < 1 or classes not in (None, got[0]):
            wanted = f"({classes or 'classes'}, {dim})"
            raise ProblemError(f"{name}: must have shape {wanted}, one row per class; got {got}")
        return unit(self.xp, self.number(array))

    def temperature(self, value: Any) -> Tensor:
        """The temperature as one number, or as (N, 1) of each anchor where it is (C,) of each class."""
        if np.ndim(value) != 1 if not is_array_api_obj(value) else value.ndim != 1:
            return self.scalar("temperature", value)
        each = self.array(value)
        return each[self.known(each.shape[0])][:, None]

    def cosines(self, rows: Tensor) -> Tensor:
        """(N, M) the cosines of the samples with other unit rows."""
        return products(self.points, rows)

    def logits(self, temperature: Any, *rows: Tensor) -> Tensor:
        """(N, N + M) (cosine - 1)/tau with samples and other rows: softmax does not see the 1, and digits are kept."""
        columns = self.xp.concat([self.points, *rows], axis=0)
        return (self.cosines(columns) - 1.0) / self.temperature(temperature)

    def seen(self, self_pairs: bool) -> Tensor:
        """(N, N) the samples of a denominator."""
        return self.distinct | ~self.distinct if self_pairs else self.distinct

    def softmax(self, logits: Tensor, positives: Tensor, weights: Tensor) -> Tensor:
        """(N,) sum_j P_ij [ log( sum_k W_ik e^{l_ik} ) - l_ij ] for P, W >= 0; 0 for a row without positives."""
        whole = self.xp.sum(positives, axis=1) * log_denominators(self.xp, logits, self.number(weights))
        return whole - self.xp.sum(positives * logits, axis=1)

    def shares(self, mask: Tensor) -> Tensor:
        """(N, M) each row of the mask divided by how many it has; zeros where it has none."""
        return self.number(mask) / self.number(at_least(self.xp, self.xp.sum(mask, axis=1, keepdims=True), 1))

    def members(self, classes: int) -> Tensor:
        """(N, C) 1 for the class of a sample, else 0; NaN for a sample of no class."""
        xp = self.xp
        mask = self.labels[:, None] == arange(xp, classes, self.points)[None, :]
        return xp.where(xp.any(mask, axis=1, keepdims=True), self.number(mask), math.nan)

    def known(self, classes: int) -> Tensor:
        """(N,) the labels, with 0 for one of no class: places in arrays of one entry per class."""
        return self.xp.where((self.labels >= 0) & (self.labels < classes), self.labels, 0)

    def mean(self, rows: Tensor, averaging: str, pairs: Tensor | None = None) -> Tensor:
        """The mean of `rows`, means over positives, over anchors, over positive `pairs`, or over classes first."""
        check_word("averaging", averaging, AVERAGINGS)
        xp = self.xp
        if averaging == "anchor":
            return xp.mean(rows)
        if averaging == "pair":
            weights = self.number(xp.sum(pairs, axis=1))
            return xp.sum(weights * rows) / at_least(xp, xp.sum(weights), 1.0)
        weights = 1.0 / self.number(xp.sum(self.same_class, axis=1))
        return xp.sum(weights * rows) / xp.sum(weights)


def samples(embeddings: Tensor, labels: Tensor, *others: Tensor, view_axis: int = 0, least_views: int = 1) -> Batch:
    """Embeddings (V, n, d) or (n, d), with labels (n,), as one list of samples.

    The `others` are further arrays of the loss, which say in which framework to work if the embeddings are NumPy's.
    """
    xp = namespace(embeddings, labels, *others)
    points = views_first(xp, embeddings, view_axis)
    views, count, dim = points.shape
    if views < least_views:
        raise ProblemError(
            f"embeddings: this loss needs at least {least_views} views of an example, shape (views, examples, dim); "
            f"got {tuple(points.shape[1:])}"
        )
    examples = arange(xp, count, points)
    # Of the type that every framework takes as an index.
    classes = examples if labels is None else xp.astype(class_labels(xp, labels, count, points), examples.dtype)
    return Batch(
        xp,
        unit(xp, xp.reshape(points, (views * count, dim))),
        xp.tile(classes, (views,)),
        xp.tile(examples, (views,)),
        views,
    )


def views_first(xp: Any, embeddings: Tensor, view_axis: int) -> Tensor:
    """The embeddings as (views, n, d), in single precision or double, or a ProblemError."""
    points = floats(xp, "embeddings", embeddings)
    if view_axis not in (0, 1):
        raise ProblemError(f"view_axis: must be 0 for (views, examples, dim) or 1; got {view_axis!r:.40}")
    if points.ndim == 2:
        points = points[None, ...]
    elif points.ndim == 3 and view_axis == 1:
        points = xp.permute_dims(points, (1, 0, 2))
    if points.ndim != 3 or 0 in points.shape:
        raise ProblemError(
            f"embeddings: must have shape (views, examples, dim) or (examples, dim); got {tuple(points.shape)}"
        )
    return points


def namespace(*arrays: Tensor) -> Any:
    """The array namespace of the first array that is not NumPy's, else NumPy's."""
    framed = [array for array in arrays if is_array_api_obj(array) and not is_numpy_array(array)]
    return array_namespace(framed[0] if framed else np.empty(0))


def as_array(xp: Any, values: Tensor, like: Tensor | None = None) -> Tensor:
    """The values as an array of this framework, on the device of `like`."""
    if is_array_api_obj(values) and not is_numpy_array(values):  # asarray would cut off a tensor's gradient
        return values if like is None else to_device(values, device(like))
    # Through NumPy: torch would make single precision of a list.
    return xp.asarray(np.asarray(values), device=None if like is None else device(like))


def arange(xp: Any, count: int, like: Tensor) -> Tensor:
    """(count,) integers from 0 on the device of `like`."""
    return xp.arange(count, device=device(like))


def at_least(xp: Any, values: Tensor, least: float) -> Tensor:
    """The values, none below `least`."""
    return xp.where(values > least, values, least)


def class_labels(xp: Any, labels: Tensor, count: int, like: Tensor | None = None) -> Tensor:
    """The labels as (n,), or a ProblemError unless they are `count` integers."""
    array = as_array(xp, labels, like)
    if tuple(array.shape) == (count, 1):
        array = array[:, 0]
    if tuple(array.shape) != (count,):
        raise ProblemError(f"labels: must have shape ({count},), one label per example; got {tuple(array.shape)}")
    if not xp.isdtype(array.dtype, "integral"):
        raise ProblemError(f"labels: must be integers; got {array.dtype}")
    return array


def floats(xp: Any, name: str, values: Tensor, like: Tensor | None = None) -> Tensor:
    """The array in float32, or in float64 if it has that already."""
    numbers = as_array(xp, values, like)
    if not xp.isdtype(numbers.dtype, ("real floating", "integral")):
        raise ProblemError(f"{name}: must be real numbers; got {numbers.dtype}")
    return xp.astype(numbers, xp.float64 if numbers.dtype == xp.float64 else xp.float32)


def unit(xp: Any, rows: Tensor) -> Tensor:
    """The rows divided by their lengths; a row of zeros stays one, with a finite gradient."""
    square = xp.sum(rows * rows, axis=-1, keepdims=True)
    return rows / xp.sqrt(at_least(xp, square, 1e-24))


def products(rows: Tensor, columns: Tensor) -> Tensor:
    """(N, M) inner products at full precision."""
    # A logit changes by (rounding of a cosine)/tau, so neither the 10 bits of a GPU's default float32 product in JAX
    # nor the half precision of torch's autocast will do.
    if is_torch_array(rows):
        with sys.modules["torch"].autocast(rows.device.type, enabled=False):
            return rows @ columns.T
    if is_jax_array(rows):
        return sys.modules["jax"].numpy.matmul(rows, columns.T, precision="highest")
    return rows @ columns.T


def log_sum(xp: Any, terms: Tensor) -> Tensor:
    """(N,) the logarithm of the sum of the exponentials of each row, taken after its largest."""
    largest = xp.max(terms, axis=1, keepdims=True)
    return (largest + xp.log(xp.sum(xp.exp(terms - largest), axis=1, keepdims=True)))[:, 0]


def log_denominators(xp: Any, logits: Tensor, weights: Tensor) -> Tensor:
    """(N,) log sum_k W_ik e^{l_ik}; a row without any weight gives a finite number that has no gradient."""
    inside = weights > 0
    filled = xp.where(xp.any(inside, axis=1, keepdims=True), -math.inf, xp.zeros_like(logits))
    return log_sum(xp, xp.where(inside, logits + xp.log(xp.where(inside, weights, 1.0)), filled))
