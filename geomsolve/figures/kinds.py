"""Pictures of solutions whose classes have atoms of several kinds: instances, prototypes, classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..choosing.bounded import BoundedGeometry
from .atoms import Atoms, atoms_by_kind
from .heat_maps import draw_gram
from .style import FEW, GREY, HEAD, MEAN, TAIL, finish, picture, simplex_line, unit_sphere, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "osD^"
# Elevation and azimuth: of four points, the first is up, the second in front and two beside it, none behind a line.
_VIEW = (14.0, 12.0)


def draw_kinds(figure: Figure, atoms: Atoms, title: str) -> None:
    """Draw three panels: cosines of one atom of every kind and class, cosines against rank, and the points.

    - The heat map has the kinds one after the other, classes by count in each.
    - By class rank: the mean cosine of an atom with its kind in other classes, the cosine of two atoms of a kind in one
      class (its spread: 1 is one point), and the cosine of two kinds in one class.
    - The atoms on their sphere where the rank is at most 3, otherwise their three principal axes.
    """
    panels: Any = figure.subfigures(1, 3, width_ratios=(1.12, 1.15, 1.0))
    square = panels[0].subplots()
    draw_gram(square, atoms.gram, len(atoms.gram), atoms.off, "Cosines of one atom a class")
    kinds, starts, sizes = np.unique(atoms.kinds, return_index=True, return_counts=True)
    for start in starts[starts > 0]:
        square.axhline(start + 0.5, color="black", linewidth=1)
        square.axvline(start + 0.5, color="black", linewidth=1)
    square.set_xticks(starts + (sizes + 1) / 2.0, kinds)
    square.set_yticks(starts + (sizes + 1) / 2.0, kinds, rotation=90, va="center")
    square.set_xlabel("classes by count, largest first, in each kind")
    _by_rank(panels[1].subplots(), atoms)
    draw_points(panels[2], atoms)
    figure.suptitle(title, fontsize=14)


@picture(16, 5.8, 150, w_pad=0.08, h_pad=0.06, wspace=0.04)
def plot_bounded(figure: Figure, found: BoundedGeometry) -> None:
    """The same of TSC's embeddings and targets, or of the examples of Supervised Prototypes."""
    counts, parts = found.counts, found.objective.parts
    atoms = atoms_by_kind(found.gram, parts.names, parts.classes, counts.per_class)
    draw_kinds(figure, atoms, f"{counts.name} ({counts.classes} classes)\n{found.summary:.110}")


def _by_rank(axes: Axes, atoms: Atoms) -> None:
    for name, i, dash, ranks, cosines in atoms.lines():
        axes.plot(ranks, cosines, dash, color=(MEAN, TAIL, HEAD)[i % 3], marker=_MARKERS[i % 4], label=name)
    simplex_line(axes, max(2.0, float(atoms.ranks.max())), "")
    finish(axes, title="Cosines against class rank", xlabel="class rank (largest count first)", ylabel="cosine")
    whole_ticks(axes.xaxis)
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)


def draw_points(figure: Any, atoms: Atoms, title: str | None = None) -> None:
    """The atoms on their sphere, or of a rank above 3 along three principal axes, into a (sub)figure.

    Of one kind that are few, each point is labelled by its count; where several classes share it, it is ringed.
    """
    axes = figure.add_subplot(projection="3d")
    points, share = atoms.axes()
    points /= max(1e-12, float(np.linalg.norm(points, axis=1).max()))
    dims = 1 + int((np.abs(points[:, :2]).max(axis=0) > 1e-6).sum())
    unit_sphere(axes, 1.05, (0.0, -90.0) if dims < 3 else _VIEW)
    first, totals = atoms.merged()
    kinds, ringed = dict.fromkeys(atoms.kinds.tolist()), first[totals > 1]
    for i, kind in enumerate(kinds):
        mine = first[atoms.kinds[first] == kind]
        style = {"marker": _MARKERS[i % 4], "edgecolors": "black", "cmap": "viridis_r", "label": kind}
        axes.scatter(*points[mine].T, c=np.log(atoms.numbers[mine]), s=55, depthshade=False, **style)
    if len(kinds) > 1:
        axes.legend(fontsize=9, loc="lower center", ncols=3)
    else:
        axes.scatter(*points[ringed].T, s=260, facecolor="none", edgecolor="black", depthshade=False)
    if len(kinds) == 1 and len(first) <= FEW:
        for a, total in zip(first, totals, strict=True):
            # Where atoms were sampled it is not known here how many classes a point has.
            several = f"{total} classes of " if atoms.total == len(atoms.gram) else "classes of "
            label = f"{several if total > 1 else ''}{atoms.numbers[a]:.4g}"
            axes.text(*(1.2 * points[a]), label, ha="center", va="center", fontsize=11)
            axes.plot(*np.array([np.zeros(3), points[a]]).T, color=GREY, linewidth=1.2)
    where = f"Points in {dims} dimension{'s' * (dims > 1)}"
    if share < 1.0 - 1e-9:
        where = f"Three principal axes, {100 * share:.3g} % of the spread"
    axes.set_title(title or f"{where}\n(dark: many examples; ringed: several classes)")
