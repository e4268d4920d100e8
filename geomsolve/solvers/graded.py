"""An interior-point method in the Cholesky factor, each class with a barrier of its own weight: for rare classes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular

from ..objectives.base import Objective
from ..orbits import OrbitGram
from .base import Attempt, Progress, Termination
from .curvature import Curvature
from .interior import follow_path, start_level
from .spheres import State, retract
from .staircase import refine

Array = NDArray[np.float64]

# Orbits: a dense factor of some K^2/2 unknowns every step.
_MOST = 60
# Steps in the cosines, before classes are graded.
_EVEN = 8
# How far from the path a step may begin that goes on along it, what barriers fall to, and how far off it may end.
_NEAR, _FALLS, _OFF = 0.5, (0.05, 0.1, 0.2, 0.4, 0.6), 1.0
# Barriers, of the multipliers of their classes, at the end: near enough for Newton's method on the spheres.
_LAST = 1e-6
# Of the way to the boundary.
_SHORT = 0.95
_SHARES = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01)
# Beyond so many barriers' widths from the path it is lost.
_LOST = 1e3


@dataclass(frozen=True)
class Graded:
    """An interior-point method with a barrier for each class, its answer refined on the spheres.

    With G = L L^T, classes from heavy to rare, L_aa^2 is the variance of class a that the heavier ones do not explain,
    a concave function of G. So

        L(G) - sum_a mu_a log L_aa

    is convex for any mu >= 0, and where it is minimal L^T S L = Diag(mu)/2. Where rare classes have room, S_aa can be
    as small as the square of their mass, and until a barrier that is the same for all is below that, nothing else acts
    on them, while rounding is above it. Here mu_a falls with S_aa, so that every class sees heavier ones as they are. A
    step d of the factor moves all cosines straight on, to L L^T + L d^T + d L^T, so that a rare class turns about heavy
    ones without leaving the valley they make; in M = L^{-1} d the barrier's Hessian is mu_a (|M_a|^2 + M_aa^2).

    It begins where some steps of `follow_path` end, whose path is this one with all mu the same.

    Attributes:
        max_steps: steps on the path; and as many of the refinement.

    Cost: O(K^6) a step, sixty steps; refused above 60 orbits.
    Fails: never silently: the answer of a failed run does not pass the certificate.
    Source: ours; Chua 2007 for barriers weighted through Cholesky factors.
    """

    max_steps: int = 120

    @property
    def name(self) -> str:
        """The name "graded"."""
        return "graded"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at a smooth objective; `start` is of no use to it."""
        orbits = objective.orbits
        if not objective.smooth:
            return Attempt(self.name, Termination.NOT_APPLICABLE, message="not smooth: no Newton steps")
        if len(orbits.sizes) > _MOST:
            message = f"{len(orbits.sizes)} orbits are too many for a dense factor of all moves"
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=message)
        report = progress or (lambda _: None)
        history: list[dict[str, float]] = []
        simplex = OrbitGram.simplex(orbits)
        gram = follow_path(objective, simplex, _EVEN, history, report)
        level = start_level(objective, simplex) * (history[-1]["change"] if history else 1.0)
        point = follow_graded(objective, gram, 2.0 * level, self.max_steps, history, report)
        message = f"on the spheres after {len(history)} steps in the interior"
        gram, termination = refine(objective, point, self.max_steps, history, report)
        return Attempt(self.name, termination, gram, len(history), message, tuple(history))


def follow_graded(
    objective: Objective,
    gram: OrbitGram,
    level: float,
    max_steps: int,
    history: list[dict[str, float]],
    report: Progress,
) -> Array:
    """(K, K + 1) unit rows (L, spread) near the optimum, from a Gram matrix in the interior and its barrier mu."""
    shape = _Shape.of(objective)
    state = State.at(objective, shape.factor(gram))
    mu = np.full(len(gram.sizes), level)
    for _ in range(max_steps):
        try:
            system = _System(objective, shape, state, mu)
        except (LinAlgError, ValueError):
            break
        off = system.length(system.step(state, mu))
        if not off < _LOST:
            break
        goals = [(np.maximum(fall * mu, np.minimum(mu, _lowest(shape, state))), fall, 1.0) for fall in _FALLS]
        tries = (goals if off < _NEAR else []) + [(mu, 1.0, share) for share in _SHARES]
        for goal, fall, share in tries:
            step = system.step(state, goal)
            length = system.length(step)
            share = min(share, share * system.reach(step))
            try:
                trial = State.at(objective, system.moved(step, share))
            except LinAlgError:
                continue  # rounding, at the edge
            after = system.length(system.step(trial, goal))
            if after <= (1.0 - 0.2 * share) * length if fall == 1.0 else after < _OFF * fall:
                break
        else:
            break
        state, mu = trial, goal
        left = float((mu / np.maximum(outward(state), 1e-300)).max())
        history.append({"step": len(history), "change": left, "excess": state.excess})
        report(f"graded interior-point step {len(history)}: barriers {left:.1e} of the multipliers")
        if left < 2.0 * _LAST:
            break
    return state.point


def outward(state: State) -> Array:
    """(K,) what holds the vector of an orbit on its sphere: 2 n_a S_aa."""
    return -state.multipliers


def _lowest(shape: _Shape, state: State) -> Array:
    """(K,) where barriers end, no rarer class above a heavier one."""
    return _LAST * np.minimum.accumulate(np.maximum(outward(state), 1e-300)[shape.order])[shape.rank]


@dataclass(frozen=True, eq=False)
class _Shape:
    """Which coordinates there are: L_ak of classes from heavy to rare, k up to the class itself, and spreads."""

    order: NDArray[np.intp]
    rank: NDArray[np.intp]
    free: NDArray[np.bool_]  # (K, K + 1)
    plural: NDArray[np.bool_]
    more: Array  # (K,) n - 1

    @classmethod
    def of(cls, objective: Objective) -> _Shape:
        """Of the orbits of an objective."""
        sizes, plural = objective.orbits.sizes, objective.orbits.plural
        order = np.argsort(-objective.masses * sizes, kind="stable")
        rank = np.argsort(order)
        free = np.column_stack([np.arange(len(sizes)) <= rank[:, None], plural])
        return cls(order, rank, free, plural, np.where(plural, sizes - 1.0, 0.0))

    def own(self, point: Array) -> tuple[Array, Array]:
        """(K,) L_aa, and the spread, 1 where there is none."""
        return point[np.arange(len(point)), self.rank], np.where(self.plural, point[:, -1], 1.0)

    def factor(self, gram: OrbitGram) -> Array:
        """(K, K + 1) unit rows (L, spread) of a positive definite Gram matrix."""
        root = np.sqrt(gram.sizes[self.order])
        lower = np.linalg.cholesky(gram.quotient[np.ix_(self.order, self.order)]) / root[:, None]
        spread = np.sqrt(np.where(self.plural, np.maximum(1.0 - np.sum(lower**2, axis=1)[self.rank], 0.0), 0.0))
        return retract(np.column_stack([lower[self.rank], spread]), 0.0)


class _System:
    """The Newton equations at a point, factorised, in moves d of the factor. LinAlgError where it is at the edge."""

    def __init__(self, objective: Objective, shape: _Shape, state: State, mu: Array) -> None:
        self.shape, self.state = shape, state
        curvature = Curvature.at(objective, state)
        if len(curvature.points) < len(state.point):
            raise LinAlgError("classes are in one point")
        count, point = len(mu), state.point
        each, (own, spread) = np.arange(count), shape.own(point)
        self.root = point[shape.order, :-1]
        half = solve_triangular(self.root, np.eye(count), lower=True)
        dual = np.empty((count, count))
        dual[np.ix_(shape.order, shape.order)] = (half.T * mu[shape.order]) @ half
        outwards = np.diag(dual)
        # The barrier's part in the place of S, of which it is what the path says.
        between = (dual - np.diag(outwards)) / 2.0
        hessian = replace(curvature, forces=between, multipliers=-outwards).block(each)
        # On spreads it is another, and the forces inside orbits, which `block` has in it, bend no cosine.
        slip, lift = state.tangent(np.eye(count + 1)[[count] * count]), state.tangent(np.eye(count + 1)[shape.rank])
        inside = 2.0 * state.orbits.sizes * shape.plural * state.inside
        inside += np.where(shape.plural, 2.0 * mu * shape.more / spread**2 - outwards, 0.0)
        hessian[each, :, each, :] += inside[:, None, None] * slip[:, :, None] * slip[:, None, :]
        hessian[each, :, each, :] += (mu / own**2)[:, None, None] * lift[:, :, None] * lift[:, None, :]
        # Unit rows have no part in it: made stiff, which changes no step.
        hessian[each, :, each, :] += outwards[:, None, None] * point[:, :, None] * point[:, None, :]
        self.kept = np.flatnonzero(shape.free.ravel())
        matrix = hessian.reshape(count * (count + 1), -1)[np.ix_(self.kept, self.kept)]
        self.units = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
        matrix /= self.units
        matrix /= self.units[:, None]
        self.factor = cho_factor(matrix, overwrite_a=True)

    def step(self, state: State, mu: Array) -> Array:
        """(K, K + 1) the Newton step from a state towards the path at mu, by the factor of where this is."""
        own, spread = self.shape.own(state.point)
        barrier = np.zeros_like(state.point)
        barrier[np.arange(len(own)), self.shape.rank] = mu / own
        barrier[:, -1] = mu * self.shape.more / spread
        gradient = state.gradient - state.tangent(barrier)
        right = -gradient.ravel()[self.kept] / self.units
        answer = np.zeros(gradient.size)
        answer[self.kept] = cho_solve(self.factor, right, check_finite=False) / self.units
        return np.asarray(self.state.tangent(answer.reshape(gradient.shape)) * self.shape.free)

    def _inner(self, step: Array) -> tuple[Array, Array]:
        """M, classes from heavy to rare, and the change of the squares of the spreads in units of these."""
        inner = np.tril(solve_triangular(self.root, step[self.shape.order, :-1], lower=True))
        return inner, np.where(self.shape.plural, 2.0 * step[:, -1] / self.shape.own(self.state.point)[1], 0.0)

    def length(self, step: Array) -> float:
        """The length of a step as the barriers measure it, every class by its own."""
        inner, opened = self._inner(step)
        return float(np.sqrt(np.sum(inner**2) + np.sum(np.diag(inner) ** 2) + 0.5 * np.sum(opened**2)))

    def moved(self, step: Array, share: float) -> Array:
        """The point after a share of a step, in which all cosines move straight on: L times a factor of 1 + M + M^T."""
        inner, opened = self._inner(step)
        change = np.linalg.cholesky(np.eye(len(inner)) + share * (inner + inner.T))
        if np.any(share * opened <= -1.0):
            raise LinAlgError("outside")
        point = np.empty_like(self.state.point)
        point[self.shape.order, :-1] = self.root @ change
        point[:, -1] = self.state.point[:, -1] * np.sqrt(1.0 + share * opened)
        return retract(point, 0.0)

    def reach(self, step: Array) -> float:
        """How much of a step stays inside."""
        inner, opened = self._inner(step)
        fastest = max(-float(np.linalg.eigvalsh(inner + inner.T)[0]), -float(opened.min()))
        return _SHORT / fastest if fastest > 0 else np.inf
