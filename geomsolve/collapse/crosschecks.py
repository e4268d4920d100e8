"""Critical values checked by descent: on one side of them it must collapse, on the other it must not."""

import math
from typing import Any

from numpy.typing import ArrayLike

from ..arrays import Progress
from ..counts.counts import Counts
from ..errors import ProblemError
from ..solvers.crosschecks import CONCLUSIVE, CrossCheck, Route
from ..solvers.descent.jax_descent import Descent, check_device
from ..text import attributes
from .thresholds import Threshold, threshold
from .two_levels import Builder

# What `opening` is in one point, and how far from 0 a geometry is called open. Near a critical value it grows like the
# distance from it; between the two, descent has not converged.
_CLOSED, _OPEN = 1e-8, 1e-6


def crosscheck_threshold(
    builder: Builder,
    counts: Counts | ArrayLike | None = None,
    *,
    delta: float = 0.02,
    seeds: int = 1,
    device: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> CrossCheck:
    """Whether descent over embeddings collapses beyond a critical value, and only there.

    `threshold` finds the value without minimising anything: from a multiplier, or an eigenvalue of the stationarity
    equations. Here the loss itself, written a second time, is descended from random points at `delta` below and above
    it, and every answer judged by `certify`. Where there is no critical value, one problem is descended: ratio 10, or
    the given counts.

    Args:
        builder: the loss, as in `threshold`.
        counts: class counts, in place of majority and minority.
        delta: how far to go from the critical value, as a share of it; for a number of negatives, the next whole one.
        seeds: random starts of the descent.
        device: "cpu", "gpu" or None for JAX's default.
        progress: called with a line of text as the work goes on.
        options: whatever else `threshold` takes: vary, majority, minority, per_class, ratio, and those of the builder.

    Returns:
        A CrossCheck, its `answer` the Threshold. The numbers of a route are the parameter's value, whether the classes
        are predicted to be collapsed there, the opening (0 where they are: 1 minus the cosine of two minority classes;
        for given counts, the smallest eigenvalue of the Gram matrix besides the one that is always 0), and the relative
        gap of descent's own certificate. "inconclusive": this is too large, or the opening neither 0 nor not.

    Raises:
        ProblemError: as `threshold`, or a delta that is not between 1e-4 and 0.5.

    Cost: that of `threshold`, and two descents of full dimension; up to 600 classes.
    """
    check_device(device)
    if not 1e-4 <= delta <= 0.5:
        raise ProblemError(f"delta: must be between 1e-4 and 0.5, a share of the critical value; got {delta:g}")
    found = threshold(builder, counts, certify=False, progress=progress, **options)
    family, routes = found.family, []
    for value, predicted in _sides(found, delta):
        if progress:
            state = "collapsed" if predicted else "apart"
            progress(f"descent at {found.parameter} {value:.12g}, {state} by prediction")
        route = Route.taken(Descent(restarts=seeds, device=device), family.objective(value), progress=progress)
        opening = gap = verdict = None
        if route.gram is not None and route.certificate is not None:
            gap, opening = route.certificate.relative_gap, family.opening(route.gram)
            if gap <= CONCLUSIVE and not _CLOSED < opening < _OPEN:
                verdict = "agrees" if (opening <= _CLOSED) == predicted else "disagrees"
        routes.append(route.judged(verdict, value=value, predicted=predicted, opening=opening, relative_gap=gap))
    about = attributes(found, "problem", "parameter", "value", "reason")
    about |= {"opening": family.opening_words, "sides": [route.to_dict() for route in routes]}
    reason = f"{found.reason[:1].upper()}{found.reason[1:]}. Opening: {family.opening_words}; 0 where collapsed."
    return CrossCheck(found, f"{found.problem}\n{reason}", about, tuple(routes), True)


def _sides(found: Threshold, delta: float) -> list[tuple[float, bool]]:
    """Where to descend, and whether collapse is predicted there."""
    if not found.crossings:
        value = 10.0 if found.parameter == "ratio" else 1.0
        order = found.family.order(value)
        return [] if math.isnan(order) else [(value, order <= 0)]
    first = found.crossings[0]
    values = first.bracket
    if found.parameter != "negatives":
        values = first.value * (1.0 - delta), first.value * (1.0 + delta)
    above = first.collapses == "above"
    sides = [(values[0], not above), (values[1], above)]
    return [side for side in sides if found.parameter != "ratio" or side[0] >= 1.0]
