"""Exported targets: a dictionary, and text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...counts.counts import Counts
from .basics import counts_line, ranges, row, whole

if TYPE_CHECKING:
    from ...training.target_files import Targets

# Groups of classes named one by one; more of them are counted.
_MOST_GROUPS = 3


def targets_report(found: Targets, counts: Counts, layout: str) -> dict[str, Any]:
    """The targets as a dictionary, ready for `dumps`: everything but the rows, which are in the files."""
    return {
        "loss": found.loss,
        "temperature": found.temperature,
        "counts": counts.name,
        "per_class": [whole(each) for each in counts.per_class],
        "classes": len(found.rows),
        "dim": found.dim,
        "part": found.part,
        "layout": layout,
        "quality": found.quality,
        "value": found.value,
        "gap": found.gap,
        "relative_gap": found.relative_gap,
        "exact": found.exact,
        "rank": found.rank,
        "whole_rank": found.whole_rank,
        "exchangeable": found.exchangeable,
        "collapsed": found.collapsed,
        "seed": found.seed,
        "ordered": found.ordered,
        "warning": found.warning,
        "version": found.version,
    }


def targets_text(found: Targets, counts: Counts, layout: str) -> str:
    """The targets as text: what they are, what is proved of them, and the warning about their order."""
    shape = (len(found.rows), found.dim) if layout == "proxies" else (found.dim, len(found.rows))
    turned = "not rotated, filled with zeros" if found.seed is None else f"rotated, seed {found.seed}"
    lines = [
        f"targets for training: {found.loss}, temperature {found.temperature:g}",
        counts_line(counts),
        "",
        _proof(found),
        row("loss there", f"{found.value:.12g} nats"),
        row("array", f"{shape[0]} x {shape[1]} float32 ({layout}), unit vectors, {turned}"),
        row("dimensions", f"{found.dim}; the geometry needs {found.rank}"),
    ]
    if found.part != "mean":
        stands = (
            "the mean of a class's instances, normalised" if found.part == "instances" else f"a class's {found.part}"
        )
        lines.append(row("each row is", stands))
    if found.exact and (found.whole_rank or 0) > found.dim:
        what = f"needs {found.whole_rank}: with fewer, a network cannot have the optimum that these rows are part of"
        lines.append(row("whole geometry", what))
    lines.append(row("exchangeable", _groups(found.exchangeable)))
    if found.collapsed:
        lines.append(row("share one row", _groups(found.collapsed)))
    order = f"WARNING: {found.warning}" if found.ordered else f"  {found.warning}"
    return "\n".join([*lines, "", order])


def _proof(found: Targets) -> str:
    if found.quality == "certified":
        return f"CERTIFIED: no geometry of any dimension is better (relative gap {found.relative_gap:.1e})"
    if found.quality == "descended":
        return (
            f"BELOW THE RANK ({found.rank}): the best of several descents; proved: no geometry of any dimension is "
            f"better by more than {found.gap:.3g} nats"
        )
    return (
        f"NOT CERTIFIED: not known to be the optimum (relative gap {found.relative_gap:.1e}); the files say so, too "
        "(exit code 3)"
    )


def _groups(groups: tuple[tuple[int, ...], ...]) -> str:
    if not groups:
        return "none"
    shown = "; ".join(ranges(group) for group in groups[:_MOST_GROUPS])
    return shown if len(groups) <= _MOST_GROUPS else f"{shown}; {len(groups) - _MOST_GROUPS} more groups"
