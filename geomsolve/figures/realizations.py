"""Pictures of verdicts on weightings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Array
from ..objectives.weighted.logweights import row_normalised
from ..similarities.euclidean import logits
from ..similarities.feasibility import LogGram
from .atoms import raster, reordered
from .heat_maps import draw_gram, even
from .style import ACCENT, FEW, GREY, HEAD, MANY, TAIL, finish, picture, unit_circle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..objectives.weighted.weightings import Weighting
    from ..similarities.dimensions import InDimension
    from ..similarities.verdicts import EuclideanGeometry, Realization

_MOST_PAIRS = 20_000
_ANGLE = "label, as an angle (degrees)"
_MOST_POINTS = 3000
# Samples of the witness.
_MOST_MARKED = 5


@picture(22.5, 4.9, 140, w_pad=0.1)
def plot_realization(figure: Figure, found: Realization, *, within: InDimension | None = None) -> None:
    """A figure of five panels: the best cosines, weights against softmax, eigenvalues, excess per sample, the points.

    - The Gram matrix of the samples as a heat map, in the order of their first appearance (labels of one number, or
      cyclic ones: from the smallest to the largest).
    - log p_ij against log w_ij, a dot a pair: on the diagonal where the weight is attained.
    - The eigenvalues of the matrix of cosines that the weights ask for, the negative ones marked (of the best cosines
      where some weight is 0).
    - KL(w_i || p_i), against such a label, else sorted; the samples that weigh most in the witness are marked.
    - The points in their first two principal axes, coloured by that label or from the first sample to the last.

    With `within`, the best geometry found in a number of coordinates (`realize_in`), the last panel shows its points;
    the others always show the best geometry of any dimension.
    """
    gram_axes, softmax_axes, eigen_axes, excess_axes, point_axes = figure.subplots(1, 5)
    weighting, gram = found.weighting, found.gram
    keys, what = _order(weighting)
    data = raster(reordered(gram, np.argsort(keys, kind="stable")))
    cosines = gram.cosines[gram.orbits.partners > 0]
    draw_gram(gram_axes, data, weighting.samples, cosines, "cosines", fontsize=6.0, first=0)
    order_of = "samples in their order" if what is None else "samples by label"
    gram_axes.set(xlabel=order_of, ylabel=order_of)
    _softmax(softmax_axes, weighting, found.objective.log_softmax(gram)[0])
    _eigenvalues(eigen_axes, found)
    _excess(excess_axes, found, keys, what)
    points, where = found.points, "points"
    if within is not None:
        points, where = within.points, f"points in {_dimensions(within.dim)}"
        where += "" if within.exact else f", excess {within.excess:.3g} nats,\nat least {within.excess_lower:.3g}"
    if points.shape[1] <= 2:
        unit_circle(point_axes, linewidth=0.8)
    _points(point_axes, points, keys[weighting.orbits.listed()], what, where)
    dims = "dimensions not known yet" if found.min_dim is None else _dimensions(found.min_dim)
    bound = "attained" if found.excess < 1e-10 else f"missed by {found.excess:.5g} nats"
    figure.suptitle(
        f"{weighting.name}, {weighting.convention}, temperature {found.temperature:g}, {weighting.samples} samples\n"
        f"{found.verdict.value}: entropy bound {bound}, {dims}",
        fontsize=13,
    )


@picture(11.0, 4.9, 140, w_pad=0.1)
def plot_map(figure: Figure, found: EuclideanGeometry) -> None:
    """A figure of two panels: weights against softmax, and the points of a Euclidean space.

    The panels are those of `plot_realization`; the points are in their first two principal axes.
    """
    weighting, points = found.weighting, found.points
    softmax_axes, axes = figure.subplots(1, 2)
    logs = row_normalised(logits(points, found.temperature, weighting.self_pairs))
    orbit_of = weighting.orbits.listed()
    first, last = np.unique(orbit_of, return_index=True)[1], np.unique(orbit_of[::-1], return_index=True)[1]
    _softmax(softmax_axes, weighting, logs[np.ix_(first, len(points) - 1 - last)])  # two samples of each orbit
    keys, what = _order(weighting)
    where = f"points in {_dimensions(points.shape[1])}, excess {found.excess:.3g} nats"
    _points(axes, points, keys[orbit_of], what, where)
    named = f"{weighting.name}, {weighting.convention}, squared distances, temperature {found.temperature:g}"
    figure.suptitle(f"{named}: {found.verdict}", fontsize=12)


def _dimensions(count: int) -> str:
    return f"{count} dimension{'s' * (count != 1)}"


def _order(weighting: Weighting) -> tuple[Array, str | None]:
    """(K,) what different samples are sorted and coloured by, and its name: None for the order they came in."""
    labels = weighting.labels
    if labels is not None and labels.shape[1] == 1:
        return labels[:, 0], "label"
    if labels is not None and labels.shape[1] == 2:
        radius = np.hypot(*labels.T)
        if np.ptp(radius) <= 1e-9 * radius.max():  # a cyclic label
            return np.mod(np.degrees(np.arctan2(labels[:, 1], labels[:, 0])) + 1e-9, 360.0), _ANGLE
    return np.arange(len(weighting.orbits.sizes), dtype=np.float64), None


def _softmax(axes: Axes, weighting: Weighting, logs: Array) -> None:
    there = (weighting.orbits.partners > 0) & ~np.isneginf(weighting.logs)
    every, pairs = weighting.logs[there], weighting.orbits.sizes[:, None] * weighting.orbits.partners
    chosen = even(len(every), _MOST_PAIRS)  # (i, j) and (j, i), a dot for those alike
    wanted, got = every[chosen], logs[there][chosen]
    # Weights of e^-50 say nothing more than that: the softmax cannot go below e^(-2/tau) of its largest.
    floor = got.min() - 0.15 * (got.max() - got.min() + 1.0)
    low, high = float(min(max(wanted.min(), floor), got.min())), float(max(wanted.max(), got.max()))
    margin = 0.05 * (high - low) + 1e-3
    ends = (low - margin, high + margin)
    axes.plot(ends, ends, color=GREY, linewidth=1.2, linestyle="--", label="attained", zorder=1)
    size = 8 if len(wanted) > 200 else 26
    axes.scatter(wanted, got, s=size, color=TAIL, alpha=0.4, linewidths=0, label="pairs of samples", rasterized=True)
    title = "what is asked, and what is got"
    finish(axes, "upper left", xlim=ends, ylim=ends, xlabel="log weight", ylabel="log softmax", title=title)
    below, zero = pairs[there][every < ends[0]].sum(), pairs[weighting.zeros].sum()
    notes = [f"{below:.0f} pairs further left"] * bool(below) + [f"{zero:.0f} pairs of weight 0"] * bool(zero)
    if notes:
        axes.text(0.97, 0.04, "\n".join(notes), transform=axes.transAxes, ha="right", va="bottom", fontsize=9)


def _eigenvalues(axes: Axes, found: Realization) -> None:
    gram, title = found.gram, "eigenvalues of the best cosines"
    if found.weighting.positive:
        logs = LogGram.of(found.weighting)
        gram = logs.gram(found.temperature, logs.nearest_shift(found.temperature))
        title = "eigenvalues of what is asked"
    values = gram.eigenvalues[::-1]
    place = np.arange(1, len(values) + 1)
    tiny = 1e-12 * max(float(np.abs(values).max()), 1.0) * len(values)
    negative = values < -tiny
    axes.axhline(0.0, color=GREY, linewidth=1.0)
    axes.plot(place[~negative], values[~negative], "o", color=TAIL, markersize=4, label="0 or more")
    axes.plot(place[negative], values[negative], "s", color=HEAD, markersize=4, label=f"{negative.sum()} negative")
    axes.set_yscale("symlog", linthresh=max(tiny, 1e-3 * float(np.abs(values).max())))
    finish(axes, "best", ranks=True, xlabel="number", ylabel="eigenvalue", title=title)


def _excess(axes: Axes, found: Realization, keys: Array, what: str | None) -> None:
    excess, order = found.objective.divergences(found.gram), np.argsort(keys, kind="stable")
    across, each = keys[order], excess[order]
    if what is None:
        each = np.sort(found.excess_per_sample)[::-1]
        across = np.arange(1.0, len(each) + 1.0)
    axes.plot(across, each, color=HEAD, marker="o" if len(each) <= MANY else None, markersize=4)
    if what is not None and found.witness is not None and found.witness.factor.shape[1]:
        labels, heavy = found.weighting.orbits.listed(), np.sum(found.witness.factor**2, axis=1)
        worst = np.unique(labels[np.argsort(-heavy)[:_MOST_MARKED]])
        axes.plot(keys[worst], excess[worst], "s", color=ACCENT, markersize=7, label="heaviest in the witness")
    axes.axhline(found.excess, color=GREY, linestyle="--", linewidth=1.2, label=f"mean {found.excess:.4g}")
    words = {"xlabel": what or "samples, worst first", "ylabel": "KL(w‖p), nats", "title": "excess per sample"}
    finish(axes, "best", ranks=what is None, ylim=(0.0, 1.1 * max(float(each.max()), 1e-9)), **words)


def _points(axes: Axes, points: Array, colours: Array, what: str | None, where: str) -> None:
    chosen = even(len(points), _MOST_POINTS)
    points, colours = points[chosen], colours[chosen]
    planar = points.shape[1] <= 2
    centred = points if planar else points - points.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    flat = np.pad(left * values, ((0, 0), (0, 2)))[:, :2]
    size, colour_map = 30 if len(points) <= 200 else 8, "twilight_shifted" if what == _ANGLE else "viridis"
    dots = axes.scatter(flat[:, 0], flat[:, 1], c=colours, cmap=colour_map, s=size, zorder=3)
    bar = axes.figure.colorbar(dots, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label(what or "sample", fontsize=9)
    if len(points) <= FEW:
        names: dict[tuple[float, float], list[str]] = {}
        for i, (x, y) in enumerate(np.round(flat, 4).tolist()):
            names.setdefault((x, y), []).append(str(i))
        for place, here in names.items():
            axes.annotate(", ".join(here), place, xytext=(4, 3), textcoords="offset points", fontsize=9, color=ACCENT)
    share = float(np.sum(values[:2] ** 2) / max(np.sum(values**2), 1e-300))
    title = where if planar else f"{where}, centred: {100 * share:.0f} % of their spread"
    finish(axes, title=title, xlabel="first principal axis", ylabel="second", aspect="equal", adjustable="datalim")
    axes.margins(0.1)
