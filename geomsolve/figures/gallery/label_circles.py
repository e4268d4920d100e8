"""The circle that y-Aware InfoNCE makes of a cyclic label, such as the hour of the day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arrays import Array, Progress
from ...similarities.dimensions import InDimension, realize_in
from ...similarities.kernels import y_aware_weights
from ...similarities.realizations import realize
from ...similarities.verdicts import Realization
from ..style import GREY, unit_circle, unit_sphere
from .pages import Picture, Row, quiet
from .realizability import TEMPERATURE, verdict_row

PERIOD = 24
# Bandwidths, as multiples of the smallest one that is realizable.
MULTIPLES = (1.5, 1.0, 0.5)


def critical_bandwidth(temperature: float) -> float:
    """The smallest sigma, in hours, whose circle of labels, of circumference 24, fits: its radius times sqrt(tau)."""
    return PERIOD / (2.0 * math.pi) * math.sqrt(temperature)


def label_circle(*, progress: Progress = quiet) -> Picture:
    """The hours of the day in 2-D and 3-D, at bandwidths where the entropy bound is attained and where it is not."""
    drawn: list[tuple[str, list[Array]]] = []
    rows: list[Row] = []
    for multiple in MULTIPLES:
        sigma = multiple * critical_bandwidth(TEMPERATURE)
        progress(f"bandwidth {sigma:.3g} hours")
        weighting = y_aware_weights(np.arange(PERIOD), sigma=sigma, period=PERIOD)
        # At the critical bandwidth itself rounding may fall on either side; realize calls it realizable.
        found = realize(weighting, temperature=TEMPERATURE, tol=1e-6)
        placed = [realize_in(found, dim) for dim in (2, 3)]
        drawn.append((f"σ = {sigma:.2f} h: {_words(found, placed)}", [_turned(within.points) for within in placed]))
        for within, points in zip(placed, drawn[-1][1], strict=True):
            told = {"sigma": sigma, "dim": within.dim, "points": "optimal" if within.exact else "best found"}
            for hour, point in enumerate(np.pad(points, ((0, 0), (0, 3 - within.dim))).tolist()):
                place = {"hour": hour, **dict(zip("xyz", point, strict=True)), "points_excess": within.excess}
                # What is proved, of the optimum without a limit on dimensions, stands in the last columns.
                rows.append({**told, **place, **verdict_row(found)})
    title = f"The hours of the day under y-Aware InfoNCE: Gaussian kernel, self-pairs in, temperature {TEMPERATURE:g}"
    picture = Picture(title, rows, (13, 9.2))
    hours: dict[str, Any] = {"c": np.arange(PERIOD), "cmap": "twilight_shifted", "vmin": 0, "vmax": PERIOD}
    hours |= {"edgecolor": "black", "linewidth": 0.6, "s": 70}  # the map is cyclic: midnight is dark, noon is light
    every = []
    for column, (words, (flat, ball)) in enumerate(drawn, 1):
        upper = picture.figure.add_subplot(2, len(drawn), column)
        unit_circle(upper, zorder=1)
        dots = upper.scatter(*flat.T, zorder=3, **hours)
        # Hours that run back stand inside the circle: where the day is folded onto an arc, two hours share a place.
        onward = np.roll(flat, -1, axis=0) - np.roll(flat, 1, axis=0)
        ahead = flat[:, 0] * onward[:, 1] < flat[:, 1] * onward[:, 0]
        for hour in range(0, PERIOD, 3):
            x, y = (1.17 if ahead[hour] else 0.83) * flat[hour]
            upper.text(x, y, str(hour), ha="center", va="center", fontsize=10)
        upper.set(aspect="equal", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3))
        upper.set_axis_off()
        upper.set_title(words, fontsize=11)
        lower: Any = picture.figure.add_subplot(2, len(drawn), len(drawn) + column, projection="3d")
        unit_sphere(lower, 1.25, (28.0, -90.0))
        lower.plot(*np.append(ball, ball[:1], axis=0).T, color=GREY, linewidth=1.2)
        lower.scatter(*ball.T, depthshade=False, **hours)
        every += [upper, lower]
    bar = picture.figure.colorbar(dots, ax=every, location="bottom", shrink=0.5, aspect=40, label="hour of the day")
    bar.set_ticks([0, 6, 12, 18, 24])
    return picture


def _turned(points: Array) -> Array:
    """The same points, what varies least last; the mean in the plane (or midnight) is up, and hours run clockwise."""
    points = points @ np.linalg.svd(points - points.mean(axis=0))[2].T
    flat, height = points[:, :2], points[:, 2:]
    up = flat.mean(axis=0) if np.linalg.norm(flat.mean(axis=0)) > 1e-3 else flat[0]
    up = up / np.linalg.norm(up)
    x, y = flat @ (up[1], -up[0]), flat @ up
    turning = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    return np.column_stack([-x if turning > 0 else x, y, -height if height.sum() < 0 else height])


def _words(found: Realization, placed: Sequence[InDimension]) -> str:
    verdict = f"least excess {found.excess:.3g} nats" if found.witness else "realizable"
    lines = [f"{verdict}, in {found.min_dim}-D"]
    for within in placed:
        known = "optimal" if within.exact else "best found"
        lines.append(f"{within.dim}-D: excess {0.0 if within.realizable else within.excess:.3g} nats ({known})")
    return "\n".join(lines)


DRAWN = (label_circle,)
