"""Free features under every convex loss of `geomsolve.training.losses`: does training reach the certified optimum?

One free vector per sample (and prototype, and classifier) from a random start, in float64: Adam with a cosine schedule,
then L-BFGS, then L-BFGS that looks at slopes alone. The cosine of any two vectors is held against that of the certified
optimum.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

AIM = 1e-3
ADAM_RATE = 0.1
LBFGS = {"maxiter": 3000, "maxfun": 3000, "maxcor": 30, "ftol": 0.0, "gtol": 1e-13}
# Of the finish by slopes: evaluations at most, and after how many without a slope half as large it ends.
FINISH, PATIENCE = 4000, 100
# Of annealing: temperatures from 1 down, and how far every vector is pushed at random between two of them.
RUNGS, NUDGE = 7, 1e-4


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def trainer(family: Any, steps: int) -> Any:
    """A jitted step of Adam with the loss and its slope: one compilation per shape, for L-BFGS too."""
    import jax
    import optax

    adam = optax.adam(optax.cosine_decay_schedule(ADAM_RATE, steps), eps=1e-30)
    value = partial(jax.value_and_grad, argnums=0)(family.value)

    @jax.jit
    def step(rows: Any, memory: Any, data: dict) -> tuple:
        loss, slope = value(rows, data)
        move, memory = adam.update(slope, memory)
        return loss, slope, optax.apply_updates(rows, move), memory

    return step, adam.init


def train(
    problem: Any, step: Any, start: Any, *, steps: int, seed: int, annealed: bool = False, patience: int | None = None
) -> tuple[dict[str, np.ndarray], dict]:
    """Unit rows after Adam, L-BFGS and the finish, and what they took. Call it with 64 bits enabled."""
    from scipy.optimize import minimize

    rows = unit(np.random.default_rng(seed).normal(size=(len(problem.atoms), problem.dim)))
    rng = np.random.default_rng(seed + 1)
    target = float(problem.data["tau"])
    ladder = np.geomspace(target, max(1.0, target), RUNGS if annealed else 1)[::-1]
    memory = initial = start(rows)
    data = problem.data | {"tau": ladder[0]}
    for _ in range(steps):
        _, _, rows, memory = step(rows, memory, data)
    adam = lbfgs = unit(np.asarray(rows))
    looks = 0
    for number, temperature in enumerate(ladder):
        data = problem.data | {"tau": temperature}
        if number:
            # Where classes were points at the last temperature, nothing else would let them part.
            lbfgs = unit(lbfgs + NUDGE * rng.normal(size=lbfgs.shape))
        # At low temperature the loss above its floor is tiny: scaled, no threshold of the line search takes it for 0.
        scale = 1.0 / abs(float(step(lbfgs, initial, data)[0]))

        def flat(x: np.ndarray, scale: float = scale, data: dict = data) -> tuple[float, np.ndarray]:
            value, slope, *_ = step(x.reshape(adam.shape), initial, data)
            return scale * float(value), scale * np.asarray(slope).ravel()

        found = minimize(flat, lbfgs.ravel(), jac=True, method="L-BFGS-B", options=LBFGS)
        lbfgs, looks = unit(found.x.reshape(adam.shape)), looks + int(found.nfev)
    last, more = finish(lbfgs.ravel(), lambda x: flat(x)[1], patience or PATIENCE)
    rows = unit(last.reshape(adam.shape))
    took = {"evaluations": looks, "finish_evaluations": more, "excess": flat(rows.ravel())[0] / scale}
    return {"adam": adam, "lbfgs": lbfgs, "finish": rows}, took


def finish(x: np.ndarray, slope: Any, patience: int = PATIENCE, keep: int = 50) -> tuple[np.ndarray, int]:
    """The point of least slope that L-BFGS finds by slopes alone, and how many it looked at.

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
    return best, looks


def error(rows: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference of a cosine, over all pairs of free vectors."""
    return float(np.abs(rows @ rows.T - wanted).max())


def gathered(rows: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """The Gram matrix of the mean directions of the vectors of each atom."""
    member = (atoms == np.arange(atoms.max() + 1)[:, None]).astype(float)
    means = unit(member @ rows)
    return means @ means.T
