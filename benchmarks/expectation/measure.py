"""Batches: how the optimum of SupCon moves from small batches to the full batch, and what the expectation costs.

Every expectation over batches is exact; nothing is sampled. Temperature 0.1. `head-tail` and `tail-tail` are cosines of
the largest and the smallest class, and of the two smallest. At K distinct counts one pass over the rows of the loss
takes 200 K² exponentials. Seconds are medians of warm certified solves.
"""

from __future__ import annotations

import sys
from statistics import median
from typing import Any

from ..record import Record, Table, parser, say, seconds_of

TEMPERATURE = 0.1
BATCHES = (4, 16, 64, 256, 1024, 4096, 65536, None)


def measure(counts: Any, views: int, batch: int | None, rounds: int) -> dict[str, Any]:
    """One solve."""
    import geomsolve as gs

    objective = gs.SupCon(counts, temperature=TEMPERATURE, views=views, batch=batch)
    solution = gs.solve(objective, throw=False)
    seconds = median(seconds_of(lambda: gs.solve(objective, throw=False)) for _ in range(rounds))
    gram = solution.orbits
    return {
        "distinct": len(gram.sizes),
        "head_tail": float(gram.cosines[0, -1]),
        # Of two classes of the smallest count, or of the two smallest counts where one class has it alone.
        "tail_tail": float(gram.cosines[-1, -1] if gram.orbits.plural[-1] else gram.cosines[-1, -2]),
        "quality": solution.quality.value,
        "relative_gap": solution.certificate.relative_gap,
        "cosine_residual": solution.certificate.cosine_residual,
        "seconds": seconds,
    }


def main() -> None:
    import geomsolve as gs

    options = parser(__doc__).parse_args()
    profiles, batches, rounds = ("cifar100_lt:100", "imagenet_lt"), BATCHES, 3
    if options.quick:
        profiles, batches, rounds = ("cifar10_lt:100",), (4, 32, None), 1
    settings = {"profiles": profiles, "temperature": TEMPERATURE, "rounds": rounds}
    record = Record("expectation", __doc__, options, key=("profile", "views", "batch"), settings=settings)
    for profile in profiles:
        counts = gs.load_counts(profile)
        for views in (2, 1):
            for batch in batches:
                if not record.has(profile=profile, views=views, batch=batch):
                    row = measure(counts, views, batch, rounds)
                    record.add(profile=profile, views=views, batch=batch, **row)
                    say(f"{profile} views={views} batch={batch}: {row['seconds']:.3f} s, {row['quality']}")
    rows = record.rows
    head = ("profile", "K", "views", "batch", "head-tail", "tail-tail", "quality", "gap", "residual", "s")
    table = [
        (
            row["profile"], row["distinct"], row["views"], row["batch"] or "all", f"{row['head_tail']:+.6f}",
            f"{row['tail_tail']:+.6f}", row["quality"], row["relative_gap"], row["cosine_residual"], row["seconds"],
        )
        for row in rows
    ]  # fmt: skip
    certified = sum(row["quality"] == "certified" for row in rows)
    record.finish({"certified": f"{certified} of {len(rows)}"}, Table("By batch size", head, table))


if __name__ == "__main__":
    sys.exit(main())
