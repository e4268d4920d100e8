"""Random problems of every convex loss: how many are certified, how many are not, and why not.

Problem number n is drawn by `draw(n)` from numpy's default_rng([DRAWS, n]) alone: a loss, all families alike; 2 to 60
distinct counts (log-uniform) over 0 to 10 decades (uniform; the losses that list every example end at 10 million), a
third of the problems with several classes of a count; a temperature, log-uniform from 0.02 to 10; every option of the
loss. A problem counts as failed whatever the reason: not certified, or not within its limit of processor seconds.

    python benchmarks/random_problems.py --count 10000 --workers 2
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from record import Record, parser, say

DRAWS = 1
TEMPERATURES = (0.02, 10.0)
# Losses over single examples list them all.
LISTED = 1e7
# Problems between two writings of the file.
BATCH = 100
KEPT = 4  # digits of what is kept of a problem that was solved


# Problems -------------------------------------------------------------------------------------------------------------


def log_uniform(rng: Any, low: float, high: float) -> float:
    """A number between two others, its logarithm uniform."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def draw_counts(
    rng: Any, *, most: float = 2e10, total: float = math.inf, repeats: int = 100, distinct: int = 60
) -> Any:
    """(C,) whole counts of at least 2 in random order, with at most `distinct` different ones and `total` examples."""
    import numpy as np

    count = round(log_uniform(rng, 2, distinct + 0.49))
    share = min(most, total / count) / 2.0
    span = rng.uniform(0.0, math.log10(share))
    least = 2.0 * log_uniform(rng, 1.0, share / 10.0**span)
    places = np.concatenate([[0.0, 1.0], rng.uniform(0.0, 1.0, count - 2)])
    values = np.unique(np.maximum(np.rint(least * 10.0 ** (span * places)), 2.0))
    if len(values) == 1:
        values = np.array([values[0], values[0] + 1.0])
    times = np.ones(len(values), int)
    if rng.uniform() < 1 / 3:
        times = np.array([int(log_uniform(rng, 1, repeats + 0.99)) for _ in values])
        if float(times @ values) > total:
            times[:] = 1
    return rng.permutation(np.repeat(values, times))


def supcon(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """SupCon, full batch."""
    options = {"temperature": tau, "views": int(rng.integers(1, 4))}
    return gs.SupCon(draw_counts(rng), **options), options


def supcon_batch(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """SupCon in mini-batches of 4 to a million."""
    views = int(rng.integers(1, 4))
    options = {"temperature": tau, "views": views, "batch": int(log_uniform(rng, 4, 1e6))}
    return gs.SupCon(draw_counts(rng), **options), options


def gcl(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """GCL: InfoNCE of 1 to infinitely many negatives, logistic."""
    options = {"temperature": tau, "sampling": str(rng.choice(["supervised", "unsupervised"]))}
    if rng.uniform() < 0.15:
        options["loss"] = "logistic"
    else:
        options["negatives"] = float(rng.choice([1, 2, 16, 256, math.inf]))
        options["normalization"] = "mean" if options["negatives"] == math.inf else str(rng.choice(["mean", "sum"]))
    return gs.GCL(draw_counts(rng), **options), options


def hinge(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """GCL with the hinge, which has a margin and no temperature."""
    options = {"sampling": str(rng.choice(["supervised", "unsupervised"])), "margin": log_uniform(rng, 0.1, 3.0)}
    return gs.GCL(draw_counts(rng), loss="hinge", **options), options


def supcl(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """SupCL, any mix, with and without self-pairs."""
    alpha = float(rng.choice([0.0, 1.0, rng.uniform()], p=[0.1, 0.1, 0.8]))
    self_pairs = bool(rng.integers(2))
    views = int(rng.integers(1 if self_pairs else 2, 4))
    options = {"temperature": tau, "alpha": alpha, "self_pairs": self_pairs, "views": views}
    return gs.SupCL(draw_counts(rng, total=LISTED, repeats=5), **options), options


def bcl(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """BCL, both ways to average anchors."""
    anchors, views = str(rng.choice(["instance", "class"])), int(rng.integers(1, 4))
    options = {"temperature": tau, "anchors": anchors, "views": views}
    return gs.BCL(draw_counts(rng, repeats=2), **options), options


def kcl(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """KCL, 1 to 64 positives."""
    options = {"temperature": tau, "positives": int(log_uniform(rng, 1, 64)), "views": int(rng.integers(2, 4))}
    return gs.KCL(draw_counts(rng, total=LISTED, repeats=5), **options), options


def ecl(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """ECL, with and without classifier."""
    options: dict = {"temperature": tau, "anchors": str(rng.choice(["instance", "class"]))}
    options["classifier"] = bool(rng.integers(2))
    if options["classifier"]:
        options |= {"contrast": log_uniform(rng, 0.1, 10), "align": log_uniform(rng, 0.1, 10)}
        options["scale"] = log_uniform(rng, 3, 30)
    return gs.ECL(draw_counts(rng, repeats=2), **options), options


def lc(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """Logit-compensated cross-entropy, whose temperature is 1/scale."""
    options = {"scale": 1.0 / tau}
    return gs.LogitCompensated(draw_counts(rng, repeats=2), **options), options


def supmin(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """SupMin: two classes."""
    options = {"temperature": tau, "views": int(rng.integers(2, 4))}
    counts = draw_counts(rng, total=LISTED, repeats=1, distinct=2)
    return gs.SupMin(counts, **options), options


def examples(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """SupCon over single examples."""
    options = {"temperature": tau, "views": int(rng.integers(2, 4))}
    return gs.SupConInstances(draw_counts(rng, total=LISTED, repeats=5), **options), options


def design(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """A row softmax designed for the simplex, or for random points whose weighted mean is 0."""
    import numpy as np

    counts = draw_counts(rng, repeats=2)
    options: dict = {"temperature": tau, "anchors": str(rng.choice(["class", "instance"]))}
    target = None
    if rng.uniform() < 0.5:
        weights = rng.uniform(0.5, 1.0, len(counts))
        weights = np.minimum(weights, 0.4 * weights.sum())
        target = np.full((len(counts), len(counts)), np.nan)
        while not np.isfinite(target).all():  # points that are all at their mean have no directions: drawn anew
            points = rng.normal(size=(len(counts), int(rng.integers(1 + (len(counts) > 2), len(counts) + 1))))
            with np.errstate(invalid="ignore"):
                for _ in range(2000):
                    points /= np.linalg.norm(points, axis=1, keepdims=True)
                    points -= weights @ points / weights.sum()
                points /= np.linalg.norm(points, axis=1, keepdims=True)
            target = points @ points.T
        options["target"] = "random"
    return gs.design(counts, target, temperature=tau, anchors=options["anchors"]).objective, options


def weighted(gs: Any, rng: Any, tau: float) -> tuple[Any, dict]:
    """Weighted InfoNCE: Soft SupCon, y-Aware and X-CLR weights."""
    import numpy as np

    scheme, self_pairs = str(rng.choice(["soft-supcon", "y-aware", "x-clr"])), bool(rng.integers(2))
    options: dict = {"temperature": tau, "scheme": scheme, "self_pairs": self_pairs}
    if scheme == "soft-supcon":
        counts = draw_counts(rng, total=1e6, repeats=5)
        options["epsilon"] = float(rng.choice([0.0, log_uniform(rng, 1e-6, 1.0)], p=[0.2, 0.8]))
        labels = np.repeat(np.arange(len(counts)), counts.astype(int))
        weighting = gs.similarities.soft_supcon_weights(labels, epsilon=options["epsilon"], self_pairs=self_pairs)
    else:
        samples, width = round(log_uniform(rng, 3, 60)), int(rng.integers(1, 4)) + (scheme == "x-clr")
        labels = rng.normal(size=(samples, width))
        options |= {"samples": samples, "width": width, "bandwidth": log_uniform(rng, 0.1, 10)}
        if scheme == "y-aware":
            weighting = gs.similarities.y_aware_weights(labels, sigma=options["bandwidth"], self_pairs=self_pairs)
        else:
            weighting = gs.similarities.x_clr_weights(
                labels, label_temperature=options["bandwidth"], self_pairs=self_pairs
            )
    return gs.WeightedInfoNCE(weighting, temperature=tau), options


FAMILIES = (supcon, supcon_batch, gcl, hinge, supcl, bcl, kcl, ecl, lc, supmin, examples, design, weighted)


def draw(number: int) -> tuple[str, Any, dict]:
    """The name of the family, the objective and its options, of the problem of that number."""
    import numpy as np

    import geomsolve as gs

    rng = np.random.default_rng([DRAWS, number])
    family = FAMILIES[int(rng.integers(len(FAMILIES)))]
    objective, options = family(gs, rng, log_uniform(rng, *TEMPERATURES))
    return family.__name__, objective, options


# Solving --------------------------------------------------------------------------------------------------------------


class OutOfTime(Exception):
    """The time limit of a problem."""


def solve_one(number: int, limit: float) -> dict[str, Any]:
    """One problem: what was proved, in what time, and why not more."""
    import geomsolve as gs

    def stop(*_: object) -> None:
        raise OutOfTime

    row: dict[str, Any] = {"number": number}
    signal.signal(signal.SIGPROF, stop)
    start = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_PROF, limit, 0.5)  # again and again: what a destructor raises is lost
        family, objective, options = draw(number)
        masses = objective.masses[objective.masses > 0]
        row |= {"family": family, "options": options, "orbits": len(objective.orbits.sizes)}
        row |= {"classes": objective.orbits.atoms, "mass_ratio": float(masses.max() / masses.min())}
        start = time.process_time()
        solution = gs.solve(objective, throw=False)
        certificate = solution.certificate
        row |= {"quality": solution.quality.value, "solver": solution.solver, "collapsed": len(solution.collapsed) > 0}
        row |= {"relative_gap": certificate.relative_gap, "cosine_residual": certificate.cosine_residual}
        if solution.quality is not gs.Quality.CERTIFIED:
            row["reason"] = "; ".join(f"{r.solver}: {r.message or r.termination.value}" for r in solution.stats)
    except OutOfTime:
        row |= {"quality": "uncertified", "reason": f"not within {limit:g} processor seconds"}
    except gs.GeomsolveError as error:
        row |= {"quality": "refused", "reason": f"{type(error).__name__}: {error}"}
    except Exception as error:  # a defect: counted, and named
        row |= {"quality": "crashed", "reason": f"{type(error).__name__}: {error}"}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    row["seconds"] = round(time.process_time() - start, 4)
    return row


def start_worker() -> None:
    """Everything imported, so that no problem pays for it."""
    import geomsolve as gs

    gs.solve(gs.SupCon([3, 2], temperature=1.0), gs.solvers.Newton(), throw=False)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--count", type=int, default=10_000, help="problems (default 10000)")
    options.add_argument("--first", type=int, default=0, help="the number of the first (default 0)")
    options.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    options.add_argument("--limit", type=float, default=20.0, help="processor seconds a problem (default 20)")
    options = options.parse_args()
    count = 8 if options.quick else options.count
    # One BLAS thread a worker, in the environment that they inherit.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    settings = {"count": count, "limit_seconds": options.limit, "draws": DRAWS, "temperatures": TEMPERATURES}
    record = Record("random_problems", options, key=("first",), settings=settings)
    context = get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context, initializer=start_worker) as pool:
        for first in range(options.first, options.first + count, BATCH):
            if record.has(first=first):
                continue
            numbers = range(first, min(first + BATCH, options.first + count))
            rows = list(pool.map(solve_one, numbers, [options.limit] * len(numbers), chunksize=2))
            record.add(first=first, **batch_of(rows))
            failed = sum(row["quality"] != "certified" for row in rows)
            say(f"problems {first} to {numbers[-1]}: {failed} of {len(rows)} failed")
    families = sorted({name for row in record.rows for name in row["families"]})
    totals = {name: total(record.rows, name) for name in families}
    problems = sum(one["problems"] for one in totals.values())
    certified = sum(one["certified"] for one in totals.values())
    record.finish(problems=problems, certified=certified, share=certified / problems, families=totals)


def batch_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts and seconds by family, and every failure in full."""
    families: dict[str, Any] = {}
    for row in rows:
        one = families.setdefault(row.get("family", "unknown"), {"problems": 0, "certified": 0, "seconds": []})
        one["problems"] += 1
        one["certified"] += row["quality"] == "certified"
        one["seconds"].append(float(f"{row['seconds']:.{KEPT}g}"))
    return {"families": families, "failures": [row for row in rows if row["quality"] != "certified"]}


def total(batches: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Counts and seconds of a family over all batches."""
    mine = [batch["families"][name] for batch in batches if name in batch["families"]]
    seconds = sorted(second for one in mine for second in one["seconds"])
    return {
        "problems": sum(one["problems"] for one in mine),
        "certified": sum(one["certified"] for one in mine),
        "seconds": {
            "median": seconds[len(seconds) // 2],
            "99%": seconds[int(0.99 * (len(seconds) - 1))],
            "max": seconds[-1],
        },
    }


if __name__ == "__main__":
    sys.exit(main())
