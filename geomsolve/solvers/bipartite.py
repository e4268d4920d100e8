"""Newton's method where anchors see only atoms that are no anchors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..bipartite import Bipartite, Point
from ..orbits import OrbitGram, Orbits
from .base import Progress

Array = NDArray[np.float64]

# Steps: 4 to 33 were seen where they converge.
_MOST_STEPS = 40
# A step changes no logarithm of a force, of which a temperature in a cosine is one, by more; and no cosine by more.
_CAP = 2.0
_FINEST = 1e-13
# Below this a step that is not half the one before is rounding.
_ROUNDED = 1e-9
# How negative an eigenvalue of a Gram matrix may be.
_INDEFINITE = 1e-9


def bipartite_optimum(
    loss: Bipartite, orbits: Orbits, start: Array, history: list[dict[str, float]], report: Progress
) -> OrbitGram | None:
    """The optimum of a loss in the form of `Bipartite`, from a guess of X; None where none is found.

    It is not where more directions than one are lost, and classes merge.

    Args:
        loss: the loss.
        orbits: of all atoms.
        start: (C, C) a guess of X.
        history: a line a step.
        report: progress.

    Cost: 4 to 15 steps at most masses and temperatures, see `Bipartite`.
    """
    cosines, log_u, last = np.clip(start, -1.0, 1.0), None, np.inf
    for _ in range(_MOST_STEPS):
        point = Point.at(loss, cosines, log_u)
        step = None if point is None else point.step()
        if point is None or step is None:
            return None
        size = float(np.abs(step).max())
        logs = max(float(np.abs(step[-1]).max()), max(loss.scale, _CAP) * float(np.abs(step[:-1]).max()))
        share = _CAP / max(logs, _CAP)
        cosines, log_u = point.cosines + share * step[:-1], point.log_u + share * step[-1]
        history.append({"step": len(history), "change": size})
        report(f"cosines and dual factor, step {len(history)}: change {size:.1e}")
        if size <= _FINEST or (size < _ROUNDED and size > 0.5 * last):
            point = Point.at(loss, cosines, log_u)
            definite = point is not None and np.linalg.eigvalsh(point.inner + point.inner.T)[0] > -_INDEFINITE
            return point.whole(orbits) if point is not None and definite else None
        last = size
    return None
