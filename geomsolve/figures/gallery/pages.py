"""What every figure of the gallery shares: the data behind it, its page, and the three files it becomes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...files import check_file
from ...solvers.solution import Quality

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...solvers.solution import Solution

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


def page(title: str, rows: Sequence[Row], size: tuple[float, float]) -> Figure:
    """An empty figure with its title, below which stands how many points of the data are not certified, if any."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=size, dpi=_DPI, layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
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
    picture.figure.savefig(pdf, metadata={"CreationDate": None})
    picture.figure.savefig(png)
    with table.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(picture.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(picture.rows)
    return [pdf, png, table]
