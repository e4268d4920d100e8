"""Heat maps of cosines, and the scale of their colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from .style import DIVERGING, FEW, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage


def even(total: int, most: int) -> NDArray[np.intp]:
    """Positions from 0 to total - 1, all of them or so many at even distances."""
    return np.arange(total) if total <= most else np.round(np.linspace(0, total - 1, most)).astype(int)


def is_pale(cosines: Array, atoms: float) -> bool:
    """Whether cosines are so small that a linear scale from -1 to 1 would show one pale colour."""
    return bool(atoms > FEW and np.abs(cosines).max() < 0.3)


def scale(pale: bool) -> Any:
    """From -1 to 1: linear, or with `pale`, for cosines that are all small, linear to 0.02 and logarithmic beyond."""
    from matplotlib.colors import Normalize, SymLogNorm

    return SymLogNorm(0.02, vmin=-1, vmax=1) if pale else Normalize(-1, 1)


def heat_map(axes: Axes, data: Array, atoms: int, *, pale: bool, fontsize: float = 8.0, first: int = 1) -> AxesImage:
    """Draw cosines of so many atoms, counted from `first`, with the numbers in it where they are few.

    Colours run from -1 to 1; with `pale` they are linear to 0.02 and logarithmic beyond.
    """
    norm = scale(pale)
    low, high = first - 0.5, first + atoms - 0.5
    edges = (low, high, high, low)
    image = axes.imshow(data, cmap=DIVERGING, norm=norm, extent=edges, interpolation="nearest")
    if atoms <= FEW:
        size = min(fontsize, 72.0 / atoms)
        for (row, column), cosine in np.ndenumerate(data):
            colour = "white" if abs(norm(cosine) - 0.5) > 0.3 else "black"
            text = f"{round(cosine, 2) + 0.0:.2f}"
            axes.text(column + first, row + first, text, ha="center", va="center", color=colour, fontsize=size)
    whole_ticks(axes.xaxis)
    whole_ticks(axes.yaxis)
    return image


def colour_bar(axes: Axes, image: AxesImage, *, pale: bool) -> None:
    """The colour bar of `heat_map`, in axes of its own."""
    ticks = (-1, -0.3, -0.1, -0.03, 0, 0.03, 0.1, 0.3, 1) if pale else (-1, -0.5, 0, 0.5, 1)
    bar = axes.figure.colorbar(image, cax=axes, label="cosine", ticks=ticks)
    bar.set_ticklabels([f"{x:g}" for x in ticks])


def draw_gram(axes: Axes, data: Array, atoms: int, cosines: Array, title: str, **style: Any) -> None:
    """A heat map on the scale that suits its cosines off the diagonal, which the title tells, with its colour bar."""
    pale = is_pale(cosines, atoms)
    image = heat_map(axes, data, atoms, pale=pale, **style)
    axes.set_title(f"{title} ({cosines.min():.3g} to {cosines.max():.3g})")
    colour_bar(axes.inset_axes((1.04, 0.0, 0.05, 1.0)), image, pale=pale)
