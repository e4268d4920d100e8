"""Metrics of neighbourhoods: who is near whom, counted over all pairs of embeddings in blocks of rows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Progress
from ..errors import ProblemError
from ..objectives.rows.full_batch import check_word
from ..text import span
from .samples import Samples

# Cosines this close are ties: distances of coinciding points differ by rounding alone (1e-15 or so for products of a
# thousand terms), and a cosine of 1 - 1e-12 is a distance of 1.4e-6, beyond what float32 embeddings resolve.
TIE = 1e-12
_CONVENTIONS = ("geomsolve", "ttc")
# Neighbours that are looked at, unless told: at most this share of all embeddings, as in the paper.
_SHARE = 0.05
# Bytes of the block of cosines; everything made from it at a time is of that size at most, twice.
_BLOCK = 1 << 27
# Of the entropy uniformity: how often points are drawn, and how many for every embedding.
_DRAWS, _POINTS = 5, 10


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Local metrics of every class; NaN where one is not defined. See `neighbourhoods`.

    Attributes:
        saa, cac: (C,) sample alignment accuracy and class alignment consistency, percent.
        sad, cad: (C,) sample and class alignment distance.
        uniformity, alignment: (C,) the Gaussian potential within the class, and the mean squared distance of views.
        neighbours: (C,) k, the neighbours that `cac` looks at.
        cac_limit: (C,) the most that `cac` can be: a class of m embeddings has m - 1 to be found among k.
        cac_chance: (C,) what it is if neighbours are drawn at random, and where everything is in one point.
        entropy_uniformity: (C,) in TTC's convention alone, percent; 100: no two embeddings share a random point.
    """

    saa: Array
    cac: Array
    sad: Array
    cad: Array
    uniformity: Array
    alignment: Array
    neighbours: NDArray[np.intp]
    cac_limit: Array
    cac_chance: Array
    entropy_uniformity: Array

    @property
    def reach(self) -> str:
        """The neighbours that `cac` looks at, in words."""
        return span(self.neighbours, ".0f")


def neighbourhoods(
    samples: Samples,
    *,
    neighbours: float | None = None,
    convention: str = "geomsolve",
    progress: Progress | None = None,
) -> Neighbourhoods:
    """SAA, CAC, SAD, CAD, uniformity and alignment of every class, exactly, over all pairs of embeddings.

    With the N embeddings z_i on the unit sphere, every view one, and never a point as its own neighbour:

    - SAA_c = 100 x the share of embeddings of class c whose nearest neighbour is another view of the same sample.
    - CAC_c = 100 x the mean share of class c among the k nearest neighbours of an embedding of class c.
    - SAD_c, CAD_c = the mean of |z_i - z_j| over pairs of views of a sample, over pairs of embeddings of class c.
    - uniformity_c = the mean of exp(-2 |z_i - z_j|^2) over pairs of class c, no logarithm; 1: all in one point.
    - alignment_c = the mean of |z_i - z_j|^2 over pairs of views of a sample.

    Cosines within 1e-12 are ties, and a tie counts as the mean over all ways of breaking it: of m points tied for the
    last r places, s of them of the class, r s / m neighbours are counted. SAA, SAD and alignment need two views; CAC,
    CAD and uniformity two embeddings of the class.

    `neighbours` is k, or below 1 a share of all N embeddings, then k = int(share x N) and at least 1; None: as many as
    the class has other embeddings, at most 0.05 N, so that every class can have 100 %.

    The convention "ttc" counts as the code of A Tale of Two Classes does: a point is the first of its own k nearest and
    a zero in the mean of CAD, and SAD is the distance from view 0. It adds the entropy uniformity: of 10 N random
    points on the sphere the nearest to every embedding of the class, the entropy of these over that of m different
    ones, 100 H / log m, the mean over five draws (of a fixed seed).

    Cost: N^2 d multiplications and one pass over N^2 cosines; memory of some 400 MB beside the embeddings. 100,000 x
    128 with k = 5000: minutes on two cores. "ttc": 50 N^2 d multiplications more.
    Source: Mildenberger et al., A Tale of Two Classes, CVPR 2025 (names; k of their code, and uniformity within the
    class), Wang and Isola, ICML 2020. Ties, leaving out the point itself, and any number of classes are ours.
    """
    total, width = len(samples.points), len(samples.classes)
    check_word("convention", convention, _CONVENTIONS)
    raw = convention == "ttc"
    each = count_neighbours(neighbours, samples)
    others = np.maximum(each - raw, 1)  # among the others: the point itself is one of its neighbours in raw counts
    hits, shares, distance, potential = np.zeros(total), np.zeros(total), np.zeros(width), np.zeros(width)
    for first, block in _blocks(samples.points, samples.points):
        rows = np.arange(len(block))
        block[rows, first + rows] = 1.0
        last = first + len(block)
        for c in range(samples.codes[first], samples.codes[last - 1] + 1):
            low, high = max(first, samples.ends[c]), min(last, samples.ends[c + 1])
            own = block[low - first : high - first, samples.ends[c] : samples.ends[c + 1]] - 1.0
            # A point with itself has distance 0 and potential 1.
            potential[c] += np.exp(4.0 * own).sum() - (high - low)
            distance[c] += np.sqrt(np.maximum(-2.0 * own, 0.0, out=own), out=own).sum()
        block[rows, first + rows] = -np.inf
        for i, cosines in enumerate(block, first):
            c, start = samples.codes[i], i // samples.views * samples.views
            siblings, mine = slice(start, start + samples.views), slice(samples.ends[c], samples.ends[c + 1])
            hits[i], shares[i] = _row(cosines, int(others[c]), siblings, mine)
        if progress is not None:
            progress(f"neighbours: {last:,} of {total:,} embeddings")
    sizes = samples.sizes.astype(np.float64)
    pairs = np.where(sizes > 1, sizes * (sizes - 1.0), np.nan)
    squared, plain = _view_distances(samples, raw)
    shares = samples.per_class(shares)
    if raw:
        shares = np.where(each > 1, (1.0 + (each - 1.0) * shares) / each, 1.0)
        distance = distance * (sizes - 1.0) / sizes
    own = sizes - 1.0 + raw
    nothing = np.full(width, np.nan)
    return Neighbourhoods(
        saa=100.0 * samples.per_class(hits) if samples.views > 1 else nothing,
        cac=np.where(sizes > 1, 100.0 * shares, np.nan),
        sad=plain,
        cad=distance / pairs,
        uniformity=potential / pairs,
        alignment=squared,
        neighbours=each,
        cac_limit=100.0 * np.minimum(1.0, own / each),
        cac_chance=100.0 * ((sizes - 1.0) / (total - 1.0) * (each - raw) + raw) / each,
        entropy_uniformity=_entropy_uniformity(samples) if raw else nothing,
    )


def count_neighbours(neighbours: float | None, samples: Samples) -> NDArray[np.intp]:
    """(C,) the k of every class, from a number of neighbours, a share below 1 of all embeddings, or None."""
    total = len(samples.points)
    if neighbours is None:
        return np.clip(samples.sizes - 1, 1, max(1, int(_SHARE * total)))
    good = isinstance(neighbours, (int, float, np.number)) and not isinstance(neighbours, bool) and neighbours > 0
    if good and neighbours < 1:
        return np.full(len(samples.sizes), max(1, int(neighbours * total)))
    if not good or not math.isfinite(neighbours) or neighbours != int(neighbours) or neighbours > total - 1:
        raise ProblemError(
            f"neighbours: must be a whole number of at most {total - 1} (all other embeddings), or a share of them "
            f"above 0 and below 1; got {neighbours!r:.40} (0.05 is the share of the paper)"
        )
    return np.full(len(samples.sizes), int(neighbours))


def _blocks(points: Array, others: Array) -> Iterator[tuple[int, Array]]:
    """Blocks of rows of the cosines of points and others, in an array that is used again, each with its first row."""
    height = min(len(points), max(1, _BLOCK // (8 * len(others))))
    block = np.empty((height, len(others)))
    for first in range(0, len(points), height):
        part = points[first : first + height]
        yield first, np.matmul(part, others.T, out=block[: len(part)])


def _row(cosines: Array, k: int, siblings: slice, own: slice) -> tuple[float, float]:
    """The chance that the nearest neighbour is a sibling, and the expected share of its own among the k nearest."""
    nearest = cosines >= cosines.max() - TIE
    kth = np.partition(cosines, len(cosines) - k)[len(cosines) - k]
    above, reached = cosines > kth + TIE, cosines >= kth - TIE
    surely, places = np.count_nonzero(above[own]), k - np.count_nonzero(above)
    tied, all_tied = (np.count_nonzero(part) for part in (reached[own] & ~above[own], reached & ~above))
    return np.count_nonzero(nearest[siblings]) / np.count_nonzero(nearest), (surely + places * tied / all_tied) / k


def _entropy_uniformity(samples: Samples) -> Array:
    """(C,) how many different ones of 10 N random points are the nearest to embeddings of a class: see above."""
    rng, points = np.random.default_rng(0), samples.points
    found = np.zeros((_DRAWS, len(samples.classes)))
    for draw in found:
        best, nearest = np.full(len(points), -np.inf), np.zeros(len(points), np.intp)
        for part in range(_POINTS):
            drawn = rng.normal(size=points.shape)
            drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
            for first, block in _blocks(points, drawn):
                here, top = slice(first, first + len(block)), block.max(axis=1)
                nearest[here] = np.where(top > best[here], part * len(points) + block.argmax(axis=1), nearest[here])
                best[here] = np.maximum(top, best[here])
        for c, size in enumerate(samples.sizes):
            shares = np.unique(nearest[samples.ends[c] : samples.ends[c + 1]], return_counts=True)[1] / size
            draw[c] = -100.0 * np.sum(shares * np.log(shares)) / np.log(size) if size > 1 else np.nan
    return np.asarray(found.mean(axis=0))


def _view_distances(samples: Samples, first_view: bool) -> tuple[Array, Array]:
    """(C,), (C,) mean squared distance of two views of a sample, and mean distance (from view 0 alone, if told)."""
    count = samples.views
    if count == 1:
        return (np.full(len(samples.classes), np.nan),) * 2
    views = samples.points.reshape(-1, count, samples.points.shape[1])
    squares = np.maximum(2.0 - 2.0 * views @ views.transpose(0, 2, 1), 0.0)
    plain = np.sqrt(squares[:, :1] if first_view else squares)
    starts, pairs = samples.ends[:-1] // count, samples.counts * (count - 1.0)
    squared, mean = (np.add.reduceat(each.sum(axis=2).mean(axis=1), starts) / pairs for each in (squares, plain))
    return squared, mean
