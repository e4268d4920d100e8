"""The atoms of a solution that a picture has room for: class means, or one of every kind and class."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Array
from ..counts.counts import Counts
from ..geometry.kinds import KindGram
from ..geometry.orbit_gram import OrbitGram
from ..objectives.descriptions import KindsOfAtoms
from ..solvers.solution import Solution
from .heat_maps import scale
from .style import DIVERGING, FEW


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms in the order of their kinds, then of their counts, largest first.

    Attributes:
        gram: (n, n) their cosines, 1 on the diagonal.
        numbers: (n,) the counts (or weights) of their classes.
        ranks: (n,) the ranks of their classes by count, from 1.
        kinds: (n,) what they are: "class means", or "instances", "prototype", ...
        spread: (n,) the cosine of two atoms of this kind in one class (for class means: of this count); NaN of one.
        total: how many atoms there are to show; more than n where they were sampled evenly.
    """

    gram: Array
    numbers: NDArray[Any]
    ranks: NDArray[Any]
    kinds: NDArray[np.str_]
    spread: Array
    total: int

    @property
    def small(self) -> bool:
        """Whether all cosines are so small that a linear scale from -1 to 1 would show one pale colour."""
        off = np.abs(self.gram[~np.eye(len(self.gram), dtype=bool)])
        return bool(off.size and off.max() < 0.3 and len(self.gram) > FEW)

    def axes(self) -> tuple[Array, float]:
        """(n, 3) the atoms along their three principal axes, and the share of their spread that these hold.

        Rows of the three leading eigenvectors of the Gram matrix, each times the root of its eigenvalue; unit vectors
        where the rank is at most 3.
        """
        values, vectors = np.linalg.eigh(self.gram)
        values = np.clip(values[::-1], 0.0, None)
        width = min(3, len(values))
        points = np.zeros((len(values), 3))
        points[:, :width] = vectors[:, ::-1][:, :width] * np.sqrt(values[:width])
        heaviest = points[np.abs(points).argmax(axis=0), np.arange(3)]
        return points * np.where(heaviest < 0, -1.0, 1.0), float(values[:width].sum() / values.sum())

    def png(self) -> bytes:
        """The Gram matrix as a picture, a pixel an entry: -1 blue, 0 white, 1 red (`small`: logarithmic from 0.02)."""
        from matplotlib import colormaps
        from matplotlib.image import imsave

        file = io.BytesIO()
        imsave(file, colormaps[DIVERGING](np.asarray(scale(self.small)(self.gram)), bytes=True), format="png")
        return file.getvalue()


def shown_atoms(solution: Solution, points: Array | None = None, most: int = 240) -> Atoms:
    """The atoms of a solution, or so many of them at even distances.

    Args:
        solution: of any loss.
        points: (C, d) class means in place of the optimum's, in the caller's class order.
        most: how many are shown.
    """
    (chosen, gram), counts = solution.shown, solution.counts
    weights = solution.objective.masses if counts is None else counts.distinct
    about = solution.objective.description
    if isinstance(gram, KindGram) and counts is not None:
        return _of_cells(gram, counts, most)
    if about.atoms != "class means":
        per_class = np.ones(len(gram.sizes)) if counts is None else counts.per_class
        if isinstance(about, KindsOfAtoms):
            return atoms_by_kind(gram, about.kinds, about.classes, per_class, most)
        order = np.argsort(-per_class, kind="stable")  # instances come by class, those of most first
        return atoms_by_kind(gram, [about.atoms] * len(order), order, per_class, most)
    numbers = np.asarray(weights)[chosen]
    if points is not None and gram.orbits.labels is not None:
        order = np.argsort(-numbers[gram.orbits.labels], kind="stable")
        order = order[_even(len(order), most)]
        listed = points[order] @ points[order].T
        np.fill_diagonal(listed, 1.0)
        return _means(listed, numbers[gram.orbits.labels[order]], np.full(len(order), np.nan), len(points))
    order = np.argsort(-numbers, kind="stable")
    ends = np.cumsum(gram.sizes[order])
    total = round(float(ends[-1]))
    place = np.minimum(np.searchsorted(ends, _even(total, most) + 0.5), len(order) - 1)
    orbit = order[place]
    listed = gram.cosines[orbit[:, None], orbit]
    np.fill_diagonal(listed, 1.0)
    spread = np.where(gram.orbits.plural, np.diag(gram.cosines), np.nan)[orbit]
    return _means(listed, numbers[orbit], spread, total)


def _means(gram: Array, numbers: NDArray[Any], spread: Array, total: int) -> Atoms:
    ranks = _even(total, len(gram)) + 1.0
    return Atoms(gram, numbers, ranks, np.full(len(gram), "class means"), spread, total)


def _even(total: int, most: int) -> NDArray[np.intp]:
    """Positions from 0 to total - 1, all of them or so many at even distances."""
    return np.arange(total) if total <= most else np.round(np.linspace(0, total - 1, most)).astype(int)


def _of_cells(gram: KindGram, counts: Counts, most: int) -> Atoms:
    """One atom of every kind, of one class for every distinct count."""
    cells = gram.orbits
    count, kinds = len(cells.classes), len(cells.names)
    own, listed = cells.own(gram.cosines), gram.cosines[:, : count * kinds].copy()
    for a in range(count):
        listed[a * kinds : (a + 1) * kinds, a * kinds : (a + 1) * kinds] = own[a]
    np.fill_diagonal(listed, 1.0)
    within = np.where(cells.atoms_each > 1, own.diagonal(axis1=1, axis2=2).ravel(), np.nan)
    firsts = np.cumsum(cells.classes) - cells.classes + 1.0
    order = np.arange(count * kinds).reshape(count, kinds).T.ravel()  # kinds one after the other
    order = order[_even(len(order), most)]
    names = np.tile(np.array(cells.names), count)
    numbers, ranks = np.repeat(counts.distinct, kinds), np.repeat(firsts, kinds)
    return Atoms(listed[np.ix_(order, order)], numbers[order], ranks[order], names[order], within[order], len(names))


def atoms_by_kind(
    gram: OrbitGram, kinds: Sequence[str], classes: ArrayLike, per_class: Array, most: int = 240
) -> Atoms:
    """One atom of every orbit: of these kinds, of these classes, which have so many examples."""
    numbers = np.asarray(per_class)[np.asarray(classes)]
    first = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    order = np.lexsort((-numbers, np.array([first[kind] for kind in kinds])))
    ranks = np.empty(len(numbers))
    ranks[order] = np.arange(len(numbers)) % max(1, len(numbers) // len(first)) + 1.0
    order = order[_even(len(order), most)]
    listed = gram.cosines[np.ix_(order, order)].copy()
    np.fill_diagonal(listed, 1.0)
    spread = np.where(gram.orbits.plural, np.diag(gram.cosines), np.nan)
    return Atoms(listed, numbers[order], ranks[order], np.asarray(kinds)[order], spread[order], len(numbers))
