"""The atoms of a solution that a picture has room for: class means, or one of every kind and class."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Array
from ..geometry.kinds import KindGram
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..objectives.descriptions import KindsOfAtoms
from ..solvers.solution import Solution
from .heat_maps import even, is_pale, scale
from .style import DIVERGING

_MOST = 240


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms in the order of their kinds, then of their counts, largest first.

    Attributes:
        gram: (n, n) their cosines, 1 on the diagonal.
        numbers: (n,) the counts (or weights) of their classes.
        ranks: (n,) the ranks of their classes by count, from 1.
        kinds: (n,) what they are: "class means", or "instances", "prototype", ...
        spread: (n,) the cosine of two atoms of this kind in one class; NaN where there is one.
        total: how many atoms there are to show; more than n where they were sampled evenly.
    """

    gram: Array
    numbers: NDArray[Any]
    ranks: NDArray[Any]
    kinds: NDArray[np.str_]
    spread: Array
    total: int

    @property
    def off(self) -> Array:
        """The cosines of different atoms."""
        return np.asarray(self.gram[~np.eye(len(self.gram), dtype=bool)])

    @property
    def small(self) -> bool:
        """Whether all cosines are so small that a linear scale from -1 to 1 would show one pale colour."""
        return is_pale(self.off, len(self.gram))

    def lines(self) -> list[tuple[str, int, str, Array, Array]]:
        """Cosines against class rank: a name, the number of the kind, a dash, ranks and cosines.

        Of each kind the mean with its kind in other classes, the spread, and what it has with other kinds of its class.
        """
        groups = [np.flatnonzero(self.kinds == kind) for kind in dict.fromkeys(self.kinds.tolist())]
        lines = []
        for i, mine in enumerate(groups):
            kind, ranks = self.kinds[mine[0]], self.ranks[mine]
            mean = (self.gram[np.ix_(mine, mine)].sum(axis=1) - 1.0) / max(1, len(mine) - 1)
            lines.append((f"{kind}: mean with other classes", i, "-", ranks, mean))
            if np.isfinite(self.spread[mine]).any():
                lines.append((f"{kind}: within a class", i, ":", ranks, self.spread[mine]))
            for other in groups[i + 1 :]:
                if np.array_equal(self.ranks[other], ranks):
                    words = f"{kind} and {self.kinds[other[0]]} of a class"
                    lines.append((words, i, "--", ranks, self.gram[mine, other]))
        return lines

    def axes(self) -> tuple[Array, float]:
        """(n, 3) the atoms along their three principal axes, and the share of their spread that these hold.

        Where that is all of it: unit rows, turned so that the first points up and the second lies in front or behind.
        """
        values, vectors = np.linalg.eigh(self.gram)
        values = np.clip(values[::-1], 0.0, None)
        points = np.pad(vectors[:, ::-1] * np.sqrt(values), ((0, 0), (0, 3)))[:, :3]
        share = float(values[:3].sum() / values.sum())
        if share > 1.0 - 1e-9:
            points /= np.linalg.norm(points, axis=1, keepdims=True)
            points = (points @ np.linalg.qr(np.concatenate([points, np.eye(3)]).T)[0])[:, [1, 2, 0]]
            heaviest = points[np.argmax(np.abs(points) > 1e-6, axis=0), np.arange(3)]
        else:
            heaviest = points[np.abs(points).argmax(axis=0), np.arange(3)]
        return points * np.where(heaviest < 0, -1.0, 1.0), share

    def merged(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The first atom in every point, and how many of its kind share it."""
        same = (self.gram >= 1.0 - 1e-8) & (self.kinds[:, None] == self.kinds)
        first, totals = np.unique(same.argmax(axis=1), return_counts=True)
        return first, totals

    def png(self) -> bytes:
        """The Gram matrix as a picture, a pixel an entry: -1 blue, 0 white, 1 red (`small`: logarithmic from 0.02)."""
        from matplotlib import colormaps
        from matplotlib.image import imsave

        file = io.BytesIO()
        imsave(file, colormaps[DIVERGING](np.asarray(scale(self.small)(self.gram)), bytes=True), format="png")
        return file.getvalue()


def class_means(solution: Solution, points: Array | None = None) -> tuple[OrbitGram, NDArray[Any], NDArray[np.intp]]:
    """The geometry of class means with orbits by count, largest first; the counts (or weights) of these orbits.

    And their positions among the distinct counts; or among the classes where (C, d) points are given in place of the
    optimum's, in the caller's class order.
    """
    (chosen, gram), counts = solution.shown, solution.counts
    numbers = (solution.objective.masses if counts is None else counts.distinct)[chosen]
    if points is not None:
        numbers, chosen = numbers[gram.orbits.listed()], np.arange(len(points))
        gram = OrbitGram.from_matrix(points @ points.T, gram.orbits)
    order = np.argsort(-numbers, kind="stable")
    return reordered(gram, order), numbers[order], chosen[order]


def reordered(gram: OrbitGram, order: NDArray[np.intp]) -> OrbitGram:
    """The same geometry with its orbits in another order."""
    return OrbitGram(Orbits(gram.sizes[order]), gram.cosines[np.ix_(order, order)])


def sampled(gram: OrbitGram, most: int) -> NDArray[np.intp]:
    """The orbits of all atoms in their order, or of so many at even distances."""
    ends = np.cumsum(gram.sizes)
    return np.minimum(np.searchsorted(ends, even(round(ends[-1]), most) + 0.5), len(ends) - 1)


def raster(gram: OrbitGram, most: int = 400) -> Array:
    """(n, n) the cosines of all atoms, or of so many at even distances; the diagonal is 1."""
    orbit = sampled(gram, most)
    image = gram.cosines[orbit[:, None], orbit]
    np.fill_diagonal(image, 1.0)
    return image


def shown_atoms(solution: Solution, points: Array | None = None) -> Atoms:
    """The atoms of a solution of any loss, or 240 of them at even distances.

    With `points`, (C, d) class means in place of the optimum's, in the caller's class order.
    """
    gram, counts, about = solution.shown[1], solution.counts, solution.objective.description
    if isinstance(gram, KindGram) and counts is not None:
        return _of_cells(gram, counts.distinct)
    if about.atoms != "class means":
        per_class = np.ones(len(gram.sizes)) if counts is None else counts.per_class
        if isinstance(about, KindsOfAtoms):
            return atoms_by_kind(gram, about.kinds, about.classes, per_class)
        order = np.argsort(-per_class, kind="stable")  # instances come by class, those of most first
        return atoms_by_kind(gram, [about.atoms] * len(order), order, per_class)
    means, numbers, _ = class_means(solution, points)
    orbit, total = sampled(means, _MOST), round(means.orbits.atoms)
    kinds, alone = np.full(len(orbit), "class means"), np.full(len(orbit), np.nan)
    return Atoms(raster(means, _MOST), numbers[orbit], even(total, _MOST) + 1.0, kinds, alone, total)


def _of_cells(gram: KindGram, distinct: Array) -> Atoms:
    """One atom of every kind, of one class for every distinct count."""
    cells = gram.orbits
    count, kinds = len(cells.classes), len(cells.names)
    own, listed = cells.own(gram.cosines), gram.cosines[:, : count * kinds].copy()
    for a in range(count):
        listed[a * kinds : (a + 1) * kinds, a * kinds : (a + 1) * kinds] = own[a]
    within = np.where(cells.atoms_each > 1, own.diagonal(axis1=1, axis2=2).ravel(), np.nan)
    firsts = np.cumsum(cells.classes) - cells.classes + 1.0
    return _sorted(listed, within, cells.names * count, np.repeat(distinct, kinds), np.repeat(firsts, kinds))


def atoms_by_kind(gram: OrbitGram, kinds: Sequence[str], classes: ArrayLike, per_class: Array) -> Atoms:
    """One atom of every orbit: of these kinds, of these classes, which have so many examples."""
    ranks = np.empty(len(per_class))
    ranks[np.argsort(-per_class, kind="stable")] = np.arange(len(per_class)) + 1.0
    spread = np.where(gram.orbits.plural, np.diag(gram.cosines), np.nan)
    return _sorted(gram.cosines, spread, kinds, per_class[np.asarray(classes)], ranks[np.asarray(classes)])


def _sorted(gram: Array, spread: Array, kinds: Sequence[str], numbers: NDArray[Any], ranks: Array) -> Atoms:
    first = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    order = np.lexsort((ranks, np.array([first[kind] for kind in kinds])))
    order = order[even(len(order), _MOST)]
    listed = gram[np.ix_(order, order)].copy()
    np.fill_diagonal(listed, 1.0)
    return Atoms(listed, numbers[order], ranks[order], np.asarray(kinds)[order], spread[order], len(kinds))
