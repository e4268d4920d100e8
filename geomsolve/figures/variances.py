"""The picture of within-class variance over alpha and temperature."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .style import blank, boundary, mark_uncertified, plain_ticks, saved

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..choosing.guidelines import VarianceMap


def plot_variance_map(
    variances: VarianceMap, path: str | Path | None = None, *, variance: float | None = None
) -> Figure:
    """A figure of a variance map: the within-class variance as colour, and the boundary left of which classes collapse.

    Args:
        variances: what `variance_map` returned.
        path: where to save it as well: .png, .pdf or .svg.
        variance: a variance whose settings are drawn as a line.

    Raises:
        ProblemError: a path of another kind.
    """
    figure = blank(path, (8.4, 6.2), 150)
    draw_variance_map(figure.subplots(), variances, variance=variance)
    return saved(figure, path)


def draw_variance_map(axes: Axes, variances: VarianceMap, *, variance: float | None = None) -> None:
    """Draw the map into axes of a figure."""
    alphas, temperatures, values = variances.alphas, variances.temperatures, variances.variance
    image = axes.pcolormesh(alphas, temperatures, values, cmap="cividis", vmin=0.0, vmax=1.0, shading="nearest")
    axes.figure.colorbar(image, ax=axes, label="within-class variance V")
    levels = [level for level in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9) if values.min() < level < values.max()]
    if len(alphas) > 1 and len(temperatures) > 1:
        if levels:
            lines = axes.contour(alphas, temperatures, values, levels, colors="white", linewidths=0.7, alpha=0.7)
            axes.clabel(lines, fmt="%g", fontsize=8)
        if variance is not None and values.min() < variance < values.max():
            axes.contour(alphas, temperatures, values, [variance], colors="#D55E00", linewidths=2.4)
            axes.plot([], [], color="#D55E00", linewidth=2.4, label=f"V = {variance:g}")
    boundary(axes, variances.critical, temperatures, "every class in one point, left of this")
    mark_uncertified(axes, alphas, temperatures, variances.certified)
    axes.set(yscale="log", xlabel="α, the weight of the self-supervised part", ylabel="temperature τ")
    axes.set(xlim=(alphas[0], alphas[-1]) if len(alphas) > 1 else None)
    if len(temperatures) > 1:
        axes.set_ylim(temperatures[0], temperatures[-1])
        plain_ticks(axes.yaxis, temperatures[0], temperatures[-1])
    axes.set_title(f"How much of the variance stays within classes\n{variances.name}", fontsize=10)
    axes.legend(loc="upper left", framealpha=0.9)  # where, in most maps, all is collapsed
