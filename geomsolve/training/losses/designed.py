"""The loss whose weights `geomsolve.design` returns: one weight per anchor class, one per pair of classes."""

from __future__ import annotations

from typing import Any

from ...errors import ProblemError
from .arrays import Tensor, arange, as_array, at_least, per_class, row_softmax, samples


def weighted_sup_con(
    embeddings: Tensor,
    labels: Tensor,
    temperature: Any = 0.1,
    *,
    anchor_weights: Tensor,
    negative_weights: Tensor,
    offsets: Tensor | None = None,
    view_axis: int = 0,
) -> Tensor:
    """SupCon with weighted anchors and denominators, the loss that `geomsolve.design` gives weights for.

        L = 1/N sum_i v_y [ - mean_{p of y, p != i} z_i.z_p / tau
                            + log( a_y mean_{k of y, k != i} e^{z_i.z_k/tau}
                                   + sum_{j != y} W_yj mean_{k of j} e^{z_i.z_k/tau} ) ]

    over the N = V n samples, y the class of i, means over the samples of a class in the batch. A class that the batch
    lacks adds nothing to the sums. Where i is alone of its class, i itself stands in for the others (its cosine, 1, has
    no gradient), so that it still repels: without that a rare class would lose the weight it was designed to have. On
    whole data with every class in one point it is `design(...).objective`:

        made = geomsolve.design(counts, target, temperature=0.1)
        loss = weighted_sup_con(z, labels, anchor_weights=made.anchor_weights, negative_weights=made.weights)

    Args:
        embeddings: (V, n, d), or (n, d) for one view.
        labels: (n,) integers from 0 to C - 1.
        temperature: tau, the one of the design.
        anchor_weights: (C,) v >= 0, `Design.anchor_weights`.
        negative_weights: (C, C) W >= 0, `Design.weights`, row by anchor class; the diagonal is not looked at. float32
            ends at e^88: a design of larger ones needs float64.
        offsets: (C,) a > 0, `Design.offsets`; None: 1 for each, as there.
        view_axis: 1 for embeddings of (n, V, d).

    Source: ours; the weights are derived on the theory page, the stand-in for a sample alone is for small batches.
    """
    batch = samples(embeddings, labels, temperature, anchor_weights, negative_weights, view_axis=view_axis)
    xp, logits = batch.xp, batch.logits(temperature)
    pairs = batch.number(as_array(xp, negative_weights, batch.points))
    if pairs.ndim != 2 or pairs.shape[0] != pairs.shape[1]:
        raise ProblemError(f"negative_weights: must have shape (classes, classes); got {tuple(pairs.shape)}")
    classes = pairs.shape[0]
    anchors = per_class("anchor_weights", anchor_weights, classes, batch)
    own = xp.ones_like(anchors) if offsets is None else per_class("offsets", offsets, classes, batch)
    order = arange(xp, classes, batch.points)
    pairs = xp.where(order[:, None] == order[None, :], own[:, None], pairs)
    which = batch.members(classes)
    # (N, C) samples of a class beside the anchor; (N, 1) those of its own.
    others = xp.sum(which, axis=0) - which
    kin = xp.sum(which * others, axis=1, keepdims=True)
    seen = batch.distinct | (kin == 0)
    places = batch.known(classes)
    each = pairs[places, :] / at_least(xp, others, 1.0)
    weights = xp.where(seen, each[:, places], 0.0)
    positives = batch.shares(batch.same_class & seen)
    return xp.mean(xp.sum(which * anchors, axis=1) * row_softmax(xp, logits, positives, weights))
