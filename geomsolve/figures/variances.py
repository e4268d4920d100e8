"""The picture of within-class variance over alpha and temperature."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .style import check_suffix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..choosing.guidelines import VarianceMap

_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


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
    if path is not None:
        check_suffix(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 6.2), dpi=150, layout="constrained")
    draw_variance_map(figure.subplots(), variances, variance=variance)
    if path is not None:
        figure.savefig(path, format=Path(path).suffix[1:].lower())
    return figure


def draw_variance_map(axes: Axes, variances: VarianceMap, *, variance: float | None = None) -> None:
    """Draw the map into axes of a figure."""
    from matplotlib.ticker import FixedLocator, NullLocator

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
    boundary(axes, variances.critical, temperatures)
    wrong = ~variances.certified
    if wrong.any():
        y, x = np.nonzero(wrong)
        axes.plot(alphas[x], temperatures[y], "rx", markersize=5, label="not certified")
    axes.set(yscale="log", xlabel="α, the weight of the self-supervised part", ylabel="temperature τ")
    axes.set(xlim=(alphas[0], alphas[-1]) if len(alphas) > 1 else None)
    if len(temperatures) > 1:
        axes.set_ylim(temperatures[0], temperatures[-1])
        axes.yaxis.set_major_locator(FixedLocator([t for t in _TICKS if temperatures[0] <= t <= temperatures[-1]]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
    axes.set_title(f"How much of the variance stays within classes\n{variances.name}", fontsize=10)
    axes.legend(loc="upper left", framealpha=0.9)  # where, in most maps, all is collapsed


def boundary(axes: Axes, critical: NDArray[np.float64], temperatures: NDArray[np.float64]) -> None:
    """Draw the critical alpha; white under black, seen on dark and on light."""
    axes.plot(critical, temperatures, color="white", linewidth=5.0)
    axes.plot(critical, temperatures, color="black", linewidth=2.2, label="every class in one point, left of this")
