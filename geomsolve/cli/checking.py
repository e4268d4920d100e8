"""The verb `crosscheck`: solvers, critical values and verdicts, each by a second route."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import ProblemError
from .app import NOT_CERTIFIED, OK, app
from .options import ClassesOption, InstancesOption, JsonOption, Loss, read_counts, with_loss
from .terminal import Outputs, reporting
from .thresholds import MajorityOption, MinorityOption, PerClassOption

_CONVENTION = ("temperature", "self_pairs")


@app.command()
@with_loss
def crosscheck(
    loss: Loss,
    *,
    counts: Annotated[
        str | None,
        typer.Option(help='Check the solvers: a profile, a CSV with a column "count", or 1000,100,10.'),
    ] = None,
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
    epsilon: Annotated[float | None, typer.Option(help="soft-supcon: weight of a pair of different classes.")] = None,
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
    """Check by independent routes: solvers (--counts), critical ratios (--majority, --minority), verdicts (--weights).

    With --counts the problem is solved by every route that fits its size, and the answers compared. A critical value is
    checked by gradient descent over embeddings on both sides of it, a verdict by how near descent comes to the bound.
    """
    from ..certificates.certificate import check_tol
    from ..solvers.devices import check_device

    if seeds < 1:
        raise ProblemError(f"seeds: must be at least 1; got {seeds}")
    check_device(device)
    if tol is not None:
        check_tol(tol)
    how = {"seeds": seeds, "device": device}
    levels = {"majority": majority, "minority": minority, "per_class": per_class}
    drawn = {"scheme": scheme, "sigma": sigma, "epsilon": epsilon, "label_temperature": label_temperature}
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
    outputs = Outputs(json)
    if given == ["weights"]:
        return _verdict(loss, weights, labels, drawn, tol or 1e-7, how, outputs)
    if given == ["majority"]:
        return _threshold(loss, levels, how, outputs)
    return _routes(loss, counts, classes, instances, thresholds, tol or 1e-9, how, outputs)


def _routes(
    loss: Loss,
    counts: str | None,
    classes: int | None,
    instances: int | None,
    thresholds: bool,
    tol: float,
    how: dict[str, Any],
    outputs: Outputs,
) -> int:
    from ..collapse.crosschecks import crosscheck_threshold
    from ..solvers.crosschecks import crosscheck as check_routes
    from .reports.checks import collapse_report, collapse_text, crosscheck_report, crosscheck_text

    for name, number in (("classes", classes), ("instances", instances)):
        if number is not None and loss.name != "supcl":
            raise ProblemError(f"{name}: only supcl takes it; got {number} with {loss.name:.40} (write --counts)")
    loaded = read_counts(counts, classes, instances)
    objective = loss.over(loaded)
    collapse = None
    with reporting() as progress:
        check = check_routes(objective, **how, tol=tol, progress=progress)
        if thresholds:
            collapse = crosscheck_threshold(loss.builder, loaded, **how, progress=progress)
    report = crosscheck_report(check, objective.name, loaded)
    lines = [crosscheck_text(check, f"{objective.name}, temperature {objective.temperature:g}", loaded)]
    certified = any(route.certified for route in check.routes)
    good = check.agree or (certified and not check.compared)
    if collapse is not None:
        report["thresholds"] = collapse_report(collapse)
        lines += ["", collapse_text(collapse)]
        good = good and collapse.agree
    outputs.emit(report, lambda: "\n".join(lines))
    return OK if good else NOT_CERTIFIED


def _threshold(loss: Loss, levels: dict[str, Any], how: dict[str, Any], outputs: Outputs) -> int:
    from ..collapse.crosschecks import crosscheck_threshold
    from .reports.checks import collapse_report, collapse_text

    with reporting() as progress:
        check = crosscheck_threshold(loss.builder, **levels, **how, progress=progress)
    outputs.emit(collapse_report(check), lambda: collapse_text(check))
    return OK if check.agree else NOT_CERTIFIED


def _verdict(
    loss: Loss,
    weights: Path | None,
    labels: str | None,
    drawn: dict[str, Any],
    tol: float,
    how: dict[str, Any],
    outputs: Outputs,
) -> int:
    from ..similarities.crosschecks import crosscheck_verdict
    from .realizing import read_weighting
    from .reports.checks import verdict_report, verdict_text

    for name, value in loss.options.items():
        if value is not None and name not in _CONVENTION:
            raise ProblemError(f"{name}: weights make a loss of their own; got {value} with weights (leave it out)")
    if loss.options["temperature"] is None:
        raise ProblemError("temperature: must be given; got none")
    scheme = drawn.pop("scheme")
    if scheme == "euclidean":
        raise ProblemError("scheme: euclidean has no sphere to descend on; got euclidean (supcon, soft-supcon, ...)")
    weighting = read_weighting(weights, labels, scheme, drawn, loss.options["self_pairs"])
    with reporting() as progress:
        check = crosscheck_verdict(
            weighting, temperature=loss.options["temperature"], tol=tol, **how, progress=progress
        )
    outputs.emit(verdict_report(check), lambda: verdict_text(check))
    return OK if check.agree else NOT_CERTIFIED
