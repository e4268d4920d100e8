"""The cosine residual on practical problems: which of its estimates is asked, and what each of them settles.

Every certified answer of the first problems is certified once more, and what the residual asks on the way is written
down: the step of rank one, the KKT step for a factor of any rank, complementarity with its sums over rows and blocks.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

from ..record import Record, Table, one_thread, parser, say

one_thread()  # before numpy is imported

import geomsolve as gs  # noqa: E402
from geomsolve.certificates import residual  # noqa: E402

from ..solving import OutOfTimeError, limited  # noqa: E402
from .problems import draw  # noqa: E402

PIECES = {
    "rank_one_residual": "step of rank one",
    "kkt_residual": "step of any rank",
    "complementarity": "complementarity",
}


def asked(objective: Any, gram: Any) -> tuple[str, ...]:
    """The estimates that one certificate asks, in order."""
    found: list[str] = []
    originals = {name: getattr(residual, name) for name in PIECES}
    try:
        for name, function in originals.items():
            setattr(residual, name, lambda *a, f=function, n=name, **k: (found.append(PIECES[n]), f(*a, **k))[1])
        gs.certify(objective, gram)
    finally:
        for name, function in originals.items():
            setattr(residual, name, function)
    return tuple(dict.fromkeys(found))


def main() -> None:
    described = parser(__doc__)
    described.add_argument("--count", type=int, default=550, help="problems (default 550)")
    options = described.parse_args()
    count = 11 if options.quick else options.count
    record = Record("practical/estimates", __doc__, options, key=("number",), settings={"count": count})
    for number in range(count):
        if record.has(number=number):
            continue
        family, objective, _ = draw(number)
        try:
            with limited(10.0):
                solution = gs.solve(objective, throw=False)
        except OutOfTimeError:
            continue
        if solution.quality is gs.Quality.CERTIFIED:
            record.add(number=number, family=family, asked=asked(objective, solution.orbits))
        if number % 100 == 99:
            say(f"{number + 1} of {count}")
    ways = Counter(tuple(row["asked"]) for row in record.rows)
    table = []
    for way, times in ways.most_common():
        families = Counter(row["family"] for row in record.rows if tuple(row["asked"]) == way)
        listed = ", ".join(f"{name} {number}" for name, number in families.most_common())
        table.append((", then ".join(way) or "none: no forces", times, listed))
    record.finish({"certified": len(record.rows)}, Table("What was asked", ("estimates", "answers", "losses"), table))


if __name__ == "__main__":
    sys.exit(main())
