"""Verbs of one problem: solve it, and judge a Gram matrix."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from .. import __version__
from ..certificates.certificate import certify as certify_gram
from ..errors import ProblemError
from ..files import read_array
from ..solvers.points.dimensions import dimension_costs
from ..solvers.points.embedding import Embedding, check_dim, check_seconds
from ..solvers.solution import MOST_WRITTEN, Solution
from ..solvers.solving import build_solver
from ..solvers.verification import check_provable, verify
from ..text import entry
from . import options
from .app import code, verb
from .options import option
from .outputs import Outputs, reporting


@verb(
    "geomsolve solve --counts imagenet_lt --temperature 0.1 --plot a.png",
    "geomsolve solve --counts 500,100,20 --objective gcl --negatives 16 --json -",
    losses=options.settings_of(options.EVERY),
)
@options.with_problem
def solve(
    problem: options.Problem,
    *,
    solver: Annotated[
        str | None, option("newton, quadrature, followers, clarabel, scs, descent, mosek, moreau; left out: all.")
    ] = None,
    tol: options.TolOption = 1e-9,
    dim: Annotated[str | None, option("Embed into so many; of several, as in 8,16,32, what each costs.")] = None,
    restarts: Annotated[int | None, option("Starts below the rank (many, or one if large).")] = None,
    seconds: options.SecondsOption = None,
    seed: Annotated[int | None, option("Of random starts: --solver descent, and --dim below the rank.")] = None,
    max_steps: Annotated[int | None, option("Of the solver.")] = None,
    prove: options.ProveOption = False,
    digits: options.DigitsOption = None,
    plot: options.PlotOption = None,
    out: Annotated[Path | None, option("Write solution.json, gram.npy and points.npy to this folder.")] = None,
    json: options.JsonOption = None,
) -> int:
    """The optimal geometry of class means, with the proof that it is optimal."""
    given = {"solver": solver, "dim": dim, "seed": seed, "max-steps": max_steps, "out": out}
    problem.check_free({**given, "prove": prove or None, "digits": digits})
    if seed is not None and dim is None and solver != "descent":
        raise ProblemError(f"seed: only --solver descent and --dim draw at random; got {seed} (leave it out)")
    dims = _dims(dim)
    for name, value in (("restarts", restarts), ("seconds", seconds)):
        if value is not None and not dims:
            raise ProblemError(f"{name}: belongs to the descents of --dim; got {value:g} without it (leave it out)")
    check_seconds(seconds)
    chosen = build_solver(solver, max_steps=max_steps, seed=seed)
    wanted = options.proved_digits(prove, digits)
    if problem.free:
        for each in dims:
            check_dim(each, problem.objective.orbits.atoms)
        if wanted is not None:
            check_provable(problem.objective)
    outputs = Outputs(json, plot, out)
    with reporting() as progress:
        found = problem.solve(chosen, tol, progress)
        report, lines, good, files = found.to_dict(), found.lines(), found.ok, list[Path]()
        draw: Callable[..., Any] = found.plot
        if isinstance(found, Solution):
            embedding: Embedding | None = None
            how: dict[str, Any] = {"restarts": restarts, "seconds": seconds, "seed": seed or 0}
            if len(dims) > 1:
                costs = dimension_costs(found, dims, **how, progress=progress)
                report["dimensions"] = costs.to_dict()
                lines += ["", *costs.lines()]
                draw, embedding = costs.plot, costs.embeddings[-1]
            elif dims or (out is not None and found.geometry.atoms <= MOST_WRITTEN):
                embedding = found.embed(*dims, **how, progress=progress)
                draw = partial(found.plot, embedding=embedding)
                if dims:
                    report["embedding"] = embedding.to_dict()
                    lines += ["", entry("embedding", str(embedding))]
            if wanted is not None:
                verified = verify(found, digits=wanted, progress=progress)
                report["verified"], good = verified.to_dict(), verified.proved
                lines += ["", *verified.lines()]
            if out is not None:
                name, arrays = found.arrays()
                files = outputs.save(arrays, name if len(arrays) > 1 else None)
                files += [] if embedding is None else outputs.save({"points": embedding.points})
                if found.geometry.atoms > MOST_WRITTEN:
                    lines.append(f"  more than {MOST_WRITTEN} points: written by orbits, points only with --dim")
                elif embedding is not None and not embedding.exact:
                    lines.append("  gram.npy is the optimum of any dimension; that of the points is points @ points.T")
        if plot is not None:
            draw(plot)
    outputs.emit(report, lines, files)
    return code(good)


def _dims(text: str | None) -> list[int]:
    """The dimensions of a comma-separated list."""
    if text is None:
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ProblemError(f"dim: must be a whole number, or several as in 8,16,32; got {text!r:.40}") from None


@verb(
    "geomsolve certify --counts 9,5,2 --temperature 0.1 --gram gram.npy",
    "geomsolve certify --counts a.csv --objective gcl --gram gram.npy --json -",
    losses=options.settings_of(options.FREE),
)
@options.with_problem
def certify(
    problem: options.Problem,
    *,
    gram: Annotated[Path, option("A .npy file: the C x C Gram matrix of class means, in class order.")],
    tol: options.TolOption = 1e-9,
    json: options.JsonOption = None,
) -> int:
    """Judge a Gram matrix, whichever solver or training run it comes from."""
    outputs = Outputs(json)
    objective = problem.objective
    certificate = certify_gram(objective, read_array("gram", gram))
    holds = certificate.holds(tol)
    lines = [
        f"{objective.name}, temperature {objective.temperature:g}",
        str(problem.counts),
        "",
        "CERTIFIED: proved optimal" if holds else "NOT CERTIFIED: this Gram matrix is not proved optimal",
    ]
    report = {
        **certificate.to_dict(),
        "quality": "certified" if holds else "uncertified",
        "objective": objective.name,
        "temperature": objective.temperature,
        **problem.counts.to_dict(),
        "version": __version__,
    }
    outputs.emit(report, [*lines, *certificate.lines()])
    return code(holds)
