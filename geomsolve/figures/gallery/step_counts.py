"""Step counts as their ratio grows: cosines of class means, and the means on the sphere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import Array, Progress
from ...collapse.thresholds import threshold
from ...counts.counts import step_counts
from ...objectives.classes.gcl import GCL
from ...solvers.solving import solve
from ..spheres import draw_sphere, representatives, upright
from ..style import ACCENT, HEAD, TAIL, draw_lines, simplex_line
from .pages import Picture, Row, page, panels_of, proof, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MIXES = ((1, 9), (2, 8), (5, 5), (1, 3))
SAMPLINGS = ("supervised", "unsupervised")
RATIOS = tuple(np.geomspace(1.0, 1000.0, 81).tolist())
LINES = (
    ("minority_cosine", "two minority classes", TAIL, "-"),
    ("between_cosine", "one of each", ACCENT, "-."),
    ("majority_cosine", "two majority classes", HEAD, "--"),
)

_MINORITY = 3  # with one majority class: four means, which the sphere in three dimensions holds
_VIEW = (14.0, 12.0)  # the minority one in front and two beside it, none behind a line
PARTS = (("before", 0.5), ("at the threshold", 1.0), ("after", 2.0))


def step_cosines(gram: Array, majority: int) -> Row:
    """The cosines of two classes of either kind and of one of each, majority first."""
    return {
        "majority_cosine": float(gram[0, 1]) if majority > 1 else None,
        "between_cosine": float(gram[0, -1]),
        "minority_cosine": float(gram[-1, -2]),
    }


def cosines(
    *,
    mixes: Sequence[tuple[int, int]] = MIXES,
    ratios: Sequence[float] = RATIOS,
    progress: Progress = quiet,
) -> Picture:
    """Cosines against the ratio for several numbers of majority and minority classes, with their thresholds."""
    rows: list[Row] = []
    for sampling in SAMPLINGS:
        for majority, minority in mixes:
            progress(f"{sampling}, {majority} majority and {minority} minority classes")
            found = threshold(
                GCL, majority=majority, minority=minority, loss="logistic", sampling=sampling, certify=False
            )
            start = {"sampling": sampling, "majority": majority, "minority": minority}
            for ratio in ratios:
                counts = step_counts(majority, minority, 1.0, ratio)
                solution = solve(GCL(counts, loss="logistic", sampling=sampling), throw=False)
                told = {**start, "ratio": ratio, **step_cosines(solution.gram, majority), **proof(solution)}
                rows.append({**told, "threshold": found.value})
    figure = page(
        "Cosines of class means against imbalance (logistic loss, one negative, temperature 1)", rows, (14, 7)
    )
    panels = panels_of(figure, rows, ("sampling", SAMPLINGS), (("majority", "minority"), list(mixes)), _panel, 6)
    for axes, (majority, minority) in zip(panels[0], mixes, strict=True):
        axes.set_title(f"{majority} majority, {minority} minority", fontsize=11)
    for axes, sampling in zip(panels[:, 0], SAMPLINGS, strict=True):
        axes.set_ylabel(f"{sampling} negatives\ncosine")
    panels[0, 0].set(xscale="log", xlim=(min(ratios), max(ratios)), ylim=(-1.08, 1.08))
    return Picture(figure, rows)


def _panel(axes: Axes, rows: Sequence[Row]) -> None:
    draw_lines(axes, rows, "ratio", LINES)
    simplex_line(axes, rows[0]["majority"] + rows[0]["minority"])
    value = rows[0]["threshold"]
    if value is None:
        axes.text(0.5, 0.93, "never collapses", transform=axes.transAxes, ha="center", va="center")
    else:
        axes.axvline(value, color="black", linewidth=1.2, linestyle=(0, (1, 1)), label="threshold of collapse")
        axes.annotate(f"{value:.4f}", (value, 0.75), xytext=(5, 0), textcoords="offset points", va="center")


def collapse_sphere(*, parts: Sequence[tuple[str, float]] = PARTS, progress: Progress = quiet) -> Picture:
    """One majority and three minority class means in 3-D at given multiples of the threshold of collapse."""
    progress("the threshold")
    critical = threshold(GCL, majority=1, minority=_MINORITY, loss="logistic", certify=False).value
    if critical is None:
        raise ArithmeticError("one majority class has a threshold under the logistic loss; none was found")
    rows: list[Row] = []
    solutions = []
    for part, multiple in parts:
        progress(part)
        counts = step_counts(1, _MINORITY, 1.0, critical * multiple)
        solution = solve(GCL(counts, loss="logistic"), throw=False)
        solutions.append((counts, solution))
        points, orbits, totals = representatives(solution.orbits)
        rows += [
            {
                "part": part,
                "ratio": critical * multiple,
                "threshold": critical,
                "count": float(counts.distinct[orbit]),
                "classes": int(total),
                **dict(zip("zxy", point, strict=True)),
                **step_cosines(solution.gram, 1),
                **proof(solution),
            }
            for point, orbit, total in zip(upright(points).tolist(), orbits, totals, strict=True)
        ]
    title = (
        f"One majority class and {_MINORITY} minority classes, labelled by count "
        "(logistic loss, supervised negatives, temperature 1)"
    )
    figure = page(title, rows, (13, 5.2))
    panels = figure.subfigures(1, len(parts), squeeze=False)[0]
    for panel, (part, _), (counts, solution) in zip(panels, parts, solutions, strict=True):
        words = f"{part}: ratio {counts.imbalance_ratio:.4f}\nminority–minority cosine {solution.gram[-1, -2]:.4f}"
        draw_sphere(panel, solution.orbits, counts.distinct, "count", 3, title=words, view=_VIEW)
    return Picture(figure, rows)
