"""The picture of what dimensions cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .style import ACCENT, GREY, HEAD, TAIL, blank, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..solvers.points.dimensions import DimensionCosts


def plot_dimensions(costs: DimensionCosts, path: str | Path | None = None) -> Figure:
    """A figure of the loss above its floor against the dimension: reached, proved below it, and the optimum of any.

    Args:
        costs: what `dimension_costs` returned.
        path: where to save it as well: .png, .pdf or .svg.

    Raises:
        ProblemError: a path of another kind.
    """
    figure = blank(path, (7.6, 5.2), 150)
    axes, solution = figure.subplots(), costs.solution
    floor = solution.value - costs.excess
    dims = [one.dim for one in costs.embeddings]
    axes.plot(dims, [one.value - floor for one in costs.embeddings], "o-", color=HEAD, label="reached")
    bounds = [max(one.bound_in_dimension - floor, 0.0) for one in costs.embeddings]
    axes.plot(dims, bounds, "v--", color=TAIL, label="proved: no embedding in so many goes below")
    axes.axhline(costs.excess, color=GREY, linestyle=":", label=f"optimum of any dimension (rank {solution.rank})")
    needed = costs.needed()
    if needed is not None:
        axes.axvline(needed, color=ACCENT, linewidth=1.0, label=f"within 1 % of the optimum from {needed} on")
    axes.set(xscale="log", yscale="log", xlabel="dimensions", ylabel="loss above its floor (nats)")
    axes.set_xticks(dims, [str(dim) for dim in dims])
    axes.minorticks_off()
    axes.set_title(f"{solution.objective.name}, temperature {solution.objective.temperature:g}", fontsize=10)
    axes.legend(fontsize=9)
    return saved(figure, path)
