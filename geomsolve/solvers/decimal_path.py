"""The last stretch of the central path in decimals, below the rounding of float64."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..decimals import Decimals, backward, cholesky, decimals, digits, floats, forward
from ..exactoptimum import Equations, ExactOptimum, exact_optimum
from ..objectives.base import Objective
from ..orbits import OrbitGram
from .base import Progress

Array = NDArray[np.float64]

# Atoms for which it takes no more than ten seconds.
MOST_FOLLOWED = 20
# mu in units of where it begins.
_FINEST = Decimal("1e-30")
# mu below which S may be 0, in the same units.
_FREE = Decimal("1e-10")
_MOST_STEPS = 60
# Of the way to the boundary; e-folds of mu at once, at most, and fewest for which the path is followed straight on.
_SHORT, _FAR, _NEAR = 0.7, 12.0, 1.2
# A Newton decrement in units of sqrt(mu) that is near the path.
_CLOSE = 1.0
# mu falls by so much where the path is not followed.
_FALL = Decimal("0.1")
# Eigenvalues of G that vanish are below this, and below this of the next.
_VANISHED, _GULF = 1e-3, 3e-2


def decimal_path(objective: Objective, gram: OrbitGram, level: float, report: Progress) -> ExactOptimum | None:
    """The optimum of a row softmax that attracts, from near the central path at mu = level; None where none is found.

    Newton's method for L - mu log det G in the cosines. A loss that is exponential in cosines lets them go straight on
    in log mu while nothing else holds them: from one mu to the next along dG/dlog mu, as far as G stays definite. Where
    directions of G are about to vanish they give a guess of U for `exact_optimum`, which ends it.

    Args:
        objective: the loss, every atom an orbit of its own.
        gram: G > 0.
        level: mu.
        report: is told of every step.

    Cost: K^6/48 products of whole numbers a step, 0.3 s for 19 atoms; 30 steps were seen.
    Source: ours.
    """
    rows = objective.decimal_rows
    if rows is None:
        return None
    with digits():
        path = _Path(Equations.of(rows, gram), *np.nonzero(np.triu(np.ones_like(gram.cosines), 1)))
        cosines, mu, first = decimals(gram.cosines), Decimal(level), Decimal(level)
        for number in range(_MOST_STEPS):
            system = path.system(cosines, mu)
            if system is None:
                return None
            step, decrement = system.step()
            if decrement > _CLOSE:
                moved = path.search(cosines, mu, step, decrement)
                if moved is None:
                    return None
                cosines = moved
                continue
            cosines = cosines + step
            report(f"step {number + 1} in decimals: complementarity {float(mu / first):.1e}")
            found = _ended(objective, gram, cosines, mu, mu < _FREE * first)
            if found is not None or mu < _FINEST * first:
                return found
            tangent = system.tangent()
            efolds = min(_FAR, _SHORT * system.reach(-tangent))
            if efolds > _NEAR:
                cosines, mu = cosines - Decimal(efolds) * tangent, mu * Decimal(math.exp(-efolds))
            else:
                mu *= _FALL
    return None


def _ended(objective: Objective, gram: OrbitGram, cosines: Decimals, mu: Decimal, free: bool) -> ExactOptimum | None:
    """`exact_optimum` from the directions in which G is about to vanish; where there are none, if S may be 0."""
    values, vectors = np.linalg.eigh(floats(cosines))
    ranks = [k for k in range(1, len(values)) if values[k - 1] < min(_VANISHED, _GULF * values[k])]
    if not ranks and not free:
        return None
    # S = mu / G.
    rank = ranks[-1] if ranks else 0
    factor = vectors[:, :rank] * np.sqrt(float(mu) / np.maximum(values[:rank], 1e-15))
    at = OrbitGram(gram.orbits, floats(cosines))
    return exact_optimum(objective, at, factor=factor, cosines=cosines, beside=1.0)


class _System(NamedTuple):
    """Newton's equations."""

    path: _Path
    factor: Decimals
    half: Decimals
    right: Decimals
    centring: Decimals
    mu: Decimal

    def step(self) -> tuple[Decimals, float]:
        """The Newton step, and its decrement in units of sqrt(mu)."""
        scaled = forward(self.factor, self.right)
        decrement = float((np.sum(scaled * scaled) / self.mu).sqrt())
        return self.path.matrix(backward(self.factor, scaled)), decrement

    def tangent(self) -> Decimals:
        """dG/dlog mu."""
        return self.path.matrix(backward(self.factor, forward(self.factor, self.mu * self.centring)))

    def reach(self, change: Decimals) -> float:
        """How much of a change keeps G definite."""
        least = float(np.linalg.eigvalsh(floats(self.half @ change @ self.half.T))[0])
        return -1.0 / least if least < 0 else np.inf


class _Path(NamedTuple):
    """The unknowns: cosines of two atoms."""

    equations: Equations
    first: NDArray[np.intp]
    second: NDArray[np.intp]

    def matrix(self, values: Decimals) -> Decimals:
        """(K, K) a symmetric matrix of the unknowns."""
        count = len(self.equations.sizes)
        matrix = np.full((count, count), Decimal(0), dtype=object)
        matrix[self.first, self.second] = matrix[self.second, self.first] = values
        return matrix

    def system(self, cosines: Decimals, mu: Decimal) -> _System | None:
        """Newton's equations for L - mu log det G."""
        count, a, b = len(cosines), self.first, self.second
        root = cholesky(cosines)
        if root is None:
            return None
        half = forward(root, decimals(np.eye(count)))
        inverse = half.T @ half
        shares = self.equations.shares(cosines)
        scaled = (2 * mu).sqrt() * inverse
        matrix = scaled[a][:, a] * scaled[b][:, b] + scaled[a][:, b] * scaled[b][:, a]
        number = np.zeros((count, count), dtype=int)
        number[a, b] = number[b, a] = np.arange(len(a))
        for row in range(count):
            there = np.flatnonzero(np.arange(count) != row)
            q, at = shares[row, there], number[row, there]
            stiffness = self.equations.masses[row] / self.equations.temperature**2
            matrix[np.ix_(at, at)] -= stiffness * q[:, None] * q
            matrix[at, at] += stiffness * q
        factor = cholesky(matrix)
        if factor is None:
            return None
        centring = 2 * inverse[a, b]
        return _System(self, factor, half, mu * centring - 2 * self.equations.forces(shares)[a, b], centring, mu)

    def search(self, cosines: Decimals, mu: Decimal, step: Decimals, decrement: float) -> Decimals | None:
        """The cosines after as much of the step as lowers the barrier function."""
        before, share = self.barrier(cosines, mu), Decimal(1)
        for _ in range(30):
            after = self.barrier(cosines + share * step, mu)
            if before is not None and after is not None and after <= before - share * mu * Decimal(decrement**2) / 10:
                return np.asarray(cosines + share * step)
            share /= 2
        return None

    def barrier(self, cosines: Decimals, mu: Decimal) -> Decimal | None:
        """L - mu log det G."""
        root = cholesky(cosines)
        if root is None:
            return None
        return self.equations.loss(cosines) - 2 * mu * sum((x.ln() for x in np.diag(root)), Decimal(0))
