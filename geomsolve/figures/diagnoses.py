"""Pictures of diagnoses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from .heat_maps import colour_bar, even, heat_map, is_pale
from .style import ACCENT, FEW, GREY, HEAD, TAIL, finish, name_ticks, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..training.diagnosis import Diagnosis

_PIXELS = 400  # the heat maps' side at most
_BARS = 60  # above so many classes, dots in place of bars
_DOTS = 3000  # above so many pairs of classes, their density in place of dots


@picture(16, 10, 120)
def plot_diagnosis(figure: Figure, found: Diagnosis) -> None:
    """A page of five panels: cosines of class means, measured and optimal and against each other; SAA and CAC; spectra.

    Classes are sorted by count, largest first. Without an objective the regular simplex stands for the optimum.
    """
    order = np.argsort(-found.counts.per_class, kind="stable")
    labels = found.labels
    names = [str(labels[c]) for c in order]
    measured = found.collapse.cosines[np.ix_(order, order)]
    best, what = (len(order) * np.eye(len(order)) - 1.0) / (len(order) - 1.0), "regular simplex"
    if found.optimum is not None:
        best, what = found.optimum.best[np.ix_(order, order)], "optimum"
    panels: Any = figure.subplot_mosaic([["measured", "best", "pairs"], ["bars", "bars", "spectrum"]])
    off = ~np.eye(len(order), dtype=bool)
    pale = is_pale(np.append(measured[off], best[off]), len(order))
    shown = np.ix_(*[even(len(order), _PIXELS)] * 2)
    for key, cosines, title in (("measured", measured, "class means, measured"), ("best", best, f"the {what}")):
        axes, low, high = panels[key], cosines[off].min(), cosines[off].max()
        image = heat_map(axes, cosines[shown], len(order), pale=pale)
        axes.set_title(f"Cosines of {title}")
        axes.set_xlabel(f"class by count, largest first (cosines {low:.3g} to {high:.3g})")
        for axis in (axes.xaxis, axes.yaxis):
            name_ticks(axis, names, 30, FEW)
    colour_bar(panels["best"].inset_axes((1.03, 0.0, 0.05, 1.0)), image, pale=pale)
    pairs = np.triu_indices(len(order), 1)
    _pairs(panels["pairs"], measured[pairs], best[pairs], what)
    _bars(panels["bars"], found, order, names)
    _spectrum(panels["spectrum"], found, measured, best, what)
    figure.suptitle(_title(found), fontsize=14)


def _title(found: Diagnosis) -> str:
    samples, optimum = found.samples, found.optimum
    first = found.verdict.value[:1].upper() + found.verdict.value[1:]
    views = f" x {samples.views} views" if samples.views > 1 else ""
    second = f"{len(samples.classes)} classes, {samples.counts.sum():,} samples{views}"
    if optimum is None:
        return f"{first}\n{second}"
    quality = optimum.solution.quality.value
    return f"{first}\n{second}; {quality} at temperature {optimum.temperature:g}: {optimum.summary}"


def _pairs(axes: Axes, measured: Array, best: Array, what: str) -> None:
    low, high = min(measured.min(), best.min()), max(measured.max(), best.max())
    room = 0.05 * max(high - low, 0.02)
    axes.axline((0.0, 0.0), slope=1.0, color=GREY, linestyle="--", linewidth=1.5, label=f"as the {what}")
    if len(best) > _DOTS:
        dots = axes.hexbin(best, measured, bins="log", mincnt=1)
        axes.figure.colorbar(dots, cax=axes.inset_axes((1.03, 0.0, 0.05, 1.0)), label="pairs of classes")
    else:
        axes.plot(best, measured, "o", color=TAIL, markersize=6, alpha=0.6, label="a pair of classes")
    axes.set(xlim=(low - room, high + room), ylim=(low - room, high + room), aspect="equal")
    words = {"xlabel": f"cosine at the {what}", "ylabel": "measured cosine"}
    finish(axes, title="Pairs of classes", **words)
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)
    axes.locator_params(nbins=6)


def _bars(axes: Axes, found: Diagnosis, order: NDArray[np.intp], names: list[str]) -> None:
    places = np.arange(1, len(order) + 1)
    local = found.local
    shown = [(f"CAC (share of own class among {local.reach} neighbours)", local.cac[order], ACCENT)]
    if found.samples.views > 1:
        shown.insert(0, ("SAA (nearest is another view)", local.saa[order], HEAD))
    width = 0.8 / len(shown)
    for place, (label, values, colour) in enumerate(shown):
        if len(order) <= _BARS:
            shift = (place - (len(shown) - 1) / 2.0) * width
            axes.bar(places + shift, np.nan_to_num(values), width, color=colour, label=label)
        else:
            axes.plot(places, values, ".", color=colour, markersize=5, alpha=0.7, label=label)
    edges = np.append(places - 0.5, places[-1] + 0.5)
    for values, style, label in (
        (local.cac_limit[order], "--", "the most CAC can be"),
        (local.cac_chance[order], ":", "CAC by chance"),
    ):
        axes.stairs(values, edges, baseline=None, color="black", linewidth=1.5, linestyle=style, label=label)
    axes.set(title="Neighbourhoods by class", xlabel="class by count, largest first", ylabel="percent", ylim=(0, 105))
    axes.set_xlim(0.4, len(order) + 0.6)
    name_ticks(axes.xaxis, names, 80, FEW)
    axes.grid(alpha=0.25, axis="y")
    axes.set_axisbelow(True)
    axes.legend(fontsize=9, loc="lower center", bbox_to_anchor=(0.5, 1.06), ncols=4, frameon=False)


def _spectrum(axes: Axes, found: Diagnosis, measured: Array, best: Array, what: str) -> None:
    floor = 1e-4
    lines = (
        ("all embeddings", found.collapse.singular_values, TAIL, "-"),
        ("class means", np.sqrt(np.maximum(np.linalg.eigvalsh(measured)[::-1], 0.0)), HEAD, "-"),
        (f"class means, {what}", np.sqrt(np.maximum(np.linalg.eigvalsh(best)[::-1], 0.0)), "black", "--"),
    )
    for label, values, colour, style in lines:
        kept = values[values > floor * values[0]] / values[0]
        marker = None if len(kept) > 30 else "o" if style == "-" else "x"
        axes.plot(np.arange(1, len(kept) + 1), kept, style, color=colour, linewidth=2, marker=marker, label=label)
    title = f"Singular values (effective rank {found.collapse.effective_rank:.1f})"
    words = {"title": title, "xlabel": "rank", "ylabel": "over the largest"}
    finish(axes, "lower left", ranks=True, yscale="log", ylim=(floor, 2.0), **words)
