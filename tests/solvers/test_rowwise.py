"""The loss in blocks of rows: the numbers of the other formula, and memory that does not grow like the Gram matrix."""

import jax
import numpy as np
import pytest
from test_descent import KINDS, random_gram

from geomsolve.geometry.orbit_gram import OrbitGram
from geomsolve.objectives.classes.gcl import GCL
from geomsolve.objectives.classes.supcon import SupCon
from geomsolve.solvers.descent.jax_losses import loss
from geomsolve.solvers.descent.rowwise import excess_and_slope, pulls

BLOCKED = ("no offset", "infonce, k=256, unsupervised", "logistic")


@pytest.mark.parametrize("kind", BLOCKED)
def test_blocks_of_rows_give_what_the_other_formula_gives(kind):
    """Two rows at a time of five: the last block reaches back into the one before."""
    objective = KINDS[kind](0.5)
    each = objective.ungrouped()
    points = np.linalg.cholesky(random_gram(5, 4))
    gram = OrbitGram.from_matrix(points @ points.T, objective.orbits)
    row = each.row_gradient(gram) * (1.0 - np.eye(5))

    @jax.jit
    def blocked(form, points):
        return excess_and_slope(form, points, 2), pulls(form, points, 2)

    with jax.enable_x64(True):
        (value, slope), pull = blocked(loss(objective), points)
    np.testing.assert_allclose(value, each.excess(gram), rtol=1e-13)
    np.testing.assert_allclose(slope, (row + row.T) @ points, rtol=0, atol=1e-13 * np.abs(row).max())
    attraction = np.zeros((5, 5))
    if kind == "no offset":  # repulsion and attraction count each by itself
        attraction = each.masses[:, None] * each.positives / each.temperature * (1.0 - np.eye(5))
    forces = (row + attraction) + (row + attraction).T + attraction + attraction.T
    np.testing.assert_allclose(pull, forces.sum(axis=1), rtol=1e-12)


def test_memory_is_that_of_the_points_and_one_block():
    classes, dim, rows = 3000, 16, 30
    objective = SupCon(np.repeat([500.0, 50.0, 5.0], classes // 3), temperature=0.1)
    with jax.enable_x64(True):
        form = loss(objective)
        points = jax.ShapeDtypeStruct((classes, dim), np.float64)
        stats = jax.jit(excess_and_slope, static_argnums=2).lower(form, points, rows).compile().memory_analysis()
    assert stats.temp_size_in_bytes < 8 * (10 * rows * classes + 10 * classes * dim)
    assert stats.temp_size_in_bytes < classes**2  # an eighth of the Gram matrix


def test_nothing_of_the_loss_is_as_large_as_the_gram_matrix():
    for objective in (SupCon(np.repeat([50.0, 5.0], 500), temperature=0.1), GCL(np.repeat([50.0, 5.0], 500))):
        form = loss(objective)
        assert max(np.size(leaf) for leaf in jax.tree_util.tree_leaves(form)) <= 2 * 1000
