"""geomsolve computes, and proves, the optimal embedding geometry of contrastive losses under class imbalance.

    import geomsolve as gs

    solution = gs.solve(gs.SupCon(gs.load_counts("imagenet_lt"), temperature=0.1))
    solution.value, solution.certificate.gap, solution.gram

Everything public is listed in `__all__` and loaded when it is first used: importing the package imports neither cvxpy
nor JAX nor matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "errors": ("GeomsolveError", "ProblemError", "BackendError", "NotCertified"),
    "counts": (
        "Counts",
        "as_counts",
        "counts_from_labels",
        "long_tail_counts",
        "step_counts",
    ),
    "countsources": ("load_counts", "profile_names"),
    "countlaws": ("exponential_counts", "lognormal_counts", "zipf_counts"),
    "orbits": ("Orbits", "OrbitGram"),
    "kernelgram": ("FactoredPoints", "KernelGram"),
    "certificate": ("Certificate", "certify"),
    "objectives.base": ("Objective",),
    "objectives.row_softmax": ("RowSoftmax",),
    "objectives.supcon": ("SupCon",),
    "objectives.generalized": ("GCL",),
    "objectives.parts": ("PartedSoftmax", "PartedSum", "Parts"),
    "objectives.balanced": ("BCL", "KCL"),
    "objectives.equilibrium": ("ECL", "LogitCompensated"),
    "objectives.two_class": ("SupConInstances", "SupMin"),
    "objectives.supcl": ("InstanceSoftmax", "SupCL"),
    "solvers.base": ("Attempt", "Termination"),
    "solvers.interior": ("Interior",),
    "solvers.newton": ("Newton",),
    "solvers.quadrature": ("Quadrature",),
    "solvers.conic": ("Conic",),
    "solvers.descent": ("Descent",),
    "solution": ("AttemptRecord", "Quality", "Solution"),
    "embedding": ("Embedding", "embed", "reduce_rank"),
    "codebound": ("dimension_bound",),
    "ladder": ("solve",),
    "designs": ("Design", "design"),
    "targeted": ("TargetedGeometry", "targeted_supcon"),
    "exports": ("targets",),
    "targetfiles": ("Targets", "read_targets"),
    "twoclasses": ("PrototypeGeometry", "supervised_prototypes"),
    "variances": ("ClassVariances", "class_variances", "supcl_critical_alpha", "supcl_variance"),
    "guidelines": (
        "VarianceGuideline",
        "VarianceMap",
        "class_critical_alphas",
        "keep_variance",
        "smallest_critical_alpha",
        "variance_map",
    ),
    "plots.variances": ("plot_variance_map",),
    "plots.solutions": ("plot_solution",),
    "sweeps.running": ("SweepProgress", "SweepResult", "sweep"),
    "sweeps.tables": ("SweepTable", "export_sweep", "load_sweep"),
    "comparisons": ("Compared", "Comparison", "compare", "loss_names"),
    "plots.comparisons": ("plot_comparison",),
    "thresholds.critical": ("Threshold", "threshold"),
    "thresholds.proofs": ("VerifiedThreshold",),
    "thresholds.phases": ("PhaseDiagram", "phase_diagram"),
    "weightings": ("Weighting", "weighting_from_matrix"),
    "schemes": ("soft_supcon_weights", "supcon_weights", "x_clr_weights", "y_aware_weights"),
    "objectives.weighted": ("WeightedInfoNCE",),
    "realizability": ("Realization", "realize"),
    "witnesses": ("Witness",),
    "euclidean": ("EuclideanGeometry", "euclidean_realization"),
    "remedies": ("Remedy", "suggest_remedies"),
    "dimensions": ("InDimension", "realize_in"),
    "labelfits": ("LabelFit", "label_fit"),
    "rigour": ("Proof", "prove"),
    "verification": ("Verified", "verify"),
    "labels": ("load_labels",),
    "plots.realizations": ("plot_realization",),
    "crosschecks": ("CrossCheck", "Route", "crosscheck"),
    "collapsechecks": ("CollapseCheck", "CollapseSide", "crosscheck_threshold"),
    "verdictchecks": ("VerdictCheck", "crosscheck_verdict"),
    "levels": ("LossLevels", "loss_levels"),
    "diagnoses": ("Diagnosis", "OptimumDistance", "diagnose"),
    "verdicts": ("Verdict",),
    "metrics.samples": ("Samples",),
    "metrics.neighbourhoods": ("Neighbourhoods",),
    "metrics.collapse": ("CollapseMetrics",),
    "plots.diagnoses": ("plot_diagnosis",),
    "gallery.catalogue": ("DrawnFigure", "draw_figures"),
    "zoo": ("ZooProblem", "zoo_names", "zoo_problem"),
}
_HOME = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [*sorted(_HOME), "__version__"]  # noqa: PLE0604 - the names are built from the table above


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from .certificate import Certificate as Certificate
    from .certificate import certify as certify
    from .codebound import dimension_bound as dimension_bound
    from .collapsechecks import CollapseCheck as CollapseCheck
    from .collapsechecks import CollapseSide as CollapseSide
    from .collapsechecks import crosscheck_threshold as crosscheck_threshold
    from .comparisons import Compared as Compared
    from .comparisons import Comparison as Comparison
    from .comparisons import compare as compare
    from .comparisons import loss_names as loss_names
    from .countlaws import exponential_counts as exponential_counts
    from .countlaws import lognormal_counts as lognormal_counts
    from .countlaws import zipf_counts as zipf_counts
    from .counts import Counts as Counts
    from .counts import as_counts as as_counts
    from .counts import counts_from_labels as counts_from_labels
    from .counts import long_tail_counts as long_tail_counts
    from .counts import step_counts as step_counts
    from .countsources import load_counts as load_counts
    from .countsources import profile_names as profile_names
    from .crosschecks import CrossCheck as CrossCheck
    from .crosschecks import Route as Route
    from .crosschecks import crosscheck as crosscheck
    from .designs import Design as Design
    from .designs import design as design
    from .diagnoses import Diagnosis as Diagnosis
    from .diagnoses import OptimumDistance as OptimumDistance
    from .diagnoses import diagnose as diagnose
    from .dimensions import InDimension as InDimension
    from .dimensions import realize_in as realize_in
    from .embedding import Embedding as Embedding
    from .embedding import embed as embed
    from .embedding import reduce_rank as reduce_rank
    from .errors import BackendError as BackendError
    from .errors import GeomsolveError as GeomsolveError
    from .errors import NotCertified as NotCertified
    from .errors import ProblemError as ProblemError
    from .euclidean import EuclideanGeometry as EuclideanGeometry
    from .euclidean import euclidean_realization as euclidean_realization
    from .exports import targets as targets
    from .gallery.catalogue import DrawnFigure as DrawnFigure
    from .gallery.catalogue import draw_figures as draw_figures
    from .guidelines import VarianceGuideline as VarianceGuideline
    from .guidelines import VarianceMap as VarianceMap
    from .guidelines import class_critical_alphas as class_critical_alphas
    from .guidelines import keep_variance as keep_variance
    from .guidelines import smallest_critical_alpha as smallest_critical_alpha
    from .guidelines import variance_map as variance_map
    from .kernelgram import FactoredPoints as FactoredPoints
    from .kernelgram import KernelGram as KernelGram
    from .labelfits import LabelFit as LabelFit
    from .labelfits import label_fit as label_fit
    from .labels import load_labels as load_labels
    from .ladder import solve as solve
    from .levels import LossLevels as LossLevels
    from .levels import loss_levels as loss_levels
    from .metrics.collapse import CollapseMetrics as CollapseMetrics
    from .metrics.neighbourhoods import Neighbourhoods as Neighbourhoods
    from .metrics.samples import Samples as Samples
    from .objectives.balanced import BCL as BCL
    from .objectives.balanced import KCL as KCL
    from .objectives.base import Objective as Objective
    from .objectives.equilibrium import ECL as ECL
    from .objectives.equilibrium import LogitCompensated as LogitCompensated
    from .objectives.generalized import GCL as GCL
    from .objectives.parts import PartedSoftmax as PartedSoftmax
    from .objectives.parts import PartedSum as PartedSum
    from .objectives.parts import Parts as Parts
    from .objectives.row_softmax import RowSoftmax as RowSoftmax
    from .objectives.supcl import InstanceSoftmax as InstanceSoftmax
    from .objectives.supcl import SupCL as SupCL
    from .objectives.supcon import SupCon as SupCon
    from .objectives.two_class import SupConInstances as SupConInstances
    from .objectives.two_class import SupMin as SupMin
    from .objectives.weighted import WeightedInfoNCE as WeightedInfoNCE
    from .orbits import OrbitGram as OrbitGram
    from .orbits import Orbits as Orbits
    from .plots.comparisons import plot_comparison as plot_comparison
    from .plots.diagnoses import plot_diagnosis as plot_diagnosis
    from .plots.realizations import plot_realization as plot_realization
    from .plots.solutions import plot_solution as plot_solution
    from .plots.variances import plot_variance_map as plot_variance_map
    from .realizability import Realization as Realization
    from .realizability import realize as realize
    from .remedies import Remedy as Remedy
    from .remedies import suggest_remedies as suggest_remedies
    from .rigour import Proof as Proof
    from .rigour import prove as prove
    from .schemes import soft_supcon_weights as soft_supcon_weights
    from .schemes import supcon_weights as supcon_weights
    from .schemes import x_clr_weights as x_clr_weights
    from .schemes import y_aware_weights as y_aware_weights
    from .solution import AttemptRecord as AttemptRecord
    from .solution import Quality as Quality
    from .solution import Solution as Solution
    from .solvers.base import Attempt as Attempt
    from .solvers.base import Termination as Termination
    from .solvers.conic import Conic as Conic
    from .solvers.descent import Descent as Descent
    from .solvers.interior import Interior as Interior
    from .solvers.newton import Newton as Newton
    from .solvers.quadrature import Quadrature as Quadrature
    from .sweeps.running import SweepProgress as SweepProgress
    from .sweeps.running import SweepResult as SweepResult
    from .sweeps.running import sweep as sweep
    from .sweeps.tables import SweepTable as SweepTable
    from .sweeps.tables import export_sweep as export_sweep
    from .sweeps.tables import load_sweep as load_sweep
    from .targeted import TargetedGeometry as TargetedGeometry
    from .targeted import targeted_supcon as targeted_supcon
    from .targetfiles import Targets as Targets
    from .targetfiles import read_targets as read_targets
    from .thresholds.critical import Threshold as Threshold
    from .thresholds.critical import threshold as threshold
    from .thresholds.phases import PhaseDiagram as PhaseDiagram
    from .thresholds.phases import phase_diagram as phase_diagram
    from .thresholds.proofs import VerifiedThreshold as VerifiedThreshold
    from .twoclasses import PrototypeGeometry as PrototypeGeometry
    from .twoclasses import supervised_prototypes as supervised_prototypes
    from .variances import ClassVariances as ClassVariances
    from .variances import class_variances as class_variances
    from .variances import supcl_critical_alpha as supcl_critical_alpha
    from .variances import supcl_variance as supcl_variance
    from .verdictchecks import VerdictCheck as VerdictCheck
    from .verdictchecks import crosscheck_verdict as crosscheck_verdict
    from .verdicts import Verdict as Verdict
    from .verification import Verified as Verified
    from .verification import verify as verify
    from .weightings import Weighting as Weighting
    from .weightings import weighting_from_matrix as weighting_from_matrix
    from .witnesses import Witness as Witness
    from .zoo import ZooProblem as ZooProblem
    from .zoo import zoo_names as zoo_names
    from .zoo import zoo_problem as zoo_problem
