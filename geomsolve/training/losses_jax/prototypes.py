"""Losses with one trained vector or two per class: BCL, ECL and cosine classifiers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ...errors import ProblemError
from .rows import Samples, class_members, class_rows, cosine_logits, per_class, row_softmax, samples, scalar, word

_ANCHORS = ("instance", "class")


def bcl(
    embeddings: ArrayLike,
    labels: ArrayLike,
    prototypes: ArrayLike,
    *,
    temperature: ArrayLike,
    anchors: str = "instance",
) -> Array:
    """The balanced contrastive loss: every class weighs the same in a denominator.

    Class j has the samples B_j in the batch, all of them anchors, and a prototype c_j, which is no anchor. With
    |j| = |B_j| + 1, which is 1 for a class that the batch lacks, and y the class of anchor i,

        L_i = -1/|B_y| sum_{p in B_y + c_y, p != i} log[ e^{z_i.z_p/tau}
              / sum_j 1/(|j| - [j = y]) sum_{k in B_j + c_j, k != i} e^{z_i.z_k/tau} ]

    averaged over all samples, or first over those of each class in the batch. On whole data with every class in one
    point it is `geomsolve.BCL`.

    Args:
        embeddings: (V, n, d), or (n, d) for one view.
        labels: (n,) integers from 0 to C - 1.
        prototypes: (C, d).
        temperature: tau; 0.1 is usual.
        anchors: "instance", as published code does, or "class".

    Source: Zhu et al., CVPR 2022.
    """
    word("anchors", anchors, _ANCHORS)
    batch = samples(embeddings, labels)
    centres = class_rows("prototypes", prototypes, batch.points)
    members = class_members(batch, len(centres))
    # One of class j among the terms of anchor i, without i itself: (N, C).
    each = 1.0 / (jnp.sum(members, axis=0) + 1.0 - members)
    rows = _with_prototypes(batch, centres, members, each, each, temperature)
    return _average(rows, members, anchors)


def ecl(
    embeddings: ArrayLike,
    labels: ArrayLike,
    prototypes: ArrayLike,
    classifiers: ArrayLike | None = None,
    *,
    temperature: ArrayLike,
    counts: ArrayLike | None = None,
    anchors: str = "instance",
    contrast: ArrayLike = 1.0,
    align: ArrayLike = 1.0,
    scale: ArrayLike = 30.0,
) -> Array:
    """The equilibrium contrastive loss (our reading, that of `geomsolve.ECL`).

        L = L_LC + contrast * L_BC + align * L_CC

    **L_BC**, with z_i the samples B_j of class j in the batch, prototypes c_j and y the class of i:

        L_i = -1/2 [ mean_{p in B_y, p != i} log(e^{z_i.z_p/tau} / D_i) + log(e^{z_i.c_y/tau} / D_i) ],
        D_i = sum_j 1/2 [ mean_{k in B_j, k != i} e^{z_i.z_k/tau} + e^{z_i.c_j/tau} ]

    where a mean over nothing is replaced by the term of its prototype, so every class keeps its weight 1 in a batch
    that lacks it. **L_CC** = 1/C sum_j |w_j - c_j|^2, **L_LC** is `cosine_cross_entropy` with `counts`. Without
    classifiers it is L_BC alone. On whole data with every class in one point it is `geomsolve.ECL`.

    Args:
        embeddings: (V, n, d), or (n, d) for one view.
        labels: (n,) integers from 0 to C - 1.
        prototypes: (C, d).
        classifiers: (C, d), or None for L_BC alone; then no counts are needed.
        temperature: tau of L_BC.
        counts: (C,) training examples per class, those of the whole data, for L_LC.
        anchors: of L_BC: "instance", the mean over all samples, or "class", over those of each class first.
        contrast: the weight of L_BC beside the other two.
        align: the weight of L_CC.
        scale: s of the cosine classifier.

    Source: ECL (Roh et al. 2026), our reading; the stand-in for an empty mean is ours.
    """
    word("anchors", anchors, _ANCHORS)
    batch = samples(embeddings, labels)
    centres = class_rows("prototypes", prototypes, batch.points)
    members = class_members(batch, len(centres))
    others = jnp.sum(members, axis=0) - members
    each = 0.5 / jnp.maximum(others, 1.0)
    rows = _with_prototypes(batch, centres, members, each, jnp.where(others > 0, 0.5, 1.0), temperature)
    balanced = _average(rows, members, anchors)
    if classifiers is None:
        return balanced
    if counts is None:
        raise ProblemError("counts: must be given with classifiers, (classes,) training examples per class; got None")
    dtype = batch.points.dtype
    weights = class_rows("classifiers", classifiers, batch.points, classes=len(centres))
    compensated = cosine_cross_entropy(embeddings, labels, weights, scale=scale, counts=counts)
    apart = jnp.mean(jnp.sum((weights - centres) ** 2, axis=1))
    return compensated + scalar("contrast", contrast, dtype) * balanced + scalar("align", align, dtype) * apart


def cosine_cross_entropy(
    embeddings: ArrayLike,
    labels: ArrayLike,
    classifiers: ArrayLike,
    *,
    scale: ArrayLike,
    counts: ArrayLike | None = None,
    class_weights: ArrayLike | None = None,
) -> Array:
    """Cross-entropy of a cosine classifier, plain, with compensated logits, or with weighted classes.

        L = -sum_i v_y log( pi_y e^{s z_i.w_y} / sum_j pi_j e^{s z_i.w_j} ) / sum_i v_y

    over the samples of the batch, y the class of i, pi the shares of the counts (equal without counts) and v the class
    weights (1 without). With counts, on whole data with every class in one point, it is `geomsolve.LogitCompensated`.

    Args:
        embeddings: (V, n, d), or (n, d) for one view.
        labels: (n,) integers from 0 to C - 1.
        classifiers: (C, d) w.
        scale: s > 0, the inverse temperature.
        counts: (C,) training examples per class, those of the whole data: the logits are compensated by the log prior
            (balanced softmax, logit adjustment). A sample of a class of 0 makes the loss infinite.
        class_weights: (C,) v, such as 1/counts; their common factor does not matter.

    Source: Ren et al. 2020, Menon et al. 2021 (the compensation).
    """
    batch = samples(embeddings, labels)
    points, dtype = batch.points, batch.points.dtype
    weights = class_rows("classifiers", classifiers, points)
    classes = len(weights)
    logits = cosine_logits(points, weights, 1.0 / scalar("scale", scale, dtype, open_=True))
    members = class_members(batch, classes)
    priors = jnp.ones(classes, dtype)
    if counts is not None:
        priors = per_class("counts", counts, classes, dtype)
        priors = priors / jnp.sum(priors)
    own = jnp.sum(jnp.where(members > 0, priors, 0.0), axis=1)
    rows = row_softmax(logits, members, jnp.broadcast_to(priors, members.shape)) - jnp.log(own)
    if class_weights is None:
        return jnp.mean(rows)
    each = jnp.sum(members * per_class("class_weights", class_weights, classes, dtype), axis=1)
    return jnp.sum(each * rows) / jnp.sum(each)


def _with_prototypes(
    batch: Samples, centres: Array, members: Array, each: Array, prototype: Array, temperature: Any
) -> Array:
    """(N,) row softmax over the other samples and the prototypes; positives are those of the anchor's class.

    Args:
        batch: the samples.
        centres: (C, d) prototypes.
        members: (N, C) whose sample is of which class.
        each: (N, C) the weight of one sample of a class in the sum of an anchor.
        prototype: (N, C) the weight of its prototype.
        temperature: tau.
    """
    points, dtype = batch.points, batch.points.dtype
    temperature = scalar("temperature", temperature, dtype)
    columns = jnp.concatenate([points, centres])
    weights = jnp.concatenate([jnp.where(batch.distinct, each[:, batch.labels], 0.0), prototype], axis=1)
    own = jnp.concatenate([batch.same_class.astype(dtype), members], axis=1)
    return row_softmax(cosine_logits(points, columns, temperature), own * weights, weights)


def _average(rows: Array, members: Array, anchors: str) -> Array:
    """The mean over all anchors, or the mean over the classes in the batch of the means over their anchors."""
    if anchors == "instance":
        return jnp.mean(rows)
    sizes = jnp.sum(members, axis=0)
    share = jnp.sum(members / jnp.maximum(sizes, 1.0), axis=1)
    return jnp.sum(share * rows) / jnp.sum(sizes > 0)
