"""What every picture shares: colours, sizes, kinds of file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import ProblemError

# Okabe and Ito's palette: told apart with any kind of colour vision.
HEAD, TAIL, MEAN, ACCENT, GREY = "#D55E00", "#0072B2", "#000000", "#009E73", "#8C8C8C"
DIVERGING = "RdBu_r"
FEW = 12  # so many classes or points are labelled one by one
MANY = 60  # above so many classes lines lose their markers and ranks go on a log axis
_SUFFIXES = (".png", ".pdf", ".svg")


def check_suffix(path: str | Path) -> None:
    """Nothing, or a ProblemError unless the path names a kind of picture that can be saved."""
    if Path(path).suffix.lower() not in _SUFFIXES:
        raise ProblemError(
            f"plot: must end in {', '.join(_SUFFIXES)}; got {str(path)[-60:]!r} (write a name such as out.png)"
        )


def whole_ticks(axis: Any) -> None:
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
