"""The threshold of minority collapse against the number of negatives and against temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arrays import Progress
from ...collapse.thresholds import threshold
from ...objectives.classes.gcl import GCL
from ...solvers.solution import Quality
from ..style import ACCENT, GREY, HEAD, MEAN, TAIL, finish
from .pages import Picture, Row, page, quiet

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
        "quality": (Quality.CERTIFIED if found.confirmed else Quality.UNCERTIFIED).value,
    }


def threshold_negatives(
    *, negatives: Sequence[int] = NEGATIVES, minority: int = _MINORITY, progress: Progress = quiet
) -> Picture:
    """The threshold against the number k of negatives, InfoNCE averaged and summed over them."""
    rows: list[Row] = []
    for sampling in SAMPLINGS:
        for normalization in ("mean", "sum"):
            for count in (*negatives, *[math.inf] * (normalization == "mean")):
                progress(f"{sampling}, {normalization}, k = {count:g}")
                options: Row = {"sampling": sampling, "normalization": normalization, "negatives": count}
                rows.append({**options, **threshold_row(minority, **options)})
    title = f"Where the minority collapses: one majority class, {minority} minority classes, InfoNCE, temperature 1"
    figure = page(title, rows, (12, 5))
    panels = figure.subplots(1, len(SAMPLINGS), sharex=True)
    for axes, sampling in zip(panels, SAMPLINGS, strict=True):
        for normalization, colour, mark in (("mean", TAIL, "-o"), ("sum", HEAD, "--s")):
            mine = [row for row in rows if (row["sampling"], row["normalization"]) == (sampling, normalization)]
            values = [row["threshold"] for row in mine]
            style = {"color": colour, "linewidth": 2.0, "markersize": 5, "label": f"{normalization} over negatives"}
            axes.plot(negatives, values[: len(negatives)], mark, **style)
            for value in values[len(negatives) :]:
                label = f"mean, infinitely many: {value:.4f}"
                axes.axhline(value, color=GREY, linestyle=(0, (1, 1.5)), linewidth=1.8, label=label)
        axes.set_xscale("log", base=2)
        words = {"xlabel": "number of negatives k", "ylabel": "critical imbalance ratio r*"}
        finish(axes, "best", title=f"{sampling} negatives", **words)
    return Picture(figure, rows)


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
    rows: list[Row] = []
    for (sampling, negatives), (_, factor, power, *_) in _LIMITS.items():
        for coldness in coldnesses:
            options: Row = {"sampling": sampling, "negatives": negatives, "temperature": 1.0 / coldness}
            progress(f"{sampling}, k = {negatives:g}, temperature {1.0 / coldness:.3g}")
            limit = factor * minority * math.exp(power * coldness)
            rows.append({**options, **threshold_row(minority, **options), "asymptote": limit})
    title = f"Where the minority collapses: one majority class, {minority} minority classes, InfoNCE"
    figure = page(title, rows, (12.5, 5.6))
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    for (key, (words, *_, colour, style)), place in zip(
        _LIMITS.items(), range(0, len(rows), len(coldnesses)), strict=True
    ):
        chosen = rows[place : place + len(coldnesses)]
        label = f"{key[0]}, k = {'∞' if key[1] == math.inf else '1'}"
        values = np.array([row["threshold"] for row in chosen], dtype=float)
        limits = np.array([row["asymptote"] for row in chosen])
        left.plot(coldnesses, values, style, color=colour, linewidth=2.2, label=label)
        left.plot(coldnesses, limits, color=colour, linestyle=(0, (1, 2)), linewidth=1.6)
        right.plot(coldnesses, values / limits, style, color=colour, linewidth=2.2, label=f"{label}: {words}")
    left.plot([], [], color=GREY, linestyle=(0, (1, 2)), label="what each tends to (right)")
    right.axhline(1.0, color=GREY, linestyle=(0, (1, 2)))
    across = "1/τ, inverse temperature"
    finish(left, "best", yscale="log", xlabel=across, ylabel="critical imbalance ratio r*")
    finish(right, "best", xlabel=across, ylabel="r* over its asymptote")
    return Picture(figure, rows)
