"""`diagnose`: what trained embeddings look like, and how far they are from the certified optimum of their loss."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Progress
from ..choosing.named import is_free, solve_named
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..objectives.base import Objective, check_temperature
from ..objectives.logits.cross_entropy import CrossEntropy
from ..objectives.registry import build_objective
from .diagnosis import Diagnosis
from .exports import check_class_order, check_same_counts
from .neighbourhoods import count_neighbours, neighbourhoods
from .neural_collapse import collapse_metrics
from .optima import Optimal, Source, class_number, loss_of, optimum_of
from .samples import Samples, as_samples, as_weights, warn_if_permuted
from .verdicts import sharing, verdict


def diagnose(
    embeddings: Any,
    labels: Any,
    *,
    weights: ArrayLike | None = None,
    objective: Source | str | None = None,
    counts: Counts | ArrayLike | None = None,
    sorted_classes: bool = False,
    neighbours: float | None = None,
    convention: str = "geomsolve",
    base_temperature: float | None = None,
    ignore: Any = None,
    view_axis: int = 0,
    tol: float = 1e-9,
    progress: Progress | None = None,
    **settings: Any,
) -> Diagnosis:
    """Metrics of trained embeddings, and their distance from the certified optimum of the loss they were trained with.

    Metrics are those of `neighbourhoods` and `collapse_metrics`, over embeddings on the unit sphere. With an objective,
    the Gram matrix G of the normalised class means is held against the optimum G* of the loss for the same counts:
    excess = L(G) - L(G*) and cosines pair by pair. Where the loss sees more than class means (instances, prototypes,
    classifiers) it is the optimum's class means that G is held against, and there is no excess. With fewer dimensions
    than the rank of G*, G* is the best geometry found in so many.

    The verdict, by the constants of `geomsolve.training.verdicts`: fully collapsed, if all classes share a point;
    failure, if classes share one whose optimal cosine is below 0.74; at or near the optimum, if cosines and the spread
    within classes are, on average and at worst; else far.

    Args:
        embeddings: (n, d), or (views, n, d) for the views of the same samples: an array, or a tensor of any type and
            device. Vectors of other lengths than 1 are normalised, which `samples.normalised` says.
        labels: (n,) integers or texts, in any array, tensor or series. Classes go in sorted order (of texts, "10" is
            before "9"), or in that of their categories.
        weights: (C, d) of a linear classifier, its bias left out, rows in sorted order of the labels. With a
            `CrossEntropy` the optimum says what NC3 is to be: `optimum.nc3`.
        objective: a loss by name ("supcon", "gcl", "tsc", ...) with its settings, what a builder returned, or what
            `solve`, `targeted_supcon` or `supervised_prototypes` did, classes in sorted order of the labels; None:
            metrics alone.
        counts: examples per class in training, in sorted order of the labels; None: those of `labels`. Give them where
            the embeddings are of a balanced test set. Labels may lack some of the classes where these are numbered from
            0, or named. Built-in profiles are refused: they are sorted by count, not by label.
        sorted_classes: takes such a profile all the same: the first label is the largest class, and so on down.
        neighbours: k of CAC: None, as many as the class has other embeddings, at most 5 % of all; a number, or below 1
            a share of all embeddings (0.05 in the paper, where small classes cannot have more than a few percent).
        convention: of CAC, CAD and SAD: "geomsolve", or "ttc" as in the code of Mildenberger et al.
        base_temperature: for training code that multiplies its loss by temperature / base temperature: losses are then
            in its units.
        ignore: samples of this label are left out, such as -1.
        view_axis: 1 for embeddings of (n, views, d).
        tol: the relative gap to certify the optimum to. What is not certified is used, and said.
        progress: called with a line of text as the work goes on.
        settings: of the loss by name: temperature=0.1, ...

    Raises:
        ProblemError: what `as_samples`, `build_objective` and `neighbourhoods` refuse; weights or counts of another
            shape; counts that an objective from a builder contradicts.

    Cost: over all N = views x n embeddings, N^2 d multiplications in blocks (100,000 x 128: minutes, below 1 GiB), and
        a solve.
    Source: ours; see the two functions for the metrics.
    """
    samples = as_samples(embeddings, labels, ignore=ignore, view_axis=view_axis)
    count_neighbours(neighbours, samples)
    matrix = None if weights is None else as_weights(weights, samples)
    trained, seen = _trained(counts, objective, samples, sorted_classes)
    problem = problem_of(objective, trained, settings, tol)
    loss = None if problem is None else loss_of(problem)
    if loss is not None and counts is not None and loss.description.atoms == "class means":
        check_same_counts(loss.orbits.listed(), trained)
    if loss is None and base_temperature is not None:
        raise ProblemError("base_temperature: is the unit of a loss; got it without an objective (leave it out)")
    here = trained.per_class[seen]
    if counts is not None:
        warn_if_permuted(here, samples.counts.astype(np.float64))
    collapse = collapse_metrics(samples, matrix)
    distance = None
    if problem is not None and loss is not None:
        factor = 1.0 if base_temperature is None else loss.temperature / check_temperature(base_temperature)
        optimum = optimum_of(problem, samples.points.shape[1], tol=tol, progress=progress)
        distance = optimum.distance(collapse.cosines, seen, factor, collapse.scores)
    local = neighbourhoods(samples, neighbours=neighbours, convention=convention, progress=progress)
    shared = sharing(collapse, here)
    return Diagnosis(
        samples=samples,
        counts=as_counts(here, name=trained.name).named(
            samples.classes.astype(str).tolist() if trained.names is None else [trained.names[c] for c in seen]
        ),
        local=local,
        collapse=collapse,
        merged=shared.merged,
        fully_collapsed=shared.full,
        minority_collapsed=shared.minority,
        optimum=distance,
        verdict=verdict(collapse, shared, distance),
    )


def _trained(
    counts: Counts | ArrayLike | None, objective: Source | str | None, samples: Samples, sorted_classes: bool
) -> tuple[Counts, NDArray[np.intp]]:
    """The counts of training, and the position among them of every class that the samples show."""
    if counts is not None:
        found = as_counts(counts)
        check_class_order(found, sorted_classes)
    else:
        said = objective.counts if isinstance(objective, (Objective, CrossEntropy, Optimal)) else None
        found = said or as_counts(samples.counts.astype(np.float64), name="labels")
    labels, total = samples.classes, found.classes
    if found.names is not None and labels.dtype.kind == "U":
        unknown = sorted(set(labels.tolist()) - set(found.names))
        if unknown:
            raise ProblemError(f"labels: must be classes of the counts; got {unknown[0]!r:.40}, which they do not name")
        return found, np.array([found.names.index(label) for label in labels.tolist()])
    if total == samples.known:
        return found, samples.places
    if labels.dtype.kind in "iu" and labels[0] >= 0 and labels[-1] < total:
        return found, labels.astype(np.intp)
    if counts is None:
        what = f"objective: must be over the {len(labels)} classes of the labels"
    else:
        what = f"counts: must be one per class of the labels, {len(labels)} in sorted order"
    raise ProblemError(
        f"{what}; got {total} (labels may lack classes if they are numbers from 0, categories, or named in the counts)"
    )


def problem_of(
    objective: Source | str | None, counts: Counts, settings: dict[str, Any], tol: float = 1e-9
) -> Source | None:
    """The loss, built or by name with its settings, over the classes of the counts; one of fixed targets is solved."""
    if objective is not None and not isinstance(objective, (str, Objective, CrossEntropy, Optimal)):
        raise ProblemError(
            "objective: must be the name of a loss, come from a builder such as geomsolve.SupCon, or be solved; "
            f"got {type(objective).__name__}"
        )
    if isinstance(objective, str):
        if is_free(objective):
            objective = build_objective(objective, counts, settings)
        else:
            objective = solve_named(objective, counts, settings, tol=tol)
    elif settings:
        option, value = next(iter(settings.items()))
        what = "no objective" if objective is None else "a loss that is built"
        raise ProblemError(
            f'{option}: belongs to a loss by name; got {value!r:.40} with {what} (write objective="supcon", or leave '
            "it out)"
        )
    if objective is None:
        return None
    loss = loss_of(objective)
    loss.check()
    if loss.orbits.labels is None or class_number(loss) != counts.classes:
        raise ProblemError(
            f"objective: must be over the {counts.classes} classes of the labels, listed one by one; got one over "
            f"{loss.orbits.atoms:g}"
        )
    return objective
