"""Fewer dimensions than the rank: the best values known beside two lower bounds, known codes, and TSC's own recipe.

SupCon (tau = 0.1, 2 views), equal counts and long-tailed ones of imbalance ratio 100, and the loss that TSC's targets
minimise, mean_i log sum_j e^{t_i.t_j/0.07}; C = 10, 20, 50, 100 in 2, 3, 8, 16 and 32 dimensions. Then sharp codes,
where the bound must be attained, and largest smallest angles.
"""

from __future__ import annotations

import math
import time

import numpy as np

from ..record import Record, Table, parser, say

TAU, TSC_TAU, RATIO, MOST = 0.1, 0.07, 100, 500
CLASSES, DIMS = (10, 20, 50, 100), (2, 3, 8, 16, 32)
# What TSC's script takes: Adam from normal numbers, 1000 x 128 there.
TSC_STEPS, TSC_RATE = 10_000, 1e-3
TSC_SIZES = ((10, 3), (10, 8), (20, 8), (50, 16), (100, 32))
# (points, dimension, name) of codes whose bound is attained.
SHARP = ((10, 2, "regular polygon"), (12, 3, "icosahedron"), (16, 8, "cross-polytope"), (9, 8, "simplex"))
ANGLES = ((10, 3), (12, 3), (20, 3), (50, 3))
# Largest smallest angles on the sphere, in degrees: of the icosahedron, a closed form; of 10 and 20 points, published.
PUBLISHED = {(10, 3): 66.1468, (12, 3): math.degrees(math.acos(1.0 / math.sqrt(5.0))), (20, 3): 47.4310}


def long_tail(classes: int) -> list[int]:
    """Counts from 500 down to 5, exponentially."""
    return [int(MOST * RATIO ** (-c / (classes - 1))) for c in range(classes)]


def tsc_loss(classes: int):
    """mean_i log sum_j e^{(t_i.t_j - 1)/0.07}: TSC's loss less 1/0.07."""
    import geomsolve as gs
    from geomsolve.objectives.rows.row_softmax import RowSoftmax

    return RowSoftmax(
        orbits=gs.geometry.Orbits(np.array([float(classes)]), np.zeros(classes, dtype=int)),
        masses=np.array([1.0 / classes]),
        weights=np.ones((1, 1)),
        offsets=np.ones(1),
        temperature=TSC_TAU,
        name="TSC targets",
    )


def tsc_recipe(classes: int, dim: int, seed: int) -> np.ndarray:
    """The best points on the way of the authors' script (target_generation.py), in float32 as there."""
    import jax
    import jax.numpy as jnp
    import optax

    def unit(x):
        return x / jnp.linalg.norm(x, axis=1, keepdims=True)

    def loss(x):
        return jnp.mean(jnp.log(jnp.sum(jnp.exp(unit(x) @ unit(x).T / TSC_TAU), axis=1)))

    optimiser = optax.adam(TSC_RATE)

    def step(_, carry):
        x, state, best, least = carry
        value, slope = jax.value_and_grad(loss)(x)
        best, least = jnp.where(value < least, x, best), jnp.minimum(value, least)
        update, state = optimiser.update(slope, state)
        return optax.apply_updates(x, update), state, best, least

    start = jnp.asarray(np.random.default_rng(seed).standard_normal((classes, dim)), dtype=jnp.float32)
    run = jax.jit(lambda x: jax.lax.fori_loop(0, TSC_STEPS, step, (x, optimiser.init(x), x, jnp.float32(100.0))))
    points = np.array(run(start)[2], dtype=np.float64)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def smallest_angle(points: np.ndarray) -> float:
    """Degrees."""
    gram = points @ points.T
    return math.degrees(math.acos(np.clip(gram[np.triu_indices(len(gram), 1)].max(), -1.0, 1.0)))


def embedded(objective, dim: int, restarts: int) -> dict:
    """The best embedding and what is proved of it."""
    import geomsolve as gs

    solution = gs.solve(objective)
    clock = time.perf_counter()
    found = solution.embed(dim, restarts=restarts)
    seconds = time.perf_counter() - clock
    floor = objective.floor
    return {
        "exact": found.exact,
        "value": found.value,
        "excess": found.value - floor,
        "sdp_bound": found.lower_bound - floor,
        "dimension_bound": found.bound_in_dimension - floor,
        "restarts": found.restarts,
        "reached": found.reached,
        "second_order": found.second_order,
        "curvature": found.curvature,
        "residual": found.residual,
        "smallest_angle": smallest_angle(found.points),
        "seconds": seconds,
    }


def recipe(classes: int, dim: int) -> dict:
    """What the authors' recipe finds from one start, at the same loss above the same floor."""
    import geomsolve as gs

    objective = tsc_loss(classes)
    clock = time.perf_counter()
    points = tsc_recipe(classes, dim, seed=0)
    seconds = time.perf_counter() - clock
    gram = gs.OrbitGram.from_matrix(points @ points.T, objective.orbits)
    excess = objective.ungrouped().excess(gram)
    return {"excess": excess, "smallest_angle": smallest_angle(points), "seconds": seconds}


def largest_angle(classes: int, dim: int, restarts: int) -> dict:
    """The largest smallest angle found: sums of e^{t/tau} over pairs, at lower and lower tau, by L-BFGS."""
    from scipy.optimize import minimize

    pairs = np.triu_indices(classes, 1)

    def crowding(flat: np.ndarray, temperature: float) -> tuple[float, np.ndarray]:
        rows = flat.reshape(classes, dim)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        points = rows / length
        cosines = points @ points.T
        np.fill_diagonal(cosines, -np.inf)
        top = cosines.max()
        share = np.exp((cosines - top) / temperature)
        total = share.sum()
        slope = 2.0 * (share / total) @ points
        slope = (slope - np.sum(slope * points, axis=1, keepdims=True) * points) / length
        return top + temperature * math.log(total), slope.ravel()

    angles = []
    rng = np.random.default_rng(0)
    for _ in range(restarts):
        flat = rng.standard_normal(classes * dim)
        for temperature in (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001):
            options = {"maxiter": 400, "ftol": 1e-15, "gtol": 1e-9}
            flat = minimize(crowding, flat, args=(temperature,), jac=True, method="L-BFGS-B", options=options).x
        rows = flat.reshape(classes, dim)
        cosines = rows @ rows.T / np.outer(*[np.linalg.norm(rows, axis=1)] * 2)
        angles.append(math.degrees(math.acos(cosines[pairs].max())))
    reached = int(np.sum(np.array(angles) > max(angles) - 1e-3))
    return {"smallest_angle": max(angles), "restarts": restarts, "reached": reached}


def main() -> None:
    options = parser(__doc__).parse_args()
    import geomsolve as gs

    classes = (10,) if options.quick else CLASSES
    dims = (2, 3) if options.quick else DIMS
    restarts = 4 if options.quick else 16
    settings = {
        "classes": classes, "dims": dims, "temperature": TAU, "tsc_temperature": TSC_TAU, "imbalance": RATIO,
        "restarts": restarts, "tsc_steps": TSC_STEPS, "tsc_rate": TSC_RATE,
        "published_angles": list(PUBLISHED.values()),
    }  # fmt: skip
    record = Record("dimensions", __doc__, options, key=("loss", "counts", "classes", "dim"), settings=settings)

    def add(loss: str, counts: str, count: int, dim: int, call, *arguments) -> None:
        if record.has(loss=loss, counts=counts, classes=count, dim=dim):
            return
        clock = time.perf_counter()
        record.add(loss=loss, counts=counts, classes=count, dim=dim, **call(*arguments))
        say(f"{loss}, {counts}, C = {count}, d = {dim}: {time.perf_counter() - clock:.1f} s")

    for count, dim, name in SHARP[:1] if options.quick else SHARP:
        loss = gs.GCL([1] * count, negatives=1, temperature=TAU)
        add("InfoNCE, k = 1", name, count, dim, embedded, loss, dim, 4)
    for count, dim in () if options.quick else TSC_SIZES:
        add("TSC targets", "authors' recipe", count, dim, recipe, count, dim)
    for count, dim in ANGLES[:1] if options.quick else ANGLES:
        add("largest angle", "equal", count, dim, largest_angle, count, dim, restarts)
    for count in classes:
        for dim in dims:
            if dim >= count - 1:
                continue
            balanced, tailed = (gs.SupCon(n, temperature=TAU) for n in ([MOST] * count, long_tail(count)))
            few = restarts if count * dim <= 1000 else max(4, restarts // 2)
            add("SupCon", "equal", count, dim, embedded, balanced, dim, few)
            add("TSC targets", "equal", count, dim, embedded, tsc_loss(count), dim, few)
            add("SupCon", "long-tailed", count, dim, embedded, tailed, dim, 2 * few)
    names = (
        "loss", "counts", "classes", "dim", "excess", "sdp_bound", "dimension_bound", "reached", "restarts",
        "second_order", "smallest_angle", "seconds",
    )  # fmt: skip
    head = (
        "loss", "counts", "C", "d", "best value above the floor", "bound of any d", "bound of this d", "starts at it",
        "of", "second order", "smallest angle, degrees", "s",
    )  # fmt: skip
    table = Table("Values and bounds", head, [[row.get(one) for one in names] for row in record.rows])
    exact = [row for row in record.rows if row["counts"] in [name for *_, name in SHARP]]
    off = max((row["excess"] - row["dimension_bound"] for row in exact), default=None)
    record.finish({"sharp codes: best value above the bound": off}, table)


if __name__ == "__main__":
    main()
