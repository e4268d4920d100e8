"""The equations of `Followers` at a point, their derivative, and what preconditions it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, lu_solve
from scipy.linalg.lapack import dgetrf
from scipy.sparse.linalg import LinearOperator, gmres

from ...arrays import Array
from ...geometry.class_matrices import ClassMatrix
from .follower_problem import Place, Problem, Row

# What is left of a residual by the iterations of one step, and how many there are.
_LEFT, _PRODUCTS = 1e-6, 120
# Where so much is left after these, as where classes merge, there is no step to be had.
_LOST = 0.3
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Point:
    """Unknowns, and what the equations are made of."""

    problem: Problem
    place: Place
    opened: NDArray[np.bool_]
    rows: list[Row]
    means: ClassMatrix  # Y
    across: ClassMatrix  # X
    pushes: Array  # (K, K) E
    forces: ClassMatrix  # F
    inside: Array  # (K,) the derivative of the loss in the cosine of instances of a class
    inward: Array  # (K,) b; 1 where there are no followers
    outward: Array  # (K,) the multiplier of a class mean
    rho: Array
    left: Array  # (K, K) of the first line
    right: Array
    wanted: ClassMatrix  # Y F, without what F has within a class
    square: Array  # (K,) |sum_{j != k} F_jk z_j|^2 / b_k^2, what a follower has besides its own class
    lean: Array  # (K,) z_k times the same sum over b_k
    aside: Array  # (K,) what a follower is to have across its class, 0 where only rounding is left of it

    @classmethod
    def at(cls, problem: Problem, place: Place, opened: NDArray[np.bool_]) -> Point | None:
        """The point; None where the logarithms are none."""
        kinds, classes, number = problem.kinds, problem.classes, problem.number
        count = kinds.each.shape[1]
        gram = problem.gram(place)
        row = np.sum([term.row_gradient(gram) for term in problem.terms], axis=0)[::count]
        # What stands for a pair of a class with itself is far larger than all else, and would drown it.
        between = np.where(problem.free[:, :, None], row[:, : kinds.cells].reshape(*problem.free.shape, count), 0.0)
        between *= number[:, None, None]
        own = row[:, kinds.cells :]
        pushes = between[:, :, 0] * number
        pushes = pushes + pushes.T
        forces = ClassMatrix(classes, number * own[:, 1:].sum(axis=1), between[:, :, 1:].sum(axis=2))
        inside = number * (number - 1.0) * own[:, 0]
        square = 1.0 - place.apart
        means = ClassMatrix(classes, square, place.means)
        across = ClassMatrix(classes, 1.0 - problem.far(place), place.across)
        apart = ClassMatrix(classes, np.zeros_like(square), forces.between)
        wanted = means @ apart
        u = np.exp(place.log_u)
        with np.errstate(all="ignore"):
            pulled = forces.between * place.across
            inward = -(forces.own * across.own + classes.sizes @ pulled - np.diag(pulled))
            partners = classes.partners
            outward = -(forces.own * across.own + np.sum(partners * (pulled + pushes * place.means), axis=1)) / square
            if not problem.follow:
                inward = np.ones_like(inward)
            rho = -forces.own / inward
            turned = forces.between * rho
            left = pushes + turned + turned.T
            right = u[:, None] * u
            both = (forces.between * (classes.sizes / inward)) @ forces.between.T
            beside = np.diag(forces.between) / inward
            both -= beside[:, None] * forces.between.T + forces.between * beside
            right = right + both
            aside = forces.between * wanted.between
            aside, lean = (classes.sizes @ aside - np.diag(aside)) / inward**2, wanted.own / inward
            across_own = square * aside - lean**2
            across_own = np.where(across_own > 64.0 * _EPS * (square * aside + lean**2), across_own, 0.0)
        free = problem.free
        if not (inward.min() > 0 and left[free].min() > 0 and right[free].min() > 0 and np.isfinite(right[free]).all()):
            return None
        return cls(
            problem, place, opened, problem.rows(gram), means, across, pushes, forces, inside, inward, outward, rho,
            left, right, wanted, aside, lean, across_own,
        )  # fmt: skip

    @property
    def reach(self) -> Array:
        """(K,) what a follower is to have across single instances, 1 - X_kk^2."""
        return self.place.apart + self.aside

    @property
    def held(self) -> Array:
        """(K,) S on differences of instances, in units of the multiplier of their mean: negative where they part."""
        return (self.outward - 2.0 * self.problem.wider * self.inside) / np.abs(self.outward)

    @cached_property
    def balance(self) -> Array:
        """(K,) u, the largest 1."""
        return np.exp(self.place.log_u - self.place.log_u.max())

    @cached_property
    def bent(self) -> Array:
        """(K,) how the force within a class follows the cosine there, in units of itself."""
        return np.sum([row.own / row.softness * row.rest for row in self.rows], axis=0) / self.inward

    @cached_property
    def shared(self) -> Array:
        """(K,) how the force between instances of a class follows how much farther followers are."""
        return np.sum([row.inside * row.own / np.where(row.mass > 0, row.mass, 1.0) for row in self.rows], axis=0)

    def settled(self, fresh: NDArray[np.bool_] | None = None) -> Place:
        """The place with followers, and the instances of some classes, where they hold themselves, all else as it is.

        The logarithm of a follower's multiplier and the force between instances are taken as linear in how much
        farther followers are than instances, and the two equations solved by bisection.
        """
        wider, place = self.problem.wider, self.place
        aside = self.aside * self.inward**2

        def turned(apart: Array) -> tuple[Array, Array]:
            """How much farther followers are at that 1 - Y, and S on differences of instances there."""
            low, high = np.full_like(aside, np.log(1e-30)), np.zeros_like(aside)
            for _ in range(60):
                own = np.exp((low + high) / 2.0)
                pull = self.inward * np.exp(np.minimum(self.bent * (own - place.own), 300.0))
                square = (wider * apart + own) * (2.0 - wider * apart - own)
                short = (square < apart) | ((square - apart) * pull**2 < aside)
                low, high = np.where(short, (low + high) / 2.0, low), np.where(short, high, (low + high) / 2.0)
            inside = self.inside + self.shared * (own - place.own)
            return own, self.outward + pull - self.inward - 2.0 * wider * inside

        low, high = np.full_like(aside, np.log(1e-30)), np.full_like(aside, np.log(0.5))
        apart = place.apart
        for _ in range(0 if fresh is None else 60):
            middle = (low + high) / 2.0
            apart = np.where(self.opened if fresh is None else fresh, np.exp(middle), place.apart)
            wide = turned(apart)[1] < 0
            low, high = np.where(wide, middle, low), np.where(wide, high, middle)
        own = np.where(self.reach + apart > 0, turned(apart)[0], 0.0)
        return self.problem.shortened(place, apart)._replace(own=own)

    def within(self, inside: Array) -> Array:
        """(K, 2, 2) the derivative of the two equations within a class in its two unknowns, all else as it is.

        Args:
            inside: (K,) that of the force between instances in their cosine.
        """
        wider, follow, place = self.problem.wider, self.problem.follow, self.place
        found = np.tile(np.eye(2), (len(wider), 1, 1))
        turned, size = (self.reach > 0) & (place.own > 0) & follow, np.abs(self.outward) * self.means.own
        reach = np.where(turned, self.reach, 1.0)
        longer = 2.0 * self.across.own / (1.0 + self.across.own) / np.where(turned, self.problem.far(place), 1.0)
        turn = (longer + 2.0 * self.aside / reach * self.bent) * place.own
        found[:, 0, 0] = np.where(turned, turn, 1.0)
        found[:, 0, 1] = np.where(turned & self.opened, (longer * wider - 1.0 / reach) * place.apart, 0.0)
        drawn = self.bent * self.inward - 2.0 * wider * self.shared * self.means.own
        found[:, 1, 0] = np.where(self.opened & follow, drawn * place.own / size, 0.0)
        closer = self.forces.own * wider if follow else 2.0 * wider**2 * inside * self.means.own
        found[:, 1, 1] = np.where(self.opened, (self.outward + closer) * place.apart / size, 1.0)
        return found

    def equations(self) -> Place:
        """What is left of them, in the places of the unknowns."""
        free, u, sizes = self.problem.free, self.balance, self.problem.classes.sizes
        with np.errstate(all="ignore"):
            logs = np.where(free, np.log(self.left / self.right), 0.0)
        follow, place = self.problem.follow, self.place
        reached = self.wanted.between + self.means.between * self.forces.own
        off = np.where(free, place.across + reached / self.inward, 0.0) * follow
        # 1 - X^2 is what a follower has across its class: not as a difference, for forces follow its last digit.
        own = np.zeros_like(self.inward)
        turned = (self.reach > 0) & (place.own > 0) & follow
        far = self.problem.far(place)[turned]
        own[turned] = np.log(far * (2.0 - far) / self.reach[turned])
        lean = u * (self.means.own - np.diag(self.means.between)) + self.means.between @ (sizes * u)
        return Place(logs, off, own, np.where(self.opened, self.held, 0.0), lean)

    def change(self, step: Place) -> Place:
        """The derivative of the equations times a step."""
        problem, classes, place = self.problem, self.problem.classes, self.place
        partners, sizes, free, b = classes.partners, classes.sizes, problem.free, self.inward
        kernel = np.zeros_like(place.means)
        pushes, forces, own, inside = kernel, kernel.copy(), np.zeros_like(b), np.zeros_like(b)
        opening, turn = place.apart * step.apart, place.own * step.own
        # Cosines beside that of instances where followers have one to an instance, else beside 1.
        wider = problem.wider * opening
        common = wider if problem.follow else np.zeros_like(wider)
        y, x = step.means + common[:, None], step.across + common[:, None]
        for tau, mass, means, across, within, single, rest in self.rows:
            answer = np.sum(partners * (means * y + across * x), axis=1)
            # With what stays where followers of the own class have all but 1e-20 of a denominator.
            nearer = (answer + within * (common - wider)) * (tau / np.where(mass > 0, mass, 1.0)) + rest * turn
            answer = nearer - turn
            pushes = pushes + means / tau * (y - answer[:, None])
            forces += across / tau * (x - answer[:, None])
            own -= single / tau * nearer
            inside += within / tau * (common - wider - answer)
        turn = turn + common
        pushes = pushes + pushes.T
        old, cosine = self.forces, self.across.own
        pulled = forces * place.across + old.between * step.across
        inward = -(own * cosine - old.own * turn + sizes @ pulled - np.diag(pulled))
        if not problem.follow:
            inward = np.zeros_like(b)
        rho = -(own + self.rho * inward) / b
        turned = rho * old.between + self.rho * forces
        left = pushes + turned + turned.T
        half = forces - 0.5 * old.between * (inward / b)
        both = (half * (sizes / b)) @ old.between.T
        both -= (np.diag(half) / b)[:, None] * old.between.T + half * (np.diag(old.between) / b)
        u = self.balance
        right = np.exp(place.log_u[:, None] + place.log_u) * (step.log_u[:, None] + step.log_u) + both + both.T
        with np.errstate(all="ignore"):
            logs = np.where(free, left / self.left - right / self.right, 0.0)
        moved = ClassMatrix(classes, -opening, step.means)
        none = np.zeros_like(b)
        wanted = moved @ ClassMatrix(classes, none, old.between)
        more = self.means @ ClassMatrix(classes, none, forces)
        follow, square = problem.follow, self.means.own
        reached = wanted.between + more.between + step.means * old.own + self.means.between * own
        old_reached = self.wanted.between + self.means.between * old.own
        off = step.across + (reached - old_reached * (inward / b)) / b
        aside = forces * self.wanted.between + old.between * (wanted.between + more.between)
        aside = (sizes @ aside - np.diag(aside)) / b**2 - 2.0 * self.square * inward / b
        lean = (wanted.own + more.own) / b - self.lean * inward / b
        across = opening * (1.0 - self.square) + square * aside - 2.0 * self.lean * lean
        there = (self.reach > 0) & (place.own > 0) & follow
        alone = step.own.copy()
        alone[there] = (2.0 * cosine * turn / (1.0 + cosine))[there] / problem.far(place)[there]
        alone[there] -= across[there] / self.reach[there]
        outward = -(own * cosine - old.own * turn)
        outward -= np.sum(partners * (pulled + pushes * place.means + self.pushes * step.means), axis=1)
        outward = (outward + self.outward * opening) / square
        held = (outward - 2.0 * problem.wider * inside) / np.abs(self.outward)
        held -= self.held * outward / self.outward
        lean = u * step.log_u
        balance = lean * (square - np.diag(place.means)) - u * (opening + np.diag(step.means))
        balance += step.means @ (sizes * u) + place.means @ (sizes * lean)
        return Place(
            logs,
            np.where(free, off, 0.0) * follow,
            alone,
            np.where(self.opened, held, step.apart),
            balance,
        )

    def step(self) -> Place | None:
        """The Newton step, by GMRES with `_Pairs` for a preconditioner; None where that is singular."""
        pairs = _Pairs.of(self)
        if pairs is None:
            return None
        right, count = -_packed(self.equations()), len(self.inward)
        apply = LinearOperator(
            (right.size,) * 2, lambda vector: _packed(self.change(pairs.solve(_unpacked(vector, count))))
        )
        found, short = gmres(apply, right, rtol=_LEFT, restart=_PRODUCTS, maxiter=1)
        if short and np.linalg.norm(apply(found) - right) > _LOST * np.linalg.norm(right):
            return None
        step = pairs.solve(_unpacked(found, count))
        return step if all(np.isfinite(part).all() for part in step) else None


def _packed(place: Place) -> Array:
    """One vector; of Y what is above the diagonal and on it."""
    return np.concatenate([place.means[np.triu_indices(len(place.own))], place.across.ravel(), *place[2:]])


def _unpacked(vector: Array, count: int) -> Place:
    upper = np.triu_indices(count)
    ends = np.cumsum([len(upper[0]), count * count, count, count])
    first, across, own, apart, log_u = np.split(vector, ends)
    means = np.zeros((count, count))
    means[upper] = first
    means = means + means.T
    means[np.diag_indices(count)] /= 2.0
    return Place(means, across.reshape(count, count), own, apart, log_u)


class _Pairs(NamedTuple):
    """What the unknowns of two classes do to their own equations, and log u to all: these are solved.

    With kappa and phi the second derivatives in Y_ij and X_ij, and theta = u_i u_j over the right-hand side,

        (1 + phi_ij / b_j) x_ij = rho_j y_ij + e,
        (kappa y + rho_j phi_ij x_ij + rho_i phi_ji x_ji) / left = e + theta (dl_i + dl_j),

    and the balance then is a system of K equations for dl. Within a class there are two equations of two unknowns.
    """

    point: Point
    along: Array  # (K, K) of x_ij, by its own equation
    bent: Array  # rho_j phi_ij
    stiff: Array  # of y_ij
    pushed: Array  # (K, K) what dl_i + dl_j does to y_ij
    alone: Array  # (K, 2, 2) of the numbers within a class, by their own equations
    partners: Array  # N_ij u_j
    factor: tuple[Array, Array]

    @classmethod
    def of(cls, point: Point) -> _Pairs | None:
        """The blocks at a point; None where they are singular."""
        free, b, u = point.problem.free, point.inward, point.balance
        stiff = np.sum([row.means / row.softness for row in point.rows], axis=0)
        across = np.sum([row.across / row.softness for row in point.rows], axis=0)
        inside = np.sum([row.inside / row.softness for row in point.rows], axis=0)
        with np.errstate(all="ignore"):
            along = 1.0 / (1.0 + across / b)
            bent = point.rho * across
            back = bent * along * point.rho
            stiff = stiff + stiff.T + back + back.T
            theta = np.exp(point.place.log_u[:, None] + point.place.log_u) / point.right
            pushed = np.where(free, theta * point.left / stiff, 0.0)
            partners = point.problem.classes.partners * u
            moved = partners * pushed
            matrix = np.diag(moved.sum(axis=1) + u * point.means.own) + moved + partners * point.place.means
        *factor, singular = dgetrf(matrix)  # of which scipy.linalg.lu_factor only warns
        try:
            alone: Array = np.asarray(np.linalg.inv(point.within(inside)), dtype=np.float64)
        except LinAlgError:
            return None
        if singular or not (np.isfinite(along).all() and np.isfinite(factor[0]).all()):
            return None
        return cls(point, along, bent, stiff, pushed, alone, partners, tuple(factor))

    def solve(self, equations: Place) -> Place:
        """The unknowns that change the equations by so much."""
        point, free = self.point, self.point.problem.free
        across = self.along * equations.across
        own, apart = np.einsum("kab,bk->ak", self.alone, np.stack([equations.own, equations.apart]))
        turned = self.bent * across
        with np.errstate(all="ignore"):
            means = np.where(free, (equations.means * point.left - turned - turned.T) / self.stiff, 0.0)
        lean = equations.log_u - np.sum(self.partners * means, axis=1) + point.balance * apart * point.place.apart
        log_u = lu_solve(self.factor, lean, check_finite=False)
        means = means + self.pushed * (log_u[:, None] + log_u)
        across = np.where(free, across + self.along * point.rho * means, 0.0)
        return Place(means, across, own, apart, log_u)
