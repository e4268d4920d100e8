"""Long tails: optimal Gram matrices of real class counts, and classes that vanish under ReLU."""

from collections.abc import Sequence

import numpy as np

from ...arrays import Progress
from ...counts.counts import Counts, long_tail_counts
from ...counts.sources import load_counts
from ...objectives.classes.supcon import SupCon
from ...objectives.logits.cross_entropy import CrossEntropy
from ...solvers.logits.logit_solution import solve_logits
from ...solvers.solving import solve
from ..atoms import raster
from ..heat_maps import colour_bar, even, heat_map
from ..style import finish
from .pages import Picture, Row, proof, quiet

PROFILES = (
    "inaturalist2018",
    "lvis_v1_instance_count",
    "imagenet_lt",
    "places_lt",
    "cifar100_lt:100",
    "cifar10_lt:100",
    "isic2019",
)
_PIXELS = 100  # the side of a drawn matrix at most: more would not be seen in panels of this size
_COLUMNS = 4
_TEMPERATURE = 0.1
_TAIL = long_tail_counts(10, 500, 100.0)
DECAYS = tuple(10.0 ** np.linspace(-5.0, -1.6, 103))


def long_tails(*, names: Sequence[str] = PROFILES, progress: Progress = quiet) -> Picture:
    """Certified Gram matrices of the built-in profiles under SupCon, classes sorted by count."""
    rows: list[Row] = []
    drawn = []
    for name in names:
        progress(name)
        counts = load_counts(name)
        solution = solve(SupCon(counts, temperature=_TEMPERATURE), throw=False, progress=progress)
        image, ranks = raster(solution.orbits, _PIXELS), even(counts.classes, _PIXELS)
        sizes, proved = np.sort(counts.per_class)[::-1][ranks], proof(solution)
        drawn.append((counts, image))
        for a, b in zip(*np.triu_indices(len(image)), strict=True):
            pair = {"rank": int(ranks[a]) + 1, "other_rank": int(ranks[b]) + 1, "count": float(sizes[a])}
            pair |= {"other_count": float(sizes[b]), "cosine": float(image[a, b])}
            rows.append({"profile": name, **pair, **proved})
    lines = -(-(len(names) + 1) // _COLUMNS)
    title = f"Optimal Gram matrices under SupCon at temperature {_TEMPERATURE:g}, against class rank (largest first)"
    picture = Picture(title, rows, (14, 0.5 + 3.75 * lines))
    panels = picture.figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes, (counts, image) in zip(panels, drawn, strict=False):
        shown = heat_map(axes, image, counts.classes, pale=True, fontsize=6.5)
        words = f"{counts.classes} classes of {counts.distinct[0]:g} to {counts.distinct[-1]:g}"
        axes.set_title(f"{counts.name}\n{words}", fontsize=11)
    last = panels[len(names)]
    colour_bar(last.inset_axes((0.05, 0.0, 0.09, 1.0)), shown, pale=True)
    last.text(0.45, 0.5, "colours are linear\nto ±0.02, logarithmic\nbeyond", transform=last.transAxes, va="center")
    return picture


def relu_vanishing(*, counts: Counts = _TAIL, decays: Sequence[float] = DECAYS, progress: Progress = quiet) -> Picture:
    """Logits and feature norms of a long tail under ReLU against weight decay, and where each class vanishes."""
    rows: list[Row] = []
    classes = counts.classes
    for decay in decays:
        progress(f"decay {decay:.3g}")
        problem = CrossEntropy(counts, feature_decay=decay, classifier_decay=decay, relu=True)
        found = solve_logits(problem, throw=False)
        for c in range(classes):
            row: Row = {"decay": decay, "class": c, "count": counts.per_class[c], "logit": found.logits[c, c]}
            row |= {"feature_norm": found.feature_norms[c], "vanishes_at": problem.vanishing_decays[c]}
            rows.append({**row, "value": found.value, **proof(found)})
    picture = Picture(f"Cross-entropy with ReLU features: {counts.name}", rows, (8.5, 5.4))
    axes = picture.figure.subplots()
    import matplotlib

    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.9, classes))
    for c, colour in enumerate(colours):
        label = f"{counts.per_class[c]:g} examples" if c in (0, classes // 2, classes - 1) else None
        axes.plot(decays, [row["logit"] for row in rows[c::classes]], color=colour, linewidth=1.8, label=label)
        axes.plot([rows[c]["vanishes_at"]], [0.0], "o", color=colour, markersize=7, clip_on=False, zorder=3)
    words = {"xlabel": "weight decay of features and classifier", "ylabel": "logit of the own class"}
    finish(axes, xscale="log", xlim=(min(decays), max(decays)), ylim=(0.0, None), **words)
    axes.legend(title="dots: $\\sqrt{n(C-1)/C}\\,/N$, where a class vanishes", framealpha=0.9)
    return picture


DRAWN = (long_tails, relu_vanishing)
