"""The verb `diagnose`: trained embeddings beside the certified optimum of their loss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..arrays import read_npy
from ..terminal import Outputs, reporting
from .app import NOT_CERTIFIED, OK, app
from .options import JsonOption, Loss, TolOption, with_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray


@app.command()
@with_loss
def diagnose(
    chosen: Loss,
    *,
    context: typer.Context,
    embeddings: Annotated[
        Path, typer.Option(help="A .npy file: samples x dimensions, or views x samples x dimensions.")
    ],
    labels: Annotated[Path, typer.Option(help="A .npy file: one integer or text per sample.")],
    weights: Annotated[
        Path | None, typer.Option(help="A .npy file: the C x dimensions weights of a classifier, in label order.")
    ] = None,
    counts: Annotated[
        str | None,
        typer.Option(help="Examples per class in training, in sorted order of the labels; left out: of the labels."),
    ] = None,
    neighbours: Annotated[float, typer.Option(help="Of CAC: a number, or below 1 a share of all embeddings.")] = 0.05,
    tol: TolOption = 1e-9,
    report: Annotated[
        Path | None, typer.Option(help="Write report.txt, diagnosis.json and diagnosis.png to this folder.")
    ] = None,
    json: JsonOption = None,
) -> int:
    """Metrics of trained embeddings, and with a loss their distance from its certified optimum.

    The loss is taken into account where --objective or any of its options is given.
    """
    from ..counts import load_counts
    from ..diagnoses import diagnose as diagnose_embeddings
    from ..reports.basics import dumps
    from ..reports.diagnoses import diagnosis_report, diagnosis_text

    source = context.get_parameter_source("objective")
    named = source is not None and source.name == "COMMANDLINE"
    settings = {name: value for name, value in chosen.options.items() if value is not None}
    outputs = Outputs(json, None, report)
    arrays = [_read("embeddings", embeddings), _read("labels", labels)]
    matrix = None if weights is None else _read("weights", weights)
    trained = None if counts is None else load_counts(counts)
    with reporting() as progress:
        found = diagnose_embeddings(
            *arrays,
            weights=matrix,
            objective=chosen.name if named or settings else None,
            counts=trained,
            neighbours=neighbours,
            tol=tol,
            progress=progress,
            **settings,
        )
        written = diagnosis_report(found)
        if report is not None:
            from ..plots.diagnoses import plot_diagnosis

            files = [str(report / name) for name in ("report.txt", "diagnosis.json", "diagnosis.png")]
            plot_diagnosis(found, files[2])
            written["files"] = files
            Path(files[0]).write_text(diagnosis_text(found) + "\n", encoding="utf-8")
            Path(files[1]).write_text(dumps(written) + "\n", encoding="utf-8")
    outputs.emit(
        written, lambda: "\n".join([diagnosis_text(found), *(f"  wrote {file}" for file in written.get("files", ()))])
    )
    return OK if found.optimum is None or found.optimum.certified else NOT_CERTIFIED


def _read(argument: str, path: Path) -> NDArray[Any]:
    """The array in a .npy file, of any type but Python objects."""
    wanted = (
        "a whole .npy file of one array of numbers (labels: or texts), as numpy.save writes it; Python objects are "
        "never unpickled (array.astype(str) makes texts of them)"
    )
    return read_npy(argument, path, "biufcmMUSV", wanted)
