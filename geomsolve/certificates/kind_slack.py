"""The slack matrix over orbits of classes with several kinds of atoms, and what it proves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arrays import Array
from ..geometry.class_matrices import ClassMatrix
from ..geometry.kinds import Blocks, KindGram, Kinds
from ..geometry.orbit_gram import Orbits
from ..objectives.kinds.parts import Parted
from .slack import Slack


@dataclass(frozen=True, eq=False)
class KindSlack(Slack):
    """S by cells: (M, M + T) entries, with atoms of other classes and then with those of the own, and its diagonal."""

    gram: KindGram

    @cached_property
    def blocks(self) -> Blocks:
        """S on constant vectors, on differences between classes, and within a class and kind."""
        return self.gram.orbits.blocks(self.entries, self.diagonal)

    @classmethod
    def written_by(cls, slack: Slack) -> KindSlack | None:
        """What was written out class by class, each class an orbit; None where atoms are not of several kinds."""
        loss = slack.objective
        if not isinstance(loss, Parted) or np.any(loss.orbits.sizes != 1):
            return None
        names = tuple(dict.fromkeys(loss.parts.names))
        order = np.lexsort(([names.index(name) for name in loss.parts.names], loss.parts.classes))
        count, kinds = len(order) // len(names), len(names)
        if not np.array_equal(np.array(loss.parts.classes)[order], np.repeat(np.arange(count), kinds)):
            return None
        each = np.ones((count, kinds))
        orbits = Kinds(each.ravel(), classes=each[:, 0], each=each, names=names, groups=np.arange(count))

        def laid(matrix: Array) -> Array:
            others = matrix[np.ix_(order, order)]
            own = others.reshape(count, kinds, count, kinds)[np.arange(count), :, np.arange(count)]
            return np.hstack([np.where(orbits.partners[:, : len(order)] > 0, others, 0.0), own.reshape(-1, kinds)])

        gram = KindGram(orbits, laid(slack.gram.cosines))
        return cls(loss, gram, laid(slack.entries), slack.diagonal[order], slack.own[order], slack.support)

    @property
    def gap(self) -> float:
        """An upper bound of the loss above the optimum: m max(0, -lambda_min(S)), rounding allowed for.

        Or the sum of w_i times the same of W^-1/2 S W^-1/2, with the diagonal of S or its root for the weights w of
        atoms.
        """
        bounds = [self._weighed(np.ones_like(self.diagonal))]
        if self.diagonal.min() > 0:
            bounds += [self._weighed(np.sqrt(self.diagonal)), self._weighed(self.diagonal)]
        return self.support + min(bounds)

    def _weighed(self, weights: Array) -> float:
        orbits, units = self.gram.orbits, np.sqrt(weights)
        pairs = units.reshape(orbits.each.shape)
        several = orbits.classes > 1
        values = [np.linalg.eigvalsh(self.blocks.quotient / units / units[:, None])]
        values.append(
            np.linalg.eigvalsh(self.blocks.differences / pairs[:, :, None] / pairs[:, None, :])[several].ravel()
        )
        smallest = min(part.min(initial=np.inf) for part in (*values, self.blocks.spread / weights))
        norm = max(float(np.abs(part).max(initial=0.0)) for part in values)
        return float(orbits.sizes @ weights) * max(0.0, self.ulps * norm - float(smallest))

    @cached_property
    def reduced(self) -> tuple[Slack, float] | None:
        """S of class means of the first kind with all other kinds eliminated, and how far these would move.

        Of atoms that push nobody but anchors, prototypes c_k and classifiers, S holds only the kinds of one class to
        each other, by T x T blocks R_k^-1. With S >= 0, S G = 0 these atoms are C = -R F^T Z, F = S_zc, and

            S_zz - F R F^T = u u^T    where no classes merge,

        so that what is asked of a loss of class means, `rank_one_residual`, is asked of this Schur complement. None
        where other kinds than the first push each other.
        """
        gram, orbits = self.gram, self.gram.orbits
        kinds, number = orbits.each.shape[1], orbits.each[:, 0]
        rows = slice(0, orbits.cells, kinds)
        follow = np.arange(orbits.cells) % kinds > 0
        if np.any(self.entries[np.ix_(follow, np.flatnonzero(follow))]):
            return None
        classes = Orbits(orbits.classes, orbits.groups)
        own, cosines = orbits.own(self.entries), orbits.own(gram.cosines)

        def between(matrix: Array, kind: int) -> Array:
            return np.asarray(matrix[rows, kind : orbits.cells : kinds])

        means, length = gram.means()
        pushes = ClassMatrix(classes, np.zeros(len(number)), number[:, None] * number * between(self.entries, 0))
        forces = [ClassMatrix(classes, number * own[:, 0, t], number[:, None] * between(self.entries, t))
                  for t in range(1, kinds)]  # fmt: skip
        places = ClassMatrix(classes, length**2, between(gram.cosines, 0))
        inverse, moved = self._answer(), 0.0
        if inverse is None:
            return None
        through = [places @ force for force in forces]
        entries = pushes.between.copy()
        free = classes.partners > 0
        for t, force in enumerate(forces):
            off, alone = between(gram.cosines, t + 1).copy(), cosines[:, 0, t + 1].copy()
            for s, other in enumerate(forces):
                entries -= (force.scaled(columns=inverse[:, t, s]) @ other.T).between
                off += through[s].between * inverse[:, s, t]
                alone += through[s].own * inverse[:, s, t]
            moved = max(moved, float(np.abs(off[free]).max()), float(np.abs(alone).max()))
        entries = np.where(free, entries * length * length[:, None], 0.0)
        entries = (entries + entries.T) / 2.0
        diagonal = -classes.over_partners(entries * means.cosines)
        return Slack(self.objective, means, entries, diagonal, np.zeros(len(number)), 0.0), moved

    def _answer(self) -> Array | None:
        """(K, T - 1, T - 1) R of `reduced`, None where its inverse is not positive definite.

        Ties within a class can be 1e11 times what holds all these atoms as one: that is summed up without them.
        """
        orbits, entries = self.gram.orbits, self.entries.copy()
        ties, apart = (orbits.own(matrix)[:, 1:, 1:] for matrix in (self.entries, self.gram.apart))
        orbits.own(entries)[:, 1:, 1:] = 0.0
        loose = -orbits.over_partners(entries * self.gram.cosines).reshape(orbits.each.shape)[:, 1:]
        sums, kinds = loose + np.sum(ties * apart, axis=2), ties.shape[1]
        # In a basis of all as one and, but for the first, each alone.
        held, basis = ties.copy(), np.eye(kinds)
        basis[:, :1] = 1.0
        held[:, np.arange(kinds), np.arange(kinds)] = self.diagonal.reshape(orbits.each.shape)[:, 1:]
        held[:, :1], held[:, :, :1] = sums[:, None], sums[:, :, None]
        held[:, :1, :1] = sums.sum(axis=1)[:, None, None]
        scale = np.sqrt(np.maximum(np.einsum("ktt->kt", held), 1e-300))
        held /= scale[:, :, None] * scale[:, None]
        if not np.linalg.eigvalsh(held).min(initial=1.0) > 0:
            return None
        turned = basis / scale[:, None]
        return np.asarray(turned @ np.linalg.inv(held) @ turned.swapaxes(1, 2), dtype=np.float64)

    def written(self) -> Slack:
        """The same class by class."""
        by_class = self.objective.by_class()
        return Slack.of(by_class, self.gram.written())

    @cached_property
    def parting(self) -> float:
        """How far cosines within a class and kind would move: as far as 1, where S holds the atoms together."""
        orbits, kinds = self.gram.orbits, self.gram.orbits.each.shape[1]
        plural, same = orbits.plural, np.arange(kinds)
        apart = 1.0 - orbits.own(self.gram.cosines)[:, same, same].ravel()[plural]
        curvature = self.objective.rows(self.gram).curvature
        bent = orbits.own(curvature)[:, same, same].ravel()[plural]
        spread = self.blocks.spread[plural]
        with np.errstate(divide="ignore"):
            moved = np.abs(spread) / bent
        return float(np.where(spread > 0, np.minimum(moved, apart), moved).max(initial=0.0))
