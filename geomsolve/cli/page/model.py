"""What the page computes: from its controls to a certified solution, a threshold, and the code that repeats them."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ...arrays import Progress
from ...choosing.named import is_free, loss_names, loss_settings
from ...collapse.levels import WORDS, loss_levels, plateau
from ...collapse.thresholds import threshold
from ...counts.counts import Counts, as_counts
from ...counts.sources import load_counts, pasted_counts, profile_names
from ...errors import GeomsolveError, ProblemError
from ...figures.atoms import Atoms, shown_atoms
from ...objectives.registry import REQUIRED, build_objective, builder_of
from ...solvers.points.embedding import Embedding
from ...solvers.solution import Solution

# What the page takes at most: classes, different counts, and characters that are pasted.
_MOST_CLASSES, _MOST_DISTINCT, _MOST_PASTED = 100_000, 2_000, 1_000_000
# The ratio that the slider may reach, as a power of ten.
MOST_DECADES = 6.0
# Seconds that a descent below the rank may take.
_PATIENCE = 3.0
SLIDERS, PASTED = "sliders", "paste"
# Losses that count single examples.
_WHOLE = frozenset({"bcl", "kcl", "ecl", "supcon-instances"})


def sources() -> tuple[str, ...]:
    """Where counts may come from: sliders, what is pasted, or a built-in profile."""
    return SLIDERS, PASTED, *(name.replace(":IR", ":100") for name in profile_names())


def losses() -> dict[str, frozenset[str]]:
    """The losses of the page, and which of its controls each takes: those that need nothing besides."""
    settings = {name: loss_settings(name) for name in loss_names() if is_free(name)}
    return {
        name: frozenset({"temperature", "batch", "sampler"} & set(one))
        for name, one in settings.items()
        if {key for key, default in one.items() if default is REQUIRED} <= {"temperature"} and name != "supmin"
    }


@dataclass(frozen=True)
class Inputs:
    """The controls.

    Classes and the count of the smallest are those of the sliders. The ratio of largest count over smallest is reached
    by raising every count to a power (None: as the counts are); `whole`: and by rounding, as a loss needs that counts
    single examples. What is pasted is read as counts, and names no file.
    """

    source: str = SLIDERS
    pasted: str = ""
    classes: int = 100
    smallest: float = 5.0
    ratio: float | None = 100.0
    temperature: float = 0.1
    batch: int | None = None
    sampler: str = "instance"
    dim: int | None = None
    whole: bool = False

    def of(self, loss: str) -> Inputs:
        """The controls as this loss takes them."""
        if loss not in losses():
            raise ProblemError(f"objective: must be one of {', '.join(losses())}; got {loss!r:.40}")
        return replace(self, whole=loss in _WHOLE)

    @cached_property
    def given(self) -> Counts:
        """The counts before their imbalance is changed."""
        if self.source == SLIDERS:
            return load_counts(f"exponential:{self.classes}:100:{100.0 * self.smallest:.9g}")
        if self.source == PASTED:
            if len(self.pasted) > _MOST_PASTED:
                raise ProblemError(f"counts: at most {_MOST_PASTED:,} characters may be pasted; got {len(self.pasted)}")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what was decided is seen in the counts shown
                counts = pasted_counts(self.pasted)
        elif self.source in sources():
            counts = load_counts(self.source)
        else:
            raise ProblemError(f"counts: must be one of {', '.join(sources())}; got {self.source!r:.40}")
        if counts.classes > _MOST_CLASSES or len(counts.distinct) > _MOST_DISTINCT:
            raise ProblemError(
                f"counts: the page takes {_MOST_CLASSES:,} classes of {_MOST_DISTINCT:,} different counts; got "
                f"{counts.classes:,} of {len(counts.distinct):,} (the command line takes a million)"
            )
        return counts

    @cached_property
    def typed(self) -> str:
        """The counts as `--counts` and `load_counts` take them."""
        given = self.given
        if self.source == SLIDERS and self.ratio is not None and self.ratio > 1.0 and not self.whole:
            return f"exponential:{self.classes}:{self.ratio:.6g}:{self.smallest * self.ratio:.9g}"
        if len(given.distinct) == 1 or (self.ratio is None and self.source != SLIDERS):
            return _listed(given) if self.source == PASTED else given.name
        power = math.log(self.ratio or 100.0) / math.log(given.imbalance_ratio)
        grown = given.distinct[-1] * (given.distinct / given.distinct[-1]) ** power
        return _listed(replace(given, distinct=np.maximum(np.rint(grown), 1.0) if self.whole else grown))

    @cached_property
    def counts(self) -> Counts:
        """The counts that are solved: those of `typed`, with the names of the classes."""
        if self.typed == self.given.name or self.typed.startswith("exponential:"):
            return load_counts(self.typed)
        return replace(pasted_counts(self.typed).named(self.given.names), name=self.given.name)

    def options(self, loss: str) -> dict[str, Any]:
        """What this loss takes of the controls."""
        given: dict[str, Any] = {"temperature": self.temperature}
        if self.batch is not None:
            given |= {"batch": self.batch} | ({"sampler": self.sampler} if self.sampler != "instance" else {})
        return {name: value for name, value in given.items() if name in losses()[loss]}

    def command(self, loss: str) -> str:
        """The command line that answers the same."""
        self = self.of(loss)
        words = [f"--{name} {value}" for name, value in self.options(loss).items()]
        words += [] if self.dim is None else [f"--dim {self.dim}"]
        return " ".join(["geomsolve solve --counts", self.typed, f"--objective {loss}", *words])

    def python(self, loss: str) -> str:
        """The Python that answers the same."""
        self = self.of(loss)
        builder = builder_of(loss).__name__
        words = "".join(f", {name}={value!r}" for name, value in self.options(loss).items())
        lines = [
            "import geomsolve as gs",
            "",
            f'counts = gs.load_counts("{self.typed}")',
            f"solution = gs.solve(gs.{builder}(counts{words}), throw=False)",
            "print(solution)",
        ]
        return "\n".join(lines + ([] if self.dim is None else [f"points = solution.embed({self.dim}).points"]))


def _listed(counts: Counts) -> str:
    """Counts in class order, runs of one value put together: 1x900,3x20."""
    values = counts.per_class
    starts = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    runs = zip(np.diff(np.append(starts, len(values))), values[starts], strict=True)
    return ",".join(f"{run}x{value:.6g}" for run, value in runs).replace("e+", "e")


@dataclass(frozen=True, eq=False)
class Answer:
    """One loss at the controls, with its levels in nats by geometry; no embedding where the rank fits `dim`."""

    inputs: Inputs
    loss: str
    solution: Solution
    embedding: Embedding | None
    atoms: Atoms
    levels: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """What `solve --json` gives, and the levels."""
        embedded = {} if self.embedding is None else {"embedding": self.embedding.to_dict()}
        return {**self.solution.to_dict(), **embedded, "levels": self.levels}


def answer(inputs: Inputs, loss: str, progress: Progress | None = None) -> Answer:
    """The loss solved at these controls; an exception that `progress` raises ends the work."""
    inputs = inputs.of(loss)
    options = inputs.options(loss)
    if loss == "supcon" and "sampler" not in options:
        found = loss_levels(inputs.counts, **options, progress=progress)
    else:
        found = plateau(build_objective(loss, inputs.counts, options), 0.0, progress=progress)
    solution = found.solution
    levels = {WORDS[name]: value for name, value in found.levels.items()}
    embedding = None
    if inputs.dim is not None and solution.objective.description.atoms == "class means" and inputs.dim < solution.rank:
        embedding = solution.embed(inputs.dim, restarts=2, seconds=_PATIENCE, progress=progress)
        levels[f"best found in {embedding.dim} dimensions"] = embedding.value
    atoms = shown_atoms(solution, None if embedding is None else embedding.points)
    return Answer(inputs, loss, solution, embedding, atoms, levels)


def outlook(inputs: Inputs, loss: str, progress: Progress | None = None) -> tuple[float | None, str]:
    """The ratio at which these counts collapse, every count raised to a power (None: at no such), and in words."""
    inputs = inputs.of(loss)
    given, options = inputs.given, inputs.options(loss)
    try:
        found = threshold(
            lambda counts, **more: build_objective(loss, as_counts(counts), {**options, **more}),
            given, vary="power", certify=False, progress=progress,
        )  # fmt: skip
    except GeomsolveError as error:
        why = str(error).removeprefix("objective: ").removeprefix("counts: ").partition(" (")[0]
        return None, f"No collapse threshold: {why}."
    if found.value is None:
        return None, f"{found.reason[:1].upper()}{found.reason[1:]}."
    ratio = given.imbalance_ratio**found.value
    return ratio, f"Collapse begins at a ratio of {ratio:.6g}."
