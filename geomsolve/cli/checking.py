"""The verb `crosscheck`: solvers, critical values and verdicts, each by a second route."""

from pathlib import Path
from typing import Annotated, Any

from ..certificates.certificate import check_tol
from ..collapse.crosschecks import crosscheck_threshold
from ..errors import ProblemError
from ..results import Result
from ..similarities.crosschecks import crosscheck_verdict
from ..solvers.crosschecks import crosscheck as check_routes
from ..solvers.descent.jax_descent import check_device
from . import options
from .app import verb
from .options import option
from .outputs import Outputs, reporting
from .realizing import read_weighting


def _check_tol(tol: float | None) -> float | None:
    return None if tol is None else check_tol(tol)


@verb(
    "geomsolve crosscheck --counts 9,5,2 --temperature 1",
    "geomsolve crosscheck --objective gcl --majority 1 --minority 9",
    losses=options.settings_of(options.FREE),
)
@options.with_loss
def crosscheck(
    loss: options.Loss,
    *,
    counts: options.CountsOption = None,
    column: options.ColumnOption = None,
    drop_empty: options.DropOption = False,
    majority: options.MajorityOption = None,
    minority: options.MinorityOption = None,
    per_class: options.PerClassOption = None,
    weights: Annotated[Path | None, option("Check realize's verdict on these weights: .npy, N x N.")] = None,
    labels: Annotated[str | None, option("The same on labels with a --scheme, as in realize.")] = None,
    scheme: Annotated[str | None, option("How labels make weights: supcon, soft-supcon, y-aware, x-clr.")] = None,
    sigma: Annotated[float | None, option("y-aware: bandwidth of the kernel.")] = None,
    label_temperature: Annotated[float | None, option("x-clr: temperature of the labels' softmax.")] = None,
    seeds: Annotated[int, option("Random starts of the descent.")] = 1,
    device: Annotated[str | None, option("cpu or gpu, for the descent (the CPU if there is no GPU).")] = None,
    tol: Annotated[float | None, option("To certify (1e-9; of verdicts 1e-7).", callback=_check_tol)] = None,
    json: options.JsonOption = None,
) -> int:
    """Check by independent routes: solvers (--counts), critical ratios (--majority), verdicts (--weights)."""
    if seeds < 1:
        raise ProblemError(f"seeds: must be at least 1; got {seeds}")
    check_device(device)
    levels: dict[str, Any] = {"majority": majority, "minority": minority, "per_class": per_class}
    drawn: dict[str, Any] = {"sigma": sigma, "label_temperature": label_temperature}
    weighed = (weights, labels, scheme, *drawn.values())
    groups = (("counts", [counts]), ("majority", levels.values()), ("weights", weighed))
    given = [name for name, values in groups if any(value is not None for value in values)]
    if len(given) > 1:
        raise ProblemError(f"{given[1]}: one thing is checked at a time; got {given[0]} too (leave one out)")
    outputs = Outputs(json)
    check: Result
    with reporting() as progress:
        how: dict[str, Any] = {"seeds": seeds, "device": device, "progress": progress}
        if given == ["weights"]:
            _check_weighted(loss, scheme)
            drawn["epsilon"] = loss.options["epsilon"] if labels else None
            weighting = read_weighting(weights, labels, scheme, drawn, loss.options["self_pairs"])
            check = crosscheck_verdict(weighting, temperature=loss.options["temperature"], tol=tol or 1e-7, **how)
        elif given == ["majority"]:
            check = crosscheck_threshold(loss.builder, **levels, **how)
        else:
            loaded = options.read_counts(counts=counts, column=column, drop_empty=drop_empty)
            check = check_routes(loss.builder(loaded), **how, tol=tol or 1e-9)
    return outputs.tell(check)


def _check_weighted(loss: options.Loss, scheme: str | None) -> None:
    for name, value in loss.options.items():
        if value is not None and name not in ("temperature", "self_pairs", "epsilon"):
            raise ProblemError(f"{name}: weights make a loss of their own; got {value} with weights (leave it out)")
    if loss.options["temperature"] is None:
        raise ProblemError("temperature: must be given; got none")
    if scheme == "euclidean":
        raise ProblemError("scheme: euclidean has no sphere to descend on; got euclidean (supcon, soft-supcon, ...)")
