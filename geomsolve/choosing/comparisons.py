"""`compare`: the certified optimal geometry of the same counts under every loss, side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import __version__
from ..arrays import Array, Progress
from ..certificates.certificate import check_tol
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.kinds import KindGram
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..geometry.variances import class_variances
from ..objectives.base import Objective, check_temperature
from ..objectives.kinds.parts import parts_of
from ..objectives.kinds.supcl import InstanceSoftmax
from ..objectives.many_counts import class_orbits
from ..objectives.registry import build_objective, objective_options, resolve
from ..objectives.rows.row_softmax import RowSoftmax
from ..objectives.sampling import Sampler
from ..results import Result
from ..solvers.solution import Quality, Solution
from ..solvers.solving import solve
from ..text import number, table
from .classified import LOGITS, classified
from .compared import Compared
from .prototype_geometry import supervised_prototypes
from .recommendations import sentences
from .targeted import targeted_supcon

# The losses by name, and what they are in words.
_CATALOGUE = {
    "supcon": "SupCon, full batch, 2 views",
    "supcon-batch": "SupCon, batches of 256, 2 views",
    "sincere": "SINCERE, full batch, 2 views",
    "gcl-supervised": "InfoNCE, infinitely many negatives of other classes",
    "gcl-unsupervised": "InfoNCE, infinitely many negatives of any class",
    "supcl": "SupCL, alpha 0.5, 2 views",
    "kcl": "KCL, 6 positives, 2 views",
    "supmin": "Supervised Minority, 2 views",
    "supproto": "Supervised Prototypes, 2 views (not convex: value and bound)",
    "tsc": "TSC, fixed simplex targets, 2 views",
    "bcl": "BCL, mean over instances",
    "bcl-class": "BCL, mean over classes first",
    "ecl": "ECL (our reading), classifier of scale 30",
    "lc": "logit-compensated cross-entropy, scale 12",
    "normface": "cosine classifier, scale 12",
    "design": "weights designed for the simplex",
    "ce": "cross-entropy, free norms, decay 5e-4 of the classifier and of the mean square of features",
    "ce-adjusted": "cross-entropy with logit adjustment, decays as of ce",
    "ce-ldam": "cross-entropy with LDAM's margins of at most 0.5, decays as of ce",
}
# Distinct counts beyond which cross-entropy takes a minute, and is solved only where it is asked for by name.
_PATIENCE = 360
# What a loss needs to be told and a comparison has to choose.
_SETTINGS = {"supcl": {"alpha": 0.5}}


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """What `compare` returns: one `Compared` a loss, in the order asked for, and what follows from them in words."""

    counts: Counts
    temperature: float
    losses: tuple[Compared, ...]

    def __getitem__(self, loss: str) -> Compared:
        return next(row for row in self.losses if row.loss == loss)

    @property
    def recommendation(self) -> str:
        """Plain words that follow from the numbers."""
        return " ".join(sentences(self.losses, self.counts))

    @property
    def ok(self) -> bool:
        """Whether everything that was solved is certified."""
        return all(row.certified for row in self.losses if row.means is not None)

    @property
    def summary(self) -> str:
        """What was compared."""
        solved = [row.loss for row in self.losses if row.means is not None]
        return f"{self.counts.name} at temperature {self.temperature:g} under {', '.join(solved)}"

    def to_dict(self) -> dict[str, Any]:
        """The comparison as a dictionary."""
        return {
            **self.counts.to_dict(),
            "temperature": self.temperature,
            "losses": [row.to_dict() for row in self.losses],
            "recommendation": self.recommendation,
            "version": __version__,
        }

    def lines(self) -> list[str]:
        """The comparison as a table, with what follows from it."""
        angles, cosines = ("nearest two", "classifier"), ("tail mean", "head-tail", "simplex")
        rows: list[tuple[str, ...]] = [("loss", *angles, *cosines, "rank", "within", "aligned", "")]
        for row in self.losses:
            if row.means is None:
                continue
            together = "collapsed" if row.collapsed else ""
            rows.append(
                (
                    row.loss,
                    f"{number(row.separation, '.2f')} deg",
                    "-" if row.classifier is None else f"{number(row.classifier_separation, '.2f')} deg",
                    number(row.tail_tail, "+.4f"),
                    number(row.head_tail, "+.4f"),
                    number(row.simplex_distance, ".4f"),
                    str(row.rank),
                    number(row.within, ".3f"),
                    number(row.alignment, ".4f"),
                    together if row.certified else f"NOT CERTIFIED {together}".strip(),
                )
            )
        return [
            f"Optimal geometry of class means, temperature {self.temperature:g}",
            str(self.counts),
            "",
            *table(rows),
            "",
            *(f"  {row.loss}: not solved, {row.reason}" for row in self.losses if row.means is None),
            "  nearest two: class means; classifier: the same of classifiers or prototypes; tail mean: mean cosine of",
            "  two classes with fewer examples than average; head-tail: of one such and one other; simplex: root mean",
            "  square over pairs of the distance from it; within: variance of a class's examples; aligned: class means",
            "  with their own classifier, prototype or target.",
            "",
            *textwrap.wrap(self.recommendation, 110),
            "",
            *textwrap.wrap("; ".join(f"{row.loss}: {row.description}" for row in self.losses) + ".", 110),
        ]


def compare(
    counts: Counts | ArrayLike,
    *,
    temperature: float,
    losses: Sequence[str] | None = None,
    batch: int | None = None,
    sampler: Sampler = "instance",
    tol: float = 1e-9,
    progress: Progress | None = None,
) -> Comparison:
    """The optimal geometry of class means under every loss of the package, on the same counts and temperature.

    For each: the two nearest classes, cosines in the tail and between head and tail, the distance to the regular
    simplex, rank, collapse, spread within classes, and alignment with the classifier, all from certified optima.

    Args:
        counts: examples per class, whole numbers of at least 2 (some losses count pairs of them).
        temperature: tau; the logit-compensated cross-entropy has a scale of its own, cross-entropy with free norms
            has decays in its place: 5e-4 of the classifier and of the mean square of features.
        losses: names of `compared_names()`; None: all that fit, cross-entropy above 360 distinct counts only by name.
        batch: examples per batch of the losses that are defined over batches; None: all of them, and 256 of
            supcon-batch.
        sampler: how these draw their batches, and gcl its examples; see `SupCon`.
        tol: the relative gap to certify.
        progress: called with a line of text as the work goes on.

    Raises:
        ProblemError: bad counts or temperature, or an unknown name.

    Cost: a solve each; see `losses`.
    Source: ours; the losses are those of the papers in the bibliography.
    """
    counts = as_counts(counts)
    temperature = check_temperature(temperature)
    check_tol(tol)
    if isinstance(losses, str):
        losses = [losses]
    losses = None if losses is None else [name.strip().lower().replace("_", "-") for name in losses]
    for name in losses or ():
        if name not in _CATALOGUE:
            raise ProblemError(f"losses: must be among {', '.join(_CATALOGUE)}; got {name!r:.40}")
    drawn: dict[str, Any] = {} if batch is None else {"batch": batch}
    if not (isinstance(sampler, str) and sampler == "instance"):
        drawn["sampler"] = sampler
    rows = []
    chosen = list(dict.fromkeys(losses or _CATALOGUE))
    for place, name in enumerate(chosen):
        prefix = f"{name} ({place + 1} of {len(chosen)})"
        if progress is not None:
            progress(prefix)
        try:
            rows.append(_compared(name, counts, temperature, drawn, losses is not None, tol, progress))
        except ProblemError as error:
            rows.append(Compared(name, _CATALOGUE[name], None, str(error)))
    if all(row.means is None for row in rows):
        raise ProblemError(rows[0].reason)
    return Comparison(counts, temperature, tuple(rows))


def compared_names() -> tuple[str, ...]:
    """The names that `compare` takes."""
    return tuple(_CATALOGUE)


def _compared(
    name: str,
    counts: Counts,
    temperature: float,
    drawn: dict[str, Any],
    asked: bool,
    tol: float,
    progress: Progress | None,
) -> Compared:
    if name in LOGITS:
        if len(counts.distinct) > _PATIENCE and not asked:
            reason = f"{len(counts.distinct)} distinct counts: a minute; ask for it by name"
            return Compared(name, _CATALOGUE[name], None, reason)
        return classified(name, _CATALOGUE[name], counts, tol, progress)
    words, (builder, _) = _CATALOGUE[name], resolve(name)
    if builder in ("supmin", "supproto") and counts.classes != 2 and not asked:
        return Compared(name, words, None, "a loss of two classes")
    if builder in ("supproto", "tsc"):
        solver = supervised_prototypes if builder == "supproto" else targeted_supcon
        found = solver(counts, temperature=temperature)
        proved = found.value, found.relative_gap, bool(found.relative_gap <= tol)
        if isinstance(found.geometry, KindGram):
            return _of_kinds(name, words, counts, None, found.geometry, proved)
        means, length, within = _class_means(found.geometry)
        alignment = float(np.mean(found.own_target / length))
        return Compared(name, words, None, "", means, counts.per_class, within, alignment, *proved)
    if builder == "design":  # for the simplex all weights are 1, see `design`
        ones = np.ones(len(counts.distinct))
        objective: Objective = RowSoftmax(
            orbits=class_orbits(counts), masses=ones / counts.classes, weights=np.outer(ones, ones), offsets=ones,
            temperature=temperature, name="designed loss",
        )  # fmt: skip
    else:
        options = objective_options(name)
        heat = {"temperature": temperature} if "temperature" in options else {}
        over = {option: value for option, value in drawn.items() if "sampler" in options and option in options}
        objective = build_objective(name, counts, {**_SETTINGS.get(name, {}), **heat, **over})
        words = objective.name if over else words
    return _described(name, words, counts, solve(objective, tol=tol, throw=False, progress=progress))


def _described(name: str, words: str, counts: Counts, solution: Solution) -> Compared:
    if isinstance(solution.geometry, KindGram):
        return _of_kinds(name, words, counts, solution, solution.geometry, _proof(solution))
    objective, gram = solution.objective, solution.orbits
    parts = parts_of(objective)
    if parts is None and not isinstance(objective, InstanceSoftmax):
        shares = np.empty(len(gram.sizes))
        shares[gram.orbits.labels] = counts.per_class
        return Compared(name, words, solution, "", gram, shares, 0.0, None, *_proof(solution))
    if parts is None:
        order, kind = counts.by_class().groups, ""
    else:
        kind = "instances" if "instances" in parts.names else "mean"
        order = _places(parts.names, parts.classes, kind, counts.classes)
    own = OrbitGram(Orbits(gram.sizes[order]), gram.cosines[np.ix_(order, order)])
    means, length, within = _class_means(own)
    alignment = classifier = None
    for partner in ("classifier", "prototype"):
        if parts is not None and partner in parts.names:
            other = _places(parts.names, parts.classes, partner, counts.classes)
            alignment = float(np.mean(gram.cosines[order, other] / length))
            classifier = OrbitGram(means.orbits, gram.cosines[np.ix_(other, other)])
            break
    proved = _proof(solution)
    shares = counts.per_class
    return Compared(name, words, solution, "", means, shares, within, alignment, *proved, classifier=classifier)


def _of_kinds(
    name: str,
    words: str,
    counts: Counts,
    solution: Solution | None,
    gram: KindGram,
    proved: tuple[float, float, bool],
) -> Compared:
    """The class means of a geometry over orbits of classes, and the first other kind beside them."""
    kinds, (means, length) = gram.orbits, gram.means()
    instances = kinds.classes * kinds.each[:, 0]
    within = float(instances @ (1.0 - length**2) / instances.sum())
    partner = next((name for name in ("classifier", "prototype", "target") if name in kinds.names), None)
    alignment = classifier = None
    if partner is not None:
        place = kinds.names.index(partner)
        own = kinds.own(gram.cosines)[:, 0, place] / length
        alignment = float(kinds.classes @ own / kinds.classes.sum())
        classifier = None if partner == "target" else gram.means(place)[0]
    return Compared(
        name, words, solution, "", means, counts.distinct, within, alignment, *proved, classifier=classifier
    )


def _proof(solution: Solution) -> tuple[float, float, bool]:
    proved = solution.certificate
    return proved.value, proved.relative_gap, solution.quality is Quality.CERTIFIED


def _class_means(instances: OrbitGram) -> tuple[OrbitGram, Array, float]:
    """Cosines of class means, their lengths, and the variance within: from instances whose orbits are the classes."""
    variances = class_variances(instances)
    length = np.sqrt(1.0 - variances.per_class)
    cosines = instances.cosines / length[:, None] / length
    np.fill_diagonal(cosines, 1.0)
    classes = len(length)
    means = OrbitGram(Orbits(np.ones(classes), np.arange(classes)), np.clip(cosines, -1.0, 1.0))
    return means, length, variances.within


def _places(names: Sequence[str], classes: Sequence[int], kind: str, count: int) -> NDArray[np.intp]:
    """(C,) the orbit of that kind of every class."""
    places = np.zeros(count, np.intp)
    for place, (name, index) in enumerate(zip(names, classes, strict=True)):
        if name == kind:
            places[index] = place
    return places
