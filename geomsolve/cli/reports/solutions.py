"""What solutions and certificates say of themselves: dictionaries for JSON, and text for people."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ... import __version__
from ...counts.counts import Counts
from ...objectives.parts import parts_of
from ...solvers.solution import Quality, Solution
from .basics import counts_line, ranges, row, whole
from .parts import part_lines, part_rows, shared_classes

if TYPE_CHECKING:
    from ...certificates.certificate import Certificate
    from ...objectives.base import Objective
    from ...solvers.embedding import Embedding


def solution_report(solution: Solution, counts: Counts, embedding: Embedding | None = None) -> dict[str, Any]:
    """The solution as a dictionary, ready for `dumps` (keys as in the command line's contract).

    Args:
        solution: what `solve` returned for an objective built from `counts`.
        counts: the class counts; orbits are its distinct counts, largest first.
        embedding: an embedding of the solution whose dimension, value and proven gap are wanted in it.
    """
    certificate, objective = solution.certificate, solution.objective
    chosen, gram = solution.shown
    parts = parts_of(objective)
    if parts is not None:
        orbits, collapsed = part_rows(solution, parts, counts), shared_classes(solution, parts)
    else:
        sampled = len(chosen) < len(counts.values)
        sizes, shares = counts.multiplicity[chosen] if sampled else gram.sizes, counts.proportions[chosen]
        rows = zip(sizes, counts.values[chosen], shares, gram.within, strict=True)
        orbits = [
            {"size": whole(size), "count": whole(count), "proportion": float(share), "within": float(within)}
            for size, count, share, within in rows
        ]
        collapsed = solution.collapsed
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
        "collapsed": collapsed,
        "attempts": [_attempt(record) for record in solution.stats],
        "version": __version__,
        "orbits": orbits,
        "between": gram.between,
    }
    if len(chosen) < len(counts.values):
        report["sampled"] = {"distinct_counts": len(counts.values), "shown": len(chosen), "positions": chosen}
    elif parts is None and gram.orbits.labels is not None:
        report["class_orbit"] = gram.orbits.labels
    if embedding is not None:
        report["embedding"] = {
            "dim": embedding.dim,
            "value": embedding.value,
            "lower_bound": embedding.lower_bound,
            "gap": embedding.gap,
            "bound_in_dimension": embedding.bound_in_dimension,
            "gap_in_dimension": embedding.gap_in_dimension,
            "restarts": embedding.restarts,
            "reached": embedding.reached,
            "second_order": embedding.second_order,
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
    certificate = solution.certificate
    certified = solution.quality is Quality.CERTIFIED
    proved = "CERTIFIED: proved optimal" if certified else "NOT CERTIFIED: the best answer found, optimality not proved"
    lines = [
        f"{solution.objective.name}, temperature {solution.objective.temperature:g}",
        counts_line(counts),
        "",
        proved,
        *_proof_rows(certificate),
        "",
    ]
    parts = parts_of(solution.objective)
    lines += _class_lines(solution, counts) if parts is None else part_lines(solution, parts)
    if embedding is not None:
        starts = f"; {embedding.reached} of {embedding.restarts} starts reached it"
        exact = "exact" if embedding.exact else f"proved gap {embedding.gap_in_dimension:.2e}{starts}"
        lines.append(row("embedding", f"{embedding.dim} dimensions, loss {embedding.value:.12g} nats ({exact})"))
    answered = any(record.certificate is not None for record in solution.stats)
    how = f"solved by {solution.solver}" if answered else "no solver answered, this is the regular simplex;"
    lines += ["", f"{how} in {solution.seconds:.2f} s"]
    if not certified or len(solution.stats) > 1:
        lines += [_attempt_words(record) for record in solution.stats]
    return "\n".join(lines)


def _class_lines(solution: Solution, counts: Counts) -> list[str]:
    chosen, gram = solution.shown
    lines = ["Cosines of class means"]
    if len(chosen) < len(counts.values):
        lines = [f"Cosines of class means ({len(chosen)} of {len(counts.values):,} distinct counts looked at)"]
    pairs = gram.orbits.partners > 0
    cosines = gram.cosines[pairs]
    last = len(gram.sizes) - 1
    if last > 0:
        lines.append(row("head to tail", f"{gram.cosines[0, last]:+.9f}{_between(counts, chosen[0], chosen[last])}"))
        other = last if gram.orbits.plural[last] else last - 1
        if other > 0 or gram.orbits.plural[last]:
            lines.append(
                row("tail to tail", f"{gram.cosines[other, last]:+.9f}{_between(counts, chosen[other], chosen[last])}")
            )
    return [
        *lines,
        row("least, largest", f"{cosines.min():+.9f}, {cosines.max():+.9f}"),
        row("regular simplex", f"{-1.0 / (gram.orbits.atoms - 1.0):+.9f} (every pair, were the counts equal)"),
        row("rank", _rank_words(solution, counts)),
        row("collapsed", _collapsed_words(solution, counts)),
    ]


def certificate_text(certificate: Certificate, objective: Objective, counts: Counts, tol: float) -> str:
    """The certificate in a few aligned lines."""
    holds = certificate.holds(tol)
    lines = [
        f"{objective.name}, temperature {objective.temperature:g}",
        counts_line(counts),
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


_BALL = {
    True: "optimal too, lengths below 1 allowed",
    False: "not optimal: shorter vectors lower the loss",
    None: "not decided",
}


def _proof_rows(certificate: Certificate) -> list[str]:
    return [
        row("loss", f"{certificate.value:.12g} nats"),
        row("lower bound", f"{certificate.lower_bound:.12g} nats for every geometry on the sphere"),
        row("gap", f"{certificate.gap:.1e} ({certificate.relative_gap:.1e} of the loss above its floor)"),
        row("cosine residual", f"{certificate.cosine_residual:.1e}"),
        row("over the unit ball", _BALL[certificate.ball_optimal]),
    ]


def _between(counts: Counts, a: int, b: int) -> str:
    if a == b:
        return f"  (two classes of {counts.values[a]:g})"
    return f"  (classes of {counts.values[a]:g} and {counts.values[b]:g})"


def _rank_words(solution: Solution, counts: Counts) -> str:
    most = counts.classes - 1
    if solution.rank == most:
        return f"{solution.rank} (classes - 1, none lost)"
    return f"{solution.rank} of at most {most}"


def _collapsed_words(solution: Solution, counts: Counts) -> str:
    if not solution.collapsed:
        return "none: no two classes share a point"
    words, listed = [], len(counts.groups) > 0
    for group in solution.collapsed:
        shares = (counts.per_class if listed else counts.values)[group]
        span = f"{shares.max():g}" if shares.max() == shares.min() else f"{shares.max():g} to {shares.min():g}"
        which = f" ({ranges(group)})" if listed else ""
        size = len(group) if listed else counts.multiplicity[group].sum()
        words.append(f"{size:.10g} classes of {span} in one point{which}")
    return "; ".join(words)


def _attempt_words(record: Any) -> str:
    proved = "no answer"
    if record.certificate is not None:
        gap, residual = record.certificate.relative_gap, record.certificate.cosine_residual
        proved = f"relative gap {gap:.1e}, cosine residual {residual:.1e}"
    why = " ".join((record.message or record.termination.value).split())
    return f"  {record.solver:<12}{record.seconds:7.2f} s  {proved}; {why:.160}"
