"""Balanced contrastive losses: BCL with its prototypes, and k positives (KCL)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import Array
from ...counts.counts import Counts, as_counts
from ...errors import BackendError, ProblemError
from ..base import check_temperature
from ..batches.batch_means import BatchMean
from ..batches.outcomes import Groups, outcomes
from ..classes.over_batches import Batches, batches
from ..rows.full_batch import check_whole, check_word
from ..rows.row_softmax import ViewedRows
from ..sampling import ClassTable, Sampler
from .parts import Parted, PartedSoftmax, anchored, example_counts, few_by_class, kinds_of, parts_in


def BCL(
    counts: Counts | ArrayLike,
    *,
    temperature: float,
    anchors: str = "instance",
    views: int = 1,
    batch: int | None = None,
    sampler: Sampler = "instance",
    draw: str = "independent",
) -> PartedSoftmax | BatchOfInstances:
    """The balanced contrastive loss over instances and prototypes.

    Class j has N_j = views * n_j instances B_j in the batch, all of them anchors, and a prototype c_j, which is no
    anchor. With |j| = N_j + 1 and y the class of anchor i,

        L_i = -1/N_y sum_{p in B_y + c_y, p != i} log[ e^{z_i.z_p/tau}
              / sum_j 1/(|j| - [j = y]) sum_{k in B_j + c_j, k != i} e^{z_i.z_k/tau} ]

    averaged over all instances (anchors="instance", as published code does), or first over each class
    (anchors="class").

    Every instance is an atom of its own, exchangeable with those of its class, so a class has one cosine between its
    instances and one from them to its prototype. At temperatures its authors use, prototypes, which are pushed away as
    negatives but push nobody, stand apart from their class, and instances part to follow them. With anchors="class" a
    class and its prototype share a point and the regular simplex is optimal, whatever the counts, with the value
    log(1 + (C-1) e^{-C/((C-1) tau)}). With "instance" it is optimal for balanced classes only (or two of any counts).

    With batch=B it is the mean of this loss over batches of B examples, every count in it that of the batch: a class
    that is absent has its prototype alone in the denominator. The mean is exact, see `BatchMean`.

    Args:
        counts: whole numbers of examples per class, those of a batch.
        temperature: tau; 0.1 is usual.
        anchors: "instance" or "class".
        views: instances per example; 1 takes the counts as instances. Over batches the views of an example are in one
            point, and the certificate counts what they could gain by parting.
        batch: examples per batch; None: all of them in one batch.
        sampler: how a batch is drawn, see `SupCon`.
        draw: "independent" (the same example may come twice) or "shuffle".

    Returns:
        A PartedSoftmax (over batches a BatchOfInstances) over C orbits of instances and C prototypes, in this order; of
        more than 60 classes over orbits of classes, see `geomsolve.geometry.Kinds`.

    Raises:
        ProblemError: an unknown word, counts that are not whole, more than 1000 distinct ones, a bad temperature or
            views, or over batches of one view a temperature below 0.006.

    Cost: `Followers` over orbits of classes: K distinct counts, some two hundred products of (K, K) matrices. Where
    classes merge Newton's method on unit vectors of these, some thousand products with its Hessian.

    Source: Zhu et al., CVPR 2022 (BCL), as in its published code; the reduction is ours, see the theory page.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    example_counts("BCL", counts)
    instances = counts.distinct * check_whole("views", views, least=1)
    shares = anchor_shares(counts, anchors)
    drawn = batches(counts, batch, views, sampler, draw)
    if drawn is not None:
        if anchors != "instance":
            raise ProblemError("anchors: over batches instances are averaged; leave anchors or batch out")
        if views == 1 and temperature < 0.006:
            raise ProblemError(
                f"temperature: over batches of one view it must be at least 0.006; got {temperature:g}, and "
                "e^(-2/temperature) squared is too small a number (write views=2, or leave batch out)"
            )

        def tell(others: Array, again: Array) -> tuple:
            members = views * (others + 1.0)
            shares = [views * (others - again) / members, 1.0 / members]
            return (views * (again + 1.0) - 1.0) / members, shares, shares, [(again + 1.0) / members] * 2

        weights = {
            "instances": lambda m: views * m / (views * m + 1.0),
            "prototype": lambda m: 1.0 / (views * m + 1.0),
        }
        return _in_batches("BCL", counts, temperature, drawn, f"BCL({drawn.name})", weights, tell)
    kinds = kinds_of("BCL", counts, {"instances": instances, "prototype": 1.0})
    every, own = (1.0 / instances, 1.0 / (instances + 1.0)), (1.0 / instances, 0.0)
    loss = anchored(
        kinds,
        masses=shares / instances,
        weights=[every, every],
        positives=[own, own],
        temperature=temperature,
        name=f"BCL(anchors={anchors})",
        counts=counts,
    )
    return few_by_class(loss)


def anchor_shares(counts: Counts, anchors: str) -> Array:
    """(K,) the weight of all anchors of one class of each distinct count."""
    check_word("anchors", anchors, ("instance", "class"))
    if anchors == "class":
        return np.full(len(counts.distinct), 1.0 / counts.classes)
    return counts.proportions


def KCL(
    counts: Counts | ArrayLike,
    *,
    temperature: float,
    positives: int = 6,
    views: int = 2,
    draw: str = "samples",
    batch: int | None = None,
    sampler: Sampler = "instance",
) -> PartedSoftmax | BatchOfInstances:
    """The k-positive contrastive loss over instances: as many positives for a rare class as for a frequent one.

    Every anchor takes the other views of its example, and k samples (views of other examples) of its class, drawn
    without regard to the class's size (all of them where there are fewer). The loss is linear in the positives, so
    their draw has an exact expectation: with V views in one point, k_y = min(k, V (n_y - 1)) with draw="samples", as
    published code draws, or one view each of k_y = min(k, n_y - 1) examples with draw="examples", and
    s = (V-1)/(V-1+k_y) on the own views,

        L = 1/N sum_i [ -(1 - s)/(n_y - 1) sum_{p of y, p != i} t_ip/tau
                        + log( V - 1 + V sum_{j != i} e^{t_ij/tau} ) ],       t_ij = z_i.z_j - 1

    over the N examples i. Whether a class then collapses to one point depends on k and tau: each example is pulled to
    its own views with a share s, which in SupCon is only (V-1)/(V n_y - 1).

    With batch=B it is the mean of this loss over batches of B examples drawn independently, positives and denominators
    being those of the batch.

    Args:
        counts: whole numbers of examples per class.
        temperature: tau.
        positives: k, 6 in the paper.
        views: V >= 2 augmented views per example.
        draw: "samples" or "examples".
        batch: examples per batch; None: all of them in one batch.
        sampler: how a batch is drawn, see `SupCon`.

    Returns:
        A PartedSoftmax over the C classes as orbits of n_c examples; of more than 120 over orbits of classes. Over
        batches a BatchOfInstances.

    Raises:
        ProblemError: counts that are not whole, more than 2000 distinct ones, an unknown draw, or a bad temperature, k
            or number of views.

    Source: Kang et al., ICLR 2021 (KCL); the draw of samples is that of the code published with TSC and TTC, where all
    other samples of a class are equally likely and a class of fewer takes them all.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    positives = check_whole("positives", positives, least=1)
    views = check_whole("views", views, least=2)
    check_word("draw", draw, ("samples", "examples"))
    others = example_counts("KCL", counts) - 1.0
    name = f"KCL(k={positives}, views={views}{'' if draw == 'samples' else ', draw=examples'})"
    plan = batches(counts, batch, views, sampler)
    if plan is not None:

        def tell(drawn: Array, again: Array) -> tuple:
            taken = np.minimum(positives, drawn * (views if draw == "samples" else 1))
            pull, least = taken / np.maximum(drawn, 1.0) / (views - 1.0 + taken), views * (again + 1.0) - 1.0
            view = again + 1.0, 1.0 / (views - 1.0 + taken) + again * pull / views
            return least, [views * (drawn - again)], [(drawn - again) * pull], view

        weights = {"instances": lambda m: views * m}
        return _in_batches("KCL", counts, temperature, plan, name.replace(f"views={views}", plan.name), weights, tell)
    drawn = np.minimum(positives, others * (views if draw == "samples" else 1))
    shares = drawn / (views - 1.0 + drawn)
    return instance_softmax("KCL", counts, shares, temperature, views, name)


@dataclass(frozen=True, eq=False, kw_only=True)
class ViewedSoftmax(PartedSoftmax, ViewedRows):
    """Row softmax over examples of several classes, the views of each in one point."""


def instance_softmax(
    loss: str,
    counts: Counts,
    shares: Array,
    temperature: float,
    views: int,
    name: str,
    *,
    masses: Array | None = None,
    self_pairs: bool = False,
) -> ViewedSoftmax:
    """Row softmax over examples, each with its views in one point, every example a negative.

        L = sum_i m_i [ -shares_y/(n_y - 1) sum_{p of y, p != i} t_ip/tau + log( a + V sum_{j != i} e^{t_ij/tau} ) ]

    with (C,) shares and masses (None: all 1/N), and a = V - 1, or V with self-pairs.
    """
    example_counts(loss, counts)
    every = np.full(counts.classes, 1.0 / counts.total) if masses is None else masses
    table = ClassTable.of(counts, shares, every)
    grouped, (part, mass) = table.as_counts(counts), table.columns
    others = np.maximum(grouped.distinct - 1.0, 1.0)
    kinds = kinds_of(loss, grouped, {"instances": grouped.distinct})
    loss_of_orbits = anchored(
        kinds,
        masses=mass,
        weights=[(float(views), float(views))],
        positives=[(np.where(grouped.distinct > 1, part / others, 0.0), 0.0)],
        offsets=float(views if self_pairs else views - 1),
        temperature=temperature,
        name=name,
        counts=counts,
        form=ViewedSoftmax,
        own_shares=1.0 - part,
        views=views,
        self_pairs=self_pairs,
    )
    return few_by_class(loss_of_orbits)


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchOfInstances(Parted, BatchMean):
    """A mean over batches whose atoms are examples, exchangeable within their class, and what stands beside them."""

    def ungrouped(self) -> NoReturn:
        """Not to be had: which atoms share a draw is told by classes."""
        raise BackendError(f"{self.name}: batches of instances are taken by classes only (Newton)")


def _in_batches(
    loss: str,
    counts: Counts,
    temperature: float,
    drawn: Batches,
    name: str,
    weights: Mapping[str, Callable[[Array], Array]],
    tell: Callable[[Array, Array], tuple],
) -> BatchOfInstances:
    """A loss over batches of instances.

    `weights` are of the kinds of atoms, anchors first: what those of another class with m examples have in a
    denominator. `tell` is that of `outcomes`.
    """
    each, labels = example_counts(loss, counts), drawn.orbits.listed()
    if drawn.counts is None:
        raise ProblemError(f"sampler: {loss} tells examples apart, and PxM is for losses that do not; write shares")
    sizes: dict[str, ArrayLike] = dict.fromkeys(weights, 1.0)
    kinds = kinds_of(loss, counts, sizes | {next(iter(weights)): counts.distinct}, by_class=True)
    law = drawn.law.each(labels)
    members = np.arange(law.others.shape[1], dtype=float)
    masses = np.zeros((len(weights), len(each)))
    masses[0] = drawn.masses[labels] / each
    return BatchOfInstances(
        orbits=kinds.by_class,
        masses=masses.ravel(),
        temperature=temperature,
        name=name,
        counts=counts,
        count=law.count,
        groups=Groups(
            classes=np.ones(len(each)),
            places=np.arange(masses.size).reshape(masses.shape),
            law=law,
            weights=np.array([part(members) for part in weights.values()]),
            own=outcomes(law, np.ones_like, tell, each),
        ),
        views=drawn.views,
        parts=parts_in(kinds),
    )
