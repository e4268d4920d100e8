"""Sweeps: points per second and core, warm, the journal included.

A sweep runs once to warm up and then on fresh stores. "here" is one process, and a second is one of its processor
seconds; "spawned" has one process a core, started before the clock, which counts whatever else the machine does. Aim:
500 points a second and core with 10 classes, 50 with 100.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from ..record import Record, Table, one_thread, parser, say


def long_tail(classes: int, ratios: int, temperatures: int) -> dict[str, Any]:
    return {
        "objective": {"name": "supcon"},
        "counts": {"rule": "long_tail", "classes": classes, "largest": 5000},
        "grid": {
            "ratio": {"from": 1.5, "to": 1000, "num": ratios, "scale": "log"},
            "temperature": {"from": 0.05, "to": 1, "num": temperatures, "scale": "log"},
        },
    }


def step(classes: int, ratios: int, temperatures: int) -> dict[str, Any]:
    tail_heavy = {"majority": classes // 10, "minority": classes - classes // 10}
    grid = long_tail(classes, ratios, temperatures)["grid"] | {"negatives": [1, 16, float("inf")]}
    return {"objective": {"name": "gcl", "sampling": "unsupervised"}, "counts": tail_heavy, "grid": grid}


SPECS = {"SupCon, long tail": long_tail, "GCL, step, k = 1, 16, inf": step}


def measure(spec: dict[str, Any], workers: int, rounds: int) -> dict[str, Any]:
    import geomsolve as gs
    from geomsolve.sweeps.executors import Here, spawned

    rates, result = [], None
    pool = contextlib.nullcontext(Here()) if workers == 1 else spawned(workers)
    with tempfile.TemporaryDirectory() as folder, pool as executor:
        for turn in range(rounds + 1):
            clock = time.process_time()
            result = gs.sweep(spec, Path(folder) / f"{turn}.db", executor=executor)
            seconds = time.process_time() - clock if workers == 1 else result.seconds * workers
            if turn:  # the first warms up
                rates.append(result.points / seconds)
    found = {"points": result.points, "certified": result.certified, "rate": median(rates)}
    return found | {"least": min(rates), "most": max(rates)}


def main() -> None:
    one_thread()
    options = parser(__doc__).parse_args()
    from geomsolve.sweeps.executors import cores

    sizes, rounds = {10: (20, 50), 100: (20, 20)}, 3
    if options.quick:
        sizes, rounds = {4: (2, 3)}, 1
    settings = {"grids": {str(size): grid for size, grid in sizes.items()}, "rounds": rounds}
    record = Record("sweeps", __doc__, options, key=("classes", "grid", "how"), settings=settings)
    for classes, grid in sizes.items():
        for name, build in SPECS.items():
            for how, workers in {"here": 1, "spawned": cores()}.items():
                if not record.has(classes=classes, grid=name, how=how):
                    row = measure(build(classes, *grid), workers, rounds)
                    record.add(classes=classes, grid=name, how=how, workers=workers, **row)
                    say(f"C={classes} {name}, {how}: {row['rate']:.0f} points/s/core")
    names = ("classes", "grid", "how", "workers", "points", "certified", "rate", "least", "most")
    head = ("classes", "grid", "how", "processes", "points", "certified", "points/s/core", "slowest run", "fastest run")
    certified = f"{sum(row['certified'] for row in record.rows)} of {sum(row['points'] for row in record.rows)}"
    table = [[row.get(name) for name in names] for row in record.rows]
    record.finish({"certified": certified}, Table("Rates", head, table))


if __name__ == "__main__":
    sys.exit(main())
