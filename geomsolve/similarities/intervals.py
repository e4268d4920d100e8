"""The best excess of weighted InfoNCE as a proved interval, which narrows while there is time."""

import time
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from ..arrays import Array, Progress
from ..geometry.orbit_gram import OrbitGram
from ..geometry.unit_rows import unit
from ..objectives.weighted.weighted import WeightedSoftmax
from ..solvers.base import Iteration
from ..solvers.spheres.riemannian import polish
from ..solvers.spheres.spheres import State, truncate
from .bounds import DualBound, dual_bound
from .factors import FactorLoss, Frame, descend
from .feasibility import LogGram
from .representatives import bracket

# Columns of the first factor, at least and at most, and the share of the positive eigenvalues that they leave out.
_LEAST, _MOST, _LEFT = 16, 96, 0.02
# Different samples up to which Newton's method ends the search, and what it aims at.
_FEW, _FINE, _POLISHED = 100, 1e-11, 30
# Steps of the first descent; of one that narrows the interval by half unless columns lack; of one after which a few
# samples are near enough to the optimum for Newton's method, or never will be.
_FIRST, _SECOND, _LAST = 100, 150, 400
# Different samples up to which it goes on in full rank; steps between two frames; and how far apart near samples begin,
# squared, in units of the temperature.
_FRAMED, _FRAMED_STEPS, _NOISE = 1500, 100, 4e-3
# Of the interval's width, what 25 steps must gain to be worth going on with.
_WORTH = 1e-5
# What rounding leaves of an interval, as a share of the loss.
_ROUNDING = 1e-13
# Length of the coordinates that a factor grows by.
_NEW = 1e-3


class ExcessInterval(NamedTuple):
    """A geometry, its excess, and what every geometry exceeds."""

    gram: OrbitGram
    excess: float  # mean KL(w_i || p_i) there, in nats
    lower: float  # proved: no geometry has a smaller one
    finished: bool  # False where time or the user ended the search before the interval was as narrow as asked for


def excess_interval(
    objective: WeightedSoftmax,
    start: OrbitGram,
    *,
    tol: float,
    seconds: float,
    progress: Progress | None = None,
    logs: LogGram | None = None,
) -> ExcessInterval:
    """The least excess of any geometry between two numbers whose distance is `tol` times the larger.

    The upper end is the excess of a Burer–Monteiro factor (`FactorLoss`) under L-BFGS, the lower end `dual_bound`
    there. The factor begins with few columns. When its descent no longer pays, up to 1500 different samples go on in
    full rank and in a `Frame`, more gain the slack matrix's negative eigenvectors, along which the loss still falls.
    Up to 100 different samples Newton's method follows, and the interval is a few roundings wide as a rule.

    Self-pairs out, where the first bound is poor, `bracket` is asked, with `logs` as what the weights want.

    It begins at `start`, which need not be positive semidefinite, and ends after `seconds`, but for the last bound;
    Ctrl-C ends it too. `progress` is called with the interval so far.

    Cost: O(K^2 r) a step, and one eigendecomposition of size K a bound; 30 bytes times K^2.
    Source: Burer & Monteiro 2003 for the factor, Boumal et al. 2016 for growing it; the bound is ours.
    """
    report = progress or (lambda _: None)
    deadline = time.monotonic() + seconds
    loss = FactorLoss(objective)
    bound = objective.weighting.entropy_bound
    few = len(loss.sizes) <= _FEW
    rows = best = first_rows(start)
    goal = min(tol, _FINE) if few else tol
    lower, least, steps = 0.0, loss(rows)[0], _FIRST
    frame: Frame | None = None

    def told(value: float, here: Array) -> None:
        nonlocal rows, best, least
        rows = here
        if value <= least + 1e-15 * bound:  # of two that rounding cannot tell apart the later one
            best, least = here, min(value, least)
        report(f"excess between {lower:.4g} and {least:.4g} nats, {here.shape[1] - 1} columns")

    def wide(share: float) -> bool:
        return least - lower > max(share * least, _ROUNDING * (bound + least))

    try:
        while True:
            before, first = least - lower, steps == _FIRST
            # The first bound comes early.
            until = min(deadline, time.monotonic() + 0.25 * seconds) if first else deadline
            enough = 0.0 if few or frame is not None else _WORTH * before
            rows, still = descend(loss, rows, steps, enough, until, told, frame)
            if few and (still or frame is not None):
                # A few samples have their cosines as exactly as their excess.
                rows = polish(objective, State.at(objective, rows), Iteration(_POLISHED, report)).point
            told(loss(rows)[0], rows)
            report(f"excess between {lower:.4g} and {least:.4g} nats; a new lower bound")
            dual = dual_bound(objective, loss.gram(rows))
            lower = max(lower, dual.value - bound)
            slow = least - lower > 0.5 * before
            if not wide(goal) or time.monotonic() > deadline:
                break
            if first and logs is not None and not objective.weighting.self_pairs and wide(0.5):
                known = bracket(loss, logs, deadline, report)
                if known is not None:
                    lower = max(lower, known[1] - bound)
                    told(loss(known[0])[0], known[0])
                    if not wide(goal):
                        break
                    slow = True
            if frame is not None or (len(loss.sizes) <= _FRAMED and (still or slow)):
                if still and slow and frame is not None:
                    break
                # From now on in coordinates of its own, with a column of noise for every orbit.
                rows, steps = _blurred(loss, rows) if frame is None else truncate(start.orbits, rows, 1), _FRAMED_STEPS
                frame = Frame(loss, rows)
                continue
            if still or (steps >= _SECOND and least - lower > 0.7 * before):
                grown = _grown(loss, rows, dual)
                if still and grown is None:
                    break
                rows = rows if grown is None else grown
            steps += steps // 2
    except KeyboardInterrupt:
        report("stopped; the interval so far stands")
    gram = loss.gram(best)
    excess = objective.divergence(gram)
    lower = max(0.0, min(lower, excess))
    return ExcessInterval(gram, excess, lower, excess - lower <= max(tol * excess, _ROUNDING * (bound + excess)))


def first_rows(gram: OrbitGram) -> Array:
    """(K, r + 1) unit rows near a matrix of cosines that need not be positive semidefinite, r its large eigenvalues."""
    count = len(gram.sizes)
    least = max(count - _MOST, 0) if count > 4 * _MOST else 0
    values, vectors = eigh(gram.quotient, subset_by_index=(least, count - 1), check_finite=False)
    values, vectors = np.maximum(values[::-1], 0.0)[:_MOST], vectors[:, ::-1][:, :_MOST]
    share = np.cumsum(values) / max(float(values.sum()), 1e-300)
    rank = max(_LEAST, int(np.count_nonzero(share < 1.0 - _LEFT)) + 1)
    means = (vectors * np.sqrt(values) / np.sqrt(gram.sizes)[:, None])[:, :rank]
    # No column begins at 0, where it would stay.
    means = means + 1e-3 * np.random.default_rng(0).standard_normal(means.shape)
    return unit(np.column_stack([means, np.where(gram.orbits.plural, 0.1, 0.0)]))


def _blurred(loss: FactorLoss, rows: Array) -> Array:
    """The rows with a coordinate of its own for every orbit: near samples are often better a little apart."""
    noise = np.sqrt(_NOISE * loss.objective.temperature)
    spread = np.where(loss.apart > 0, np.maximum(rows[:, -1], noise), 0.0)
    return truncate(loss.objective.orbits, unit(np.column_stack([rows[:, :-1], noise * np.eye(len(rows)), spread])), 1)


def _grown(loss: FactorLoss, rows: Array, dual: DualBound) -> Array | None:
    """The rows with columns along the negative eigenvectors of the slack matrix, or None where it has none."""
    width = rows.shape[1] - 1
    more = dual.directions[:, : min(max(1, width // 2), len(rows) - width)]
    spread = np.where(dual.apart & (np.abs(rows[:, -1]) < _NEW), _NEW, rows[:, -1])
    if not more.shape[1] and np.array_equal(spread, rows[:, -1]):
        return None
    if more.shape[1]:
        more = more * (_NEW / np.abs(more).max(axis=0))
    return unit(np.column_stack([rows[:, :-1], more, spread]))
