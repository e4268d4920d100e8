"""Loss levels, as a dictionary and as a table with what each level means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ... import __version__
from ...counts.counts import Counts
from ...solvers.solution import Quality
from .basics import counts_line, ranges, row, table

if TYPE_CHECKING:
    from ...collapse.levels import LossLevels


def levels_report(levels: LossLevels, counts: Counts) -> dict[str, Any]:
    """The levels as a dictionary, ready for `dumps` (keys as in the command line's contract)."""
    solution, merged = levels.solution, levels.minority_solution
    return {
        "collapsed": levels.collapsed,
        "simplex": levels.simplex,
        "minority_collapsed": levels.minority_collapsed,
        "optimum": levels.optimum,
        "no_positive_probability": levels.no_positive_probability,
        "quality": levels.quality.value,
        "gap": levels.gap,
        "relative_gap": solution.certificate.relative_gap,
        "cosine_residual": solution.certificate.cosine_residual,
        "minority": levels.minority,
        "minority_gap": levels.minority_gap,
        "factor": levels.factor,
        "seconds": solution.seconds + (0.0 if merged is None else merged.seconds),
        "objective": solution.objective.name,
        "temperature": solution.objective.temperature,
        "counts": counts.name,
        "classes": counts.classes,
        "version": __version__,
    }


def levels_text(levels: LossLevels, counts: Counts, *, views: int, batch: int | None) -> str:
    """The levels as a small table, and how to read a loss curve by it."""
    solution = levels.solution
    rows: list[tuple[str, ...]] = [("geometry", "loss"), ("all classes in one point", f"{levels.collapsed:.6f}")]
    rows.append(("regular simplex", f"{levels.simplex:.6f}"))
    if levels.minority_collapsed is not None:
        rows.append(("minority in one point", f"{levels.minority_collapsed:.6f}"))
    rows.append(("optimum", f"{levels.optimum:.6f}"))
    lines = [
        f"{solution.objective.name}, temperature {solution.objective.temperature:g}",
        counts_line(counts),
        "",
        *(f"  {line}" for line in table(rows)),
        "",
    ]
    if levels.factor != 1.0:
        lines.append(row("units", f"nats times {levels.factor:.6g} (temperature / base temperature)"))
    lines += [row("proof", _proof(levels)), row("minority", _minority_words(levels, counts))]
    lines += [row("alone in the batch", _alone_words(levels, counts, batch)), ""]
    lines.append(f"A loss curve that stops at {levels.collapsed:.2f} is full collapse: no two classes are told apart.")
    if levels.minority_collapsed is not None and len(levels.minority) > 1:
        lines.append(
            f"Keeping the minority classes in one point costs {levels.minority_collapsed - levels.optimum:.3g}: "
            "a curve can look converged without telling them apart."
        )
    what = "No class means, however placed, have less loss than the optimum"
    lines.append(f"{what}{' on average over batches' if batch is not None else ''}.")
    if batch is not None:
        also = "drops out of the loss" if views == 1 else "has its own other views as its only positives"
        lines.append(f"An anchor that finds no other example of its class in its batch {also}.")
    return "\n".join(lines)


def _proof(levels: LossLevels) -> str:
    largest = max(levels.gap, levels.minority_gap or 0.0)
    if levels.quality is Quality.CERTIFIED:
        return f"CERTIFIED: the optima are proved, to {largest:.1e}"
    return f"NOT CERTIFIED: the optima may lie {largest:.1e} lower, or their geometry is not fixed"


def _minority_words(levels: LossLevels, counts: Counts) -> str:
    if not levels.minority:
        return "none: all classes have as many examples"
    sizes = counts.per_class[list(levels.minority)]
    span = f"{sizes.max():g}" if sizes.max() == sizes.min() else f"{sizes.max():g} to {sizes.min():g}"
    alone = " (alone: nothing to collapse)" if len(sizes) == 1 else ""
    return f"{len(sizes)} of {counts.classes} classes, of {span} ({ranges(levels.minority)}){alone}"


def _alone_words(levels: LossLevels, counts: Counts, batch: int | None) -> str:
    chance = levels.no_positive_probability
    if batch is None:
        alone = np.flatnonzero(chance)
        return f"{ranges(alone)}, of a single example" if len(alone) else "none: every class has two examples"
    rarest, largest = int(np.argmin(counts.per_class)), int(np.argmax(counts.per_class))
    if rarest == largest:
        return f"{chance[rarest]:.2g} of the anchors, whatever their class"
    return (
        f"{chance[rarest]:.2g} of the anchors of class {rarest} (the rarest), {chance[largest]:.2g} of class {largest}"
    )
