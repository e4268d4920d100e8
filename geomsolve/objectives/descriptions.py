"""What is said of a geometry: of class means, of instances, or of several kinds of atoms. A loss says which fits it."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..counts.counts import Counts
from ..geometry.kinds import KindGram
from ..geometry.orbit_gram import OrbitGram
from ..geometry.variances import ClassVariances
from ..text import entry, span, whole


@dataclass(frozen=True, eq=False)
class ClassMeans:
    """One mean per class, an orbit for every distinct count."""

    counts: Counts | None  # None where the loss was not built from counts
    atoms: str = field(default="class means", init=False)  # what is placed on the sphere

    def report(self, chosen: NDArray[np.intp], gram: OrbitGram, collapsed: list[list[int]]) -> dict[str, Any]:
        """The cosines as a dictionary; `chosen` are the positions of the distinct counts that `gram` shows."""
        counts, orbits = self.counts, []
        for a, within in enumerate(gram.within):
            size, known = gram.sizes[a], {}
            if counts is not None:
                size = counts.multiplicity[chosen[a]] if len(chosen) < len(counts.distinct) else size
                known = self._known(counts, counts.distinct[chosen[a]])
            orbits.append({"size": whole(size), **known, "within": float(within)})
        report: dict[str, Any] = {"collapsed": collapsed, "orbits": orbits, "between": gram.between}
        if counts is not None and len(chosen) < len(counts.distinct):
            report["sampled"] = {"distinct_counts": len(counts.distinct), "shown": len(chosen), "positions": chosen}
        elif gram.orbits.labels is not None:
            report["class_orbit"] = gram.orbits.labels
        return report

    def lines(self, chosen: NDArray[np.intp], gram: OrbitGram, rank: int, collapsed: list[list[int]]) -> list[str]:
        """The cosines in words."""
        counts, last, lines = self.counts, len(gram.sizes) - 1, ["Cosines of class means"]
        if counts is not None and len(chosen) < len(counts.distinct):
            lines = [f"Cosines of class means ({len(chosen)} of {len(counts.distinct):,} distinct counts looked at)"]
        if last > 0:
            lines.append(entry("largest, smallest", f"{gram.cosines[0, last]:+.9f}{self._pair(chosen, 0, last)}"))
            other = last if gram.orbits.plural[last] else last - 1
            if other > 0 or gram.orbits.plural[last]:
                lines.append(
                    entry("two smallest", f"{gram.cosines[other, last]:+.9f}{self._pair(chosen, other, last)}")
                )
        pairs = np.where(gram.orbits.partners > 0, gram.cosines, -np.inf)
        a, b = divmod(int(np.argmax(pairs)), len(pairs))
        nearest = "" if counts is None or counts.names is None else self._pair(chosen, a, b)
        cosines = gram.cosines[gram.orbits.partners > 0]
        most = round(gram.orbits.atoms) - 1
        return [
            *lines,
            entry("least, largest", f"{cosines.min():+.9f}, {cosines.max():+.9f}{nearest}"),
            entry("regular simplex", f"{-1.0 / (gram.orbits.atoms - 1.0):+.9f} (every pair, were the counts equal)"),
            entry("rank", f"{rank} (classes - 1, none lost)" if rank == most else f"{rank} of at most {most}"),
            entry("collapsed", self._collapsed(collapsed)),
        ]

    @staticmethod
    def _known(counts: Counts, count: float) -> dict[str, Any]:
        return {"count": whole(count), "proportion": float(count / counts.total)}

    def _pair(self, chosen: NDArray[np.intp], a: int, b: int) -> str:
        if self.counts is None:
            return ""
        if self.counts.names is not None:
            first = self.counts.classes_with(chosen[a])
            second = self.counts.classes_with(chosen[b])
            pair = first[:2] if a == b else (*first[:1], *second[:1])
            return f"  ({' and '.join(self.counts.label(c) for c in pair)})"
        values = self.counts.distinct[chosen]
        if a == b:
            return f"  (two classes of {values[a]:g})"
        return f"  (classes of {values[a]:g} and {values[b]:g})"

    def _collapsed(self, collapsed: list[list[int]]) -> str:
        if not collapsed:
            return "none: no two classes share a point"
        if self.counts is None:
            return "; ".join(f"{len(group)} in one point" for group in collapsed)
        words, listed = [], len(self.counts.groups) > 0
        for group in collapsed:
            shares = (self.counts.per_class if listed else self.counts.distinct)[group]
            which = f" ({self.counts.which(group)})" if listed else ""
            size = len(group) if listed else self.counts.multiplicity[group].sum()
            extent = f"{shares.max():g}" if shares.max() == shares.min() else f"{shares.max():g} to {shares.min():g}"
            words.append(f"{size:.10g} classes of {extent} in one point{which}")
        return "; ".join(words)


@dataclass(frozen=True, eq=False)
class KindsOfAtoms(ClassMeans):
    """Atoms of several kinds, each orbit within one class."""

    kinds: Sequence[str]  # of every orbit: "instances", "prototype", ...
    classes: Sequence[int]  # of every orbit

    def __post_init__(self) -> None:
        object.__setattr__(self, "atoms", " and ".join(dict.fromkeys(self.kinds)))

    def report(self, chosen: NDArray[np.intp], gram: OrbitGram, collapsed: list[list[int]]) -> dict[str, Any]:
        """One entry per orbit: what its atoms are, of which class (or of how many), how many, the cosine among them."""
        if isinstance(gram, KindGram):
            return self._by_cells(gram)
        orbits = []
        for kind, c, size, within in zip(self.kinds, self.classes, gram.sizes, gram.within, strict=True):
            known = {} if self.counts is None else self._known(self.counts, self.counts.per_class[c])
            orbits.append({"part": kind, "class": c, "size": whole(size), **known, "within": float(within)})
        return {"collapsed": self._shared(gram), "orbits": orbits, "between": gram.between}

    def lines(self, chosen: NDArray[np.intp], gram: OrbitGram, rank: int, collapsed: list[list[int]]) -> list[str]:
        """The cosines between kinds of atoms."""
        lines = ["Cosines"]
        for first, second in itertools.combinations_with_replacement(dict.fromkeys(self.kinds), 2):
            for found, words in zip(self._pairs(gram, first, second), ("same class", "two classes"), strict=True):
                if found.size:
                    what = first if first == second else f"{first}, {second}"
                    lines.append(entry(words, f"{span(found, '+.9f')}  ({what})"))
        groups = (", ".join(self._label(c) for c in group) for group in self._shared(gram))
        if not isinstance(gram, KindGram):
            points = np.flatnonzero(gram.orbits.plural & (np.diag(gram.cosines) >= 1.0 - 1e-8))
            closed = [f"{self.kinds[a]} of class {self._label(self.classes[a])}" for a in points.tolist()]
            if closed:
                lines.append(entry("in one point", "; ".join(closed) if len(closed) < 10 else f"{len(closed)} orbits"))
        lines.append(entry("rank", f"{rank} of at most {gram.orbits.atoms:g}"))
        return [*lines, entry("classes together", "; ".join(f"[{group}]" for group in groups) or "none")]

    def _pairs(self, gram: OrbitGram, first: str, second: str) -> tuple[Array, Array]:
        """The cosines between two kinds of atoms, in one class and in two."""
        if isinstance(gram, KindGram):
            kinds = gram.orbits
            one, other, count = kinds.names.index(first), kinds.names.index(second), len(kinds.names)
            shown, cells = np.where(kinds.partners > 0, gram.cosines, np.nan), kinds.cells
            own, between = kinds.own(shown)[:, one, other], shown[one::count, other:cells:count]
            return own[~np.isnan(own)], between[~np.isnan(between)]
        names, classes = np.array(self.kinds), np.array(self.classes)
        same = classes[:, None] == classes
        pairs = (names[:, None] == first) & (names == second) & (gram.orbits.partners > 0)
        return gram.cosines[pairs & same], gram.cosines[pairs & ~same]

    def _by_cells(self, gram: KindGram) -> dict[str, Any]:
        """The report by orbits of classes: "between" two classes, "own" within one (null where there is no pair)."""
        kinds, orbits = gram.orbits, []
        shown = np.where(kinds.partners > 0, gram.cosines, np.nan)
        own = kinds.own(shown)
        for cell, each in enumerate(kinds.atoms_each):
            a, kind = divmod(cell, len(kinds.names))
            orbit = {"part": kinds.names[kind], "classes": whole(kinds.classes[a]), "size": whole(each)}
            known = {} if self.counts is None else self._known(self.counts, self.counts.distinct[a])
            orbits.append({**orbit, **known, "within": float(own[a, kind, kind])})
        between = shown[:, : kinds.cells]
        found = {"collapsed": self._shared(gram), "orbits": orbits, "between": between}
        return {**found, "own": own, "class_orbit": kinds.groups}

    def _label(self, c: int) -> str:
        return str(c) if self.counts is None else self.counts.label(c)

    def _shared(self, gram: OrbitGram) -> list[list[int]]:
        """Groups of classes with atoms in one point."""
        if isinstance(gram, KindGram):
            return [group for group in gram.merged() if len(group) > 1]
        groups = [tuple(sorted({self.classes[a] for a in group})) for group in gram.merged()]
        return [list(group) for group in dict.fromkeys(groups) if len(group) > 1]


@dataclass(frozen=True, eq=False)
class Instances(ClassMeans):
    """Instances, an orbit for every class, classes of most instances first."""

    settings: dict[str, Any]  # of the loss, for the dictionary
    coincide: Callable[[OrbitGram], bool]  # whether the views of an instance would stay in one point
    atoms: str = field(default="instances", init=False)

    def report(self, chosen: NDArray[np.intp], gram: OrbitGram, collapsed: list[list[int]]) -> dict[str, Any]:
        """The cosines, and the variances within and between classes."""
        counts = self._by_class
        variances = ClassVariances(gram)
        return {
            **ClassMeans(counts).report(np.arange(counts.classes), gram, collapsed),
            "class_orbit": counts.groups,
            "collapsed": self._points(gram),
            "instances": counts.total,
            **self.settings,
            "within_variance": variances.within,
            "between_variance": variances.between,
            "total_variance": variances.total,
            "class_variances": variances.per_class[counts.groups],
            "views_coincide": self.coincide(gram),
        }

    def lines(self, chosen: NDArray[np.intp], gram: OrbitGram, rank: int, collapsed: list[list[int]]) -> list[str]:
        """Variances, collapse, and cosines inside and between classes."""
        variances, inside = ClassVariances(gram), np.diag(gram.cosines)
        each = span(variances.per_class, ".6f")
        lines = [
            "Variance of instances",
            entry("within classes", f"{variances.within:.9f}" + (f"  ({each} by class)" if " to " in each else "")),
            entry("between classes", f"{variances.between:.9f}"),
            entry("total", f"{variances.total:.9f}"),
            entry("collapsed", self._which(gram)),
            "",
            "Cosines of instances",
            entry("inside a class", span(inside, "+.9f")),
            entry("between classes", span(gram.cosines[~np.eye(len(inside), dtype=bool)], "+.9f")),
            entry("rank", f"{rank} of at most {gram.orbits.atoms - 1:g} (instances - 1)"),
        ]
        if not self.coincide(gram):
            lines.append(
                entry("views", "held in one point; moving them apart would lower the loss further (alpha is small)")
            )
        return lines

    @property
    def _by_class(self) -> Counts:
        if self.counts is None:
            raise TypeError("instances are those of counts")
        return self.counts.by_class()

    def _points(self, gram: OrbitGram) -> list[list[int]]:
        """Groups of classes all of whose instances share one point; a class may be a group alone."""
        groups = self._by_class.groups
        return [np.flatnonzero(np.isin(groups, rows)).tolist() for rows in gram.merged()]

    def _which(self, gram: OrbitGram) -> str:
        counts, groups = self._by_class, self._points(gram)
        alone = sorted(group[0] for group in groups if len(group) == 1)
        words = [f"{len(group)} classes share a point ({counts.which(group)})" for group in groups if len(group) > 1]
        if len(alone) == counts.classes:
            return "every class is one point"
        if alone:
            words.insert(0, f"{len(alone)} of {counts.classes} classes are one point each ({counts.which(alone)})")
        return "; ".join(words) or "no class is one point"
