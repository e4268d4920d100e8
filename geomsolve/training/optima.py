"""The certified optimum of a loss as class means see it, and the distance of measured class means from it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Progress
from ..geometry.orbits import OrbitGram
from ..objectives.base import Objective
from ..solvers.ladder import solve
from ..solvers.solution import Solution
from .exports import class_part, class_points
from .verdicts import PREDICTED, OptimumDistance, groups

# Of cosines of classes in one point.
_ONE_POINT = 1e-8


@dataclass(frozen=True, eq=False)
class Optimum:
    """The optimum of a loss as class means see it. See `optimum_of`.

    Attributes:
        solution: the optimum with its certificate.
        cosines: (C, C) of class means, in the caller's order.
        spread: (C,) 1 - the cosine of two examples of a class.
        value: the loss of this geometry.
        dim: the coordinates it needs, or was confined to.
    """

    solution: Solution
    cosines: Array = field(repr=False)
    spread: Array = field(repr=False)
    value: float
    dim: int

    def distance(self, cosines: Array, seen: NDArray[np.intp] | None = None, factor: float = 1.0) -> OptimumDistance:
        """The distance of measured cosines of class means.

        Args:
            cosines: (C', C') of the classes seen: positive semidefinite, of unit diagonal.
            seen: (C',) which classes these are; None: all, in order. With some alone the loss is not known.
            factor: what losses are multiplied by.
        """
        objective, proof = self.solution.objective, self.solution.certificate
        if seen is None:
            seen = np.arange(len(self.cosines))
        best = self.cosines[np.ix_(seen, seen)]
        off = cosines - best
        np.fill_diagonal(off, 0.0)
        pair = np.unravel_index(int(np.argmax(np.abs(off))), off.shape)
        per_class = np.sqrt(np.sum(off**2, axis=1) / (len(off) - 1.0))
        measured = collapsed = np.nan
        if len(best) == len(self.cosines) and objective.description.atoms == "class means":
            whole = np.empty_like(cosines)
            whole[np.ix_(seen, seen)] = cosines
            measured = objective.ungrouped().excess(OrbitGram.from_matrix(whole, objective.orbits))
            collapsed = objective.excess(OrbitGram(objective.orbits, np.ones((len(objective.orbits.sizes),) * 2)))
        least = proof.excess + (self.value - proof.value)
        excess, room = measured - least, collapsed - least
        return OptimumDistance(
            solution=self.solution,
            best=best,
            best_value=factor * self.value,
            dim=self.dim,
            factor=factor,
            value=factor * (objective.floor + measured),
            excess=factor * excess,
            excess_bound=factor * (measured - proof.excess + proof.gap),
            collapsed_value=factor * (objective.floor + collapsed),
            level=excess / room if room > 0 else np.nan,
            rms=float(np.sqrt(np.mean(per_class**2))),
            worst=float(np.abs(off).max()),
            worst_pair=(int(min(pair)), int(max(pair))),
            per_class=per_class,
            spread=self.spread[seen],
            collapse=groups(best >= PREDICTED),
            collapsed=groups(best >= 1.0 - _ONE_POINT),
        )


def optimum_of(
    objective: Objective, dim: int | None = None, *, tol: float = 1e-9, progress: Progress | None = None
) -> Optimum:
    """The optimum, proved by `solve`; in `dim` coordinates, if its rank is above them, where descent ended.

    Args:
        objective: any loss whose atoms are listed by class.
        dim: of the embeddings.
        tol: the relative gap to certify. What is not certified is taken all the same, and says so.
        progress: called with a line of text.

    Cost: a solve; below the rank `Solution.embed` too.
    """
    solution = solve(objective, tol=tol, throw=False, progress=progress)
    kind, gram, spread = class_part(objective, solution.orbits, None)
    if dim is None or dim >= solution.rank:
        return Optimum(solution, gram.expand(), spread, solution.value, solution.rank)
    embedding = solution.embed(dim, progress=progress)
    points = class_points(objective, embedding, kind)
    return Optimum(solution, points @ points.T, spread, embedding.value, dim)
