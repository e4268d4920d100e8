"""Realizability in seconds: the verdict, and the excess of the best geometry to 1 %, beside plain NumPy.

Every row in a process of its own with one thread, in processor seconds (those of a quiet machine): until the verdict
and its witness stand, and until the proved interval of the excess is 1 % wide, one of them to a millionth (realizable
weights: until the points are there), or 300 seconds of the clock are over; peak memory. Beside them, in the same
process, an L-BFGS over N x min(N, 64) vectors with the bound of a certificate, to the same interval, stopped after
the same time (5 s at least).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

from ..record import Record, Table, parser, say

PROBLEMS = {
    "diabetes, y-Aware": "diabetes",
    "500 ages, y-Aware": "ages",
    "500 ages, to a millionth": "ages-fine",
    "500 ages, self-pairs out": "ages-out",
    "diabetes, self-pairs out": "diabetes-out",
    "digits, X-CLR": "digits",
    "2000 labels on a line": "line",
    "500 noisy weights": "noise-500",
    "2000 noisy weights": "noise-2000",
}
TOL, FINE, SECONDS, LEAST, TIMES = 0.01, 1e-6, 300.0, 5.0, 1.0


def weighting(kind: str, quick: bool):
    """The weights and the temperature of a problem."""
    import numpy as np

    from geomsolve.objectives.weighted.weightings import weighting_from_matrix
    from geomsolve.similarities.kernels import x_clr_weights, y_aware_weights
    from geomsolve.similarities.labels import load_labels

    some = 40 if quick else None
    if kind in ("diabetes", "diabetes-out"):
        return y_aware_weights(load_labels("diabetes")[:some], sigma=50, self_pairs=kind == "diabetes"), 0.1
    if kind in ("ages", "ages-fine", "ages-out"):
        ages = np.random.default_rng(0).uniform(20, 80, 500)[:some]
        return y_aware_weights(ages, sigma=10, self_pairs=kind != "ages-out"), 0.1
    if kind == "digits":
        return x_clr_weights(load_labels("digits")[:some], label_temperature=0.1), 0.1
    if kind == "line":
        return y_aware_weights(np.linspace(-1, 1, some or 2000), sigma=0.3), 0.5
    count = some or int(kind.partition("-")[2])
    rng = np.random.default_rng(count)
    points = rng.standard_normal((count, 10))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    noise = np.triu(rng.standard_normal((count, count)), 1)
    return weighting_from_matrix(np.exp(points @ points.T / 0.2 + 0.1 * (noise + noise.T))), 0.2


def measure(kind: str, quick: bool) -> dict:
    from geomsolve.similarities.realizations import realize

    from .plain import interval

    start = time.process_time()
    weights, temperature = weighting(kind, quick)
    made = time.process_time() - start
    told: list[float] = []

    def progress(line: str) -> None:
        # The verdict stands when the search for the best geometry begins.
        if "looking for the best geometry" in line:
            told.append(time.process_time() - start)

    start, tol = time.process_time(), FINE if kind == "ages-fine" else TOL
    found = realize(weights, temperature=temperature, tol=tol, seconds=5.0 if quick else SECONDS, progress=progress)
    found.points  # noqa: B018 - part of the answer
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    plain = interval(
        weights.expand(), temperature, weights.self_pairs, tol, 2.0 if quick else max(LEAST, TIMES * seconds)
    )
    return {
        "samples": weights.samples,
        "weights_seconds": made,
        "verdict_seconds": told[0] if told else seconds,
        "seconds": seconds,
        "verdict": found.verdict.value,
        "finished": found.finished,
        "excess": found.excess,
        "excess_lower": found.excess_lower,
        "peak_gib": peak,
        "plain_seconds": plain["seconds"],
        "plain_spent": plain["spent"],
        "plain_excess": plain["excess"],
        "plain_lower": plain["excess_lower"],
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--one", help="measure one problem here and print its row")
    options = options.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.quick)))
        return
    settings = {"tol": TOL, "fine": FINE, "seconds": SECONDS, "least": LEAST, "times": TIMES}
    record = Record("realizability", __doc__, options, key=("problem",), settings=settings)
    for name, kind in PROBLEMS.items():
        if record.has(problem=name):
            continue
        command = [sys.executable, "-m", "benchmarks.realizability.measure", "--one", kind]
        done = subprocess.run(command + ["--quick"] * options.quick, capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"{name}: failed\n{done.stderr}")
            record.add(problem=name, failed=done.stderr[-500:])
            continue
        row = json.loads(done.stdout)
        record.add(problem=name, **row)
        say(f"{name}: {row['verdict']} in {row['verdict_seconds']:.1f} s, interval in {row['seconds']:.1f} s")
    names = (
        "problem", "samples", "verdict", "verdict_seconds", "seconds", "finished", "excess_lower", "excess", "peak_gib",
        "plain_seconds", "plain_spent", "plain_lower", "plain_excess",
    )  # fmt: skip
    head = (
        "weights", "N", "verdict", "verdict, CPU s", "interval, CPU s", "narrow enough", "excess, at least", "at most",
        "peak memory, GiB", "plain: as narrow after, CPU s", "plain: spent, CPU s", "plain: at least", "plain: at most",
    )  # fmt: skip
    rows = [[row.get(one, row.get("failed")) for one in names] for row in record.rows]
    slowest = max((row["seconds"] for row in record.rows if "seconds" in row), default=None)
    record.finish({"slowest interval, s": slowest}, Table("Weightings", head, rows))


if __name__ == "__main__":
    main()
