"""`threshold`: where minority collapse begins."""

from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import ArrayLike

from .. import __version__
from ..arrays import Progress
from ..certificates.certificate import check_tol
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..objectives.base import Objective
from ..objectives.rows.full_batch import check_word
from ..results import Result
from ..solvers.solution import Quality, Solution
from ..solvers.solving import solve
from ..text import attributes, entry
from .crossings import Crossing
from .growing import GrowingCounts
from .proofs import VerifiedThreshold, verify_bracket
from .two_levels import Builder, TwoLevels

# What can be varied, and its unit.
_UNITS = {
    "ratio": "majority count over minority count",
    "temperature": "",
    "negatives": "negatives per anchor: the last k before the change",
    "power": "of every count, the smallest kept",
    "tail": "by which the tail's counts would have to be divided",
}


@dataclass(frozen=True, eq=False, repr=False)
class Threshold(Result):
    """Where collapse begins, see `threshold`.

    Attributes:
        parameter: what was varied: "ratio", "temperature", "negatives", "power" or "tail".
        value: the first critical value (for negatives the last k before the change); None if there is none.
        reason: in words: what happens on which side, or why there is no critical value.
        family: the problems that the parameter runs through.
        crossings: every critical value found, ascending.
        below: the geometry a thousandth below `value` (up to 3 percent where the transition is too sharp to certify
            one nearer); None where there is no value, or none was asked for.
        above: the same above.
        confirmed: whether both are certified and as `reason` says; None where there are none.
        classes: the classes that share a point beyond the critical value, by index.
        problem: the loss and the classes in words.
        shared: for arbitrary counts, between which values of the parameter they begin to (the Gram matrix may lose rank
            earlier: that is `value`); None elsewhere.
    """

    parameter: str
    value: float | None
    reason: str
    family: TwoLevels | GrowingCounts = field(repr=False)
    crossings: tuple[Crossing, ...] = ()
    below: Solution | None = field(default=None, repr=False)
    above: Solution | None = field(default=None, repr=False)
    confirmed: bool | None = None
    classes: tuple[int, ...] = ()
    shared: tuple[float, float] | None = None
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether the geometry on both sides is certified and as predicted, where it was looked at."""
        return self.confirmed is not False

    @property
    def summary(self) -> str:
        """The critical value and what happens there."""
        value = "no critical value" if self.value is None else f"critical {self.parameter} {self.value:.13g}"
        return f"{self.problem}: {value}; {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """The threshold as a dictionary; `ratio` is null where another parameter was varied."""
        return {
            "ratio": self.value if self.parameter == "ratio" else None,
            **attributes(self, "parameter", "value", "reason", "bracket", "residual", "confirmed"),
            "crossings": [attributes(one, "value", "bracket", "residual", "collapses") for one in self.crossings],
            "classes": list(self.classes),
            "shared": self.shared,
            "below": _told(self.below),
            "above": _told(self.above),
            "problem": self.problem,
            **self.family.described(),
            "version": __version__,
        }

    def lines(self) -> list[str]:
        """The threshold in a few aligned lines."""
        lines = [self.problem, "", self.reason[:1].upper() + self.reason[1:] + "."]
        if self.value is None:
            return lines
        unit = f"  ({_UNITS[self.parameter]})" if _UNITS[self.parameter] else ""
        lines.append("")
        for crossing in self.crossings:
            lines += [
                entry(f"critical {self.parameter}", f"{crossing.value:.13g}{unit}"),
                entry("bracket", f"{crossing.bracket[0]:.17g} .. {crossing.bracket[1]:.17g}"),
                entry("residual", f"{crossing.residual:.1e}"),
            ]
        if self.classes:
            which = self.family.counts_at(1.0).which(self.classes)
            first = ""
            if self.shared is not None:
                first = f"; first at a {self.parameter} between {self.shared[0]:.6g} and {self.shared[1]:.6g}"
            lines.append(entry("share a point", f"{which}{first}"))
        for name, side in (("just below", _told(self.below)), ("just above", _told(self.above))):
            if side is not None:
                words = f"{side['quality']}, rank {side['rank']}, largest cosine {side['largest_cosine']:+.9f}"
                lines.append(entry(name, f"{words}, least {side['least_cosine']:+.9f}"))
        if self.confirmed is False:
            lines.append("  The geometry on one side could not be certified, or is not as the multiplier predicts.")
        return lines

    @property
    def bracket(self) -> tuple[float, float] | None:
        """Two values around the first critical one at which the order parameter has opposite signs."""
        return self.crossings[0].bracket if self.crossings else None

    @property
    def residual(self) -> float | None:
        """The size of the order parameter at `value`: log of a ratio of forces, or for given counts an eigenvalue."""
        return self.crossings[0].residual if self.crossings else None

    def verified(self, digits: int = 30, reading: str = "fractions") -> VerifiedThreshold:
        """The first critical value with a bracket proved in ball arithmetic: what `verify` gives of a threshold.

        Raises:
            ProblemError: no critical value, arbitrary counts, a loss whose dependence on the parameter is not that of
                SupCon or GCL, or a sign that could not be proved.
        """
        if not self.crossings:
            raise ProblemError(f"threshold: it has no critical value, so there is nothing to bracket ({self.reason})")
        if not isinstance(self.family, TwoLevels):
            raise ProblemError(
                "threshold: a bracket is proved for majority and minority only; got arbitrary counts, whose order "
                "parameter is an eigenvalue of a solution (its bracket in floating point is what there is)"
            )
        return verify_bracket(self.family, self.crossings[0], digits, reading)


def _told(solution: Solution | None) -> dict[str, Any] | None:
    if solution is None:
        return None
    gram = solution.orbits
    cosines = gram.cosines[gram.orbits.partners > 0]
    return {
        "value": solution.value,
        **attributes(solution.certificate, "gap", "relative_gap", "cosine_residual"),
        "quality": solution.quality.value,
        "rank": solution.rank,
        "collapsed": solution.collapsed,
        "least_cosine": float(cosines.min()),
        "largest_cosine": float(cosines.max()),
    }


def threshold(
    builder: Builder,
    counts: Counts | ArrayLike | None = None,
    *,
    vary: str | None = None,
    majority: int | None = None,
    minority: int | None = None,
    per_class: float | None = None,
    ratio: float | None = None,
    certify: bool = True,
    tol: float = 1e-9,
    progress: Progress | None = None,
    **options: Any,
) -> Threshold:
    """The critical value of one parameter, at which classes collapse into one point.

    For `majority` classes of ratio * per_class examples and `minority` classes of per_class examples it comes from the
    multiplier of the collapsed geometry (`minority_collapse`), not from solving on a grid:

        minority collapse  <=>  D_AB >= n_B D_BB  (one majority class)   or   D_AB^2 >= D_AA D_BB  (several, at b > -1),

    D the derivative of the loss in one cosine (majority A, minority B) at the best geometry with the minority in one
    point. All sign changes are searched for. For arbitrary counts it is where the optimal Gram matrix loses rank: the
    zero of its smallest eigenvalue besides the one that is always 0.

    Args:
        builder: the loss: `SupCon`, `GCL`, or any function of counts and `options` that returns an Objective.
        counts: class counts, in place of majority and minority.
        vary: what to vary:
            "ratio" (the default without counts): majority count over minority count, 1 to 1e100;
            "temperature": 0.005 to 1000, from 0.1 on where counts are given;
            "negatives": k of GCL, whole numbers from 1 to 65,536;
            "power" (the default with counts): every count raised to a power, the smallest kept;
            "tail": the counts below the average divided by a factor (computed as all others multiplied by it).
        majority: n_A, at least 1.
        minority: n_B, at least 2.
        per_class: examples of a minority class, for losses that depend on numbers of examples: full-batch SupCon.
        ratio: the imbalance ratio, where something else is varied.
        certify: also solve a thousandth below and above, and see whether the geometry is as predicted.
        tol: the relative gap to certify there.
        progress: called with a line of text as the work goes on.
        options: keyword arguments of the builder, such as temperature.

    Returns:
        A Threshold. Its `value` is None where nothing collapses; `reason` then says why.

    Raises:
        ProblemError: bad arguments, or a loss in which atoms attract each other (every other than SupCon and GCL of
            this package): there classes close up one by one, not at a value of this kind. For SupCL
            `smallest_critical_alpha` gives the alpha at which the first class opens.

    Cost: some 30 derivatives of the loss on two orbits; for arbitrary counts, some 30 Newton solves.
    Source: ours, see the theory page; closed forms for one majority class and one negative.
    """
    if vary is None:
        vary = "ratio" if counts is None else "power"
    check_word("vary", vary, tuple(_UNITS))
    if vary in options:
        raise ProblemError(f"{vary}: is what is varied; got {options[vary]} (leave it out, or vary something else)")
    check_tol(tol)
    if counts is not None:
        for name, given in (("majority", majority), ("minority", minority), ("per_class", per_class), ("ratio", ratio)):
            if given is not None:
                raise ProblemError(f"{name}: goes with majority and minority, not with counts; got {given}")
        if vary == "ratio":
            raise ProblemError('vary: "ratio" is for majority and minority; with counts write "power" or "tail"')
    if isinstance(builder, Objective):
        raise ProblemError(
            "builder: must be the loss itself, as its counts vary: threshold(geomsolve.SupCon, counts=...)"
        )
    report = progress or (lambda _: None)
    family: TwoLevels | GrowingCounts
    if counts is None:
        family = TwoLevels(builder, vary, options, majority, minority, per_class, ratio)
    else:
        family = GrowingCounts(builder, vary, options, as_counts(counts))
    crossings, reason = family.crossings(report)
    value = crossings[0].value if crossings else None
    found = Threshold(vary, value, reason, family, tuple(crossings), problem=family.problem)
    if not crossings or not certify:
        return found
    classes, shared = family.classes(crossings[0], report)
    below, above = (_side(family, vary, crossings[0], above, tol, report) for above in (False, True))
    confirmed = below[1] and above[1]
    return replace(found, below=below[0], above=above[0], confirmed=confirmed, classes=classes, shared=shared)


def _side(
    family: TwoLevels | GrowingCounts, vary: str, crossing: Crossing, above: bool, tol: float, report: Progress
) -> tuple[Solution | None, bool]:
    """The geometry as near to one side of a critical value as it can be certified, and whether it is as predicted."""
    solution, as_predicted = None, True
    # A thousandth away; farther only where the two phases are too much alike to be told apart there.
    for offset in (1e-3, 3e-3, 1e-2, 3e-2):
        value = crossing.value * (1.0 + offset if above else 1.0 - offset)
        if vary == "negatives":
            value = crossing.bracket[above]
        if vary == "ratio" and value < 1.0:
            break
        report(f"certifying {vary} {value:.12g}, {'above' if above else 'below'} the critical value")
        solution = solve(family.objective(value), tol=tol, throw=False)
        apart = (crossing.collapses == "above") != above
        as_predicted = solution.quality is Quality.CERTIFIED and family.shows(solution, apart)
        if as_predicted or vary == "negatives":
            break
    return solution, as_predicted
