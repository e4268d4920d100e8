"""The circle that y-Aware InfoNCE makes of a cyclic label, such as the hour of the day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays import Array, Progress
from ...similarities.dimensions import InDimension, realize_in
from ...similarities.kernels import y_aware_weights
from ...similarities.realizations import realize
from ...similarities.verdicts import Realization
from ..style import GREY, unit_circle, unit_sphere
from .pages import Picture, Row, page, quiet
from .realizability import TEMPERATURE, verdict_row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PERIOD = 24
# Bandwidths, as multiples of the smallest one that is realizable.
MULTIPLES = (1.5, 1.0, 0.5)
DIMS = (2, 3)
_COLOURS = "twilight_shifted"  # cyclic; midnight is dark and noon is light
_RESTARTS = 2


def critical_bandwidth(temperature: float) -> float:
    """The smallest sigma, in hours, whose circle of labels, of circumference 24, fits: its radius times sqrt(tau)."""
    return PERIOD / (2.0 * math.pi) * math.sqrt(temperature)


def label_circle(*, multiples: Sequence[float] = MULTIPLES, progress: Progress = quiet) -> Picture:
    """The hours of the day in 2-D and 3-D, at bandwidths where the entropy bound is attained and where it is not."""
    critical = critical_bandwidth(TEMPERATURE)
    columns: list[tuple[str, list[InDimension]]] = []
    rows: list[Row] = []
    for multiple in multiples:
        progress(f"bandwidth {multiple * critical:.3g} hours")
        weighting = y_aware_weights(np.arange(PERIOD), sigma=multiple * critical, period=PERIOD)
        # At the critical bandwidth itself rounding may fall on either side; realize calls it realizable.
        found = realize(weighting, temperature=TEMPERATURE, tol=1e-6)
        placed = [realize_in(found, dim, restarts=_RESTARTS) for dim in DIMS]
        columns.append((_heading(found, multiple, critical), placed))
        rows += [row for within in placed for row in _rows(found, within, multiple * critical, critical)]
    title = f"The hours of the day under y-Aware InfoNCE: Gaussian kernel, self-pairs in, temperature {TEMPERATURE:g}"
    figure = page(title, rows, (13, 9.2))
    drawn = []
    for place, (heading, (flat, ball)) in enumerate(columns, 1):
        upper = figure.add_subplot(len(DIMS), len(columns), place)
        lower = figure.add_subplot(len(DIMS), len(columns), len(columns) + place, projection="3d")
        _flat(upper, _turned(flat.points))
        _ball(lower, _turned(ball.points))
        upper.set_title(f"{heading}\n\n{_words(flat)}", fontsize=11)
        lower.set_title(_words(ball), fontsize=11)
        drawn += [upper, lower]
    bar = figure.colorbar(_scale(), ax=drawn, location="bottom", shrink=0.5, aspect=40, label="hour of the day")
    bar.set_ticks([0, 6, 12, 18, 24])
    return Picture(figure, rows)


def _turned(points: Array) -> Array:
    """The same points, turned: what varies least goes last and has a mean of at least 0; hours run clockwise."""
    _, _, axes = np.linalg.svd(points - points.mean(axis=0))
    points = points @ axes.T
    if points.shape[1] == 2:
        # Up: the mean, or midnight where the mean is 0.
        up = points.mean(axis=0) if np.linalg.norm(points.mean(axis=0)) > 1e-6 else points[0]
        up = up / np.linalg.norm(up)
        points = points @ np.array([[up[1], up[0]], [-up[0], up[1]]])
    else:
        turn = np.arctan2(points[0, 1], points[0, 0]) - np.pi / 2.0  # midnight to the back
        cos, sin = np.cos(turn), np.sin(turn)
        points = points @ np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        points = points * np.array([1.0, 1.0, -1.0 if points[:, 2].mean() < 0 else 1.0])
    x, y = points[:, 0], points[:, 1]
    turning = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    return points * np.array([-1.0, *[1.0] * (points.shape[1] - 1)]) if turning > 0 else points


def _rows(found: Realization, within: InDimension, sigma: float, critical: float) -> list[Row]:
    points = np.pad(_turned(within.points), ((0, 0), (0, 3 - within.dim)))
    return [
        {
            "sigma": sigma,
            "critical_sigma": critical,
            "dim": within.dim,
            "hour": hour,
            **dict(zip("xyz", point, strict=True)),
            # What is proved, of the optimum without a limit on dimensions, stands in the columns after these two.
            "points": "optimal" if within.exact else "best found",
            "points_excess": within.excess,
            **verdict_row(found),
        }
        for hour, point in enumerate(points.tolist())
    ]


def _heading(found: Realization, multiple: float, critical: float) -> str:
    size = f"σ = {multiple * critical:.2f} h"
    if found.witness:
        return f"{size}: not realizable\nleast excess {found.excess:.3g} nats, in {found.min_dim}-D"
    place = "the smallest realizable" if abs(multiple - 1.0) < 1e-9 else "realizable"
    return f"{size}: {place}\nexcess 0 in {found.min_dim}-D"


def _words(within: InDimension) -> str:
    known = "optimal" if within.exact else "best found"
    excess = "0" if within.realizable else f"{within.excess:.3g} nats"
    return f"{within.dim}-D: excess {excess} ({known})"


def _scale() -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(0, PERIOD), _COLOURS)


def _flat(axes: Axes, points: Array) -> None:
    unit_circle(axes, zorder=1)
    x, y = points.T
    axes.scatter(x, y, 70, color=_scale().to_rgba(np.arange(PERIOD)), edgecolor="black", linewidth=0.6, zorder=3)
    # Hours that run back stand inside the circle: where the day is folded onto an arc, two hours share a place.
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    ahead = (after[:, 0] - before[:, 0]) * y - (after[:, 1] - before[:, 1]) * x
    for hour in range(0, PERIOD, 3):
        reach = 1.17 if ahead[hour] > 0 else 0.83
        axes.text(reach * x[hour], reach * y[hour], str(hour), ha="center", va="center", fontsize=10)
    axes.set(aspect="equal", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
    axes.set_axis_off()


def _ball(axes: Any, points: Array) -> None:
    up = 28.0
    unit_sphere(axes, 1.25, (up, -90.0))
    axes.plot(*np.append(points, points[:1], axis=0).T, color=GREY, linewidth=1.2)
    nearness = points @ (0.0, -math.cos(math.radians(up)), math.sin(math.radians(up)))
    style: dict[str, Any] = {"depthshade": False, "edgecolor": "black", "linewidth": 0.6}
    axes.scatter(*points.T, s=70.0 + 35.0 * nearness, c=_scale().to_rgba(np.arange(PERIOD)), **style)
