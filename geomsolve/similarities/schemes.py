"""Weightings by label: SupCon, Soft SupCon, y-Aware and X-CLR, samples of equal label being exchangeable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array
from ..errors import ProblemError
from ..geometry.orbits import Orbits
from ..objectives.registry import checked_options
from ..objectives.weightings import MOST_ORBITS, Weighting, check_self_pairs

# log of the kernel at the distance d, in units of the bandwidth.
_KERNELS: dict[str, Callable[[Array], Array]] = {
    "gaussian": lambda d: -(d**2) / 2.0,
    "laplacian": lambda d: -d,
    "cauchy": lambda d: -np.log1p(d**2),
    "epanechnikov": lambda d: np.log(np.maximum(1.0 - d**2, 0.0)),
    "triangular": lambda d: np.log(np.maximum(1.0 - d, 0.0)),
    "uniform": lambda d: np.where(d <= 1.0, 0.0, -np.inf),
}
KERNELS = tuple(_KERNELS)


def supcon_weights(labels: ArrayLike, *, self_pairs: bool = False) -> Weighting:
    """Weights of SupCon: alike for all samples of the same class (without self-pairs: all others), 0 for the rest.

    Args:
        labels: (N,) classes, of any kind that can be compared.
        self_pairs: whether a sample is a term of its own sum, as its other view is where there are many views.

    Raises:
        ProblemError: labels that are not one-dimensional, or, without self-pairs, a class of one sample.

    Source: Khosla et al. 2020.
    """
    return soft_supcon_weights(labels, epsilon=0.0, self_pairs=self_pairs)


def soft_supcon_weights(labels: ArrayLike, *, epsilon: float, self_pairs: bool = True) -> Weighting:
    """Weights of Soft SupCon: 1 for samples of the same class, epsilon for others, rows divided by their sums.

    Where the weights of all pairs are above 0 and self-pairs are in, the bound asks for
    G_ij = 1 inside a class and 1 + tau log(epsilon) between classes, whatever their sizes: with C classes that is a
    Gram matrix iff epsilon >= exp(-C / ((C - 1) tau)) (and epsilon <= 1).

    Args:
        labels: (N,) classes, of any kind that can be compared.
        epsilon: the weight of a pair of different classes, from 0 (SupCon).
        self_pairs: whether a sample is a term of its own sum, with weight 1.

    Raises:
        ProblemError: labels that are not one-dimensional, a negative epsilon, or, without self-pairs and with
            epsilon = 0, a class of one sample.

    Source: Soft SupCon and its statement on the geometry: the paper on the distance geometry of weighted InfoNCE; the
    condition on epsilon is ours.
    """
    check_self_pairs(self_pairs)
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float, np.number)) or not 0 <= epsilon < np.inf:
        raise ProblemError(f"epsilon: must be a finite number from 0 (SupCon); got {epsilon!r:.40}")
    array = np.asarray(labels)
    if array.ndim != 1 or array.size < 2:
        raise ProblemError(f"labels: must be one-dimensional, two samples or more; got shape {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ProblemError("labels: must be finite (leave out unlabelled samples)")
    try:
        _, where, sizes = np.unique(array, return_inverse=True, return_counts=True)
    except TypeError:
        raise ProblemError("labels: must all be of one kind, such as all integers or all strings") from None
    lonely = np.flatnonzero(sizes == 1)
    if not self_pairs and epsilon == 0 and lonely.size:
        first = int(np.flatnonzero(where == lonely[0])[0])
        raise ProblemError(
            f"labels: SupCon without self-pairs needs two samples or more of every class; sample {first} is the only "
            "one of its class (leave it out, or put self-pairs in)"
        )
    count = len(sizes)
    with np.errstate(divide="ignore"):
        logs = np.full((count, count), np.log(float(epsilon)))
    np.fill_diagonal(logs, 0.0)
    orbits = Orbits(sizes.astype(np.float64), where.reshape(-1))
    name = "SupCon" if epsilon == 0 else f"Soft SupCon(epsilon={epsilon:g})"
    return Weighting.normalised(orbits, logs, np.zeros(count), bool(self_pairs), name)


def y_aware_weights(
    labels: ArrayLike,
    *,
    sigma: float,
    kernel: str = "gaussian",
    period: float | None = None,
    self_pairs: bool = True,
) -> Weighting:
    """Weights of y-Aware contrastive learning: a kernel of the distance of continuous labels.

        w_ij ~ k(|y_i - y_j| / sigma),   k(d) = e^{-d^2/2}        gaussian
                                                e^{-d}            laplacian
                                                1/(1 + d^2)       cauchy
                                                max(1 - d^2, 0)   epanechnikov
                                                max(1 - d, 0)     triangular
                                                1 if d <= 1       uniform

    The last three are 0 at a distance, and a bound with zeros is never attained. With the Gaussian kernel the bound
    asks for |z_i - z_j|^2 = (tau / sigma^2) |y_i - y_j|^2 plus, without self-pairs, one free constant: with self-pairs
    labels must lie on a sphere of radius at most sigma / sqrt(tau).

    Args:
        labels: (N,) or (N, d) real labels.
        sigma: the bandwidth, in units of the labels.
        kernel: one of those above.
        period: of a cyclic label (24 for hours): labels, (N,), are then put on a circle of that circumference, and
            distances are chords.
        self_pairs: whether a sample is a term of its own sum.

    Raises:
        ProblemError: labels that are not finite numbers, a sigma or period that is not above 0, an unknown kernel, or,
            without self-pairs, a sample out of reach of all others.

    Source: Dufumier et al. 2021 (y-Aware InfoNCE, Gaussian kernel).
    """
    check_self_pairs(self_pairs)
    sigma = _above_zero("sigma", sigma, "the bandwidth of the kernel, in units of the labels")
    if kernel not in _KERNELS:
        raise ProblemError(f"kernel: must be one of {', '.join(KERNELS)}; got {kernel!r:.40}")
    points = _points(labels)
    if period is not None:
        period = _above_zero("period", period, "24 for hours, say")
        if points.shape[1] != 1:
            raise ProblemError(f"period: goes with one number per sample; got labels of shape {points.shape}")
        # The remainder first, so that 0 and 24 are the same label to the last bit.
        angle = 2.0 * np.pi * np.mod(points[:, 0], period) / period
        points = np.column_stack([np.cos(angle), np.sin(angle)]) * period / (2.0 * np.pi)
    orbits, distinct = _folded(points)
    with np.errstate(divide="ignore", over="ignore"):
        distances = _distances(distinct) / sigma
        logs = _KERNELS[kernel](distances)
        # A weight would look like 0.
        overflow = not np.isfinite(distances**2).all()
    if overflow:
        raise ProblemError("labels: their differences over sigma overflow; rescale labels and sigma")
    return Weighting.normalised(
        orbits,
        logs,
        np.zeros(len(distinct)),
        bool(self_pairs),
        f"y-Aware({kernel}, sigma={sigma:g})",
        labels=distinct,
        bandwidth=sigma,
        kernel=kernel,
    )


def x_clr_weights(labels: ArrayLike, *, label_temperature: float, self_pairs: bool = True) -> Weighting:
    """Weights of X-CLR: a softmax over similarities of label embeddings.

        w_ij ~ e^{y_i.y_j / tau_s},   y_i of length 1

    The bound asks for G = (tau/tau_s) Y Y^T + (1 - tau/tau_s) 1 1^T, which is a Gram matrix for every tau <= tau_s.

    Args:
        labels: (N, d) label embeddings (of captions, class names, images); rows are divided by their lengths.
        label_temperature: tau_s.
        self_pairs: whether a sample is a term of its own sum.

    Raises:
        ProblemError: labels that are not finite numbers or have length 0, or a label_temperature that is not above 0.

    Source: Sobal et al. 2024 (X-CLR); the Gram matrix: the paper on the distance geometry of weighted InfoNCE.
    """
    check_self_pairs(self_pairs)
    label_temperature = _above_zero("label_temperature", label_temperature, "0.1 is usual")
    points = _points(labels)
    if points.shape[1] < 2:
        raise ProblemError(f"labels: X-CLR compares vectors, (N, d) with d >= 2; got shape {np.shape(labels)}")
    scale = np.abs(points).max(axis=1, keepdims=True)
    zero = np.flatnonzero(scale == 0)
    if zero.size:
        raise ProblemError(f"labels: must not be of length 0; sample {zero[0]} is")
    points = points / scale
    orbits, distinct = _folded(points / np.linalg.norm(points, axis=1, keepdims=True))
    logs = -(_distances(distinct) ** 2) / (2.0 * label_temperature)
    return Weighting.normalised(
        orbits,
        logs,
        np.zeros(len(distinct)),
        bool(self_pairs),
        f"X-CLR(label temperature={label_temperature:g})",
        labels=distinct,
        bandwidth=float(np.sqrt(label_temperature)),
        kernel="gaussian",
    )


def _above_zero(name: str, value: float, hint: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise ProblemError(f"{name}: must be a number above 0; got {value!r:.40} ({hint})")
    if not (np.isfinite(value) and value > 0):
        raise ProblemError(f"{name}: must be finite and above 0; got {float(value):g} ({hint})")
    return float(value)


def _points(labels: ArrayLike) -> Array:
    try:
        array = np.asarray(labels)
        if array.dtype.kind not in "fiub":
            raise TypeError
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise ProblemError("labels: must be numbers, (N,) or (N, d), for this scheme") from None
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or len(array) < 2 or array.shape[1] == 0:
        raise ProblemError(f"labels: must have shape (N,) or (N, d) with two samples or more; got {np.shape(labels)}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise ProblemError(f"labels: must be finite; sample {bad[0]} is not (leave out unlabelled samples)")
    return array


def _folded(points: Array) -> tuple[Orbits, Array]:
    """Samples of equal label as one orbit, in the order of first appearance, and their distinct labels."""
    _, first, where, sizes = np.unique(points, axis=0, return_index=True, return_inverse=True, return_counts=True)
    if len(first) > MOST_ORBITS:
        raise ProblemError(
            f"labels: at most {MOST_ORBITS} different ones; got {len(first)} (round them, or take a random subset)"
        )
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return Orbits(sizes[order].astype(np.float64), rank[where.reshape(-1)]), points[first[order]]


def _distances(points: Array) -> Array:
    """(K, K) Euclidean distances, from differences: close labels keep their digits."""
    square = np.zeros((len(points),) * 2)
    for column in points.T:
        square += (column[:, None] - column) ** 2
    return np.sqrt(square)


# Weightings of samples by the name of their scheme.
_SCHEMES = {
    "supcon": "supcon_weights",
    "soft-supcon": "soft_supcon_weights",
    "y-aware": "y_aware_weights",
    "x-clr": "x_clr_weights",
    "euclidean": "y_aware_weights",
}


def build_weighting(scheme: str, labels: Any, options: Mapping[str, Any]) -> Weighting:
    """The weighting of that scheme over these labels, with options as for `build_objective`.

    Raises:
        ProblemError: an unknown scheme, an option it does not take, or what its function refuses.
    """
    if scheme not in _SCHEMES:
        raise ProblemError(f"scheme: must be one of {', '.join(_SCHEMES)}; got {scheme!r:.40}")
    builder = globals()[_SCHEMES[scheme]]
    return builder(labels, **checked_options(scheme, builder, options))
