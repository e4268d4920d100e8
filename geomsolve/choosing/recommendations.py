"""What a comparison of losses says in plain words; every sentence follows from certified numbers."""

import math
from collections.abc import Sequence

from ..counts.counts import Counts
from .compared import Compared

_BALANCED = "With equal counts there is no imbalance to correct."


def sentences(losses: Sequence[Compared], counts: Counts) -> list[str]:
    """What follows from the certified geometries, a sentence each."""
    rows = [row for row in losses if row.certified]
    if not rows:
        return ["Nothing is certified here, so nothing is recommended."]
    balanced = [_BALANCED] if counts.distinct[0] == counts.distinct[-1] else []
    exact = [row for row in rows if (row.simplex_distance or 0.0) < 1e-6]
    if counts.classes == 2:
        return [*_two_classes(rows, exact), *balanced]
    together = [row for row in rows if row.collapsed]
    said = ["No two classes share a point under any of the losses certified here."]
    if together:
        said = [f"Classes share a point under {_listed(together)}: lower the temperature or use another loss."]
    if exact and not balanced:
        said.append(f"The regular simplex, the same angle between any two classes, is the optimum of {_listed(exact)}.")
    said += balanced
    others = [row for row in rows if row not in exact and not row.collapsed]
    if others and not balanced:
        worst = min(others, key=lambda row: row.separation or 0.0)
        simplex = math.degrees(math.acos(-1.0 / (counts.classes - 1.0)))
        said.append(
            f"Of the others {worst.loss} brings two classes nearest, to {worst.separation:.1f} degrees (the simplex "
            f"has {simplex:.1f})."
        )
        near = [row for row in others if (row.simplex_distance or 0.0) < 0.5 * (worst.simplex_distance or 0.0)]
        if near:
            said.append(f"Less than half as far from the simplex as {worst.loss}: {_listed(near)}.")
    spread = [row for row in rows if (row.within or 0.0) > 1e-6]
    if spread:
        said.append(f"Examples of a class stay apart under {_listed(spread)}, which keeps what tells them apart.")
    return said


def _two_classes(rows: Sequence[Compared], opposite: Sequence[Compared]) -> list[str]:
    """Opposite means are the optimum of any loss that pushes two classes apart, so they commend none of them."""
    said = []
    if opposite:
        where = "every loss certified here" if len(opposite) == len(rows) else _listed(opposite)
        said.append(
            f"With two classes the class means are opposite under {where}, whatever the counts: of imbalance their "
            "angle says nothing, and the tail has no second class to collapse with. What differs is inside the classes."
        )
    points = [row for row in rows if (row.within or 0.0) <= 1e-6]
    if points:
        said.append(f"Every class is one point under {_listed(points)}.")
    spread = sorted((row for row in rows if row not in points), key=lambda row: -(row.within or 0.0))
    if spread:
        listed = ", ".join(f"{row.loss} ({row.within:.3f})" for row in spread)
        said.append(
            f"Examples of a class stay apart (variance within) under {listed}, which keeps what tells them apart."
        )
    return said


def _listed(rows: Sequence[Compared]) -> str:
    names = [row.loss for row in rows]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
