"""Newton's method over embeddings, one unit vector per orbit: the route for optima that lose rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..objectives.base import Objective
from ..orbits import OrbitGram, Orbits
from .base import Progress, Termination

Array = NDArray[np.float64]


def minimise_on_spheres(
    objective: Objective,
    gram: OrbitGram,
    max_steps: int,
    history: list[dict[str, float]],
    report: Progress,
) -> tuple[OrbitGram, Termination]:
    """A stationary Gram matrix of full embedding dimension, by a Riemannian trust-region Newton method.

    Orbit a is a unit vector v_a = (mean mu_a, spread w_a):

        c_ab = mu_a . mu_b  (a != b),      c_aa = |mu_a|^2 - w_a^2 / (n_a - 1),

    which is every orbit-constant Gram matrix. Directions that vanish at the optimum, and orbits that merge (w_a = 0),
    are interior points here with a definite Hessian, so convergence stays quadratic where the dual factor needs more
    than one column. Steps are truncated conjugate gradients, preconditioned by the multipliers n_a S_aa, which balances
    classes of very different weight.

    Cost: O(K^3) a product with the Hessian, some tens of products a step.
    Source: ours, after Absil, Baker & Gallivan 2007 (the trust-region method) and Burer & Monteiro 2003.
    """
    orbits = objective.orbits
    state = _State.at(objective, _start(gram))
    radius, last = 1.0, len(history) + max_steps

    def note(size: float) -> None:
        history.append({"step": len(history), "change": size, "excess": state.excess})
        report(f"step {len(history)} on the spheres: residual force {size:.1e}")

    while len(history) < last:
        note(state.force())
        step, predicted, hit = state.truncated_cg(radius)
        if predicted <= 1e-13 * abs(state.excess) or radius < 1e-12:
            break  # the loss cannot tell better from worse any more
        trial = _State.at(objective, retract(state.point, step))
        ratio = (state.excess - trial.excess) / predicted
        if ratio > 0.05:
            state = trial
        if ratio < 0.25:
            radius *= 0.25
        elif ratio > 0.75 and hit:
            radius = min(2.0 * radius, 1e3)

    # The force still can: Newton steps within the dimensions that did not vanish, where the Hessian is definite.
    state = _State.at(objective, truncate(orbits, state.point))
    while len(history) < last:
        size = state.force()
        note(size)
        if size < 1e-14:
            break
        step = state.truncated_cg(np.inf)[0]
        # The loss no longer tells a good step from a bad one here, so it is the force that must fall enough.
        for share in (1.0, 0.5, 0.25, 0.1, 0.03, 0.01):
            trial = _State.at(objective, retract(state.point, share * step))
            if trial.force() <= (1.0 - 0.1 * share) * size:
                break
        else:
            break
        state = trial
    if len(history) >= last:
        return gram_of(orbits, state.point), Termination.STEP_LIMIT
    return gram_of(orbits, state.point), Termination.CONVERGED if state.force() < 1e-8 else Termination.STALLED


def _start(gram: OrbitGram) -> Array:
    """(K, K+1) unit rows for a mix of guess, simplex and identity: of full rank, so no direction is missing."""
    simplex = OrbitGram.simplex(gram.orbits)
    guess = OrbitGram(gram.orbits, np.clip(gram.cosines, -1.0, 1.0)).repaired()[0]
    cosines = 0.8 * guess.cosines + 0.1 * simplex.cosines
    np.fill_diagonal(cosines, np.where(gram.orbits.plural, np.diag(cosines), 1.0))
    mixed = OrbitGram(gram.orbits, cosines)
    means = mixed.mean_factor(tol=0.0)
    spread = np.sqrt(np.clip(1.0 - np.sum(means**2, axis=1), 0.0, None)) * gram.orbits.plural
    return retract(np.column_stack([means, spread]), 0.0)


def truncate(orbits: Orbits, point: Array, tol: float = 1e-7) -> Array:
    """The point without the directions that carry less than `tol` of the Gram matrix's spectrum, spreads alike."""
    weights = np.sqrt(orbits.sizes)[:, None]
    _, values, axes = np.linalg.svd(weights * point[:, :-1], full_matrices=False)
    means = point[:, :-1] @ axes[values**2 > tol].T
    spread = np.where(point[:, -1] ** 2 > tol, point[:, -1], 0.0)
    return retract(np.column_stack([means, spread]), 0.0)


def retract(point: Array, step: Array | float) -> Array:
    """The point moved by a step, back on the spheres."""
    moved = point + step
    return moved / np.linalg.norm(moved, axis=1, keepdims=True)


def gram_of(orbits: Orbits, point: Array) -> OrbitGram:
    """The Gram matrix of orbit vectors."""
    means, spread = point[:, :-1], point[:, -1]
    cosines = means @ means.T
    # 1 - (1 - mu^2) n/(n-1): exact at collapse, where the spread is 0.
    inside = 1.0 - spread**2 * orbits.sizes / np.where(orbits.plural, orbits.sizes - 1.0, 1.0)
    np.fill_diagonal(cosines, np.where(orbits.plural, inside, 1.0))
    return OrbitGram(orbits, cosines)


@dataclass(frozen=True, eq=False)
class _State:
    """The loss, its gradient and its Hessian at one point of the product of spheres."""

    orbits: Orbits
    point: Array
    excess: float
    pairs: Array  # (K, K) n_a N_ab, the ordered pairs of atoms
    forces: Array  # (K, K) D, the symmetrised derivative
    curvature: Array  # (K, K) of the rows, and their coupling: see RowModel
    coupling: Array
    multipliers: Array  # (K,) E_a . v_a, E the Euclidean gradient
    gradient: Array  # Riemannian
    scale: Array  # (K, 1) preconditioner

    @classmethod
    def at(cls, objective: Objective, point: Array) -> _State:
        orbits = objective.orbits
        gram = gram_of(orbits, point)
        model = objective.rows(gram)
        forces = (model.repulsion + model.repulsion.T) / 2.0 - objective.attraction
        pairs = orbits.sizes[:, None] * orbits.partners
        euclidean = pull(orbits, pairs * forces, np.diag(forces), point)
        multipliers = np.sum(euclidean * point, axis=1)
        gradient = euclidean - multipliers[:, None] * point
        weight = np.abs(multipliers)
        # A floor by curvature: where attraction holds the optimum away from the boundary all multipliers vanish.
        floor = 1e-6 * np.sum(pairs * model.curvature, axis=1) + 1e-3 * orbits.sizes * objective.masses * weight.sum()
        scale = np.maximum(weight, floor + 1e-300)[:, None]
        return cls(
            orbits,
            point,
            objective.excess(gram),
            pairs,
            forces,
            model.curvature,
            model.coupling,
            multipliers,
            gradient,
            scale,
        )

    def force(self) -> float:
        """The largest force on an orbit, in units of its own multiplier."""
        return float(np.max(np.linalg.norm(self.gradient, axis=1) / self.scale[:, 0]))

    def hessian(self, direction: Array) -> Array:
        """The Riemannian Hessian times a tangent direction."""
        means, spread = self.point[:, :-1], self.point[:, -1]
        partners = self.orbits.partners
        cross = means @ direction[:, :-1].T
        change = cross + cross.T
        fewer = np.where(self.orbits.plural, self.orbits.sizes - 1.0, 1.0)
        inside = np.diag(change) - 2.0 * spread * direction[:, -1] / fewer
        np.fill_diagonal(change, np.where(self.orbits.plural, inside, 0.0))
        total = np.einsum("ab,ab->a", partners, self.coupling)
        answer = np.einsum("ab,ab->a", partners * self.coupling, change) / np.where(total != 0, total, 1.0)
        row = self.curvature * change - self.coupling * answer[:, None]
        bent = (row + row.T) / 2.0
        euclidean = pull(self.orbits, self.pairs * self.forces, np.diag(self.forces), direction) + pull(
            self.orbits, self.pairs * bent, np.diag(bent), self.point
        )
        return self.tangent(euclidean - self.multipliers[:, None] * direction)

    def tangent(self, vectors: Array) -> Array:
        """The part of each row orthogonal to its unit vector."""
        return vectors - np.sum(vectors * self.point, axis=1, keepdims=True) * self.point

    def truncated_cg(self, radius: float) -> tuple[Array, float, bool]:
        """Steihaug's step, the decrease its quadratic model predicts, and whether the boundary was hit.

        An infinite radius asks for the Newton step of a convex model: of all iterates the one that comes nearest,
        because rotations are null directions, and rounding can send the iteration off along them.
        """
        step = np.zeros_like(self.point)
        residual = self.gradient
        z = residual / self.scale
        rho = np.sum(residual * z)
        start = rho
        direction = -z
        image = np.zeros_like(step)
        best, nearest = rho, step
        for _ in range(min(400, step.size)):
            if not rho > start * min(1e-2, np.sqrt(start)) ** 2:
                break
            bent = self.hessian(direction)
            with np.errstate(over="ignore", invalid="ignore"):
                curvature = np.sum(direction * bent)
            if not np.isfinite(curvature):
                break  # the preconditioner has underflowed where no forces are left
            inner, cross, length = (
                np.sum(self.scale * a * b) for a, b in ((step, step), (step, direction), (direction, direction))
            )
            alpha = rho / curvature if curvature > 0 else np.inf
            if curvature <= 0 and np.isinf(radius):
                break
            if curvature <= 0 or inner + 2 * alpha * cross + alpha**2 * length >= radius**2:
                reach = (-cross + np.sqrt(cross**2 + length * (radius**2 - inner))) / length
                step = step + reach * direction
                image = image + reach * bent
                return step, -float(np.sum(self.gradient * step) + 0.5 * np.sum(step * image)), True
            step = step + alpha * direction
            image = image + alpha * bent
            residual = residual + alpha * bent
            z = residual / self.scale
            rho, old = np.sum(residual * z), rho
            if rho < best:
                best, nearest = rho, step
            direction = -z + rho / old * direction
        if np.isinf(radius):
            return nearest, 0.0, False
        return step, -float(np.sum(self.gradient * step) + 0.5 * np.sum(step * image)), False


def pull(orbits: Orbits, weights: Array, inside: Array, vectors: Array) -> Array:
    """2 (weights @ means, -n D_aa spread): what forces between atoms do to orbit vectors."""
    return 2.0 * np.column_stack([weights @ vectors[:, :-1], -orbits.sizes * orbits.plural * inside * vectors[:, -1]])
