"""Terms of a loss under which a wanted geometry is the optimum, and the proof that it is."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from .. import __version__
from ..arrays import Array
from ..certificates.certificate import Certificate
from ..certificates.logits import LogitCertificate
from ..counts.counts import Counts
from ..geometry.class_matrices import ClassMatrix
from ..objectives.logits.cross_entropy import CrossEntropy
from ..objectives.rows.row_softmax import RowSoftmax
from ..results import Result
from ..text import attributes, entry, span, table

# Tables of more classes than this are left to the files.
_MOST_ROWS = 10


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class _Designed(Result):
    counts: Counts
    target: Array | None = field(repr=False)
    moved: float
    objective: RowSoftmax | CrossEntropy = field(repr=False)
    certificate: Certificate | LogitCertificate
    tol: float = 1e-9
    # Numbers that the loss was given, and what a training code needs, by name the attribute.
    _given: ClassVar[tuple[str, ...]]
    _needed: ClassVar[dict[str, str]]

    @property
    def ok(self) -> bool:
        """Whether the target is proved to be the optimum."""
        return self.certificate.holds(self.tol)

    @property
    def settings(self) -> dict[str, float]:
        """The numbers that the loss was given."""
        return attributes(self.objective, *self._given)

    @property
    def _title(self) -> str:
        given = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in self.settings.items())
        return f"{self.objective.name} for a wanted geometry, {given}"

    @property
    def summary(self) -> str:
        """What was designed, and what is proved of it."""
        return f"{'certified' if self.ok else 'uncertified'} {self._title}, {self.counts}"

    def arrays(self) -> dict[str, Array]:
        """What a training code needs, by class in the caller's order, and what the loss was given."""
        needed = {name: getattr(self, attribute) for name, attribute in self._needed.items()}
        settings = {name: np.array(value) for name, value in self.settings.items()}
        return {name: values for name, values in needed.items() if values is not None} | settings

    def _terms(self) -> tuple[str, tuple[str, ...], Array]:
        """How the terms enter the loss, the heads of their columns, and a row of them a class."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The design as a dictionary."""
        proved = ("value", "lower_bound", "gap", "relative_gap", "cosine_residual")
        return {
            **self.arrays(),
            **self.settings,
            "objective": self.objective.name,
            "moved": self.moved,
            **attributes(self.certificate, *(name for name in proved if hasattr(self.certificate, name))),
            "quality": "certified" if self.ok else "uncertified",
            **self.counts.to_dict(),
            "version": __version__,
        }

    def lines(self) -> list[str]:
        """The design as text: the proof, and the terms where they fit a screen."""
        state = "CERTIFIED: the target is the only optimum" if self.ok else "NOT CERTIFIED"
        lines = [
            self._title,
            str(self.counts),
            "",
            f"{state} (relative gap {self.certificate.relative_gap:.1e})",
            entry("loss there", f"{self.certificate.value:.12g} nats"),
        ]
        if self.moved:
            lines.append(entry("target moved by", f"{self.moved:.1e} (to be exactly singular)"))
        how, heads, terms = self._terms()
        lines += ["", *how.splitlines()]
        if self.counts.classes > _MOST_ROWS:
            extent = span(terms[np.isfinite(terms)], ".6g")
            return [*lines, entry("terms", f"{extent} (of {self.counts.classes} classes: --json or --out)")]
        rows = [("class", "count", *heads)]
        for c, values in enumerate(terms):
            cells = ("-" if np.isnan(value) else f"{value:.6g}" for value in values)
            rows.append((self.counts.label(c), f"{self.counts.per_class[c]:g}", *cells))
        return [*lines, "", *(f"  {line}" for line in table(rows))]

    def _columns(self, words: str) -> tuple[str, ...]:
        """The heads of a column a class, where there is a table."""
        return tuple(f"{words}{self.counts.label(c)}" for c in range(min(self.counts.classes, _MOST_ROWS)))


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Design(_Designed):
    """Loss weights under which a wanted Gram matrix is the unique optimum. See `design`.

    Attributes:
        counts: the class counts.
        target: (C, C) the wanted Gram matrix, moved by `moved` so that it is exactly singular.
        moved: the largest change of a cosine that took.
        balance: (C,) u > 0 with G u = 0, of mean 1: the pull every class exerts.
        masses: (C,) the weight of all anchors of a class together; they sum to 1.
        weights: (C, C) W, row by anchor class: the weight of the mean e^{z_i.z_k/tau} over the examples k of a class.
            The diagonal is 0.
        objective: the loss over class means, for `solve` and `certify`.
        certificate: the proof that `target` is its optimum.
        tol: the relative gap called certified.
    """

    target: Array = field(repr=False)
    balance: Array = field(repr=False)
    masses: Array = field(repr=False)
    weights: Array = field(repr=False)
    objective: RowSoftmax = field(repr=False)
    _given = ("temperature",)
    _needed: ClassVar[dict[str, str]] = {
        "anchor_weights": "anchor_weights",
        "negative_weights": "weights",
        "own_weights": "offsets",
        "masses": "masses",
        "target": "target",
        "balance": "balance",
    }

    @property
    def offsets(self) -> Array:
        """(C,) a, the weight of the mean over the other examples of the anchor's own class: 1."""
        return np.ones(self.counts.classes)

    @property
    def anchor_weights(self) -> Array:
        """(C,) the weight v of an example's loss in the mean over all examples."""
        return self.masses * self.counts.total / self.counts.per_class

    def _terms(self) -> tuple[str, tuple[str, ...], Array]:
        how = (
            "one example of class y, in the mean over all examples:\n"
            "  anchor_y [-mean_p z.z_p/tau + log(mean_own e^(z.z_k/tau) + sum_j W_yj mean_j e^(z.z_k/tau))]"
        )
        weights = np.where(np.eye(self.counts.classes, dtype=bool), np.nan, self.weights)
        return how, ("anchor", *self._columns("W to ")), np.column_stack([self.anchor_weights, weights])


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class LogitDesign(_Designed):
    """Terms of cross-entropy under which wanted angles are its only optimum. See `design_logits`.

    Attributes:
        counts: the class counts.
        target: (C, C) the wanted cosines, of features and of classifier; None: the regular simplex.
        moved: the largest change of a cosine that it took to make the target exactly singular.
        margins: (C,) mu, to subtract from the logit of the own class; None for a target of one's own.
        offsets: (C, C) kappa, to add to logit c of the examples of class k; None for the simplex.
        objective: the loss, for `solve` and `certificates.certify_logits`.
        logits: the optimal logits, by orbits of exchangeable classes.
        certificate: the proof that they are optimal.
        tol: the relative gap called certified.
    """

    margins: Array | None = field(default=None, repr=False)
    offsets: Array | None = field(default=None, repr=False)
    objective: CrossEntropy = field(repr=False)
    logits: ClassMatrix = field(repr=False)
    _given = ("feature_decay", "classifier_decay")
    _needed: ClassVar[dict[str, str]] = {"margins": "margins", "offsets": "offsets", "target": "target"}

    def _terms(self) -> tuple[str, tuple[str, ...], Array]:
        if self.margins is not None:
            how = "from the logit of its own class, an example's margin is subtracted:"
            return how, ("margin",), self.margins[:, None]
        how = "to logit c of an example of class k is added (a row a class k):"
        return how, self._columns(""), np.asarray(self.offsets).T
