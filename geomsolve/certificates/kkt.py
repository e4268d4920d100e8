"""One Newton step on the optimality conditions S = U U^T, G U = 0: how far it moves any cosine.

S = U U^T is positive semidefinite, and G U = 0 makes it complementary to G. So where the step is small, its equations
are well conditioned and the cosines after it are a Gram matrix, there is an optimum beside G.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import RowModel
from .slack import Slack

_EPS = float(np.finfo(np.float64).eps)
# Unknowns: an inverse of so many rows is a third of a second.
_MOST = 1500
# Of a loss that is curved cosines answer to forces by tau times their logarithm. A hinge is linear off its kinks, and
# cosines answer to any force at all: classes of like frequency have S = u u^T but for 1e-7 of it, and that alone says
# where they are. What is left of an entry counts in these units: one that is to be zero must be so to 1e-12.
DECIDED = 1e-6
# Newton steps of U alone, with the cosines as they are.
_STEPS = 8


class Step(NamedTuple):
    """A Newton step."""

    residual: float  # the largest change of a cosine, with what rounding can be in it
    x: Array  # (K, K) the change of the cosines in units of tau
    change: Array  # (K, q) that of U
    turned: float  # the largest change of a row of U, in units of the row
    doubt: Array  # (K, K) what rounding can be in x


def rank_one_residual(slack: Slack) -> float:
    """The largest change of a cosine in the step to S = u u^T, G u = 0 where the loss only pushes: in O(K^2).

    Off the diagonal log S_ij = log u_i + log u_j, whose least-squares solution is explicit; tau times what it leaves is
    the change of the cosine of i and j. And G u = 0: |(G u)_i| / sum(u) is what every cosine of i would have to move
    by. (The diagonal would give u_i = sqrt(S_ii) too, but a small S_ii is a difference of large numbers.) What a row
    answers as a whole is left out: see `Conditions.step`. Infinite where S has entries that are not positive.
    """
    gram, tau = slack.gram, slack.objective.temperature
    orbits, logs = gram.orbits, slack.entries.copy()
    np.fill_diagonal(logs, np.where(orbits.plural, np.diag(logs), 1.0))
    if not logs.min() > 0:
        return np.inf
    if orbits.atoms == 2:  # whatever pushes them, apart they are where they can be
        return 1.0 + float(gram.cosines.min())
    np.log(logs, out=logs)
    rows = orbits.over_partners(logs)
    log_u = (rows - float(orbits.sizes @ rows) / (2.0 * orbits.atoms - 2.0)) / (orbits.atoms - 2.0)
    logs -= log_u
    logs -= log_u[:, None]
    np.fill_diagonal(logs, np.where(orbits.plural, np.diag(logs), 0.0))
    u = np.exp(log_u - log_u.max())
    balance = u + gram.cosines @ (orbits.sizes * u) - np.diag(gram.cosines) * u
    left = tau * float(max(logs.max(), -logs.min())) / (1.0 if slack.objective.smooth else DECIDED)
    moved = max(left, float(np.abs(balance).max()) / float(orbits.sizes @ u))
    return moved if moved > 1e-6 else max(moved, semidefinite_defect(gram, 0.0, u[:, None], moved))


def dual_factor(slack: Slack, empty: float = 1e-8) -> Array:
    """(K, q) U of S = U U^T between orbits, on the directions in which G has less than `empty` of its largest."""
    values, vectors = np.linalg.eigh(slack.gram.quotient)
    kernel = vectors[:, values <= empty * values[-1]]
    strengths, turned = np.linalg.eigh(kernel.T @ slack.quotient @ kernel)
    strong = strengths > 64.0 * _EPS * np.abs(slack.quotient).max()
    factor = (kernel @ turned[:, strong]) * np.sqrt(strengths[strong])
    return np.asarray(factor / np.sqrt(slack.gram.sizes)[:, None], dtype=np.float64)


class Conditions:
    """The conditions at a Gram matrix, and Newton steps from it.

    Args:
        gram: G.
        entries: (K, K) D, the symmetrised derivative between two different atoms.
        noise: (K, K) how far an entry may be off.
        counted: (K, K) numbers of partners whose cosines may move: none inside a closed orbit.
        model: the rows.
        temperature: tau.
        rests: (K,) or (K, K) the share of a second derivative that the coupling of the row does not take back, where it
            is known better than from the rows; of a row softmax a_i / Z_i, the share of a denominator that no partner
            has. Where all are 0 the loss does not see a shift of all cosines.
    """

    def __init__(
        self,
        gram: OrbitGram,
        entries: Array,
        noise: Array,
        counted: Array,
        model: RowModel,
        temperature: float,
        rests: Array | None = None,
    ) -> None:
        self.gram, self.entries, self.noise, self.counted = gram, entries, noise, counted
        self.temperature, curvature, coupling = temperature, model.curvature, model.coupling
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            if rests is None:
                rests = 1.0 - coupling / np.where(curvature > 0, curvature, 1.0)
            # kappa and r of `step`, N p / s of counted pairs, and the equations of zeta without U.
            self.kappa = np.where(counted > 0, temperature * (curvature + curvature.T) / 2.0, 1.0)
            self.response = np.where(counted > 0, temperature * coupling / 2.0, 0.0)
            total = np.sum(gram.orbits.partners * coupling, axis=1)
            units = np.where(total > 0, total, 1.0)
            self.share = counted * coupling / units[:, None]
            # One less the row sum: what moves with nothing, pair by pair.
            apart = rests * temperature * curvature / 2.0
            left = np.sum(self.share * (apart + apart.T) / self.kappa, axis=1) + np.where(total > 0, 0.0, 1.0)
            left += np.sum((gram.orbits.partners - counted) * coupling, axis=1) / units
            self.matrix = -self.share * self.response.T / self.kappa
            np.fill_diagonal(self.matrix, 0.0)
            np.fill_diagonal(self.matrix, left - self.matrix.sum(axis=1))
        # Whether nothing but U holds a shift of all cosines.
        self.afloat = not np.any(left)

    @classmethod
    def of(cls, slack: Slack) -> Conditions:
        """Those of a slack matrix, each entry in the form of the least rounding."""
        objective, entries, noise = slack.objective, slack.entries, slack.rounding + slack.jitter
        model, fine, rests = objective.rows(slack.gram), objective.fine_rows(slack.gram), None
        if fine is not None:
            row, loose = ((part + part.T) / 2.0 for part in (fine.gradient, fine.rounded))
            entries, noise = np.where(loose < noise, row, entries), np.minimum(loose, noise)
            rests = fine.rests[:, None]
        return cls(slack.gram, entries, noise, slack.counted, model, objective.temperature, rests)

    def residual(self, factor: Array) -> float:
        """The largest change of a cosine in the step from the U nearest to a guess; infinite where nothing is known."""
        for _ in range(_STEPS):
            solved = self.step(factor)
            if solved is None:
                break
            if solved.turned <= 1e-8:
                if not np.isfinite(solved.residual):
                    break
                # What rounding can be in the cosines is as free to go either way.
                tau = self.temperature
                return max(solved.residual, semidefinite_defect(self.gram, tau * solved.x, factor, tau * solved.doubt))
            factor = factor + solved.change
        return np.inf

    def step(self, factor: Array) -> Step | None:
        """The Newton step to S = U U^T, G U = 0, with what rounding can be in it.

        Unknown are the changes tau x of the cosines, dU (K, q), and one scalar zeta_a for each row. With kappa = tau
        times the symmetrised curvature, r_ab = tau p_ab / 2 of the coupling p, and s_a = sum_b N_ab p_ab over all
        partners,

            kappa_ab x_ab = r_ab zeta_a + r_ba zeta_b - (D - U U^T)_ab + dU_a.U_b + U_a.dU_b      of counted pairs,
            zeta_a        = sum_b N_ab p_ab x_ab / s_a,
            - (G U)_a     = dU_a + sum_b N_ab (c_ab dU_b + tau x_ab U_b),

        x eliminated: K (q + 1) equations. Without U this is stationarity in every cosine by itself, and the equations
        for zeta have an M-matrix: 1 less its row sum is what does not move with a row, which is taken as it is and not
        as a difference from the diagonal.

        Rounding of the entries goes through the inverse, entry by entry and with all signs alike.

        Returns None where the matrix is so near to a singular one that its own rounding could make it one, where a pair
        has no curvature (two prototypes, or a hinge off its kink), and above 1500 equations.
        """
        count, rank = factor.shape
        if count * (rank + 1) > _MOST or not self.counted.any() or not self.kappa.min() > 0:
            return None
        with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
            return self._step(factor)

    def _step(self, factor: Array) -> Step | None:
        count, rank = factor.shape
        others, tau, counted = self.gram.orbits.partners * self.gram.cosines, self.temperature, self.counted
        there, lengths = counted > 0, np.linalg.norm(factor, axis=1)
        units = np.where(lengths > 0, lengths, 1.0)
        kept = (counted * (tau / self.kappa))[:, :, None] * factor[None]  # N tau U_b / kappa
        weigh = np.where(there, self.share / self.kappa, 0.0)
        place = np.arange(count)
        # Columns: zeta, then dU_bk in units of |U_b|. Rows: those of zeta (`matrix`, `top`), then those of G U = 0
        # (`through`, `bottom`); each twice, for dU_a.U_b and U_a.dU_b of the eliminated x.
        top = np.einsum("ab,ak->akb", -weigh, factor)
        top[place, :, place] -= weigh @ factor
        through = np.einsum("ab,abk->akb", self.response.T, kept)
        through[place, :, place] += np.einsum("ab,abk->ak", self.response, kept)
        bottom = np.einsum("abl,ak->alkb", kept, factor)
        bottom[place, :, :, place] += np.einsum("abl,bk->alk", kept, factor)
        for k in range(rank):
            bottom[:, k, k] += others + np.eye(count)
        excess = np.where(there, self.entries - factor @ factor.T, 0.0)
        noise = np.where(there, self.noise + 4.0 * _EPS * (lengths[:, None] * lengths), 0.0)
        balance = factor + others @ factor
        blurred = 16.0 * _EPS * (lengths + self.gram.orbits.partners @ lengths)
        right = np.concatenate(
            [-np.sum(weigh * excess, axis=1), (np.einsum("ab,abk->ak", excess, kept) - balance).ravel()]
        )
        spread = np.einsum("ab,abk->ak", noise, np.abs(kept)) + blurred[:, None]
        loose = np.concatenate([np.sum(weigh * noise, axis=1), spread.ravel()])
        wide = count * rank
        rows = np.block(
            [[self.matrix, top.reshape(count, wide)], [through.reshape(wide, count), bottom.reshape(wide, wide)]]
        )
        rows = np.vstack([rows, self._gauge(factor, lengths)])
        extra = len(rows) - len(right)
        right, loose = np.append(right, np.zeros(extra)), np.append(loose, np.zeros(extra))
        inverse, condition = _inverse(rows * np.concatenate([np.ones(count), np.tile(units, rank)]))
        if inverse is None or not condition < 0.1:
            return None
        solution, doubt = inverse @ right, np.abs(inverse) @ loose / (1.0 - condition)
        doubt += condition * np.abs(solution)

        def taken(unknown: Array, factor: Array, known: Array) -> tuple[Array, Array]:
            """The changes x of the cosines and dU."""
            change = unknown[count:].reshape(rank, count).T * units[:, None]
            both = self.response * unknown[:count, None] + change @ factor.T
            return np.where(there, (both + both.T + known) / self.kappa, 0.0), change

        x, change = taken(solution, factor, -excess)
        x_doubt, _ = taken(doubt, np.abs(factor), noise)
        turned = float((np.linalg.norm(change, axis=1) / units).max(initial=0.0)) if rank else 0.0
        return Step(tau * float((np.abs(x) + x_doubt).max()), x, change, turned, x_doubt)

    def _gauge(self, factor: Array, lengths: Array) -> Array:
        """Rows that keep what means nothing: rotations of U, and a shift of all cosines that the loss does not see."""
        count, rank = factor.shape
        sizes, rows = self.gram.sizes, []
        if self.afloat and rank == 0:
            row = np.zeros(count)
            row[int(np.argmax(sizes * np.sum(self.kappa * (self.counted > 0), axis=1)))] = 1.0
            rows.append(row)
        scale = float(sizes @ lengths**2)
        for k, other in itertools.combinations(range(rank), 2):
            row = np.zeros((rank + 1, count))
            row[other + 1], row[k + 1] = sizes * factor[:, k] / scale, -sizes * factor[:, other] / scale
            rows.append(row.ravel())
        return np.array(rows).reshape(len(rows), count * (rank + 1))


def semidefinite_defect(
    gram: OrbitGram, change: Array | float, factor: Array | None = None, blur: Array | float = 0.0
) -> float:
    """sqrt(-lambda) for the least eigenvalue lambda of G + change on the complement of U, 0 where it is not negative.

    Where stationary cosines are no Gram matrix by lambda the optimum gives way in whatever the loss holds least, and
    that is up to sqrt(-lambda) away: a frequent pair asked to be at an angle d apart, in cosines 1 - d^2/2, and a rare
    class asked to be at angles to it that differ by d + e, differ by e from the optimum, but by e^2/2 + d e from
    a Gram matrix. Eigenvalues are those of the quotient B between orbits in units of sqrt(B_aa B_bb), so that rounding
    in it is K ulps; what G U = 0 leaves empty stays so.

    Each change may be off by `blur`.
    """
    sizes, root = gram.sizes, np.sqrt(gram.sizes)
    inside = np.where(gram.orbits.plural, sizes - 1.0, 0.0)
    quotient = gram.orbits.quotient(gram.cosines + change, 1.0)
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
