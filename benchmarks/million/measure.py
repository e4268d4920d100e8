"""A million distinct counts, solved and certified: seconds, memory and what is proved.

Each case is a process of its own; the clock starts with the counts in memory and ends with the certified answer. Laws
of counts are Zipf, log-normal and exponential ones, and an endless Zipf law taken as 1e9 classes. In the last cases the
counts are 2, 3, 4, ... below one or two giant heads, where the whole tail meets in one point. Aim: relative gap 1e-12,
cosine residual 1e-8, 30 s, 4 GiB.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..record import Record, Table, parser, say

AIM = {"seconds": 30.0, "peak_gib": 4.0, "relative_gap": 1e-12, "cosine_residual": 1e-8}
LAWS: dict[str, Callable[[int], str]] = {
    "zipf": lambda classes: f"zipf:{classes}:1.0:{10 * classes}",
    "zipf, steep": lambda classes: f"zipf:{classes}:1.5:{10 * classes**1.5:.0f}",
    "log-normal": lambda classes: f"lognormal:{classes}:1.5:10000",
    "exponential": lambda classes: f"exponential:{classes}:1000000:10000000",
    "zipf, endless": lambda classes: "zipf:inf:1.5:10000",
}
LOSSES: dict[str, dict[str, Any]] = {
    "SupCon": {"loss": "SupCon"},
    "InfoNCE, k = inf": {"loss": "GCL", "sampling": "unsupervised"},
    "InfoNCE, k = 16": {"loss": "GCL", "sampling": "unsupervised", "negatives": 16},
    "SupCon, batches of 256": {"loss": "SupCon", "batch": 256},
}
HEADS = {"one head": (2e16,), "two heads": (2e16, 1.9e16)}


def solved(case: dict[str, Any]) -> dict[str, Any]:
    """One solve in this process."""
    import resource

    import numpy as np

    import geomsolve as gs

    options = dict(case["options"])
    build = getattr(gs, options.pop("loss"))
    if "heads" in case:
        tail = np.arange(2.0, 2.0 + case["classes"] - len(case["heads"]))
        counts = gs.as_counts(np.append(case["heads"], tail))
    else:
        counts = gs.load_counts(case["counts"])
    small = gs.load_counts("zipf:10000:1.0:100000")
    gs.solve(build(small, temperature=case["temperature"], **options), throw=False)  # imports, first calls
    start, cpu = time.perf_counter(), time.process_time()
    solution = gs.solve(build(counts, temperature=case["temperature"], **options), throw=False)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    proof = solution.certificate
    return {
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "classes": counts.classes,
        "quality": solution.quality.value,
        "solver": solution.solver,
        "relative_gap": proof.relative_gap,
        "cosine_residual": proof.cosine_residual,
    }


def cases(laws: dict, losses: dict, temperatures: tuple[float, ...], classes: int) -> Iterator[tuple[str, str, dict]]:
    """Law, loss, and what the process is asked for."""
    for law, counts in laws.items():
        for loss, options in losses.items():
            for temperature in temperatures:
                if law != "zipf, endless" or loss != "SupCon":  # SupCon sees counts, not proportions
                    yield law, loss, {"counts": counts(classes), "temperature": temperature, "options": options}
    for law, heads in HEADS.items():
        for loss in losses:
            if loss != "InfoNCE, k = 16":
                request = {"heads": heads, "classes": classes, "temperature": 1.0, "options": losses[loss]}
                yield law, loss, request


def main() -> None:
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(solved(json.loads(sys.argv[2]))))
        return
    options = parser(__doc__).parse_args()
    classes, temperatures, laws, losses = 1_000_000, (0.1, 0.5), LAWS, LOSSES
    if options.quick:
        classes, temperatures = 20_000, (0.1,)
        laws, losses = {"zipf": LAWS["zipf"]}, {"SupCon": LOSSES["SupCon"]}
    settings = {"classes": classes, "temperatures": temperatures, "aim": AIM}
    record = Record("million", __doc__, options, key=("law", "loss", "temperature"), settings=settings)
    for law, loss, request in cases(laws, losses, temperatures, classes):
        identity = {"law": law, "loss": loss, "temperature": request["temperature"]}
        if record.has(**identity):
            continue
        command = [sys.executable, "-m", "benchmarks.million.measure", "--case", json.dumps(request)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
        found = (
            json.loads(done.stdout)
            if done.returncode == 0
            else {"failure": done.stderr.strip().rpartition("\n")[2][:200]}
        )
        say(f"{identity}: {found.get('seconds', 'failed')}, {found.get('quality')}")
        record.add(**identity, **found)
    rows = record.rows
    spread = [row for row in rows if row["law"] in LAWS]
    met = [all(row.get(name, float("inf")) <= bound for name, bound in AIM.items()) for row in spread]
    names = (
        "law", "loss", "temperature", "quality", "solver", "seconds", "cpu_seconds", "peak_gib", "relative_gap",
        "cosine_residual",
    )  # fmt: skip
    head = (
        "counts",
        "loss",
        "temperature",
        "quality",
        "solver",
        "s",
        "of processors, s",
        "peak memory, GiB",
        "relative gap",
        "residual",
    )
    record.finish(
        {
            "within the aim": f"{sum(met)} of {len(met)}",
            "tail in one point, certified": f"{sum(r.get('quality') == 'certified' for r in rows if r not in spread)}"
            f" of {len(rows) - len(spread)}",
            "longest, s": max((row["seconds"] for row in rows if "seconds" in row), default=None),
        },
        Table("Cases", head, [[row.get(name, row.get("failure")) for name in names] for row in rows]),
    )


if __name__ == "__main__":
    sys.exit(main())
