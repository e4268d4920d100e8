"""Certificates against extended precision: is any certificate false?

Of wild problems, in order, those that are certified and small enough are verified by `geomsolve.verify`, which proves
digits in ball arithmetic; half of the tame draws (temperature within 0.05 to 3, mass ratio below a million) are passed
over. A certificate is false if a cosine with a proved error bar is off by more than 1e-5, or if the loss or its lower
bound contradicts the proved value.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

import numpy as np

import geomsolve as gs

from ..record import Record, Table, parser, say
from ..solving import OutOfTimeError, limited
from ..wild.problems import draw

OFF = 1e-5
# Verification takes K^3 multiplications of long numbers.
MOST_ORBITS, MOST_ATOMS = 26, 1e6
LIMIT = 20.0  # processor seconds of a solve, and of its verification


def judge(number: int) -> dict[str, Any] | None:
    """What extended precision says of problem `number`; None where it is passed over."""
    rng = np.random.default_rng([7, number])
    try:
        family, objective, _ = draw(number)
    except gs.GeomsolveError:
        return None
    masses = objective.masses[objective.masses > 0]
    ratio = float(masses.max() / masses.min())
    tame = 0.05 < objective.temperature < 3.0 and ratio < 1e6
    too_large = len(objective.orbits.sizes) > MOST_ORBITS or objective.orbits.atoms > MOST_ATOMS
    if family == "hinge" or too_large or (tame and rng.uniform() < 0.5):
        return None
    try:
        with limited(LIMIT):
            solution = gs.solve(objective, throw=False)
    except OutOfTimeError:
        return None
    if solution.quality is not gs.Quality.CERTIFIED:
        return None
    start = time.process_time()
    row = {"number": number, "family": family, "mass_ratio": ratio, "temperature": objective.temperature}
    try:
        with limited(LIMIT):
            proved = gs.verify(solution, digits=10, reading="binary")
    except OutOfTimeError:
        return row | {"verdict": "not verified", "reason": f"not within {LIMIT:g} processor seconds"}
    except gs.GeomsolveError as error:
        return row | {"verdict": "not verified", "reason": str(error)}
    return row | verdict(solution, proved) | {"seconds": time.process_time() - start}


def verdict(solution: gs.Solution, proved: gs.Verified) -> dict[str, Any]:
    """Whether what is proved contradicts the certificate, and how far the known cosines are off."""
    orbits, proof = solution.orbits.orbits, solution.certificate
    # As many digits are written as are proved, so that the last one is rounded.
    errors = np.array(proved.cosine_errors, dtype=float) + np.array(
        [[last_digit(text) for text in line] for line in proved.cosines]
    )
    cosines = np.array([[float(text or "nan") for text in line] for line in proved.cosines])
    off = np.abs(cosines - solution.orbits.cosines)
    known = np.isfinite(errors) & np.isfinite(cosines) & (orbits.partners > 0)
    sharp = known & (errors < OFF / 10)
    rounding = 1e-13 * (1.0 + abs(proof.value))
    below = float(proved.upper) < proof.lower_bound - rounding
    above = proof.value + rounding < float(proved.lower)
    false = bool(np.where(known, off - errors, 0.0).max() > OFF or below or above)
    whole = bool(np.all(sharp[orbits.partners > 0]))
    found = "false" if false else "true" if whole else "true as far as known"
    return {"verdict": found, "cosines": int(sharp.sum()), "worst": float(off[sharp].max(initial=0.0))}


def last_digit(text: str) -> float:
    """One unit of the last decimal of a number as text."""
    return 10.0 ** -len(text.partition(".")[2]) if text else float("inf")


def main() -> int:
    described = parser(__doc__)
    described.add_argument("--count", type=int, default=300, help="certificates to verify (default 300)")
    described.add_argument("--first", type=int, default=100_000, help="the number of the first draw")
    options = described.parse_args()
    count = 3 if options.quick else options.count
    settings = {"count": count, "first": options.first, "off": OFF, "most_distinct": MOST_ORBITS}
    record = Record("truth", __doc__, options, key=("number",), settings=settings)
    number = max([row["number"] for row in record.rows], default=options.first - 1)
    while len(record.rows) < count:
        number += 1
        row = judge(number)
        if row is not None:
            record.add(**row)
            say(f"{len(record.rows)}: problem {number}, {row['family']}: {row['verdict']}, {row.get('worst', 0):.1e}")
    kinds = ("true", "true as far as known", "not verified", "false")
    table = []
    for family in sorted({row["family"] for row in record.rows}):
        mine = [row for row in record.rows if row["family"] == family]
        found = Counter(row["verdict"] for row in mine)
        table.append((family, *(found[kind] for kind in kinds), max(row.get("worst", 0.0) for row in mine)))
    total = Counter(row["verdict"] for row in record.rows)
    summary = {"draws": number + 1 - options.first, "certificates": len(record.rows)} | {k: total[k] for k in kinds}
    head = ("loss", *kinds, "largest error of a cosine")
    note = "True as far as known: some cosines have no proved error bar, as where a class weighs nothing."
    record.finish(summary, Table("By loss", head, table, note))
    return total["false"]


if __name__ == "__main__":
    sys.exit(main())
