"""What `solve` returns."""

import enum
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..certificates.certificate import Certificate
from ..counts.counts import Counts
from ..geometry.kernel import KernelGram
from ..geometry.kinds import KindGram
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective
from ..results import Result
from ..text import attributes, entry, sentence
from .base import Termination
from .points.embedding import Embedding, embed

# Distinct counts in reports and pictures; of more, a sample.
MOST_SHOWN = 5000
# Classes whose Gram matrix and points are written to files in full unless asked for.
MOST_WRITTEN = 4000


class Quality(enum.Enum):
    """What you got: proved optimal, or only the best answer found."""

    CERTIFIED = "certified"
    UNCERTIFIED = "uncertified"


@dataclass(frozen=True)
class AttemptRecord:
    """One solver that `solve` tried, certified or not.

    Attributes:
        solver: its name.
        seconds: wall time of the attempt and of its certificate.
        steps: iterations taken.
        termination: why it stopped.
        certificate: what was proved of its answer; None where there was no answer.
        message: a line about what happened.
    """

    solver: str
    seconds: float
    steps: int
    termination: Termination
    certificate: Certificate | None
    message: str

    def to_dict(self) -> dict[str, Any]:
        """The attempt as a dictionary."""
        proved = self.certificate
        return {
            **attributes(self, "solver", "seconds", "steps"),
            "termination": self.termination.name.lower(),
            "gap": None if proved is None else proved.gap,
            "relative_gap": None if proved is None else proved.relative_gap,
            "cosine_residual": None if proved is None else proved.cosine_residual,
            "message": self.message,
        }

    def __str__(self) -> str:
        proved = "no answer"
        if self.certificate is not None:
            gap, residual = self.certificate.relative_gap, self.certificate.cosine_residual
            proved = f"relative gap {gap:.1e}, cosine residual {residual:.1e}"
        stopped = "" if self.termination is Termination.CONVERGED else self.termination.value
        why = sentence("; ".join(dict.fromkeys(one for one in (stopped, self.message) if one))) or "converged"
        return f"{self.solver:<12}{self.seconds:7.2f} s  {proved}; {why:.160}"


@dataclass(frozen=True)
class Remark:
    """One thing more that is worth saying of a solution.

    Attributes:
        key: in the dictionary.
        value: there.
        label: on the page.
        text: there.
    """

    key: str
    value: Any
    label: str
    text: str


@dataclass(frozen=True, eq=False, repr=False)
class Solution(Result):
    """The optimal geometry, and what is proved of it.

    Attributes:
        objective: the problem.
        geometry: the optimal Gram matrix as the solver left it: an OrbitGram, or (from 150 distinct counts on, as a
            rule) a KernelGram of the counts, which is never written out and has `factor`, `rows` and
            `points()`.
        certificate: what is proved of it.
        quality: CERTIFIED or UNCERTIFIED, by the certificate at the tolerance `solve` was given.
        termination: why the solver whose answer this is stopped.
        solver: its name.
        stats: every attempt, in order.
        history: the steps of the attempt whose answer this is.
        remarks: what else is worth saying of it.
    """

    objective: Objective
    geometry: OrbitGram | KernelGram
    certificate: Certificate
    quality: Quality
    termination: Termination
    solver: str
    stats: tuple[AttemptRecord, ...]
    history: tuple[dict[str, float], ...] = ()
    remarks: tuple[Remark, ...] = ()

    @property
    def summary(self) -> str:
        """The loss and what is proved of it."""
        certificate = self.certificate
        return (
            f"{self.quality.value} solution of {self.objective.name} at temperature {self.objective.temperature:g}: "
            f"loss {certificate.value:.12g} nats, gap {certificate.gap:.1e}, cosine residual "
            f"{certificate.cosine_residual:.1e}, {self.geometry.atoms:g} classes, rank {self.rank}"
        )

    @property
    def ok(self) -> bool:
        """Whether it is proved optimal."""
        return self.quality is Quality.CERTIFIED

    @property
    def tried(self) -> str:
        """What every solver says of its attempt."""
        return "; ".join(f"{record.solver}: {record.message or record.termination.value}" for record in self.stats)

    @property
    def counts(self) -> Counts | None:
        """The class counts of the objective; None where it was not built from any."""
        return self.objective.counts

    def to_dict(self) -> dict[str, Any]:
        """The solution as a dictionary (keys as in the command line's contract); orbits go by falling count."""
        objective, counts = self.objective, self.counts
        report: dict[str, Any] = {
            **attributes(self.certificate, "value", "lower_bound", "gap", "relative_gap", "cosine_residual", "repair"),
            "ball_optimal": self.certificate.ball_optimal,
            "quality": self.quality.value,
            **attributes(self, "solver", "seconds"),
            "objective": objective.name,
            "temperature": objective.temperature,
            **({"classes": round(self.geometry.atoms)} if counts is None else counts.to_dict()),
            "rank": self.rank,
            "attempts": [record.to_dict() for record in self.stats],
            "version": __version__,
            **objective.description.report(*self.shown, self.collapsed),
        }
        return report | {remark.key: remark.value for remark in self.remarks}

    def lines(self) -> list[str]:
        """The solution in a few aligned lines."""
        proved = "CERTIFIED: proved optimal"
        if not self.ok:
            proved = "NOT CERTIFIED: the best answer found, optimality not proved"
        lines = [
            f"{self.objective.name}, temperature {self.objective.temperature:g}",
            f"{self.geometry.atoms:g} classes" if self.counts is None else str(self.counts),
            "",
            proved,
            *self.certificate.lines(),
            "",
            *self.objective.description.lines(*self.shown, self.rank, self.collapsed),
            *(entry(remark.label, remark.text) for remark in self.remarks),
        ]
        answered = any(record.certificate is not None for record in self.stats)
        how = f"solved by {self.solver}" if answered else "no solver answered, this is the regular simplex;"
        lines += ["", f"{how} in {self.seconds:.2f} s"]
        if not self.ok or len(self.stats) > 1:
            lines += [f"  {record}" for record in self.stats]
        return lines

    def arrays(self) -> tuple[str, dict[str, NDArray[Any]]]:
        """The Gram matrix for a file, and what to call it: "gram", or by orbits, or by counts where there are many.

        "kinds": of classes with several kinds of atoms by orbits of classes, cosines with other classes and then with
        the own one, see `geomsolve.geometry.Kinds`.

        "geometry": G_ij = sum_q strengths_q factor_iq factor_jq for two classes, by the rows that `labels` gives them.
        """
        geometry, orbits = self.geometry, self.objective.orbits
        if isinstance(geometry, KernelGram) and len(geometry.sizes) > MOST_SHOWN:
            counts, parts = geometry.counts, attributes(geometry, "sizes", "factor", "strengths")
            return "geometry", {"counts": counts.distinct, "labels": counts.groups, **parts}
        if isinstance(geometry, KindGram):
            kinds = geometry.orbits
            what = {
                "kinds": np.array(kinds.names),
                "classes": kinds.classes,
                "each": kinds.each,
                "labels": kinds.groups,
            }
            return "kinds", {**what, "cosines": geometry.cosines}
        if orbits.atoms <= MOST_WRITTEN:
            return "gram", {"gram": self.gram}
        labels = {} if orbits.labels is None else {"labels": orbits.labels}
        return "orbits", {"sizes": orbits.sizes, "cosines": self.orbits.cosines, **labels}

    @property
    def value(self) -> float:
        """The loss, in nats."""
        return self.certificate.value

    @property
    def seconds(self) -> float:
        """Wall time of all attempts together."""
        return sum(record.seconds for record in self.stats)

    @cached_property
    def orbits(self) -> OrbitGram:
        """The optimal Gram matrix in orbit form (`sizes`, `within`, `between`), K x K for K distinct counts.

        Of several kinds of atoms each kind of each class is an orbit; `geometry` has them by orbits of classes.
        """
        if isinstance(self.geometry, KindGram):
            return self.geometry.written()
        if isinstance(self.geometry, OrbitGram):
            return self.geometry
        return self.geometry.written(self.objective.orbits)

    @cached_property
    def shown(self) -> tuple[NDArray[np.intp], OrbitGram]:
        """What reports and pictures show: positions of distinct counts, and their orbits. All, or some of too many."""
        if isinstance(self.geometry, KernelGram) and len(self.geometry.sizes) > MOST_SHOWN:
            return self.geometry.sample()
        if isinstance(self.geometry, KindGram):
            return np.arange(len(self.geometry.orbits.classes)), self.geometry
        return np.arange(len(self.orbits.sizes)), self.orbits

    @cached_property
    def gram(self) -> NDArray[np.float64]:
        """(C, C) the Gram matrix in the caller's class order. Costs 8 C^2 bytes; `orbits` is the compact form."""
        return self.orbits.expand()

    @cached_property
    def rank(self) -> int:
        """The number of eigenvalues of the Gram matrix above 1e-8: the embedding dimension it needs."""
        return self.geometry.rank()

    def embed(self, dim: int | None = None, **options: Any) -> Embedding:
        """The class means as points on the sphere of `dim` coordinates; options are those of `solvers.embed`."""
        return embed(self, dim, **options)

    @cached_property
    def collapsed(self) -> list[list[int]]:
        """Groups of classes that share one point (cosines within 1e-8 of 1), as class indices.

        Of a distribution, whose classes have none, as positions of distinct counts.
        """
        groups, labels = self.geometry.merged(), self.objective.orbits.labels
        if not groups or labels is None:
            return groups
        return [np.flatnonzero(np.isin(labels, group)).tolist() for group in groups]
