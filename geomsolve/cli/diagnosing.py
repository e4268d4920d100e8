"""The verb `diagnose`: trained embeddings beside the certified optimum of their loss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ProblemError
from ..files import check_file, read_npy
from .app import NOT_CERTIFIED, OK, app
from .options import JsonOption, Loss, TolOption, with_loss
from .terminal import Outputs, reporting

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
    labels: Annotated[
        Path,
        typer.Option(help='One integer or text per sample: a .npy file, or a CSV with a column "label".'),
    ],
    weights: Annotated[
        Path | None,
        typer.Option(
            help="A .npy file: the C x dimensions weights of a classifier, rows in sorted order of the labels."
        ),
    ] = None,
    counts: Annotated[
        str | None,
        typer.Option(
            help='Examples per class in training, in sorted order of the labels: a CSV with a column "count", or '
            "1000,100,10; left out: those of the labels."
        ),
    ] = None,
    sorted_classes: Annotated[
        bool,
        typer.Option(
            "--sorted-classes",
            help="Take a built-in profile as --counts: labels are numbered by count, largest first.",
        ),
    ] = False,
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
    from ..counts.sources import load_counts
    from ..training.diagnoses import diagnose as diagnose_embeddings
    from .reports.basics import dumps
    from .reports.diagnoses import diagnosis_report, diagnosis_text

    source = context.get_parameter_source("objective")
    named = source is not None and source.name == "COMMANDLINE"
    settings = {name: value for name, value in chosen.options.items() if value is not None}
    outputs = Outputs(json)
    files = [] if report is None else _report_files(report)
    arrays = [_read("embeddings", embeddings), _read_labels(labels)]
    matrix = None if weights is None else _read("weights", weights)
    trained = None if counts is None else load_counts(counts)
    with reporting() as progress:
        found = diagnose_embeddings(
            *arrays,
            weights=matrix,
            objective=chosen.name if named or settings else None,
            counts=trained,
            sorted_classes=sorted_classes,
            neighbours=neighbours,
            tol=tol,
            progress=progress,
            **settings,
        )
        written = diagnosis_report(found)
        if files:
            from ..figures.diagnoses import plot_diagnosis

            text, data, picture = files
            written["files"] = [str(path) for path in files]
            plot_diagnosis(found, picture)
            text.write_text(diagnosis_text(found) + "\n", encoding="utf-8")
            data.write_text(dumps(written) + "\n", encoding="utf-8")
    outputs.emit(
        written, lambda: "\n".join([diagnosis_text(found), *(f"  wrote {file}" for file in written.get("files", ()))])
    )
    return OK if found.optimum is None or found.optimum.certified else NOT_CERTIFIED


def _report_files(folder: Path) -> list[Path]:
    """The three files of a report, found to be writable before anything is computed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProblemError(f"report: must be a folder that can be made; got {folder} ({error.strerror})") from None
    files = [folder / name for name in ("report.txt", "diagnosis.json", "diagnosis.png")]
    for file in files:
        check_file("report", file)
    return files


def _read(argument: str, path: Path) -> NDArray[Any]:
    """The array in a .npy file, of any type but Python objects: `diagnose` says which it takes."""
    return read_npy(argument, path, "biufcmMUSV", "a whole .npy file of one array of numbers, as numpy.save writes it")


def _read_labels(path: Path) -> NDArray[Any]:
    if path.suffix.lower() == ".csv":
        from ..similarities.labels import load_labels

        return load_labels(path)
    wanted = (
        "a whole .npy file of one array of integers or texts, as numpy.save writes it; Python objects are never "
        "unpickled (labels.astype(int) makes numbers of them, labels.astype(str) texts), or a .csv file"
    )
    return read_npy("labels", path, "biufcmMUSV", wanted)
