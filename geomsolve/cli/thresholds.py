"""Verbs about collapse: critical values, and phase diagrams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ProblemError
from ..files import check_file
from .app import NOT_CERTIFIED, OK, app
from .options import DigitsOption, JsonOption, Loss, ProveOption, TolOption, proved_digits, with_loss
from .terminal import Outputs, reporting

MajorityOption = Annotated[int | None, typer.Option(help="Number of majority classes.")]
MinorityOption = Annotated[
    int | None, typer.Option(help="Number of minority classes; with --counts and --vary tail, of tail classes.")
]
PerClassOption = Annotated[
    float | None, typer.Option(help="Examples of a minority class (supcon depends on it, unless it has a --batch).")
]


@app.command()
@with_loss
def threshold(
    loss: Loss,
    *,
    majority: MajorityOption = None,
    minority: MinorityOption = None,
    per_class: PerClassOption = None,
    ratio: Annotated[float | None, typer.Option(help="Majority count over minority count, if that is given.")] = None,
    counts: Annotated[
        str | None, typer.Option(help="In place of majority and minority: a profile, a CSV, or 1000,100,10.")
    ] = None,
    vary: Annotated[
        str | None,
        typer.Option(
            help="ratio, temperature or negatives (k); with --counts: power (every count raised to one), tail (the "
            "tail divided by a factor), temperature or negatives."
        ),
    ] = None,
    prove: ProveOption = False,
    digits: DigitsOption = None,
    tol: TolOption = 1e-9,
    json: JsonOption = None,
) -> int:
    """The critical imbalance (or temperature, or k) at which classes collapse into one point; or why they never do."""
    from ..collapse.thresholds import threshold as find
    from ..counts.sources import load_counts
    from ..solvers.verification import verify
    from .reports.thresholds import threshold_report, threshold_text
    from .reports.verified import verified_threshold_lines, verified_threshold_report

    wanted = proved_digits(prove, digits)
    if wanted is not None and counts is not None:
        raise ProblemError(
            f"counts: a critical value is proved for --majority and --minority; got {counts:.40} (leave --prove out)"
        )
    outputs = Outputs(json)
    loaded = None if counts is None else load_counts(counts)
    _check(vary or ("ratio" if counts is None else "power"), loss)
    with reporting() as progress:
        found = find(
            loss.builder,
            loaded,
            vary=vary,
            majority=majority,
            minority=minority,
            per_class=per_class,
            ratio=ratio,
            tol=tol,
            progress=progress,
        )
        verified = None if wanted is None or found.value is None else verify(found, digits=wanted)
    report, lines = threshold_report(found), [threshold_text(found)]
    if verified is not None:
        report["verified"] = verified_threshold_report(verified)
        lines += verified_threshold_lines(verified)
    elif wanted is not None:
        lines.append("Nothing was proved in ball arithmetic: only a critical value is.")
    outputs.emit(report, lambda: "\n".join(lines))
    return OK if found.confirmed is not False else NOT_CERTIFIED


@app.command()
@with_loss
def phase(
    loss: Loss,
    *,
    over: Annotated[str, typer.Option(help="temperature, negatives (k), or classes (n_A and n_B).")] = "temperature",
    majority: MajorityOption = None,
    minority: MinorityOption = None,
    per_class: PerClassOption = None,
    ratios: Annotated[tuple[float, float], typer.Option(help="From and to.")] = (1.0, 1e3),
    span: Annotated[
        tuple[float, float] | None, typer.Option(help="From and to: temperatures (0.1 2), or k (1 1024).")
    ] = None,
    grid: Annotated[tuple[int, int], typer.Option(help="How many ratios and other values are solved.")] = (33, 25),
    tol: TolOption = 1e-9,
    plot: Annotated[Path | None, typer.Option(help="Draw it: .png, .pdf or .svg.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the grid (or the critical ratios) as a CSV file.")] = None,
    json: JsonOption = None,
) -> int:
    """The phase diagram of minority collapse over imbalance ratio and temperature, k, or numbers of classes."""
    from ..collapse.phases import phase_diagram
    from ..figures.phases import plot_phases
    from .reports.phases import phase_report, phase_text, write_grid

    outputs = Outputs(json, plot)
    if csv is not None:
        check_file("csv", csv)
    _check(over, loss)
    classes: dict[str, Any] = {"majority": majority, "minority": minority}
    with reporting() as progress:
        diagram = phase_diagram(
            loss.builder,
            over=over,
            **{name: number for name, number in classes.items() if number is not None},
            per_class=per_class,
            ratios=ratios,
            span=span,
            grid=grid,
            tol=tol,
            progress=progress,
        )
        if plot is not None:
            plot_phases(diagram, plot)
        if csv is not None:
            write_grid(diagram, csv)
    files = [str(file) for file in (plot, csv) if file is not None]
    outputs.emit(phase_report(diagram, files), lambda: phase_text(diagram, files))
    return OK if diagram.certified.all() else NOT_CERTIFIED


def _check(varied: str, loss: Loss) -> None:
    """Refuse an option for what is varied, and a loss without critical values before asking for more of its options."""
    from ..collapse.two_levels import check_loss
    from ..objectives.registry import REQUIRED, objective_options

    given = loss.options.get(varied)
    if given is not None:
        raise ProblemError(f"{varied}: is what is varied; got {given} (leave it out, or vary something else)")
    required = [option for option, default in objective_options(loss.name).items() if default is REQUIRED]
    check_loss(loss.builder, "ratio", {option: 0.5 for option in required if loss.options.get(option) is None})
