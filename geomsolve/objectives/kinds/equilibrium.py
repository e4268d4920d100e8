"""Equilibrium contrastive learning (ECL), and the logit-compensated cross-entropy that goes with it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ...counts.counts import Counts, as_counts
from ...errors import ProblemError
from ...geometry.orbits import OrbitGram
from ..base import check_number, check_temperature
from ..rows.full_batch import check_whole, check_word
from .balanced import check_anchors, instances_and_one
from .parts import (
    Array,
    PartedSoftmax,
    PartedSum,
    Terms,
    blocks,
    check_orbits,
    closed_orbits,
    example_counts,
    kinds_of,
    points,
)

# A square of the distance between classifiers and prototypes that is rounding.
_ALIGNED = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class EquilibriumSum(PartedSum):
    """The terms of ECL, with the alignment of classifiers and prototypes by its chord.

    Attributes:
        align: the weight of the alignment.
        by_chord: whether its square stands for it as its chord.
    """

    align: float
    by_chord: bool

    def untied(self, gram: OrbitGram) -> float:
        """How far the chord lies below |W/|W| - P/|P||: nothing where classifiers and prototypes share their points."""
        names, classes = np.array(self.parts.names), len(set(self.parts.classes))
        cosines = np.diag(gram.cosines[names == "prototype"][:, names == "classifier"])
        square = 2.0 * float(np.sum(1.0 - cosines)) / classes
        return 0.0 if square < _ALIGNED or not self.by_chord else self.align * (np.sqrt(square) - square / 2.0)


def ECL(
    counts: Counts | ArrayLike,
    *,
    temperature: float,
    anchors: str = "instance",
    classifier: bool = True,
    contrast: float = 1.0,
    align: float = 1.0,
    scale: float = 30.0,
    views: int = 2,
    backbone: bool = False,
    alignment: str = "squared",
    tied: bool | None = None,
) -> PartedSoftmax | EquilibriumSum:
    """The equilibrium contrastive loss over instances, prototypes, classifiers and backbone features of classes.

        L = L_LC + contrast * L_BC + align * L_CC

    **L_BC** (class-averaged similarities, prototypes of the same weight; B_j the views * n_j instances of class j, y
    the class of anchor i):

        L_i = -1/2 [ mean_{p in B_y, p != i} log(e^{z_i.z_p/tau} / D_i) + log(e^{z_i.c_y/tau} / D_i) ],
        D_i = sum_j 1/2 [ mean_{k in B_j, k != i} e^{z_i.z_k/tau} + e^{z_i.c_j/tau} ]

    **L_CC** aligns classifiers w_j with prototypes c_j. The code published with the predecessor has |W/|W| - P/|P||
    (Frobenius norms), which for unit rows is the root of A = (2/C) sum_j (1 - w_j.c_j): alignment="norm". The root is
    concave, so what is solved then has its chord A/2, which lies below it on [0, 4] and meets it where all are
    aligned: there the optimum is that of the loss, and elsewhere the difference counts in the certificate's gap.
    alignment="squared" is A itself, our convex reading.

    **L_LC** is `LogitCompensated`. With backbone=True, as in the paper's diagram, its features are those of the
    backbone, atoms of their own, which a free projector ties to nothing else; with False they are the projected
    instances z.

    With tied=False every instance is an atom of its own, exchangeable with those of its class. With True those of a
    class share a point, and what is certified is the optimum of that problem: at low temperature single instances
    gain a little by parting (2e-6 nats at temperature 0.1 and counts 18, 11, 9, 2; measured). The regular simplex, with
    all atoms of a class in one point, is optimal for balanced classes, and for any counts with anchors="class" and
    classifier=False; otherwise prototypes, no anchors themselves, stand apart from their class.

    Args:
        counts: whole numbers of examples per class.
        temperature: tau of L_BC.
        anchors: of L_BC: "instance", the mean over all instances, or "class", over each class first.
        classifier: False for L_BC alone, over instances and prototypes.
        contrast: the weight of L_BC, above 0.
        align: the weight of L_CC, at least 0. (The code published with the predecessor weighs the three by .7, .3 and
            .5, each over its mean in the first epoch.)
        scale: of the cosine classifier in L_LC.
        views: instances per example; a class needs two instances.
        backbone: whether L_LC sees features of their own. Only forces of about e^{-scale C/(C-1)} then say where these
            are, and from a scale of about 10 on they often stay uncertified (the value is proved all the same).
        alignment: "squared" or "norm".
        tied: whether instances of a class share a point; None: only where there is a classifier, which is tied to its
            prototype a million times stronger than instances are to each other, so that float64 seldom resolves both.

    Returns:
        An EquilibriumSum over C orbits (or points) of instances, C prototypes, C classifiers and, with `backbone`, C
        features, in this order; a PartedSoftmax over the first two kinds where `classifier` is False.

    Raises:
        ProblemError: an unknown word, counts that are not whole, a class of one instance, a weight or temperature out
            of range, or more than 1000 orbits (333 classes).

    Cost: dense over 4C orbits, see `BCL`.

    Source: ECL (Roh et al. 2026) by its abstract and diagram, and the code published with its predecessor for L_CC.
    The printed formula of L_BC was not at hand: that class averages and prototypes count the same is stated, the halves
    and the self-pair left out of D_i are our reading.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    check_anchors(anchors)
    classes = counts.classes
    tied = classifier if tied is None else bool(tied)
    kinds = (3 if backbone else 2) if classifier else 1
    check_orbits("ECL", (kinds + 1) * classes)
    contrast, align = check_number("contrast", contrast, 1e-6, 1e6), check_number("align", align)
    each = example_counts("ECL", counts) * check_whole("views", views, least=1)
    if each.min() < 2:
        raise ProblemError(
            f"counts: ECL needs two instances of every class; class {int(each.argmin())} has one (write views=2)"
        )
    share = _shares(counts, anchors) / each
    nothing, identity, none = np.zeros((classes, classes)), np.eye(classes), np.zeros(classes)
    own = np.diag(0.5 / (each - 1.0))
    others = 0.5 / each * (1.0 - identity) + own
    names = ("instances", "prototype", "classifier", "feature")[: kinds + 1]
    orbits, parts = instances_and_one(each, kinds), kinds_of(names, classes)
    blank = [[nothing] * (kinds + 1)] * kinds

    def term(first: int, rows: list, pulls: list, masses: Array, offsets: Array, tau: float) -> PartedSoftmax:
        """A loss whose anchors are the atoms of kind `first`."""
        place = [none] * first, [none] * (kinds - first)
        spare = [none + 1.0] * first, [none + 1.0] * (kinds - first)  # a row of no mass needs some denominator
        return PartedSoftmax(
            orbits=orbits,
            masses=np.concatenate([*place[0], masses, *place[1]]),
            weights=blocks([*blank[:first], rows, *blank[first:]], classes),
            offsets=np.concatenate([*spare[0], offsets, *spare[1]]),
            positives=blocks([*blank[:first], pulls, *blank[first:]], classes),
            temperature=tau,
            name=f"ECL(anchors={anchors}, no classifier)",
            counts=counts,
            parts=parts,
        )

    rest = [nothing] * (kinds - 1)
    half = np.full((classes, classes), 0.5)
    mass = contrast * share if classifier else share
    balanced = term(0, [others, half, *rest], [own, 0.5 * identity, *rest], mass, none, temperature)
    if not classifier:
        return closed_orbits(balanced) if tied else balanced
    check_word("alignment", alignment, ("squared", "norm"))
    pull = align * (2.0 if alignment == "squared" else 1.0)
    blank_row, to_classifier = [nothing] * (kinds + 1), [nothing, nothing, identity, nothing][: kinds + 1]
    aligned = term(1, blank_row, to_classifier, none + pull / classes, none + 1.0, 1.0)
    priors = [nothing, nothing, _priors(counts), nothing][: kinds + 1]
    feature, number = (3, 1.0) if backbone else (0, each)
    tau = 1.0 / check_number("scale", scale, 1e-6, 1e6)
    compensated = term(feature, priors, to_classifier, _shares(counts, "instance") / number, none, tau)
    losses = (balanced, aligned, compensated)
    found = EquilibriumSum(
        orbits=orbits,
        masses=np.sum([loss.masses for loss in losses], axis=0),
        temperature=temperature,
        name=f"ECL(anchors={anchors}, contrast={contrast:g}, align={align:g}, scale={scale:g})",
        counts=counts,
        terms=Terms(losses),
        parts=parts,
        align=align,
        by_chord=alignment == "norm",
    )
    return closed_orbits(found) if tied else found


def LogitCompensated(
    counts: Counts | ArrayLike, *, scale: float = 12.0, compensation: float = 1.0, margin: ArrayLike = 0.0
) -> PartedSoftmax:
    """Cross-entropy of a cosine classifier with the log prior added to its logits, over class means and classifiers.

        L = -1/N sum_i log( e^{x_y} / sum_j e^{x_j} ),   x_j = s (z_i.w_j - m_j [j = y]) + compensation * log pi_j

    with unit z and w and pi the class proportions (balanced softmax, logit adjustment). Without compensation it is
    NormFace, with a margin CosFace, with margins ~ n^(-1/4) LDAM as published: see `NormFace`.

    At the simplex the forces that choose a geometry are the pull on a classifier less the softmax that nearly cancels
    it, about e^{-s C/(C - 1)} of either: at scale 30, usual in training, 1e-14 for 10 classes, so in float32 rounding
    chooses the geometry and not the loss. Here neither forces nor curvatures are taken as differences, see `Bipartite`:
    of 762 random problems (2 to 86 classes, ratios to 1e10, scales 0.1 to 50) all were certified, in 0.1 s on average.

    Args:
        counts: counts or proportions.
        scale: s > 0, the inverse temperature (there is no other one).
        compensation: the power of the prior, at least 0.
        margin: m, one number or one per class, at least 0.

    Returns:
        A PartedSoftmax over C class means and C classifiers, in this order.

    Raises:
        ProblemError: a scale that is not above 0, a compensation or margin below 0, or more than 500 classes.

    Source: the form BCL's code uses; that ECL does the same is our reading.
    """
    counts = as_counts(counts)
    classes = counts.classes
    check_orbits("LogitCompensated", 2 * classes)
    nothing, none = np.zeros((classes, classes)), np.zeros(classes)
    scale = check_number("scale", scale, 1e-6, 1e6)
    margins = np.broadcast_to(np.asarray(margin, dtype=np.float64), (classes,))
    if not (np.isfinite(margins).all() and margins.min() >= 0 and scale * margins.max() <= 500.0):
        raise ProblemError(f"margin: must be at least 0 and at most 500 / scale; got {margins.min():g}")
    lifted = np.exp(scale * margins)[:, None] ** (1.0 - np.eye(classes))
    weights = _priors(counts) ** check_number("compensation", compensation) * lifted
    return PartedSoftmax(
        orbits=points(2 * classes),
        masses=np.concatenate([_shares(counts, "instance"), none]),
        weights=blocks([[nothing, weights], [nothing] * 2], classes),
        offsets=np.concatenate([none, none + 1.0]),
        positives=blocks([[nothing, np.eye(classes)], [nothing] * 2], classes),
        temperature=1.0 / scale,
        name=f"LogitCompensated(scale={scale:g})",
        counts=counts,
        parts=kinds_of(("mean", "classifier"), classes),
    )


def NormFace(counts: Counts | ArrayLike, *, scale: float = 12.0, margin: ArrayLike = 0.0) -> PartedSoftmax:
    """Cross-entropy of a cosine classifier (`LogitCompensated` without priors); with a margin m, CosFace.

    An additive margin on the angle (ArcFace) is not convex in the cosines, and has no certificate here.

    Source: Wang et al. 2017 (arXiv 1704.06369) and 2018 (arXiv 1801.09414).
    """
    found = LogitCompensated(counts, scale=scale, compensation=0.0, margin=margin)
    return replace(found, name=f"NormFace(scale={scale:g})")


def _shares(counts: Counts, anchors: str) -> Array:
    if anchors == "class":
        return np.full(counts.classes, 1.0 / counts.classes)
    return np.asarray(counts.per_class / counts.total)


def _priors(counts: Counts) -> Array:
    """(C, C) pi_j / pi_y: dividing by the anchor's own prior puts -log pi_y in its place."""
    return np.asarray(counts.per_class / counts.per_class[:, None])
