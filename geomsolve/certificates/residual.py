"""The cosine residual: how far one KKT step would move any cosine, and what stands for it where there is no step."""

import numpy as np

from ..arrays import Array
from ..objectives.rows.row_softmax import RowSoftmax
from .blocks import block_residual
from .kind_slack import KindSlack
from .kkt import DECIDED, Conditions, dual_factor, rank_one_residual
from .slack import Slack

# A step as small as this is not looked at twice.
_CLEAR = 1e-9
# What a row answers as a whole, at most a hundredfold in a cosine, may be left out of a step as small as this.
_SMALL = 1e-8
# Kinds of atoms of all classes up to which a loss over orbits of classes is looked at class by class.
_MOST_WRITTEN = 2000


def cosine_residual(slack: Slack) -> float:
    """How far one KKT step, the Newton step to S = U U^T and G U = 0, would move any cosine, rounding allowed for.

    In the order in which they are asked, each only where those before leave something open:

    - `rank_one_residual`, the step where the loss only pushes and S = u u^T, in O(K^2);
    - `kkt_residual`, the step for any number of columns of U, with what rounding can be in it;
    - `complementarity`, where the step has too many unknowns or is none: pairs without curvature, such as two
      prototypes, and the hinge.
    """
    if isinstance(slack, KindSlack):
        return _of_kinds(slack)
    if not slack.attracts and not np.any(slack.gram.orbits.partners * slack.entries):
        # A satisfied hinge has no forces, and every geometry is stationary; a smooth loss's have underflowed.
        return np.inf if slack.objective.smooth else 0.0
    residual = np.inf if slack.attracts else rank_one_residual(slack)
    if not slack.objective.smooth:
        return min(max(residual, block_residual(slack)), complementarity(slack))
    if residual > _CLEAR and np.isfinite(step := kkt_residual(slack)):
        residual = step
    if residual > _CLEAR:
        residual = min(residual, complementarity(slack))
    return residual


def _of_kinds(slack: KindSlack) -> float:
    """How far class means would move, without the other kinds, and these, and atoms within a class; or infinite."""
    reduced = slack.reduced
    residual = np.inf if reduced is None else max(rank_one_residual(reduced[0]), reduced[1], slack.parting)
    if residual > _CLEAR and len(slack.gram.orbits.placed) <= _MOST_WRITTEN:
        # Where classes merge: class by class, in the terms of orbits of atoms.
        residual = min(residual, cosine_residual(slack.written()))
    return residual


def kkt_residual(slack: Slack) -> float:
    """Of the step with U on the directions that G leaves empty, or S = 0 where attraction equals repulsion."""
    conditions, factor = Conditions.of(slack), dual_factor(slack)
    least = conditions.residual(factor)
    if least > _CLEAR and slack.attracts and factor.shape[1] > 0:
        least = min(least, conditions.residual(factor[:, :0]))
    return least


def complementarity(slack: Slack) -> float:
    """How far S G = 0, S >= 0 fail, every row in its own units, in which rare classes count like frequent ones.

    A small product is not enough: with an eigenvalue s of S and a variance g of G in its direction, cosines are
    wrong by tau s if the direction should be open and by about g if it should be closed: by the lesser at least. What
    the forces would move, atom by atom and in blocks of tied or close ones, is `block_residual`.

    Where anchors see only classifiers, two rare classes turn about frequent ones against their mass times what ties an
    anchor to its positive, and 0.1 of a cosine may be 1e-10 of a row. There the same is asked of S `reduced`, in which
    nothing ties them.
    """
    residual = max(row_residual(slack), block_residual(slack))
    anchors = np.flatnonzero(slack.objective.masses > 0)
    if not isinstance(slack.objective, RowSoftmax) or len(anchors) < 3 or slack.entries[np.ix_(anchors, anchors)].any():
        return residual
    kinds = KindSlack.written_by(slack)
    reduced = None if kinds is None else kinds.reduced
    if reduced is None:
        return np.inf
    step = rank_one_residual(reduced[0])
    return max(residual, step if step <= _SMALL else row_residual(reduced[0]))


def row_residual(slack: Slack) -> float:
    """How far S G = 0, S >= 0 fail, every row in units of its own diagonal."""
    gram, tau, smooth = slack.gram, slack.objective.temperature, slack.objective.smooth
    # The force on the mean of an orbit: attraction inside a point is no part of it, and can be far larger.
    outward = np.diag(slack.quotient) / gram.sizes
    if not (outward.min() > 0 and slack.diagonal.min() > 0):
        return np.inf
    factor = np.sqrt(outward)
    scaled = slack.quotient / factor[:, None] / factor
    values, vectors = np.linalg.eigh(scaled)
    moved = factor[:, None] * vectors
    variance = np.einsum("ak,ak->k", moved, gram.quotient @ moved) / np.einsum("ak,ak->k", moved, moved)
    spread = np.where(gram.orbits.plural, slack.spread / slack.diagonal, 0.0)
    between = np.minimum(tau * _units(values, values[-1], smooth), np.abs(variance)).max()
    within = np.minimum(tau * _units(spread, values[-1], smooth), 1.0 - np.diag(gram.cosines)).max()
    indefinite = tau * max(0.0, -values[0], -spread.min())
    forces = scaled @ (gram.quotient * factor[:, None] / factor) / np.sqrt(gram.sizes[:, None] * gram.sizes)
    return float(max(between, within, indefinite, tau * np.abs(forces).max()))


def _units(values: Array, norm: float, smooth: bool) -> Array:
    """Eigenvalues of S in units of its rows; of a linear loss what is beyond rounding in units of `DECIDED`."""
    size = np.abs(values)
    return size if smooth else np.maximum(size, (size - 10.0 * np.finfo(float).eps * norm) / DECIDED)
