"""Targets for training: the optimal geometry as one unit row per class, in the user's class order."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import __version__
from ..arrays import Array, Progress
from ..certificates.certificate import check_tol
from ..choosing.bounded import BoundedGeometry
from ..counts.counts import Counts, as_counts
from ..counts.sources import profile_names
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..geometry.variances import class_variances
from ..objectives.base import Objective
from ..objectives.kinds.parts import Parts, parts_of
from ..objectives.kinds.supcl import InstanceSoftmax
from ..objectives.logits.cross_entropy import CrossEntropy
from ..objectives.rows.full_batch import check_whole
from ..solvers.logits.logit_solution import LogitSolution
from ..solvers.points.embedding import Embedding, check_dim, embed
from ..solvers.solution import Solution
from ..solvers.solving import solve
from .target_files import Targets
from .verdicts import Optimal, grouped, groups

Source: TypeAlias = Objective | CrossEntropy | Optimal

# A class mean shorter than this is rounding: it has no direction.
_SHORTEST = 1e-6


def targets(
    source: Source,
    counts: Counts | ArrayLike | None = None,
    *,
    dim: int,
    part: str | None = None,
    sorted_classes: bool = False,
    rotate: bool = True,
    seed: int = 0,
    restarts: int | None = None,
    max_steps: int = 2000,
    seconds: float | None = None,
    tol: float = 1e-9,
    progress: Progress | None = None,
) -> Targets:
    """The optimal geometry as fixed class targets for training: (C, dim) unit rows of float32.

    From the rank on, the rows have the solution's cosines: z_c . z_c' = G_cc', to the rounding of float32. Below it,
    they are where descents ended, with the gap proved for them (quality "descended"). Of losses over
    instances (SupCL, KCL, SupMin, BCL, ...) the class mean is taken and normalised: with rho_c the cosine inside class
    c of n_c instances, it has length sqrt(1 - (1 - rho_c)(n_c - 1)/n_c), 1 where the class has collapsed.

    **Rotation.** Filled up with zeros, r coordinates would leave dim - r of a network's dead, and a projection with
    batch normalisation, which gives all the same variance, could never reach the targets. So the rows are turned by a
    rotation of all coordinates, uniform and drawn from `seed`; no cosine changes. rotate=False: zeros.

    Args:
        source: a loss, which is solved first, or what `solve`, `targeted_supcon` or `supervised_prototypes` returned
            (of the latter two, at the rank or above). An uncertified solution is taken, and called so.
        counts: examples per class in class order, to be written into the files; losses over several points per class
            need them to say which classes are exchangeable. Built-in profiles are refused: they are sorted by count.
            Nothing tells that of a *loss* over such a profile: give both the counts of your training labels.
        dim: coordinates; usually the width of the projection head.
        part: None: class means. Otherwise what the rows stand for in a loss over several points per class:
            "prototype" (BCL, ECL), "classifier" (ECL, LC), "target" (TSC).
        sorted_classes: takes a built-in profile all the same: class 0 of your data is the largest, and so on down.
        rotate: whether to.
        seed: of the rotation and of the descents.
        restarts: descents below the rank; None: many for small problems, one for large ones.
        max_steps: of each descent.
        seconds: the descents end about then with the best so far; None: no limit.
        tol: the relative gap to certify, of a loss and of TSC and Supervised Prototypes.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: bad arguments; a class whose mean is 0, so that it has no direction; below the rank, TSC and
            Supervised Prototypes, or more than 4000 points.
        NotCertified: a loss was given whose optimum cannot be certified (`solve` with throw=False gives what there is).

    Cost: `solve`, `embed`, and a QR decomposition of (dim, r). Below the rank the descents are nearly all of it; fewer
    steps or seconds give a larger gap, which is always said.
    Source: ours. That fixed targets help training is TSC's (Li et al., CVPR 2022).
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ProblemError(f"seed: must be a whole number of at least 0; got {seed!r:.40}")
    check_whole("max_steps", max_steps, least=1)
    check_tol(tol)
    check_wanted(source, dim, part)
    if counts is None and not isinstance(source, (Objective, Solution)):
        counts = source.counts
    counted = None if counts is None else as_counts(counts)
    if counted is not None:
        check_class_order(counted, sorted_classes)
    if isinstance(source, (Objective, CrossEntropy)):
        source = solve(source, tol=tol, progress=progress)
    objective = loss_of(source)
    whole = gram_of(source, part)
    kind, gram, _ = class_part(objective, whole, part)
    rank = gram.rank()
    proof = proof_of(source)
    value, gap, relative = source.value, proof.gap, proof.relative_gap
    quality = source.quality.value
    if not isinstance(source, (Solution, LogitSolution)):
        quality = "certified" if relative <= tol else "uncertified"
    if isinstance(source, Solution) and (_parts(objective) is None or dim < rank):
        embedding = embed(
            source, dim, restarts=restarts, seed=seed, max_steps=max_steps, seconds=seconds, bound=False,
            progress=progress,
        )  # fmt: skip
        points = class_points(objective, embedding, kind)
        if embedding.exact:
            rank = min(rank, dim)  # a hinge can have optima of lower rank than the solver's
        else:
            excess = embedding.value - (value - source.certificate.excess)
            value, gap, relative = embedding.value, embedding.gap, embedding.gap / max(excess, 1e-300)
            quality = "descended" if quality == "certified" else quality
    elif dim >= rank:
        points = gram.embed()
    else:
        raise ProblemError(
            f"dim: must be at least {rank}, the rank of these points; got {dim} (below it {name_of(source)} has no "
            "known optimum)"
        )
    return Targets(
        rows=_placed(points, dim, seed if rotate else None).astype(np.float32),
        loss=name_of(source),
        temperature=getattr(source, "temperature", objective.temperature),
        counts=None if counted is None else tuple(counted.per_class.tolist()),
        part=kind,
        quality=quality,
        value=value,
        gap=gap,
        relative_gap=relative,
        exact=dim >= rank,
        rank=rank,
        whole_rank=whole.rank(),
        exchangeable=_exchangeable(objective, gram, counted),
        collapsed=groups(points @ points.T > 1.0 - 1e-8),
        seed=int(seed) if rotate else None,
        version=__version__,
        source="counts" if counted is None else counted.name,
        names=None if counted is None else counted.names,
    )


def loss_of(source: Source) -> Objective | CrossEntropy:
    """The loss whose optimum it is (of Supervised Prototypes, that of the parts orthogonal to the prototypes)."""
    return source if isinstance(source, (Objective, CrossEntropy)) else source.objective


def proof_of(source: Optimal) -> Any:
    """What has the gap proved for it, and that over the loss above its floor."""
    return getattr(source, "certificate", source)


def gram_of(source: Optimal, part: str | None) -> OrbitGram:
    """The Gram matrix of all its atoms; of cross-entropy, of features or of the classifier."""
    if isinstance(source, LogitSolution):
        return source.directions(part or "feature")
    return source.orbits if isinstance(source, Solution) else source.gram


def counts_of(source: Source) -> Counts | None:
    """The counts it was built from, where it says them."""
    return loss_of(source).description.counts if isinstance(source, (Objective, Solution)) else source.counts


def check_wanted(source: Source, dim: int, part: str | None) -> None:
    """Nothing, or the ProblemError of `targets` for a source, dim or part that it does not take: before it solves."""
    if not isinstance(source, (Objective, CrossEntropy, Optimal)):
        raise ProblemError(
            "source: must be a loss such as geomsolve.SupCon(...), or what solve, targeted_supcon or "
            f"supervised_prototypes returned; got {type(source).__name__}"
        )
    objective = loss_of(source)
    parts = _parts(objective)
    if dim is None:
        raise ProblemError("dim: must be given, the width of the projection head; got none")
    check_dim(dim, class_number(objective))
    if part is None:
        return
    if isinstance(objective, CrossEntropy) and part in objective.description.kinds:
        return
    if parts is None:
        raise ProblemError(f"part: {objective.name} has one point per class; got {part!r:.40} (leave it out)")
    if part not in parts.names:
        kinds = ", ".join(dict.fromkeys(parts.names))
        raise ProblemError(f"part: must be one of {kinds} for {objective.name}; got {part!r:.40}")


def class_number(objective: Objective | CrossEntropy) -> int:
    """The number of classes of a loss."""
    parts = _parts(objective)
    return round(objective.orbits.atoms) if parts is None else len(set(parts.classes))


def check_class_order(counts: Counts, sorted_classes: bool) -> None:
    """Nothing, or a ProblemError for a profile sorted by count, unless the user's classes are sorted so as well."""
    if counts.name in profile_names() and not sorted_classes:
        raise ProblemError(
            f"counts: must be in the class order of your training labels; got {counts.name}, a built-in profile, "
            "sorted by count (write a CSV of your counts, or --sorted-classes, in Python sorted_classes=True, if class "
            "0 of your data is the largest, and so on)"
        )


def name_of(source: Optimal) -> str:
    """The loss in words."""
    return source.loss if isinstance(source, BoundedGeometry) else source.objective.name


def _parts(objective: Objective | CrossEntropy) -> Parts | None:
    """What the atoms of every orbit are; None where they are one mean per class."""
    if isinstance(objective, InstanceSoftmax):
        # Its orbits are sorted by size; its atoms come class by class.
        first = np.unique(objective.orbits.listed(), return_index=True)[1]
        return Parts(("instances",) * len(first), tuple(np.argsort(np.argsort(first)).tolist()))
    return parts_of(objective)


def class_part(objective: Objective | CrossEntropy, whole: OrbitGram, part: str | None) -> tuple[str, OrbitGram, Array]:
    """What stands for a class, its Gram matrix over classes in the caller's order, and (C,) 1 - cosine within."""
    parts = _parts(objective)
    if parts is None:
        kind = (part or "feature") if isinstance(objective, CrossEntropy) else "mean"
        return kind, whole, np.zeros(len(objective.orbits.listed()))
    kind = part or parts.names[0]
    places = zip(parts.classes, range(len(parts.names)), parts.names, strict=True)
    order = [place for _, place, name in sorted(places) if name == kind]
    own = OrbitGram(Orbits(whole.sizes[order]), whole.cosines[np.ix_(order, order)])
    length = np.sqrt(np.clip(1.0 - class_variances(own).per_class, 0.0, None))
    _check_directions(length)
    cosines = np.clip(own.cosines / length[:, None] / length, -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    within = np.where(own.orbits.plural, 1.0 - np.diag(own.cosines), 0.0)
    return kind, OrbitGram(Orbits(np.ones(len(order)), np.arange(len(order))), (cosines + cosines.T) / 2.0), within


def class_points(objective: Objective | CrossEntropy, embedding: Embedding, kind: str) -> Array:
    """(C, dim) the normalised class means of the atoms of that kind."""
    parts = _parts(objective)
    if parts is None:
        return embedding.points
    labels = objective.orbits.listed()
    mine = np.array([name == kind for name in parts.names])[labels]
    classes = np.array(parts.classes)[labels[mine]]
    means = np.zeros((classes.max() + 1, embedding.dim))
    np.add.at(means, classes, embedding.points[mine])
    length = np.linalg.norm(means, axis=1)
    _check_directions(length / np.bincount(classes))
    return means / length[:, None]


def _check_directions(length: Array) -> None:
    lost = np.flatnonzero(length < _SHORTEST)
    if lost.size:
        raise ProblemError(
            f"source: the examples of class {lost[0]} balance around the origin (their mean has length "
            f"{length[lost[0]]:.1e}), so it has no direction to be a target; take another loss, or a smaller alpha"
        )


def _exchangeable(
    objective: Objective | CrossEntropy, gram: OrbitGram, counts: Counts | None
) -> tuple[tuple[int, ...], ...]:
    """The groups of two classes and more that the loss treats alike."""
    labels = gram.orbits.listed()
    if counts is None:
        return grouped(labels)
    if counts.classes != len(labels):
        raise ProblemError(f"counts: must be one per class, {len(labels)} of them; got {counts.classes}")
    if _parts(objective) is not None:
        return grouped(counts.groups)
    check_same_counts(labels, counts)
    return grouped(labels)


def check_same_counts(labels: NDArray[np.intp], counts: Counts) -> None:
    """Nothing, or a ProblemError where classes that a loss treats alike, by its orbits' labels, differ in count."""
    for group in grouped(labels):
        each = counts.per_class[list(group)]
        if np.ptp(each) > 0:
            raise ProblemError(
                f"counts: must be those of the loss, in its class order; class {group[0]} has {each[0]:g} and class "
                f"{group[int(np.argmax(each != each[0]))]} has {each[each != each[0]][0]:g}, and the loss treats them "
                "alike"
            )


def _placed(points: Array, dim: int, seed: int | None) -> Array:
    """(C, dim) the points, filled up with zeros, or under a rotation of all coordinates, uniform over rotations."""
    used = points[:, : np.flatnonzero(points.any(axis=0))[-1] + 1]
    if used.shape[1] > dim:
        # Directions of weight below 1e-8 are rounding; the largest ones are kept.
        left, values, _ = np.linalg.svd(used, full_matrices=False)
        used = left[:, :dim] * values[:dim]
        used /= np.linalg.norm(used, axis=1, keepdims=True)
    if seed is None:
        return np.pad(used, ((0, 0), (0, dim - used.shape[1])))
    normal = np.random.default_rng(seed).normal(size=(dim, used.shape[1]))
    frame, triangle = np.linalg.qr(normal)  # of a rotation only these columns matter
    frame *= np.sign(np.diag(triangle))  # without this, the signs of LAPACK's choice: not uniform
    return np.asarray(used @ frame.T)
