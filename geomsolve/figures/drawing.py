"""The picture of a result, whatever kind of result it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..choosing.bounded import BoundedGeometry
from ..choosing.comparisons import Comparison
from ..choosing.guidelines import VarianceMap
from ..collapse.phases import PhaseDiagram
from ..errors import ProblemError
from ..similarities.verdicts import EuclideanGeometry, Realization
from ..solvers.points.dimensions import DimensionCosts
from ..solvers.solution import Solution
from ..training.diagnosis import Diagnosis
from .charts import plot_comparison, plot_dimensions
from .diagnoses import plot_diagnosis
from .kinds import plot_bounded
from .maps import plot_phases, plot_variance_map
from .realizations import plot_map, plot_realization
from .solutions import plot_solution

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

_PICTURES: dict[type, Callable[..., Figure]] = {
    Solution: plot_solution,
    BoundedGeometry: plot_bounded,
    Comparison: plot_comparison,
    PhaseDiagram: plot_phases,
    Realization: plot_realization,
    EuclideanGeometry: plot_map,
    Diagnosis: plot_diagnosis,
    VarianceMap: plot_variance_map,
    DimensionCosts: plot_dimensions,
}


def draw(result: Any, path: str | Path | None = None, **options: Any) -> Figure:
    """The picture of a result; `options` are those of its own function.

    Raises:
        ProblemError: there is no picture of results of this kind, or a path of another kind.
    """
    if type(result) not in _PICTURES:
        kinds = ", ".join(kind.__name__ for kind in _PICTURES)
        raise ProblemError(f"plot: there are pictures of {kinds}; got {type(result).__name__}")
    return _PICTURES[type(result)](result, path, **options)
