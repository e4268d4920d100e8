"""The optimal Gram matrices of real class counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arrays import Progress
from ...counts.sources import load_counts
from ...objectives.classes.supcon import SupCon
from ...solvers.solving import solve
from ..atoms import raster
from ..heat_maps import colour_bar, even, heat_map
from .pages import Picture, Row, page, proof, quiet

PROFILES = (
    "inaturalist2018",
    "lvis_v1_instance_count",
    "imagenet_lt",
    "places_lt",
    "cifar100_lt:100",
    "cifar10_lt:100",
    "isic2019",
)
_PIXELS = 100  # the side of a drawn matrix at most: more would not be seen in panels of this size
_COLUMNS = 4
_TEMPERATURE = 0.1


def long_tails(*, names: Sequence[str] = PROFILES, progress: Progress = quiet) -> Picture:
    """Certified Gram matrices of the built-in profiles under SupCon, classes sorted by count."""
    rows: list[Row] = []
    drawn = []
    for name in names:
        progress(name)
        counts = load_counts(name)
        solution = solve(SupCon(counts, temperature=_TEMPERATURE), throw=False, progress=progress)
        image, ranks = raster(solution.orbits, _PIXELS), even(counts.classes, _PIXELS)
        sizes, proved = np.sort(counts.per_class)[::-1][ranks], proof(solution)
        drawn.append((counts, image))
        for a, b in zip(*np.triu_indices(len(image)), strict=True):
            pair = {"rank": int(ranks[a]) + 1, "other_rank": int(ranks[b]) + 1, "count": float(sizes[a])}
            pair |= {"other_count": float(sizes[b]), "cosine": float(image[a, b])}
            rows.append({"profile": name, **pair, **proved})
    lines = -(-(len(names) + 1) // _COLUMNS)
    title = f"Optimal Gram matrices under SupCon at temperature {_TEMPERATURE:g}, against class rank (largest first)"
    figure = page(title, rows, (14, 0.5 + 3.75 * lines))
    panels = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes, (counts, image) in zip(panels, drawn, strict=False):
        shown = heat_map(axes, image, counts.classes, pale=True, fontsize=6.5)
        words = f"{counts.classes} classes of {counts.distinct[0]:g} to {counts.distinct[-1]:g}"
        axes.set_title(f"{counts.name}\n{words}", fontsize=11)
    last = panels[len(names)]
    colour_bar(last.inset_axes((0.05, 0.0, 0.09, 1.0)), shown, pale=True)
    last.text(0.45, 0.5, "colours are linear\nto ±0.02, logarithmic\nbeyond", transform=last.transAxes, va="center")
    return Picture(figure, rows)
