"""The zoo: named problems whose optimum is known to many digits, to test and time solvers on."""

import difflib
import json
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np

from ..arrays import Array
from ..counts.counts import as_counts
from ..counts.sources import load_counts
from ..errors import ProblemError
from ..geometry.orbit_gram import OrbitGram
from ..objectives.base import Objective
from ..objectives.registry import build_objective
from ..objectives.weighted.weighted import WeightedInfoNCE
from ..similarities.schemes import build_weighting


class ZooProblem:
    """A problem and its optimum. Make one with `problem`.

    Numbers in the definition (temperature, counts, ...) are float64, and the optimum is that of these very numbers.

    Attributes:
        name: such as "supcon-cifar10-lt".
        description: in a line.
        loss: the name of the loss, as in `geomsolve solve --objective`; "weighted" for weighted InfoNCE.
        counts: class counts, the name of a profile, or for "weighted" the labels of samples.
        options: the other arguments of the loss.
        tags: what the problem is there for, such as "collapsed", "low temperature", "kinks", "joint atoms".
        source: where the optimum is from: a closed form, or a proof in ball arithmetic.
        value: the optimal loss in nats, as a decimal number all of whose digits but the last are proved.
        excess: the optimal loss above its floor likewise, or None; at low temperature the loss itself says nothing.
        optimum: what is stored of it: digits of cosines, and how well they are proved.
    """

    def __init__(self, definition: Mapping[str, Any], optimum: Mapping[str, Any] | None = None):
        self.name, self.description, self.loss = (definition[key] for key in ("name", "description", "loss"))
        self.counts, self.options, self.tags = definition["counts"], definition["options"], tuple(definition["tags"])
        self.optimum = optimum or {}
        self.value, self.excess = self.optimum.get("value", "nan"), self.optimum.get("excess")
        proof = f"ours, proved in ball arithmetic to {self.optimum['error']} nats" if optimum else "none"
        self.source = f"closed form: {definition['closed']}; {proof}" if "closed" in definition else proof

    def __repr__(self) -> str:
        return f"ZooProblem({self.name}: {self.description})"

    @property
    def unique(self) -> bool:
        """Whether only one Gram matrix is optimal. Where not, `gram` is one of them."""
        return "not unique" not in self.tags

    @cached_property
    def objective(self) -> Objective:
        """The loss, as a user would build it."""
        options = dict(self.options)
        if self.loss == "weighted":
            temperature, scheme = options.pop("temperature"), options.pop("scheme")
            return WeightedInfoNCE(build_weighting(scheme, self.counts, options), temperature=temperature)
        counts = load_counts(self.counts) if isinstance(self.counts, str) else as_counts(self.counts)
        return build_objective(self.loss, counts, options)

    @cached_property
    def orbits(self) -> OrbitGram:
        """The optimal Gram matrix by orbits of the objective, rounded to float64."""
        stored = self.optimum
        if "cosines" in stored:
            lower = [[float(entry) for entry in row] for row in stored["cosines"]]
            cosines = np.array([row + [0.0] * (len(lower) - len(row)) for row in lower])
            cosines = cosines + np.tril(cosines, -1).T
        else:
            # e^{(G_ab - 1)/tau} = 2 tau u_a u_b / (m_a W_ab / Z_a + m_b W_ba / Z_b), the stationarity of SupCon.
            u, z = (np.array([float(entry) for entry in stored[name]]) for name in ("dual", "denominators"))
            masses, weights = self.objective.masses, self.objective.weights  # type: ignore[attr-defined]
            push = (masses / z)[:, None] * weights
            tau = self.objective.temperature
            cosines = 1.0 + tau * np.log(2.0 * tau * u[:, None] * u / (push + push.T))
            np.fill_diagonal(cosines, np.where(self.objective.orbits.plural, np.diag(cosines), 1.0))
        return OrbitGram(self.objective.orbits, cosines)

    @property
    def gram(self) -> Array:
        """(m, m) the optimal Gram matrix in the caller's order of classes (of samples, for "weighted")."""
        return self.orbits.expand()

    def distance(self, gram: OrbitGram | Array) -> float:
        """The largest difference of a cosine from the optimum: of an OrbitGram of this objective, or an (m, m) matrix.

        Only meaningful where the optimum is `unique`.
        """
        if isinstance(gram, OrbitGram) and gram.orbits.same_as(self.orbits.orbits):
            return float(np.abs(gram.cosines - self.orbits.cosines).max())
        matrix = gram.expand() if isinstance(gram, OrbitGram) else np.asarray(gram)
        return float(np.abs(matrix - self.gram).max())


def names(*tags: str) -> tuple[str, ...]:
    """The names of all problems in the zoo, or of those that bear every one of these tags.

    Raises:
        ProblemError: a tag that no problem bears.
    """
    known = sorted({tag for row in zoo_definitions() for tag in row["tags"]})
    for tag in tags:
        if tag not in known:
            raise ProblemError(f"tags: must be among {', '.join(known)}; got {tag!r:.40}")
    return tuple(row["name"] for row in zoo_definitions() if set(tags) <= set(row["tags"]))


def problem(name: str) -> ZooProblem:
    """The problem of that name with its optimum: value, Gram matrix, and where they are from.

    Values and Gram matrices are stored. Every value was proved in ball arithmetic from the formulas of the losses,
    written down a second time: with G exactly feasible, S its slack matrix and F a factor of it to many digits,

        L(G) - m |S - F F^T|  <=  optimum  <=  L(G),

    and for many a closed form says the same. No answer of a solver of this package is taken for truth.

    Raises:
        ProblemError: an unknown name.

    Source: the bound is the one of `certify`, see the theory page.
    """
    rows = {row["name"]: row for row in zoo_definitions()}
    if name not in rows:
        near = difflib.get_close_matches(str(name), rows, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ProblemError(f"name: the zoo has no problem {name!r:.60} ({hint}names() lists all {len(rows)})")
    return ZooProblem(rows[name], _stored("optima.json")["problems"][name])


def zoo_definitions() -> tuple[Mapping[str, Any], ...]:
    """The problems as data, without their optima."""
    return tuple(_stored("problems.json"))


@cache
def _stored(file: str) -> Any:
    return json.loads((files("geomsolve.zoo") / "data" / file).read_text())
