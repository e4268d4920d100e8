"""What trained embeddings are, in words: the verdicts of `diagnose`, what they rest on, and the limits."""

import enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from .neural_collapse import CollapseMetrics
from .optima import PREDICTED, OptimumDistance, groups

# Two classes share a point where the cosine of their means is at least this: an angle of 8 degrees, a distance of a
# tenth of that of orthogonal classes. Cosines are taken without the bias of means of few examples.
SHARED = 0.99
# ... and where each holds together: two examples of it have a mean cosine of at least this, the greater part of them in
# common. Means of scattered classes may coincide for other reasons, such as labels that say nothing.
HELD = 0.5
# ... and where the means are this near as they stand: of two or three examples, what is left without the bias is noise,
# and random ones in a few dimensions would now and then share a point.
SEEN = 0.9


class Limits(NamedTuple):
    """How far embeddings may be off: `pairs` and `worst_pair` of class means in cosine, `within` classes 1 - cosine."""

    pairs: float
    worst_pair: float
    within: float
    loosest_class: float


# At the optimum: pairs by their root mean square, classes by their mean. 0.02 is about what sampling alone does to a
# cosine: a mean of ten examples with a spread of 0.05 over 16 dimensions is off by sqrt(0.05 / 16 / 10) in a given
# direction. 0.1 is for the worst of thousands of pairs, and so is 0.25 for the loosest class: of two examples, perhaps.
AT = Limits(0.02, 0.1, 0.05, 0.25)
# Near it: within 6 degrees on average and 15 at worst (of a right angle), and two examples of a class within 41 of each
# other. Random directions in 128 dimensions have cosines of 0.09 as well: it is the spread that tells them apart, and
# the loosest class that tells one which was not learnt from a hundred which were.
NEAR = Limits(0.1, 0.25, 0.25, 1.0 - HELD)
# The optimum keeps classes apart where its cosines are below this; from PREDICTED on, SHARED - AT.pairs, they collapse.
APART = SHARED - NEAR.worst_pair


class Verdict(enum.Enum):
    """What the embeddings are, in words: with an objective one of the first seven, without one of the rest.

    COINCIDENT may come with an objective, too.
    """

    AT_OPTIMUM = "at the optimum"
    NEAR_OPTIMUM = "near the optimum"
    FAR = "far from the optimum"
    MINORITY_AS_OPTIMUM = "minority collapsed, as the optimum is"
    MINORITY_FAILURE = "minority collapsed though the optimum is not: training failure"
    MERGED_FAILURE = "classes merged though the optimum keeps them apart: training failure"
    FULL_FAILURE = "fully collapsed: training failure"
    FULL = "fully collapsed"
    MINORITY = "minority collapsed"
    MERGED = "classes merged"
    COINCIDENT = "class means coincide, examples do not"
    SIMPLEX = "regular simplex"
    SPREAD = "spread"


class Sharing(NamedTuple):
    """Which classes share a point.

    Attributes:
        pairs: (C, C) whether two classes do, with the diagonal.
        merged: groups of two classes or more that are linked by such pairs.
        small: the groups of classes that all have fewer examples than the average class.
        full: whether all classes do, in one group and with cosines of 0.97 and more.
        minority: whether there are small ones, and not everything is in one point.
        coincident: whether all means coincide, held together or not.
    """

    pairs: NDArray[np.bool_]
    merged: tuple[tuple[int, ...], ...]
    small: tuple[tuple[int, ...], ...]
    full: bool
    minority: bool
    coincident: bool


def sharing(collapse: CollapseMetrics, counts: Array) -> Sharing:
    """Which classes share a point, by the metrics of the embeddings and the examples per class in training."""
    held = collapse.coherence >= HELD
    near = collapse.unbiased_cosines >= SHARED
    np.fill_diagonal(near, True)
    pairs = near & (collapse.cosines >= SEEN) & held[:, None] & held
    tail = counts < counts.mean() * (1.0 - 1e-12)
    merged = groups(pairs)
    small = tuple(group for group in merged if tail[list(group)].all())
    # All in one group, and none below what counts as a collapse of the optimum: a few pairs of rare classes miss the
    # limit by chance.
    linked = bool(merged) and len(merged[0]) == len(pairs)
    full = linked and bool((np.where(pairs, 1.0, collapse.unbiased_cosines) >= PREDICTED).all())
    return Sharing(pairs, merged, small, full, not full and bool(small), bool(near.all()))


def offsets(collapse: CollapseMetrics, distance: OptimumDistance | None) -> Limits:
    """What the limits are for: from the optimum, or without one from a regular simplex of points."""
    off = collapse.spreads if distance is None else np.abs(collapse.spreads - distance.spread)
    # Classes of one example say nothing about the spread, and stand in no verdict's way.
    known = off[~np.isnan(off)]
    within, loosest = (float(known.mean()), float(known.max())) if known.size else (0.0, 0.0)
    if distance is not None:
        return Limits(distance.rms, distance.worst, within, loosest)
    away = np.abs(collapse.cosines + 1.0 / (len(off) - 1.0))[~np.eye(len(off), dtype=bool)]
    return Limits(collapse.ms, away.max(), within, loosest)


def verdict(collapse: CollapseMetrics, shared: Sharing, distance: OptimumDistance | None) -> Verdict:
    """The verdict on embeddings of these metrics, with a distance from the optimum if there is a loss."""
    off = offsets(collapse, distance)
    at, near = (all(one <= limit for one, limit in zip(off, limits, strict=True)) for limits in (AT, NEAR))
    if distance is None:
        if shared.full:
            return Verdict.FULL
        if shared.merged:
            return Verdict.MINORITY if shared.minority else Verdict.MERGED
        if shared.coincident:
            return Verdict.COINCIDENT
        return Verdict.SIMPLEX if at else Verdict.SPREAD
    # The least cosine that the optimum gives a pair of the group that shares a point.
    together = np.where(shared.pairs, distance.best, np.inf)
    best = {group: together[np.ix_(group, group)].min() for group in shared.merged}
    lost = {group for group, cosine in best.items() if cosine < APART}
    if lost and shared.full:
        return Verdict.FULL_FAILURE
    if lost:
        return Verdict.MINORITY_FAILURE if lost & set(shared.small) else Verdict.MERGED_FAILURE
    if not best and shared.coincident:
        return Verdict.COINCIDENT
    if near and shared.minority and min(best.values()) >= PREDICTED:
        return Verdict.MINORITY_AS_OPTIMUM
    if at:
        return Verdict.AT_OPTIMUM
    return Verdict.NEAR_OPTIMUM if near else Verdict.FAR
