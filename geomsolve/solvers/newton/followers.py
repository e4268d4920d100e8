"""Newton's method for losses of one kind of anchors and others that only follow, over orbits of classes."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...arrays import Progress
from ...geometry.kinds import KindGram, Kinds
from ...geometry.orbit_gram import OrbitGram
from ...objectives.base import Objective
from ...objectives.kinds.parts import PartedSoftmax, PartedSum
from ..base import Attempt, Iteration, Termination
from .follower_point import Point
from .follower_problem import Place, Problem

# A step changes no logarithm of a force, of which a temperature in a cosine is one, by more; while instances part.
_CAP, _PARTING_CAP = 2.0, 1.0
# Steps that end it: of logarithms; and those that may be rounding.
_FINEST, _ROUNDED = 1e-13, 1e-6
_PATIENCE = 12
# What a step leaves, at least, of what followers have across their class: its square is linear only near by.
_REACHED = 0.01
# Times that a step is shortened which leaves no logarithms.
_SHORTENED = 5
# Followers start nearer than a first look says: from too far steps lose their way. Classifiers alone also as far as it.
_NEARER, _AS_FAR = 0.01, 1.0
# Rounds in which classes part; what S says of them, in units of its diagonal, that is no rounding; 1 - Y that is a
# point, and a step in its logarithm to there; halvings of the interval for how far they part.
_ROUNDS, _HELD, _CLOSED, _CLOSING, _HALVINGS = 12, 1e-9, 1e-13, 5.0, 24


@dataclass(frozen=True)
class Followers:
    """Newton's method for losses whose anchors see each other and atoms that are no anchors, class by class.

    Of prototypes and classifiers c, which push nobody but anchors, S holds only those of one class to each other; with
    all of these in one point, b_k the multiplier of c_k and F the derivative of the loss in z_i.c_k,

        c_k = -1/b_k sum_j F_jk z_j,      b_k = -sum_j F_jk X_jk,      X = z.c,

    and where no classes merge what is left of S without them has rank one. In the unknowns Y = z.z of class means, X
    and log u, with E the derivative in Y and rho_k = -F_kk/b_k, for different classes i and j

        E_ij + rho_j F_ij + rho_i F_ji = u_i u_j + sum_{k != i, j} F_ik F_jk / b_k,
        X = -Y F Diag(b)^-1,          sum_j u_j Y_ij = 0,

    the first line in logarithms: its terms have the sizes of the two classes' masses, whatever ties a class to its
    prototype. Instances of a class are one point until S says that they gain by parting; then 1 - Y_ii is an unknown
    more, and its equation that S vanishes on their differences. That answers are what they seem is for the certificate.

    Attributes:
        max_steps: Newton steps in all.

    Cost: 5 to 10 steps of some thirty products of (K, K) matrices, K distinct counts.
    Fails: never silently: the answer of a failed run does not pass the certificate.
    Source: ours.
    """

    max_steps: int = 200

    @property
    def name(self) -> str:
        """The name "followers"."""
        return "followers"

    @np.errstate(all="ignore")
    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at a loss over orbits of classes; `start` is of no use."""
        loop = Iteration(self.max_steps, progress)
        if not isinstance(objective, (PartedSoftmax, PartedSum)) or not isinstance(objective.orbits, Kinds):
            return loop.attempt(self.name, Termination.NOT_APPLICABLE, None, "no loss over orbits of classes")
        problem = Problem.of(objective)
        if problem is None:
            message = "not of one kind of anchors, and others that push nobody else"
            return loop.attempt(self.name, Termination.NOT_APPLICABLE, None, message)
        none, (cosines, log_u) = np.zeros(len(problem.number)), problem.merged()
        place, termination = Place(cosines, cosines, none, none, log_u), Termination.STALLED
        point = Point.at(problem, place, none > 0)
        if point is None:
            return loop.attempt(self.name, termination, problem.gram(place), "no forces of the signs that it needs")
        near, tried = point.settled(), (_NEARER,) if problem.plural.any() else (_NEARER, _AS_FAR)
        for first in (Point.at(problem, near._replace(own=share * near.own), none > 0) for share in tried):
            point, termination = (point, termination) if first is None else _parting(first, loop)
            if termination is Termination.CONVERGED:
                break
        return loop.attempt(self.name, termination, _whole(point), "dual factor of class means")


def _parting(point: Point, loop: Iteration) -> tuple[Point, Termination]:
    """The solution with the instances of those classes apart that gain by it."""
    problem, answer = point.problem, None
    for _ in range(_ROUNDS):
        point, termination = _iterated(point, loop)
        fresh = problem.plural & ~point.opened & (point.held < -_HELD)
        if termination is not Termination.CONVERGED or not fresh.any():
            break
        answer, opened = point, point.opened | fresh
        near = Point.at(problem, point.place, opened) if problem.follow else None
        place = _parted(problem, point.place, fresh) if near is None else near.settled(fresh)
        near = Point.at(problem, place, opened)
        if near is None:
            break
        point = near
    return (point if termination is Termination.CONVERGED else answer or point), termination


def _iterated(point: Point, loop: Iteration) -> tuple[Point, Termination]:
    """The solution of the equations, with the instances of some classes apart."""
    heat = min(term.temperature for term in point.problem.terms)

    def step(point: Point) -> tuple[Point, float] | None:
        problem, change = point.problem, point.step()
        if change is None:
            return None
        # Instances that close up would do so for ever in logarithms, and hold up all else.
        over = point.opened & ((change.apart < -_CLOSING) | (point.place.apart < _CLOSED))
        change = change._replace(apart=np.where(over, 0.0, change.apart))
        moved = max(float(np.abs(part).max()) for part in change[:2])
        size = max(moved / min(heat, 1.0), *(float(np.abs(part).max()) for part in change[2:]))
        size = max(size, float(over.any()))
        cap = _PARTING_CAP if point.opened.any() else _CAP
        share = cap / max(size, cap)
        for _ in range(_SHORTENED):
            place = point.place.moved(change, share)
            after = Point.at(problem, problem.shortened(place, np.where(over, 0.0, place.apart)), point.opened & ~over)
            if after is not None and np.all((after.aside >= _REACHED * point.aside)[after.opened]):
                return after, size
            share /= 3.0
        return None

    return loop.run(step, point, "cosines and dual factor", tol=_FINEST, rounding=_ROUNDED, patience=_PATIENCE)


def _parted(problem: Problem, place: Place, fresh: NDArray[np.bool_]) -> Place:
    """The place with the instances of some classes as far apart as they hold themselves, directions as they are."""
    low, high = np.full(len(fresh), np.log(1e-14)), np.full(len(fresh), np.log(0.9))
    for _ in range(_HALVINGS if fresh.any() else 0):
        middle = (low + high) / 2.0
        point = Point.at(problem, problem.shortened(place, np.where(fresh, np.exp(middle), place.apart)), fresh)
        if point is None:
            return place
        low, high = np.where(point.held < 0, middle, low), np.where(point.held < 0, high, middle)
    return problem.shortened(place, np.where(fresh, np.exp((low + high) / 2.0), place.apart))


def _whole(point: Point) -> KindGram:
    """The Gram matrix at a solution, from points: class means of anchors, and the followers that they ask for."""
    problem, place = point.problem, point.place
    sizes, kinds = problem.classes.sizes, problem.kinds
    beside = np.diag(place.means)
    quotient = place.means + np.diag((point.means.own - beside) / sizes)
    values, vectors = np.linalg.eigh(quotient)
    means = vectors * np.sqrt(np.maximum(values, 0.0))
    across = np.where(sizes > 1, np.sqrt(np.maximum(point.means.own - beside, 0.0) * (1.0 - 1.0 / sizes)), 0.0)
    rows = [np.column_stack([means, across, np.sqrt(np.maximum(place.apart, 0.0))])]
    own = point.forces.own - np.diag(point.forces.between)
    pulled = own[:, None] * means + (point.forces.between.T * sizes) @ means
    pulled = -np.column_stack([pulled, own * across])
    # Across their class as the forces ask, along it as the unknowns say, whose last digit may be all of a force.
    unit = rows[0][:, :-1] / np.sqrt(1.0 - place.apart)[:, None]
    pulled -= np.sum(pulled * unit, axis=1)[:, None] * unit
    far = problem.far(place)
    along = (1.0 - far) / np.sqrt(1.0 - place.apart)
    aside = np.maximum(far * (2.0 - far) - place.apart, 0.0) / (1.0 - place.apart)
    length = np.linalg.norm(pulled, axis=1)
    pulled *= np.sqrt(aside / np.where(length > 0, length**2, 1.0))[:, None]
    rows += [np.column_stack([along[:, None] * unit + pulled, np.zeros_like(own)])] * (kinds.each.shape[1] - 1)
    points = np.stack(rows, axis=1).reshape(kinds.cells, -1)
    gram = KindGram.of_points(kinds, points / np.linalg.norm(points, axis=1, keepdims=True))
    digits = problem.gram(place)
    return replace(gram, near=digits.near, common=digits.common)
