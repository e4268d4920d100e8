"""The work of a sweep: chains of neighbouring problems, solved one after the other, each from the answer before it.

Tasks and answers are dictionaries of plain things, so any executor can carry them, and a worker needs nothing but an
installed geomsolve.
"""

import functools
import hashlib
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..counts.counts import Counts
from ..errors import GeomsolveError, ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective
from ..objectives.registry import build_objective, objective_options
from ..solvers.newton.dual_step import DENSE
from ..solvers.newton.newton import Newton
from ..solvers.points.embedding import embed
from ..solvers.solution import Quality, Solution
from ..solvers.solving import solve
from ..text import attributes

# Goes into every hash: raise it when an old answer must not stand for a new problem.
PROBLEM_FORMAT = 1
# The text of counts that cannot be.
NO_COUNTS = "[[], []]"
# Cosines of more distinct counts are not kept: 320 KB a point.
_MOST_ORBITS = 200


def solve_chain(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers to the first problems of a chain: all, or as many as there was time for, at least one.

    A task has `points` (each with key, statement, counts, name, options, dim), `tol`, `seconds` (the time there is) and
    `start` (counts and cosines of the answer before the first, or None).
    """
    deadline, start, rows = time.monotonic() + task["seconds"], task["start"], []
    for point in task["points"]:
        rows.append(_answer(point, task["tol"], start))
        start = start_after(point, rows[-1])
        if time.monotonic() >= deadline:
            break
    return rows


def start_after(point: dict[str, Any], row: dict[str, Any]) -> tuple[str, bytes] | None:
    """What the next problem may start from: counts and cosines of a certified answer, where they are kept."""
    certified = row["quality"] == Quality.CERTIFIED.value and row["cosines"] is not None
    return (point["counts"], row["cosines"]) if certified else None


def _answer(point: dict[str, Any], tol: float, start: tuple[str, bytes] | None) -> dict[str, Any]:
    """The journal's row of one problem. Whatever goes wrong with it is its answer."""
    clock = time.perf_counter()
    row = {name: point[name] for name in ("key", "statement", "counts")} | {"cosines": None}
    try:
        if "error" in point:
            raise ProblemError(point["error"])
        counts = read_counts(point["counts"])
        row["classes"] = counts.classes
        solution = _solved(build_objective(point["name"], counts, point["options"]), tol, start)
        row |= _summary(solution)
        if point["dim"] is not None:
            embedding = embed(solution, point["dim"], bound=False)
            row |= {"embedding_value": embedding.value, "embedding_gap": embedding.gap}
        if solution.quality is not Quality.CERTIFIED:
            row["error"] = f"not certified: {solution.tried}"
    except GeomsolveError as error:
        row |= {"quality": "failed", "error": str(error)}
    except Exception as error:
        row |= {"quality": "failed", "error": f"{type(error).__name__}: {error}"}
    return row | {"seconds": time.perf_counter() - clock, "error": " ".join(row.get("error", "").split())}


def hash_of(text: str) -> str:
    """The hash under which the journal keeps the problem of that statement, or a sweep."""
    return hashlib.sha256(text.encode()).hexdigest()


@functools.lru_cache(maxsize=4096)
def counts_text(counts: Counts) -> str:
    """JSON of the distinct counts and of how many classes have each."""
    return json.dumps([counts.distinct.tolist(), counts.multiplicity.tolist()])


def statement_of(name: str, options: Mapping[str, Any], counts: str, dim: int | None, tol: float) -> str:
    """Canonical JSON of a problem: what is hashed, and kept in the journal.

    Options at their defaults are left out, so a loss that gains an option keeps its hashes.
    """
    defaults = objective_options(name)
    given = {key: _canonical(value) for key, value in options.items() if value != defaults.get(key)}
    if ".py:" in str(given.get("loss")):
        # The code is the problem, wherever its file is.
        path, _, function = str(given["loss"]).rpartition(":")
        given["loss"] = f"{function} in {hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    problem = {"format": PROBLEM_FORMAT, "objective": name, "options": given, "counts": hash_of(counts)}
    return json.dumps({**problem, "dim": dim, "tol": tol}, sort_keys=True, separators=(",", ":"))


def _canonical(value: Any) -> Any:
    """1, 1.0 and "1" are one setting; infinity is a word, which JSON can write."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return value
    return number if math.isfinite(number) else str(number)


@functools.lru_cache(maxsize=4096)
def read_counts(text: str) -> Counts:
    """The counts that `counts_text` wrote."""
    values, multiplicity = json.loads(text)
    groups = np.repeat(np.arange(len(values)), np.asarray(multiplicity, dtype=np.intp))
    return Counts(np.array(values), np.array(multiplicity), groups, "sweep")


def _solved(objective: Objective, tol: float, start: tuple[str, bytes] | None) -> Solution:
    # From its neighbour's answer Newton saves 0.5 to 2 of its 4 to 8 steps, however far apart the neighbours are and
    # through a collapse too. Beyond DENSE orbits its own coarse start is better, and an optimum with kinks need not be
    # unique, so the answer would depend on the start.
    orbits = objective.orbits
    warm = objective.smooth and len(orbits.sizes) <= DENSE
    if start is not None and warm and np.array_equal(read_counts(start[0]).multiplicity, orbits.sizes):
        guess = OrbitGram(orbits, unpack_cosines(start[1]))
        solution = solve(objective, Newton(), tol=tol, throw=False, start=guess)
        if solution.quality is Quality.CERTIFIED:
            return solution
    return solve(objective, tol=tol, throw=False)


def _summary(solution: Solution) -> dict[str, Any]:
    certificate, gram, cosines = solution.certificate, solution.orbits, solution.orbits.cosines
    pairs, last = cosines[gram.orbits.partners > 0], len(cosines) - 1
    # Most geometries have no collapse, and to find that out orbit by orbit would take a tenth of the solve.
    groups = [gram.sizes[group].sum() for group in gram.merged()] if pairs.max() > 0.9999 else []
    return {
        **attributes(certificate, "value", "lower_bound", "gap", "relative_gap", "cosine_residual"),
        **attributes(solution, "solver", "rank"),
        "quality": solution.quality.value,
        "collapsed": round(sum(groups)),
        "largest_group": round(max(groups, default=0)),
        "cosine_min": float(pairs.min()),
        "cosine_max": float(pairs.max()),
        "head_tail": float(cosines[0, last]),
        "tail_tail": float(cosines[last if gram.orbits.plural[last] else last - 1, last]),
        "cosines": cosines.astype("<f8").tobytes() if len(cosines) <= _MOST_ORBITS else None,
    }


def unpack_cosines(packed: bytes) -> NDArray[np.float64]:
    """The (K, K) cosines between orbits, kept as little-endian float64."""
    return np.frombuffer(packed, dtype="<f8").astype(np.float64).reshape((math.isqrt(len(packed) // 8),) * 2)
