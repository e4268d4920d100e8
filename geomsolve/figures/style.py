"""What every picture shares: colours, sizes, kinds of file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ProblemError
from ..lazy import package

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any kind of colour vision.
HEAD, TAIL, MEAN, ACCENT, GREY = "#D55E00", "#0072B2", "#000000", "#009E73", "#8C8C8C"
DIVERGING = "RdBu_r"
FEW = 12  # so many classes or points are labelled one by one
MANY = 60  # above so many classes lines lose their markers and ranks go on a log axis
_SUFFIXES = (".png", ".pdf", ".svg")


def check_suffix(path: str | Path) -> None:
    """Nothing, or a ProblemError unless the path names a kind of picture that can be saved."""
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise ProblemError(
            f"plot: must end in {', '.join(_SUFFIXES)}; got {str(path)[-60:]!r} (write a name such as out.png)"
        )


def blank(size: tuple[float, float], dpi: int, **pads: Any) -> Figure:
    """An empty figure; `pads` are those of the layout engine."""
    missing = "plot: needs matplotlib, which is not installed (pip install matplotlib)"
    engine = package("matplotlib.layout_engine", missing).ConstrainedLayoutEngine(**pads)
    figure: Figure = package("matplotlib.figure", missing).Figure(figsize=size, dpi=dpi, layout=engine)
    return figure


_Draw = Callable[..., None]
_Plot = Callable[..., Any]


def picture(width: float, height: float, dpi: int, **pads: Any) -> Callable[[_Draw], _Plot]:
    """Of a function that draws a result into a figure, one that makes the figure: `plot(result, path=None, **options)`.

    It saves the picture where a path is given: .png, .pdf or .svg, and a ProblemError for another kind.
    """

    def making(draw: _Draw) -> _Plot:
        @functools.wraps(draw)
        def plot(result: Any, path: str | Path | None = None, **options: Any) -> Figure:
            if path is not None:
                check_suffix(path)
            figure = blank((width, height), dpi, **pads)
            draw(figure, result, **options)
            if path is not None:
                figure.savefig(path, format=Path(path).suffix[1:].lower())
            return figure

        del plot.__wrapped__  # whose first argument is the figure  # type: ignore[attr-defined]
        return plot

    return making


def finish(axes: Axes, legend: Any = None, *, ranks: Any = False, **words: Any) -> None:
    """Words and scales, whole numbers across for `ranks`, a grid behind what is drawn, and a legend at that place."""
    axes.set(**words)
    if ranks:
        whole_ticks(axes.xaxis)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    if legend is not None:
        axes.legend(fontsize=9, framealpha=0.85, loc=legend)


def simplex_line(axes: Axes, classes: float, words: str = ", −1/(C−1)") -> None:
    """The cosine of the regular simplex as a dashed line."""
    axes.axhline(-1.0 / (classes - 1.0), color=GREY, linestyle="--", linewidth=1.5, label=f"regular simplex{words}")


def unit_circle(axes: Axes, **style: Any) -> None:
    """The circle on which class means lie."""
    angle = np.linspace(0.0, 2.0 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), **{"color": GREY, "linewidth": 1.0, **style})


def unit_sphere(axes: Any, zoom: float, view: tuple[float, float]) -> None:
    """A wire sphere in three-dimensional axes, without these."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, np.pi, 13))
    axes.plot_wireframe(np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v), color=GREY, linewidth=0.5, alpha=0.35)
    axes.set(xlim=(-0.8, 0.8), ylim=(-0.8, 0.8), zlim=(-0.8, 0.8))
    axes.set_box_aspect((1, 1, 1), zoom=zoom)
    axes.view_init(*view)
    axes.set_axis_off()


def mark_uncertified(axes: Axes, across: Any, up: Any, certified: Any) -> None:
    """Red crosses on a map where a point is not certified."""
    y, x = np.nonzero(~certified)
    if len(x):
        axes.plot(across[x], up[y], "rx", markersize=5, label="not certified")


def boundary(axes: Axes, across: Any, up: Any, label: str | None) -> None:
    """A boundary on a map; white under black, seen on dark and on light."""
    axes.plot(across, up, color="white", linewidth=5.0)
    axes.plot(across, up, color="black", linewidth=2.2, label=label)


def plain_ticks(axis: Any) -> None:
    """Ticks at 1, 2 and 5 of every decade of a logarithmic axis, written out."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=99))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda tick, _: f"{tick:g}")


def cut(name: str) -> str:
    """A name, or the start of a long one."""
    return name if len(name) <= 14 else f"{name[:12]}..."


def name_ticks(axis: Any, names: Sequence[str], room: int = 0, most: int = MANY) -> None:
    """The names of classes as ticks at 1, 2, ..., long ones cut, and upright where they need more `room` (characters).

    Ranks in place of names where there are more than `most`.
    """
    if len(names) > most:
        whole_ticks(axis)
        return
    shown = [*map(cut, names)]
    turned = axis.axis_name == "x" and len(names) * max(map(len, shown)) > room
    axis.set_ticks(range(1, len(names) + 1), shown, fontsize=max(4.0, 9.0 - len(names) / 12.0))
    axis.set_tick_params(rotation=90 if turned else 0)


def whole_ticks(axis: Any) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
