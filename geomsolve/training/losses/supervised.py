"""Losses whose positives and negatives are the samples of the batch."""

from __future__ import annotations

from typing import Any

from ...objectives.kinds.supcl import own_views
from ...objectives.rows.full_batch import check_whole, check_word
from .arrays import Tensor, at_least, log_denominators, samples

# A sample beyond this cosine with the prototype of its class is no longer pulled to it.
_REACH = 0.5


def sup_con(
    embeddings: Tensor, labels: Tensor, temperature: Any = 0.1, *, averaging: str = "anchor", view_axis: int = 0
) -> Tensor:
    """The supervised contrastive loss, positives averaged outside the logarithm (L_out).

        L = 1/N sum_i -1/|P_i| sum_{p in P_i} log( e^{z_i.z_p/tau} / sum_{k != i} e^{z_i.z_k/tau} )

    over the N = V n samples, P_i the others of the class of i; an empty P_i makes its term 0. On whole data with every
    class in one point it is `geomsolve.SupCon(counts, views=V)`; averaged over batches, with `batch` the examples in
    one.

    There is no tau/tau_base in front. `averaging` is "anchor" above; SupContrast's embeddings have view_axis=1.

    Source: Khosla et al. 2020.
    """
    batch = samples(embeddings, labels, temperature, view_axis=view_axis)
    kin = batch.same_class & batch.distinct
    return batch.mean(batch.softmax(batch.logits(temperature), batch.shares(kin), batch.distinct), averaging, kin)


def eps_sup_info_nce(
    embeddings: Tensor,
    labels: Tensor,
    temperature: Any = 0.1,
    *,
    epsilon: Any,
    averaging: str = "anchor",
    view_axis: int = 0,
) -> Tensor:
    """The epsilon-SupInfoNCE loss: a denominator has one positive, lowered by a margin, and the other classes.

        L = 1/N sum_i -1/|P_i| sum_{p in P_i} log[ e^{s_ip} / ( e^{s_ip - epsilon} + sum_{k: y_k != y_i} e^{s_ik} ) ]

    with s = z.z/tau. On whole data with every class in one point it is SupCon with e^{-epsilon} in place of what the
    own class adds to a denominator.

    `epsilon` is the margin in logits: in cosine it is epsilon tau.

    Source: Barbano et al., ICLR 2023.
    """
    batch = samples(embeddings, labels, temperature, view_axis=view_axis)
    xp, logits, kin = batch.xp, batch.logits(temperature), batch.same_class & batch.distinct
    negatives = ~batch.same_class
    some = xp.any(negatives, axis=1, keepdims=True)
    # log( e^{l_ip - epsilon} + D_i ) - l_ip of every pair; without negatives it is -epsilon.
    lead = -batch.scalar("epsilon", epsilon) + xp.zeros_like(logits)
    away = log_denominators(xp, logits, batch.number(negatives))[:, None] - logits
    terms = xp.where(some, xp.logaddexp(lead, xp.where(some, away, 0.0)), lead)
    return batch.mean(xp.sum(batch.shares(kin) * terms, axis=1), averaging, kin)


def sincere(
    embeddings: Tensor, labels: Tensor, temperature: Any = 0.1, *, averaging: str = "anchor", view_axis: int = 0
) -> Tensor:
    """SINCERE: SupCon whose denominators hold one positive and the other classes, no further samples of the own class.

    It is `eps_sup_info_nce` with epsilon = 0, and on whole data with every class in one point SupCon in which the own
    class adds 1 to a denominator.

    Source: Feeney and Hughes, 2023 (arXiv 2309.14277).
    """
    return eps_sup_info_nce(embeddings, labels, temperature, epsilon=0.0, averaging=averaging, view_axis=view_axis)


def nt_xent(embeddings: Tensor, labels: Tensor = None, temperature: Any = 0.1, *, view_axis: int = 0) -> Tensor:
    """NT-Xent: the mean over all positive pairs of SINCERE's term, as pytorch-metric-learning has it.

    Without labels every example is a class of its own: with two views that is SimCLR.

    The temperature is 0.5 in SimCLR, 0.07 in pytorch-metric-learning.

    Source: Chen et al., ICML 2020.
    """
    return sincere(embeddings, labels, temperature, averaging="pair", view_axis=view_axis)


def sup_min(
    embeddings: Tensor, labels: Tensor, temperature: Any = 0.07, *, minority: Any = 1, view_axis: int = 0
) -> Tensor:
    """Supervised Minority: only samples of the minority are told which belong together.

    L_out as in `sup_con`, with P_i the other samples of its class for a minority anchor, and for any other anchor the
    other views of its example. On whole data with the views of an example in one point it is `geomsolve.SupMin`.

    It needs two views. `minority` is the label of the minority: a batch need not show which class is the smaller one.

    Source: TTC (Mildenberger et al., CVPR 2025).
    """
    batch = samples(embeddings, labels, temperature, view_axis=view_axis, least_views=2)
    kin = batch.xp.where((batch.labels == minority)[:, None], batch.same_class, batch.same_example) & batch.distinct
    return batch.xp.mean(batch.softmax(batch.logits(temperature), batch.shares(kin), batch.distinct))


def prototypes(
    embeddings: Tensor, labels: Tensor, prototypes: Tensor, temperature: Any = 0.07, *, view_axis: int = 0
) -> Tensor:
    """Supervised Prototypes: a sample is pulled to its own views, and to the prototype of its class until it is near.

        L = 1/N sum_i -1/|P_i| sum_{p in P_i} log( e^{z_i.p/tau} / sum_{k != i} e^{z_i.z_k/tau} )

    with P_i the other views of the example of i, and the prototype p_y too while z_i.p_y <= 1/2. Prototypes are in no
    denominator; the loss jumps at 1/2, and its gradient does not see the jump. Its infimum on whole data is bounded by
    `geomsolve.choosing.supervised_prototypes`.

    It needs two views and labels 0 or 1; `prototypes` (2, d) are those of class 0 and 1: in the paper a fixed vector
    and its negative.

    Source: TTC (Mildenberger et al., CVPR 2025).
    """
    batch = samples(embeddings, labels, prototypes, temperature, view_axis=view_axis, least_views=2)
    xp, centres = batch.xp, batch.class_rows("prototypes", prototypes, 2)
    near = xp.sum(batch.members(2) * batch.cosines(centres), axis=1, keepdims=True)
    pulled = batch.number(near <= _REACH)
    share = batch.number(batch.same_example & batch.distinct) / (batch.views - 1.0 + pulled)
    # The prototype is one more column of the positives, and none of the denominator.
    columns = xp.concat([batch.logits(temperature), (near - 1.0) / batch.temperature(temperature)], axis=1)
    seen = xp.concat([batch.number(batch.distinct), xp.zeros_like(near)], axis=1)
    positives = xp.concat([share, pulled / (batch.views - 1.0 + pulled)], axis=1)
    return xp.mean(batch.softmax(columns, positives, seen))


def sup_cl(
    embeddings: Tensor,
    labels: Tensor,
    temperature: Any = 0.1,
    *,
    alpha: Any,
    self_pairs: bool = True,
    averaging: str = "anchor",
    view_axis: int = 0,
) -> Tensor:
    """SupCL, the mix (1 - alpha) L_sup + alpha L_self that keeps classes from collapsing.

        L_sup  = mean over x of the mean over y of  -log( e^{z_x.z_y/tau} / D_x ),  y: same class, another example
        L_self = the same,                                                           y: views of the same example
        D_x    = sum over y of e^{z_x.z_y/tau},                                      y: all samples

    With `self_pairs`, x itself is one of the y of L_self and of D_x; without, of neither. A sample whose class has no
    other example in the batch adds 0 to L_sup. On whole data with the views of an example in one point it is
    `geomsolve.SupCL`.

    alpha lies in [0, 1]; without self-pairs two views are needed (published code does both). `averaging` by "pair":
    both parts are means over their pairs, as in the authors' CIFAR code.

    Source: SSEM (arXiv 2503.08203).
    """
    batch = samples(embeddings, labels, temperature, alpha, view_axis=view_axis)
    own_views(batch.views, self_pairs)
    share, logits, seen = batch.scalar("alpha", alpha), batch.logits(temperature), batch.seen(self_pairs)
    sup, own = (
        batch.mean(batch.softmax(logits, batch.shares(pairs), seen), averaging, pairs)
        for pairs in (batch.same_class & ~batch.same_example, batch.same_example & seen)
    )
    return (1.0 - share) * sup + share * own


def kcl(
    embeddings: Tensor,
    labels: Tensor,
    temperature: Any = 0.1,
    *,
    positives: int = 6,
    draw: str = "samples",
    view_axis: int = 0,
) -> Tensor:
    """KCL: as many positives for a rare class as for a frequent one, their draw averaged exactly.

    Every anchor takes the other views of its example, and k_y = min(k, V (n_y - 1)) views of other examples of its
    class, any of them, or with draw="examples" one view each of k_y = min(k, n_y - 1) other examples; n_y is the number
    of examples of its class in the batch. The loss is linear in the positives, so
    with s = k_y/(V - 1 + k_y) the mean over all draws is

        L = 1/N sum_i [ log( sum_{k != i} e^{z_i.z_k/tau} ) - (1 - s) mean_{p in own views} z_i.z_p/tau
                        - s mean_{p in other examples of y} z_i.z_p/tau ]

    which on whole data with the views of an example in one point is `geomsolve.KCL`.

    It needs two views; k, `positives`, is 6 in the paper.

    Source: Kang et al., ICLR 2021; the draw of samples is that of the code published with TSC and TTC.
    """
    check_word("draw", draw, ("samples", "examples"))
    batch = samples(embeddings, labels, temperature, view_axis=view_axis, least_views=2)
    xp, others = batch.xp, batch.same_class & ~batch.same_example
    found = xp.sum(others, axis=1, keepdims=True) // (1 if draw == "samples" else batch.views)
    drawn = batch.number(-at_least(xp, -found, -check_whole("positives", positives, least=1)))
    share = drawn / (batch.views - 1.0 + drawn)
    wanted = (1.0 - share) * batch.shares(batch.same_example & batch.distinct) + share * batch.shares(others)
    return xp.mean(batch.softmax(batch.logits(temperature), wanted, batch.distinct))
