"""A million distinct counts, solved and certified: seconds and peak memory, each case a process of its own.

And shipped profiles by the same solver, warm, beside Newton's method on all their distinct counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from record import ROOT, Record, parser, say, spread

AIM = {"seconds": 20.0, "gib": 4.0, "gap": 1e-12, "cosine_residual": 1e-8, "warm_seconds": 0.01}
LAWS = {
    "zipf": lambda classes: f"zipf:{classes}:1.0:{10 * classes}",
    "zipf, steep": lambda classes: f"zipf:{classes}:1.5:{10 * classes**1.5:.0f}",
    "log-normal": lambda classes: f"lognormal:{classes}:1.5:100",
    "exponential": lambda classes: f"exponential:{classes}:1000000:10000000",
    "zipf, endless": lambda classes: "zipf:inf:1.5:10000",
}
LOSSES = {
    "supcon": {"loss": "SupCon"},
    "infonce k=inf": {"loss": "GCL", "sampling": "unsupervised"},
    "infonce k=16": {"loss": "GCL", "sampling": "unsupervised", "negatives": 16},
    "supcon, batch 256": {"loss": "SupCon", "batch": 256},
}
# Counts 2, 3, 4, ... and these heads: the whole tail meets in one point.
HEADS = {"one head": (2e16,), "two heads": (2e16, 1.9e16)}
MEETING = ("supcon", "supcon, batch 256", "infonce k=inf")
PROFILES = ("imagenet_lt", "inaturalist2018", "lvis_v1_instance_count")


def child(case: dict) -> dict:
    """One solve in this process, from counts in memory to a certified answer; then the points as a factor."""
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
    gs.solve(build(gs.zipf_counts(10_000), temperature=case["temperature"], **options), throw=False)  # imports, BLAS
    start = time.perf_counter()
    solution = gs.solve(build(counts, temperature=case["temperature"], **options), throw=False)
    seconds = time.perf_counter() - start
    certificate, factored = solution.certificate, None
    if len(counts.groups):
        start = time.perf_counter()
        solution.geometry.points()
        factored = time.perf_counter() - start
    return {
        "seconds": seconds,
        "points_seconds": factored,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "classes": counts.classes,
        "distinct": len(counts.values),
        "quality": solution.quality.value,
        "solver": solution.solver,
        "value": certificate.value,
        "gap": certificate.gap,
        "relative_gap": certificate.relative_gap,
        "cosine_residual": certificate.cosine_residual,
        "rank": solution.rank,
        "in_one_point": max(map(len, solution.collapsed), default=0),
        "message": solution.stats[-1].message,
    }


def warm(profile: str, rounds: int) -> dict:
    """Medians over rounds that alternate between the two solvers; every problem is built anew."""
    import numpy as np

    import geomsolve as gs

    counts, taken = gs.load_counts(profile), {"quadrature": [], "newton": []}
    for _ in range(rounds + 2):
        answers = {}
        for name, solver in (("quadrature", gs.solvers.Quadrature()), ("newton", gs.solvers.Newton())):
            start = time.perf_counter()
            answers[name] = gs.solve(gs.SupCon(counts, temperature=0.1), solver)
            taken[name].append(time.perf_counter() - start)
    apart = np.abs(answers["quadrature"].orbits.cosines - answers["newton"].orbits.cosines).max()
    return {
        "distinct": len(counts.values),
        **{name: spread(samples[2:]) for name, samples in taken.items()},
        "relative_gap": answers["quadrature"].certificate.relative_gap,
        "cosines_apart": float(apart),
    }


def cases(laws: dict, losses: dict, temperatures: tuple, classes: int, only_meeting: bool) -> Iterator[dict]:
    """What identifies each row, and what its process is asked for."""
    for law, counts in {} if only_meeting else laws.items():
        for loss, extra in losses.items():
            for temperature in temperatures:
                if law != "zipf, endless" or loss != "supcon":
                    request = {"counts": counts(classes), "temperature": temperature, "options": extra}
                    yield {"law": law, "loss": loss, "request": request}
    for law, heads in HEADS.items():
        for loss in MEETING:
            if loss in losses:
                request = {"heads": heads, "classes": classes, "temperature": 1.0, "options": losses[loss]}
                yield {"law": law, "loss": loss, "request": request}


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "--case":
        print(json.dumps(child(json.loads(sys.argv[2]))))
        return
    arguments = parser(__doc__)
    arguments.add_argument("--meeting", action="store_true", help="only the rows whose tail meets in one point")
    options = arguments.parse_args()
    classes, temperatures, profiles, rounds = 1_000_000, (0.1, 0.5), PROFILES, 30
    laws, losses = dict(LAWS), dict(LOSSES)
    if options.quick:
        classes, temperatures, profiles, rounds = 20_000, (0.1,), ("imagenet_lt",), 1
        laws, losses = {"zipf": LAWS["zipf"]}, {"supcon": LOSSES["supcon"]}
    if options.meeting:
        profiles = ()
    settings = {"classes": classes, "temperatures": temperatures, "profiles": profiles, "rounds": rounds, "aim": AIM}
    record = Record("many_counts", options, key=("case",), settings=settings)
    for each in cases(laws, losses, temperatures, classes, options.meeting):
        law, loss, request = each["law"], each["loss"], each["request"]
        case = f"{law}, {loss}, {request['temperature']}"
        if record.has(case=case):
            continue
        done = subprocess.run(
            [sys.executable, __file__, "--case", json.dumps(request)],
            capture_output=True, text=True, check=False, timeout=900,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        found = json.loads(done.stdout) if done.returncode == 0 else {"failure": done.stderr.strip()[-300:]}
        say(f"{case}: " + (f"{found['seconds']:.2f} s, {found['quality']}" if "seconds" in found else "failed"))
        asked = {name: request[name] for name in ("temperature", "counts", "heads") if name in request}
        record.add(case=case, law=law, loss=loss, **asked, **found)
    for profile in profiles:
        if not record.has(case=profile):
            record.add(case=profile, **warm(profile, rounds))
            say(f"{profile}: {record.rows[-1]['quadrature']['median'] * 1e3:.1f} ms")
    solved = [row for row in record.rows if "seconds" in row]
    met = [
        row["seconds"] <= AIM["seconds"]
        and row["peak_gib"] <= AIM["gib"]
        and row["relative_gap"] <= AIM["gap"]
        and row["cosine_residual"] <= AIM["cosine_residual"]
        for row in solved
    ]
    record.finish(cases=len(solved), certified=sum(r["quality"] == "certified" for r in solved), within_aim=sum(met))


if __name__ == "__main__":
    sys.exit(main())
