"""Pictures of comparisons of losses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .style import ACCENT, GREY, HEAD, TAIL, blank, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..choosing.comparisons import Comparison


def plot_comparison(found: Comparison, path: str | Path | None = None) -> Figure:
    """A figure of three panels, a line a loss: the nearest two classes, tail and head cosines, distance to the simplex.

    Args:
        found: what `compare` returned.
        path: where to save it as well: .png, .pdf or .svg.

    Raises:
        ProblemError: a path of another kind.
    """
    rows = [row for row in found.losses if row.means is not None]
    names = [row.loss + ("" if row.certified else " (not certified)") for row in rows]
    places = np.arange(len(rows))
    simplex = -1.0 / (found.counts.classes - 1.0)
    figure = blank(path, (13.5, 1.9 + 0.42 * len(rows)), 130)
    left, middle, right = figure.subplots(1, 3, sharey=True)
    for axes in (left, middle, right):
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
    left.barh(places, [row.separation or 0.0 for row in rows], color=ACCENT, height=0.6)
    left.axvline(np.degrees(np.arccos(simplex)), color=GREY, linestyle="--", linewidth=1.5, label="regular simplex")
    classifiers = [row.classifier_separation for row in rows]
    if any(angle is not None for angle in classifiers):
        angles = [np.nan if angle is None else angle for angle in classifiers]
        left.plot(angles, places, "D", color=HEAD, markersize=6, label="two nearest classifiers or prototypes")
    left.set(title="Angle of the two nearest classes", xlabel="degrees", xlim=(0, None))
    left.set_yticks(places, names)
    left.invert_yaxis()
    for values, colour, marker, label in (
        ([row.tail_tail for row in rows], TAIL, "s", "two of the tail"),
        ([row.head_tail for row in rows], HEAD, "o", "one of head, one of tail"),
    ):
        shown = [np.nan if value is None else value for value in values]
        middle.plot(shown, places, marker, color=colour, markersize=8, label=label)
    middle.axvline(simplex, color=GREY, linestyle="--", linewidth=1.5)
    middle.set(title="Mean cosine", xlabel="cosine")
    distances = [row.simplex_distance or 0.0 for row in rows]
    right.barh(places, distances, color=TAIL, height=0.6)
    right.set(title="Distance from the regular simplex", xlabel="root mean square over pairs, in units of cosine")
    if max(distances) <= 0:
        right.set_xlim(0, 1)
    figure.suptitle(f"{found.counts.name} ({found.counts.classes} classes), temperature {found.temperature:g}")
    figure.legend(loc="outside lower center", ncols=4)
    return saved(figure, path)
