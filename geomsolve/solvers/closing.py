"""Which orbits are points: what may stay closed, and where Newton's method starts when some close or open."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..geometry.orbits import OrbitGram, Orbits
from ..objectives.base import Objective
from ..objectives.row_softmax import RowSoftmax


def may_stay(objective: Objective, gram: OrbitGram, closed: NDArray[np.bool_]) -> bool:
    """Whether a solution of the 2K equations is a Gram matrix, and no orbit wrongly closed."""
    # Orbits of many atoms in one point have eigenvalues of as many units, and ulps of these in the least one.
    rounded = max(1e-9, 64.0 * np.finfo(float).eps * gram.atoms)
    return gram.smallest_eigenvalue > -rounded and not wrongly_closed(objective, gram, closed).any()


def wrongly_closed(objective: Objective, gram: OrbitGram, closed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(K,) which closed orbits open, because the loss falls with it: closing several at once can close too many."""
    if not closed.any():
        return closed
    row = objective.row_gradient(gram)  # not as a difference: at low temperature that has no digits inside a point
    forces = (row + row.T) / 2.0
    own = np.diag(forces)
    spread = -np.einsum("ab,ab->a", objective.orbits.partners * forces, gram.cosines) - own
    scale = np.einsum("ab,ab->a", objective.orbits.partners, np.abs(forces))
    return closed & (spread < -1e-9 * scale)


def start_closed(orbits: Orbits, closed: NDArray[np.bool_]) -> OrbitGram:
    """The regular simplex of what is left when the closed orbits are points."""
    points = np.where(closed, 1.0, orbits.sizes).sum()
    cosines = OrbitGram.simplex(orbits).cosines * (orbits.atoms - 1.0) / max(points - 1.0, 1.0)
    np.fill_diagonal(cosines, np.where(closed | ~orbits.plural, 1.0, np.diag(cosines)))
    return OrbitGram(orbits, cosines)


def opened(objective: Objective, gram: OrbitGram, opening: NDArray[np.bool_]) -> OrbitGram | None:
    """The Gram matrix with some closed orbits opened to where nothing acts inside them; None where that is nowhere.

    With all else as it is, the row of an atom asks e^{t/tau} W = P Z of its own orbit, of which Z consists but for the
    rest: Z (1 - N P) = a + rest. The means of opened orbits are shorter by the root of their cosine inside.
    """
    if not (opening.any() and isinstance(objective, RowSoftmax) and objective.positives is not None):
        return None
    partners, weights = gram.orbits.partners, np.broadcast_to(objective.weights, gram.cosines.shape)
    others = partners * weights * gram.exponentials(objective.temperature)
    np.fill_diagonal(others, 0.0)
    pull, own = np.diag(objective.positives), np.diag(weights)
    left = 1.0 - np.diag(partners) * pull
    if np.any((left <= 0) | (pull <= 0) | (own <= 0), where=opening):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        asked = np.log(pull * (objective.offsets + others.sum(axis=1)) / left / own)
    inside = np.where(opening, 1.0 + objective.temperature * asked, 1.0)
    if not np.all((inside[opening] > 0) & (inside[opening] < 1)):
        return None
    length = np.sqrt(inside)
    cosines = gram.cosines * length[:, None] * length
    np.fill_diagonal(cosines, np.where(opening, inside, np.diag(gram.cosines)))
    return OrbitGram(gram.orbits, cosines)
