"""Where the minority collapses: thresholds by negatives, temperature and numbers of classes; phase diagrams."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arrays import Progress
from ...collapse.phases import PhaseDiagram, phase_diagram
from ...collapse.thresholds import threshold
from ...collapse.two_levels import Builder, two_level_counts
from ...objectives.classes.gcl import GCL
from ...objectives.classes.supcon import SupCon
from ...solvers.solving import solve
from ..maps import draw_class_table, draw_phases
from ..style import ACCENT, GREY, HEAD, MEAN, TAIL, finish
from .pages import Picture, Row, curve, proof, quality, quiet, table, where

SAMPLINGS = ("supervised", "unsupervised")
NEGATIVES = tuple(2**j for j in range(17))
COLDNESSES = tuple(np.linspace(0.25, 6.0, 47).tolist())  # 1/temperature
_MINORITY = 9  # with one majority class


def threshold_row(minority: int, majority: int = 1, **options: Any) -> Row:
    """The threshold in the ratio under GCL, and what is proved of the geometry on both its sides."""
    found = threshold(GCL, majority=majority, minority=minority, **options)
    sides = [side.certificate.relative_gap for side in (found.below, found.above) if side is not None]
    low, high = found.bracket or (None, None)
    return {
        "threshold": found.value,
        "bracket_low": low,
        "bracket_high": high,
        "residual": found.residual,
        "reason": found.reason,
        "relative_gap": max(sides, default=None),
        "quality": quality(found.confirmed),
    }


def threshold_negatives(
    *, negatives: Sequence[int] = NEGATIVES, minority: int = _MINORITY, progress: Progress = quiet
) -> Picture:
    """The threshold against the number k of negatives, InfoNCE averaged and summed over them."""

    def find(**options: Any) -> Row:
        return threshold_row(minority, **options)

    rows = table(find, progress, sampling=SAMPLINGS, normalization=("mean", "sum"), negatives=negatives)
    limits = table(find, progress, sampling=SAMPLINGS, normalization=("mean",), negatives=(math.inf,))
    title = f"Where the minority collapses: one majority class, {minority} minority classes, InfoNCE, temperature 1"
    picture = Picture(title, rows + limits, (12, 5))
    for axes, limit in zip(picture.figure.subplots(1, len(SAMPLINGS), sharex=True), limits, strict=True):
        for normalization, colour, mark in (("mean", TAIL, "-o"), ("sum", HEAD, "--s")):
            chosen = where(rows, sampling=limit["sampling"], normalization=normalization)
            style: Row = {"color": colour, "markersize": 5, "label": f"{normalization} over negatives"}
            curve(axes, chosen, "negatives", "threshold", mark, **style)
        label = f"mean, infinitely many: {limit['threshold']:.4f}"
        axes.axhline(limit["threshold"], color=GREY, linestyle=(0, (1, 1.5)), linewidth=1.8, label=label)
        axes.set_xscale("log", base=2)
        words = {"xlabel": "number of negatives k", "ylabel": "critical imbalance ratio r*"}
        finish(axes, "best", title=f"{limit['sampling']} negatives", **words)
    return picture


# For one majority class and large 1/temperature b, f (C-1) e^{gb} (ours; from the forces at the collapsed geometry): by
# sampling and negatives the formula, f, g, and how it is drawn.
_LIMITS = {
    ("supervised", 1.0): ("(C−1) $e^{1/τ}$", 1.0, 1.0, TAIL, "-"),
    ("supervised", math.inf): ("√2 (C−1) $e^{1/τ}$", math.sqrt(2.0), 1.0, ACCENT, "--"),
    ("unsupervised", 1.0): ("½ (C−1) $e^{2/τ}$", 0.5, 2.0, HEAD, "-"),
    ("unsupervised", math.inf): ("4/3 (C−1) $e^{2/τ}$", 4.0 / 3.0, 2.0, MEAN, "--"),
}


def threshold_temperature(
    *, coldnesses: Sequence[float] = COLDNESSES, minority: int = _MINORITY, progress: Progress = quiet
) -> Picture:
    """The threshold against 1/temperature, beside the exponentials it tends to."""

    def find(sampling: str, negatives: float, coldness: float) -> Row:
        options: Row = {"sampling": sampling, "negatives": negatives, "temperature": 1.0 / coldness}
        _, factor, power, *_ = _LIMITS[sampling, negatives]
        limit = factor * minority * math.exp(power * coldness)
        return {**options, **threshold_row(minority, **options), "asymptote": limit}

    rows = table(find, progress, sampling=SAMPLINGS, negatives=(1.0, math.inf), coldness=coldnesses)
    title = f"Where the minority collapses: one majority class, {minority} minority classes, InfoNCE"
    picture = Picture(title, rows, (12.5, 5.6))
    left, right = picture.figure.subplots(1, 2, width_ratios=(1.25, 1))
    dots: Row = {"linestyle": (0, (1, 2)), "linewidth": 1.6}
    for (sampling, negatives), (words, *_, colour, style) in _LIMITS.items():
        chosen = where(rows, sampling=sampling, negatives=negatives)
        label = f"{sampling}, k = {'∞' if negatives == math.inf else '1'}"
        curve(left, chosen, "coldness", "threshold", style, color=colour, label=label)
        left.plot(coldnesses, [row["asymptote"] for row in chosen], color=colour, **dots)
        shares = [row["threshold"] / row["asymptote"] for row in chosen]
        right.plot(coldnesses, shares, style, color=colour, linewidth=2.2, label=f"{label}: {words}")
    left.plot([], [], color=GREY, **dots, label="what each tends to (right)")
    right.axhline(1.0, color=GREY, **dots)
    across = "1/τ, inverse temperature"
    finish(left, "best", yscale="log", xlabel=across, ylabel="critical imbalance ratio r*")
    finish(right, "best", xlabel=across, ylabel="r* over its asymptote")
    return picture


def critical_ratios(
    *,
    majorities: tuple[int, ...] = (1, 2, 3, 4),
    minorities: tuple[int, ...] = tuple(range(2, 11)),
    progress: Progress = quiet,
) -> Picture:
    """The critical ratio for every number of majority and minority classes, with one unsupervised negative."""
    settings: Row = {"negatives": 1, "sampling": "unsupervised", "temperature": 1.0}

    def find(majority: int, minority: int) -> Row:
        row = threshold_row(minority, majority, **settings)
        if row["threshold"] is None:  # apart at any ratio, so at a large one
            far = solve(GCL(two_level_counts(majority, minority, 1e6), **settings), throw=False)
            row["relative_gap"] = far.certificate.relative_gap
            row["quality"] = quality(far.ok and far.orbits.within[1] < 1.0 - 1e-8)
        return row

    rows = table(find, progress, majority=majorities, minority=minorities)
    title = "Critical imbalance ratio: InfoNCE, one unsupervised negative, temperature 1"
    picture = Picture(title, rows, (7.6, 5.6))
    found = [(row["majority"], row["minority"], row["threshold"]) for row in rows]
    draw_class_table(picture.figure.subplots(), np.array(found, dtype=float))
    return picture


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
    for ratio, value in (point for part in diagram.boundary for point in part.tolist()):
        counts = two_level_counts(majority, minority, ratio, per_class)
        found = solve(builder(counts, **options, **{over: value}), throw=False)
        told = {"minority_cosine": found.orbits.within[1], "between_cosine": found.orbits.between[0, 1]}
        rows.append({"over": over, "kind": "boundary", "ratio": ratio, "value": value, **told, **proof(found)})
    return diagram, rows


DRAWN = (threshold_negatives, threshold_temperature, critical_ratios, phase_diagrams, collapse_window)
