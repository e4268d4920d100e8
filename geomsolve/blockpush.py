"""What moves tied or close atoms as one, and whether S >= 0 among such blocks: readings that no tie hides."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from .orbits import OrbitGram

Array = NDArray[np.float64]


class BlockForces(NamedTuple):
    """The forces between orbits and what rounding can be in them.

    Attributes:
        gram: G.
        pairs: (K, K) the sum of D over the pairs of two orbits: negative where they hold each other.
        rounded: (K, K) what rounding can be in `pairs`: that of repulsion and attraction.
        jitter: (K, K) what one ulp of a cosine is in `pairs`, or 0.
        temperature: tau.
    """

    gram: OrbitGram
    pairs: Array
    rounded: Array
    jitter: Array | float
    temperature: float

    @property
    def push(self) -> float:
        """How far forces would move orbits that are close or tied, together; and whether S >= 0 among such blocks.

        What ties orbits can be a billion times stronger than what moves them as one, and hides it from any reading of a
        single row. The forces on a block add up, and so does S; the ties cancel, which `resultants` does by hand. With
        the sets that single linkage makes, of near orbits and of strong ties, no block is hidden by a larger one
        around it. Where nothing but rounding is left of the stiffness 1'S1 of a block, nothing is known of it.
        """
        count = len(self.gram.sizes)
        near, _, _ = linked(1.0 - self.gram.cosines, 0.3)
        tied, roots, parts = linked(self.pairs, 0.0)
        blocks = np.vstack([tied, near[count:]])
        if len(blocks) == count:
            return 0.0
        rows, noise = self.resultants(blocks)
        stiffness, unsure = np.sum(rows * blocks, axis=1), np.sum(noise * blocks, axis=1)
        # An orbit may be held by one saturated tie alone, in which repulsion equals attraction up to rounding.
        # Nothing cancels in its stiffness but that, so a few ulps decide.
        unsure[:count] /= 16.0
        if np.any(stiffness <= unsure):
            return np.inf
        # The roots, and of each merger the less stiff part: the indicators of these K sets are a basis.
        basis = np.array([*roots, *(min(part, key=lambda block: stiffness[block]) for part in parts)], dtype=int)
        negative = indefinite(rows[basis] @ blocks[basis].T, noise[basis] @ blocks[basis].T)
        values, vectors = np.linalg.eigh(self.gram.quotient)
        points = vectors * np.sqrt(np.where(values > 1e-13 * values[-1], values, 0.0))
        points /= np.sqrt(self.gram.sizes)[:, None]
        # One ulp of a tie that is 1% of the stiffness moves an orbit by 1% of how far the other end is to the side.
        aside = self.rounded / 64.0 * np.sqrt(np.maximum(1.0 - self.gram.cosines**2, 0.0))
        loose = np.sum((blocks @ aside) * (1.0 - blocks), axis=1)
        push = (np.linalg.norm(rows @ points, axis=1) + loose) / stiffness
        return max(float(push.max()), self.temperature * negative)

    def resultants(self, blocks: Array) -> tuple[Array, Array]:
        """(m, K) 1'S summed over blocks of whole orbits, one a row, and what rounding can be in it.

        With F the sums of D over the pairs of two orbits and S_ii = -sum_j D_ij c_ij, what orbit i has from block B is

            sum over j in B of F_ij                                           if i is outside,
            sum over j in B of F_ij (1 - c_ij)  -  sum outside of F_ij c_ij   if i is in B,

        so that ties inside a block cancel before they are rounded.
        """
        cosines = self.gram.cosines
        apart = np.maximum(self.gram.apart, 0.0)
        inner = blocks @ (self.pairs * apart) - (1.0 - blocks) @ (self.pairs * cosines)
        rows = np.where(blocks > 0, inner, blocks @ self.pairs)
        # A cosine inside a block is known to its last digits only, and a tie makes a force of them.
        shaken = self.rounded + self.jitter
        loose = blocks @ (shaken * apart + self.rounded / 16.0) + (1.0 - blocks) @ (shaken * np.abs(cosines))
        return rows, np.where(blocks > 0, loose, blocks @ shaken)


def linked(distances: Array, below: float) -> tuple[Array, list[int], list[tuple[int, int]]]:
    """(m, K) the sets that single linkage makes below a distance: single orbits, then one set for each merger.

    With them the numbers of the sets that are in no other, and the two parts of each merger.
    """
    count = len(distances)
    tree = linkage(squareform(np.minimum(distances, below), checks=False), "single") if count > 1 else np.empty((0, 4))
    parts = [(int(a), int(b)) for a, b in tree[tree[:, 2] < below, :2]]
    sets = np.vstack([np.eye(count), np.zeros((len(parts), count))])
    for merged, (a, b) in enumerate(parts, start=count):
        sets[merged] = sets[a] + sets[b]
    inner = {part for pair in parts for part in pair}
    return sets, [number for number in range(len(sets)) if number not in inner], parts


def indefinite(form: Array, noise: Array) -> float:
    """How far a form is from positive semidefinite beyond its noise, in units of its diagonal.

    The form is S between blocks, each in units of its own stiffness: in units of single orbits a direction that ties
    oppose would drown one in which whole blocks move.
    """
    scale = np.sqrt(np.maximum(np.diag(form), np.diag(noise)) + 1e-300)
    form = form / scale / scale[:, None]
    form[np.diag_indices_from(form)] += np.sum(noise / scale / scale[:, None], axis=1)
    return max(0.0, -float(np.linalg.eigvalsh((form + form.T) / 2.0)[0]))
