"""Losses of several kinds of atoms on real class counts: over orbits of classes, and by L-BFGS over free vectors.

Every loss at its defaults, temperature 0.1. `solve` is `geomsolve.solve`, certificate and all, in processor seconds of
one thread, each loss in a process of its own for its peak memory. L-BFGS (SciPy's, over one free unit vector for each
kind of each class, all instances of a class in one point, analytic gradients) has the same loss class by class and the
processor seconds given; its answer is judged by the same certificate.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ..record import Record, Table, one_thread, parser, say

PROFILES = ("cifar100_lt:100", "imagenet_lt", "inaturalist2018")
LOSSES = ("bcl", "lc", "ecl", "supcl", "kcl", "tsc")
# Profiles on which the rival has a chance, and its seconds.
RIVAL = {"cifar100_lt:100": 10.0, "imagenet_lt": 30.0}


def peak_mib() -> float:
    """The peak memory of this process from its own start on: getrusage's has its parent's in it."""
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 2**10


def built(loss: str, profile: str) -> Any:
    """The loss on these counts."""
    import geomsolve as gs

    counts = gs.load_counts(profile)
    if loss == "lc":
        return gs.LogitCompensated(counts)
    if loss == "supcl":
        return gs.SupCL(counts, alpha=0.5, temperature=0.1)
    return {"bcl": gs.BCL, "ecl": gs.ECL, "kcl": gs.KCL}[loss](counts, temperature=0.1)


def solved(loss: str, profile: str) -> dict[str, Any]:
    """One solve, with the peak memory of this process."""
    import geomsolve as gs

    if loss == "tsc":
        counts, start = gs.load_counts(profile), time.process_time()
        found = gs.choosing.targeted_supcon(counts, temperature=0.1)
        return {
            "solver": "newton", "seconds": time.process_time() - start, "peak_mib": peak_mib(),
            "quality": found.quality.value, "relative_gap": found.relative_gap, "cosine_residual": None,
        }  # fmt: skip
    objective = built(loss, profile)
    start = time.process_time()
    solution = gs.solve(objective, throw=False)
    seconds = time.process_time() - start
    proof = solution.certificate
    return {
        "solver": solution.solver,
        "seconds": seconds,
        "peak_mib": peak_mib(),
        "quality": solution.quality.value,
        "relative_gap": proof.relative_gap,
        "cosine_residual": proof.cosine_residual,
    }


def rival(loss: str, profile: str, seconds: float) -> dict[str, Any]:
    """L-BFGS over free vectors for so long, and what the certificate proves of its answer."""
    from scipy.optimize import minimize

    import geomsolve as gs
    from geomsolve.objectives.kinds.parts import closed_orbits

    from ..rivals import Embedded

    problem = Embedded(closed_orbits(built(loss, profile).by_class()))
    last, end = [problem.start.ravel()], time.process_time() + seconds

    def stop(flat: Any) -> None:
        last[0] = flat
        if time.process_time() > end:
            raise StopIteration

    start = time.process_time()
    options = {"maxiter": 10**6, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0, "maxcor": 20}
    minimize(problem.of_flat, last[0], jac=True, method="L-BFGS-B", options=options, callback=stop)
    spent = time.process_time() - start
    proof = gs.certify(problem.each, problem.gram(problem.unit_rows(last[0])))
    return {"lbfgs_seconds": spent, "lbfgs_gap": proof.relative_gap, "lbfgs_excess": proof.excess}


def main() -> None:
    one_thread()
    if len(sys.argv) == 4 and sys.argv[1] == "--one":
        print(json.dumps(solved(*sys.argv[2:])))
        return
    options = parser(__doc__).parse_args()
    profiles, losses, rivals = PROFILES, LOSSES, RIVAL
    if options.quick:
        profiles, losses, rivals = PROFILES[:1], LOSSES[:1], {PROFILES[0]: 1.0}
    settings = {"profiles": profiles, "losses": losses, "rival_seconds": rivals}
    record = Record("kinds", __doc__, options, key=("profile", "loss"), settings=settings)
    for profile in profiles:
        for loss in losses:
            if record.has(profile=profile, loss=loss):
                continue
            command = [sys.executable, "-m", "benchmarks.kinds.measure", "--one", loss, profile]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            if profile in rivals and loss in ("bcl", "lc"):
                row |= rival(loss, profile, rivals[profile])
            record.add(profile=profile, loss=loss, **row)
            say(f"{loss} on {profile}: {row['quality']} in {row['seconds']:.2f} s")
    names = (
        "profile", "loss", "solver", "seconds", "peak_mib", "quality", "relative_gap", "cosine_residual",
        "lbfgs_seconds", "lbfgs_gap",
    )  # fmt: skip
    head = (
        "profile", "loss", "solver", "solve, s", "peak, MiB", "quality", "relative gap", "cosine residual",
        "L-BFGS, s", "its relative gap",
    )  # fmt: skip
    record.finish(
        {
            "certified": f"{sum(row['quality'] == 'certified' for row in record.rows)} of {len(record.rows)}",
            "longest solve, s": max(row["seconds"] for row in record.rows),
            "largest relative gap": max(row["relative_gap"] for row in record.rows),
        },
        Table("By profile and loss", head, [[row.get(name) for name in names] for row in record.rows]),
    )


if __name__ == "__main__":
    main()
