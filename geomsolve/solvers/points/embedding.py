"""From a Gram matrix to points on the sphere: exact at full dimension, descended and bounded below it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...arrays import Array, Progress
from ...certificates.code_bounds import dimension_bound
from ...errors import ProblemError
from ...geometry.orbit_gram import MOST_WRITTEN, OrbitGram
from ...geometry.unit_rows import fitted, unit
from ...objectives.base import Objective
from ...objectives.weighted.weighted import WeightedSoftmax
from ...text import attributes
from ..descent.factor_descent import Minimum, minimise
from ..descent.jax_descent import MOST_ATOMS, MOST_NUMBERS, computing, descend_on
from ..descent.point_losses import point_loss, positive_excess
from .rank_reduction import reduce_rank

# Classes that are descended over, every pair of them.
_MOST_DESCENDED = 20_000
# Numbers of the points up to which many starts are cheap, descents go on to the last digit and curvature is looked at.
_SMALL = 20_000
# How far starts are moved, by turns, how many of them are no hops, and what a descent gains in its last tenth, as a
# share of the excess: a small one, of which the best is finished, and a larger one.
_SHAKES, _FRESH, _SMALL_GAIN, _GAIN = (0.01, 0.1, 0.3, 1.0), 8, 1e-7, 5e-5
# Classes from which, and temperature from which, float32 gains time and its exponentials lose nothing that matters.
_ROUGH_CLASSES, _ROUGH_TEMPERATURE = 200, 0.04


@dataclass(frozen=True, eq=False)
class Embedding:
    """Class means on the unit sphere.

    Attributes:
        points: (C, dim) unit rows, in the caller's class order.
        value: the loss of these points, in nats.
        lower_bound: proved below the loss of any embedding, of any dimension.
        exact: whether the points realise the solution's own loss; otherwise they are where descent ended in a dimension
            below the rank, where the problem is not convex, and `gap_in_dimension` is what is proved of them.
        bound_in_dimension: proved below the loss of any embedding in so many coordinates; not below `lower_bound`, and
            often far above it (see `dimension_bound`; equal to it for losses that this does not know).
        restarts: how many starts were descended from; 0 where the points are exact.
        reached: how many of them ended within 1e-6 of the best one's loss above its floor.
        curvature: the smallest curvature at the points, rotations apart, in units of the forces on a class (see
            `descent.curvature`); None where it was not looked at.
        residual: the largest net force on a class as a share of the forces on it; None for exact points and one
            dimension.
        stopped: what ended the descent early: "seconds", "interrupt" (Ctrl-C), "steps", or "" where it came to its end.
        seconds: of the descents.
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
    stopped: str = ""
    seconds: float = 0.0

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

    @property
    def how(self) -> str:
        """What kind of answer these points are, in a few words for people."""
        if self.exact:
            return "exact"
        if self.stopped in ("seconds", "interrupt"):
            found = f"the best so far, stopped by {'the time limit' if self.stopped == 'seconds' else 'Ctrl-C'}"
        elif self.second_order:
            found = "a local minimum to second order"
        else:
            found = "where descent came to rest" if not self.stopped else "the best after so many steps"
        return found if self.restarts < 2 else f"{found}, reached by {self.reached} of {self.restarts} starts"

    def to_dict(self) -> dict[str, Any]:
        """The embedding as a dictionary, without its points."""
        names = ("dim", "value", "lower_bound", "gap", "bound_in_dimension", "gap_in_dimension")
        return attributes(self, *names, "restarts", "reached", "second_order", "stopped", "seconds")

    def __str__(self) -> str:
        proved = "" if self.exact else f", proved gap {self.gap_in_dimension:.2e}"
        return f"{self.dim} dimensions, loss {self.value:.12g} nats ({self.how}{proved})"


def check_dim(dim: int | None, classes: float) -> None:
    """Nothing, or a ProblemError unless `dim` is None or a number of coordinates that so many classes can have."""
    if dim is None:
        return
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < 1:
        raise ProblemError(f"dim: must be a whole number of at least 1; got {dim!r}")
    if dim * classes > MOST_NUMBERS:
        raise ProblemError(f"dim: the points must fit into {MOST_NUMBERS:,} numbers; got {dim} for {classes:g} classes")


def check_seconds(seconds: float | None) -> None:
    """Nothing, or a ProblemError unless `seconds` is None or a time above 0."""
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float, np.number)) or not seconds > 0:
        raise ProblemError(f"seconds: must be a number above 0; got {seconds!r:.40}")


def embed(
    solution: Any,
    dim: int | None = None,
    *,
    restarts: int | None = None,
    seed: int = 0,
    max_steps: int = 2000,
    seconds: float | None = None,
    second_order: bool | None = None,
    device: str | None = None,
    start: Array | None = None,
    bound: bool = True,
    progress: Progress | None = None,
) -> Embedding:
    """The solution as points: exact where `dim` is at least its rank, the best local minimum found below it.

    Below the rank the problem is not convex. Starts are the optimum cut to its leading axes and random points, each
    goes down by L-BFGS on normalised rows, in float32 as far as that leads where there are many classes, then in
    float64. Small problems have many starts: eight like these, and the others the last end near the best one with some
    classes at random places, until sixteen agree. Their best end is polished and looked at to second order: from a
    saddle point it goes on. What no embedding in `dim` coordinates goes below is proved by positive definite functions
    (`dimension_bound`), where that is more than the certificate says.

    Args:
        solution: from `solve`.
        dim: coordinates; None for as many as the Gram matrix has rank. More are filled with zeros.
        restarts: starts below the rank; None: as many as have 100,000 numbers together, at most 64, and 1 above
            20,000 numbers. A single start is the better of the cut and a random one.
        seed: of the starts.
        max_steps: descent steps per start.
        seconds: the descents end about then with the best so far (as they do at Ctrl-C); None: no limit.
        second_order: whether to polish and to look at curvature; None: where there are at most 20,000 numbers.
        device: None: NumPy. "cpu" or "gpu": the loss written in JAX, there.
        start: (C, any) points to begin from first, such as an embedding in more dimensions.
        bound: whether to prove a bound for the dimension.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: dim or restarts below 1, seconds not above 0, a start of another number of rows.

    Cost: 8 C dim bytes; below the rank O(C^2 dim) a step of a start and 4 C^2 bytes, and that of `dimension_bound`.
    """
    check_dim(dim, solution.geometry.atoms)
    check_seconds(seconds)
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
        gram = reduce_rank(solution.objective.by_class(), gram)
    if width >= gram.rank():
        # Of an exact embedding only directions of weight below 1e-8, rounding, are dropped.
        return Embedding(unit(fitted(gram.embed(), width)), certificate.value, certificate.lower_bound, exact=True)
    atoms = round(gram.orbits.atoms)
    small = atoms * width <= _SMALL
    count = restarts or (min(5 * _SMALL // (atoms * width), 64) if small else 1)
    objective, floor = solution.objective.by_class(), certificate.lower_bound
    if width == 1:
        points, ends = _signs(objective, count, seed)
        reached = int(np.count_nonzero(ends - ends.min() <= 1e-6 * (ends.min() - objective.floor)))
        return Embedding(points, _value(objective, points), floor, exact=False, restarts=count, reached=reached)
    most = _MOST_DESCENDED if device is None else MOST_ATOMS
    if atoms > most:
        raise ProblemError(
            f"dim: below the rank ({gram.rank()}) points are found by descent over every pair of classes, for "
            f"at most {most} classes; got {atoms:g} (write a dim of at least the rank)"
        )
    if start is not None and (np.ndim(start) != 2 or len(start) != atoms):
        raise ProblemError(f"start: must have {atoms} rows, one per class; got shape {np.shape(start)}")
    small, fresh = small if second_order is None else second_order, min(count, _FRESH)
    options = {"max_steps": max_steps, "seconds": seconds, "progress": progress, "hops": count - fresh, "seed": seed}
    best = _descended(objective, _starts(gram, width, fresh, seed, start), count, small, device, options)
    found = Embedding(
        best.points, _value(objective, best.points), floor, exact=False, restarts=len(best.excesses),
        reached=best.reached, curvature=best.curvature, residual=best.residual, stopped=best.stopped,
        seconds=best.seconds,
    )  # fmt: skip
    return bounded(objective, found, progress) if bound and best.stopped != "interrupt" else found


def bounded(objective: Objective, embedding: Embedding, progress: Progress | None = None) -> Embedding:
    """The embedding with what is proved for its dimension, where `dimension_bound` knows the loss."""
    # Of weighted InfoNCE Jensen's inequality loses nearly all of this bound; its own is for any dimension.
    if embedding.exact or embedding.dim == 1 or isinstance(objective, WeightedSoftmax):
        return embedding
    proved = dimension_bound(objective, embedding.dim, reference=embedding.value - objective.floor, progress=progress)
    return embedding if proved is None else replace(embedding, bound_in_dimension=proved)


def _starts(gram: OrbitGram, width: int, count: int, seed: int, first: Array | None) -> list[Array]:
    """Where descents begin, at least two places: the optimum cut and random points by turns, after what is given."""
    rng = np.random.default_rng(seed)
    starts = [] if first is None else [fitted(first, width)]
    while len(starts) < max(count, 2):
        starts.append(_cut(gram, width, rng) if len(starts) % 2 == 0 else rng.standard_normal((len(starts[0]), width)))
    # A little shaken: classes that the cut put into one point would stay there.
    for index, start in enumerate(starts):
        shake = _SHAKES[index // 2 % len(_SHAKES)]
        starts[index] = start + shake * rng.standard_normal(start.shape) / np.sqrt(width)
    return [unit(start) for start in starts]


def _descended(
    objective: Objective, starts: list[Array], count: int, second_order: bool, device: str | None,
    options: dict[str, Any],
) -> Minimum:  # fmt: skip
    """The best end of `count` starts; of one, that of the better start."""
    finished = second_order and objective.smooth
    options |= {"gain": _SMALL_GAIN if second_order else _GAIN, "second_order": finished, "polish": finished}
    loss, rough = point_loss(objective), None
    if count == 1:
        starts = [min(starts, key=lambda start: loss.slope(start)[0])]
    if device is not None:
        with computing(device) as place:
            return descend_on(place, objective, starts, **options)
    if len(starts[0]) >= _ROUGH_CLASSES and objective.temperature >= _ROUGH_TEMPERATURE and objective.smooth:
        rough = point_loss(objective, np.float32) if np.all(objective.attraction == 0) else None
    return minimise(loss, starts, positive=positive_excess(objective), rough=rough, **options)


def _cut(gram: OrbitGram, width: int, rng: np.random.Generator) -> Array:
    """(C, width) the leading principal axes of a Gram matrix, by its orbits; some at random where many are alike."""
    orbits, labels = gram.orbits, gram.orbits.listed()
    values, vectors = np.linalg.eigh(gram.quotient)
    spread = np.where(orbits.plural, 1.0 - np.diag(gram.cosines), 0.0)
    inside = np.where(orbits.plural, orbits.sizes - 1.0, 0.0).astype(int)
    lengths = np.concatenate([values, np.repeat(spread, inside)])
    kept = np.argsort(-lengths, kind="stable")[:width]
    means = kept[kept < len(values)]
    parts = [(vectors[:, means] * np.sqrt(np.maximum(values[means], 0.0)) / np.sqrt(orbits.sizes)[:, None])[labels]]
    owner = np.repeat(np.arange(len(spread)), inside)[kept[kept >= len(values)] - len(values)]
    for orbit, count in zip(*np.unique(owner, return_counts=True), strict=True):
        members = labels == orbit
        frame = rng.standard_normal((int(orbits.sizes[orbit]), count))
        axes = np.zeros((len(labels), count))
        axes[members] = np.sqrt(spread[orbit]) * np.linalg.qr(frame - frame.mean(axis=0))[0]
        parts.append(axes)
    return np.hstack(parts)


def _value(objective: Objective, points: Array) -> float:
    return objective.floor + point_loss(objective).slope(points)[0]


def _signs(objective: Objective, restarts: int, seed: int) -> tuple[Array, Array]:
    """(C, 1) the best of several local searches over signs, and where each ended: there is nothing to descend."""
    rng = np.random.default_rng(seed)
    ends = []
    for _ in range(restarts):
        points = rng.choice([-1.0, 1.0], size=(round(objective.orbits.atoms), 1))
        value, previous = _value(objective, points), np.inf
        while value < previous:
            previous = value
            for c in range(len(points)):
                points[c] *= -1.0
                if (flipped := _value(objective, points)) < value:
                    value = flipped
                else:
                    points[c] *= -1.0
        ends.append((value, points))
    return min(ends, key=lambda end: end[0])[1], np.array([value for value, _ in ends])
