"""`compare`: the certified optimal geometry of the same counts under every loss, side by side."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import __version__
from ..arrays import Array, Progress
from ..certificates.certificate import check_tol
from ..counts.counts import Counts, as_counts
from ..errors import ProblemError
from ..geometry.kinds import KindGram, Kinds
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective, check_temperature
from ..objectives.descriptions import KindsOfAtoms
from ..objectives.logits.cross_entropy import CrossEntropy, ldam, logit_adjusted
from ..objectives.registry import build_objective, objective_options, resolve
from ..objectives.rows.row_softmax import RowSoftmax
from ..objectives.sampling import Sampler, class_orbits
from ..results import Result
from ..solvers.logits.logit_solution import solve_logits
from ..solvers.solution import Solution
from ..solvers.solving import solve
from ..text import number, table
from .bounded import BoundedGeometry
from .compared import Compared
from .named import BOUNDED
from .recommendations import sentences

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
_LOGITS: dict[str, Callable[..., CrossEntropy]] = {"ce": CrossEntropy, "ce-adjusted": logit_adjusted, "ce-ldam": ldam}
# Weight decay as it is usual; of the mean square, so that it means the same for few examples and for many.
_DECAY = 5e-4
# Distinct counts beyond which cross-entropy takes a minute, and is solved only where it is asked for by name.
_PATIENCE = 360
# What stands for a class beside its examples, in the order looked for.
_PARTNERS = ("classifier", "prototype", "target")
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
        return all(row.certified for row in self.losses if row.solution is not None)

    @property
    def summary(self) -> str:
        """What was compared."""
        solved = [row.loss for row in self.losses if row.solution is not None]
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
            if row.solution is None:
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
            *(f"  {row.loss}: not solved, {row.reason}" for row in self.losses if row.solution is None),
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
    words, (builder, _) = _CATALOGUE[name], resolve(name)
    if name in _LOGITS:
        if len(counts.distinct) > _PATIENCE and not asked:
            reason = f"{len(counts.distinct)} distinct counts: a minute; ask for it by name"
            return Compared(name, words, None, reason)
        return _classified(name, counts, tol, progress)
    if builder in ("supmin", "supproto") and counts.classes != 2 and not asked:
        return Compared(name, words, None, "a loss of two classes")
    if builder in BOUNDED:
        found = replace(BOUNDED[builder](counts, temperature=temperature), tol=tol)
        return Compared.of(name, words, found, *_measured(found, counts))
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
    solution = solve(objective, tol=tol, throw=False, progress=progress)
    return Compared.of(name, words, solution, *_measured(solution, counts))


def _classified(name: str, counts: Counts, tol: float, progress: Progress | None) -> Compared:
    """Cross-entropy: features and classifier have lengths, and angles all the same."""
    loss, words = _LOGITS[name](counts, feature_decay=_DECAY / counts.total, classifier_decay=_DECAY), _CATALOGUE[name]
    found = solve_logits(loss, tol=tol, throw=False, progress=progress)
    squares = found.orbit_features.own * found.orbit_classifier.own
    if found.vanished or not (squares > 0).all():
        return Compared(name, words, None, f"classes without features at this decay: {len(found.vanished)}")
    alignment = float(loss.orbits.sizes @ (found.orbit_logits.own / np.sqrt(squares))) / counts.classes
    means, rows = found.directions("feature"), found.directions("classifier")
    return Compared.of(name, words, found, means, loss.examples, 0.0, alignment, rows)


def _measured(found: Solution | BoundedGeometry, counts: Counts) -> tuple[Any, ...]:
    """Class means, the examples of a class of every orbit of theirs, spread, alignment and classifier."""
    about, gram = found.objective.description, found.geometry
    if isinstance(found, Solution) and about.atoms == "class means":
        return found.orbits, _shares(found.orbits.orbits.listed(), counts), 0.0
    assert isinstance(gram, OrbitGram), "counts have kernels, single examples have none"
    if not isinstance(gram, KindGram):
        kinds: Sequence[str] = ("instances",) * counts.classes
        classes: Sequence[int] = np.argsort(counts.by_class().groups).tolist()
        if isinstance(about, KindsOfAtoms):
            kinds, classes = about.kinds, about.classes
        gram = _by_class(gram, kinds, classes)
    orbits, (means, length) = gram.orbits, gram.means()
    instances = orbits.classes * orbits.each[:, 0]
    measured = means, _shares(orbits.groups, counts), float(instances @ (1.0 - length**2) / instances.sum())
    partner = next((kind for kind in _PARTNERS if kind in orbits.names), None)
    if partner is None:
        return *measured, float(np.mean(found.own_target / length)) if isinstance(found, BoundedGeometry) else None
    place = orbits.names.index(partner)
    own = orbits.own(gram.cosines)[:, 0, place] / length
    alignment = float(orbits.classes @ own / orbits.classes.sum())
    return *measured, alignment, None if partner == "target" else gram.means(place)[0]


def _shares(groups: NDArray[np.intp], counts: Counts) -> Array:
    """(K,) the examples of a class of every orbit."""
    shares = np.empty(int(groups.max()) + 1)
    shares[groups] = counts.per_class
    return shares


def _by_class(gram: OrbitGram, kinds: Sequence[str], classes: Sequence[int]) -> KindGram:
    """A Gram matrix whose orbits are of these kinds and classes, every class an orbit of its own."""
    names = tuple(dict.fromkeys(kinds))
    order = sorted(range(len(kinds)), key=lambda place: (classes[place], names.index(kinds[place])))
    sizes, cosines = gram.sizes[order], gram.cosines[np.ix_(order, order)]
    each, place = sizes.reshape(-1, len(names)), np.arange(len(kinds) // len(names))
    own = cosines.reshape(each.shape * 2)[place, :, place, :].reshape(len(order), -1)
    orbits = Kinds(sizes, classes=np.ones(len(each)), each=each, names=names, groups=place)
    return KindGram(orbits, np.hstack([cosines, own]))
