"""Whether an embedding has the similarities that weights ask for: on the sphere, and in Euclidean space."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .. import __version__
from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram
from ..geometry.unit_rows import fitted, unit
from ..objectives.weighted.weighted import WeightedSoftmax
from ..objectives.weighted.weightings import Weighting
from ..results import Result
from ..text import attributes, entry
from .feasibility import Witness

# Samples named one by one.
_MOST_WORST = 5


class Verdict(enum.StrEnum):
    """Whether an embedding attains the entropy bound."""

    REALIZABLE = "realizable"
    DEGENERATE = "degenerate"
    INCONSISTENT = "inconsistent"


class _Excess(Result):
    """What both kinds of verdict say of the loss: an interval of its excess over the entropy of the weights."""

    entropy_bound: float
    excess: float
    excess_lower: float

    @property
    def value(self) -> float:
        """The loss of the geometry found."""
        return self.entropy_bound + self.excess

    @property
    def lower_bound(self) -> float:
        """Proved: no embedding has a smaller loss."""
        return self.entropy_bound + self.excess_lower

    @property
    def gap(self) -> float:
        """The width of the interval, in nats."""
        return self.excess - self.excess_lower


@dataclass(frozen=True, eq=False, repr=False)
class Realization(_Excess):
    """What the optimum of weighted InfoNCE is, and whether it is what the weights ask for.

    Attributes:
        verdict: REALIZABLE: a Gram matrix has p_ij = w_ij for every pair, and `gram` is one. DEGENERATE: some
            weight is 0, which no finite similarity gives. INCONSISTENT: all weights are positive, and no Gram matrix
            gives them. Proved in each case, however wide the interval of the excess is.
        reason: the verdict in a sentence.
        objective: weighted InfoNCE with these weights.
        gram: the best geometry found, by orbits of exchangeable samples.
        entropy_bound: mean H(w_i), below the loss of any embedding, in nats.
        excess: mean KL(w_i || p_i) at `gram`: its loss above the entropy bound, in nats.
        excess_lower: proved: no embedding comes nearer to the entropy bound.
        finished: whether the interval from `excess_lower` to `excess` is as narrow as was asked for.
        largest_temperature: the bound is attained up to this temperature; 0: at none, infinite: at all. None where
            weights are 0 or asymmetric, which no temperature mends.
        shifts: (low, high): without self-pairs nothing changes when all cosines grow by the same. REALIZABLE: every
            G_ij = tau log K_ij + c, i != j, with c in this interval attains the bound (w_ij = K_ij / r_i, K symmetric
            and at most 1). Otherwise: what may be added to the cosines of `gram`. None where the Gram matrix is unique,
            or not known well enough.
        min_dim: coordinates that the embedding needs: the smallest number of any that attains the bound, or the rank
            of the best Gram matrix; None where that is not known to 1e-6.
        witness: proves INCONSISTENT; None otherwise.
        components: groups of samples between which all weights are 0: only the denominators place them.
        seconds: wall time.
    """

    verdict: Verdict
    reason: str
    objective: WeightedSoftmax = field(repr=False)
    gram: OrbitGram = field(repr=False)
    entropy_bound: float
    excess: float
    excess_lower: float
    finished: bool
    largest_temperature: float | None
    shifts: tuple[float, float] | None
    min_dim: int | None
    witness: Witness | None = field(repr=False)
    components: int
    seconds: float

    @property
    def weighting(self) -> Weighting:
        """The weights, with their convention on self-pairs."""
        return self.objective.weighting

    @property
    def temperature(self) -> float:
        """Tau."""
        return self.objective.temperature

    @property
    def unique(self) -> bool | None:
        """Whether one Gram matrix alone is optimal (its points up to rotation and reflection); None: not known."""
        if self.min_dim is None and not self.weighting.self_pairs:
            return None
        return self.shifts is None

    @cached_property
    def excess_per_sample(self) -> Array:
        """(N,) KL(w_i || p_i), in the caller's order."""
        return self.objective.divergences(self.gram)[self.weighting.orbits.listed()]

    @cached_property
    def points(self) -> Array:
        """(N, d) unit rows of `gram`, d = min_dim where that is known, else as many as the search took."""
        points = self.gram.embed()
        return points if self.min_dim is None else np.asarray(unit(fitted(points, self.min_dim)))

    def nearest_weights(self) -> Array:
        """(N, N) the realizable weights nearest to these: p minimises mean KL(w_i || p_i) over all realizable p."""
        logs, own = self.objective.log_softmax(self.gram)
        labels = self.weighting.orbits.listed()
        weights = np.exp(logs)[labels[:, None], labels]
        np.fill_diagonal(weights, np.exp(own)[labels])
        return weights

    @property
    def summary(self) -> str:
        """The verdict and the excess."""
        return (
            f"{self.weighting.name} at temperature {self.temperature:g}: {self.verdict}, "
            f"excess {self.excess_lower:.6g} to {self.excess:.6g} nats"
        )

    def to_dict(self) -> dict[str, Any]:
        """The verdict as a dictionary (keys as in the command line's contract)."""
        report = {
            **_report(self),
            "similarity": "cosine",
            **attributes(self, "largest_temperature", "components", "seconds"),
            "quality": "certified" if self.finished and self.weighting.represented is None else "uncertified",
            "represented": self.weighting.represented,
        }
        if self.witness is not None:
            report["witness"] = attributes(self.witness, "kind", "value", "margin")
        return report

    def lines(self) -> list[str]:
        """The verdict as text."""
        more, known = [], "proved"
        if self.weighting.represented is not None:
            # A principal submatrix that is indefinite decides for all.
            proved = self.weighting.self_pairs and self.verdict is Verdict.INCONSISTENT
            known, (many, away) = "estimated", self.weighting.represented
            few = f"{len(self.weighting.orbits.sizes)} of them, {away:.2g} bandwidths away (root mean square)"
            more = [
                f"{many} different labels are represented by {few}:",
                f"the verdict is {'proved for all of them' if proved else 'not proved'}, the rest is an estimate.",
            ]
        lines = _page(self, "cosines on the sphere", self._uniqueness, more, known)
        if not self.finished:
            lines.append(entry("", "the interval would narrow further (--seconds, seconds=)"))
        if (largest := self.largest_temperature) is not None:
            every = {0.0: "at no temperature", np.inf: "at every temperature"}
            lines.append(entry("realizable", every.get(largest, f"up to temperature {largest:.9g}")))
        if self.witness is not None:
            text = f"{self.witness.kind}: <X, required> = {self.witness.value:.6g}, margin {self.witness.margin:.3g}"
            lines.append(entry("witness", text))
        if self.excess > 1e-10 and self.weighting.samples > 1:
            worst = (f"{one['sample']} ({one['excess']:.3g})" for one in _worst(self.excess_per_sample))
            lines.append(entry("worst samples", ", ".join(worst)))
        return lines

    @property
    def _uniqueness(self) -> str:
        if self.unique is None:
            return "not known yet"
        if self.shifts is None:
            return "yes, up to rotations and reflections"
        low, high = self.shifts
        what = "the constant" if self.verdict is Verdict.REALIZABLE else "a shift"
        return f"no: {what} of all cosines may be anything from {low:.6g} to {high:.6g}"

    def arrays(self) -> dict[str, Array]:
        """What files keep: points, excess per sample, nearest realizable weights, and the witness, if any."""
        arrays = attributes(self, "points", "excess_per_sample")
        arrays["nearest_weights"] = self.nearest_weights()
        if self.witness is not None:
            arrays |= {"witness": self.witness.matrix, "required": self.witness.required}
        return arrays


@dataclass(frozen=True, eq=False, repr=False)
class EuclideanGeometry(_Excess):
    """Points for weighted InfoNCE over squared distances, and what is proved of them.

    Attributes:
        verdict: REALIZABLE, the entropy bound is attained; DEGENERATE, some weight is 0, which no finite distance
            gives; INCONSISTENT, every embedding stays above the bound.
        reason: why, in one sentence.
        entropy_bound: mean_i H(w_i), in nats, below every loss.
        excess: mean_i KL(w_i || p_i) of `points`, without cancellation.
        excess_lower: 0: of the others no more is proved than the entropy bound.
        excess_per_sample: (n,) KL(w_i || p_i).
        points: (n, d), centred, d = min_dim or the number of coordinates asked for.
        unique: whether every best embedding is this one, up to isometry.
        min_dim: coordinates of the embedding found, the fewest that attain the bound.
        shifts: (-inf, c_max): for every c up to c_max there is an equally good embedding with squared distances
            `required` + 2 (c_max - c); None if there is no such family.
        witness: (n, n) X = v v^T, X 1 = 0, with <X, required> > 0, where <X, D> <= 0 of all squared distances D of
            points; None unless it is this that the weights fail.
        required: (n, n) the squared distances that attain the entropy bound, had a space them; None if no matrix does.
        weighting: the weights, each sample by itself.
        temperature: tau.
    """

    verdict: Verdict
    reason: str
    entropy_bound: float
    excess: float
    excess_per_sample: Array = field(repr=False)
    points: Array = field(repr=False)
    weighting: Weighting
    temperature: float
    unique: bool
    min_dim: int
    shifts: tuple[float, float] | None = None
    witness: Array | None = field(default=None, repr=False)
    required: Array | None = field(default=None, repr=False)
    excess_lower: float = 0.0

    @property
    def summary(self) -> str:
        """The verdict and the excess."""
        return f"{self.verdict}, excess {self.excess:.6g} nats, gap {self.gap:.1e}, {self.min_dim} dimensions"

    def to_dict(self) -> dict[str, Any]:
        """The verdict as a dictionary."""
        return {**_report(self), "similarity": "euclidean", "dim": self.points.shape[1]}

    def lines(self) -> list[str]:
        """The verdict as text."""
        return _page(self, "distances in Euclidean space", "up to isometry" if self.unique else "no")

    def arrays(self) -> dict[str, Array]:
        """What files keep: points, excess per sample, and witness and wanted squared distances where they are."""
        arrays = attributes(self, "points", "excess_per_sample", "witness", "required")
        return {name: array for name, array in arrays.items() if array is not None}


def _report(found: Realization | EuclideanGeometry) -> dict[str, Any]:
    """What both kinds of verdict are as a dictionary."""
    return {
        "verdict": str(found.verdict),
        **attributes(found, "reason", "entropy_bound", "value", "lower_bound", "gap", "excess", "excess_lower"),
        **attributes(found, "unique", "shifts", "min_dim", "temperature"),
        "objective": "weighted InfoNCE",
        "weights": found.weighting.name,
        **attributes(found.weighting, "self_pairs", "samples"),
        "distinct_samples": len(found.weighting.orbits.sizes),
        "version": __version__,
        "worst_samples": _worst(found.excess_per_sample),
    }


def _worst(excess: Array) -> list[dict[str, Any]]:
    order = np.argsort(-excess, kind="stable")[:_MOST_WORST]
    return [{"sample": int(i), "excess": float(excess[i])} for i in order]


def _page(
    found: Realization | EuclideanGeometry, space: str, unique: str, more: Sequence[str] = (), known: str = "proved"
) -> list[str]:
    """What both kinds of verdict are as text."""
    weighting, distinct = found.weighting, len(found.weighting.orbits.sizes)
    some = "" if distinct == weighting.samples else f" ({distinct} distinct)"
    return [
        f"weighted InfoNCE, {weighting.name}, temperature {found.temperature:g}, {space}",
        f"{weighting.samples} samples{some}, {weighting.convention}",
        "",
        f"{found.verdict.upper()}: {found.reason}",
        *more,
        "",
        entry("entropy bound", f"{found.entropy_bound:.12g} nats"),
        entry("best loss", f"{found.value:.12g} nats"),
        entry("excess", f"{found.excess_lower:.6g} to {found.excess:.6g} nats in the mean over samples ({known})"),
        entry("dimension needed", "not known yet" if found.min_dim is None else str(found.min_dim)),
        entry("unique", unique),
    ]
