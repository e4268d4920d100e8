"""The command line: parse, call, print.

Exit codes: 0 certified or answered, 2 bad input (one line on stderr), 3 not certified, 130 interrupted. A verb is a
function that returns its exit code; raising a GeomsolveError anywhere in it is bad input.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import __version__
from .errors import GeomsolveError, ProblemError
from .terminal import Outputs, reporting

# The heavy modules (NumPy, SciPy, and what solvers need) are imported inside the verbs: --help and a mistyped option
# answer at once.
if TYPE_CHECKING:
    from .counts import Counts
    from .objectives.base import Objective

OK, BAD_INPUT, NOT_CERTIFIED, INTERRUPTED = 0, 2, 3, 130

# Gram matrices and points of more classes than this are not written out in full unless asked for.
_MOST_CLASSES = 4000

# typer exports this one subclass of click's UsageError; click itself is bundled in some versions, a package in others.
_USAGE_ERROR: type[Exception] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="geomsolve",
    help="Certified optimal embedding geometry of contrastive losses under class imbalance.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The `geomsolve` command."""
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one command; no exception leaves it for bad input.

    Args:
        arguments: without the program's name; None: the process's own.
    """
    try:
        code = app(args=arguments, prog_name="geomsolve", standalone_mode=False) or OK
    except _USAGE_ERROR as error:
        return _fail_usage(error, sys.argv[1:] if arguments is None else arguments)
    except GeomsolveError as error:
        return _fail(str(error))
    except BrokenPipeError:
        raise
    except OSError as error:
        # Output that went wrong after the checks of `Outputs`: a full disk, a folder that vanished.
        return _fail(f"{error.filename or 'output'}: cannot be written: {error.strerror or error}")
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:  # newer versions of typer turn the interrupt into this code themselves
        print("geomsolve: interrupted", file=sys.stderr)
    return code


def _fail_usage(error: Any, arguments: Sequence[str]) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":  # some versions of click: the message is the help itself
        print(error.format_message())
        return BAD_INPUT
    where = error.ctx.command_path if error.ctx is not None else "geomsolve"
    return _fail(f"{_sentence(error.format_message(), arguments)} (see {where} --help)")


def _fail(message: str) -> int:
    print("geomsolve: " + " ".join(message.split()), file=sys.stderr)
    return BAD_INPUT


def _sentence(message: str, arguments: Sequence[str]) -> str:
    """A usage message of typer's in the form of ours: what argument, what rule, what was got."""
    message = message.strip().rstrip(".")
    if message.startswith("Invalid value for '--"):
        option, _, rule = message.removeprefix("Invalid value for '").partition("': ")
        # Some versions of typer name the rule and not what was got.
        got = [second for first, second in itertools.pairwise(arguments) if first == option]
        got += [one.partition("=")[2] for one in arguments if one.startswith(f"{option}=")]
        ending = f"; got {got[-1]!r:.40}" if got and repr(got[-1]) not in rule else ""
        return f"{option[2:]}: {rule[:1].lower()}{rule[1:]}{ending}"
    if message.startswith("Missing option '--"):
        option = message.removeprefix("Missing option '--").partition("'")[0]
        return f"{option}: must be given; got none"
    return message


# ---------------------------------------------------------------- options


@dataclass(frozen=True)
class Problem:
    """What the options of a problem amount to: class counts and an objective over them."""

    counts: Counts
    objective: Objective


def _problem_options(
    *,
    counts: Annotated[
        str,
        typer.Option(help='A profile ("geomsolve profiles" lists them), a CSV with a column "count", or 1000,100,10.'),
    ],
    objective: Annotated[str, typer.Option(help="supcon or gcl.")] = "supcon",
    temperature: Annotated[
        float | None, typer.Option(help="Temperature; supcon needs it, gcl takes 1 without it.")
    ] = None,
    views: Annotated[int | None, typer.Option(help="supcon: views per example (2).")] = None,
    sampling: Annotated[str | None, typer.Option(help="gcl: supervised (default) or unsupervised negatives.")] = None,
    negatives: Annotated[str | None, typer.Option(help="gcl: negatives per anchor, a number or inf.")] = None,
    normalization: Annotated[str | None, typer.Option(help="gcl: mean (default) or sum over negatives.")] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="gcl: infonce (default), logistic, hinge, or FILE.py:NAME, your own psi."),
    ] = None,
    margin: Annotated[float | None, typer.Option(help="gcl, hinge: the margin, in units of cosine.")] = None,
) -> Problem:
    from .builders import build_objective
    from .counts import load_counts

    loaded = load_counts(counts)
    options = {
        "temperature": temperature,
        "views": views,
        "sampling": sampling,
        "negatives": negatives,
        "normalization": normalization,
        "loss": loss,
        "margin": margin,
    }
    return Problem(loaded, build_objective(objective, loaded, options))


def with_problem(verb: Callable[..., int]) -> Callable[..., int]:
    """`verb(problem, *, ...)` as a command that takes the options of a problem in place of its first parameter."""
    shared = inspect.signature(_problem_options, eval_str=True).parameters
    own = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]

    @functools.wraps(verb)
    def command(**options: Any) -> int:
        rest = {name: options[name] for name in options if name not in shared}
        return verb(_problem_options(**{name: options[name] for name in shared}), **rest)

    parameters = [*shared.values(), *own]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del command.__wrapped__
    return command


JsonOption = Annotated[str | None, typer.Option("--json", help="Write JSON to this file; - is stdout, and only JSON.")]
TolOption = Annotated[float, typer.Option(help="The relative gap to certify.")]


# ---------------------------------------------------------------- verbs


def _print_version(asked: bool) -> None:
    if asked:
        print(f"geomsolve {__version__}")
        raise typer.Exit()


@app.callback()
def _geomsolve(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@app.command()
@with_problem
def solve(
    problem: Problem,
    *,
    solver: Annotated[
        str | None,
        typer.Option(help="newton, clarabel, scs, descent or mosek; without it, the ladder of all that fit."),
    ] = None,
    tol: TolOption = 1e-9,
    dim: Annotated[int | None, typer.Option(help="Embed into so many dimensions, with a proven gap.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of random starts: --solver descent, and --dim below the rank.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Of the solver.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the solution: .png, .pdf or .svg.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write solution.json, gram.npy and points.npy to this folder.")
    ] = None,
    json: JsonOption = None,
) -> int:
    """The optimal geometry of class means, with the proof that it is optimal."""
    from .builders import build_solver
    from .embedding import check_dim
    from .ladder import solve as solve_objective
    from .reports import solution_report, solution_text
    from .solution import Quality

    check_dim(dim, problem.counts.classes)
    if seed is not None and dim is None and solver != "descent":
        raise ProblemError(f"seed: only --solver descent and --dim draw at random; got {seed} (leave it out)")
    chosen = build_solver(solver, max_steps=max_steps, seed=seed)
    outputs = Outputs(json, plot, out)
    with reporting() as progress:
        solution = solve_objective(problem.objective, chosen, tol=tol, throw=False, progress=progress)
        embedding = None
        if dim is not None or (out is not None and problem.counts.classes <= _MOST_CLASSES):
            embedding = solution.embed(dim, seed=seed or 0, progress=progress)
        report = solution_report(solution, problem.counts, embedding if dim is not None else None)
        files = []
        if plot is not None:
            from .plots import plot_solution

            plot_solution(solution, plot, counts=problem.counts, embedding=embedding)
            files.append(str(plot))
        if out is not None:
            files += _write_arrays(out, solution, embedding)
            files.append(str(out / "solution.json"))
        if files:
            report["files"] = files
        if out is not None:
            from .reports import dumps

            (out / "solution.json").write_text(dumps(report) + "\n", encoding="utf-8")

    def text() -> str:
        lines = [solution_text(solution, problem.counts, embedding if dim is not None else None)]
        if out is not None and problem.counts.classes > _MOST_CLASSES:
            lines.append(
                f"  more than {_MOST_CLASSES} classes: the Gram matrix is written by orbits, points only with --dim"
            )
        if out is not None and embedding is not None and not embedding.exact:
            lines.append("  gram.npy is the optimum of any dimension; that of the points is points @ points.T")
        return "\n".join([*lines, *(f"  wrote {file}" for file in files)])

    outputs.emit(report, text)
    return OK if solution.quality is Quality.CERTIFIED else NOT_CERTIFIED


def _write_arrays(folder: Path, solution: Any, embedding: Any) -> list[str]:
    """The Gram matrix (by orbits where C x C is too much) and the points; returns the names of the files."""
    import numpy as np

    orbits = solution.orbits.orbits
    names = []
    if orbits.atoms <= _MOST_CLASSES:
        np.save(folder / "gram.npy", solution.gram)
        names.append("gram.npy")
    else:
        np.savez(folder / "orbits.npz", sizes=orbits.sizes, labels=orbits.listed(), cosines=solution.orbits.cosines)
        names.append("orbits.npz")
    if embedding is not None:
        np.save(folder / "points.npy", embedding.points)
        names.append("points.npy")
    return [str(folder / name) for name in names]


@app.command()
@with_problem
def crosscheck(
    problem: Problem,
    *,
    seeds: Annotated[int, typer.Option(help="Random starts of the descent route.")] = 1,
    device: Annotated[str | None, typer.Option(help="cpu or gpu, for the descent route.")] = None,
    tol: TolOption = 1e-9,
    json: JsonOption = None,
) -> int:
    """Solve by every independent route that fits the size, and compare."""
    if seeds < 1:
        raise ProblemError(f"seeds: must be at least 1; got {seeds}")
    if device not in (None, "cpu", "gpu"):
        raise ProblemError(f"device: must be cpu or gpu; got {device!r:.40}")
    from .crosschecks import crosscheck as check_routes
    from .reports import crosscheck_report, crosscheck_text

    outputs = Outputs(json)
    with reporting() as progress:
        check = check_routes(problem.objective, seeds=seeds, device=device, tol=tol, progress=progress)
    name = f"{problem.objective.name}, temperature {problem.objective.temperature:g}"
    outputs.emit(
        crosscheck_report(check, problem.objective.name, problem.counts),
        lambda: crosscheck_text(check, name, problem.counts),
    )
    certified = any(route.certified for route in check.routes)
    return OK if check.agree or (certified and not check.compared) else NOT_CERTIFIED


@app.command()
@with_problem
def certify(
    problem: Problem,
    *,
    gram: Annotated[Path, typer.Option(help="A .npy file: the C x C Gram matrix of class means, in class order.")],
    tol: TolOption = 1e-9,
    json: JsonOption = None,
) -> int:
    """Judge a Gram matrix, whichever solver or training run it comes from."""
    from .builders import read_array
    from .certificate import certify as certify_gram
    from .certificate import check_tol
    from .reports import certificate_report, certificate_text

    check_tol(tol)
    outputs = Outputs(json)
    certificate = certify_gram(problem.objective, read_array("gram", gram))
    report = certificate_report(certificate, problem.objective, problem.counts, tol)
    outputs.emit(report, lambda: certificate_text(certificate, problem.objective, problem.counts, tol))
    return OK if certificate.holds(tol) else NOT_CERTIFIED


@app.command()
def profiles(json: JsonOption = None) -> int:
    """The built-in class counts."""
    from .reports import profiles_report, profiles_text

    report = profiles_report()
    Outputs(json).emit(report, lambda: profiles_text(report))
    return OK
