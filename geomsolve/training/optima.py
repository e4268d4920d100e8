"""The certified optimum of a loss as class means see it, and the distance of measured class means from it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Progress
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective
from ..objectives.logits.cross_entropy import CrossEntropy
from ..solvers.logits.logit_solution import LogitSolution
from ..solvers.points.embedding import embed
from ..solvers.solution import Solution
from ..solvers.solving import solve
from .exports import Source, class_part, class_points, gram_of, loss_of, name_of, proof_of
from .verdicts import PREDICTED, Optimal, OptimumDistance, groups

# Of cosines of classes in one point.
_ONE_POINT = 1e-8


@dataclass(frozen=True, eq=False)
class Optimum:
    """The optimum of a loss as class means see it. See `optimum_of`.

    Attributes:
        solution: the optimum with what is proved of it.
        cosines: (C, C) of class means, in the caller's order.
        spread: (C,) 1 - the cosine of two examples of a class.
        value: the loss of this geometry.
        dim: the coordinates it needs, or was confined to.
        rank: those it needs.
    """

    solution: Optimal
    cosines: Array = field(repr=False)
    spread: Array = field(repr=False)
    value: float
    dim: int
    rank: int

    def distance(
        self,
        cosines: Array,
        seen: NDArray[np.intp] | None = None,
        factor: float = 1.0,
        scores: Array | None = None,
    ) -> OptimumDistance:
        """The distance of measured cosines of class means, and of `scores`, both as in `ClassMeans`.

        `seen` are the classes they are of; None: all, in order. With some alone the loss is not known. Losses are
        multiplied by `factor`.
        """
        source, objective = self.solution, loss_of(self.solution)
        if seen is None:
            seen = np.arange(len(self.cosines))
        best = self.cosines[np.ix_(seen, seen)]
        off = cosines - best
        np.fill_diagonal(off, 0.0)
        pair = np.unravel_index(int(np.argmax(np.abs(off))), off.shape)
        per_class = np.sqrt(np.sum(off**2, axis=1) / (len(off) - 1.0))
        measured = collapsed = least = np.nan
        whole, nc3 = len(best) == len(self.cosines), None
        if isinstance(source, LogitSolution) and scores is not None and whole:
            wanted = (source.logits / source.feature_norms)[np.ix_(seen, seen)]
            nc3 = float(np.linalg.norm(scores - wanted / np.linalg.norm(wanted)))
        if isinstance(source, Solution) and whole and source.objective.description.atoms == "class means":
            ordered, orbits = np.empty_like(cosines), objective.orbits
            ordered[np.ix_(seen, seen)] = cosines
            measured = source.objective.ungrouped().excess(OrbitGram.from_matrix(ordered, orbits))
            collapsed = source.objective.excess(OrbitGram(orbits, np.ones((len(orbits.sizes),) * 2)))
            least = source.certificate.excess
        above = self.value - source.value  # of the best geometry in fewer dimensions
        excess, room, gap = measured - least - above, collapsed - least - above, proof_of(source).gap
        return OptimumDistance(
            solution=source,
            loss=name_of(source),
            temperature=getattr(source, "temperature", objective.temperature),
            gap=gap,
            rank=self.rank,
            best=best,
            best_value=factor * self.value,
            dim=self.dim,
            factor=factor,
            value=factor * (objective.floor + measured),
            excess=factor * excess,
            excess_bound=factor * (measured - least + gap),
            collapsed_value=factor * (objective.floor + collapsed),
            level=excess / room if room > 0 else np.nan,
            rms=float(np.sqrt(np.mean(per_class**2))),
            worst=float(np.abs(off).max()),
            worst_pair=(int(min(pair)), int(max(pair))),
            per_class=per_class,
            spread=self.spread[seen],
            collapse=groups(best >= PREDICTED),
            collapsed=groups(best >= 1.0 - _ONE_POINT),
            nc3=nc3,
        )


def optimum_of(
    source: Source,
    dim: int | None = None,
    *,
    tol: float = 1e-9,
    progress: Progress | None = None,
) -> Optimum:
    """The optimum, proved by `solve`; in `dim` coordinates, if its rank is above them, where descent ended.

    What is not certified to the relative gap `tol` is taken all the same, and says so.
    """
    if isinstance(source, (Objective, CrossEntropy)):
        source = solve(source, tol=tol, throw=False, progress=progress)
    objective = loss_of(source)
    kind, gram, spread = class_part(objective, gram_of(source, None), None)
    rank = source.rank if isinstance(source, Solution) else gram.rank()
    # Below its rank nobody knows the optimum of fixed targets: class means are held against that of any dimension.
    if dim is None or dim >= rank or not isinstance(source, Solution):
        return Optimum(source, gram.expand(), spread, source.value, rank, rank)
    embedding = embed(source, dim, bound=False, progress=progress)
    points = class_points(objective, embedding, kind)
    return Optimum(source, points @ points.T, spread, embedding.value, dim, rank)
