"""What every figure of the gallery shares: the data behind it, its page, and the three files it becomes."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...arrays import Progress
from ...solvers.solution import Quality
from ..style import blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".pdf", ".png", ".csv")
_DPI = 140

Row = dict[str, Any]


def quiet(line: str) -> None:
    """A progress that says nothing."""


def quality(certified: bool | None) -> str:
    """What the column `quality` says."""
    return (Quality.CERTIFIED if certified else Quality.UNCERTIFIED).value


def proof(found: Any) -> Row:
    """The columns that say what is proved of a solution."""
    return {"relative_gap": found.certificate.relative_gap, "quality": found.quality.value}


def table(find: Callable[..., Row], progress: Progress, **over: Iterable[Any]) -> list[Row]:
    """A row for every combination of settings: the settings, and what is found for them."""
    rows: list[Row] = []
    for values in itertools.product(*over.values()):
        setting = dict(zip(over, values, strict=True))
        progress(", ".join(one if isinstance(one, str) else f"{name} {one:.4g}" for name, one in setting.items()))
        rows.append({**setting, **find(**setting)})
    return rows


def where(rows: Sequence[Row], **setting: Any) -> list[Row]:
    """The rows of this setting."""
    return [row for row in rows if all(row[name] == value for name, value in setting.items())]


def curve(axes: Axes, rows: Sequence[Row], across: str, up: str, style: str, **more: Any) -> None:
    """A column against another one; nothing where the column is empty."""
    values = [row[up] for row in rows]
    if any(value is not None for value in values):
        axes.plot([row[across] for row in rows], values, style, **{"linewidth": 2.2, **more})
    axes.grid(alpha=0.25)


class Picture:
    """A figure and the table it was drawn from: rows of the same columns, `quality` among them.

    Below the title stands how many points of the data are not certified, if any.
    """

    def __init__(self, title: str, rows: list[Row], size: tuple[float, float]):
        self.rows = rows
        self.uncertified = sum(row["quality"] != Quality.CERTIFIED.value for row in rows)
        self.figure = blank(size, _DPI, w_pad=0.06, h_pad=0.06)
        note = f"\n{self.uncertified} of {len(rows)} points NOT certified" if self.uncertified else ""
        self.figure.suptitle(title + note, fontsize=13)

    def panels(self, tops: Sequence[str], sides: Sequence[str], draw: Callable[[Axes, list[Row]], None]) -> Any:
        """Panels with shared axes, words on top and beside, each of as many rows; the legend of the fullest below."""
        panels = self.figure.subplots(len(sides), len(tops), sharex=True, sharey=True, squeeze=False)
        each = len(self.rows) // panels.size
        for place, axes in enumerate(panels.flat):
            draw(axes, self.rows[place * each : (place + 1) * each])
            axes.set_xlabel("imbalance ratio")
            axes.set_ylabel(f"{sides[place // len(tops)]}\ncosine")
            axes.label_outer()
        for axes, words in zip(panels[0], tops, strict=True):
            axes.set_title(words, fontsize=11)
        self.legend(max((axes.get_legend_handles_labels() for axes in panels.flat), key=lambda both: len(both[1])), 6)
        return panels

    def legend(self, entries: tuple[list[Any], list[Any]], columns: int) -> None:
        """A legend below all panels, of handles and names."""
        self.figure.legend(*entries, loc="outside lower center", ncols=columns, fontsize=10)

    def save(self, folder: Path, name: str) -> tuple[Path, ...]:
        """Write NAME.pdf, NAME.png and NAME.csv, the same bytes for the same data."""
        pdf, png, data = files = tuple(folder / f"{name}{suffix}" for suffix in SUFFIXES)
        self.figure.savefig(png)
        self.figure.set_layout_engine("none")  # laid out once, which takes as long as drawing
        self.figure.savefig(pdf, metadata={"CreationDate": None})
        with data.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, list(self.rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        return files
