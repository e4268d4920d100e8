"""A diagnosis: what was found in trained embeddings, as a dictionary, in sentences and on a page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .. import __version__
from ..counts.counts import Counts
from ..results import Result
from ..solvers.solution import Solution
from ..text import attributes, entry, number, table
from .neighbourhoods import Neighbourhoods
from .neural_collapse import MEASURES, CollapseMetrics
from .optima import PREDICTED, OptimumDistance
from .samples import Samples
from .verdicts import AT, HELD, NEAR, Limits, Verdict, offsets

# Embeddings that the nearest class mean gets wrong, where it is said to tell classes apart that share a point; and of
# the way to full collapse, a loss that looks converged.
_LITTLE = 0.01
# Per-class lines of the page: all classes where they are few, else the worst.
_MOST_ROWS = 12
_LOCAL = ("saa", "cac", "cac_limit", "cac_chance", "sad", "cad", "uniformity", "alignment", "entropy_uniformity")
_OPTIMUM = ("dim", "factor", "gap", "excess_bound", "collapsed_value", "level", "rank", "nc3")


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Result):
    """What `diagnose` found. Classes are in the sorted order of their labels, and counted from 0.

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
    def ok(self) -> bool:
        """Whether the optimum, if one was asked for, is certified."""
        return self.optimum is None or self.optimum.certified

    @property
    def summary(self) -> str:
        """The verdict, and how far the embeddings are from the optimum."""
        beside = "" if self.optimum is None else f", {self.optimum.summary}"
        return f"{self.verdict.value}: {self.samples.counts.sum():,} samples of {len(self.labels)} classes{beside}"

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as a dictionary; lists go by class, in the order of `labels`."""
        local, collapse, samples, names = self.local, self.collapse, self.samples, self.labels
        optimum, fit = self.optimum, collapse.weights_fit
        beside: dict[str, Any] = {"excess": None, "optimum": None}
        if optimum is not None:
            beside = {
                "excess": optimum.excess,
                "optimum": {
                    **attributes(optimum, *_OPTIMUM),
                    "objective": optimum.loss,
                    "temperature": optimum.temperature,
                    "quality": optimum.solution.quality.value,
                    "value": optimum.best_value,
                    "measured_value": optimum.value,
                    "cosine_rms": optimum.rms,
                    "cosine_worst": optimum.worst,
                    "worst_pair": [names[c] for c in optimum.worst_pair],
                    "per_class_rms": optimum.per_class,
                    "collapse": [[names[c] for c in group] for group in optimum.collapse],
                    "collapsed": [[names[c] for c in group] for group in optimum.collapsed],
                },
            }
        return {
            "verdict": self.verdict.value,
            "summary": self.sentences(),
            **beside,
            **attributes(self, "fully_collapsed", "minority_collapsed"),
            "merged": [[names[c] for c in group] for group in self.merged],
            "worst_classes": [names[c] for c in self.worst_classes],
            "labels": names,
            **attributes(local, *_LOCAL),
            **attributes(collapse, "within", "coherence", "nc4_against", *MEASURES),
            "spread_per_class": collapse.spreads,
            "samples_per_class": samples.counts,
            "counts": self.counts.per_class,
            "classes": len(names),
            "samples": int(samples.counts.sum()),
            "views": samples.views,
            "dimensions": samples.points.shape[1],
            "neighbours": local.neighbours if np.ptp(local.neighbours) else int(local.neighbours[0]),
            "normalised": samples.normalised,
            "lengths": [samples.shortest, samples.longest],
            "directionless": [names[c] for c in collapse.directionless],
            "weights_fit": None if fit is None else [names[c] for c in fit],
            "version": __version__,
        }

    @cached_property
    def worst_classes(self) -> tuple[int, ...]:
        """Up to five classes, worst first: by their cosines' distance from the optimum, else by what CAC lacks."""
        local = self.local
        badness = local.cac_limit - local.cac if self.optimum is None else self.optimum.per_class
        return tuple(np.argsort(-np.nan_to_num(badness, nan=-np.inf), kind="stable")[:5].tolist())

    @property
    def labels(self) -> list[Any]:
        """The labels as plain numbers and texts, or what the counts call the classes that they number."""
        labels, names = self.samples.classes.tolist(), [*map(self.counts.label, range(self.counts.classes))]
        return labels if names == list(map(str, labels)) else names

    def sentences(self) -> list[str]:
        """Plain sentences that say what the verdict rests on."""
        samples = self.samples
        lines = [*self._sharing(), *self._beside(), *self._within()]
        if samples.normalised:
            lines.append(
                f"The embeddings were normalised: their lengths were {samples.shortest:.4g} to {samples.longest:.4g}."
            )
        lines += self._order()
        single = np.flatnonzero(samples.sizes == 1)
        if single.size:
            lines.append(f"Of a single embedding, so without CAC, CAD and uniformity: {self.counts.which(single)}.")
        return lines

    def _groups(self, groups: Sequence[tuple[int, ...]], most: int = 3) -> str:
        """Groups of classes in words, the first few of many."""
        more = [f"and {len(groups) - most} groups more"] if len(groups) > most else []
        return "; ".join([*map(self.counts.which, groups[:most]), *more])

    def _sharing(self) -> list[str]:
        """Which classes share a point."""
        collapse, lines = self.collapse, []
        if self.fully_collapsed:
            lines = [f"All {len(self.labels)} classes share one point."]
        elif self.merged:
            lines = [f"One point {'each ' if len(self.merged) > 1 else ''}is shared by {self._groups(self.merged)}."]
        if lines and collapse.nc4 is not None and collapse.nc4_against == "labels" and collapse.nc4 <= _LITTLE:
            lines.append(
                f"Small differences remain there: the nearest class mean is the right one for all but "
                f"{100 * collapse.nc4:.2g} % of the embeddings (NC4)."
            )
        return lines

    def _beside(self) -> list[str]:
        """What there is beside the optimum."""
        optimum = self.optimum
        if optimum is None:
            return []
        lines = [self._height(optimum), optimum.words(self.collapse.cosines, self.counts)]
        apart = [group for group in optimum.collapse if group not in optimum.collapsed]
        if optimum.collapsed:
            lines.append(f"The optimum itself has in one point: {self._groups(optimum.collapsed)}.")
        if apart:
            almost = f"all but in one point (cosines of {PREDICTED:.2f} and more)"
            lines.append(f"The optimum itself has {almost}: {self._groups(apart)}.")
        if self.merged and not optimum.collapse:
            lines.append("The optimum has no two classes in one point.")
        if self.verdict is Verdict.FAR:
            lines.append(self._missed(optimum, "near", NEAR))
        if self.verdict is Verdict.NEAR_OPTIMUM:
            lines.append(self._missed(optimum, "at", AT))
        if self.verdict is Verdict.FAR and optimum.level < _LITTLE:
            lines.append(
                "The loss hardly sees this: cosines of rare classes, and all of them at low temperature, settle long "
                "after the loss does."
            )
        if optimum.dim < optimum.rank:
            lines.append(
                f"The optimum needs {optimum.rank} dimensions; embeddings of {optimum.dim} are held against the best "
                f"geometry found in so many, {optimum.best_value:.9g}."
            )
        if not optimum.certified:
            lines.append("The optimum is not certified: its loss may be lower by the gap.")
        return lines

    def _height(self, optimum: OptimumDistance) -> str:
        """How far the loss is above the optimum, where it is known."""
        if np.isnan(optimum.excess):
            atoms = optimum.solution.objective.description.atoms
            if atoms == "class means" and isinstance(optimum.solution, Solution):
                return "Some classes have no sample here: the loss needs all of them, and only cosines are compared."
            return f"{optimum.loss} sees {atoms}: of the loss, only class means are compared."
        unit = "nats" if optimum.factor == 1.0 else f"nats times {optimum.factor:.4g}"
        return (
            f"The loss at the class means is {optimum.excess:.3g} {unit} above the optimum, "
            f"{100 * optimum.level:.3g} % of the way to full collapse."
        )

    def _missed(self, optimum: OptimumDistance, word: str, limits: Limits) -> str:
        """The limits that keep a diagnosis from being at the optimum, or near it."""
        loosest = int(np.argmax(np.nan_to_num(np.abs(self.collapse.spreads - optimum.spread), nan=-1.0)))
        one = f"1 - cosine within {self.counts.which([loosest])}"
        what = ("cosines off by", "the worst pair by", "1 - cosine within classes", one)
        reasons = [
            f"{name} {value:.3f} (limit {limit:g})"
            for name, value, limit in zip(what, offsets(self.collapse, optimum), limits, strict=True)
            if value > limit
        ]
        return f"Not {word} the optimum, because: {', '.join(reasons)}."

    def _within(self) -> list[str]:
        """How tight classes are."""
        within = self.collapse.spread
        if np.isnan(within):
            return ["Every class has one example: nothing is known of the spread within classes."]
        how = "classes hold together" if within > 0.01 else "classes are points"
        how = "they scatter" if within > 1.0 - HELD else how
        lines = [f"Two examples of a class have a cosine of {1.0 - within:.3f} on average: {how}."]
        loose = np.flatnonzero(self.collapse.spreads > NEAR.loosest_class)
        if loose.size and within <= 1.0 - HELD:
            lines.append(f"Examples do not hold together in {self.counts.which(loose)}.")
        return lines

    def _order(self) -> list[str]:
        """What may be out of order, and no error message shows."""
        lines, names, fits = [], self.labels, self.collapse.weights_fit
        if fits is not None and list(fits) != sorted(fits) == list(range(len(fits))):
            first = next(c for c, fit in enumerate(fits) if c != fit)
            lines.append(
                f"The weights fit the classes in another order (row {first} belongs to {names[first]} and "
                f"fits {names[fits[first]]}): are their rows in the sorted order of the labels?"
            )
        if all(isinstance(name, str) and name.isdecimal() for name in names) and sorted(names, key=int) != names:
            lines.append(
                f"Labels are texts, so their order is {', '.join(names[:3])}, ...: counts, weights "
                "and objectives go by it (labels as integers go by their size)."
            )
        return lines

    def lines(self) -> list[str]:
        """The diagnosis on one page."""
        samples, local, collapse, optimum = self.samples, self.local, self.collapse, self.optimum
        names = self.labels
        views = f", {samples.views} views" if samples.views > 1 else ""
        lines = [self.verdict.value.upper(), *(f"  {each}" for each in self.sentences()), ""]
        lines += [f"{samples.counts.sum():,} samples{views}, {samples.points.shape[1]} dimensions", f"  {self.counts}"]
        if optimum is not None:
            unit = "nats" if optimum.factor == 1.0 else f"(nats times {optimum.factor:.6g})"
            lines += [
                "",
                f"beside the optimum of {optimum.loss}, temperature {optimum.temperature:g} "
                f"({optimum.solution.quality.value}, gap {optimum.gap:.1e})",
                entry("loss there", f"{optimum.best_value:.9g} {unit}"),
                entry("measured", f"{optimum.value:.9g} {unit}"),
                entry("excess", f"{optimum.excess:.3g} {unit} (proved: at most {optimum.excess_bound:.3g})"),
                entry("fully collapsed", f"{optimum.collapsed_value:.9g} {unit}"),
            ]
        needs = " (needs weights)" if collapse.nc3 is None else ""
        told = [
            ("NC1", collapse.nc1, "within-class over between-class covariance"),
            ("NC2", collapse.nc2_equinorm, "equal norms"),
            ("", collapse.nc2_equiangularity, "equal angles"),
            ("NC3", collapse.nc3, f"self-duality{needs}"),
            ("NC4", collapse.nc4, f"nearest class mean against {collapse.nc4_against}"),
        ]
        if optimum is not None and optimum.nc3 is not None:
            told.insert(4, ("", optimum.nc3, "scores beside those of the optimum"))
        ranks = f"{collapse.effective_rank:.2f}; of class means {collapse.effective_rank_means:.2f}"
        lines += [
            "",
            "neural collapse (0: collapsed to a regular simplex)",
            *(entry(name, f"{number(value, '.4g')}  {what}") for name, value, what in told),
            entry("FC, MS, SD", ", ".join(number(value, ".4g") for value in (collapse.fc, collapse.ms, collapse.sd))),
            entry("effective rank", ranks),
        ]
        few = len(names) <= _MOST_ROWS
        shown = range(len(names)) if few else self.worst_classes
        which = "" if few else f": the worst {len(shown)} {'by CAC' if optimum is None else 'by their cosines'}"
        columns = {"SAA %": local.saa, "CAC %": local.cac, "of": local.cac_limit, "SAD": local.sad, "CAD": local.cad}
        columns |= {"uniformity": local.uniformity, "within": collapse.within}
        columns |= {} if optimum is None else {"off optimum": optimum.per_class}
        rows: list[tuple[str, ...]] = [("class", "samples", *columns)]
        for c in shown:
            cells = [number(each[c], ".1f" if place < 3 else ".3f") for place, each in enumerate(columns.values())]
            rows.append((str(names[c]), str(samples.counts[c]), *cells))
        title = f"per class (CAC over {local.reach} neighbours, of the most it can be){which}"
        return [*lines, "", title, *(f"  {line}" for line in table(rows))]
