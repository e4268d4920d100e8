"""Supervised Prototypes: the limit by the formula, the bound by random geometries and by descent."""

import math

import numpy as np
import pytest
from helpers import descended

import geomsolve as gs
from geomsolve.training import losses


def prototype_loss(points, labels, temperature):
    """Of two views in one point, prototypes at plus and minus the first axis."""
    prototypes = np.zeros((2, points.shape[1]))
    prototypes[:, 0] = [1.0, -1.0]
    return float(losses.prototypes(np.stack([points, points]), labels, prototypes, temperature=temperature))


def points_of(found, labels, near):
    """Points with cosine `near` to their prototype and the directions of the solution."""
    directions = np.column_stack([np.zeros(len(labels)), found.solution.embed().points])
    axis = np.zeros(directions.shape[1])
    axis[0] = 1.0
    return math.sqrt(1 - near**2) * directions + near * np.where(labels == 0, 1, -1)[:, None] * axis


@pytest.mark.parametrize(("counts", "temperature"), [([6, 3], 0.07), ([5, 5], 0.2), ([12, 2], 0.1)])
def test_value_is_the_limit_of_the_loss(counts, temperature):
    found = gs.choosing.supervised_prototypes(counts, temperature=temperature)
    labels = np.repeat([0, 1], counts)
    just_past = prototype_loss(points_of(found, labels, 0.5 + 1e-13), labels, temperature)
    assert math.isclose(just_past, found.value, rel_tol=1e-10)
    gram = points_of(found, labels, 0.5)
    assert np.abs(gram @ gram.T - found.gram.expand()).max() <= 1e-9
    # At 0.5 itself every prototype still pulls, and the loss is higher by half of (1 - 0.5)/tau.
    still = prototype_loss(points_of(found, labels, 0.5 - 1e-13), labels, temperature)
    assert math.isclose(still - just_past, 0.25 / temperature, rel_tol=1e-10)


@pytest.mark.parametrize(
    ("counts", "most"),
    [([128, 128], 1e-12), ([243, 13], 1e-12), ([990, 10], 1e-10), ([253, 3], 1e-5), ([255, 1], 1e-5)],
)
def test_bound_is_tight_at_the_temperature_of_the_paper(counts, most):
    found = gs.choosing.supervised_prototypes(counts)
    assert 0 <= found.gap <= most
    assert 0 < found.lower_bound <= found.value


@pytest.mark.parametrize(("counts", "temperature"), [([5, 5], 0.2), ([5, 3], 0.2), ([6, 2], 0.5)])
def test_descent_ends_between_bound_and_value(counts, temperature):
    """Descent over points past 0.5, each as far as it likes; the loss is smooth there."""
    import jax
    import jax.numpy as jnp

    found = gs.choosing.supervised_prototypes(counts, temperature=temperature)
    labels = np.repeat([0, 1], counts)
    count = len(labels)
    sides = np.where(labels == 0, 1.0, -1.0)

    def place(flat):
        raw = flat.reshape(count, count + 1)
        near = 0.5 + 0.5 * jax.nn.sigmoid(raw[:, 0])
        directions = raw[:, 1:] / jnp.linalg.norm(raw[:, 1:], axis=1, keepdims=True)
        return jnp.column_stack([near * sides, jnp.sqrt(1 - near**2)[:, None] * directions])

    def loss(flat):
        points = place(flat)
        exponentials = 2 * jnp.exp((points @ points.T - 1) / temperature) * (1 - jnp.eye(count))
        return jnp.mean(jnp.log1p(exponentials.sum(axis=1)))

    with jax.enable_x64(True):
        start = np.random.default_rng(0).normal(size=count * (count + 1))
        points = np.asarray(place(descended(loss, start, maxiter=3000).x))
    reached = prototype_loss(points, labels, temperature)
    assert found.lower_bound <= reached <= found.value + 1e-3
    if counts[0] == counts[1]:
        assert math.isclose(reached, found.value, rel_tol=1e-3)


def test_bad_input():
    with pytest.raises(gs.ProblemError, match="counts: supervised_prototypes is a loss of two classes; got 3"):
        gs.choosing.supervised_prototypes([3, 2, 1])
    with pytest.raises(gs.ProblemError, match="views: must be a whole number of at least 2; got 1"):
        gs.choosing.supervised_prototypes([3, 2], views=1)
