"""Cross-entropy without decay: the logits of largest margin for the norms of features and classifier."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import Array
from ...certificates.logits import LogitCertificate, dual_norm, norm
from ...counts.counts import Counts
from ...errors import ProblemError
from ...geometry.class_matrices import ClassMatrix
from ...objectives.logits.cross_entropy import CrossEntropy
from .logit_solution import LogitFactorization, balanced_factors

_KINDS = ("ce", "cdt", "ldt")


@dataclass(frozen=True, eq=False, repr=False)
class MaxMargin(LogitFactorization):
    """The logits that reach all margins with the least norm, see `max_margin`.

    Attributes:
        kind: "ce", "cdt" or "ldt".

    The certificate's `value` is |Z D^{1/2}|_*; its gap says how far any logits with these margins can be below.
    """

    kind: str


def max_margin(counts: Counts | ArrayLike, kind: str = "ce", delta: ArrayLike | None = None) -> MaxMargin:
    """Where cross-entropy over unconstrained features tends to as decay goes to 0: SELI and its kin.

        minimise  |Z D^{1/2}|_*   subject to, for all classes y and c != y,
        "ce":   Z_yy - Z_cy >= 1                            Z = I - 1 1^T/C  for any counts (SELI)
        "cdt":  delta_y Z_yy - delta_c Z_cy >= 1            Z = Diag(1/delta) (I - 1 v^T),  v = delta^-2 / sum delta^-2
        "ldt":  delta_y (Z_yy - Z_cy) >= 1                  Z = (I - 1 1^T/C) Diag(1/delta)

    D = Diag(counts). The classifier is U S^{1/2} and the features S^{1/2} V^T D^{-1/2}, with Z D^{1/2} = U S V^T. The
    simplex is the optimum of "ldt" with delta ~ sqrt(n).

    Args:
        counts: examples per class.
        kind: the margins: those of cross-entropy, of class-dependent temperatures, or of label-dependent ones.
        delta: (C,) above 0, for "cdt" and "ldt".

    Returns:
        A MaxMargin: `logits`, `features`, `classifier` (C, C), and the certificate: with E the polar factor of
        Z D^{1/2}, alpha_cy = max(0, -E_cy sqrt(n_y)) over the factor of Z_cy in its margin are multipliers, and their
        sum, over their spectral norm where that is above 1, is a lower bound.

    Raises:
        ProblemError: an unknown kind, a delta that is not above 0, missing, or given for "ce".

    Source: Thrampoulidis et al. 2022 (arXiv 2208.05512) for SELI, Behnia et al. 2023 for the other two; the certificate
    is ours.
    """
    if kind not in _KINDS:
        raise ProblemError(f"kind: must be one of {', '.join(_KINDS)}; got {kind!r:.40}")
    if (delta is None) != (kind == "ce"):
        rule = "goes with cdt and ldt only; got one with ce" if kind == "ce" else f"must be given for {kind}; got none"
        raise ProblemError(f"delta: {rule} (one number above 0 per class)")
    try:
        problem = CrossEntropy(counts, feature_decay=1.0, classifier_decay=1.0, multiplicative=delta)
    except ProblemError as error:
        raise ProblemError(str(error).replace("multiplicative:", "delta:", 1)) from None
    orbits, scale = problem.orbits, problem.scale
    count, classes = len(scale), orbits.atoms
    if kind == "cdt":
        shares = scale**-2 / float(orbits.sizes @ scale**-2)
        rows, columns, weights = 1.0 / scale, np.ones(count), shares
    else:
        rows, columns, weights = np.ones(count), 1.0 / scale, np.full(count, 1.0 / classes)
    plain = ClassMatrix(orbits, 1.0 - weights, -np.broadcast_to(weights, (count, count)))
    logits = plain.scaled(rows, columns)
    value = norm(problem, logits)
    factor = np.broadcast_to(scale[:, None] if kind == "cdt" else scale, (count, count))
    gap = value - _bound(problem, logits, factor) + (16.0 + 4.0 * count) * np.finfo(float).eps * value
    certificate = LogitCertificate(value, max(gap, 0.0))
    named = f"max margin ({kind})"
    return MaxMargin(named, *balanced_factors(problem, logits), certificate=certificate, tol=1e-9, kind=kind)


def _bound(problem: CrossEntropy, logits: ClassMatrix, factor: Array) -> float:
    """The dual bound above; `factor` is that of Z_cy in its margin, for c != y in the orbits of rows and columns."""
    orbits, root = problem.orbits, problem.root
    weighted = logits.scaled(columns=root)
    left, values, right = np.linalg.svd(weighted.means)
    kept = values > 1e-12 * max(values[0], float(np.abs(weighted.scalars).max()))
    polar = ClassMatrix.of_blocks(orbits, np.sign(weighted.scalars), (left[:, kept]) @ right[kept])
    alpha = np.maximum(-polar.between * root / factor, 0.0)
    totals = np.sum(orbits.partners.T * alpha, axis=0)
    size = dual_norm(problem, ClassMatrix(orbits, problem.scale * totals, -factor * alpha))
    return float(orbits.sizes @ totals) / max(1.0, size)
