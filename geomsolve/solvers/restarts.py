"""Minima over unit vectors in few dimensions: many starts, each to its local minimum, and out of saddle points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.linalg import qr
from scipy.optimize import minimize
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

from ..arrays import Array, Progress
from ..errors import BackendError
from ..objectives.base import Objective
from .jax_losses import loss

# A scaled curvature above minus this is rounding; below, a way out of a saddle point.
FLAT = 1e-5
# Starts whose excess comes within this share of the best one have reached it.
SAME = 1e-6
# Numbers of the basis of rotations (m d by d (d - 1)/2) up to which curvature is looked at.
_MOST_ROTATIONS = 20_000_000
# Numbers of all Gram matrices that Adam holds at once.
_AT_ONCE = 20_000_000
_ESCAPES = 10


@dataclass(frozen=True, eq=False)
class Minimum:
    """The best local minimum found.

    Attributes:
        points: (m, dim) unit rows, classes in the caller's order.
        excesses: (restarts,) the loss above its floor where every start ended.
        reached: how many of them ended within 1e-6 of the best one's excess.
        residual: the largest net force on a class as a share of the forces that act on it.
        curvature: the smallest curvature of the logarithm of the excess at the points, rotations apart, every class
            measured by the forces on it; None where it was not computed. At a saddle point it is below 0.
        escapes: saddle points left on the way.
        ends: (restarts, m, dim) where L-BFGS left the starts.
    """

    points: Array
    excesses: Array
    reached: int
    residual: float
    curvature: float | None
    escapes: int
    ends: Array


def local_minima(
    objective: Objective,
    starts: Array,
    *,
    max_steps: int = 2000,
    polished: int = 3,
    progress: Progress | None = None,
) -> Minimum:
    """The best of the local minima that starts lead to, with a look at its second order.

    Float64 Adam with a cosine schedule on all starts at once and L-BFGS on each; the best few, as far as they differ,
    go on by Newton steps (conjugate gradients in a trust region). At a stationary point z the Riemannian Hessian H of
    log(excess), scaled by the forces f_i on every class,

        F^{-1/2} H F^{-1/2},     F = diag(f_i),

    has as many negative eigenvalues as H. Rotations (whose curvature is 0) are moved out of the way and the smallest
    one found by Lanczos; if it is below 0 the points move along its vector and go on from there.

    Args:
        objective: the problem; its classes must be listed one by one, and few enough for (m, m) arrays.
        starts: (restarts, m, dim) unit rows, dim >= 2.
        max_steps: of each start; a tenth of them are Adam's.
        polished: how many different ends go on by Newton's method.
        progress: called with a line of text now and then.

    Raises:
        BackendError: JAX or optax is missing, or there is no JAX form of this objective.

    Cost: O(m^2 dim) a step and start.
    Source: ours; the trust region is Steihaug's.
    """
    try:
        import jax

        tools = _tools()
    except ImportError as error:
        raise BackendError(f"descent: needs JAX and optax, which are not installed ({error})") from None
    with jax.enable_x64(True):
        return _Search(tools, objective, max_steps, progress or (lambda _: None)).of(starts, polished)


class _Search:
    """The compiled functions, bound to one objective."""

    def __init__(self, tools: SimpleNamespace, objective: Objective, max_steps: int, report: Progress):
        self.tools, self.max_steps, self.report = tools, max_steps, report
        self.excess_of = loss(objective)
        self.smooth = objective.smooth

    def of(self, starts: Array, polished: int) -> Minimum:
        count, atoms, _ = starts.shape
        scale = float(min(self.excess(z) for z in starts))
        # Every loss here is lowest, if infeasibly so, with all cosines at -1: positive there, its logarithm is safe.
        lowest = float(self.tools.value(self.excess_of, 1.0, False, 2.0 * np.eye(atoms) - 1.0))
        self.how = (self.excess_of, abs(scale) or 1.0, lowest > 0 and scale > 0)
        ends = [self.lbfgs(z, self.max_steps) for z in self._adam(starts)]
        excesses = np.array([self.excess(z) for z in ends])
        excesses[np.isnan(excesses)] = np.inf
        self.report(f"{count} starts: best loss above its floor {excesses.min():.10g}")
        best: tuple[Array, float | None, int] | None = None
        seen: list[float] = []
        for index in np.argsort(excesses, kind="stable"):
            if any(abs(excesses[index] - other) <= 1e3 * SAME * abs(other) for other in seen):
                continue
            if len(seen) == polished:
                break
            seen.append(float(excesses[index]))
            found = self._settled(ends[index])
            # All that ended in the same place are as good as the one that was polished.
            alike = np.abs(excesses - seen[-1]) <= 1e2 * SAME * abs(seen[-1])
            excesses[alike] = np.minimum(excesses[alike], self.excess(found[0]))
            if best is None or self.excess(found[0]) < self.excess(best[0]):
                best = found
        if best is None:
            raise BackendError("descent: the loss is not a number at any start")
        points, curvature, escapes = best
        value = self.excess(points)
        excesses = np.maximum(excesses, value)
        reached = int(np.count_nonzero(excesses - value <= SAME * abs(value)))
        return Minimum(points, excesses, reached, self.balance(points)[0], curvature, escapes, np.array(ends))

    def excess(self, points: Array) -> float:
        return float(self.tools.value(self.excess_of, 1.0, False, points @ points.T))

    def value(self, points: Array) -> float:
        return float(self.tools.slope(*self.how, points)[0])

    def balance(self, points: Array) -> tuple[float, Array, Array]:
        """The largest share of unbalanced force, the gradient, and (m, 1) the forces on every class."""
        gradient, pull = (np.array(part) for part in self.tools.balance(*self.how, points))
        pull = np.maximum(pull, 1e-12 * (pull.max() or 1.0))[:, None]
        return float(np.max(np.linalg.norm(gradient, axis=1) / pull[:, 0])), gradient, pull

    def _adam(self, starts: Array) -> list[Array]:
        total = max(1, self.max_steps // 10)
        chunk = max(1, _AT_ONCE // starts.shape[1] ** 2)
        ends: list[Array] = []
        for first in range(0, len(starts), chunk):
            ends.extend(np.array(self.tools.adam(*self.how, starts[first : first + chunk], total)))
            self.report(f"Adam: {len(ends)} of {len(starts)} starts")
        return ends

    def lbfgs(self, points: Array, steps: int) -> Array:
        """Where L-BFGS ends. Rows are as long as the root of the forces on them: that evens out head and tail."""
        shape = points.shape
        if not np.isfinite(points).all():
            return points
        start = (points * np.sqrt(self.balance(points)[2])).ravel()
        start /= np.abs(start).max()

        def function(flat: Array) -> tuple[float, Array]:
            value, gradient = self.tools.slope(*self.how, flat.reshape(shape))
            return float(value), np.array(gradient).ravel()

        options = {"maxiter": steps, "maxfun": 2 * steps, "maxcor": 20, "ftol": 1e-11, "gtol": 1e-8}
        answer = minimize(function, start, jac=True, method="L-BFGS-B", options=options)
        return _unit(answer.x.reshape(shape))

    def _settled(self, points: Array) -> tuple[Array, float | None, int]:
        """The local minimum near the points, its smallest curvature, and how many saddle points were left."""
        for escapes in range(_ESCAPES + 1):
            points = self._newton(points)
            if not self.smooth:
                return points, None, escapes
            curvature, direction = self._curvature(points)
            if curvature is None or curvature >= -FLAT or escapes == _ESCAPES:
                return points, curvature, escapes
            before = self.value(points)
            trials = [_unit(points + side * 0.5**k * direction) for k in range(12) for side in (1.0, -1.0)]
            values = [self.value(trial) for trial in trials]
            self.report(f"a saddle point, curvature {curvature:.1e}: on along it")
            if not min(values) < before:
                return points, curvature, escapes
            points = self.lbfgs(trials[int(np.argmin(values))], self.max_steps)
        return points, curvature, _ESCAPES

    def _operator(self, points: Array, pull: Array) -> Callable[[Array], Array]:
        """The scaled Hessian on tangent vectors."""
        root = np.sqrt(pull)
        product = self.tools.hessian_at(*self.how, points)

        def apply(vectors: Array) -> Array:
            moved = np.array(product(_tangent(points, vectors / root)))
            return _tangent(points, moved) / root

        return apply

    def _newton(self, points: Array) -> Array:
        """Newton steps while they lower the loss, or where rounding hides that, the forces."""
        if not self.smooth:
            return points
        radius, value = 1.0, self.value(points)
        residual, gradient, pull = self.balance(points)
        for _ in range(40):
            if residual <= 1e-12:
                break
            root = np.sqrt(pull)
            step, predicted = _steihaug(self._operator(points, pull), gradient / root, radius)
            trial = _unit(points + step / root)
            after = self.value(trial)
            balance = self.balance(trial)
            if predicted > 1e-12 * max(1.0, abs(value)):
                ratio = (value - after) / predicted
                good = ratio > 0.05
                radius *= 0.25 if ratio < 0.25 else 2.0 if ratio > 0.75 else 1.0
            else:
                good = balance[0] < 0.5 * residual and after <= value + 1e-11 * max(1.0, abs(value))
            if good:
                points, value = trial, after
                residual, gradient, pull = balance
            elif predicted <= 1e-12 * max(1.0, abs(value)) or radius < 1e-9:
                break
        return points

    def _curvature(self, points: Array) -> tuple[float | None, Array]:
        """The smallest eigenvalue of the scaled Hessian, rotations apart, and its direction; None if not computed."""
        atoms, dim = points.shape
        if atoms * dim * (dim * (dim - 1) // 2) > _MOST_ROTATIONS:
            return None, points
        root = np.sqrt(self.balance(points)[2])
        apply = self._operator(points, root**2)
        first, second = np.triu_indices(dim, 1)
        turns, every = np.zeros((atoms, dim, len(first))), np.arange(len(first))
        turns[:, first, every], turns[:, second, every] = points[:, second], -points[:, first]
        basis, triangle, _ = qr((turns * root[:, :, None]).reshape(atoms * dim, -1), mode="economic", pivoting=True)
        diagonal = np.abs(np.diag(triangle))
        basis = basis[:, : np.count_nonzero(diagonal > 1e-10 * diagonal.max(initial=1e-300))]

        def shifted(flat: Array) -> Array:
            vectors = flat.reshape(atoms, dim)
            radial = vectors - _tangent(points, vectors)
            # One more than the Hessian, so that ARPACK's relative tolerance is not one to 0.
            moved = apply(vectors) + 10.0 * radial + vectors
            return moved.ravel() + 10.0 * (basis @ (basis.T @ flat))

        size = atoms * dim
        operator = LinearOperator((size, size), matvec=shifted, dtype=np.float64)
        options = {"which": "SA", "tol": 1e-7, "maxiter": 30 * size, "ncv": min(size, 40)}
        options["v0"] = np.random.default_rng(0).standard_normal(size)
        try:
            values, vectors = eigsh(operator, k=1, **options)
        except ArpackNoConvergence as error:
            values, vectors = error.eigenvalues, error.eigenvectors
        except ArpackError:
            return None, points
        return (float(values[0]) - 1.0, vectors[:, 0].reshape(atoms, dim) / root) if len(values) else (None, points)


def _steihaug(apply: Callable[[Array], Array], gradient: Array, radius: float) -> tuple[Array, float]:
    """The step of truncated conjugate gradients within a radius, and how much a quadratic model falls by it."""
    step, residual = np.zeros_like(gradient), gradient.copy()
    direction, image = -residual, np.zeros_like(gradient)
    square = start = float(np.sum(residual**2))
    for _ in range(min(gradient.size, 400)):
        # Not to the last digit: rounding would then run off along rotations, which have no curvature.
        if square <= start * max(1e-5, min(1e-2, math.sqrt(start))) ** 2 or square == 0:
            break
        bent = apply(direction)
        curvature = float(np.sum(direction * bent))
        length = square / curvature if curvature > 0 else math.inf
        inner, cross, norm = (
            float(np.sum(a * b)) for a, b in ((step, step), (step, direction), (direction, direction))
        )
        if not math.isfinite(length) or inner + 2 * length * cross + length**2 * norm >= radius**2:
            reach = (-cross + math.sqrt(cross**2 + norm * max(radius**2 - inner, 0.0))) / norm
            step, image = step + reach * direction, image + reach * bent
            break
        step, image = step + length * direction, image + length * bent
        residual = residual + length * bent
        square, old = float(np.sum(residual**2)), square
        direction = square / old * direction - residual
    return step, -float(np.sum(gradient * step) + 0.5 * np.sum(step * image))


def _unit(points: Array) -> Array:
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def _tangent(points: Array, vectors: Array) -> Array:
    return vectors - np.sum(vectors * points, axis=1, keepdims=True) * points


@cache
def _tools() -> SimpleNamespace:
    """The compiled functions, one compilation per kind and size of problem: the loss is an argument."""
    import jax
    import jax.numpy as jnp
    import optax

    optimiser = optax.scale_by_adam(b2=0.99, eps=1e-12)

    def unit(x: Any) -> Any:
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

    def value(excess: Any, scale: Any, logarithm: bool, gram: Any) -> Any:
        share = excess(gram) / scale
        return jnp.log(share) if logarithm else share

    def at(excess: Any, scale: Any, logarithm: bool, x: Any) -> Any:
        z = unit(x)
        return value(excess, scale, logarithm, z @ z.T)

    def adam(excess: Any, scale: Any, logarithm: bool, points: Any, total: int) -> Any:
        slopes = jax.vmap(jax.grad(lambda x: at(excess, scale, logarithm, x)))

        def step(index: Any, carry: Any) -> Any:
            x, state = carry
            update, state = optimiser.update(slopes(x), state)
            return unit(x - 0.05 * (1.0 + jnp.cos(jnp.pi * index / total)) * update), state

        return jax.lax.fori_loop(0, total, step, (points, optimiser.init(points)))[0]

    def balance(excess: Any, scale: Any, logarithm: bool, z: Any) -> Any:
        pair = jax.grad(lambda gram: value(excess, scale, logarithm, gram))(z @ z.T)
        pair = (pair + pair.T) * (1.0 - jnp.eye(len(z)))
        force = pair @ z
        force -= jnp.sum(force * z, axis=1, keepdims=True) * z
        return force, jnp.sum(jnp.abs(pair), axis=1)

    def hessian(excess: Any, scale: Any, logarithm: bool, z: Any, vectors: Any) -> Any:
        return jax.jvp(jax.grad(lambda x: at(excess, scale, logarithm, x)), (z,), (vectors,))[1]

    hessian_of = jax.jit(hessian, static_argnums=2)
    return SimpleNamespace(
        adam=jax.jit(adam, static_argnums=(2, 4)),
        balance=jax.jit(balance, static_argnums=2),
        hessian_at=lambda *how: lambda vectors: hessian_of(*how, vectors),
        slope=jax.jit(jax.value_and_grad(at, argnums=3), static_argnums=2),
        value=jax.jit(value, static_argnums=2),
    )
