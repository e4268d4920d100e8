"""Verbs beside a training run: targets for it, and a diagnosis of what it came to."""

import html
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ProblemError
from ..files import check_file, make_folder
from ..solvers.points.embedding import check_dim, check_seconds
from ..training.diagnoses import diagnose as diagnose_embeddings
from ..training.exports import check_class_order, check_wanted
from ..training.exports import targets as export_targets
from ..training.storage import described, read_samples
from ..training.target_files import check_destination
from . import options
from .app import code, verb
from .options import option
from .outputs import Outputs, reporting

# A diagnosis for a browser: its summary with the picture, and the text.
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>geomsolve diagnose</title></head>
<body>{summary}<pre>{text}</pre></body></html>
"""


@verb(
    "geomsolve targets --counts a.csv --temperature 0.1 --dim 128 --out T.npy",
    "geomsolve targets --counts 9,5,2 --objective lc --dim 8 --out w.npy",
    losses=options.settings_of(options.EVERY),
)
@options.with_problem
def targets(
    problem: options.Problem,
    *,
    dim: Annotated[int, option("Coordinates: the width of your projection head.")],
    out: Annotated[Path, option("A file, .npy, .safetensors or .pt; or a folder, with the names of TSC's loader.")],
    layout: Annotated[str, option("proxies: (classes, dim); weights: (dim, classes).")] = "proxies",
    part: Annotated[
        str | None, option("prototype (bcl, ecl), classifier (ecl, lc), target (tsc); else class means.")
    ] = None,
    sorted_classes: options.SortedOption = False,
    rotate: Annotated[bool, option("Into all coordinates, at random; else fill up with zeros.")] = True,
    seed: Annotated[int, option("Of the rotation and the descents.")] = 0,
    restarts: Annotated[int | None, option("Descents below the rank (many, or one if large).")] = None,
    max_steps: Annotated[int, option("Of each descent.")] = 2000,
    seconds: options.SecondsOption = None,
    tol: options.TolOption = 1e-9,
    json: options.JsonOption = None,
) -> int:
    """Class targets for training, in your class order, and what is proved of them."""
    kind = check_destination(out, layout)
    if json not in (None, "-") and Path(str(json)).resolve() in (out.resolve(), described(out).resolve()):
        raise ProblemError(f"json: must be a file of its own; got {json}, which --out writes")
    outputs = Outputs(json)
    if kind:
        check_file("out", out)
    else:
        make_folder("out", out)
    check_class_order(problem.counts, sorted_classes)
    check_dim(dim, problem.counts.classes)
    check_seconds(seconds)
    if problem.free:
        check_wanted(problem.objective, dim, part)
    with reporting() as progress:
        how: dict[str, Any] = {"dim": dim, "part": part, "sorted_classes": sorted_classes, "rotate": rotate}
        how |= {"seed": seed, "restarts": restarts, "max_steps": max_steps, "seconds": seconds, "tol": tol}
        found = export_targets(problem.solve(None, tol, progress), problem.counts, **how, progress=progress)
    outputs.emit(found.to_dict(layout), found.lines(layout), found.save(out, layout=layout))
    return code(found.ok)


@verb(
    "geomsolve diagnose --embeddings z.npy --labels y.npy --temperature 0.1",
    "geomsolve diagnose --embeddings z.npy --labels y.csv --report folder",
    losses=options.settings_of(options.PUSHING),
)
@options.with_loss
def diagnose(
    chosen: options.Loss,
    *,
    context: typer.Context,
    embeddings: Annotated[Path, option("A .npy, .npz, .pt or .parquet file: samples x dimensions, or views first.")],
    labels: Annotated[Path, option('One integer or text per sample: such a file, or a CSV with a column "label".')],
    weights: Annotated[Path | None, option("Such a file of a classifier, rows in sorted order of the labels.")] = None,
    counts: Annotated[
        str | None, option("Of training, in sorted order of the labels, as in solve; left out: those of the labels.")
    ] = None,
    column: options.ColumnOption = None,
    drop_empty: options.DropOption = False,
    sorted_classes: options.SortedOption = False,
    neighbours: Annotated[
        float | None, option("Of CAC: a number or a share of all; left out: as many as the class has, at most 5 %.")
    ] = None,
    convention: Annotated[str, option("Of CAC, CAD and SAD: geomsolve, or ttc (A Tale of Two Classes).")] = "geomsolve",
    base_temperature: options.BaseTemperatureOption = None,
    ignore: Annotated[int | None, option("Leave out samples of this label, such as -1.")] = None,
    tol: options.TolOption = 1e-9,
    report: Annotated[Path | None, option("Write report.html, report.txt, diagnosis.json and .png there.")] = None,
    json: options.JsonOption = None,
) -> int:
    """Metrics of trained embeddings, and with a loss their distance from its certified optimum.

    The loss is taken into account where --objective or any of its options is given.
    """
    source = context.get_parameter_source("objective")
    named = source is not None and source.name == "COMMANDLINE"
    settings = {name: value for name, value in chosen.options.items() if value is not None}
    outputs = Outputs(json, None, report, "diagnosis.json", "report")
    files = [] if report is None else [report / name for name in ("report.txt", "diagnosis.png", "report.html")]
    for file in files:
        check_file("report", file)
    arrays = [read_samples("embeddings", embeddings), read_samples("labels", labels)]
    matrix = None if weights is None else read_samples("weights", weights)
    trained = None if counts is None else options.read_counts(counts=counts, column=column, drop_empty=drop_empty)
    with reporting() as progress:
        how: dict[str, Any] = {"sorted_classes": sorted_classes, "neighbours": neighbours, "convention": convention}
        how |= {"base_temperature": base_temperature, "ignore": ignore, "tol": tol, "progress": progress, **settings}
        objective = chosen.name if named or settings else None
        found = diagnose_embeddings(*arrays, weights=matrix, objective=objective, counts=trained, **how)
        if files:
            text = "\n".join(found.lines())
            files[0].write_text(text + "\n", encoding="utf-8")
            found.plot(files[1])
            page = _PAGE.format(summary=found._repr_html_(), text=html.escape(text))
            files[2].write_text(page, encoding="utf-8")
    return outputs.tell(found, files)
