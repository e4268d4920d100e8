"""Newton's method on cosines and dual factor together: the last digits of an optimum of any rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..dualreading import factor_step
from ..objectives.base import Objective
from ..orbits import OrbitGram
from ..slack import Slack
from .base import Progress

Array = NDArray[np.float64]

_MOST_STEPS = 25
# Unknowns, of which there are K (q + 1): a step takes their cube.
_MOST = 600
# Directions fainter than this share of G's largest eigenvalue are taken to vanish at the optimum, one after the other.
_FAINT = (1e-9, 1e-6, 1e-4, 1e-3, 1e-2)


def sharpen(objective: Objective, gram: OrbitGram, history: list[dict[str, float]], report: Progress) -> OrbitGram:
    """The optimum near a Gram matrix, S = U U^T and G U = 0, if Newton's method finds one; else the Gram matrix.

    On spheres, pairs of strong attraction and pairs of next to none are coordinates of the same points, and rounding in
    the first hides the second. In the cosines they stay apart: see `dual_reading`, whose step this is. It asks for
    the rank of the optimum, which is guessed from the spectrum of G.
    """
    if Slack.of(objective, gram).forces is None:
        return gram
    tried: set[int] = set()
    for faint in _FAINT:
        factor = Slack.of(objective, gram).factor(faint)
        if factor.shape[1] not in tried and factor.size + len(factor) <= _MOST:
            tried.add(factor.shape[1])
            found = _solved(objective, gram, factor, history, report)
            if found is not None:
                return found
    return gram


def _solved(
    objective: Objective, gram: OrbitGram, factor: Array, history: list[dict[str, float]], report: Progress
) -> OrbitGram | None:
    last = np.inf
    for _ in range(_MOST_STEPS):
        forces = Slack.of(objective, gram).forces
        step = None if forces is None else factor_step(gram, forces, factor)
        if step is None:
            return None
        size = float(np.abs(step.x).max())
        share = min(1.0, 2.0 / max(size, 2.0), 0.5 / max(step.turned, 0.5))
        if not np.isfinite(size):
            return None
        gram = OrbitGram(objective.orbits, gram.cosines + share * objective.temperature * (step.x + step.x.T) / 2.0)
        factor = factor + share * step.change
        history.append({"step": len(history), "change": size})
        report(f"cosines and factor, step {len(history)}: change {size:.1e}")
        if size < 1e-13 or (size < 1e-8 and size > 0.3 * last):
            plain = gram.smallest_eigenvalue > -64.0 * np.finfo(float).eps * gram.atoms
            return gram if plain and gram.cosines.max() <= 1.0 + 1e-15 else None
        last = size
    return None
