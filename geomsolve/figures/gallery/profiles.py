"""The optimal Gram matrices of real class counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arrays import Progress
from ...counts.sources import load_counts
from ...objectives.classes.supcon import SupCon
from ...solvers.solving import solve
from ..heat_maps import colour_bar, heat_map
from ..solutions import raster
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
    images = []
    for name in names:
        progress(name)
        counts = load_counts(name)
        solution = solve(SupCon(counts, temperature=_TEMPERATURE), throw=False, progress=progress)
        image = raster(solution.orbits, _PIXELS)
        images.append(image)
        ranks = ((np.arange(len(image)) + 0.5) * counts.classes / len(image)).astype(int)
        sizes = np.sort(counts.per_class)[::-1][ranks]
        proved = proof(solution)
        rows += [
            {
                "profile": name,
                "rank": int(ranks[a]) + 1,
                "other_rank": int(ranks[b]) + 1,
                "count": float(sizes[a]),
                "other_count": float(sizes[b]),
                "cosine": float(image[a, b]),
                **proved,
            }
            for a in range(len(image))
            for b in range(a, len(image))
        ]
    lines = -(-(len(names) + 1) // _COLUMNS)
    title = f"Optimal Gram matrices under SupCon at temperature {_TEMPERATURE:g}"
    figure = page(title, rows, (14, 0.5 + 3.75 * lines))
    panels = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
    for axes, name, image in zip(panels, names, images, strict=False):
        counts = load_counts(name)
        drawn = heat_map(axes, image, counts.classes, pale=True, fontsize=6.5)
        axes.set_title(
            f"{name}\n{counts.classes} classes of {counts.distinct[0]:g} to {counts.distinct[-1]:g}", fontsize=11
        )
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes in panels[: len(names) : _COLUMNS]:
        axes.set_ylabel("class rank")
    for axes in panels[max(0, len(names) - _COLUMNS) : len(names)]:
        axes.set_xlabel("class rank (largest count first)")
    last = panels[len(names)]
    colour_bar(last.inset_axes((0.05, 0.0, 0.09, 1.0)), drawn, pale=True)
    last.text(0.45, 0.5, "colours are linear\nto ±0.02, logarithmic\nbeyond", transform=last.transAxes, va="center")
    return Picture(figure, rows)
