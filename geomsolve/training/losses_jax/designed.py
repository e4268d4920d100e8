"""The loss whose weights `geomsolve.design` returns: one weight per anchor class, one per pair of classes."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ...errors import ProblemError
from .rows import class_members, cosine_logits, per_class, row_softmax, samples, scalar, shares


def weighted_sup_con(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    anchor_weights: ArrayLike,
    negative_weights: ArrayLike,
    temperature: ArrayLike,
    offsets: ArrayLike | None = None,
) -> Array:
    """SupCon with weighted anchors and denominators, the loss that `geomsolve.design` gives weights for.

        L = 1/N sum_i v_y [ - mean_{p of y, p != i} z_i.z_p / tau
                            + log( a_y mean_{k of y, k != i} e^{z_i.z_k/tau}
                                   + sum_{j != y} W_yj mean_{k of j} e^{z_i.z_k/tau} ) ]

    over the N = V n samples, y the class of i, means over the samples of a class in the batch. A class that the batch
    lacks adds nothing to the sums. Where i is alone of its class, i itself stands in for the others (its cosine, 1, has
    no gradient), so that it still repels: without that a rare class would lose the weight it was designed to have. On
    whole data with every class in one point it is `design(...).objective`:

        made = geomsolve.design(counts, target, temperature=0.1)
        loss = weighted_sup_con(z, labels, anchor_weights=made.anchor_weights, negative_weights=made.weights,
                                temperature=0.1)

    Args:
        embeddings: (V, n, d), or (n, d) for one view.
        labels: (n,) integers from 0 to C - 1.
        anchor_weights: (C,) v >= 0, `Design.anchor_weights`.
        negative_weights: (C, C) W >= 0, `Design.weights`, row by anchor class; the diagonal is not looked at. float32
            ends at e^88: a design of larger ones needs float64.
        temperature: tau, the one of the design.
        offsets: (C,) a > 0, `Design.offsets`; None: 1 for each, as there.

    Source: ours; the weights are derived on the theory page, the stand-in for a sample alone is for small batches.
    """
    batch = samples(embeddings, labels)
    points, dtype = batch.points, batch.points.dtype
    pairs = jnp.asarray(negative_weights).astype(dtype)
    if pairs.ndim != 2 or pairs.shape[0] != pairs.shape[1]:
        raise ProblemError(f"negative_weights: must have shape (classes, classes); got {pairs.shape}")
    classes = len(pairs)
    anchors = per_class("anchor_weights", anchor_weights, classes, dtype)
    own = jnp.ones(classes, dtype) if offsets is None else per_class("offsets", offsets, classes, dtype)
    pairs = jnp.where(jnp.eye(classes, dtype=bool), own[:, None], pairs)
    which = class_members(batch, classes)
    # (N, C) samples of a class beside the anchor; (N, 1) those of its own.
    others = jnp.sum(which, axis=0) - which
    kin = jnp.sum(which * others, axis=1, keepdims=True)
    seen = batch.distinct | (kin == 0)
    each = pairs[batch.labels] / jnp.maximum(others, 1.0)
    weights = jnp.where(seen, each[:, batch.labels], 0.0)
    positives = shares(batch.same_class & seen, dtype)
    logits = cosine_logits(points, points, scalar("temperature", temperature, dtype))
    return jnp.mean(jnp.sum(which * anchors, axis=1) * row_softmax(logits, positives, weights))
