"""Options that verbs share: a loss by name and its settings, class counts, where results go."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import typer

from ..arrays import Progress
from ..certificates.ball_arithmetic import flint
from ..choosing.named import Solved, check_free, is_free, loss_names, loss_settings, solve_named
from ..counts.counts import Counts, as_counts
from ..counts.sources import load_counts, profile_names
from ..errors import ProblemError
from ..objectives.base import Objective
from ..objectives.registry import PRESETS, build_objective, resolve
from ..objectives.rows.full_batch import check_whole
from ..solvers.base import Solver
from ..solvers.verification import check_digits
from .app import SETTINGS

JsonOption = Annotated[str | None, typer.Option("--json", help="Write JSON to this file; - is stdout.")]
TolOption = Annotated[float, typer.Option(help="The relative gap to certify.")]
ProveOption = Annotated[bool, typer.Option("--prove", help="In ball arithmetic, to 30 digits.")]
DigitsOption = Annotated[int | None, typer.Option(help="Prove it to so many digits.")]


def _profiles(start: str) -> list[str]:
    return [name for name in profile_names() if name.startswith(start)]


_CountsOption = typer.Option(help="A profile, a file, 100x500, or 1000,100,10.", autocompletion=_profiles)
CountsOption = Annotated[str, _CountsOption]
ColumnOption = Annotated[str | None, typer.Option(help="Of a file: the column of counts or labels.")]
DropOption = Annotated[bool, typer.Option("--drop-empty", help="Of a file: leave classes of 0 out.")]
ClassesOption = Annotated[int | None, typer.Option(help="In place of --counts: so many classes, ...")]
InstancesOption = Annotated[int | None, typer.Option(help="... of so many examples each.")]
MajorityOption = Annotated[int | None, typer.Option(help="Number of majority classes.")]
MinorityOption = Annotated[int | None, typer.Option(help="Number of minority classes.")]
PerClassOption = Annotated[float | None, typer.Option(help="Examples of a minority class.")]


def proved_digits(prove: bool, digits: int | None) -> int | None:
    """How many digits to prove, None for no proof; errors come before any work."""
    if digits is None and not prove:
        return None
    flint("verify")
    return 30 if digits is None else check_digits(digits)


@dataclass(frozen=True)
class Loss:
    """A loss by name with its settings, for counts that are still to come."""

    name: str
    options: dict[str, Any]

    def over(self, counts: Counts) -> Objective:
        """The objective over these counts."""
        return self.builder(counts)

    def builder(self, counts: Counts, **varied: Any) -> Objective:
        """The objective over these counts with some settings replaced."""
        return build_objective(self.name, counts, {**self.options, **varied})


@dataclass(frozen=True)
class Problem:
    """What the options of a problem amount to: class counts and a loss over them."""

    counts: Counts
    loss: Loss

    @property
    def free(self) -> bool:
        """Whether the loss is an objective: its geometry is free, and any solver takes it."""
        return is_free(self.loss.name)

    def check_free(self, given: Mapping[str, Any]) -> None:
        """Nothing, or a ProblemError where an option that needs an objective is given for a loss that is none."""
        check_free(self.loss.name, given)

    @cached_property
    def objective(self) -> Objective:
        """The objective, or a ProblemError where the loss is none."""
        return self.loss.over(self.counts)

    def solve(self, solver: Solver | None, tol: float, progress: Progress) -> Solved:
        """Its optimal geometry, proved or not."""
        return solve_named(self.loss.name, self.counts, self.loss.options, solver=solver, tol=tol, progress=progress)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = inspect.signature(function, eval_str=True).parameters.values()
    return [parameter for parameter in kinds if parameter.kind is not inspect.Parameter.VAR_KEYWORD]


def _setting(help: str, *names: str, **more: Any) -> Any:
    """An option that some losses have."""
    return typer.Option(*names, help=help, rich_help_panel=SETTINGS, show_default=False, **more)


def _names(start: str) -> list[str]:
    return [name for name in (*loss_names(), *PRESETS) if name.startswith(start)]


def _loss(
    *,
    objective: Annotated[
        str,
        typer.Option(help="The loss; geomsolve losses lists them.", autocompletion=_names, rich_help_panel="Loss"),
    ] = "supcon",
    temperature: Annotated[
        float | None, typer.Option(help="Most losses need it; gcl takes 1.", rich_help_panel="Loss")
    ] = None,
    views: Annotated[int | None, _setting("Views per example (2).")] = None,
    batch: Annotated[int | None, _setting("Examples per batch; left out: all.")] = None,
    sampler: Annotated[
        str | None,
        _setting("Of batches: instance, class-balanced, square-root, an exponent, 8x4 (8 classes of 4), or shares."),
    ] = None,
    averaging: Annotated[str | None, _setting("Every anchor, pair or class weighs the same, or weights.")] = None,
    keys: Annotated[str | None, _setting("gradient, or momentum (a queue of keys).")] = None,
    reducer: Annotated[str | None, _setting("Divisor: mean, or nonzero losses.")] = None,
    draw: Annotated[str | None, _setting("independent or shuffle; kcl: samples or examples.")] = None,
    sampling: Annotated[str | None, _setting("supervised or unsupervised negatives.")] = None,
    negatives: Annotated[str | None, _setting("Negatives per anchor, a number or inf.")] = None,
    normalization: Annotated[str | None, _setting("mean or sum over negatives.")] = None,
    loss: Annotated[str | None, _setting("infonce, logistic, hinge, or FILE.py:NAME, your own psi.")] = None,
    margin: Annotated[float | None, _setting("Of the hinge or the own cosine.")] = None,
    anchors: Annotated[str | None, _setting("Every instance or every class weighs the same.")] = None,
    positives: Annotated[int | None, _setting("Positives of an anchor beside its views.")] = None,
    classifier: Annotated[bool | None, _setting("With its classifier.", "--classifier/--no-classifier")] = None,
    contrast: Annotated[float | None, _setting("Weight of the contrastive part.")] = None,
    pull: Annotated[float | None, _setting("Weight of the target.")] = None,
    align: Annotated[float | None, _setting("Weight that ties classifiers to prototypes.")] = None,
    scale: Annotated[float | None, _setting("Of the cosine classifier.")] = None,
    compensation: Annotated[float | None, _setting("Power of the prior that is added to logits.")] = None,
    bias: Annotated[float | None, _setting("Of the logits of pairs; -10 is usual.")] = None,
    alpha: Annotated[float | None, _setting("Weight of the self-supervised part, 0 to 1.")] = None,
    alignment: Annotated[str | None, _setting("squared or norm.")] = None,
    backbone: Annotated[
        bool | None, _setting("Features of the classifier are atoms of their own.", "--backbone/--no-backbone")
    ] = None,
    tied: Annotated[bool | None, _setting("Instances of a class share a point.", "--tied/--no-tied")] = None,
    epsilon: Annotated[float | None, _setting("Margin; soft-supcon: weight of other classes.")] = None,
    self_pairs: Annotated[
        bool | None,
        _setting("An embedding is its own positive and in its denominator.", "--self-pairs/--no-self-pairs"),
    ] = None,
) -> Loss:
    given = {name: value for name, value in locals().items() if name != "objective"}
    name, preset = resolve(objective)
    return Loss(name, {one: preset.get(one) if value is None else value for one, value in given.items()})


# What every option of a loss is.
HELP = {one.name: str(one.annotation.__metadata__[0].help) for one in _parameters(_loss)}
# Losses by what a verb asks of them: that atoms only push each other apart, that it is an objective, any.
PUSHING = ("supcon", "gcl")
FREE = tuple(name for name in loss_names() if is_free(name))
EVERY = loss_names()


def settings_of(losses: Sequence[str]) -> list[tuple[str, str]]:
    """The losses, and their settings besides the temperature as they are typed."""
    names = (
        {name: [f"--{one.replace('_', '-')}" for one in loss_settings(name) if one != "temperature"]} for name in losses
    )
    return [(name, " ".join(settings) or "none") for one in names for name, settings in one.items()]


def _problem(
    *,
    counts: Annotated[str | None, _CountsOption] = None,
    column: ColumnOption = None,
    drop_empty: DropOption = False,
    classes: ClassesOption = None,
    instances: InstancesOption = None,
    **loss: Any,
) -> Problem:
    return Problem(read_counts(counts, classes, instances, column=column, drop_empty=drop_empty), _loss(**loss))


def read_counts(
    counts: str | None,
    classes: int | None = None,
    instances: int | None = None,
    *,
    column: str | None = None,
    drop_empty: bool = False,
) -> Counts:
    """The counts by name or from a file, or so many classes of equal size."""
    if counts is not None:
        if classes is not None or instances is not None:
            raise ProblemError(
                f"counts: stand in place of classes and instances; got {counts!r:.40} beside them (leave one out)"
            )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            loaded = load_counts(counts, column=column, drop_empty=drop_empty)
        for one in told:
            print(f"geomsolve: {one.message}", file=sys.stderr)
        return loaded
    if classes is None and instances is None:
        raise ProblemError("counts: must be given; got none")
    for name, number in (("classes", classes), ("instances", instances)):
        if number is None:
            raise ProblemError(
                f"{name}: must be given with {'instances' if name == 'classes' else 'classes'}; got none"
            )
        check_whole(name, number, least=2)
    return as_counts([float(instances or 0)] * int(classes or 0), name=f"{classes} classes of {instances}")


def _taking(
    build: Callable[..., Any], shared: list[inspect.Parameter]
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A decorator: `verb(built, *, ...)` as a command whose first parameter is built from options of its own."""
    names = {parameter.name for parameter in shared}

    def decorate(verb: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(verb)
        def command(**options: Any) -> int:
            rest = {name: options[name] for name in options if name not in names}
            return verb(build(**{name: options[name] for name in names}), **rest)

        parameters = [*shared, *_parameters(verb)[1:]]
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del command.__wrapped__
        return command

    return decorate


def _counts(*, counts: CountsOption, column: ColumnOption = None, drop_empty: DropOption = False) -> Counts:
    return read_counts(counts, column=column, drop_empty=drop_empty)


def _instances(
    *,
    counts: Annotated[
        str | None, typer.Option(help="Instances per class: a profile, a file, 10x50, or 50,20,5.")
    ] = None,
    column: ColumnOption = None,
    drop_empty: DropOption = False,
    classes: ClassesOption = None,
    instances: InstancesOption = None,
) -> Counts:
    return read_counts(counts, classes, instances, column=column, drop_empty=drop_empty)


with_counts = _taking(_counts, _parameters(_counts))
with_instances = _taking(_instances, _parameters(_instances))
with_loss = _taking(_loss, _parameters(_loss))
with_problem = _taking(_problem, [*_parameters(_problem), *_parameters(_loss)])
