"""Gradient descent on the sphere, in JAX: every class its own unit vector, the loss written down a second time.

An independent route to the optimum. It shares nothing with the other solvers but the problem's numbers: no orbits, no
duality, no line of the objective's own NumPy formulas. Over unit vectors the problem is not convex, but with as many
coordinates as the optimal Gram matrix has rank its minima are those of the convex program (theory page), and the
certificate judges the answer as it judges every other. Below that rank it is the only route.

Rows of the Gram matrix are evaluated in blocks, so that memory is that of a dozen (m, dim) arrays and one block, on a
CPU or a GPU. JAX is imported when the first function runs, in 64 bits inside `jax.enable_x64(True)`, and the global
configuration is left alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize

from ..arrays import Array, Progress
from ..errors import BackendError, ProblemError
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective
from . import lbfgs
from .base import Attempt, Termination
from .compiled import block_rows, tools
from .devices import Place, check_device, computing
from .jax_losses import loss
from .rowwise import Target

MOST_ATOMS = 20_000
# Of all starts together: 1.6 GB an array, of which a dozen live at once.
MOST_NUMBERS = 200_000_000
# Points above this many numbers stay on the device; below, SciPy's L-BFGS is the better one.
_HOST_NUMBERS = 4_000_000
# L-BFGS ends when the logarithm of the excess falls by less: what float64 can tell.
_FTOL = 1e-15


@dataclass(frozen=True)
class Descent:
    """Descent on unit vectors: Adam from random points, then L-BFGS, then Newton steps on the gradient.

    Attributes:
        dim: coordinates per class; None: as many as the optimum can need, m where classes attract each other and m - 1
            where they only repel (at least 2). Below the rank of the optimum the answer is the best embedding found,
            which no certificate proves.
        tol: converged when the net force on every class is at most this share of the forces that act on it.
        max_steps: Adam, L-BFGS and Newton steps together; a tenth of them go to Adam.
        restarts: random starts, run side by side; the best one is refined.
        seed: of the random starts.
        device: "cpu" or "gpu"; None: JAX's default. Without a GPU, "gpu" runs on the CPU and the message says so.
            Several devices of the kind share the restarts.
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

        Cost: O(m^2 dim) a step; NOT_APPLICABLE above 20,000 classes, or 2e8 coordinates of all restarts.
        """
        orbits = objective.orbits
        if orbits.labels is None or orbits.atoms > MOST_ATOMS:
            reason = f"descent moves every class by itself, at most {MOST_ATOMS} classes listed one by one"
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=f"{reason}; got {orbits.atoms:g}")
        width = enough_dim(objective) if self.dim is None else self.dim
        if self.dim is None and self.restarts * orbits.atoms * width > MOST_NUMBERS:
            reason = f"{self.restarts} x {orbits.atoms:g} x {width} coordinates are more than {MOST_NUMBERS}"
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=f"{reason}: give a dim, or fewer restarts")
        try:
            found = descend(
                objective,
                dim=width,
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
        gram = OrbitGram.averaged_points(found.points, objective.orbits)
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
    width = enough_dim(objective) if dim is None else dim
    for argument, number, least in (("dim", width, 2), ("restarts", restarts, 1), ("max_steps", max_steps, 1)):
        if number != int(number) or number < least:
            raise ProblemError(f"{argument}: must be a whole number of at least {least}; got {number}")
    check_device(device)
    if restarts * atoms * width > MOST_NUMBERS:
        raise ProblemError(
            f"dim: all starts together must fit into {MOST_NUMBERS:,} numbers; got {restarts} of {atoms} classes in "
            f"{width} dimensions (write a smaller dim, or fewer restarts)"
        )
    rate = 0.1 if start_points is None else 0.01
    with computing(device) as place:
        run = _Run(place, objective, max_steps, tol, progress)
        if place.notice:
            run.progress(f"descent: {place.notice}".rstrip("; "))
        return run.of([_starts((restarts, atoms, width), seed, start_points)], rate)


def enough_dim(objective: Objective) -> int:
    """How many dimensions an optimal Gram matrix can need.

    Where classes only repel each other, the slack matrix S has positive entries, and S G = 0 leaves G the rank m - 1;
    with attraction S may vanish, and the rank be m.
    """
    atoms = round(objective.orbits.atoms)
    return max(atoms if np.any(objective.attraction) else atoms - 1, 2)


class _Run:
    """One descent, inside the 64-bit context: the loss on the device, and how many steps are used."""

    def __init__(self, place: Place, objective: Objective, max_steps: int, tol: float, progress: Progress | None):
        self.place, self.objective, self.max_steps, self.tol = place, objective, max_steps, tol
        self.tools = tools()
        self.progress = progress or (lambda line: None)
        self.steps = 0
        self.history: list[dict[str, float]] = []

    def of(self, starts: list[Array], rate: float) -> Descended:
        """The descent from (restarts, m, dim) points, which are taken out of the list to be freed."""
        restarts, atoms, _ = starts[0].shape
        points, excess = self.place.shared_out(starts.pop(), loss(self.objective))
        block = block_rows(atoms, restarts)
        scale = float(np.min(self.tools.excesses(excess, points, block)))
        # A loss that only repels is lowest, if infeasibly so, with all cosines at -1, and one that attracts is above
        # its floor everywhere: positive there, its logarithm is safe.
        safe = float(self.tools.lowest(excess, atoms, block_rows(atoms))) > 0 and scale > 0
        target = Target(excess, abs(scale) or 1.0, safe, block)
        points = self._adam(target, points, rate)
        excesses = np.array(self.tools.excesses(excess, points, block))[:restarts]
        best = self.place.one(np.asarray(points[int(np.argmin(np.where(np.isnan(excesses), np.inf, excesses)))]))
        del points, excess, target
        self.target = Target(self.place.one(loss(self.objective)), abs(scale) or 1.0, safe, block_rows(atoms))
        best = self._newton(self._lbfgs(best))
        residual = float(self.tools.balance(self.target, best)[0])
        value = self._note(best, "done", residual=residual)
        return Descended(
            points=np.array(best),
            value=value,
            values=self.objective.floor + excesses,
            steps=self.steps,
            converged=residual <= self.tol,
            residual=residual,
            message=f"{self.place.notice}forces balance to {residual:.1e} after {self.steps} steps",
            history=tuple(self.history),
        )

    def _note(self, points: Any, stage: str, **more: float) -> float:
        excesses = self.tools.excesses(self.target.loss, points[None], self.target.block)
        return self._note_excess(float(excesses[0]), stage, **more)

    def _note_excess(self, excess: float, stage: str, **more: float) -> float:
        value = self.objective.floor + excess
        self.history.append({"step": self.steps, "value": value, **more})
        self.progress(f"descent: {stage}, step {self.steps}, loss {value:.12g}")
        return value

    def _adam(self, target: Target, points: Any, rate: float) -> Any:
        total = max(1, self.max_steps // 10)
        state = self.tools.adam_start(points)
        while self.steps < total:
            count = min(100, total - self.steps)
            points, state = self.tools.adam(target, points, state, self.steps, count, total, rate)
            self.steps += count
            self._note_excess(float(np.fmin.reduce(self.tools.excesses(target.loss, points, target.block))), "Adam")
        return points

    def _lbfgs(self, points: Any) -> Any:
        """The better of the points and what L-BFGS makes of them."""
        if self.steps >= self.max_steps:
            return points
        first = points * self._lengths(points)
        refine = self._lbfgs_on_device if points.size > _HOST_NUMBERS else self._lbfgs_on_host
        found, better = refine(first)
        del first
        best = self.tools.unit(found) if better else points
        self._note(best, "L-BFGS")
        return best

    def _lbfgs_on_host(self, first: Any) -> tuple[Any, bool]:
        shape = first.shape

        def function(flat: Array) -> tuple[float, Array]:
            value, gradient = self.tools.slope(self.target, flat.reshape(shape))
            return float(value), np.array(gradient).ravel()

        options = {
            "maxiter": self.max_steps - self.steps,
            "maxfun": 2 * self.max_steps,
            "maxcor": _memory(first.size),
            "ftol": _FTOL,
            "gtol": self.tol,
        }
        start = np.array(first).ravel()
        answer = minimize(
            function, start, jac=True, method="L-BFGS-B", options=options, callback=lambda _: self._step()
        )
        return self.place.one(answer.x.reshape(shape)), bool(answer.fun <= function(start)[0])

    def _lbfgs_on_device(self, first: Any) -> tuple[Any, bool]:
        found = lbfgs.minimise(
            lambda x: self.tools.slope(self.target, x),
            first,
            memory=_memory(first.size),
            max_steps=self.max_steps - self.steps,
            ftol=_FTOL,
            gtol=self.tol,
            each=self._step,
        )
        return found, True  # its line search only goes down

    def _step(self) -> None:
        self.steps += 1

    def _newton(self, points: Any) -> Any:
        residual = float(self.tools.balance(self.target, points)[0])
        while residual > self.tol and self.steps < self.max_steps:
            moved = self.tools.newton(self.target, points * self._lengths(points))
            self.steps += 1
            after = float(self.tools.balance(self.target, moved)[0])
            # The value may only rise by rounding: a step towards a saddle point balances the forces too.
            rise = float(self.tools.slope(self.target, moved)[0] - self.tools.slope(self.target, points)[0])
            if not (after < 0.5 * residual and rise < 1e-12):
                break
            points, residual = moved, after
        return points

    def _lengths(self, points: Any) -> Array:
        """(m, 1) row lengths: the loss sees directions only, so longer rows are slower rows.

        The square root of the forces on a class evens out the curvature between head and tail.
        """
        pull = np.array(self.tools.balance(self.target, points)[1])
        return np.sqrt(np.maximum(pull / (pull.max() or 1.0), 1e-12))[:, None]


def _memory(numbers: int) -> int:
    """How many steps L-BFGS remembers: 3 to 30, two arrays of so many numbers each."""
    return int(np.clip(10**7 // numbers, min(5, max(3, 10**8 // numbers)), 30))


def _starts(shape: tuple[int, int, int], seed: int, first: Array | None) -> Array:
    """(restarts, m, dim) random unit rows, the first start near `first`."""
    starts = np.random.default_rng(seed).standard_normal(shape)
    if first is not None:
        starts[0] = 1e-3 * starts[0] / math.sqrt(shape[2]) + _fit(first, shape[2])
    starts /= np.sqrt(np.einsum("rij,rij->ri", starts, starts))[:, :, None]
    return starts


def _fit(points: Array, width: int) -> Array:
    """Points in exactly `width` coordinates: zeros appended, or the leading principal directions kept."""
    points = np.asarray(points, dtype=np.float64)
    if points.shape[1] > width:
        left, scale, _ = np.linalg.svd(points, full_matrices=False)
        points = left[:, :width] * scale[:width]
    return np.pad(points, ((0, 0), (0, width - points.shape[1])))
