"""Pictures of maps: phase diagrams, and the variance within classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .style import HEAD, boundary, mark_uncertified, picture, plain_ticks, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..choosing.guidelines import VarianceMap
    from ..collapse.phases import PhaseDiagram

_NAMES = {"temperature": "temperature τ", "negatives": "negatives per anchor k"}
_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@picture(8.4, 6.2, 150)
def plot_phases(figure: Figure, diagram: PhaseDiagram) -> None:
    """A figure of a phase diagram: the certified minority cosine as colour, the critical curve on it.

    For numbers of classes: the critical ratio of every pair as colour and number, "never" where there is none.
    """
    draw_phases(figure.subplots(), diagram)


def draw_phases(axes: Axes, diagram: PhaseDiagram) -> None:
    """Draw the diagram into axes of a figure."""
    if diagram.over == "classes":
        draw_class_table(axes, diagram.boundary[0])
        axes.set_title(f"Ratio from which the minority shares one point\n{diagram.name}", fontsize=10)
        return
    across, up, cosines = diagram.ratios, diagram.values, diagram.minority_cosine
    least = min(-1.0 / diagram.rank.max(), np.nanmin(cosines))
    image = axes.pcolormesh(_edges(across), _edges(up), cosines, cmap="cividis", vmin=least, vmax=1.0)
    axes.figure.colorbar(image, ax=axes, label="cosine of two minority classes (1: collapsed)")
    for number, curve in enumerate(diagram.boundary):
        boundary(axes, curve[:, 0], curve[:, 1], None if number else "critical ratio")
    y, x = np.nonzero(cosines >= 1.0 - 1e-8)
    if len(x):
        axes.plot(across[x], up[y], "ko", markersize=1.8, alpha=0.6, label="minority in one point")
    mark_uncertified(axes, across, up, diagram.certified)
    axes.set(xscale="log", yscale="log", xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
    axes.set(xlabel="imbalance ratio", ylabel=_NAMES[diagram.over])
    axes.set_title(f"Minority collapse\n{diagram.name}", fontsize=10)
    if diagram.over == "temperature":
        plain_ticks(axes.yaxis)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower left", framealpha=0.9)


def _edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cell edges, half-way in the logarithm."""
    logs = np.log(centres)
    middle = (logs[1:] + logs[:-1]) / 2.0
    return np.exp(np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))


def draw_class_table(axes: Axes, table: NDArray[np.float64]) -> None:
    """Draw critical ratios, rows (n_A, n_B, ratio) with NaN for never, as a map with numbers."""
    from matplotlib.colors import LogNorm

    heads, tails = np.unique(table[:, 0]), np.unique(table[:, 1])
    ratios = np.full((len(tails), len(heads)), np.nan)
    ratios[np.searchsorted(tails, table[:, 1]), np.searchsorted(heads, table[:, 0])] = table[:, 2]
    known = ratios[np.isfinite(ratios)]
    low, high = (known.min(), known.max()) if known.size else (1.0, 10.0)
    norm = LogNorm(low, max(high, 1.01 * low))
    axes.set_facecolor("#D9D9D9")
    image = axes.pcolormesh(heads, tails, ratios, cmap="cividis", norm=norm, shading="nearest", edgecolors="white")
    middle = np.sqrt(low * high)
    for (row, column), ratio in np.ndenumerate(ratios):
        text = "never" if np.isnan(ratio) else (f"{ratio:.3g}" if ratio < 1e4 else f"{ratio:.1e}")
        colour = "black" if np.isnan(ratio) or ratio > middle else "white"
        axes.text(float(heads[column]), float(tails[row]), text, ha="center", va="center", fontsize=8, color=colour)
    axes.figure.colorbar(image, ax=axes, label="critical imbalance ratio")
    axes.set(xlabel="majority classes $n_A$", ylabel="minority classes $n_B$")
    whole_ticks(axes.xaxis)
    whole_ticks(axes.yaxis)


@picture(8.4, 6.2, 150)
def plot_variance_map(figure: Figure, variances: VarianceMap, *, variance: float | None = None) -> None:
    """A figure of a variance map: the within-class variance as colour, and the boundary left of which classes collapse.

    With `variance`, the settings of that variance are drawn as a line.
    """
    axes = figure.subplots()
    alphas, temperatures, values = variances.alphas, variances.temperatures, variances.variance
    image = axes.pcolormesh(alphas, temperatures, values, cmap="cividis", vmin=0.0, vmax=1.0, shading="nearest")
    axes.figure.colorbar(image, ax=axes, label="within-class variance V")
    if min(values.shape) > 1:
        levels = [level for level in _LEVELS if values.min() < level < values.max()]
        if levels:
            lines = axes.contour(alphas, temperatures, values, levels, colors="white", linewidths=0.7, alpha=0.7)
            axes.clabel(lines, fmt="%g", fontsize=8)
        if variance is not None and values.min() < variance < values.max():
            axes.contour(alphas, temperatures, values, [variance], colors=HEAD, linewidths=2.4)
            axes.plot([], [], color=HEAD, linewidth=2.4, label=f"V = {variance:g}")
    boundary(axes, variances.critical, temperatures, "every class in one point, left of this")
    mark_uncertified(axes, alphas, temperatures, variances.certified)
    axes.set(yscale="log", xlabel="α, the weight of the self-supervised part", ylabel="temperature τ")
    if min(values.shape) > 1:
        axes.set(xlim=(alphas[0], alphas[-1]), ylim=(temperatures[0], temperatures[-1]))
        plain_ticks(axes.yaxis)
    axes.set_title(f"How much of the variance stays within classes\n{variances.name}", fontsize=10)
    axes.legend(loc="upper left", framealpha=0.9)  # where, in most maps, all is collapsed
