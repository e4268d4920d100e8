"""Options that verbs share: a loss by name and its settings, class counts, where results go."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ..counts import Counts
    from ..objectives.base import Objective

JsonOption = Annotated[str | None, typer.Option("--json", help="Write JSON to this file; - is stdout, and only JSON.")]
TolOption = Annotated[float, typer.Option(help="The relative gap to certify.")]


@dataclass(frozen=True)
class Loss:
    """A loss by name with its settings, for counts that are still to come."""

    name: str
    options: dict[str, Any]

    def over(self, counts: Counts) -> Objective:
        """The objective over these counts."""
        from ..builders import build_objective

        return build_objective(self.name, counts, self.options)

    def builder(self, counts: Counts, **varied: Any) -> Objective:
        """The objective over these counts with some settings replaced."""
        from ..builders import build_objective

        return build_objective(self.name, counts, {**self.options, **varied})


@dataclass(frozen=True)
class Problem:
    """What the options of a problem amount to: class counts and an objective over them."""

    counts: Counts
    objective: Objective


def _loss(
    *,
    objective: Annotated[str, typer.Option(help="supcon or gcl.")] = "supcon",
    temperature: Annotated[
        float | None, typer.Option(help="Temperature; supcon needs it, gcl takes 1 without it.")
    ] = None,
    views: Annotated[int | None, typer.Option(help="supcon: views per example (2).")] = None,
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
        str | None, typer.Option(help="bcl: instance (default) or class, whose weight counts the same.")
    ] = None,
    positives: Annotated[int | None, typer.Option(help="kcl: positives of an anchor beside its views (6).")] = None,
) -> Loss:
    settings = {"temperature": temperature, "views": views, "batch": batch, "sampling": sampling}
    settings |= {"negatives": negatives, "normalization": normalization, "loss": loss, "margin": margin}
    settings |= {"anchors": anchors, "positives": positives}
    return Loss(objective, settings)


def _problem(
    *,
    counts: Annotated[
        str,
        typer.Option(help='A profile ("geomsolve profiles" lists them), a CSV with a column "count", or 1000,100,10.'),
    ],
    **loss: Any,
) -> Problem:
    from ..counts import load_counts

    loaded = load_counts(counts)
    return Problem(loaded, _loss(**loss).over(loaded))


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


with_loss = _taking(_loss, _parameters(_loss))
with_problem = _taking(_problem, [*_parameters(_problem), *_parameters(_loss)])
