"""Losses as published code computes them, against free descent: every instance and view a vector of its own."""

import numpy as np
import pytest
from scipy.optimize import minimize

import geomsolve as gs


def descended(loss, size, starts=3):
    """The least loss of free unit vectors, by a function of their Gram matrix that gives value and gradient."""

    def flat(x):
        rows = x.reshape(size, -1)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        points = rows / length
        value, slope = loss(points @ points.T)
        slope = (slope + slope.T) @ points
        slope -= np.sum(slope * points, axis=1, keepdims=True) * points
        return value, (slope / length).ravel()

    options = {"maxiter": 5000, "maxfun": 10_000, "ftol": 0.0, "gtol": 1e-12}
    best = np.inf
    for seed in range(starts):
        start = np.random.default_rng(seed).normal(size=size * size)
        best = min(best, minimize(flat, start, jac=True, method="L-BFGS-B", options=options).fun)
    return best


def rows_of_softmax(masses, weights, pull, temperature):
    """L = sum_i m_i [ -sum_j P_ij G_ij/tau + log sum_j W_ij e^{G_ij/tau} ], written over every single atom."""

    def loss(gram):
        terms = weights * np.exp((gram - 1.0) / temperature)
        sums = terms.sum(axis=1)
        value = masses @ (np.log(sums) - np.sum(pull * (gram - 1.0), axis=1) / temperature)
        return value, masses[:, None] * (terms / sums[:, None] - pull) / temperature

    return loss


def draws(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 7, size=int(rng.integers(2, 5)))
    return [int(count) for count in counts], float(rng.choice([0.07, 0.1, 0.2, 0.5]))


def bcl(counts, temperature):
    labels = np.repeat(np.arange(len(counts)), counts)
    every = np.concatenate([labels, np.arange(len(counts))])
    anchors = np.arange(len(every)) < len(labels)
    same = (every[:, None] == every) & ~np.eye(len(every), dtype=bool)
    size = np.array(counts)[every] + 1.0
    weights = np.where(same, 1.0 / (size - 1.0), 1.0 / size) * ~np.eye(len(every), dtype=bool)
    pull = same / np.array(counts)[every][:, None]
    weights[~anchors] = np.eye(len(every))[~anchors]
    pull[~anchors] = 0.0
    return rows_of_softmax(anchors / len(labels), weights, pull, temperature), len(every)


def ecl(counts, temperature):
    labels = np.repeat(np.arange(len(counts)), counts)
    every = np.concatenate([labels, np.arange(len(counts))])
    anchors = np.arange(len(every)) < len(labels)
    same = (every[:, None] == every) & ~np.eye(len(every), dtype=bool)
    number = np.array(counts)[every].astype(float)
    weights = np.where(anchors, np.where(same, 0.5 / np.maximum(number - 1.0, 1.0), 0.5 / number), 0.5)
    weights = weights * ~np.eye(len(every), dtype=bool)
    pull = np.where(anchors, 0.5 / np.maximum(number - 1.0, 1.0), 0.5) * same
    weights[~anchors] = np.eye(len(every))[~anchors]
    pull[~anchors] = 0.0
    return rows_of_softmax(anchors / len(labels), weights, pull, temperature), len(every)


def viewed(counts, temperature, own, other, views=2):
    """Losses over samples: a share of the attraction for own views, the rest for samples of other examples."""
    example = np.repeat(np.arange(sum(counts)), views)
    labels = np.repeat(np.repeat(np.arange(len(counts)), counts), views)
    me = np.eye(len(labels), dtype=bool)
    twin = (example[:, None] == example) & ~me
    others = (labels[:, None] == labels) & (example[:, None] != example)
    pull = own[labels][:, None] * twin / twin.sum(axis=1)[:, None]
    pull = pull + other[labels][:, None] * others / np.maximum(others.sum(axis=1), 1)[:, None]
    return labels, pull, ~me


def kcl(counts, temperature, positives=3):
    drawn = np.minimum(positives, 2 * (np.array(counts) - 1.0))
    labels, pull, rest = viewed(counts, temperature, 1.0 / (1.0 + drawn), drawn / (1.0 + drawn))
    return rows_of_softmax(np.full(len(labels), 1.0 / len(labels)), rest.astype(float), pull, temperature), len(labels)


def supcl_pairs(counts, temperature, alpha=0.4):
    number = np.array(counts, dtype=float)
    weight = (1.0 - alpha) * (number - 1.0) / np.sum(number * (number - 1.0))
    own = np.full(len(counts), alpha / number.sum())
    labels, pull, rest = viewed(counts, temperature, own / (weight + own), weight / (weight + own))
    # Self-pairs are in: half of the attraction to own views is to the sample itself, and the denominator has it too.
    pull = np.where(np.eye(len(labels), dtype=bool), 0.0, pull)
    twin = np.repeat(np.arange(sum(counts)), 2)
    pull = np.where((twin[:, None] == twin) & rest, pull / 2.0, pull)
    masses = ((weight + own) / 2.0)[labels]
    return rows_of_softmax(masses, np.ones_like(pull), pull, temperature), len(labels)


PUBLISHED = {
    "bcl": (bcl, lambda counts, tau: gs.BCL(counts, temperature=tau), 1),
    "ecl": (ecl, lambda counts, tau: gs.ECL(counts, temperature=tau, classifier=False, views=1), 2),
    "kcl": (kcl, lambda counts, tau: gs.KCL(counts, temperature=tau, positives=3), 1),
    "supcl by pairs": (
        supcl_pairs,
        lambda counts, tau: gs.SupCL(counts, temperature=tau, alpha=0.4, averaging="pair"),
        2,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("seed", range(2))
def test_no_free_descent_goes_below_the_bound(name, seed):
    loss, build, least = PUBLISHED[name]
    counts, temperature = draws([len(name), seed])
    counts = [max(count, least) for count in counts]
    found = gs.solve(build(counts, temperature))
    free = descended(*loss(counts, temperature))
    assert found.certificate.lower_bound <= free + 1e-13
    assert found.value <= free + 1e-11 + 1e-6 * found.certificate.excess


def test_supcl_alone_parts_its_views():
    """Without a self-supervised part and self-pairs an own view only repels: views part, instances keep one mean."""
    counts, temperature = [4, 3, 2], 0.1
    own, other = np.zeros(3), np.ones(3)
    labels, pull, rest = viewed(counts, temperature, own, other)
    loss = rows_of_softmax(np.full(len(labels), 1.0 / len(labels)), rest.astype(float), pull, temperature)
    solution = gs.solve(gs.SupCL(counts, temperature=temperature, alpha=0.0, self_pairs=False))
    assert solution.value == pytest.approx(descended(loss, len(labels)), abs=1e-11)
    assert np.all(solution.orbits.within < 0.5)
