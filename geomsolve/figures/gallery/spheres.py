"""Minority collapse seen on the sphere."""

from __future__ import annotations

from collections.abc import Sequence

from ...arrays import Progress
from ...collapse.thresholds import threshold
from ...counts.counts import step_counts
from ...objectives.generalized import GCL
from ...solvers.ladder import solve
from ..spheres import draw_sphere, representatives, upright
from .pages import Picture, Row, page, proof, quiet

_MINORITY = 3  # with one majority class: four means, which the sphere in three dimensions holds
_VIEW = (14.0, 12.0)  # the minority one in front and two beside it, none behind a line
PARTS = (("before", 0.5), ("at the threshold", 1.0), ("after", 2.0))


def collapse_sphere(*, parts: Sequence[tuple[str, float]] = PARTS, progress: Progress = quiet) -> Picture:
    """One majority and three minority class means in 3-D at given multiples of the threshold of collapse."""
    progress("the threshold")
    critical = threshold(GCL, majority=1, minority=_MINORITY, loss="logistic", certify=False).value
    if critical is None:
        raise ArithmeticError("one majority class has a threshold under the logistic loss; none was found")
    rows: list[Row] = []
    solutions = []
    for part, multiple in parts:
        progress(part)
        counts = step_counts(1, _MINORITY, 1.0, critical * multiple)
        solution = solve(GCL(counts, loss="logistic"), throw=False)
        solutions.append((counts, solution))
        points, orbits, totals = representatives(solution.orbits)
        rows += [
            {
                "part": part,
                "ratio": critical * multiple,
                "threshold": critical,
                "count": float(counts.values[orbit]),
                "classes": int(total),
                "x": float(point[1]),
                "y": float(point[2]),
                "z": float(point[0]),
                "between_cosine": float(solution.gram[0, -1]),
                "minority_cosine": float(solution.gram[-1, -2]),
                **proof(solution),
            }
            for point, orbit, total in zip(upright(points), orbits, totals, strict=True)
        ]
    title = (
        f"One majority class and {_MINORITY} minority classes, labelled by count "
        "(logistic loss, supervised negatives, temperature 1)"
    )
    figure = page(title, rows, (13, 5.2))
    panels = figure.subfigures(1, len(parts), squeeze=False)[0]
    for panel, (part, _), (counts, solution) in zip(panels, parts, solutions, strict=True):
        words = f"{part}: ratio {counts.imbalance_ratio:.4f}\nminority–minority cosine {solution.gram[-1, -2]:.4f}"
        draw_sphere(panel, solution.orbits, counts.values, "count", 3, title=words, view=_VIEW)
    return Picture(figure, rows)
