"""What was found in trained embeddings, and what that says, in sentences."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import Array
from ..counts.counts import Counts
from ..solvers.solution import Solution
from .exports import loss_of
from .neighbourhoods import Neighbourhoods
from .neural_collapse import CollapseMetrics
from .samples import Samples
from .verdicts import AT, HELD, NEAR, PREDICTED, OptimumDistance, Verdict, offsets

# Embeddings that the nearest class mean gets wrong, where it is said to tell classes apart that share a point.
_FEW_LOST = 0.01
# Of the way to full collapse: a loss that looks converged.
_LITTLE = 0.01


@dataclass(frozen=True, eq=False, repr=False)
class Findings:
    """What was found in trained embeddings. Classes are in the sorted order of their labels, and counted from 0.

    Attributes:
        samples: the embeddings on the sphere, sorted by class; `samples.classes` are the labels.
        counts: the class counts that say which classes are the minority: those trained with, if given.
        local: SAA, CAC, SAD, CAD, uniformity, alignment.
        collapse: NC1 to NC4, FC, MS, SD, effective ranks, cosines of class means.
        merged: groups of classes that share a point.
        fully_collapsed: whether all of them do.
        minority_collapsed: whether some group has only classes with fewer examples than the average class.
        optimum: the distance to the optimum of the loss; None without an objective.
        verdict: in words.
    """

    samples: Samples = field(repr=False)
    counts: Counts
    local: Neighbourhoods
    collapse: CollapseMetrics
    merged: tuple[tuple[int, ...], ...]
    fully_collapsed: bool
    minority_collapsed: bool
    optimum: OptimumDistance | None
    verdict: Verdict

    @property
    def spreads(self) -> Array:
        """(C,) of every class 1 less the mean cosine of two samples of it; NaN for a class of one."""
        return self.collapse.spreads

    @property
    def spread(self) -> float:
        """The mean of `spreads` over classes of two samples or more; NaN if there are none."""
        return self.collapse.spread

    @cached_property
    def worst_classes(self) -> tuple[int, ...]:
        """Up to five classes, worst first: by their cosines' distance from the optimum, else by what CAC lacks."""
        local = self.local
        badness = local.cac_limit - local.cac if self.optimum is None else self.optimum.per_class
        return tuple(np.argsort(-np.nan_to_num(badness, nan=-np.inf), kind="stable")[:5].tolist())

    @property
    def labels(self) -> list[Any]:
        """The labels as plain numbers and texts, or what the counts call the classes that they number."""
        if self.counts.names is not None:
            return list(self.counts.names)
        return [
            label.decode(errors="replace") if isinstance(label, bytes) else label
            for label in self.samples.classes.tolist()
        ]

    def sentences(self) -> list[str]:
        """Plain sentences that say what the verdict rests on."""
        names, optimum, collapse = self.labels, self.optimum, self.collapse
        lines = [f"One point is shared by {self._named(group)}." for group in self.merged[:3]]
        if len(self.merged) > 3:
            lines.append(f"Another one each by {len(self.merged) - 3} groups more.")
        if self.fully_collapsed:
            lines = [f"All {len(names)} classes share one point."]
        if (self.fully_collapsed or self.merged) and collapse.nc4_against == "labels" and collapse.nc4 <= _FEW_LOST:
            lines.append(
                f"Small differences remain there: the nearest class mean is the right one for all but "
                f"{100 * collapse.nc4:.2g} % of the embeddings (NC4)."
            )
        if optimum is not None:
            lines.append(self._height(optimum))
            first, second = optimum.worst_pair
            measured, best = collapse.cosines[first, second], optimum.best[first, second]
            lines.append(
                f"Cosines of class means are off by {optimum.rms:.3f} (root mean square); worst are "
                f"{short_name(names[first])} and {short_name(names[second])}, {measured:+.3f} where the optimum has "
                f"{best:+.3f}."
            )
            lines += self._together(optimum)
            lines += self._missed(optimum)
            if self.verdict is Verdict.FAR and optimum.level < _LITTLE:
                lines.append(
                    "The loss hardly sees this: cosines of rare classes, and all of them at low temperature, settle "
                    "long after the loss does."
                )
            if optimum.dim < optimum.rank:
                lines.append(
                    f"The optimum needs {optimum.rank} dimensions; embeddings of {optimum.dim} are held "
                    f"against the best geometry found in so many, {optimum.best_value:.9g}."
                )
            if not optimum.certified:
                lines.append("The optimum is not certified: its loss may be lower by the gap.")
        lines += self._within()
        if self.samples.normalised:
            lines.append(
                f"The embeddings were normalised: their lengths were {self.samples.shortest:.4g} to "
                f"{self.samples.longest:.4g}."
            )
        if collapse.directionless:
            lines.append(
                f"No direction, because their mean is zero: {self._named(collapse.directionless)} "
                "(counted as orthogonal to all others)."
            )
        lines += self._order()
        single = np.flatnonzero(self.samples.sizes == 1)
        if single.size:
            lines.append(f"Of a single embedding, so without CAC, CAD and uniformity: {self._named(single)}.")
        return lines

    def _named(self, classes: Any, most: int = 6) -> str:
        """Classes in words, the first few of many."""
        texts = [short_name(self.labels[c]) for c in classes]
        more = f" and {len(texts) - most} more" if len(texts) > most else ""
        return ("class " if len(texts) == 1 else "classes ") + ", ".join(texts[:most]) + more

    def _height(self, optimum: OptimumDistance) -> str:
        """How far the loss is above the optimum, where it is known."""
        if np.isnan(optimum.excess):
            atoms = loss_of(optimum.solution).description.atoms
            if atoms == "class means" and isinstance(optimum.solution, Solution):
                return "Some classes have no sample here: the loss needs all of them, and only cosines are compared."
            return f"{optimum.loss} sees {atoms}: of the loss, only class means are compared."
        unit = "nats" if optimum.factor == 1.0 else f"nats times {optimum.factor:.4g}"
        return (
            f"The loss at the class means is {optimum.excess:.3g} {unit} above the optimum, "
            f"{100 * optimum.level:.3g} % of the way to full collapse."
        )

    def _missed(self, optimum: OptimumDistance) -> list[str]:
        """The limits that keep a diagnosis from being at the optimum, or near it."""
        words = {Verdict.FAR: ("near", NEAR), Verdict.NEAR_OPTIMUM: ("at", AT)}
        if self.verdict not in words:
            return []
        word, limits = words[self.verdict]
        loosest = int(np.argmax(np.nan_to_num(np.abs(self.spreads - optimum.spread), nan=-1.0)))
        which = f"1 - cosine within {self._named([loosest])}"
        values = offsets(self.collapse, optimum)
        what = ("cosines off by", "the worst pair by", "1 - cosine within classes", which)
        reasons = [
            f"{name} {value:.3f} (limit {limit:g})"
            for name, value, limit in zip(what, values, limits, strict=True)
            if value > limit
        ]
        return [f"Not {word} the optimum, because: {', '.join(reasons)}."]

    def _together(self, optimum: OptimumDistance) -> list[str]:
        """Which classes the optimum has in one point, and which all but."""
        kinds = (
            ("The optimum itself has in one point", True),
            (f"The optimum itself has all but in one point (cosines of {PREDICTED:.2f} and more)", False),
        )
        lines = []
        for what, exact in kinds:
            some = [group for group in optimum.collapse if (group in optimum.collapsed) is exact]
            more = f"; and {len(some) - 3} groups more." if len(some) > 3 else "."
            if some:
                lines.append(f"{what}: {'; '.join(map(self._named, some[:3]))}{more}")
        if self.merged and not optimum.collapse:
            lines.append("The optimum has no two classes in one point.")
        return lines

    def _within(self) -> list[str]:
        """How tight classes are."""
        within = self.spread
        if np.isnan(within):
            return ["Every class has one example: nothing is known of the spread within classes."]
        how = "classes hold together" if within > 0.01 else "classes are points"
        how = "they scatter" if within > 1.0 - HELD else how
        lines = [f"Two examples of a class have a cosine of {1.0 - within:.3f} on average: {how}."]
        loose = np.flatnonzero(self.spreads > NEAR.loosest_class)
        if loose.size and within <= 1.0 - HELD:
            lines.append(f"Examples do not hold together in {self._named(loose)}.")
        return lines

    def _order(self) -> list[str]:
        """What may be out of order, and no error message shows."""
        lines, names, fits = [], self.labels, self.collapse.weights_fit
        if fits is not None and list(fits) != sorted(fits) == list(range(len(fits))):
            first = next(c for c, fit in enumerate(fits) if c != fit)
            lines.append(
                f"The weights fit the classes in another order (row {first} belongs to {short_name(names[first])} and "
                f"fits {short_name(names[fits[first]])}): are their rows in the sorted order of the labels?"
            )
        texts = [name for name in names if isinstance(name, str)]
        if len(texts) == len(names) and all(text.isdecimal() for text in texts) and sorted(texts, key=int) != texts:
            lines.append(
                f"Labels are texts, so their order is {', '.join(map(short_name, texts[:3]))}, ...: counts, weights "
                "and objectives go by it (labels as integers go by their size)."
            )
        return lines


def short_name(label: Any) -> str:
    """The label as a text, cut where it is long."""
    text = str(label)
    return text if len(text) <= 24 else text[:21] + "..."
