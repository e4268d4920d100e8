"""A loss of one kind of anchors, and others that only follow, in class means: its cosines and second derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...geometry.kinds import KindGram, Kinds
from ...geometry.orbit_gram import OrbitGram, Orbits
from ...objectives.kinds.parts import PartedSoftmax, PartedSum
from ...objectives.rows.row_softmax import RowSoftmax
from .stationary import stationary_point


class Place(NamedTuple):
    """The unknowns: Y and X between classes; within one (1 - X) less 1 - r of instances, and 1 - Y; and log u."""

    means: Array
    across: Array
    own: Array
    apart: Array
    log_u: Array

    def moved(self, step: Place, share: float) -> Place:
        """The place after a share of a step, which has the numbers within a class in logarithms."""
        moved = (one + share * change for one, change in zip(self, step, strict=True))
        own, apart = self.own * np.exp(share * step.own), self.apart * np.exp(share * step.apart)
        return Place(*moved)._replace(own=own, apart=np.minimum(apart, 0.999))


class Row(NamedTuple):
    """Second derivatives of one softmax, for all anchors of a class and all partners in another: repulsion / tau."""

    softness: float
    mass: Array  # (K,) of all anchors of a class
    means: Array  # (K, K) repulsion of class means
    across: Array  # (K, K) of followers
    inside: Array  # (K,) of instances of a class
    own: Array  # (K,) of its followers
    rest: Array  # (K,) 1 less their share of the denominator, which may be all of it but 1e-20


@dataclass(frozen=True, eq=False)
class Problem:
    """The loss.

    Attributes:
        objective: the loss over cells.
        kinds: its orbits of classes.
        classes: the same, a class one atom.
        number: (K,) instances of a class.
        terms: the softmaxes whose anchors are of the first kind.
    """

    objective: PartedSoftmax | PartedSum
    kinds: Kinds
    classes: Orbits
    number: Array
    terms: tuple[PartedSoftmax, ...]

    @classmethod
    def of(cls, objective: PartedSoftmax | PartedSum) -> Problem | None:
        """The problem; None where others than the first kind have anchors that see other classes."""
        kinds = objective.orbits
        assert isinstance(kinds, Kinds)
        follow = np.arange(kinds.cells) % kinds.each.shape[1] > 0
        terms = objective.losses if isinstance(objective, PartedSum) else (objective,)
        if any(np.any(term.weights[follow]) for term in terms) or np.any(kinds.each[:, 1:] != 1):
            return None
        leading = tuple(term for term in terms if np.any(term.masses[~follow] > 0))
        classes = Orbits(kinds.classes, kinds.groups)
        return cls(objective, kinds, classes, kinds.each[:, 0], leading)

    @property
    def plural(self) -> NDArray[np.bool_]:
        """(K,) whether a class has several instances."""
        return np.asarray(self.number > 1)

    @property
    def follow(self) -> bool:
        """Whether there are other kinds."""
        return self.kinds.each.shape[1] > 1

    @cached_property
    def free(self) -> NDArray[np.bool_]:
        """(K, K) which pairs of classes there are."""
        return np.asarray(self.classes.partners > 0)

    @cached_property
    def wider(self) -> Array:
        """(K,) by how much the cosine of instances falls as their mean gets shorter: 1 - r over 1 - Y_ii."""
        return np.where(self.plural, self.number / np.maximum(self.number - 1.0, 1.0), 0.0)

    def merged(self) -> tuple[Array, Array]:
        """(K, K) cosines of the loss with all of a class in one point, and (K,) log u there; a guess."""
        term, kinds = self.terms[0], self.kinds
        count = kinds.each.shape[1]
        rows = slice(0, kinds.cells, count)
        weights = (
            (term.weights[rows, : kinds.cells] * kinds.atoms_each).reshape(len(self.number), -1, count).sum(axis=2)
        )
        own = (kinds.own(kinds.partners) * kinds.own(term.weights))[:, 0].sum(axis=1)
        loss = RowSoftmax(
            orbits=self.classes,
            masses=self.number * term.masses[rows],
            weights=weights,
            offsets=term.offsets[rows] + own,
            temperature=term.temperature,
        )
        gram = stationary_point(loss) or OrbitGram.simplex(self.classes)
        row = loss.row_gradient(gram)
        radial = -np.sum(self.classes.partners * (row + row.T) * gram.cosines, axis=1)
        return gram.cosines, 0.5 * np.log(np.maximum(radial, 1e-300))

    def far(self, place: Place) -> Array:
        """(K,) 1 - X within a class."""
        return self.wider * place.apart + place.own

    def shortened(self, place: Place, apart: Array) -> Place:
        """The place with class means of other lengths in the same directions."""
        share = np.sqrt((1.0 - apart) / (1.0 - place.apart))
        own = np.maximum(1.0 - (1.0 - self.far(place)) * share - self.wider * apart, 1e-3 * place.own)
        return place._replace(
            means=place.means * share * share[:, None],
            across=place.across * share[:, None],
            own=np.where(apart == place.apart, place.own, own),
            apart=apart,
        )

    def gram(self, place: Place) -> KindGram:
        """The cosines that anchors see, followers of a class in one point; between followers those of anchors."""
        kinds, count = self.kinds, self.kinds.each.shape[1]
        common = self.wider * place.apart
        near = np.repeat(-common, count * count).reshape(-1, count, count)
        near[:, 0, 0] = 0.0
        near[:, 0, 1:] = near[:, 1:, 0] = place.own[:, None]
        cosines = np.empty(kinds.partners.shape)
        kinds.own(cosines)[:] = 1.0 - (near + common[:, None, None])
        for first in range(count):
            for second in range(count):
                part = place.across if first == 0 else place.across.T
                part = place.means if (first == 0) == (second == 0) else part
                cosines[first::count, second : kinds.cells : count] = part
        return KindGram(kinds, np.where(kinds.partners > 0, cosines, 1.0), near=near, common=common)

    def rows(self, gram: KindGram) -> list[Row]:
        """The second derivatives of every softmax."""
        kinds, count = self.kinds, self.kinds.each.shape[1]
        first, number, found = slice(0, kinds.cells, count), self.number, []
        for term in self.terms:
            model = term.rows(gram)
            repulsion, mass = model.repulsion, number * term.masses[first]
            between = repulsion[first, : kinds.cells].reshape(*self.free.shape, count)
            between = np.where(self.free[:, :, None], between, 0.0) * number[:, None, None]
            own = kinds.own(repulsion)[:, 0]
            means, across = between[:, :, 0] * number, between[:, :, 1:].sum(axis=2)
            inside = number * (number - 1.0) * own[:, 0]
            others = np.sum(self.classes.partners * (means + across), axis=1) + inside
            beside = np.where(term.offsets > 0, 1.0 - term.temperature * np.asarray(model.answer)[:, 0], 0.0)[first]
            rest = beside + others * (term.temperature / np.where(mass > 0, mass, 1.0))
            found.append(Row(term.temperature, mass, means, across, inside, number * own[:, 1:].sum(axis=1), rest))
        return found
