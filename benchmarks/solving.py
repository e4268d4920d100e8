"""Problems solved one by one within a limit of processor seconds, and the tables of what came out.

Shared by `practical` and `wild`, whose `problems.py` draw them.
"""

from __future__ import annotations

import argparse
import importlib
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from .record import Record, Table, one_thread, parser, say

MOST_DENSE = 300  # atoms of problems whose gap is computed a second time, from the matrix of all of them
TOL = 1e-9


class OutOfTimeError(BaseException):
    """The limit of a problem; no library catches it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise OutOfTimeError after so many processor seconds."""

    def stop(*_: object) -> None:
        raise OutOfTimeError

    signal.signal(signal.SIGPROF, stop)
    # Again and again: what is raised inside a destructor is lost.
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def solve_one(question: str, number: int, limit: float) -> dict[str, Any]:
    """One problem: what was proved, by whose answer, in what time, and why not more."""
    import geomsolve as gs

    draw = importlib.import_module(f"benchmarks.{question}.problems").draw
    row: dict[str, Any] = {"number": number}
    start = time.process_time()
    try:
        with limited(limit):
            family, objective, options = draw(number)
            row |= {"family": family, "options": options, "distinct": len(objective.orbits.sizes)}
            start = time.process_time()
            solution = gs.solve(objective, throw=False)
        proof = solution.certificate
        row |= {"quality": solution.quality.value, "solver": solution.solver, "value": proof.value}
        row |= {"how": solution.stats[-1].message}
        row |= {"relative_gap": proof.relative_gap, "cosine_residual": proof.cosine_residual}
        if solution.quality is not gs.Quality.CERTIFIED:
            row["reason"] = "; ".join(f"{r.solver}: {r.message or r.termination.value}" for r in solution.stats)
    except OutOfTimeError:
        row |= {"quality": "out of time", "reason": f"not within {limit:g} processor seconds"}
    except gs.GeomsolveError as error:
        row |= {"quality": "refused", "reason": f"{type(error).__name__}: {error}"}
    except Exception as error:  # a defect: counted, and named
        row |= {"quality": "crashed", "reason": f"{type(error).__name__}: {error}"}
    row["seconds"] = time.process_time() - start
    if row["quality"] == "certified" and objective.orbits.atoms <= MOST_DENSE:
        try:
            gap = dense_gap(objective, solution.orbits)
        except gs.BackendError:  # a loss that is written down by classes only
            return row
        allowed = 2 * TOL * proof.excess + 1e-13 * (1 + abs(row["value"]))
        row["wrong"] = not gap <= allowed
    return row


def dense_gap(objective: Any, gram: Any) -> float:
    """The gap by another route than `certify`: no orbits, no blocks, one `eigvalsh` of the matrix of all atoms."""
    import numpy as np

    import geomsolve as gs

    whole, matrix = objective.ungrouped(), gram.expand()
    slope, slack = whole.support(gs.OrbitGram.from_matrix(matrix, whole.orbits))
    slope = (slope + slope.T) / 2.0
    np.fill_diagonal(slope, 0.0)
    least = np.linalg.eigvalsh(slope - np.diag(np.sum(slope * matrix, axis=1)))[0]
    return float(slack + len(matrix) * max(0.0, -least))


def start_worker() -> None:
    """Everything imported, so that no problem pays for it."""
    import geomsolve as gs

    gs.solve(gs.SupCon([3, 2], temperature=1.0), throw=False)


def measure(question: str, about: str, *, count: int, limit: float) -> int:
    """The whole benchmark."""
    one_thread()
    described = parser(about)
    described.add_argument("--count", type=int, default=count, help=f"problems (default {count})")
    described.add_argument("--first", type=int, default=0, help="the number of the first (default 0)")
    described.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    described.add_argument("--limit", type=float, default=limit, help=f"processor seconds a problem ({limit:g})")
    options = described.parse_args()
    if options.quick:
        options.count, options.first, options.workers = 11, 11, 1
    settings = {"count": options.count, "first": options.first, "limit_seconds": options.limit}
    record = Record(question, about, options, key=("number",), settings=settings)
    solve_all(question, options, record)
    rows = record.rows
    record.finish(summary(rows), by_family(rows), by_solver(rows), uncertified(rows))
    return sum(row.get("wrong", False) for row in rows)


def solve_all(question: str, options: argparse.Namespace, record: Record) -> None:
    """Solve what the record does not have."""
    numbers = [n for n in range(options.first, options.first + options.count) if not record.has(number=n)]
    context = get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context, initializer=start_worker) as pool:
        left = [[question] * len(numbers), numbers, [options.limit] * len(numbers)]
        for done, row in enumerate(pool.map(solve_one, *left, chunksize=4), start=1):
            record.add(**row)
            if row["quality"] != "certified":
                say(f"{row['number']}, {row.get('family')}: {row['quality']}, {row['reason'][:150]}")
            if done % 250 == 0:
                say(f"{done} of {len(numbers)}")


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The totals."""
    certified = [row for row in rows if row["quality"] == "certified"]
    judged = [row for row in certified if "wrong" in row]
    return {
        "problems": len(rows),
        "certified": f"{len(certified)}, {100.0 * len(certified) / len(rows):.2f} %",
        f"certified, judged again with the dense matrix of all atoms (at most {MOST_DENSE})": len(judged),
        "of these wrong": sum(row["wrong"] for row in judged),
    }


def by_family(rows: list[dict[str, Any]]) -> Table:
    """Counts and processor seconds of every loss."""
    table = []
    for family in sorted({row.get("family", "unknown") for row in rows}):
        mine = [row for row in rows if row.get("family", "unknown") == family]
        seconds = sorted(row["seconds"] for row in mine)
        certified = sum(row["quality"] == "certified" for row in mine)
        late = seconds[int(0.99 * (len(seconds) - 1))]
        table.append((family, len(mine), certified, seconds[len(seconds) // 2], late, seconds[-1]))
    columns = ("loss", "problems", "certified", "median, s", "99 %, s", "longest, s")
    return Table("By loss", columns, table, note="Processor seconds of one `solve`, its certificates included.")


def by_solver(rows: list[dict[str, Any]]) -> Table:
    """Whose answers are the certified ones."""
    certified = [row for row in rows if row["quality"] == "certified"]
    pieces = [
        (row["solver"], re.sub(r"\d+", "n", row["how"])) for row in certified
    ]  # of numbers of nodes, and the like
    table = []
    for piece, count in Counter(pieces).most_common():
        families = Counter(row["family"] for row, mine in zip(certified, pieces, strict=True) if mine == piece)
        table.append((*piece, count, ", ".join(f"{name} {times}" for name, times in families.most_common())))
    return Table("What delivered the certified answer", ("solver", "by", "problems", "losses"), table)


def uncertified(rows: list[dict[str, Any]]) -> Table:
    """Every problem that was not certified, and why."""
    columns = ("number", "loss", "distinct counts", "what", "relative gap", "cosine residual", "s", "reason")
    table = [
        (
            row["number"], row.get("family"), row.get("distinct"), row["quality"], row.get("relative_gap"),
            row.get("cosine_residual"), row["seconds"], row["reason"][:200],
        )
        for row in rows
        if row["quality"] != "certified"
    ]  # fmt: skip
    return Table("Not certified", columns, table)
