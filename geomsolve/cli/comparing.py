"""The verb `compare`: the optimal geometry of one data set under every loss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import NOT_CERTIFIED, OK, app
from .options import CountsOption, JsonOption, TolOption
from .terminal import Outputs, reporting


@app.command()
def compare(
    *,
    counts: CountsOption,
    temperature: Annotated[float, typer.Option(help="Temperature of the losses.")],
    losses: Annotated[
        str | None, typer.Option(help="Some only, separated by commas; left out: all that fit the number of classes.")
    ] = None,
    tol: TolOption = 1e-9,
    plot: Annotated[Path | None, typer.Option(help="Draw it: .png, .pdf or .svg.")] = None,
    json: JsonOption = None,
) -> int:
    """The optimal geometry under every loss side by side, and what follows from it."""
    from ..choosing.comparisons import compare as compare_losses
    from ..counts.sources import load_counts
    from ..figures.comparisons import plot_comparison
    from .reports.comparisons import comparison_report, comparison_text

    outputs = Outputs(json, plot)
    names = None if losses is None else [name.strip() for name in losses.split(",")]
    with reporting() as progress:
        found = compare_losses(load_counts(counts), temperature=temperature, losses=names, tol=tol, progress=progress)
        if plot is not None:
            plot_comparison(found, plot)
    report = comparison_report(found)
    if plot is not None:
        report["files"] = [str(plot)]
    outputs.emit(report, lambda: comparison_text(found) + (f"\n  wrote {plot}" if plot is not None else ""))
    return OK if all(row.certified for row in found.losses if row.means is not None) else NOT_CERTIFIED
