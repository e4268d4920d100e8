"""Comparisons of losses, as a dictionary and as a table."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from ... import __version__
from .basics import counts_line, number, table

if TYPE_CHECKING:
    from ...choosing.comparisons import Compared, Comparison

_COLUMNS = (
    "separation",
    "largest_cosine",
    "tail_tail",
    "head_tail",
    "simplex_distance",
    "rank",
    "collapsed",
    "within",
    "alignment",
)


def comparison_report(found: Comparison) -> dict[str, Any]:
    """The comparison as a dictionary, ready for `dumps`."""
    return {
        "counts": found.counts.name,
        "classes": found.counts.classes,
        "temperature": found.temperature,
        "losses": [_row(row) for row in found.losses],
        "recommendation": found.recommendation,
        "version": __version__,
    }


def _row(row: Compared) -> dict[str, Any]:
    report: dict[str, Any] = {"loss": row.loss, "description": row.description}
    report |= {name: getattr(row, name) for name in _COLUMNS}
    solution = row.solution
    return report | {
        "value": row.value,
        "relative_gap": row.relative_gap,
        "cosine_residual": None if solution is None else solution.certificate.cosine_residual,
        "quality": row.quality,
        "reason": row.reason,
    }


def comparison_text(found: Comparison) -> str:
    """The comparison as a table, with what follows from it."""
    head = ("loss", "nearest two", "tail-tail", "head-tail", "from simplex", "rank", "within", "aligned", "")
    rows: list[tuple[str, ...]] = [head]
    for row in found.losses:
        if row.means is None:
            continue
        together = "collapsed" if row.collapsed else ""
        rows.append(
            (
                row.loss,
                f"{number(row.separation, '.2f')} deg",
                number(row.tail_tail, "+.4f"),
                number(row.head_tail, "+.4f"),
                number(row.simplex_distance, ".4f"),
                str(row.rank),
                number(row.within, ".3f"),
                number(row.alignment, ".4f"),
                together if row.certified else f"NOT CERTIFIED {together}".strip(),
            )
        )
    lines = [f"Optimal geometry of class means, temperature {found.temperature:g}", counts_line(found.counts), ""]
    lines += [line.rstrip() for line in table(rows)]
    lines.append("")
    lines += [f"  {row.loss}: not solved, {row.reason}" for row in found.losses if row.means is None]
    lines += [
        "  tail: classes with fewer examples than average; from simplex: root mean square over pairs; within: variance",
        "  of a class's examples; aligned: class means with their own classifier, prototype or target.",
        "",
        *textwrap.wrap(found.recommendation, 110),
        "",
        *textwrap.wrap("; ".join(f"{row.loss}: {row.description}" for row in found.losses) + ".", 110),
    ]
    return "\n".join(lines)
