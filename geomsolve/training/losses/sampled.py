"""Losses whose positives and negatives are samples: those of the batch, or drawn."""

import math
from typing import Any

from ...errors import ProblemError
from ...objectives.kinds.supcl import own_views
from ...objectives.rows.full_batch import check_whole, check_word
from ...objectives.weighted.weightings import check_self_pairs
from .arrays import Tensor, at_least, class_labels, floats, log_denominators, log_sum, namespace, samples, unit

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
    batch = samples(anchors, None, positives, negatives, temperature)
    xp, here = batch.xp, batch.points
    near, far = floats(xp, "positives", positives, here), floats(xp, "negatives", negatives, here)
    count, dim = here.shape
    if tuple(near.shape) != (count, dim):
        raise ProblemError(f"positives: must have shape ({count}, {dim}), that of the anchors; got {tuple(near.shape)}")
    if far.ndim != 3 or (far.shape[0], far.shape[2]) != (count, dim) or far.shape[1] == 0:
        raise ProblemError(
            f"negatives: must have shape ({count}, k, {dim}), k >= 1 for each anchor; got {tuple(far.shape)}"
        )
    near, far = (unit(xp, batch.number(rows)) for rows in (near, far))
    pull = xp.sum(here * near, axis=1, keepdims=True)
    t = (xp.sum(here[:, None, :] * far, axis=2) - pull) / batch.scalar("temperature", temperature)
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
