"""Descent in JAX on whatever device it has: speed, and agreement with everything that does not descend.

`profile`: seconds to a certified relative gap on real class counts (on a CPU every n-th class), from random points of
full dimension, and how far the cosines are from Newton's; every schedule is a run of its own. `threshold`: collapse on
one side of a critical value and not on the other. `verdict`: the excess over the entropy bound that `realize`
certifies.
`memory`: one evaluation of loss and slope of all 8142 classes of iNaturalist in 128 dimensions.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from ..record import Record, Table, parser, say

TARGETS = (1e-6, 1e-9)
TEMPERATURE = 0.1
THRESHOLDS: dict[str, dict[str, Any]] = {
    "1 + 3 classes, k = 1": {"loss": "GCL", "majority": 1, "minority": 3, "negatives": 1, "temperature": 1.0},
    "1 + 9 classes, k = inf": {"loss": "GCL", "majority": 1, "minority": 9, "temperature": 0.5},
    "2 + 8 classes, k = 1, unsupervised": {
        "loss": "GCL", "majority": 2, "minority": 8, "negatives": 1, "sampling": "unsupervised",
    },
    "3 + 8 classes, k = 1, unsupervised": {
        "loss": "GCL", "majority": 3, "minority": 8, "negatives": 1, "sampling": "unsupervised",
    },
    "SupCon, 1 + 4 classes": {"loss": "SupCon", "majority": 1, "minority": 4, "per_class": 10, "temperature": 0.5},
    "SupCon, given counts": {"loss": "SupCon", "counts": [1000, 300, 100, 30, 10], "temperature": 0.5},
}  # fmt: skip


def profile(name: str, most: int, schedules: tuple[int, ...], device: str | None) -> dict[str, Any]:
    """Runs of descent, longer and longer, until the tightest gap is proved."""
    import numpy as np

    import geomsolve as gs

    counts = np.sort(gs.load_counts(name).per_class)[::-1]
    total, counts = len(counts), counts[:: -(-len(counts) // most)]
    objective = gs.SupCon(counts, temperature=TEMPERATURE)
    newton = gs.solve(objective, throw=False).orbits
    # Enough to compile everything; of thousands of classes, all but the Newton steps.
    gs.solvers.Descent(max_steps=500 if len(counts) <= 1000 else 20, device=device).run(objective)
    found: dict[str, Any] = {f"{target:g}": None for target in TARGETS}
    for steps in schedules:
        clock = time.perf_counter()
        attempt = gs.solvers.Descent(max_steps=steps, device=device).run(objective)
        seconds, proof = time.perf_counter() - clock, gs.certify(objective, attempt.gram)
        off = float(np.abs(attempt.gram.cosines - newton.cosines).max())
        for target in TARGETS:
            if found[f"{target:g}"] is None and proof.relative_gap <= target:
                found[f"{target:g}"] = seconds
        if all(found.values()):
            break
    seen = ", ".join(f"{value:.3g} s to {name}" if value else f"{name} not reached" for name, value in found.items())
    return {"agrees": off <= 1e-6, "found": f"{len(counts)} of {total} classes: {seen}; cosines off by {off:.1e}"}


def memory(name: str, dim: int, device: str | None) -> dict[str, Any]:
    """Loss and slope once, of all classes, in blocks of rows."""
    import jax
    import numpy as np

    import geomsolve as gs
    from geomsolve.solvers.descent.jax_descent import JaxLoss, computing

    objective = gs.SupCon(gs.load_counts(name), temperature=TEMPERATURE)
    classes = int(objective.orbits.atoms)
    with computing(device) as where:
        points = np.random.default_rng(0).standard_normal((classes, dim))
        loss = JaxLoss(objective, where)
        points = where.one(points / np.linalg.norm(points, axis=1, keepdims=True))
        jax.block_until_ready(loss.slope(points)[1])
        clock = time.perf_counter()
        jax.block_until_ready(loss.slope(points)[1])
        seconds = time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"found": f"{seconds:.3g} s, {peak:.2f} GiB at most in this process"}


def check_threshold(case: dict[str, Any], device: str | None) -> dict[str, Any]:
    """Descent on both sides of a critical value."""
    import geomsolve as gs

    options = dict(case)
    check = gs.collapse.crosscheck_threshold(getattr(gs, options.pop("loss")), **options, device=device)
    value = "never" if check.answer.value is None else f"{check.answer.value:.6g}"
    return {"agrees": check.agree, "found": f"{value}: " + "; ".join(str(side.verdict) for side in check.routes)}


def verdicts() -> dict[str, tuple[Any, float]]:
    """Weightings, with a temperature."""
    import numpy as np

    import geomsolve as gs

    line, angles = np.linspace(-1, 1, 10), np.linspace(0, 2 * np.pi, 13)[:12]
    circle = 1.3 * 0.8 / np.sqrt(0.4) * np.column_stack([np.cos(angles), np.sin(angles)])
    weights = gs.similarities
    return {
        "y-aware, a line, sigma 0.3": (weights.y_aware_weights(line, sigma=0.3), 0.5),
        "y-aware, a line, sigma 1, no self-pairs": (weights.y_aware_weights(line, sigma=1.0, self_pairs=False), 0.5),
        "y-aware, a circle too large": (weights.y_aware_weights(circle, sigma=0.8), 0.4),
        "soft-supcon, epsilon 0.3": (weights.soft_supcon_weights([0, 0, 1, 1, 1, 2], epsilon=0.3), 0.5),
        "supcon": (weights.supcon_weights([0, 0, 1, 1, 1, 2, 2]), 0.5),
    }


def check_verdict(case: tuple[Any, float], device: str | None) -> dict[str, Any]:
    """Descent on the loss of a weighting."""
    import geomsolve as gs

    check = gs.similarities.crosscheck_verdict(case[0], temperature=case[1], device=device)
    found = f"{check.answer.verdict.value}, excess off by {check.routes[0].found['difference']:.1e}"
    return {"agrees": check.agree, "found": found}


def main() -> int:
    described = parser(__doc__)
    described.add_argument("--device", choices=("cpu", "gpu"), help="default: what JAX takes by itself")
    options = described.parse_args()
    from geomsolve.solvers.descent.jax_descent import computing

    with computing(options.device) as where:
        name, gpu = where.name, where.device.platform != "cpu"
    most, schedules = (10**6, (1000, 2000, 4000)) if gpu else (200, (500, 1000, 2000, 4000))
    settings = {"device": name, "temperature": TEMPERATURE, "most_classes": most, "schedules": schedules}
    part = "descent/gpu" if gpu else "descent"
    record = Record(part, __doc__, options, key=("check", "name"), settings=settings)
    device = options.device
    jobs: list[tuple[str, str, Callable[[], dict[str, Any]]]] = []
    jobs += [("threshold", one, lambda c=case: check_threshold(c, device)) for one, case in THRESHOLDS.items()]
    jobs += [("verdict", one, lambda c=case: check_verdict(c, device)) for one, case in verdicts().items()]
    jobs += [("memory", "iNaturalist, d = 128", lambda: memory("inaturalist2018", 128, device))]
    jobs += [
        ("profile", one, lambda p=one: profile(p, most, schedules, device))
        for one in ("imagenet_lt", "inaturalist2018")
    ]
    for check, one, job in jobs[:1] if options.quick else jobs:
        if not record.has(check=check, name=one):
            clock = time.perf_counter()
            row = {"agrees": None, **job()}
            record.add(check=check, name=one, **row, seconds=time.perf_counter() - clock)
            say(f"{check}, {one}: {row['found']}")
    rows = record.rows
    judged = [row for row in rows if row["agrees"] is not None]
    agree = sum(row["agrees"] for row in judged)
    names = ("check", "name", "agrees", "found", "seconds")
    head = ("check", "of", "agrees", "found", "s, compilation included")
    table = Table(f"On {name}", head, [[row[one] for one in names] for row in rows])
    record.finish({"agree": f"{agree} of {len(judged)}"}, table)
    return len(judged) - agree


if __name__ == "__main__":
    sys.exit(main())
