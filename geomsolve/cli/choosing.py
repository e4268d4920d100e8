"""Verbs that help to choose: losses side by side, weights for a wanted geometry, settings that keep a variance."""

from pathlib import Path
from typing import Annotated, Any

from ..choosing.comparisons import compare as compare_losses
from ..choosing.designed import Design, LogitDesign
from ..choosing.designs import design as design_weights
from ..choosing.guidelines import TEMPERATURES, keep_variance, variance_map
from ..choosing.logit_designs import design_logits
from ..counts.counts import Counts
from ..errors import ProblemError
from ..figures.maps import plot_variance_map
from ..files import read_array
from . import options
from .app import code, verb
from .options import option
from .outputs import Outputs, reporting


@verb(
    "geomsolve compare --counts cifar10_lt:100 --temperature 0.1",
    "geomsolve compare --counts 500,100,20 --temperature 0.1 --losses supcon,bcl",
)
@options.with_counts
def compare(
    counts: Counts,
    *,
    temperature: Annotated[float, option("Temperature of the losses.")],
    losses: Annotated[str | None, option("Some only, separated by commas; left out: all that fit.")] = None,
    batch: Annotated[int | None, option("Examples per batch of the losses that have one.")] = None,
    sampler: Annotated[str, option("Of their batches.")] = "instance",
    tol: options.TolOption = 1e-9,
    plot: options.PlotOption = None,
    json: options.JsonOption = None,
) -> int:
    """The optimal geometry under every loss side by side, and what follows from it."""
    outputs = Outputs(json, plot)
    names = None if losses is None else [name.strip() for name in losses.split(",")]
    with reporting() as progress:
        drawn: dict[str, Any] = {"batch": batch, "sampler": sampler}
        found = compare_losses(counts, temperature=temperature, losses=names, **drawn, tol=tol, progress=progress)
        if plot is not None:
            found.plot(plot)
    return outputs.tell(found)


@verb(
    "geomsolve design --counts 9,5,2 --temperature 0.1 --target gram.npy",
    "geomsolve design --counts 9,5,2 --feature-decay 1e-6 --classifier-decay 5e-4",
)
@options.with_counts
def design(
    counts: Counts,
    *,
    temperature: Annotated[float | None, option("Temperature of a contrastive loss.")] = None,
    feature_decay: Annotated[float | None, option("Or the weight decay of one example's features, ...")] = None,
    classifier_decay: Annotated[float | None, option("... and of the classifier, of cross-entropy.")] = None,
    target: Annotated[Path | None, option("A .npy file: the wanted C x C cosines; left out: the simplex.")] = None,
    anchors: Annotated[str | None, option("Every class (default) or instance weighs the same.")] = None,
    tol: options.TolOption = 1e-9,
    out: Annotated[Path | None, option("Write design.json and design.npz to this folder.")] = None,
    json: options.JsonOption = None,
) -> int:
    """The weights of a contrastive loss, or the margins of cross-entropy, whose optimum is the geometry you want."""
    outputs = Outputs(json, None, out, "design.json")
    decays = [decay for decay in (feature_decay, classifier_decay) if decay is not None]
    if len(decays) != 2 * (temperature is None):
        raise ProblemError(
            "temperature: must be given for a contrastive loss, or in its place feature-decay and classifier-decay for "
            f"cross-entropy; got {'both' if decays and temperature is not None else 'neither or one decay alone'}"
        )
    if decays and anchors is not None:
        raise ProblemError(f"anchors: are those of a contrastive loss; got {anchors} beside decays (leave it out)")
    wanted = None if target is None else read_array("target", target)
    found: Design | LogitDesign
    if temperature is None:
        found = design_logits(counts, wanted, feature_decay=decays[0], classifier_decay=decays[1], tol=tol)
    else:
        found = design_weights(counts, wanted, temperature=temperature, anchors=anchors or "class", tol=tol)
    return outputs.tell(found, outputs.save(found.arrays(), "design"))


@verb(
    "geomsolve guideline --variance 0.3 --classes 10 --instances 50",
    "geomsolve guideline --variance 0.3 --counts 50,20,5 --temperature 0.1",
)
@options.with_counts
def guideline(
    counts: Counts,
    *,
    variance: Annotated[float, option("The within-class variance to keep; the total is 1.")],
    temperature: Annotated[list[float] | None, option("May be repeated; left out: six from 0.05 to 1.")] = None,
    views: Annotated[int, option("Views per instance.")] = 2,
    self_pairs: Annotated[bool, option("An embedding is its own positive and in its denominator.")] = True,
    plot: options.PlotOption = None,
    json: options.JsonOption = None,
) -> int:
    """Which (alpha, temperature) of SupCL keep a given within-class variance, and from where classes collapse."""
    outputs = Outputs(json, plot)
    settings: dict[str, Any] = {"views": views, "self_pairs": self_pairs}
    with reporting() as progress:
        found = keep_variance(counts, variance, temperatures=temperature or TEMPERATURES, **settings, progress=progress)
        proved = found.ok
        if plot is not None:
            over = variance_map(counts, **settings, progress=progress)
            plot_variance_map(over, plot, variance=found.variance)
            proved &= bool(over.certified.all())
    outputs.emit(found.to_dict(), found.lines())
    return code(proved)
