"""Verbs of one problem: solve it, check it by other routes, judge a Gram matrix; and the built-in profiles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ProblemError
from .app import NOT_CERTIFIED, OK, app
from .options import DigitsOption, JsonOption, Problem, ProveOption, TolOption, proved_digits, with_problem
from .terminal import Outputs, reporting

if TYPE_CHECKING:
    from ..solvers.embedding import Embedding
    from ..solvers.solution import Solution

# Gram matrices and points of more classes than this are not written out in full unless asked for.
_MOST_CLASSES = 4000


@app.command()
@with_problem
def solve(
    problem: Problem,
    *,
    solver: Annotated[
        str | None,
        typer.Option(
            help="newton, quadrature, interior, clarabel, scs, descent, mosek; without it, the ladder of all that fit."
        ),
    ] = None,
    tol: TolOption = 1e-9,
    dim: Annotated[int | None, typer.Option(help="Embed into so many dimensions, with a proven gap.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of random starts: --solver descent, and --dim below the rank.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Of the solver.")] = None,
    prove: ProveOption = False,
    digits: DigitsOption = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the solution: .png, .pdf or .svg.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write solution.json, gram.npy and points.npy to this folder.")
    ] = None,
    json: JsonOption = None,
) -> int:
    """The optimal geometry of class means, with the proof that it is optimal."""
    from ..solvers.embedding import check_dim
    from ..solvers.ladder import solve as solve_objective
    from ..solvers.registry import build_solver
    from ..solvers.solution import Quality
    from .builders import PROTOTYPES, TARGETED

    if problem.loss.name in (PROTOTYPES, TARGETED):
        from .bounded import solve_prototypes, solve_targeted

        unused = {"solver": solver, "dim": dim, "seed": seed, "max-steps": max_steps, "plot": plot, "out": out}
        unused |= {"prove": prove or None, "digits": digits}
        branch = solve_prototypes if problem.loss.name == PROTOTYPES else solve_targeted
        return branch(problem, tol=tol, json=json, unused=unused)
    check_dim(dim, problem.objective.orbits.atoms)
    if seed is not None and dim is None and solver != "descent":
        raise ProblemError(f"seed: only --solver descent and --dim draw at random; got {seed} (leave it out)")
    chosen = build_solver(solver, max_steps=max_steps, seed=seed)
    wanted = proved_digits(prove, digits)
    if wanted is not None:
        from ..solvers.verification import check_provable

        check_provable(problem.objective)
    outputs = Outputs(json, plot, out)
    if plot is not None:
        _check_drawable(problem)
    with reporting() as progress:
        solution = solve_objective(problem.objective, chosen, tol=tol, throw=False, progress=progress)
        embedding = None
        if dim is not None or (out is not None and problem.objective.orbits.atoms <= _MOST_CLASSES):
            embedding = solution.embed(dim, seed=seed or 0, progress=progress)
        report = _report(solution, problem, embedding if dim is not None else None)
        verified = None
        if wanted is not None:
            from ..solvers.verification import verify
            from .reports.verified import verified_report

            verified = verify(solution, digits=wanted, progress=progress)
            report["verified"] = verified_report(verified)
        files = []
        if plot is not None:
            from ..figures.solutions import plot_solution

            plot_solution(solution, plot, counts=problem.counts, embedding=embedding)
            files.append(str(plot))
        if out is not None:
            files += _write_arrays(out, solution, embedding)
            files.append(str(out / "solution.json"))
        if files:
            report["files"] = files
        if out is not None:
            from .reports.basics import dumps

            (out / "solution.json").write_text(dumps(report) + "\n", encoding="utf-8")

    def text() -> str:
        lines = [_text(solution, problem, embedding if dim is not None else None, tol)]
        if verified is not None:
            from .reports.verified import verified_lines

            lines += verified_lines(verified)
        if out is not None and problem.objective.orbits.atoms > _MOST_CLASSES:
            lines.append(
                f"  more than {_MOST_CLASSES} points: the Gram matrix is written by orbits, points only with --dim"
            )
        if out is not None and embedding is not None and not embedding.exact:
            lines.append("  gram.npy is the optimum of any dimension; that of the points is points @ points.T")
        return "\n".join([*lines, *(f"  wrote {file}" for file in files)])

    outputs.emit(report, text)
    good = solution.quality is Quality.CERTIFIED if verified is None else verified.proved
    return OK if good else NOT_CERTIFIED


def _report(solution: Solution, problem: Problem, embedding: Embedding | None) -> dict[str, Any]:
    from ..objectives.supcl import InstanceSoftmax
    from .reports.solutions import solution_report
    from .reports.supcl import supcl_report

    if isinstance(problem.objective, InstanceSoftmax):
        return supcl_report(solution, problem.objective, problem.counts, embedding)
    return solution_report(solution, problem.counts, embedding)


def _text(solution: Solution, problem: Problem, embedding: Embedding | None, tol: float) -> str:
    from ..objectives.supcl import InstanceSoftmax
    from .reports.solutions import solution_text
    from .reports.supcl import supcl_text

    if isinstance(problem.objective, InstanceSoftmax):
        return supcl_text(solution, problem.objective, problem.counts, tol, embedding)
    return solution_text(solution, problem.counts, embedding)


def _check_drawable(problem: Problem) -> None:
    from ..objectives.parts import parts_of
    from ..objectives.supcl import InstanceSoftmax

    if isinstance(problem.objective, InstanceSoftmax):
        raise ProblemError(
            f"plot: draws one mean per class; got {problem.objective.name}, over instances (leave it out; guideline "
            "--plot draws the variance within classes)"
        )
    parts = parts_of(problem.objective)
    if parts is not None:
        kinds = " and ".join(dict.fromkeys(parts.names))
        raise ProblemError(f"plot: draws one mean per class; got {problem.objective.name}, over {kinds} (leave it out)")


def _write_arrays(folder: Path, solution: Any, embedding: Any) -> list[str]:
    """The Gram matrix (by orbits where C x C is too much) and the points; returns the names of the files."""
    import numpy as np

    from ..geometry.kernel import KernelGram
    from ..solvers.solution import MOST_SHOWN

    geometry, orbits = solution.geometry, solution.objective.orbits
    names = []
    if isinstance(geometry, KernelGram) and len(geometry.sizes) > MOST_SHOWN:
        # G_ij = sum_q strengths_q factor_iq factor_jq for two classes, by the rows that `labels` gives them.
        np.savez(
            folder / "geometry.npz",
            counts=geometry.counts.values,
            sizes=geometry.sizes,
            labels=geometry.labels,
            factor=geometry.factor,
            strengths=geometry.strengths,
        )
        names.append("geometry.npz")
    elif orbits.atoms <= _MOST_CLASSES:
        np.save(folder / "gram.npy", solution.gram)
        names.append("gram.npy")
    else:
        labels = {} if orbits.labels is None else {"labels": orbits.labels}
        np.savez(folder / "orbits.npz", sizes=orbits.sizes, cosines=solution.orbits.cosines, **labels)
        names.append("orbits.npz")
    if embedding is not None:
        np.save(folder / "points.npy", embedding.points)
        names.append("points.npy")
    return [str(folder / name) for name in names]


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
    from ..certificates.certificate import certify as certify_gram
    from ..certificates.certificate import check_tol
    from ..files import read_array
    from .reports.solutions import certificate_report, certificate_text

    check_tol(tol)
    outputs = Outputs(json)
    certificate = certify_gram(problem.objective, read_array("gram", gram))
    report = certificate_report(certificate, problem.objective, problem.counts, tol)
    outputs.emit(report, lambda: certificate_text(certificate, problem.objective, problem.counts, tol))
    return OK if certificate.holds(tol) else NOT_CERTIFIED


@app.command()
def profiles(json: JsonOption = None) -> int:
    """The built-in class counts."""
    from .reports.profiles import profiles_report, profiles_text

    report = profiles_report()
    Outputs(json).emit(report, lambda: profiles_text(report))
    return OK
