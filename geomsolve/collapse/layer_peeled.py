"""Where minority classifiers merge in the Layer-Peeled Model."""

import math

import numpy as np

from ..arrays import Progress
from ..counts.counts import step_counts
from ..objectives.classes.supcon import check_whole
from ..objectives.logits.layer_peeled import LayerPeeled
from ..solvers.logits.layer_peeled import bounded
from .crossings import Crossing, crossings

# Ratios are examined up to here.
_MOST_RATIO = 1e5


def layer_peeled_threshold(
    majority: int,
    minority: int,
    *,
    feature_energy: float,
    classifier_energy: float,
    progress: Progress | None = None,
) -> Crossing | None:
    """The imbalance ratio from which the classifiers of the minority are one vector in the Layer-Peeled Model.

    With the minority held in one vector, the gradient's singular value on differences of its classes is compared with
    the largest of the others: where it is above, they part. That is the multiplier method of `threshold`, for a nuclear
    norm.

    Args:
        majority: how many classes have `ratio` times the examples of a minority class.
        minority: how many classes have few examples, at least 2.
        feature_energy: E_H, see `LayerPeeled`.
        classifier_energy: E_W.
        progress: called with a line of text as the work goes on.

    Returns:
        A Crossing with the ratio, its bracket and the residual; None up to ratio 1e5.

    Raises:
        ProblemError: numbers of classes that make no minority, or what `LayerPeeled` refuses.

    Cost: some 40 problems over two orbits, each a root in the decay: about a second of one thread.
    Source: Fang et al. (PNAS 2021) for the collapse; the equation is ours.
    """
    majority = check_whole("majority", majority, least=1)
    minority = check_whole("minority", minority, least=2)

    def order(ratio: float) -> float:
        if progress is not None:
            progress(f"Layer-Peeled Model at ratio {ratio:.6g}")
        counts = step_counts(majority, minority, 1.0, ratio)
        problem = LayerPeeled(counts, feature_energy, classifier_energy)
        logits, decay = bounded(problem, 1e-9, merged=1)
        unit = problem.decayed(1.0)
        gradient = unit.gradient(unit.softmax(logits, np.zeros_like(unit.root)))
        return float(abs(gradient.scalars[1]) / decay - 1.0)

    found = crossings(order, 1e-9, math.log(_MOST_RATIO), slope=1.0, step=0.25, at=math.exp, resolution=1e-10)
    return next(found, None)
