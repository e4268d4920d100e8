"""Full-batch losses of class means that differ in what an anchor's own class adds, and in what anchors weigh."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import Array
from ...counts.counts import Counts
from ...errors import ProblemError
from ...geometry.orbit_gram import OrbitGram, Orbits
from ..base import Objective, check_array, check_temperature
from ..count_laws import by_counts
from ..sampling import Averaging, ClassTable, anchor_masses, class_orbits
from .row_softmax import RowSoftmax, SoftmaxRows


@dataclass(frozen=True, eq=False, kw_only=True)
class TemperedSoftmax(SoftmaxRows):
    """A sum of row softmaxes of several temperatures, which is convex like each of them.

        L(G) = sum_i m_i log( a_i + sum_{j != i} W_ij e^{t_ij / tau_i} ),   t_ij = G_ij - 1

    Attributes:
        temperatures: (K,) tau of the anchors of each orbit; `temperature` is the largest, the unit of cosines.
    """

    temperatures: Array

    @property
    def _taus(self) -> Array:
        return self.temperatures[:, None]

    def _exponentials(self, gram: OrbitGram) -> Array:
        return np.exp((gram.cosines - 1.0) / self._taus)

    @property
    def _row_floors(self) -> Array:
        return np.log(self.offsets)

    def _row_excess(self, gram: OrbitGram) -> Array:
        return np.log1p(self._sums(gram) / self.offsets)


def full_batch(
    loss: str,
    counts: Counts,
    temperature: float | ArrayLike,
    views: int,
    averaging: Averaging,
    own: float | None,
) -> Objective:
    """The full-batch loss whose own class adds `own` to a denominator: all positives (N_c - 1) where that is None."""
    if counts.are_proportions:
        raise ProblemError(
            f"counts: {loss} depends on the number of examples, not only on proportions; give counts, or a batch size"
        )
    if views * counts.distinct[-1] < 2:
        alone = f"class {np.flatnonzero(views * counts.per_class < 2)[0]}" if len(counts.groups) else "the smallest"
        raise ProblemError(
            f"counts: with views={views} {alone} has {views * counts.distinct[-1]:g} example(s) and no positive pair; "
            f"every class needs views * count >= 2 ({'use views=2, or ' if views == 1 else ''}leave such classes out)"
        )
    masses = anchor_masses(counts, averaging, views)
    average = averaging if isinstance(averaging, str) else "weights given"
    name = f"{loss}(views={views}{'' if average == 'anchor' else f', averaging={average}'})"
    if np.ndim(temperature) == 0 and isinstance(averaging, str):
        tau = check_temperature(temperature)

        def build(some: Counts) -> RowSoftmax:
            each = _row_softmax(class_orbits(some), views * some.distinct, anchor_masses(some, averaging, views), own)
            return RowSoftmax(**each, temperature=tau, name=name)

        return by_counts(counts, tau, name, build)
    if np.ndim(temperature) == 0:
        temperature = np.full(counts.classes, check_temperature(temperature))
    taus = check_array("temperature", temperature, (counts.classes,), above=0)
    check_temperature(float(taus.min()))
    check_temperature(float(taus.max()))
    table = ClassTable.of(counts, masses[counts.groups] if isinstance(averaging, str) else masses, taus)
    row = _row_softmax(table.orbits, views * table.counts, table.columns[0], own)
    row |= {"temperature": float(taus.max()), "counts": table.as_counts(counts)}
    if np.ptp(taus) == 0:
        return RowSoftmax(**row, name=name)
    return TemperedSoftmax(**row, temperatures=table.columns[1], name=f"{name[:-1]}, a temperature a class)")


def _row_softmax(orbits: Orbits, examples: Array, masses: Array, own: float | None) -> dict[str, Any]:
    return {
        "orbits": orbits,
        "masses": masses,
        "weights": np.broadcast_to(examples, (len(examples), len(examples))),
        "offsets": examples - 1.0 if own is None else np.full(len(examples), own),
    }


def check_batch(batch: int, views: int) -> int:
    """The batch size, or a ProblemError unless it is a whole number that leaves a loss."""
    batch = check_whole("batch", batch, least=2)
    if views == 1 and batch < 3:
        raise ProblemError(
            f"batch: must be at least 3 with one view; got {batch}: a positive is all there is beside an anchor, and "
            "the loss is 0 everywhere (write views=2, or a larger batch)"
        )
    return batch


def check_whole(name: str, number: int, *, least: int) -> int:
    """The number as an int, or a ProblemError unless it is whole and between `least` and a million."""
    if not isinstance(number, (int, np.integer)) or isinstance(number, bool) or not number >= least:
        got = "none" if number is None else f"{number!r:.40}"
        raise ProblemError(f"{name}: must be a whole number of at least {least}; got {got}")
    if number > 1_000_000:
        raise ProblemError(f"{name}: must be at most 1000000; got {number!r:.40}")
    return int(number)


def check_word(argument: str, word: str, allowed: tuple[str, ...]) -> None:
    """Nothing, or a ProblemError unless the word is one of these."""
    if word not in allowed:
        raise ProblemError(f"{argument}: must be one of {', '.join(allowed)}; got {word!r:.40}")
