"""Newton's method on the optimality conditions, with residuals in extended precision and a Jacobian in float64.

With F the forces of a loss (`LogSums.forces`) and n the orbit sizes, unknown are the cosines and a dual factor V of
q columns, one row v_a for each atom of orbit a, so that S = V V^T:

    F_ab / (n_a n_b) = v_a . v_b  (a != b),      F_aa / (n_a (n_a - 1)) = v_a . v_a,      G V = 0.

Pairs inside a closed orbit (cosine 1) have no equation. q is the number of dimensions that the orbits' means lose, 1
where nothing collapses; for q > 1 the factor may be turned, V -> V Q, and bordering holds it. q = 0 is an optimum at
which no force is left (weights that a geometry attains): F = 0.
"""

import itertools
import warnings
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning, lu_factor, lu_solve

from ..arrays import Array
from .ball_arithmetic import flint
from .logsums import LogSums

Balls = list[list[Any]]

_MOST_STEPS = 60


def refine(
    loss: LogSums, cosines: Balls, closed: NDArray[np.bool_], width: int, digits: int
) -> tuple[Balls, int] | None:
    """The solution of the conditions near a guess, and the steps it took; None where steps do not shrink.

    Nothing of it is trusted: `verify` proves what it says of these cosines by itself.

    Orbits that are `closed`, (K,), are held in one point; `width` is q. It stops at so many digits after the point.

    Cost: with M unknown (K (K + 1)/2 + K q), O(M^3) in float64 once or twice, and K^2 exponentials a step.
    """
    conditions = _Conditions(loss, cosines, closed, width)
    stale, before = True, np.inf
    for steps in range(1, _MOST_STEPS + 1):
        if stale and not conditions.factorise():
            return None
        size = conditions.step()
        if size < -digits:
            return conditions.point.tolist(), steps
        stale = not size <= before - 4.0
        if np.isnan(size) or (stale and steps > 8 and size > before - 0.3):
            return None
        before = size
    return None


class _Conditions:
    """The equations, and how far Newton's method has come: exact numbers (balls without radius)."""

    def __init__(self, loss: LogSums, cosines: Balls, closed: NDArray[np.bool_], width: int) -> None:
        self.loss, self.sizes, self.width = loss, np.array(loss.sizes, dtype=float), width
        self.point = flint().arb_mat(cosines).mid()
        for a in np.flatnonzero(closed | (self.sizes == 1)).tolist():
            self.point[a, a] = 1
        self.first, self.second = np.triu_indices(len(self.sizes))
        unknown = (self.first != self.second) | ((self.sizes > 1) & ~closed)[self.first]
        self.first, self.second = self.first[unknown], self.second[unknown]
        # The pairs of atoms behind every unknown.
        self.many = self.sizes[self.first] * (self.sizes[self.second] - (self.first == self.second))
        self.factor = self._first_factor()

    def _first_factor(self) -> Any:
        """(K, q) a dual factor: the largest part of S, every row in units of its own diagonal."""
        cosines = self.point.tolist()
        form = _floats(slack(self.loss.forces(cosines), cosines))
        own = np.diag(form)
        outward = np.sqrt(np.maximum(own, max(1e-30 * own.max(), 1e-300)))
        values, vectors = np.linalg.eigh(form / outward / outward[:, None])
        largest = slice(len(own) - self.width, None)
        factor = vectors[:, largest] * np.sqrt(np.maximum(values[largest], 1e-30))
        factor *= (outward / self.sizes)[:, None]
        return flint().arb_mat(*factor.shape, factor.ravel().tolist())

    def _means(self) -> Array:
        """(K, K) the sum of the cosines of an atom with all atoms of every orbit."""
        cosines = _floats(self.point.tolist())
        return cosines * self.sizes + np.diag(1.0 - np.diag(cosines))

    def factorise(self) -> bool:
        """The Jacobian, columns in units of the unknown and rows scaled to one; False where it is singular."""
        first, second, width, count, number = self.first, self.second, self.width, len(self.sizes), len(self.many)
        rows, place = _floats(self.factor.tolist()), np.arange(number)
        dual, balance = np.zeros((number, count, width)), np.zeros((count, width, number))
        dual[place, first] -= rows[second]
        dual[place, second] -= rows[first]
        balance[first, :, place] = (self.many / self.sizes[first])[:, None] * rows[second]
        balance[second, :, place] = (self.many / self.sizes[second])[:, None] * rows[first]
        matrix = np.block(
            [
                [self._hessian(), dual.reshape(number, count * width)],
                [balance.reshape(count * width, number), np.kron(self._means(), np.eye(width))],
            ]
        )
        length = np.linalg.norm(rows, axis=1)
        length = np.maximum(length, 1e-12 * length.max())
        self.units = np.append(np.ones(number), np.repeat(length, width))
        matrix *= self.units
        self.scales = np.abs(matrix).max(axis=1)
        if not self.scales.min() > 0:
            return False
        matrix /= self.scales[:, None]
        # Rotations of the factor mean nothing.
        turns = []
        for i, j in itertools.combinations(range(width), 2):
            turned = np.zeros((count, width))
            turned[:, i], turned[:, j] = rows[:, j] / length, -rows[:, i] / length
            turns.append(np.append(np.zeros(number), turned.ravel()))
        if turns:
            matrix = np.block([[matrix, np.transpose(turns)], [np.array(turns), np.zeros((len(turns),) * 2)]])
        self.size = len(matrix)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", LinAlgWarning)
                # Without a factor the optima can be a family: the nearest one of it, then.
                free = width == 0
                self.solve = np.linalg.pinv(matrix, rcond=1e-12).dot if free else partial(lu_solve, lu_factor(matrix))
        except (LinAlgWarning, np.linalg.LinAlgError, ValueError):
            return False
        return True

    def _hessian(self) -> Array:
        """(M, M) the derivatives of the forces between two atoms in the cosines."""
        count, number = len(self.sizes), len(self.many)
        places = np.full((count, count), -1, dtype=np.intp)
        places[self.first, self.second] = places[self.second, self.first] = np.arange(number)
        hessian = np.zeros((number, number))
        for a, term, _, _, shares in self.loss.shares(self.point.tolist()):
            where = np.array([b for b in shares if places[a, b] >= 0], dtype=np.intp)
            q, index = np.array([float(shares[b].mid()) for b in where.tolist()]), places[a, where]
            half = np.where(where == a, 1.0, 0.5) * float(term.factor.mid()) / float(term.tau.mid()) ** 2
            hessian[index[:, None], index] += half[:, None] * (np.diag(q) - np.outer(q, q))
        return np.asarray(hessian / self.many[:, None])

    def step(self) -> float:
        """Moves to where the residual would vanish, or part of the way; log10 of the largest change."""
        arb, arb_mat = flint().arb, flint().arb_mat
        cosines, count, number = self.point.tolist(), len(self.sizes), len(self.many)
        forces, inner = self.loss.forces(cosines), self.factor * self.factor.transpose()
        pairs = list(zip(self.first.tolist(), self.second.tolist(), strict=True))
        left = [forces[a][b] / many - inner[a, b] for (a, b), many in zip(pairs, self.many.tolist(), strict=True)]
        means = [[n * x for n, x in zip(self.loss.sizes, row, strict=True)] for row in cosines]
        for a, row in enumerate(means):
            row[a] += 1 - cosines[a][a]
        left = [*left, *(arb_mat(means) * self.factor).entries()]
        left = [x.mid() / arb(scale) for x, scale in zip(left, self.scales.tolist(), strict=True)]
        # Far below what float64 can hold: in units of the largest.
        largest = max(abs(x).mid() for x in left)
        if not largest > 0:
            return -np.inf
        residual = np.zeros(self.size)
        residual[: len(left)] = [float((x / largest).mid()) for x in left]
        found = self.solve(-residual)[: len(left)]
        top = np.abs(found).max()
        if not np.isfinite(top):
            return np.nan
        size = float(((largest * top).log() / arb(10).log()).mid())
        found *= self.units
        part = largest * min(1.0, 0.3 * 10.0**-size)
        change = np.zeros((count, count))
        change[self.first, self.second] = change[self.second, self.first] = found[:number]
        self.point = (self.point + arb_mat(change.tolist()) * part).mid()
        self.factor = (self.factor + arb_mat(count, self.width, found[number:].tolist()) * part).mid()
        return size


def slack(forces: Balls, cosines: Balls) -> Balls:
    """(K, K) S summed over the pairs of atoms of two orbits: x^T S x for x constant on orbits."""
    found = [list(row) for row in forces]
    for a, row in enumerate(forces):
        found[a][a] = row[a] - sum((f * c for f, c in zip(row, cosines[a], strict=True)), flint().arb(0))
    return found


def _floats(rows: Balls) -> Array:
    return np.array([[float(x.mid()) for x in row] for row in rows])
