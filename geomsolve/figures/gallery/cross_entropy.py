"""Cross-entropy: the angles without decay (SELI) against the imbalance ratio, and classes that vanish under ReLU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arrays import Progress
from ...counts.counts import long_tail_counts, step_counts
from ...objectives.logits.cross_entropy import CrossEntropy
from ...solvers.logits.logit_solution import solve_logits
from ...solvers.logits.max_margin import max_margin
from ..style import draw_lines, simplex_line
from .layer_peeled import PAIRS, RATIOS, of_pairs, proved
from .pages import Picture, Row, page, quiet

DECAYS = tuple(10.0 ** np.linspace(-5.0, -1.6, 103))


def seli(
    *, majority: int = 5, minority: int = 5, ratios: Sequence[float] = RATIOS, progress: Progress = quiet
) -> Picture:
    """Cosines of features and of classifiers without decay against the imbalance ratio."""
    rows: list[Row] = []
    for ratio in ratios:
        progress(f"ratio {ratio:.4g}")
        found = max_margin(step_counts(majority, minority, 1.0, ratio))
        row = of_pairs(found.feature_cosines, "feature", majority)
        row |= of_pairs(found.classifier_cosines, "classifier", majority)
        rows.append({"ratio": ratio, **row, "value": found.value, **proved(found)})
    figure = page(
        f"Cross-entropy without decay (SELI): {majority} majority and {minority} minority classes", rows, (11.0, 4.9)
    )
    worst = max(row["relative_gap"] for row in rows)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, part, title in zip(panels, ("feature", "classifier"), ("features", "classifiers"), strict=True):
        draw_lines(axes, rows, "ratio", [(f"{pair}_{part}", *style) for pair, style in PAIRS.items()])
        simplex_line(axes, majority + minority)
        axes.set(xscale="log", xlim=(min(ratios), max(ratios)), ylim=(-0.35, 1.06), xlabel="imbalance ratio R")
        axes.set_title(title)
    panels[0].set_ylabel("cosine of two classes")
    panels[1].set_xlabel(f"imbalance ratio R (largest proved relative gap: {worst:.1e})")
    panels[0].legend(framealpha=0.9, loc="upper left")
    return Picture(figure, rows)


def relu_vanishing(
    *,
    head: int = 500,
    classes: int = 10,
    ratio: float = 100.0,
    decays: Sequence[float] = DECAYS,
    progress: Progress = quiet,
) -> Picture:
    """Feature norms of a long tail under ReLU against weight decay, and where each class vanishes."""
    counts = long_tail_counts(classes, head, ratio)
    rows: list[Row] = []
    vanishing = np.zeros(classes)
    for decay in decays:
        progress(f"decay {decay:.3g}")
        problem = CrossEntropy(counts, feature_decay=decay, classifier_decay=decay, relu=True)
        found = solve_logits(problem, throw=False)
        vanishing = problem.vanishing_decays
        for c in range(classes):
            row: Row = {"decay": decay, "class": c, "count": counts.per_class[c]}
            row |= {"feature_norm": found.feature_norms[c], "logit": found.logits[c, c], "vanishes_at": vanishing[c]}
            rows.append({**row, "value": found.value, **proved(found)})
    figure = page(f"Cross-entropy with ReLU features: {counts.name}", rows, (8.5, 5.4))
    axes = figure.subplots()
    import matplotlib

    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, classes))
    for c in range(classes):
        mine = [row for row in rows if row["class"] == c]
        label = f"{counts.per_class[c]:g} examples" if c in (0, classes // 2, classes - 1) else None
        axes.plot(decays, [row["logit"] for row in mine], color=colours[c], linewidth=1.8, label=label)
        axes.plot([vanishing[c]], [0.0], "o", color=colours[c], markersize=7, clip_on=False, zorder=3)
    worst = max(row["relative_gap"] for row in rows)
    axes.set(
        xscale="log",
        xlim=(min(decays), max(decays)),
        ylim=(0.0, None),
        xlabel=f"weight decay of features and classifier (largest proved relative gap: {worst:.1e})",
        ylabel="logit of the own class",
    )
    axes.grid(alpha=0.25)
    axes.legend(title="dots: $\\sqrt{n(C-1)/C}\\,/N$, where a class vanishes", framealpha=0.9)
    return Picture(figure, rows)
