"""Class means on their line, circle or sphere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram
from .style import ACCENT, FEW, GREY, HEAD, TAIL, unit_circle, unit_sphere

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def representatives(gram: OrbitGram) -> tuple[Array, NDArray[np.intp], Array]:
    """The different points of a geometry of rank at most 3, their orbits, and how many atoms sit in each.

    Returns:
        (n, 3) unit rows; (n,) the first orbit of each point; (n,) the number of atoms in it. A collapsed orbit, or
        several that share a point, is one point; an open orbit of rank at most 3 has at most 4 atoms.
    """
    cosines = gram.cosines
    inside = np.diag(cosines)
    shares = np.where(gram.orbits.plural & (inside < 1.0 - 1e-8), np.minimum(gram.sizes, 4.0), 1.0).astype(int)
    orbit = np.repeat(np.arange(len(gram.sizes)), shares)
    weight = np.where(shares > 1, 1.0, gram.sizes)[orbit]
    small = cosines[orbit[:, None], orbit]
    np.fill_diagonal(small, 1.0)
    kept: list[int] = []
    totals: list[float] = []
    for index in range(len(orbit)):
        same = [place for place, other in enumerate(kept) if small[index, other] >= 1.0 - 1e-8]
        if same:
            totals[same[0]] += weight[index]
        else:
            kept.append(index)
            totals.append(weight[index])
    values, vectors = np.linalg.eigh(small[np.ix_(kept, kept)])
    points = np.zeros((len(kept), 3))
    width = min(3, len(kept))
    points[:, :width] = (vectors * np.sqrt(np.clip(values, 0.0, None)))[:, ::-1][:, :width]
    return points / np.linalg.norm(points, axis=1, keepdims=True), orbit[kept], np.array(totals)


def upright(points: Array) -> Array:
    """(n, 3) unit rows turned so that the first points along the first axis and the second lies in the first two."""
    turn, _ = np.linalg.qr(np.concatenate([points, np.eye(3)]).T)
    points = points @ turn
    return points * np.where(points[np.argmax(np.abs(points) > 1e-9, axis=0), range(3)] < 0, -1.0, 1.0)


def draw_sphere(
    figure: Any,
    gram: OrbitGram,
    numbers: Array,
    what: str,
    rank: int,
    *,
    title: str | None = None,
    view: tuple[float, float] | None = None,
) -> None:
    """Draw the points of a geometry of rank at most 3 into a (sub)figure, labelled by `numbers`.

    Args:
        figure: a figure or subfigure, which gets one axes.
        gram: the geometry.
        numbers: (K,) one number per orbit.
        what: what these numbers are, for the title.
        rank: 1 draws a line, 2 a circle, 3 a sphere; a geometry of lower rank may be drawn on a sphere.
        title: in place of the usual one.
        view: elevation and azimuth in degrees, for a sphere; without it, the one that shows the points best.
    """
    points, orbit, totals = representatives(gram)
    points = upright(points)  # the largest class at the top, the second one beside it
    logs = np.log(numbers[orbit] / numbers.min())
    areas = 70.0 + 330.0 * logs / max(logs.max(), 1e-12) if logs.max() > 0 else np.full(len(logs), 180.0)
    labels = [
        f"{numbers[a]:.4g}" if total == 1 else f"{total:g} classes of {numbers[a]:.4g}"
        for a, total in zip(orbit, totals, strict=True)
    ]
    if rank <= 2:
        axes = figure.subplots()
        _circle(axes, points, totals, areas, labels, rank)
    else:
        axes = figure.add_subplot(projection="3d")
        _ball(axes, points, totals, areas, labels, view)
    if title is not None:
        axes.set_title(title)
        return
    place = ("a line", "a circle", "the sphere")[max(rank, 1) - 1]
    ringed = "; ringed: several classes" if (totals > 1).any() else ""
    axes.set_title(f"Class means on {place}\n(labels: {what}{ringed})")


def _colours(totals: Array) -> list[str]:
    return [HEAD if place == 0 else (TAIL if total == 1 else ACCENT) for place, total in enumerate(totals)]


def _circle(axes: Axes, points: Array, totals: Array, areas: Array, labels: list[str], rank: int) -> None:
    # Upwards is the direction of the largest class.
    x, y = (points[:, 1], points[:, 0]) if rank == 2 else (points[:, 0], np.zeros(len(points)))
    unit_circle(axes, alpha=1.0 if rank == 2 else 0.35)
    for place in range(len(points)):
        axes.plot((0, x[place]), (0, y[place]), color=GREY, linewidth=1.0)
    axes.scatter(x, y, areas, color=_colours(totals), zorder=3.0, edgecolor="white")
    together = totals > 1
    axes.scatter(
        x[together], y[together], areas[together] + 260, facecolor="none", edgecolor="black", linewidth=1.6, zorder=3
    )
    if len(points) <= FEW:
        for place, label in enumerate(labels):
            if rank == 1:
                axes.text(x[place], 0.22, label, ha="center", va="center", fontsize=11)
                continue
            side = "center" if abs(x[place]) < 0.3 else ("left" if x[place] > 0 else "right")
            axes.text(1.18 * x[place], 1.22 * y[place], label, ha=side, va="center", fontsize=11)
    axes.set(aspect="equal", xlim=(-1.75, 1.75), ylim=(-1.35, 1.35))
    axes.set_axis_off()


def _ball(
    axes: Any, points: Array, totals: Array, areas: Array, labels: list[str], view: tuple[float, float] | None
) -> None:
    x, y, z = points[:, 1], points[:, 2], points[:, 0]
    unit_sphere(axes, 1.05, view or _clearest_view(np.stack([x, y, z], axis=1)))
    for place in range(len(points)):
        axes.plot((0, x[place]), (0, y[place]), (0, z[place]), color=GREY, linewidth=1.2)
    axes.scatter(x, y, z, s=areas, c=_colours(totals), depthshade=False, edgecolor="white")
    ringed = {"facecolor": "none", "edgecolor": "black", "depthshade": False}
    if (together := totals > 1).any():
        axes.scatter(x[together], y[together], z[together], s=areas[together] + 260, **ringed)
    if len(points) <= FEW:
        for place, label in enumerate(labels):
            axes.text(*(1.2 * np.array((x[place], y[place], z[place]))), label, ha="center", va="center", fontsize=11)


def _clearest_view(points: Array) -> tuple[float, float]:
    """The elevation and azimuth, in degrees, from which the two nearest points appear farthest apart."""

    def apart(view: tuple[float, float]) -> float:
        up, around = np.radians(view)
        across = np.array((-np.sin(around), np.cos(around), 0.0))
        above = np.array((-np.sin(up) * np.cos(around), -np.sin(up) * np.sin(around), np.cos(up)))
        seen = np.append(points, [[0.0, 0.0, 0.0]], axis=0) @ np.stack([across, above], axis=1)
        distances = np.linalg.norm(seen[:, None] - seen, axis=2)
        return float(distances[np.triu_indices(len(seen), 1)].min())

    return max(((float(up), float(around)) for up in (15, 22, 30) for around in range(-175, 180, 10)), key=apart)
