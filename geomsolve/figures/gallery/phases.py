"""Phase diagrams of minority collapse."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...arrays import Progress
from ...collapse.phases import PhaseDiagram, phase_diagram
from ...collapse.two_levels import two_level_counts
from ...objectives.base import Objective
from ...objectives.classes.gcl import GCL
from ...objectives.classes.supcon import SupCon
from ...solvers.solution import Quality
from ...solvers.solving import solve
from ..maps import draw_class_table, draw_phases
from .pages import Picture, Row, page, quiet
from .thresholds import threshold_row

SAMPLINGS = ("supervised", "unsupervised")
_MAJORITY, _MINORITY = 1, 9
# What is varied beside the ratio, over which span, and the loss's other options.
_PLANES: tuple[tuple[str, tuple[float, float], dict[str, Any]], ...] = (
    ("temperature", (0.3, 3.0), {"negatives": math.inf}),
    ("negatives", (1.0, 1024.0), {"temperature": 1.0, "normalization": "sum"}),
)


def phase_diagrams(*, grid: tuple[int, int] = (41, 25), progress: Progress = quiet) -> Picture:
    """The cosine of two minority classes over ratio and temperature or negatives, with the boundary of collapse."""
    diagrams: list[tuple[str, PhaseDiagram]] = []
    rows: list[Row] = []
    for over, span, options in _PLANES:
        for sampling in SAMPLINGS:
            settings = {**options, "sampling": sampling}
            found = phase_diagram(
                GCL,
                over=over,
                majority=_MAJORITY,
                minority=_MINORITY,
                ratios=(1.0, 1e3),
                span=span,
                grid=grid,
                progress=progress,
                **settings,
            )
            diagrams.append((sampling, found))
            rows += _rows({"over": over, "sampling": sampling}, found, functools.partial(_gcl, over, settings))
    title = f"Where the minority collapses: {_MAJORITY} majority and {_MINORITY} minority classes, InfoNCE"
    figure = page(title, rows, (13, 9.5))
    panels = figure.subplots(len(_PLANES), len(SAMPLINGS))
    for axes, (sampling, diagram) in zip(panels.flat, diagrams, strict=True):
        draw_phases(axes, diagram)
        others = (
            "infinitely many negatives" if diagram.over == "temperature" else "summed over negatives, temperature 1"
        )
        axes.set_title(f"{sampling}, {others}", fontsize=11)
    return Picture(figure, rows)


def _gcl(over: str, settings: dict[str, Any], ratio: float, value: float) -> Objective:
    return GCL(two_level_counts(_MAJORITY, _MINORITY, ratio), **{**settings, over: value})


def collapse_window(*, grid: tuple[int, int] = (41, 33), progress: Progress = quiet) -> Picture:
    """SupCon with two majority classes over ratio and temperature: collapse that ends as the temperature rises."""
    majority, minority, examples = 2, 5, 20.0
    diagram = phase_diagram(
        SupCon,
        majority=majority,
        minority=minority,
        per_class=examples,
        ratios=(1.0, 3000.0),
        span=(0.2, 3.0),
        grid=grid,
        progress=progress,
    )

    def problem(ratio: float, temperature: float) -> Objective:
        return SupCon(two_level_counts(majority, minority, ratio, examples), temperature=temperature)

    rows = _rows({"over": "temperature"}, diagram, problem)
    figure = page(f"Collapse that ends as the temperature rises: SupCon, {majority} majority classes", rows, (8.4, 6.2))
    axes = figure.subplots()
    draw_phases(axes, diagram)
    axes.set_title(f"{minority} minority classes of {examples:g} examples, two views", fontsize=11)
    return Picture(figure, rows)


def _rows(start: Row, diagram: PhaseDiagram, problem: Callable[[float, float], Objective]) -> list[Row]:
    """The grid, and the points of the boundary solved and certified like those of the grid."""
    columns = ("kind", "ratio", "value", "minority_cosine", "between_cosine", "relative_gap", "quality")
    points: list[tuple[Any, ...]] = []
    for (line, place), certified in np.ndenumerate(diagram.certified):
        where = float(diagram.ratios[place]), float(diagram.values[line])
        measured = diagram.minority_cosine, diagram.cross_cosine, diagram.relative_gap
        quality = Quality.CERTIFIED if certified else Quality.UNCERTIFIED
        points.append(("grid", *where, *(float(field[line, place]) for field in measured), quality.value))
    for curve in diagram.boundary:
        for where in curve.tolist():
            found = solve(problem(*where), throw=False)
            cosines = float(found.orbits.within[1]), float(found.orbits.between[0, 1])
            points.append(("boundary", *where, *cosines, found.certificate.relative_gap, found.quality.value))
    return [{**start, **dict(zip(columns, point, strict=True))} for point in points]


def critical_ratios(
    *,
    majorities: tuple[int, ...] = (1, 2, 3, 4),
    minorities: tuple[int, ...] = tuple(range(2, 11)),
    progress: Progress = quiet,
) -> Picture:
    """The critical ratio for every number of majority and minority classes, with one unsupervised negative."""
    settings: dict[str, Any] = {"negatives": 1, "sampling": "unsupervised", "temperature": 1.0}
    rows: list[Row] = []
    for majority, minority in itertools.product(majorities, minorities):
        progress(f"{majority} majority and {minority} minority classes")
        row = {"majority": majority, "minority": minority, **threshold_row(minority, majority, **settings)}
        value = row.pop("threshold")
        if value is None:  # apart at any ratio, so at a large one
            far = solve(GCL(two_level_counts(majority, minority, 1e6), **settings), throw=False)
            proved = far.quality is Quality.CERTIFIED and far.orbits.within[1] < 1.0 - 1e-8
            row["relative_gap"] = far.certificate.relative_gap
            row["quality"] = (Quality.CERTIFIED if proved else Quality.UNCERTIFIED).value
        rows.append({**row, "critical_ratio": math.nan if value is None else value})
    table = np.array([(row["majority"], row["minority"], row["critical_ratio"]) for row in rows])
    figure = page("Critical imbalance ratio: InfoNCE, one unsupervised negative, temperature 1", rows, (7.6, 5.6))
    draw_class_table(figure.subplots(), table)
    return Picture(figure, rows)
