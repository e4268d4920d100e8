"""How often is a wrong answer certified (never, it must be), and how often is a right one refused?

Candidates for every problem of the zoo whose optimum is unique: the truth itself in several forms, and answers that are
wrong in ways that happen. `certify` judges each at its defaults. A candidate's distance from the truth is the largest
difference of a cosine after the repair that `certify` makes, so a candidate that repair makes right counts as right:

    right    at most 1e-8
    near     in between: either verdict is fair (the certificate promises 1e-6 in units that stationarity gives)
    wrong    above 1e-5
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

import geomsolve as gs

from .. import rivals
from ..record import Record, Table, parser, say

RIGHT, WRONG = 1e-8, 1e-5
# An (m, m) matrix is judged with every atom by itself; orbits are judged at any size.
MOST_ATOMS, MOST_ORBITS = 60, 100
NOISE = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
STEPS = (1e-1, 1e-2, 1e-3, 1e-4)
QUICK = ("supcon-1000-100-10-tau0.5", "gcl-k1-above")

Candidate = tuple[str, float | None, Any]


def candidates(problem: gs.zoo.ZooProblem) -> Iterator[Candidate]:
    """(kind, size, Gram matrix): right ones, wrong ones, and some of which only the distance tells."""
    truth, objective = problem.orbits, problem.objective
    yield "truth", None, truth
    yield "simplex", None, gs.OrbitGram.simplex(truth.orbits)
    yield from _moved(truth)
    yield from _shapes(truth)
    yield from _stopped(objective)
    yield from _neighbours(problem)
    if truth.orbits.atoms <= MOST_ATOMS:
        yield from _matrices(problem.gram)


def _moved(truth: gs.OrbitGram) -> Iterator[Candidate]:
    """Noise on orbits: on cosines, whose repair shrinks them, and on the way to another feasible matrix."""
    rng = np.random.default_rng(0)
    simplex = gs.OrbitGram.simplex(truth.orbits)
    for size in NOISE:
        noise = rng.standard_normal(truth.cosines.shape)
        yield "noise on cosines", size, _with(truth, truth.cosines + size * (noise + noise.T) / 2.0)
        yield "towards the simplex", size, _with(truth, truth.cosines + size * (simplex.cosines - truth.cosines))
    yield "noise on cosines", 1e-10, _with(truth, truth.cosines + 1e-10 * (noise + noise.T) / 2.0)
    yield "float32 of cosines", None, _with(truth, truth.cosines.astype(np.float32).astype(float))


def _shapes(truth: gs.OrbitGram) -> Iterator[Candidate]:
    """Wrong tails, wrong collapse, wrong rank, orbits exchanged."""
    cosines, count = truth.cosines, len(truth.sizes)
    last = count - 1
    # The cosine in the far tail: within the last orbit, or of the last two.
    pair = (last, last) if truth.orbits.plural[last] else (last, last - 1)
    for size in (0.3, -0.3, 1e-2, -1e-2, 1e-4, -1e-4):
        moved = cosines.copy()
        moved[pair] = moved[pair[::-1]] = min(moved[pair] + size, 1.0)
        yield "tail cosine moved", size, _with(truth, moved)
    for orbit in range(count):
        if truth.orbits.plural[orbit]:
            closed = cosines.copy()
            closed[orbit, orbit] = 1.0
            yield "orbit collapsed", None, _with(truth, closed)
            widened = cosines.copy()
            widened[orbit, orbit] -= 1e-3
            yield "orbit widened", 1e-3, _with(truth, widened)
    if truth.orbits.plural.any():
        for size in (1e-3, 1e-4, 1e-5, 1e-6):
            widened = cosines.copy()
            widened[np.diag_indices_from(widened)] -= size * truth.orbits.plural
            yield "all orbits widened", size, _with(truth, widened)
    if count > 1:
        merged = cosines.copy()
        merged[last], merged[:, last] = cosines[last - 1], cosines[:, last - 1]
        merged[last, last] = cosines[last, last]
        merged[last, last - 1] = merged[last - 1, last] = 1.0
        yield "last two orbits merged", None, _with(truth, merged)
        swap = np.arange(count)
        swap[[0, last]] = swap[[last, 0]]
        swapped = cosines[np.ix_(swap, swap)]
        if truth.orbits.plural[0] == truth.orbits.plural[last]:
            yield "first and last orbit exchanged", None, _with(truth, swapped)
    values, vectors = np.linalg.eigh(truth.quotient)
    above = np.flatnonzero(values > 1e-6)
    if above.size > 1:
        cut = truth.quotient - values[above[0]] * np.outer(vectors[:, above[0]], vectors[:, above[0]])
        root = np.sqrt(truth.sizes)
        mean = cut / root / root[:, None]
        length = np.diag(mean).copy()
        single = ~truth.orbits.plural
        scale = np.where(single, 1.0 / np.sqrt(np.maximum(length, 1e-12)), 1.0)
        mean = mean * scale * scale[:, None]
        inside = (truth.sizes * length - 1.0) / np.where(single, 1.0, truth.sizes - 1.0)
        np.fill_diagonal(mean, np.where(single, 1.0, inside))
        yield "one dimension missing", None, _with(truth, mean)


def _stopped(objective: gs.Objective) -> Iterator[Candidate]:
    """Answers of solvers that were stopped early."""
    for steps in (1, 2, 3, 4):
        yield "Newton stopped", steps, gs.solvers.Newton(max_steps=steps).run(objective).gram
    if len(objective.orbits.sizes) <= 12:
        for steps in (6, 10, 14):
            yield "conic program stopped", steps, gs.solvers.Conic(max_steps=steps).run(objective).gram
    if objective.smooth and objective.orbits.atoms <= MOST_ATOMS:
        for steps in (10, 40, 160):
            yield "L-BFGS stopped", steps, rivals.lbfgs(objective, steps=steps, starts=1)


def _neighbours(problem: gs.zoo.ZooProblem) -> Iterator[Candidate]:
    """Certified optima of a slightly different problem."""
    knob = "scale" if problem.loss == "lc" else "temperature"
    hinge = problem.options.get("loss") == "hinge"
    for step in STEPS if not hinge else ():
        options = {**problem.options, knob: problem.options.get(knob, 1.0) * (1.0 + step)}
        yield f"optimum of another {knob}", step, _optimum(problem, problem.counts, options)
    if problem.loss in ("supcon", "gcl") and not isinstance(problem.counts, str) and not hinge:
        for step in STEPS:
            counts = (problem.counts[0] * (1.0 + step), *problem.counts[1:])
            if sum(problem.counts) <= 1.0 + 1e-9:
                counts = tuple(n / sum(counts) for n in counts)
            yield "optimum of other counts", step, _optimum(problem, counts, problem.options)


def _optimum(problem: gs.zoo.ZooProblem, counts: Any, options: Any) -> Any:
    other = gs.zoo.ZooProblem({**vars(problem), "counts": counts, "options": options}).objective
    gram = gs.solve(other, throw=False).orbits
    # Other counts may make other orbits; then it is no answer to this problem in this form.
    return gram if gram.orbits.same_as(problem.orbits.orbits) else None


def _matrices(gram: np.ndarray) -> Iterator[Candidate]:
    """The same over all atoms: as they stand, noisy points, classes in another order."""
    rng = np.random.default_rng(1)
    yield "truth, every atom by itself", None, gram
    yield "float32 of a matrix", None, gram.astype(np.float32)
    values, vectors = np.linalg.eigh(gram)
    points = vectors * np.sqrt(np.maximum(values, 0.0))
    for size in NOISE:
        noisy = points + size * rng.standard_normal(points.shape) / np.sqrt(len(gram))
        noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
        yield "noise on points", size, noisy @ noisy.T
    yield "first and last atom exchanged", None, _exchanged(gram)
    yield "random points", None, _random(len(gram), rng)


def _exchanged(gram: np.ndarray) -> np.ndarray:
    swap = np.arange(len(gram))
    swap[[0, -1]] = swap[[-1, 0]]
    return gram[np.ix_(swap, swap)]


def _random(count: int, rng: np.random.Generator) -> np.ndarray:
    points = rng.standard_normal((count, count))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points @ points.T


def _with(truth: gs.OrbitGram, cosines: np.ndarray) -> gs.OrbitGram:
    cosines = np.array(np.minimum((cosines + cosines.T) / 2.0, 1.0))
    np.fill_diagonal(cosines, np.where(truth.orbits.plural, np.diag(cosines), 1.0))
    return gs.OrbitGram(truth.orbits, cosines)


def judge(problem: gs.zoo.ZooProblem, kind: str, size: float | None, gram: Any) -> dict[str, Any]:
    """One row."""
    proof = gs.certify(problem.objective, gram)
    if not isinstance(gram, gs.OrbitGram):
        gram = gs.OrbitGram.from_matrix(gram, problem.objective.orbits)
    distance = problem.distance(gram.repaired()[0])
    return {
        "problem": problem.name,
        "kind": kind,
        "size": size,
        "distance": distance,
        "class": "right" if distance <= RIGHT else "wrong" if distance > WRONG else "near",
        "certified": proof.holds(),
        "relative_gap": proof.relative_gap,
        "cosine_residual": proof.cosine_residual,
    }


def main() -> int:
    warnings.simplefilter("ignore")
    options = parser(__doc__).parse_args()
    problems = [gs.zoo.problem(name) for name in (QUICK if options.quick else gs.zoo.names())]
    problems = [p for p in problems if p.unique and len(p.objective.orbits.sizes) <= MOST_ORBITS]
    settings = {"right": RIGHT, "wrong": WRONG, "most_distinct": MOST_ORBITS, "most_atoms": MOST_ATOMS}
    record = Record(
        "truth/answers", __doc__, options, key=("problem",), settings=settings | {"problems": len(problems)}
    )
    for problem in problems:
        if record.has(problem=problem.name):
            continue
        mine = [judge(problem, *candidate) for candidate in candidates(problem) if candidate[2] is not None]
        for row in mine:
            record.add(**row)
        certified = sum(row["class"] == "wrong" and row["certified"] for row in mine)
        say(f"{problem.name}: {len(mine)} candidates, {certified} wrong ones certified")
    record.finish(summary(record.rows), by_kind(record.rows))
    return sum(row["class"] == "wrong" and row["certified"] for row in record.rows)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The totals."""
    found = Counter((row["class"], row["certified"]) for row in rows)
    refused = [row for row in rows if row["class"] == "right" and not row["certified"]]
    return {
        "wrong answers certified": f"{found['wrong', True]} of {found['wrong', True] + found['wrong', False]}",
        "right answers refused": f"{len(refused)} of {len(refused) + found['right', True]}",
        "of these the truth itself, rounded": sum(row["kind"].startswith("truth") for row in refused),
        "in between, certified": f"{found['near', True]} of {found['near', True] + found['near', False]}",
        "farthest answer certified": max(row["distance"] for row in rows if row["certified"]),
    }


def by_kind(rows: list[dict[str, Any]]) -> Table:
    """Counts of every kind of candidate."""
    table = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == kind]
        found = Counter((row["class"], row["certified"]) for row in mine)
        total = Counter(row["class"] for row in mine)
        least = min((row["cosine_residual"] for row in mine if row["class"] == "wrong"), default=None)
        counts = (total["wrong"], found["wrong", True], total["near"], found["near", True])
        table.append((kind, *counts, total["right"], found["right", False], least))
    head = ("candidate", "wrong", "certified", "in between", "certified", "right", "refused")
    note = "What is right to 1e-8 need not be proved: the gap is of first order in the error."
    return Table("By kind of candidate", (*head, "least cosine residual of a wrong one"), table, note)


if __name__ == "__main__":
    sys.exit(main())
