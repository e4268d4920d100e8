"""What SupCL's solutions and guidelines say of themselves: dictionaries for JSON, and text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from ...choosing.guidelines import smallest_critical_alpha
from ...choosing.variances import class_variances
from ...counts.counts import Counts
from ...objectives.supcl import InstanceSoftmax, by_class
from ...solvers.solution import Solution
from .basics import counts_line, ranges, row, table
from .solutions import certificate_text, solution_report

if TYPE_CHECKING:
    from ...choosing.guidelines import VarianceGuideline
    from ...solvers.embedding import Embedding


def supcl_report(
    solution: Solution, objective: InstanceSoftmax, counts: Counts, embedding: Embedding | None = None
) -> dict[str, Any]:
    """`solution_report` with one orbit a class, and the variances within and between classes."""
    classes = by_class(counts)
    variances = class_variances(solution.orbits)
    return {
        **solution_report(solution, classes, embedding),
        "class_orbit": classes.groups,
        "collapsed": collapsed_classes(solution, counts),
        "instances": counts.total,
        "alpha": objective.alpha,
        "views": objective.views,
        "self_pairs": objective.self_pairs,
        "within_variance": variances.within,
        "between_variance": variances.between,
        "total_variance": variances.total,
        "class_variances": variances.per_class[classes.groups],
        "alpha_c": _alpha_c(objective, counts),
        "views_coincide": objective.views_coincide(solution.orbits),
    }


def supcl_text(
    solution: Solution, objective: InstanceSoftmax, counts: Counts, tol: float, embedding: Embedding | None = None
) -> str:
    """The solution in a few aligned lines."""
    variances, gram = class_variances(solution.orbits), solution.orbits
    inside = np.diag(gram.cosines)
    between = gram.cosines[~np.eye(len(inside), dtype=bool)]
    lines = [
        certificate_text(solution.certificate, objective, counts, tol),
        "",
        "Variance of instances",
        row("within classes", f"{variances.within:.9f}{_spread_words(variances.per_class)}"),
        row("between classes", f"{variances.between:.9f}"),
        row("total", f"{variances.total:.9f}"),
        row("collapsed", _collapsed_words(solution, counts)),
        row("critical alpha", f"{_alpha_c(objective, counts):.9f}: up to it every class is one point"),
        "",
        "Cosines of instances",
        row("inside a class", _range(inside)),
        row("between classes", _range(between)),
        row("rank", f"{solution.rank} of at most {gram.orbits.atoms - 1:g} (instances - 1)"),
    ]
    if not objective.views_coincide(gram):
        lines.append(row("views", "held in one point; moving them apart would lower the loss further (alpha is small)"))
    if embedding is not None:
        exact = "exact" if embedding.exact else f"proved gap {embedding.gap:.2e}"
        lines.append(row("embedding", f"{embedding.dim} dimensions, loss {embedding.value:.12g} nats ({exact})"))
    return "\n".join([*lines, "", f"solved by {solution.solver} in {solution.seconds:.2f} s"])


def collapsed_classes(solution: Solution, counts: Counts) -> list[list[int]]:
    """Groups of classes all of whose instances share one point, as class indices; a class may be a group alone."""
    groups = by_class(counts).groups
    return [np.flatnonzero(np.isin(groups, rows)).tolist() for rows in solution.orbits.merged()]


def guideline_report(
    guideline: VarianceGuideline, counts: Counts, *, views: int, self_pairs: bool, files: list[str]
) -> dict[str, Any]:
    """The guideline as a dictionary, ready for `dumps`."""
    columns = (guideline.temperatures, guideline.alphas, guideline.critical, guideline.certified)
    names = ("temperature", "alpha", "alpha_c", "certified")
    report: dict[str, Any] = {
        "variance": guideline.variance,
        "largest_variance": guideline.largest,
        "points": [dict(zip(names, point, strict=True)) for point in zip(*columns, strict=True)],
        "counts": counts.name,
        "classes": counts.classes,
        "instances": counts.total,
        "views": views,
        "self_pairs": self_pairs,
        "version": __version__,
    }
    return {**report, "files": files} if files else report


def guideline_text(
    guideline: VarianceGuideline, counts: Counts, *, views: int, self_pairs: bool, files: list[str]
) -> str:
    """The guideline as a small table."""
    rows: list[tuple[str, ...]] = [("temperature", "alpha", "critical alpha")]
    for temperature, alpha, critical in zip(guideline.temperatures, guideline.alphas, guideline.critical, strict=True):
        rows.append((f"{temperature:g}", f"{alpha:.6f}", f"{critical:.6f}"))
    proved = "" if guideline.certified.all() else "  NOT CERTIFIED: some of the solutions behind this are not proved"
    return "\n".join(
        [
            f"SupCL {'with' if self_pairs else 'without'} self-pairs, {views} views",
            counts_line(counts),
            "",
            f"Within-class variance {guideline.variance:g} (at most {guideline.largest:.6f}) takes",
            *(f"  {line}" for line in table(rows)),
            *([proved] if proved else []),
            "",
            "More alpha keeps more; up to the critical alpha every class is one point.",
            *(f"  wrote {file}" for file in files),
        ]
    )


def _alpha_c(objective: InstanceSoftmax, counts: Counts) -> float:
    return smallest_critical_alpha(
        counts, temperature=objective.temperature, views=objective.views, self_pairs=objective.self_pairs
    )


def _range(cosines: Any) -> str:
    low, high = float(np.min(cosines)), float(np.max(cosines))
    return f"{low:+.9f}" if high - low < 1e-9 else f"{low:+.9f} to {high:+.9f}"


def _spread_words(per_class: Any) -> str:
    low, high = float(per_class.min()), float(per_class.max())
    return "" if high - low < 1e-9 else f"  ({low:.6f} to {high:.6f} by class)"


def _collapsed_words(solution: Solution, counts: Counts) -> str:
    groups = collapsed_classes(solution, counts)
    alone = [group[0] for group in groups if len(group) == 1]
    words = [f"{len(group)} classes share a point ({ranges(group)})" for group in groups if len(group) > 1]
    if len(alone) == counts.classes:
        return "every class is one point"
    if alone:
        words.insert(0, f"{len(alone)} of {counts.classes} classes are one point each ({ranges(sorted(alone))})")
    return "; ".join(words) or "no class is one point"
