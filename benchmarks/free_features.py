"""Free features under every convex loss of `geomsolve.training.losses_jax`: does training reach the certified optimum?

One free vector per sample (and prototype, and classifier) from a random start, in float64: Adam with a cosine schedule,
then L-BFGS, then L-BFGS that looks at slopes alone. The cosine of any two vectors is held against that of the certified
optimum.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from statistics import median
from typing import Any

import numpy as np
from record import Record, parser, say

AIM = 1e-3
TEMPERATURES = (0.1, 0.2, 0.5, 1.0)
VECTORS, ADAM_STEPS, ADAM_RATE = 20, 400, 0.1
LBFGS = {"maxiter": 3000, "maxfun": 3000, "maxcor": 30, "ftol": 0.0, "gtol": 1e-13}
# Of the finish by slopes: evaluations at most, and after how many without a slope half as large it ends.
FINISH, PATIENCE = 4000, 100
# Of annealing: temperatures from 1 down, and how far every vector is pushed at random between two of them.
RUNGS, NUDGE = 7, 1e-4
SEED = 20


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


def measure(name: str, vectors: int, steps: int) -> list[dict]:
    """The rows of one loss, for the record."""
    import jax
    from free_losses import families

    import geomsolve as gs

    family = families()[name]
    rng, found = np.random.default_rng(SEED), []
    with jax.enable_x64(True):
        step, start = trainer(family, steps)
        # Few shapes, many counts: every shape is compiled once.
        for number in range(vectors):
            shape = family.shapes[number * len(family.shapes) // max(vectors, len(family.shapes))]
            temperature, counts = TEMPERATURES[number % len(TEMPERATURES)], family.counts(shape, rng)
            problem = family.problem(counts, temperature, number)
            solution = gs.solve(problem.objective, throw=False)
            wanted = np.asarray(solution.gram)[np.ix_(problem.atoms, problem.atoms)]
            # The same loss with every class held in one point, where that is another problem.
            near = None
            if problem.points is not None:
                near = np.asarray(gs.solve(problem.points, throw=False).gram)
                near = near[np.ix_(problem.classes, problem.classes)]
            clock = time.perf_counter()
            stages, took = train(
                problem, step, start, steps=steps, seed=number, annealed=family.annealed, patience=family.patience
            )
            seconds, rows = time.perf_counter() - clock, stages["finish"]
            proof = gs.certify(problem.objective, gathered(rows, problem.atoms))
            found.append(
                {
                    "loss": name,
                    "text": family.text,
                    "vector": number,
                    "counts": counts.tolist(),
                    "temperature": temperature,
                    "quality": solution.quality.value,
                    "error": error(rows, wanted),
                    "error_after_adam": error(stages["adam"], wanted),
                    "error_after_lbfgs": error(stages["lbfgs"], wanted),
                    "to_class_points": None if near is None else error(rows, near),
                    "gap": proof.gap,
                    "relative_gap": proof.relative_gap,
                    "above_optimum": took["excess"] + problem.objective.floor - solution.value,
                    "adam_steps": steps,
                    "evaluations": took["evaluations"],
                    "finish_evaluations": took["finish_evaluations"],
                    "seconds": seconds,
                    "annealed": family.annealed,
                    "patience": family.patience or PATIENCE,
                }
            )
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--only", nargs="*", help="losses whose name begins like this")
    options.add_argument("--again", action="store_true", help="with --resume, measure those of --only once more")
    options.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    options = options.parse_args()
    from free_losses import families

    chosen = [name for name in families() if not options.only or name.startswith(tuple(options.only))]
    vectors, steps = (1, 50) if options.quick else (VECTORS, ADAM_STEPS)
    if options.quick and not options.only:
        chosen = ["sup_con, 2 views", "weighted_sup_con, class"]
    settings = {
        "aim": AIM,
        "temperatures": TEMPERATURES,
        "vectors": vectors,
        "adam_steps": steps,
        "adam_rate": ADAM_RATE,
        "lbfgs": LBFGS,
        "finish": FINISH,
        "patience": PATIENCE,
        "seed": SEED,
    }
    record = Record("free_features", options, key=("loss",), settings=settings, any_commit=True)
    if options.again:
        record.data["rows"] = [row for row in record.rows if row["loss"] not in chosen]
    left = [name for name in chosen if not record.has(loss=name)]
    # The arrays are small: threads would only wait for one another. The workers read this when they import numpy.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(measure, name, vectors, steps) for name in left]):
            if done.exception():
                pool.shutdown(cancel_futures=True)
            mine = done.result()
            for row in mine:
                record.add(**row, commit=record.data["versions"]["commit"])
            errors = [row["error"] for row in mine]
            say(
                f"{mine[0]['loss']}: worst {max(errors):.1e}, median {median(errors):.1e}, "
                f"{sum(row['quality'] == 'certified' for row in mine)} of {len(mine)} certified, "
                f"{sum(row['seconds'] for row in mine):.0f} s"
            )
    names = list(families())
    record.rows.sort(key=lambda row: (names.index(row["loss"]), row["vector"]))
    record.finish(
        worst=max(row["error"] for row in record.rows),
        within_aim=sum(row["error"] <= AIM for row in record.rows),
        certified=sum(row["quality"] == "certified" for row in record.rows),
        rows=len(record.rows),
    )


if __name__ == "__main__":
    main()
