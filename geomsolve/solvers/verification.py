"""`verify`: the optimum proved in ball arithmetic, to as many digits as asked for.

Floating point suggests a geometry; Newton's method in extended precision (`refining`) adds digits; then everything that
is claimed is computed anew, from the problem's own numbers, in balls: numbers with a bound of their error that every
operation keeps (python-flint, the Arb library).
"""

import math
import time
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array, Progress
from ..certificates.ball_arithmetic import decimal, flint, precision, rounded_up
from ..certificates.certificate import on_orbits
from ..certificates.enclosures import Bounds
from ..certificates.logsums import LogSums, log_sums, read
from ..certificates.refining import Balls, refine
from ..certificates.verified import READ_AS, Verified
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective
from .solution import Solution
from .solving import solve

MOST_ORBITS = 100
_MOST_DIGITS = 300
_NO_STEPS = (
    "Newton's method did not converge in extended precision (at a transition the conditions are degenerate): what is "
    "proved is what the cosines of `solve` prove"
)


def verify(
    problem: Any,
    gram: OrbitGram | ArrayLike | None = None,
    *,
    digits: int = 30,
    reading: str = "fractions",
    progress: Progress | None = None,
) -> Any:
    """The optimum of a small problem, or the critical value of a threshold, proved to many digits.

    The proof: L is convex, so with D its derivative at a geometry G and any y, every unit-diagonal H >= 0 has

        L(H) >= L(G) + <D, H - G> >= L(G) - sum_i delta_i    as soon as    S + Diag(delta) >= 0,   S = D - Diag(D G),

    and L(G) itself is an upper bound as soon as G >= 0. Both definitenesses are proved by elimination in balls, G moved
    by a part t of the way to the identity; t and delta are as small as the proof allows. Cosines: what is left of the
    bound above is sum c KL(q(G) | q(H)) for the softmax rows q, so of every optimal H

        |H_ab - G_ab| <= tau (x_b + x_0),    x = -log(1 - sqrt(2 gap / (c q))),

    with q_b, q_0 the shares of the pair and of the anchor's own class in a row of mass c.

    Args:
        problem: an objective, or what `solve` returned for one (an uncertified solution is refined too), or what
            `threshold` returned for majority and minority: see `VerifiedThreshold`.
        gram: a Gram matrix to judge as it stands, in place of the optimum: an OrbitGram on the objective's orbits or a
            (C, C) array (then every class is an orbit of its own). Its float64 numbers are taken exactly, and moved to
            the identity where they are not positive semidefinite; `gap` bounds how far it is from the optimum.
        digits: how many, of the loss above its floor; 1 to 300.
        reading: what the stored numbers of the problem (masses, weights, temperature) mean. "fractions": each is the
            simplest fraction within 2^-50 of it, relatively: 0.1 is 1/10, and a share 1000/1110 is just that. "binary":
            its exact binary value, 0.1 being 0.1000000000000000055511151231257827.
        progress: called with a line of text as the work goes on.

    Returns:
        A Verified: `proved` says whether the gap is as small as asked for, `notes` what is missing otherwise. For a
        threshold a VerifiedThreshold: two decimals between which the optimum changes, proved at both.

    Raises:
        BackendError: without python-flint.
        ProblemError: more than 100 orbits, a loss that is no sum of logarithms of sums of exponentials (the hinge, a
            psi of your own), too many ways to draw, a threshold that has no bracket to prove, or a bad argument.

    Cost: 30 digits of SupCon with 3, 10, 20, 40, 60, 85 distinct counts took 0.02, 0.08, 0.3, 1.8, 4.8 and 19 s on
    shared cores: a dense Jacobian of K (K + 1)/2 + K unknown, K^2 exponentials a step, K^3/6 products of balls. Finite
    k are enumerated: 0.5 s for 256 supervised negatives over 2 counts, 36 s over 3. A threshold took 0.01 to 0.1 s;
    with 256 draws 0.6 s (supervised) to 60 s (a mini-batch).

    Source: ours; Johansson, Arb (IEEE Trans. Comput. 2017) for the arithmetic. See the theory page.
    """
    clock = time.perf_counter()
    flint("verify")
    digits = check_digits(digits)
    if reading not in READ_AS:
        raise ProblemError(f"reading: must be one of {', '.join(READ_AS)}; got {reading!r:.40}")
    if hasattr(problem, "verified"):
        if gram is not None:
            raise ProblemError("gram: goes with an objective, not with a threshold (leave it out)")
        return problem.verified(digits, reading)
    objective = problem.objective if isinstance(problem, Solution) else problem
    if not isinstance(objective, Objective):
        raise ProblemError(
            "problem: must be an objective, such as geomsolve.SupCon returns, or a solution of one; got "
            f"{type(problem).__name__}"
        )
    objective = objective.by_class()
    report = progress or (lambda _: None)
    if gram is not None:
        objective, gram = on_orbits(objective, gram)
    check_provable(objective)
    aim = 2 * digits + 10
    start = gram
    if start is None:
        solved = problem if isinstance(problem, Solution) else solve(objective, throw=False, progress=progress)
        start = solved.orbits
    # At low temperature the loss above its floor is tiny, and its digits begin far behind the point.
    bits = math.ceil((2 * aim + 20) * math.log2(10.0) + max(0.0, -math.log2(max(objective.excess(start), 1e-300))))
    with precision(bits):
        loss = log_sums(objective, reading)
        best, steps = (Bounds(loss, _exact(start)), 0) if gram is not None else _refined(loss, start, aim, report)
        report("putting the proof into decimals")
        notes = []
        if gram is not None:
            notes = ["the given cosines are judged as they stand"]
        elif steps == 0:
            notes = [_NO_STEPS]
        return _verified(objective, best, digits, reading, bits, steps, notes, clock)


def check_digits(digits: int) -> int:
    """The number of digits, or a ProblemError unless it is whole and from 1 to 300."""
    if not isinstance(digits, (int, np.integer)) or isinstance(digits, bool) or not 1 <= digits <= _MOST_DIGITS:
        raise ProblemError(f"digits: must be a whole number from 1 to {_MOST_DIGITS}; got {digits!r:.40}")
    return int(digits)


def check_provable(objective: Objective) -> None:
    """Nothing, or a ProblemError where `verify` would not take the objective: before it is solved."""
    objective.check()
    if len(objective.orbits.sizes) > MOST_ORBITS:
        raise ProblemError(
            f"objective: at most {MOST_ORBITS} orbits (distinct counts) can be verified; got "
            f"{len(objective.orbits.sizes)} (its certificate in floating point is what there is)"
        )
    log_sums(objective, "binary")


def _exact(gram: OrbitGram) -> Balls:
    return [[flint().arb(x) for x in row] for row in gram.orbits.mirrored(gram.cosines).tolist()]


def _refined(loss: LogSums, start: OrbitGram, aim: int, report: Progress) -> tuple[Bounds, int]:
    """The best bounds that Newton's method leads to, and in how many steps; the guess's own if it leads nowhere."""
    cosines, plural = _exact(start), start.orbits.plural
    best: tuple[Bounds, int] | None = None
    tried = set()
    for tol in (1e-7, 1e-9, 1e-5, 1e-4, 1e-3, -1.0):
        closed = plural & (np.diag(start.cosines) >= 1.0 - max(tol, 1e-8)) & (tol > 0)
        width = int(np.count_nonzero(start.eigenvalues <= tol)) if tol > 0 else 0
        if (width, closed.tobytes()) in tried:
            continue
        tried.add((width, closed.tobytes()))
        report(f"Newton's method in extended precision, dual factor of {width} column(s)")
        if (found := refine(loss, cosines, closed, width, aim + 15)) is not None:
            bounds = Bounds(loss, found[0], aim)
            if best is None or bounds.gap < best[0].gap:
                best = bounds, found[1]
            if best[0].gap < best[0].excess * flint().arb(10) ** (5 - aim):
                break
    return best or (Bounds(loss, cosines), 0)


def _verified(
    objective: Objective,
    best: Bounds,
    digits: int,
    reading: str,
    bits: int,
    steps: int,
    notes: list[str],
    clock: float,
) -> Verified:
    low, high = best.low, best.excess.upper()
    gap, relative = rounded_up(best.gap), rounded_up(best.gap / best.excess.lower())
    proved = bool(best.gap <= best.excess * flint().arb(10) ** -digits)
    if not proved:
        notes = [*notes, f"the gap is {relative:.2g} of the loss above its floor, more than 1e-{digits}"]
    places = digits - 1 - (math.floor(float(best.excess.mid().log_base(10).mid())) if best.excess > 0 else 0)
    shown = min(places, math.floor(-0.31 - float(best.gap.log_base(10).mid()))) if best.gap > 0 else places
    middle, errors = (low + high) / 2, best.errors
    loose = int(np.count_nonzero(np.isinf(np.triu(errors))))
    if loose:
        notes = [*notes, f"{loose} cosine(s) between orbits have no proved digits"]
    return Verified(
        value=decimal((best.floor + middle).mid(), shown) if shown >= 0 else "",
        excess=decimal(middle.mid(), shown) if shown >= 0 else "",
        lower=decimal((best.floor + low).lower(), max(places + 3, 0), up=False),
        upper=decimal((best.floor + high).upper(), max(places + 3, 0), up=True),
        gap=gap,
        relative_gap=relative,
        digits=digits,
        proved=proved,
        cosines=_in_decimals(best.cosines, errors, digits),
        cosine_errors=errors,
        temperature=read(objective.temperature, reading),
        reading=reading,
        bits=bits,
        steps=steps,
        seconds=time.perf_counter() - clock,
        objective=objective,
        notes=tuple(notes),
    )


def _in_decimals(cosines: Balls, errors: Array, digits: int) -> tuple[tuple[str, ...], ...]:
    """(K, K) so many places of each as are proved, at most `digits`."""
    rows = []
    for a, row in enumerate(cosines):
        line = []
        for b, x in enumerate(row):
            error = errors[a, b] + rounded_up(x.rad())
            places = digits if error == 0 else min(digits, math.floor(-math.log10(error) - 0.31) if error < 0.4 else -1)
            single = a == b and errors[a, b] == 0 and x == 1
            line.append("" if places < 0 or single else decimal(x.mid(), places))
        rows.append(tuple(line))
    return tuple(rows)
