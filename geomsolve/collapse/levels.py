"""Loss levels: what value of the loss means what geometry."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import __version__
from ..arrays import Array, Progress
from ..counts.counts import Counts, as_counts
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective
from ..objectives.classes.over_batches import batches
from ..objectives.classes.supcon import SupCon, merged_supcon
from ..objectives.count_laws import check_pairs
from ..objectives.sampling import Averaging, Sampler
from ..results import Result
from ..solvers.solution import Quality, Solution
from ..solvers.solving import solve
from ..text import attributes, entry, table
from .plateaus import Level, check_base, nearest

# What the levels are called.
WORDS = {
    "collapsed": "all in one point",
    "simplex": "regular simplex",
    "minority_collapsed": "minority in one point",
    "optimum": "optimum",
}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LossLevels(Result):
    """The values of a loss at some geometries, to hold a loss curve against. See `loss_levels` and `plateau`.

    All levels are multiplied by `factor`; the two solutions are as `solve` returns them, without it.

    Attributes:
        collapsed: all in one point.
        optimum: the least loss of all.
        simplex: the regular simplex, every pair of classes equally far; None for a loss of several points a class.
        minority_collapsed: the least loss with the minority classes in one point; None where there is no minority.
        solution: the optimum with its certificate.
        counts: the class counts.
        minority: the classes held in one point, from 0 in the caller's order.
        minority_solution: the optimum with the minority in one point; its last class stands for them.
        no_positive_probability: (C,) the chance that an anchor of a class finds no other example of its class in its
            batch, in the caller's class order. With one view such an anchor drops out of the loss; with more, its own
            other views are its only positives. For the full batch 0, or 1 for a class of a single example. None where
            that is not asked.
        factor: temperature / base temperature, or 1.
        views: of an example.
        batch: examples per batch; None for the full batch.
        observed: the loss that was observed, in the units of the training code.
        nearest: the level that it is nearest to, in the units in which it is.
    """

    collapsed: float
    optimum: float
    simplex: float | None = None
    minority_collapsed: float | None = None
    solution: Solution = field(repr=False)
    counts: Counts | None
    minority: tuple[int, ...] = ()
    minority_solution: Solution | None = field(default=None, repr=False)
    no_positive_probability: Array | None = None
    factor: float = 1.0
    views: int = 1
    batch: int | None = None
    observed: float | None = None
    nearest: Level | None = field(default=None, repr=False)

    @property
    def levels(self) -> dict[str, float]:
        """The loss of every level there is."""
        found = attributes(self, "collapsed", "simplex", "minority_collapsed", "optimum")
        return {name: value for name, value in found.items() if value is not None}

    @property
    def gap(self) -> float:
        """An upper bound of `optimum` minus the least loss, in the same units."""
        return self.factor * self.solution.certificate.gap

    @property
    def minority_gap(self) -> float | None:
        """An upper bound of `minority_collapsed` minus the least loss of its kind, in the same units."""
        return None if self.minority_solution is None else self.factor * self.minority_solution.certificate.gap

    @property
    def quality(self) -> Quality:
        """CERTIFIED where both optima are."""
        return Quality.CERTIFIED if self.ok else Quality.UNCERTIFIED

    @property
    def ok(self) -> bool:
        """Whether both optima are."""
        return self.solution.ok and (self.minority_solution is None or self.minority_solution.ok)

    @property
    def summary(self) -> str:
        """The levels in a sentence; or what an observed loss says."""
        if self.nearest is not None:
            return self.nearest.reading
        levels = ", ".join(f"{WORDS[name]} {value:.6f}" for name, value in self.levels.items())
        return f"{self.quality.value} levels of {self.solution.objective.name}: {levels}"

    def to_dict(self) -> dict[str, Any]:
        """The levels as a dictionary (keys as in the command line's contract)."""
        solution, merged, near = self.solution, self.minority_solution, self.nearest
        told: dict[str, Any] = {}
        if near is not None:
            told = {"observed": self.observed, "position": near.position, "reading": near.reading}
            names = ("level", "value", "difference", "base_temperature", "averaging", "met")
            told["nearest"] = attributes(near, *names)
        return {
            **attributes(self, "collapsed", "simplex", "minority_collapsed", "optimum", "no_positive_probability"),
            "quality": self.quality.value,
            "gap": self.gap,
            **attributes(solution.certificate, "relative_gap", "cosine_residual"),
            **attributes(self, "minority", "minority_gap", "factor"),
            "seconds": solution.seconds + (0.0 if merged is None else merged.seconds),
            "objective": solution.objective.name,
            "temperature": solution.objective.temperature,
            **told,
            **({} if self.counts is None else self.counts.to_dict()),
            "version": __version__,
        }

    def lines(self) -> list[str]:
        """The levels as a small table, and how to read a loss curve by it."""
        objective, counts, chance = self.solution.objective, self.counts, self.no_positive_probability
        rows = [("geometry", "loss"), *((WORDS[name], f"{value:.6f}") for name, value in self.levels.items())]
        largest = max(self.gap, self.minority_gap or 0.0)
        proof = f"CERTIFIED: the optima are proved, to {largest:.1e}"
        if not self.ok:
            proof = f"NOT CERTIFIED: the optima may lie {largest:.1e} lower, or their geometry is not fixed"
        lines = [f"{objective.name}, temperature {objective.temperature:g}", str(counts or ""), ""]
        lines += [*(f"  {line}" for line in table(rows)), ""]
        if self.factor != 1.0:
            lines.append(entry("units", f"nats times {self.factor:.6g} (temperature / base temperature)"))
        lines.append(entry("proof", proof))
        if chance is not None and counts is not None:
            which = f"{len(self.minority)} of {counts.classes} classes ({counts.which(self.minority)})"
            lines.append(entry("minority", which if self.minority else "none below the average class, or not told"))
            rarest, most = counts.per_class.argmin(), counts.per_class.argmax()
            alone = f"{chance[rarest]:.2g} of the anchors of the rarest class, {chance[most]:.2g} of the largest"
            lines.append(entry("alone in the batch", alone if chance.any() else "none: every class has two examples"))
        lines += ["", *([] if self.nearest is None else [f"{self.nearest.reading}."])]
        lines.append(
            f"A loss curve that stops at {self.collapsed:.2f} is full collapse: no two classes are told apart."
        )
        if self.minority_collapsed is not None and len(self.minority) > 1:
            lines.append(
                f"Keeping the minority classes in one point costs {self.minority_collapsed - self.optimum:.3g}: "
                "a curve can look converged without telling them apart."
            )
        average = " on average over batches" if self.batch is not None else ""
        lines.append(f"No geometry, whatever it is, has less loss than the optimum{average}.")
        if self.batch is not None:
            also = "drops out of the loss" if self.views == 1 else "has its own other views as its only positives"
            lines.append(f"An anchor that finds no other example of its class in its batch {also}.")
        return lines


def loss_levels(
    counts: Counts | ArrayLike,
    *,
    temperature: float,
    views: int = 2,
    batch: int | None = None,
    sampler: Sampler = "instance",
    draw: str = "independent",
    averaging: Averaging = "anchor",
    reducer: str = "mean",
    base_temperature: float | None = None,
    observed: float | None = None,
    progress: Progress | None = None,
) -> LossLevels:
    """What values a SupCon loss curve stops at, and what each of them means.

    With all classes in one point the loss is log(views * batch - 1) nats (full batch: log(views * N - 1)), and with one
    view, where an anchor without a positive counts as 0, sum_c pi_c P_c log(batch - 1), P_c the chance that it has one.
    Sampling weighs classes by how often they are drawn, and averages by what they weigh.

    Args:
        counts: examples per class; with a batch, proportions do as well.
        temperature: tau.
        views: augmented views per example.
        batch: examples per batch; None: all of them in one batch. In training on several devices, count the examples
            that one anchor is compared with.
        sampler: how a batch is drawn, see `SupCon`; like what follows.
        draw: "independent", or "shuffle" for shuffled epochs.
        averaging: what the mean is over.
        reducer: what divides it.
        base_temperature: for code that multiplies the loss by temperature / base_temperature (SupContrast does, with
            0.07); None: no such factor.
        observed: a value from a log, to be told the nearest level of: see `plateau`.
        progress: called with a line of text as the work goes on.

    Returns:
        A LossLevels. Its optima carry their certificates; `quality` says whether both are proved. The minority are the
        classes with fewer examples than the average class; of averaging and reducers of one's own, of PxM, and of
        shuffled batches of one view the level with them in one point is not told.

    Raises:
        ProblemError: what `SupCon` refuses, or a base temperature that is not above 0.

    Cost: two solves.
    Source: ours; see the theory page.
    """
    counts = as_counts(counts)
    check_pairs(counts)
    how: dict[str, Any] = {"views": views, "batch": batch, "sampler": sampler, "draw": draw}
    objective = SupCon(counts, temperature=temperature, **how, averaging=averaging, reducer=reducer)
    drawn = batches(counts, batch, views, sampler, draw, averaging, reducer)
    factor = 1.0 if base_temperature is None else objective.temperature / check_base(base_temperature)
    members = np.flatnonzero(counts.per_class < counts.total / counts.classes * (1.0 - 1e-12))
    # Classes in one point are as good as one class, or a loss of one view of independent draws.
    alike = drawn is None or (drawn.counts is not None and drawn.all_anchors and (drawn.views > 1 or drawn.replaced))
    if averaging != "anchor" or not alike:
        members = members[:0]
    solution = solve(objective, throw=False, progress=progress)
    merged = None
    if len(members):
        merged = solve(merged_supcon(counts, members, temperature=temperature, **how), throw=False, progress=progress)
    alone = np.where(counts.per_class <= 1, 1.0, 0.0) if drawn is None else drawn.alone
    batch = None if drawn is None else drawn.count + 1
    levels = _levels(solution, merged)
    near = None
    if observed is not None:
        anchors = views * (counts.total if batch is None else batch)
        near = nearest(observed, levels, objective.temperature, base_temperature, anchors)
    return LossLevels(
        **{name: factor * value for name, value in levels.items()},
        solution=solution,
        counts=counts,
        minority=tuple(members.tolist()),
        minority_solution=merged,
        no_positive_probability=alone,
        factor=factor,
        views=views,
        batch=batch,
        observed=observed,
        nearest=near,
    )


def _levels(solution: Solution, merged: Solution | None = None) -> dict[str, Any]:
    """The levels in nats."""
    objective, orbits = solution.objective, solution.objective.orbits
    levels = {"collapsed": objective.value(OrbitGram(orbits, np.ones((len(orbits.sizes),) * 2)))}
    if objective.description.atoms == "class means":
        levels["simplex"] = objective.value(OrbitGram.simplex(orbits))
    if merged is not None:
        levels["minority_collapsed"] = merged.value
    return {**levels, "optimum": solution.value}


def plateau(
    objective: Objective,
    observed: float,
    *,
    base_temperature: float | None = None,
    progress: Progress | None = None,
) -> LossLevels:
    """The level of a loss that an observed value is nearest to.

    The levels are the loss with all atoms in one point ("collapsed"; of a hinge its margin), at the regular simplex (of
    class means), and at the certified optimum, in nats. Which units the value has is part of the question: without a
    base temperature both none and 0.07 are tried.

    Args:
        objective: the loss.
        observed: the value, from a log.
        base_temperature: of the training code; None: not known.
        progress: called with a line of text.
    """
    solution = solve(objective, throw=False, progress=progress)
    levels = _levels(solution)
    near = nearest(observed, levels, objective.temperature, base_temperature)
    return LossLevels(**levels, solution=solution, counts=objective.counts, observed=observed, nearest=near)
