"""Newton's method for a hinge loss whose active set is known: the last digits after a conic solver."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..objectives.base import Objective
from ..objectives.pairwise import Hinge, PairLoss, hinge_slopes
from ..orbits import OrbitGram
from .base import Progress, Termination
from .spheres import gram_of, pull, retract, truncate

Array = NDArray[np.float64]

# Pairs this close to the kink are taken to sit on it; directions below its square root are taken to have vanished.
_NEAR = 1e-5


def polish_kinks(
    objective: Objective, gram: OrbitGram, history: list[dict[str, float]], report: Progress, max_steps: int = 8
) -> tuple[OrbitGram, Termination, str]:
    """A nearby Gram matrix that is stationary to rounding, the pairs on the kink held there.

    Off the kink a hinge loss is linear in the cosines, so with the set J of pairs on the kink known, the optimum solves

        minimise <D, G>  subject to  G_ij = 1 - margin for (i, j) in J,  unit diagonal,  rank as at the start,

    whose first-order conditions (embedding and one multiplier per pair of J) Newton's method solves in least squares:
    rotations, and multipliers that are not unique, drop out as the null space.

    Cost: a dense least-squares problem of size K (rank + 1) + |J| a step; refused above 2500.
    Source: ours (sequential quadratic programming on the factor).
    """
    if not (isinstance(objective, PairLoss) and isinstance(objective.shape, Hinge)):
        return gram, Termination.NOT_APPLICABLE, "Newton needs two derivatives, or a hinge"
    orbits, target = objective.orbits, 1.0 - objective.shape.margin
    counted = orbits.partners > 0
    on_kink = counted & (np.abs(gram.cosines - target) <= _NEAR)
    held = np.argwhere(np.triu(on_kink))
    snapped = OrbitGram(orbits, np.where(on_kink, target, gram.cosines))
    slopes = hinge_slopes(objective, snapped, snapped.cosines - target)
    weights = objective.masses[:, None] * objective.draws.partner
    full = np.where(counted, (weights + weights.T) / 2.0, 0.0)
    active = np.where(on_kink, 0.0, slopes * full)
    multipliers = slopes[held[:, 0], held[:, 1]]
    pairs = orbits.sizes[:, None] * orbits.partners

    root = np.sqrt(np.clip(1.0 - np.diag(gram.cosines), 0.0, None) * (1.0 - 1.0 / np.maximum(orbits.sizes, 1.0)))
    point = truncate(orbits, retract(np.column_stack([gram.mean_factor(), root * orbits.plural]), 0.0), _NEAR)
    size = point.size
    if size + len(held) > 2500:
        return gram, Termination.NOT_APPLICABLE, f"{size + len(held)} unknowns are too many for a dense polish"

    def euclidean(entries: Array, vectors: Array) -> Array:
        return pull(orbits, pairs * entries, np.diag(entries), vectors)

    units = []
    for a, b in held:
        unit = np.zeros_like(full)
        unit[a, b] = unit[b, a] = full[a, b]
        units.append(unit)
    best, best_size = point, np.inf
    for step in range(max_steps):
        entries = active + sum((x * unit for x, unit in zip(multipliers, units, strict=True)), np.zeros_like(full))
        force = euclidean(entries, point)
        radial = np.sum(force * point, axis=1, keepdims=True)

        def tangent(vectors: Array, point: Array = point) -> Array:
            return (vectors - np.sum(vectors * point, axis=1, keepdims=True) * point).ravel()

        columns = [
            tangent(euclidean(entries, direction) - radial * direction)
            for direction in np.eye(size).reshape(size, *point.shape)
        ]
        strength = np.array([2.0 * pairs[a, b] * full[a, b] / (1.0 + (a == b)) for a, b in held])
        error = gram_of(orbits, point).cosines[held[:, 0], held[:, 1]] - target
        unit_rows = np.zeros((len(point), *point.shape))
        unit_rows[np.arange(len(point)), np.arange(len(point))] = point
        # The pull of a held pair is, up to its weight, the gradient of its cosine.
        coupling = np.array([tangent(euclidean(unit, point)) for unit in units]).reshape(len(held), size)
        matrix = np.block(
            [
                [np.column_stack(columns), coupling.T],
                [coupling, np.zeros((len(held), len(held)))],
                [unit_rows.reshape(len(point), size), np.zeros((len(point), len(held)))],
            ]
        )
        residual = np.concatenate([(force - radial * point).ravel(), strength * error, np.zeros(len(point))])
        change = float(np.abs(residual).max() / np.abs(full).max())
        history.append({"step": len(history), "change": change})
        report(f"polishing on the kinks, step {step + 1}: residual {change:.1e}")
        if change < best_size:
            best, best_size = point, change
        if change < 1e-15 or change > 1e3 * best_size:
            break
        # Rotations are null directions only up to the residual: cut well above it.
        answer = np.linalg.lstsq(matrix, -residual, rcond=1e-6)[0]
        point = retract(point, answer[:size].reshape(point.shape))
        multipliers = multipliers + answer[size:]
    done = Termination.CONVERGED if best_size < 1e-10 else Termination.STALLED
    return gram_of(orbits, best), done, f"active set of {len(held)} pairs on the kink"
