"""What bounds of Supervised Prototypes say of themselves: a dictionary for JSON, and text for people."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import __version__
from ...choosing.two_classes import PrototypeGeometry
from ...solvers.solution import Quality
from .basics import counts_line, row, whole

_NAME = "Supervised Prototypes"


def relative_gap(found: PrototypeGeometry) -> float:
    """The gap over the loss above its floor, with the rounding of the two bounds, which are only numbers near 1."""
    excess = found.solution.certificate.excess
    rounding = 2.0 * np.finfo(float).eps * abs(found.value)
    return float((found.gap + rounding) / excess) if excess > 1e-290 else math.inf


def bound_is_tight(found: PrototypeGeometry, tol: float) -> bool:
    """Whether the value is proved to be the infimum, to the tolerance."""
    return relative_gap(found) <= tol


def prototype_report(found: PrototypeGeometry, tol: float, seconds: float) -> dict[str, Any]:
    """The geometry and its bounds as a dictionary, ready for `dumps`; keys as in `solution_report` where they fit."""
    gram, counts = found.gram, found.counts
    quality = Quality.CERTIFIED if bound_is_tight(found, tol) else Quality.UNCERTIFIED
    rows = zip(gram.sizes, counts.per_class, counts.per_class / counts.total, gram.within, strict=True)
    orbits = [
        {
            "part": "instances",
            "class": c,
            "size": whole(size),
            "count": whole(count),
            "proportion": float(share),
            "within": float(within),
        }
        for c, (size, count, share, within) in enumerate(rows)
    ]
    return {
        "value": found.value,
        "lower_bound": found.lower_bound,
        "gap": found.gap,
        "relative_gap": relative_gap(found),
        "quality": quality.value,
        "convex": False,
        "solver": found.solution.solver,
        "seconds": seconds,
        "objective": _NAME,
        "temperature": found.temperature,
        "views": found.views,
        "counts": counts.name,
        "classes": counts.classes,
        "rank": gram.rank(),
        "collapsed": gram.merged(),
        "within_cosines": gram.within,
        "cross_cosine": float(gram.cosines[0, 1]),
        "prototype_cosine": 0.5,
        "version": __version__,
        "orbits": orbits,
        "between": gram.between,
    }


def prototype_text(found: PrototypeGeometry, tol: float, seconds: float) -> str:
    """The geometry and its bounds in a few aligned lines."""
    gram, share = found.gram, relative_gap(found)
    if bound_is_tight(found, tol):
        verdict = "NOT CONVEX, BOUND CLOSED: the value is proved to be the infimum, to the gap below"
    else:
        verdict = "NOT CONVEX, NOT CERTIFIED: a geometry and a bound; the infimum lies between value and lower bound"
    singles = [c for c in range(2) if not gram.orbits.plural[c]]
    inside = [f"{within:+.9f}  (class {c})" for c, within in enumerate(gram.within) if c not in singles]
    collapsed = ", ".join(f"class {group[0]}" for group in gram.merged())
    return "\n".join(
        [
            f"{_NAME}, temperature {found.temperature:g}, {found.views} views",
            counts_line(found.counts),
            "",
            verdict,
            row("value", f"{found.value:.12g} nats, a limit that no geometry need attain"),
            row(
                "lower bound", f"{found.lower_bound:.12g} nats for every geometry with the views of an example together"
            ),
            row("gap", f"{found.gap:.1e} ({share:.1e} of the value above its floor)"),
            "",
            "Cosines of examples",
            row("own prototype", "+0.500000000  (from above, in the limit)"),
            *(row("same class", text) for text in inside),
            row("two classes", f"{gram.cosines[0, 1]:+.9f}"),
            row("rank", f"{gram.rank()} of at most {gram.orbits.atoms:g}"),
            row("collapsed", f"{collapsed} (one point)" if collapsed else "none: no class is one point"),
            "",
            f"upper bound by {found.solution.solver}; {seconds:.2f} s in all",
        ]
    )
