"""The verb `design`: loss weights under which a wanted geometry is the optimum."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .app import NOT_CERTIFIED, OK, app
from .options import CountsOption, JsonOption, TolOption
from .terminal import Outputs


@app.command()
def design(
    *,
    counts: CountsOption,
    temperature: Annotated[float, typer.Option(help="Temperature of the loss.")],
    target: Annotated[
        Path | None,
        typer.Option(help="A .npy file: the wanted C x C cosines, in class order; left out: the regular simplex."),
    ] = None,
    anchors: Annotated[
        str, typer.Option(help="class: every class weighs the same (default); instance: every example does.")
    ] = "class",
    tol: TolOption = 1e-9,
    out: Annotated[Path | None, typer.Option(help="Write design.json and design.npz to this folder.")] = None,
    json: JsonOption = None,
) -> int:
    """The weights of a contrastive loss whose optimum is the geometry you want."""
    import numpy as np

    from ..certificates.certificate import check_tol
    from ..choosing.designs import design as design_weights
    from ..counts.sources import load_counts
    from ..files import read_array
    from .reports.basics import dumps
    from .reports.designs import design_arrays, design_report, design_text

    check_tol(tol)
    outputs = Outputs(json, None, out)
    wanted = None if target is None else read_array("target", target)
    found = design_weights(load_counts(counts), wanted, temperature=temperature, anchors=anchors)
    report = design_report(found, tol)
    files: list[str] = []
    if out is not None:
        files = [str(out / "design.json"), str(out / "design.npz")]
        report["files"] = files
        np.savez(out / "design.npz", allow_pickle=False, **design_arrays(found))
        (out / "design.json").write_text(dumps(report) + "\n", encoding="utf-8")
    outputs.emit(report, lambda: "\n".join([design_text(found, tol), *(f"  wrote {file}" for file in files)]))
    return OK if found.certificate.holds(tol) else NOT_CERTIFIED
