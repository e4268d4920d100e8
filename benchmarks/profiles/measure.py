"""Real class counts: a whole certified solve against one dense linear solve, and as a process of its own.

`solve` is `geomsolve.solve(objective)` of SupCon (2 views): Newton, certificate and all checks, warm. `dense` is one
`numpy.linalg.solve` of a random 2K x 2K system, K the number of distinct counts. Both in processor seconds of one
thread, means over alternating rounds, which other load on the machine changes little. A process is the command line
from start to exit: interpreter, imports, first calls.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from ..record import Record, Table, one_thread, parser, say, seconds_of

PROFILES = ("imagenet_lt", "places_lt", "inaturalist2018", "lvis_v1_instance_count")
TEMPERATURES = (0.07, 0.1, 0.5, 1.0)


def processor_seconds(call: Callable[[], Any]) -> float:
    """Of this process, in one call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def whole(profile: str, temperature: float, rounds: int) -> dict[str, Any]:
    """Seconds of solves and of dense systems, alternating, and what is proved."""
    import numpy as np

    import geomsolve as gs

    objective = gs.SupCon(gs.load_counts(profile), temperature=temperature)
    size = len(objective.orbits.sizes)
    rng = np.random.default_rng(0)
    matrix, right = rng.standard_normal((2 * size, 2 * size)), rng.standard_normal(2 * size)
    first = seconds_of(lambda: gs.solve(objective, throw=False))
    np.linalg.solve(matrix, right)
    solves = dense = 0.0
    for _ in range(rounds):
        solves += processor_seconds(lambda: gs.solve(objective, throw=False)) / rounds
        dense += processor_seconds(lambda: np.linalg.solve(matrix, right)) / rounds
    solution = gs.solve(objective, throw=False)
    proof = solution.certificate
    return {
        "distinct": size,
        "first": first,
        "solve": solves,
        "dense": dense,
        "ratio": solves / dense,
        "solver": solution.solver,
        "quality": solution.quality.value,
        "relative_gap": proof.relative_gap,
        "cosine_residual": proof.cosine_residual,
    }


def process(profile: str, runs: int) -> dict[str, Any]:
    """Median processor seconds and the most memory of the command line.

    A child inherits its parent's peak of memory across exec, so this is measured before anything is imported here.
    """
    code = "from geomsolve.cli import main; main()"
    command = [sys.executable, "-c", code, "solve", "--counts", profile, "--objective", "supcon"]
    command += ["--temperature", "0.1", "--json", "-"]
    seconds, peak, exits = [], [], set()
    for _ in range(runs + 1):
        with tempfile.TemporaryFile() as out:
            redirect = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, out.fileno(), 2)]
            child = os.posix_spawn(sys.executable, command, os.environ, file_actions=redirect)
            _, status, usage = os.wait4(child, 0)
        seconds.append(usage.ru_utime + usage.ru_stime)
        # macOS counts bytes, Linux KiB.
        peak.append(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
        exits.add(os.waitstatus_to_exitcode(status))
    return {"seconds": median(seconds[1:]), "peak_mib": max(peak), "exits": sorted(exits)}


def main() -> None:
    one_thread()
    options = parser(__doc__).parse_args()
    profiles, temperatures, rounds, runs = PROFILES, TEMPERATURES, 30, 2
    if options.quick:
        profiles, temperatures, rounds, runs = ("places_lt",), (0.5,), 3, 1
    settings = {"profiles": profiles, "temperatures": temperatures, "rounds": rounds, "runs": runs}
    record = Record("profiles", __doc__, options, key=("profile", "temperature"), settings=settings)
    for profile in profiles:
        if not record.has(profile=profile, temperature=None):
            record.add(profile=profile, temperature=None, **process(profile, runs))
    for profile in profiles:
        for temperature in temperatures:
            if not record.has(profile=profile, temperature=temperature):
                row = whole(profile, temperature, rounds)
                record.add(profile=profile, temperature=temperature, **row)
                say(f"{profile} tau={temperature}: {row['ratio']:.2f} of one dense solve, {row['quality']}")
    warm = [row for row in record.rows if row["temperature"] is not None]
    names = (
        "profile", "temperature", "distinct", "solve", "dense", "ratio", "first", "solver", "quality", "relative_gap",
        "cosine_residual",
    )  # fmt: skip
    head = (
        "profile", "temperature", "K", "solve, s", "dense, s", "ratio", "first call, s", "solver", "quality",
        "relative gap", "cosine residual",
    )  # fmt: skip
    record.finish(
        {
            "certified": f"{sum(row['quality'] == 'certified' for row in warm)} of {len(warm)}",
            "largest ratio": max(row["ratio"] for row in warm),
            "largest relative gap": max(row["relative_gap"] for row in warm),
            "largest cosine residual": max(row["cosine_residual"] for row in warm),
        },
        Table("Warm", head, [[row[name] for name in names] for row in warm]),
        Table(
            "As a process, temperature 0.1",
            ("profile", "of processors, s", "peak memory, MiB", "exit codes"),
            [
                (row["profile"], row["seconds"], row["peak_mib"], ", ".join(map(str, row["exits"])))
                for row in record.rows
                if row["temperature"] is None
            ],
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
