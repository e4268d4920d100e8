"""Newton's method on S = U U^T, G U = 0 with U of any rank: all cosines at once, from near by."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from ...arrays import Array
from ...certificates.kkt import Conditions
from ...certificates.slack import Slack
from ...geometry.orbit_gram import OrbitGram
from ...objectives.base import Objective
from ..base import Iteration, Termination

# Largest step of a cosine, in temperatures.
_CAP = 5.0
# Steps without a shorter one after which it is given up.
_PATIENCE = 8
# An eigenvalue of a Gram matrix below this is no rounding.
_NEGATIVE = -1e-9
# What the optimum's gap is below, as a share of the loss above its floor.
_PROVED = 1e-9
# Times that columns are added to U.
_WIDENED = 6
# Orbits up to which a shift of all cosines is looked for, an eigenvalue problem of size K some thirty times.
_MOST_SHIFTED = 400


def sharpened(objective: Objective, gram: OrbitGram, loop: Iteration) -> OrbitGram | None:
    """The optimum from a Gram matrix near it; None where it is not found.

    There an eigenvalue of G or its partner in S has all but vanished, which says how many columns U has. Where the
    answer is no Gram matrix, U had too few: eigenvectors of negative eigenvalues join it.

    Cost: a few dense factors of K (q + 1) equations, q columns.
    Source: ours.
    """
    orbits, slack = gram.orbits, Slack.of(objective, gram)
    closed = orbits.plural & (1.0 - np.diag(gram.cosines) < slack.spread / np.diag(slack.quotient).max())
    root = np.sqrt(orbits.sizes)[:, None]
    values, vectors = np.linalg.eigh(slack.quotient)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    if not values[0] > 0:
        return None
    columns = values * gram.eigenvalues[-1] > np.maximum(gram.eigenvalues, 0.0) * values[0]
    factor = vectors[:, columns] * np.sqrt(values[columns]) / root
    cosines = gram.cosines.copy()
    np.fill_diagonal(cosines, np.where(closed, 1.0, np.diag(cosines)))
    start = OrbitGram(orbits, cosines)
    for _ in range(_WIDENED):
        (found, _), termination = _iterated(objective, (start, factor), closed, loop)
        if termination is not Termination.CONVERGED:
            return None
        values, vectors = np.linalg.eigh(found.quotient)
        missing = values < _NEGATIVE
        if not missing.any():
            proved = Slack.of(objective, found).gap <= _PROVED * objective.excess(found)
            return found if proved and found.smallest_eigenvalue > _NEGATIVE else None
        scale = np.sqrt(np.mean(np.sum(factor**2, axis=1))) * 1e-3
        factor = np.hstack([factor, scale * vectors[:, missing] / root])
    return None


def _iterated(
    objective: Objective, point: tuple[OrbitGram, Array], closed: NDArray[np.bool_], loop: Iteration, logs: bool = False
) -> tuple[tuple[OrbitGram, Array], Termination]:
    """G and U after Newton's method, with the given orbits closed."""

    def step(at: tuple[OrbitGram, Array]) -> tuple[tuple[OrbitGram, Array], float] | None:
        return _step(objective, *at, closed, logs)

    return loop.run(step, point, "Newton on the factor of S", tol=1e-13, rounding=1e-8, patience=_PATIENCE)


def _step(
    objective: Objective, gram: OrbitGram, factor: Array, closed: NDArray[np.bool_], logs: bool
) -> tuple[tuple[OrbitGram, Array], float] | None:
    """The next G and U, and how many temperatures the largest change of a cosine is."""
    model, fine = objective.rows(gram), objective.fine_rows(gram)
    row = objective.row_gradient(gram) if fine is None else fine.gradient
    counted = objective.orbits.partners.copy()
    np.fill_diagonal(counted, np.where(closed, 0.0, np.diag(counted)))
    entries = (row + row.T) / 2.0
    rests = None if fine is None else fine.rests[:, None]
    if logs:
        shifts = rests is not None and not rests.any()
        nearly = _logarithms(objective, entries, counted, (model.curvature + model.curvature.T) / 2.0, shifts)
        if nearly is None:
            return None
        entries = nearly
    step = Conditions(gram, entries, np.zeros_like(counted), counted, model, objective.temperature, rests).step(factor)
    if step is None or not np.isfinite(step.x).all():
        return None
    size = float(np.abs(step.x).max())
    share = min(1.0, _CAP / max(size, _CAP))
    moved = OrbitGram(gram.orbits, gram.cosines + share * objective.temperature * (step.x + step.x.T) / 2.0)
    return (moved, factor + share * step.change), size


def balance(objective: Objective, loop: Iteration) -> OrbitGram | None:
    """The Gram matrix at which every pair's attraction equals its repulsion, S = 0; None where there is none.

    A loss that attracts every pair has a minimum over all symmetric matrices. If that is a Gram matrix it is the
    optimum; so it is with orbits closed that would otherwise have cosines beyond 1 inside, where attraction wins.
    The equations are taken as log(repulsion/attraction) = 0, which are nearly linear. Softmax rows without offset do
    not see a shift of all cosines: taken is the one with the largest least eigenvalue.

    Cost: about 10 steps of O(K^3).
    Source: ours; weighted InfoNCE whose weights a Gram matrix attains is the case the paper on it describes.
    """
    attraction, orbits = objective.attraction, objective.orbits
    if isinstance(attraction, float) or not np.all(attraction[orbits.partners > 0] > 0):
        return None
    gram, closed = OrbitGram.simplex(orbits), np.zeros(len(orbits.sizes), bool)
    none = np.zeros((len(orbits.sizes), 0))
    for _ in range(len(closed) + 1):
        (gram, _), termination = _iterated(objective, (gram, none), closed, loop, logs=True)
        if termination is not Termination.CONVERGED:
            return None
        fine = objective.fine_rows(gram)
        if fine is not None and not fine.rests.any() and not closed.any():
            return _shifted(gram)
        over = orbits.plural & ~closed & (np.diag(gram.cosines) > 1.0)
        if not over.any():
            break
        closed = closed | over
        cosines = gram.cosines.copy()
        cosines[closed, closed] = 1.0
        gram = OrbitGram(orbits, cosines)
    opening = np.diag(objective.row_gradient(gram)) > 1e-9 * np.diag(attraction)  # more than rounding
    if np.any(opening & closed) or gram.cosines.max() > 1.0 or gram.smallest_eigenvalue < -1e-12:
        return None
    return gram


def _logarithms(objective: Objective, entries: Array, counted: Array, curvature: Array, shifts: bool) -> Array | None:
    """(K, K) the entries that make Newton's equation one for log(repulsion/attraction): it times the curvature."""
    there, attraction = counted > 0, np.asarray(objective.attraction)
    excess = np.where(there, entries / np.where(there, attraction, 1.0), 0.0)
    if not excess.min() > -1.0:
        return None
    logs = np.log1p(excess)
    if shifts:
        # A shift changes no repulsion, so the equations have an answer only for logarithms of weighted mean 0; theirs
        # is a divergence, of second order.
        weights = objective.orbits.sizes[:, None] * counted * curvature
        logs = np.where(there, logs - np.sum(weights * logs) / np.sum(weights), 0.0)
    return np.asarray(logs * curvature * objective.temperature)


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
