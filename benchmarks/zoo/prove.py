"""The optima of the zoo, proved in ball arithmetic, into geomsolve/zoo/data/optima.json.

A Gram matrix from `geomsolve.solve` is nothing but a starting point here. The losses are written down a second time,
from their formulas (`losses.py`), and stationarity is solved to many digits (`refine.py`). What is stored is
then proved, in balls (python-flint):

- G is exactly feasible: normalised rows of a factor, or (many classes) a matrix moved towards the identity by as much
  as its smallest eigenvalue can be below 0. So L(G) >= the optimum.
- D is the derivative at G, S = D - Diag(D G), and F a factor with S - F F^T tiny. Every feasible H has
  L(H) >= L(G) + <S, H> >= L(G) - m |S - F F^T|. So the optimum >= that.

Cosines: where each is seen by a row of mass m_i, the same inequality bounds the divergence of the rows' softmax,
sum_i m_i KL_i <= m |S - F F^T|, and Pinsker's inequality the cosines.

python -m benchmarks.zoo.prove             some minutes on one core, most of them for iNaturalist
python -m benchmarks.zoo.prove NAME ...    only these, the others stay
"""

from __future__ import annotations

import json
import sys
import time

import flint
import numpy as np
from flint import arb, ctx

import geomsolve as gs
from geomsolve.zoo.problems import ZooProblem, zoo_definitions

from ..record import ROOT, commit, machine, say, stamp, versions
from .losses import Drawn, Loss, Softmax, loss_of
from .refine import Balance, Points, biggest

TARGET = ROOT / "geomsolve" / "zoo" / "data" / "optima.json"
BITS, BITS_LARGE, LARGE = 768, 256, 40
DIGITS, COSINE_DIGITS = 40, 25


def bound(loss: Loss, gram, factor=None):
    """The value, and the m |S - F F^T| by which the optimum may lie below it."""
    value, slope, push = loss.rows(gram)
    sizes, k = loss.sizes, len(loss.sizes)
    force = [[(slope[a][b] + slope[b][a]) / 2 for b in range(k)] for a in range(k)]
    near = [[b for b in range(k) if loss.partners(a, b)] for a in range(k)]
    own = [-sum((loss.partners(a, b) * force[a][b] * gram[a][b] for b in near[a]), arb(0)) for a in range(k)]
    roots = [arb(n).sqrt() for n in sizes]
    slack = [[roots[a] * roots[b] * force[a][b] for b in range(k)] for a in range(k)]
    worst = arb(0)
    for a in range(k):
        slack[a][a] = own[a] + (sizes[a] - 1) * force[a][a]
        if sizes[a] > 1:
            worst = worst.max((force[a][a] - own[a]).upper())
    if factor is None:
        factor = cholesky(slack, biggest([x for row in push for x in row]))
    else:
        factor = [[r * x for r, x in zip(roots, factor, strict=True)]]
    square = arb(0)
    for a in range(k):
        for b in range(a + 1):
            rest = slack[a][b] - sum((column[a] * column[b] for column in factor), arb(0))
            square += (1 + (a != b)) * rest * rest
    worst = worst.max(square.upper().sqrt().upper())
    return value, (sum(sizes) * worst).upper(), slope


def cholesky(matrix, scale):
    """The columns of a factor by pivoting, as far as pivots are more than rounding."""
    rest = [[x.mid() for x in row] for row in matrix]
    k, columns, least = len(rest), [], scale * arb(2) ** (-ctx.prec // 2)
    for _ in range(k):
        p = max(range(k), key=lambda i: float(rest[i][i] / scale))
        if not rest[p][p] > least:
            break
        root = rest[p][p].sqrt().mid()
        column = [(rest[a][p] / root).mid() for a in range(k)]
        columns.append(column)
        rest = [[(rest[a][b] - column[a] * column[b]).mid() for b in range(k)] for a in range(k)]
    return columns


def cosine_error(loss: Loss, slope, below):
    """How far any optimal cosine can be from the stored one, or None where this argument does not reach."""
    if isinstance(loss, Drawn) and loss.draws == 1 and not loss.positive:
        kind = "pair"
    elif isinstance(loss, Softmax) and all(own > 0 for own in loss.own):
        kind = "row"
    else:
        return None
    k, worst = len(loss.sizes), arb(0)
    for a in range(k):
        for b in range(a + 1):
            if not loss.partners(a, b):
                continue
            best = None
            for i, j in ((a, b), (b, a)):
                if loss.mass[i] == 0:
                    continue
                if kind == "row":
                    pulled = loss.pull[i][j] if loss.pull is not None else arb(0)
                    chance = slope[i][j] * loss.temperature / loss.mass[i] + pulled
                    shares = [chance, 1 - sum_q(loss, slope, i)]
                    spread = (below / loss.mass[i] / 2).sqrt()
                else:
                    chance = slope[i][j] * loss.temperature / loss.mass[i] / loss.one[i][j]
                    shares = [chance, 1 - chance]
                    spread = (below / loss.mass[i] / loss.one[i][j] / 2).sqrt()
                parts = [spread / share for share in shares if share > 0]
                if len(parts) == 2 and all(part < 0.5 for part in parts):
                    error = (loss.temperature * sum((2 * part for part in parts), arb(0))).upper()
                    best = error if best is None or error < best else best
            if best is None:
                return None
            worst = worst.max(best)
    return worst


def sum_q(loss: Softmax, slope, i):
    """The share of foreign classes in row i's softmax."""
    total = arb(0)
    for j in range(len(loss.sizes)):
        if loss.partners(i, j):
            pulled = loss.pull[i][j] if loss.pull is not None else arb(0)
            total += loss.partners(i, j) * (slope[i][j] * loss.temperature / loss.mass[i] + pulled)
    return total


def solve_entry(definition) -> dict:
    """What is stored of one problem."""
    clock = time.perf_counter()
    problem = ZooProblem(definition)
    objective = problem.objective
    counts = gs.load_counts(problem.counts).per_class if isinstance(problem.counts, str) else problem.counts
    start = gs.solve(objective, throw=False).orbits
    large = len(objective.orbits.sizes) >= LARGE
    ctx.prec = BITS_LARGE if large else BITS
    loss = loss_of(problem, counts)
    if not np.array_equal(loss.sizes, objective.orbits.sizes):
        raise ArithmeticError(f"{problem.name}: orbits in another order")
    if large:
        state = Balance(loss, start)
        residual, condition = state.refine()
        gram = state.gram()
        value, below, slope = bound(loss, gram, state.u)
    else:
        state = Points(loss, start)
        residual, condition = state.refine()
        gram = state.gram(state.rows, exact=True)
        value, below, slope = bound(loss, gram)
    whole = value.union(value - below)
    if not below < 1e-20:
        raise ArithmeticError(f"nothing proved, the optimum may lie {float(below):.1e} below {float(value):.6g}")
    row = {"value": decimal(whole), "error": error_text(whole)}
    floor = loss.floor()
    if floor is not None:
        row["excess"] = decimal((value - floor).union(value - below - floor))
    error = cosine_error(loss, slope, below)
    row["cosine_error"] = None if error is None else error_text(arb(0, error))
    if large:
        row["dual"], row["denominators"] = (
            [x.str(COSINE_DIGITS, radius=False) for x in xs] for xs in (state.u, state.z)
        )
    else:
        row["cosines"] = [[decimal(gram[a][b], COSINE_DIGITS) for b in range(a + 1)] for a in range(len(gram))]
    row["method"] = "dual factor" if large else "means of orbits"
    row["bits"] = ctx.prec
    worst = max(abs(float(gram[a][b]) - start.cosines[a, b]) for a in range(len(gram)) for b in range(a + 1))
    say(
        f"{problem.name}: {row['value'][:22]} error {row['error']}, cosines {row['cosine_error']}, residual "
        f"{float(residual):.1e}, conditioning {condition:.1e}, float64 answer off by {worst:.1e}, "
        f"{time.perf_counter() - clock:.1f} s"
    )
    return row


def decimal(ball, digits=DIGITS) -> str:
    """The digits of a ball that are proved (its last may be off by one), as Python's float reads them."""
    if ball == 0:
        return "0"
    text = ball.str(digits, radius=False)
    if "[" in text or "nan" in text:
        raise ArithmeticError(f"nothing proved: {ball}")
    return text


def error_text(ball) -> str:
    """Twice the radius, rounded up to two digits."""
    width = 2 * ball.rad()
    return f"{float(width) * 1.05:.1e}" if width > 1e-290 else "1e-290"


def main() -> int:
    wanted = sys.argv[1:]
    problems = json.loads(TARGET.read_text())["problems"] if TARGET.exists() else {}
    unknown = set(wanted) - {row["name"] for row in zoo_definitions()}
    if unknown:
        say(f"no such problem: {', '.join(sorted(unknown))}")
        return 2
    failed = []
    for definition in zoo_definitions():
        name = definition["name"]
        if wanted and name not in wanted:
            continue
        try:
            problems[name] = solve_entry(definition)
            save(problems)
        except ArithmeticError as error:
            say(f"{name}: FAILED, {error}")
            failed.append(name)
    return len(failed)


def save(problems: dict) -> None:
    """Write what is known so far, one line a problem."""
    origin = {
        "command": "python -m benchmarks.zoo.prove",
        "date": stamp(),
        "machine": machine(),
        "versions": {**versions(), "commit": commit(), "python-flint": flint.__version__},
        "meaning": "value, excess: decimal, all digits but the last proved; error: width of the proved interval, nats; "
        "cosines: lower triangle by orbits, on the diagonal those within an orbit; cosine_error: proved bound, null "
        "where only the value is proved",
    }
    ordered = [(row["name"], problems[row["name"]]) for row in zoo_definitions() if row["name"] in problems]
    body = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in ordered)
    TARGET.write_text(f'{{"origin": {json.dumps(origin)},\n"problems": {{\n{body}\n}}}}\n')


if __name__ == "__main__":
    sys.exit(main())
