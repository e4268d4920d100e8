"""Neural collapse: how far classes are from one point each, and class means from a regular simplex."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from .class_means import ClassMeans, between_frame, class_means, effective_rank, singular_values
from .neighbourhoods import TIE
from .samples import Samples

# Rows at a time where something of the size samples x classes is made.
_ROWS = 4096


@dataclass(frozen=True, eq=False, kw_only=True)
class CollapseMetrics(ClassMeans):
    """Measures of neural collapse; None where one is not defined. See `collapse_metrics`.

    Attributes:
        nc1: variability within classes beside that between them.
        nc4: the share of embeddings where the nearest class mean disagrees with `nc4_against`.
        nc4_against: "classifier" where there are weights, else "labels".
        effective_rank: of all embeddings.
        singular_values: (min(N, d),) of the embeddings, over sqrt(N), largest first.
    """

    nc1: float | None
    nc4: float
    nc4_against: str
    effective_rank: float
    singular_values: Array = field(repr=False)


def collapse_metrics(samples: Samples, weights: Array | None = None) -> CollapseMetrics:
    """NC1 to NC4, FC, MS, SD and effective ranks, on the unit sphere and with every class weighing the same.

    With mu_c the mean of class c (not normalised), m their mean, M the rows mu_c - m, Sigma_B = M^T M / C and Sigma_W
    the mean over classes of the covariance within:

    - NC1 = tr(Sigma_W pinv(Sigma_B)) / C; NC2 and NC3 as in the attributes, of M; NC4 compares the nearest mu_c with
      argmax_c w_c . z, or with the labels. All are 0 at full neural collapse.
    - FC = mean_c mean_i |z_i - mu_c|^2 = mean_c (1 - |mu_c|^2), between 0 and 1. MS is of the directions mu_c / |mu_c|
      about the origin, which is where contrastive losses see them (NC2 looks from m). SD is of them too. These three
      are in our own normalisation: the names are those of equilibrium contrastive learning.
    - the effective rank is exp(-sum p log p), p the singular values over their sum.

    With imbalanced classes the usual averages over samples would measure the largest class; they agree where classes
    are balanced. Ties of NC4 (within 1e-12) count as the mean over ways to break them.

    Args:
        samples: the embeddings.
        weights: (C, d) of a linear classifier without bias.

    Cost: O(N d (d + C)) and a singular value decomposition of C x d.
    Source: Papyan, Han and Donoho, PNAS 2020 (NC1 to NC4); Roy and Vetterli, EUSIPCO 2007, and Garrido et al.
    (RankMe), ICML 2023 (effective rank).
    """
    means = samples.per_class(samples.points)
    parts = samples.points.reshape(-1, samples.views, samples.points.shape[1]).mean(axis=1)
    own = np.add.reduceat(np.einsum("ij,ij->i", parts, parts), samples.ends[:-1] // samples.views) / samples.counts
    values = singular_values(samples.points) / math.sqrt(len(samples.points))
    return CollapseMetrics(
        **vars(class_means(means, samples.counts.astype(np.float64), own, weights)),
        nc1=_covariance_ratio(samples, means),
        nc4=_disagreement(samples, means, weights),
        nc4_against="labels" if weights is None else "classifier",
        effective_rank=effective_rank(values),
        singular_values=values,
    )


def _covariance_ratio(samples: Samples, means: Array) -> float | None:
    """NC1, tr(Sigma_W pinv(Sigma_B)) / C; None where all class means coincide."""
    frame = between_frame(means)
    if frame is None:
        return None
    spread = np.zeros(len(samples.points))
    for rows in _chunks(len(spread)):
        projected = (samples.points[rows] - means[samples.codes[rows]]) @ frame
        spread[rows] = np.einsum("ij,ij->i", projected, projected)
    return float(samples.per_class(spread).mean())


def _disagreement(samples: Samples, means: Array, weights: Array | None) -> float:
    halves = np.einsum("ij,ij->i", means, means) / 2.0
    total = 0.0
    for rows in _chunks(len(samples.points)):
        points = samples.points[rows]
        # |z - mu|^2 = 1 - 2 (z.mu - |mu|^2 / 2)
        nearest = _largest(points @ means.T - halves, TIE)
        if weights is None:
            agree = nearest[np.arange(len(points)), samples.codes[rows]] / nearest.sum(axis=1)
        else:
            chosen = _largest(points @ weights.T, TIE * float(np.abs(weights).max()))
            agree = (nearest & chosen).sum(axis=1) / (nearest.sum(axis=1) * chosen.sum(axis=1))
        total += float(np.sum(1.0 - agree))
    return total / len(samples.points)


def _largest(scores: Array, tie: float) -> NDArray[np.bool_]:
    """Which entries are the largest of their row."""
    return np.asarray(scores >= scores.max(axis=1, keepdims=True) - tie)


def _chunks(total: int) -> Iterator[slice]:
    for first in range(0, total, _ROWS):
        yield slice(first, first + _ROWS)
