"""Weightings by label, by the name of their scheme; SupCon and Soft SupCon stand here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ProblemError
from ..geometry.orbits import Orbits
from ..objectives.registry import checked_options
from ..objectives.weighted.weightings import Weighting
from .kernels import x_clr_weights, y_aware_weights
from .sets import SIMILARITIES, checked_epsilon, hierarchy_weights, set_weights


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
    epsilon = checked_epsilon(epsilon)
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
    return Weighting.normalised(orbits, logs, np.zeros(count), self_pairs, name)


# Weightings of samples by the name of their scheme.
_SCHEMES: dict[str, Callable[..., Weighting]] = {
    "supcon": supcon_weights,
    "soft-supcon": soft_supcon_weights,
    "y-aware": y_aware_weights,
    "x-clr": x_clr_weights,
    "euclidean": y_aware_weights,
    "hierarchy": hierarchy_weights,
    **{name: partial(set_weights, similarity=name) for name in SIMILARITIES},
}
SCHEMES = tuple(_SCHEMES)


def build_weighting(scheme: str, labels: Any, options: Mapping[str, Any]) -> Weighting:
    """The weighting of that scheme over these labels, with options as for `build_objective`.

    `variance`, sigma^2, may stand in place of sigma. `views` = 2 makes two views of every sample atoms of their own,
    without self-pairs: an anchor meets one own view, and two of every other sample (1:2), as in public y-Aware code.

    Raises:
        ProblemError: an unknown scheme, an option it does not take, or what its function refuses.
    """
    if scheme not in _SCHEMES:
        raise ProblemError(f"scheme: must be one of {', '.join(_SCHEMES)}; got {scheme!r:.40}")
    builder, options = _SCHEMES[scheme], dict(options)
    variance, views = options.pop("variance", None), options.pop("views", None)
    if variance is not None:
        if options.get("sigma") is not None:
            raise ProblemError(f"variance: stands in place of sigma; got {variance} beside sigma {options['sigma']}")
        if not (isinstance(variance, (int, float, np.number)) and variance > 0 and math.isfinite(variance)):
            raise ProblemError(f"variance: must be finite and above 0; got {variance!r:.40}")
        options["sigma"] = math.sqrt(variance)
    if views not in (None, 1, 2):
        raise ProblemError(f"views: must be 1 or 2; got {views!r:.40}")
    if views == 2:
        if options.get("self_pairs"):
            raise ProblemError("self-pairs: with two views the other view is the own pair; got --self-pairs (leave it)")
        options["self_pairs"] = False
        labels = np.concatenate([np.asarray(labels)] * 2)
    return builder(labels, **checked_options(scheme, builder, options))
