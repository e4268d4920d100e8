"""Cross-checks of independent routes, as a dictionary and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ... import __version__
from ...counts.counts import Counts
from ...solvers.devices import NO_GPU
from .basics import counts_line, number, row, table

if TYPE_CHECKING:
    from ...collapse.crosschecks import CollapseCheck
    from ...similarities.crosschecks import VerdictCheck
    from ...solvers.crosschecks import CrossCheck

_SIDE_FIELDS = ("value", "predicted", "opening", "relative_gap", "verdict", "seconds", "message")
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
        f"  {r.name}: {' '.join(r.message.split())}"
        for r in check.routes
        if r.message and (r.verdict not in silent or r.message.startswith(NO_GPU))
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


def collapse_report(check: CollapseCheck) -> dict[str, Any]:
    """The check of a critical value as a dictionary, ready for `dumps`."""
    found = check.threshold
    return {
        "agree": check.agree if check.compared else None,
        "problem": found.problem,
        "parameter": found.parameter,
        "value": found.value,
        "reason": found.reason,
        "opening": check.opening,
        "sides": [{field: getattr(side, field) for field in _SIDE_FIELDS} for side in check.sides],
        "version": __version__,
    }


def collapse_text(check: CollapseCheck) -> str:
    """The check of a critical value as a table."""
    found = check.threshold
    head = (found.parameter, "predicted", "opening", "descent", "rel. gap", "seconds")
    rows = [
        (
            f"{side.value:.10g}",
            "collapsed" if side.predicted else "apart",
            number(side.opening, ".1e"),
            side.verdict,
            number(side.relative_gap, ".1e"),
            number(side.seconds, ".2f"),
        )
        for side in check.sides
    ]
    lines = [found.problem, found.reason[:1].upper() + found.reason[1:] + ".", "", *table([head, *rows])]
    lines += [
        f"  {found.parameter} {side.value:.10g}: {' '.join(side.message.split())}"
        for side in check.sides
        if side.verdict != "agrees" or side.message.startswith(NO_GPU)
    ]
    verdict = "Descent agrees." if check.agree else "Descent does NOT agree."
    if not check.compared:
        verdict = "Nothing to compare with: descent is not conclusive here."
    return "\n".join([*lines, "", f"{verdict} Opening: {check.opening}; 0 where collapsed."])


def verdict_report(check: VerdictCheck) -> dict[str, Any]:
    """The check of a verdict as a dictionary, ready for `dumps`."""
    found = check.realization
    return {
        "agree": check.agree if check.compared else None,
        "verdict": found.verdict.value,
        "certified": found.certified,
        "weights": found.weighting.name,
        "samples": found.weighting.samples,
        "temperature": found.temperature,
        "excess": found.excess,
        "gap": found.gap,
        "descent": {
            "verdict": check.verdict,
            "excess": check.excess,
            "difference": check.difference,
            "seconds": check.seconds,
            "message": check.message,
        },
        "version": __version__,
    }


def verdict_text(check: VerdictCheck) -> str:
    """The check of a verdict in a few aligned lines."""
    found = check.realization
    lines = [
        f"{found.weighting.name}, {found.weighting.convention}, temperature {found.temperature:g}",
        "",
        row("verdict", found.verdict.value),
        row("certified excess", f"{found.excess:.12g} nats, gap {found.gap:.1e}"),
        row("excess of descent", f"{number(check.excess, '.12g')} nats, {number(check.difference, '+.1e')} from it"),
        row("descent", f"{' '.join(check.message.split())}, {check.seconds:.2f} s"),
        "",
    ]
    if not check.compared:
        return "\n".join([*lines, f"Nothing to compare with: descent is {check.verdict}."])
    if check.verdict == "agrees" and not check.agree:
        return "\n".join([*lines, "Descent agrees, but the excess is not certified."])
    return "\n".join([*lines, "Descent agrees." if check.agree else "Descent does NOT agree."])
