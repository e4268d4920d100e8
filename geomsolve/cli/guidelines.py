"""The verb `guideline`: which settings of SupCL keep how much within-class variance."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import NOT_CERTIFIED, OK, app
from .options import ClassesOption, InstancesOption, JsonOption, read_counts
from .terminal import Outputs, reporting


@app.command()
def guideline(
    *,
    variance: Annotated[float, typer.Option(help="The within-class variance to keep; the total is 1.")],
    counts: Annotated[
        str | None, typer.Option(help="Instances per class: a profile, a CSV, or 50,20,5; or --classes, --instances.")
    ] = None,
    classes: ClassesOption = None,
    instances: InstancesOption = None,
    temperature: Annotated[
        list[float] | None, typer.Option(help="May be repeated; left out: six from 0.05 to 1.")
    ] = None,
    views: Annotated[int, typer.Option(help="Views per instance.")] = 2,
    self_pairs: Annotated[
        bool, typer.Option(help="Whether an embedding is its own positive and in its own denominator.")
    ] = True,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the variance over alpha and temperature: .png, .pdf or .svg.")
    ] = None,
    json: JsonOption = None,
) -> int:
    """Which (alpha, temperature) of SupCL keep a given within-class variance, and from where classes collapse."""
    from ..choosing.guidelines import TEMPERATURES, keep_variance, variance_map
    from ..figures.variances import plot_variance_map
    from .reports.supcl import guideline_report, guideline_text

    outputs = Outputs(json, plot)
    loaded = read_counts(counts, classes, instances)
    with reporting() as progress:
        found = keep_variance(
            loaded,
            variance,
            temperatures=temperature or TEMPERATURES,
            views=views,
            self_pairs=self_pairs,
            progress=progress,
        )
        proved, files = found.certified.all(), []
        if plot is not None:
            over = variance_map(loaded, views=views, self_pairs=self_pairs, progress=progress)
            plot_variance_map(over, plot, variance=found.variance)
            proved &= over.certified.all()
            files.append(str(plot))
    report = guideline_report(found, loaded, views=views, self_pairs=self_pairs, files=files)
    outputs.emit(report, lambda: guideline_text(found, loaded, views=views, self_pairs=self_pairs, files=files))
    return OK if proved else NOT_CERTIFIED
