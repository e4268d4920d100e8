"""Every solver on every problem of the zoo: time, what `certify` says of the answer, and its distance from the truth.

A solver is a process that takes the problems one after the other; it is killed at the time limit and goes on with the
next. What a solver says of itself is stored and not believed: `proved` is `geomsolve.certify`'s word at its defaults
(gap at most 1e-9 of the loss above its floor, cosines to 1e-6), and beside it stands how far the answer is from the
zoo's optimum, which was proved in ball arithmetic. One line of JSON a cell, after one that says where they are from.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from record import QUICK_RESULTS, RESULTS, machine, parser, say, stamp, versions

LIMIT = 10.0
# A fast answer is timed again, without what the first call of its kind loads.
TWICE = 1.0
# JAX compiles anew for every loss and size, for much longer than it then runs: not counted, and tried on some only.
COMPILED, COMPILING = "jax-descent", 120.0
FEW = (
    "supcon-1000-100-10-tau0.1",
    "supcon-cifar10-lt",
    "supcon-coldest",
    "supcon-tail-at-60",
    "gcl-k1-just-above",
    "gcl-k16-unsupervised",
    "bcl",
    "y-aware-line",
)
QUICK_PROBLEMS = ("supcon-1000-100-10-tau0.5", "gcl-k1-above", "bcl")
QUICK_SOLVERS = ("newton", "scipy-lbfgs")


def child(solver: str, names: list[str]) -> None:
    """Runs one solver over problems in this process; a line as each begins and one as it ends."""
    import zoo_solvers

    import geomsolve as gs

    zoo_solvers.prepare(solver)
    for name in names:
        problem = gs.zoo.problem(name)
        objective = problem.objective
        objective.check()
        print(json.dumps({"begin": name}), flush=True)
        print(json.dumps({"problem": name, **attempt(zoo_solvers, solver, objective, problem)}), flush=True)


def attempt(zoo_solvers: Any, solver: str, objective: Any, problem: Any) -> dict[str, Any]:
    """One cell."""
    run = zoo_solvers.SOLVERS[solver]
    clock = time.perf_counter()
    try:
        gram, said = run(objective)
        first = seconds = time.perf_counter() - clock
        if first < TWICE or solver == COMPILED:
            clock = time.perf_counter()
            gram, said = run(objective)
            seconds = time.perf_counter() - clock
    except zoo_solvers.NotTriedError as reason:
        return {"outcome": "not tried", "reason": str(reason)}
    except Exception as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        return {"outcome": "failed", "reason": text, "seconds": time.perf_counter() - clock}
    if gram is None:
        return {"outcome": "no answer", "reason": said[:200], "seconds": seconds}
    return {"seconds": seconds, "first_seconds": first, "said": said[:200], **judged(objective, problem, gram)}


def judged(objective: Any, problem: Any, gram: Any) -> dict[str, Any]:
    """What the certificate says of an answer, and how far it is from the truth."""
    import geomsolve as gs

    proof = gs.certify(objective, gram)
    repaired = gram.repaired()[0]
    proved = proof.holds()
    row = {
        "outcome": "proved" if proved else "unproved",
        "relative_gap": proof.relative_gap,
        "cosine_residual": proof.cosine_residual,
        "value_off": proof.value - float(problem.value),
        "cosines_off": problem.distance(repaired) if problem.unique else None,
    }
    if not proved:
        row["reason"] = f"relative gap {proof.relative_gap:.1e}, cosine residual {proof.cosine_residual:.1e}"
    return row


class Lines:
    """The JSON lines of the suite: a header, then one line a cell, each written as it is known."""

    def __init__(self, options: argparse.Namespace, settings: dict[str, Any]):
        """Start the file, or with --resume go on in one of the same settings, versions and machine."""
        self.path: Path = (options.out or (QUICK_RESULTS if options.quick else RESULTS)) / "zoo.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.cells: list[dict[str, Any]] = []
        self.commit = versions()["commit"]
        header = {
            "benchmark": "zoo",
            "date": stamp(),
            "command": " ".join(["python", *sys.argv]),
            "quick": options.quick,
            "machine": machine(),
            "versions": {name: number for name, number in versions().items() if name != "commit"},
            "load": {"start": os.getloadavg()},
            "settings": settings,
        }
        if options.resume and self.path.exists():
            before, *cells = read(self.path)
            if all(before[key] == json.loads(json.dumps(header[key])) for key in ("settings", "machine", "versions")):
                header, self.cells = before, [cell for cell in cells if "solver" in cell]
            else:
                say(f"zoo: other settings, versions or machine than in {self.path}: starting afresh")
        self.path.write_text("".join(json.dumps(line) + "\n" for line in (header, *self.cells)))

    def add(self, cell: dict[str, Any]) -> None:
        """One more cell, with the commit it was measured at."""
        cell = {**cell, "commit": self.commit}
        self.cells.append(cell)
        self.write(cell)

    def write(self, line: dict[str, Any]) -> None:
        """One more line."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def watch(solver: str, names: list[str], limit: float, lines: Lines) -> None:
    """Run a solver over problems, in as many processes as it takes, and keep every cell."""
    left = list(names)
    environment = os.environ | dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    while left:
        command = [sys.executable, str(Path(__file__).resolve()), "--child", solver, *left]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, env=environment
        )
        current, since = None, time.monotonic()
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        text = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if selector.select(timeout=0.2):
                    piece = process.stdout.read()
                    if not piece:
                        break
                    *whole, text = (text + piece).split(b"\n")
                    for line in map(json.loads, whole):
                        current, since = line.get("begin"), time.monotonic()
                        if current is None:
                            keep(solver, line, lines)
                            left.remove(line["problem"])
                # A little more than the limit, for the judgement; imports and reading the problem take longer.
                allowed = COMPILING if solver == COMPILED or not current else limit + 2.0
                if time.monotonic() - since > allowed:
                    os.killpg(process.pid, signal.SIGKILL)
                    break
        code = process.wait()
        process.stdout.close()
        if not left:
            return
        lost = current or left[0]
        reason = f"killed at {limit:g} s" if code == -signal.SIGKILL else f"died with exit code {code}"
        keep(solver, {"problem": lost, "outcome": "time limit" if current else "failed", "reason": reason}, lines)
        left.remove(lost)


def keep(solver: str, cell: dict[str, Any], lines: Lines) -> None:
    lines.add({"solver": solver, **cell})
    took = f"{cell['seconds']:.3g} s" if "seconds" in cell else ""
    say(f"{solver} {cell['problem']}: {cell['outcome']} {took} {cell.get('reason', '')}")


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--limit", type=float, default=LIMIT, help=f"seconds a cell may take (default {LIMIT:g})")
    options.add_argument("--solver", nargs="*", help="only these solvers")
    options.add_argument("--problem", nargs="*", help="only these problems")
    options.add_argument("--child", nargs="+", help="(internal) a solver and its problems, in this process")
    given = options.parse_args()
    if given.child:
        child(given.child[0], given.child[1:])
        return 0
    from zoo_solvers import SOLVERS

    import geomsolve as gs

    problems = QUICK_PROBLEMS if given.quick else gs.zoo.names()
    solvers = given.solver or (QUICK_SOLVERS if given.quick else tuple(SOLVERS))
    settings = {
        "limit_seconds": given.limit,
        "problems": len(problems),
        "twice_below_seconds": TWICE,
        "threads": 1,
        "few": {COMPILED: len(FEW)},
    }
    lines = Lines(given, settings)
    for solver in solvers:
        done = {cell["problem"] for cell in lines.cells if cell["solver"] == solver}
        tried = [name for name in given.problem or problems if solver != COMPILED or name in FEW]
        watch(solver, [name for name in tried if name not in done], given.limit, lines)
    lines.write({"finished": stamp(), "load_end": os.getloadavg()})
    say(f"wrote {lines.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
