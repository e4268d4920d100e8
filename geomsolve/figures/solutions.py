"""Pictures of solutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..solvers.solution import Quality, Solution
from .atoms import shown_atoms
from .heat_maps import colour_bar, heat_map
from .kinds import draw_kinds
from .spheres import draw_sphere
from .style import (
    ACCENT,
    FEW,
    GREY,
    HEAD,
    MANY,
    MEAN,
    TAIL,
    finish,
    name_ticks,
    picture,
    simplex_line,
    whole_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..counts.counts import Counts
    from ..solvers.points.embedding import Embedding

_PIXELS = 400  # the heat map's side at most, whatever the number of classes


@picture(16, 5.8, 150, w_pad=0.08, h_pad=0.06, wspace=0.04)
def plot_solution(
    figure: Figure, solution: Solution, *, counts: Counts | None = None, embedding: Embedding | None = None
) -> None:
    """A figure of three panels: the Gram matrix, cosines against class rank, and the embedding.

    - The Gram matrix as a heat map, colours from -1 to 1, classes sorted by count, largest first. Above 400 classes it
      is sampled through the orbits, never expanded.
    - The cosine of every class with the largest class, with the smallest, and on average with all others, beside the
      regular simplex -1/(C-1); the class counts below.
    - The class means on their sphere where the rank is at most 3; otherwise its
      spectrum, and for more than 60 classes how many pairs have which cosine.

    With `counts`, their name and numbers stand there; without, those of the objective, or the loss weights. With
    `embedding`, one of the solution below its rank, that is drawn in place of the optimum. Of losses over other atoms
    than class means: see `draw_kinds`.
    """
    counts = solution.counts if counts is None else counts
    if solution.objective.description.atoms != "class means":
        draw_kinds(figure, shown_atoms(solution), _title(solution, counts, embedding))
        return
    panels: Any = figure.subfigures(1, 3, width_ratios=(1.12, 1.15, 1.0))
    left, middle, right = panels
    (chosen, source), rank = solution.shown, solution.rank
    numbers = (solution.objective.masses if counts is None else counts.distinct)[chosen]
    if embedding is not None and not embedding.exact:
        numbers = numbers[source.orbits.listed()]
        source = OrbitGram.from_matrix(embedding.points @ embedding.points.T, source.orbits)
        rank = embedding.dim
    what = "weight of a class" if counts is None or counts.are_proportions else "class count"
    # Orbits in the order of their counts, largest first (as a rule they come so).
    order = np.argsort(-numbers, kind="stable")
    gram = reordered(source, order)
    numbers = numbers[order]
    square = left.subplots()
    _heat_map(square, gram)
    above, below = middle.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    _profile(above, below, gram, numbers, what)
    if counts is not None and counts.names is not None and counts.classes <= MANY:
        apart = len(numbers) == counts.classes > len(solution.orbits.sizes)  # an embedding, in class order
        ranked = order if apart else [c for a in order for c in counts.classes_with(chosen[a])]
        names = [counts.names[c] for c in ranked]
        for axis in (square.xaxis, square.yaxis, below.xaxis):
            name_ticks(axis, names)
    if rank <= 3:
        draw_sphere(right, gram, numbers, what, rank)
    elif gram.orbits.atoms > MANY:
        _histogram(right.subplots(), gram)
    else:
        _spectrum(right.subplots(), gram)
    figure.suptitle(_title(solution, counts, embedding), fontsize=14)


def _title(solution: Solution, counts: Counts | None, embedding: Embedding | None) -> str:
    objective, certificate = solution.objective, solution.certificate
    source = f"{solution.geometry.atoms:g} classes" if counts is None else f"{counts.name} ({counts.classes} classes)"
    proved = "certified" if solution.quality is Quality.CERTIFIED else "NOT certified"
    if embedding is not None and not embedding.exact:
        return (
            f"{objective.name}, temperature {objective.temperature:g}, {source}\n"
            f"best found in {embedding.dim} dimensions: loss {embedding.value:.10g} nats, "
            f"at most {embedding.gap:.2g} above any geometry's"
        )
    return (
        f"{objective.name}, temperature {objective.temperature:g}, {source}\n"
        f"loss {certificate.value:.10g} nats, {proved}, gap {certificate.gap:.1e}"
    )


def reordered(gram: OrbitGram, order: NDArray[np.intp]) -> OrbitGram:
    """The same geometry with its orbits in another order."""
    return OrbitGram(Orbits(gram.sizes[order]), gram.cosines[np.ix_(order, order)])


def raster(gram: OrbitGram, pixels: int = _PIXELS) -> Array:
    """(n, n) the Gram matrix with atoms in the order of their orbits, n the number of atoms or `pixels`, if less.

    Sampled through the orbit form at evenly spaced atoms; the diagonal is 1.
    """
    atoms = round(gram.orbits.atoms)
    side = min(atoms, pixels)
    ranks = (np.arange(side) + 0.5) * atoms / side
    orbit = np.minimum(np.searchsorted(np.cumsum(gram.sizes), ranks, side="right"), len(gram.sizes) - 1)
    image = gram.cosines[orbit[:, None], orbit]
    np.fill_diagonal(image, 1.0)
    return image


def _heat_map(axes: Axes, gram: OrbitGram) -> None:
    atoms = round(gram.orbits.atoms)
    cosines = gram.cosines[gram.orbits.partners > 0]
    # Near the simplex a linear scale would show one pale colour.
    pale = bool(np.abs(cosines).max() < 0.3 and atoms > FEW)
    image = heat_map(axes, raster(gram), atoms, pale=pale)
    span = f"off the diagonal {cosines.min():.3g} to {cosines.max():.3g}"
    axes.set(title=f"Gram matrix ({span})", xlabel="class rank (largest count first)", ylabel="class rank")
    colour_bar(axes.inset_axes((1.04, 0.0, 0.05, 1.0)), image, pale=pale)


def _ranked(sizes: Array) -> tuple[NDArray[np.intp], Array]:
    """Orbits and ranks of atoms in order: all of them where they are few, else the first and last of every orbit."""
    if sizes.sum() <= MANY:
        orbit = np.repeat(np.arange(len(sizes)), np.rint(sizes).astype(int))
        return orbit, np.arange(1.0, len(orbit) + 1.0)
    last = np.cumsum(sizes)
    first = last - sizes + 1.0
    orbit = np.repeat(np.arange(len(sizes)), 2)
    ranks = np.stack([first, last], axis=1).ravel()
    keep = np.append(True, np.diff(ranks) > 0)
    return orbit[keep], ranks[keep]


def _profile(axes: Axes, below: Axes, gram: OrbitGram, numbers: Array, what: str) -> None:
    atoms, count = gram.orbits.atoms, len(gram.sizes)
    orbit, ranks = _ranked(gram.sizes)
    partners = gram.orbits.partners
    mean = np.einsum("ab,ab->a", partners, gram.cosines) / (atoms - 1.0)
    # The cosine of a class with itself says nothing: an orbit of one class is left out of its own line.
    head = np.where(partners[0] > 0, gram.cosines[0], np.nan)
    tail = np.where(partners[-1] > 0, gram.cosines[-1], np.nan)
    many = atoms > MANY
    style: dict[str, Any] = {"linewidth": 2.0, "markersize": 0.0 if many else 6.0}
    if count > 1:
        axes.plot(ranks, head[orbit], "-o", color=HEAD, label="with the largest class", **style)
        axes.plot(ranks, tail[orbit], "-s", color=TAIL, label="with the smallest class", **style)
    axes.plot(ranks, mean[orbit], "-^", color=MEAN, label="mean with all others", **style)
    simplex_line(axes, atoms, "")
    finish(axes, "best", title="Cosines against class rank", ylabel="cosine")
    wide = numbers[0] > 3 * numbers[-1]
    below.fill_between(ranks, numbers[orbit], numbers[-1] * 0.5 if wide else 0.0, color=ACCENT, alpha=0.35, linewidth=0)
    below.plot(ranks, numbers[orbit], color=ACCENT, linewidth=2.0, marker=None if many else "o", markersize=5)
    finish(below, xlabel="class rank (largest count first)" + (", log scale" if many else ""), ylabel=what)
    if wide:
        below.set_yscale("log")
    if many:
        below.set_xscale("log")
    else:
        whole_ticks(below.xaxis)


def _histogram(axes: Axes, gram: OrbitGram) -> None:
    """How many pairs of classes have which cosine, by thirds of the class ranks."""
    sizes, partners = gram.sizes, gram.orbits.partners
    pairs = sizes[:, None] * partners / 2.0
    middle = np.cumsum(sizes) - sizes / 2.0
    third = np.minimum((3.0 * middle / gram.orbits.atoms).astype(int), 2)
    used = gram.cosines[pairs > 0]
    low, high = used.min(), used.max()
    if high - low < 1e-6:
        low, high = low - 0.01, high + 0.01
    bins = np.linspace(low, high, 61).tolist()
    parts = (
        ("both in the tail third", (third[:, None] == 2) & (third == 2), TAIL),
        ("both in the head third", (third[:, None] == 0) & (third == 0), HEAD),
        ("one head, one tail", (third[:, None] == 0) & (third == 2) | (third[:, None] == 2) & (third == 0), "#E69F00"),
    )
    axes.hist(gram.cosines.ravel(), bins, weights=pairs.ravel(), color="#D9D9D9", label="all pairs of classes")
    for label, mask, colour in parts:
        if pairs[mask].sum() > 0:
            axes.hist(
                gram.cosines[mask], bins, weights=pairs[mask], histtype="step", color=colour, linewidth=2, label=label
            )
    simplex_line(axes, gram.orbits.atoms, "", upright=True)
    axes.set(title="Distribution of cosines", xlabel="cosine", ylabel="pairs of classes", yscale="log")
    bottom, top = axes.get_ylim()
    axes.set_ylim(max(bottom, 0.5), top * (top / max(bottom, 0.5)) ** 0.3)  # room for the legend
    axes.locator_params(axis="x", nbins=6)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=9, framealpha=0.85, loc="upper center", ncols=2)


def _spectrum(axes: Axes, gram: OrbitGram) -> None:
    inside = 1.0 - np.diag(gram.cosines)
    again = np.where(gram.orbits.plural, np.rint(gram.sizes) - 1.0, 0.0).astype(int)
    values = np.sort(np.concatenate([gram.eigenvalues, np.repeat(inside, again)]))[::-1]
    atoms = gram.orbits.atoms
    axes.bar(np.arange(1, len(values) + 1), values, color=TAIL)
    axes.axhline(
        atoms / (atoms - 1.0), color=GREY, linestyle="--", linewidth=1.5, label="regular simplex (all but the last)"
    )
    title, ylim = "Eigenvalues of the Gram matrix", (0, 1.2 * values[0])
    finish(axes, "upper right", title=title, xlabel="eigenvalue, largest first", ylabel="value", ylim=ylim)
    whole_ticks(axes.xaxis)
