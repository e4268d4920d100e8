"""Targets for training: the optimal geometry as one unit row per class, in the user's class order."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import __version__
from ..arrays import Array, Progress
from ..certificates.certificate import check_tol
from ..counts.counts import Counts, as_counts
from ..counts.sources import profile_names
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..geometry.unit_rows import fitted, unit
from ..objectives.base import Objective
from ..objectives.logits.cross_entropy import CrossEntropy
from ..objectives.rows.full_batch import check_whole
from ..solvers.logits.logit_solution import LogitSolution
from ..solvers.points.embedding import check_dim
from ..solvers.solution import Solution
from .optima import (
    ONE_POINT,
    Optimal,
    Source,
    class_number,
    class_parts,
    gram_of,
    grouped,
    groups,
    loss_of,
    optimum_of,
)
from .target_files import Targets


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
    descent = {"restarts": restarts, "seed": seed, "max_steps": max_steps, "seconds": seconds}
    found = optimum_of(source, dim, part=part, whole=False, tol=tol, throw=True, progress=progress, **descent)
    solution, proof = found.solution, found.proof
    above = found.best_value - solution.value
    relative = proof.relative_gap
    quality = solution.quality.value
    if not isinstance(solution, (Solution, LogitSolution)):
        quality = "certified" if relative <= tol else "uncertified"
    if dim < found.rank:
        relative = (proof.gap + above) / max(proof.excess + above, 1e-300)
        quality = "descended" if quality == "certified" else quality
    # Directions of weight below 1e-8 are rounding; the largest ones are kept.
    points = unit(fitted(found.gram.embed() if found.points is None else found.points, dim))
    return Targets(
        rows=(_rotated(points, seed) if rotate else points).astype(np.float32),
        loss=found.loss,
        temperature=found.temperature,
        counts=None if counted is None else tuple(counted.per_class.tolist()),
        part=found.part,
        quality=quality,
        value=found.best_value,
        gap=proof.gap + above,
        relative_gap=relative,
        exact=dim >= found.rank,
        rank=found.rank,
        whole_rank=gram_of(solution, part).rank(),
        exchangeable=_exchangeable(solution.objective, found.gram, counted),
        collapsed=groups(points @ points.T > ONE_POINT),
        seed=int(seed) if rotate else None,
        version=__version__,
        source="counts" if counted is None else counted.name,
        names=None if counted is None else counted.names,
    )


def check_wanted(source: Source, dim: int, part: str | None) -> None:
    """Nothing, or the ProblemError of `targets` for a source, dim or part that it does not take: before it solves."""
    if not isinstance(source, (Objective, CrossEntropy, Optimal)):
        raise ProblemError(
            "source: must be a loss such as geomsolve.SupCon(...), or what solve, targeted_supcon or "
            f"supervised_prototypes returned; got {type(source).__name__}"
        )
    objective = loss_of(source)
    parts = class_parts(objective)
    if dim is None:
        raise ProblemError("dim: must be given, the width of the projection head; got none")
    check_dim(dim, class_number(objective))
    kinds = objective.description.kinds if isinstance(objective, CrossEntropy) else () if parts is None else parts.names
    if part is None or part in kinds:
        return
    if parts is None:
        raise ProblemError(f"part: {objective.name} has one point per class; got {part!r:.40} (leave it out)")
    names = ", ".join(dict.fromkeys(kinds))
    raise ProblemError(f"part: must be one of {names} for {objective.name}; got {part!r:.40}")


def check_class_order(counts: Counts, sorted_classes: bool) -> None:
    """Nothing, or a ProblemError for a profile sorted by count, unless the user's classes are sorted so as well."""
    if counts.name in profile_names() and not sorted_classes:
        raise ProblemError(
            f"counts: must be in the class order of your training labels; got {counts.name}, a built-in profile, "
            "sorted by count (write a CSV of your counts, or --sorted-classes, in Python sorted_classes=True, if class "
            "0 of your data is the largest, and so on)"
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
    if class_parts(objective) is not None:
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


def _rotated(rows: Array, seed: int) -> Array:
    """The rows under a rotation of all coordinates, uniform over rotations."""
    used = rows[:, rows.any(axis=0)]  # of a rotation only these columns matter
    frame, triangle = np.linalg.qr(np.random.default_rng(seed).normal(size=(rows.shape[1], used.shape[1])))
    frame *= np.sign(np.diag(triangle))  # without this, the signs of LAPACK's choice: not uniform
    return np.asarray(used @ frame.T)
