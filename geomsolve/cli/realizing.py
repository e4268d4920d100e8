"""The verb `realize`: does an embedding have the similarities that weights of pairs ask for?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import ProblemError
from ..files import check_file
from .app import NOT_CERTIFIED, OK, app
from .options import JsonOption, TolOption
from .terminal import Outputs, reporting

if TYPE_CHECKING:
    from ..objectives.weightings import Weighting


@app.command()
def realize(
    *,
    weights: Annotated[
        Path | None, typer.Option(help="A .npy file: N x N weights of pairs, rows are divided by their sums.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help='In place of --weights: a .npy file, a .csv file with a column "label", numbers such as 0,0.5,1, or '
            "diabetes, digits, digits-classes (scikit-learn's)."
        ),
    ] = None,
    scheme: Annotated[
        str | None, typer.Option(help="How labels make weights: supcon, soft-supcon, y-aware, x-clr, euclidean.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Temperature of the loss.")],
    sigma: Annotated[float | None, typer.Option(help="y-aware, euclidean: bandwidth of the kernel.")] = None,
    kernel: Annotated[
        str | None,
        typer.Option(help="y-aware: gaussian (default), laplacian, cauchy, epanechnikov, triangular or uniform."),
    ] = None,
    period: Annotated[float | None, typer.Option(help="y-aware: the period of a cyclic label, 24 for hours.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="soft-supcon: weight of a pair of different classes.")] = None,
    label_temperature: Annotated[float | None, typer.Option(help="x-clr: temperature of the labels' softmax.")] = None,
    self_pairs: Annotated[
        bool | None,
        typer.Option(
            "--self-pairs/--no-self-pairs",
            help="Whether a sample is a term of its own sums. Left out: as the scheme has it (all but supcon do); for "
            "--weights, if their diagonal is not all 0.",
            show_default=False,
        ),
    ] = None,
    similarity: Annotated[
        str | None, typer.Option(help="cosine (default), or euclidean: minus half the squared distance, no sphere.")
    ] = None,
    dim: Annotated[int | None, typer.Option(help="Ask also for this number of coordinates.")] = None,
    prove: Annotated[
        bool, typer.Option("--prove", help="Prove the verdict in ball arithmetic (needs python-flint).")
    ] = False,
    tol: TolOption = 1e-7,
    plot: Annotated[Path | None, typer.Option(help="Draw it: .png, .pdf or .svg.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write points.npy, witness.npy and more to this folder.")] = None,
    json: JsonOption = None,
) -> int:
    """Whether an embedding has the similarities that weighted InfoNCE asks for, with a proof either way."""
    from ..certificates.certificate import check_tol

    check_tol(tol)
    outputs = Outputs(json, plot, out)
    options = {"sigma": sigma, "kernel": kernel, "period": period, "epsilon": epsilon}
    options |= {"label_temperature": label_temperature}
    weighting = read_weighting(weights, labels, scheme, options, self_pairs)
    if similarity is None:
        similarity = "euclidean" if scheme == "euclidean" else "cosine"
    if similarity not in ("cosine", "euclidean"):
        raise ProblemError(f"similarity: must be cosine or euclidean; got {similarity!r:.40}")
    if out is not None:
        check_file("out", out / "points.npy")
    if similarity == "euclidean":
        for name, value in (("dim", dim), ("prove", prove or None), ("plot", plot)):
            if value is not None:
                raise ProblemError(f"{name}: is for cosines; got {value} with Euclidean similarity (leave it out)")
        return _euclidean(weighting, temperature, tol, outputs)
    return _cosine(weighting, temperature, tol, dim, prove, outputs)


def _cosine(
    weighting: Weighting, temperature: float, tol: float, dim: int | None, prove: bool, outputs: Outputs
) -> int:
    from ..certificates.balls import flint
    from ..similarities.dimensions import realize_in
    from ..similarities.label_fits import label_fit
    from ..similarities.proofs import prove as prove_verdict
    from ..similarities.realizations import realize as realize_weights
    from ..similarities.remedies import suggest_remedies
    from ..solvers.embedding import check_dim
    from .reports.realizations import realization_files, realization_report, realization_text

    check_dim(dim, weighting.orbits.atoms)
    if prove:
        flint()  # before any work
    with reporting() as progress:
        found = realize_weights(weighting, temperature=temperature, tol=tol, progress=progress)
        advice = suggest_remedies(found)
        within = None if dim is None else realize_in(found, dim, progress=progress)
        proof = prove_verdict(found) if prove else None
        if outputs.plot is not None:
            from ..figures.realizations import plot_realization

            plot_realization(found, outputs.plot, within=within)
        fit = label_fit(weighting, temperature)
    report = realization_report(found, advice, fit, within, proof)
    if outputs.plot is not None:
        report["files"] = [str(outputs.plot)]
    if outputs.out is not None:
        report["files"] = [*report.get("files", []), *realization_files(found, report, outputs.out, within)]
    outputs.emit(report, lambda: realization_text(found, advice, fit, within, proof, report.get("files", ())))
    return OK if found.certified else NOT_CERTIFIED


def _euclidean(weighting: Weighting, temperature: float, tol: float, outputs: Outputs) -> int:
    from ..similarities.euclidean import euclidean_realization
    from .reports.realizations import euclidean_files, euclidean_report, euclidean_text

    with reporting() as progress:
        progress("points in Euclidean space")
        found = euclidean_realization(weighting.log_matrix(), temperature=temperature, self_pairs=weighting.self_pairs)
    report = euclidean_report(found, weighting, temperature, tol)
    if outputs.out is not None:
        report["files"] = euclidean_files(found, report, outputs.out)
    outputs.emit(report, lambda: euclidean_text(found, weighting, temperature, report))
    return OK if report["quality"] == "certified" else NOT_CERTIFIED


def read_weighting(
    weights: Path | None, labels: str | None, scheme: str | None, options: dict[str, Any], self_pairs: bool | None
) -> Weighting:
    """The weighting that the options of a command line describe; `options` are those of the scheme."""
    from ..files import read_array
    from ..objectives.weightings import weighting_from_matrix
    from ..similarities.labels import load_labels
    from ..similarities.schemes import build_weighting

    if (weights is None) == (labels is None):
        got = "neither" if weights is None else "both"
        raise ProblemError(f"weights: must be given, or labels and a scheme in their place; got {got}")
    if weights is not None:
        for name, value in {"scheme": scheme, **options}.items():
            if value is not None:
                raise ProblemError(f"{name.replace('_', '-')}: goes with --labels; got {value} with --weights")
        # Messages name the argument, reports the file.
        return replace(weighting_from_matrix(read_array("weights", weights), self_pairs=self_pairs), name=weights.name)
    if scheme is None:
        raise ProblemError(
            "scheme: must be given with --labels; got none (supcon, soft-supcon, y-aware, x-clr or euclidean)"
        )
    return build_weighting(scheme, load_labels(str(labels)), {**options, "self_pairs": self_pairs})
