"""The zoo: problems whose optimum is proved, and who finds it.

Every solver on every problem of `geomsolve.zoo.names()`, whose optima are closed forms or were proved in ball
arithmetic from formulas written a second time (`prove.py`). What a solver says of itself is not used: an answer counts
when `geomsolve.certify` proves it (gap at most 1e-9 of the loss above its floor, cosines to 1e-6), and beside it stands
how far its cosines are from the proved ones. One thread; answers faster than a second are timed again, without what a
first call loads; imports and certificates do not count, cvxpy's modelling does. Rivals are not tried beyond the number
of atoms or distinct counts given, where they take minutes.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from ..record import Record, Table, one_thread, parser, say

one_thread()  # before numpy is imported

import numpy as np  # noqa: E402

import geomsolve as gs  # noqa: E402

from .. import rivals  # noqa: E402
from ..solving import OutOfTimeError, limited  # noqa: E402

LIMIT, AGAIN = 10.0, 1.0
Solver = Callable[[gs.Objective], Any]
# Solver, and how many (atoms, distinct counts) it is tried on.
SOLVERS: dict[str, tuple[Solver, float, float]] = {
    "geomsolve.solve": (lambda loss: gs.solve(loss, throw=False).orbits, np.inf, np.inf),
    "Newton alone": (lambda loss: gs.solvers.Newton().run(loss).gram, np.inf, np.inf),
    "conic, distinct counts": (lambda loss: rivals.conic(loss, full=False), np.inf, 30),
    "conic, all atoms": (lambda loss: rivals.conic(loss, full=True), 12, 12),
    "L-BFGS over embeddings": (rivals.lbfgs, 100, np.inf),
}
QUICK = ("supcon-1000-100-10-tau0.5", "gcl-k1-above", "bcl")


def cell(name: str, problem: gs.zoo.ZooProblem) -> dict[str, Any]:
    """One solver on one problem."""
    solver, atoms, distinct = SOLVERS[name]
    objective = problem.objective
    if objective.orbits.atoms > atoms or len(objective.orbits.sizes) > distinct:
        return {"outcome": "not tried"}
    if solver is rivals.lbfgs and not objective.smooth:
        return {"outcome": "not tried"}
    try:
        with limited(LIMIT):
            for _ in range(2):
                clock = time.perf_counter()
                gram = solver(objective)
                seconds = time.perf_counter() - clock
                if seconds > AGAIN:
                    break
    except OutOfTimeError:
        return {"outcome": f"not within {LIMIT:g} s"}
    except gs.GeomsolveError as error:
        return {"outcome": "failed", "reason": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    if gram is None:
        return {"outcome": "no answer"}
    return {"seconds": seconds, **judged(problem, gram)}


def judged(problem: gs.zoo.ZooProblem, gram: Any) -> dict[str, Any]:
    """What the certificate says of an answer, and how far it is from the truth."""
    proof = gs.certify(problem.objective, gram)
    off = problem.distance(gram.repaired()[0]) if problem.unique else None
    found = {"outcome": "certified" if proof.holds() else "not certified", "cosines_off": off}
    return found | {"relative_gap": proof.relative_gap, "cosine_residual": proof.cosine_residual}


def main() -> int:
    warnings.simplefilter("ignore")
    options = parser(__doc__).parse_args()
    names = QUICK if options.quick else gs.zoo.names()
    settings = {"limit_seconds": LIMIT, "problems": len(names)}
    record = Record("zoo", __doc__, options, key=("solver", "problem"), settings=settings)
    warm = gs.SupCon([30, 20, 10], temperature=0.5)
    for solver, (run, *_) in SOLVERS.items():
        run(warm)  # imports and first calls
        for name in names:
            if not record.has(solver=solver, problem=name):
                record.add(solver=solver, problem=name, **cell(solver, gs.zoo.problem(name)))
        say(f"{solver}: {sum(row['solver'] == solver for row in record.rows)} problems")
    table, missed = [], []
    for solver in SOLVERS:
        mine = [row for row in record.rows if row["solver"] == solver and row["outcome"] != "not tried"]
        done = [row for row in mine if row["outcome"] == "certified"]
        seconds = [row["seconds"] for row in done]
        median = float(np.median(seconds)) if seconds else None
        table.append((solver, len(mine), len(done), median, max(seconds, default=None), worst(done)))
        missed += [
            (solver, row["problem"], row["outcome"], row.get("relative_gap"), row.get("cosine_residual"),
             row.get("cosines_off"), row.get("reason", ""))
            for row in mine if row not in done
        ]  # fmt: skip
    ours = [row for row in missed if row[0] == "geomsolve.solve"]
    record.finish(
        {"problems": len(names), "certified by geomsolve.solve": len(names) - len(ours), "largest error": table[0][5]},
        Table(
            "By solver", ("solver", "tried", "certified", "median, s", "longest, s", "cosines off by at most"), table
        ),
        Table(
            "Tried and not certified",
            ("solver", "problem", "outcome", "relative gap", "cosine residual", "cosines off", "reason"),
            missed,
        ),
    )
    return 0


def worst(rows: list[dict[str, Any]]) -> float | None:
    """The largest error of a cosine."""
    return max((row["cosines_off"] for row in rows if row["cosines_off"] is not None), default=None)


if __name__ == "__main__":
    sys.exit(main())
