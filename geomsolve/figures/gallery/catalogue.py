"""`draw_figures`: every figure of the theory by its name, each saved as PDF and PNG with the CSV behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...arrays import Progress
from ...errors import ProblemError
from ...files import check_file, make_folder
from .label_circles import label_circle
from .pages import SUFFIXES, Picture, quiet
from .phases import collapse_window, phase_diagrams
from .profiles import long_tails, relu_vanishing
from .realizability import soft_supcon, x_clr_boundary, y_aware_gap
from .step_counts import collapse_sphere, cosines, layer_peeled, seli
from .thresholds import critical_ratios, threshold_negatives, threshold_temperature

Draw = Callable[..., Picture]

# Name, which files are called by: a line about it, and the function that computes its data and draws it. The function
# takes `progress`; whatever else it takes has a default.
FIGURES: dict[str, tuple[str, Draw]] = {
    "cosines": ("cosines of class means against the imbalance ratio, and where the minority collapses", cosines),
    "threshold-negatives": ("the threshold of collapse against the number of negatives", threshold_negatives),
    "threshold-temperature": ("the threshold of collapse against temperature, and its limits", threshold_temperature),
    "phase-diagrams": ("where the minority collapses, by ratio, temperature and number of negatives", phase_diagrams),
    "collapse-window": ("SupCon with two majority classes: collapse that ends at high temperature", collapse_window),
    "critical-ratios": ("the threshold of collapse by numbers of majority and minority classes", critical_ratios),
    "sphere": ("four class means on the sphere before, at and after the threshold", collapse_sphere),
    "long-tails": ("optimal Gram matrices of the built-in profiles", long_tails),
    "layer-peeled": ("classifier cosines in the Layer-Peeled Model against the imbalance ratio", layer_peeled),
    "seli": ("cross-entropy without decay: cosines of features and classifiers against the imbalance ratio", seli),
    "relu-vanishing": ("cross-entropy with ReLU features: the decay at which each class vanishes", relu_vanishing),
    "soft-supcon": ("cosines under SupCon and Soft SupCon, and where imbalance does not move them", soft_supcon),
    "y-aware-gap": ("y-Aware InfoNCE above its entropy bound against the radius of the labels", y_aware_gap),
    "x-clr-boundary": ("X-CLR above its entropy bound over both temperatures, and where it attains it", x_clr_boundary),
    "label-circle": ("the circle that y-Aware InfoNCE makes of the hours of the day", label_circle),
}


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
        description, draw = FIGURES[name]
        picture = draw(progress=lambda line, start=start: tell(f"{start}: {line}"))
        files = picture.save(folder, name)
        drawn.append(DrawnFigure(name, description, files, len(picture.rows), picture.uncertified))
    return tuple(drawn)
