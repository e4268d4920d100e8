"""The verb `realize`: does an embedding have the similarities that weights of pairs ask for?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..arrays import Progress
from ..certificates.certificate import check_tol
from ..errors import ProblemError
from ..files import check_file
from ..objectives.weighted.weightings import MOST_ORBITS, Weighting, weighting_from_matrix
from ..similarities.dimensions import realize_in
from ..similarities.euclidean import euclidean_realization
from ..similarities.kernels import distance_weights
from ..similarities.label_fits import label_fit
from ..similarities.labels import load_labels, load_square, load_tree
from ..similarities.realizations import realize as realize_weights
from ..similarities.remedies import suggest_remedies
from ..similarities.schemes import SCHEMES, build_weighting
from ..solvers.points.embedding import check_dim
from ..text import attributes, entry
from .app import OK, verb
from .options import JsonOption
from .outputs import Outputs, reporting


@verb(
    "geomsolve realize --labels 0,1,2 --scheme y-aware --sigma 1 --temperature 1",
    "geomsolve realize --weights w.npy --temperature 0.1 --out folder",
)
def realize(
    *,
    weights: Annotated[
        Path | None,
        typer.Option(help="N x N weights of pairs (.npy, .csv, .tsv, .parquet); rows are divided by their sums."),
    ] = None,
    distances: Annotated[
        Path | None, typer.Option(help="In place of --weights: N x N distances, with --sigma and --kernel.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="In place of --weights: a file (.npy, .csv, .tsv, .parquet; see --column), numbers such as 0,0.5,1, "
            "or diabetes, digits, digits-classes (scikit-learn's)."
        ),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help='Column of the table of --labels ("label"), or several: a,b,c.')
    ] = None,
    scheme: Annotated[
        str | None,
        typer.Option(
            help="How labels make weights: supcon, soft-supcon, y-aware, x-clr, euclidean, hierarchy, or for several "
            "labels a sample jaccard, overlap, all."
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(help="Temperature of the loss.")],
    sigma: Annotated[
        str | None,
        typer.Option(help="y-aware, euclidean, distances: bandwidth, a number or scott, silverman, median."),
    ] = None,
    variance: Annotated[float | None, typer.Option(help="In place of --sigma: its square.")] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            help="y-aware, distances: gaussian (default; rbf), laplacian (exponential), cauchy, epanechnikov, "
            "triangular (linear), cosine or uniform (tophat)."
        ),
    ] = None,
    period: Annotated[float | None, typer.Option(help="y-aware: the period of a cyclic label, 24 for hours.")] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(help="soft-supcon: weight of other classes; hierarchy: of a step; sets: a floor under all."),
    ] = None,
    tree: Annotated[
        Path | None, typer.Option(help="hierarchy: a table of child and parent, where --labels are its classes.")
    ] = None,
    label_temperature: Annotated[float | None, typer.Option(help="x-clr: temperature of the labels' softmax.")] = None,
    views: Annotated[
        int | None,
        typer.Option(help="2: one own view against two of every other sample, as public y-Aware code has it."),
    ] = None,
    self_pairs: Annotated[
        bool | None,
        typer.Option(
            "--self-pairs/--no-self-pairs",
            help="Whether a sample is a term of its own sums. Left out: as the scheme has it (all but supcon do); for "
            "--weights, if their diagonal is not all 0.",
            show_default=False,
        ),
    ] = None,
    subset: Annotated[
        int | None, typer.Option(help="A random subset of so many samples; inconsistent there is inconsistent for all.")
    ] = None,
    similarity: Annotated[
        str | None, typer.Option(help="cosine (default), or euclidean: minus half the squared distance, no sphere.")
    ] = None,
    dim: Annotated[int | None, typer.Option(help="Ask also for this number of coordinates.")] = None,
    tol: Annotated[float, typer.Option(help="Width of the interval of the excess, as a share of it.")] = 0.01,
    seconds: Annotated[float, typer.Option(help="The interval narrows for so long; the verdict comes before.")] = 20.0,
    plot: Annotated[Path | None, typer.Option(help="Draw it: .png, .pdf or .svg.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write points.npy, witness.npy and more to this folder.")] = None,
    json: JsonOption = None,
) -> int:
    """Whether an embedding has the similarities that weighted InfoNCE asks for, with a proof either way."""
    check_tol(tol)
    outputs = Outputs(json, plot, out, "realization.json")
    options: dict[str, Any] = {"sigma": sigma, "variance": variance, "kernel": kernel, "period": period}
    options |= {"epsilon": epsilon, "tree": tree, "label_temperature": label_temperature, "views": views}
    with reporting() as progress:
        weighting = read_weighting(
            weights, labels, scheme, options, self_pairs, distances=distances, column=column, subset=subset,
            progress=progress,
        )  # fmt: skip
    similarity = similarity or ("euclidean" if scheme == "euclidean" else "cosine")
    if similarity not in ("cosine", "euclidean"):
        raise ProblemError(f"similarity: must be cosine or euclidean; got {similarity!r:.40}")
    if out is not None:
        check_file("out", out / "points.npy")
    check_dim(dim, weighting.orbits.atoms)
    with reporting() as progress:
        if similarity == "euclidean":
            report, lines, arrays = _euclidean(weighting, temperature, seconds, dim, plot, progress)
        else:
            report, lines, arrays = _cosine(weighting, temperature, tol, seconds, dim, plot, progress)
        if out is not None:
            progress(f"files: about {weighting.samples**2 * 3.2e-8:.2g} GB of matrices over all pairs")
    outputs.emit(report, lines, [] if out is None else outputs.save(arrays()))
    return OK


# What the command says as a dictionary, as lines, and what it saves.
_Told = tuple[dict[str, Any], list[str], Callable[[], dict[str, Any]]]


def _cosine(
    weighting: Weighting, temperature: float, tol: float, seconds: float, dim: int | None, plot: Path | None,
    progress: Progress,
) -> _Told:  # fmt: skip
    found = realize_weights(weighting, temperature=temperature, tol=tol, seconds=seconds, progress=progress)
    progress(f"{found.verdict.value}; looking for what would make it realizable")
    advice = suggest_remedies(found)
    within = None if dim is None else realize_in(found, dim, seconds=seconds, progress=progress)
    if plot is not None:
        found.plot(plot, within=within)
    fit = label_fit(weighting, temperature)
    report, lines = found.to_dict(), found.lines()
    report["remedies"] = [dataclasses.asdict(remedy) for remedy in advice]
    if fit is not None:
        report["label_fit"] = {**dataclasses.asdict(fit), "sentence": fit.sentence}
        lines.append(entry("labels", fit.sentence))
    if within is not None:
        report["in_dimension"] = attributes(within, "dim", "realizable", "excess", "excess_lower")
        answer = "realizable" if within.realizable else "not realizable"
        lines.append(entry(f"in {within.dim} dimensions", f"{answer}: excess {within.excess:.6g} nats"))
        if not within.realizable:
            lines.append(entry("", f"proved in any number of dimensions: at least {within.excess_lower:.6g}"))
    if advice:
        lines += ["", "what would make it realizable:"]
        lines += [f"  {'+' if remedy.works else '-'} {remedy.text}" for remedy in advice]
    more = {} if within is None else {"points_in_dimension": within.points}
    return report, lines, lambda: found.arrays() | more


def _euclidean(
    weighting: Weighting, temperature: float, seconds: float, dim: int | None, plot: Path | None, progress: Progress
) -> _Told:
    progress("points in Euclidean space")
    found = euclidean_realization(
        weighting.log_matrix(), temperature=temperature, self_pairs=weighting.self_pairs, dim=dim, seconds=seconds,
        progress=progress,
    )  # fmt: skip
    found = dataclasses.replace(found, weighting=weighting)
    if plot is not None:
        found.plot(plot)
    return found.to_dict(), found.lines(), found.arrays


def read_weighting(
    weights: Path | None,
    labels: str | None,
    scheme: str | None,
    options: dict[str, Any],
    self_pairs: bool | None,
    *,
    distances: Path | None = None,
    column: str | None = None,
    subset: int | None = None,
    progress: Progress = lambda _: None,
) -> Weighting:
    """The weighting that the options of a command line describe; `options` are those of the scheme."""
    given = [name for name, one in (("weights", weights), ("distances", distances), ("labels", labels)) if one]
    if len(given) != 1:
        got = " and ".join(given) or "none"
        raise ProblemError(f"weights: exactly one of weights, distances, labels must be given; got {got}")
    options = {**options, "sigma": _number_or_rule(options.get("sigma"))}
    if labels is not None:
        if scheme is None:
            raise ProblemError(f"scheme: must be given with --labels; got none ({', '.join(SCHEMES)})")
        loaded = load_labels(str(labels), column)
        loaded = loaded if subset is None else loaded[_chosen(len(loaded), subset)]
        _need(len(loaded), progress)
        if options.get("tree") is not None:
            options["tree"] = load_tree(options["tree"])
        weighting = build_weighting(scheme, loaded, {**options, "self_pairs": self_pairs})
        return _named(weighting, subset)
    taken = ("sigma", "kernel", "variance") if distances is not None else ()
    for name, value in {"scheme": scheme, "column": column, **options}.items():
        if value is not None and name not in taken:
            raise ProblemError(f"{name.replace('_', '-')}: goes with --labels; got {value} with --{given[0]}")
    path = weights or distances
    assert path is not None
    if path.suffix == ".npy" and path.is_file():
        _need(int((path.stat().st_size / 8) ** 0.5) if subset is None else subset, progress)
    matrix = load_square(given[0], path)
    if subset is not None and matrix.ndim == 2:
        chosen = _chosen(len(matrix), subset)
        matrix = matrix[np.ix_(chosen, chosen)]
    if distances is not None:
        sigma, variance = options.get("sigma"), options.get("variance")
        if (sigma is None) == (variance is None):
            raise ProblemError("sigma: must be given with --distances, or --variance in its place (median is a rule)")
        width: Any = sigma if variance is None else float(np.sqrt(max(variance, 0.0)))
        own = True if self_pairs is None else self_pairs
        kernel = options.get("kernel") or "gaussian"
        return _named(distance_weights(matrix, sigma=width, kernel=kernel, self_pairs=own), subset)
    # Messages name the argument, reports the file.
    return _named(dataclasses.replace(weighting_from_matrix(matrix, self_pairs=self_pairs), name=path.name), subset)


def _need(samples: int, progress: Progress) -> None:
    """Says how much memory so many samples take at most, before it is taken."""
    progress(f"weights of {samples} samples: {7.2e-8 * min(samples, MOST_ORBITS) ** 2:.2g} GB of memory at most")


def _number_or_rule(text: str | None) -> float | str | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _chosen(samples: int, subset: int) -> Any:
    """Positions of a random subset, in their order."""
    if not 2 <= subset <= samples:
        raise ProblemError(f"subset: must be from 2 to the {samples} samples; got {subset}")
    return np.sort(np.random.default_rng(0).choice(samples, subset, replace=False))


def _named(weighting: Weighting, subset: int | None) -> Weighting:
    if subset is None:
        return weighting
    return dataclasses.replace(weighting, name=f"{weighting.name}, random subset of {subset} samples")
