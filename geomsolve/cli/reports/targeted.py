"""What the geometry of TSC says of itself: a dictionary for JSON, and text for people."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import __version__
from ...choosing.targeted import TargetedGeometry
from ...solvers.solution import Quality
from .basics import counts_line, row, table, whole


def targeted_report(found: TargetedGeometry, tol: float, seconds: float) -> dict[str, Any]:
    """The geometry and its bound as a dictionary, ready for `dumps`; keys as in `solution_report` where they fit."""
    gram, counts, classes = found.gram, found.counts, found.counts.classes
    excess = found.value - found.objective.floor
    # Value and bound are two numbers near each other: their rounding counts against the gap.
    rounding = 4.0 * np.finfo(float).eps * abs(found.value)
    relative = (found.gap + rounding) / excess if excess > 0 else math.inf
    quality = Quality.CERTIFIED if relative <= tol else Quality.UNCERTIFIED
    each, within = counts.per_class, gram.within
    between = gram.cosines[:classes, :classes].copy()
    np.fill_diagonal(between, np.nan)
    return {
        "value": found.value,
        "lower_bound": found.lower_bound,
        "gap": found.gap,
        "relative_gap": relative,
        "quality": quality.value,
        "solver": "l-bfgs",
        "seconds": seconds,
        "objective": found.objective.name,
        "temperature": found.objective.temperature,
        "counts": counts.name,
        "classes": classes,
        "rank": gram.rank(),
        "collapsed": [[c] for c in range(classes) if gram.orbits.plural[c] and within[c] >= 1.0 - 1e-8],
        "own_target": found.own_target,
        "orbits": [
            {
                "part": "instances",
                "class": c,
                "size": whole(each[c]),
                "count": whole(each[c]),
                "proportion": float(each[c] / counts.total),
                "within": float(within[c]),
                "own_target": float(found.own_target[c]),
            }
            for c in range(classes)
        ],
        "between": between,
        "version": __version__,
    }


def targeted_text(found: TargetedGeometry, report: dict[str, Any]) -> str:
    """The geometry and its bound in a few aligned lines."""
    certified = report["quality"] == Quality.CERTIFIED.value
    proved = "CERTIFIED: proved optimal for these targets" if certified else "NOT CERTIFIED: the best answer found"
    rows: list[tuple[str, ...]] = [("class", "examples", "same class", "own target", "nearest class")]
    for orbit, others in zip(report["orbits"], report["between"], strict=True):
        inside = "-" if orbit["size"] == 1 else f"{orbit['within']:+.6f}"
        cells = (f"{orbit['count']}", inside, f"{orbit['own_target']:+.6f}", f"{np.nanmax(others):+.6f}")
        rows.append((str(orbit["class"]), *cells))
    return "\n".join(
        [
            f"{report['objective']}, temperature {report['temperature']:g}, targets at the regular simplex",
            counts_line(found.counts),
            "",
            proved,
            row("loss", f"{found.value:.12g} nats"),
            row("lower bound", f"{found.lower_bound:.12g} nats for every geometry with these targets"),
            row("gap", f"{found.gap:.1e} ({report['relative_gap']:.1e} of the loss above its floor)"),
            "",
            "Cosines",
            *(f"  {line}" for line in table(rows)),
        ]
    )
