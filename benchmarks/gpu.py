"""Gradient descent in JAX on whatever device JAX has: speed, and agreement with everything that does not descend.

- profile: seconds to a certified relative gap of 1e-6 and 1e-9 on real class counts, by descent of full dimension from
  random points, and how far its cosines are from Newton's. Every schedule of the list is a run of its own.
- restarts: how many restarts of Adam a second, side by side (C = 100 in 32 dimensions).
- memory: all 8142 classes of iNaturalist in 128 dimensions: one evaluation of loss and slope.
- threshold: collapse on one side of a critical value and not on the other.
- verdict: the excess over the entropy bound that `realize` certifies.

On a CPU, profiles are scaled down to every n-th class (`classes`, `of`). Runs without cvxpy. The file is
descent_gpu.json or descent_cpu.json.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

from record import Record, parser, say, spread

TARGETS = (1e-6, 1e-9)
TEMPERATURE = 0.1


def place(wanted: str | None) -> tuple[str, str, int]:
    """The platform ("cpu" or "gpu"), what JAX calls the device, and how many there are."""
    from geomsolve.solvers.devices import computing

    with computing(wanted) as where:
        return ("cpu" if where.devices[0].platform == "cpu" else "gpu"), where.name, len(where.devices)


def peak_gib() -> dict[str, float | None]:
    """The most memory so far: of this process, and on the device where JAX keeps count."""
    import jax

    device = [(one.memory_stats() or {}).get("peak_bytes_in_use") for one in jax.local_devices()]
    most = max((number for number in device if number is not None), default=None)
    return {
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "peak_device_gib": None if most is None else most / 2**30,
    }


def thinned(profile: str, most: int) -> tuple[Any, int, int]:
    """Every n-th class of a profile, largest first, at most `most`; how many there are, and of how many."""
    import numpy as np

    import geomsolve as gs

    counts = np.sort(gs.load_counts(profile).per_class)[::-1]
    kept = counts[:: -(-len(counts) // most)]
    return kept, len(kept), len(counts)


def profile(name: str, most: int, schedules: tuple[int, ...], device: str | None) -> dict[str, Any]:
    import numpy as np

    import geomsolve as gs

    counts, classes, total = thinned(name, most)
    objective = gs.SupCon(counts, temperature=TEMPERATURE)
    newton = gs.solve(objective, gs.solvers.Newton())
    clock = time.perf_counter()
    # Enough to compile everything; of thousands of classes, all but the Newton steps.
    gs.solvers.Descent(max_steps=500 if classes <= 1000 else 20, device=device).run(objective)
    first = time.perf_counter() - clock
    times: dict[str, Any] = {f"{target:g}": None for target in TARGETS}
    runs = []
    for steps in schedules:
        clock = time.perf_counter()
        attempt = gs.solvers.Descent(max_steps=steps, device=device).run(objective)
        proof = gs.certify(objective, attempt.gram)
        run = {"max_steps": steps, "seconds": time.perf_counter() - clock, "steps": attempt.steps}
        run |= {"relative_gap": proof.relative_gap, "cosine_residual": proof.cosine_residual}
        run |= {"cosine_difference": float(np.abs(attempt.gram.cosines - newton.orbits.cosines).max())}
        run |= {"message": attempt.message}
        runs.append(run)
        for target in TARGETS:
            if times[f"{target:g}"] is None and proof.relative_gap <= target:
                times[f"{target:g}"] = {"seconds": run["seconds"], "max_steps": steps}
        if all(times.values()):
            break
    return {
        "classes": classes,
        "of": total,
        "scaled_down": classes < total,
        "dim": classes - 1,
        "first_seconds": first,
        "newton_relative_gap": newton.certificate.relative_gap,
        "times": times,
        "runs": runs,
        "agrees": runs[-1]["cosine_difference"] <= 1e-6,
        **peak_gib(),
    }


def restarts(many: int, steps: int, rounds: int, device: str | None) -> dict[str, Any]:
    """Whole schedules of Adam over all restarts at once, warm."""
    import geomsolve as gs
    from geomsolve.solvers.descent import descend

    objective = gs.SupCon(gs.long_tail_counts(100, 1000, 100), temperature=TEMPERATURE)
    seconds = []
    for round_ in range(rounds + 1):
        # A tenth of the steps are Adam's, and as many as there are: nothing is refined after them.
        clock: list[float] = [time.perf_counter()]
        descend(
            objective,
            dim=32,
            restarts=many,
            max_steps=10 * steps,
            tol=1.0,
            seed=round_,
            device=device,
            progress=lambda line, clock=clock: clock.append(time.perf_counter()) if ": Adam" in line else None,
        )
        seconds.append(clock[-1] - clock[0])
    rates = [many / one for one in seconds[1:]]
    return {
        "classes": 100,
        "dim": 32,
        "restarts": many,
        "adam_steps": steps,
        "first_seconds": seconds[0],
        "seconds": spread(seconds[1:]),
        "restarts_per_second": spread(rates),
        **peak_gib(),
    }


def memory(name: str, dim: int, device: str | None) -> dict[str, Any]:
    """Loss and slope once, of all classes, in blocks of rows."""
    import jax
    import numpy as np

    import geomsolve as gs
    from geomsolve.solvers.compiled import block_rows, tools
    from geomsolve.solvers.devices import computing
    from geomsolve.solvers.jax_losses import loss
    from geomsolve.solvers.rowwise import Target

    before = peak_gib()
    objective = gs.SupCon(gs.load_counts(name), temperature=TEMPERATURE)
    classes = int(objective.orbits.atoms)
    with computing(device) as where:
        points = np.random.default_rng(0).standard_normal((classes, dim))
        target = where.one(Target(loss(objective), 1.0, True, block_rows(classes)))
        points = where.one(points / np.linalg.norm(points, axis=1, keepdims=True))
        jax.block_until_ready(tools().slope(target, points))
        clock = time.perf_counter()
        jax.block_until_ready(tools().slope(target, points))
        seconds = time.perf_counter() - clock
    after = peak_gib()
    found = {"classes": classes, "dim": dim, "block_rows": block_rows(classes), "seconds": seconds}
    return {**found, "before": before, **after, "gram_gib": 8 * classes**2 / 2**30}


def threshold_cases(quick: bool) -> dict[str, dict[str, Any]]:
    import geomsolve as gs

    cases: dict[str, dict[str, Any]] = {
        "1 + 3 classes, k = 1": {"builder": gs.GCL, "majority": 1, "minority": 3, "negatives": 1, "temperature": 1.0},
        "1 + 9 classes, k = inf": {"builder": gs.GCL, "majority": 1, "minority": 9, "temperature": 0.5},
        "2 + 8 classes, k = 1, unsupervised": {
            "builder": gs.GCL, "majority": 2, "minority": 8, "negatives": 1, "sampling": "unsupervised",
        },
        "3 + 8 classes, k = 1, unsupervised": {
            "builder": gs.GCL, "majority": 3, "minority": 8, "negatives": 1, "sampling": "unsupervised",
        },
        "1 + 9 classes, k = 16": {"builder": gs.GCL, "majority": 1, "minority": 9, "negatives": 16},
        "SupCon, 1 + 4 classes": {
            "builder": gs.SupCon, "majority": 1, "minority": 4, "per_class": 10, "temperature": 0.5,
        },
        "SupCon, given counts": {"builder": gs.SupCon, "counts": [1000, 300, 100, 30, 10], "temperature": 0.5},
    }  # fmt: skip
    return {"SupCon, 1 + 3 classes": {**cases["SupCon, 1 + 4 classes"], "minority": 3}} if quick else cases


def verdict_cases(quick: bool) -> dict[str, tuple[Any, float]]:
    import numpy as np

    import geomsolve as gs

    line, circle = np.linspace(-1, 1, 10), np.linspace(0, 2 * np.pi, 13)[:12]
    on_circle = 1.3 * 0.8 / np.sqrt(0.4) * np.column_stack([np.cos(circle), np.sin(circle)])
    cases = {
        "y-aware, a line, sigma 0.3": (gs.similarities.y_aware_weights(line, sigma=0.3), 0.5),
        "y-aware, a line, sigma 1, no self-pairs": (
            gs.similarities.y_aware_weights(line, sigma=1.0, self_pairs=False),
            0.5,
        ),
        "y-aware, a circle too large": (gs.similarities.y_aware_weights(on_circle, sigma=0.8), 0.4),
        "soft-supcon, epsilon 0.3": (gs.similarities.soft_supcon_weights([0, 0, 1, 1, 1, 2], epsilon=0.3), 0.5),
        "supcon": (gs.similarities.supcon_weights([0, 0, 1, 1, 1, 2, 2]), 0.5),
        "x-clr": (
            gs.similarities.x_clr_weights(on_circle[:8] / np.linalg.norm(on_circle[0]), label_temperature=0.5),
            0.4,
        ),
    }
    return dict(list(cases.items())[:1]) if quick else cases


def check_threshold(case: dict[str, Any], device: str | None) -> dict[str, Any]:
    import geomsolve as gs

    check = gs.collapse.crosscheck_threshold(**case, device=device)
    sides = [
        {name: getattr(side, name) for name in ("value", "predicted", "opening", "relative_gap", "verdict", "seconds")}
        for side in check.sides
    ]
    return {"value": check.threshold.value, "sides": sides, "agrees": check.agree}


def check_verdict(case: tuple[Any, float], device: str | None) -> dict[str, Any]:
    import geomsolve as gs

    check = gs.similarities.crosscheck_verdict(case[0], temperature=case[1], device=device)
    found = {"verdict": check.realization.verdict.value, "certified_excess": check.realization.excess}
    found |= {"gap": check.realization.gap, "excess": check.excess, "difference": check.difference}
    return {**found, "seconds": check.seconds, "agrees": check.agree}


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--device", choices=("cpu", "gpu"), help="default: what JAX takes by itself")
    options.add_argument(
        "--classes", type=int, help="at most so many of a profile (default 200 on a CPU, all on a GPU)"
    )
    options = options.parse_args()
    kind, name, count = place(options.device)
    if options.device == "gpu" and kind != "gpu":
        say("no GPU that JAX can use: all checks run on the CPU")
    device = options.device
    most, schedules, many, steps, rounds = 10**6, (1000, 2000, 4000), 4096, 400, 3
    if kind == "cpu":
        most, schedules, many, rounds = 200, (500, 1000, 2000, 4000), 16, 2
    if options.quick:
        most, schedules, many, steps, rounds = 4, (500,), 2, 5, 1
    most = options.classes or most
    settings = {"device": name, "devices": count, "kind": kind, "temperature": TEMPERATURE, "most_classes": most}
    settings |= {"schedules": schedules, "objective": "SupCon, 2 views", "delta": 0.02}
    record = Record(f"descent_{kind}", options, key=("check", "name"), settings=settings)
    jobs: list[tuple[str, str, Any]] = []
    jobs += [
        ("threshold", one, lambda c=c: check_threshold(c, device)) for one, c in threshold_cases(options.quick).items()
    ]
    jobs += [("verdict", one, lambda c=c: check_verdict(c, device)) for one, c in verdict_cases(options.quick).items()]
    jobs += [("restarts", "C = 100, d = 32", lambda: restarts(many, steps, rounds, device))]
    if not options.quick:
        jobs += [("memory", "iNaturalist, d = 128", lambda: memory("inaturalist2018", 128, device))]
    for one in ("imagenet_lt", "inaturalist2018"):
        jobs += [("profile", one, lambda p=one: profile(p, most, schedules, device))]
    for check, one, job in jobs:
        if record.has(check=check, name=one):
            continue
        row = job()
        record.add(check=check, name=one, **row)
        say(f"{check}, {one}: " + ("" if "agrees" not in row else "agrees" if row["agrees"] else "does NOT agree"))
    judged = [row for row in record.rows if "agrees" in row]
    agree = sum(row["agrees"] for row in judged)
    record.finish(agree=agree, judged=len(judged))
    return 0 if agree == len(judged) else 1


if __name__ == "__main__":
    sys.exit(main())
