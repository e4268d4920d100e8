"""Losses whose atoms are not one mean per class: instances, prototypes and classifier weights of a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...arrays import Array
from ...counts.counts import Counts
from ...errors import ProblemError
from ...geometry.kinds import Kinds
from ...geometry.orbit_gram import OrbitGram, Orbits
from ..base import Objective, RowModel, ratio
from ..descriptions import KindsOfAtoms
from ..rows.row_softmax import RowSoftmax

# Kinds of atoms that are solved class by class, and those beyond which they are not; cells of orbits of classes.
_FEW, _MOST_ORBITS, _MOST_CELLS = 120, 1000, 2000


@dataclass(frozen=True)
class Parts:
    """What the atoms of every orbit are."""

    names: tuple[str, ...]  # the kind of atom: "instances", "prototype", ...
    classes: tuple[int, ...]  # the class they belong to, from 0 in the caller's order

    def per_atom(self, labels: NDArray[np.intp]) -> Parts:
        """What every single atom is."""
        return Parts(tuple(self.names[a] for a in labels), tuple(self.classes[a] for a in labels))


@dataclass(frozen=True, eq=False, kw_only=True)
class Parted(Objective):
    """Base of the losses of atoms of several kinds, each orbit within one class, or within classes alike."""

    parts: Parts = field(repr=False)

    @property
    def description(self) -> KindsOfAtoms:
        """Atoms are of several kinds."""
        return KindsOfAtoms(self.counts, self.parts.names, self.parts.classes)

    def by_class(self) -> Self:
        """The same loss with each kind of each class an orbit; of several kinds it knows the one it is from."""
        kinds = self.orbits
        if not isinstance(kinds, Kinds):
            return self
        dense = self._written(lambda each: each[kinds.placed], kinds.written)
        dense = replace(dense, orbits=kinds.by_class)
        if isinstance(dense, PartedSum):
            dense = replace(dense, losses=tuple(loss.by_class() for loss in dense.losses))
        if len(kinds.names) > 1:
            object.__setattr__(dense, "grouped", self)
        return dense

    def ungrouped(self) -> Self:
        """The same loss, each atom an orbit."""
        return self.by_class().ungrouped() if isinstance(self.orbits, Kinds) else super().ungrouped()


@dataclass(frozen=True, eq=False, kw_only=True)
class PartedSoftmax(Parted, RowSoftmax):
    """Row softmax over atoms of several kinds."""


def _sum_of(name: str) -> Any:
    """The method of that name as the sum over the losses."""
    return lambda self, gram: sum(getattr(loss, name)(gram) for loss in self.losses)


@dataclass(frozen=True, eq=False, kw_only=True)
class PartedSum(Parted):
    """A sum of row softmax losses over the same atoms, each with a temperature of its own.

    Where an atom is an anchor of two of them, the curvature of its row is modelled as one rank-one matrix instead of
    two, which is exact on equal shifts and too large elsewhere: Newton's steps are safe, and more of them are needed.
    """

    losses: tuple[PartedSoftmax, ...] = field(repr=False)  # masses are the sum of theirs

    def _validate(self) -> None:
        super()._validate()
        for loss in self.losses:
            loss.check()

    def ungrouped(self) -> Self:
        """The same sum, each atom an orbit."""
        return replace(super().ungrouped(), losses=tuple(loss.ungrouped() for loss in self.losses))

    @property
    def floor(self) -> float:
        """The sum of the losses' plain floors, all others at the antipode where nothing else bounds a denominator.

        The losses are of sizes that have nothing to do with one another, and often one is held to the last digit of
        another: no gap can be proved to a share of the smallest.
        """
        return sum(loss.plain_floor for loss in self.losses)

    def excess(self, gram: OrbitGram) -> float:
        """The sum of the losses above their floors."""
        return sum(loss.excess(gram) + (loss.floor - loss.plain_floor) for loss in self.losses)

    def rows(self, gram: OrbitGram) -> RowModel:
        """Repulsion, curvature and coupling are sums."""
        models = [loss.rows(gram) for loss in self.losses]
        repulsion = np.sum([model.repulsion for model in models], axis=0)
        coupling = np.sum([model.coupling for model in models], axis=0)
        softness = ratio(repulsion, np.sum([model.curvature for model in models], axis=0))
        return RowModel(repulsion, softness, coupling / np.where(repulsion > 0, repulsion, 1.0))

    resolved, row_gradient = _sum_of("resolved"), _sum_of("row_gradient")

    def row_terms(self, gram: OrbitGram) -> tuple[Array, Array] | None:
        """The sums of the losses' sizes."""
        sizes = [loss.row_terms(gram) or (loss.row_gradient(gram), 0.0) for loss in self.losses]
        return np.sum([size for size, _ in sizes], axis=0), np.sum([ulp + 0.0 * size for size, ulp in sizes], axis=0)

    @property
    def attraction(self) -> Array | float:
        """The sum of the losses' attractions."""
        return sum((loss.attraction for loss in self.losses), 0.0)


def closed_orbits(objective: Any) -> Any:
    """The loss with every orbit held in one point, which is an atom of its own: own partners are part of offsets."""
    sizes, count = objective.orbits.sizes, len(objective.orbits.sizes)
    closed: dict[str, Any] = {"orbits": points(count), "masses": sizes * objective.masses}
    if isinstance(objective, PartedSum):
        return replace(objective, **closed, losses=tuple(closed_orbits(loss) for loss in objective.losses))
    others = sizes * (1.0 - np.eye(count))
    own = np.diag(objective.weights) * (sizes - 1.0)
    return PartedSoftmax(
        **closed,
        weights=objective.weights * others,
        offsets=objective.offsets + own,
        positives=objective.positives * others,
        temperature=objective.temperature,
        name=objective.name,
        parts=objective.parts,
    )


def points(count: int) -> Orbits:
    """So many atoms, each for itself."""
    return Orbits(np.ones(count), np.arange(count))


def parts_of(objective: object) -> Parts | None:
    """What the atoms of an objective's orbits are, or None where they are one mean per class."""
    found: Parts | None = getattr(objective, "parts", None)
    return found


def example_counts(loss: str, counts: Counts) -> Array:
    """(C,) whole numbers of examples per class in the caller's order, or a ProblemError in the name of `loss`."""
    if counts.are_proportions:
        raise ProblemError(
            f"counts: {loss} depends on the number of examples, not only on proportions; give whole numbers"
        )
    each = counts.per_class
    bad = np.flatnonzero(each != np.round(each))
    if bad.size:
        raise ProblemError(
            f"counts: {loss} counts single examples, so every class needs a whole number; class {bad[0]} has "
            f"{each[bad[0]]:g} (round it)"
        )
    return each


def kinds_of(loss: str, counts: Counts, each: Mapping[str, ArrayLike], *, by_class: bool = False) -> Kinds:
    """The orbits of classes with these kinds of atoms (see `Kinds.of`), or a ProblemError where they are too many.

    With `by_class` the loss can be solved class by class only.
    """
    cells, orbits = len(each) * len(counts.distinct), len(each) * len(counts.per_class)
    if by_class and orbits > _MOST_ORBITS:
        raise ProblemError(
            f"counts: {loss} is solved over every pair of its {orbits} kinds of atoms, at most {_MOST_ORBITS}; give "
            "fewer classes"
        )
    if cells > _MOST_CELLS:
        raise ProblemError(
            f"counts: {loss} is solved over every pair of {len(each)} kinds of atoms at {len(counts.distinct)} "
            f"distinct counts, at most {_MOST_CELLS}; got {cells} (round the counts)"
        )
    return Kinds.of(counts, each)


def parts_in(kinds: Kinds) -> Parts:
    """What the atoms are, class by class."""
    classes = len(kinds.groups)
    return Parts(tuple(name for name in kinds.names for _ in range(classes)), (*range(classes),) * len(kinds.names))


def few_by_class(loss: Any) -> Any:
    """The loss class by class where that is a small problem, else as it is."""
    return loss.by_class() if len(loss.parts.names) <= _FEW else loss


# What an atom has with one of another kind: of its own class, (K,) or a number, and of other classes, (K, K) or (K,) by
# the class of the second or a number; or None.
Relation = tuple[ArrayLike, ArrayLike] | None


def anchored(
    kinds: Kinds,
    *,
    masses: Array,
    weights: Sequence[Relation],
    positives: Sequence[Relation],
    offsets: ArrayLike = 0.0,
    first: int = 0,
    temperature: float,
    name: str,
    counts: Counts,
    form: type[PartedSoftmax] = PartedSoftmax,
    **more: Any,
) -> Any:
    """Row softmax whose anchors are the atoms of one kind, the `first`, in this form with what more it has.

    Masses and offsets (K,) are of one anchor, weights and positives of one partner of every kind.
    """
    mass, offset = np.zeros(kinds.each.shape), np.ones(kinds.each.shape)  # a row of no mass needs some denominator
    mass[:, first], offset[:, first] = masses, offsets
    return form(
        orbits=kinds,
        masses=mass.ravel(),
        weights=_relations(kinds, first, weights),
        offsets=offset.ravel(),
        positives=_relations(kinds, first, positives),
        temperature=temperature,
        name=name,
        counts=counts,
        parts=parts_in(kinds),
        **more,
    )


def _relations(kinds: Kinds, first: int, row: Sequence[Relation]) -> Array:
    """(M, M + T) what an atom of that kind has with one of every kind."""
    orbits, number = kinds.each.shape
    full = np.zeros(kinds.partners.shape)
    for second, relation in enumerate(row):
        if relation is not None:
            own, others = relation
            full[first::number, second : kinds.cells : number] = np.broadcast_to(others, (orbits, orbits))
            full[first::number, kinds.cells + second] = np.broadcast_to(own, (orbits,))
    return full
