"""Weights from labels or distances that are numbers: y-Aware's kernels, X-CLR's softmax, a matrix of distances."""

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.vq import kmeans2
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist, pdist

from ..arrays import Array, frozen
from ..errors import ProblemError
from ..geometry.orbits import Orbits
from ..objectives.base import check_number
from ..objectives.weighted.weightings import MOST_ORBITS, Weighting, by_orbits, exchangeable

# log of the kernel at the distance d, in units of the bandwidth.
_KERNELS: dict[str, Callable[[Array], Array]] = {
    "gaussian": lambda d: -(d**2) / 2.0,
    "laplacian": lambda d: -d,
    "cauchy": lambda d: -np.log1p(d**2),
    "epanechnikov": lambda d: np.log(np.maximum(1.0 - d**2, 0.0)),
    "triangular": lambda d: np.log(np.maximum(1.0 - d, 0.0)),
    "cosine": lambda d: np.log(np.where(d < 1.0, np.cos(np.pi * np.minimum(d, 1.0) / 2.0), 0.0)),
    "uniform": lambda d: np.where(d <= 1.0, 0.0, -np.inf),
}
KERNELS = tuple(_KERNELS)
# What scikit-learn and others call them.
_ALIASES = {
    "rbf": "gaussian", "exponential": "laplacian", "linear": "triangular", "tophat": "uniform", "box": "uniform",
}  # fmt: skip
BANDWIDTHS = ("scott", "silverman", "median")
# Distances between as many samples are enough for their median.
_MEDIAN_OF = 2000
# Labels that stand for more than 5000 different ones, and how far, in bandwidths, these may be (root mean square).
_FEW, _NEAR = 500, 0.3


def bandwidth(points: Array | None, rule: float | str, distances: Array | None = None) -> float:
    """Sigma of a kernel of labels (N, d), or of distances alone, by a rule or as it is given.

        scott       s N^{-1 / (d + 4)}                  s^2 the mean variance of the d coordinates
        silverman   s (N (d + 2) / 4)^{-1 / (d + 4)}
        median      the median distance of two samples (of at most 2000 of them) that differ

    Raises:
        ProblemError: another rule, of distances any but the last, a sigma that is not above 0, or labels all alike.

    Source: Scott 1992, Silverman 1986 for density estimates; the median heuristic of kernel methods.
    """
    if not isinstance(rule, str):
        return check_number("sigma", rule, 1e-300, hint="the bandwidth of the kernel, in units of the labels")
    rules = BANDWIDTHS if points is not None else ("median",)
    if rule not in rules:
        raise ProblemError(f"sigma: must be a number or one of {', '.join(rules)}; got {rule!r:.40}")
    if points is not None and rule != "median":
        count, dim = points.shape
        factor = count if rule == "scott" else count * (dim + 2.0) / 4.0
        found = float(np.sqrt(np.mean(np.var(points, axis=0, ddof=1)))) * factor ** (-1.0 / (dim + 4.0))
    else:
        if points is not None:
            distances = pdist(np.random.default_rng(0).permutation(points)[:_MEDIAN_OF])
        apart = np.asarray(distances)
        found = float(np.median(apart[apart > 0])) if apart.any() else 0.0
    if not found > 0:
        raise ProblemError(f"sigma: {rule} needs labels that differ; these are all alike (write a number)")
    return found


def _kernel(name: str) -> str:
    found = _ALIASES.get(name, name) if isinstance(name, str) else name
    if found not in _KERNELS:
        raise ProblemError(f"kernel: must be one of {', '.join([*KERNELS, *_ALIASES])}; got {name!r:.40}")
    return str(found)


def y_aware_weights(
    labels: ArrayLike,
    *,
    sigma: float | str,
    kernel: str = "gaussian",
    period: float | None = None,
    self_pairs: bool = True,
) -> Weighting:
    """Weights of y-Aware contrastive learning: a kernel of the distance of continuous labels.

        w_ij ~ k(|y_i - y_j| / sigma),   k(d) = e^{-d^2/2}        gaussian, or rbf
                                                e^{-d}            laplacian, or exponential
                                                1/(1 + d^2)       cauchy
                                                max(1 - d^2, 0)   epanechnikov
                                                max(1 - d, 0)     triangular, or linear
                                                cos(pi d/2)_+     cosine
                                                1 if d <= 1       uniform, or tophat

    The last four are 0 at a distance, and a bound with zeros is never attained. The Gaussian kernel asks for
    |z_i - z_j|^2 = (tau / sigma^2) |y_i - y_j|^2 plus, without self-pairs, one free constant.

    Args:
        labels: (N,) or (N, d) real labels.
        sigma: the bandwidth, in units of the labels, or a rule of `bandwidth`.
        kernel: one of those above.
        period: of a cyclic label, (N,) (24 for hours): it is put on a circle, and distances are chords.
        self_pairs: whether a sample is a term of its own sum.

    Raises:
        ProblemError: labels that are not finite numbers, a sigma or period that is not above 0, an unknown kernel, or,
            without self-pairs, a sample out of reach of all others.

    Source: Dufumier et al. 2021 (y-Aware InfoNCE, Gaussian kernel).
    """
    kernel, points = _kernel(kernel), _points(labels)
    if period is not None:
        period = check_number("period", period, 1e-300, hint="24 for hours, say")
        if points.shape[1] != 1:
            raise ProblemError(f"period: goes with one number per sample; got labels of shape {points.shape}")
        # The remainder first, so that 0 and 24 are the same label to the last bit.
        angle = 2.0 * np.pi * np.mod(points[:, 0], period) / period
        points = np.column_stack([np.cos(angle), np.sin(angle)]) * period / (2.0 * np.pi)
    sigma = bandwidth(points, sigma)
    return _of_points(points, sigma, kernel, self_pairs, f"y-Aware({kernel}, sigma={sigma:g})")


def _of_points(points: Array, sigma: float, kernel: str, self_pairs: bool, name: str) -> Weighting:
    """The kernel of the distances of labels (N, d), equal ones folded."""
    points, represented = _represented(points, sigma)
    orbits, distinct = folded(points)
    with np.errstate(divide="ignore", over="ignore"):
        distances = cdist(distinct, distinct) / sigma
        logs = _KERNELS[kernel](distances)
        if not np.isfinite(distances**2).all():  # a weight would look like 0
            raise ProblemError("labels: their differences over sigma overflow; rescale labels and sigma")
    known = {"labels": distinct, "bandwidth": sigma, "kernel": kernel, "represented": represented}
    return Weighting.normalised(orbits, logs, np.zeros(len(logs)), self_pairs, name, **known)


def distance_weights(
    distances: ArrayLike, *, sigma: float | str = "median", kernel: str = "gaussian", self_pairs: bool = True
) -> Weighting:
    """Weights of a kernel of given distances: geodesic or Euclidean ones, of graphs or of strings.

        w_ij ~ k(D_ij / sigma),   kernels as in `y_aware_weights`

    The distances must be Euclidean, of points on a sphere; those along a sphere are not.

    `sigma` is the bandwidth in units of the distances, or "median": the median of those above 0.

    Raises:
        ProblemError: distances that are not square, not finite, negative, asymmetric, or not 0 on the diagonal; a bad
            sigma; an unknown kernel.
    """
    kernel = _kernel(kernel)
    matrix = checked_distances(distances)
    sigma = bandwidth(None, sigma, matrix)
    orbits = exchangeable(-matrix)
    every, own = by_orbits(matrix, orbits)
    with np.errstate(divide="ignore", over="ignore"):
        logs = _KERNELS[kernel](every / sigma)
    name = f"distances({kernel}, sigma={sigma:g})"
    return Weighting.normalised(orbits, logs, own, self_pairs, name)


def checked_distances(distances: ArrayLike) -> Array:
    """(N, N) float64 distances, or a ProblemError that names the entry at fault."""
    matrix = frozen("distances", distances)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ProblemError(f"distances: must be square, two samples or more; got shape {matrix.shape}")
    size = float(np.abs(matrix[np.isfinite(matrix)]).max(initial=0.0))
    with np.errstate(invalid="ignore"):
        apart = np.abs(matrix - matrix.T)
    faults = (
        (~np.isfinite(matrix), "must be finite"),
        (matrix < 0, "must not be negative"),
        (np.diag(np.diag(matrix) != 0), "must be 0 on the diagonal (similarities go to --weights)"),
        (apart > 1e-6 * size, "must be symmetric"),
    )
    for where, rule in faults:
        if where.any():
            i, j = np.argwhere(where)[0]
            other = f", [{j}, {i}] is {matrix[j, i]:g}" if "symmetric" in rule else ""
            raise ProblemError(f"distances: {rule}; entry [{i}, {j}] is {matrix[i, j]:g}{other}")
    return (matrix + matrix.T) / 2.0


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
    label_temperature = check_number("label_temperature", label_temperature, 1e-300, hint="0.1 is usual")
    points = _points(labels)
    if points.shape[1] < 2:
        raise ProblemError(f"labels: X-CLR compares vectors, (N, d) with d >= 2; got shape {np.shape(labels)}")
    scale = np.abs(points).max(axis=1, keepdims=True)
    zero = np.flatnonzero(scale == 0)
    if zero.size:
        raise ProblemError(f"labels: must not be of length 0; sample {zero[0]} is")
    points = points / scale
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    name = f"X-CLR(label temperature={label_temperature:g})"
    return _of_points(points, float(np.sqrt(label_temperature)), "gaussian", self_pairs, name)


def _points(labels: ArrayLike) -> Array:
    array = frozen("labels", labels)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) < 2 or array.shape[1] == 0:
        raise ProblemError(f"labels: must have shape (N,) or (N, d) with two samples or more; got {np.shape(labels)}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise ProblemError(f"labels: must be finite; sample {bad[0]} is not (leave out unlabelled samples)")
    return array


def _represented(points: Array, sigma: float) -> tuple[Array, tuple[int, float] | None]:
    """More than 5000 different labels: for each the nearest of 500 of them, and `Weighting.represented`.

    Raises:
        ProblemError: 500 labels do not come near to all the others.
    """
    distinct = np.unique(points, axis=0)
    if len(distinct) <= MOST_ORBITS:
        return points, None
    start = np.random.default_rng(0).choice(distinct, _FEW, replace=False)
    with warnings.catch_warnings(action="ignore"):  # a cluster without samples stays where it is
        centres = kmeans2(points, start, iter=10, minit="matrix")[0]
    few = distinct[np.unique(KDTree(distinct).query(centres)[1])]
    apart, nearest = KDTree(few).query(points)
    away = float(np.sqrt(np.mean(apart**2))) / sigma
    if away > _NEAR:
        raise ProblemError(
            f"labels: at most {MOST_ORBITS} different ones, or such as {_FEW} of them can stand for; {len(distinct)} "
            f"are {away:.2g} bandwidths away from these (take a random subset: --subset 2000)"
        )
    return few[nearest], (len(distinct), away)


def folded(points: Array) -> tuple[Orbits, Array]:
    """Samples of equal label as one orbit, in the order of first appearance, and their distinct labels."""
    _, first, where, sizes = np.unique(points, axis=0, return_index=True, return_inverse=True, return_counts=True)
    if len(first) > MOST_ORBITS:
        raise ProblemError(
            f"labels: at most {MOST_ORBITS} different ones; got {len(first)} (round them, or take a "
            "random subset: --subset 2000)"
        )
    order = np.argsort(first)
    rank = np.argsort(order)
    return Orbits(sizes[order].astype(np.float64), rank[where.reshape(-1)]), points[first[order]]
