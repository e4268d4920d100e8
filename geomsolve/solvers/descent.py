"""Gradient descent on the sphere, in JAX: every class its own unit vector, the loss written down a second time.

An independent route to the optimum. It shares nothing with the other solvers but the problem's numbers: no orbits, no
duality, no line of the objective's own NumPy formulas. Over unit vectors the problem is not convex, but with as many
coordinates as the optimal Gram matrix has rank its minima are those of the convex program (theory page), and the
certificate judges the answer as it judges every other. Below that rank it is the only route.

JAX is imported when the first function runs, in 64 bits inside `jax.enable_x64(True)`, and the global configuration is
left alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from ..errors import BackendError, ProblemError
from ..objectives.base import Objective
from ..orbits import OrbitGram
from .base import Attempt, Progress, Termination
from .jax_losses import loss, partial

Array = NDArray[np.float64]

# A few (m, m) arrays live at once; above this the evaluation would have to go block by block.
MOST_ATOMS = 4000


@dataclass(frozen=True)
class Descent:
    """Descent on unit vectors: Adam from random points, then L-BFGS, then Newton steps on the gradient.

    Attributes:
        dim: coordinates per class; None: m - 1, which is always enough (2 for two classes). Below the rank of the
            optimum the answer is the best embedding found, which no certificate proves.
        tol: converged when the net force on every class is at most this share of the forces that act on it.
        max_steps: Adam, L-BFGS and Newton steps together; a tenth of them go to Adam.
        restarts: random starts, run side by side; the best one is refined.
        seed: of the random starts.
        device: "cpu" or "gpu"; None: JAX's default. Without a GPU, "gpu" runs on the CPU and the message says so.
    """

    dim: int | None = None
    tol: float = 1e-12
    max_steps: int = 4000
    restarts: int = 1
    seed: int = 0
    device: str | None = None

    @property
    def name(self) -> str:
        """The name "descent"."""
        return "descent"

    def run(self, objective: Objective, *, start: OrbitGram | None = None, progress: Progress | None = None) -> Attempt:
        """The Gram matrix of the best embedding found, averaged over exchangeable classes.

        Averaging over permutations of exchangeable classes keeps a Gram matrix feasible and cannot raise a convex loss
        (it can raise the rank: with `dim` below it, use `descend` and its points).

        Cost: O(m^2 dim) a step and a few m x m arrays; NOT_APPLICABLE above 4000 classes.
        """
        if objective.orbits.labels is None or objective.orbits.atoms > MOST_ATOMS:
            reason = f"descent holds every pair of classes, at most {MOST_ATOMS} classes listed one by one"
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=f"{reason}; got {objective.orbits.atoms:g}")
        try:
            found = descend(
                objective,
                dim=self.dim,
                restarts=self.restarts,
                max_steps=self.max_steps,
                seed=self.seed,
                device=self.device,
                tol=self.tol,
                start_points=None if start is None else start.embed(),
                progress=progress,
            )
        except BackendError as error:
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=str(error))
        if not math.isfinite(found.value):
            return Attempt(
                self.name, Termination.FAILED, None, found.steps, f"the loss is {found.value}", found.history
            )
        if found.converged:
            termination = Termination.CONVERGED
        else:
            termination = Termination.STEP_LIMIT if found.steps >= self.max_steps else Termination.STALLED
        gram = OrbitGram.averaged(found.points @ found.points.T, objective.orbits)
        return Attempt(self.name, termination, gram, found.steps, found.message, found.history)


@dataclass(frozen=True, eq=False)
class Descended:
    """What descent found.

    Attributes:
        points: (m, dim) unit rows of the best restart, classes in the caller's order.
        value: its loss.
        values: (restarts,) the loss of every restart after Adam; only the best is refined further.
        steps: Adam, L-BFGS and Newton steps together.
        converged: whether the forces balance to `tol` (a stationary point; the minimum only if `dim` is large enough).
        residual: the largest net force on a class, as a share of the forces that act on it.
        message: a line for people.
        history: the value and, at the end, the residual, along the way.
    """

    points: Array
    value: float
    values: Array
    steps: int
    converged: bool
    residual: float
    message: str
    history: tuple[dict[str, float], ...] = field(default=(), repr=False)


def descend(
    objective: Objective,
    *,
    dim: int | None = None,
    restarts: int = 1,
    max_steps: int = 4000,
    seed: int = 0,
    device: str | None = None,
    tol: float = 1e-12,
    start_points: Array | None = None,
    progress: Progress | None = None,
) -> Descended:
    """Unit vectors in `dim` coordinates, one for every class, that minimise the loss as far as descent finds.

    Float64 Adam with a cosine schedule, all restarts at once; L-BFGS on the best; then Newton steps by conjugate
    gradients, accepted while the forces come closer to balance: a loss is flat to rounding where its gradient is still
    1e-8, and tail cosines need the gradient. What is minimised is the logarithm of the excess over the floor (where the
    excess cannot reach 0), for at low temperature random points lie tens of orders of magnitude above the optimum.

    Args:
        objective: the problem; its classes must be listed one by one.
        dim: as in `Descent`, like the five that follow.
        restarts: random starts.
        max_steps: of all three stages together.
        seed: of the starts.
        device: "cpu", "gpu" or None.
        tol: of the balance of forces.
        start_points: (m, any) unit rows; the first restart begins there, a little shaken (to leave saddle points).
        progress: called with a line of text now and then.

    Raises:
        ProblemError: an argument out of range.
        BackendError: JAX is missing, or has no form of this objective.
    """
    atoms = len(objective.orbits.listed())
    width = max(atoms - 1, 2) if dim is None else dim
    for argument, number, least in (("dim", width, 2), ("restarts", restarts, 1), ("max_steps", max_steps, 1)):
        if number != int(number) or number < least:
            raise ProblemError(f"{argument}: must be a whole number of at least {least}; got {number}")
    starts = np.random.default_rng(seed).standard_normal((restarts, atoms, width))
    if start_points is not None:
        starts[0] = 1e-3 * starts[0] / math.sqrt(width) + _fit(start_points, width)
    starts /= np.linalg.norm(starts, axis=2, keepdims=True)
    with _computing(device) as (tools, notice):
        rate = 0.1 if start_points is None else 0.01
        return _Run(tools, objective, max_steps, tol, progress).of(starts, rate, notice)


class _Run:
    """One descent, inside the 64-bit context: the compiled functions, the loss, and how many steps are used."""

    def __init__(
        self, tools: SimpleNamespace, objective: Objective, max_steps: int, tol: float, progress: Progress | None
    ):
        self.tools, self.objective, self.max_steps, self.tol = tools, objective, max_steps, tol
        self.excess = loss(objective)
        self.progress = progress or (lambda line: None)
        self.steps = 0
        self.history: list[dict[str, float]] = []

    def of(self, starts: Array, rate: float, notice: str) -> Descended:
        scale = float(np.min(self._excesses(starts)))
        # Every loss here is lowest, if infeasibly so, with all cosines at -1: positive there, its logarithm is safe.
        atoms = starts.shape[1]
        safe = float(self.excess(2.0 * np.eye(atoms) - 1.0)) > 0 and scale > 0
        self.target = partial(_logarithm if safe else _ratio, self.excess, abs(scale) or 1.0)
        points = self._adam(starts, rate)
        excesses = self._excesses(points)
        best = points[int(np.argmin(np.where(np.isnan(excesses), np.inf, excesses)))]
        best = self._lbfgs(best)
        best = self._newton(best)
        residual = float(self.tools.balance(self.target, best)[0])
        value = self._note(best, "done", residual=residual)
        return Descended(
            points=best,
            value=value,
            values=self.objective.floor + excesses,
            steps=self.steps,
            converged=residual <= self.tol,
            residual=residual,
            message=f"{notice}forces balance to {residual:.1e} after {self.steps} steps",
            history=tuple(self.history),
        )

    def _excesses(self, points: Array) -> Array:
        return np.array([float(self.tools.excess(self.excess, each)) for each in points])

    def _note(self, points: Array, stage: str, **more: float) -> float:
        value = self.objective.floor + float(self.tools.excess(self.excess, points))
        self.history.append({"step": self.steps, "value": value, **more})
        self.progress(f"descent: {stage}, step {self.steps}, loss {value:.12g}")
        return value

    def _adam(self, points: Array, rate: float) -> Array:
        total = max(1, self.max_steps // 10)
        state = self.tools.adam_start(points)
        while self.steps < total:
            count = min(100, total - self.steps)
            points, state = self.tools.adam(self.target, points, state, self.steps, count, total, rate)
            self.steps += count
            self._note(points[0], "Adam")
        return np.array(points)

    def _lbfgs(self, points: Array) -> Array:
        if self.steps >= self.max_steps:
            return points
        shape, lengths = points.shape, self._lengths(points)

        def function(flat: Array) -> tuple[float, Array]:
            value, gradient = self.tools.slope(self.target, flat.reshape(shape))
            return float(value), np.array(gradient).ravel()

        def step(_: Array) -> None:
            self.steps += 1

        options = {
            "maxiter": self.max_steps - self.steps,
            "maxfun": 2 * self.max_steps,
            "maxcor": int(np.clip(10**7 // points.size, 5, 30)),
            "ftol": 1e-15,
            "gtol": self.tol,
        }
        first = (points * lengths).ravel()
        answer = minimize(function, first, jac=True, method="L-BFGS-B", options=options, callback=step)
        found = answer.x.reshape(shape)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        better = answer.fun <= function(first)[0]
        self._note(found if better else points, "L-BFGS")
        return found if better else points

    def _newton(self, points: Array) -> Array:
        residual = float(self.tools.balance(self.target, points)[0])
        while residual > self.tol and self.steps < self.max_steps:
            moved = np.array(self.tools.newton(self.target, points * self._lengths(points)))
            self.steps += 1
            after = float(self.tools.balance(self.target, moved)[0])
            # The value may only rise by rounding: a step towards a saddle point balances the forces too.
            rise = float(self.tools.slope(self.target, moved)[0] - self.tools.slope(self.target, points)[0])
            if not (after < 0.5 * residual and rise < 1e-12):
                break
            points, residual = moved, after
        return points

    def _lengths(self, points: Array) -> Array:
        """(m, 1) row lengths: the loss sees directions only, so longer rows are slower rows.

        The square root of the forces on a class evens out the curvature between head and tail.
        """
        pull = np.array(self.tools.balance(self.target, points)[1])
        return np.sqrt(np.maximum(pull / (pull.max() or 1.0), 1e-12))[:, None]


def _logarithm(excess: Any, scale: Any, gram: Any) -> Any:
    import jax.numpy as jnp

    return jnp.log(excess(gram) / scale)


def _ratio(excess: Any, scale: Any, gram: Any) -> Any:
    return excess(gram) / scale


@cache
def _tools() -> SimpleNamespace:
    """The compiled functions. They take the loss as an argument, so they compile once per kind and size of problem."""
    import jax
    import jax.numpy as jnp
    import optax

    optimiser = optax.scale_by_adam(b2=0.99, eps=1e-12)

    def unit(x: Any) -> Any:
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)

    def of_rows(function: Any, x: Any) -> Any:
        z = unit(x)
        return function(z @ z.T)

    def adam(target: Any, points: Any, state: Any, first: Any, count: Any, total: Any, peak: Any) -> Any:
        slopes = jax.vmap(jax.grad(of_rows, argnums=1), in_axes=(None, 0))

        def step(index: Any, carry: Any) -> Any:
            x, state = carry
            update, state = optimiser.update(slopes(target, x), state)
            rate = peak * 0.5 * (1.0 + jnp.cos(jnp.pi * (first + index) / total))
            return unit(x - rate * update), state

        return jax.lax.fori_loop(0, count, step, (points, state))

    def balance(target: Any, z: Any) -> Any:
        """The largest net force on a row as a share of the forces on it, and the sum of those forces per row."""
        pair = jax.grad(target)(z @ z.T)
        pair = (pair + pair.T) * (1.0 - jnp.eye(len(z)))
        force = pair @ z
        force -= jnp.sum(force * z, axis=1, keepdims=True) * z
        pull = jnp.sum(jnp.abs(pair), axis=1)
        return jnp.max(jnp.linalg.norm(force, axis=1) / jnp.where(pull > 0, pull, 1.0)), pull

    def newton(target: Any, x: Any) -> Any:
        """One Newton step by conjugate gradients, cut short at negative curvature."""
        slope = jax.grad(of_rows, argnums=1)
        gradient, curve = jax.linearize(lambda y: slope(target, y), x)
        start = jnp.sum(gradient**2)

        def unfinished(carry: Any) -> Any:
            _, _, _, square, bend, index = carry
            return (square > 1e-4 * start) & (bend > 0) & (index < 300)

        def step(carry: Any) -> Any:
            p, r, d, square, _, index = carry
            product = curve(d)
            bend = jnp.sum(d * product)
            length = jnp.where(bend > 0, square / bend, 0.0)
            r = r - length * product
            after = jnp.sum(r**2)
            return p + length * d, r, r + after / square * d, after, bend, index + 1

        first = (jnp.zeros_like(x), -gradient, -gradient, start, jnp.ones_like(start), 0)
        return unit(x + jax.lax.while_loop(unfinished, step, first)[0])

    return SimpleNamespace(
        adam=jax.jit(adam),
        adam_start=optimiser.init,
        balance=jax.jit(balance),
        excess=jax.jit(of_rows),
        newton=jax.jit(newton),
        slope=jax.jit(jax.value_and_grad(of_rows, argnums=1)),
    )


@contextmanager
def _computing(device: str | None) -> Iterator[tuple[SimpleNamespace, str]]:
    """The compiled functions and a notice, with JAX in 64 bits and on the device asked for; nothing global changes."""
    if device not in (None, "cpu", "gpu"):
        raise ProblemError(f'device: must be "cpu", "gpu" or None (JAX\'s default); got {device!r:.40}')
    try:
        import jax

        tools = _tools()
    except ImportError as error:
        raise BackendError(f"descent: needs JAX and optax, which are not installed ({error})") from None
    notice = ""
    try:
        place = jax.devices(device)[0] if device else None
    except RuntimeError:
        place, notice = jax.devices("cpu")[0], "no GPU that JAX can use, ran on the CPU; "
    with jax.enable_x64(True), jax.default_device(place):
        yield tools, notice


def _fit(points: Array, width: int) -> Array:
    """Points in exactly `width` coordinates: zeros appended, or the leading principal directions kept."""
    points = np.asarray(points, dtype=np.float64)
    if points.shape[1] > width:
        left, scale, _ = np.linalg.svd(points, full_matrices=False)
        points = left[:, :width] * scale[:width]
    return np.pad(points, ((0, 0), (0, width - points.shape[1])))
