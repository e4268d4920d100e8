"""Losses whose positives and negatives are the samples of the batch: SupCon, SupCL, KCL, and two for two classes."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ...objectives.supcl import own_views
from ...objectives.supcon import check_whole
from .rows import class_rows, cosine_logits, products, row_softmax, samples, scalar, shares

# A sample beyond this cosine with the prototype of its class is no longer pulled to it.
_REACH = 0.5


def sup_con(embeddings: ArrayLike, labels: ArrayLike, *, temperature: ArrayLike) -> Array:
    """The supervised contrastive loss, positives averaged outside the logarithm (L_out).

        L = 1/N sum_i -1/|P_i| sum_{p in P_i} log( e^{z_i.z_p/tau} / sum_{k != i} e^{z_i.z_k/tau} )

    over the N = V n samples, P_i the others of the class of i; an empty P_i makes its term 0. On whole data with every
    class in one point it is `geomsolve.SupCon(counts, views=V)`; averaged over batches, with `batch` the examples in
    one.

    Args:
        embeddings: (V, n, d), or (n, d) for one view.
        labels: (n,) integers.
        temperature: tau; no tau/tau_base in front.

    Source: Khosla et al. 2020.
    """
    batch = samples(embeddings, labels)
    points, dtype = batch.points, batch.points.dtype
    logits = cosine_logits(points, points, scalar("temperature", temperature, dtype))
    positives = shares(batch.same_class & batch.distinct, dtype)
    return jnp.mean(row_softmax(logits, positives, batch.distinct.astype(dtype)))


def supervised_minority(
    embeddings: ArrayLike, labels: ArrayLike, *, temperature: ArrayLike, minority: ArrayLike = 1
) -> Array:
    """Supervised Minority: only samples of the minority are told which belong together.

    L_out as in `sup_con`, with P_i the other samples of its class for a minority anchor, and for any other anchor the
    other views of its example. On whole data with the views of an example in one point it is `geomsolve.SupMin`.

    Args:
        embeddings: (V, n, d), V >= 2.
        labels: (n,) integers.
        temperature: tau, 0.07 in the paper.
        minority: the label of the minority; a batch need not show which class is the smaller one.

    Source: TTC (Mildenberger et al., CVPR 2025).
    """
    batch = samples(embeddings, labels, least_views=2)
    points, dtype = batch.points, batch.points.dtype
    logits = cosine_logits(points, points, scalar("temperature", temperature, dtype))
    informed = (batch.labels == jnp.asarray(minority))[:, None]
    kin = jnp.where(informed, batch.same_class, batch.same_example)
    return jnp.mean(row_softmax(logits, shares(kin & batch.distinct, dtype), batch.distinct.astype(dtype)))


def supervised_prototypes(
    embeddings: ArrayLike, labels: ArrayLike, prototypes: ArrayLike, *, temperature: ArrayLike
) -> Array:
    """Supervised Prototypes: a sample is pulled to its own views, and to the prototype of its class until it is near.

        L = 1/N sum_i -1/|P_i| sum_{p in P_i} log( e^{z_i.p/tau} / sum_{k != i} e^{z_i.z_k/tau} )

    with P_i the other views of the example of i, and the prototype p_y too while z_i.p_y <= 1/2. Prototypes are in no
    denominator; the loss jumps at 1/2, and its gradient does not see the jump. Its infimum on whole data is bounded by
    `geomsolve.choosing.supervised_prototypes`.

    Args:
        embeddings: (V, n, d), V >= 2.
        labels: (n,) 0 or 1.
        prototypes: (2, d) those of class 0 and 1: in the paper a fixed vector and its negative.
        temperature: tau, 0.07 in the paper.

    Source: TTC (Mildenberger et al., CVPR 2025).
    """
    batch = samples(embeddings, labels, least_views=2)
    points, dtype = batch.points, batch.points.dtype
    centres = class_rows("prototypes", prototypes, points, classes=2)
    tau = scalar("temperature", temperature, dtype)
    logits = cosine_logits(points, points, tau)
    near = jnp.sum(jnp.where(_is_class(batch.labels, 2), products(points, centres), 0.0), axis=1)
    pulled = near <= _REACH
    own = (batch.same_example & batch.distinct).astype(dtype) / (batch.views - 1 + pulled[:, None])
    pull = pulled / (batch.views - 1 + pulled)
    # The prototype is one more column of the positives, and none of the denominator.
    columns = jnp.column_stack([logits, (near - 1.0) / tau])
    seen = jnp.column_stack([batch.distinct, jnp.zeros(len(points), bool)]).astype(dtype)
    rows = row_softmax(columns, jnp.column_stack([own, pull.astype(dtype)]), seen)
    return jnp.mean(jnp.where((batch.labels == 0) | (batch.labels == 1), rows, jnp.nan))


def sup_cl(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    alpha: ArrayLike,
    temperature: ArrayLike,
    self_pairs: bool = True,
) -> Array:
    """SupCL, the mix (1 - alpha) L_sup + alpha L_self that keeps classes from collapsing.

        L_sup  = mean over x of the mean over y of  -log( e^{z_x.z_y/tau} / D_x ),  y: same class, another example
        L_self = the same,                                                           y: views of the same example
        D_x    = sum over y of e^{z_x.z_y/tau},                                      y: all samples

    With `self_pairs`, x itself is one of the y of L_self and of D_x; without, of neither. A sample whose class has no
    other example in the batch adds 0 to L_sup. On whole data with the views of an example in one point it is
    `geomsolve.SupCL`.

    Args:
        embeddings: (V, n, d), V >= 2 without self-pairs, or (n, d) for one view.
        labels: (n,) integers.
        alpha: the weight of the self-supervised part, in [0, 1].
        temperature: tau.
        self_pairs: see above; published code does both.

    Source: SSEM (arXiv 2503.08203).
    """
    batch = samples(embeddings, labels)
    own_views(batch.views, self_pairs)
    points, dtype = batch.points, batch.points.dtype
    share = scalar("alpha", alpha, dtype, most=1.0)
    logits = cosine_logits(points, points, scalar("temperature", temperature, dtype))
    seen = jnp.ones_like(batch.distinct) if self_pairs else batch.distinct
    others = shares(batch.same_class & ~batch.same_example, dtype)
    positives = (1.0 - share) * others + share * shares(batch.same_example & seen, dtype)
    return jnp.mean(row_softmax(logits, positives, seen.astype(dtype)))


def kcl(embeddings: ArrayLike, labels: ArrayLike, *, temperature: ArrayLike, positives: int = 6) -> Array:
    """KCL: as many positives for a rare class as for a frequent one, their draw averaged exactly.

    Every anchor takes the other views of its example, and one view each of k_y = min(k, n_y - 1) other examples of its
    class, any of them; n_y is the number of examples of its class in the batch. The loss is linear in the positives, so
    with s = k_y/(V - 1 + k_y) the mean over all draws is

        L = 1/N sum_i [ log( sum_{k != i} e^{z_i.z_k/tau} ) - (1 - s) mean_{p in own views} z_i.z_p/tau
                        - s mean_{p in other examples of y} z_i.z_p/tau ]

    which on whole data with the views of an example in one point is `geomsolve.KCL`.

    Args:
        embeddings: (V, n, d), V >= 2.
        labels: (n,) integers.
        temperature: tau.
        positives: k, 6 in the paper.

    Source: Kang et al., ICLR 2021; which examples are drawn is our reading, see `geomsolve.KCL`.
    """
    batch = samples(embeddings, labels, least_views=2)
    check_whole("positives", positives, least=1)
    points, dtype = batch.points, batch.points.dtype
    logits = cosine_logits(points, points, scalar("temperature", temperature, dtype))
    others = batch.same_class & ~batch.same_example
    drawn = jnp.minimum(positives, jnp.sum(others, axis=1, keepdims=True) // batch.views)
    share = (drawn / (batch.views - 1 + drawn)).astype(dtype)
    wanted = (1.0 - share) * shares(batch.same_example & batch.distinct, dtype) + share * shares(others, dtype)
    return jnp.mean(row_softmax(logits, wanted, batch.distinct.astype(dtype)))


def _is_class(labels: Array, classes: int) -> Array:
    return labels[:, None] == jnp.arange(classes)
