"""A solver for the kinks of a hinge loss: along a path of its own to the optimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError

from ..objectives.base import Objective
from ..objectives.pairwise import Hinge, PairLoss
from ..orbits import OrbitGram, Orbits
from .base import Attempt, Progress, Termination
from .hinge_path import Forces, Point, Problem
from .hinge_system import System
from .kink_polish import polish_kinks
from .spheres import retract
from .staircase import climb

Array = NDArray[np.float64]

# Orbits up to which it is tried: a dense factor of K^2/2 unknowns a step, 0.1 s for 56 orbits.
MOST_ORBITS = 64
# Rounding on the path.
_EPS = float(np.finfo(np.longdouble).eps)
# Complementarity to reach, in units of the multiplier of the class.
_FINEST = 5.0 * _EPS
# Products of a variable and its multiplier may differ by this factor.
_WIDE = 20.0
# Shares of the way to complementarity 0 that a step leaves.
_LEFT = (0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 1.0)
# What is tried where no whole step ends near the path: parts of a step, and what they aim at.
_SHORT = [(share, left) for share in (0.6, 0.3, 0.1, 0.03, 0.01) for left in (0.5, 1.0)]
# Steps in a row that may leave complementarity where it is.
_IDLE = 6
# Complementarity from which on what there is may be enough, asked every so many steps.
_ASK = 1e-2
_EVERY = 8
# Goals at the start, in units of the weights of a class.
_START = 0.3
# And at the end, in units of its multiplier.
_FLOOR = 1.5 * _EPS
# What must be left of a multiplier after a step.
_KEPT = 0.2
# Eigenvalues of L^T S L over mu, and their inverses: largest in careful steps, and where the way may go on; how many
# steps are careful the first time.
_APART, _SOUND, _CAREFUL = 10.0, 5.0, 12
# Steps on the spheres where every pair is active: where it takes more the path is shorter.
_SHORT_CLIMB = 60
# Corrections of one step.
_CORRECTIONS = 5


@dataclass(frozen=True)
class Hinges:
    """A primal-dual method for the hinge loss of pairs, without a conic solver.

    With classes from heavy to rare and L lower triangular, |L_a| = 1, the Gram matrix is L L^T, and the distance L_aa
    of a class from the span of heavier ones has the barrier -mu_a log L_aa^2, a convex function of the Gram matrix
    where the mu_a fall. Its path mu -> 0 is

        sum_b Z_ab L_bk = z_a [k = a]  (k <= a),     z_a L_aa = mu_a,     Z_ab = weight x slope for a != b,
        slope x (what the pair lacks to the kink) = (1 - slope) x (what it has beyond) = sqrt(mu_a mu_b) / weight,

    with Z_aa the multiplier of |L_a| = 1; an orbit of several atoms has its spread as a coordinate more. A class of
    weight 1e-10 sees the others as they are, so mu_a starts in units of its own weights. But where heavy classes have
    room, rare ones decide where in it they are, with forces as rare: so mu falls to the same for all, heavy classes
    first, until rounding is reached of each.

    Steps are Newton's, with corrections by the same factor, as long as they end near the path. Where they fail, or S
    is indefinite and Newton's equations with it, the way goes on from the last point where it was not, and for some
    steps within positive semidefinite S. On the way `polish_kinks` is asked for the last digits.

    A margin of 2 or more makes the loss linear, and its optimum of low rank: Newton's method on the spheres is tried.

    Attributes:
        max_steps: steps on the path.
        near: how far from it a step may end, as the square root of a Newton decrement. Fewer steps go astray where it
            is small, and more are taken; on paths of strong curvature too many.
        enough: asked of Gram matrices on the way, as they are and polished: True ends the search there.

    Cost: O(K^6) a step, K orbits, 0.1 s for 56; refused above 64 orbits.
    Fails: never silently: the answer of a failed run does not pass the certificate.
    Source: ours; Chua 2007 for barriers weighted through Cholesky factors.
    """

    max_steps: int = 250
    near: float = 0.3
    enough: Callable[[OrbitGram], bool] | None = None

    @property
    def name(self) -> str:
        """The name "hinges"."""
        return "hinges"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """An attempt at a hinge loss; `start` is of no use to it."""
        report = progress or (lambda _: None)
        if not (isinstance(objective, PairLoss) and isinstance(objective.shape, Hinge)):
            return Attempt(self.name, Termination.NOT_APPLICABLE, message="for the hinge only")
        history: list[dict[str, float]] = []
        few = len(objective.orbits.sizes) <= MOST_ORBITS

        def finish(grams: list[OrbitGram]) -> OrbitGram | None:
            """The first Gram matrix that is enough, or what the last is polished to."""
            if self.enough is None:
                return grams[0]
            found = next((gram for gram in grams if self.enough(gram)), None)
            if found is not None:
                return found
            polished = polish_kinks(objective, grams[-1], history, report)[0]
            return polished if self.enough(polished) else None

        if objective.shape.margin >= 2.0:
            line = replace(objective, shape=_Line())
            steps = _SHORT_CLIMB if few and self.enough is not None else self.max_steps
            gram, termination = climb(line, _few(objective.orbits), steps, history, report)
            gram = replace(gram, slopes=np.ones_like(gram.cosines))
            done = finish([gram])
            if done is not None or not few:
                message = "every pair is active: linear, on the spheres"
                return Attempt(self.name, termination, done or gram, len(history), message, tuple(history))
        if not few:
            message = f"{len(objective.orbits.sizes)} orbits are too many for a dense factor"
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=message)
        problem = Problem.of(objective, objective.shape.margin)
        left, point, found = _follow(problem, self, finish, history, report)
        grams = [found] if found is not None else problem.grams(point)
        gram = found or finish(grams) or grams[0]
        termination = Termination.CONVERGED if found is not None or left < _FINEST else Termination.STALLED
        return Attempt(self.name, termination, gram, len(history), f"complementarity {left:.1e}", tuple(history))


@dataclass(frozen=True)
class _Line:
    """psi(t) = t, counted from its least value -2."""

    floor: float = -2.0
    smooth: bool = True

    def value(self, t: Array) -> Array:
        return t + 2.0

    def slope(self, t: Array) -> Array:
        return np.ones_like(t)

    def curvature(self, t: Array) -> Array:
        return np.zeros_like(t)


def _few(orbits: Orbits, columns: int = 4) -> Array:
    """(K, p + 1) unit rows of few columns in general position, the same every time."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(len(orbits.sizes), columns))
    return retract(np.column_stack([means, np.where(orbits.plural, 1.0, 0.0)]), 0.0)


def _follow(
    problem: Problem,
    options: Hinges,
    finish: Callable[[list[OrbitGram]], OrbitGram | None],
    history: list[dict[str, float]],
    report: Progress,
) -> tuple[float, Point, OrbitGram | None]:
    """The complementarity reached, in units of multipliers, the point there, and its Gram matrix if it is enough."""
    point, mu = problem.start(), _START * problem.scales
    forces = problem.forces(point)
    first, idle, least, cautious, careful, failed = 3, 0, np.inf, 0, _CAREFUL, 0
    best, sound = (np.inf, point), (point, forces, mu, 3)
    for number in range(options.max_steps):
        left = problem.complementarity(point, forces)
        if left < best[0]:
            best = left, point
        # Multipliers can fall faster than what is measured by them, but the weights of the barrier do not.
        mean = float(np.log(problem.relative(point, problem.scales)).mean())
        least, idle = (mean, 0) if mean < least - 1e-3 else (least, idle + 1)
        history.append({"step": len(history), "change": left})
        report(f"on the path of the hinge, step {len(history)}: complementarity {left:.1e}")
        if left < _FINEST or idle > _IDLE or not forces.outward.min() > 0:
            break
        if options.enough is not None and left < _ASK and number % _EVERY == 0:
            gram = finish(problem.grams(point))
            if gram is not None:
                return left, point, gram
        if cautious or problem.apart(point, forces, mu) < _SOUND:
            sound = point, forces, mu, first
        try:
            found = _advance(problem, point, forces, mu, options.near, max(0, first - 2), cautious > 0)
        except LinAlgError:
            found = None
        if found is not None:
            cautious, failed = max(0, cautious - 1), 0
        elif failed or (cautious == 0 and sound[0] is point):
            break
        else:
            # Back to where S was positive semidefinite for sure; or, where rounding hides that, on without it.
            failed, idle, least = 1, 0, np.inf
            found = sound if cautious == 0 else (point, forces, mu, first)
            careful, cautious = (2 * careful, careful) if cautious == 0 else (careful, 0)
        point, forces, mu, first = found
    return *best, None


def _advance(
    problem: Problem, point: Point, forces: Forces, mu: Array, near: float, first: int, cautious: bool
) -> tuple[Point, Forces, Array, int] | None:
    """A point further on near the path, its forces, its mu, and which share it left; None where no step ends there."""
    system = System(problem, point, forces)
    products = problem.relative(point, mu)
    uneven = max(float(products.max()), 1.0 / float(products.min()))

    def distance(where: Point, forces: Forces, mu: Array) -> float:
        far = system.decrement(forces, mu) / near
        return max(far, problem.apart(where, forces, mu) / _APART) if cautious else far

    off = distance(point, forces, mu)
    # Heavy classes first: mu falls to the same for all, and of none below what rounding leaves of its multiplier.
    floor = np.minimum(mu, _FLOOR * forces.outward).astype(np.float64)
    level = float(np.max(mu, where=mu > 2.0 * floor, initial=0.0))

    steps: dict[float, tuple[Array, Point]] = {}
    for share, left, flat in _tries(first):
        if left not in steps:
            goals = np.maximum(np.minimum(mu, left * level), floor)
            steps[left] = goals, system.step(forces, problem.missing(point, goals))
        goals, step = steps[left]
        after = problem.moved(point, step, share, flat)
        last = np.inf
        for corrections in range(_CORRECTIONS + 1):
            if after is None:
                break
            now = problem.forces(after)
            if np.any(now.outward <= _KEPT * forces.outward):
                break
            products = problem.relative(after, goals)
            middle = float(np.exp(np.log(products).mean()))
            ratio = max(float(products.max()) / middle, middle / float(products.min()))
            far = distance(after, now, middle * goals)
            if ratio <= max(_WIDE, (1.0 - 0.2 * share) * uneven) and far <= max(1.0, (1.0 - 0.3 * share) * off):
                return after, now, middle * goals, _LEFT.index(left) if share == 1.0 else 5
            if share < 1.0 or corrections == _CORRECTIONS or far > min(100.0 / near, 0.7 * last):
                break
            last = far
            after = problem.moved(after, system.step(now, problem.missing(after, goals)), 1.0, flat)
    return None


def _tries(first: int) -> list[tuple[float, float, bool]]:
    """Shares of a step, the share of complementarity it aims at, and whether along the Gram matrix."""
    tries = [(1.0, left) for left in _LEFT[first:]] + _SHORT
    return [(share, left, flat) for share, left in tries for flat in (False, True)]
