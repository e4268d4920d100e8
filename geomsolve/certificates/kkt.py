"""How far cosines are from an optimum whose slack matrix is S = U U^T: a Newton step, and what rounding can be in it.

Readings that look at one row, or at one block of atoms, ask what a force moves there if all else stays. Where
attraction balances repulsion almost exactly nothing is left of S to hold an atom, and it is the curvature of the loss
that does: here the linear equations of all cosines together are solved. Ours.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from ..arrays import Array
from ..geometry.orbits import OrbitGram
from ..objectives.base import RowModel

_EPS = float(np.finfo(np.float64).eps)
# Unknowns: an inverse of so many rows is a third of a second.
_MOST = 1500
# Newton steps of U alone, with the cosines as they are.
_STEPS = 8


class Forces(NamedTuple):
    """What the reading is taken from.

    Attributes:
        entries: (K, K) D, the symmetrised derivative between two different atoms.
        noise: (K, K) how far an entry may be off.
        counted: (K, K) numbers of partners whose cosines may move: none of those in one point with the atom.
        model: the rows.
        temperature: tau.
        rests: (K,) a_i / Z_i of a row softmax, the share of a denominator that no partner has. Where all are 0 the
            loss does not see a shift of all cosines.
    """

    entries: Array
    noise: Array
    counted: Array
    model: RowModel
    temperature: float
    rests: Array


def damping(model: RowModel, partners: Array, counted: Array, atoms: float) -> Array:
    """(K, K) 1/(1 - Q), Q the share of counted partners in the denominator of the row (the larger of two).

    Where all counted cosines of an atom move alike, by d, its repulsions grow by (1 - Q) d/tau only: the denominator
    answers. What sits in one point with it does not move, so its share is no part of Q; 1/(1 - Q) is at most the atoms.
    """
    answer = np.sum(partners * model.coupling, axis=1)
    bend = np.sum(partners * model.curvature, axis=1)
    answer *= np.sum(counted * model.coupling, axis=1) / np.where(answer > 0, answer, 1.0)
    damped = 1.0 / np.maximum(1.0 - answer / np.where(bend > 0, bend, 1.0), 1.0 / atoms)
    return np.maximum(damped[:, None], damped)


def dual_reading(gram: OrbitGram, forces: Forces, factor: Array) -> float:
    """The largest change of a cosine in the Newton step to S = U U^T, G U = 0, with what rounding can be in it.

    Unknown are the changes tau x of the cosines, dU (K, q), and one scalar zeta_a for each row. With kappa = tau times
    the symmetrised curvature, r_ab = tau p_ab / 2 of the coupling p, and s_a = sum_b N_ab p_ab over all partners,

        kappa_ab x_ab = r_ab zeta_a + r_ba zeta_b - (D - U U^T)_ab + dU_a.U_b + U_a.dU_b      of counted pairs,
        zeta_a        = sum_b N_ab p_ab x_ab / s_a,
        - (G U)_a     = dU_a + sum_b N_ab (c_ab dU_b + tau x_ab U_b),

    x eliminated: K (q + 1) equations. S = U U^T is positive semidefinite and G U = 0 makes it complementary, so where
    the step is small, the equations are well conditioned and the cosines after it are positive semidefinite, see
    `shortfall`, there is an optimum beside G. Without U this is stationarity in every cosine by itself, and the
    equations for zeta have an M-matrix: 1 less its row sum is what does not move with a row, which is taken as it is
    and not as a difference from the diagonal.

    Rounding of the entries goes through the inverse, entry by entry and with all signs alike; where the matrix is so
    near to a singular one that its own rounding could make it one, nothing is known: the reading is infinite.

    Args:
        gram: G.
        forces: D and its rounding.
        factor: (K, q) a first guess of U, mended here; q = 0 for S = 0.
    """
    count, rank = factor.shape
    if count * (rank + 1) > _MOST or not forces.counted.any():
        return np.inf
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        system = _System.of(gram, forces)
        for _ in range(_STEPS):
            solved = system.step(factor)
            if solved is None:
                return np.inf
            if solved.turned <= 1e-8:
                if not np.isfinite(solved.reading):
                    return np.inf
                # What rounding can be in the cosines is as free to go either way.
                blur = forces.temperature * solved.doubt
                return max(solved.reading, shortfall(gram, forces.temperature * solved.x, factor, blur))
            factor = factor + solved.change
    return np.inf


def shortfall(gram: OrbitGram, change: Array | float, factor: Array | None = None, blur: Array | float = 0.0) -> float:
    """sqrt(-lambda) for the least eigenvalue lambda of G + change on the complement of U, 0 where it is not negative.

    Where stationary cosines are no Gram matrix by lambda the optimum gives way in whatever the loss holds least, and
    that is up to sqrt(-lambda) away: a frequent pair asked to be at an angle d apart, in cosines 1 - d^2/2, and a rare
    class asked to be at angles to it that differ by d + e, differ by e from the optimum, but by e^2/2 + d e from
    a Gram matrix. Eigenvalues are those of the quotient B between orbits in units of sqrt(B_aa B_bb), so that rounding
    in it is K ulps; what G U = 0 leaves empty stays so.

    Args:
        gram: G.
        change: (K, K) the changes of the cosines.
        factor: (K, q) U, or None.
        blur: (K, K) how far each change may be off, or one number.
    """
    sizes, root = gram.sizes, np.sqrt(gram.sizes)
    inside = np.where(gram.orbits.plural, sizes - 1.0, 0.0)
    quotient = (gram.cosines + change) * root * root[:, None]
    np.fill_diagonal(quotient, 1.0 + inside * (np.diag(gram.cosines) + np.diag(change + np.zeros_like(quotient))))
    own = np.sqrt(np.maximum(np.diag(quotient), 1.0))
    quotient /= own * own[:, None]
    spread = (blur + np.zeros_like(quotient)) * root * root[:, None]
    np.fill_diagonal(spread, inside * np.diag(spread) / sizes)
    spread /= own * own[:, None]
    # On U itself, which G leaves empty, 1 is added.
    if factor is not None and factor.shape[1] > 0:
        kernel = factor * (own * root)[:, None]
        turned = np.linalg.qr(kernel / np.linalg.norm(kernel, axis=0))[0]
        quotient += turned @ turned.T
    allowed = 8.0 * len(root) * _EPS - float(spread.sum(axis=1).max())
    shifted = quotient + allowed * np.eye(len(root))
    if not np.isfinite(shifted).all():
        return math.inf
    try:
        np.linalg.cholesky(shifted)
        return 0.0
    except np.linalg.LinAlgError:
        return math.sqrt(max(0.0, -float(np.linalg.eigvalsh(shifted)[0])))


def factor_step(gram: OrbitGram, forces: Forces, factor: Array) -> Step | None:
    """The Newton step to S = U U^T, G U = 0; None where the equations may be singular, or are too many."""
    count, rank = factor.shape
    if count * (rank + 1) > _MOST:
        return None
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        return _System.of(gram, forces).step(factor)


class Step(NamedTuple):
    """A Newton step.

    Attributes:
        reading: the largest change of a cosine, with what rounding can be in it.
        x: (K, K) the change of the cosines in units of tau.
        change: (K, q) that of U.
        turned: the largest change of a row of U, in units of the row.
        doubt: (K, K) what rounding can be in x.
    """

    reading: float
    x: Array
    change: Array
    turned: float
    doubt: Array


class _System(NamedTuple):
    gram: OrbitGram
    forces: Forces
    kappa: Array  # (K, K) tau times the curvature of a pair; 1 where not counted
    response: Array  # (K, K) r
    share: Array  # (K, K) N p / s of counted pairs
    matrix: Array  # (K, K) of zeta, for U = 0
    afloat: bool  # whether nothing but U holds a shift of all cosines

    @classmethod
    def of(cls, gram: OrbitGram, forces: Forces) -> _System:
        tau, counted, model = forces.temperature, forces.counted, forces.model
        curvature, coupling = model.curvature, model.coupling
        kappa = np.where(counted > 0, tau * (curvature + curvature.T) / 2.0, 1.0)
        response = np.where(counted > 0, tau * coupling / 2.0, 0.0)
        total = np.sum(gram.orbits.partners * coupling, axis=1)
        share = counted * coupling / np.where(total > 0, total, 1.0)[:, None]
        # One less the row sum: what moves with nothing, pair by pair.
        apart = forces.rests[:, None] * tau * curvature / 2.0
        left = np.sum(share * (apart + apart.T) / kappa, axis=1) + np.where(total > 0, 0.0, 1.0)
        closed = (gram.orbits.partners - counted) * coupling
        left += closed.sum(axis=1) / np.where(total > 0, total, 1.0)
        matrix = -share * response.T / kappa
        np.fill_diagonal(matrix, 0.0)
        np.fill_diagonal(matrix, left - matrix.sum(axis=1))
        return cls(gram, forces, kappa, response, share, matrix, not np.any(left))

    def step(self, factor: Array) -> Step | None:
        """The Newton step from G and U; None where the matrix may be singular."""
        count, rank = factor.shape
        partners, cosines = self.gram.orbits.partners, self.gram.cosines
        tau, counted = self.forces.temperature, self.forces.counted
        there, lengths = counted > 0, np.linalg.norm(factor, axis=1)
        units = np.where(lengths > 0, lengths, 1.0)
        kept = (counted * (tau / self.kappa))[:, :, None] * factor[None]  # N tau U_b / kappa
        weigh = np.where(there, self.share / self.kappa, 0.0)
        # Columns: zeta, then dU_bk in units of |U_b|.
        top = np.zeros((count, count * (rank + 1)))
        top[:, :count] = self.matrix
        bottom = np.zeros((count, rank, count * (rank + 1)))
        bottom[:, :, :count] = np.einsum("ab,abk->akb", self.response.T, kept)
        place = np.arange(count)
        bottom[place, :, place] += np.einsum("ab,abk->ak", self.response, kept)
        for k in range(rank):
            columns = slice(count * (k + 1), count * (k + 2))
            # dU_a.U_b and U_a.dU_b
            top[:, columns] = -weigh * factor[None, :, k].T
            top[place, count * (k + 1) + place] -= weigh @ factor[:, k]
            bottom[:, :, columns] = np.einsum("abl,a->alb", kept, factor[:, k])
            bottom[place, :, count * (k + 1) + place] += np.einsum("abl,b->al", kept, factor[:, k])
            bottom[:, k, columns] += partners * cosines
            bottom[place, k, count * (k + 1) + place] += 1.0
        excess = np.where(there, self.forces.entries - factor @ factor.T, 0.0)
        noise = np.where(there, self.forces.noise + 4.0 * _EPS * (lengths[:, None] * lengths), 0.0)
        balance = factor + (partners * cosines) @ factor
        blurred = 16.0 * _EPS * (lengths + partners @ lengths)
        right = np.concatenate(
            [-np.sum(weigh * excess, axis=1), (np.einsum("ab,abk->ak", excess, kept) - balance).ravel()]
        )
        spread = np.einsum("ab,abk->ak", noise, np.abs(kept)) + blurred[:, None]
        loose = np.concatenate([np.sum(weigh * noise, axis=1), spread.ravel()])
        rows = np.vstack([top, bottom.reshape(count * rank, count * (rank + 1)), self._gauge(factor, lengths)])
        extra = len(rows) - len(right)
        right, loose = np.append(right, np.zeros(extra)), np.append(loose, np.zeros(extra))
        inverse, condition = _inverse(rows * np.concatenate([np.ones(count), np.tile(units, rank)]))
        if inverse is None or not condition < 0.1:
            return None
        solution, doubt = inverse @ right, np.abs(inverse) @ loose / (1.0 - condition)
        doubt += condition * np.abs(solution)
        zeta, change = solution[:count], solution[count:].reshape(rank, count).T * units[:, None]
        zeta_doubt, change_doubt = doubt[:count], doubt[count:].reshape(rank, count).T * units[:, None]
        both = self.response * zeta[:, None] + change @ factor.T
        x = np.where(there, (both + both.T - excess) / self.kappa, 0.0)
        both = self.response * zeta_doubt[:, None] + change_doubt @ np.abs(factor).T
        x_doubt = np.where(there, (both + both.T + noise) / self.kappa, 0.0)
        turned = float((np.linalg.norm(change, axis=1) / units).max(initial=0.0)) if rank else 0.0
        return Step(tau * float((np.abs(x) + x_doubt).max()), x, change, turned, x_doubt)

    def _gauge(self, factor: Array, lengths: Array) -> Array:
        """Rows that keep what means nothing: rotations of U, and a shift of all cosines that the loss does not see."""
        count, rank = factor.shape
        sizes = self.gram.sizes
        rows = []
        if self.afloat and rank == 0:
            row = np.zeros(count)
            row[int(np.argmax(sizes * np.sum(self.kappa * (self.forces.counted > 0), axis=1)))] = 1.0
            rows.append(row)
        scale = float(sizes @ lengths**2)
        for k in range(rank):
            for other in range(k):
                row = np.zeros((rank + 1, count))
                row[k + 1], row[other + 1] = sizes * factor[:, other] / scale, -sizes * factor[:, k] / scale
                rows.append(row.ravel())
        return np.array(rows).reshape(len(rows), count * (rank + 1))


def _inverse(rows: Array) -> tuple[Array | None, float]:
    """A left inverse J+ of full column rank, and the largest row sum of |J+| dJ for rounding dJ of the entries.

    An entry is rounded by 64 ulps of itself: none but those of G dU is a difference, and these are sums of their rows.
    """
    scale = np.abs(rows).max(axis=1)
    if not (np.isfinite(rows).all() and scale.min() > 0):
        return None, np.inf
    scaled = rows / scale[:, None]
    try:
        if len(rows) == rows.shape[1]:
            inverse = np.linalg.inv(scaled)
        else:
            q, r = np.linalg.qr(scaled)
            inverse = solve_triangular(r, q.T)
    except np.linalg.LinAlgError:
        return None, np.inf
    return inverse / scale, 64.0 * _EPS * float((np.abs(inverse) @ np.abs(scaled)).sum(axis=1).max())
