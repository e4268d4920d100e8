"""Descent over unit vectors with the loss written a second time, in JAX: an independent route, on a CPU or a GPU.

It shares nothing with the other solvers but the problem's numbers. Over unit vectors the problem is not convex, but
with as many coordinates as the optimal Gram matrix has rank its minima are those of the convex program (theory page).
JAX is imported when the first function runs, in 64 bits inside `jax.enable_x64(True)`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array, Progress
from ...errors import BackendError, ProblemError
from ...geometry.orbit_gram import OrbitGram
from ...geometry.unit_rows import unit
from ...lazy import package
from ...objectives.base import Objective
from ..base import Attempt, Termination
from .factor_descent import Minimum, minimise
from .jax_losses import loss
from .point_losses import PointLoss, point_loss, positive_excess
from .rowwise import excess_and_slope, pulls

MOST_ATOMS = 100_000
# Of one start: 1.6 GB an array, of which two dozen live at once.
MOST_NUMBERS = 200_000_000
# What ten steps of a descent gain at its end, as a share of the excess: what float64 can tell.
_GAIN = 1e-14
# Atoms up to which a loss without a form in JAX is descended by its own formulas.
_MOST_UNWRITTEN = 200
# Points above this many numbers stay on the device between steps.
_HOST_NUMBERS = 4_000_000
# Numbers of a Gram matrix that are evaluated at once; beyond, blocks of rows of so many.
_AT_ONCE, _PER_BLOCK = 2**24, 2**22
# How the message of whatever was to run on a GPU begins where there is none.
NO_GPU = "no GPU that JAX can use, ran on the CPU"


class Place(NamedTuple):
    """A device of JAX's, and a line for people where it is not what was asked for, "" otherwise."""

    device: Any
    notice: str = ""

    @property
    def name(self) -> str:
        """What JAX calls it: "cpu", or the model of the GPU."""
        return str(self.device.device_kind)

    def one(self, tree: Any) -> Any:
        """Arrays on it."""
        import jax

        return jax.device_put(tree, self.device)


def check_device(device: str | None) -> None:
    """Nothing, or a ProblemError unless the device is one that can be asked for."""
    if device not in (None, "cpu", "gpu"):
        raise ProblemError(f'device: must be "cpu", "gpu" or None (JAX\'s default); got {device!r:.40}')


@contextmanager
def computing(device: str | None) -> Iterator[Place]:
    """The device to compute on, with JAX in 64 bits; on the CPU, with a notice, where a GPU is asked for and none is.

    Raises:
        ProblemError: another device than "cpu", "gpu" or None, JAX's default.
        BackendError: JAX is not installed, or the device's memory does not suffice.
    """
    check_device(device)
    jax = package("jax", "descent: needs JAX, which is not installed (pip install jax)")
    try:
        place = Place(jax.local_devices(backend=device)[0])
    except RuntimeError:
        place = Place(jax.local_devices(backend="cpu")[0], NO_GPU + "; ")
    with jax.enable_x64(True), jax.default_device(place.device):
        try:
            yield place
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise BackendError(
                f"descent: does not fit into the memory of {place.name}: {str(error).splitlines()[0]:.120}"
            ) from None


@dataclass(frozen=True)
class Descent:
    """L-BFGS on unit vectors from random points, then Newton steps on the gradient, the loss in JAX.

    Attributes:
        tol: converged when the net force on every class is at most this share of the forces that act on it.
        max_steps: L-BFGS steps of a start.
        restarts: random starts; the best end is polished.
        seed: of the random starts.
        device: "cpu" or "gpu"; None: JAX's default. Without a GPU, "gpu" runs on the CPU and the message says so.
    """

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
        """The Gram matrix of the best embedding found, averaged over exchangeable classes; `start` is not used.

        Averaging over permutations of exchangeable classes keeps a Gram matrix feasible and cannot raise a convex loss.
        There are as many coordinates as an optimum can need, see `enough_dim`.

        Cost: O(m^3) a step; NOT_APPLICABLE above 100,000 classes, or 2e8 coordinates.
        """
        for argument, number in (("restarts", self.restarts), ("max_steps", self.max_steps)):
            if number != int(number) or number < 1:
                raise ProblemError(f"{argument}: must be a whole number of at least 1; got {number}")
        check_device(self.device)
        orbits = objective.orbits
        if orbits.labels is None or orbits.atoms > MOST_ATOMS:
            reason = f"descent moves every class by itself, at most {MOST_ATOMS} classes listed one by one"
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=f"{reason}; got {orbits.atoms:g}")
        width = enough_dim(objective)
        if orbits.atoms * width > MOST_NUMBERS:
            reason = f"{orbits.atoms:g} x {width} coordinates are more than {MOST_NUMBERS}"
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=reason)
        starts = random_starts(round(orbits.atoms), width, self.restarts, self.seed)
        options: dict[str, Any] = {"max_steps": self.max_steps, "gain": _GAIN, "tol": self.tol, "progress": progress}
        try:
            with computing(self.device) as place:
                found = descend_on(place, objective, starts, second_order=False, **options)
        except (BackendError, ProblemError) as error:
            return Attempt(self.name, Termination.NOT_APPLICABLE, message=str(error))
        if found.residual <= self.tol:
            termination = Termination.CONVERGED
        else:
            termination = Termination.STEP_LIMIT if found.stopped else Termination.STALLED
        message = f"{place.notice}forces balance to {found.residual:.1e} after {found.steps} steps"
        gram = OrbitGram.averaged_points(found.points, orbits)
        return Attempt(self.name, termination, gram, found.steps, message)


def descend_on(place: Place, objective: Objective, starts: Sequence[Array], **options: Any) -> Minimum:
    """The best local minimum that (m, d) unit rows lead to, computed in JAX on a device.

    Of a loss that is not written in JAX, over few classes, by its own formulas in NumPy.

    Args:
        place: from `computing`.
        objective: the problem; its classes must be listed one by one.
        starts: where to begin.
        options: of `minimise`.

    Raises:
        BackendError: the device's memory does not suffice, or JAX has no form of this objective.
    """
    if place.notice and options.get("progress"):
        options["progress"](f"descent: {place.notice}".rstrip("; "))
    written: PointLoss
    try:
        written = JaxLoss(objective, place)
    except BackendError:
        if objective.orbits.atoms > _MOST_UNWRITTEN:
            raise
        written = point_loss(objective)
    on_device = starts[0].size > _HOST_NUMBERS
    first = [place.one(start) for start in starts] if on_device else starts
    return minimise(written, first, positive=positive_excess(objective), **options)


def enough_dim(objective: Objective) -> int:
    """How many dimensions an optimal Gram matrix can need.

    Where classes only repel each other, the slack matrix S has positive entries, and S G = 0 leaves G the rank m - 1;
    with attraction S may vanish, and the rank be m.
    """
    atoms = round(objective.orbits.atoms)
    return max(atoms if np.any(objective.attraction) else atoms - 1, 2)


def random_starts(atoms: int, width: int, count: int, seed: int) -> list[Array]:
    """`count` sets of random unit rows."""
    rng = np.random.default_rng(seed)
    return [unit(rng.standard_normal((atoms, width))) for _ in range(count)]


class JaxLoss:
    """A `PointLoss` in JAX. NumPy's arrays come back as NumPy's, those on the device stay there."""

    def __init__(self, objective: Objective, place: Place):
        atoms = round(objective.orbits.atoms)
        self.loss = place.one(loss(objective))
        self.block = atoms if atoms**2 <= _AT_ONCE else max(1, min(atoms, _PER_BLOCK // atoms))

    def slope(self, points: Any) -> tuple[float, Any]:
        """The loss above its floor, and (m, d) its derivative in the points, not projected."""
        value, slope = _compiled(excess_and_slope)(self.loss, points, self.block)
        return float(value), np.asarray(slope) if isinstance(points, np.ndarray) else slope

    def pulls(self, points: Any) -> Array:
        """(m,) the sum of the sizes of all forces on a point."""
        return np.asarray(_compiled(pulls)(self.loss, points, self.block))


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The loss is an argument: one compilation per kind and size of problem."""
    import jax

    return jax.jit(function, static_argnums=2)
