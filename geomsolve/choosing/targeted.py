"""Targeted supervised contrastive learning (TSC): fixed targets, one a class, and a bound that knows they are fixed."""

import numpy as np
from numpy.typing import ArrayLike

from ..certificates.kind_slack import KindSlack
from ..counts.counts import Counts, as_counts
from ..objectives.base import check_number, check_temperature
from ..objectives.kinds.parts import PartedSoftmax, anchored, example_counts, kinds_of
from ..objectives.rows.full_batch import check_whole
from .bounded import MOST_LISTED, BoundedGeometry
from .target_spheres import settled


def targeted_supcon(
    counts: Counts | ArrayLike, *, temperature: float, pull: float = 1.0, views: int = 2, repeats: int = 1
) -> BoundedGeometry:
    """The optimal geometry of TSC: SupCon in which every class has a fixed target as one more positive.

    Targets t_c, which are no anchors, minimise mean_i log sum_j e^{t_i.t_j/0.07}: from C - 1 dimensions on, a regular
    simplex. With the other embeddings P_i of its class, N of V views each, and R copies of every target, anchor i has

        L_i = -1/(|P_i| + R) [ sum_{p in P_i} log(e^{z_i.z_p/tau} / D_i) + pull * R log(e^{z_i.t_y/tau} / D_i) ],
        D_i = sum_{k != i} e^{z_i.z_k/tau} + R sum_c e^{z_i.t_c/tau}

    Every view of every example is an atom of its own, exchangeable with those of its class. The loss is convex in the
    Gram matrix of these and the targets, whose block of targets is given. So S = D - Diag(y) may have any symmetric
    block X there, and as D has none, L(H) >= L(G) - <S, G> for every H with these targets as soon as S >= 0: best with
    X = S_tz S_zz^-1 S_zt, which vanishes at the optimum. Diag(y) is lowered, at a price that is counted, until S_zz is
    positive definite.

    The optimum is sought by Newton's method over orbits of classes in the span of the targets. An optimum is what the
    bound says it is, so look at `gap`. Embeddings of a class need not share a point: the target takes part of the
    denominator.

    Args:
        counts: whole numbers of examples per class, those of a batch.
        temperature: tau.
        pull: the weight of the target, at least 1, which counts it like any positive; below 1 embeddings can leave the
            span of the targets.
        views: V >= 2 views per example.
        repeats: R, copies of each target; the code published for CIFAR has 25 in each of two views, so 50.

    Returns:
        A BoundedGeometry over embeddings and targets, with the cosine of each class with its target (`own_target`).

    Raises:
        ProblemError: counts that are not whole, more than 1000 distinct ones, or a bad temperature, pull or number of
            views or repeats.

    Source: TSC (Li et al., CVPR 2022), as in its published code with all positives in place of k and one target a
    class. Which class has which target does not matter at a simplex. The bound is ours.
    """
    counts = as_counts(counts)
    temperature, views = check_temperature(temperature), check_whole("views", views, least=2)
    pull = check_number("pull", pull, 1.0, 1e6, hint="1 counts a target as a positive")
    example_counts("targeted_supcon", counts)
    classes = counts.classes
    copies = float(check_whole("repeats", repeats, least=1))
    objective = _objective(counts, temperature, pull, views, copies)
    found = settled(objective)
    return BoundedGeometry(
        counts=counts,
        loss=objective.name,
        temperature=temperature,
        objective=objective.by_class() if classes <= MOST_LISTED else objective,
        geometry=found,
        excess=objective.excess(found),
        gap=_loss_below(KindSlack.of(objective, found)),  # type: ignore[arg-type]
        told={"own_target": found.orbits.own(found.cosines)[found.orbits.groups, 0, 1]},
    )


def _objective(counts: Counts, temperature: float, pull: float, views: int, copies: float) -> PartedSoftmax:
    sizes = views * counts.distinct
    kinds = kinds_of("targeted_supcon", counts, {"instances": sizes, "target": 1.0})
    positives = sizes - 1.0 + copies
    # What the logarithm of the denominator weighs.
    weight = (sizes - 1.0 + pull * copies) / positives
    settings = f"pull={pull:g}, views={views}" + (f", repeats={copies:g}" if copies > 1 else "")
    return anchored(
        kinds,
        masses=weight / (views * counts.total),
        weights=[(1.0, 1.0), (copies, copies)],
        # Of one other embedding, and of the target.
        positives=[(1.0 / positives / weight, 0.0), (pull * copies / positives / weight, 0.0)],
        temperature=temperature,
        name=f"TSC({settings})",
        counts=counts,
    )


def _loss_below(slack: KindSlack) -> float:
    """How far the loss can fall below its value: <S, G>, with the best block for the targets.

    S_zz is lowered until it is positive definite, at a price that is counted. With Sigma the cosines of targets, what
    is left is <S_zt, G_zt> + tr(S_tz S_zz^-1 S_zt Sigma) >= 0. All atoms of a class together weigh 1.
    """
    kinds, (quotient, differences, spread) = slack.gram.orbits, slack.blocks
    number, classes, several = kinds.each[:, 0], kinds.classes, kinds.classes > 1
    share = (classes.sum() - 1.0) / classes.sum()
    root, unit = np.sqrt(number), np.sqrt(classes / classes.sum())
    values, vectors = np.linalg.eigh(quotient[::2, ::2] * root * root[:, None])
    scalars = np.where(several, differences[:, 0, 0] * number, np.inf)
    top = float(np.abs(values).max())
    ulps = slack.ulps
    least = min(float(values[0]), float(scalars.min()), float((spread[::2] * number).min()))
    least = max(0.0, 2.0 * ulps * top - least)
    half = quotient[::2, 1::2] * root[:, None]
    turned = vectors.T @ (half - np.outer(half @ unit, unit))
    across = np.where(several, (classes - 1.0) * number * differences[:, 0, 1] ** 2, 0.0)
    seen = (kinds.partners * slack.entries * slack.gram.cosines)[::2, 1::2].sum(axis=1)
    pull = float(kinds.sizes[::2] @ seen)
    bounds = []
    for shift in (least, *(least + top * np.logspace(-14.0, -4.0, 21))):
        left = shift - ulps * top
        free = (np.sum(turned**2 / (values + left)[:, None]) + np.sum(across / (scalars + left))) / share
        noise = ulps * (abs(free) + abs(pull)) * len(classes)
        bounds.append(max(0.0, free + pull) + shift * classes.sum() + noise)
    return float(min(bounds))
