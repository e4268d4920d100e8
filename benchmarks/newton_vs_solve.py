"""A whole certified solve against one dense linear solve of the size of Newton's system, in the same run.

A is `geomsolve.solve(objective)`: Newton, certificate and all checks, warm (after a first call). B is one
`numpy.linalg.solve` of a random 2K x 2K system. They alternate A B A B ..., so whatever else the machine does meets
both. The parts of A (Newton alone, certificate alone) are timed in the same alternation.
"""

from __future__ import annotations

import sys

from record import Record, parser, say, seconds_of, spread

PROFILES = ("imagenet_lt", "places_lt", "inaturalist2018", "lvis_v1_instance_count")


def measure(profile: str, temperature: float, rounds: int) -> dict:
    import numpy as np

    import geomsolve as gs

    objective = gs.SupCon(gs.load_counts(profile), temperature=temperature)
    size = len(objective.orbits.sizes)
    rng = np.random.default_rng(0)
    matrix, right = rng.standard_normal((2 * size, 2 * size)), rng.standard_normal(2 * size)
    # geomsolve's first call, then everything else once.
    first = seconds_of(lambda: gs.solve(objective, throw=False))
    solution = gs.solve(objective, throw=False)
    attempt = gs.solvers.Newton().run(objective)
    np.linalg.solve(matrix, right)

    def certificate() -> None:
        # A new object: the Gram matrix caches its eigenvalues.
        gs.certify(objective, gs.OrbitGram(objective.orbits, attempt.gram.cosines))

    times: dict[str, list[float]] = {"whole": [], "solve": [], "newton": [], "certificate": []}
    for _ in range(rounds):
        times["whole"].append(seconds_of(lambda: gs.solve(objective, throw=False)))
        times["solve"].append(seconds_of(lambda: np.linalg.solve(matrix, right)))
        times["newton"].append(seconds_of(lambda: gs.solvers.Newton().run(objective)))
        times["certificate"].append(seconds_of(certificate))
    ratios = [whole / dense for whole, dense in zip(times["whole"], times["solve"], strict=True)]
    proof = solution.certificate
    return {
        "orbits": size,
        "classes": int(objective.orbits.atoms),
        "first_seconds": first,
        **{f"{name}_seconds": spread(samples) for name, samples in times.items()},
        "ratio": spread(ratios),
        "ratio_of_medians": spread(times["whole"])["median"] / spread(times["solve"])["median"],
        "steps": solution.stats[-1].steps,
        "solver": solution.solver,
        "attempts": len(solution.stats),
        "message": solution.stats[-1].message,
        "quality": solution.quality.value,
        "gap": proof.gap,
        "relative_gap": proof.relative_gap,
        "cosine_residual": proof.cosine_residual,
    }


def main() -> None:
    options = parser(__doc__).parse_args()
    profiles, temperatures, rounds = PROFILES, (0.07, 0.1, 0.5, 1.0), 21
    if options.quick:
        profiles, temperatures, rounds = ("places_lt",), (0.5,), 3
    settings = {"profiles": profiles, "temperatures": temperatures, "rounds": rounds, "objective": "SupCon, 2 views"}
    record = Record("newton_vs_solve", options, key=("profile", "temperature"), settings=settings)
    for profile in profiles:
        for temperature in temperatures:
            if record.has(profile=profile, temperature=temperature):
                continue
            row = measure(profile, temperature, rounds)
            record.add(profile=profile, temperature=temperature, **row)
            say(f"{profile} tau={temperature}: {row['ratio_of_medians']:.2f} of one dense solve, {row['quality']}")
    record.finish(
        aim="ratio <= 1",
        worst_ratio=max(row["ratio_of_medians"] for row in record.rows),
        within_aim=sum(row["ratio_of_medians"] <= 1 for row in record.rows),
        certified=sum(row["quality"] == "certified" for row in record.rows),
        rows=len(record.rows),
    )


if __name__ == "__main__":
    sys.exit(main())
