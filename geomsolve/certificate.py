"""The certificate: how far a Gram matrix can be from optimal, from (objective, Gram matrix) alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ProblemError
from .orbits import OrbitGram, Orbits
from .spectra import near_rank_one

if TYPE_CHECKING:
    from .objectives.base import Objective

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Certificate:
    """What is proved of a Gram matrix: L(H) >= value - gap for every H >= 0 with unit diagonal. See `certify`.

    Attributes:
        value: the loss of the repaired Gram matrix.
        gap: an upper bound of value - optimum: absolute, in nats.
        lower_bound: value - gap, below the loss of every Gram matrix on the sphere.
        excess: value minus the floor no geometry goes below.
        relative_gap: gap / excess. At low temperature the excess is of order e^{-1/tau}, and a gap that is small beside
            the value says nothing.
        cosine_residual: how far the cosines are from what stationarity says they must be, in units of cosine. Classes
            of the tail weigh so little that a small gap alone does not fix their cosines.
        repair: how far the Gram matrix had to be moved towards the identity to be positive semidefinite.
        ball_gap: the same bound if embeddings may lie anywhere in the unit ball.
        ball_optimal: True where `ball_gap` is at most 1e-9 of the excess, which proves the Gram matrix optimal over the
            ball too; False where shrinking some class lowers the loss; None where neither is proved.
    """

    value: float
    gap: float
    lower_bound: float
    excess: float
    relative_gap: float
    cosine_residual: float
    repair: float
    ball_gap: float
    ball_optimal: bool | None

    def holds(self, tol: float = 1e-9, *, cosine_tol: float = 1e-6) -> bool:
        """Whether the Gram matrix is proved optimal: relative gap and cosine residual both within tolerance.

        Raises:
            ProblemError: a tol that is not between 0 and 1.
        """
        check_tol(tol)
        return bool(self.relative_gap <= tol and self.cosine_residual <= cosine_tol)


def check_tol(tol: float) -> float:
    """The tolerance, or a ProblemError unless it is between 0 and 1."""
    if not isinstance(tol, (int, float, np.number)) or not 0 < tol < 1:
        raise ProblemError(f"tol: must be a number between 0 and 1; got {tol!r:.40} (1e-9 is the default)")
    return float(tol)


def certify(objective: Objective, gram: OrbitGram | ArrayLike) -> Certificate:
    """The certificate of a Gram matrix for an objective, whichever solver, training run or guess it comes from.

    L is convex. With D its gradient at a feasible G, y_i = (D G)_ii and S = D - Diag(y), every unit-diagonal H >= 0 has

        L(H) >= L(G) + <D, H - G> = L(G) + <S, H> >= L(G) + m min(0, lambda_min(S)),

    so gap = m max(0, -lambda_min(S)), counted after the repair of G (no solver's dual is needed). lambda_min, or a
    lower bound as good, comes from the K x K form of S and carries an allowance for rounding, so a gap is never claimed
    below it. Where the loss has a kink, D is the subgradient closest to complementarity S G = 0. (Ours; the argument is
    standard convex duality.)

    Args:
        objective: the problem.
        gram: an OrbitGram on the objective's orbits, or any (C, C) Gram matrix in the caller's class order.

    Raises:
        ProblemError: a Gram matrix of the wrong shape, not finite, asymmetric, or without unit diagonal.

    Cost: one Cholesky factor of size K (C for a plain matrix) where nothing collapses and G is nearly optimal; two
    symmetric eigenvalue problems elsewhere.
    """
    if not hasattr(objective, "check"):
        raise ProblemError(
            f"objective: must come from a builder such as geomsolve.SupCon; got {type(objective).__name__}"
        )
    objective.check()
    if not isinstance(gram, OrbitGram):
        gram, objective = OrbitGram.from_matrix(gram, objective.orbits), objective.ungrouped()
    elif not objective.orbits.same_as(gram.orbits):
        gram, objective = OrbitGram.from_matrix(gram.expand(), objective.orbits), objective.ungrouped()
    if not np.array_equal(gram.cosines, gram.cosines.T):  # NaN too
        asymmetry = float(np.abs(gram.cosines - gram.cosines.T).max())
        if not asymmetry <= 1e-9:
            raise ProblemError(f"gram: cosines must be finite and symmetric; they differ by {asymmetry:.3g}")
        gram = OrbitGram(gram.orbits, (gram.cosines + gram.cosines.T) / 2.0, gram.balance)
    gram, repair = gram.repaired()
    excess = objective.excess(gram)
    slack = _Slack.of(objective, gram)
    gap = slack.gap
    ball_gap = gap + float(gram.sizes @ np.maximum(slack.radial, 0.0))
    ball_optimal: bool | None = None
    if np.any(slack.radial > 1e-6 * slack.radial_scale):
        # Shrinking class i changes the loss at the rate -2 y_i: a clearly positive y_i is a descent direction.
        ball_optimal = False
    elif _ratio(ball_gap, excess) <= 1e-9:
        ball_optimal = True
    return Certificate(
        value=objective.floor + excess,
        gap=gap,
        lower_bound=objective.floor + (excess - gap),
        excess=excess,
        relative_gap=_ratio(gap, excess),
        cosine_residual=slack.cosine_residual,
        repair=repair,
        ball_gap=ball_gap,
        ball_optimal=ball_optimal,
    )


def _over_partners(orbits: Orbits, matrix: Array) -> Array:
    """(K,) the sum of a row over the partners of one atom: over whole orbits, less the atom itself."""
    return np.asarray(matrix @ orbits.sizes - np.diag(matrix), dtype=np.float64)


def _ratio(gap: float, excess: float) -> float:
    # No geometry attains the floor: an excess this small has underflowed, and the forces with it.
    return gap / excess if excess > 1e-290 else np.inf


@dataclass(frozen=True, eq=False)
class _Slack:
    """S = D - Diag(y) by orbits: off-diagonal entries, diagonal, and what they say."""

    gram: OrbitGram
    entries: Array  # (K, K) D_ij between two different atoms
    diagonal: Array  # (K,) S_ii
    own: Array  # (K,) the derivative of the loss in G_ii
    attraction: Array | float  # (K, K) the constant part of D, which is subtracted
    support: float  # how far the supporting function lies below the loss at G
    temperature: float
    smooth: bool

    @classmethod
    def of(cls, objective: Objective, gram: OrbitGram) -> _Slack:
        row, support = objective.support(gram)
        # A single class has no partner in its own orbit; what stands there would drown the rest.
        np.fill_diagonal(row, np.where(gram.orbits.plural, np.diag(row), 0.0))
        entries = row + row.T
        entries /= 2.0
        diagonal = -_over_partners(gram.orbits, entries * gram.cosines)
        # The loss sees G_ij - G_ii, so its derivative in G_ii is minus the row sum.
        own = -_over_partners(gram.orbits, row)
        return cls(gram, entries, diagonal, own, objective.attraction, support, objective.temperature, objective.smooth)

    @property
    def radial(self) -> Array:
        """(K,) y_i with the derivative in G_ii counted: the multiplier of |z_i| <= 1."""
        return self.own - self.diagonal

    @property
    def radial_scale(self) -> Array:
        """(K,) the size of the terms y_i is the sum of."""
        terms = np.abs(self.entries) + 2.0 * self.attraction
        return np.sum(self.gram.orbits.partners * terms * (1.0 + np.abs(self.gram.cosines)), axis=1)

    @cached_property
    def quotient(self) -> Array:
        """(K, K) S between orbits, in the form of `OrbitGram.quotient`."""
        root = np.sqrt(self.gram.sizes)
        quotient = self.entries * root
        quotient *= root[:, None]
        inside = np.where(self.gram.orbits.plural, (self.gram.sizes - 1.0) * np.diag(self.entries), 0.0)
        np.fill_diagonal(quotient, self.diagonal + inside)
        return quotient

    @property
    def spread(self) -> Array:
        """(K,) the eigenvalue of S on differences inside an orbit; infinite where there are none."""
        return np.where(self.gram.orbits.plural, self.diagonal - np.diag(self.entries), np.inf)

    @property
    def gap(self) -> float:
        # Rounding: a few ulps of the norm for the eigenvalue, and of the exponent of each entry.
        rounding = (8.0 + 2.0 / self.temperature) * np.finfo(float).eps
        smallest, norm = near_rank_one(self.quotient), float(np.trace(self.quotient))
        if not smallest >= -64.0 * np.finfo(float).eps * norm:
            values = np.linalg.eigvalsh(self.quotient)
            smallest, norm = values[0], max(abs(values[0]), abs(values[-1]))
        smallest = min(smallest, self.spread.min())
        return self.support + float(self.gram.orbits.atoms * max(0.0, rounding * norm - smallest))

    @property
    def cosine_residual(self) -> float:
        """The smallest of several readings, each of which is zero only at stationarity.

        Where S has rank one, see `_rank_one_reading` and `_factored_reading`. Where S = 0, repulsion and attraction are
        equal, and tau |log| of their ratio is the error of a cosine. Otherwise see `_complementarity_reading`.
        """
        plural = self.gram.orbits.plural
        if isinstance(self.attraction, float) and not np.any(self.gram.orbits.partners * self.entries):
            # A satisfied hinge has no forces, and every geometry is stationary; a smooth loss's have underflowed.
            return np.inf if self.smooth else 0.0
        readings = [self._rank_one_reading]
        if not isinstance(self.attraction, float):
            with np.errstate(divide="ignore", invalid="ignore"):
                excess = self.entries / self.attraction
            np.fill_diagonal(excess, np.where(plural, np.diag(excess), 0.0))
            if excess.min() > -1.0:
                readings.append(float(np.abs(np.log1p(excess)).max()))
        if self.temperature * min(readings) >= 1e-9:
            readings.append(self._factored_reading)
        if np.all(self.diagonal > 0) and self.temperature * min(readings) >= 1e-9:
            readings.append(self._complementarity_reading)
        return self.temperature * float(min(readings))

    @property
    def _complementarity_reading(self) -> float:
        """How far S G = 0, S >= 0 fail, every row in its own units, in which rare classes count like frequent ones.

        A small product is not enough: with an eigenvalue s of S and a variance g of G in its direction, cosines are
        wrong by tau s if the direction should be open and by about g if it should be closed: by the lesser at least.
        """
        plural, sizes = self.gram.orbits.plural, self.gram.sizes
        # The force on the mean of an orbit: attraction inside a point is no part of it, and can be far larger.
        outward = np.diag(self.quotient) / sizes
        if not outward.min() > 0:
            return np.inf
        factor = np.sqrt(outward)
        scaled = self.quotient / factor[:, None] / factor
        error = scaled @ (self.gram.quotient * factor[:, None] / factor) / np.sqrt(sizes[:, None] * sizes)
        values, vectors = np.linalg.eigh(scaled)
        moved = factor[:, None] * vectors
        variance = np.einsum("ak,ak->k", moved, self.gram.quotient @ moved) / np.einsum("ak,ak->k", moved, moved)
        spread = np.where(plural, self.spread / self.diagonal, 0.0)
        inside = 1.0 - np.diag(self.gram.cosines)
        between = np.minimum(np.abs(values), np.abs(variance) / self.temperature)
        within = np.minimum(np.abs(spread), np.abs(inside) / self.temperature)
        indefinite = max(0.0, -values[0], -spread.min())
        return float(max(np.abs(error).max(), between.max(), within.max(), indefinite, self._push / self.temperature))

    @property
    def _push(self) -> float:
        """How far the force that is left on an orbit would move it: force over stiffness in its direction.

        With z the points, the force on i is f_i = sum_j S_ij z_j. A rare class that only heavy ones push weighs nothing
        in any entry of S G; here it is held against what resists moving its orbit as a whole, S_ii for a single class
        plus sum_j (repulsion_ij / tau) cos^2(f_i, z_j).
        """
        sizes = self.gram.sizes
        values, vectors = np.linalg.eigh(self.gram.quotient)
        # Rounding makes an eigenvalue 0 of G 1e-16, and that a coordinate of 1e-8: such directions are no directions.
        points = vectors * np.sqrt(np.where(values > 1e-13 * values[-1], values, 0.0))
        forces = (self.quotient @ points) / np.sqrt(sizes)[:, None]
        size = np.linalg.norm(forces, axis=1)
        along = (forces @ points.T) / np.sqrt(sizes) / np.maximum(size, 1e-300)[:, None]
        curvature = sizes * np.maximum(self.entries + self.attraction, 0.0) * along**2
        np.fill_diagonal(curvature, 0.0)
        stiffness = np.diag(self.quotient) + curvature.sum(axis=1) / self.temperature
        return float((size / stiffness).max())

    @property
    def _factored_reading(self) -> float:
        """The rank-one reading where whole orbits have closed to points, or attraction all but cancels repulsion.

        Pairs inside a closed orbit are left out: their multiplier is free, as long as S is positive semidefinite there.
        The others should have repulsion = attraction + u_i u_j, and the logarithm of this ratio is the error of their
        cosine even where S_ij is a difference that rounding has eaten. The factor u comes from the pairs in which
        S_ij is the larger part, or, where those do not determine it (two classes), from the kernel of G.
        """
        orbits, sizes = self.gram.orbits, self.gram.sizes
        closed = orbits.plural & (np.diag(self.gram.cosines) >= 1.0 - 1e-12)
        points = orbits.atoms - float(np.sum(orbits.sizes[closed] - 1.0))
        counted = orbits.partners.copy()
        np.fill_diagonal(counted, np.where(closed, 0.0, np.diag(counted)))
        attraction = np.broadcast_to(self.attraction, counted.shape)
        repulsion = np.where(counted > 0, self.entries + attraction, 1.0)
        known = np.where((counted > 0) & (self.entries > attraction), counted, 0.0)
        if points < 2 or not repulsion.min() > 0 or not known.any() or np.any(self.diagonal[closed] <= 0):
            return np.inf
        weighted = sizes[:, None] * known
        logs = np.log(np.where(known > 0, self.entries, 1.0))
        normal = weighted + np.diag(weighted.sum(axis=1))
        factors = [np.linalg.lstsq(normal, np.sum(weighted * logs, axis=1))[0]]
        kernel = np.abs(np.linalg.eigh(self.gram.quotient)[1][:, 0]) / np.sqrt(sizes)
        if kernel.min() > 0:
            log_u = np.log(kernel)
            factors.append(log_u + np.average(logs - log_u[:, None] - log_u, weights=weighted) / 2.0)
        indefinite = -float((self.spread[closed] / self.diagonal[closed]).min(initial=0.0))
        with np.errstate(divide="ignore"):
            log_attraction = np.log(attraction)
        readings = []
        for log_u in factors:
            wanted = np.logaddexp(log_attraction, log_u[:, None] + log_u)
            left = np.where(counted > 0, np.log(repulsion) - wanted, 0.0)
            readings.append(max(float(np.abs(left).max()), self._imbalance(log_u), indefinite))
        return min(readings)

    @property
    def _rank_one_reading(self) -> float:
        """How far the cosines are from an optimum at which S = u u^T, in units of tau.

        Off the diagonal log S_ij = log u_i + log u_j, whose least-squares solution is explicit; what it leaves is the
        error of the cosine of i and j. And G u = 0: |(G u)_i| / sum(u) is what every cosine of i would have to move by.
        (The diagonal would give u_i = sqrt(S_ii) too, but a small S_ii is a difference of large numbers.)
        """
        orbits = self.gram.orbits
        logs = self.entries.copy()
        np.fill_diagonal(logs, np.where(orbits.plural, np.diag(logs), 1.0))
        if orbits.atoms < 3 or not logs.min() > 0:
            return np.inf
        np.log(logs, out=logs)
        rows = _over_partners(orbits, logs)
        log_u = (rows - float(orbits.sizes @ rows) / (2.0 * orbits.atoms - 2.0)) / (orbits.atoms - 2.0)
        logs -= log_u
        logs -= log_u[:, None]
        np.fill_diagonal(logs, np.where(orbits.plural, np.diag(logs), 0.0))
        return max(float(logs.max()), -float(logs.min()), self._imbalance(log_u))

    def _imbalance(self, log_u: Array) -> float:
        """|(G u)_i| / sum(u), in units of tau."""
        u = np.exp(log_u - log_u.max())
        balance = u + self.gram.cosines @ (self.gram.sizes * u) - np.diag(self.gram.cosines) * u
        return float(np.abs(balance).max()) / float(self.gram.sizes @ u) / self.temperature
