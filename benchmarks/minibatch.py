"""How the optimum of SupCon moves from small batches to the full batch, and what a certified solve costs on the way.

Every expectation over batches is exact; nothing is sampled. Each row is one solve: at K = 310 one pass over the rows of
the loss takes 200 K^2 exponentials.
"""

from __future__ import annotations

import resource
import sys

from record import Record, parser, say, seconds_of, spread


def measure(counts, temperature: float, views: int, batch: int | None, rounds: int) -> dict:
    import geomsolve as gs

    objective = gs.SupCon(counts, temperature=temperature, views=views, batch=batch)
    solution = gs.solve(objective, throw=False)
    seconds = [seconds_of(lambda: gs.solve(objective, throw=False)) for _ in range(rounds)]
    gram = solution.orbits
    return {
        "distinct": len(gram.sizes),
        "classes": counts.classes,
        "value": solution.value,
        "simplex": objective.value(gs.OrbitGram.simplex(gram.orbits)),
        "head_tail": float(gram.cosines[0, -1]),
        # Two classes of the smallest count, or the smallest two counts where one class has it alone.
        "tail_tail": float(gram.cosines[-1, -1] if gram.orbits.plural[-1] else gram.cosines[-1, -2]),
        "quality": solution.quality.value,
        "relative_gap": solution.certificate.relative_gap,
        "cosine_residual": solution.certificate.cosine_residual,
        "solver": solution.solver,
        "steps": solution.stats[-1].steps,
        "seconds": spread(seconds),
    }


def main() -> None:
    options = parser(__doc__).parse_args()
    profiles, batches, temperature, rounds = (
        ("cifar100_lt:100", "imagenet_lt"),
        (4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536, None),
        0.1,
        3,
    )
    if options.quick:
        profiles, batches, rounds = ("cifar10_lt:100",), (4, 32, None), 1
    import geomsolve as gs

    settings = {"profiles": profiles, "batches": batches, "temperature": temperature, "views": (2, 1), "rounds": rounds}
    record = Record("minibatch", options, key=("profile", "views", "batch"), settings=settings)
    for profile in profiles:
        counts = gs.load_counts(profile)
        for views in (2, 1):
            for batch in batches:
                if record.has(profile=profile, views=views, batch=batch):
                    continue
                row = measure(counts, temperature, views, batch, rounds)
                record.add(profile=profile, views=views, batch=batch, **row)
                say(f"{profile} views={views} batch={batch}: {row['seconds']['median']:.3f} s, {row['quality']}")
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    record.finish(certified=sum(row["quality"] == "certified" for row in record.rows), peak_mib=peak)


if __name__ == "__main__":
    sys.exit(main())
