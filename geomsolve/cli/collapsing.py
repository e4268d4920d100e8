"""Verbs about collapse: critical values, phase diagrams, and what value of a loss means what geometry."""

from pathlib import Path
from typing import Annotated, Any

from ..collapse.levels import loss_levels, plateau
from ..collapse.phases import phase_diagram
from ..collapse.thresholds import threshold as find_threshold
from ..collapse.two_levels import check_loss
from ..errors import ProblemError
from ..files import check_file
from ..objectives.registry import REQUIRED, builder_of, checked_options, objective_options, typed
from ..solvers.verification import verify
from . import options
from .app import code, verb
from .options import option
from .outputs import Outputs, reporting


@verb(
    "geomsolve threshold --objective gcl --majority 1 --minority 9",
    "geomsolve threshold --counts isic2019 --temperature 1 --vary tail",
    losses=options.settings_of(options.PUSHING),
)
@options.with_loss
def threshold(
    loss: options.Loss,
    *,
    majority: options.MajorityOption = None,
    minority: options.MinorityOption = None,
    per_class: options.PerClassOption = None,
    ratio: Annotated[float | None, option("Majority count over minority count, if that is given.")] = None,
    counts: options.CountsOption = None,
    column: options.ColumnOption = None,
    drop_empty: options.DropOption = False,
    vary: Annotated[
        str | None, option("temperature, negatives, ratio; with --counts power or tail.", "--vary", "--over")
    ] = None,
    prove: options.ProveOption = False,
    digits: options.DigitsOption = None,
    tol: options.TolOption = 1e-9,
    json: options.JsonOption = None,
) -> int:
    """The critical imbalance (or temperature, or k) at which classes collapse into one point; or why they never do."""
    wanted = options.proved_digits(prove, digits)
    if wanted is not None and counts is not None:
        raise ProblemError(
            f"counts: a critical value is proved for --majority and --minority; got {counts:.40} (leave --prove out)"
        )
    outputs = Outputs(json)
    loaded = None if counts is None else options.read_counts(counts=counts, column=column, drop_empty=drop_empty)
    _check(vary or ("ratio" if counts is None else "power"), loss)
    with reporting() as progress:
        levels: dict[str, Any] = {"majority": majority, "minority": minority, "per_class": per_class, "ratio": ratio}
        found = find_threshold(loss.builder, loaded, vary=vary, **levels, tol=tol, progress=progress)
        verified = None if wanted is None or found.value is None else verify(found, digits=wanted)
    report, lines = found.to_dict(), found.lines()
    if verified is not None:
        report["verified"] = verified.to_dict()
        lines += ["", *verified.lines()]
    elif wanted is not None:
        lines.append("Nothing was proved in ball arithmetic: only a critical value is.")
    outputs.emit(report, lines)
    return code(found.ok)


@verb(
    "geomsolve phase --objective gcl --negatives 1 --plot phase.png",
    "geomsolve phase --objective gcl --over classes --csv ratios.csv",
    losses=options.settings_of(options.PUSHING),
)
@options.with_loss
def phase(
    loss: options.Loss,
    *,
    over: Annotated[str, option("temperature, negatives, or classes.", "--over", "--vary")] = "temperature",
    majority: options.MajorityOption = None,
    minority: options.MinorityOption = None,
    per_class: options.PerClassOption = None,
    ratios: Annotated[tuple[float, float], option("From and to.")] = (1.0, 1e3),
    span: Annotated[tuple[float, float] | None, option("From and to: temperatures (0.1 2), or k (1 1024).")] = None,
    grid: Annotated[tuple[int, int], option("How many ratios and other values are solved.")] = (33, 25),
    tol: options.TolOption = 1e-9,
    plot: options.PlotOption = None,
    csv: Annotated[Path | None, option("Write the grid (or the critical ratios) as a CSV file.")] = None,
    json: options.JsonOption = None,
) -> int:
    """The phase diagram of minority collapse over imbalance ratio and temperature, k, or numbers of classes."""
    outputs = Outputs(json, plot)
    if csv is not None:
        check_file("csv", csv)
    _check(over, loss)
    levels: dict[str, Any] = {"majority": majority, "minority": minority, "per_class": per_class}
    classes = {name: number for name, number in levels.items() if number is not None}
    with reporting() as progress:
        how: dict[str, Any] = {"over": over, "ratios": ratios, "span": span, "grid": grid, "tol": tol}
        diagram = phase_diagram(loss.builder, **how, **classes, progress=progress)
        if plot is not None:
            diagram.plot(plot)
        if csv is not None:
            diagram.write_csv(csv)
    return outputs.tell(diagram, [] if csv is None else [csv])


def _check(varied: str, loss: options.Loss) -> None:
    """Refuse an option for what is varied, and a loss without critical values before asking for more of its options."""
    given = loss.options.get(varied)
    if given is not None:
        raise ProblemError(f"{varied}: is what is varied; got {given} (leave it out, or vary something else)")
    required = [option for option, default in objective_options(loss.name).items() if default is REQUIRED]
    check_loss(loss.builder, "ratio", {option: 0.5 for option in required if loss.options.get(option) is None})


@verb(
    "geomsolve levels --counts cifar100_lt:100 --temperature 0.1 --batch 256",
    "geomsolve levels --counts 128x1 --temperature 0.1 --observed 3.2",
    losses=options.settings_of(options.FREE),
)
@options.with_problem
def levels(
    problem: options.Problem,
    *,
    base_temperature: options.BaseTemperatureOption = None,
    observed: Annotated[float | None, option("A loss from a log: which level is nearest, in which units.")] = None,
    json: options.JsonOption = None,
) -> int:
    """The loss where all classes collapse, where the minority does, at the simplex and at the optimum.

    With --observed, what a training loss that stopped there means. SimCLR with batches of 128: --counts 128x1.
    """
    outputs, settings, name = Outputs(json), problem.loss.options, problem.loss.name
    how: dict[str, Any] = {"observed": observed, "base_temperature": base_temperature}
    if settings["keys"] == "momentum":
        raise ProblemError("keys: training with momentum keys ends in an equilibrium, which no value of a loss marks")
    with reporting() as progress:
        if name == "supcon":
            given = typed(checked_options(name, builder_of(name), settings))
            given.pop("keys", None)
            return outputs.tell(loss_levels(problem.counts, **given, **how, progress=progress))
        if observed is None:
            rule = "only the level that an observed loss is nearest to is told"
            raise ProblemError(f"observed: of {name} {rule} (write --observed VALUE)")
        return outputs.tell(plateau(problem.objective, **how, progress=progress))
