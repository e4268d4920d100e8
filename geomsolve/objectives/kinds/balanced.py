"""Balanced contrastive losses: BCL with its prototypes, and k positives (KCL)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...counts.counts import Counts, as_counts
from ...errors import ProblemError
from ...geometry.orbits import OrbitGram, Orbits
from ..base import check_temperature
from ..rows.full_batch import check_whole, check_word
from ..rows.row_softmax import gain_of_views
from .parts import Array, PartedSoftmax, Parts, blocks, check_orbits, example_counts

_ANCHORS = ("instance", "class")
# Atoms that are listed one by one.
_LISTED = 1e6


def BCL(counts: Counts | ArrayLike, *, temperature: float, anchors: str = "instance", views: int = 1) -> PartedSoftmax:
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

    Args:
        counts: whole numbers of examples per class, those of a batch.
        temperature: tau; 0.1 is usual.
        anchors: "instance" or "class".
        views: instances per example; 1 takes the counts as instances.

    Returns:
        A PartedSoftmax over C orbits of instances and C prototypes, in this order.

    Raises:
        ProblemError: an unknown word, counts that are not whole, more than 500 classes, a bad temperature or views.

    Cost: dense over 2C orbits: 10 classes 0.1 s, 100 classes seconds.

    Source: Zhu et al., CVPR 2022 (BCL), as in its published code; the reduction is ours, see the theory page.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    instances = example_counts("BCL", counts) * check_whole("views", views, least=1)
    classes = counts.classes
    check_orbits("BCL", 2 * classes)
    check_anchors(anchors)
    share = instances / instances.sum() if anchors == "instance" else np.full(classes, 1.0 / classes)
    nothing, identity = np.zeros((classes, classes)), np.eye(classes)
    own = np.diag(1.0 / instances)  # of one own positive, prototype or other instance
    every = (1.0 - identity) / (instances + 1.0) + own
    return PartedSoftmax(
        orbits=instances_and_one(instances),
        masses=np.concatenate([share / instances, np.zeros(classes)]),
        weights=blocks([[every, every], [nothing, nothing]], classes),
        # A row of no mass needs some denominator: any will do.
        offsets=np.concatenate([np.zeros(classes), np.ones(classes)]),
        positives=blocks([[own, own], [nothing, nothing]], classes),
        temperature=temperature,
        name=f"BCL(anchors={anchors})",
        counts=counts,
        parts=Parts(("instances",) * classes + ("prototype",) * classes, tuple(range(classes)) * 2),
    )


def instances_and_one(instances: Array, kinds: int = 1) -> Orbits:
    """The orbits of the instances of each class, then of each class one atom of every further kind.

    Of more than a million atoms none are listed one by one: nothing can be expanded to them.
    """
    classes = len(instances)
    sizes = np.concatenate([instances, np.ones(classes * kinds)])
    return Orbits(sizes, np.repeat(np.arange(len(sizes)), sizes.astype(int)) if sizes.sum() <= _LISTED else None)


def check_anchors(anchors: str) -> None:
    """Nothing, or a ProblemError unless it says how anchors are averaged."""
    if anchors not in _ANCHORS:
        raise ProblemError(f"anchors: must be one of {', '.join(_ANCHORS)}; got {anchors!r:.40}")


def KCL(
    counts: Counts | ArrayLike, *, temperature: float, positives: int = 6, views: int = 2, draw: str = "samples"
) -> PartedSoftmax:
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

    Args:
        counts: whole numbers of examples per class.
        temperature: tau.
        positives: k, 6 in the paper.
        views: V >= 2 augmented views per example.
        draw: "samples" or "examples".

    Returns:
        A PartedSoftmax over the C classes as orbits of n_c examples.

    Raises:
        ProblemError: counts that are not whole, more than 1000 classes, an unknown draw, or a bad temperature, k or
            number of views.

    Source: Kang et al., ICLR 2021 (KCL); the draw of samples is that of the code published with TSC and TTC, where all
    other samples of a class are equally likely and a class of fewer takes them all.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    positives = check_whole("positives", positives, least=1)
    views = check_whole("views", views, least=2)
    check_word("draw", draw, ("samples", "examples"))
    others = example_counts("KCL", counts) - 1.0
    drawn = np.minimum(positives, others * (views if draw == "samples" else 1))
    shares = drawn / (views - 1.0 + drawn)
    name = f"KCL(k={positives}, views={views}{'' if draw == 'samples' else ', draw=examples'})"
    return instance_softmax("KCL", counts, shares, temperature, views, name)


@dataclass(frozen=True, eq=False, kw_only=True)
class ViewedSoftmax(PartedSoftmax):
    """Row softmax over examples, the views of each in one point, self-pairs excluded.

    Attributes:
        own_shares: (K,) the share of an example's attraction that goes to its own views.
        views: V.
    """

    own_shares: Array
    views: int

    def untied(self, gram: OrbitGram) -> float:
        """What views could gain by parting, see `gain_of_views`."""
        return gain_of_views(self, gram, self.own_shares, self.views, self_pairs=False)

    def _per_atom(self) -> dict:
        return {**super()._per_atom(), "own_shares": self.own_shares[self.orbits.listed()]}


def instance_softmax(
    loss: str, counts: Counts, shares: Array, temperature: float, views: int, name: str
) -> ViewedSoftmax:
    """Row softmax over examples, each with its views in one point: self-pairs excluded, every example a negative.

        L = 1/N sum_i [ -shares_y/(n_y - 1) sum_{p of y, p != i} t_ip/tau + log( V - 1 + V sum_{j != i} e^{t_ij/tau} ) ]

    Args:
        loss: for errors.
        counts: whole numbers of examples per class; one orbit a class, in the caller's order.
        shares: (C,) what part of an anchor's attraction goes to other examples of its class.
        temperature: tau.
        views: V.
        name: of the objective.
    """
    examples = example_counts(loss, counts)
    classes = counts.classes
    check_orbits(loss, classes)
    total = float(examples.sum())
    others = np.where(examples > 1, shares / np.maximum(examples - 1.0, 1.0), 0.0)
    return ViewedSoftmax(
        orbits=instances_and_one(examples, 0),
        masses=np.full(classes, 1.0 / total),
        weights=np.full((classes, classes), float(views)),
        offsets=np.full(classes, views - 1.0),
        positives=np.diag(others),
        temperature=temperature,
        name=name,
        counts=counts,
        parts=Parts(("instances",) * classes, tuple(range(classes))),
        own_shares=1.0 - shares,
        views=views,
    )
