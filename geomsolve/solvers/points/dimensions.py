"""What a number of coordinates costs: the loss reached in every dimension asked for, and what is proved of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...arrays import Progress
from ...errors import ProblemError
from ...results import Result
from ...text import table
from .embedding import Embedding, bounded, check_dim, check_seconds, embed

if TYPE_CHECKING:
    from ..solution import Solution


@dataclass(frozen=True, eq=False, repr=False)
class DimensionCosts(Result):
    """Embeddings of one solution in several dimensions.

    Attributes:
        solution: the optimum of any dimension.
        embeddings: one a dimension, fewest coordinates first.
    """

    solution: Solution
    embeddings: tuple[Embedding, ...]

    @property
    def excess(self) -> float:
        """The loss of the optimum of any dimension above the loss's floor."""
        return self.solution.certificate.excess

    def cost(self, embedding: Embedding) -> float:
        """By what share of its excess above the floor the loss is higher than that of the optimum of any dimension."""
        return max(0.0, embedding.value - self.solution.value) / self.excess

    def needed(self, share: float = 0.01) -> int | None:
        """The fewest of the dimensions whose loss is above the optimum's by at most this share of its excess.

        None where it takes more than the largest of them. An upper bound: a better embedding may need fewer.
        """
        good = [one.dim for one in self.embeddings if self.cost(one) <= share]
        return min(*good, max(self.solution.rank, 1)) if good else None

    @property
    def ok(self) -> bool:
        """Whether the optimum they are compared with is certified."""
        return self.solution.ok

    @property
    def summary(self) -> str:
        """What the first and the last dimension cost."""
        ends = dict.fromkeys((self.embeddings[0], self.embeddings[-1]))
        costs = ", ".join(f"{self.cost(one):.2%} in {one.dim}" for one in ends)
        return f"above the optimum of any dimension, as a share of its excess: {costs} dimensions"

    def to_dict(self) -> dict[str, Any]:
        """The costs as a dictionary, without points."""
        floor = self.solution.value - self.excess
        rows = [
            {
                **one.to_dict(), "exact": one.exact, "excess": one.value - floor, "above_optimum": self.cost(one),
                "excess_bound": one.bound_in_dimension - floor,
            }
            for one in self.embeddings
        ]  # fmt: skip
        needed = {f"{share:g}": self.needed(share) for share in (0.1, 0.01, 0.001)}
        return {"rank": self.solution.rank, "excess": self.excess, "dims": rows, "needed": needed}

    def lines(self) -> list[str]:
        """The costs as a table for people, and which dimension is enough."""
        floor = self.solution.value - self.excess
        rows = [("dimensions", "above the floor", "above the optimum", "proved at least", "seconds", "what it is")]
        for one in self.embeddings:
            cost = f"{self.cost(one):.2%}" if self.cost(one) >= 1e-6 else "0"
            rows.append(
                (str(one.dim), f"{one.value - floor:.7g}", cost, f"{one.bound_in_dimension - floor:.7g}",
                 f"{one.seconds:.1f}", one.how)
            )  # fmt: skip
        words = []
        for share in (0.1, 0.01, 0.001):
            dim = self.needed(share)
            words.append(f"{share:.1%}: {'more than these' if dim is None else dim}")
        return [
            f"What dimensions cost (the optimum of any dimension has rank {self.solution.rank})",
            *(f"  {line}" for line in table(rows)),
            f"  enough to be within so much of the optimum's excess above the floor: {', '.join(words)}",
        ]


def dimension_costs(
    solution: Solution,
    dims: Sequence[int],
    *,
    restarts: int | None = None,
    seed: int = 0,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> DimensionCosts:
    """What every one of some dimensions costs, compared with the optimum of any dimension.

    From the largest to the smallest; each has the embedding before it, cut to its leading axes, among its starts.

    Args:
        solution: from `solve`.
        dims: numbers of coordinates.
        restarts: starts in a dimension; None: as in `embed`.
        seed: of the starts.
        seconds: of the descents in all dimensions together; each may use an equal share of what is left. The bounds
            come after them.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: no dimensions, or one below 1.

    Cost: that of `embed`, for each.
    """
    if not dims:
        raise ProblemError("dims: must be one dimension or more; got none (write 8,16,32)")
    for dim in dims:
        check_dim(dim, solution.geometry.atoms)
    check_seconds(seconds)
    end = None if seconds is None else time.perf_counter() + seconds
    found: list[Embedding] = []
    order = sorted(set(dims), reverse=True)
    for index, dim in enumerate(order):
        left = None if end is None else max((end - time.perf_counter()) / (len(order) - index), 1e-3)
        before = found[-1].points if found and not found[-1].exact else None
        options: dict[str, Any] = {"restarts": restarts, "seed": seed, "seconds": left, "start": before}
        found.append(embed(solution, dim, **options, bound=False, progress=progress))
        if found[-1].stopped == "interrupt":
            return DimensionCosts(solution, tuple(reversed(found)))
    objective = solution.objective.by_class()
    return DimensionCosts(solution, tuple(bounded(objective, one, progress) for one in reversed(found)))
