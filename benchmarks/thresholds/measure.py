"""Critical ratios: milliseconds of `threshold`, without and with the certified geometry on both sides.

Warm, processor milliseconds of one thread, means; aim: 50 ms.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from ..record import Record, Table, one_thread, parser, say

SETTINGS = {
    "GCL, k = 1, 1 + 9 classes": {"majority": 1, "minority": 9, "temperature": 1.0, "negatives": 1},
    "GCL, k = 256, 1 + 9 classes": {"majority": 1, "minority": 9, "temperature": 1.0, "negatives": 256},
    "GCL, k = 65536, 1 + 9 classes": {"majority": 1, "minority": 9, "temperature": 1.0, "negatives": 65_536},
    "GCL, k = inf, 1 + 9 classes": {"majority": 1, "minority": 9, "temperature": 1.0},
    "GCL, k = inf, 1 + 99 classes": {"majority": 1, "minority": 99, "temperature": 1.0},
    "GCL, k = inf, tau = 0.1, 1 + 99 classes": {"majority": 1, "minority": 99, "temperature": 0.1},
    "GCL, k = 1, unsupervised, 2 + 8 classes": {
        "majority": 2, "minority": 8, "temperature": 1.0, "negatives": 1, "sampling": "unsupervised",
    },
    "GCL, k = 1, unsupervised, 3 + 8 classes (never)": {
        "majority": 3, "minority": 8, "temperature": 1.0, "negatives": 1, "sampling": "unsupervised",
    },
    "GCL, k = 256, unsupervised, 2 + 8 classes": {
        "majority": 2, "minority": 8, "temperature": 1.0, "negatives": 256, "sampling": "unsupervised",
    },
}  # fmt: skip


def measure(options: dict[str, Any], rounds: int) -> dict[str, Any]:
    import geomsolve as gs

    found = gs.threshold(gs.GCL, **options)
    seconds = {}
    for certify in (False, True):
        clock = time.process_time()
        for _ in range(rounds):
            gs.threshold(gs.GCL, **options, certify=certify)
        seconds[certify] = (time.process_time() - clock) / rounds
    return {
        "ratio": found.value,
        "confirmed": found.confirmed,
        "seconds": seconds[False],
        "seconds_certified": seconds[True],
    }


def main() -> None:
    one_thread()
    options = parser(__doc__).parse_args()
    rounds = 1 if options.quick else 15
    record = Record("thresholds", __doc__, options, key=("problem",), settings={"rounds": rounds})
    for name, problem in SETTINGS.items():
        if not record.has(problem=name):
            row = measure(problem, rounds)
            record.add(problem=name, **row)
            say(f"{name}: {row['seconds'] * 1e3:.1f} ms, ratio {row['ratio']}")
    rows = record.rows
    table = [
        (
            row["problem"],
            "never" if row["ratio"] is None else f"{row['ratio']:.10f}",
            row["confirmed"],
            1e3 * row["seconds"],
            1e3 * row["seconds_certified"],
        )
        for row in rows
    ]
    head = ("problem", "critical ratio", "confirmed on both sides", "threshold alone, ms", "with certified sides, ms")
    record.finish(
        {
            "longest threshold alone, ms": max(1e3 * row["seconds"] for row in rows),
            "longest with certified sides, ms": max(1e3 * row["seconds_certified"] for row in rows),
        },
        Table("Critical ratios", head, table),
    )


if __name__ == "__main__":
    sys.exit(main())
