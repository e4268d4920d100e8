"""The optimum beside given cosines in decimals: where forces of 1e-17 decide, beside others of 1."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .decimals import DIGITS, ONE, ZERO, Decimals, cholesky, decimals, digits, exp, floats, solve
from .objectives.base import Objective
from .objectives.netforces import Rows
from .orbits import OrbitGram

Array = NDArray[np.float64]

# Unknowns of a step: 0.4 s in decimals.
_MOST = 130
# Newton steps; 5 to 8 were seen where they converge from near by.
_STEPS = 20
# Directions in which G has less than this of its largest eigenvalue are empty.
_EMPTY = 1e-8
# A reading is of no use above 1e-6.
_READ = 1e-4
# A cosine that moves by less is settled: half of the digits.
_SETTLED = 10.0 ** (-DIGITS // 2)
# What is left of the equations, in cosines.
_FINE = Decimal("1e-25")
# And a row of U by less than 1e-15 of itself, here squared: in the next step, by its square.
_STILL = Decimal("1e-30")


class ExactOptimum(NamedTuple):
    """A solution of S = U U^T, G U = 0.

    Attributes:
        cosines: (K, K) G, decimals.
        factor: (K, q) U, decimals.
    """

    cosines: Decimals
    factor: Decimals


def exact_reading(objective: Objective, gram: OrbitGram) -> float:
    """How far cosines are from the optimum that `exact_optimum` finds beside them; infinite where it finds none.

    Here nothing is lost to rounding, and what is found is an optimum, so that the largest difference of a cosine is
    all there is to say: no force, stiffness or curvature is compared with any other.
    """
    best = exact_optimum(objective, gram, beside=_READ)
    if best is None:
        return np.inf
    with digits():
        change = floats(best.cosines - decimals(gram.cosines))
    return float(np.abs(np.where(gram.orbits.partners > 0, change, 0.0)).max())


def exact_optimum(
    objective: Objective,
    gram: OrbitGram,
    *,
    factor: Array | None = None,
    cosines: Decimals | None = None,
    beside: float = 0.1,
) -> ExactOptimum | None:
    """The optimum of a row softmax that attracts near a Gram matrix, to 30 digits; None where none is found.

    Newton's method in 60 decimal digits for D_ab = U_a.U_b of all pairs, G U = 0. With q_ab the share of a partner in
    the denominator of a row, kappa_ab = (m_a q_ab + m_b q_ba)/(2 tau^2), r_ab = m_a q_ab/(2 tau^2), a step solves

        kappa_ab x_ab = r_ab zeta_a + r_ba zeta_b - (D - U U^T)_ab + dU_a.U_b + U_a.dU_b,
        zeta_a        = sum_b N_ab q_ab x_ab,
        - (G U)_a     = dU_a + sum_b N_ab (c_ab dU_b + x_ab U_b),

    x eliminated: K (q + 1) equations, bordered by the rotations of U. Cosines inside an orbit that has closed to a
    point stay 1. Without U, where attraction balances repulsion, rows do not say how far all cosines shift together,
    and they hardly do. Where no force acts in some pair nothing is found. Weights: see `Objective.decimal_rows`.

    What is returned is an optimum, whatever it was found from: the steps have come to an end, the last less than 1e-30
    of a cosine and a tenth of the one before; S = U U^T >= 0 also on differences inside closed orbits; and G + Q Q^T is
    positive definite, by a Cholesky factor in decimals, for a Q that spans about the same as U: G vanishes on U, so its
    form at w is that at w + U v for any v, and some v makes Q^T (w + U v) = 0. G and S >= 0, S G = 0 and S = D -
    Diag(y) are sufficient, the loss being convex.

    Args:
        objective: the loss.
        gram: G, a guess.
        factor: (K, q) a guess of U; None: from the directions in which G vanishes.
        cosines: (K, K) those of G to more digits.
        beside: how far it may be, in cosines; a single step moves none by more than 2 tau.

    Cost: K (q + 1) unknowns up to 130, in 0.05 s (80) to 0.4 s a step.
    Source: ours.
    """
    rows = objective.decimal_rows
    if rows is None:
        return None
    with digits():
        equations = Equations.of(rows, gram)
        cosines = decimals(gram.cosines) if cosines is None else cosines
        if not equations.joined:
            return None
        guess = _guess(equations, gram, cosines) if factor is None else decimals(factor)
        if guess is None or guess.size + len(guess) > _MOST:
            return None
        return _newton(equations, cosines, guess, beside)


def _guess(equations: Equations, gram: OrbitGram, cosines: Decimals) -> Decimals | None:
    values, vectors = np.linalg.eigh(gram.quotient)
    empty = vectors[:, values <= _EMPTY * values[-1]] / np.sqrt(gram.sizes)[:, None]
    if empty.shape[1] == 0:
        return decimals(empty)
    return equations.guess(cosines, empty) if empty.size + len(empty) <= _MOST else None


def _newton(equations: Equations, cosines: Decimals, factor: Decimals, beside: float) -> ExactOptimum | None:
    if equations.closed.any():
        cosines = cosines.copy()
        cosines[np.diag_indices_from(cosines)] = np.where(equations.closed, ONE, np.diag(cosines))
    last, moved = np.inf, 0.0
    for step in range(_STEPS):
        try:
            change, turn = equations.step(cosines, factor)
        except (np.linalg.LinAlgError, ArithmeticError):
            return None
        size = float(np.abs(change).max())
        # A row of U changes by half of itself at most.
        lengths, turned = np.sum(factor * factor, axis=1), np.sum(turn * turn, axis=1)
        share = min([Decimal(1), *((u / (4 * t)).sqrt() for u, t in zip(lengths, turned, strict=True) if t > 0)])
        if size > 0:
            share = min(share, 2 * equations.temperature / Decimal(size))
        moved += float(share) * size
        if not moved <= beside or (step > 3 and size > 2.0 * last):
            return None
        cosines, factor = cosines + share * change, factor + share * turn
        still = all(t <= u * _STILL for u, t in zip(lengths, turned, strict=True))
        if size <= _SETTLED and size < 0.1 * last and share == 1 and still:
            found = ExactOptimum(cosines, factor)
            return found if equations.optimal(found) else None
        last = size
    return None


class Equations(NamedTuple):
    """The numbers of a row softmax by orbits, all decimals; which orbits are points; and which pairs are unknown."""

    sizes: Decimals
    partners: Decimals
    masses: Decimals
    weights: Decimals
    offsets: Decimals
    positives: Decimals
    temperature: Decimal
    closed: NDArray[np.bool_]
    there: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Rows, gram: OrbitGram) -> Equations:
        """The equations at a Gram matrix; which orbits are points is all that they take from it."""
        closed = gram.orbits.plural & (np.diag(gram.cosines) >= 1.0 - 1e-12)
        there = gram.orbits.partners > 0
        there[np.diag_indices_from(there)] &= ~closed
        return cls(
            decimals(gram.sizes),
            decimals(rows.partners),
            decimals(rows.masses),
            decimals(rows.weights),
            decimals(rows.offsets),
            decimals(rows.positives),
            Decimal(rows.temperature),
            closed,
            there,
        )

    @property
    def joined(self) -> bool:
        """Whether a force acts in every pair: where none does, no step knows how far to go."""
        repelled = self.masses[:, None] * self.weights
        return bool(np.all((repelled + repelled.T > 0) | ~self.there))

    def shares(self, cosines: Decimals) -> Decimals:
        """(K, K) q, of one partner."""
        pulls = self.weights * exp((cosines - 1) / self.temperature)
        sums = self.offsets + np.sum(np.where(self.partners > 0, self.partners * pulls, ZERO), axis=1)
        return np.asarray(pulls / sums[:, None])

    def loss(self, cosines: Decimals) -> Decimal:
        """L up to a constant, of atoms one by one."""
        pulls = np.where(self.there, self.weights * exp((cosines - 1) / self.temperature), ZERO)
        pulled = np.sum(np.where(self.there, self.positives * cosines, ZERO), axis=1)
        sums = self.offsets + np.sum(pulls, axis=1)
        logs = np.array([x.ln() for x in sums], dtype=object)
        return Decimal(self.masses @ (logs - pulled / self.temperature))

    def forces(self, shares: Decimals) -> Decimals:
        """(K, K) D."""
        row = self.masses[:, None] * (shares - self.positives) / (2 * self.temperature)
        return np.asarray(row + row.T)

    def guess(self, cosines: Decimals, empty: Array) -> Decimals | None:
        """(K, q) U with columns in the span of `empty` for which cosines have least to move, pair by pair.

        With S = E C E^T the cosine of a pair has to move by (E_a C E_b - D_ab)/kappa_ab, and C is the least-squares
        solution. D itself is no guess: rounding of a cosine makes 1e-15 of it in a frequent pair, where the rest of S
        is 1e-26.
        """
        rank = empty.shape[1]
        shares = self.shares(cosines)
        response = self.masses[:, None] * shares / self.temperature
        a, b = np.nonzero(np.triu(self.there))
        kappa = (response + response.T)[a, b]
        k, m = np.nonzero(np.triu(np.ones((rank, rank))))
        basis = decimals(empty)
        products = basis[a][:, k] * basis[b][:, m]
        products += np.where(k == m, ZERO, basis[a][:, m] * basis[b][:, k])
        products /= kappa[:, None]
        try:
            found = solve(products.T @ products, products.T @ (self.forces(shares)[a, b] / kappa))
        except (np.linalg.LinAlgError, ArithmeticError):
            return None
        middle = np.zeros((rank, rank))
        scale = np.abs(found).max()
        middle[k, m] = middle[m, k] = floats(found / scale) if scale > 0 else 0.0
        strengths, turned = np.linalg.eigh(middle)
        least = 1e-9 * np.abs(strengths).max()
        return basis @ decimals(turned * np.sqrt(np.maximum(np.abs(strengths), least))) * Decimal(scale).sqrt()

    def step(self, cosines: Decimals, factor: Decimals) -> tuple[Decimals, Decimals]:
        """The Newton step of cosines and of U."""
        count, rank = factor.shape
        place = np.arange(count)
        shares = self.shares(cosines)
        excess = np.where(self.there, self.forces(shares) - factor @ factor.T, ZERO)
        response = np.where(self.there, self.masses[:, None] * shares / (2 * self.temperature**2), ZERO)
        kappa = np.where(self.there, response + response.T, ONE)
        soft = np.where(self.there, 1 / kappa, ZERO)
        shares = np.where(self.there, self.partners * shares, ZERO)
        weigh = shares * soft
        seen = np.where(self.there, self.partners * soft, ZERO)
        linked = self.partners * cosines
        borders = [(k, other) for k in range(rank) for other in range(k)]
        # Without U, and where the loss sees no shift of all cosines, nothing but this says how far that goes.
        afloat = rank == 0 and not np.any(self.offsets) and not np.any(self.closed)
        total = count * (rank + 1) + len(borders) + afloat
        matrix = np.full((total, total), Decimal(0), dtype=object)
        right = np.full(total, Decimal(0), dtype=object)
        # zeta
        matrix[:count, :count] = -weigh * response.T
        matrix[place, place] += 1 - np.sum(weigh * response, axis=1)
        right[:count] = -np.sum(weigh * excess, axis=1)
        for k in range(rank):
            rows = slice(count * (k + 1), count * (k + 2))
            mine = count * (k + 1) + place
            kept = seen * factor[:, k]
            matrix[:count, rows] -= weigh * factor[:, k][:, None]
            matrix[place, mine] -= weigh @ factor[:, k]
            matrix[rows, :count] += kept * response.T
            matrix[mine, place] += np.sum(kept * response, axis=1)
            right[rows] = np.sum(kept * excess, axis=1) - factor[:, k] - linked @ factor[:, k]
            for other in range(rank):
                columns = slice(count * (other + 1), count * (other + 2))
                matrix[rows, columns] += kept * factor[:, other][:, None]
                matrix[mine, count * (other + 1) + place] += kept @ factor[:, other]
            matrix[rows, rows] += linked
            matrix[mine, mine] += Decimal(1)
        for number, (k, other) in enumerate(borders, start=count * (rank + 1)):
            for mine, column in ((k, factor[:, other]), (other, -factor[:, k])):
                matrix[count * (mine + 1) + place, number] = column
                matrix[number, count * (mine + 1) + place] = self.sizes * column
        if afloat:
            matrix[-1, :count] = matrix[:count, -1] = Decimal(1)
        solution = solve(matrix, right)
        zeta, turn = solution[:count], solution[count : count * (rank + 1)].reshape(rank, count).T
        both = response * zeta[:, None] + turn @ factor.T
        return np.where(self.there, (both + both.T - excess) * soft, ZERO), turn

    def optimal(self, found: ExactOptimum) -> bool:
        """Whether D = U U^T and G U = 0 to 25 digits, and S and G are positive semidefinite: see `exact_optimum`."""
        cosines, factor = found
        plural = self.sizes != 1
        inside = np.diag(cosines)
        if np.any(plural & ~self.closed & (inside >= 1)):
            return False
        shares = self.shares(cosines)
        pulls = self.masses[:, None] * shares / self.temperature**2
        left = np.where(
            self.there, (self.forces(shares) - factor @ factor.T) / np.where(self.there, pulls + pulls.T, ONE), ZERO
        )
        balance = factor + (self.partners * cosines) @ factor
        lengths = np.sum(factor * factor, axis=1)
        unmoved = np.sum(balance * balance, axis=1) <= _FINE**2 * np.sum(lengths)
        if np.abs(left).max() > _FINE or not unmoved.all():
            return False
        held = lengths - np.diag(self.forces(shares))
        if np.any(self.closed & (held < 0)):
            return False
        root = np.array([n.sqrt() for n in self.sizes], dtype=object)
        quotient = cosines * root * root[:, None]
        quotient[np.diag_indices_from(quotient)] = 1 + (self.sizes - 1) * np.where(plural, inside, ZERO)
        if factor.shape[1] == 0:
            return cholesky(quotient) is not None
        scaled = floats(factor * root[:, None])
        empty = np.linalg.qr(scaled / np.linalg.norm(scaled, axis=0))[0]
        return cholesky(quotient + decimals(empty @ empty.T)) is not None
