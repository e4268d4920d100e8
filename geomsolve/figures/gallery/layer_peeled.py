"""Minority collapse of classifiers in the Layer-Peeled Model (Fang, He, Long, Su, PNAS 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arrays import Array, Progress
from ...collapse.layer_peeled import layer_peeled_threshold
from ...counts.counts import step_counts
from ...objectives.logits.layer_peeled import LayerPeeled
from ...solvers.logits.layer_peeled import solve_peeled
from ...solvers.logits.logit_solution import LogitFactorization
from ..style import ACCENT, HEAD, TAIL, draw_lines, simplex_line
from .pages import Picture, Row, page, quiet

# How pairs of classes are drawn, by the first word of their column.
PAIRS = {
    "minority": ("two minority classes", TAIL, "-"),
    "between": ("one of each", ACCENT, "-."),
    "majority": ("two majority classes", HEAD, "--"),
}
RATIOS = tuple(10.0 ** (np.arange(41) / 10.0))


@dataclass(frozen=True)
class Setting:
    """So many classes of either kind, and the mean energy of a feature and of a classifier."""

    majority: int = 5
    minority: int = 5
    feature_energy: float = 5.0
    classifier_energy: float = 1.0

    @property
    def classes(self) -> int:
        """C."""
        return self.majority + self.minority


_SETTING = Setting()


def peeled_rows(
    setting: Setting, ratios: Sequence[float], progress: Progress = quiet
) -> tuple[list[Row], float | None]:
    """One row a ratio; and the ratio at which the minority's classifiers merge, None if not between those given."""
    progress("where the minority merges")
    found = layer_peeled_threshold(
        setting.majority,
        setting.minority,
        feature_energy=setting.feature_energy,
        classifier_energy=setting.classifier_energy,
    )
    merge = found.value if found is not None and min(ratios) < found.value < max(ratios) else None
    # The cosine is steepest there: a few points more, so that the line bends where the optimum does.
    near = [] if merge is None else np.geomspace(max(r for r in ratios if r < merge) / 2.0, merge, 16)[1:].tolist()
    rows = []
    for ratio in sorted({*ratios, *near}):
        progress(f"ratio {ratio:.4g}")
        rows.append(_row(setting, ratio))
    return rows, merge


def _row(setting: Setting, ratio: float) -> Row:
    counts = step_counts(setting.majority, setting.minority, 1.0, ratio)
    answer = solve_peeled(LayerPeeled(counts, setting.feature_energy, setting.classifier_energy), throw=False)
    cosines = of_pairs(answer.classifier_cosines, "cosine", setting.majority)
    return {"ratio": ratio, **cosines, "loss": answer.value, **proved(answer)}


def of_pairs(cosines: Array, part: str, majority: int) -> Row:
    """The cosines of the kinds of pairs of `PAIRS`, where the majority comes first; columns by what they are of."""
    values = {"minority": cosines[-1, -2], "between": cosines[0, -1], "majority": cosines[0, 1]}
    known = {pair: float(value) if pair != "majority" or majority > 1 else None for pair, value in values.items()}
    return {f"{pair}_{part}": value for pair, value in known.items()}


def proved(found: LogitFactorization) -> Row:
    """The columns that say what is proved of logits."""
    bound = found.certificate
    return {"lower_bound": bound.lower_bound, "relative_gap": bound.relative_gap, "quality": found.quality.value}


def layer_peeled(
    *, setting: Setting = _SETTING, ratios: Sequence[float] = RATIOS, progress: Progress = quiet
) -> Picture:
    """Cosines of classifiers in the Layer-Peeled Model against the imbalance ratio."""
    rows, merge = peeled_rows(setting, ratios, progress)
    figure = page(
        f"Layer-Peeled Model: {setting.majority} majority and {setting.minority} minority classes, "
        f"$E_H$ = {setting.feature_energy:g}, $E_W$ = {setting.classifier_energy:g}",
        rows,
        (8.5, 5.4),
    )
    axes = figure.subplots()
    draw_lines(axes, rows, "ratio", [(f"{pair}_cosine", *style) for pair, style in PAIRS.items()])
    simplex_line(axes, setting.classes)
    if merge is not None:
        axes.axvline(merge, color="black", linewidth=1.2)
        axes.annotate(
            f"minority classifiers\nmerge at R = {merge:.4f}",
            (merge, 0.45),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
        )
    worst = max(row["relative_gap"] for row in rows)
    axes.set(
        xscale="log",
        xlim=(min(ratios), max(ratios)),
        ylim=(-0.35, 1.06),
        xlabel=f"imbalance ratio R (largest proved relative gap: {worst:.1e})",
        ylabel="mean cosine of two classifiers",
    )
    axes.legend(framealpha=0.9, loc="center right", bbox_to_anchor=(1.0, 0.64))
    return Picture(figure, rows)
