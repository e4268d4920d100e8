"""Realizability at 500, 1000 and 2000 different samples: the verdict beside one `eigh`, and the certified optimum.

Every row in a process of its own: seconds of one numpy.linalg.eigh of the same size (median of three), of the verdict
(L, its eigenvalues, the largest temperature, the witness), and of `realize` as a whole, which solves for the best
geometry where the bound is not attained; peak memory of the process.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from statistics import median

from ..record import Record, Table, parser, say, seconds_of

AIM_RATIO, AIM_GIB = 10.0, 8.0
PROBLEMS = {
    "y-Aware, line, self-pairs in": "line-in",
    "y-Aware, line, self-pairs out": "line-out",
    "y-Aware, sphere, realizable": "sphere",
    "X-CLR, 64 dimensions, tau = 2 tau_s": "x-clr",
    "known points times 10 % noise": "noise",
}
# What gap is called certified, as a share of the loss above its floor: that of `realize` itself, and a rougher one
# where the optimum has as many dimensions as half the samples.
TOL, ROUGH = 1e-7, 1e-5


def weighting(kind: str, count: int):
    """The weights and the temperature of a problem."""
    import numpy as np

    import geomsolve as gs

    rng = np.random.default_rng(count)
    if kind in ("line-in", "line-out"):
        return gs.similarities.y_aware_weights(
            np.linspace(-1.0, 1.0, count), sigma=0.3, self_pairs=kind == "line-in"
        ), 0.5
    if kind == "sphere":
        points = rng.standard_normal((count, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        return gs.similarities.y_aware_weights(points, sigma=1.0), 0.5
    points = rng.standard_normal((count, 64 if kind == "x-clr" else 10))
    if kind == "x-clr":
        return gs.similarities.x_clr_weights(points, label_temperature=0.1), 0.2
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    noise = np.triu(rng.standard_normal((count, count)), 1)
    return gs.objectives.weighting_from_matrix(np.exp(points @ points.T / 0.2 + 0.1 * (noise + noise.T))), 0.2


def measure(kind: str, count: int) -> dict:
    import numpy as np

    from geomsolve.similarities.feasibility import LogGram
    from geomsolve.similarities.realizations import realize

    weights, temperature = weighting(kind, count)
    matrix = weights.expand()
    matrix = matrix + matrix.T
    eigh = median(seconds_of(lambda: np.linalg.eigh(matrix)) for _ in range(3))

    def verdict() -> None:
        logs = LogGram.of(weights)
        if not logs.feasible(temperature):
            logs.witness(temperature)
        _ = logs.largest_temperature

    seconds = median(seconds_of(verdict) for _ in range(3))
    clock = time.perf_counter()
    tol = ROUGH if kind == "noise" else TOL
    found = realize(weights, temperature=temperature, tol=tol)
    return {
        "eigh_seconds": eigh,
        "verdict_seconds": seconds,
        "verdict_ratio": seconds / eigh,
        "realize_seconds": time.perf_counter() - clock,
        "verdict": found.verdict.value,
        "quality": "certified" if found.certified else "uncertified",
        "tol": tol,
        "gap": found.gap,
        "excess": found.excess,
        "excess_lower": found.excess_lower,
        "min_dim": found.min_dim,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--one", nargs=2, help="measure one problem here and print its row")
    options = options.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], int(options.one[1]))))
        return
    sizes = (30,) if options.quick else (500, 1000, 2000)
    settings = {"sizes": sizes, "aim_ratio": AIM_RATIO, "aim_gib": AIM_GIB, "tol": TOL, "tol_noise": ROUGH}
    record = Record("realizability", __doc__, options, key=("problem", "samples"), settings=settings)
    for name, kind in PROBLEMS.items():
        for count in sizes:
            if record.has(problem=name, samples=count):
                continue
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.realizability.measure", "--one", kind, str(count)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                say(f"{name}, {count}: failed\n{done.stderr}")
                record.add(problem=name, samples=count, failed=done.stderr[-500:])
                continue
            row = json.loads(done.stdout)
            record.add(problem=name, samples=count, **row)
            say(
                f"{name}, {count}: {row['verdict']}, verdict {row['verdict_ratio']:.1f} eigh, realize "
                f"{row['realize_seconds']:.1f} s, {row['quality']}, {row['peak_gib']:.2f} GiB"
            )
    names = (
        "problem", "samples", "verdict", "quality", "verdict_ratio", "realize_seconds", "excess", "excess_lower",
        "min_dim", "peak_gib",
    )  # fmt: skip
    head = (
        "weights", "N", "verdict", "best geometry", "verdict, in eigh", "realize, s", "excess, nats", "at least",
        "dimensions", "peak memory, GiB",
    )  # fmt: skip
    rows = [[row.get(one, row.get("failed")) for one in names] for row in record.rows]
    worst = max(row["verdict_ratio"] for row in record.rows if "verdict_ratio" in row)
    record.finish({"slowest verdict, in eigh": worst}, Table("Weightings", head, rows))


if __name__ == "__main__":
    main()
