"""Free features: one vector per sample, prototype and classifier, from a random start to the least loss, in float64.

L-BFGS, then L-BFGS that looks at slopes alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

LBFGS = {"maxiter": 3000, "maxfun": 3000, "maxcor": 30, "ftol": 0.0, "gtol": 1e-13}
# Of the finish by slopes: evaluations at most, and after how many without a slope half as large it ends.
FINISH, PATIENCE = 4000, 100
# Of annealing: temperatures from 1 down, and how far every vector is pushed at random between two of them.
RUNGS, NUDGE = 7, 1e-4


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def descended(problem: Any, both: Any, family: Any, seed: int) -> tuple[np.ndarray, float]:
    """Unit rows, and their loss above its floor; `both` gives value and slope. Call it with 64 bits enabled."""
    rng = np.random.default_rng(seed)
    rows = unit(rng.normal(size=(len(problem.atoms), problem.dim)))
    shape, target = rows.shape, float(problem.data["tau"])
    ladder = np.geomspace(target, max(1.0, target), RUNGS if family.annealed else 1)[::-1]
    for number, temperature in enumerate(ladder):
        data = problem.data | {"tau": temperature}
        if number:
            # Where classes were points at the last temperature, nothing else would let them part.
            rows = unit(rows + NUDGE * rng.normal(size=rows.shape))
        # At low temperature the loss above its floor is tiny: scaled, no threshold of the line search takes it for 0.
        scale = 1.0 / abs(float(both(rows, data)[0]))

        def flat(x: np.ndarray, scale: float = scale, data: dict = data) -> tuple[float, np.ndarray]:
            value, slope = both(x.reshape(shape), data)
            return scale * float(value), scale * np.asarray(slope).ravel()

        rows = unit(minimize(flat, rows.ravel(), jac=True, method="L-BFGS-B", options=LBFGS).x.reshape(shape))
    rows = unit(finish(rows.ravel(), lambda x: flat(x)[1], family.patience or PATIENCE).reshape(shape))
    return rows, flat(rows.ravel())[0] / scale


def finish(x: np.ndarray, slope: Any, patience: int, keep: int = 50) -> np.ndarray:
    """The point of least slope that L-BFGS finds by slopes alone.

    Near a flat optimum the loss changes by less than its rounding, which ends any line search by values; slopes still
    have digits. A step is accepted where the slope along it has fallen in size.
    """
    gradient, pairs, looks = slope(x), [], 1
    best, least, since = x, np.abs(gradient).max(), 1
    while looks < FINISH and looks - since < patience:
        move, factors = -gradient, []
        for s, y in reversed(pairs):
            factors.append(s @ move / (s @ y))
            move -= factors[-1] * y
        if pairs:
            s, y = pairs[-1]
            move *= s @ y / (y @ y)
        else:
            move *= 1e-2 / np.linalg.norm(gradient)
        for (s, y), factor in zip(pairs, reversed(factors), strict=True):
            move += (factor - y @ move / (s @ y)) * s
        before, size = gradient @ move, 1.0
        for _ in range(8):
            ahead = slope(x + size * move)
            looks += 1
            after = ahead @ move
            if abs(after) <= 0.9 * abs(before):
                break
            size *= 2.0 if after < 0 else np.clip(before / (before - after), 0.05, 0.5)
        s, y = size * move, ahead - gradient
        x, gradient = x + s, ahead
        pairs = [*pairs, (s, y)][-keep:] if s @ y > 0 else []
        largest = np.abs(gradient).max()
        if largest < least:
            since = looks if largest < 0.5 * least else since
            best, least = x, largest
        if least == 0.0:
            break
    return best


def error(rows: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference of a cosine, over all pairs of free vectors."""
    return float(np.abs(rows @ rows.T - wanted).max())


def gathered(rows: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """The Gram matrix of the mean directions of the vectors of each atom."""
    member = (atoms == np.arange(atoms.max() + 1)[:, None]).astype(float)
    means = unit(member @ rows)
    return means @ means.T
