"""`phase_diagram`: where in the plane of imbalance ratio and another parameter the minority collapses."""

import csv
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..arrays import Array, Progress
from ..certificates.certificate import check_tol
from ..errors import ProblemError
from ..objectives.rows.full_batch import check_word
from ..results import Result
from ..solvers.newton.newton import Newton
from ..solvers.solution import Quality
from ..solvers.solving import solve
from ..text import attributes, entry, table
from .crossings import refine
from .two_levels import MOST_NEGATIVES, TEMPERATURES, Builder, TwoLevels

# Temperatures at which the boundary is found.
_BOUNDARY_POINTS = 97
# What is known at a grid point.
_MEASURED = ("minority_cosine", "cross_cosine", "rank", "relative_gap", "certified")


@dataclass(frozen=True, eq=False, repr=False)
class PhaseDiagram(Result):
    """Where the minority collapses, and what the certified geometry is on a grid. See `phase_diagram`.

    Attributes:
        over: "temperature", "negatives" or "classes".
        boundary: curves of critical points, each (n, 2): columns ratio and temperature (or k). For "classes" one array
            of three columns: n_A, n_B and the critical ratio, NaN where it never collapses.
        name: the loss and the classes, for reports.
        ratios: (nx,) the grid's ratios.
        values: (ny,) the grid's temperatures or k. Empty with `ratios` for "classes".
        minority_cosine: (ny, nx) the cosine of two minority classes.
        cross_cosine: (ny, nx) the cosine of a majority and a minority class.
        rank: (ny, nx) the rank of the Gram matrix, whole numbers.
        relative_gap: (ny, nx) the certified relative gap.
        certified: (ny, nx) whether the grid point is certified.
    """

    over: str
    boundary: tuple[Array, ...]
    name: str
    ratios: Array
    values: Array
    minority_cosine: Array
    cross_cosine: Array
    rank: NDArray[np.int_]
    relative_gap: Array
    certified: NDArray[np.bool_]

    @property
    def ok(self) -> bool:
        """Whether all grid points are."""
        return bool(self.certified.all())

    @property
    def summary(self) -> str:
        """What was looked at."""
        proved = f"{int(self.certified.sum())} of {self.certified.size} certified"
        return f"phases of {self.name} over ratio and {self.over}, {proved}"

    def to_dict(self) -> dict[str, Any]:
        """The phase diagram as a dictionary."""
        return {
            "over": self.over,
            "problem": self.name,
            "boundary": list(self.boundary),
            **attributes(self, "ratios", "values", *_MEASURED),
            "version": __version__,
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a grid point, or for numbers of classes one a pair."""
        if self.over == "classes":
            return [
                {"majority": int(n_a), "minority": int(n_b), "critical_ratio": ratio if np.isfinite(ratio) else "never"}
                for n_a, n_b, ratio in self.boundary[0].tolist()
            ]
        return [
            {"ratio": ratio, self.over: value, **{name: getattr(self, name)[y, x].item() for name in _MEASURED}}
            for y, value in enumerate(self.values.tolist())
            for x, ratio in enumerate(self.ratios.tolist())
        ]

    def write_csv(self, path: Path) -> None:
        """Write `rows` as a CSV file."""
        rows = self.rows()
        with path.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def lines(self) -> list[str]:
        """The phase diagram in a few lines, or for numbers of classes as a table of critical ratios."""
        lines = [self.name, ""]
        if self.over == "classes":
            cells = {(int(n_a), int(n_b)): ratio for n_a, n_b, ratio in self.boundary[0].tolist()}
            heads = sorted({a for a, _ in cells})
            rows: list[tuple[str, ...]] = [("minority \\ majority", *map(str, heads))]
            for b in sorted({b for _, b in cells}):
                ratios = (cells[a, b] for a in heads)
                rows.append((str(b), *("never" if np.isnan(r) else f"{r:.6g}" for r in ratios)))
            return [*lines, "Critical imbalance ratio", "", *table(rows)]
        for curve in self.boundary:
            words = f"{len(curve)} points, from ratio {curve[0, 0]:.6g} at {self.over} {curve[0, 1]:.6g} to ratio "
            lines.append(entry("boundary", f"{words}{curve[-1, 0]:.6g} at {curve[-1, 1]:.6g}"))
        if not self.boundary:
            lines.append(entry("boundary", "none within these bounds"))
        together = self.minority_cosine >= 1.0 - 1e-8
        return [
            *lines,
            entry("grid", f"{self.certified.size} points, {int(self.certified.sum())} certified"),
            entry("minority collapsed", f"at {int(together.sum())} of them"),
        ]


def phase_diagram(
    builder: Builder,
    *,
    over: str = "temperature",
    majority: int | Sequence[int] = 1,
    minority: int | Sequence[int] = 9,
    per_class: float | None = None,
    ratios: tuple[float, float] = (1.0, 1e3),
    span: tuple[float, float] | None = None,
    grid: tuple[int, int] = (33, 25),
    tol: float = 1e-9,
    progress: Progress | None = None,
    **options: Any,
) -> PhaseDiagram:
    """The phase diagram of minority collapse, over the imbalance ratio and a second parameter.

    The boundary is where the multiplier of the collapsed geometry is zero: the critical ratio at 97 temperatures, or at
    the k of the grid, each to rounding. The grid of certified solutions shows the order parameters on both sides.

    Args:
        builder: the loss: `SupCon`, `GCL`, or any function of counts and `options` that returns an Objective.
        over: "temperature" (leave it out of `options`), "negatives" (k of GCL, whole numbers), or "classes": the
            critical ratio for every pair of a number of majority and a number of minority classes.
        majority: n_A; for "classes" the numbers to look at (1 to 6 if an int is given).
        minority: n_B; for "classes" the numbers to look at (2 to 12 if an int is given).
        per_class: examples of a minority class, for losses that depend on numbers of examples.
        ratios: from and to, at least 1.
        span: from and to in the second parameter; by default temperatures 0.1 to 2, or k from 1 to 1024.
        grid: how many ratios and how many values of the second parameter are solved; logarithmic, k rounded.
        tol: the relative gap to certify on the grid.
        progress: called with a line of text as the work goes on.
        options: keyword arguments of the builder.

    Raises:
        ProblemError: bad arguments.

    Cost: a second or so for a boundary, and one solve a grid point (a few ms each).
    Source: ours.
    """
    check_word("over", over, ("temperature", "negatives", "classes"))
    check_tol(tol)
    report = progress or (lambda _: None)
    if over == "classes":
        return _over_classes(builder, majority, minority, per_class, options, report)
    if over in options:
        raise ProblemError(f"{over}: is what is varied; got {options[over]} (leave it out)")
    _check_span("ratios", ratios, 1.0, 1e12)
    if span is None:
        span = (0.1, 2.0) if over == "temperature" else (1.0, 1024.0)
    _check_span("span", span, *(TEMPERATURES if over == "temperature" else (1, MOST_NEGATIVES)))
    if len(grid) != 2 or min(grid) < 2 or max(grid) > 1000:
        raise ProblemError(f"grid: must be two numbers of points from 2 to 1000; got {grid}")
    if not isinstance(majority, int) or not isinstance(minority, int):
        raise ProblemError(
            f'majority, minority: must be whole numbers unless over="classes"; got {majority}, {minority}'
        )

    def family(value: float) -> TwoLevels:
        return TwoLevels(builder, "ratio", {**options, over: value}, majority, minority, per_class)

    x, y = np.geomspace(*ratios, grid[0]), np.geomspace(*span, grid[1])
    report(f"tracing the boundary over {over}")
    if over == "negatives":
        y = np.unique(np.rint(y))
        boundary = _boundary(family, y, ratios, whole=True)
    else:
        boundary = _boundary(family, np.geomspace(*span, _BOUNDARY_POINTS), ratios, whole=False)
    fields = np.empty((len(_MEASURED), len(y), len(x)))
    for row, value in enumerate(y):
        report(f"solving the grid, {over} {value:.4g}, {row * len(x)} of {len(x) * len(y)} points")
        problems = family(float(value))
        for column, ratio in enumerate(x):
            solution = solve(problems.objective(float(ratio)), Newton(), tol=tol, throw=False)
            fields[:, row, column] = (
                solution.orbits.within[1],
                solution.orbits.between[0, 1],
                solution.rank,
                solution.certificate.relative_gap,
                solution.quality is Quality.CERTIFIED,
            )
    objective = problems.objective(1.0)
    loss = objective.name.replace(f"k={y[-1]:g}", f"k={y[0]:g} to {y[-1]:g}") if over == "negatives" else objective.name
    heat = "" if over == "temperature" else f", temperature {objective.temperature:g}"
    name = f"{loss}{heat}, {majority} majority and {minority} minority classes"
    minority_cosine, cross_cosine, rank, gap, certified = fields
    measured = minority_cosine, cross_cosine, rank.astype(int), gap, certified.astype(bool)
    return PhaseDiagram(over, boundary, name, x, y, *measured)


def _check_span(name: str, span: tuple[float, float], least: float, most: float) -> None:
    try:
        low, high = map(float, span)
    except (TypeError, ValueError):
        raise ProblemError(f"{name}: must be two numbers, from and to; got {span!r:.60}") from None
    if not least <= low < high <= most:
        raise ProblemError(
            f"{name}: must be two ascending numbers between {least:g} and {most:g}; got {low:g}, {high:g}"
        )


def _boundary(
    family: Callable[[float], TwoLevels], values: Array, ratios: tuple[float, float], *, whole: bool
) -> tuple[Array, ...]:
    """The first critical ratio at every value, as curves; if values are not whole, up to the edge of the ratios."""

    def at_edge(value: float) -> float:
        return family(value).order(ratios[1])

    points = []
    for value in values.tolist():
        crossing = next(family(value).critical_ratios(*ratios), None)
        points.append((math.nan if crossing is None else crossing.value, value))
    for low, high in itertools.pairwise(values.tolist()):
        if not whole and (at_edge(low) > 0) != (at_edge(high) > 0):
            points.append((ratios[1], refine(at_edge, low, high).value))
    curve = np.array(sorted(points, key=lambda point: point[1]))
    none = np.isnan(curve[:, 0])
    curves = [part[~np.isnan(part[:, 0])] for part in np.split(curve, np.flatnonzero(none))]
    return tuple(part for part in curves if len(part))


def _over_classes(
    builder: Builder,
    majority: int | Sequence[int],
    minority: int | Sequence[int],
    per_class: float | None,
    options: dict[str, Any],
    report: Progress,
) -> PhaseDiagram:
    heads = range(1, 7) if isinstance(majority, int) else majority
    tails = range(2, 13) if isinstance(minority, int) else minority
    rows = []
    for n_a in heads:
        report(f"critical ratios for {n_a} majority classes")
        for n_b in tails:
            crossings, _ = TwoLevels(builder, "ratio", options, n_a, n_b, per_class).crossings(lambda _: None)
            rows.append((n_a, n_b, crossings[0].value if crossings else math.nan))
    objective = TwoLevels(builder, "ratio", options, heads[0], tails[0], per_class).objective(1.0)
    name = f"{objective.name}, temperature {objective.temperature:g}"
    none = np.empty(0)
    return PhaseDiagram("classes", (np.array(rows),), name, *(none,) * 4, none.astype(int), none, none > 0)
