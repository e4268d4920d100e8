"""Losses of weighted pairs and of drawn negatives: weighted InfoNCE and the generalised contrastive loss."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ...errors import ProblemError
from ...objectives.supcon import check_whole
from .rows import class_labels, cosine_logits, floats, products, row_softmax, scalar, unit, word

_SIMILARITIES = ("cosine", "euclidean")
_NORMALIZATIONS = ("mean", "sum")
_SAMPLINGS = ("supervised", "unsupervised")


def weighted_infonce(
    embeddings: ArrayLike,
    weights: ArrayLike,
    *,
    temperature: ArrayLike,
    self_pairs: bool = True,
    similarity: str = "cosine",
) -> Array:
    """Weighted InfoNCE: every pair of samples has a weight of its own.

        L = -1/N sum_i sum_j w_ij log( e^{s_ij/tau} / sum_k e^{s_ik/tau} )

    both sums over all samples with self-pairs, over all but i without. SupCon, y-Aware and X-CLR are cases. It is row
    softmax over the samples, P = w.

    Args:
        embeddings: (N, d).
        weights: (N, N), not negative, rows that sum to 1; the diagonal is not looked at without self-pairs.
        temperature: tau.
        self_pairs: whether a sample is a term of its own sums.
        similarity: "cosine", z_i.z_j of unit rows; or "euclidean", -|z_i - z_j|^2 / 2, of the rows as they are (of
            unit rows the two are one loss).
    """
    word("similarity", similarity, _SIMILARITIES)
    if not isinstance(self_pairs, (bool, np.bool_)):
        raise ProblemError(f"self_pairs: must be True or False; got {self_pairs!r:.40}")
    points, pairs = floats("embeddings", embeddings), jnp.asarray(weights)
    if points.ndim != 2 or 0 in points.shape:
        raise ProblemError(f"embeddings: must have shape (samples, dim); got {points.shape}")
    count = len(points)
    if pairs.shape != (count, count):
        raise ProblemError(f"weights: must have shape ({count}, {count}), one row per sample; got {pairs.shape}")
    tau = scalar("temperature", temperature, points.dtype)
    if similarity == "cosine":
        points = unit(points)
        logits = cosine_logits(points, points, tau)
    else:
        logits = -_squares(points) / (2.0 * tau)
    seen = jnp.ones((count, count), bool) if self_pairs else ~jnp.eye(count, dtype=bool)
    positives = jnp.where(seen, pairs, 0).astype(points.dtype)
    return jnp.mean(row_softmax(logits, positives, seen.astype(points.dtype)))


def gcl(
    anchors: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    *,
    temperature: ArrayLike = 1.0,
    normalization: str = "mean",
) -> Array:
    """The generalised contrastive loss with InfoNCE's psi, for negatives that were drawn.

        L = 1/n sum_i log( 1 + beta sum_{l=1..k} e^{(z_i.z_il - z_i.z_i+)/tau} )

    with z_i+ the positive and z_i1, ..., z_ik the negatives of anchor i. With classes in one point each and negatives
    by `draw_negatives`, its expectation is `geomsolve.GCL(counts, negatives=k)`; k = 1 is the logistic loss.

    Args:
        anchors: (n, d).
        positives: (n, d) another view, or another sample of the class.
        negatives: (n, k, d), `embeddings[draw_negatives(...)]`.
        temperature: tau.
        normalization: beta: "mean" 1/k, "sum" 1.

    Source: arXiv 2311.05139 and GCL (arXiv 2605.11291).
    """
    word("normalization", normalization, _NORMALIZATIONS)
    here, near = floats("anchors", anchors), floats("positives", positives)
    far = floats("negatives", negatives)
    if here.ndim != 2 or 0 in here.shape:
        raise ProblemError(f"anchors: must have shape (samples, dim); got {here.shape}")
    if near.shape != here.shape:
        raise ProblemError(f"positives: must have shape {here.shape}, that of the anchors; got {near.shape}")
    if far.ndim != 3 or (far.shape[0], far.shape[2]) != here.shape or far.shape[1] == 0:
        raise ProblemError(
            f"negatives: must have shape ({here.shape[0]}, k, {here.shape[1]}), k >= 1 for each anchor; got {far.shape}"
        )
    tau = scalar("temperature", temperature, here.dtype)
    here, near, far = unit(here), unit(near).astype(here.dtype), unit(far).astype(here.dtype)
    pull = jnp.sum(here * near, axis=1, keepdims=True)
    t = (jnp.sum(here[:, None] * far, axis=2) - pull) / tau
    log_beta = -math.log(far.shape[1]) if normalization == "mean" else 0.0
    return jnp.mean(jnp.logaddexp(0.0, log_beta + jax.nn.logsumexp(t, axis=1)))


def draw_negatives(key: Array, labels: ArrayLike, count: int, *, sampling: str = "supervised") -> Array:
    """(n, count) which samples are the negatives of each, drawn independently, with replacement.

    Args:
        key: of `jax.random`.
        labels: (n,) integers.
        count: k.
        sampling: "supervised", from the samples of other classes, of which there must be some; or "unsupervised", from
            all samples, the anchor and its class included.
    """
    word("sampling", sampling, _SAMPLINGS)
    count = check_whole("count", count, least=1)
    classes = class_labels(labels, np.size(labels))
    total = len(classes)
    if sampling == "unsupervised":
        return jax.random.randint(key, (total, count), 0, total)
    # Sorted by label, the samples of a class are one stretch, which the draws of its anchors leap over.
    order = jnp.argsort(classes)
    start, end = (jnp.searchsorted(classes[order], classes, side=side)[:, None] for side in ("left", "right"))
    drawn = jax.random.randint(key, (total, count), 0, total - (end - start))
    return order[jnp.where(drawn < start, drawn, drawn + end - start)]


def _squares(points: Array) -> Array:
    """(N, N) |z_i - z_j|^2, about the mean of all points, where a distance loses the fewest digits."""
    centred = points - jnp.mean(points, axis=0)
    lengths = jnp.sum(centred * centred, axis=1)
    squares = lengths[:, None] + lengths - 2.0 * products(centred, centred)
    return jnp.where(jnp.eye(len(points), dtype=bool), 0.0, jnp.maximum(squares, 0.0))
