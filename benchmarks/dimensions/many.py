"""Thousands of classes below the rank: what `solve --dim` takes by itself, and how good it says its answer is.

SupCon (tau = 0.1, 2 views). iNaturalist 2018's 8142 classes in 128 dimensions; 10,177 classes of 1 to 35 images, as
many as CelebA has identities, in 512; with --device gpu the first, and 85,742 Zipf classes in 512, by JAX on a GPU, or
where there is none an eighth and a sixty-fourth of the classes by the same command on a CPU. `last tenth` is what the
last tenth of the descent's time gained, as a share of the value. Processor seconds are those of all threads together.
"""

from __future__ import annotations

import resource
import time
from typing import Any

import numpy as np

from ..record import Record, Table, parser, say


def descended(counts: Any, dim: int, device: str | None, seconds: float | None) -> dict[str, Any]:
    """What one descent from the better of two starts reaches, and what is proved of it."""
    import geomsolve as gs
    from geomsolve.solvers.points.embedding import bounded, embed

    objective = gs.SupCon(counts, temperature=0.1)
    solution = gs.solve(objective)
    history = list[tuple[float, float]]()

    def progress(line: str) -> None:
        _, found, rest = line.partition("loss above its floor ")
        if found:
            history.append((time.process_time(), float(rest.split(",")[0])))

    wall, clock = time.perf_counter(), time.process_time()
    found = embed(solution, dim, bound=False, device=device, seconds=seconds, progress=progress)
    wall, end = time.perf_counter() - wall, time.process_time()
    value = found.value - objective.floor
    times, values = np.array(history).T
    before = values[times <= end - 0.1 * (end - clock)][-1]
    clock, start = end - clock, time.process_time()
    found = bounded(objective, found)
    return {
        "dim": dim, "classes": round(objective.orbits.atoms), "orbits": len(objective.orbits.sizes),
        "full": solution.certificate.excess, "value": value, "bound": found.bound_in_dimension - objective.floor,
        "last_tenth": (before - value) / value, "wall": wall, "seconds": clock,
        "bound_seconds": time.process_time() - start, "how": found.how,
        "gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }  # fmt: skip


def main() -> int:
    described = parser(__doc__)
    described.add_argument("--device", choices=("gpu",), help="the descents in JAX, on a GPU where there is one")
    described.add_argument("--only", choices=("inaturalist2018", "identities", "zipf"), help="one of the problems")
    described.add_argument("--seconds", type=float, help="of a problem's descent, which then gives its best so far")
    options = described.parse_args()
    import geomsolve as gs
    from geomsolve.solvers.descent.jax_descent import computing

    naturalist, device = gs.load_counts("inaturalist2018").per_class, "NumPy"
    if options.device:
        with computing(options.device) as place:
            device, gpu = place.name, place.device.platform != "cpu"
        fewer = 1 if gpu else 8
        cases = {
            "inaturalist2018": (np.sort(naturalist)[::fewer], 128 // min(fewer, 2)),
            "zipf": (gs.zipf_counts(85_742 // fewer**2, 1.0, 1e5), 512 // fewer),
        }
    else:
        identities = np.linspace(1, 35.999, 10_177).astype(int)
        cases = {"inaturalist2018": (naturalist, 128), "identities": (identities, 512)}
    if options.quick:
        cases = {name: (gs.zipf_counts(60, 1.0, 100), 8) for name in list(cases)[:1]}
    settings = {"temperature": 0.1, "device": device, "seconds": options.seconds}
    part = "dimensions/device" if options.device else f"dimensions/{options.only or 'many'}"
    record = Record(part, __doc__, options, key=("counts",), settings=settings)
    for name, (counts, dim) in cases.items():
        if record.has(counts=name) or options.only not in (None, name):
            continue
        row = descended(counts, dim, options.device, options.seconds)
        record.add(counts=name, **row)
        say(f"{name}: {row['value']:.7g} in {row['seconds']:.0f} s, last tenth {row['last_tenth']:.1e}")
    names = (
        "counts", "classes", "dim", "full", "value", "bound", "last_tenth", "seconds", "wall", "bound_seconds", "gib",
        "how",
    )  # fmt: skip
    head = (
        "counts", "C", "d", "optimum of any d", "reached", "bound of this d", "last tenth gained", "processor s",
        "wall s", "bound, processor s", "GiB at most", "what it says",
    )  # fmt: skip
    if record.rows:
        worst = max(row["last_tenth"] for row in record.rows)
        table = Table(f"With {device}", head, [[row[name] for name in names] for row in record.rows])
        record.finish({"most that a last tenth of the time gained, of the value": worst}, table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
