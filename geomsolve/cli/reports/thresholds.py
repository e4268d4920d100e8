"""Critical values, as a dictionary and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import __version__
from .basics import ranges, row

if TYPE_CHECKING:
    from ...collapse.crossings import Crossing
    from ...collapse.thresholds import Threshold
    from ...solvers.solution import Solution

_UNITS = {
    "ratio": "majority count over minority count",
    "temperature": "",
    "negatives": "negatives per anchor: the last k before the change",
    "power": "of every count, the smallest kept",
    "tail": "by which the tail's counts would have to be divided",
}


def threshold_report(found: Threshold) -> dict[str, Any]:
    """The threshold as a dictionary, ready for `dumps`; `ratio` is null where another parameter was varied."""
    return {
        "ratio": found.value if found.parameter == "ratio" else None,
        "parameter": found.parameter,
        "value": found.value,
        "reason": found.reason,
        "bracket": found.bracket,
        "residual": found.residual,
        "confirmed": found.confirmed,
        "crossings": [_crossing(crossing) for crossing in found.crossings],
        "classes": list(found.classes),
        "shared": found.shared,
        "below": _side(found.below),
        "above": _side(found.above),
        "problem": found.problem,
        "version": __version__,
    }


def _crossing(crossing: Crossing) -> dict[str, Any]:
    return {
        "value": crossing.value,
        "bracket": crossing.bracket,
        "residual": crossing.residual,
        "collapses": crossing.collapses,
    }


def _side(solution: Solution | None) -> dict[str, Any] | None:
    if solution is None:
        return None
    gram = solution.orbits
    return {
        "value": solution.value,
        "gap": solution.certificate.gap,
        "relative_gap": solution.certificate.relative_gap,
        "cosine_residual": solution.certificate.cosine_residual,
        "quality": solution.quality.value,
        "rank": solution.rank,
        "collapsed": solution.collapsed,
        "least_cosine": float(gram.cosines[gram.orbits.partners > 0].min()),
        "largest_cosine": float(gram.cosines[gram.orbits.partners > 0].max()),
    }


def threshold_text(found: Threshold) -> str:
    """The threshold in a few aligned lines."""
    lines = [found.problem, "", found.reason[:1].upper() + found.reason[1:] + "."]
    if found.value is None:
        return "\n".join(lines)
    unit = f"  ({_UNITS[found.parameter]})" if _UNITS[found.parameter] else ""
    lines.append("")
    for crossing in found.crossings:
        lines += [
            row(f"critical {found.parameter}", f"{crossing.value:.13g}{unit}"),
            row("bracket", f"{crossing.bracket[0]:.17g} .. {crossing.bracket[1]:.17g}"),
            row("residual", f"{crossing.residual:.1e}"),
        ]
    if found.shared is not None and found.classes:
        low, high = found.shared
        lines.append(
            row(
                "share a point",
                f"{ranges(found.classes)}; first at a {found.parameter} between {low:.6g} and {high:.6g}",
            )
        )
    elif found.classes:
        lines.append(row("share a point", ranges(found.classes)))
    for name, solution in (("just below", found.below), ("just above", found.above)):
        if solution is not None:
            lines.append(row(name, _side_words(solution)))
    if found.confirmed is False:
        lines.append("  The geometry on one side could not be certified, or is not as the multiplier predicts.")
    return "\n".join(lines)


def _side_words(solution: Solution) -> str:
    side = _side(solution) or {}
    return (
        f"{side['quality']}, rank {side['rank']}, largest cosine {side['largest_cosine']:+.9f}, least "
        f"{side['least_cosine']:+.9f}"
    )
