"""How far forces would move atoms, alone and in blocks of tied or close ones."""

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from ..arrays import Array
from .slack import Slack


def block_residual(slack: Slack) -> float:
    """How far forces would move orbits that are close or tied, together; and whether S >= 0 among such blocks.

    What ties orbits can be a billion times stronger than what moves them as one, and hides it in every
    single row. The forces on a block add up, and so does S; the ties cancel, which `resultants` does by hand. With
    the sets that single linkage makes, of near orbits and of strong ties, no block is hidden by a larger one
    around it. Where nothing but rounding is left of the stiffness 1'S1 of a block, nothing is known of it.
    """
    gram, pairs, rounded = slack.gram, _pairs(slack), slack.gram.sizes[:, None] * slack.gram.sizes * slack.rounding
    count = len(gram.sizes)
    near, _, _ = linked(1.0 - gram.cosines, 0.3)
    tied, roots, parts = linked(pairs, 0.0)
    blocks = np.vstack([tied, near[count:]])
    rows, noise = resultants(slack, blocks)
    stiffness, unsure = np.sum(rows * blocks, axis=1), np.sum(noise * blocks, axis=1)
    if np.any(stiffness <= unsure):
        return np.inf
    # The roots, and of each merger the less stiff part: the indicators of these K sets are a basis.
    basis = np.array([*roots, *(min(part, key=lambda block: stiffness[block]) for part in parts)], dtype=int)
    negative = indefinite(rows[basis] @ blocks[basis].T, noise[basis] @ blocks[basis].T)
    # Of cosines rounding makes an eigenvalue 0 of G 1e-16, and that a coordinate of 1e-8: no direction.
    points = gram.mean_factor(1e-13)
    # One ulp of a tie that is 1% of the stiffness moves an orbit by 1% of how far the other end is to the side.
    aside = rounded / 64.0 * np.sqrt(np.maximum(1.0 - gram.cosines**2, 0.0))
    loose = np.sum((blocks @ aside) * (1.0 - blocks), axis=1)
    moved = (np.linalg.norm(rows @ points, axis=1) + loose) / stiffness
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
    # A cosine inside a block is known to its last digits only, and a tie makes a force of them.
    shaken = rounded + many * slack.jitter
    loose = blocks @ (shaken * apart + rounded / 16.0) + (1.0 - blocks) @ (shaken * np.abs(cosines))
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
