"""The last digits of an optimum of a hinge loss whose pairs on the kink are known."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, lstsq

from ...arrays import Array
from ...geometry.orbit_gram import OrbitGram, Orbits
from ...objectives.base import Objective
from ...objectives.batches.pairwise import Hinge, PairLoss, hinge_slopes
from ..base import Iteration, Termination
from ..spheres.spheres import gram_of, retract, truncate

# Pairs this close to the kink are taken to sit on it.
_NEAR = 1e-5
# Between which directions may have vanished, as shares of the spectrum, and how many guesses of their number are tried.
_FAINTEST, _FAINT = 1e-13, 1e-2
_GUESSES = 2
# Unknowns, and what is no equation for them: free directions are rotations, and slopes that are not unique.
_MOST, _FREE = 1000, 1e-9
# What is done, in cosines; steps.
_FINEST, _DONE = 1e-13, 1e-8
_STEPS, _PATIENCE = 12, 2


def polish_kinks(objective: Objective, gram: OrbitGram, loop: Iteration) -> tuple[OrbitGram, Termination, str]:
    """A nearby Gram matrix that is stationary to rounding, the pairs on the kink held there, and their slopes.

    Off the kink a hinge loss is linear in the cosines, so with the set J of pairs on the kink known, the optimum solves

        minimise <D, G>  subject to  G_ij = 1 - margin for (i, j) in J,  unit diagonal,  rank as at the start,

    whose first-order conditions (points v, a slope per pair of J, a multiplier y_a > 0 per orbit) Newton's method
    solves. Orbit a is taken in units of sqrt(y_a), in which rare classes count like frequent ones. Rotations, and
    slopes that are not unique, stay as they are.

    Cost: a dense factor of size K (rank + 2) + |J| a step; refused above 1000.
    Source: ours (sequential quadratic programming on the factor).
    """
    if not (isinstance(objective, PairLoss) and isinstance(objective.shape, Hinge)):
        return gram, Termination.NOT_APPLICABLE, "Newton needs two derivatives, or a hinge"
    system, slopes = _System.of(objective, objective.shape, gram)
    spread = np.sqrt(np.clip(1.0 - np.diag(gram.cosines), 0.0, None) / (1.0 + system.inside)) * gram.orbits.plural
    raw = retract(np.column_stack([gram.mean_factor(), spread]), 0.0)
    best: tuple[float, Array, Array] | None = None
    for tol in _gaps(gram.orbits, raw):
        start = truncate(gram.orbits, raw, 1, tol)
        if start.size + len(start) + len(slopes) > _MOST:
            continue
        found = _solved(system, start, slopes, loop)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
    if best is None:
        return gram, Termination.NOT_APPLICABLE, f"{raw.size + len(slopes)} unknowns: no polish"
    off, point, slopes = best
    answer = gram_of(gram.orbits, point)
    known = system.on_kink(np.where(answer.cosines > system.kink, 1.0, 0.0), slopes)
    done = Termination.CONVERGED if off < _DONE else Termination.STALLED
    return replace(answer, slopes=known), done, f"{len(slopes)} pairs held on the kink: {off:.1e}"


def _gaps(orbits: Orbits, point: Array) -> list[float]:
    """Where the widest gaps in the spectrum are, spreads included: what is below may have vanished."""
    values = np.linalg.svd(np.sqrt(orbits.sizes)[:, None] * point[:, :-1], compute_uv=False) ** 2
    shares = np.sort(np.concatenate([values, point[orbits.plural, -1] ** 2]))
    shares = np.concatenate([[_FAINTEST], shares[(shares > _FAINTEST) & (shares < _FAINT)], [_FAINT]])
    widths = shares[1:] / shares[:-1]
    return [float(np.sqrt(shares[k] * shares[k + 1])) for k in np.argsort(-widths)[:_GUESSES]]


class _System(NamedTuple):
    """What does not change on the way."""

    kink: float
    weights: Array  # (K, K) n_a N_ab times what a pair weighs
    active: Array  # (K, K) the same times the slopes, 0 for pairs held on the kink
    inside: Array  # (K,) 1 / (n - 1): the cosine inside is |mean|^2 - inside w^2
    first: NDArray[np.intp]  # (J,) pairs on the kink
    second: NDArray[np.intp]

    @classmethod
    def of(cls, objective: PairLoss, shape: Hinge, gram: OrbitGram) -> tuple[_System, Array]:
        """The pairs near the kink, and (J,) their slopes."""
        orbits, kink = gram.orbits, 1.0 - shape.margin
        near = (orbits.partners > 0) & (np.abs(gram.cosines - kink) <= _NEAR)
        first, second = np.nonzero(np.triu(near))
        row = objective.masses[:, None] * objective.partner
        weights = (row + row.T) / 2.0 * orbits.sizes[:, None] * orbits.partners
        weights /= weights.max()
        snapped = OrbitGram(orbits, np.where(near, kink, gram.cosines))
        slopes = hinge_slopes(objective, snapped, snapped.cosines - kink)
        active = weights * np.where(near, 0.0, slopes)
        inside = 1.0 / np.where(orbits.plural, orbits.sizes - 1.0, np.inf)
        return cls(kink, weights, active, inside, first, second), slopes[first, second]

    def on_kink(self, matrix: Array, numbers: Array) -> Array:
        """(K, K) the matrix with these numbers for the pairs on the kink."""
        filled = matrix.copy()
        filled[self.first, self.second] = filled[self.second, self.first] = numbers
        return filled

    def pull(self, entries: Array, vectors: Array) -> Array:
        """What entries between orbits do to their vectors."""
        return np.column_stack([entries @ vectors[:, :-1], -np.diag(entries) * self.inside * vectors[:, -1]])

    def cosines(self, vectors: Array, others: Array) -> Array:
        """(J,) of the pairs on the kink."""
        i, j = self.first, self.second
        own = np.where(i == j, self.inside[i] * vectors[i, -1] * others[j, -1], 0.0)
        return np.asarray(np.sum(vectors[i, :-1] * others[j, :-1], axis=1) - own)


def _solved(system: _System, start: Array, known: Array, loop: Iteration) -> tuple[float, Array, Array] | None:
    """How far off in cosines, the points and the slopes of the best of a few Newton steps."""
    point, slopes = start, known
    best: tuple[float, Array, Array] | None = None
    idle = 0
    for _ in range(_STEPS):
        point = retract(point, 0.0)
        entries = system.on_kink(system.active, system.weights[system.first, system.second] * slopes)
        force = system.pull(entries, point)
        outward = -np.sum(force * point, axis=1)
        if not outward.min() > 0:
            break
        force += outward[:, None] * point
        heights = system.cosines(point, point) - system.kink
        units = np.sqrt(outward)[:, None]
        across = np.abs((force / units) @ (point / units).T).max()
        along = (np.sqrt(np.sum(force**2, axis=1)) / outward).max()
        off = float(max(across, along, np.abs(heights).max(initial=0.0)))
        loop.note("Newton with pairs held on the kink", off)
        idle = idle + 1 if best is not None and off > 0.5 * best[0] else 0
        if best is None or off < best[0]:
            best = off, point, slopes
        if off < _FINEST or not np.isfinite(off) or idle > _PATIENCE:
            break
        step = _step(system, point, entries, force, outward, heights)
        if step is None:
            break
        point, slopes = point + step[0], slopes + step[1]
    return best


def _step(
    system: _System, point: Array, entries: Array, force: Array, outward: Array, heights: Array
) -> tuple[Array, Array] | None:
    """The Newton step of points and slopes, every orbit in units of sqrt(y)."""
    units, parts = np.sqrt(outward), np.cumsum([point.size, len(point)])
    pairs = np.minimum(units[system.first], units[system.second])

    def parted(unknowns: Array) -> tuple[Array, Array, Array]:
        moves, radial, slopes = np.split(unknowns, parts)
        return moves.reshape(point.shape) / units[:, None], radial * units, slopes * pairs

    def change(unknowns: Array) -> Array:
        moves, radial, slopes = parted(unknowns)
        turned = system.pull(entries, moves) + outward[:, None] * moves + radial[:, None] * point
        turned += system.pull(system.on_kink(np.zeros_like(entries), slopes), point)
        lifted = system.cosines(point, moves) + system.cosines(moves, point)
        return np.concatenate(
            [(turned / units[:, None]).ravel(), units * np.sum(point * moves, axis=1), pairs * lifted]
        )

    right = np.concatenate([(force / units[:, None]).ravel(), np.zeros(len(units)), pairs * heights])
    matrix = np.column_stack([change(unit) for unit in np.eye(len(right))])
    try:
        answer = lstsq(matrix, -right, cond=_FREE, lapack_driver="gelsy", check_finite=False)[0]
    except (LinAlgError, ValueError):
        return None
    moves, _, slopes = parted(answer)
    return (moves, slopes / system.weights[system.first, system.second]) if np.all(np.isfinite(answer)) else None
