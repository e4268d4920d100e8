"""Weighted InfoNCE of unit vectors, in plain numpy."""

import numpy as np
from scipy.special import log_softmax


def unit_vectors(rng, count, dim):
    points = rng.normal(size=(count, dim))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def circle(count, radius=1.0):
    angles = 2 * np.pi * np.arange(count) / count
    return radius * np.column_stack([np.cos(angles), np.sin(angles)])


def softmax(gram, temperature, self_pairs=True):
    """(N, N) p."""
    logits = np.array(gram) / temperature
    if not self_pairs:
        np.fill_diagonal(logits, -np.inf)
    return np.exp(log_softmax(logits, axis=1))


def divergences(weights, shares):
    """KL of every row."""
    there = weights > 0
    return np.sum(weights * np.log(np.where(there, weights, 1.0) / np.where(there, shares, 1.0)), axis=1)


def mean_divergence(weights, shares):
    return float(divergences(weights, shares).mean())


def excess_and_slope(weights, temperature, self_pairs):
    """The excess of N points of any length, turned into unit vectors, and its derivative: for `minimize(jac=True)`."""
    count = len(weights)

    def function(flat):
        rows = flat.reshape(count, -1)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        z = rows / lengths
        shares = softmax(z @ z.T, temperature, self_pairs)
        pull = (shares - weights) / (temperature * count)
        slope = (pull + pull.T) @ z
        slope -= (slope * z).sum(axis=1, keepdims=True) * z
        return mean_divergence(weights, shares), (slope / lengths).ravel()

    return function
