"""What every figure of the gallery shares: the data behind it, its page, and the three files it becomes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...solvers.solution import Quality
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


def proof(found: Any) -> Row:
    """The columns that say what is proved of a solution."""
    return {"relative_gap": found.certificate.relative_gap, "quality": found.quality.value}


def uncertified(rows: Sequence[Row]) -> int:
    """How many rows hold a point that is not certified."""
    return sum(row["quality"] != Quality.CERTIFIED.value for row in rows)


def quiet(line: str) -> None:
    """A progress that says nothing."""


def panels_of(
    figure: Figure, rows: Sequence[Row], lines: int, columns: int, draw: Callable[[Axes, Sequence[Row]], None]
) -> Any:
    """Panels with shared axes, each of as many rows of the table, and one legend below for all."""
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    each = len(rows) // panels.size
    for place, axes in enumerate(panels.flat):
        draw(axes, rows[place * each : (place + 1) * each])
        axes.set_xlabel("imbalance ratio")
        axes.label_outer()
    # In the order of the fullest panel, whichever panel a line was first seen in.
    drawn: dict[str, Any] = {}
    for handles, names in sorted((axes.get_legend_handles_labels() for axes in panels.flat), key=lambda x: -len(x[1])):
        drawn |= zip(names, handles, strict=True)
    figure.legend(list(drawn.values()), list(drawn), loc="outside lower center", ncols=6, fontsize=10)
    return panels


def page(title: str, rows: Sequence[Row], size: tuple[float, float]) -> Figure:
    """An empty figure with its title, below which stands how many points of the data are not certified, if any."""
    figure = blank(size, _DPI, w_pad=0.06, h_pad=0.06)
    missing = uncertified(rows)
    note = f"\n{missing} of {len(rows)} points NOT certified" if missing else ""
    figure.suptitle(title + note, fontsize=13)
    return figure


def save(picture: Picture, folder: Path, name: str) -> tuple[Path, ...]:
    """Write NAME.pdf, NAME.png and NAME.csv, the same bytes for the same data."""
    pdf, png, table = files = tuple(folder / f"{name}{suffix}" for suffix in SUFFIXES)
    picture.figure.savefig(png)
    picture.figure.set_layout_engine("none")  # laid out once, which takes as long as drawing
    picture.figure.savefig(pdf, metadata={"CreationDate": None})
    with table.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(picture.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(picture.rows)
    return files
