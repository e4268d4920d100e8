"""From a Gram matrix to points on the sphere: exact at full dimension, descended and bounded below it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Array, Progress
from ..errors import ProblemError
from ..geometry.orbits import MOST_WRITTEN, OrbitGram
from ..objectives.pairwise import Hinge, PairLoss
from ..objectives.weighted import WeightedSoftmax
from ..text import attributes

if TYPE_CHECKING:
    from ..objectives.base import Objective
    from .solution import Solution

# Rank reduction solves for rank (rank + 1)/2 unknowns: above this many classes it takes minutes.
_MOST_CLASSES = 60
# Up to here all starts are followed to the end and their second order is looked at.
_MOST_SETTLED = 1200
# Of an embedding: 1.6 GB.
_MOST_NUMBERS = 200_000_000


@dataclass(frozen=True, eq=False)
class Embedding:
    """Class means on the unit sphere.

    Attributes:
        points: (C, dim) unit rows, in the caller's class order.
        value: the loss of these points, in nats.
        lower_bound: proved below the loss of any embedding, of any dimension.
        exact: whether the points realise the solution's own loss; otherwise they are the best of several descents in a
            dimension below the rank, where the problem is not convex, and `gap_in_dimension` is what is proved of them.
        bound_in_dimension: proved below the loss of any embedding in so many coordinates; not below `lower_bound`, and
            often far above it (see `dimension_bound`; equal to it for losses that this does not know).
        restarts: how many starts were descended from; 0 where the points are exact.
        reached: how many of them ended within 1e-6 of the best one's loss above its floor.
        curvature: the smallest curvature at the points, rotations apart, in units of the forces on a class (see
            `local_minima`); None where none was computed: exact points, one dimension, losses with kinks, many classes.
        residual: the largest net force on a class as a share of the forces on it; None for exact points and one
            dimension.
    """

    points: Array
    value: float
    lower_bound: float
    exact: bool
    bound_in_dimension: float = -np.inf
    restarts: int = 0
    reached: int = 0
    curvature: float | None = None
    residual: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "bound_in_dimension", max(self.lower_bound, self.bound_in_dimension))

    @property
    def dim(self) -> int:
        """The number of coordinates."""
        return self.points.shape[1]

    @property
    def gap(self) -> float:
        """Value - lower_bound: no embedding of any dimension is better by more than this."""
        return max(0.0, self.value - self.lower_bound)

    @property
    def gap_in_dimension(self) -> float:
        """Value - bound_in_dimension: no embedding in as many coordinates is better by more than this."""
        return max(0.0, self.value - self.bound_in_dimension)

    @property
    def second_order(self) -> bool | None:
        """Whether forces balance (to 1e-6) and no direction lowers the loss to second order; None if not looked at."""
        if self.curvature is None or self.residual is None:
            return None
        return self.residual <= 1e-6 and self.curvature >= -1e-5

    def to_dict(self) -> dict[str, Any]:
        """The embedding as a dictionary, without its points."""
        names = ("dim", "value", "lower_bound", "gap", "bound_in_dimension", "gap_in_dimension")
        return attributes(self, *names, "restarts", "reached", "second_order")

    def __str__(self) -> str:
        starts = f"; {self.reached} of {self.restarts} starts reached it"
        exact = "exact" if self.exact else f"proved gap {self.gap_in_dimension:.2e}{starts}"
        return f"{self.dim} dimensions, loss {self.value:.12g} nats ({exact})"


def check_dim(dim: int | None, classes: float) -> None:
    """Nothing, or a ProblemError unless `dim` is None or a number of coordinates that so many classes can have."""
    if dim is None:
        return
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1:
        raise ProblemError(f"dim: must be a whole number of at least 1; got {dim!r}")
    if dim * classes > _MOST_NUMBERS:
        raise ProblemError(
            f"dim: the points must fit into {_MOST_NUMBERS:,} numbers; got {dim} for {classes:g} classes"
        )


def embed(
    solution: Solution,
    dim: int | None = None,
    *,
    restarts: int | None = None,
    seed: int = 0,
    max_steps: int = 2000,
    progress: Progress | None = None,
) -> Embedding:
    """The solution as points: exact where `dim` is at least its rank, the best local minimum found below it.

    Below the rank the problem is not convex. The first start is the optimum cut to its leading axes, the others are
    random. Each is descended to a local minimum; the best few are polished by Newton steps and looked at to second
    order: from a saddle point they go on (`local_minima`). What no embedding in `dim` coordinates goes below is proved
    by positive definite functions (`dimension_bound`), where that is more than the certificate says.

    Args:
        solution: from `solve`.
        dim: coordinates; None for as many as the Gram matrix has rank. More are filled with zeros.
        restarts: starts below the rank; None: 64 for the smallest problems, 8 where there are more than 2500 numbers.
        seed: of the starts.
        max_steps: descent steps per start.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: dim below 1, or restarts below 1.

    Cost: 8 C dim bytes; below the rank O(C^2 dim) a step of a start, and that of `dimension_bound`. Above 1200 classes
    that of `Descent`, without second order.
    """
    check_dim(dim, solution.geometry.atoms)
    if len(solution.geometry.sizes) > MOST_WRITTEN:
        raise ProblemError(
            f"dim: points are written out for at most {MOST_WRITTEN:,} distinct counts; got "
            f"{len(solution.geometry.sizes):,} (in Python, solution.geometry.points() has them in factored form)"
        )
    if restarts is not None and restarts < 1:
        raise ProblemError(f"restarts: must be at least 1; got {restarts}")
    certificate = solution.certificate
    width = solution.rank if dim is None else int(dim)
    gram = solution.orbits
    if width < gram.rank():
        gram = reduce_rank(solution.objective, gram)
    if width >= gram.rank():
        points = _leading(gram.embed(), width)
        return Embedding(points, certificate.value, certificate.lower_bound, exact=True)
    atoms = gram.orbits.atoms
    count = restarts or int(np.clip(20_000 // (atoms * width), 8, 64))
    objective, floor = solution.objective, certificate.lower_bound
    if width == 1:
        points, ends = _signs(objective, count, seed)
        reached = int(np.count_nonzero(ends - ends.min() <= 1e-6 * (ends.min() - objective.floor)))
        return Embedding(points, _value(objective, points), floor, exact=False, restarts=count, reached=reached)
    return _descended(solution, gram, width, count, seed, max_steps, progress)


def _leading(points: Array, width: int) -> Array:
    """(C, width) unit rows: the leading principal axes, or zeros appended."""
    if points.shape[1] > width:
        # Of an exact embedding only directions of weight below 1e-8, rounding, are dropped.
        left, values, _ = np.linalg.svd(points, full_matrices=False)
        points = left[:, :width] * values[:width]
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return np.pad(points, ((0, 0), (0, width - points.shape[1])))


def _descended(
    solution: Solution, gram: OrbitGram, width: int, count: int, seed: int, max_steps: int, progress: Progress | None
) -> Embedding:
    """The best of several descents, with what is proved of it."""
    from ..certificates.code_bounds import dimension_bound
    from .descent import MOST_ATOMS, descend
    from .restarts import local_minima

    objective, floor = solution.objective, solution.certificate.lower_bound
    atoms = gram.orbits.atoms
    if atoms > MOST_ATOMS:
        raise ProblemError(
            f"dim: below the rank ({gram.rank()}) points are found by descent over every pair of classes, for "
            f"at most {MOST_ATOMS} classes; got {atoms:g} (write a dim of at least the rank)"
        )
    if atoms > _MOST_SETTLED:
        found = descend(objective, dim=width, restarts=count, max_steps=max_steps, seed=seed, progress=progress)
        ends = np.minimum(found.values, found.value)
        reached = max(1, int(np.count_nonzero(ends - found.value <= 1e-6 * (found.value - objective.floor))))
        points, curvature, residual = found.points, None, found.residual
    else:
        starts = np.random.default_rng(seed).standard_normal((count, round(atoms), width))
        # A little shaken: classes that the cut put into one point would stay there.
        starts[0] = 1e-3 * starts[0] + _leading(gram.embed() + 1e-9, width)
        starts /= np.linalg.norm(starts, axis=2, keepdims=True)
        best = local_minima(objective, starts, max_steps=max_steps, progress=progress)
        points, curvature, residual, reached = best.points, best.curvature, best.residual, best.reached
    value = _value(objective, points)
    # Weighted InfoNCE has a bound of its own, `rank_bound`, and Jensen's inequality loses nearly all of this one.
    weighted = isinstance(objective, WeightedSoftmax)
    excess = value - objective.floor
    bound = None if weighted else dimension_bound(objective, width, reference=excess, progress=progress)
    return Embedding(
        points, value, floor, exact=False, bound_in_dimension=-np.inf if bound is None else bound,
        restarts=count, reached=reached, curvature=curvature, residual=residual,
    )  # fmt: skip


def _value(objective: Objective, points: Array) -> float:
    return objective.ungrouped().value(OrbitGram.from_matrix(points @ points.T, objective.orbits))


def _signs(objective: Objective, restarts: int, seed: int) -> tuple[Array, Array]:
    """(C, 1) the best of several local searches over signs, and where each ended: there is nothing to descend."""
    count = round(objective.orbits.atoms)
    rng = np.random.default_rng(seed)
    best, ends = np.ones((count, 1)), np.full(restarts, np.inf)
    for start in range(restarts):
        points = rng.choice([-1.0, 1.0], size=(count, 1))
        value, previous = _value(objective, points), np.inf
        while value < previous:
            previous = value
            for c in range(count):
                points[c] *= -1.0
                flipped = _value(objective, points)
                if flipped < value:
                    value = flipped
                else:
                    points[c] *= -1.0
        if value < ends.min():
            best = points
        ends[start] = value
    return best, ends


def reduce_rank(objective: Objective, gram: OrbitGram) -> OrbitGram:
    """A Gram matrix of the same loss and of smallest reachable rank r.

    Where every pair has curvature the optimum is unique and the Gram matrix comes back as it is. A hinge is linear
    between its kinks; there G = V V^T may move along V Delta V^T as long as diagonal, pairs on the kink and loss stay
    put. Each move ends where an eigenvalue vanishes or a further pair meets the kink, so at the end
    r (r + 1)/2 <= C + |pairs on the kink| + 1 (Barvinok 1995, Pataki 1998).

    Cost: an SVD of size r^2/2 a move; Gram matrices of more than 60 classes come back as they are.
    """
    if not (isinstance(objective, PairLoss) and isinstance(objective.shape, Hinge)):
        return gram
    if objective.orbits.atoms > _MOST_CLASSES:
        return gram
    pairs = objective.ungrouped()
    weights = pairs.masses[:, None] * pairs.draws.partner
    weights = weights + weights.T
    above = gram.expand() - 1.0 + objective.shape.margin
    values, vectors = np.linalg.eigh(gram.expand())
    factor = vectors[:, values > 1e-8] * np.sqrt(values[values > 1e-8])
    count, rank = factor.shape
    every, upper = np.triu_indices(count), np.triu_indices(count, 1)
    off = every[0] != every[1]
    on_kink = np.abs(above[upper]) <= 1e-8
    active = (above[upper] > 1e-8).astype(float)
    while rank > 1:
        i, j = np.triu_indices(rank)
        scale = np.where(i == j, 1.0, 2.0)

        # v_a^T Delta v_b for a <= b, linear in the upper triangle of Delta.
        first, second = factor[every[0]], factor[every[1]]
        changes = (first[:, i] * second[:, j] + first[:, j] * second[:, i]) / 2.0 * scale
        moves = changes[off]
        constraints = np.vstack([changes[~off], moves[on_kink], ((active * weights[upper]) @ moves)[None]])
        _, singular, right = np.linalg.svd(constraints, full_matrices=True)
        if len(right) <= np.count_nonzero(singular > 1e-10 * singular[0]):
            break
        direction = np.zeros((rank, rank))
        direction[i, j] = direction[j, i] = right[-1]
        eigenvalues = np.linalg.eigvalsh(direction)
        if -eigenvalues[0] < eigenvalues[-1]:
            direction, eigenvalues = -direction, -eigenvalues[::-1]
        change = moves @ (direction[i, j])
        level = np.einsum("ik,ik->i", factor[upper[0]], factor[upper[1]]) - 1.0 + objective.shape.margin
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(~on_kink & (change * level < 0) & (np.abs(change) > 1e-14), -level / change, np.inf)
        step = min(-1.0 / eigenvalues[0], reach.min(initial=np.inf))
        on_kink |= reach <= step * (1 + 1e-9)
        active[on_kink] = 0.0
        spectrum, axes = np.linalg.eigh(np.eye(rank) + step * direction)
        keep = spectrum > 1e-9
        factor = factor @ (axes[:, keep] * np.sqrt(spectrum[keep]))
        factor /= np.linalg.norm(factor, axis=1, keepdims=True)
        rank = factor.shape[1]
    return OrbitGram.from_matrix(factor @ factor.T, objective.orbits)
