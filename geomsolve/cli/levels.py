"""The verb `levels`: what value of a SupCon loss means what geometry."""

from __future__ import annotations

from typing import Annotated

import typer

from .app import NOT_CERTIFIED, OK, app
from .options import CountsOption, JsonOption
from .terminal import Outputs, reporting


@app.command()
def levels(
    *,
    counts: CountsOption,
    temperature: Annotated[float, typer.Option(help="Temperature of the loss.")],
    views: Annotated[int, typer.Option(help="Views per example.")] = 2,
    batch: Annotated[int | None, typer.Option(help="Batch size; left out: full batch.")] = None,
    base_temperature: Annotated[
        float | None,
        typer.Option(help="If the code multiplies its loss by temperature / base temperature (SupContrast: 0.07)."),
    ] = None,
    minority: Annotated[
        int | None,
        typer.Option(help="So many of the smallest classes are the minority; left out: all below the average size."),
    ] = None,
    json: JsonOption = None,
) -> int:
    """The SupCon loss where all classes collapse, where the minority does, at the simplex and at the optimum."""
    from ..collapse.levels import loss_levels
    from ..counts.sources import load_counts
    from ..solvers.solution import Quality
    from .reports.levels import levels_report, levels_text

    outputs = Outputs(json)
    loaded = load_counts(counts)
    with reporting() as progress:
        found = loss_levels(
            loaded,
            temperature=temperature,
            views=views,
            batch=batch,
            base_temperature=base_temperature,
            minority=minority,
            progress=progress,
        )
    outputs.emit(levels_report(found, loaded), lambda: levels_text(found, loaded, views=views, batch=batch))
    return OK if found.quality is Quality.CERTIFIED else NOT_CERTIFIED
