"""Critical ratios: milliseconds of `threshold`, beside bisection of the ratio by full solves with cvxpy and Clarabel.

Warm medians; aim: 50 ms. `threshold` is timed without and with the certified geometry on both sides. The rival calls
the minority collapsed where its cosine is within 1e-4 of 1, and halves the bracket [1, 1000] in log ratio 20 times.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
import warnings
from statistics import median
from typing import Any

from ..record import Record, Table, parser, say

SETTINGS = {
    "GCL, k = 1, 1 + 9 classes": {"majority": 1, "minority": 9, "temperature": 1.0, "negatives": 1},
    "GCL, k = 256, 1 + 9 classes": {"majority": 1, "minority": 9, "temperature": 1.0, "negatives": 256},
    "GCL, k = 65536, 1 + 9 classes": {"majority": 1, "minority": 9, "temperature": 1.0, "negatives": 65_536},
    "GCL, k = inf, 1 + 9 classes": {"majority": 1, "minority": 9, "temperature": 1.0},
    "GCL, k = inf, 1 + 99 classes": {"majority": 1, "minority": 99, "temperature": 1.0},
    "GCL, k = inf, tau = 0.1, 1 + 99 classes": {"majority": 1, "minority": 99, "temperature": 0.1},
    "GCL, k = 1, unsupervised, 2 + 8 classes": {
        "majority": 2, "minority": 8, "temperature": 1.0, "negatives": 1, "sampling": "unsupervised",
    },
    "GCL, k = 1, unsupervised, 3 + 8 classes (never)": {
        "majority": 3, "minority": 8, "temperature": 1.0, "negatives": 1, "sampling": "unsupervised",
    },
    "GCL, k = 256, unsupervised, 2 + 8 classes": {
        "majority": 2, "minority": 8, "temperature": 1.0, "negatives": 256, "sampling": "unsupervised",
    },
}  # fmt: skip
RIVAL = "GCL, k = inf, 1 + 9 classes"


def measure(options: dict[str, Any], rounds: int) -> dict[str, Any]:
    import geomsolve as gs

    found = gs.threshold(gs.GCL, **options)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for certify, taken in seconds.items():
            clock = time.perf_counter()
            gs.threshold(gs.GCL, **options, certify=certify)
            taken.append(time.perf_counter() - clock)
    return {
        "ratio": found.value,
        "confirmed": found.confirmed,
        "seconds": median(seconds[False]),
        "seconds_certified": median(seconds[True]),
    }


def rival(options: dict[str, Any], halvings: int) -> dict[str, Any]:
    """Bisection of the ratio: one model, compiled once, for InfoNCE with infinitely many supervised negatives."""
    import cvxpy as cp
    import numpy as np

    warnings.simplefilter("ignore")
    majority, minority = options["majority"], options["minority"]
    count = majority + minority
    gram, bound = cp.Variable((count, count), symmetric=True), cp.Variable(count)
    weights, masses = cp.Parameter((count, count)), cp.Parameter(count, nonneg=True)
    # log(1 + sum_j w_ij e^{t_ij}): one more column, t = 0.
    exponents = cp.hstack([weights + (gram - 1) / options["temperature"], np.zeros((count, 1))])
    rows = cp.log_sum_exp(exponents, axis=1)
    model = cp.Problem(cp.Minimize(masses @ bound), [rows <= bound, gram >> 0, cp.diag(gram) == 1])
    tight = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-10)
    low, high, answered = 0.0, math.log(1000.0), 0
    clock = time.perf_counter()
    for _ in range(halvings):
        middle = (low + high) / 2.0
        shares = np.array([math.exp(middle)] * majority + [1.0] * minority)
        shares /= shares.sum()
        law = np.tile(shares, (count, 1)) * (1 - np.eye(count))
        law /= law.sum(axis=1, keepdims=True)
        weights.value, masses.value = np.log(law + 1e-300), shares
        gram.value = None
        with contextlib.suppress(cp.SolverError):
            model.solve("CLARABEL", **tight)
        if gram.value is None:
            break
        answered += 1
        low, high = (low, middle) if gram.value[-1, -2] >= 1 - 1e-4 else (middle, high)
    return {"seconds": time.perf_counter() - clock, "ratio": math.exp((low + high) / 2.0), "answered": answered}


def main() -> None:
    options = parser(__doc__).parse_args()
    rounds, halvings = (1, 3) if options.quick else (15, 20)
    record = Record("thresholds", __doc__, options, key=("problem",), settings={"rounds": rounds, "halvings": halvings})
    for name, problem in SETTINGS.items():
        if not record.has(problem=name):
            row = measure(problem, rounds)
            record.add(problem=name, **row)
            say(f"{name}: {row['seconds'] * 1e3:.1f} ms, ratio {row['ratio']}")
    rows, bisected = list(record.rows), rival(SETTINGS[RIVAL], halvings)
    table = [
        (
            row["problem"],
            "never" if row["ratio"] is None else f"{row['ratio']:.10f}",
            row["confirmed"],
            1e3 * row["seconds"],
            1e3 * row["seconds_certified"],
        )
        for row in rows
    ]
    table.append((f"{RIVAL}, by cvxpy", f"{bisected['ratio']:.10f}", None, 1e3 * bisected["seconds"], None))
    head = ("problem", "critical ratio", "confirmed on both sides", "threshold alone, ms", "with certified sides, ms")
    record.finish(
        {
            "longest threshold alone, ms": max(1e3 * row["seconds"] for row in rows),
            "longest with certified sides, ms": max(1e3 * row["seconds_certified"] for row in rows),
            "the rival, s": bisected["seconds"],
            "of its solves answered": f"{bisected['answered']} of {halvings}",
        },
        Table("Critical ratios", head, table),
    )


if __name__ == "__main__":
    sys.exit(main())
