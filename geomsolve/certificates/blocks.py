"""How far forces would move atoms, alone and in blocks of tied or close ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.linalg import null_space
from scipy.spatial.distance import squareform

from ..arrays import Array
from ..geometry.orbit_gram import OrbitGram
from .slack import Slack

# Orbits up to which the curvature of the loss is written out, K^3 numbers, and a move that needs no second look.
_MOST, _CLEAR = 256, 1e-8


def block_residual(slack: Slack) -> float:
    """How far forces would move orbits that are close or tied, together; and whether S >= 0 among such blocks.

    What ties orbits can be a billion times stronger than what moves them as one, and hides it in every
    single row. The forces on a block add up, and so does S; the ties cancel, which `resultants` does by hand. With
    the sets that single linkage makes, of near orbits and of strong ties, no block is hidden by a larger one
    around it. Where nothing but rounding is left of the stiffness 1'S1 of a block, nothing is known of it. Where
    little is, the curvature of the loss counts too: see `_Held`.
    """
    gram, pairs, rounded = slack.gram, _pairs(slack), slack.gram.sizes[:, None] * slack.gram.sizes * slack.rounding
    count = len(gram.sizes)
    near, _, _ = linked(1.0 - gram.cosines, 0.3)
    tied, roots, parts = linked(pairs, 0.0)
    blocks = np.vstack([tied, near[count:]])
    rows, noise = resultants(slack, blocks)
    stiffness, unsure = np.sum(rows * blocks, axis=1), np.sum(noise * blocks, axis=1)
    # An orbit may be held by one saturated tie alone, in which repulsion equals attraction up to rounding.
    # Nothing cancels in its stiffness but that, so a few ulps decide.
    unsure[:count] /= 16.0
    if np.any(stiffness <= unsure):
        return np.inf
    # The roots, and of each merger the less stiff part: the indicators of these K sets are a basis.
    basis = np.array([*roots, *(min(part, key=lambda block: stiffness[block]) for part in parts)], dtype=int)
    negative = indefinite(rows[basis] @ blocks[basis].T, noise[basis] @ blocks[basis].T)
    values, vectors = np.linalg.eigh(gram.quotient)
    span = values > 1e-13 * values[-1]
    points = vectors[:, span] * np.sqrt(values[span]) / np.sqrt(gram.sizes)[:, None]
    # One ulp of a tie that is 1% of the stiffness moves an orbit by 1% of how far the other end is to the side.
    aside = rounded / 64.0 * np.sqrt(np.maximum(1.0 - gram.cosines**2, 0.0))
    loose = np.sum((blocks @ aside) * (1.0 - blocks), axis=1)
    forces = rows @ points
    moved = (np.linalg.norm(forces, axis=1) + loose) / stiffness
    if slack.objective.smooth and count <= _MOST and moved.max() > _CLEAR:
        held = _Held(points, slack.objective.row_hessians(gram), gram.apart > 64.0 * np.finfo(float).eps)
        for block in np.flatnonzero(moved > _CLEAR):
            moved[block] = held.moved(blocks[block], stiffness[block], forces[block], loose[block])
    return max(float(moved.max()), slack.objective.temperature * negative)


def _pairs(slack: Slack) -> Array:
    """(K, K) the sum of D over the pairs of two orbits: negative where they hold each other."""
    return np.asarray(slack.gram.sizes[:, None] * slack.gram.orbits.partners * slack.entries, dtype=np.float64)


def resultants(slack: Slack, blocks: Array) -> tuple[Array, Array]:
    """(m, K) 1'S summed over blocks of whole orbits, one a row, and what rounding can be in it.

    With F the sums of D over the pairs of two orbits and S_ii = -sum_j D_ij c_ij, what orbit i has from block B is

        sum over j in B of F_ij                                           if i is outside,
        sum over j in B of F_ij (1 - c_ij)  -  sum outside of F_ij c_ij   if i is in B,

    so that ties inside a block cancel before they are rounded.
    """
    gram, pairs, cosines = slack.gram, _pairs(slack), slack.gram.cosines
    many = gram.sizes[:, None] * gram.sizes
    rounded = many * slack.rounding
    apart = np.maximum(gram.apart, 0.0)
    inner = blocks @ (pairs * apart) - (1.0 - blocks) @ (pairs * cosines)
    rows = np.where(blocks > 0, inner, blocks @ pairs)
    # A cosine inside a block is known to its last digits only, and a tie makes a force of them. From points it is
    # |z_i - z_j|^2 / 2, and these are known to an ulp of 1 each, their length too: d apart, to a few d + eps ulps.
    shaken = rounded + many * slack.jitter
    last = np.minimum(1.0, 16.0 * (np.sqrt(apart) + np.finfo(float).eps)) if gram.from_points else 1.0
    loose = blocks @ (shaken * apart + last * rounded / 16.0) + (1.0 - blocks) @ (shaken * np.abs(cosines))
    return rows, np.where(blocks > 0, loose, blocks @ shaken)


class _Held(NamedTuple):
    """What holds a block beside S: the curvature of the loss in the cosines that change as the block moves.

    Turning a block s as one, its means by a vector e across their own, changes cosines by X_ab = s_a (1 - s_b) z_b.e
    and the same with a and b exchanged, and the loss by

        e.A e + 2 f.e,      A = 1'S1 + 1/2 sum_a sum_bc T_abc X_ab X_ac,      f = 1'S z over the block,

    T the Hessians of the rows. A pair of one rare class, say, may turn about frequent ones against 1e-10 of what holds
    either to the other, and then mostly in directions in which there is no force, nor rounding that could make one.
    Of orbits in one point up to rounding, which is where ties are strongest, one turning about the other is no change.
    """

    points: Array  # (K, p) z
    forms: Array  # (K, K, K) T
    apart: NDArray[np.bool_]  # (K, K) whether two orbits are in different points

    def moved(self, block: Array, stiffness: float, force: Array, loose: float) -> float:
        """How far the force, and one of size `loose` in any direction, moves a block across its own mean."""
        mean = block @ self.points
        across = null_space(mean[None, :]) if np.any(mean) else np.eye(len(mean))
        if across.shape[1] == 0:
            return 0.0
        aside = self.points @ across
        inner, outer = block > 0, block == 0
        # Rows of the block see all others move, in (m, K, p) numbers; the others see the block, all by one number.
        seen = (self.apart[inner] * outer)[:, :, None] * aside
        away = self.apart[np.ix_(outer, inner)] * 1.0
        felt = np.einsum("ab,abc,ac->a", away, self.forms[np.ix_(outer, inner, inner)], away, optimize=True)
        matrix = np.tensordot(seen, self.forms[inner] @ seen, ((0, 1), (0, 1))) + (aside[outer].T * felt) @ aside[outer]
        matrix = (matrix + matrix.T) / 4.0
        values, vectors = np.linalg.eigh(matrix)
        values = np.maximum(values, 0.0) + stiffness
        return float(np.linalg.norm(vectors.T @ (across.T @ force) / values) + loose / values[0])


def row_forces(gram: OrbitGram, scaled: Array, factor: Array) -> Array:
    """(K, K) (S G)_ab / (f_a f_b) of single atoms, for S between orbits over f_a f_b: how far rows are from balance.

    From the points, where they are known: forces on them that cancel keep more digits than sums over cosines.
    """
    if gram.from_points:
        points = quotient_points(gram)
        error = (scaled @ (factor[:, None] * points)) @ (points / factor[:, None]).T
    else:
        error = scaled @ (gram.quotient * factor[:, None] / factor)
    return np.asarray(error / np.sqrt(gram.sizes[:, None] * gram.sizes), dtype=np.float64)


def quotient_points(gram: OrbitGram) -> Array:
    """(K, p) P with P P^T the quotient of G: from the points that G comes from, if there are any.

    What moves a class can be 1e-6 of the forces on it, which cancel in all directions that heavy classes span. Points
    keep the digits of directions that hardly count; of cosines rounding takes them: it makes an eigenvalue 0 of G
    1e-16, and that a coordinate of 1e-8. So from cosines directions that may be rounding are no directions.
    """
    if gram.points is not None and gram.from_points:
        return np.asarray(np.sqrt(gram.sizes)[:, None] * gram.points[:, :-1], dtype=np.float64)
    values, vectors = np.linalg.eigh(gram.quotient)
    return np.asarray(vectors * np.sqrt(np.where(values > 1e-13 * values[-1], values, 0.0)), dtype=np.float64)


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
