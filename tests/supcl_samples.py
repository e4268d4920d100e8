"""SupCL once more, over every view of every instance: as an objective over views, and in JAX."""

from __future__ import annotations

import functools

import numpy as np
from scipy.optimize import minimize

import geomsolve as gs


def sample_lists(counts, views):
    """(class, instance) of every view, instances class by class."""
    classes = np.repeat(np.arange(len(counts)), np.multiply(counts, views))
    instances = np.repeat(np.arange(sum(counts)), views)
    return classes, instances


def pair_weights(counts, views, alpha, self_pairs):
    """Over views: which pairs are in the denominator, and the weights of the positives."""
    classes, instances = sample_lists(counts, views)
    seen = np.ones((len(classes),) * 2)
    if not self_pairs:
        np.fill_diagonal(seen, 0.0)
    same = instances[:, None] == instances
    rest = (classes[:, None] == classes) & ~same
    own = same * seen
    positives = (1 - alpha) * rest / rest.sum(axis=1, keepdims=True) + alpha * own / own.sum(axis=1, keepdims=True)
    return seen, positives


def over_views(counts, views, alpha, temperature, self_pairs):
    """The row softmax whose atoms are the views themselves; a self-pair of either kind sits at t = 0."""
    seen, positives = pair_weights(counts, views, alpha, self_pairs)
    count = len(seen)
    off = 1.0 - np.eye(count)
    return gs.RowSoftmax(
        orbits=gs.geometry.Orbits(np.ones(count), np.arange(count)),
        masses=np.full(count, 1.0 / count),
        weights=off,
        offsets=np.diag(seen).copy(),
        positives=positives * off,
        temperature=temperature,
    )


@functools.cache
def _compiled():
    import jax
    import jax.numpy as jnp

    def loss(flat, seen, positives, temperature):
        points = flat.reshape(len(seen), -1)
        points = points / jnp.linalg.norm(points, axis=1, keepdims=True)
        t = (points @ points.T - 1.0) / temperature
        return jnp.mean(jnp.log(jnp.sum(seen * jnp.exp(t), axis=1)) - jnp.sum(positives * t, axis=1))

    return jax.jit(jax.value_and_grad(loss))


def descend(counts, views, alpha, temperature, self_pairs, seed=0):
    """The loss and the points that descent over free vectors, one per view, ends with."""
    import jax

    seen, positives = pair_weights(counts, views, alpha, self_pairs)
    count = len(seen)
    start = np.random.default_rng(seed).normal(size=count * count)
    with jax.enable_x64(True):
        run = _compiled()

        def both(flat):
            value, slope = run(flat, seen, positives, temperature)
            return float(value), np.asarray(slope)

        options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-12, "gtol": 1e-8}
        found = minimize(both, start, jac=True, method="L-BFGS-B", options=options)
    points = found.x.reshape(count, -1)
    return found.fun, points / np.linalg.norm(points, axis=1, keepdims=True)


def within_variance(points, counts, views):
    """The mean over instances of |mean of its views - mean of its class|^2."""
    classes, instances = sample_lists(counts, views)
    means = np.array([points[instances == i].mean(axis=0) for i in range(sum(counts))])
    of = classes[::views]
    centres = np.array([means[of == c].mean(axis=0) for c in range(len(counts))])
    return float(np.mean(np.sum((means - centres[of]) ** 2, axis=1)))
