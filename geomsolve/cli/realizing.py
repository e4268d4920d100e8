"""The verb `realize`: does an embedding have the similarities that weights of pairs ask for?"""

import contextlib
import dataclasses
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from ..arrays import Progress
from ..certificates.certificate import check_tol
from ..errors import ProblemError
from ..files import check_file
from ..objectives.weighted.weightings import MOST_ORBITS, Weighting, weighting_from_matrix
from ..similarities.dimensions import InDimension, realize_in
from ..similarities.euclidean import euclidean_realization
from ..similarities.label_fits import label_fit
from ..similarities.labels import load_labels, load_square, load_tree
from ..similarities.realizations import realize as realize_weights
from ..similarities.remedies import suggest_remedies
from ..similarities.schemes import SCHEMES, build_weighting
from ..similarities.verdicts import EuclideanGeometry, Realization
from ..solvers.points.embedding import check_dim
from ..text import attributes, entry
from .app import OK, verb
from .options import JsonOption, PlotOption, option
from .outputs import Outputs, reporting


@verb(
    "geomsolve realize --labels 0,1,2 --scheme y-aware --sigma 1 --temperature 1",
    "geomsolve realize --weights w.npy --temperature 0.1 --out folder",
)
def realize(
    *,
    weights: Annotated[Path | None, option("N x N weights of pairs: .npy, .csv, .tsv or .parquet.")] = None,
    distances: Annotated[Path | None, option("Or such distances, with --sigma and --kernel.")] = None,
    labels: Annotated[
        str | None, option("Or such a file of labels, 0,0.5,1, or scikit-learn's diabetes, digits, digits-classes.")
    ] = None,
    column: Annotated[str | None, option('Of a table of labels ("label"), or several: a,b,c.')] = None,
    scheme: Annotated[str | None, option(f"How labels make weights: {', '.join(SCHEMES)}.")] = None,
    temperature: Annotated[float, option("Temperature of the loss.")],
    sigma: Annotated[str | None, option("Bandwidth: a number, scott, silverman or median.")] = None,
    variance: Annotated[float | None, option("In place of --sigma: its square.")] = None,
    kernel: Annotated[
        str | None,
        option("gaussian (left out), laplacian, cauchy, epanechnikov, triangular, cosine or uniform."),
    ] = None,
    period: Annotated[float | None, option("y-aware: of a cyclic label, 24 for hours.")] = None,
    epsilon: Annotated[
        float | None, option("soft-supcon: weight of other classes; hierarchy: of a step; sets: a floor under all.")
    ] = None,
    tree: Annotated[Path | None, option("hierarchy: a table of child and parent of the labels.")] = None,
    label_temperature: Annotated[float | None, option("x-clr: temperature of the labels' softmax.")] = None,
    views: Annotated[int | None, option("2: one own view against two of every other, as public y-Aware code.")] = None,
    self_pairs: Annotated[
        bool | None,
        option("A sample is a term of its own sums. Left out: as in the scheme or the weights.", show_default=False),
    ] = None,
    subset: Annotated[int | None, option("So many samples at random; inconsistent there is so for all.")] = None,
    similarity: Annotated[str | None, option("cosine (left out), or euclidean: no sphere, squared distances.")] = None,
    dim: Annotated[int | None, option("Ask also for this number of coordinates.")] = None,
    tol: Annotated[float, option("Width of the interval of the excess, as a share of it.", callback=check_tol)] = 0.01,
    seconds: Annotated[float, option("The interval narrows for so long; the verdict comes before.")] = 20.0,
    plot: PlotOption = None,
    out: Annotated[Path | None, option("Write points.npy, witness.npy and more to this folder.")] = None,
    json: JsonOption = None,
) -> int:
    """Whether an embedding has the similarities that weighted InfoNCE asks for, with a proof either way."""
    outputs = Outputs(json, plot, out, "realization.json")
    if out is not None:
        check_file("out", out / "points.npy")
    similarity = similarity or ("euclidean" if scheme == "euclidean" else "cosine")
    if similarity not in ("cosine", "euclidean"):
        raise ProblemError(f"similarity: must be cosine or euclidean; got {similarity!r:.40}")
    options: dict[str, Any] = {"sigma": sigma, "variance": variance, "kernel": kernel, "period": period}
    options |= {"epsilon": epsilon, "tree": tree, "label_temperature": label_temperature, "views": views}
    source: dict[str, Any] = {"distances": distances, "column": column, "subset": subset}
    with reporting() as progress:
        weighting = read_weighting(weights, labels, scheme, options, self_pairs, **source, progress=progress)
        check_dim(dim, weighting.orbits.atoms)
        drawn: dict[str, Any] = {}
        found: Realization | EuclideanGeometry
        how: dict[str, Any] = {"temperature": temperature, "seconds": seconds, "progress": progress}
        if similarity == "euclidean":
            found = euclidean_realization(weighting, dim=dim, **how)
            report, lines = found.to_dict(), found.lines()
        else:
            found = realize_weights(weighting, tol=tol, **how)
            progress(f"{found.verdict.value}; looking for what would make it realizable")
            drawn["within"] = None if dim is None else realize_in(found, dim, seconds=seconds, progress=progress)
            report, lines = _told(found, **drawn)
        if plot is not None:
            found.plot(plot, **drawn)
        arrays = {}
        if out is not None:
            progress(f"files: about {weighting.samples**2 * 3.2e-8:.2g} GB of matrices over all pairs")
            arrays = found.arrays()
            if drawn.get("within"):
                arrays["points_in_dimension"] = drawn["within"].points
    outputs.emit(report, lines, outputs.save(arrays))
    return OK


def _told(found: Realization, within: InDimension | None) -> tuple[dict[str, Any], list[str]]:
    """The verdict as a dictionary and as lines, with what would mend it and what it comes to in few dimensions."""
    report, lines = found.to_dict(), found.lines()
    advice, fit = suggest_remedies(found), label_fit(found.weighting, found.temperature)
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
    return report, lines


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
    options = {name: value for name, value in options.items() if value is not None}
    if "sigma" in options:
        with contextlib.suppress(ValueError):  # else the name of a rule
            options["sigma"] = float(options["sigma"])
    path = weights or distances
    if path is None:
        if scheme is None:
            raise ProblemError(f"scheme: must be given with --labels; got none ({', '.join(SCHEMES)})")
        data = load_labels(str(labels), column)
    else:
        taken = ("sigma", "kernel", "variance") if distances else ()
        for name, value in {"scheme": scheme, "column": column, **options}.items():
            if value is not None and name not in taken:
                raise ProblemError(f"{name.replace('_', '-')}: goes with --labels; got {value} with --{given[0]}")
        data = load_square(given[0], path)
    if subset is not None:
        if not 2 <= subset <= len(data):
            raise ProblemError(f"subset: must be from 2 to the {len(data)} samples; got {subset}")
        chosen = np.sort(np.random.default_rng(0).choice(len(data), subset, replace=False))
        data = data[chosen] if path is None else data[np.ix_(chosen, chosen)]
    needed = 7.2e-8 * min(len(data), MOST_ORBITS) ** 2
    progress(f"weights of {len(data)} samples: {needed:.2g} GB of memory at most")
    if "tree" in options:
        options["tree"] = load_tree(options["tree"])
    if weights:  # messages name the argument, reports the file
        weighting = dataclasses.replace(weighting_from_matrix(data, self_pairs=self_pairs), name=weights.name)
    else:
        how = "distances" if distances else str(scheme)
        weighting = build_weighting(how, data, {**options, "self_pairs": self_pairs})
    if subset is None:
        return weighting
    return dataclasses.replace(weighting, name=f"{weighting.name}, random subset of {subset} samples")
