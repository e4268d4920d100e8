"""Balanced contrastive losses: BCL with its prototypes, and k positives (KCL)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.orbits import Orbits
from .base import check_temperature
from .parts import Array, PartedSoftmax, Parts, blocks, check_orbits, example_counts
from .supcon import check_whole

_ANCHORS = ("instance", "class")


def BCL(counts: Counts | ArrayLike, *, temperature: float, anchors: str = "instance", views: int = 1) -> PartedSoftmax:
    """The balanced contrastive loss over instances and prototypes.

    Class j has N_j = views * n_j instances B_j in the batch, all of them anchors, and a prototype c_j, which is no
    anchor. With |j| = N_j + 1 and y the class of anchor i,

        L_i = -1/N_y sum_{p in B_y + c_y, p != i} log[ e^{z_i.z_p/tau}
              / sum_j 1/(|j| - [j = y]) sum_{k in B_j + c_j, k != i} e^{z_i.z_k/tau} ]

    averaged over all instances (anchors="instance", as published code does), or first over each class
    (anchors="class").

    The instances of a class are taken to share one point, which leaves two atoms a class: instances with all of the
    class's anchor mass, and the prototype, without any. (What is certified is the optimum of that problem. It is that
    of single instances too with anchors="class", and at temperatures from about 0.2 on. With "instance" and a low
    temperature a prototype stands so far apart that instances gain by parting: at 0.1, counts 22, 12, 10, 4, 1, 1, by
    1e-8 nats and cosines within a class of 0.9994; measured.) With anchors="class" the two share a point and the
    regular simplex is optimal, whatever the counts, with the value log(1 + (C-1) e^{-C/((C-1) tau)}). With "instance"
    it is optimal for balanced classes only (or two of any counts); otherwise a prototype, which is pushed away as a
    negative but pushes nobody, stands apart from its instances.

    Args:
        counts: whole numbers of examples per class, those of a batch.
        temperature: tau; 0.1 is usual.
        anchors: "instance" or "class".
        views: instances per example; 1 takes the counts as instances.

    Returns:
        A PartedSoftmax over C instance points and C prototypes, in this order.

    Raises:
        ProblemError: an unknown word, counts that are not whole, more than 500 classes, a bad temperature or views.

    Cost: dense over 2C atoms, with no grouping by equal counts (an instance point is nearer to its own prototype than
    to that of another class of equal count): 10 classes 0.1 s, 100 classes seconds.

    Source: Zhu et al., CVPR 2022 (BCL), as in its published code; the reduction is ours, see the theory page.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    instances = example_counts("BCL", counts) * check_whole("views", views, least=1)
    classes = counts.classes
    check_orbits("BCL", 2 * classes)
    check_anchors(anchors)
    share = instances / instances.sum() if anchors == "instance" else np.full(classes, 1.0 / classes)
    other = np.broadcast_to(1.0 - np.eye(classes), (classes, classes)) / (instances + 1.0)
    own = np.diag(1.0 / instances)  # of one own positive, prototype or instance
    nothing = np.zeros((classes, classes))
    weights = blocks([[other * instances, other + own], [nothing, nothing]], classes)
    return PartedSoftmax(
        orbits=Orbits(np.ones(2 * classes), np.arange(2 * classes)),
        masses=np.concatenate([share, np.zeros(classes)]),
        weights=weights,
        # A row of no mass needs some denominator: any will do.
        offsets=np.concatenate([(instances - 1.0) / instances, np.ones(classes)]),
        positives=blocks([[nothing, own], [nothing, nothing]], classes),
        temperature=temperature,
        name=f"BCL(anchors={anchors})",
        counts=counts,
        parts=Parts(("instances",) * classes + ("prototype",) * classes, tuple(range(classes)) * 2),
    )


def check_anchors(anchors: str) -> None:
    """Nothing, or a ProblemError unless it says how anchors are averaged."""
    if anchors not in _ANCHORS:
        raise ProblemError(f"anchors: must be one of {', '.join(_ANCHORS)}; got {anchors!r:.40}")


def KCL(counts: Counts | ArrayLike, *, temperature: float, positives: int = 6, views: int = 2) -> PartedSoftmax:
    """The k-positive contrastive loss over instances: as many positives for a rare class as for a frequent one.

    Every anchor takes the other views of its example, and one view each of k other examples of its class, drawn without
    regard to the class's size (all of them where there are fewer). The loss is linear in the positives, so their draw
    has an exact expectation: with V views in one point, k_y = min(k, n_y - 1) and s = (V-1)/(V-1+k_y) on the own views,

        L = 1/N sum_i [ -(1 - s)/(n_y - 1) sum_{p of y, p != i} t_ip/tau
                        + log( V - 1 + V sum_{j != i} e^{t_ij/tau} ) ],       t_ij = z_i.z_j - 1

    over the N examples i. Whether a class then collapses to one point depends on k and tau: each example is pulled to
    its own views with a share s, which in SupCon is only (V-1)/(V n_y - 1).

    Args:
        counts: whole numbers of examples per class.
        temperature: tau.
        positives: k, 6 in the paper.
        views: V >= 2 augmented views per example.

    Returns:
        A PartedSoftmax over the C classes as orbits of n_c examples.

    Raises:
        ProblemError: counts that are not whole, more than 1000 classes, or a bad temperature, k or number of views.

    Source: Kang et al., ICLR 2021 (KCL). Our reading in two places, because the printed formula was not at hand: which
    examples are drawn (all others of the class are equally likely), and what a class of fewer does (it takes them all).
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    positives = check_whole("positives", positives, least=1)
    views = check_whole("views", views, least=2)
    drawn = np.minimum(positives, example_counts("KCL", counts) - 1.0)
    shares = drawn / (views - 1.0 + drawn)
    return instance_softmax("KCL", counts, shares, temperature, views, f"KCL(k={positives}, views={views})")


def instance_softmax(
    loss: str, counts: Counts, shares: Array, temperature: float, views: int, name: str
) -> PartedSoftmax:
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
    return PartedSoftmax(
        orbits=Orbits(examples, np.repeat(np.arange(classes), examples.astype(int))),
        masses=np.full(classes, 1.0 / total),
        weights=np.full((classes, classes), float(views)),
        offsets=np.full(classes, views - 1.0),
        positives=np.diag(others),
        temperature=temperature,
        name=name,
        counts=counts,
        parts=Parts(("instances",) * classes, tuple(range(classes))),
    )
