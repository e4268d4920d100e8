"""Where weighted InfoNCE attains its entropy bound: Soft SupCon, y-Aware and X-CLR."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays import Array, Progress
from ...objectives.weighted.weightings import Weighting
from ...similarities.dimensions import InDimension, realize_in
from ...similarities.feasibility import LogGram
from ...similarities.kernels import x_clr_weights, y_aware_weights
from ...similarities.realizations import realize
from ...similarities.schemes import soft_supcon_weights
from ...similarities.verdicts import Realization, Verdict
from ..style import ACCENT, GREY, HEAD, MEAN, TAIL, plain_ticks, simplex_line, unit_circle, unit_sphere
from .pages import Picture, Row, curve, quality, quiet, table, where

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CLASSES = 4
_SMALL_CLASS = 2  # samples of each class but the first
TEMPERATURE = 0.5
CONVENTIONS, _SIDES = (True, False), ("self-pairs in", "self-pairs out")
IMBALANCES = tuple(np.geomspace(1.0, 1000.0, 19).tolist())
RADII = tuple(np.geomspace(0.2, 10.0, 13).tolist())
# Width of an interval of the excess, as a share of it.
_TOL = 1e-6
_BELOW = 2  # cells below the boundary in each column of the map
_SHAPES = (
    ("line", TAIL, "o", "on a line"),
    ("disc", HEAD, "s", "filling a disc"),
    ("circle", MEAN, "^", "on a circle"),
    ("sphere", ACCENT, "D", "on a sphere"),
)

PERIOD = 24
# Bandwidths, as multiples of the smallest one that is realizable.
MULTIPLES = (1.5, 1.0, 0.5)


def verdict_row(found: Realization) -> Row:
    """The columns that say whether the bound is attained, and what is proved of the geometry."""
    return {
        "realizable": found.verdict is Verdict.REALIZABLE,
        "excess": found.excess,
        "excess_lower": found.excess_lower,
        "relative_gap": 0.0 if found.verdict is Verdict.REALIZABLE else found.gap / max(found.excess, 1e-300),
        "quality": quality(found.finished),
    }


def critical_epsilon(classes: int, temperature: float) -> float:
    """The smallest epsilon of Soft SupCon at which 1 + tau log(epsilon) can be the cosine of all pairs of classes."""
    return math.exp(-classes / ((classes - 1) * temperature))


def soft_supcon(*, ratios: Sequence[float] = IMBALANCES, progress: Progress = quiet) -> Picture:
    """Cosines within and between classes against imbalance, for several epsilon, self-pairs in and out."""
    critical = critical_epsilon(_CLASSES, TEMPERATURE)
    heads = {
        0.0: "SupCon, ε = 0",
        critical / 4.0: f"ε = critical / 4 = {critical / 4.0:.4f}",
        critical: f"critical ε = {critical:.4f}",
        4.0 * critical: f"ε = 4 · critical = {4.0 * critical:.4f}",
    }
    rows = table(_supcon_row, progress, self_pairs=CONVENTIONS, epsilon=heads, ratio=ratios)
    title = f"SupCon and Soft SupCon: one class larger than {_CLASSES - 1} others, temperature {TEMPERATURE:g}"
    picture = Picture(title, rows, (14, 7.4))
    panels = picture.panels(list(heads.values()), _SIDES, _supcon_panel)
    panels[0, 0].set(xscale="log", xlim=(min(ratios), max(ratios)), ylim=(-1.12, 1.12))
    return picture


def _supcon_row(self_pairs: bool, epsilon: float, ratio: float) -> Row:
    sizes = [round(_SMALL_CLASS * ratio), *[_SMALL_CLASS] * (_CLASSES - 1)]
    weighting = soft_supcon_weights(np.repeat(range(_CLASSES), sizes), epsilon=epsilon, self_pairs=self_pairs)
    found = realize(weighting, temperature=TEMPERATURE, tol=_TOL)
    cosines = found.gram.cosines
    row: Row = {"ratio": sizes[0] / _SMALL_CLASS, "within_cosine": cosines.diagonal().min()}
    row |= {"between_cosine": cosines[0, 1], "small_cosine": cosines[1, 2]}
    # Self-pairs out, a whole family may attain the bound: all cosines of different samples move by one constant.
    shifts = found.shifts if found.verdict is Verdict.REALIZABLE else None
    for end, shift in zip(("lowest", "highest"), shifts or (None, None), strict=True):
        moved = None if shift is None else LogGram.of(weighting).gram(TEMPERATURE, shift).cosines
        row[f"between_{end}"] = None if moved is None else moved[0, 1]
        row[f"within_{end}"] = None if moved is None else moved[0, 0]
    return {**row, **verdict_row(found)}


def _supcon_panel(axes: Axes, rows: Sequence[Row]) -> None:
    words = "bound attained:\none cosine at every ratio" if all(row["realizable"] for row in rows) else "not attained"
    if all(row["between_lowest"] is not None for row in rows):
        words = "bound attained by a family: all cosines\nmay fall together, at every ratio"
        ratios = [row["ratio"] for row in rows]
        for name, colour, which in (("within", MEAN, "within a class"), ("between", ACCENT, "between classes")):
            low, high = ([row[f"{name}_{end}"] for row in rows] for end in ("lowest", "highest"))
            axes.fill_between(ratios, low, high, color=colour, alpha=0.18, linewidth=0, label=f"all optima, {which}")
    curve(axes, rows, "ratio", "within_cosine", "-", color=MEAN, label="within a class")
    curve(axes, rows, "ratio", "small_cosine", "-", color=TAIL, label="two small classes")
    curve(axes, rows, "ratio", "between_cosine", "--", color=HEAD, label="the large class and a small one")
    simplex_line(axes, _CLASSES)
    axes.text(0.04, 0.04, words, transform=axes.transAxes, ha="left", va="bottom", fontsize=9.5)


def label_shapes(samples: int) -> dict[str, Array]:
    """Labels on or in the unit ball: evenly on a line, a circle, a disc (sunflower) and a sphere (Fibonacci)."""
    place = np.arange(samples)
    turn = 2.0 * np.pi * place / samples
    golden = np.pi * (3.0 - math.sqrt(5.0)) * place
    height = 1.0 - (2.0 * place + 1.0) / samples
    across, radius = np.sqrt(1.0 - height**2), np.sqrt((place + 0.5) / (samples - 0.5))
    return {
        "line": np.linspace(-1.0, 1.0, samples)[:, None],
        "disc": np.column_stack([radius * np.cos(golden), radius * np.sin(golden)]),
        "circle": np.column_stack([np.cos(turn), np.sin(turn)]),
        "sphere": np.column_stack([across * np.cos(golden), across * np.sin(golden), height]),
    }


def y_aware_gap(*, samples: int = 12, radii: Sequence[float] = RADII, progress: Progress = quiet) -> Picture:
    """The excess over the entropy bound against the radius of the labels, for labels of several shapes."""
    allowed = 1.0 / math.sqrt(TEMPERATURE)  # of sigma = 1
    shapes = label_shapes(samples)

    def weighted(self_pairs: bool, shape: str, radius: float) -> Weighting:
        return y_aware_weights(shapes[shape] * allowed * radius, sigma=1.0, self_pairs=self_pairs)

    def find(self_pairs: bool, shape: str, radius: float) -> Row:
        return verdict_row(realize(weighted(self_pairs, shape, radius), temperature=TEMPERATURE, tol=1e-3))

    rows: list[Row] = []
    for self_pairs, shape in itertools.product(CONVENTIONS, shapes):
        limit = math.sqrt(LogGram.of(weighted(self_pairs, shape, 1.0)).largest_temperature / TEMPERATURE)
        # Two radii more, a little above the limit, to which the curve falls steeply.
        near = [limit * factor for factor in (1.01, 1.06) if limit > min(radii)]
        chosen = table(find, progress, self_pairs=[self_pairs], shape=[shape], radius=sorted({*radii, *near}))
        rows += [{**row, "largest_radius": limit} for row in chosen]
    title = f"y-Aware InfoNCE, Gaussian kernel: {samples} labels of several shapes, temperature {TEMPERATURE:g}"
    picture = Picture(title, rows, (13, 5.4))
    panels = picture.figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, self_pairs, side in zip(panels, CONVENTIONS, _SIDES, strict=True):
        for shape, colour, marker, words in _SHAPES:
            mine = where(rows, shape=shape, self_pairs=self_pairs)
            # Where the bound is attained the excess is 0, for which a logarithmic axis has no place.
            limit = mine[0]["largest_radius"]
            label = f"{words}: excess 0 {f'up to {limit:.3g}' if limit > 0 else 'at no radius'}"
            curve(axes, where(mine, realizable=False), "radius", "excess", f"-{marker}", color=colour, label=label)
        axes.axvline(1.0, color=GREY, linestyle=":", linewidth=1.6, label="radius σ/√τ", zorder=0)
        axes.set(xlabel="radius of the labels, in units of σ/√τ", title=side)
        axes.legend(loc="lower right")
    panels[0].set_ylabel("mean excess over the entropy bound (nats)")
    panels[0].set(xscale="log", yscale="log", xlim=(min(radii), max(radii)), ylim=(1e-8, 5.0))
    return picture


def label_embeddings() -> dict[str, tuple[str, Array]]:
    """Unit label embeddings, each with a title: random ones, the same with a common part, one-hot ones."""
    points = np.random.default_rng(0).normal(size=(8, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    together = np.column_stack([points, np.ones(len(points))]) / math.sqrt(2.0)
    return {
        "random": ("8 random labels in 3-D", points),
        "cone": ("the same with a common component", together),
        "one-hot": ("4 one-hot labels (a regular simplex)", np.eye(4)),
    }


def x_clr_boundary(*, cells: int = 14, progress: Progress = quiet) -> Picture:
    """The excess over the entropy bound for temperatures of features and labels, and where it is 0."""
    low, high = 0.1, 4.0
    step = (high / low) ** (1.0 / cells)
    rows: list[Row] = []
    for kind, (_, labels) in label_embeddings().items():
        for column in range(cells):
            label_temperature = low * step ** (column + 0.5)
            progress(f"{kind} labels, label temperature {label_temperature:.3g}")
            weighting = x_clr_weights(labels, label_temperature=label_temperature)
            largest = LogGram.of(weighting).largest_temperature
            # Cells start from the boundary, so that none lies on both sides of it.
            for line in range(-_BELOW, cells):
                temperature = largest * step ** (line + 0.5)
                if largest * step ** (line - 0.5) < high:
                    found = realize(weighting, temperature=temperature, tol=_TOL)
                    start = {"labels": kind, "label_temperature": label_temperature, "temperature": temperature}
                    start = {**start, "column": column, "line": line, "largest_temperature": largest}
                    rows.append({**start, **verdict_row(found)})
    from matplotlib.colors import LogNorm

    edges = low * step ** np.arange(cells + 1)
    picture = Picture("X-CLR, self-pairs in: excess of the optimum over the entropy bound", rows, (14, 5.8))
    panels = picture.figure.subplots(1, len(label_embeddings()), sharex=True, sharey=True)
    for axes, (kind, (title, _)) in zip(panels, label_embeddings().items(), strict=True):
        chosen = where(rows, labels=kind)
        excess = np.full((cells, cells), math.nan)
        for row in where(chosen, realizable=False):
            excess[row["line"], row["column"]] = row["excess"]
        ratio = float(np.median([row["largest_temperature"] / row["label_temperature"] for row in chosen]))
        across, up = np.meshgrid(edges, step ** np.arange(cells + 1))
        mesh = axes.pcolormesh(across, ratio * across * up, excess, norm=LogNorm(1e-5, 1.0), rasterized=True)
        axes.set_facecolor("#E4E4E4")
        part = Fraction(ratio).limit_denominator(100)
        words = "boundary, τ = τ$_s$/R², R: circumradius of the labels"
        axes.plot(edges, ratio * edges, color=HEAD, linewidth=2.6, label=words)
        axes.plot(edges, edges, color=MEAN, linestyle=(0, (4, 3)), linewidth=1.6, label="τ = τ$_s$")
        axes.set_title(f"{title}\nboundary τ = {'' if part == 1 else f'{part} '}τ$_s$; grey: realizable", fontsize=11)
        axes.set_xlabel("temperature of the labels, τ$_s$")
    panels[0].set(xscale="log", yscale="log", xlim=edges[[0, -1]], ylim=edges[[0, -1]])
    for axis in (panels[0].xaxis, panels[0].yaxis):
        plain_ticks(axis)
    panels[0].set_ylabel("temperature of the features, τ")
    picture.legend(panels[0].get_legend_handles_labels(), 2)
    picture.figure.colorbar(mesh, ax=panels, label="mean excess over the entropy bound (nats)", extend="both")
    return picture


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


DRAWN = (soft_supcon, y_aware_gap, x_clr_boundary, label_circle)
