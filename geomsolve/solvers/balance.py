"""Newton's method in the cosines alone: where attraction balances repulsion pair by pair no constraint acts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from ..arrays import Progress
from ..certificates.kkt import Conditions, kkt_step
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective
from ..objectives.row_softmax import RowSoftmax

_MOST_STEPS = 40
# Largest step of a cosine, in temperatures: where next to nothing holds a shift of all, Newton's first is too long.
_CAP = 5.0
# Temperatures beyond 1 at which a virtual cosine is no guide any more, and e^(1/tau of it) soon no number.
_FAR = 300.0
# Orbits up to which a shift of all cosines is looked for, an eigenvalue problem of size K some thirty times.
_MOST_SHIFTED = 400


def balance(objective: Objective, history: list[dict[str, float]], report: Progress) -> OrbitGram | None:
    """The Gram matrix at which every pair's attraction equals its repulsion; None where there is none.

    A loss that attracts every pair has a minimum over all symmetric matrices. If that is a Gram matrix it is the
    optimum, S = 0; so it is with orbits closed that would otherwise have cosines beyond 1 inside, where attraction
    wins. Newton's method takes the equations as log(repulsion/attraction) = 0, which are nearly linear. Softmax rows
    without offset do not see a shift of all cosines: taken is the one with the largest least eigenvalue.

    Cost: about 6 steps of O(K^3).
    Source: ours; weighted InfoNCE whose weights a Gram matrix attains is the case the paper on it describes.
    """
    attraction, orbits = objective.attraction, objective.orbits
    if isinstance(attraction, float) or not np.all(attraction[orbits.partners > 0] > 0):
        return None
    gram, held = _start(objective), np.zeros(len(orbits.sizes), bool)
    for _ in range(len(held) + 1):
        free = _solved(objective, gram, held, history, report)
        if free is None:
            return None
        gram, afloat = free
        if afloat:
            return _shifted(gram)
        over = orbits.plural & ~held & (np.diag(gram.cosines) > 1.0)
        if not over.any():
            break
        held = held | over
        cosines = gram.cosines.copy()
        cosines[held, held] = 1.0
        gram = OrbitGram(orbits, cosines)
    opening = np.diag(objective.row_gradient(gram)) > 1e-9 * np.diag(attraction)  # more than rounding
    if np.any(opening & held) or gram.cosines.max() > 1.0 or gram.smallest_eigenvalue < -1e-12:
        return None
    return gram


def _start(objective: Objective) -> OrbitGram:
    """What rows ask for where they can have it, e^{t_ij/tau} W_ij = P_ij Z_i, in the mean of i and j.

    Z_i = a_i / P_ii with an offset. Without, log Z_i is what makes log P/W least asymmetric, up to a constant, with
    which the largest cosine becomes 1.
    """
    simplex = OrbitGram.simplex(objective.orbits)
    if not isinstance(objective, RowSoftmax) or objective.positives is None:
        return simplex
    partners, sizes = objective.orbits.partners, objective.orbits.sizes
    there = partners > 0
    if not np.all((objective.positives > 0) & (objective.weights > 0) | ~there):
        return simplex
    asked = np.where(there, objective.positives / np.where(objective.weights > 0, objective.weights, 1.0), 1.0)
    wanted = np.log(asked)
    own = 1.0 - np.sum(partners * objective.positives, axis=1)
    if np.all(own > 0) and np.all(objective.offsets > 0):
        wanted -= np.log(own / objective.offsets)[:, None]
    elif not objective.offsets.any():
        wanted -= (((wanted - wanted.T) @ sizes) / objective.orbits.atoms)[:, None]
        wanted -= wanted[there].max()
    else:
        return simplex
    cosines = np.clip(1.0 + objective.temperature * (wanted + wanted.T) / 2.0, -1.0, 1.0)
    np.fill_diagonal(cosines, np.where(objective.orbits.plural, np.diag(cosines), 1.0))
    return OrbitGram(objective.orbits, cosines)


def _solved(
    objective: Objective, gram: OrbitGram, held: NDArray[np.bool_], history: list[dict[str, float]], report: Progress
) -> tuple[OrbitGram, bool] | None:
    """The balance with some orbits closed, and whether a shift of all its cosines is free."""
    attraction = np.asarray(objective.attraction)
    counted = objective.orbits.partners.copy()
    np.fill_diagonal(counted, np.where(held, 0.0, np.diag(counted)))
    there, nothing, none = counted > 0, np.zeros_like(counted), np.zeros((len(counted), 0))
    last = np.inf
    for _ in range(_MOST_STEPS):
        model, fine = objective.rows(gram), objective.fine_rows(gram)
        if fine is None:
            return None
        row, rests = fine.gradient, fine.rests
        excess = np.where(there, (row + row.T) / 2.0 / np.where(there, attraction, 1.0), 0.0)
        if not excess.min() > -1.0:
            return None
        # Entries that make the Newton equation one for the logarithm: log(R/A) times the curvature.
        curvature = (model.curvature + model.curvature.T) / 2.0
        logs = np.log1p(excess)
        afloat = not rests.any() and not held.any()
        if afloat:
            # A shift changes no repulsion, so the equations have an answer only for logarithms of weighted mean 0;
            # theirs is a divergence, of second order.
            weights = objective.orbits.sizes[:, None] * counted * curvature
            logs = np.where(there, logs - np.sum(weights * logs) / np.sum(weights), 0.0)
        entries = logs * curvature * objective.temperature
        step = kkt_step(gram, Conditions(entries, nothing, counted, model, objective.temperature, rests[:, None]), none)
        if step is None or not np.isfinite(step.x).all():
            return None
        x, size = step.x, float(np.abs(step.x).max())
        share = objective.temperature * min(1.0, _CAP / max(size, _CAP))
        gram = OrbitGram(objective.orbits, gram.cosines + share * (x + x.T) / 2.0)
        if gram.cosines.max() > 1.0 + _FAR * objective.temperature:
            return None
        history.append({"step": len(history), "change": size})
        report(f"balance step {len(history)}: change {size:.1e}")
        if size < 1e-13 or (size < 1e-8 and size > 0.5 * last):
            return gram, afloat
        last = size
    return None


def _shifted(gram: OrbitGram) -> OrbitGram | None:
    """The Gram matrix with all cosines shifted so that its least eigenvalue, a concave function, is largest."""
    orbits = gram.orbits
    if len(orbits.sizes) > _MOST_SHIFTED:
        return gram if gram.smallest_eigenvalue >= 0 else None

    def shifted(shift: float) -> OrbitGram:
        cosines = gram.cosines + shift
        np.fill_diagonal(cosines, np.where(orbits.plural, np.diag(cosines), 1.0))
        return OrbitGram(orbits, cosines)

    pairs = orbits.partners > 0
    room = 1.0 - float(gram.cosines[pairs].max()), -1.0 - float(gram.cosines[pairs].min())
    best = minimize_scalar(lambda shift: -shifted(shift).smallest_eigenvalue, bounds=sorted(room), method="bounded")
    answer = shifted(float(best.x))
    return answer if answer.smallest_eigenvalue >= -1e-12 else None
