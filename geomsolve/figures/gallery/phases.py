"""Phase diagrams of minority collapse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...arrays import Progress
from ...collapse.phases import PhaseDiagram, phase_diagram
from ...collapse.two_levels import Builder, two_level_counts
from ...objectives.classes.gcl import GCL
from ...objectives.classes.supcon import SupCon
from ...solvers.solution import Quality
from ...solvers.solving import solve
from ..maps import draw_class_table, draw_phases
from .pages import Picture, Row, page, proof, quiet
from .thresholds import threshold_row

SAMPLINGS = ("supervised", "unsupervised")
# What is varied beside the ratio, over which span, the loss's other options, and these in words.
_PLANES: tuple[tuple[str, tuple[float, float], dict[str, Any], str], ...] = (
    ("temperature", (0.3, 3.0), {"negatives": math.inf}, "infinitely many negatives"),
    (
        "negatives",
        (1.0, 1024.0),
        {"temperature": 1.0, "normalization": "sum"},
        "summed over negatives, temperature 1",
    ),
)


def phase_diagrams(*, grid: tuple[int, int] = (41, 25), progress: Progress = quiet) -> Picture:
    """The cosine of two minority classes over ratio and temperature or negatives, with the boundary of collapse."""
    drawn: list[tuple[str, PhaseDiagram]] = []
    rows: list[Row] = []
    for over, span, options, words in _PLANES:
        for sampling in SAMPLINGS:
            settings = {**options, "sampling": sampling}
            found = phase_diagram(GCL, over=over, span=span, grid=grid, progress=progress, **settings)
            drawn.append((f"{sampling}, {words}", found))
            rows += [{"sampling": sampling, **row} for row in _rows(found, GCL, 1, 9, None, settings)]
    title = "Where the minority collapses: 1 majority and 9 minority classes, InfoNCE"
    figure = page(title, rows, (13, 9.5))
    for axes, (words, diagram) in zip(figure.subplots(2, 2).flat, drawn, strict=True):
        draw_phases(axes, diagram)
        axes.set_title(words, fontsize=11)
    return Picture(figure, rows)


def collapse_window(*, grid: tuple[int, int] = (41, 33), progress: Progress = quiet) -> Picture:
    """SupCon with two majority classes over ratio and temperature: collapse that ends as the temperature rises."""
    classes: dict[str, Any] = {"majority": 2, "minority": 5, "per_class": 20.0}
    spans: dict[str, Any] = {"ratios": (1.0, 3000.0), "span": (0.2, 3.0)}
    diagram = phase_diagram(SupCon, **classes, **spans, grid=grid, progress=progress)
    rows = _rows(diagram, SupCon, 2, 5, 20.0, {})
    figure = page("Collapse that ends as the temperature rises: SupCon, 2 majority classes", rows, (8.4, 6.2))
    axes = figure.subplots()
    draw_phases(axes, diagram)
    axes.set_title("5 minority classes of 20 examples, two views", fontsize=11)
    return Picture(figure, rows)


def _rows(
    diagram: PhaseDiagram, builder: Builder, majority: int, minority: int, examples: float | None, settings: Row
) -> list[Row]:
    """The grid, and the points of the boundary solved and certified like those of the grid."""
    over, rows = diagram.over, []
    for row in diagram.rows():
        quality = Quality.CERTIFIED if row["certified"] else Quality.UNCERTIFIED
        told = {"minority_cosine": row["minority_cosine"], "between_cosine": row["cross_cosine"]}
        told |= {"relative_gap": row["relative_gap"], "quality": quality.value}
        rows.append({"over": over, "kind": "grid", "ratio": row["ratio"], "value": row[over], **told})
    for ratio, value in (point for curve in diagram.boundary for point in curve.tolist()):
        counts = two_level_counts(majority, minority, ratio, examples)
        found = solve(builder(counts, **{**settings, over: value}), throw=False)
        told = {"minority_cosine": found.orbits.within[1], "between_cosine": found.orbits.between[0, 1]}
        rows.append({"over": over, "kind": "boundary", "ratio": ratio, "value": value, **told, **proof(found)})
    return rows


def critical_ratios(
    *,
    majorities: tuple[int, ...] = (1, 2, 3, 4),
    minorities: tuple[int, ...] = tuple(range(2, 11)),
    progress: Progress = quiet,
) -> Picture:
    """The critical ratio for every number of majority and minority classes, with one unsupervised negative."""
    settings: dict[str, Any] = {"negatives": 1, "sampling": "unsupervised", "temperature": 1.0}
    rows: list[Row] = []
    for majority in majorities:
        for minority in minorities:
            progress(f"{majority} majority and {minority} minority classes")
            row = {"majority": majority, "minority": minority, **threshold_row(minority, majority, **settings)}
            if row["threshold"] is None:  # apart at any ratio, so at a large one
                far = solve(GCL(two_level_counts(majority, minority, 1e6), **settings), throw=False)
                proved = far.ok and far.orbits.within[1] < 1.0 - 1e-8
                quality = Quality.CERTIFIED if proved else Quality.UNCERTIFIED
                row |= {"relative_gap": far.certificate.relative_gap, "quality": quality.value}
            rows.append(row)
    table = np.array([(row["majority"], row["minority"], row["threshold"]) for row in rows], dtype=float)
    figure = page("Critical imbalance ratio: InfoNCE, one unsupervised negative, temperature 1", rows, (7.6, 5.6))
    draw_class_table(figure.subplots(), table)
    return Picture(figure, rows)
