"""Where weighted InfoNCE attains its entropy bound: Soft SupCon, y-Aware and X-CLR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ...arrays import Array, Progress
from ...similarities.feasibility import LogGram
from ...similarities.kernels import x_clr_weights, y_aware_weights
from ...similarities.realizations import realize
from ...similarities.schemes import soft_supcon_weights
from ...similarities.verdicts import Realization, Verdict
from ..style import ACCENT, GREY, HEAD, MEAN, TAIL, draw_lines, plain_ticks, simplex_line
from .pages import Picture, Row, page, panels_of, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CLASSES = 4
_SMALL_CLASS = 2  # samples of each class but the first
TEMPERATURE = 0.5
CONVENTIONS = (True, False)
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


def verdict_row(found: Realization) -> Row:
    """The columns that say whether the bound is attained, and what is proved of the geometry."""
    return {
        "realizable": found.verdict is Verdict.REALIZABLE,
        "excess": found.excess,
        "excess_lower": found.excess_lower,
        "relative_gap": 0.0 if found.verdict is Verdict.REALIZABLE else found.gap / max(found.excess, 1e-300),
        "quality": "certified" if found.finished else "uncertified",
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
    rows: list[Row] = []
    for self_pairs in CONVENTIONS:
        for epsilon in heads:
            progress(f"self-pairs {'in' if self_pairs else 'out'}, epsilon {epsilon:.4g}")
            rows += [_supcon_row(ratio, epsilon, self_pairs) for ratio in ratios]
    title = f"SupCon and Soft SupCon: one class larger than {_CLASSES - 1} others, temperature {TEMPERATURE:g}"
    figure = page(title, rows, (14, 7.4))
    panels = panels_of(figure, rows, len(CONVENTIONS), len(heads), _supcon_panel)
    for axes, words in zip(panels[0], heads.values(), strict=True):
        axes.set_title(words, fontsize=11)
    for axes, self_pairs in zip(panels[:, 0], CONVENTIONS, strict=True):
        axes.set_ylabel(f"self-pairs {'in' if self_pairs else 'out'}\ncosine")
    panels[0, 0].set(xscale="log", xlim=(min(ratios), max(ratios)), ylim=(-1.12, 1.12))
    return Picture(figure, rows)


def _supcon_row(ratio: float, epsilon: float, self_pairs: bool) -> Row:
    sizes = [round(_SMALL_CLASS * ratio), *[_SMALL_CLASS] * (_CLASSES - 1)]
    weighting = soft_supcon_weights(np.repeat(range(_CLASSES), sizes), epsilon=epsilon, self_pairs=self_pairs)
    found = realize(weighting, temperature=TEMPERATURE, tol=_TOL)
    cosines = found.gram.cosines
    row: Row = {"self_pairs": self_pairs, "epsilon": epsilon, "ratio": sizes[0] / _SMALL_CLASS}
    row |= {"within_cosine": cosines.diagonal().min(), "between_cosine": cosines[0, 1], "small_cosine": cosines[1, 2]}
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
    lines = (
        ("within_cosine", "within a class", MEAN, "-"),
        ("small_cosine", "two small classes", TAIL, "-"),
        ("between_cosine", "the large class and a small one", HEAD, "--"),
    )
    draw_lines(axes, rows, "ratio", lines)
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
    rows: list[Row] = []
    for self_pairs in CONVENTIONS:
        for shape, labels in label_shapes(samples).items():
            progress(f"self-pairs {'in' if self_pairs else 'out'}, {shape}")
            unit = y_aware_weights(labels * allowed, sigma=1.0, self_pairs=self_pairs)
            limit = math.sqrt(LogGram.of(unit).largest_temperature / TEMPERATURE)
            # Two radii more, a little above the limit, to which the curve falls steeply.
            for radius in sorted({*radii, *(limit * factor for factor in (1.01, 1.06) if limit > min(radii))}):
                weighting = y_aware_weights(labels * allowed * radius, sigma=1.0, self_pairs=self_pairs)
                found = realize(weighting, temperature=TEMPERATURE, tol=1e-3)
                start = {"self_pairs": self_pairs, "shape": shape, "radius": radius, "largest_radius": limit}
                rows.append({**start, **verdict_row(found)})
    title = f"y-Aware InfoNCE, Gaussian kernel: {samples} labels of several shapes, temperature {TEMPERATURE:g}"
    figure = page(title, rows, (13, 6.6))
    panels = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(5, 1.3))
    for (above, below), self_pairs in zip(panels.T, CONVENTIONS, strict=True):
        for place, (shape, colour, marker, words) in enumerate(_SHAPES):
            mine = [row for row in rows if (row["shape"], row["self_pairs"]) == (shape, self_pairs)]
            over = [row for row in mine if not row["realizable"]]
            style = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.8, "label": words}
            above.plot([row["radius"] for row in over], [row["excess"] for row in over], **style)
            # Up to the largest radius the excess is 0, for which a logarithmic axis has no place.
            least, limit = min(radii), mine[0]["largest_radius"]
            below.barh(place, max(limit - least, 0.0), left=least, height=0.8, color=colour)
            text = f"up to {limit:.3g}" if limit > least else "at no radius"
            below.annotate(
                text, (max(least, limit), place), (6, 0), textcoords="offset points", va="center", fontsize=9
            )
        for axes in (above, below):
            axes.axvline(1.0, color=GREY, linestyle=":", linewidth=1.6, label="radius σ/√τ", zorder=0)
        above.set_title(f"self-pairs {'in' if self_pairs else 'out'}", fontsize=11)
        above.grid(alpha=0.25)
        below.set_xlabel("radius of the labels, in units of σ/√τ")
    panels[0, 0].set_ylabel("mean excess over\nthe entropy bound (nats)")
    panels[1, 0].set_ylabel("excess 0\n(realizable)")
    panels[0, 0].set(xscale="log", yscale="log", xlim=(min(radii), max(radii)), ylim=(1e-8, 5.0))
    panels[1, 0].set(yticks=range(len(_SHAPES)), yticklabels=[shape for shape, *_ in _SHAPES], ylim=(3.7, -0.7))
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=10)
    return Picture(figure, rows)


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


def x_clr_boundary(*, cells: int = 14, span: tuple[float, float] = (0.1, 4.0), progress: Progress = quiet) -> Picture:
    """The excess over the entropy bound for temperatures of features and labels, and where it is 0."""
    low, high = span
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
    figure = page("X-CLR, self-pairs in: excess of the optimum over the entropy bound", rows, (14, 5.8))
    panels = figure.subplots(1, len(label_embeddings()), sharex=True, sharey=True)
    for axes, (kind, (title, _)) in zip(panels, label_embeddings().items(), strict=True):
        chosen = [row for row in rows if row["labels"] == kind]
        excess = np.full((cells, cells), math.nan)
        for row in chosen:
            if not row["realizable"]:
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
        plain_ticks(axis, edges[0], edges[-1])
    panels[0].set_ylabel("temperature of the features, τ")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=10)
    figure.colorbar(mesh, ax=panels, label="mean excess over the entropy bound (nats)", extend="both")
    return Picture(figure, rows)
