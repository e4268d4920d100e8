"""What ball arithmetic proves of the optimum at one geometry: a loss from above, one from below, and cosines."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays import Array
from .ball_arithmetic import flint, positive_definite, rounded_up
from .logsums import LogSums
from .refining import Balls, slack


class Bounds:
    """What is proved at a geometry.

    Args:
        loss: the loss.
        cosines: of the geometry.
        aim: how far it is moved and S is shifted, as a power of 10^-1, if that proves; else the least powers that do.
    """

    def __init__(self, loss: LogSums, cosines: Balls, aim: int | None = None) -> None:
        arb, sizes = flint().arb, loss.sizes
        plain = _towards_identity(cosines, sizes, 0)
        step = _least(lambda t: _feasible(sizes, plain, t), aim)
        # The geometry, moved to where it is positive semidefinite, and how far towards the identity that is.
        self.cosines, self.moved = _towards_identity(plain, sizes, step), float(step)
        forces = loss.forces(self.cosines)
        matrix = slack(forces, self.cosines)
        outward = [abs(matrix[a][a] - forces[a][a]).mid() / sizes[a] for a in range(len(sizes))]
        top = max(outward, key=lambda x: float(x.log()) if x > 0 else -math.inf)
        weights = [w if w > top * arb(10) ** -20 else top * arb(10) ** -20 for w in outward]
        shift = _least(lambda e: _definite(sizes, forces, matrix, [e * w for w in weights]), aim)
        # How far any other may be below it, at most: a ball without radius, infinite where nothing is proved.
        self.drop = sum((shift * n * w for n, w in zip(sizes, weights, strict=True)), arb(0)).upper()
        self.floor, self.excess = loss.floor(), loss.excess(self.cosines)
        # (K, K) by how much an optimal cosine can differ.
        self.errors = _errors(loss, self.cosines, self.drop)

    @property
    def low(self) -> Any:
        """A lower bound of the excess of every geometry; none is below 0."""
        low = (self.excess - self.drop).lower()
        return low if low > 0 else flint().arb(0)

    @property
    def gap(self) -> Any:
        """Upper less lower bound."""
        return (self.excess.upper() - self.low).upper()


def _least(proves: Callable[[Any], bool], aim: int | None) -> Any:
    """The least shift that proves, to one part in a hundred; 10^-aim is small enough."""
    arb = flint().arb
    if aim is not None and proves(arb(10) ** -aim):
        return (arb(10) ** -aim).mid()
    low, high = -(aim or 200) * math.log2(10.0), 0.0
    while not proves(arb(2) ** arb(high)):
        high += 4.0
        if high > 400.0:
            return arb("inf")
    while high - low > 0.01:
        middle = (low + high) / 2.0
        low, high = (low, middle) if proves((arb(2) ** arb(middle)).mid()) else (middle, high)
    return (arb(2) ** arb(high)).mid()


def _towards_identity(cosines: Balls, sizes: tuple[int, ...], step: Any) -> Balls:
    arb = flint().arb
    keep = 1 - step
    return [
        [x * keep if a != b or sizes[a] > 1 else arb(1) for b, x in enumerate(row)] for a, row in enumerate(cosines)
    ]


def _feasible(sizes: tuple[int, ...], cosines: Balls, step: Any) -> bool:
    """Whether (1 - t) G + t I is positive definite: between orbits, and on differences inside them."""
    if step >= 1:
        return True
    moved = _towards_identity(cosines, sizes, step)
    for a, n in enumerate(sizes):
        if n > 1 and not moved[a][a] <= 1:
            return False
    matrix = [[sizes[a] * n * x for x, n in zip(row, sizes, strict=True)] for a, row in enumerate(moved)]
    for a, n in enumerate(sizes):
        matrix[a][a] = n * (1 + (n - 1) * moved[a][a])
    return positive_definite(matrix)


def _definite(sizes: tuple[int, ...], forces: Balls, matrix: Balls, shifts: list[Any]) -> bool:
    """Whether S + Diag(delta) is positive definite: between orbits, and on differences inside them."""
    shifted = [list(row) for row in matrix]
    for a, n in enumerate(sizes):
        shifted[a][a] = matrix[a][a] + n * shifts[a]
        if n > 1:
            # S_ii - D_ij, times n (n - 1).
            inside = (n - 1) * (matrix[a][a] - forces[a][a] + n * shifts[a]) - forces[a][a]
            if not inside >= 0:
                return False
    return positive_definite(shifted)


def _errors(loss: LogSums, cosines: Balls, drop: Any) -> Array:
    """(K, K) bounds of |H_ab - G_ab| over every optimal H; infinite where none is proved."""
    errors = np.where(np.diag(np.array(loss.sizes) == 1), 0.0, np.inf)
    if not drop.is_finite():
        return errors
    for a, term, _, total, shares in loss.shares(cosines):
        if not term.offset > 0:
            continue
        own = _log_error(drop, term.factor, term.offset / total)
        for b, share in shares.items():
            error = term.tau * (own + _log_error(drop, term.factor, share))
            if error.is_finite():
                bound = rounded_up(error)
                errors[a, b] = errors[b, a] = min(errors[a, b], bound)
    return errors


def _log_error(drop: Any, factor: Any, share: Any) -> Any:
    """X above: by how much the logarithm of a share can differ."""
    arb = flint().arb
    root = (2 * drop / (factor * share)).sqrt()
    return -(-root).log1p() if root < 1 else arb("inf")
