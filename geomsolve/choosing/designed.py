"""Loss weights under which a wanted geometry is the optimum, and the proof that it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import __version__
from ..arrays import Array, frozen
from ..certificates.certificate import Certificate
from ..counts.counts import Counts
from ..objectives.rows.row_softmax import RowSoftmax
from ..results import Result
from ..text import attributes, entry, span, table

# Tables of more classes than this are left to the files.
MOST_ROWS = 10


@dataclass(frozen=True, eq=False, repr=False)
class Design(Result):
    """Loss weights under which a wanted Gram matrix is the unique optimum. See `design`.

    Attributes:
        counts: the class counts.
        target: (C, C) the wanted Gram matrix, moved by `moved` so that it is exactly singular.
        moved: the largest change of a cosine that took.
        balance: (C,) u > 0 with G u = 0, of mean 1: the pull every class exerts.
        masses: (C,) the weight of all anchors of a class together; they sum to 1.
        weights: (C, C) W, row by anchor class: the weight of the mean e^{z_i.z_k/tau} over the examples k of a class.
            The diagonal is 0.
        offsets: (C,) a, the weight of the mean over the other examples of the anchor's own class: 1.
        objective: the loss over class means, for `solve` and `certify`.
        certificate: the proof that `target` is its optimum.
        tol: the relative gap called certified.
    """

    counts: Counts
    target: Array = field(repr=False)
    moved: float
    balance: Array = field(repr=False)
    masses: Array = field(repr=False)
    weights: Array = field(repr=False)
    offsets: Array = field(repr=False)
    objective: RowSoftmax = field(repr=False)
    certificate: Certificate
    tol: float = 1e-9

    def __post_init__(self) -> None:
        for name in ("target", "balance", "masses", "weights", "offsets"):
            object.__setattr__(self, name, frozen(name, getattr(self, name)))

    @property
    def anchor_weights(self) -> Array:
        """(C,) the factor on the loss of one example of a class, in a mean over all examples: masses / proportions."""
        return self.masses * self.counts.total / self.counts.per_class

    @property
    def ok(self) -> bool:
        """Whether the target is proved to be the optimum."""
        return self.certificate.holds(self.tol)

    @property
    def summary(self) -> str:
        """What was designed, and what is proved of it."""
        state = "certified" if self.ok else "uncertified"
        return f"{state} weights for a wanted geometry of {self.counts}, temperature {self.objective.temperature:g}"

    def arrays(self) -> dict[str, Array]:
        """What a training code needs, by class in the caller's order."""
        return {
            "anchor_weights": self.anchor_weights,
            "negative_weights": self.weights,
            "own_weights": self.offsets,
            "target": self.target,
            "balance": self.balance,
            "temperature": np.array(self.objective.temperature),
        }

    def to_dict(self) -> dict[str, Any]:
        """The design as a dictionary."""
        return {
            **self.arrays(),
            "temperature": self.objective.temperature,
            "objective": self.objective.name,
            **attributes(self, "masses", "moved"),
            **attributes(self.certificate, "value", "lower_bound", "gap", "relative_gap", "cosine_residual"),
            "quality": "certified" if self.ok else "uncertified",
            **self.counts.to_dict(),
            "version": __version__,
        }

    def lines(self) -> list[str]:
        """The design as text: the proof, and the weights where they fit a screen."""
        certificate, counts, classes = self.certificate, self.counts, self.counts.classes
        proof = "CERTIFIED: the target is the only optimum" if self.ok else "NOT CERTIFIED"
        lines = [
            f"loss weights for a wanted geometry, temperature {self.objective.temperature:g}",
            str(counts),
            "",
            f"{proof} (relative gap {certificate.relative_gap:.1e}, cosine residual {certificate.cosine_residual:.1e})",
            entry("loss there", f"{certificate.value:.12g} nats"),
        ]
        if self.moved:
            lines.append(entry("target moved by", f"{self.moved:.1e} (to be exactly singular)"))
        lines += ["", "one example of class y, in the mean over all examples:"]
        lines.append("  anchor_y [-mean_p z.z_p/tau + log(mean_own e^(z.z_k/tau) + sum_j W_yj mean_j e^(z.z_k/tau))]")
        if classes > MOST_ROWS:
            shown = span(self.weights[~np.eye(classes, dtype=bool)], ".6g")
            lines.append(entry("anchor weights", span(self.anchor_weights, ".6g")))
            return [*lines, entry("W", f"{shown} ({classes} x {classes}: --json or --out)")]
        names = [counts.label(c) for c in range(classes)]
        rows: list[tuple[str, ...]] = [("class", "count", "anchor", *(f"W to {name}" for name in names))]
        for i, name in enumerate(names):
            weights = ("-" if j == i else f"{self.weights[i, j]:.6g}" for j in range(classes))
            rows.append((name, f"{counts.per_class[i]:g}", f"{self.anchor_weights[i]:.6g}", *weights))
        return [*lines, "", *(f"  {line}" for line in table(rows))]
