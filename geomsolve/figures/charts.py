"""Charts of comparisons: of losses, and of what dimensions cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .style import ACCENT, GREY, HEAD, TAIL, finish, picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..choosing.comparisons import Comparison
    from ..solvers.points.dimensions import DimensionCosts


@picture(13.5, 1.9, 130)
def plot_comparison(figure: Figure, found: Comparison) -> None:
    """Three panels, a line a loss: the nearest two classes, tail and head cosines, distance to the simplex."""
    rows = [row for row in found.losses if row.means is not None]
    places, simplex = np.arange(len(rows)), -1.0 / (found.counts.classes - 1.0)
    figure.set_figheight(1.9 + 0.42 * len(rows))
    left, middle, right = figure.subplots(1, 3, sharey=True)
    left.barh(places, [row.separation or 0.0 for row in rows], color=ACCENT, height=0.6)
    left.axvline(np.degrees(np.arccos(simplex)), color=GREY, linestyle="--", linewidth=1.5, label="regular simplex")
    classifiers = [row.classifier_separation for row in rows]
    if any(angle is not None for angle in classifiers):
        angles = [np.nan if angle is None else angle for angle in classifiers]
        left.plot(angles, places, "D", color=HEAD, markersize=6, label="two nearest classifiers or prototypes")
    left.set_yticks(places, [row.loss + ("" if row.certified else " (not certified)") for row in rows])
    left.invert_yaxis()
    for values, colour, marker, label in (
        ([row.tail_tail for row in rows], TAIL, "s", "two of the tail"),
        ([row.head_tail for row in rows], HEAD, "o", "one of head, one of tail"),
    ):
        shown = [np.nan if value is None else value for value in values]
        middle.plot(shown, places, marker, color=colour, markersize=8, label=label)
    middle.axvline(simplex, color=GREY, linestyle="--", linewidth=1.5)
    distances = [row.simplex_distance or 0.0 for row in rows]
    right.barh(places, distances, color=TAIL, height=0.6)
    finish(left, title="Angle of the two nearest classes", xlabel="degrees", xlim=(0, None))
    finish(middle, title="Mean cosine", xlabel="cosine")
    words = "root mean square over pairs, in units of cosine"
    limit = None if max(distances) > 0 else (0, 1)
    finish(right, title="Distance from the regular simplex", xlabel=words, xlim=limit)
    figure.suptitle(f"{found.counts.name} ({found.counts.classes} classes), temperature {found.temperature:g}")
    figure.legend(loc="outside lower center", ncols=4)


@picture(7.6, 5.2, 150)
def plot_dimensions(figure: Figure, costs: DimensionCosts) -> None:
    """A figure of the loss above its floor against the dimension: reached, proved below it, and the optimum of any."""
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
