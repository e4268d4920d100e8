"""The verb `realize`: does an embedding have the similarities that weights of pairs ask for?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from ..certificates.balls import flint
from ..certificates.certificate import check_tol
from ..errors import ProblemError
from ..files import check_file, read_array
from ..objectives.weightings import Weighting, weighting_from_matrix
from ..similarities.dimensions import realize_in
from ..similarities.euclidean import euclidean_realization
from ..similarities.label_fits import label_fit
from ..similarities.labels import load_labels
from ..similarities.proofs import prove as prove_verdict
from ..similarities.realizations import realize as realize_weights
from ..similarities.remedies import suggest_remedies
from ..similarities.schemes import build_weighting
from ..solvers.embedding import check_dim
from ..text import attributes, entry
from .app import app, code
from .options import JsonOption, TolOption
from .terminal import Outputs, reporting


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
    check_tol(tol)
    outputs = Outputs(json, plot, out, "realization.json")
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
    check_dim(dim, weighting.orbits.atoms)
    if prove:
        flint()  # before any work
    files: list[Path] = []
    with reporting() as progress:
        found = realize_weights(weighting, temperature=temperature, tol=tol, progress=progress)
        advice = suggest_remedies(found)
        within = None if dim is None else realize_in(found, dim, progress=progress)
        proof = prove_verdict(found) if prove else None
        if outputs.plot is not None:
            found.plot(outputs.plot, within=within)
            files.append(outputs.plot)
        fit = label_fit(weighting, temperature)
    report, lines, arrays = found.to_dict(), found.lines(), found.arrays()
    report["remedies"] = [dataclasses.asdict(remedy) for remedy in advice]
    if fit is not None:
        report["label_fit"] = {**dataclasses.asdict(fit), "sentence": fit.sentence}
        lines.append(entry("labels", fit.sentence))
    if within is not None:
        names = ("dim", "realizable", "excess", "excess_lower_bound")
        report["in_dimension"] = attributes(within, *names)
        arrays["points_in_dimension"] = within.points
        answer = "realizable" if within.realizable else "not realizable"
        lines.append(entry(f"in {within.dim} dimensions", f"{answer}: excess {within.excess:.6g} nats"))
        if not within.realizable:
            lines.append(entry("", f"proved: at least {within.excess_lower_bound:.3g}"))
    if proof is not None:
        report["proof"] = dataclasses.asdict(proof)
        lines.append(entry("ball arithmetic", proof.statement))
    if advice:
        lines += ["", "what would make it realizable:"]
        lines += [f"  {'+' if remedy.works else '-'} {remedy.text}" for remedy in advice]
    outputs.emit(report, lines, files + outputs.save(arrays))
    return code(found.ok)


def _euclidean(weighting: Weighting, temperature: float, tol: float, outputs: Outputs) -> int:
    with reporting() as progress:
        progress("points in Euclidean space")
        found = euclidean_realization(weighting.log_matrix(), temperature=temperature, self_pairs=weighting.self_pairs)
    found = dataclasses.replace(found, weighting=weighting, temperature=temperature, tol=tol)
    outputs.emit(found.to_dict(), found.lines(), outputs.save(found.arrays()))
    return code(found.ok)


def read_weighting(
    weights: Path | None, labels: str | None, scheme: str | None, options: dict[str, Any], self_pairs: bool | None
) -> Weighting:
    """The weighting that the options of a command line describe; `options` are those of the scheme."""
    if (weights is None) == (labels is None):
        got = "neither" if weights is None else "both"
        raise ProblemError(f"weights: must be given, or labels and a scheme in their place; got {got}")
    if weights is not None:
        for name, value in {"scheme": scheme, **options}.items():
            if value is not None:
                raise ProblemError(f"{name.replace('_', '-')}: goes with --labels; got {value} with --weights")
        # Messages name the argument, reports the file.
        return dataclasses.replace(
            weighting_from_matrix(read_array("weights", weights), self_pairs=self_pairs), name=weights.name
        )
    if scheme is None:
        raise ProblemError(
            "scheme: must be given with --labels; got none (supcon, soft-supcon, y-aware, x-clr or euclidean)"
        )
    return build_weighting(scheme, load_labels(str(labels)), {**options, "self_pairs": self_pairs})
