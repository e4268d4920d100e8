"""Descent below the rank beside plain L-BFGS: the same formula, the same start, stopped at the same value.

SupCon (tau = 0.1, 2 views). The reference is scipy's L-BFGS-B on normalised rows with the loss above its floor scaled
to 1, float64, 400 evaluations; optax's is `optax.lbfgs` on the loss in JAX, as many steps. Ours, in NumPy beside
scipy's and on the same loss in JAX beside optax's, goes on to its own end; `to its value` are the seconds until ours is
no more than a hundred millionth above what the other ended with (none where the start leads to another local minimum).
Processor seconds, one thread, without compilation. `solve --dim` is what that does by itself, without a bound.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy.optimize import minimize

from ..record import Record, Table, parser, say

CASES = (("cifar100_lt:100", 64), ("places_lt", 128), ("imagenet_lt", 128))
EVALUATIONS = 400


def scipys(loss: Any, start: np.ndarray, evaluations: int) -> tuple[float, float]:
    """The least value above the floor, and processor seconds."""
    shape, scale = start.shape, loss.slope(start)[0]
    least = [scale]

    def function(flat: np.ndarray) -> tuple[float, np.ndarray]:
        rows = flat.reshape(shape)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        points = rows / lengths
        value, slope = loss.slope(points)
        least.append(value)
        slope = (slope - np.sum(slope * points, axis=1, keepdims=True) * points) / lengths
        return value / scale, (slope / scale).ravel()

    clock = time.process_time()
    options = {"maxfun": evaluations, "maxiter": evaluations, "maxcor": 10, "ftol": 1e-10, "gtol": 1e-10}
    minimize(function, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return min(least), time.process_time() - clock


def in_jax(objective: Any, start: np.ndarray, steps: int) -> dict[str, Any]:
    """`optax.lbfgs` with its zoom search, so many steps, and ours on the same loss in JAX until it is below."""
    import jax
    import jax.numpy as jnp
    import optax

    from geomsolve.solvers.descent.jax_descent import JaxLoss, computing

    with computing("cpu") as place:
        loss = JaxLoss(objective, place)

        def excess(rows):
            points = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
            return jnp.log(loss.loss(points @ points.T))

        optimiser = optax.lbfgs(memory_size=10)
        value_and_grad = optax.value_and_grad_from_state(excess)

        @jax.jit
        def step(rows, state):
            value, slope = value_and_grad(rows, state=state)
            update, state = optimiser.update(slope, state, rows, value=value, grad=slope, value_fn=excess)
            return optax.apply_updates(rows, update), state

        rows = jnp.asarray(start)
        state = optimiser.init(rows)
        jax.block_until_ready(step(rows, state))  # compiled
        clock = time.process_time()
        for _ in range(steps):
            rows, state = step(rows, state)
        value = float(jnp.exp(excess(rows)))
        seconds = time.process_time() - clock
        loss.slope(start)  # compiled
        _, _, reached = ours(loss, None, start, value)
        return {"optax": value, "optax_seconds": seconds, "jax_reached": reached}


def ours(loss: Any, rough: Any, start: np.ndarray, reference: float) -> tuple[float, float, float | None]:
    """The value above the floor at the end, its processor seconds, and those to the reference's value."""
    from geomsolve.solvers.descent.factor_descent import minimise

    clock, reached = time.process_time(), list[float]()

    class Watched:
        def __init__(self, inner: Any):
            self.inner, self.pulls = inner, inner.pulls

        def slope(self, points: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = self.inner.slope(points)
            if not reached and value <= reference * (1.0 + 1e-8):
                reached.append(time.process_time() - clock)
            return value, slope

    watched = rough and Watched(rough)
    found = minimise(Watched(loss), [start], positive=True, rough=watched, gain=5e-5, polish=False)
    return found.excess, time.process_time() - clock, reached[0] if reached else None


def default(solution: Any, dim: int) -> tuple[float, float, str]:
    """What `embed` does by itself: the value above the floor, processor seconds, and what it says."""
    from geomsolve.solvers import embed

    clock = time.process_time()
    found = embed(solution, dim, bound=False)
    return found.value - solution.objective.floor, time.process_time() - clock, found.how


def main() -> int:
    options = parser(__doc__).parse_args()
    import geomsolve as gs
    from geomsolve.solvers.descent.point_losses import point_loss

    settings = {"temperature": 0.1, "evaluations": EVALUATIONS}
    record = Record("dimensions/descent", __doc__, options, key=("counts",), settings=settings)
    for counts, dim in CASES[:1] if options.quick else CASES:
        if record.has(counts=counts):
            continue
        objective = gs.SupCon(gs.load_counts(counts), temperature=0.1)
        solution = gs.solve(objective)
        start = np.random.default_rng(0).standard_normal((round(objective.orbits.atoms), dim))
        start /= np.linalg.norm(start, axis=1, keepdims=True)
        value, seconds = scipys(point_loss(objective), start, EVALUATIONS)
        end, whole, reached = ours(point_loss(objective), point_loss(objective, np.float32), start, value)
        best, alone, how = default(solution, dim)
        record.add(
            counts=counts, dim=dim, full=solution.certificate.excess, scipy=value, scipy_seconds=seconds, ours=end,
            ours_seconds=whole, to_reference=reached, default=best, default_seconds=alone, how=how,
            **in_jax(objective, start, EVALUATIONS),
        )  # fmt: skip
        say(f"{counts}: scipy {value:.7g} in {seconds:.1f} s, ours there in {reached and round(reached, 1)} s")
    names = (
        "counts", "dim", "full", "scipy", "scipy_seconds", "to_reference", "ours", "ours_seconds", "optax",
        "optax_seconds", "jax_reached", "default", "default_seconds", "how",
    )  # fmt: skip
    head = (
        "counts", "d", "optimum of any d", "scipy", "s", "ours to its value, s", "ours", "s", "optax", "s",
        "ours in JAX to its value, s", "solve --dim", "s", "what it says",
    )  # fmt: skip
    rows = [[f"{one:.8g}" if name in ("full", "scipy", "ours", "optax", "default") else one for name, one in
             ((name, row[name]) for name in names)] for row in record.rows]  # fmt: skip
    faster = {
        name: ", ".join(f"{row[there] / row[here]:.1f}" for row in record.rows if row[here])
        for name, there, here in (
            ("times faster to scipy's value", "scipy_seconds", "to_reference"),
            ("times faster to optax's value, both in JAX", "optax_seconds", "jax_reached"),
        )
    }
    record.finish(
        faster,
        Table("Loss above its floor", head, rows),
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
