"""The inverse problem of cross-entropy: the terms added to logits under which wanted angles are the optimum."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array
from ..certificates.certificate import check_tol
from ..certificates.logits import certify_logits
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.class_matrices import ClassMatrix
from ..geometry.orbit_gram import Orbits
from ..objectives.logits.cross_entropy import CrossEntropy
from .designed import LogitDesign
from .designs import MOST_CLASSES, balanced_target


def design_logits(
    counts: Counts | ArrayLike,
    target: ArrayLike | None = None,
    *,
    feature_decay: float,
    classifier_decay: float,
    tol: float = 1e-9,
) -> LogitDesign:
    """The terms of cross-entropy whose optimum has the angles you want, in closed form.

    Features and classifier both get the cosines G. With u > 0, G u = 0, and any r > 0 the logits

        Z_ck = r u_c u_k G_ck / sqrt(n_k)

    have Z D^{1/2} symmetric, with projector Pi on its range, Pi 1 = 0. They are optimal if the gradient is
    -lambda Y D^{1/2}, Y = (1 - m) Pi + m (I - 1 1^T/C) for some m in [0, 1]; its columns sum to 0, and with m near
    enough to 1 all Y_ck, c != k, are negative. So examples of class k are to be given to class c with probability
    P_ck = -lambda N Y_ck / sqrt(n_k), for which is added to their logits, kappa_kk = 0,

        kappa_ck = Z_kk - Z_ck - log(P_kk / P_ck),

    r being such that the sum of their squares is least. For the simplex Y = I - 1 1^T/C, and they do not depend on c:
    margins mu_k = kappa_ck, subtracted from the own logit, do it, and with equal counts they are 0. Additive terms
    iota_c, the same for all examples, do not for unequal counts and C > 2, see the theory page.

    Args:
        counts: examples per class, numbers.
        target: (C, C) the wanted cosines in class order; None: the regular simplex. Possible is what `design` takes.
        feature_decay: lambda_H > 0, the weight decay of one example's features.
        classifier_decay: lambda_W > 0, of the classifier.
        tol: the relative gap called certified.

    Returns:
        A LogitDesign with its certificate. Norms are |w_c| ~ u_c and |h_k| ~ u_k / sqrt(n_k).

    Raises:
        ProblemError: a target that is no Gram matrix, is not singular, or has no positive null vector; decays with
            which another class would be likelier than the own: for the simplex sqrt(lambda_H lambda_W) >= sqrt(n) / N.

    Cost: one symmetric eigenvalue problem of size C for a target, and the certificate.
    Source: ours; see the theory page.
    """
    counts = as_counts(counts)
    check_tol(tol)
    plain = CrossEntropy(counts, feature_decay=feature_decay, classifier_decay=classifier_decay)
    parts = _margins(plain) if target is None else _offsets(plain, target)
    return LogitDesign(counts=counts, **parts, certificate=certify_logits(parts["objective"], parts["logits"]), tol=tol)


def _margins(plain: CrossEntropy) -> dict[str, Any]:
    """The design for the simplex; Z_kk - Z_ck is r C/(C - 1) / sqrt(n_k)."""
    counts, classes = plain.counts, plain.counts.classes
    root = np.sqrt(counts.per_class)
    gaps = _gaps(plain, np.full(classes, 1.0 - 1.0 / classes), np.full((1, classes), 1.0 / classes))[0]
    unit = classes / (classes - 1.0) / root
    radius = float(unit @ gaps / (unit @ unit))
    margins = radius * unit - gaps
    problem = replace(plain, margins=margins, name="cross-entropy with designed margins")
    own = radius / np.sqrt(problem.examples)
    logits = ClassMatrix(problem.orbits, own, np.broadcast_to(-own / (classes - 1.0), (len(own),) * 2))
    return {"objective": problem, "logits": logits, "margins": margins, "target": None, "moved": 0.0}


def _offsets(plain: CrossEntropy, target: ArrayLike) -> dict[str, Any]:
    """The design for a target of one's own."""
    counts, classes = plain.counts, plain.counts.classes
    if classes > MOST_CLASSES:
        raise ProblemError(f"counts: offsets are C x C, for at most {MOST_CLASSES} classes; got {classes}")
    wanted, balance, moved = balanced_target(target, Orbits(counts.multiplicity, counts.groups).singletons())
    symmetric = balance[:, None] * wanted * balance
    values, vectors = np.linalg.eigh(symmetric)
    kept = vectors[:, values > 1e-9 * values[-1]]
    projector = kept @ kept.T
    off = ~np.eye(classes, dtype=bool)
    # As little as makes all entries off the diagonal at most -1/(2 C): with m = 1 the optimum would be degenerate.
    most = float(projector[off].max())
    mixed = 1.0 - 0.5 / classes / max(most + 1.0 / classes, 0.5 / classes)
    pull = (1.0 - mixed) * projector + mixed * (np.eye(classes) - 1.0 / classes)
    gaps = np.where(off, _gaps(plain, np.diag(pull), np.where(off, -pull, -pull[off].max())), 0.0)
    full = symmetric / np.sqrt(counts.per_class)
    unit = np.diag(full) - full
    radius = float(np.sum(unit * gaps) / np.sum(unit**2))
    offsets = np.where(off, radius * unit - gaps, 0.0)
    problem = replace(plain, offsets=offsets, name="cross-entropy with designed offsets")
    logits = ClassMatrix.gathered(problem.orbits, radius * full)
    return {"objective": problem, "logits": logits, "offsets": offsets, "target": wanted, "moved": moved}


def _gaps(plain: CrossEntropy, own: Array, others: Array) -> Array:
    """log(P_kk / P_ck) for Y_kk and -Y_ck; a ProblemError where one would be negative."""
    counts = plain.counts
    share = plain.decay * counts.total / np.sqrt(counts.per_class)
    limit = plain.decay / float((share * (own + others.max(axis=0))).max())
    if not plain.decay < limit:
        raise ProblemError(
            f"feature_decay, classifier_decay: the root of their product must be below {limit:.3g}, or some class's "
            f"examples are likelier given to another; got {plain.decay:.3g}"
        )
    return np.log((1.0 - share * own) / (share * others))
