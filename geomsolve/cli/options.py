"""Options that verbs share: a loss by name and its settings, class counts, where results go."""

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
from ..certificates.certificate import check_tol
from ..choosing.named import Solved, is_free, loss_names, loss_settings, solve_named
from ..counts.counts import Counts
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
TolOption = Annotated[float, option("The relative gap to certify.", callback=check_tol)]
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


def _names(start: str) -> list[str]:
    return [name for name in (*loss_names(), *PRESETS) if name.startswith(start)]


# Settings that some losses have: what they take, and what they are.
_SETTINGS: dict[str, tuple[type, str]] = {
    "views": (int, "Views per example (2)."),
    "batch": (int, "Examples per batch; left out: all."),
    "sampler": (str, "instance, class-balanced, square-root, an exponent, 8x4 (8 classes of 4), or shares."),
    "averaging": (str, "Every anchor, pair or class weighs the same, or weights."),
    "keys": (str, "gradient, or momentum (a queue of keys)."),
    "reducer": (str, "Divisor: mean, or nonzero losses."),
    "draw": (str, "independent or shuffle; kcl: samples or examples."),
    "sampling": (str, "supervised or unsupervised negatives."),
    "negatives": (str, "Negatives per anchor, a number or inf."),
    "normalization": (str, "mean or sum over negatives."),
    "loss": (str, "infonce, logistic, hinge, or FILE.py:NAME, your own psi."),
    "margin": (float, "Of the hinge or the own cosine."),
    "anchors": (str, "Every instance or every class weighs the same."),
    "positives": (int, "Positives of an anchor beside its views."),
    "classifier": (bool, "With its classifier."),
    "contrast": (float, "Weight of the contrastive part."),
    "pull": (float, "Weight of the target."),
    "align": (float, "Weight that ties classifiers to prototypes."),
    "scale": (float, "Of the cosine classifier."),
    "compensation": (float, "Power of the prior that is added to logits."),
    "bias": (float, "Of the logits of pairs; -10 is usual."),
    "alpha": (float, "Weight of the self-supervised part, 0 to 1."),
    "alignment": (str, "squared or norm."),
    "backbone": (bool, "Features of the classifier are atoms of their own."),
    "tied": (bool, "Instances of a class share a point."),
    "epsilon": (float, "Margin; soft-supcon: weight of other classes."),
    "self_pairs": (bool, "An embedding is its own positive and in its denominator."),
}
# What every option of a loss is.
HELP = {"temperature": "Most losses need it; gcl takes 1.", **{name: help for name, (_, help) in _SETTINGS.items()}}


def _loss(
    *,
    objective: Annotated[
        str, option("The loss; geomsolve losses lists them.", autocompletion=_names, rich_help_panel="Loss")
    ] = "supcon",
    temperature: Annotated[float | None, option(HELP["temperature"], rich_help_panel="Loss")] = None,
    **given: Any,
) -> Loss:
    name, preset = resolve(objective)
    given = {"temperature": temperature, **given}
    return Loss(name, {one: preset.get(one) if value is None else value for one, value in given.items()})


def _setting(name: str) -> inspect.Parameter:
    kind, help = _SETTINGS[name]
    told = option(help, rich_help_panel=SETTINGS, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, told]
    )


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
    if classes is not None or instances is not None:
        if counts is not None:
            raise ProblemError(f"counts: stand in place of classes and instances; got {counts!r:.40} beside them")
        for name, number, other in (("classes", classes, "instances"), ("instances", instances, "classes")):
            if number is None:
                raise ProblemError(f"{name}: must be given with {other}; got none")
            check_whole(name, number, least=2)
        counts = f"{classes}x{instances}"
    if counts is None:
        raise ProblemError("counts: must be given; got none")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loaded = load_counts(counts, column=column, drop_empty=drop_empty)
    for one in told:
        print(f"geomsolve: {one.message}", file=sys.stderr)
    return loaded


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


_COUNTED, _SET = _parameters(read_counts), [*_parameters(_loss), *map(_setting, _SETTINGS)]


def _problem(**given: Any) -> Problem:
    counts = read_counts(**{one.name: given.pop(one.name) for one in _COUNTED})
    return Problem(counts, _loss(**given))


with_counts = _taking(read_counts, _COUNTED)
with_loss = _taking(_loss, _SET)
with_problem = _taking(_problem, [*_COUNTED, *_SET])
