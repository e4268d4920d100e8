"""The verb `crosscheck`: solvers, critical values and verdicts, each by a second route."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..certificates.certificate import check_tol
from ..collapse.crosschecks import crosscheck_threshold
from ..errors import ProblemError
from ..similarities.crosschecks import crosscheck_verdict
from ..solvers.crosschecks import CrossCheck
from ..solvers.crosschecks import crosscheck as check_routes
from ..solvers.descent.jax_descent import check_device
from .app import code, verb
from .options import (
    FREE,
    ClassesOption,
    ColumnOption,
    DropOption,
    InstancesOption,
    JsonOption,
    Loss,
    MajorityOption,
    MinorityOption,
    PerClassOption,
    read_counts,
    settings_of,
    with_loss,
)  # fmt: skip
from .outputs import Outputs, reporting
from .realizing import read_weighting

_CONVENTION = ("temperature", "self_pairs", "epsilon")


@verb(
    "geomsolve crosscheck --counts 9,5,2 --temperature 1",
    "geomsolve crosscheck --objective gcl --majority 1 --minority 9",
    losses=settings_of(FREE),
)
@with_loss
def crosscheck(
    loss: Loss,
    *,
    counts: Annotated[
        str | None,
        typer.Option(help="Check the solvers: a profile, a file, 100x500, or 1000,100,10."),
    ] = None,
    column: ColumnOption = None,
    drop_empty: DropOption = False,
    classes: ClassesOption = None,
    instances: InstancesOption = None,
    thresholds: Annotated[
        bool, typer.Option("--thresholds", help="With --counts: check also when they collapse, as powers of them grow.")
    ] = False,
    majority: MajorityOption = None,
    minority: MinorityOption = None,
    per_class: PerClassOption = None,
    weights: Annotated[
        Path | None, typer.Option(help="Check the verdict of realize on these weights: a .npy file, N x N.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="The same on labels with a --scheme, as in realize.")] = None,
    scheme: Annotated[
        str | None, typer.Option(help="How labels make weights: supcon, soft-supcon, y-aware, x-clr.")
    ] = None,
    sigma: Annotated[float | None, typer.Option(help="y-aware: bandwidth of the kernel.")] = None,
    label_temperature: Annotated[float | None, typer.Option(help="x-clr: temperature of the labels' softmax.")] = None,
    seeds: Annotated[int, typer.Option(help="Random starts of the descent.")] = 1,
    device: Annotated[
        str | None, typer.Option(help="cpu or gpu, for the descent; where there is no GPU it says so and uses the CPU.")
    ] = None,
    tol: Annotated[
        float | None, typer.Option(help="The relative gap to certify (1e-9; of verdicts 1e-7).", show_default=False)
    ] = None,
    json: JsonOption = None,
) -> int:
    """Check by independent routes: solvers (--counts), critical ratios (--majority), verdicts (--weights)."""
    if seeds < 1:
        raise ProblemError(f"seeds: must be at least 1; got {seeds}")
    check_device(device)
    if tol is not None:
        check_tol(tol)
    how: dict[str, Any] = {"seeds": seeds, "device": device}
    levels: dict[str, Any] = {"majority": majority, "minority": minority, "per_class": per_class}
    drawn = {
        "scheme": scheme,
        "sigma": sigma,
        "epsilon": loss.options["epsilon"] if labels else None,
        "label_temperature": label_temperature,
    }
    given = [
        name
        for name, one in (
            ("counts", (counts, classes, instances)),
            ("majority", tuple(levels.values())),
            ("weights", (weights, labels, *drawn.values())),
        )
        if any(part is not None for part in one)
    ]
    if len(given) > 1:
        raise ProblemError(f"{given[1]}: one thing is checked at a time; got {given[0]} too (leave one out)")
    if thresholds and given != ["counts"]:
        raise ProblemError("thresholds: goes with counts; got none (majority and minority are checked without it)")
    outputs, more = Outputs(json), {}
    with reporting() as progress:
        how["progress"] = progress
        if given == ["weights"]:
            check = _verdict(loss, weights, labels, drawn, tol or 1e-7, how)
        elif given == ["majority"]:
            check = crosscheck_threshold(loss.builder, **levels, **how)
        else:
            loaded = read_counts(counts, classes, instances, column=column, drop_empty=drop_empty)
            check = check_routes(loss.over(loaded), **how, tol=tol or 1e-9)
            more = {"thresholds": crosscheck_threshold(loss.builder, loaded, **how)} if thresholds else {}
    report = {**check.to_dict(), **{name: one.to_dict() for name, one in more.items()}}
    outputs.emit(report, [*check.lines(), *(line for one in more.values() for line in ["", *one.lines()])])
    return code(check.ok and all(one.ok for one in more.values()))


def _verdict(
    loss: Loss,
    weights: Path | None,
    labels: str | None,
    drawn: dict[str, Any],
    tol: float,
    how: dict[str, Any],
) -> CrossCheck:
    for name, value in loss.options.items():
        if value is not None and name not in _CONVENTION:
            raise ProblemError(f"{name}: weights make a loss of their own; got {value} with weights (leave it out)")
    if loss.options["temperature"] is None:
        raise ProblemError("temperature: must be given; got none")
    scheme = drawn.pop("scheme")
    if scheme == "euclidean":
        raise ProblemError("scheme: euclidean has no sphere to descend on; got euclidean (supcon, soft-supcon, ...)")
    weighting = read_weighting(weights, labels, scheme, drawn, loss.options["self_pairs"])
    return crosscheck_verdict(weighting, temperature=loss.options["temperature"], tol=tol, **how)
