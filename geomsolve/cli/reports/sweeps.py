"""What a sweep says of itself: a dictionary for JSON, and text for people."""

from __future__ import annotations

from typing import Any

from ... import __version__
from ...sweeps.running import SweepResult
from .basics import row


def sweep_report(result: SweepResult) -> dict[str, Any]:
    """The outcome as a dictionary, ready for `dumps`."""
    return {
        "store": str(result.store),
        "points": result.points,
        "certified": result.certified,
        "uncertified": result.uncertified,
        "failed": result.failed,
        "solved": result.solved,
        "seconds": result.seconds,
        "reasons": [{"error": reason, "points": points} for reason, points in result.reasons],
        "version": __version__,
    }


def sweep_text(result: SweepResult) -> str:
    """The outcome in a few aligned lines."""
    rate = f", {result.solved / result.seconds:.0f}/s" if result.solved else ""
    lines = [
        f"{result.points} points, answers in {result.store}",
        row("certified", str(result.certified)),
        row("not certified", str(result.uncertified)),
        row("failed", str(result.failed)),
        row("solved in this run", f"{result.solved} problems in {result.seconds:.1f} s{rate}"),
    ]
    if result.solved < result.points:
        lines.append(row("", "the other points had an answer, or are the same problem as another point"))
    lines += [f"  {points} x {reason:.200}" for reason, points in result.reasons]
    return "\n".join(lines)
