"""The best excess of weighted InfoNCE as a proved interval, which narrows while there is time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import eigh

from ..arrays import Array, Progress
from ..geometry.orbits import OrbitGram
from ..objectives.weighted.weighted import WeightedSoftmax
from .bounds import DualBound, dual_bound
from .factors import FactorLoss, descend, polish, unit

# Columns of the first factor, at least and at most, and the share of the positive eigenvalues that they leave out.
_LEAST, _MOST, _LEFT = 16, 96, 0.02
# Different samples up to which Newton's method ends the search, and what it aims at.
_FEW, _FINE = 100, 1e-11
# Steps of the first descent; of one that narrows the interval by half unless columns lack; of one after which a few
# samples are near enough to the optimum for Newton's method, or never will be.
_FIRST, _SECOND, _LAST = 100, 150, 400
# Of the interval's width, what 25 steps must gain to be worth going on with.
_WORTH = 1e-5
# What rounding leaves of an interval, as a share of the loss.
_ROUNDING = 1e-13
# Length of the coordinates that a factor grows by, and of a spread that is none.
_NEW, _NONE = 1e-3, 1e-5


@dataclass(frozen=True, eq=False)
class ExcessInterval:
    """A geometry, its excess, and what every geometry exceeds.

    Attributes:
        gram: the Gram matrix, with its factor as `points`.
        excess: mean KL(w_i || p_i) there, in nats.
        lower: proved: no geometry has a smaller one.
        finished: False where time or the user ended the search before the interval was as narrow as asked for.
    """

    gram: OrbitGram = field(repr=False)
    excess: float
    lower: float
    finished: bool


def excess_interval(
    objective: WeightedSoftmax, start: OrbitGram, *, tol: float, seconds: float, progress: Progress | None = None
) -> ExcessInterval:
    """The least excess of any geometry between two numbers whose distance is `tol` times the larger.

    The upper end is the excess of a Burer–Monteiro factor (`FactorLoss`) under L-BFGS, the lower end `dual_bound`
    there. The factor begins with few columns and gains those of the slack matrix's negative eigenvectors, along which
    the loss still falls, when the descent no longer pays. Up to 100 different samples Newton's method follows, and the
    interval is a few roundings wide as a rule.

    Args:
        objective: weighted InfoNCE.
        start: where to begin: what the weights ask for, say. It need not be positive semidefinite.
        tol: (excess - lower) / excess that is enough.
        seconds: at most, but for the last bound; Ctrl-C ends the search too.
        progress: called with the interval so far.

    Cost: O(K^2 r) a step, and one eigendecomposition of size K a bound; 30 bytes times K^2.
    Source: Burer & Monteiro 2003 for the factor, Boumal et al. 2016 for growing it; the bound is ours.
    """
    report = progress or (lambda _: None)
    deadline = time.monotonic() + seconds
    loss = FactorLoss.of(objective)
    bound = objective.weighting.entropy_bound
    few = len(loss.sizes) <= _FEW
    rows = first_rows(start)
    goal = min(tol, _FINE) if few else tol
    lower, width, steps = 0.0, loss(rows)[0], _FIRST

    def told(value: float, here: Array) -> None:
        nonlocal rows
        rows = here
        report(f"excess between {lower:.4g} and {value:.4g} nats, {here.shape[1] - 1} columns")

    try:
        while True:
            before = width
            # The first bound comes early.
            until = min(deadline, time.monotonic() + 0.25 * seconds) if steps == _FIRST else deadline
            rows, still = descend(loss, rows, steps, 0.0 if few else _WORTH * before, until, told)
            report(f"excess between {lower:.4g} and {loss(rows)[0]:.4g} nats; a new lower bound")
            dual = dual_bound(objective, loss.gram(rows))
            ending = few and (still or steps >= _LAST)
            if ending and dual.value - bound < (1.0 - goal) * loss(rows)[0]:
                rows = polish(loss, _without_idle(rows), deadline)
                dual = dual_bound(objective, loss.gram(rows))
            lower = max(lower, dual.value - bound)
            excess = loss(rows)[0]
            width = excess - lower
            told(excess, rows)
            if width <= max(goal * excess, _ROUNDING * (bound + excess)) or time.monotonic() > deadline:
                break
            if ending and width <= tol * excess:
                break
            if still or (steps >= _SECOND and width > 0.7 * before):
                grown = _grown(loss, rows, dual)
                if still and (grown is None or (few and width > 0.5 * before)):
                    break
                rows = rows if grown is None else grown
            steps += steps // 2
    except KeyboardInterrupt:
        report("stopped; the interval so far stands")
    gram = loss.gram(rows)
    excess = objective.divergence(gram)
    lower = max(0.0, min(lower, excess))
    return ExcessInterval(gram, excess, lower, excess - lower <= max(tol * excess, _ROUNDING * (bound + excess)))


def first_rows(gram: OrbitGram, rank: int | None = None) -> Array:
    """(K, r + 1) unit rows near a matrix of cosines that need not be positive semidefinite.

    With None as rank, as many columns as the matrix has large eigenvalues.
    """
    count, most = len(gram.sizes), _MOST if rank is None else rank
    if count > 4 * most:
        values, vectors = eigh(gram.quotient, subset_by_index=(count - most, count - 1), check_finite=False)
    else:
        values, vectors = np.linalg.eigh(gram.quotient)
    values, vectors = np.maximum(values[::-1], 0.0)[:most], vectors[:, ::-1][:, :most]
    if rank is None:
        share = np.cumsum(values) / max(float(values.sum()), 1e-300)
        rank = max(_LEAST, int(np.count_nonzero(share < 1.0 - _LEFT)) + 1)
    means = (vectors * np.sqrt(values) / np.sqrt(gram.sizes)[:, None])[:, :rank]
    # No column begins at 0, where it would stay.
    means = means + 1e-3 * np.random.default_rng(0).standard_normal(means.shape)
    return unit(np.column_stack([means, np.where(gram.orbits.plural, 0.1, 0.0)]))


def _without_idle(rows: Array) -> Array:
    """The rows in principal axes, without those along which nothing lies: Newton's method needs the right rank."""
    left, values, _ = np.linalg.svd(rows[:, :-1], full_matrices=False)
    kept = values > 1e-6 * values[0]
    return unit(
        np.column_stack([left[:, kept] * values[kept], np.where(rows[:, -1] ** 2 > _NONE**2, rows[:, -1], 0.0)])
    )


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
