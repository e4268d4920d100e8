"""Newton's method on the optimality conditions, with residuals in extended precision and a Jacobian in float64.

With F the forces of a loss (`LogSums.forces`) and n the orbit sizes, unknown are the cosines and a dual factor V of
q columns, one row v_a for each atom of orbit a, so that S = V V^T:

    F_ab / (n_a n_b) = v_a . v_b  (a != b),      F_aa / (n_a (n_a - 1)) = v_a . v_a,      G V = 0.

Pairs inside a closed orbit (cosine 1) have no equation. q is the number of dimensions that the orbits' means lose, 1
where nothing collapses; for q > 1 the factor may be turned, V -> V Q, and bordering holds it. q = 0 is an optimum at
which no force is left (weights that a geometry attains): F = 0.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning, lu_factor, lu_solve

from ..arrays import Array
from .ball_arithmetic import flint
from .logsums import LogSums

Balls = list[list[Any]]

_MOST_STEPS = 60


@dataclass(frozen=True, eq=False)
class Refined:
    """Where Newton's method stopped.

    Attributes:
        cosines: (K, K) exact numbers (balls without radius).
        steps: Newton steps taken.
        change: the largest change of a cosine in the last step, as a power of 10.
    """

    cosines: Balls
    steps: int
    change: float


@dataclass(frozen=True, eq=False)
class _Layout:
    """Which pairs of orbits are unknown, and where they stand."""

    sizes: Array
    closed: NDArray[np.bool_]

    @property
    def pairs(self) -> NDArray[np.intp]:
        count = len(self.sizes)
        free = (self.sizes > 1) & ~self.closed
        return np.array([(a, b) for a in range(count) for b in range(a, count) if a != b or free[a]], dtype=np.intp)

    @property
    def places(self) -> NDArray[np.intp]:
        count, pairs = len(self.sizes), self.pairs
        found = np.full((count, count), -1, dtype=np.intp)
        found[pairs[:, 0], pairs[:, 1]] = found[pairs[:, 1], pairs[:, 0]] = np.arange(len(pairs))
        return found


def refine(loss: LogSums, cosines: Balls, closed: NDArray[np.bool_], width: int, digits: int) -> Refined | None:
    """The solution of the conditions near a guess, to so many digits after the point; None where steps do not shrink.

    Nothing of it is trusted: `verify` proves what it says of these cosines by itself.

    Args:
        loss: the loss.
        cosines: the guess.
        closed: (K,) orbits in one point, held there.
        width: q.
        digits: where to stop; the working precision must be larger.

    Cost: with M unknown (K (K + 1)/2 + K q), O(M^3) in float64 once or twice, and K^2 exponentials a step.
    """
    sizes = np.array(loss.sizes, dtype=float)
    layout = _Layout(sizes, closed)
    pairs, places = layout.pairs, layout.places
    norms = np.where(np.eye(len(sizes)) > 0, sizes * np.maximum(sizes - 1.0, 1.0), sizes * sizes[:, None])
    point = [[x.mid() for x in row] for row in cosines]
    for a in np.flatnonzero(closed | (sizes == 1)):
        point[a][a] = flint().arb(1)
    factor = _start(loss, point, width)
    if factor is None:
        return None
    solve, before, steps = None, np.inf, 0
    while steps < _MOST_STEPS:
        if solve is None:
            solve = _factored(loss, layout, places, norms, point, factor)
            if solve is None:
                return None
        residual, exponent = _residual(loss, pairs, norms, point, factor, solve.scales)
        if residual is None:
            return None
        step = solve(residual)
        if not np.all(np.isfinite(step)):
            return None
        size = float(np.abs(step).max())
        log_size = (np.log10(size) if size > 0 else -400.0) + exponent
        steps += 1
        _move(point, factor, pairs, step * solve.units, exponent, damping=min(1.0, 0.3 * 10.0**-log_size))
        if log_size < -digits:
            return Refined(point, steps, log_size)
        if log_size > before - 4.0:
            if steps > 8 and log_size > before - 0.3:
                return None
            solve = None  # the Jacobian is too far away
        before = log_size
    return None


def _start(loss: LogSums, point: Balls, width: int) -> Balls | None:
    """(K, q) a dual factor from S, every row in units of its own diagonal."""
    sizes = np.array(loss.sizes, dtype=float)
    if width == 0:
        return [[] for _ in sizes]
    if width == 1 and loss.pulls:
        return [[flint().arb(x)] for x in _balance(loss, point).tolist()]
    matrix = slack(loss.forces(point), point)
    own = np.array([float(matrix[a][a].mid()) for a in range(len(sizes))])
    if not 1e-290 < own.max() < np.inf:
        return None
    outward = np.sqrt(np.maximum(own, 1e-30 * own.max()))
    if width == 1:
        return [[flint().arb(x)] for x in (outward / sizes).tolist()]
    form = np.array([[float(x.mid()) for x in row] for row in matrix]) / outward / outward[:, None]
    values, vectors = np.linalg.eigh((form + form.T) / 2.0)
    kept = vectors[:, -width:] * np.sqrt(np.maximum(values[-width:], 1e-30))
    return [[flint().arb(x) for x in row] for row in (kept * (outward / sizes)[:, None]).tolist()]


def _balance(loss: LogSums, point: Balls) -> Array:
    """(K,) weights u with G u = 0, of the size that the forces between orbits ask for: D_ab = u_a u_b.

    Where atoms attract each other, a small repulsion is lost in the difference from which S_aa is made.
    """
    sizes = np.array(loss.sizes, dtype=float)
    cosines = np.array([[float(x.mid()) for x in row] for row in point])
    forces = np.array([[float(x.mid()) for x in row] for row in loss.forces(point)]) / sizes / sizes[:, None]
    root = np.sqrt(sizes)
    means = cosines * root * root[:, None]
    np.fill_diagonal(means, 1.0 + (sizes - 1.0) * np.diag(cosines))
    kernel = np.abs(np.linalg.eigh(means)[1][:, 0]) / root
    kernel = np.maximum(kernel, 1e-12 * kernel.max())
    pulled = np.zeros(forces.shape, dtype=bool)
    for a, b in loss.pulls:
        pulled[a, b] = pulled[b, a] = True
    pushed = (forces > 0) & ~pulled & ~np.eye(len(sizes), dtype=bool)
    if not pushed.any():
        pushed = forces > 0
    ratios = (forces / kernel / kernel[:, None])[pushed]
    return kernel * np.sqrt(np.median(ratios)) if ratios.size else kernel


def slack(forces: Balls, cosines: Balls) -> Balls:
    """(K, K) S summed over the pairs of atoms of two orbits: x^T S x for x constant on orbits."""
    found = [list(row) for row in forces]
    for a, row in enumerate(forces):
        found[a][a] = row[a] - sum((f * c for f, c in zip(row, cosines[a], strict=True)), flint().arb(0))
    return found


class _Factored:
    """The Jacobian, factorised: rows and columns scaled to one, and bordered."""

    def __init__(self, matrix: Array, scales: Array, border: Array, units: Array, free: bool) -> None:
        count, extra = len(scales), border.shape[1]
        self.scales, self.units, self._extra = scales, units, extra
        inner = matrix[:count, :count]
        inner *= units
        self._rows = np.abs(inner).max(axis=1)
        self._rows[self._rows == 0] = 1.0
        inner /= self._rows[:, None]
        matrix[:count, count:], matrix[count:, :count] = border, border.T
        # Without a factor the optima can be a family: the nearest one of it, then.
        self._inverse = np.linalg.pinv(matrix, rcond=1e-12) if free else None
        self._lu = None if free else lu_factor(matrix, overwrite_a=True)

    def __call__(self, residual: Array) -> Array:
        """The step that would cancel the residual."""
        right = np.append(-residual / self._rows, np.zeros(self._extra))
        found = self._inverse @ right if self._inverse is not None else lu_solve(self._lu, right)
        return np.asarray(found[: len(residual)])


def _factored(
    loss: LogSums, layout: _Layout, places: NDArray[np.intp], norms: Array, point: Balls, factor: Balls
) -> _Factored | None:
    pairs, sizes, width = layout.pairs, layout.sizes, len(factor[0])
    count, number = len(sizes), len(pairs)
    rows = np.array([[float(x.mid()) for x in row] for row in factor]).reshape(len(factor), len(factor[0]))
    cosines = np.array([[float(x.mid()) for x in row] for row in point])
    hessian = np.zeros((number, number))
    for a, term, _, _, shares in loss.shares(point):
        where = [b for b in shares if places[a, b] >= 0]
        if not where:
            continue
        q = np.array([float(shares[b].mid()) for b in where])
        tau, index = float(term.tau.mid()), places[a, where]
        half = np.where(np.array(where) == a, 1.0, 0.5) * float(term.factor.mid()) / tau**2
        hessian[index[:, None], index] += half[:, None] * (np.diag(q) - np.outer(q, q))
    norm = norms[pairs[:, 0], pairs[:, 1]]
    hessian /= norm[:, None]
    length = np.sqrt(np.sum(rows**2, axis=1))
    heights = np.abs(np.diag(hessian)) + length[pairs[:, 0]] * length[pairs[:, 1]]
    if not heights.min() > 0:
        return None
    weight = float(sizes @ length) or 1.0
    turns = [(i, j) for i in range(width) for j in range(i)]
    unknown = number + count * width
    matrix = np.zeros((unknown + len(turns),) * 2)
    matrix[:number, :number] = hessian / heights[:, None]
    for p, (a, b) in enumerate(pairs.tolist()):
        for i in range(width):
            matrix[p, number + a * width + i] -= rows[b, i] / heights[p]
            matrix[p, number + b * width + i] -= rows[a, i] / heights[p]
            matrix[number + a * width + i, p] += (sizes[b] - (a == b)) * rows[b, i] / weight
            if a != b:
                matrix[number + b * width + i, p] += sizes[a] * rows[a, i] / weight
    means = cosines * sizes
    means[np.diag_indices(count)] = 1.0 + (sizes - 1.0) * np.diag(cosines)
    matrix[number:unknown, number:unknown] += np.kron(means, np.eye(width)) / weight
    units = np.append(np.ones(number), np.repeat(np.maximum(length, 1e-12 * length.max()), width))
    border = np.zeros((unknown, len(turns)))
    for t, (i, j) in enumerate(turns):
        turned = np.zeros_like(rows)
        turned[:, i], turned[:, j] = rows[:, j], -rows[:, i]
        border[number:, t] = (turned / np.maximum(length, 1e-300)[:, None]).ravel()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", LinAlgWarning)
            return _Factored(matrix, np.append(heights, np.full(count * width, weight)), border, units, width == 0)
    except (LinAlgWarning, np.linalg.LinAlgError, ValueError):
        return None


def _residual(
    loss: LogSums, pairs: NDArray[np.intp], norms: Array, point: Balls, factor: Balls, scales: Array
) -> tuple[Array | None, int]:
    """The residual in units of cosine, times a power of 10 so that the largest is near 1; with its exponent."""
    module = flint()
    arb, sizes, width = module.arb, loss.sizes, len(factor[0])
    forces = loss.forces(point)
    upright = module.arb_mat(len(sizes), max(width, 1), [x for row in factor for x in row] or [0] * len(sizes))
    inner = upright * upright.transpose()
    found = []
    for p, (a, b) in enumerate(pairs.tolist()):
        found.append((forces[a][b] / int(norms[a, b]) - inner[a, b]).mid() / arb(scales[p]))
    means = [[sizes[b] * x for b, x in enumerate(row)] for row in point]
    for a, row in enumerate(means):
        row[a] = 1 + (sizes[a] - 1) * point[a][a]
    product = module.arb_mat(means) * upright
    found += [product[a, i].mid() / arb(scales[-1]) for a in range(len(sizes)) for i in range(width)]
    largest = max((abs(x.mid()) for x in found), default=arb(0))
    if not largest.is_finite():
        return None, 0
    if not largest > 0:
        return np.zeros(len(found)), -400
    exponent = int(float((largest.log() / arb(10).log()).mid()))
    power = arb(10) ** (-exponent)
    return np.array([float((x * power).mid()) for x in found]), exponent


def _move(point: Balls, factor: Balls, pairs: NDArray[np.intp], step: Array, exponent: int, damping: float) -> None:
    """Cosines and factor moved by damping * step * 10^exponent."""
    arb = flint().arb
    power = arb(10) ** exponent * arb(damping)
    for p, (a, b) in enumerate(pairs.tolist()):
        point[a][b] = point[b][a] = (point[a][b] + arb(float(step[p])) * power).mid()
    width = len(factor[0])
    for a, row in enumerate(factor):
        for i in range(width):
            row[i] = (row[i] + arb(float(step[len(pairs) + a * width + i])) * power).mid()
