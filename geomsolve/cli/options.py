"""Options that verbs share: a loss by name and its settings, class counts, where results go."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import typer

from ..arrays import Progress
from ..certificates.ball_arithmetic import flint
from ..choosing.named import Solved, is_free, loss_names, loss_settings, solve_named
from ..counts.counts import Counts, as_counts
from ..counts.sources import load_counts, profile_names
from ..errors import ProblemError
from ..objectives.base import Objective
from ..objectives.registry import PRESETS, build_objective, resolve
from ..objectives.rows.full_batch import check_whole
from ..solvers.base import Solver
from ..solvers.verification import check_digits
from .app import SETTINGS


def option(help: str, *names: str, **more: Any) -> Any:
    """An option with its help, under its own name if no other is given."""
    return typer.Option(*names, help=help, **more)


def _profiles(start: str) -> list[str]:
    return [name for name in profile_names() if name.startswith(start)]


JsonOption = Annotated[str | None, option("Write JSON to this file; - is stdout.", "--json")]
PlotOption = Annotated[Path | None, option("Draw it: .png, .pdf or .svg.")]
TolOption = Annotated[float, option("The relative gap to certify.")]
ProveOption = Annotated[bool, option("In ball arithmetic, to 30 digits.", "--prove")]
DigitsOption = Annotated[int | None, option("Prove it to so many digits.")]
CountsOption = Annotated[str | None, option("A profile, a file, 100x500, or 1000,100,10.", autocompletion=_profiles)]
ColumnOption = Annotated[str | None, option("Of a file: the column of counts or labels.")]
DropOption = Annotated[bool, option("Of a file: leave classes of 0 out.", "--drop-empty")]
ClassesOption = Annotated[int | None, option("In place of --counts: so many classes, ...")]
InstancesOption = Annotated[int | None, option("... of so many examples each.")]
MajorityOption = Annotated[int | None, option("Number of majority classes.")]
MinorityOption = Annotated[int | None, option("Number of minority classes.")]
PerClassOption = Annotated[float | None, option("Examples of a minority class.")]
SecondsOption = Annotated[float | None, option("Descents end then with the best, as at Ctrl-C.")]
SortedOption = Annotated[
    bool, option("Take a built-in profile: classes are numbered by count, largest first.", "--sorted-classes")
]
BaseTemperatureOption = Annotated[
    float | None, option("If the code multiplies its loss by temperature / base temperature (SupContrast: 0.07).")
]


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
        for option, value in given.items():
            if value is not None and not self.free:
                raise ProblemError(f"{option}: {self.loss.name} has no such option; got {value} (leave it out)")

    @cached_property
    def objective(self) -> Objective:
        """The objective, or a ProblemError where the loss is none."""
        return self.loss.builder(self.counts)

    def solve(self, solver: Solver | None, tol: float, progress: Progress) -> Solved:
        """Its optimal geometry, proved or not."""
        return solve_named(self.loss.name, self.counts, self.loss.options, solver=solver, tol=tol, progress=progress)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = inspect.signature(function, eval_str=True).parameters.values()
    return [parameter for parameter in kinds if parameter.kind is not inspect.Parameter.VAR_KEYWORD]


def _setting(help: str, *names: str, **more: Any) -> Any:
    """An option that some losses have."""
    return option(help, *names, rich_help_panel=SETTINGS, show_default=False, **more)


def _names(start: str) -> list[str]:
    return [name for name in (*loss_names(), *PRESETS) if name.startswith(start)]


def _loss(
    *,
    objective: Annotated[
        str, option("The loss; geomsolve losses lists them.", autocompletion=_names, rich_help_panel="Loss")
    ] = "supcon",
    temperature: Annotated[float | None, option("Most losses need it; gcl takes 1.", rich_help_panel="Loss")] = None,
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
    listed = ((name, [one for one in loss_settings(name) if one != "temperature"]) for name in losses)
    return [(name, " ".join(f"--{one.replace('_', '-')}" for one in settings) or "none") for name, settings in listed]


def read_counts(
    *,
    counts: CountsOption = None,
    column: ColumnOption = None,
    drop_empty: DropOption = False,
    classes: ClassesOption = None,
    instances: InstancesOption = None,
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
    for name, number, other in (("classes", classes, "instances"), ("instances", instances, "classes")):
        if number is None:
            raise ProblemError(f"{name}: must be given with {other}; got none")
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


_COUNTED, _SET = _parameters(read_counts), _parameters(_loss)


def _problem(**given: Any) -> Problem:
    counts = read_counts(**{one.name: given.pop(one.name) for one in _COUNTED})
    return Problem(counts, _loss(**given))


with_counts = _taking(read_counts, _COUNTED)
with_loss = _taking(_loss, _SET)
with_problem = _taking(_problem, [*_COUNTED, *_SET])
