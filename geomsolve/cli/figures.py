"""The verb that draws the theory's figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import ProblemError
from .app import NOT_CERTIFIED, OK, app
from .options import JsonOption
from .terminal import Outputs, reporting


@app.command()
def figures(
    names: Annotated[list[str] | None, typer.Argument(help="Which figures; all of them without names.")] = None,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write NAME.pdf, NAME.png and NAME.csv to this folder; required to draw.")
    ] = None,
    only_list: Annotated[
        bool, typer.Option("--list", help="Print the names of the figures and what they show.")
    ] = False,
    json: JsonOption = None,
) -> int:
    """The figures of the theory, each with the certified data behind it."""
    from ..figures.gallery.catalogue import FIGURES, draw_figures
    from .reports.basics import table

    if only_list:
        listed = [{"name": name, "description": words} for name, (words, _) in FIGURES.items()]
        rows = [(name, words) for name, (words, _) in FIGURES.items()]
        Outputs(json).emit({"figures": listed}, lambda: "\n".join(f"{name:<24}{words}" for name, words in rows))
        return OK
    if out is None:
        raise ProblemError("out: must be given; got none (a folder for the files, or --list for the names)")
    outputs = Outputs(json)
    with reporting() as progress:
        drawn = draw_figures(out, names or None, progress=progress)
    missing = sum(figure.uncertified for figure in drawn)
    report = {
        "figures": [
            {
                "name": figure.name,
                "description": figure.description,
                "files": [str(file) for file in figure.files],
                "points": figure.points,
                "uncertified": figure.uncertified,
            }
            for figure in drawn
        ]
    }
    cells: list[tuple[str, ...]] = [("figure", "points", "not certified")]
    cells += [(figure.name, f"{figure.points}", f"{figure.uncertified}") for figure in drawn]
    words = f"  wrote a .pdf, .png and .csv of each to {out}"
    outputs.emit(report, lambda: "\n".join([*table(cells), "", words]))
    return NOT_CERTIFIED if missing else OK
