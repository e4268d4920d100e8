"""Losses with something of every class beside the samples: prototypes, targets, classifiers, or weights."""

from typing import Any

from ...errors import ProblemError
from ...objectives.rows.full_batch import check_word
from .arrays import Batch, Tensor, at_least, samples


def bcl(
    embeddings: Tensor,
    labels: Tensor,
    prototypes: Tensor,
    temperature: Any = 0.1,
    *,
    anchors: str = "instance",
    view_axis: int = 0,
) -> Tensor:
    """The balanced contrastive loss: every class weighs the same in a denominator.

    Class j has the samples B_j in the batch, all of them anchors, and a prototype c_j, which is no anchor. With
    |j| = |B_j| + 1, which is 1 for a class that the batch lacks, and y the class of anchor i,

        L_i = -1/|B_y| sum_{p in B_y + c_y, p != i} log[ e^{z_i.z_p/tau}
              / sum_j 1/(|j| - [j = y]) sum_{k in B_j + c_j, k != i} e^{z_i.z_k/tau} ]

    averaged over all samples, or first over those of each class in the batch. On whole data with every class in one
    point it is `geomsolve.BCL`.

    `prototypes` (C, d); `anchors` is "instance", as published code does, or "class".

    Source: Zhu et al., CVPR 2022.
    """
    batch = samples(embeddings, labels, prototypes, temperature, view_axis=view_axis)
    centres = batch.class_rows("prototypes", prototypes)
    members = batch.members(centres.shape[0])
    # One of class j among the terms of anchor i, without i itself: (N, C).
    each = 1.0 / (batch.xp.sum(members, axis=0) + 1.0 - members)
    return _balanced(batch, centres, members, each, each, temperature, anchors)


def ecl(
    embeddings: Tensor,
    labels: Tensor,
    prototypes: Tensor,
    classifiers: Tensor | None = None,
    temperature: Any = 0.1,
    *,
    counts: Tensor | None = None,
    anchors: str = "instance",
    contrast: Any = 1.0,
    align: Any = 1.0,
    scale: Any = 30.0,
    view_axis: int = 0,
) -> Tensor:
    """The equilibrium contrastive loss (our reading, that of `geomsolve.ECL`).

        L = L_LC + contrast * L_BC + align * L_CC

    **L_BC**, with z_i the samples B_j of class j in the batch, prototypes c_j and y the class of i:

        L_i = -1/2 [ mean_{p in B_y, p != i} log(e^{z_i.z_p/tau} / D_i) + log(e^{z_i.c_y/tau} / D_i) ],
        D_i = sum_j 1/2 [ mean_{k in B_j, k != i} e^{z_i.z_k/tau} + e^{z_i.c_j/tau} ]

    where a mean over nothing is replaced by the term of its prototype, so every class keeps its weight 1 in a batch
    that lacks it. **L_CC** = 1/C sum_j |w_j - c_j|^2, **L_LC** is `cosine_cross_entropy` with `counts`. Without
    classifiers it is L_BC alone. On whole data with every class in one point it is `geomsolve.ECL`.

    `prototypes` and `classifiers` (C, d); `counts` (C,) training examples per class, those of the whole data; `scale`
    is s of the cosine classifier; `anchors`, of L_BC, "instance", the mean over all samples, or "class".

    Source: ECL (Roh et al. 2026), our reading; the stand-in for an empty mean is ours.
    """
    batch = samples(embeddings, labels, prototypes, classifiers, temperature, view_axis=view_axis)
    xp, centres = batch.xp, batch.class_rows("prototypes", prototypes)
    members = batch.members(centres.shape[0])
    others = xp.sum(members, axis=0) - members
    each = 0.5 / xp.where(others > 1.0, others, 1.0)
    alone = xp.where(others > 0, 0.5, xp.ones_like(others))
    balanced = _balanced(batch, centres, members, each, alone, temperature, anchors)
    if classifiers is None:
        return balanced
    if counts is None:
        raise ProblemError("counts: must be given with classifiers, (classes,) training examples per class; got None")
    weights = batch.class_rows("classifiers", classifiers, centres.shape[0])
    compensated = _cross_entropy(batch, weights, scale, counts)
    apart = xp.mean(xp.sum((weights - centres) ** 2, axis=1))
    return compensated + batch.scalar("contrast", contrast) * balanced + batch.scalar("align", align) * apart


def tsc(
    embeddings: Tensor,
    labels: Tensor,
    targets: Tensor,
    temperature: Any = 0.1,
    *,
    pull: Any = 1.0,
    view_axis: int = 0,
) -> Tensor:
    """Targeted supervised contrastive learning: SupCon in which every class has a fixed target as one more positive.

        L = 1/N sum_i -1/(|P_i| + 1) [ sum_{p in P_i} log(e^{z_i.z_p/tau} / D_i) + pull * log(e^{z_i.t_y/tau} / D_i) ],
        D_i = sum_{k != i} e^{z_i.z_k/tau} + sum_c e^{z_i.t_c/tau}

    with P_i the other samples of its class. On whole data with the views of an example in one point its optimum is that
    of `geomsolve.choosing.targeted_supcon`.

    `targets` (C, d), row c that of class c: `geomsolve.targets(...).rows`, or a regular simplex as in the paper; `pull`
    is the weight of the target, 1 counts it like any positive.

    Source: TSC (Li et al., CVPR 2022), with all positives in place of k and one target a class.
    """
    batch = samples(embeddings, labels, targets, temperature, view_axis=view_axis)
    xp, rows = batch.xp, batch.class_rows("targets", targets)
    members, weight = batch.members(rows.shape[0]), batch.scalar("pull", pull)
    kin = batch.number(batch.same_class & batch.distinct)
    positives = xp.concat([kin, weight * members], axis=1) / (xp.sum(kin, axis=1, keepdims=True) + 1.0)
    seen = xp.concat([batch.number(batch.distinct), xp.ones_like(members)], axis=1)
    return xp.mean(batch.softmax(batch.logits(temperature, rows), positives, seen))


def cosine_cross_entropy(
    embeddings: Tensor,
    labels: Tensor,
    classifiers: Tensor,
    *,
    scale: Any,
    counts: Tensor | None = None,
    view_axis: int = 0,
) -> Tensor:
    """Cross-entropy of a cosine classifier, plain or with compensated logits.

        L = -1/N sum_i log( pi_y e^{s z_i.w_y} / sum_j pi_j e^{s z_i.w_j} )

    over the N samples of the batch, y the class of i, pi the shares of the counts (equal without counts). With counts,
    on whole data with every class in one point, it is `geomsolve.LogitCompensated`.

    `classifiers` (C, d) w; `scale` s > 0, the inverse temperature; `counts` (C,) training examples per class, those of
    the whole data: the logits are compensated by the log prior (balanced softmax, logit adjustment), and a sample of a
    class of 0 makes the loss infinite.

    Source: Ren et al. 2020, Menon et al. 2021 (the compensation).
    """
    batch = samples(embeddings, labels, classifiers, scale, view_axis=view_axis)
    return _cross_entropy(batch, batch.class_rows("classifiers", classifiers), scale, counts)


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

    `anchor_weights` (C,) v >= 0, `Design.anchor_weights`; `negative_weights` (C, C) W >= 0, `Design.weights`, row by
    anchor class, the diagonal not looked at (float32 ends at e^88: a design of larger ones needs float64); `offsets`
    (C,) a > 0, `Design.offsets`, 1 for each without. The temperature is the one of the design.

    Source: ours; the weights are derived on the theory page, the stand-in for a sample alone is for small batches.
    """
    batch = samples(embeddings, labels, temperature, anchor_weights, negative_weights, view_axis=view_axis)
    xp, pairs = batch.xp, batch.array(negative_weights)
    if pairs.ndim != 2 or pairs.shape[0] != pairs.shape[1]:
        raise ProblemError(f"negative_weights: must have shape (classes, classes); got {tuple(pairs.shape)}")
    classes = pairs.shape[0]
    anchors = batch.per_class("anchor_weights", anchor_weights, classes)
    own = xp.ones_like(anchors) if offsets is None else batch.per_class("offsets", offsets, classes)
    which = batch.members(classes)
    # (N, C) samples of a class beside the anchor; (N, 1) those of its own.
    others = xp.sum(which, axis=0) - which
    kin = xp.sum(which * others, axis=1, keepdims=True)
    seen = batch.distinct | (kin == 0)
    places = batch.known(classes)
    each = xp.where(which == 1, own, pairs[places, :]) / at_least(xp, others, 1.0)
    weights = xp.where(seen, each[:, places], 0.0)
    rows = batch.softmax(batch.logits(temperature), batch.shares(batch.same_class & seen), weights)
    return xp.mean(xp.sum(which * anchors, axis=1) * rows)


def _cross_entropy(batch: Batch, weights: Tensor, scale: Any, counts: Tensor | None) -> Tensor:
    xp, classes = batch.xp, weights.shape[0]
    members = batch.members(classes)
    logits = (batch.cosines(weights) - 1.0) * batch.scalar("scale", scale)
    priors = xp.ones_like(weights[:, 0]) if counts is None else batch.per_class("counts", counts, classes)
    priors = priors / xp.sum(priors)
    rows = batch.softmax(logits, members, priors + xp.zeros_like(members))
    return xp.mean(rows - xp.log(xp.sum(members * priors, axis=1)))


def _balanced(
    batch: Batch,
    centres: Tensor,
    members: Tensor,
    each: Tensor,
    prototype: Tensor,
    temperature: Any,
    anchors: str,
) -> Tensor:
    """The mean row softmax over the other samples and the prototypes; positives are those of the anchor's class.

    In the sum of an anchor one sample of a class weighs `each` (N, C), its prototype `prototype` (N, C).
    """
    check_word("anchors", anchors, ("instance", "class"))
    xp = batch.xp
    weights = xp.concat([xp.where(batch.distinct, each[:, batch.known(centres.shape[0])], 0.0), prototype], axis=1)
    own = xp.concat([batch.number(batch.same_class), members], axis=1)
    rows = batch.softmax(batch.logits(temperature, centres), own * weights, weights)
    return batch.mean(rows, "anchor" if anchors == "instance" else "class")
