"""Cost of a certified solve against the number of distinct counts K, and against the number of classes C at fixed K.

K: counts 1, 2, ..., K, one class each, so every class is an orbit of its own and nothing can be saved.
C: 100 distinct counts, C/100 classes each. `build_seconds` is reading the counts and building the objective, the only
part that sees all C classes.
"""

from __future__ import annotations

import sys

from record import Record, exponent, parser, say, seconds_of, spread


def measure(counts, temperature: float, rounds: int) -> dict:
    import geomsolve as gs

    objective = gs.SupCon(counts, temperature=temperature)
    build = [seconds_of(lambda: gs.SupCon(counts, temperature=temperature)) for _ in range(rounds)]
    solution = gs.solve(objective, throw=False)
    whole = [seconds_of(lambda: gs.solve(objective, throw=False)) for _ in range(rounds)]
    newton = [seconds_of(lambda: gs.solvers.Newton().run(objective)) for _ in range(rounds)]
    fresh = [gs.OrbitGram(objective.orbits, solution.orbits.cosines) for _ in range(rounds)]
    certificate = [seconds_of(lambda gram=gram: gs.certify(objective, gram)) for gram in fresh]
    return {
        "classes": int(objective.orbits.atoms),
        "orbits": len(objective.orbits.sizes),
        "build_seconds": spread(build),
        "whole_seconds": spread(whole),
        "newton_seconds": spread(newton),
        "certificate_seconds": spread(certificate),
        "steps": solution.stats[-1].steps,
        "solver": solution.solver,
        "message": solution.stats[-1].message,
        "quality": solution.quality.value,
        "relative_gap": solution.certificate.relative_gap,
        "cosine_residual": solution.certificate.cosine_residual,
    }


def main() -> None:
    import numpy as np

    options = parser(__doc__).parse_args()
    distinct, classes, orbits, rounds = (50, 100, 200, 500, 1000, 2000), (10**3, 10**4, 10**5, 10**6), 100, 5
    temperatures = (0.1, 0.5)
    if options.quick:
        distinct, classes, orbits, rounds, temperatures = (20, 80), (100, 1000), 10, 2, (0.5,)
    settings = {"distinct": distinct, "classes": classes, "fixed_orbits": orbits, "temperatures": temperatures}
    settings |= {"rounds": rounds, "objective": "SupCon, 2 views"}
    record = Record("scaling", options, key=("against", "size", "temperature"), settings=settings)
    for temperature in temperatures:
        for against, sizes in (("K", distinct), ("C", classes)):
            for size in sizes:
                if record.has(against=against, size=size, temperature=temperature):
                    continue
                values = (
                    np.arange(size, 0, -1.0)
                    if against == "K"
                    else np.repeat(np.geomspace(1e4, 10, orbits), size // orbits)
                )
                row = measure(values, temperature, rounds)
                record.add(against=against, size=size, temperature=temperature, **row)
                say(f"{against}={size} tau={temperature}: {row['whole_seconds']['median']:.4f} s, {row['quality']}")
    fits = {}
    for temperature in temperatures:
        for against in ("K", "C"):
            rows = [r for r in record.rows if (r["against"], r["temperature"]) == (against, temperature)]
            # The small sizes measure Python's overhead, not the growth.
            rows = [r for r in rows if against == "C" or r["size"] >= 200] or rows
            for part in ("whole", "newton", "certificate", "build"):
                seconds = [r[f"{part}_seconds"]["median"] for r in rows]
                fits[f"{part} against {against}, tau={temperature}"] = exponent([r["size"] for r in rows], seconds)
    record.finish(
        exponents=fits, fitted="K >= 200 (all C)", certified=sum(r["quality"] == "certified" for r in record.rows)
    )


if __name__ == "__main__":
    sys.exit(main())
