"""Optima of a hinge of smaller rank than the solver's: the loss is linear between its kinks."""

import numpy as np

from ...geometry.orbit_gram import OrbitGram
from ...objectives.base import Objective
from ...objectives.batches.pairwise import Hinge, PairLoss

# Rank reduction solves for rank (rank + 1)/2 unknowns: above this many classes it takes minutes.
_MOST_CLASSES = 60


def reduce_rank(objective: Objective, gram: OrbitGram) -> OrbitGram:
    """A Gram matrix of the same loss and of smallest reachable rank r.

    Where every pair has curvature the optimum is unique and the Gram matrix comes back as it is. A hinge is linear
    between its kinks; there G = V V^T may move along V Delta V^T as long as diagonal, pairs on the kink and loss stay
    put. Each move ends where an eigenvalue vanishes or a further pair meets the kink, so at the end
    r (r + 1)/2 <= C + |pairs on the kink| + 1 (Barvinok 1995, Pataki 1998).

    Cost: an SVD of size r^2/2 a move; Gram matrices of more than 60 classes come back as they are.
    """
    if not (isinstance(objective, PairLoss) and isinstance(objective.shape, Hinge)):
        return gram
    if objective.orbits.atoms > _MOST_CLASSES:
        return gram
    pairs = objective.ungrouped()
    weights = pairs.masses[:, None] * pairs.partner
    weights = weights + weights.T
    above = gram.expand() - 1.0 + objective.shape.margin
    values, vectors = np.linalg.eigh(gram.expand())
    factor = vectors[:, values > 1e-8] * np.sqrt(values[values > 1e-8])
    count, rank = factor.shape
    every, upper = np.triu_indices(count), np.triu_indices(count, 1)
    off = every[0] != every[1]
    on_kink = np.abs(above[upper]) <= 1e-8
    active = (above[upper] > 1e-8).astype(float)
    while rank > 1:
        i, j = np.triu_indices(rank)
        scale = np.where(i == j, 1.0, 2.0)

        # v_a^T Delta v_b for a <= b, linear in the upper triangle of Delta.
        first, second = factor[every[0]], factor[every[1]]
        changes = (first[:, i] * second[:, j] + first[:, j] * second[:, i]) / 2.0 * scale
        moves = changes[off]
        constraints = np.vstack([changes[~off], moves[on_kink], ((active * weights[upper]) @ moves)[None]])
        _, singular, right = np.linalg.svd(constraints, full_matrices=True)
        if len(right) <= np.count_nonzero(singular > 1e-10 * singular[0]):
            break
        direction = np.zeros((rank, rank))
        direction[i, j] = direction[j, i] = right[-1]
        eigenvalues = np.linalg.eigvalsh(direction)
        if -eigenvalues[0] < eigenvalues[-1]:
            direction, eigenvalues = -direction, -eigenvalues[::-1]
        change = moves @ (direction[i, j])
        level = np.einsum("ik,ik->i", factor[upper[0]], factor[upper[1]]) - 1.0 + objective.shape.margin
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(~on_kink & (change * level < 0) & (np.abs(change) > 1e-14), -level / change, np.inf)
        step = min(-1.0 / eigenvalues[0], reach.min(initial=np.inf))
        on_kink |= reach <= step * (1 + 1e-9)
        active[on_kink] = 0.0
        spectrum, axes = np.linalg.eigh(np.eye(rank) + step * direction)
        keep = spectrum > 1e-9
        factor = factor @ (axes[:, keep] * np.sqrt(spectrum[keep]))
        factor /= np.linalg.norm(factor, axis=1, keepdims=True)
        rank = factor.shape[1]
    return OrbitGram.from_matrix(factor @ factor.T, objective.orbits)
