"""Pictures of solutions: class means by count, or atoms of several kinds, and their points on the sphere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..choosing.bounded import BoundedGeometry
from ..geometry.orbit_gram import OrbitGram
from ..solvers.solution import Solution
from .atoms import Atoms, atoms_by_kind, class_means, raster, shown_atoms
from .heat_maps import draw_gram
from .style import (
    ACCENT,
    FEW,
    GREY,
    HEAD,
    MANY,
    MEAN,
    TAIL,
    cut,
    finish,
    name_ticks,
    picture,
    simplex_line,
    unit_sphere,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..counts.counts import Counts
    from ..solvers.points.embedding import Embedding

_MARKERS = "osD^"
# Elevation and azimuth: of four points, the first is up, the second in front and two beside it, none behind a line.
_VIEW = (14.0, 12.0)


@picture(16, 5.8, 150, w_pad=0.08, h_pad=0.06, wspace=0.04)
def plot_solution(
    figure: Figure, solution: Solution, *, counts: Counts | None = None, embedding: Embedding | None = None
) -> None:
    """A figure of three panels: the Gram matrix, cosines against class rank, and the embedding.

    - The Gram matrix as a heat map, colours from -1 to 1, classes sorted by count, largest first. Above 400 classes it
      is sampled through the orbits, never expanded.
    - The cosine of every class with the largest class, with the smallest, and on average with all others, beside the
      regular simplex -1/(C-1); the class counts below.
    - The class means on their sphere where the rank is at most 3; otherwise their three principal axes, or for more
      than 60 classes how many pairs have which cosine.

    With `counts`, their name and numbers stand there; without, those of the objective, or the loss weights. With
    `embedding`, one of the solution below its rank, that is drawn in place of the optimum. Of losses over other atoms
    than class means: see `draw_kinds`.
    """
    counts = solution.counts if counts is None else counts
    below_rank = embedding if embedding is not None and not embedding.exact else None
    title = _title(solution, counts, below_rank)
    if solution.objective.description.atoms != "class means":
        draw_kinds(figure, shown_atoms(solution), title)
        return
    points, rank = (None, solution.rank) if below_rank is None else (below_rank.points, below_rank.dim)
    gram, numbers, places = class_means(solution, points)
    what = "weight of a class" if counts is None or counts.are_proportions else "class count"
    panels: Any = figure.subfigures(1, 3, width_ratios=(1.12, 1.15, 1.0))
    left, middle, right = panels
    square, atoms = left.subplots(), round(gram.orbits.atoms)
    draw_gram(square, raster(gram), atoms, gram.cosines[gram.orbits.partners > 0], "Gram matrix")
    square.set(xlabel="class rank (largest count first)", ylabel="class rank")
    above, below = middle.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    _profile(above, below, gram, numbers, what)
    names = None
    if counts is not None and counts.names is not None and counts.classes <= MANY:
        ranked = places if points is not None else [c for a in places for c in counts.classes_with(a)]
        names = [counts.names[c] for c in ranked]
        for axis in (square.xaxis, square.yaxis, below.xaxis):
            name_ticks(axis, names)
    figure.suptitle(title, fontsize=14)
    if rank <= 3 or atoms <= MANY:
        draw_points(right, shown_atoms(solution, points), names=names)
    else:
        _histogram(right.subplots(), gram)


def _title(solution: Solution, counts: Counts | None, embedding: Embedding | None) -> str:
    objective, certificate = solution.objective, solution.certificate
    source = f"{solution.geometry.atoms:g} classes" if counts is None else f"{counts.name} ({counts.classes} classes)"
    words = f"{'' if solution.ok else 'NOT '}certified, gap {certificate.gap:.1e}"
    words = f"loss {certificate.value:.10g} nats, {words}"
    if embedding is not None:
        words = f"best found in {embedding.dim} dimensions: loss {embedding.value:.10g} nats, at most "
        words += f"{embedding.gap:.2g} above any geometry's"
    return f"{objective.name}, temperature {objective.temperature:g}, {source}\n{words}"


def _ranked(sizes: Array) -> tuple[NDArray[np.intp], Array]:
    """Orbits and ranks of the first and last atom of every orbit."""
    last = np.cumsum(sizes)
    ranks = np.stack([last - sizes + 1.0, last], axis=1).ravel()
    keep = np.append(True, np.diff(ranks) > 0)
    return np.repeat(np.arange(len(sizes)), 2)[keep], ranks[keep]


def _profile(axes: Axes, below: Axes, gram: OrbitGram, numbers: Array, what: str) -> None:
    orbit, ranks = _ranked(gram.sizes)
    partners, many = gram.orbits.partners, gram.orbits.atoms > MANY
    mean = np.einsum("ab,ab->a", partners, gram.cosines) / (gram.orbits.atoms - 1.0)
    # The cosine of a class with itself says nothing: an orbit of one class is left out of its own line.
    shown = np.where(partners > 0, gram.cosines, np.nan)
    style: dict[str, Any] = {"linewidth": 2.0, "markersize": 0.0 if many else 6.0}
    if len(gram.sizes) > 1:
        axes.plot(ranks, shown[0, orbit], "-o", color=HEAD, label="with the largest class", **style)
        axes.plot(ranks, shown[-1, orbit], "-s", color=TAIL, label="with the smallest class", **style)
    axes.plot(ranks, mean[orbit], "-^", color=MEAN, label="mean with all others", **style)
    simplex_line(axes, gram.orbits.atoms, "")
    finish(axes, "best", title="Cosines against class rank", ylabel="cosine")
    wide = numbers[0] > 3 * numbers[-1]
    below.fill_between(ranks, numbers[orbit], numbers[-1] * 0.5 if wide else 0.0, color=ACCENT, alpha=0.35, linewidth=0)
    below.plot(ranks, numbers[orbit], color=ACCENT, marker="o", **{**style, "markersize": 0.0 if many else 5.0})
    across = "class rank (largest count first)" + (", log scale" if many else "")
    scales = {"xscale": "log" if many else "linear", "yscale": "log" if wide else "linear"}
    finish(below, ranks=not many, xlabel=across, ylabel=what, **scales)


def _histogram(axes: Axes, gram: OrbitGram) -> None:
    """How many pairs of classes have which cosine, by thirds of the class ranks."""
    pairs = gram.sizes[:, None] * gram.orbits.partners / 2.0
    middle = np.cumsum(gram.sizes) - gram.sizes / 2.0
    third = np.minimum((3.0 * middle / gram.orbits.atoms).astype(int), 2)
    low, high = gram.cosines[pairs > 0].min(), gram.cosines[pairs > 0].max()
    if high - low < 1e-6:
        low, high = low - 0.01, high + 0.01
    bins = np.linspace(low, high, 61).tolist()
    axes.hist(gram.cosines.ravel(), bins, weights=pairs.ravel(), color="#D9D9D9", label="all pairs of classes")
    rarer, commoner = np.maximum.outer(third, third), np.minimum.outer(third, third)
    for label, first, second, colour in (
        ("both in the tail third", 2, 2, TAIL),
        ("both in the head third", 0, 0, HEAD),
        ("one head, one tail", 0, 2, "#E69F00"),
    ):
        mask = (commoner == first) & (rarer == second)
        style: dict[str, Any] = {"histtype": "step", "color": colour, "linewidth": 2, "label": label}
        if pairs[mask].sum() > 0:
            axes.hist(gram.cosines[mask], bins, weights=pairs[mask], **style)
    axes.axvline(-1.0 / (gram.orbits.atoms - 1.0), color=GREY, linestyle="--", linewidth=1.5, label="regular simplex")
    words = {"title": "Distribution of cosines", "xlabel": "cosine", "ylabel": "pairs of classes"}
    finish(axes, yscale="log", **words)
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, 0.5), top * (top / max(bottom, 0.5)) ** 0.3)  # room for the legend
    axes.locator_params(axis="x", nbins=6)
    axes.legend(fontsize=9, framealpha=0.85, loc="upper center", ncols=2)


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
    axes = panels[1].subplots()
    for name, i, dash, ranks, cosines in atoms.lines():
        axes.plot(ranks, cosines, dash, color=(MEAN, TAIL, HEAD)[i % 3], marker=_MARKERS[i % 4], label=name)
    simplex_line(axes, max(2.0, float(atoms.ranks.max())), "")
    words = {"title": "Cosines against class rank", "xlabel": "class rank (largest count first)", "ylabel": "cosine"}
    finish(axes, ranks=True, **words)
    axes.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2)
    figure.suptitle(title, fontsize=14)
    draw_points(panels[2], atoms)


@picture(16, 5.8, 150, w_pad=0.08, h_pad=0.06, wspace=0.04)
def plot_bounded(figure: Figure, found: BoundedGeometry) -> None:
    """The same of TSC's embeddings and targets, or of the examples of Supervised Prototypes."""
    counts, parts = found.counts, found.objective.parts
    atoms = atoms_by_kind(found.gram, parts.names, parts.classes, counts.per_class)
    draw_kinds(figure, atoms, f"{counts.name} ({counts.classes} classes)\n{found.summary:.110}")


def draw_points(figure: Any, atoms: Atoms, title: str | None = None, names: Sequence[str] | None = None) -> None:
    """The atoms on their sphere, or of a rank above 3 along three principal axes, into a (sub)figure.

    Of one kind that are few, each point is labelled by its name or count, unless a larger class has its label there;
    where several classes share it, it is ringed.
    """
    axes = figure.add_subplot(projection="3d")
    points, share = atoms.axes()
    points /= max(1e-12, float(np.linalg.norm(points, axis=1).max()))
    dims = 1 + int((np.abs(points[:, :2]).max(axis=0) > 1e-6).sum())
    unit_sphere(axes, 1.05 if names is None else 0.92, (0.0, -90.0) if dims < 3 else _VIEW)
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
            label = f"{atoms.numbers[a]:.4g}" if names is None else cut(names[a])
            if total > 1:
                # Where atoms were sampled it is not known here how many classes a point has.
                several = f"{total} classes of" if atoms.total == len(atoms.gram) else "classes of"
                ends = (f"{end:.4g}" for end in (atoms.numbers[a], atoms.numbers[atoms.gram[a] >= 1.0 - 1e-8].min()))
                label = f"{several} {' to '.join(dict.fromkeys(ends))}"
            place = points[a] * (1.0 + 0.2 / max(0.02, float(np.linalg.norm(points[a]))))
            axes.text(*place, label, ha="center", va="center", fontsize=11 if names is None else 9)
            axes.plot(*np.array([np.zeros(3), points[a]]).T, color=GREY, linewidth=1.2)
    where = f"Points in {dims} dimension{'s' * (dims > 1)}"
    if share < 1.0 - 1e-9:
        where = f"Three principal axes, {100 * share:.3g} % of the spread"
    axes.set_title(title or f"{where}\n(dark: many examples; ringed: several classes)")
    if len(axes.texts) > 1:
        _part(axes)


def _part(axes: Any) -> None:
    """Take away every label that would lie on one before it, and move into the panel what would stand out at a side."""
    from matplotlib.transforms import Bbox, ScaledTranslation
    from mpl_toolkits.mplot3d.proj3d import proj_transform

    panel = axes.figure
    panel.figure.draw_without_rendering()  # which lays the figure out
    kept: list[Bbox] = []
    for text in list(axes.texts):
        size = np.array(text.get_window_extent().size)
        middle = axes.transData.transform(proj_transform(*text.get_position_3d(), axes.get_proj())[:2])
        inside = min(max(middle[0], panel.bbox.x0 + size[0] / 2.0), panel.bbox.x1 - size[0] / 2.0)
        shift = ScaledTranslation((inside - middle[0]) / panel.dpi, 0.0, panel.dpi_scale_trans)
        middle[0] = inside
        box = Bbox([middle - size / 2.0, middle + size / 2.0])
        if box.count_overlaps(kept):
            text.remove()
        else:
            kept.append(box)
            text.set_transform(axes.transData + shift)
