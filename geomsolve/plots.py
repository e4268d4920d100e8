"""Pictures of solutions. matplotlib is imported inside, and only its objects are used: no pyplot, no global state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import ProblemError
from .orbits import OrbitGram
from .solution import Quality, Solution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .counts import Counts
    from .embedding import Embedding

Array = NDArray[np.float64]

# Okabe and Ito's palette: told apart with any kind of colour vision.
_HEAD, _TAIL, _MEAN, _ACCENT, _GREY = "#D55E00", "#0072B2", "#000000", "#009E73", "#8C8C8C"
_DIVERGING = "RdBu_r"
_SUFFIXES = (".png", ".pdf", ".svg")
_PIXELS = 400  # the heat map's side at most, whatever the number of classes
_FEW = 12  # so many classes or points are labelled one by one
_MANY = 60  # above so many classes lines lose their markers and ranks go on a log axis


def plot_solution(
    solution: Solution,
    path: str | Path | None = None,
    *,
    counts: Counts | None = None,
    embedding: Embedding | None = None,
) -> Figure:
    """A figure of three panels: the Gram matrix, cosines against class rank, and the embedding.

    - The Gram matrix as a heat map, colours from -1 to 1, classes sorted by count, largest first. Above 400 classes it
      is sampled through the orbits, never expanded.
    - The cosine of every class with the largest class, with the smallest, and on average with all others, beside the
      regular simplex -1/(C-1); the class counts below.
    - The class means on their sphere where the rank is at most 3; otherwise its
      spectrum, and for more than 60 classes how many pairs have which cosine.

    Args:
        solution: what `solve` returned.
        path: where to save it as well: .png, .pdf or .svg.
        counts: the class counts of the objective, for their name and numbers; without them, shares of the loss weights.

        embedding: an embedding of the solution below its rank, to be drawn in place of the optimum.

    Raises:
        ProblemError: a path of another kind.
    """
    if path is not None:
        check_suffix(path)
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(16, 5.8), dpi=150, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06, wspace=0.04))
    panels: Any = figure.subfigures(1, 3, width_ratios=(1.12, 1.15, 1.0))
    left, middle, right = panels
    source, rank = solution.orbits, solution.rank
    numbers = solution.objective.masses if counts is None else counts.values
    if embedding is not None and not embedding.exact:
        numbers = numbers[source.orbits.listed()]
        source = OrbitGram.from_matrix(embedding.points @ embedding.points.T, source.orbits)
        rank = embedding.dim
    what = "weight of a class" if counts is None or counts.are_proportions else "class count"
    # Orbits in the order of their counts, largest first (as a rule they come so).
    order = np.argsort(-numbers, kind="stable")
    gram = _reordered(source, order)
    numbers = numbers[order]
    _heat_map(left.subplots(), gram)
    above, below = middle.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    _profile(above, below, gram, numbers, what)
    if rank <= 3:
        _sphere(right, gram, numbers, what, rank)
    elif gram.orbits.atoms > _MANY:
        _histogram(right.subplots(), gram)
    else:
        _spectrum(right.subplots(), gram)
    figure.suptitle(_title(solution, counts, embedding), fontsize=14)
    if path is not None:
        figure.savefig(path, format=Path(path).suffix[1:].lower())
    return figure


def check_suffix(path: str | Path) -> None:
    """Nothing, or a ProblemError unless the path names a kind of picture that can be saved."""
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise ProblemError(
            f"plot: must end in {', '.join(_SUFFIXES)}; got {str(path)[-60:]!r} (write a name such as out.png)"
        )


def _title(solution: Solution, counts: Counts | None, embedding: Embedding | None) -> str:
    objective, certificate = solution.objective, solution.certificate
    source = (
        f"{solution.orbits.orbits.atoms:g} classes" if counts is None else f"{counts.name} ({counts.classes} classes)"
    )
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


def _reordered(gram: OrbitGram, order: NDArray[np.intp]) -> OrbitGram:
    from .orbits import Orbits

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
    from matplotlib.colors import Normalize, SymLogNorm

    atoms = round(gram.orbits.atoms)
    edges = (0.5, atoms + 0.5, atoms + 0.5, 0.5)
    data = raster(gram)
    cosines = gram.cosines[gram.orbits.partners > 0]
    # Near the simplex a linear scale would show one pale colour: there colours are linear to 0.02, logarithmic beyond.
    pale = np.abs(cosines).max() < 0.3 and atoms > _FEW
    norm = SymLogNorm(0.02, vmin=-1, vmax=1) if pale else Normalize(-1, 1)
    image = axes.imshow(data, cmap=_DIVERGING, norm=norm, extent=edges, interpolation="nearest")
    if atoms <= _FEW:
        for (row, column), cosine in np.ndenumerate(data):
            colour = "white" if abs(cosine) > 0.6 else "black"
            axes.text(
                column + 1, row + 1, f"{round(cosine, 2) + 0.0:.2f}", ha="center", va="center", color=colour, fontsize=8
            )
    span = f"off the diagonal {cosines.min():.3g} to {cosines.max():.3g}"
    axes.set(title=f"Gram matrix ({span})", xlabel="class rank (largest count first)", ylabel="class rank")
    _whole_ticks(axes.xaxis)
    _whole_ticks(axes.yaxis)
    ticks = (-1, -0.3, -0.1, -0.03, 0, 0.03, 0.1, 0.3, 1) if pale else (-1, -0.5, 0, 0.5, 1)
    bar = axes.inset_axes((1.04, 0.0, 0.05, 1.0))
    axes.figure.colorbar(image, cax=bar, label="cosine", ticks=ticks).ax.set_yticklabels([f"{x:g}" for x in ticks])


def _whole_ticks(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def _ranked(sizes: Array) -> tuple[NDArray[np.intp], Array]:
    """Orbits and ranks of atoms in order: all of them where they are few, else the first and last of every orbit."""
    if sizes.sum() <= _MANY:
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
    many = atoms > _MANY
    style: dict[str, Any] = {"linewidth": 2.0, "markersize": 0.0 if many else 6.0}
    if count > 1:
        axes.plot(ranks, head[orbit], "-o", color=_HEAD, label="with the largest class", **style)
        axes.plot(ranks, tail[orbit], "-s", color=_TAIL, label="with the smallest class", **style)
    axes.plot(ranks, mean[orbit], "-^", color=_MEAN, label="mean with all others", **style)
    axes.axhline(-1.0 / (atoms - 1.0), color=_GREY, linestyle="--", linewidth=1.5, label="regular simplex")
    axes.set(title="Cosines against class rank", ylabel="cosine")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=9, framealpha=0.85)
    wide = numbers[0] > 3 * numbers[-1]
    below.fill_between(
        ranks, numbers[orbit], numbers[-1] * 0.5 if wide else 0.0, color=_ACCENT, alpha=0.35, linewidth=0
    )
    below.plot(ranks, numbers[orbit], color=_ACCENT, linewidth=2.0, marker=None if many else "o", markersize=5)
    below.set(xlabel="class rank (largest count first)" + (", log scale" if many else ""), ylabel=what)
    if wide:
        below.set_yscale("log")
    below.grid(alpha=0.25)
    if many:
        below.set_xscale("log")
    else:
        _whole_ticks(below.xaxis)


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
        ("both in the tail third", (third[:, None] == 2) & (third == 2), _TAIL),
        ("both in the head third", (third[:, None] == 0) & (third == 0), _HEAD),
        ("one head, one tail", (third[:, None] == 0) & (third == 2) | (third[:, None] == 2) & (third == 0), "#E69F00"),
    )
    axes.hist(gram.cosines.ravel(), bins, weights=pairs.ravel(), color="#D9D9D9", label="all pairs of classes")
    for label, mask, colour in parts:
        if pairs[mask].sum() > 0:
            axes.hist(
                gram.cosines[mask], bins, weights=pairs[mask], histtype="step", color=colour, linewidth=2, label=label
            )
    axes.axvline(-1.0 / (gram.orbits.atoms - 1.0), color=_GREY, linestyle="--", linewidth=1.5, label="regular simplex")
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
    axes.bar(np.arange(1, len(values) + 1), values, color=_TAIL)
    axes.axhline(
        atoms / (atoms - 1.0), color=_GREY, linestyle="--", linewidth=1.5, label="regular simplex (all but the last)"
    )
    axes.set(title="Eigenvalues of the Gram matrix", xlabel="eigenvalue, largest first", ylabel="value")
    axes.set_ylim(0, 1.2 * values[0])
    _whole_ticks(axes.xaxis)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    axes.legend(fontsize=9, framealpha=0.85, loc="upper right")


def representatives(gram: OrbitGram) -> tuple[Array, NDArray[np.intp], Array]:
    """The different points of a geometry of rank at most 3, their orbits, and how many atoms sit in each.

    Returns:
        (n, 3) unit rows; (n,) the first orbit of each point; (n,) the number of atoms in it. A collapsed orbit, or
        several that share a point, is one point; an open orbit of rank at most 3 has at most 4 atoms.
    """
    cosines = gram.cosines
    inside = np.diag(cosines)
    shares = np.where(gram.orbits.plural & (inside < 1.0 - 1e-8), np.minimum(gram.sizes, 4.0), 1.0).astype(int)
    orbit = np.repeat(np.arange(len(gram.sizes)), shares)
    weight = np.where(shares > 1, 1.0, gram.sizes)[orbit]
    small = cosines[orbit[:, None], orbit]
    np.fill_diagonal(small, 1.0)
    kept: list[int] = []
    totals: list[float] = []
    for index in range(len(orbit)):
        same = [place for place, other in enumerate(kept) if small[index, other] >= 1.0 - 1e-8]
        if same:
            totals[same[0]] += weight[index]
        else:
            kept.append(index)
            totals.append(weight[index])
    values, vectors = np.linalg.eigh(small[np.ix_(kept, kept)])
    points = np.zeros((len(kept), 3))
    width = min(3, len(kept))
    points[:, :width] = (vectors * np.sqrt(np.clip(values, 0.0, None)))[:, ::-1][:, :width]
    return points / np.linalg.norm(points, axis=1, keepdims=True), orbit[kept], np.array(totals)


def _sphere(figure: Any, gram: OrbitGram, numbers: Array, what: str, rank: int) -> None:
    points, orbit, totals = representatives(gram)
    # The largest class at the top, the second one beside it.
    turn, _ = np.linalg.qr(np.concatenate([points, np.eye(3)]).T)
    points = points @ turn
    points *= np.where(points[np.argmax(np.abs(points) > 1e-9, axis=0), range(3)] < 0, -1.0, 1.0)
    logs = np.log(numbers[orbit] / numbers.min())
    areas = 70.0 + 330.0 * logs / max(logs.max(), 1e-12) if logs.max() > 0 else np.full(len(logs), 180.0)
    labels = [
        f"{numbers[a]:.4g}" if total == 1 else f"{total:g} classes of {numbers[a]:.4g}"
        for a, total in zip(orbit, totals, strict=True)
    ]
    if rank <= 2:
        axes = figure.subplots()
        _circle(axes, points, totals, areas, labels, rank)
    else:
        axes = figure.add_subplot(projection="3d")
        _ball(axes, points, totals, areas, labels)
    place = ("a line", "a circle", "the sphere")[max(rank, 1) - 1]
    ringed = "; ringed: several classes" if (totals > 1).any() else ""
    axes.set_title(f"Class means on {place}\n(labels: {what}{ringed})")


def _colours(totals: Array) -> list[str]:
    return [_HEAD if place == 0 else (_TAIL if total == 1 else _ACCENT) for place, total in enumerate(totals)]


def _circle(axes: Axes, points: Array, totals: Array, areas: Array, labels: list[str], rank: int) -> None:
    # Upwards is the direction of the largest class.
    x, y = (points[:, 1], points[:, 0]) if rank == 2 else (points[:, 0], np.zeros(len(points)))
    angle = np.linspace(0.0, 2.0 * np.pi, 200)
    axes.plot(np.cos(angle), np.sin(angle), color=_GREY, linewidth=1.0, alpha=1.0 if rank == 2 else 0.35)
    for place in range(len(points)):
        axes.plot((0, x[place]), (0, y[place]), color=_GREY, linewidth=1.0)
    axes.scatter(x, y, areas, color=_colours(totals), zorder=3.0, edgecolor="white")
    together = totals > 1
    axes.scatter(
        x[together], y[together], areas[together] + 260, facecolor="none", edgecolor="black", linewidth=1.6, zorder=3
    )
    if len(points) <= _FEW:
        for place, label in enumerate(labels):
            if rank == 1:
                axes.text(x[place], 0.22, label, ha="center", va="center", fontsize=11)
                continue
            side = "center" if abs(x[place]) < 0.3 else ("left" if x[place] > 0 else "right")
            axes.text(1.18 * x[place], 1.22 * y[place], label, ha=side, va="center", fontsize=11)
    axes.set(aspect="equal", xlim=(-1.75, 1.75), ylim=(-1.35, 1.35))
    axes.set_axis_off()


def _ball(axes: Any, points: Array, totals: Array, areas: Array, labels: list[str]) -> None:
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, np.pi, 13))
    axes.plot_wireframe(np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v), color=_GREY, linewidth=0.5, alpha=0.35)
    x, y, z = points[:, 1], points[:, 2], points[:, 0]
    for place in range(len(points)):
        axes.plot((0, x[place]), (0, y[place]), (0, z[place]), color=_GREY, linewidth=1.2)
    axes.scatter(x, y, z, s=areas, c=_colours(totals), depthshade=False, edgecolor="white")
    together = totals > 1
    if together.any():
        axes.scatter(
            x[together],
            y[together],
            z[together],
            s=areas[together] + 260,
            facecolor="none",
            edgecolor="black",
            depthshade=False,
        )
    if len(points) <= _FEW:
        for place, label in enumerate(labels):
            axes.text(*(1.2 * np.array((x[place], y[place], z[place]))), label, ha="center", va="center", fontsize=11)
    axes.set(xlim=(-0.8, 0.8), ylim=(-0.8, 0.8), zlim=(-0.8, 0.8))
    axes.set_box_aspect((1, 1, 1), zoom=1.05)
    axes.view_init(*_clearest_view(np.stack([x, y, z], axis=1)))
    axes.set_axis_off()


def _clearest_view(points: Array) -> tuple[float, float]:
    """The elevation and azimuth, in degrees, from which the two nearest points appear farthest apart."""

    def apart(view: tuple[float, float]) -> float:
        up, around = np.radians(view)
        across = np.array((-np.sin(around), np.cos(around), 0.0))
        above = np.array((-np.sin(up) * np.cos(around), -np.sin(up) * np.sin(around), np.cos(up)))
        seen = np.append(points, [[0.0, 0.0, 0.0]], axis=0) @ np.stack([across, above], axis=1)
        distances = np.linalg.norm(seen[:, None] - seen, axis=2)
        return float(distances[np.triu_indices(len(seen), 1)].min())

    return max(((float(up), float(around)) for up in (15, 22, 30) for around in range(-175, 180, 10)), key=apart)
