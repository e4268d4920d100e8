"""Newton's method and the bound for TSC over orbits of classes: embeddings around targets at a regular simplex."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, gmres

from ..arrays import Array
from ..geometry.class_matrices import ClassMatrix
from ..geometry.kinds import KindGram
from ..objectives.kinds.parts import PartedSoftmax
from ..solvers.newton.follower_problem import Place, Problem, Row

# What is left of a residual, at least, by the iterations of one step, how many there are; steps; cuts of one.
_LEFT, _PRODUCTS, _STEPS, _HALVINGS = 1e-6, 60, 60, 12
# A step changes no cosine by more temperatures, nor 1 less the square of a mean's length more than e^2-fold.
_CAP = 2.0
# Different counts up to which the matrix of second derivatives is written out.
_FEW = 16
# The last step, of which the loss feels the square; v below which a class is one point.
_STILL, _FINEST = 1e-10, 1e-13
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class TargetPoint:
    """Class means around their targets, and the derivative of the loss there.

    With X the cosines of class means and targets, whose span the means are in, delta_ij = X_ij + X_ii / (C - 1) is
    what mean i has along target j across its own. Its row sums are 0, and with g = (C - 1)/C

        Y = g X X^T,      1 - X_ii^2 = v_i + g sum_{j != i} delta_ij^2,      v_i = 1 - Y_ii:

    coordinates of all geometries with X_ii > 0. The derivative of the loss in X is F + g E X, with those in X and Y.
    Steps and equations are (K, K + 1): between classes, and in the last column within one, of log v.

    Attributes:
        problem: the loss, of embeddings and of targets that follow.
        delta: (K, K).
        apart: (K,) v.
        opened: (K,) where v is an unknown.
    """

    problem: Problem
    delta: Array
    apart: Array
    opened: NDArray[np.bool_]
    gram: KindGram
    across: ClassMatrix  # X
    forces: ClassMatrix  # F
    pushes: ClassMatrix  # E
    inside: Array  # (K,) the derivative in the cosine of embeddings of a class
    slope: ClassMatrix  # F + g E X
    own: Array  # (K,) the derivative in X_ii
    seen: Row

    @classmethod
    def at(cls, problem: Problem, delta: Array, apart: Array, opened: NDArray[np.bool_]) -> TargetPoint:
        """The point with those coordinates."""
        classes, kinds, number = problem.classes, problem.kinds, problem.number
        share = _share(problem)
        aside = apart + share * np.sum(classes.partners * delta**2, axis=1)
        own = np.sqrt(np.maximum(1.0 - aside, _EPS))
        across = ClassMatrix(classes, own, np.where(problem.free, delta - own[:, None] * (1.0 - share) / share, 0.0))
        means = (across @ across.T).between * share
        none = np.zeros_like(apart)
        gram = problem.gram(Place(means, across.between, aside / (1.0 + own) - problem.wider * apart, apart, none))
        row = problem.terms[0].row_gradient(gram)[::2]
        between = np.where(problem.free[:, :, None], row[:, : kinds.cells].reshape(*problem.free.shape, 2), 0.0)
        between *= number[:, None, None]
        pushed = between[:, :, 0] * number
        forces = ClassMatrix(classes, number * row[:, kinds.cells + 1], between[:, :, 1])
        pushes = ClassMatrix(classes, none, pushed + pushed.T)
        moved = pushes @ across
        slope = ClassMatrix(classes, forces.own + share * moved.own, forces.between + share * moved.between)
        inside = number * (number - 1.0) * row[:, kinds.cells]
        own, seen = _along(problem, slope), problem.rows(gram)[0]
        return cls(problem, delta, apart, opened, gram, across, forces, pushes, inside, slope, own, seen)

    @cached_property
    def units(self) -> Array:
        """(K,) the mean push between a class and another or its target."""
        partners = self.problem.classes.partners
        pushes = np.sum(partners * (self.forces.between + self.pushes.between), axis=1)
        return np.asarray(pushes / partners.sum(axis=1) + 1e-300)

    @property
    def held(self) -> Array:
        """(K,) S on differences of embeddings of a class, in units: negative where they part."""
        return -(self.own / self.across.own + 2.0 * self.problem.wider * self.inside) / self.units

    @property
    def stiff(self) -> Array:
        """(K,) how `held` grows with v, of classes alone."""
        inside = self.seen.inside / self.seen.softness
        return np.asarray((0.5 * np.abs(self.own) + 2.0 * self.problem.wider**2 * inside) / self.units)

    def equations(self) -> Array:
        """The derivative of the loss in the coordinates, each row in its own units."""
        turned = self.slope.between - (_share(self.problem) * self.own / self.across.own)[:, None] * self.delta
        between = _centred(self.problem, turned) / self.units[:, None]
        return np.column_stack([between, np.where(self.opened, self.held, 0.0)])

    def change(self, step: Array) -> Array:
        """The derivative of the equations times a step."""
        problem, classes = self.problem, self.problem.classes
        share, partners, own = _share(problem), problem.classes.partners, self.across.own
        moved, opening = step[:, :-1], self.apart * step[:, -1]
        aside = opening + 2.0 * share * np.sum(partners * self.delta * moved, axis=1)
        turn = -aside / (2.0 * own)
        between = np.where(problem.free, moved - turn[:, None] * (1.0 - share) / share, 0.0)
        across = ClassMatrix(classes, turn, between)
        means = (across @ self.across.T).between * share
        means = means + means.T
        shorter = -problem.wider * opening
        tau, mass, repelled, seen, within, single, rest = self.seen
        answer = np.sum(partners * (repelled * means + seen * between), axis=1) + within * shorter
        nearer = answer * (tau / np.where(mass > 0, mass, 1.0)) - rest * turn
        answer = nearer + turn
        pushes = repelled / tau * (means - answer[:, None])
        forces = seen / tau * (between - answer[:, None])
        alone = -single / tau * nearer
        inside = within / tau * (shorter - answer)
        first = ClassMatrix(classes, 0.0 * own, pushes + pushes.T) @ self.across
        second = self.pushes @ across
        slope = ClassMatrix(
            classes, alone + share * (first.own + second.own), forces + share * (first.between + second.between)
        )
        held = _along(problem, slope)
        turned = slope.between - (share * self.own / own)[:, None] * moved
        turned -= (share * (held / own - self.own * turn / own**2))[:, None] * self.delta
        apart = -(held / own - self.own * turn / own**2 + 2.0 * problem.wider * inside) / self.units
        apart = np.where(self.opened, apart, step[:, -1])
        return np.column_stack([_centred(problem, turned) / self.units[:, None], apart])

    @cached_property
    def _weights(self) -> Array:
        """(K, K + 1) what the equations are to be multiplied by to be the derivative of the loss along a step."""
        within = 0.5 * np.where(self.opened, self.apart, 1.0)
        each = (self.problem.classes.sizes * self.units)[:, None]
        return np.asarray(each * np.column_stack([self.problem.classes.partners, within]))

    def _slope(self, step: Array) -> float:
        """The derivative of the loss along a step."""
        return float(np.sum(self._weights * self.equations() * step))

    def step(self, rest: float) -> Array:
        """The Newton step: of few classes by eigenvectors, else by GMRES, which leaves a share `rest` of the equations.

        Where that of GMRES does not go down, a step of gradient descent.
        """
        problem, count = self.problem, len(self.apart)
        if count <= _FEW:
            return self._curved_up()
        share = _share(problem)
        push, seen = self.seen.means / self.seen.softness, self.seen.across / self.seen.softness
        push = share * (push + push.T)
        left = seen + push + (share * np.maximum(-self.own / self.across.own, self.units))[:, None]
        apart = np.where(self.opened, self.stiff * self.apart, 1.0)
        pushed = np.sum(problem.classes.partners * self.pushes.between, axis=1)
        rows = problem.classes.sizes * pushed
        total = float(rows.sum()) + 1e-300

        def solved(given: Array) -> Array:
            # Of two classes alone: left_ij x_ij + push x_ji = e_ij, and with i and j exchanged.
            given = given.reshape(count, -1)
            right = given[:, :-1] * self.units[:, None]
            across = (left.T * right - push * right.T) / (left * left.T - push**2)
            # And all classes moved alike along one target push each other together: E is nearly rows rows^T / total.
            alike = (share / total * rows) @ across / (1.0 + (share / total * rows) @ (pushed[:, None] / left))
            across -= pushed[:, None] / left * alike
            return np.column_stack([_centred(problem, across), given[:, -1] / apart])

        right, many = -self.equations().ravel(), _PRODUCTS if rest < 0.1 else _PRODUCTS // 4
        product = LinearOperator((right.size,) * 2, lambda vector: self.change(solved(vector)).ravel())
        found = gmres(product, right, rtol=rest, restart=many, maxiter=1)[0]
        step, plain = solved(found), solved(right)
        # Far from the optimum the second derivative in these coordinates may bend down, and a step that hardly goes
        # down may lead to a saddle.
        slopes = [self._slope(one) for one in (step, plain)]
        return step if slopes[0] < 0.03 * slopes[1] else plain

    def _curved_up(self) -> Array:
        """The Newton step with the second derivative as if it were positive, its eigenvalues by their size."""
        root = np.sqrt(self._weights)
        inverse = np.where(root > 0, 1.0 / np.where(root > 0, root, 1.0), 0.0)

        def along(vector: Array) -> Array:
            step = inverse * vector.reshape(root.shape)
            return np.column_stack([_centred(self.problem, step[:, :-1]), step[:, -1]])

        columns = [(root * self.change(along(unit))).ravel() for unit in np.eye(root.size)]
        values, vectors = np.linalg.eigh(np.add(columns, np.transpose(columns)) / 2.0)
        bent = np.abs(values) > 1e-12 * np.abs(values).max()
        downhill = -(root * self.equations()).ravel() @ vectors[:, bent]
        return along(vectors[:, bent] @ (downhill / np.abs(values[bent])))


def settled(objective: PartedSoftmax) -> TargetPoint:
    """The optimum of TSC over orbits of classes, from all embeddings at their targets; the best point found."""
    problem = Problem.of(objective)
    assert problem is not None, "targets push nobody"
    count = len(problem.number)
    none = np.zeros(count, bool)
    point, heat = TargetPoint.at(problem, np.zeros((count, count)), np.zeros(count), none), objective.temperature
    parts, share = (1.0, 1.0), 1.0
    for _ in range(_STEPS):
        step = point.step(min(max(_LEFT, parts[0]), 0.1))
        parts = float(np.abs(step[:, :-1]).max()) / min(heat, 1.0), float(np.abs(step[:, -1]).max())
        share, before = min(1.0, _CAP / max(*parts, _CAP), 3.0 * share), objective.resolved(point.gram)
        for _ in range(_HALVINGS):
            apart = point.apart * np.exp(share * step[:, -1])
            trial = TargetPoint.at(problem, point.delta + share * step[:, :-1], apart, point.opened)
            if objective.resolved(trial.gram) <= before * (1.0 + 1e-12) and trial.across.own.min() > 0.1:
                break
            share /= 3.0
        else:
            return point
        point = trial
        over = point.opened & (point.apart < _FINEST)
        fresh = problem.plural & ~point.opened & (point.held < -1e-9) if max(parts) < 1e-3 else none
        if over.any() or fresh.any():
            apart = np.where(over, 0.0, np.where(fresh, np.maximum(-point.held / point.stiff, 0.0), point.apart))
            point = TargetPoint.at(problem, point.delta, apart, (point.opened | fresh) & ~over)
        elif max(parts) <= _STILL:
            break
    return point


def loss_below(point: TargetPoint) -> float:
    """How far the loss can fall below its value: half of <S, G> over class means, with the best block for the targets.

    S_zz = Diag(a) + E of class means is lowered until it is positive definite, at a price that is counted; with F the
    derivative in X, and Sigma the cosines of targets, what is left is <F, X> + tr(F^T S_zz^-1 F Sigma) >= 0.
    """
    problem, classes = point.problem, point.problem.classes
    sizes, share = classes.sizes, _share(point.problem)
    x, means = point.across, (point.across @ point.across.T).between * share
    length = 1.0 - point.apart
    pulled = point.forces.own * x.own + np.sum(classes.partners * point.forces.between * x.between, axis=1)
    radial = -(pulled + np.sum(classes.partners * point.pushes.between * means, axis=1)) / length
    spread = np.where(problem.plural, radial - 2.0 * problem.wider * point.inside, np.inf)
    block = ClassMatrix(classes, radial, point.pushes.between)
    values, vectors = np.linalg.eigh(block.means)
    scalars = np.where(sizes > 1, radial - np.diag(point.pushes.between), np.inf)
    top = float(np.abs(values).max())
    rounding = (8.0 + 2.0 / problem.objective.temperature) * _EPS * top
    least = max(0.0, 2.0 * rounding - min(float(values[0]), float(scalars.min()), float(spread.min())))
    half, unit = point.forces.means, np.sqrt(sizes / sizes.sum())
    turned = vectors.T @ (half - np.outer(half @ unit, unit))
    differences = np.where(sizes > 1, (sizes - 1.0) * point.forces.scalars**2, 0.0)
    bounds = []
    for more in (0.0, *np.logspace(-14.0, -4.0, 21)):
        shift = least + more * top
        free = np.sum(turned**2 / (values + shift - rounding)[:, None])
        free += np.sum(differences / np.where(sizes > 1, scalars + shift - rounding, 1.0))
        total, pull = float(free) / share, float(sizes @ pulled)
        noise = (8.0 + 2.0 / problem.objective.temperature) * _EPS * (abs(total) + abs(pull)) * len(sizes)
        bounds.append(0.5 * (max(0.0, total + pull) + shift * float(sizes @ np.ones_like(sizes)) + noise))
    return min(bounds)


def _share(problem: Problem) -> float:
    classes = float(problem.classes.sizes.sum())
    return (classes - 1.0) / classes


def _along(problem: Problem, slope: ClassMatrix) -> Array:
    """(K,) the derivative of the loss in X_ii, with X_ij = delta_ij - X_ii / (C - 1)."""
    fewer = problem.classes.sizes.sum() - 1.0
    return np.asarray(slope.own - np.sum(problem.classes.partners * slope.between, axis=1) / fewer)


def _centred(problem: Problem, matrix: Array) -> Array:
    """The part of each row whose sum over other classes is 0."""
    partners = problem.classes.partners
    mean = np.sum(partners * matrix, axis=1) / partners.sum(axis=1)
    return np.where(problem.free, matrix - mean[:, None], 0.0)
