"""A primal-dual interior-point method in the cosines: slow and sure, where Newton's method on factors loses its way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from ...arrays import Array, Progress
from ...geometry.orbit_gram import OrbitGram, Orbits
from ...objectives.base import Objective
from ..base import Attempt, Iteration, Termination
from ..newton.factor_newton import sharpened
from ..spheres.riemannian import factor_of, staircase

# Cosines, K (K + 1)/2 of them, of which a dense factor is made every step: a minute of one core in all.
_MOST = 3500
# Complementarity at which it ends, beside where it began; and idle steps that are rounding.
_FINEST, _PATIENCE = 1e-16, 4
# Of the way to the boundary.
_SHORT = 0.98
# How far S may be from the forces at the cosines, as a Newton decrement in units of the path's own.
_OFF = 0.3


@dataclass(frozen=True)
class Interior:
    """A primal-dual interior-point method in the cosines, see `follow_path`, its answer sharpened by Newton's method.

    On the factor of S where that has few columns, else on unit vectors.

    Attributes:
        max_steps: of all together.

    Cost: O(K^6) a step, K orbits; refused above 83 orbits.
    Fails: never silently: the answer of a failed run does not pass the certificate.
    Source: ours; Nesterov & Todd 1997 for the direction.
    """

    max_steps: int = 200

    @property
    def name(self) -> str:
        """The name "interior"."""
        return "interior"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at a smooth objective; `start` is of no use to it."""
        orbits, loop = objective.orbits, Iteration(self.max_steps, progress)
        if not objective.smooth:
            return loop.attempt(self.name, Termination.NOT_APPLICABLE, None, "not smooth: no Newton steps")
        if not fits(orbits):
            message = f"{len(orbits.sizes)} orbits are too many for a dense factor of all cosines"
            return loop.attempt(self.name, Termination.NOT_APPLICABLE, None, message)
        point = follow_path(objective, OrbitGram.simplex(orbits), loop)
        closed = orbits.plural & (point.inside < point.spread / np.diag(point.slack).max())
        sharp = sharpened(objective, point.gram, point.slack, closed, loop)
        if sharp is not None:
            return loop.attempt(self.name, Termination.CONVERGED, sharp, "Newton on the factor of S")
        gram, termination = staircase(objective, factor_of(point.gram), loop)
        return loop.attempt(self.name, termination, gram, "Riemannian Newton from the interior")


def fits(orbits: Orbits) -> bool:
    """Whether there are few enough cosines for a dense factor of all."""
    return len(orbits.sizes) * (len(orbits.sizes) + 1) <= 2 * _MOST


class _Point(NamedTuple):
    """A Gram matrix and multipliers, both in the interior."""

    gram: OrbitGram
    slack: Array  # (K, K) S between orbits, in the form of `OrbitGram.quotient`
    spread: Array  # (K,) the eigenvalue of S on differences inside an orbit
    roots: tuple[Array, Array]  # Cholesky factors of the Gram matrix and of S

    @property
    def inside(self) -> Array:
        """(K,) the eigenvalue of the Gram matrix on differences inside an orbit."""
        return 1.0 - np.diag(self.gram.cosines)


def follow_path(objective: Objective, gram: OrbitGram, loop: Iteration) -> _Point:
    """A Gram matrix near the optimum, from the central path S G = mu 1 with mu -> 0.

    With D the derivative of the loss and S = D - Diag(y), a step solves

        (Hessian of L + W^{-1} x W^{-1}) dG = -D + sigma mu G^{-1}       in the cosines (the diagonal is fixed),

    W the scaling point of Nesterov & Todd, W S W = G, which is the same for every scale of the classes. It is a descent
    direction of L - sigma mu log det G, which decides how much of it is taken, as does S > 0. Convexity does the rest:
    no rank to guess, no saddles.

    Cost: O(K^6) a step, twenty to sixty steps.
    Source: Nesterov & Todd 1997 for the direction; S > 0 kept by the choice of y, with the nonlinear loss, is ours.
    """
    orbits, pairs = gram.orbits, _Pairs.of(gram.orbits)
    start = _start(objective, gram)
    first = _complementarity(orbits, start)

    def step(point: _Point) -> tuple[_Point, float] | None:
        left = _complementarity(orbits, point)
        system = _System.at(objective, pairs, point)
        if system is None:
            return None
        affine = system.step(0.0)
        reach = min(1.0, _reach(point.roots[0], np.where(orbits.plural, point.inside, 0.0), *pairs.changes(affine)))
        sigma = max((1.0 - reach) ** 3, 1e-3)
        if system.off(point) > _OFF * np.sqrt(left * orbits.atoms):
            sigma = 1.0  # back to the path: what is left of S G alone does not tell
        moved = _advance(objective, pairs, point, system, system.step(sigma * left), sigma * left)
        return None if moved is None else (moved, _complementarity(orbits, moved) / first)

    return loop.run(step, start, "interior point: complementarity", tol=_FINEST, patience=_PATIENCE)[0]


class _Pairs(NamedTuple):
    """The unknowns: cosines of two orbits, and inside an orbit of several atoms."""

    orbits: Orbits
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    scale: Array  # of the quotient's entry by the cosine

    @classmethod
    def of(cls, orbits: Orbits) -> _Pairs:
        """The pairs a <= b with a partner."""
        a, b = np.nonzero(np.triu(orbits.partners > 0))
        root = np.sqrt(orbits.sizes)
        return cls(orbits, a, b, np.where(a == b, orbits.sizes[a] - 1.0, root[a] * root[b]))

    @property
    def own(self) -> NDArray[np.bool_]:
        """Which unknowns are cosines inside an orbit."""
        return self.first == self.second

    def matrix(self, values: Array) -> Array:
        """(K, K) a symmetric matrix of the unknowns."""
        count = len(self.orbits.sizes)
        matrix = np.zeros((count, count))
        matrix[self.first, self.second] = values
        matrix[self.second, self.first] = values
        return matrix

    def changes(self, values: Array) -> tuple[Array, Array]:
        """What they do to the quotient, and to the eigenvalue inside orbits."""
        return self.matrix(self.scale * values), -np.diag(self.matrix(values))

    def against(self, quotient: Array, inside: Array) -> Array:
        """The inner products of a quotient and eigenvalues inside with the unit changes of every unknown."""
        times = np.where(self.own, 1.0, 2.0)
        many = self.orbits.sizes[self.first] - 1.0
        return times * self.scale * quotient[self.first, self.second] - np.where(
            self.own, many * inside[self.first], 0.0
        )


class _System(NamedTuple):
    """The factor of one step's equations."""

    pairs: _Pairs
    factor: Array
    unit: Array
    gradient: Array
    centring: Array
    inverse: Array  # of the quotient
    scaling: Array  # W^{-1}

    @classmethod
    def at(cls, objective: Objective, pairs: _Pairs, point: _Point) -> _System | None:
        """The equations at a point; None where rounding has made them indefinite."""
        orbits = pairs.orbits
        root, dual = point.roots
        left, values, _ = np.linalg.svd(dual.T @ root)
        scaled = dual @ left / np.sqrt(values)
        scaling = scaled @ scaled.T
        half = np.linalg.inv(root)
        inverse = half.T @ half
        a, b = pairs.first, pairs.second
        matrix = scaling[a][:, a] * scaling[b][:, b]
        matrix += scaling[a][:, b] * scaling[b][:, a]
        weights = np.where(pairs.own, pairs.scale / np.sqrt(2.0), pairs.scale * np.sqrt(2.0))
        matrix *= weights[:, None]
        matrix *= weights
        many = np.where(pairs.own, orbits.sizes[a] - 1.0, 0.0)
        matrix[np.diag_indices_from(matrix)] += many * (point.spread / np.where(orbits.plural, point.inside, 1.0))[a]
        _add_rows(matrix, pairs, objective.row_hessians(point.gram))
        unit = 1.0 / np.sqrt(np.diag(matrix))
        matrix *= unit[:, None]
        matrix *= unit
        try:
            factor = cho_factor(matrix, overwrite_a=True)[0]
        except (LinAlgError, ValueError):
            return None
        row = objective.row_gradient(point.gram)
        forces = (row + row.T) / 2.0
        times = orbits.sizes[a] * orbits.partners[a, b] * np.where(pairs.own, 1.0, 2.0)
        outward = np.where(orbits.plural, 1.0 / np.where(orbits.plural, point.inside, 1.0), 0.0)
        return cls(pairs, factor, unit, times * forces[a, b], pairs.against(inverse, outward), inverse, scaling)

    def off(self, point: _Point) -> float:
        """How far S is from D - Diag(y) of these cosines, by the step that this alone would ask for."""
        spread = np.where(self.pairs.orbits.plural, point.spread, 0.0)
        missing = self.unit * (self.gradient - self.pairs.against(point.slack, spread))
        return float(np.sqrt(np.abs(missing @ cho_solve((self.factor, False), missing, check_finite=False))))

    def step(self, target: float) -> Array:
        """The change of the unknowns towards S G = target."""
        right = target * self.centring - self.gradient
        return self.unit * cho_solve((self.factor, False), self.unit * right, check_finite=False)


def _add_rows(matrix: Array, pairs: _Pairs, forms: Array) -> None:
    """The Hessian of the loss, in place: row a couples all cosines of a."""
    count = len(forms)
    number = pairs.matrix(np.arange(len(pairs.first), dtype=np.float64)).astype(int)
    partners = pairs.orbits.partners > 0
    for a in range(count):
        there = np.flatnonzero(partners[a])
        at = number[a, there]
        matrix[np.ix_(at, at)] += forms[a][np.ix_(there, there)]


def _start(objective: Objective, gram: OrbitGram) -> _Point:
    """Well inside and near the central path: half way from the guess to the identity, and equal multipliers."""
    cosines = 0.5 * gram.cosines
    np.fill_diagonal(cosines, np.where(gram.orbits.plural, np.diag(cosines), 1.0))
    forces = np.abs(objective.row_gradient(OrbitGram(gram.orbits, cosines)))
    forces = gram.orbits.partners * (forces + forces.T) / 2.0
    strength = np.full(len(forces), forces.sum(axis=1).max())
    if not strength[0] > 0:
        raise LinAlgError("no forces act at the start")
    return _point(OrbitGram(gram.orbits, cosines), np.diag(strength), np.where(gram.orbits.plural, strength, 0.0))


def _point(gram: OrbitGram, slack: Array, spread: Array) -> _Point:
    """The point, or a LinAlgError where it is not in the interior."""
    if np.any(gram.orbits.plural & ((spread <= 0) | (np.diag(gram.cosines) >= 1.0))):
        raise LinAlgError("not in the interior")
    return _Point(gram, slack, spread, (_root(gram.quotient), _root(slack)))


def _root(matrix: Array) -> Array:
    """The lower Cholesky factor, taken in units of the diagonal."""
    scale = np.sqrt(np.diag(matrix))
    return np.asarray(scale[:, None] * np.linalg.cholesky(matrix / scale / scale[:, None]))


def _complementarity(orbits: Orbits, point: _Point) -> float:
    """mu: <S, G> over the number of atoms."""
    inside = np.where(orbits.plural, (orbits.sizes - 1.0) * point.spread * point.inside, 0.0)
    return float((np.sum(point.slack * point.gram.quotient) + inside.sum()) / orbits.atoms)


def _reach(root: Array, inside: Array, change: Array, opening: Array) -> float:
    """How much of a change keeps a matrix positive definite, and what it has inside orbits positive."""
    half = np.linalg.inv(root)
    least = float(np.linalg.eigvalsh(half @ change @ half.T)[0])
    closing = float(np.max(np.where(inside > 0, -opening / np.where(inside > 0, inside, 1.0), -np.inf)))
    fastest = max(-least, closing)
    return _SHORT / fastest if fastest > 0 else np.inf


def _advance(
    objective: Objective, pairs: _Pairs, point: _Point, system: _System, step: Array, target: float
) -> _Point | None:
    """The point after as much of the step as keeps the Gram matrix inside and the barrier function falling."""
    orbits = pairs.orbits
    change, opening = pairs.changes(step)
    inside = np.where(orbits.plural, point.inside, 0.0)
    share = min(1.0, _reach(point.roots[0], inside, change, opening))
    outward = np.where(orbits.plural, 1.0 / np.where(orbits.plural, inside, 1.0), 0.0)
    slack = target * system.inverse - system.scaling @ change @ system.scaling - point.slack
    spread = outward * (target - point.spread * opening) - point.spread
    dual = min(1.0, _reach(point.roots[1], point.spread, slack, spread))
    before = _barrier(objective, point.gram, target)
    slope = float(step @ (system.gradient - target * system.centring))
    for _ in range(40):
        gram = OrbitGram(orbits, point.gram.cosines + share * pairs.matrix(step))
        if _barrier(objective, gram, target) <= before + 0.1 * share * slope + 1e-13 * abs(before):
            taken = min(dual, share) if share < 0.1 else dual
            try:
                return _point(gram, point.slack + taken * slack, point.spread + taken * spread)
            except LinAlgError:
                pass  # rounding, at the edge
        share *= 0.5
        dual *= 0.9
    return None


def _barrier(objective: Objective, gram: OrbitGram, target: float) -> float:
    """L - target log det G."""
    plural = gram.orbits.plural
    inside = 1.0 - np.diag(gram.cosines)
    try:
        volume = 2.0 * float(np.sum(np.log(np.diag(_root(gram.quotient)))))
    except LinAlgError:
        return np.inf
    if not inside[plural].min(initial=1.0) > 0:
        return np.inf
    volume += float(np.sum((gram.sizes - 1.0)[plural] * np.log(inside[plural])))
    return objective.resolved(gram) - target * volume
