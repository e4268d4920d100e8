"""The verb `targets`: the optimal geometry as a file of class targets for training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import NotCertified, ProblemError
from ..files import check_file
from .app import NOT_CERTIFIED, OK, app
from .options import JsonOption, Problem, TolOption, with_problem
from .terminal import Outputs, reporting

if TYPE_CHECKING:
    from ..arrays import Progress
    from ..training.exports import Source


@app.command()
@with_problem
def targets(
    problem: Problem,
    *,
    dim: Annotated[int, typer.Option(help="Coordinates: the width of your projection head.")],
    out: Annotated[
        Path,
        typer.Option(help="Write this file, .npy or .safetensors; or this folder, under the names TSC's loader wants."),
    ],
    layout: Annotated[str, typer.Option(help="proxies: (classes, dim); weights: (dim, classes).")] = "proxies",
    part: Annotated[
        str | None,
        typer.Option(help="prototype (bcl, ecl), classifier (ecl, lc) or target (tsc); without it, class means."),
    ] = None,
    sorted_classes: Annotated[
        bool,
        typer.Option(
            "--sorted-classes",
            help="Take a built-in profile: classes of the data are numbered by count, largest first.",
        ),
    ] = False,
    rotate: Annotated[
        bool, typer.Option("--rotate/--no-rotate", help="Into all coordinates, at random; else fill up with zeros.")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the rotation, and of the descents below the rank.")] = 0,
    restarts: Annotated[int, typer.Option(help="Descents below the rank; the best one counts.")] = 8,
    max_steps: Annotated[int, typer.Option(help="Of each descent.")] = 2000,
    tol: TolOption = 1e-9,
    json: JsonOption = None,
) -> int:
    """Class targets for training, in your class order, and what is proved of them."""
    from ..certificates.certificate import check_tol
    from ..training.exports import check_class_order
    from ..training.exports import targets as export_targets
    from ..training.target_files import check_destination, described
    from .reports.exports import targets_report, targets_text

    check_tol(tol)
    kind = check_destination(out, layout)
    if json not in (None, "-") and Path(str(json)).resolve() in (out.resolve(), described(out).resolve()):
        raise ProblemError(f"json: must be a file of its own; got {json}, which --out writes")
    outputs = Outputs(json, None, out if kind == "" else None)
    if kind:
        check_file("out", out)
    check_class_order(problem.counts, sorted_classes)
    with reporting() as progress:
        try:
            source = _solved(problem, dim, part, tol, progress)
        except NotCertified as error:  # Supervised Prototypes: there is nothing to write
            print(f"geomsolve: {' '.join(str(error).split())}", file=sys.stderr)
            return NOT_CERTIFIED
        found = export_targets(
            source,
            problem.counts,
            dim=dim,
            part=part,
            sorted_classes=sorted_classes,
            rotate=rotate,
            seed=seed,
            restarts=restarts,
            max_steps=max_steps,
            tol=tol,
            progress=progress,
        )
    files = [str(path) for path in found.save(out, layout=layout)]
    report: dict[str, Any] = {**targets_report(found, problem.counts, layout), "files": files}
    outputs.emit(
        report,
        lambda: "\n".join([targets_text(found, problem.counts, layout), *(f"  wrote {file}" for file in files)]),
    )
    return NOT_CERTIFIED if found.quality == "uncertified" else OK


def _solved(problem: Problem, dim: int, part: str | None, tol: float, progress: Progress) -> Source:
    """The geometry, certified or not, after a look at what is wanted of it."""
    from ..solvers.embedding import check_dim
    from ..solvers.ladder import solve
    from ..training.exports import check_wanted
    from .builders import PROTOTYPES, TARGETED, build_prototypes, build_targeted

    check_dim(dim, problem.counts.classes)
    if problem.loss.name == PROTOTYPES:
        return build_prototypes(problem.counts, problem.loss.options)
    if problem.loss.name == TARGETED:
        return build_targeted(problem.counts, problem.loss.options)
    check_wanted(problem.objective, dim, part)
    return solve(problem.objective, tol=tol, throw=False, progress=progress)
