"""Riemannian Newton on unit vectors, and the staircase: more dimensions where the slack matrix asks for them.

Steps are truncated conjugate gradients, preconditioned by the multipliers n_a S_aa, which balances classes of very
different weight. While the loss tells better from worse a trust region decides how much of a step is taken; after that
the forces do. Sources: Absil, Baker & Gallivan 2007 (trust region), Burer & Monteiro 2003 (the factor), Boumal 2015
(the staircase); all missing directions at once is ours.
"""

import numpy as np

from ...arrays import Array
from ...geometry.kinds import KindGram, Kinds
from ...geometry.orbit_gram import OrbitGram, Orbits
from ...objectives.base import Objective
from ..base import Iteration, Termination
from .kind_spheres import KindState, kind_factor
from .spheres import State, retract

# Directions with less than this share of the trace are left out at the start.
_LEFT_OUT = 1e-6
# A direction is opened where the slack matrix is below minus this, in units of the multipliers.
_NEGATIVE = 1e-10
# Relative decreases of the loss to which each round of the staircase goes: far from the top few digits show what is
# missing.
_RESOLUTIONS = (1e-3, 1e-5, 1e-7)
# The last phase begins where steps gain this share of the loss, and again, where it does not find an end, at rounding.
_LAST = (1e-9, 1e-13)
# Steps in which the steps of the last phase must become three times shorter.
_PATIENCE = 25
# A force so small may be rounding: the step it asks for says nothing.
_SMALL = 1e-9
# Up to so many orbits full dimension costs next to nothing, and no direction can be missing from it.
_FEW = 100
# How much of simplex and identity a guess is mixed with.
_BLUR = 0.2


def staircase(objective: Objective, point: Array, loop: Iteration) -> tuple[OrbitGram, Termination]:
    """A stationary Gram matrix with a positive semidefinite slack matrix, from orbit vectors of few dimensions.

    If the loss is minimal over such factors and S = D - Diag(y) is positive semidefinite, the Gram matrix is optimal.
    If S has negative eigenvalues, their eigenvectors x as new columns t x change the loss by t^2 x.S x < 0: on the
    next step of the staircase they are open.

    Cost: O(K^2 p) a product with the Hessian, p the number of columns; an eigenvalue problem of size K a step of the
    staircase, but the last.
    """
    kind = KindState if isinstance(objective.orbits, Kinds) else State
    state = kind.at(objective, point)
    for resolution in _RESOLUTIONS if len(point) > _FEW and point.shape[1] <= 0.75 * len(point) else ():
        state = _widened(objective, state, loop, resolution)
    while not loop.full:
        for resolution in _LAST:
            state = polish(objective, descend(objective, state, loop, resolution), loop)
            if state.force() < _SMALL:
                break
        opened = _opened(objective, state)
        if opened is None:
            break
        state = _widened(objective, opened, loop, _SMALL)
    gram = state.gram_at(state.orbits, state.point)
    if loop.full:
        return gram, Termination.STEP_LIMIT
    return gram, Termination.CONVERGED if state.force() < 1e-8 else Termination.STALLED


def descend(objective: Objective, state: State, loop: Iteration, resolution: float = _LAST[-1]) -> State:
    """Newton steps in a trust region, until the loss can tell no better from worse to `resolution` of itself."""
    radius = 1.0
    while not loop.full:
        _note(state, loop)
        if radius not in state.steps:  # a round that ended here has left it
            state.steps[radius] = _truncated_cg(state, radius)
        step, predicted, hit = state.steps[radius]
        if predicted <= resolution * abs(state.excess) or radius < 1e-12:
            break
        # A refused step is shortened, not computed anew: that costs no product with the Hessian.
        slope, share = float(np.sum(state.gradient * step)), 1.0
        bend = -2.0 * (predicted + slope)
        while True:
            trial = state.at(objective, retract(state.point, share * step))
            ratio = (state.excess - trial.excess) / -(share * slope + 0.5 * share**2 * bend)
            if ratio > 0.05 or share < 1e-6:
                break
            share *= 0.3
        if ratio < 0.25 or share < 1.0:
            radius = (0.25 if ratio < 0.25 else 1.0) * min(radius, share * state.length(step))
        elif ratio > 0.75 and hit:
            radius = min(2.0 * radius, 1e3)
        if ratio > 0.05:
            state = trial
    return state


def polish(objective: Objective, state: State, loop: Iteration) -> State:
    """The last digits: where the loss says no more, the force still can.

    Newton steps within the dimensions that did not vanish, where the Hessian is definite, until rounding sets in.
    """
    goal = max(1e-14, 1e-15 * len(state.point))
    state = state.truncated()
    lengths: list[float] = []
    while not loop.full:
        size = state.force()
        _note(state, loop)
        if size < goal:
            break
        step = _truncated_cg(state, np.inf)[0]
        lengths.append(state.length(step))
        # Where curvature vanishes at the optimum Newton's method goes on for hundreds of steps, and nowhere; and where
        # rounding has it negative there is no step.
        if lengths[-1] == 0.0 or (len(lengths) > _PATIENCE and lengths[-1] > 0.3 * lengths[-_PATIENCE]):
            break
        # It is the force that must fall enough; or what Newton's method would do next, for where rare classes turn
        # about a heavy one a step that is right at first order bends what is stiff, and the force grows although the
        # next step is shorter.
        for share in (1.0, 0.5, 0.25, 0.1, 0.03, 0.01):
            trial = state.at(objective, retract(state.point, share * step))
            if trial.force() <= (1.0 - 0.1 * share) * size:
                break
            if size < _SMALL:
                continue  # what is left is rounding, and steps differ by chance
            after = state.length(_truncated_cg(state, np.inf, state.tangent(trial.gradient))[0])
            if after <= (1.0 - 0.5 * share) * lengths[-1]:
                break
        else:
            break
        state = trial
        if size < _SMALL and state.force() > 0.2 * size:
            break  # rounding; Newton's method does better
    return state


def _note(state: State, loop: Iteration) -> None:
    loop.note("Riemannian Newton: largest force", state.force(), excess=state.excess)


def _truncated_cg(state: State, radius: float, gradient: Array | None = None) -> tuple[Array, float, bool]:
    """Steihaug's step, the decrease its quadratic model predicts, and whether the boundary was hit.

    An infinite radius asks for the Newton step of a convex model: of all iterates the one that comes nearest, because
    rotations are null directions, and rounding can send the iteration off along them.
    """
    step, residual = np.zeros_like(state.point), state.gradient if gradient is None else gradient
    z = state.tangent(residual) / state.scale
    rho = start = max(float(np.sum(residual * z)), 0.0)  # rounding alone may be below 0
    direction, image = -z, np.zeros_like(step)
    best, nearest = rho, step
    # Of the step, of it with the direction and of the direction, in the inner product of the preconditioner.
    inner, cross, length = 0.0, 0.0, rho
    for _ in range(min(400, step.size)):
        if not rho > start * min(1e-2, np.sqrt(start)) ** 2:
            break
        bent = state.hessian(direction)
        with np.errstate(over="ignore", invalid="ignore"):
            curvature = np.sum(direction * bent)
        if not np.isfinite(curvature):
            break  # the preconditioner has underflowed where no forces are left
        alpha = rho / curvature if curvature > 0 else np.inf
        if curvature <= 0 and np.isinf(radius):
            break
        if curvature <= 0 or inner + 2 * alpha * cross + alpha**2 * length >= radius**2:
            reach = (-cross + np.sqrt(cross**2 + length * (radius**2 - inner))) / length
            step = step + reach * direction
            image = image + reach * bent
            return step, -float(np.sum(state.gradient * step) + 0.5 * np.sum(step * image)), True
        step = step + alpha * direction
        image = image + alpha * bent
        residual = residual + alpha * bent
        z = state.tangent(residual) / state.scale
        rho, old = np.sum(residual * z), rho
        if rho < best:
            best, nearest = rho, step
        share = rho / old
        direction = -z + share * direction
        inner, cross, length = (
            inner + 2 * alpha * cross + alpha**2 * length,
            share * (cross + alpha * length),
            rho + share**2 * length,
        )
    if np.isinf(radius):
        return nearest, 0.0, False
    return step, -float(np.sum(state.gradient * step) + 0.5 * np.sum(step * image)), False


def _widened(objective: Objective, state: State, loop: Iteration, resolution: float) -> State:
    """Minimal over factors, and more columns, in turn until no direction is missing as far as `resolution` shows."""
    while not loop.full:
        state = descend(objective, state, loop, resolution)
        opened = _opened(objective, state, state.force())
        if opened is None:
            break
        loop.say(f"{opened.point.shape[1] - 1} directions")
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
    tails = state.closed(inside, units, least)
    columns = _below(slack, least) / (units * np.sqrt(orbits.sizes))[:, None]
    if not (columns.any() or tails.any()):
        return None
    share = 1.0 / np.sqrt(np.max(np.sum(columns**2, axis=1) + np.sum(tails**2, axis=1)))
    for _ in range(12):
        wider = np.column_stack([point[:, : -state.tails], share * columns, point[:, -state.tails :] + share * tails])
        trial = state.at(objective, retract(wider, 0.0))
        if trial.excess < (1.0 - 1e-14) * state.excess:  # by more than rounding
            return state.at(objective, _narrowed(orbits, trial.point, state.tails))
        share /= 4.0
    return None


def _narrowed(orbits: Orbits, point: Array, tails: int) -> Array:
    """The point in at most K columns for its means, as many as they can span."""
    means, spread = point[:, :-tails], point[:, -tails:]
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


def start_at(gram: OrbitGram) -> Array:
    """Orbit vectors to staircase from: of few dimensions where a guess of many orbits has few, else of all of them."""
    if isinstance(gram, KindGram):
        return kind_factor(gram, _BLUR)
    if len(gram.sizes) > _FEW:
        points = factor_of(gram)
        if points.shape[1] <= 0.75 * len(points):
            return points
    return full_factor(gram)


def factor_of(gram: OrbitGram) -> Array:
    """(K, p + 1) unit rows whose cosines are the guess's, less what is tiny or negative in its spectrum."""
    orbits = gram.orbits
    values, vectors = np.linalg.eigh(gram.quotient)
    keep = values > _LEFT_OUT * orbits.atoms
    keep[-1] = True
    means = vectors[:, keep] * np.sqrt(values[keep]) / np.sqrt(orbits.sizes)[:, None]
    # Cut, a direction can leave an orbit longer than 1, or with nothing at all.
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1.0)
    spread = np.sqrt(np.clip(1.0 - np.sum(means**2, axis=1), 0.0, None)) * orbits.plural
    means[:, -1] += np.where(np.any(means, axis=1) | (spread > 0), 0.0, 1.0)
    return retract(np.column_stack([means, spread]), 0.0)


def full_factor(gram: OrbitGram, blur: float = _BLUR) -> Array:
    """(K, K+1) unit rows for a mix of guess, simplex and identity: of full rank, so no direction is missing."""
    simplex = OrbitGram.simplex(gram.orbits)
    guess = OrbitGram(gram.orbits, np.clip(gram.cosines, -1.0, 1.0)).repaired()[0]
    cosines = (1.0 - blur) * guess.cosines + 0.5 * blur * simplex.cosines
    np.fill_diagonal(cosines, np.where(gram.orbits.plural, np.diag(cosines), 1.0))
    mixed = OrbitGram(gram.orbits, cosines)
    means = mixed.mean_factor(tol=0.0)
    spread = np.sqrt(np.clip(1.0 - np.sum(means**2, axis=1), 0.0, None)) * gram.orbits.plural
    return retract(np.column_stack([means, spread]), 0.0)
