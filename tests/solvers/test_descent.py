"""Descent: the loss written twice agrees, the answers are right, and JAX is left as it was found."""

import math
from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers import unit_rows

from geomsolve.certificates.certificate import certify
from geomsolve.counts.counts import as_counts, long_tail_counts
from geomsolve.errors import BackendError
from geomsolve.geometry.orbit_gram import OrbitGram, Orbits
from geomsolve.objectives.classes.gcl import GCL
from geomsolve.objectives.classes.supcon import SupCon, class_orbits
from geomsolve.objectives.rows.row_softmax import RowSoftmax
from geomsolve.objectives.weighted.weighted import WeightedInfoNCE
from geomsolve.objectives.weighted.weightings import weighting_from_matrix
from geomsolve.solvers.base import Termination
from geomsolve.solvers.descent.jax_descent import MOST_ATOMS, Descent, computing, descend_on, enough_dim, random_starts
from geomsolve.solvers.descent.jax_losses import loss
from geomsolve.solvers.descent.rowwise import excess_and_slope, pulls

COUNTS = as_counts([50, 20, 20, 7, 3])


def with_positives(temperature, offsets):
    rng = np.random.default_rng(3)
    size = len(COUNTS.distinct)
    return RowSoftmax(
        orbits=class_orbits(COUNTS),
        masses=COUNTS.proportions,
        weights=rng.uniform(0.1, 2.0, (size, size)),
        offsets=np.full(size, offsets),
        positives=rng.uniform(0.0, 0.2, (size, size)),
        temperature=temperature,
    )


KINDS = {
    "supcon": lambda tau: SupCon(COUNTS, temperature=tau),
    "positives": lambda tau: with_positives(tau, 1.5),
    "no offset": lambda tau: with_positives(tau, 0.0),
    "infonce": lambda tau: GCL(COUNTS, temperature=tau),
    "infonce, k=256, unsupervised": lambda tau: GCL(COUNTS, temperature=tau, negatives=256, sampling="unsupervised"),
    "logistic": lambda tau: GCL(COUNTS, temperature=tau, loss="logistic"),
    "hinge": lambda tau: GCL(COUNTS, loss="hinge", margin=1.2),
}


def descend(objective, dim=None, restarts=1, seed=0, **options):
    starts = random_starts(round(objective.orbits.atoms), dim or enough_dim(objective), restarts, seed)
    with computing(None) as place:
        return descend_on(place, objective, starts, second_order=False, **options)


# The loss is an argument: one compilation for every temperature.
value_and_slope = jax.jit(jax.value_and_grad(lambda function, gram: function(gram), argnums=1))


def random_gram(classes, seed):
    points = unit_rows(np.random.default_rng(seed).standard_normal((classes, classes)))
    gram = points @ points.T
    np.fill_diagonal(gram, 1.0)
    return gram


@pytest.mark.parametrize("temperature", [0.01, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_written_twice_agrees(kind, temperature):
    objective = KINDS[kind](temperature)
    each = objective.ungrouped()
    for seed in range(3):
        gram = random_gram(5, seed)
        numpy_gram = OrbitGram.from_matrix(gram, objective.orbits)
        with jax.enable_x64(True):
            value, slope = value_and_slope(loss(objective), gram)
            value, slope = float(value), np.array(slope)
        # The excess itself, not only value = floor + excess: at tau = 0.01 it is e^{-100} or so.
        assert value == pytest.approx(each.excess(numpy_gram), rel=1e-12, abs=0)
        assert objective.floor + value == pytest.approx(each.value(numpy_gram), rel=1e-12, abs=0)
        off = ~np.eye(5, dtype=bool)
        expected = each.row_gradient(numpy_gram)
        np.testing.assert_allclose(slope[off], expected[off], rtol=1e-10, atol=1e-15 * np.abs(expected[off]).max())


def test_the_slope_stays_finite_where_everything_coincides():
    objective = GCL(COUNTS, negatives=16, normalization="sum")
    with jax.enable_x64(True):
        slope = np.array(value_and_slope(loss(objective), np.ones((5, 5)))[1])
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    "objective",
    [
        SupCon(long_tail_counts(12, 1000, 100), temperature=0.1),
        GCL(long_tail_counts(12, 1000, 50), temperature=1.0),
        GCL([60, 4, 4, 4], temperature=0.1, negatives=1),
        SupCon(long_tail_counts(8, 1000, 100), temperature=0.01),
    ],
    ids=["supcon", "infonce", "logistic", "of an excess below 1e-40"],
)
def test_answers_are_certified(objective):
    certificate = certify(objective, Descent().run(objective).gram)
    assert certificate.relative_gap < 1e-10
    assert certificate.cosine_residual < 1e-8


def test_a_loss_that_is_not_written_in_jax_goes_by_its_own_formulas():
    objective = SupCon(COUNTS, temperature=0.5, views=1, batch=32)
    with pytest.raises(BackendError, match="no JAX form"):
        loss(objective)
    assert certify(objective, Descent().run(objective).gram).holds()
    large = SupCon(np.full(300, 10), temperature=0.5, views=1, batch=32)
    assert Descent().run(large).termination is Termination.NOT_APPLICABLE


def test_jax_is_left_as_it_was_found():
    before = jax.config.jax_enable_x64
    found = descend(SupCon([30, 10, 5], temperature=0.5), max_steps=50)
    assert jax.config.jax_enable_x64 == before
    assert type(found.points) is np.ndarray
    assert type(found.excess) is float
    assert jax.numpy.zeros(1).dtype == (np.float64 if before else np.float32)


def test_seeds_reproduce():
    objective = SupCon(long_tail_counts(8, 1000, 100), temperature=0.5)
    first, second, other = (Descent(max_steps=3, seed=seed).run(objective).gram.cosines for seed in (7, 7, 8))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-12)
    assert np.abs(first - other).max() > 1e-3


def test_a_step_limit_is_said_and_not_certified():
    objective = SupCon(long_tail_counts(8, 1000, 100), temperature=0.5)
    lines = []
    attempt = Descent(max_steps=3).run(objective, progress=lines.append)
    assert attempt.termination is Termination.STEP_LIMIT
    assert attempt.steps == 3
    assert lines
    assert not certify(objective, attempt.gram).holds()


def test_what_it_cannot_treat():
    unlisted = replace(SupCon([30, 10], temperature=0.5), orbits=Orbits(np.array([1.0, 1.5])))
    many, coordinates = (SupCon(np.full(atoms, 10), temperature=0.5) for atoms in (MOST_ATOMS + 1, 15_000))
    reasons = ((unlisted, str(MOST_ATOMS)), (many, str(MOST_ATOMS)), (coordinates, "coordinates are more than"))
    for objective, message in reasons:
        attempt = Descent().run(objective)
        assert attempt.termination is Termination.NOT_APPLICABLE
        assert message in attempt.message
    with pytest.raises(BackendError, match=r"loss\.register"):
        loss(object())


def test_blocks_of_rows_on_the_device_find_the_same_optimum(monkeypatch):
    """L-BFGS on JAX's arrays, over three rows at a time."""
    from geomsolve.solvers.descent import jax_descent

    objective = SupCon(long_tail_counts(8, 1000, 100), temperature=0.5)
    whole = Descent().run(objective)
    monkeypatch.setattr(jax_descent, "_HOST_NUMBERS", 0)
    monkeypatch.setattr(jax_descent, "_AT_ONCE", 0)
    monkeypatch.setattr(jax_descent, "_PER_BLOCK", 24)
    blocked = Descent().run(objective)
    assert blocked.termination is Termination.CONVERGED
    np.testing.assert_allclose(blocked.gram.cosines, whole.gram.cosines, rtol=0, atol=1e-10)


def test_attraction_can_need_a_dimension_more():
    """Three samples with a weight of e^{1/tau} on themselves ask for the identity, whose rank is 3."""
    weights = np.full((3, 3), 1.0) + (math.exp(2.0) - 1.0) * np.eye(3)
    objective = WeightedInfoNCE(weighting_from_matrix(weights), temperature=0.5)
    assert (enough_dim(objective), enough_dim(SupCon([9, 5, 2], temperature=0.5))) == (3, 2)
    assert objective.divergence(Descent().run(objective).gram) < 1e-15
    # In the plane the best is a regular triangle, cosines -1/2.
    own, other = math.exp(2.0) / (math.exp(2.0) + 2.0), 1.0 / (math.exp(2.0) + 2.0)
    log_own = -math.log1p(2.0 * math.exp(-3.0))
    expected = own * (math.log(own) - log_own) + 2.0 * other * (math.log(other) - log_own + 3.0)
    flat = OrbitGram.averaged_points(descend(objective, dim=2).points, objective.orbits)
    assert objective.divergence(flat) == pytest.approx(expected, rel=1e-9)


# The loss in blocks of rows -------------------------------------------------------------------------------------------

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
