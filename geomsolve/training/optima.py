"""The certified optimum of a loss as class means see it, and the distance of measured class means from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ..arrays import Array, Progress
from ..choosing.named import Solved
from ..counts.counts import Counts
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..geometry.variances import ClassVariances
from ..objectives.base import Objective
from ..objectives.kinds.parts import Parts, parts_of
from ..objectives.kinds.supcl import InstanceSoftmax
from ..objectives.logits.cross_entropy import CrossEntropy
from ..solvers.logits.logit_solution import LogitSolution
from ..solvers.points.embedding import embed
from ..solvers.solution import Quality, Solution
from ..solvers.solving import solve

# What `diagnose`, `Monitor` and `targets` take as an optimum, and as a problem.
Optimal: TypeAlias = Solved | LogitSolution
Source: TypeAlias = Objective | CrossEntropy | Optimal

# The optimum has a collapse where its own cosines reach this: see the limits in verdicts.py.
PREDICTED = 0.97
# Of cosines of classes in one point.
ONE_POINT = 1.0 - 1e-8
# A class mean shorter than this is rounding: it has no direction.
_SHORTEST = 1e-6


@dataclass(frozen=True, eq=False, kw_only=True)
class Optimum:
    """The optimum of a loss as class means see it. See `optimum_of`.

    Attributes:
        solution: the optimum with what is proved of it.
        part: what stands for a class: "mean", "instances", "prototype", ...
        gram: the optimal cosines of classes, in the caller's order.
        points: (C, dim) where descent ended in fewer dimensions than these need; None where there are enough.
        spread: (C,) 1 - the cosine of two examples of a class; 0 in losses of class means.
        best_value: the loss there; above the value of the solution where dimensions are too few.
        dim: the coordinates it is of.
        rank: the coordinates that it needs.
    """

    solution: Optimal
    part: str
    gram: OrbitGram = field(repr=False)
    points: Array | None = field(default=None, repr=False)
    spread: Array = field(repr=False)
    best_value: float
    dim: int
    rank: int

    @property
    def loss(self) -> str:
        """The name of the loss."""
        return str(getattr(self.solution, "loss", self.solution.objective.name))

    @property
    def temperature(self) -> float:
        """Its tau."""
        return float(getattr(self.solution, "temperature", self.solution.objective.temperature))

    @property
    def proof(self) -> Any:
        """What has the gap proved for the solution, and that over the loss above its floor."""
        return getattr(self.solution, "certificate", self.solution)

    @property
    def cosines(self) -> Array:
        """(C, C) the optimal cosines of classes."""
        return self.gram.expand() if self.points is None else self.points @ self.points.T

    def distance(
        self,
        cosines: Array,
        seen: NDArray[np.intp] | None = None,
        factor: float = 1.0,
        scores: Array | None = None,
    ) -> OptimumDistance:
        """The distance of measured cosines of class means, and of `scores`, both as in `CollapseMetrics`.

        `seen` are the classes they are of; None: all, in order. With some alone the loss is not known. Losses are
        multiplied by `factor`.
        """
        source, objective = self.solution, self.solution.objective
        whole = self.cosines
        seen = np.arange(len(whole)) if seen is None else seen
        best = whole[np.ix_(seen, seen)]
        off = cosines - best
        np.fill_diagonal(off, 0.0)
        pair = np.unravel_index(int(np.argmax(np.abs(off))), off.shape)
        per_class = np.sqrt(np.sum(off**2, axis=1) / (len(off) - 1.0))
        measured = collapsed = least = np.nan
        nc3 = None
        if len(best) == len(whole):
            if isinstance(source, LogitSolution) and scores is not None:
                wanted = (source.logits / source.feature_norms)[np.ix_(seen, seen)]
                nc3 = float(np.linalg.norm(scores - wanted / np.linalg.norm(wanted)))
            if isinstance(source, Solution) and source.objective.description.atoms == "class means":
                ordered, orbits = np.empty_like(cosines), source.objective.orbits
                ordered[np.ix_(seen, seen)] = cosines
                measured = source.objective.ungrouped().excess(OrbitGram.from_matrix(ordered, orbits))
                collapsed = source.objective.excess(OrbitGram(orbits, np.ones((len(orbits.sizes),) * 2)))
                least = source.certificate.excess
        above = self.best_value - source.value  # of the best geometry in fewer dimensions
        excess, room = measured - least - above, collapsed - least - above
        return OptimumDistance(
            **vars(self) | {"spread": self.spread[seen], "best_value": factor * self.best_value},
            best=best,
            factor=factor,
            value=factor * (objective.floor + measured),
            excess=factor * excess,
            excess_bound=factor * (measured - least + self.proof.gap),
            collapsed_value=factor * (objective.floor + collapsed),
            level=excess / room if room > 0 else np.nan,
            rms=float(np.sqrt(np.mean(per_class**2))),
            worst=float(np.abs(off).max()),
            worst_pair=(int(min(pair)), int(max(pair))),
            per_class=per_class,
            nc3=nc3,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class OptimumDistance(Optimum):
    """Measured class means beside the certified optimum of a loss.

    Of a loss over several points a class `value`, `excess`, `excess_bound`, `collapsed_value` and `level` are NaN.

    Attributes:
        best: (C, C) the optimal cosines of class means, in `dim` coordinates if these are fewer than the rank.
        factor: temperature / base temperature, which all losses are multiplied by; 1 without.
        value: the loss at the measured class means, in nats.
        excess: value minus best_value (computed from losses above their floor: it keeps its digits).
        excess_bound: an upper bound of value minus the least loss of any geometry: of any dimension, gap included.
        collapsed_value: the loss with all classes in one point.
        level: excess over the excess of that: 0 at the optimum, 1 at full collapse.
        rms: the root mean square over pairs of classes of measured less optimal cosine.
        worst: the largest of them, in absolute value.
        worst_pair: the two classes of it.
        per_class: (C,) the same root mean square over the pairs of one class.
        nc3: of cross-entropy, |S - S*| for the scores S of class means by the classifier and S* those at the optimum,
            w_c . mu_k / |mu_k| over their Frobenius norm: 0 at the optimum, where NC3 of a simplex need not be. None of
            other losses, and without weights.
    """

    best: Array = field(repr=False)
    factor: float
    value: float
    excess: float
    excess_bound: float
    collapsed_value: float
    level: float
    rms: float
    worst: float
    worst_pair: tuple[int, int]
    per_class: Array = field(repr=False)
    nc3: float | None

    @property
    def gap(self) -> float:
        """No geometry has a loss lower than the optimum's by more than this."""
        return float(self.proof.gap)

    @property
    def certified(self) -> bool:
        """Whether the optimum is proved."""
        return self.solution.quality is Quality.CERTIFIED

    @property
    def collapse(self) -> tuple[tuple[int, ...], ...]:
        """Groups of classes that share a point at the optimum, or all but (cosines of 0.97 and more)."""
        return groups(self.best >= PREDICTED)

    @property
    def collapsed(self) -> tuple[tuple[int, ...], ...]:
        """Those that do (to 1e-8)."""
        return groups(self.best >= ONE_POINT)

    @property
    def summary(self) -> str:
        """How far it is, in a phrase."""
        above = "" if np.isnan(self.excess) else f"loss {self.excess:.3g} nats above the optimum of {self.loss}, "
        return f"{above}cosines off {'' if above else f'the optimum of {self.loss} '}by {self.rms:.3f}"

    def words(self, cosines: Array, counts: Counts) -> str:
        """How far the measured cosines are off, in a sentence with the names of the worst pair."""
        first, second = self.worst_pair
        return (
            f"Cosines of class means are off by {self.rms:.3f} (root mean square); worst are {counts.label(first)} and "
            f"{counts.label(second)}, {cosines[self.worst_pair]:+.3f} where the optimum has "
            f"{self.best[self.worst_pair]:+.3f}."
        )


def optimum_of(
    source: Source,
    dim: int | None = None,
    *,
    part: str | None = None,
    whole: bool = True,
    tol: float = 1e-9,
    throw: bool = False,
    progress: Progress | None = None,
    **descent: Any,
) -> Optimum:
    """The optimum, proved by `solve`; in `dim` coordinates, if its rank is above them, where descent ended.

    What is not certified to the relative gap `tol` is taken all the same, and says so, unless it is to `throw`. The
    rank is that of the `whole` geometry, or of one point a class; `part` and `descent` are as for `targets`.

    Raises:
        ProblemError: a class without direction; TSC and Supervised Prototypes in too few dimensions for one point a
            class, whose optimum nobody knows, unless the whole is asked for: then it is that of any dimension.
    """
    if isinstance(source, (Objective, CrossEntropy)):
        source = solve(source, tol=tol, throw=throw, progress=progress)
    gram, parts, kind = gram_of(source, part), class_parts(source.objective), part or "mean"
    spread: Array = np.zeros(len(gram.orbits.listed()))
    if isinstance(source, LogitSolution):
        kind = part or "feature"
    if parts is not None:
        kind = part or parts.names[0]
        places = sorted(zip(parts.classes, range(len(parts.names)), parts.names, strict=True))
        orbits = [place for _, place, name in places if name == kind]
        gram, spread = _class_means(gram, orbits)
    rank = source.rank if whole and isinstance(source, Solution) else gram.rank()
    found = Optimum(solution=source, part=kind, gram=gram, spread=spread, best_value=source.value, dim=rank, rank=rank)
    if dim is None or dim >= rank:
        return found
    if not isinstance(source, Solution):
        if whole:
            return found
        raise ProblemError(
            f"dim: must be at least {rank}, the rank of these points; got {dim} (below it {found.loss} has no known "
            "optimum)"
        )
    embedding = embed(source, dim, bound=False, progress=progress, **descent)
    if embedding.exact:
        rank = dim  # a hinge can have optima of lower rank than the solver's
    points = embedding.points
    if parts is not None:
        labels = source.objective.orbits.listed()
        points = np.array([points[labels == orbit].mean(axis=0) for orbit in orbits])
        points = points / _directed(np.linalg.norm(points, axis=1))[:, None]
    return replace(found, points=points, best_value=embedding.value, dim=dim, rank=rank)


def loss_of(source: Source) -> Objective | CrossEntropy:
    """The loss whose optimum it is (of Supervised Prototypes, that of the parts orthogonal to the prototypes)."""
    return source if isinstance(source, (Objective, CrossEntropy)) else source.objective


def gram_of(source: Optimal, part: str | None) -> OrbitGram:
    """The Gram matrix of all its atoms; of cross-entropy, of features or of the classifier."""
    if isinstance(source, LogitSolution):
        return source.directions(part or "feature")
    return source.orbits if isinstance(source, Solution) else source.gram


def class_number(objective: Objective | CrossEntropy) -> int:
    """The number of classes of a loss."""
    parts = class_parts(objective)
    return round(objective.orbits.atoms) if parts is None else len(set(parts.classes))


def class_parts(objective: Objective | CrossEntropy) -> Parts | None:
    """What the atoms of every orbit are; None where they are one mean per class."""
    if isinstance(objective, InstanceSoftmax):
        # Its orbits are sorted by size; its atoms come class by class.
        first = np.unique(objective.orbits.listed(), return_index=True)[1]
        return Parts(("instances",) * len(first), tuple(np.argsort(np.argsort(first)).tolist()))
    return parts_of(objective)


def _class_means(gram: OrbitGram, orbits: list[int]) -> tuple[OrbitGram, Array]:
    """The cosines of the means of these orbits, one a class, and (C,) 1 - the cosine of two of its atoms."""
    own = OrbitGram(Orbits(gram.sizes[orbits]), gram.cosines[np.ix_(orbits, orbits)])
    length = _directed(np.sqrt(np.clip(1.0 - ClassVariances(own).per_class, 0.0, None)))
    cosines = np.clip(own.cosines / length[:, None] / length, -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    spread = np.where(own.orbits.plural, 1.0 - np.diag(own.cosines), 0.0)
    return OrbitGram(Orbits(np.ones(len(orbits)), np.arange(len(orbits))), (cosines + cosines.T) / 2.0), spread


def _directed(length: Array) -> Array:
    """(C,) the lengths of class means, or a ProblemError for one that has no direction."""
    lost = np.flatnonzero(length < _SHORTEST)
    if lost.size:
        raise ProblemError(
            f"source: the examples of class {lost[0]} balance around the origin (their mean has length "
            f"{length[lost[0]]:.1e}), so it has no direction to be a target; take another loss, or a smaller alpha"
        )
    return length


def groups(shared: NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
    """Groups of two classes or more that are linked by pairs that share a point, in class order."""
    return grouped(connected_components(csr_array(shared), directed=False)[1])


def grouped(codes: NDArray[np.intp]) -> tuple[tuple[int, ...], ...]:
    """Groups of two classes or more that have one code, in class order."""
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return tuple(sorted(tuple(part.tolist()) for part in parts if len(part) > 1))
