"""The optimum in the form of `Bipartite` by Newton's method, and how far from it given cosines are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..arrays import Array
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective
from .bipartite import Bipartite, Point
from .kkt import semidefinite_defect

# Newton steps: 4 to 33 were seen where they converge.
_MOST_STEPS = 40
# A step changes no logarithm of a force, of which a temperature in a cosine is one, by more; and no cosine by more.
_CAP = 2.0
_FINEST = 1e-13
# Below this a step that is not half the one before is rounding.
_ROUNDED = 1e-9
# An eigenvalue of G is above this in a direction that is there.
_THERE = 1e-7


def bipartite_optimum(
    loss: Bipartite, cosines: Array, log_u: Array | None = None, note: Callable[[float], None] = lambda _: None
) -> Point | None:
    """The solution of the equations near a guess, a Gram matrix or not; None where Newton's method finds none.

    It is no Gram matrix where more directions than one are lost at the optimum, and classes merge.

    Args:
        loss: the loss.
        cosines: (C, C) a guess of X.
        log_u: one of log u.
        note: called with the size of every step.

    Cost: 4 to 15 steps at most masses and temperatures, see `Bipartite`.
    """
    cosines, last = np.clip(cosines, -1.0, 1.0), np.inf
    for _ in range(_MOST_STEPS):
        point = Point.at(loss, cosines, log_u)
        step = None if point is None else point.step()
        if point is None or step is None:
            return None
        size = float(np.abs(step).max())
        logs = max(float(np.abs(step[-1]).max()), max(loss.scale, _CAP) * float(np.abs(step[:-1]).max()))
        share = _CAP / max(logs, _CAP)
        cosines, log_u = point.cosines + share * step[:-1], point.log_u + share * step[-1]
        note(size)
        if size <= _FINEST or (size < _ROUNDED and size > 0.5 * last):
            return Point.at(loss, cosines, log_u)
        last = size
    return None


def bipartite_residual(objective: Objective | None, gram: OrbitGram) -> float:
    """How far cosines are from the optimum that `bipartite_optimum` finds beside them.

    Two rare classes turn about frequent ones against their mass times what ties an anchor to its positive, so that
    `complementarity` is small far from the optimum: 1e-6 at cosines off by 0.1 was seen. Here nothing is stiff. What is
    found is an optimum if it is a Gram matrix, else see `semidefinite_defect`; infinite where nothing is found. 0 for
    other losses, and where G has less than C - 1 dimensions and no optimum with as many is found.

    Cost: some Newton steps, see `Bipartite`.
    """
    loss = None if objective is None else Bipartite.of(objective)
    if loss is None:
        return 0.0
    cosines = loss.between(gram)
    here = Point.at(loss, cosines, None)
    # The kernel of X is the better guess of u where X has just one.
    best = None
    for log_u in () if here is None else (here.settled, here.log_u):
        if best is None or not best.definite:
            best = bipartite_optimum(loss, cosines, log_u) or best
    if (best is None or not best.definite) and np.count_nonzero(gram.eigenvalues > _THERE) != len(cosines) - 1:
        return 0.0
    if best is None:
        return np.inf
    change = best.whole(gram.orbits).cosines - gram.cosines
    return max(float(np.abs(change).max()), semidefinite_defect(gram, change))
