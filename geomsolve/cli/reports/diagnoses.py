"""A diagnosis: a dictionary, and one page of text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from ...training.verdicts import (
    AT_LOOSEST,
    AT_RMS,
    AT_WITHIN,
    AT_WORST,
    HELD,
    NEAR_LOOSEST,
    NEAR_RMS,
    NEAR_WITHIN,
    NEAR_WORST,
    PREDICTED,
    Verdict,
)
from .basics import counts_line, number, row, table

if TYPE_CHECKING:
    from ...training.diagnoses import Diagnosis, OptimumDistance

# Per-class lines of the page: all classes where they are few, else the worst.
_MOST_ROWS = 12
# Embeddings that the nearest class mean gets wrong, where it is said to tell classes apart that share a point.
_FEW_LOST = 0.01
# Of the way to full collapse: a loss that looks converged.
_LITTLE = 0.01
_MEASURES = [
    *("nc1", "nc2_equinorm", "nc2_equiangularity", "nc2_equiangularity_max", "nc3", "nc4", "nc4_against"),
    *("fc", "ms", "sd", "effective_rank", "effective_rank_means"),
]


def diagnosis_report(found: Diagnosis) -> dict[str, Any]:
    """The diagnosis as a dictionary, ready for `dumps`; lists go by class, in the order of `labels`."""
    local, collapse, samples = found.local, found.collapse, found.samples
    names = label_names(found)
    return {
        "verdict": found.verdict.value,
        "summary": summary(found),
        **_optimum_report(found.optimum, names),
        "fully_collapsed": found.fully_collapsed,
        "minority_collapsed": found.minority_collapsed,
        "merged": [[names[c] for c in group] for group in found.merged],
        "worst_classes": [names[c] for c in found.worst_classes],
        "labels": names,
        "saa": local.saa,
        "cac": local.cac,
        "cac_limit": local.cac_limit,
        "cac_chance": local.cac_chance,
        "sad": local.sad,
        "cad": local.cad,
        "uniformity": local.uniformity,
        "alignment": local.alignment,
        "within": collapse.within,
        "coherence": collapse.coherence,
        "spread": found.spread,
        "spread_per_class": found.spreads,
        "samples_per_class": samples.counts,
        "counts": found.counts.per_class,
        **{name: getattr(collapse, name) for name in _MEASURES},
        "classes": len(names),
        "samples": int(samples.counts.sum()),
        "views": samples.views,
        "dimensions": samples.points.shape[1],
        "neighbours": local.neighbours,
        "normalised": samples.normalised,
        "lengths": [samples.shortest, samples.longest],
        "directionless": [names[c] for c in collapse.directionless],
        "weights_fit": None if collapse.weights_fit is None else [names[c] for c in collapse.weights_fit],
        "version": __version__,
    }


def _optimum_report(optimum: OptimumDistance | None, names: list[Any]) -> dict[str, Any]:
    if optimum is None:
        return {"excess": None, "optimum": None}
    objective, certificate = optimum.solution.objective, optimum.solution.certificate
    return {
        "excess": optimum.excess,
        "optimum": {
            "objective": objective.name,
            "temperature": objective.temperature,
            "quality": optimum.solution.quality.value,
            "value": optimum.value,
            "optimum_value": certificate.value,
            "gap": certificate.gap,
            "excess_bound": optimum.excess_bound,
            "collapsed_value": optimum.collapsed_value,
            "level": optimum.level,
            "cosine_rms": optimum.rms,
            "cosine_worst": optimum.worst,
            "worst_pair": [names[c] for c in optimum.worst_pair],
            "per_class_rms": optimum.per_class,
            "collapse": [[names[c] for c in group] for group in optimum.collapse],
            "collapsed": [[names[c] for c in group] for group in optimum.solution.collapsed],
            "rank": optimum.solution.rank,
        },
    }


def label_names(found: Diagnosis) -> list[Any]:
    """The labels as plain numbers and texts."""
    return [
        label.decode(errors="replace") if isinstance(label, bytes) else label
        for label in found.samples.classes.tolist()
    ]


def summary(found: Diagnosis) -> list[str]:
    """Plain sentences that say what the verdict rests on."""
    names, optimum, collapse = label_names(found), found.optimum, found.collapse
    lines = []
    if found.fully_collapsed:
        lines.append(f"All {len(names)} classes share one point.")
    else:
        lines += [f"One point is shared by {_listed([names[c] for c in group])}." for group in found.merged[:3]]
        if len(found.merged) > 3:
            lines.append(f"Another one each by {len(found.merged) - 3} groups more.")
    if (found.fully_collapsed or found.merged) and collapse.nc4_against == "labels" and collapse.nc4 <= _FEW_LOST:
        lines.append(
            f"Small differences remain there: the nearest class mean is the right one for all but "
            f"{100 * collapse.nc4:.2g} % of the embeddings (NC4)."
        )
    if optimum is not None:
        lines.append(
            f"The loss at the class means is {optimum.excess:.3g} nats above the optimum, {100 * optimum.level:.3g} % "
            "of the way to full collapse."
        )
        first, second = optimum.worst_pair
        measured, best = collapse.cosines[first, second], optimum.solution.gram[first, second]
        lines.append(
            f"Cosines of class means are off by {optimum.rms:.3f} (root mean square); worst are "
            f"{_name(names[first])} and {_name(names[second])}, {measured:+.3f} where the optimum has {best:+.3f}."
        )
        lines += _together(found, optimum)
        lines += _missed(found, optimum)
        if found.verdict is Verdict.FAR and optimum.level < _LITTLE:
            lines.append(
                "The loss hardly sees this: cosines of rare classes, and all of them at low temperature, settle long "
                "after the loss does."
            )
        if found.samples.points.shape[1] < optimum.solution.rank:
            lines.append(
                f"The optimum needs {optimum.solution.rank} dimensions; embeddings of {found.samples.points.shape[1]} "
                "cannot have its cosines."
            )
        if not optimum.certified:
            lines.append("The optimum is not certified: its loss may be lower by the gap.")
    lines += _within(found)
    if found.samples.normalised:
        lines.append(
            f"The embeddings were normalised: their lengths were {found.samples.shortest:.4g} to "
            f"{found.samples.longest:.4g}."
        )
    if collapse.directionless:
        lines.append(
            f"No direction, because their mean is zero: {_listed([names[c] for c in collapse.directionless])} "
            "(counted as orthogonal to all others)."
        )
    lines += _order(found)
    single = np.flatnonzero(found.samples.sizes == 1)
    if single.size:
        lines.append(
            f"Of a single embedding, so without CAC, CAD and uniformity: {_listed([names[c] for c in single])}."
        )
    return lines


def _missed(found: Diagnosis, optimum: OptimumDistance) -> list[str]:
    """The limits that keep a diagnosis from being at the optimum, or near it."""
    if found.verdict is Verdict.FAR:
        word, limits = "near", (NEAR_RMS, NEAR_WORST, NEAR_WITHIN, NEAR_LOOSEST)
    elif found.verdict is Verdict.NEAR_OPTIMUM:
        word, limits = "at", (AT_RMS, AT_WORST, AT_WITHIN, AT_LOOSEST)
    else:
        return []
    loosest = int(np.argmax(np.nan_to_num(found.spreads, nan=-1.0)))
    values = (optimum.rms, optimum.worst, found.spread, found.spreads[loosest])
    which = f"1 - cosine within {_listed([label_names(found)[loosest]])}"
    what = ("cosines off by", "the worst pair by", "1 - cosine within classes", which)
    reasons = [
        f"{name} {value:.3f} (limit {limit:g})"
        for name, value, limit in zip(what, values, limits, strict=True)
        if value > limit
    ]
    return [f"Not {word} the optimum, because: {', '.join(reasons)}."]


def _together(found: Diagnosis, optimum: OptimumDistance) -> list[str]:
    """Which classes the optimum has in one point, and which all but."""
    names, exact = label_names(found), [tuple(group) for group in optimum.solution.collapsed]
    near = [group for group in optimum.collapse if group not in exact]
    kinds = (
        ("The optimum itself has in one point", [group for group in optimum.collapse if group in exact]),
        (f"The optimum itself has all but in one point (cosines of {PREDICTED:.2f} and more)", near),
    )
    lines = [
        f"{what}: "
        + "; ".join(_listed([names[c] for c in group]) for group in some[:3])
        + (f"; and {len(some) - 3} groups more." if len(some) > 3 else ".")
        for what, some in kinds
        if some
    ]
    if found.merged and not optimum.collapse:
        lines.append("The optimum has no two classes in one point.")
    return lines


def _within(found: Diagnosis) -> list[str]:
    """How tight classes are."""
    within = found.spread
    if np.isnan(within):
        return ["Every class has one example: nothing is known of the spread within classes."]
    how = "they scatter" if within > 1.0 - HELD else "classes hold together" if within > 0.01 else "classes are points"
    lines = [f"Two examples of a class have a cosine of {1.0 - within:.3f} on average: {how}."]
    loose = np.flatnonzero(found.spreads > NEAR_LOOSEST)
    if loose.size and within <= 1.0 - HELD:
        lines.append(f"Examples do not hold together in {_listed([label_names(found)[c] for c in loose])}.")
    return lines


def _order(found: Diagnosis) -> list[str]:
    """What may be out of order, and no error message shows."""
    lines, names, fits = [], label_names(found), found.collapse.weights_fit
    permuted = fits is not None and sorted(fits) == list(range(len(fits))) and sorted(fits) != list(fits)
    if fits is not None and permuted:
        first = next(c for c, fit in enumerate(fits) if c != fit)
        lines.append(
            f"The weights fit the classes in another order (row {first} belongs to {_name(names[first])} and fits "
            f"{_name(names[fits[first]])}): are their rows in the sorted order of the labels?"
        )
    texts = [name for name in names if isinstance(name, str)]
    if len(texts) == len(names) and all(text.isdecimal() for text in texts) and sorted(texts, key=int) != texts:
        lines.append(
            f"Labels are texts, so their order is {', '.join(map(_name, texts[:3]))}, ...: counts, weights and "
            "objectives go by it (labels as integers go by their size)."
        )
    return lines


def diagnosis_text(found: Diagnosis) -> str:
    """The diagnosis on one page."""
    samples, local, collapse, optimum = found.samples, found.local, found.collapse, found.optimum
    names = label_names(found)
    views = f", {samples.views} views" if samples.views > 1 else ""
    lines = [
        f"{found.verdict.value.upper()}",
        *(f"  {sentence}" for sentence in summary(found)),
        "",
        f"{samples.counts.sum():,} samples{views}, {samples.points.shape[1]} dimensions",
        f"  {counts_line(found.counts)}",
    ]
    if optimum is not None:
        objective, certificate = optimum.solution.objective, optimum.solution.certificate
        lines += [
            "",
            f"beside the optimum of {objective.name}, temperature {objective.temperature:g} "
            f"({optimum.solution.quality.value}, gap {certificate.gap:.1e})",
            row("loss there", f"{certificate.value:.9g} nats"),
            row("measured", f"{optimum.value:.9g} nats"),
            row("excess", f"{optimum.excess:.3g} nats (proved: at most {optimum.excess_bound:.3g})"),
            row("fully collapsed", f"{optimum.collapsed_value:.9g} nats"),
        ]
    lines += ["", "neural collapse (0: collapsed to a regular simplex)"]
    lines += [
        row("NC1", f"{number(collapse.nc1, '.4g')}  within-class over between-class covariance"),
        row("NC2", f"{number(collapse.nc2_equinorm, '.4g')}  equal norms"),
        row("", f"{number(collapse.nc2_equiangularity, '.4g')}  equal angles"),
        row("NC3", f"{number(collapse.nc3, '.4g')}  self-duality" + _needs(collapse.nc3)),
        row("NC4", f"{collapse.nc4:.4g}  nearest class mean against {collapse.nc4_against}"),
        row("FC, MS, SD", f"{collapse.fc:.4g}, {collapse.ms:.4g}, {number(collapse.sd, '.4g')}"),
        row("effective rank", f"{collapse.effective_rank:.2f}; of class means {collapse.effective_rank_means:.2f}"),
    ]
    few = len(names) <= _MOST_ROWS
    shown = range(len(names)) if few else found.worst_classes
    by = "by CAC" if optimum is None else "by their cosines"
    title = f"per class (CAC over {local.neighbours} neighbours, of the most it can be)" + (
        "" if few else f": the worst {len(shown)} {by}"
    )
    lines += ["", title]
    head = ("class", "samples", "SAA %", "CAC %", "of", "SAD", "CAD", "uniformity", "within")
    rows: list[tuple[str, ...]] = [head + (() if optimum is None else ("off optimum",))]
    for c in shown:
        values = (
            local.saa[c],
            local.cac[c],
            local.cac_limit[c],
            local.sad[c],
            local.cad[c],
            local.uniformity[c],
            collapse.within[c],
        )
        forms = (".1f", ".1f", ".1f", ".3f", ".3f", ".3f", ".3f")
        cells = tuple(number(float(value), form) for value, form in zip(values, forms, strict=True))
        last = () if optimum is None else (f"{optimum.per_class[c]:.3f}",)
        rows.append((_name(names[c]), str(samples.counts[c]), *cells, *last))
    return "\n".join([*lines, *(f"  {line}" for line in table(rows))])


def _needs(value: float | None) -> str:
    return " (needs weights)" if value is None else ""


def _name(label: Any) -> str:
    text = str(label)
    return text if len(text) <= 24 else text[:21] + "..."


def _listed(labels: list[Any], most: int = 6) -> str:
    """Labels in words, the first few of many."""
    texts = [_name(label) for label in labels]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ("class " if len(texts) == 1 else "classes ") + ", ".join(texts[:most]) + more
