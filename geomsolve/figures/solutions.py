"""Pictures of solutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram
from ..solvers.solution import Solution
from .atoms import class_means, raster, shown_atoms
from .heat_maps import draw_gram
from .kinds import draw_kinds, draw_points
from .style import ACCENT, GREY, HEAD, MANY, MEAN, TAIL, finish, name_ticks, picture, simplex_line, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..counts.counts import Counts
    from ..solvers.points.embedding import Embedding


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
    if counts is not None and counts.names is not None and counts.classes <= MANY:
        ranked = places if points is not None else [c for a in places for c in counts.classes_with(a)]
        for axis in (square.xaxis, square.yaxis, below.xaxis):
            name_ticks(axis, [counts.names[c] for c in ranked])
    if rank <= 3 or atoms <= MANY:
        draw_points(right, shown_atoms(solution, points))
    else:
        _histogram(right.subplots(), gram)
    figure.suptitle(title, fontsize=14)


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
    finish(below, xlabel="class rank (largest count first)" + (", log scale" if many else ""), ylabel=what)
    if wide:
        below.set_yscale("log")
    if many:
        below.set_xscale("log")
    else:
        whole_ticks(below.xaxis)


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
