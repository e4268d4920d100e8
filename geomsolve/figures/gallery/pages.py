"""What every figure of the gallery shares: the data behind it, its page, and the three files it becomes."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import check_file
from ...solvers.solution import Quality, Solution
from ..style import blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".pdf", ".png", ".csv")
_DPI = 140

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure and the table it was drawn from: rows of the same columns, `quality` among them."""

    figure: Figure
    rows: list[Row]


def proof(solution: Solution) -> Row:
    """The columns that say what is proved of a solution."""
    certificate = solution.certificate
    return {
        "relative_gap": certificate.relative_gap,
        "cosine_residual": certificate.cosine_residual,
        "quality": solution.quality.value,
    }


def uncertified(rows: Sequence[Row]) -> int:
    """How many rows hold a point that is not certified."""
    return sum(row["quality"] != Quality.CERTIFIED.value for row in rows)


def quiet(line: str) -> None:
    """A progress that says nothing."""


def panels_of(
    figure: Figure,
    rows: Sequence[Row],
    down: tuple[str, Sequence[Any]],
    across: tuple[Sequence[str], Sequence[tuple[Any, ...]]],
    draw: Callable[[Axes, list[Row]], None],
    columns: int,
) -> Any:
    """Panels with shared axes, each of the rows in which columns have given values, and one legend below for all.

    Args:
        figure: the page.
        rows: the table.
        down: a column, and its value in every line of panels.
        across: columns, and their values in every panel of a line.
        draw: draws the rows of a panel.
        columns: of the legend.
    """
    (line_key, lines), (keys, places) = down, across
    panels = figure.subplots(len(lines), len(places), sharex=True, sharey=True, squeeze=False)
    for (i, line), (j, place) in itertools.product(enumerate(lines), enumerate(places)):
        draw(panels[i, j], [row for row in rows if row[line_key] == line and tuple(row[key] for key in keys) == place])
    for axes in panels[-1]:
        axes.set_xlabel("imbalance ratio")
    # In the order of the fullest panel, whichever panel a line was first seen in.
    each = [axes.get_legend_handles_labels() for axes in panels.flat]
    drawn: dict[str, Any] = {}
    for handles, names in sorted(each, key=lambda pair: -len(pair[1])):
        drawn |= zip(names, handles, strict=True)
    figure.legend(list(drawn.values()), list(drawn), loc="outside lower center", ncols=columns, fontsize=10)
    return panels


def page(title: str, rows: Sequence[Row], size: tuple[float, float]) -> Figure:
    """An empty figure with its title, below which stands how many points of the data are not certified, if any."""
    figure = blank(size, _DPI, w_pad=0.06, h_pad=0.06)
    missing = uncertified(rows)
    note = f"\n{missing} of {len(rows)} points NOT certified" if missing else ""
    figure.suptitle(title + note, fontsize=13)
    return figure


def file_names(folder: Path, name: str) -> list[Path]:
    """The three files of a figure."""
    return [folder / f"{name}{suffix}" for suffix in SUFFIXES]


def check_files(folder: Path, names: Sequence[str]) -> None:
    """Nothing, or a ProblemError where a file of these figures cannot be written."""
    for name in names:
        for path in file_names(folder, name):
            check_file("out", path)


def save(picture: Picture, folder: Path, name: str) -> list[Path]:
    """Write NAME.pdf, NAME.png and NAME.csv, the same bytes for the same data."""
    pdf, png, table = file_names(folder, name)
    picture.figure.savefig(png)
    picture.figure.set_layout_engine("none")  # laid out once, which takes as long as drawing
    picture.figure.savefig(pdf, metadata={"CreationDate": None})
    with table.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(picture.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(picture.rows)
    return [pdf, png, table]
