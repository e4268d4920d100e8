"""Time to a proved relative gap of 1e-4, 1e-6 and 1e-9: geomsolve's Newton against general solvers.

Every cell (solver, problem) is a process of its own, killed when it is silent for longer than its time limit. Inside,
the solver's clock runs without imports, compilation (JAX) and certificates; the gap is always `geomsolve.certify`'s,
whatever the solver believes. A target that is not reached stays in the table with the reason.

Problems: SupCon, 2 views, long-tailed counts of imbalance ratio 100. "distinct": all counts differ, so orbits save
nothing. "levels": ten distinct counts, C/10 classes each, which shows what orbits save a conic solver.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

import rivals
from record import Record, parser, say, versions

CONIC = ("cvxpy-clarabel", "cvxpy-scs", "orbit-clarabel", "orbit-scs")
DESCENT = ("pymanopt-cg", "pymanopt-trust", "scipy-lbfgs", "jax-adam")
MOST_CONIC = 60
# BLAS threads slow matrices of this size down (L-BFGS at C = 20 sixfold): every solver gets one up to here, else all.
ONE_THREAD = 100
# A step at C = 1000 takes 0.1 s and more: with the common limit nobody but Newton would arrive.
LARGE, LARGE_FACTOR = 1000, 5


def counts_of(problem: str, classes: int) -> list[float]:
    """Class counts, largest first, imbalance ratio 100."""
    levels = classes if problem == "distinct" else min(10, classes)
    values = [round(1000 * classes * 100 ** (-i / (levels - 1))) for i in range(levels)]
    return [float(v) for v in values for _ in range(classes // levels)]


def cells(quick: bool) -> list[tuple[str, str, int, float]]:
    """(solver, problem, classes, temperature), small ones first."""
    if quick:
        fast = ("geomsolve-newton", "cvxpy-clarabel", "orbit-scs", *DESCENT)
        return [(solver, "distinct", 6, 0.5) for solver in fast]
    listed = []
    for classes in (10, 20, 40, 60, 100, 300, 1000):
        for temperature in (0.1, 0.5):
            # Full and orbit size are one program where all counts differ.
            conic = CONIC[:2] if classes <= MOST_CONIC else ()
            listed += [(solver, "distinct", classes, temperature) for solver in ("geomsolve-newton", *conic, *DESCENT)]
    for classes in (20, 40, 60):
        listed += [(solver, "levels", classes, 0.1) for solver in ("geomsolve-newton", *CONIC)]
    return listed


def child(cell: list[str], limit: float, step: float) -> None:
    """Runs one cell in this process and prints its lines."""
    import resource

    solver, problem, classes, temperature = cell
    if solver in CONIC:
        # A dense cone that outgrows the machine must end as a row of the table, not as a dead machine.
        resource.setrlimit(resource.RLIMIT_AS, (16 * 2**30, resource.RLIM_INFINITY))
    counts = counts_of(problem, int(classes))
    rivals.run(solver, rivals.Problem(counts, float(temperature)), limit, step)


def watch(command: list[str], silence: float, threads: int | None) -> tuple[list[dict], str | None]:
    """The lines a child printed, and why it was killed (None if it ended by itself)."""
    environment = dict(os.environ)
    if threads is not None:
        environment |= {name: str(threads) for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, env=environment
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    text, killed, last = b"", None, time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(timeout=1.0):
                piece = process.stdout.read()
                if not piece:
                    break
                text, last = text + piece, time.monotonic()
            elif time.monotonic() - last > silence:
                killed = f"killed: no answer within {silence:g} s"
                os.killpg(process.pid, signal.SIGKILL)
                break
    code = process.wait()
    process.stdout.close()
    lines = [json.loads(line) for line in text.decode().splitlines() if line.endswith("}")]
    if killed is None and not (lines and "end" in lines[-1]):
        killed = f"died with exit code {code}" + (" (out of memory?)" if code in (-9, -6, 1) else "")
    return lines, killed


def first_time(lines: list[dict], target: float, limit: float) -> dict | None:
    """The least seconds at which a run was judged within the target, and the last judgement before that was not."""
    best = None
    before: dict[str, float] = {}
    done: set[str] = set()
    for line in lines:
        if "relative_gap" not in line or line["run"] in done:
            continue
        if line["relative_gap"] <= target and line["seconds"] <= limit:
            done.add(line["run"])
            if best is None or line["seconds"] < best["seconds"]:
                best = {"seconds": line["seconds"], "not_yet": before.get(line["run"], 0.0), "run": line["run"]}
                best["calls"] = line["calls"]
        else:
            before[line["run"]] = line["seconds"]
    return best


def digest(lines: list[dict], killed: str | None, limit: float) -> dict:
    judged = [line for line in lines if "relative_gap" in line]
    best = min(judged, key=lambda line: line["relative_gap"], default=None)
    compiled = [line["seconds"] for line in lines if line.get("run") == "compile"]
    reason = killed or lines[-1]["end"]
    return {
        "times": {f"{target:g}": first_time(lines, target, limit) for target in rivals.TARGETS},
        "best": best,
        "judgements": len(judged),
        "compile_seconds": compiled[0] if compiled else None,
        "end": reason,
    }


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--limit", type=float, help="seconds a run of a solver may take (default 60)")
    options.add_argument("--again", nargs="*", default=[], help="with --resume: solvers to measure anew all the same")
    options.add_argument("--cell", nargs=4, help="(internal) run one cell: solver, problem, classes, temperature")
    given = options.parse_args()
    limit = given.limit or (5.0 if given.quick else 60.0)
    step = 1.15
    if given.cell:
        child(given.cell, limit, step)
        return 0
    settings = {
        "limit_seconds": limit,
        "targets": rivals.TARGETS,
        "judged_every_factor": step,
        "one_thread_up_to": ONE_THREAD,
        "longer": {"from_classes": LARGE, "factor": LARGE_FACTOR},
        "conic_tolerances": rivals.CONIC_TOLERANCES,
        "adam_steps": rivals.ADAM_STEPS,
        "adam_rate": rivals.ADAM_RATE,
    }
    key = ("solver", "problem", "classes", "temperature")
    # What the rivals take does not depend on geomsolve's commit.
    record = Record("solvers", given, key=key, settings=settings, any_commit=True)
    record.rows[:] = [row for row in record.rows if row["solver"] not in given.again]
    todo = cells(given.quick)
    commit = versions()["commit"]
    for number, (solver, problem, classes, temperature) in enumerate(todo, start=1):
        identity = {"solver": solver, "problem": problem, "classes": classes, "temperature": temperature}
        if record.has(**identity):
            continue
        begin = time.monotonic()
        allowed = limit * (LARGE_FACTOR if classes >= LARGE else 1)
        cell = ["--cell", solver, problem, str(classes), str(temperature), "--limit", str(allowed)]
        threads = 1 if classes <= ONE_THREAD else None
        lines, killed = watch([sys.executable, str(Path(__file__).resolve()), *cell], allowed + 30.0, threads)
        broken = [line["broken"] for line in lines if "broken" in line]
        if broken:
            say(f"{' '.join(cell[1:5])}: the benchmark itself broke: {broken[0]}")
            return 1
        row = digest(lines, killed, allowed)
        record.add(**identity, commit=commit, limit_seconds=allowed, **row, wall_seconds=time.monotonic() - begin)
        times = ", ".join(f"{t} {v['seconds']:.3g} s" if v else f"{t} -" for t, v in row["times"].items())
        say(f"[{number}/{len(todo)}] {solver} {problem} C={classes} tau={temperature}: {times} ({row['end']})")
    record.finish(
        judge="geomsolve.certify, relative gap",
        reached={
            solver: {
                f"{target:g}": sum(r["times"][f"{target:g}"] is not None for r in record.rows if r["solver"] == solver)
                for target in rivals.TARGETS
            }
            | {"of": sum(r["solver"] == solver for r in record.rows)}
            for solver in dict.fromkeys(r["solver"] for r in record.rows)
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
