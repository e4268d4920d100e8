"""What solutions say of themselves: dictionaries for JSON, and text for people."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import __version__
from .counts import Counts
from .solution import Quality, Solution

if TYPE_CHECKING:
    from .certificate import Certificate
    from .crosschecks import CrossCheck
    from .embedding import Embedding
    from .objectives.base import Objective


def dumps(report: Any) -> str:
    """Strict JSON text of a report: numbers that are not finite become null."""
    return json.dumps(_plain(report), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def solution_report(solution: Solution, counts: Counts, embedding: Embedding | None = None) -> dict[str, Any]:
    """The solution as a dictionary, ready for `dumps` (keys as in the command line's contract).

    Args:
        solution: what `solve` returned for an objective built from `counts`.
        counts: the class counts; orbits are its distinct counts, largest first.
        embedding: an embedding of the solution whose dimension, value and proven gap are wanted in it.
    """
    certificate, gram = solution.certificate, solution.orbits
    orbits = [
        {"size": _whole(size), "count": _whole(count), "proportion": float(share), "within": float(within)}
        for size, count, share, within in zip(gram.sizes, counts.values, counts.proportions, gram.within, strict=True)
    ]
    report: dict[str, Any] = {
        "value": certificate.value,
        "lower_bound": certificate.lower_bound,
        "gap": certificate.gap,
        "relative_gap": certificate.relative_gap,
        "cosine_residual": certificate.cosine_residual,
        "repair": certificate.repair,
        "ball_optimal": certificate.ball_optimal,
        "quality": solution.quality.value,
        "solver": solution.solver,
        "seconds": solution.seconds,
        "objective": solution.objective.name,
        "temperature": solution.objective.temperature,
        "counts": counts.name,
        "classes": counts.classes,
        "rank": solution.rank,
        "collapsed": solution.collapsed,
        "attempts": [_attempt(record) for record in solution.stats],
        "version": __version__,
        "orbits": orbits,
        "class_orbit": gram.orbits.listed(),
        "between": gram.between,
    }
    if embedding is not None:
        report["embedding"] = {
            "dim": embedding.dim,
            "value": embedding.value,
            "lower_bound": embedding.lower_bound,
            "gap": embedding.gap,
        }
    return report


def certificate_report(certificate: Certificate, objective: Objective, counts: Counts, tol: float) -> dict[str, Any]:
    """The certificate as a dictionary, ready for `dumps`."""
    quality = Quality.CERTIFIED if certificate.holds(tol) else Quality.UNCERTIFIED
    return {
        **dataclasses.asdict(certificate),
        "quality": quality.value,
        "objective": objective.name,
        "temperature": objective.temperature,
        "counts": counts.name,
        "classes": counts.classes,
        "version": __version__,
    }


def certificate_text(certificate: Certificate, objective: Objective, counts: Counts, tol: float) -> str:
    """The certificate in a few aligned lines."""
    holds = certificate.holds(tol)
    lines = [
        f"{objective.name}, temperature {objective.temperature:g}",
        _counts_line(counts),
        "",
        "CERTIFIED: proved optimal" if holds else "NOT CERTIFIED: this Gram matrix is not proved optimal",
    ]
    if certificate.repair > 1e-6:
        lines += [
            "The matrix given is not positive semidefinite: no vectors have these cosines. What follows is about the",
            f"nearest feasible one on the way to the identity, {certificate.repair:.2g} of the way along.",
        ]
    lines += _proof_rows(certificate)
    return "\n".join(lines)


def _proof_rows(certificate: Certificate) -> list[str]:
    return [
        _row("loss", f"{certificate.value:.12g} nats"),
        _row("lower bound", f"{certificate.lower_bound:.12g} nats for every geometry on the sphere"),
        _row("gap", f"{certificate.gap:.1e} ({certificate.relative_gap:.1e} of the loss above its floor)"),
        _row("cosine residual", f"{certificate.cosine_residual:.1e}"),
        _row("over the unit ball", _BALL[certificate.ball_optimal]),
    ]


def _whole(number: float) -> float | int:
    return int(number) if float(number).is_integer() else float(number)


def _attempt(record: Any) -> dict[str, Any]:
    proved = record.certificate
    return {
        "solver": record.solver,
        "seconds": record.seconds,
        "steps": record.steps,
        "termination": record.termination.name.lower(),
        "gap": None if proved is None else proved.gap,
        "relative_gap": None if proved is None else proved.relative_gap,
        "cosine_residual": None if proved is None else proved.cosine_residual,
        "message": record.message,
    }


def solution_text(solution: Solution, counts: Counts, embedding: Embedding | None = None) -> str:
    """The solution in a few aligned lines."""
    certificate, gram = solution.certificate, solution.orbits
    certified = solution.quality is Quality.CERTIFIED
    proved = "CERTIFIED: proved optimal" if certified else "NOT CERTIFIED: the best answer found, optimality not proved"
    lines = [
        f"{solution.objective.name}, temperature {solution.objective.temperature:g}",
        _counts_line(counts),
        "",
        proved,
        *_proof_rows(certificate),
        "",
        "Cosines of class means",
    ]
    pairs = gram.orbits.partners > 0
    cosines = gram.cosines[pairs]
    last = len(gram.sizes) - 1
    if last > 0:
        lines.append(_row("head to tail", f"{gram.cosines[0, last]:+.9f}{_between(counts, 0, last)}"))
        other = last if gram.orbits.plural[last] else last - 1
        if other > 0 or gram.orbits.plural[last]:
            lines.append(_row("tail to tail", f"{gram.cosines[other, last]:+.9f}{_between(counts, other, last)}"))
    lines += [
        _row("least, largest", f"{cosines.min():+.9f}, {cosines.max():+.9f}"),
        _row("regular simplex", f"{-1.0 / (gram.orbits.atoms - 1.0):+.9f} (every pair, were the counts equal)"),
        _row("rank", _rank_words(solution, counts)),
        _row("collapsed", _collapsed_words(solution, counts)),
    ]
    if embedding is not None:
        exact = "exact" if embedding.exact else f"proved gap {embedding.gap:.2e}"
        lines.append(_row("embedding", f"{embedding.dim} dimensions, loss {embedding.value:.12g} nats ({exact})"))
    answered = any(record.certificate is not None for record in solution.stats)
    how = f"solved by {solution.solver}" if answered else "no solver answered, this is the regular simplex;"
    lines += ["", f"{how} in {solution.seconds:.2f} s"]
    if not certified or len(solution.stats) > 1:
        lines += [_attempt_words(record) for record in solution.stats]
    return "\n".join(lines)


_BALL = {
    True: "optimal too, lengths below 1 allowed",
    False: "not optimal: shorter vectors lower the loss",
    None: "not decided",
}


def _row(name: str, text: str) -> str:
    return f"  {name:<20}{text}"


def _between(counts: Counts, a: int, b: int) -> str:
    if a == b:
        return f"  (two classes of {counts.values[a]:g})"
    return f"  (classes of {counts.values[a]:g} and {counts.values[b]:g})"


def _counts_line(counts: Counts) -> str:
    largest, smallest = counts.values[0], counts.values[-1]
    what = "shares" if counts.are_proportions else "counts"
    line = f"{counts.name}: {counts.classes} classes"
    if largest == smallest:
        return f"{line}, all of {what[:-1]} {largest:g}"
    distinct = f"ratio {counts.imbalance_ratio:.4g}, {len(counts.values)} distinct"
    return f"{line}, {what} {largest:g} to {smallest:g} ({distinct})"


def _rank_words(solution: Solution, counts: Counts) -> str:
    most = counts.classes - 1
    if solution.rank == most:
        return f"{solution.rank} (classes - 1, none lost)"
    return f"{solution.rank} of at most {most}"


def _collapsed_words(solution: Solution, counts: Counts) -> str:
    if not solution.collapsed:
        return "none: no two classes share a point"
    words = []
    for group in solution.collapsed:
        shares = counts.per_class[group]
        span = f"{shares.max():g}" if shares.max() == shares.min() else f"{shares.max():g} to {shares.min():g}"
        words.append(f"{len(group)} classes of {span} in one point ({_ranges(group)})")
    return "; ".join(words)


def _ranges(indices: Iterable[int], most: int = 6) -> str:
    """Class indices as runs, as in "classes 1-9, 12"."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    words = [f"{first}" if first == last else f"{first}-{last}" for first, last in runs]
    more = f", ... {len(words) - most} more runs" if len(words) > most else ""
    return "classes " + ", ".join(words[:most]) + more


def _attempt_words(record: Any) -> str:
    proved = "no answer"
    if record.certificate is not None:
        gap, residual = record.certificate.relative_gap, record.certificate.cosine_residual
        proved = f"relative gap {gap:.1e}, cosine residual {residual:.1e}"
    why = " ".join((record.message or record.termination.value).split())
    return f"  {record.solver:<12}{record.seconds:7.2f} s  {proved}; {why:.160}"


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
            _number(route.value, ".12g"),
            _number(route.relative_gap, ".1e"),
            _number(route.cosine_residual, ".1e"),
            "yes" if route.certified else "no",
            _number(route.value_difference, ".1e"),
            _number(route.cosine_difference, ".1e"),
            _number(route.seconds, ".2f"),
        )
        for route in check.routes
    ]
    lines = [objective_name, _counts_line(counts), "", *_table([head, *rows])]
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


def _number(value: float | None, form: str) -> str:
    return "-" if value is None or not math.isfinite(value) else format(value, form)


def profiles_report() -> dict[str, Any]:
    """The built-in profiles, and the rules that make profiles, as a dictionary."""
    from .counts import load_counts, profile_names

    names = profile_names()
    loaded = {name: load_counts(name) for name in names if not name.endswith(":IR")}
    return {
        "profiles": [
            {
                "name": name,
                "classes": counts.classes,
                "distinct": len(counts.values),
                "largest": _whole(counts.values[0]),
                "smallest": _whole(counts.values[-1]),
                "imbalance_ratio": counts.imbalance_ratio,
                "total": _whole(counts.total),
            }
            for name, counts in loaded.items()
        ],
        "rules": [name for name in names if name.endswith(":IR")],
    }


def profiles_text(report: dict[str, Any]) -> str:
    """The built-in profiles as a table."""
    rows: list[tuple[str, ...]] = [("profile", "classes", "distinct", "largest", "smallest", "ratio", "examples")]
    for profile in report["profiles"]:
        cells = [f"{profile[key]}" for key in ("name", "classes", "distinct", "largest", "smallest")]
        rows.append((*cells, f"{profile['imbalance_ratio']:.4g}", f"{profile['total']}"))
    rules = ", ".join(report["rules"])
    note = f"and by rule: {rules} (IR: largest count over smallest, as in {report['rules'][0].replace('IR', '100')})"
    order = "Profiles are histograms: their classes are sorted by count, largest first."
    return "\n".join([*_table(rows), "", note, order])


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows of cells as aligned lines, the first column to the left."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]

    def cells(row: tuple[str, ...]) -> list[str]:
        return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]

    return ["  ".join(cells(row)) for row in rows]
