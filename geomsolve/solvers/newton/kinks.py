"""The last digits of an optimum of a hinge loss whose pairs on the kink are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, lu_factor, lu_solve

from ...arrays import Array
from ...geometry.orbit_gram import OrbitGram, Orbits
from ...objectives.base import Objective
from ...objectives.batches.pairwise import Hinge, PairLoss, hinge_slopes
from ..base import Iteration, Termination
from ..spheres.spheres import gram_of, retract, truncate

Long = NDArray[np.longdouble]

# Pairs this close to the kink are taken to sit on it.
_NEAR = 1e-5
# Between which directions may have vanished, as shares of the spectrum, and how many guesses of their number are tried.
_FAINTEST, _FAINT = 1e-13, 1e-2
_GUESSES = 2
# Unknowns: a dense factor of so many is a tenth of a second.
_MOST = 1600
# What free directions (rotations, multipliers that are not unique) are held by, and corrections of a solve for it.
_HELD = 1e-8
_REFINED = 4
# Where rounding begins, in cosines, and steps.
_FINEST = 1e-13
_STEPS, _PATIENCE = 12, 2


def polish_kinks(objective: Objective, gram: OrbitGram, loop: Iteration) -> tuple[OrbitGram, Termination, str]:
    """A nearby Gram matrix that is stationary to rounding, the pairs on the kink held there, and their slopes.

    Off the kink a hinge loss is linear in the cosines, so with the set J of pairs on the kink known, the optimum solves

        minimise <D, G>  subject to  G_ij = 1 - margin for (i, j) in J,  unit diagonal,  rank as at the start,

    whose first-order conditions (points v, a slope per pair of J, a multiplier y_a > 0 per orbit) Newton's method
    solves. Orbit a is taken in units of sqrt(y_a), in which rare classes count like frequent ones; and forces, of
    which all but 1e-8 can cancel, are summed in long double. Rotations, and slopes that are not unique, stay as
    they are.

    Cost: a dense factor of size K (rank + 2) + |J| a step; refused above 1600.
    Source: ours (sequential quadratic programming on the factor).
    """
    if not (isinstance(objective, PairLoss) and isinstance(objective.shape, Hinge)):
        return gram, Termination.NOT_APPLICABLE, "Newton needs two derivatives, or a hinge"
    system = _System.of(objective, objective.shape, gram)
    spread = np.sqrt(np.clip(1.0 - np.diag(gram.cosines), 0.0, None) / system.bend * 2.0) * gram.orbits.plural
    raw = retract(np.column_stack([gram.mean_factor(), spread]), 0.0)
    best: tuple[float, Long, Long] | None = None
    for tol in _gaps(gram.orbits, raw):
        start = truncate(gram.orbits, raw, 1, tol)
        if start.size + len(start) + len(system.first) > _MOST:
            continue
        found = _solved(system, start, loop)
        if found is not None and (best is None or found[0] < best[0]):
            best = found
        if best is not None and best[0] < 1e-10:
            break
    if best is None:
        return gram, Termination.NOT_APPLICABLE, f"{raw.size + len(system.first)} unknowns: no polish"
    off, point, slopes = best
    answer = gram_of(gram.orbits, retract(np.asarray(point, dtype=np.float64), 0.0))
    known = np.where(answer.cosines > system.kink, 1.0, 0.0)
    known[system.first, system.second] = known[system.second, system.first] = np.asarray(slopes, dtype=np.float64)
    done = Termination.CONVERGED if off < 1e-8 else Termination.STALLED
    return replace(answer, slopes=known), done, f"{len(system.first)} pairs held on the kink: {off:.1e}"


def _gaps(orbits: Orbits, point: Array) -> list[float]:
    """Where the widest gaps in the spectrum are, spreads included: what is below may have vanished."""
    values = np.linalg.svd(np.sqrt(orbits.sizes)[:, None] * point[:, :-1], compute_uv=False) ** 2
    shares = np.sort(np.concatenate([values, point[orbits.plural, -1] ** 2]))
    shares = np.concatenate([[_FAINTEST], shares[(shares > _FAINTEST) & (shares < _FAINT)], [_FAINT]])
    widths = shares[1:] / shares[:-1]
    return [float(np.sqrt(shares[k] * shares[k + 1])) for k in np.argsort(-widths)[:_GUESSES]]


class _System(NamedTuple):
    """What does not change on the way."""

    orbits: Orbits
    kink: float
    weights: Long  # (K, K) n_a N_ab times what a pair weighs
    active: Long  # (K, K) the same times the slopes, 0 for pairs held on the kink
    bend: Array  # (K,) 2 n / (n - 1): the cosine inside is 1 - bend w^2 / 2
    first: NDArray[np.intp]  # (J,) pairs on the kink
    second: NDArray[np.intp]
    slopes: Array  # (J,)

    @classmethod
    def of(cls, objective: PairLoss, shape: Hinge, gram: OrbitGram) -> _System:
        """Pairs near the kink; where slopes are known, only those that are nearer to it than their slope to 0 or 1."""
        orbits, kink = gram.orbits, 1.0 - shape.margin
        counted = orbits.partners > 0
        above = gram.cosines - kink
        near = np.abs(above) <= _NEAR
        if gram.slopes is not None:
            near &= (np.abs(above) <= 1e-9) | (np.abs(above) <= np.minimum(gram.slopes, 1.0 - gram.slopes))
        first, second = np.nonzero(np.triu(counted & near))
        row = objective.masses[:, None] * objective.partner
        weights = np.where(counted, (row + row.T) / 2.0, 0.0) * orbits.sizes[:, None] * orbits.partners
        slopes = np.where(above > 0, 1.0, 0.0)
        snapped = replace(gram, cosines=np.where(counted & near, kink, gram.cosines))
        known = hinge_slopes(objective, snapped, snapped.cosines - kink)[first, second]
        slopes[first, second] = slopes[second, first] = 0.0
        fewer = np.where(orbits.plural, orbits.sizes - 1.0, 1.0)
        bend = np.where(orbits.plural, 2.0 * orbits.sizes / fewer, 2.0)
        long = np.asarray(weights / weights.max(), dtype=np.longdouble)
        return cls(orbits, kink, long, long * slopes, bend, first, second, known)

    def entries(self, slopes: Long) -> Long:
        """(K, K) what pulls between orbits."""
        entries = self.active.copy()
        entries[self.first, self.second] = self.weights[self.first, self.second] * slopes
        entries[self.second, self.first] = entries[self.first, self.second]
        return entries

    def inside(self, entries: Any) -> Any:
        """(K,) what pulls on the spread: d c_aa = 2 (mu . d mu - w d w / (n - 1))."""
        return -np.diag(entries) * (self.bend / 2.0 - 1.0)

    def heights(self, point: Long) -> Long:
        """(J,) cosines of the held pairs above the kink."""
        cosines = np.sum(point[self.first, :-1] * point[self.second, :-1], axis=1)
        own = 1.0 - self.bend[self.first] / 2.0 * point[self.first, -1] ** 2
        return np.asarray(np.where(self.first == self.second, own, cosines) - self.kink, dtype=np.longdouble)


def _solved(system: _System, start: Array, loop: Iteration) -> tuple[float, Long, Long] | None:
    """How far off in cosines, the points and the slopes of the best of a few Newton steps."""
    point = np.asarray(start, dtype=np.longdouble)
    point /= np.sqrt(np.sum(point**2, axis=1, keepdims=True))
    slopes = np.asarray(system.slopes, dtype=np.longdouble)
    best: tuple[float, Long, Long] | None = None
    idle = 0
    for _ in range(_STEPS):
        entries = system.entries(slopes)
        force = np.column_stack([entries @ point[:, :-1], system.inside(entries) * point[:, -1]])
        outward = -np.sum(force * point, axis=1)
        if not outward.min() > 0:
            break
        force += outward[:, None] * point
        heights = system.heights(point)
        units = np.sqrt(outward)
        across = np.abs((force / units[:, None]) @ (point / units[:, None]).T).max()
        along = (np.sqrt(np.sum(force**2, axis=1)) / outward).max()
        off = float(max(across, along, np.abs(heights).max(initial=0.0)))
        loop.note("Newton with pairs held on the kink", off)
        idle = idle + 1 if best is not None and off > 0.5 * best[0] else 0
        if best is None or off < best[0]:
            best = off, point, slopes
        if off < _FINEST or not np.isfinite(off) or idle > _PATIENCE or (idle and off < 1e-10):
            break
        answer = _step(system, point, entries, force, outward, heights)
        if answer is None:
            break
        point = point + answer[0]
        point /= np.sqrt(np.sum(point**2, axis=1, keepdims=True))
        slopes = slopes + answer[1]
    return best


def _step(
    system: _System, point: Long, entries: Long, force: Long, outward: Long, heights: Long
) -> tuple[Long, Long] | None:
    """The Newton step of points and slopes: symmetric equations, every orbit in units of sqrt(y)."""
    first, second = system.first, system.second
    units = np.sqrt(np.asarray(outward, dtype=np.float64))
    vectors = np.asarray(point, dtype=np.float64)
    count, width = vectors.shape
    size, held = count * width, len(first)
    total = size + count + held
    pulls = np.asarray(entries, dtype=np.float64)
    blocks = (pulls + np.diag(np.asarray(outward, dtype=np.float64))) / units / units[:, None]
    matrix = np.zeros((total, total))
    inner = matrix[:size, :size].reshape(count, width, count, width)
    for k in range(width - 1):
        inner[:, k, :, k] = blocks
    each = np.arange(count)
    inner[each, width - 1, each, width - 1] = 1.0 + np.asarray(system.inside(pulls), dtype=np.float64) / units**2
    rows = np.zeros((count + held, count, width))
    rows[each, each] = vectors
    # The gradient of a held cosine, the larger of its two parts 1.
    larger = np.maximum(units[first], units[second])
    pair = count + np.arange(held)
    means = np.column_stack([vectors[:, :-1], np.zeros(count)])
    rows[pair, first] += (units[second] / larger)[:, None] * means[second]
    rows[pair, second] += (units[first] / larger)[:, None] * means[first]
    own = np.flatnonzero(first == second)
    rows[pair[own], first[own]] = 0.5 * rows[pair[own], first[own]]
    rows[pair[own], first[own], -1] = -(system.bend[first[own]] / 2.0 - 1.0) * vectors[first[own], -1]
    flat = rows.reshape(count + held, size)
    matrix[:size, size:], matrix[size:, :size] = flat.T, flat
    scaled = np.where(first == second, 0.5, 1.0) * units[first] * units[second] / larger
    right = np.concatenate(
        [-np.asarray(force, dtype=np.float64).ravel() / np.repeat(units, width), np.zeros(count), -scaled * heights]
    ).astype(np.float64)
    regular = matrix.copy()
    regular[np.arange(size), np.arange(size)] += _HELD
    regular[np.arange(size, total), np.arange(size, total)] -= _HELD
    try:
        factor = lu_factor(regular, overwrite_a=True, check_finite=False)
    except (LinAlgError, ValueError):
        return None
    answer = np.zeros(total)
    for _ in range(_REFINED):
        answer += lu_solve(factor, right - matrix @ answer, check_finite=False)
    if not np.all(np.isfinite(answer)):
        return None
    moves = answer[:size].reshape(count, width) / units[:, None]
    pulled = answer[size + count :] * units[first] * units[second] / larger
    weights = np.asarray(system.weights[first, second], dtype=np.float64)
    return np.asarray(moves, dtype=np.longdouble), np.asarray(pulled / weights, dtype=np.longdouble)
