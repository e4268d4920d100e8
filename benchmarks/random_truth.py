"""Certified random problems against extended precision: is any certificate false?

Of problems drawn by `random_problems.draw`, in order, those that are certified and small enough are verified by
`geomsolve.verify`, which proves digits in interval arithmetic; half of the draws that are not extreme (temperature
within 0.05 to 3, mass ratio below a million) are passed over. A certificate is false if a cosine with a proved error
bar is off by more than 1e-5, or if the loss is below the certificate's lower bound.
"""

from __future__ import annotations

import sys
import time

from random_problems import draw
from record import Record, parser, say

OFF = 1e-5
# Verification takes K^3 multiplications of long numbers.
MOST_ORBITS = 26
MOST_ATOMS = 1e6


def judge(number: int) -> dict | None:
    """What extended precision says of problem `number`; None where it is passed over."""
    import numpy as np

    import geomsolve as gs

    rng = np.random.default_rng([7, number])
    try:
        family, objective, options = draw(number)
    except gs.GeomsolveError:
        return None
    masses = objective.masses[objective.masses > 0]
    ratio = float(masses.max() / masses.min())
    tame = 0.05 < objective.temperature < 3.0 and ratio < 1e6
    too_large = len(objective.orbits.sizes) > MOST_ORBITS or objective.orbits.atoms > MOST_ATOMS
    if family == "hinge" or too_large or (tame and rng.uniform() < 0.5):
        return None
    solution = gs.solve(objective, gs.solvers.Newton(), throw=False)
    if solution.quality is not gs.Quality.CERTIFIED:
        return None
    start = time.process_time()
    row = {"number": number, "family": family, "orbits": len(masses), "mass_ratio": ratio}
    row |= {"temperature": objective.temperature, "options": options}
    try:
        proved = gs.verify(solution, digits=10, reading="binary")
    except gs.GeomsolveError as error:
        return row | {"verdict": "not verified", "reason": str(error)}
    # As many digits are written as are proved, so that the last one is rounded.
    errors = np.array(proved.cosine_errors, dtype=float) + np.array(
        [[last_digit(text) for text in line] for line in proved.cosines]
    )
    cosines = np.array([[float(text or "nan") for text in line] for line in proved.cosines])
    off = np.abs(cosines - solution.orbits.cosines)
    known = np.isfinite(errors) & np.isfinite(cosines)
    np.fill_diagonal(known, np.where(objective.orbits.plural, np.diag(known), False))
    sure = np.where(known, off - errors, 0.0)
    sharp = known & (errors < OFF / 10)
    pairs = objective.orbits.partners > 0
    certificate = solution.certificate
    rounding = 1e-13 * (1.0 + abs(certificate.value))
    below = proved.bracket[1] < certificate.lower_bound - rounding
    above = certificate.value + rounding < proved.bracket[0]
    false = bool(sure.max() > OFF or below or above)
    whole = bool(np.all(sharp[pairs]))
    row |= {"verdict": "false" if false else "true" if whole else "true as far as known"}
    row |= {"cosines_known": int(sharp[pairs].sum()), "cosines": int(pairs.sum())}
    row |= {"worst": float(off[sharp].max(initial=0.0)), "value_error": certificate.value - float(proved.value)}
    return row | {"gap": certificate.gap, "seconds": time.process_time() - start, "notes": list(proved.notes)}


def last_digit(text: str) -> float:
    """One unit of the last decimal of a number as text."""
    return 10.0 ** -len(text.partition(".")[2]) if text else float("inf")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--count", type=int, default=300, help="problems to verify (default 300)")
    options.add_argument("--first", type=int, default=100_000, help="the number of the first draw")
    options = options.parse_args()
    count = 3 if options.quick else options.count
    settings = {"count": count, "first": options.first, "off": OFF, "most_orbits": MOST_ORBITS}
    record = Record("random_truth", options, key=("number",), settings=settings)
    number = max([row["number"] for row in record.rows], default=options.first - 1)
    while len(record.rows) < count:
        number += 1
        row = judge(number)
        if row is not None:
            record.add(**row)
            say(f"{len(record.rows)}: problem {number}, {row['family']}: {row['verdict']}, {row.get('worst', 0):.1e}")
    verdicts = [row["verdict"] for row in record.rows]
    record.finish(**{verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))})


if __name__ == "__main__":
    sys.exit(main())
