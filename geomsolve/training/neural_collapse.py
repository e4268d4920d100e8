"""Neural collapse: how far classes are from one point each, and class means from a regular simplex."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from ..arrays import Array
from .neighbourhoods import TIE
from .samples import Samples

# Rows at a time where something of the size samples x classes is made.
_ROWS = 4096
# Class means this close to their common mean have no direction from it, and singular values of theirs this small
# beside the largest are rounding (of float32 embeddings).
_NOTHING = 1e-7
# The measures that are one number.
MEASURES = (
    "nc1", "nc2_equinorm", "nc2_equiangularity", "nc2_equiangularity_max", "nc3", "nc4", "fc", "ms", "sd", "spread",
    "effective_rank", "effective_rank_means",
)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class CollapseMetrics:
    """Measures of neural collapse; None where one is not defined. See `collapse_metrics`.

    Attributes:
        nc1: variability within classes beside that between them.
        nc2_equinorm: the coefficient of variation of the lengths of centred class means.
        nc2_equiangularity: the mean of |cosine + 1/(C-1)| over pairs of centred class means.
        nc2_equiangularity_max: its maximum.
        nc3: |W/|W| - M/|M||, Frobenius norms, W the classifier's weights and M the centred class means.
        nc4: the share of embeddings where the nearest class mean disagrees with `nc4_against`.
        nc4_against: "classifier" where there are weights, else "labels".
        fc: feature collapse, the mean over classes of the mean squared distance of an example to its class mean.
        ms: mean spacing, the root mean square over pairs of (cosine of class means + 1/(C-1)).
        sd: self-duality, the mean over classes of 1 - cosine of a class mean and its weights.
        effective_rank: of all embeddings.
        effective_rank_means: of the directions of class means.
        singular_values: of the embeddings, over sqrt(N), largest first.
        within: (C,) the mean squared distance of the examples of a class to its mean.
        coherence: (C,) the mean cosine of embeddings of two samples of a class; of one sample, |mu_c|^2.
        spreads: (C,) 1 less it; NaN for a class of one sample, which is its own mean.
        cosines: (C, C) of the class means; 0 with a mean that is zero.
        directionless: classes whose mean is zero.
        scores: (C, C) w_c . mu_k / |mu_k| over its Frobenius norm; None without weights.
        weights_fit: the class whose mean is nearest in direction to each row of the weights; None without weights.
    """

    nc1: float | None = None
    nc2_equinorm: float | None = None
    nc2_equiangularity: float | None = None
    nc2_equiangularity_max: float | None = None
    nc3: float | None = None
    nc4: float | None = None
    nc4_against: str = "labels"
    fc: float
    ms: float
    sd: float | None = None
    effective_rank: float
    effective_rank_means: float
    singular_values: Array = field(repr=False)
    within: Array = field(repr=False)
    coherence: Array = field(repr=False)
    spreads: Array = field(repr=False)
    cosines: Array = field(repr=False)
    directionless: tuple[int, ...]
    scores: Array | None = field(default=None, repr=False)
    weights_fit: tuple[int, ...] | None = None

    @property
    def spread(self) -> float:
        """The mean of `spreads` over classes of two samples or more; NaN if there are none."""
        known = self.spreads[~np.isnan(self.spreads)]
        return float(known.mean()) if known.size else np.nan

    @property
    def unbiased_cosines(self) -> Array:
        """(C, C) cosines of class means as of infinitely many examples: mu_a.mu_b / sqrt(coherence_a coherence_b).

        The mean of n scattered examples is longer than that of their law by what is left of the scatter, (1-coherence)
        / n in square, and its cosines less. May exceed 1 by chance; NaN where a coherence is not positive.
        """
        positive = np.where(self.coherence > 0, self.coherence, np.nan)
        factor = np.sqrt(np.maximum(1.0 - self.within, 0.0) / positive)
        return self.cosines * factor[:, None] * factor


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

    Cost: O(N d (d + C)) and a singular value decomposition of C x d.
    Source: Papyan, Han and Donoho, PNAS 2020 (NC1 to NC4); Roy and Vetterli, EUSIPCO 2007, and Garrido et al.
    (RankMe), ICML 2023 (effective rank).
    """
    points, means = samples.points, samples.per_class(samples.points)
    middle = points.reshape(-1, samples.views, points.shape[1]).mean(axis=1)
    own = np.add.reduceat(np.einsum("ij,ij->i", middle, middle), samples.ends[:-1] // samples.views) / samples.counts
    frame, nc1 = between_frame(means), None
    if frame is not None:
        away = (points - means[samples.codes]) @ frame
        nc1 = float(samples.per_class(np.einsum("ij,ij->i", away, away)).mean())
    return class_measures(
        means,
        samples.counts.astype(np.float64),
        own,
        weights,
        nc1=nc1,
        nc4=_disagreement(samples, means, weights),
        nc4_against="labels" if weights is None else "classifier",
        singular_values=root_spectrum(_gram(points)) / math.sqrt(len(points)),
    )


def class_measures(
    means: Array, examples: Array, own: Array, weights: Array | None, *, singular_values: Array, **found: Any
) -> CollapseMetrics:
    """The measures that class means alone tell, of `examples` (C,) unit embeddings each, beside those `found` already.

    `own` (C,) is the mean over examples of |mean over the views of the example|^2: 1 for single views.
    """
    square, others = np.einsum("ij,ij->i", means, means), examples - 1.0
    coherence = np.where(others > 0, (examples * square - own) / np.maximum(others, 1.0), square)
    within = np.maximum(1.0 - square, 0.0)
    lengths = np.sqrt(square)
    directed = lengths > _NOTHING
    directions = means / np.where(directed, lengths, np.inf)[:, None]
    cosines = np.clip(directions @ directions.T, -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    off, simplex = ~np.eye(len(means), dtype=bool), -1.0 / (len(means) - 1.0)
    centred = means - means.mean(axis=0)
    away, norm = np.linalg.norm(centred, axis=1), float(np.linalg.norm(centred))
    if norm > _NOTHING:
        found["nc2_equinorm"] = float(away.std() / away.mean())
    if away.min() > _NOTHING:
        turned = centred / away[:, None]
        angles = np.abs(turned @ turned.T - simplex)[off]
        found |= {"nc2_equiangularity": float(angles.mean()), "nc2_equiangularity_max": float(angles.max())}
    if weights is not None:
        if norm > _NOTHING:
            found["nc3"] = float(np.linalg.norm(weights / np.linalg.norm(weights) - centred / norm))
        scores = weights @ directions.T
        found["weights_fit"] = tuple(np.argmax(scores, axis=1).tolist())
        found["sd"] = float(np.mean(1.0 - np.diag(scores) / np.linalg.norm(weights, axis=1)))
        found["scores"] = scores / max(float(np.linalg.norm(scores)), 1e-300)
    return CollapseMetrics(
        fc=float(within.mean()),
        ms=float(np.sqrt(np.mean((cosines[off] - simplex) ** 2))),
        effective_rank=effective_rank(singular_values),
        effective_rank_means=effective_rank(root_spectrum(_gram(directions))),
        singular_values=singular_values,
        within=within,
        coherence=coherence,
        spreads=np.where(examples > 1, 1.0 - coherence, np.nan),
        cosines=cosines,
        directionless=tuple(np.flatnonzero(~directed).tolist()),
        **found,
    )


def between_frame(means: Array) -> Array | None:
    """(d, r) F with F F^T = pinv(Sigma_B) / C for NC1 = tr(Sigma_W F F^T); None where all class means coincide.

    Sigma_B is the covariance of the class means, every class weighing the same.
    """
    _, values, axes = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    keep = values > _NOTHING * max(values[0], 1.0)
    return axes[keep].T / values[keep] if keep.any() else None


def root_spectrum(gram: Array) -> Array:
    """The square roots of the eigenvalues of a Gram matrix, largest first; those below 1e-7 of the largest are 0."""
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0))
    # Squaring leaves half the digits; what is below them is rounding.
    return np.where(values > 1e-7 * values[0], values, 0.0)


def _gram(rows: Array) -> Array:
    """The smaller of the Gram matrices of rows and of columns."""
    return np.asarray(rows.T @ rows if rows.shape[0] > rows.shape[1] else rows @ rows.T)


def effective_rank(values: Array) -> float:
    """The exponential of the entropy of singular values over their sum: from 1 to their number; 0 for all zeros."""
    total = float(values.sum())
    return float(np.exp(entr(values / total).sum())) if total > 0.0 else 0.0


def _disagreement(samples: Samples, means: Array, weights: Array | None) -> float:
    """NC4."""
    halves, classes, total = np.einsum("ij,ij->i", means, means) / 2.0, np.arange(len(means)), 0.0
    for first in range(0, len(samples.points), _ROWS):
        points, codes = samples.points[first : first + _ROWS], samples.codes[first : first + _ROWS]
        # |z - mu|^2 = 1 - 2 (z.mu - |mu|^2 / 2)
        nearest = _largest(points @ means.T - halves, TIE)
        chosen = codes[:, None] == classes
        if weights is not None:
            chosen = _largest(points @ weights.T, TIE * float(np.abs(weights).max()))
        agree = (nearest & chosen).sum(axis=1) / (nearest.sum(axis=1) * chosen.sum(axis=1))
        total += float(np.sum(1.0 - agree))
    return total / len(samples.points)


def _largest(scores: Array, tie: float) -> NDArray[np.bool_]:
    """Which entries are the largest of their row."""
    return np.asarray(scores >= scores.max(axis=1, keepdims=True) - tie)
