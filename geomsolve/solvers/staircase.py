"""Newton's method on spheres of few dimensions, with more of them only where the slack matrix asks for more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..arrays import Array, Progress
from ..geometry.orbits import OrbitGram, Orbits
from ..objectives.base import Objective
from .base import Termination
from .settling import settle, settles
from .spheres import State, descend, finish, gram_of, polish, retract, truncate

# Directions with less than this share of the trace are left out at the start.
_FAINT = 1e-6
# A direction is opened where the slack matrix is below minus this, in units of the multipliers.
_NEGATIVE = 1e-10
_RESOLUTIONS = (1e-3, 1e-5, 1e-7)
# Trust-region steps before `settle` takes over: of few unknowns, and of more.
_FIRST, _MORE = 12, 30
_FEW = 1600


def climb(
    objective: Objective,
    point: Array,
    max_steps: int,
    history: list[dict[str, float]],
    report: Progress,
    enough: Callable[[OrbitGram], bool] | None = None,
    resolutions: Sequence[float] = _RESOLUTIONS,
    instead: Callable[[OrbitGram], OrbitGram | None] | None = None,
) -> tuple[OrbitGram, Termination]:
    """A stationary Gram matrix with a positive semidefinite slack matrix, from orbit vectors of few dimensions.

    If the loss is minimal over such factors and S = D - Diag(y) is positive semidefinite, the Gram matrix is optimal.
    If S has negative eigenvalues, their eigenvectors x as new columns t x change the loss by t^2 x.S x < 0: on the
    next step of the staircase they are open. The search ends early at a Gram matrix that is `enough`, or with the
    optimum that `instead` makes of one near by: asked once, before the costly steps begin.

    Cost: O(K^2 p) a product with the Hessian, p the number of columns; an eigenvalue problem of size K a step of the
    staircase, but the last.
    Source: Burer & Monteiro 2003 (the factor), Boumal 2015 (the staircase); all negative directions at once is ours.
    """
    last = len(history) + max_steps
    # In few columns, those of the principal axes, curvature helps to precondition; in all of them it does not.
    narrow = point.shape[1] <= 0.75 * len(point)
    state = State.at(objective, point, curved=narrow)
    # Far from the top few digits are enough to see which directions are missing.
    finer = () if enough is None else (1e-8, 1e-9, 1e-10, 1e-11, 1e-12)
    for resolution in (*resolutions, *finer) if narrow else ():
        state = _ascend(objective, state, last, history, report, resolution)
        if enough is not None and resolution <= 1e-7 and enough(gram_of(state.orbits, state.point)):
            return gram_of(state.orbits, state.point), Termination.CONVERGED
    while len(history) < last:
        few = _FIRST if state.point.size <= _FEW else _MORE if settles(state) else max_steps
        first = min(last, len(history) + few)
        state = descend(objective, state, first, history, report)
        if instead is not None:
            found, instead = instead(gram_of(state.orbits, state.point)), None
            if found is not None:
                return found, Termination.CONVERGED
        state = _refined(objective, state, last, history, report)
        opened = _opened(objective, state)
        if opened is None:
            break
        state = opened if settles(opened) else _ascend(objective, opened, last, history, report, 1e-9)
    return finish(state, last, history)


def refine(
    objective: Objective,
    point: Array,
    max_steps: int,
    history: list[dict[str, float]],
    report: Progress,
    reach: float = np.inf,
) -> tuple[OrbitGram, Termination]:
    """The last digits of orbit vectors that are nearly optimal, by `climb` if a direction is missing.

    A step that would turn a unit vector by more than `reach` ends it: they are not.
    """
    last = len(history) + max_steps
    state = State.at(objective, point, curved=True)
    state = _refined(objective, state, last, history, report, reach)
    far = reach < np.inf and state.force() >= 1e-8
    opened = None if far else _opened(objective, state)
    if opened is None or len(history) >= last:
        return finish(state, last, history)
    return climb(objective, opened.point, last - len(history), history, report)


def _refined(
    objective: Objective,
    state: State,
    last: int,
    history: list[dict[str, float]],
    report: Progress,
    reach: float = np.inf,
) -> State:
    """The stationary state near by, in the directions that have not vanished."""
    state = State.at(objective, truncate(objective.orbits, state.point), state.curved)
    if not settles(state):
        return polish(objective, state, last, history, report)
    state = settle(objective, state, last, history, report, reach)
    # Directions that vanish with the cube of their size never quite do: without them the rest has all its digits.
    narrower = truncate(objective.orbits, state.point)
    if narrower.shape[1] < state.point.shape[1] and (reach == np.inf or state.force() < 1e-8):
        flat = settle(objective, State.at(objective, narrower, state.curved), last, history, report)
        return state if _opened(objective, flat) is not None else flat
    return state


def narrow_start(objective: Objective, guesses: Sequence[OrbitGram], fewest: int = 100) -> Array | None:
    """The best guess as orbit vectors, if it has few directions; None where full dimension is as good.

    Up to `fewest` orbits full dimension costs next to nothing, and no direction can be missing from it.
    """
    if len(objective.orbits.sizes) <= fewest:
        return None
    points = [start_of(guess) for guess in guesses]
    best = min(points, key=lambda point: objective.excess(gram_of(objective.orbits, point)))
    return best if best.shape[1] <= 0.75 * len(best) else None


def start_of(gram: OrbitGram) -> Array:
    """(K, p + 1) unit rows whose cosines are the guess's, less what is faint or negative in its spectrum."""
    orbits = gram.orbits
    values, vectors = np.linalg.eigh(gram.quotient)
    keep = values > _FAINT * orbits.atoms
    keep[-1] = True
    means = vectors[:, keep] * np.sqrt(values[keep]) / np.sqrt(orbits.sizes)[:, None]
    # Cut, a direction can leave an orbit longer than 1, or with nothing at all.
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1.0)
    spread = np.sqrt(np.clip(1.0 - np.sum(means**2, axis=1), 0.0, None)) * orbits.plural
    means[:, -1] += np.where(np.any(means, axis=1) | (spread > 0), 0.0, 1.0)
    return retract(np.column_stack([means, spread]), 0.0)


def wide_start(gram: OrbitGram, blur: float = 0.2) -> Array:
    """(K, K+1) unit rows for a mix of guess, simplex and identity: of full rank, so no direction is missing."""
    simplex = OrbitGram.simplex(gram.orbits)
    guess = OrbitGram(gram.orbits, np.clip(gram.cosines, -1.0, 1.0)).repaired()[0]
    cosines = (1.0 - blur) * guess.cosines + 0.5 * blur * simplex.cosines
    np.fill_diagonal(cosines, np.where(gram.orbits.plural, np.diag(cosines), 1.0))
    mixed = OrbitGram(gram.orbits, cosines)
    means = mixed.mean_factor(tol=0.0)
    spread = np.sqrt(np.clip(1.0 - np.sum(means**2, axis=1), 0.0, None)) * gram.orbits.plural
    return retract(np.column_stack([means, spread]), 0.0)


def _ascend(
    objective: Objective, state: State, last: int, history: list[dict[str, float]], report: Progress, resolution: float
) -> State:
    """Minimal over factors, and more columns, in turn until no direction is missing as far as `resolution` shows."""
    while len(history) < last:
        state = descend(objective, state, last, history, report, resolution)
        opened = _opened(objective, state, state.force())
        if opened is None:
            break
        report(f"{opened.point.shape[1] - 1} directions")
        state = opened
    return state


def _opened(objective: Objective, state: State, noise: float = 0.0) -> State | None:
    """The state with the negative directions of its slack matrix opened; None where there are none beyond noise."""
    orbits, point = objective.orbits, state.point
    slack, inside = state.slack()
    # In units of the multipliers, as in conjugate gradients: rare classes count like frequent ones.
    units = np.sqrt(state.scale[:, 0] / (2.0 * orbits.sizes))
    slack /= units
    slack /= units[:, None]
    least = max(noise, _NEGATIVE)
    spread = np.where(orbits.plural, inside / units**2, 0.0)
    spread = np.sqrt(np.where((spread < -least) & (point[:, -1] == 0.0), -spread, 0.0))
    columns = _below(slack, least) / (units * np.sqrt(orbits.sizes))[:, None]
    if not (columns.any() or spread.any()):
        return None
    share = 1.0 / np.sqrt(np.max(np.sum(columns**2, axis=1) + spread**2))
    for _ in range(12):
        wider = np.column_stack([point[:, :-1], share * columns, point[:, -1] + share * spread])
        trial = State.at(objective, retract(wider, 0.0), curved=True)
        if trial.excess < (1.0 - 1e-14) * state.excess:  # by more than rounding
            return State.at(objective, _narrowed(orbits, trial.point), curved=True)
        share /= 4.0
    return None


def _narrowed(orbits: Orbits, point: Array) -> Array:
    """The point in at most K columns for its means, as many as they can span."""
    means, spread = point[:, :-1], point[:, -1]
    if means.shape[1] <= len(means):
        return point
    _, _, axes = np.linalg.svd(np.sqrt(orbits.sizes)[:, None] * means, full_matrices=False)
    return retract(np.column_stack([means @ axes.T, spread]), 0.0)


def _below(matrix: Array, least: float) -> Array:
    """(K, r) the eigenvectors of eigenvalues below -least, each times the root of its eigenvalue's size."""
    shifted = matrix.copy()
    shifted[np.diag_indices_from(shifted)] += least
    try:
        np.linalg.cholesky(shifted)  # a tenth of the time of eigenvalues
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrix)
        negative = values < -least
        return np.asarray(vectors[:, negative] * np.sqrt(-values[negative]), dtype=np.float64)
    return np.zeros((len(matrix), 0))
