"""Options that verbs share: a loss by name and its settings, class counts, where results go."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import typer

from ..arrays import Progress
from ..certificates.balls import flint
from ..choosing.named import Solved, check_free, is_free, solve_named
from ..counts.counts import Counts, as_counts
from ..counts.sources import load_counts
from ..errors import ProblemError
from ..objectives.base import Objective
from ..objectives.registry import build_objective
from ..objectives.supcon import check_whole
from ..solvers.base import Solver
from ..solvers.verification import check_digits

JsonOption = Annotated[str | None, typer.Option("--json", help="Write JSON to this file; - is stdout, and only JSON.")]
TolOption = Annotated[float, typer.Option(help="The relative gap to certify.")]
ProveOption = Annotated[
    bool, typer.Option("--prove", help="Prove it in ball arithmetic too, to 30 digits (needs python-flint).")
]
DigitsOption = Annotated[int | None, typer.Option(help="Prove it to so many digits; --prove is --digits 30.")]
_COUNTS = 'A profile ("geomsolve profiles" lists them), a file, 100x500, or 1000,100,10.'
CountsOption = Annotated[str, typer.Option(help=_COUNTS)]
ColumnOption = Annotated[str | None, typer.Option(help="Of a file of counts: the column that has them.")]
DropOption = Annotated[bool, typer.Option("--drop-empty", help="Of a file of counts: leave classes of 0 out.")]
ClassesOption = Annotated[int | None, typer.Option(help="In place of --counts: so many classes, ...")]
InstancesOption = Annotated[int | None, typer.Option(help="... of so many examples each.")]
MajorityOption = Annotated[int | None, typer.Option(help="Number of majority classes.")]
MinorityOption = Annotated[
    int | None, typer.Option(help="Number of minority classes; with --counts and --vary tail, of tail classes.")
]
PerClassOption = Annotated[
    float | None, typer.Option(help="Examples of a minority class (supcon depends on it, unless it has a --batch).")
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


def _loss(
    *,
    objective: Annotated[
        str,
        typer.Option(help="supcon, gcl, supcl, bcl, kcl, ecl, lc, supmin, supcon-instances; solve: tsc, supproto."),
    ] = "supcon",
    temperature: Annotated[
        float | None, typer.Option(help="Temperature; supcon needs it, gcl takes 1 without it.")
    ] = None,
    views: Annotated[int | None, typer.Option(help="supcon, supcl: views per example (2).")] = None,
    batch: Annotated[int | None, typer.Option(help="supcon: batch size; left out: full batch.")] = None,
    sampling: Annotated[str | None, typer.Option(help="gcl: supervised (default) or unsupervised negatives.")] = None,
    negatives: Annotated[str | None, typer.Option(help="gcl: negatives per anchor, a number or inf.")] = None,
    normalization: Annotated[str | None, typer.Option(help="gcl: mean (default) or sum over negatives.")] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="gcl: infonce (default), logistic, hinge, or FILE.py:NAME, your own psi."),
    ] = None,
    margin: Annotated[float | None, typer.Option(help="gcl, hinge: the margin, in units of cosine.")] = None,
    anchors: Annotated[
        str | None, typer.Option(help="bcl, ecl: every instance (default) or every class weighs the same.")
    ] = None,
    positives: Annotated[int | None, typer.Option(help="kcl: positives of an anchor beside its views (6).")] = None,
    classifier: Annotated[
        bool | None,
        typer.Option("--classifier/--no-classifier", help="ecl: with its classifier (it has).", show_default=False),
    ] = None,
    contrast: Annotated[float | None, typer.Option(help="ecl: weight of the contrastive part (1).")] = None,
    pull: Annotated[float | None, typer.Option(help="tsc: weight of the target (1).")] = None,
    align: Annotated[float | None, typer.Option(help="ecl: weight that ties classifiers to prototypes (1).")] = None,
    scale: Annotated[
        float | None, typer.Option(help="ecl, lc: scale of the cosine classifier (ecl 30, lc 12).")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="supcl: weight of the self-supervised part, 0 to 1; it needs it.")
    ] = None,
    self_pairs: Annotated[
        bool | None,
        typer.Option(
            "--self-pairs/--no-self-pairs",
            help="supcl: whether an embedding is its own positive and in its own denominator (it is).",
            show_default=False,
        ),
    ] = None,
) -> Loss:
    settings = {"temperature": temperature, "views": views, "batch": batch, "sampling": sampling}
    settings |= {"negatives": negatives, "normalization": normalization, "loss": loss, "margin": margin}
    settings |= {"anchors": anchors, "positives": positives, "alpha": alpha, "self_pairs": self_pairs}
    settings |= {"classifier": classifier, "contrast": contrast, "align": align, "scale": scale, "pull": pull}
    return Loss(objective, settings)


def _problem(
    *,
    counts: Annotated[str | None, typer.Option(help=_COUNTS)] = None,
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


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = inspect.signature(function, eval_str=True).parameters.values()
    return [parameter for parameter in kinds if parameter.kind is not inspect.Parameter.VAR_KEYWORD]


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
