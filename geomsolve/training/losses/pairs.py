"""Losses of weighted pairs and of drawn negatives: weighted InfoNCE and the generalised contrastive loss."""

from __future__ import annotations

import math
from typing import Any

from ...errors import ProblemError
from ...objectives.rows.full_batch import check_word
from ...objectives.weighted.weightings import check_self_pairs
from .arrays import Tensor, class_labels, floats, log_sum, namespace, samples, scalar, unit


def weighted_info_nce(
    embeddings: Tensor, weights: Tensor, temperature: Any = 0.1, *, self_pairs: bool = True
) -> Tensor:
    """Weighted InfoNCE: every pair of samples has a weight of its own.

        L = -1/N sum_i sum_j w_ij log( e^{z_i.z_j/tau} / sum_k e^{z_i.z_k/tau} )

    both sums over all samples with self-pairs, over all but i without. SupCon, y-Aware and X-CLR are cases. It is row
    softmax over the samples, P = w.

    `weights` (N, N) are not negative, with rows that sum to 1; the diagonal is not looked at without self-pairs.
    """
    check_self_pairs(self_pairs)
    batch = samples(embeddings, None, weights, temperature)
    count, pairs, seen = batch.points.shape[0], batch.array(weights), batch.seen(self_pairs)
    if tuple(pairs.shape) != (count, count):
        raise ProblemError(f"weights: must have shape ({count}, {count}), one row per sample; got {tuple(pairs.shape)}")
    return batch.xp.mean(batch.softmax(batch.logits(temperature), batch.xp.where(seen, pairs, 0.0), seen))


def gcl(
    anchors: Tensor, positives: Tensor, negatives: Tensor, temperature: Any = 1.0, *, normalization: str = "mean"
) -> Tensor:
    """The generalised contrastive loss with InfoNCE's psi, for negatives that were drawn.

        L = 1/n sum_i log( 1 + beta sum_{l=1..k} e^{(z_i.z_il - z_i.z_i+)/tau} )

    with z_i+ the positive and z_i1, ..., z_ik the negatives of anchor i. With classes in one point each and negatives
    by `draw_negatives`, its expectation is `geomsolve.GCL(counts, negatives=k)`; k = 1 is the logistic loss.

    `anchors` (n, d); `positives` (n, d), another view, or another sample of the class; `negatives` (n, k, d),
    `embeddings[draw_negatives(...)]`; `normalization` says beta: "mean" 1/k, "sum" 1.

    Source: arXiv 2311.05139 and GCL (arXiv 2605.11291).
    """
    check_word("normalization", normalization, ("mean", "sum"))
    xp = namespace(anchors, positives, negatives, temperature)
    here = floats(xp, "anchors", anchors)
    near, far = floats(xp, "positives", positives, here), floats(xp, "negatives", negatives, here)
    if here.ndim != 2 or 0 in here.shape:
        raise ProblemError(f"anchors: must have shape (samples, dim); got {tuple(here.shape)}")
    count, dim = here.shape
    if tuple(near.shape) != (count, dim):
        raise ProblemError(f"positives: must have shape ({count}, {dim}), that of the anchors; got {tuple(near.shape)}")
    if far.ndim != 3 or (far.shape[0], far.shape[2]) != (count, dim) or far.shape[1] == 0:
        raise ProblemError(
            f"negatives: must have shape ({count}, k, {dim}), k >= 1 for each anchor; got {tuple(far.shape)}"
        )
    here, near, far = (unit(xp, xp.astype(rows, here.dtype)) for rows in (here, near, far))
    pull = xp.sum(here * near, axis=1, keepdims=True)
    t = (xp.sum(here[:, None, :] * far, axis=2) - pull) / scalar("temperature", temperature, here)
    total = log_sum(xp, t) - (math.log(far.shape[1]) if normalization == "mean" else 0.0)
    return xp.mean(xp.logaddexp(xp.zeros_like(total), total))


def draw_negatives(uniforms: Tensor, labels: Tensor, *, sampling: str = "supervised") -> Tensor:
    """(n, k) which samples are the negatives of each, drawn independently, with replacement.

    `uniforms` (n, k) are random numbers, uniform in [0, 1): torch.rand(n, k), jax.random.uniform(key, (n, k)), or
    rng.random((n, k)) of a NumPy generator; float32 has too few digits for more than a million samples. `sampling` is
    "supervised", from the samples of other classes, of which there must be some; or "unsupervised", from all samples,
    the anchor and its class included.
    """
    check_word("sampling", sampling, ("supervised", "unsupervised"))
    xp = namespace(uniforms, labels)
    chances = floats(xp, "uniforms", uniforms)
    if chances.ndim != 2 or 0 in chances.shape:
        raise ProblemError(f"uniforms: must have shape (samples, k), k >= 1; got {tuple(chances.shape)}")
    total = chances.shape[0]
    classes = class_labels(xp, labels, total, chances)
    # Sorted by label, the samples of a class are one stretch, which the draws of its anchors leap over.
    order = xp.argsort(classes)
    start, end = (xp.searchsorted(classes[order], classes, side=side)[:, None] for side in ("left", "right"))
    if sampling == "unsupervised":
        start, end = xp.zeros_like(start), xp.zeros_like(end)
    allowed = total - (end - start)
    drawn = xp.astype(chances * xp.astype(allowed, chances.dtype), start.dtype)
    drawn = xp.where(drawn < allowed, drawn, allowed - 1)  # a product may round up
    return order[xp.where(drawn < start, drawn, drawn + end - start)]
