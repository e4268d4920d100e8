"""What a comparison of losses says in plain words; every sentence follows from certified numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .counts import Counts

if TYPE_CHECKING:
    from .comparisons import Compared


def sentences(losses: Sequence[Compared], counts: Counts) -> list[str]:
    """What follows from the certified geometries, a sentence each."""
    rows = [row for row in losses if row.certified]
    if not rows:
        return ["Nothing is certified here, so nothing is recommended."]
    said = []
    together = [row for row in rows if row.collapsed]
    if together:
        said.append(f"Classes share a point under {_listed(together)}: lower the temperature or use another loss.")
    else:
        said.append("No two classes share a point under any of the losses certified here.")
    balanced = counts.values[0] == counts.values[-1]
    exact = [row for row in rows if (row.simplex_distance or 0.0) < 1e-6]
    if exact and not balanced:
        said.append(f"The regular simplex, the same angle between any two classes, is the optimum of {_listed(exact)}.")
    if balanced:
        said.append("With equal counts there is no imbalance to correct.")
    others = [row for row in rows if row not in exact and not row.collapsed]
    if others and not balanced:
        worst = min(others, key=lambda row: row.separation or 0.0)
        said.append(
            f"Of the others {worst.loss} brings two classes nearest, to {worst.separation:.1f} degrees (the simplex "
            f"has {_simplex_angle(counts):.1f})."
        )
        near = [row for row in others if (row.simplex_distance or 0.0) < 0.5 * (worst.simplex_distance or 0.0)]
        if near:
            said.append(f"Less than half as far from the simplex as {worst.loss}: {_listed(near)}.")
    spread = [row for row in rows if (row.within or 0.0) > 1e-6]
    if spread:
        said.append(f"Examples of a class stay apart under {_listed(spread)}, which keeps what tells them apart.")
    return said


def _simplex_angle(counts: Counts) -> float:
    return math.degrees(math.acos(-1.0 / (counts.classes - 1.0)))


def _listed(rows: Sequence[Compared]) -> str:
    names = [row.loss for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
