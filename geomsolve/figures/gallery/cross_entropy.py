"""Cross-entropy with ReLU features: classes vanish as weight decay grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arrays import Progress
from ...counts.counts import long_tail_counts
from ...objectives.logits.cross_entropy import CrossEntropy
from ...solvers.logits.logit_solution import solve_logits
from ..style import finish
from .pages import Picture, Row, page, proof, quiet

DECAYS = tuple(10.0 ** np.linspace(-5.0, -1.6, 103))


def relu_vanishing(
    *,
    head: int = 500,
    classes: int = 10,
    ratio: float = 100.0,
    decays: Sequence[float] = DECAYS,
    progress: Progress = quiet,
) -> Picture:
    """Logits and feature norms of a long tail under ReLU against weight decay, and where each class vanishes."""
    counts = long_tail_counts(classes, head, ratio)
    rows: list[Row] = []
    for decay in decays:
        progress(f"decay {decay:.3g}")
        problem = CrossEntropy(counts, feature_decay=decay, classifier_decay=decay, relu=True)
        found = solve_logits(problem, throw=False)
        for c in range(classes):
            row: Row = {"decay": decay, "class": c, "count": counts.per_class[c], "logit": found.logits[c, c]}
            row |= {"feature_norm": found.feature_norms[c], "vanishes_at": problem.vanishing_decays[c]}
            rows.append({**row, "value": found.value, **proof(found)})
    figure = page(f"Cross-entropy with ReLU features: {counts.name}", rows, (8.5, 5.4))
    axes = figure.subplots()
    import matplotlib

    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, classes))
    for c, colour in enumerate(colours):
        label = f"{counts.per_class[c]:g} examples" if c in (0, classes // 2, classes - 1) else None
        axes.plot(decays, [row["logit"] for row in rows[c::classes]], color=colour, linewidth=1.8, label=label)
        axes.plot([rows[c]["vanishes_at"]], [0.0], "o", color=colour, markersize=7, clip_on=False, zorder=3)
    words = {"xlabel": "weight decay of features and classifier", "ylabel": "logit of the own class"}
    finish(axes, xscale="log", xlim=(min(decays), max(decays)), ylim=(0.0, None), **words)
    axes.legend(title="dots: $\\sqrt{n(C-1)/C}\\,/N$, where a class vanishes", framealpha=0.9)
    return Picture(figure, rows)
