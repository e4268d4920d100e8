"""Sweeps: points per second and core, warm, beside a loop over cvxpy and Clarabel on the same grid.

A sweep runs once to warm up and then on fresh stores, journal included. "here" is one process; "spawned" has one
process a core, started before the clock. The rival is a loop over an even choice of the points: one cvxpy model with
parameters, compiled once, as long as that is possible (`compiled once`), else a model a point.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

from ..record import Record, Table, one_thread, parser, say

AIMS = {10: 500, 100: 50}


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
            result = gs.sweep(spec, Path(folder) / f"{turn}.db", executor=executor)
            if turn:  # the first warms up
                rates.append(result.points / result.seconds / workers)
    found = {"points": result.points, "certified": result.certified, "rate": median(rates)}
    return found | {"least": min(rates), "most": max(rates)}


def rival(spec: dict[str, Any], most: int, limit: float, compiled_once: bool) -> dict[str, Any]:
    """Seconds a point of a loop over cvxpy and Clarabel, and what is proved of its answers."""
    import cvxpy as cp
    import numpy as np

    import geomsolve as gs
    from geomsolve.sweeps.specs import read_spec

    warnings.simplefilter("ignore")
    read = read_spec(spec)
    indices = list(itertools.product(*map(range, read.shape)))
    indices = [indices[i] for i in np.unique(np.linspace(0, len(indices) - 1, most).round().astype(int))]
    count = read.problem(indices[0]).counts.classes
    gram, bound = cp.Variable((count, count), symmetric=True), cp.Variable(count)
    logs, sharpness, masses = cp.Parameter((count, count)), cp.Parameter(nonneg=True), cp.Parameter(count, nonneg=True)
    rows = cp.log_sum_exp(logs + sharpness * (gram - 1), axis=1)
    model = cp.Problem(cp.Minimize(masses @ bound), [rows <= bound, gram >> 0, cp.diag(gram) == 1])
    tight = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-10)
    seconds, gaps, ends = [], [], []
    start = time.perf_counter()
    for index in indices:
        clock = time.perf_counter()
        problem = read.problem(index)
        counts, temperature = problem.counts.per_class, problem.options["temperature"]
        examples = 2 * counts  # two views
        logs.value = np.log(np.tile(examples, (count, 1)) - np.eye(count))
        sharpness.value, masses.value = 1 / temperature, counts / counts.sum()
        with contextlib.suppress(cp.SolverError):
            model.solve("CLARABEL", ignore_dpp=not compiled_once, time_limit=limit, **tight)
        seconds.append(time.perf_counter() - clock)
        ends.append(str(model.status))
        if gram.value is not None:
            points = gram.value / np.sqrt(np.outer(np.diag(gram.value), np.diag(gram.value)))
            proof = gs.certify(gs.SupCon(counts, temperature=temperature), (points + points.T) / 2)
            gaps.append(proof.relative_gap)
        if time.perf_counter() - start > 2 * limit:
            break
    return {
        "points": len(seconds),
        "rate": 1 / median(seconds[1:] or seconds),  # the first one compiles
        "certified": sum(gap <= 1e-6 for gap in gaps),
        "ends": sorted(set(ends)),
    }


def main() -> None:
    one_thread()
    options = parser(__doc__).parse_args()
    from geomsolve.sweeps.executors import cores

    sizes, rounds, most, limit = {10: (20, 50), 100: (20, 20)}, 5, 20, 60.0
    if options.quick:
        sizes, rounds, most, limit = {4: (2, 3)}, 1, 2, 10.0
    settings = {"grids": {str(size): grid for size, grid in sizes.items()}, "rounds": rounds, "limit_seconds": limit}
    record = Record("sweeps", __doc__, options, key=("classes", "grid", "how"), settings=settings)
    for classes, grid in sizes.items():
        for name, build in SPECS.items():
            for how, workers in {"here": 1, "spawned": cores()}.items():
                if not record.has(classes=classes, grid=name, how=how):
                    row = measure(build(classes, *grid), workers, rounds)
                    record.add(classes=classes, grid=name, how=how, workers=workers, **row)
                    say(f"C={classes} {name}, {how}: {row['rate']:.0f} points/s/core")
        name = "SupCon, long tail"
        if not record.has(classes=classes, grid=name, how="cvxpy"):
            # With parameters, cvxpy compiles a dense map from them to the cone program: too much for 100 classes.
            row = rival(long_tail(classes, *grid), most, limit, compiled_once=classes <= 20)
            record.add(classes=classes, grid=name, how="cvxpy", workers=1, **row)
            say(f"C={classes} cvxpy: {row['rate']:.3g} points/s, {row['certified']} of {row['points']} within 1e-6")
    names = ("classes", "grid", "how", "workers", "points", "certified", "rate", "least", "most")
    head = ("classes", "grid", "how", "processes", "points", "certified", "points/s/core", "slowest run", "fastest run")
    note = "Of cvxpy's answers, `certified` counts those whose relative gap `certify` proves to be at most 1e-6."
    ours = [row for row in record.rows if row["how"] != "cvxpy"]
    certified = f"{sum(row['certified'] for row in ours)} of {sum(row['points'] for row in ours)}"
    table = [[row.get(name) for name in names] for row in record.rows]
    record.finish({"certified": certified, "aim, points/s/core": str(AIMS)}, Table("Rates", head, table, note))


if __name__ == "__main__":
    sys.exit(main())
