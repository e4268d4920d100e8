"""What the tests of losses over several kinds of atoms share: random points and slopes."""

import numpy as np
import pytest

import geomsolve as gs


def unit_rows(rng, count, dim):
    points = rng.normal(size=(count, dim))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def gram_of(objective, points):
    """The Gram matrix of points, one per atom, for the objective with every atom on its own."""
    return gs.OrbitGram.from_matrix(points @ points.T, objective.orbits)


def softmax_of_atoms(temperature, masses, weights=1.0, offsets=1.0, positives=None):
    """Row softmax over atoms each on its own; a number stands for an array of it."""
    count = len(masses)
    return gs.RowSoftmax(
        orbits=gs.geometry.Orbits(np.ones(count), np.arange(count)),
        masses=masses,
        weights=np.broadcast_to(weights, (count, count)),
        offsets=np.broadcast_to(offsets, count),
        positives=positives,
        temperature=temperature,
    )


def check_derivatives(objective, gram, rng):
    """The slope along a random direction, and the model of the rows, by central differences."""
    way = rng.normal(size=gram.cosines.shape)
    way = way + way.T
    pairs = gram.orbits.partners * gram.orbits.sizes[:, None]
    way[np.diag_indices_from(way)] *= gram.orbits.plural
    there, back = (gs.OrbitGram(gram.orbits, gram.cosines + step * way) for step in (1e-6, -1e-6))
    slope = (objective.excess(there) - objective.excess(back)) / 2e-6
    assert np.sum(pairs * objective.row_gradient(gram) * way) == pytest.approx(slope, rel=1e-6, abs=1e-9)
    # The model of the rows is exact on equal shifts of a whole row.
    there, back = (gs.OrbitGram(gram.orbits, gram.cosines + step * (pairs > 0)) for step in (1e-6, -1e-6))
    bent = pairs * (objective.row_gradient(there) - objective.row_gradient(back)) / 2e-6
    model = objective.rows(gram)
    assert pairs * (model.curvature - model.coupling) == pytest.approx(bent, rel=1e-5, abs=1e-8)
