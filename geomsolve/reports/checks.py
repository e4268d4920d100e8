"""Cross-checks of independent routes, as a dictionary and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import __version__
from ..counts import Counts
from .basics import counts_line, number, table

if TYPE_CHECKING:
    from ..crosschecks import CrossCheck

_ROUTE_FIELDS = (
    "name",
    "verdict",
    "value",
    "gap",
    "relative_gap",
    "cosine_residual",
    "certified",
    "seconds",
    "value_difference",
    "cosine_difference",
    "message",
)


def crosscheck_report(check: CrossCheck, objective_name: str, counts: Counts) -> dict[str, Any]:
    """The cross-check as a dictionary, ready for `dumps`."""
    return {
        "agree": check.agree if check.compared else None,
        "reference": check.reference,
        "objective": objective_name,
        "counts": counts.name,
        "classes": counts.classes,
        "version": __version__,
        "routes": [{field: getattr(route, field) for field in _ROUTE_FIELDS} for route in check.routes],
    }


def crosscheck_text(check: CrossCheck, objective_name: str, counts: Counts) -> str:
    """The cross-check as a table."""
    head = (
        "route",
        "verdict",
        "loss",
        "rel. gap",
        "cos. residual",
        "certified",
        "loss diff.",
        "cosine diff.",
        "seconds",
    )
    rows = [
        (
            route.name,
            route.verdict,
            number(route.value, ".12g"),
            number(route.relative_gap, ".1e"),
            number(route.cosine_residual, ".1e"),
            "yes" if route.certified else "no",
            number(route.value_difference, ".1e"),
            number(route.cosine_difference, ".1e"),
            number(route.seconds, ".2f"),
        )
        for route in check.routes
    ]
    lines = [objective_name, counts_line(counts), "", *table([head, *rows])]
    silent = ("reference", "agrees")
    notes = [
        f"  {r.name}: {' '.join(r.message.split())}" for r in check.routes if r.message and r.verdict not in silent
    ]
    if not check.compared:
        verdict = (
            f"Nothing to compare with: no other route is conclusive at {counts.classes} classes and "
            f"{len(counts.values)} distinct counts (conic programs go to 60 distinct counts, descent to 600 classes); "
            "the certificate stands by itself."
        )
    else:
        verdict = "The routes agree." if check.agree else "The routes do NOT agree."
    return "\n".join([*lines, *notes, "", f"{verdict} Differences are taken from {check.reference}."])
