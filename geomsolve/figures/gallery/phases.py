"""Phase diagrams of minority collapse."""

from __future__ import annotations

import math
from typing import Any

from ...arrays import Progress
from ...collapse.phases import PhaseDiagram, phase_diagram
from ...collapse.two_levels import Builder, two_level_counts
from ...objectives.classes.gcl import GCL
from ...objectives.classes.supcon import SupCon
from ...solvers.solving import solve
from ..maps import draw_phases
from .pages import Picture, Row, proof, quality, quiet
from .thresholds import SAMPLINGS

# What is varied beside the ratio, over which span, the loss's other options, and these in words.
_PLANES: tuple[tuple[str, tuple[float, float], Row, str], ...] = (
    ("temperature", (0.3, 3.0), {"negatives": math.inf}, "infinitely many negatives"),
    ("negatives", (1.0, 1024.0), {"temperature": 1.0, "normalization": "sum"}, "summed over negatives, temperature 1"),
)


def phase_diagrams(*, grid: tuple[int, int] = (41, 25), progress: Progress = quiet) -> Picture:
    """The cosine of two minority classes over ratio and temperature or negatives, with the boundary of collapse."""
    drawn: list[tuple[str, PhaseDiagram]] = []
    rows: list[Row] = []
    for over, span, options, words in _PLANES:
        for sampling in SAMPLINGS:
            plane: Row = {"over": over, "span": span, "grid": grid, "progress": progress}
            found, points = _charted(GCL, plane, {**options, "sampling": sampling})
            drawn.append((f"{sampling}, {words}", found))
            rows += [{"sampling": sampling, **point} for point in points]
    picture = Picture("Where the minority collapses: 1 majority and 9 minority classes, InfoNCE", rows, (13, 9.5))
    for axes, (words, diagram) in zip(picture.figure.subplots(2, 2).flat, drawn, strict=True):
        draw_phases(axes, diagram)
        axes.set_title(words, fontsize=11)
    return picture


def collapse_window(*, grid: tuple[int, int] = (41, 33), progress: Progress = quiet) -> Picture:
    """SupCon with two majority classes over ratio and temperature: collapse that ends as the temperature rises."""
    plane: Row = {"ratios": (1.0, 3000.0), "span": (0.2, 3.0), "grid": grid, "progress": progress}
    diagram, rows = _charted(SupCon, plane, {}, majority=2, minority=5, per_class=20.0)
    picture = Picture("Collapse that ends as the temperature rises: SupCon, 2 majority classes", rows, (8.4, 6.2))
    axes = picture.figure.subplots()
    draw_phases(axes, diagram)
    axes.set_title("5 minority classes of 20 examples, two views", fontsize=11)
    return picture


def _charted(
    builder: Builder, plane: Row, options: Row, majority: int = 1, minority: int = 9, per_class: float | None = None
) -> tuple[PhaseDiagram, list[Row]]:
    """A diagram, and as rows its grid and the points of its boundary, solved and certified like those of the grid."""
    classes: dict[str, Any] = {"majority": majority, "minority": minority, "per_class": per_class}
    diagram, rows = phase_diagram(builder, **plane, **classes, **options), []
    over = diagram.over
    for row in diagram.rows():
        told = {"minority_cosine": row["minority_cosine"], "between_cosine": row["cross_cosine"]}
        told |= {"relative_gap": row["relative_gap"], "quality": quality(row["certified"])}
        rows.append({"over": over, "kind": "grid", "ratio": row["ratio"], "value": row[over], **told})
    for ratio, value in (point for curve in diagram.boundary for point in curve.tolist()):
        counts = two_level_counts(majority, minority, ratio, per_class)
        found = solve(builder(counts, **options, **{over: value}), throw=False)
        told = {"minority_cosine": found.orbits.within[1], "between_cosine": found.orbits.between[0, 1]}
        rows.append({"over": over, "kind": "boundary", "ratio": ratio, "value": value, **told, **proof(found)})
    return diagram, rows


DRAWN = (phase_diagrams, collapse_window)
