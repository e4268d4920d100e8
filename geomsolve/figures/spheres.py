"""Class means on their line, circle or sphere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram
from .atoms import principal
from .style import ACCENT, FEW, GREY, HEAD, TAIL, unit_circle, unit_sphere

# Elevation and azimuth: of four points, the first is up, the second in front and two beside it, none behind a line.
_VIEW = (14.0, 12.0)


def representatives(gram: OrbitGram) -> tuple[Array, NDArray[np.intp], Array]:
    """The different points of a geometry of rank at most 3, their orbits, and how many atoms sit in each.

    Returns:
        (n, 3) unit rows, turned so that the first points along the first axis and the second lies in the first two;
        (n,) the first orbit of each point; (n,) the number of atoms in it. A collapsed orbit, or several that share a
        point, is one point; an open orbit of rank at most 3 has at most 4 atoms.
    """
    inside = np.diag(gram.cosines)
    shares = np.where(gram.orbits.plural & (inside < 1.0 - 1e-8), np.minimum(gram.sizes, 4.0), 1.0).astype(int)
    orbit = np.repeat(np.arange(len(gram.sizes)), shares)
    small = gram.cosines[orbit[:, None], orbit]
    np.fill_diagonal(small, 1.0)
    kept, point = np.unique((small >= 1.0 - 1e-8).argmax(axis=1), return_inverse=True)
    totals = np.bincount(point, np.where(shares > 1, 1.0, gram.sizes)[orbit]).astype(np.float64)
    points = principal(small[np.ix_(kept, kept)])[0]
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points = points @ np.linalg.qr(np.concatenate([points, np.eye(3)]).T)[0]
    signs = np.where(points[np.argmax(np.abs(points) > 1e-9, axis=0), range(3)] < 0, -1.0, 1.0)
    return points * signs, orbit[kept], totals


def draw_sphere(
    figure: Any, gram: OrbitGram, numbers: Array, what: str, rank: int, *, title: str | None = None
) -> None:
    """Draw the points of a geometry of rank at most 3 into a (sub)figure, labelled by (K,) `numbers`.

    A circle up to rank 2, a sphere for 3; a geometry of lower rank may be drawn on a sphere.
    """
    points, orbit, totals = representatives(gram)
    logs = np.log(numbers[orbit] / numbers.min())
    areas = 70.0 + 330.0 * logs / logs.max() if logs.max() > 0 else np.full(len(logs), 180.0)
    if rank <= 2:
        axes, places = figure.subplots(), points[:, [1, 0]]  # upwards is the direction of the largest class
        unit_circle(axes)
        axes.set(aspect="equal", xlim=(-1.75, 1.75), ylim=(-1.35, 1.35))
        axes.set_axis_off()
        style: dict[str, Any] = {}
    else:
        axes, places = figure.add_subplot(projection="3d"), points[:, [1, 2, 0]]
        unit_sphere(axes, 1.05, _VIEW)
        style = {"depthshade": False}
    for place in places:
        axes.plot(*zip(np.zeros(len(place)), place, strict=True), color=GREY, linewidth=1.2)
    colours = [HEAD if i == 0 else TAIL if total == 1 else ACCENT for i, total in enumerate(totals)]
    axes.scatter(*places.T, s=areas, c=colours, edgecolor="white", zorder=3, **style)
    together = totals > 1
    if together.any():
        rings = {"facecolor": "none", "edgecolor": "black", "zorder": 3, **style}
        axes.scatter(*places[together].T, s=areas[together] + 260, **rings)
    if len(points) <= FEW:
        for place, a, total in zip(1.2 * places, orbit, totals, strict=True):
            label = f"{numbers[a]:.4g}" if total == 1 else f"{total:g} classes of {numbers[a]:.4g}"
            side = "center" if rank > 2 or abs(place[0]) < 0.3 else "left" if place[0] > 0 else "right"
            axes.text(*place, label, ha=side, va="center", fontsize=11)
    where = ("a line", "a circle", "the sphere")[max(rank, 1) - 1]
    ringed = "; ringed: several classes" if together.any() else ""
    axes.set_title(title or f"Class means on {where}\n(labels: {what}{ringed})")
