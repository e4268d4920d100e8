"""Step counts as their ratio grows: cosines of class means, features and classifiers, and the means on the sphere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays import Array, Progress
from ...collapse.layer_peeled import layer_peeled_threshold
from ...collapse.thresholds import threshold
from ...counts.counts import step_counts
from ...objectives.classes.gcl import GCL
from ...objectives.logits.layer_peeled import LayerPeeled
from ...solvers.logits.layer_peeled import solve_peeled
from ...solvers.logits.max_margin import max_margin
from ...solvers.solving import solve
from ..atoms import shown_atoms
from ..solutions import draw_points
from ..style import ACCENT, HEAD, TAIL, simplex_line
from .collapse import SAMPLINGS
from .pages import Picture, Row, curve, proof, quiet, table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MIXES = ((1, 9), (2, 8), (5, 5), (1, 3))
RATIOS = tuple(np.geomspace(1.0, 1000.0, 81).tolist())
_LONG = tuple(10.0 ** (np.arange(41) / 10.0))

# How pairs of classes are drawn, by the first word of their column.
_PAIRS = {
    "minority": ("two minority classes", TAIL, "-"),
    "between": ("one of each", ACCENT, "-."),
    "majority": ("two majority classes", HEAD, "--"),
}
_EACH = 5  # majority and minority classes of cross-entropy
_MINORITY = 3  # with one majority class: four means, which the sphere in three dimensions holds
PARTS = (("before", 0.5), ("at the threshold", 1.0), ("after", 2.0))


def _cosines(gram: Array, majority: int, part: str = "cosine") -> Row:
    """The cosines of the kinds of pairs, where the majority comes first; columns by what they are of."""
    return {
        f"majority_{part}": float(gram[0, 1]) if majority > 1 else None,
        f"between_{part}": float(gram[0, -1]),
        f"minority_{part}": float(gram[-1, -2]),
    }


def _lines(axes: Axes, rows: Sequence[Row], classes: int, part: str = "cosine") -> None:
    """Those cosines against the ratio, beside the simplex."""
    for pair, (label, colour, style) in _PAIRS.items():
        curve(axes, rows, "ratio", f"{pair}_{part}", style, color=colour, label=label)
    simplex_line(axes, classes)
    ratios = [row["ratio"] for row in rows]
    axes.set(xscale="log", xlim=(min(ratios), max(ratios)), xlabel="imbalance ratio")


def _mark(axes: Axes, value: float, text: str, height: float) -> None:
    axes.axvline(value, color="black", linewidth=1.2, linestyle=(0, (1, 1)), label="threshold of collapse")
    axes.annotate(text, (value, height), xytext=(5, 0), textcoords="offset points", va="center")


def cosines(
    *,
    mixes: Sequence[tuple[int, int]] = MIXES,
    ratios: Sequence[float] = RATIOS,
    progress: Progress = quiet,
) -> Picture:
    """Cosines against the ratio for several numbers of majority and minority classes, with their thresholds."""
    rows: list[Row] = []
    for sampling in SAMPLINGS:
        for majority, minority in mixes:
            progress(f"{sampling}, {majority} majority and {minority} minority classes")
            classes: Row = {"majority": majority, "minority": minority}
            loss: Row = {"loss": "logistic", "sampling": sampling}
            found = threshold(GCL, **classes, **loss, certify=False)
            for ratio in ratios:
                solution = solve(GCL(step_counts(majority, minority, 1.0, ratio), **loss), throw=False)
                told = {**_cosines(solution.gram, majority), **proof(solution), "threshold": found.value}
                rows.append({"sampling": sampling, **classes, "ratio": ratio, **told})
    title = "Cosines of class means against imbalance (logistic loss, one negative, temperature 1)"
    picture = Picture(title, rows, (14, 7))
    tops = [f"{majority} majority, {minority} minority" for majority, minority in mixes]
    panels = picture.panels(tops, [f"{sampling} negatives" for sampling in SAMPLINGS], _panel)
    panels[0, 0].set_ylim(-1.08, 1.08)
    return picture


def _panel(axes: Axes, rows: Sequence[Row]) -> None:
    _lines(axes, rows, rows[0]["majority"] + rows[0]["minority"])
    value = rows[0]["threshold"]
    if value is None:
        axes.text(0.5, 0.93, "never collapses", transform=axes.transAxes, ha="center", va="center")
    else:
        _mark(axes, value, f"{value:.4f}", 0.75)


def layer_peeled(
    *, each: int = _EACH, feature_energy: float = 5.0, ratios: Sequence[float] = _LONG, progress: Progress = quiet
) -> Picture:
    """Cosines of classifiers in the Layer-Peeled Model (Fang, He, Long, Su, PNAS 2021) against the imbalance ratio."""
    progress("where the minority merges")
    energies: Row = {"feature_energy": feature_energy, "classifier_energy": 1.0}
    found = layer_peeled_threshold(each, each, **energies)
    merge = found.value if found is not None and min(ratios) < found.value < max(ratios) else None
    # The cosine is steepest there: a few points more, so that the line bends where the optimum does; not at the merge
    # itself, where proofs are weak.
    last = 0.0 if merge is None else 0.9999 * merge
    near = np.geomspace(max(r for r in ratios if r < last) / 2.0, last, 16)[1:].tolist() if last else []

    def find(ratio: float) -> Row:
        answer = solve_peeled(LayerPeeled(step_counts(each, each, 1.0, ratio), **energies), throw=False)
        return {**_cosines(answer.classifier_cosines, each), "loss": answer.value, **proof(answer)}

    rows = table(find, progress, ratio=sorted({*ratios, *near}))
    title = f"Layer-Peeled Model: {each} majority and {each} minority classes, $E_H$ = {feature_energy:g}, $E_W$ = 1"
    picture = Picture(title, rows, (8.5, 5.4))
    axes = picture.figure.subplots()
    _lines(axes, rows, 2 * each)
    if merge is not None:
        _mark(axes, merge, f"minority classifiers\nmerge at {merge:.4f}", 0.45)
    axes.set(ylim=(-0.35, 1.06), ylabel="cosine of two classifiers")
    axes.legend(framealpha=0.9, loc="center right", bbox_to_anchor=(1.0, 0.64))
    return picture


def seli(*, ratios: Sequence[float] = _LONG, progress: Progress = quiet) -> Picture:
    """Cosines of features and of classifiers of cross-entropy without decay against the imbalance ratio."""

    def find(ratio: float) -> Row:
        found = max_margin(step_counts(_EACH, _EACH, 1.0, ratio))
        features = _cosines(found.feature_cosines, _EACH, "feature")
        classifiers = _cosines(found.classifier_cosines, _EACH, "classifier")
        return {**features, **classifiers, "value": found.value, **proof(found)}

    rows = table(find, progress, ratio=ratios)
    title = f"Cross-entropy without decay (SELI): {_EACH} majority and {_EACH} minority classes"
    picture = Picture(title, rows, (11.0, 4.9))
    panels = picture.figure.subplots(1, 2, sharey=True)
    for axes, part in zip(panels, ("feature", "classifier"), strict=True):
        _lines(axes, rows, 2 * _EACH, part)
        axes.set(ylim=(-0.35, 1.06), title=f"{part}s")
    panels[0].set_ylabel("cosine of two classes")
    panels[0].legend(framealpha=0.9, loc="upper left")
    return picture


def sphere(*, progress: Progress = quiet) -> Picture:
    """One majority and three minority class means in 3-D at given multiples of the threshold of collapse."""
    progress("the threshold")
    # One majority class has a threshold.
    critical = float(threshold(GCL, majority=1, minority=_MINORITY, loss="logistic", certify=False).value or 1.0)
    rows: list[Row] = []
    drawn = []
    for part, multiple in PARTS:
        progress(part)
        counts = step_counts(1, _MINORITY, 1.0, critical * multiple)
        solution = solve(GCL(counts, loss="logistic"), throw=False)
        words = f"{part}: ratio {critical * multiple:.4f}\nminority–minority cosine {solution.gram[-1, -2]:.4f}"
        atoms = shown_atoms(solution)
        points, first, totals = atoms.axes()[0], *atoms.merged()
        drawn.append((words, atoms))
        told = {"part": part, "ratio": critical * multiple, "threshold": critical}
        told |= {**_cosines(solution.gram, 1), **proof(solution)}
        for a, total in zip(first, totals, strict=True):
            place = dict(zip("xyz", points[a].tolist(), strict=True))
            rows.append({"count": float(atoms.numbers[a]), "classes": int(total), **place, **told})
    title = f"One majority class and {_MINORITY} minority classes, labelled by count "
    picture = Picture(f"{title}(logistic loss, supervised negatives, temperature 1)", rows, (13, 5.2))
    panels: Any = picture.figure.subfigures(1, len(PARTS))
    for panel, (words, atoms) in zip(panels, drawn, strict=True):
        draw_points(panel, atoms, words)
    return picture


DRAWN = (cosines, sphere, layer_peeled, seli)
