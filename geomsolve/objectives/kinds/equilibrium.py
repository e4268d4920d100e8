"""Equilibrium contrastive learning (ECL), and the logit-compensated cross-entropy that goes with it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ...counts.counts import Counts, as_counts
from ...errors import ProblemError
from ...geometry.kinds import KindGram
from ...geometry.orbit_gram import OrbitGram
from ..base import check_number, check_temperature
from ..rows.full_batch import check_whole, check_word
from ..sampling import ClassTable
from .balanced import anchor_shares
from .parts import (
    Array,
    PartedSoftmax,
    PartedSum,
    anchored,
    closed_orbits,
    example_counts,
    few_by_class,
    kinds_of,
)

# A square of the distance between classifiers and prototypes that is rounding.
_ALIGNED = 4.0 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False, kw_only=True)
class EquilibriumSum(PartedSum):
    """The terms of ECL, with the alignment of classifiers and prototypes by its chord."""

    chord: float  # the weight of the alignment where its square stands for it as its chord, else 0

    def untied(self, gram: OrbitGram) -> float:
        """How far the chord lies below |W/|W| - P/|P||: nothing where classifiers and prototypes share their points."""
        if isinstance(gram, KindGram):
            cosines = gram.orbits.own(gram.cosines)[gram.orbits.groups, 1, 2]
        else:
            names = np.array(self.parts.names)
            cosines = np.diag(gram.cosines[names == "prototype"][:, names == "classifier"])
        square = 2.0 * float(np.mean(1.0 - cosines))
        # Cosines of 1 less an ulp make a square of two ulps, where points are the same.
        return 0.0 if square <= _ALIGNED else self.chord * (np.sqrt(square) - square / 2.0)


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
    tied: bool = False,
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

    Every instance is an atom of its own, exchangeable with those of its class. With tied=True those of a class share a
    point, and what is certified is the optimum of that problem: at low temperature single instances gain a little by
    parting (1 % of the loss at temperature 0.1 and counts 18, 11, 9, 2; measured). The regular simplex, with all atoms
    of a class in one point, is optimal for balanced classes, and for any counts with anchors="class" and
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
        tied: whether instances of a class share a point.

    Returns:
        An EquilibriumSum over C orbits (or points) of instances, C prototypes, C classifiers and, with `backbone`, C
        features, in this order; a PartedSoftmax over the first two kinds where `classifier` is False.

    Raises:
        ProblemError: an unknown word, counts that are not whole, a class of one instance, a weight or temperature out
            of range, more than 666 distinct counts, or, with `backbone` or tied=True, more than 1000 orbits.

    Cost: see `BCL`. Over orbits of classes classifier and prototype of a class are put into one point, where the
    alignment holds them to a millionth or so at the usual scale; at a low one such an answer is not certified.

    Source: ECL (Roh et al. 2026) by its abstract and diagram, and the code published with its predecessor for L_CC.
    The printed formula of L_BC was not at hand: that class averages and prototypes count the same is stated, the halves
    and the self-pair left out of D_i are our reading.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    shares = anchor_shares(counts, anchors)
    contrast, align = check_number("contrast", contrast, 1e-6, 1e6), check_number("align", align)
    examples = example_counts("ECL", counts) * check_whole("views", views, least=1)
    if examples.min() < 2:
        raise ProblemError(
            f"counts: ECL needs two instances of every class; class {int(examples.argmin())} has one (write views=2)"
        )
    each = counts.distinct * views
    names = ("instances", "prototype", "classifier", "feature")[: (4 if backbone else 3) if classifier else 2]
    many = {name: each if name == "instances" else 1.0 for name in names}
    kinds = kinds_of("ECL", counts, many, by_class=tied or (classifier and backbone))
    name = f"ECL(anchors={anchors}, no classifier)"
    share = shares / each
    balanced = anchored(
        kinds,
        masses=contrast * share if classifier else share,
        weights=[(0.5 / (each - 1.0), 0.5 / each), (0.5, 0.5)],
        positives=[(0.5 / (each - 1.0), 0.0), (0.5, 0.0)],
        temperature=temperature,
        name=name,
        counts=counts,
    )
    if not classifier:
        return closed_orbits(balanced.by_class()) if tied else few_by_class(balanced)
    check_word("alignment", alignment, ("squared", "norm"))
    pull = align * (2.0 if alignment == "squared" else 1.0)
    to_classifier = [None, None, (1.0, 0.0)]
    aligned = anchored(
        kinds,
        masses=np.full_like(each, pull / counts.classes),
        weights=[],
        positives=to_classifier,
        offsets=1.0,
        first=1,
        temperature=1.0,
        name=name,
        counts=counts,
    )
    compensated = anchored(
        kinds,
        masses=counts.proportions / (1.0 if backbone else each),
        weights=[None, None, (1.0, _priors(counts))],
        positives=to_classifier,
        first=3 if backbone else 0,
        temperature=1.0 / check_number("scale", scale, 1e-6, 1e6),
        name=name,
        counts=counts,
    )
    losses = (balanced, aligned, compensated)
    found = EquilibriumSum(
        orbits=kinds,
        masses=np.sum([loss.masses for loss in losses], axis=0),
        temperature=temperature,
        name=f"ECL(anchors={anchors}, contrast={contrast:g}, align={align:g}, scale={scale:g})",
        counts=counts,
        losses=losses,
        parts=balanced.parts,
        chord=align if alignment == "norm" else 0.0,
    )
    if tied:
        return closed_orbits(found.by_class())
    return found.by_class() if backbone else few_by_class(found)


def LogitCompensated(
    counts: Counts | ArrayLike, *, scale: float = 12.0, compensation: float = 1.0, margin: ArrayLike = 0.0
) -> PartedSoftmax:
    """Cross-entropy of a cosine classifier with the log prior added to its logits, over class means and classifiers.

        L = -1/N sum_i log( e^{x_y} / sum_j e^{x_j} ),   x_j = s (z_i.w_j - m_j [j = y]) + compensation * log pi_j

    with unit z and w and pi the class proportions (balanced softmax, logit adjustment). Without compensation it is
    NormFace, with a margin CosFace, with margins ~ n^(-1/4) LDAM as published: see `NormFace`.

    At the simplex the forces that choose a geometry are the pull on a classifier less the softmax that nearly cancels
    it, about e^{-s C/(C - 1)} of either: at scale 30, usual in training, 1e-14 for 10 classes, so in float32 rounding
    chooses the geometry and not the loss. Here neither forces nor curvatures are taken as differences: of
    120 random problems (2 to 86 classes, ratios to 1e10, scales 0.1 to 50) 117 were certified, half a second each.

    Args:
        counts: counts or proportions.
        scale: s > 0, the inverse temperature (there is no other one).
        compensation: the power of the prior, at least 0.
        margin: m, one number or one per class, at least 0.

    Returns:
        A PartedSoftmax over C class means and C classifiers, in this order.

    Raises:
        ProblemError: a scale that is not above 0, a compensation or margin below 0, or more than 1000 distinct counts.

    Source: the form BCL's code uses; that ECL does the same is our reading.
    """
    counts = as_counts(counts)
    scale = check_number("scale", scale, 1e-6, 1e6)
    margins = np.broadcast_to(np.asarray(margin, dtype=np.float64), counts.per_class.shape)
    if not (np.isfinite(margins).all() and margins.min() >= 0 and scale * margins.max() <= 500.0):
        raise ProblemError(f"margin: must be at least 0 and at most 500 / scale; got {margins.min():g}")
    table = ClassTable.of(counts, margins)
    grouped, (lifted,) = table.as_counts(counts), table.columns
    kinds = kinds_of("LogitCompensated", grouped, {"mean": 1.0, "classifier": 1.0})
    priors = _priors(grouped) ** check_number("compensation", compensation)
    loss = anchored(
        kinds,
        masses=grouped.proportions,
        weights=[None, (1.0, priors * np.exp(scale * lifted)[:, None])],
        positives=[None, (1.0, 0.0)],
        temperature=1.0 / scale,
        name=f"LogitCompensated(scale={scale:g})",
        counts=counts,
    )
    return few_by_class(loss)


def NormFace(counts: Counts | ArrayLike, *, scale: float = 12.0, margin: ArrayLike = 0.0) -> PartedSoftmax:
    """Cross-entropy of a cosine classifier (`LogitCompensated` without priors); with a margin m, CosFace.

    An additive margin on the angle (ArcFace) is not convex in the cosines, and has no certificate here.

    Source: Wang et al. 2017 (arXiv 1704.06369) and 2018 (arXiv 1801.09414).
    """
    found = LogitCompensated(counts, scale=scale, compensation=0.0, margin=margin)
    return replace(found, name=f"NormFace(scale={scale:g})")


def _priors(counts: Counts) -> Array:
    """(K, K) pi_j / pi_y: dividing by the anchor's own prior puts -log pi_y in its place."""
    return np.asarray(counts.distinct / counts.distinct[:, None])
