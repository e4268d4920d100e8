"""`diagnose`: what trained embeddings look like, and how far they are from the certified optimum of their loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Progress
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective
from ..objectives.registry import build_objective
from ..solvers.ladder import solve
from .diagnosis import Diagnosis
from .exports import check_class_order, check_same_counts
from .findings import OptimumDistance, spreads_of
from .neighbourhoods import count_neighbours, neighbourhoods
from .neural_collapse import collapse_metrics
from .samples import Samples, as_samples, as_weights
from .verdicts import PREDICTED, groups, sharing, verdict


def diagnose(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    objective: Objective | str | None = None,
    counts: Counts | ArrayLike | None = None,
    sorted_classes: bool = False,
    neighbours: float = 0.05,
    tol: float = 1e-9,
    progress: Progress | None = None,
    **settings: Any,
) -> Diagnosis:
    """Metrics of trained embeddings, and their distance from the certified optimum of the loss they were trained with.

    Metrics are those of `neighbourhoods` and `collapse_metrics`, over embeddings on the unit sphere. With an objective,
    the Gram matrix G of the normalised class means is held against the optimum G* of the loss for the same counts:
    excess = L(G) - L(G*) and cosines pair by pair. L sees class means only: how far examples are from them is `fc`, and
    counts towards the verdict.

    The verdict, by the constants of `geomsolve.training.verdicts`: fully collapsed, if all classes share a point;
    failure, if classes share one (the minority, if all in a group have fewer examples than average) whose optimal
    cosine is below 0.74; at or near the optimum, if cosines and the spread within are, on average and at worst; else
    far.

    Args:
        embeddings: (n, d), or (views, n, d) for the views of the same samples. Vectors of other lengths than 1 are
            normalised, which `samples.normalised` says.
        labels: (n,) integers or texts. Classes go in sorted order; of texts, "10" is before "9".
        weights: (C, d) of a linear classifier without bias, rows in sorted order of the labels.
        objective: a loss by name ("supcon", "gcl", ...) with its settings, or what a builder returned, classes in
            sorted order of the labels; None: metrics alone.
        counts: examples per class in training, in sorted order of the labels; None: those of `labels`. Give them where
            the embeddings are of a balanced test set. Built-in profiles of data sets are refused: they are sorted by
            count, not by label.
        sorted_classes: takes such a profile all the same: the first label is the largest class, and so on down.
        neighbours: k of CAC: a number of neighbours, or below 1 a share of all embeddings.
        tol: the relative gap to certify the optimum to. What is not certified is used, and said.
        progress: called with a line of text as the work goes on.
        settings: of the loss by name: temperature=0.1, ...

    Raises:
        ProblemError: what `as_samples`, `build_objective` and `neighbourhoods` refuse; weights or counts of another
            shape; counts that an objective from a builder contradicts; a loss over instances, prototypes or a
            classifier instead of class means.

    Cost: over all N = views x n embeddings, N^2 d multiplications in blocks (100,000 x 128: minutes, below 1 GiB), and
        a solve.
    Source: ours; see the two functions for the metrics.
    """
    samples = as_samples(embeddings, labels)
    count_neighbours(neighbours, len(samples.points))
    matrix = None if weights is None else as_weights(weights, samples)
    trained = _trained_counts(counts, samples, sorted_classes)
    problem = _problem(objective, trained, len(samples.classes), settings)
    if problem is not None and counts is not None:
        check_same_counts(problem.orbits.listed(), trained)
    collapse = collapse_metrics(samples, matrix)
    distance = None if problem is None else optimum_distance(problem, collapse.cosines, tol=tol, progress=progress)
    local = neighbourhoods(samples, neighbours=neighbours, progress=progress)
    shared = sharing(collapse, trained.per_class)
    return Diagnosis(
        samples=samples,
        counts=trained,
        local=local,
        collapse=collapse,
        merged=shared.merged,
        fully_collapsed=shared.full,
        minority_collapsed=shared.minority,
        optimum=distance,
        verdict=verdict(collapse, spreads_of(samples, collapse), shared, distance),
    )


def optimum_distance(
    objective: Objective, cosines: Array, *, tol: float = 1e-9, progress: Progress | None = None
) -> OptimumDistance:
    """The distance of measured cosines of class means from the certified optimum.

    Args:
        objective: a loss of one mean per class.
        cosines: (C, C) in its class order: positive semidefinite, of unit diagonal.
        tol: the relative gap to certify.
        progress: called with a line of text.

    Cost: a solve, and one evaluation of the loss over C x C.
    """
    solution = solve(objective, tol=tol, throw=False, progress=progress)
    best = solution.certificate
    measured = objective.ungrouped().excess(OrbitGram.from_matrix(cosines, objective.orbits))
    collapsed = objective.excess(OrbitGram(objective.orbits, np.ones((len(objective.orbits.sizes),) * 2)))
    off = cosines - solution.gram
    np.fill_diagonal(off, 0.0)
    classes = len(cosines)
    pair = np.unravel_index(int(np.argmax(np.abs(off))), off.shape)
    per_class = np.sqrt(np.sum(off**2, axis=1) / (classes - 1.0))
    excess, room = measured - best.excess, collapsed - best.excess
    return OptimumDistance(
        solution=solution,
        value=objective.floor + measured,
        excess=excess,
        excess_bound=excess + best.gap,
        collapsed_value=objective.floor + collapsed,
        level=excess / room if room > 0 else np.nan,
        rms=float(np.sqrt(np.mean(per_class**2))),
        worst=float(np.abs(off).max()),
        worst_pair=(int(min(pair)), int(max(pair))),
        per_class=per_class,
        collapse=groups(solution.gram >= PREDICTED),
    )


def _trained_counts(counts: Counts | ArrayLike | None, samples: Samples, sorted_classes: bool) -> Counts:
    if counts is None:
        return as_counts(samples.counts.astype(np.float64), name="labels")
    found = as_counts(counts)
    check_class_order(found, sorted_classes)
    if found.classes != len(samples.classes):
        raise ProblemError(
            f"counts: must be one per class of the labels, {len(samples.classes)} in sorted order; got {found.classes}"
        )
    return found


def _problem(
    objective: Objective | str | None, counts: Counts, classes: int, settings: dict[str, Any]
) -> Objective | None:
    if objective is None or isinstance(objective, Objective):
        if settings:
            option, value = next(iter(settings.items()))
            raise ProblemError(
                f"{option}: belongs to a loss by name; got {value!r:.40} with "
                f'{"no objective" if objective is None else "an objective that is built"} (write objective="supcon", '
                "or leave it out)"
            )
    elif not isinstance(objective, str):
        raise ProblemError(
            f"objective: must be the name of a loss or come from a builder such as geomsolve.SupCon; got "
            f"{type(objective).__name__}"
        )
    if objective is None:
        return None
    found = build_objective(objective, counts, settings) if isinstance(objective, str) else objective
    found.check()
    if found.description.atoms != "class means":
        raise ProblemError(
            f"objective: must be a loss of one mean per class, such as supcon or gcl; got {found.name}, over "
            f"{found.description.atoms} (leave it out for the metrics alone)"
        )
    if found.orbits.labels is None or len(found.orbits.labels) != classes:
        raise ProblemError(
            f"objective: must be over the {classes} classes of the labels, listed one by one; got one over "
            f"{found.orbits.atoms:g}"
        )
    return found
