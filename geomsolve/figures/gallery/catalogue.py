"""`draw_figures`: every figure of the theory by its name, each saved as PDF and PNG with the CSV behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...arrays import Progress
from ...errors import ProblemError
from ...files import check_file, make_folder
from . import collapse, profiles, realizability, step_counts
from .pages import SUFFIXES, Picture, quiet

Draw = Callable[..., Picture]

# The functions that compute the data of a figure and draw it, by its name, which files are called by; their docstrings
# say what it shows. They take `progress`; whatever else they take has a default.
_FILES = (step_counts, collapse, profiles, realizability)
FIGURES: dict[str, Draw] = {draw.__name__.replace("_", "-"): draw for file in _FILES for draw in file.DRAWN}


def described(name: str) -> str:
    """What the figure of that name shows."""
    return str(FIGURES[name].__doc__).splitlines()[0]


@dataclass(frozen=True)
class DrawnFigure:
    """A figure that was drawn.

    Attributes:
        name: its name.
        description: what it shows.
        files: the PDF, the PNG and the CSV.
        points: the rows of the CSV.
        uncertified: how many of them are not certified; the picture says so too.
    """

    name: str
    description: str
    files: tuple[Path, ...]
    points: int
    uncertified: int


def draw_figures(
    out: str | Path, names: Sequence[str] | None = None, *, progress: Progress | None = None
) -> tuple[DrawnFigure, ...]:
    """Draw figures of the theory into a folder: NAME.pdf, NAME.png and the data behind them in NAME.csv.

    Args:
        out: the folder; made if it is missing.
        names: which figures; None for all of them.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: a name that is not in the catalogue, or a folder or file that cannot be written.
    """
    chosen = list(dict.fromkeys([names] if isinstance(names, str) else names or FIGURES))
    for name in chosen:
        if name not in FIGURES:
            raise ProblemError(f"names: must be among {', '.join(FIGURES)}; got {name!r:.40}")
    folder, tell = Path(out), progress or quiet
    make_folder("out", folder)
    for name in chosen:
        for suffix in SUFFIXES:
            check_file("out", folder / f"{name}{suffix}")
    drawn = []
    for place, name in enumerate(chosen, 1):
        start = f"figure {place} of {len(chosen)}, {name}"
        tell(start)
        picture = FIGURES[name](progress=lambda line, start=start: tell(f"{start}: {line}"))
        files = picture.save(folder, name)
        drawn.append(DrawnFigure(name, described(name), files, len(picture.rows), picture.uncertified))
    return tuple(drawn)
