"""The circle that y-Aware InfoNCE makes of a cyclic label, such as the hour of the day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays import Array, Progress
from ...similarities.dimensions import realize_in
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


@dataclass(frozen=True, eq=False)
class _Circle:
    """The hours as points of so many coordinates, and how far they stay above the entropy bound."""

    found: Realization
    sigma: float
    points: Array
    excess: float
    exact: bool


def critical_bandwidth(temperature: float) -> float:
    """The smallest sigma, in hours, whose circle of labels, of circumference 24, fits: its radius times sqrt(tau)."""
    return PERIOD / (2.0 * math.pi) * math.sqrt(temperature)


def label_circle(*, multiples: Sequence[float] = MULTIPLES, progress: Progress = quiet) -> Picture:
    """The hours of the day in 2-D and 3-D, at bandwidths where the entropy bound is attained and where it is not."""
    critical = critical_bandwidth(TEMPERATURE)
    columns: list[list[_Circle]] = []
    rows: list[Row] = []
    for multiple in multiples:
        sigma = multiple * critical
        progress(f"bandwidth {sigma:.3g} hours")
        # At the critical bandwidth itself rounding may fall on either side; realize calls it realizable.
        found = realize(
            y_aware_weights(np.arange(PERIOD), sigma=sigma, period=PERIOD), temperature=TEMPERATURE, tol=1e-6
        )
        columns.append([_embedded(found, sigma, dim) for dim in DIMS])
        for circle in columns[-1]:
            rows += _rows(circle, critical)
    title = f"The hours of the day under y-Aware InfoNCE: Gaussian kernel, self-pairs in, temperature {TEMPERATURE:g}"
    figure = page(title, rows, (13, 9.2))
    drawn = []
    for place, (flat, ball) in enumerate(columns, 1):
        upper = figure.add_subplot(len(DIMS), len(columns), place)
        lower = figure.add_subplot(len(DIMS), len(columns), len(columns) + place, projection="3d")
        _flat(upper, flat)
        _ball(lower, ball)
        upper.set_title(f"{_heading(flat, critical)}\n\n{_words(flat)}", fontsize=11)
        lower.set_title(_words(ball), fontsize=11)
        drawn += [upper, lower]
    scale = _scale()
    bar = figure.colorbar(scale, ax=drawn, location="bottom", shrink=0.5, aspect=40, label="hour of the day")
    bar.set_ticks([0, 6, 12, 18, 24])
    return Picture(figure, rows)


def _embedded(found: Realization, sigma: float, dim: int) -> _Circle:
    within = realize_in(found, dim, restarts=_RESTARTS)
    return _Circle(found, sigma, _turned(within.points), within.excess, within.exact)


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


def _rows(circle: _Circle, critical: float) -> list[Row]:
    padded = np.pad(circle.points, ((0, 0), (0, 3 - circle.points.shape[1])))
    return [
        {
            "sigma": circle.sigma,
            "critical_sigma": critical,
            "dim": circle.points.shape[1],
            "hour": hour,
            "x": float(point[0]),
            "y": float(point[1]),
            "z": float(point[2]),
            # What is proved, of the optimum without a limit on dimensions, stands in the columns after these two.
            "points": "optimal" if circle.exact else "best found",
            "points_excess": circle.excess,
            **verdict_row(circle.found),
        }
        for hour, point in enumerate(padded)
    ]


def _heading(circle: _Circle, critical: float) -> str:
    found, size = circle.found, f"σ = {circle.sigma:.2f} h"
    if not found.witness:
        place = "the smallest realizable" if abs(circle.sigma / critical - 1.0) < 1e-9 else "realizable"
        return f"{size}: {place}\nexcess 0 in {found.min_dim}-D"
    return f"{size}: not realizable\nleast excess {found.excess:.3g} nats, in {found.min_dim}-D"


def _words(circle: _Circle) -> str:
    dim = circle.points.shape[1]
    if not circle.exact:
        return f"{dim}-D: excess {circle.excess:.3g} nats (best found)"
    if circle.found.witness:
        return f"{dim}-D: excess {circle.excess:.3g} nats (optimal)"
    return f"{dim}-D: excess 0 (optimal)"


def _scale() -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(0, PERIOD), _COLOURS)


def _flat(axes: Axes, circle: _Circle) -> None:
    unit_circle(axes, zorder=1)
    x, y = circle.points.T
    axes.scatter(x, y, 70, color=_scale().to_rgba(np.arange(PERIOD)), edgecolor="black", linewidth=0.6, zorder=3)
    # Hours that run back stand inside the circle: where the day is folded onto an arc, two hours share a place.
    ahead = np.roll(x, -1) * y - x * np.roll(y, -1) + (y * np.roll(x, 1) - x * np.roll(y, 1)) * -1.0
    for hour in range(0, PERIOD, 3):
        reach = 1.17 if ahead[hour] > 0 else 0.83
        axes.text(reach * x[hour], reach * y[hour], str(hour), ha="center", va="center", fontsize=10)
    axes.set(aspect="equal", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
    axes.set_axis_off()


def _ball(axes: Any, circle: _Circle) -> None:
    up = 28.0
    unit_sphere(axes, 1.25, (up, -90.0))
    closed = np.concatenate([circle.points, circle.points[:1]])
    axes.plot(*closed.T, color=GREY, linewidth=1.2)
    colours = _scale().to_rgba(np.arange(PERIOD))
    nearness = circle.points @ (0.0, -math.cos(math.radians(up)), math.sin(math.radians(up)))
    axes.scatter(
        *circle.points.T, s=70.0 + 35.0 * nearness, c=colours, depthshade=False, edgecolor="black", linewidth=0.6
    )
