"""Phase diagrams, as a dictionary, in words, and as CSV."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from .basics import row, table

if TYPE_CHECKING:
    from ...collapse.phases import PhaseDiagram


def phase_report(diagram: PhaseDiagram, files: list[str]) -> dict[str, Any]:
    """The phase diagram as a dictionary, ready for `dumps`."""
    return {
        "over": diagram.over,
        "problem": diagram.name,
        "boundary": list(diagram.boundary),
        "ratios": diagram.ratios,
        "values": diagram.values,
        "minority_cosine": diagram.minority_cosine,
        "cross_cosine": diagram.cross_cosine,
        "rank": diagram.rank,
        "relative_gap": diagram.relative_gap,
        "certified": diagram.certified,
        "files": files,
        "version": __version__,
    }


def grid_rows(diagram: PhaseDiagram) -> list[dict[str, Any]]:
    """One row a grid point, or for numbers of classes one a pair."""
    if diagram.over == "classes":
        return [
            {"majority": int(n_a), "minority": int(n_b), "critical_ratio": ratio if np.isfinite(ratio) else "never"}
            for n_a, n_b, ratio in diagram.boundary[0].tolist()
        ]
    return [
        {
            "ratio": ratio,
            diagram.over: value,
            "minority_cosine": diagram.minority_cosine[y, x],
            "cross_cosine": diagram.cross_cosine[y, x],
            "rank": int(diagram.rank[y, x]),
            "relative_gap": diagram.relative_gap[y, x],
            "certified": bool(diagram.certified[y, x]),
        }
        for y, value in enumerate(diagram.values.tolist())
        for x, ratio in enumerate(diagram.ratios.tolist())
    ]


def write_grid(diagram: PhaseDiagram, path: Path) -> None:
    """Write `grid_rows` as a CSV file."""
    rows = grid_rows(diagram)
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def phase_text(diagram: PhaseDiagram, files: list[str]) -> str:
    """The phase diagram in a few lines, or for numbers of classes as a table of critical ratios."""
    lines = [diagram.name, ""]
    if diagram.over == "classes":
        cells = {(int(n_a), int(n_b)): ratio for n_a, n_b, ratio in diagram.boundary[0].tolist()}
        heads, tails = sorted({a for a, _ in cells}), sorted({b for _, b in cells})
        rows: list[tuple[str, ...]] = [("minority \\ majority", *map(str, heads))]
        for b in tails:
            ratios = (cells[a, b] for a in heads)
            rows.append((str(b), *("never" if np.isnan(r) else f"{r:.6g}" for r in ratios)))
        lines += ["Critical imbalance ratio", "", *table(rows)]
    else:
        for curve in diagram.boundary:
            lines.append(
                row(
                    "boundary",
                    f"{len(curve)} points, from ratio {curve[0, 0]:.6g} at {diagram.over} {curve[0, 1]:.6g} to ratio "
                    f"{curve[-1, 0]:.6g} at {curve[-1, 1]:.6g}",
                )
            )
        if not diagram.boundary:
            lines.append(row("boundary", "none within these bounds"))
        together = diagram.minority_cosine >= 1.0 - 1e-8
        lines += [
            row("grid", f"{diagram.certified.size} points, {int(diagram.certified.sum())} certified"),
            row("minority collapsed", f"at {int(together.sum())} of them"),
        ]
    return "\n".join([*lines, *(f"  wrote {file}" for file in files)])
