"""A diagnosis: findings as a dictionary, and as one page of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import __version__
from ..results import Result
from ..text import attributes, entry, number, table
from .findings import Findings, short_name

# Per-class lines of the page: all classes where they are few, else the worst.
_MOST_ROWS = 12
_LOCAL = ("saa", "cac", "cac_limit", "cac_chance", "sad", "cad", "uniformity", "alignment", "entropy_uniformity")
_MEASURES = (
    "nc1", "nc2_equinorm", "nc2_equiangularity", "nc2_equiangularity_max", "nc3", "nc4", "nc4_against", "fc", "ms",
    "sd", "effective_rank", "effective_rank_means",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis(Findings, Result):
    """What `diagnose` found: see `Findings` for the attributes."""

    @property
    def ok(self) -> bool:
        """Whether the optimum, if one was asked for, is certified."""
        return self.optimum is None or self.optimum.certified

    @property
    def summary(self) -> str:
        """The verdict, and how far the embeddings are from the optimum."""
        samples = f"{self.samples.counts.sum():,} samples of {len(self.labels)} classes"
        if self.optimum is None:
            return f"{self.verdict.value}: {samples}"
        return f"{self.verdict.value}: {samples}, {self.optimum.summary}"

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as a dictionary; lists go by class, in the order of `labels`."""
        local, collapse, samples, names = self.local, self.collapse, self.samples, self.labels
        fit = collapse.weights_fit
        return {
            "verdict": self.verdict.value,
            "summary": self.sentences(),
            **self._optimum(),
            **attributes(self, "fully_collapsed", "minority_collapsed"),
            "merged": [[names[c] for c in group] for group in self.merged],
            "worst_classes": [names[c] for c in self.worst_classes],
            "labels": names,
            **attributes(local, *_LOCAL),
            **attributes(collapse, "within", "coherence"),
            "spread": self.spread,
            "spread_per_class": self.spreads,
            "samples_per_class": samples.counts,
            "counts": self.counts.per_class,
            **attributes(collapse, *_MEASURES),
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

    def _optimum(self) -> dict[str, Any]:
        optimum, names = self.optimum, self.labels
        if optimum is None:
            return {"excess": None, "optimum": None}
        return {
            "excess": optimum.excess,
            "optimum": {
                "objective": optimum.loss,
                "temperature": optimum.temperature,
                "quality": optimum.solution.quality.value,
                "value": optimum.best_value,
                "measured_value": optimum.value,
                **attributes(optimum, "dim", "factor", "gap", "excess_bound", "collapsed_value", "level", "rank"),
                "nc3": optimum.nc3,
                "cosine_rms": optimum.rms,
                "cosine_worst": optimum.worst,
                "worst_pair": [names[c] for c in optimum.worst_pair],
                "per_class_rms": optimum.per_class,
                "collapse": [[names[c] for c in group] for group in optimum.collapse],
                "collapsed": [[names[c] for c in group] for group in optimum.collapsed],
            },
        }

    def lines(self) -> list[str]:
        """The diagnosis on one page."""
        samples, local, collapse, optimum = self.samples, self.local, self.collapse, self.optimum
        names = self.labels
        views = f", {samples.views} views" if samples.views > 1 else ""
        lines = [self.verdict.value.upper(), *(f"  {sentence}" for sentence in self.sentences()), ""]
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
        told = (
            ("NC1", collapse.nc1, "within-class over between-class covariance"),
            ("NC2", collapse.nc2_equinorm, "equal norms"),
            ("", collapse.nc2_equiangularity, "equal angles"),
            ("NC3", collapse.nc3, f"self-duality{needs}"),
            ("", None if optimum is None else optimum.nc3, "scores beside those of the optimum"),
            ("NC4", collapse.nc4, f"nearest class mean against {collapse.nc4_against}"),
        )
        ranks = f"{collapse.effective_rank:.2f}; of class means {collapse.effective_rank_means:.2f}"
        lines += ["", "neural collapse (0: collapsed to a regular simplex)"]
        lines += [
            entry(name, f"{number(value, '.4g')}  {what}") for name, value, what in told if name or value is not None
        ]
        lines.append(entry("FC, MS, SD", ", ".join(number(v, ".4g") for v in (collapse.fc, collapse.ms, collapse.sd))))
        lines.append(entry("effective rank", ranks))
        few = len(names) <= _MOST_ROWS
        shown = range(len(names)) if few else self.worst_classes
        which = "" if few else f": the worst {len(shown)} {'by CAC' if optimum is None else 'by their cosines'}"
        columns = {"SAA %": local.saa, "CAC %": local.cac, "of": local.cac_limit, "SAD": local.sad, "CAD": local.cad}
        columns |= {"uniformity": local.uniformity, "within": collapse.within}
        columns |= {} if optimum is None else {"off optimum": optimum.per_class}
        rows: list[tuple[str, ...]] = [("class", "samples", *columns)]
        for c in shown:
            cells = (
                number(float(each[c]), ".1f" if place < 3 else ".3f") for place, each in enumerate(columns.values())
            )
            rows.append((short_name(names[c]), str(samples.counts[c]), *cells))
        title = f"per class (CAC over {local.reach} neighbours, of the most it can be){which}"
        return [*lines, "", title, *(f"  {line}" for line in table(rows))]
