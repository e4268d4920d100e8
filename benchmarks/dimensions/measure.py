"""Fewer dimensions than the rank: the best values known beside two lower bounds, known codes, and TSC's own recipe.

SupCon (tau = 0.1, 2 views), equal counts and long-tailed ones of imbalance ratio 100, and the loss that TSC's targets
minimise, mean_i log sum_j e^{t_i.t_j/0.07}; C = 10, 20, 50, 100 in 2, 3, 8, 16 and 32 dimensions. Then sharp codes,
where the bound must be attained, and sphere codes of equal points, the limit of temperature 0 (Tammes' problem), beside
the best known: Sloane's tables of codes in 3 dimensions, and closed forms. Processor seconds, bounds included.
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
# Largest smallest angles in degrees of the best codes known: in 3 dimensions Sloane's tables, elsewhere closed forms.
CODES = {
    (8, 3): 74.8584922, (10, 3): 66.1468220, (12, 3): 63.4349488, (14, 3): 55.6705700, (20, 3): 47.4310362,
    (24, 3): 43.6907671, (50, 3): None, (100, 3): None, (10, 4): 80.4059318, (24, 4): 60.0, (50, 4): None,
    (100, 4): None, (16, 5): math.degrees(math.acos(0.2)), (50, 5): None, (100, 5): None, (27, 6): 75.5224878,
    (1041, 384): None,
}  # fmt: skip


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
    clock = time.process_time()
    found = solution.embed(dim, restarts=restarts)
    seconds = time.process_time() - clock
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
    clock = time.process_time()
    points = tsc_recipe(classes, dim, seed=0)
    seconds = time.process_time() - clock
    gram = gs.OrbitGram.from_matrix(points @ points.T, objective.orbits)
    excess = objective.ungrouped().excess(gram)
    return {"excess": excess, "smallest_angle": smallest_angle(points), "seconds": seconds}


def code(points: int, dim: int) -> dict:
    """Points whose largest cosine is as small as descent finds, of many points within a minute."""
    from geomsolve.solvers import sphere_code

    clock = time.process_time()
    found = sphere_code(points, dim, seconds=60.0 if points * dim > 1000 else None)
    return {
        "cosine": found.cosine, "bound": found.bound, "smallest_angle": found.degrees, "restarts": found.restarts,
        "seconds": time.process_time() - clock,
    }  # fmt: skip


def main() -> None:
    options = parser(__doc__).parse_args()
    import geomsolve as gs

    classes = (10,) if options.quick else CLASSES
    dims = (2, 3) if options.quick else DIMS
    restarts = 4 if options.quick else 160
    settings = {
        "classes": classes, "dims": dims, "temperature": TAU, "tsc_temperature": TSC_TAU, "imbalance": RATIO,
        "restarts": restarts, "tsc_steps": TSC_STEPS, "tsc_rate": TSC_RATE,
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
    for count in classes:
        for dim in dims:
            if dim >= count - 1:
                continue
            balanced, tailed = (gs.SupCon(n, temperature=TAU) for n in ([MOST] * count, long_tail(count)))
            few = restarts if count * dim <= 1600 else max(4, restarts * 2 // 5)
            add("SupCon", "equal", count, dim, embedded, balanced, dim, few)
            add("TSC targets", "equal", count, dim, embedded, tsc_loss(count), dim, few)
            add("SupCon", "long-tailed", count, dim, embedded, tailed, dim, few)
    for count, dim in list(CODES)[:2] if options.quick else CODES:
        add("sphere code", "equal", count, dim, code, count, dim)
    names = (
        "loss", "counts", "classes", "dim", "excess", "sdp_bound", "dimension_bound", "reached", "restarts",
        "second_order", "smallest_angle", "seconds",
    )  # fmt: skip
    head = (
        "loss", "counts", "C", "d", "best value above the floor", "bound of any d", "bound of this d", "starts at it",
        "of", "second order", "smallest angle, degrees", "s",
    )  # fmt: skip
    rows = [row for row in record.rows if row["loss"] != "sphere code"]
    table = Table("Values and bounds", head, [[_digits(row, name) for name in names] for row in rows])
    codes = [
        [
            row["classes"], row["dim"], f"{row['cosine']:.8f}", f"{row['bound']:.8f}", f"{row['smallest_angle']:.5f}",
            (best := CODES[row["classes"], row["dim"]]) and f"{best:.5f}", row["restarts"], row["seconds"],
        ]
        for row in record.rows if row["loss"] == "sphere code"
    ]  # fmt: skip
    head = ("points", "d", "largest cosine", "proved at least", "smallest angle", "best known", "starts", "s")
    exact = [row for row in rows if row["counts"] in [name for *_, name in SHARP]]
    off = max((row["excess"] - row["dimension_bound"] for row in exact), default=None)
    summary = {
        "sharp codes: best value above the bound": off,
        "checked to second order": f"{sum(row.get('second_order') or False for row in rows)} of "
        f"{sum(row.get('second_order') is not None for row in rows)}",
    }
    record.finish(summary, table, Table("Sphere codes", head, codes))


def _digits(row: dict, name: str) -> object:
    return f"{row[name]:.8g}" if name in ("excess", "dimension_bound") and row.get(name) else row.get(name)


if __name__ == "__main__":
    main()
