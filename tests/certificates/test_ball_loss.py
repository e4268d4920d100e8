"""Honesty over the unit ball: what is said of class means of any length up to 1."""

import itertools
import math

import numpy as np
import pytest
from atoms import softmax_of_atoms
from helpers import random_counts, random_gram
from hypothesis import given, settings
from hypothesis import strategies as st

import geomsolve as gs
from geomsolve.objectives.classes.supcon import class_orbits

SEEDS = st.integers(0, 2**32 - 1)


def ball_loss(counts, temperature, points, views=2):
    """SupCon with class means anywhere: t_ij = G_ij - G_ii, positives sit in their anchor's own point."""
    gram = points @ points.T
    total = 0.0
    for c, own in enumerate(counts):
        drift = sum(
            views * n * math.exp((gram[c, j] - gram[c, c]) / temperature) for j, n in enumerate(counts) if j != c
        )
        total += own / sum(counts) * math.log(views * own - 1 + drift)
    return total


BALL = [
    ([7, 7, 7, 7], 0.5),
    ([1000, 100, 10], 0.1),
    ([1000, 10, 10, 10], 1.0),
    ([5000, 100, 100, 2, 2, 2], 2.0),
    ([100, 30, 10, 3], 0.3),
    ([50, 1, 1, 1, 1], 1.0),
    ([1e6, 1e4, 1e2, 2], 3.0),
]


@pytest.mark.parametrize(("counts", "temperature"), BALL)
def test_ball_answers(counts, temperature):
    objective = gs.SupCon(counts, temperature=temperature)
    solution = gs.solve(objective, gs.solvers.Newton())
    certificate = solution.certificate
    points = solution.orbits.embed()
    points = np.pad(points, ((0, 0), (0, len(counts) - points.shape[1])))
    assert math.isclose(ball_loss(counts, temperature, points), certificate.value, rel_tol=1e-10)
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        size = 10 ** rng.uniform(-3, 0)
        moved = points + rng.choice([0, size]) * rng.normal(size=points.shape) / math.sqrt(len(counts))
        moved /= np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1)
        shrink = 1 - size * rng.uniform(0, 1, len(counts)) * (rng.uniform(size=len(counts)) < 0.4)
        found.append(ball_loss(counts, temperature, shrink[:, None] * moved))
    assert certificate.value - certificate.ball_gap <= min(found) + 1e-13 * certificate.value
    assert certificate.ball_gap >= certificate.gap
    improved = min(found) < certificate.value * (1 - 1e-13)
    if certificate.ball_optimal is True:
        assert not improved
    elif certificate.ball_optimal is False:
        single = []
        for c, eps in itertools.product(range(len(counts)), (1e-1, 1e-2, 1e-3)):
            shrunk = points.copy()
            shrunk[c] *= 1 - eps
            single.append(ball_loss(counts, temperature, shrunk))
        assert min(single) < certificate.value * (1 - 1e-13)
    assert certificate.ball_optimal is not None
    if len(set(counts)) == 1:
        assert certificate.ball_optimal


@pytest.mark.parametrize("seed", range(3))
def test_ball_answer_false_comes_with_a_descent(seed):
    """Positives between classes: shrinking a class may pay. The ball loss is written out, t_ij = G_ij - G_ii."""
    rng = np.random.default_rng(seed)
    count, temperature = 5, 0.2
    positives = 0.1 * rng.uniform(0.1, 1, (count, count))
    objective = softmax_of_atoms(temperature, np.full(count, 1 / count), positives=positives)

    def loss(points):
        gram = points @ points.T
        total = 0.0
        for i in range(count):
            t = np.delete(gram[i] - gram[i, i], i) / temperature
            total += (math.log1p(np.exp(t).sum()) - np.delete(positives[i], i) @ t) / count
        return total

    start = random_gram(rng, objective.orbits)
    gram = gs.OrbitGram(objective.orbits, 0.5 * start.cosines + 0.5 * np.eye(count))
    certificate = gs.certify(objective, gram)
    points = np.linalg.cholesky(gram.expand())
    assert math.isclose(loss(points), certificate.value, rel_tol=1e-13)
    best = np.inf
    for c, eps in itertools.product(range(count), (1e-2, 1e-4, 1e-5)):
        shrunk = points.copy()
        shrunk[c] *= 1 - eps
        best = min(best, loss(shrunk))
    # At a point that is far from optimal, shrinking pays or not; "False" says exactly that it does.
    assert (certificate.ball_optimal is False) == (best < certificate.value)
    assert certificate.value - certificate.ball_gap <= best


@given(seed=SEEDS)
@settings(max_examples=60)
def test_ball_lower_bound_is_below_every_point_of_the_ball(seed):
    """From any Gram matrix: value - ball_gap <= the loss of any vectors of length at most 1."""
    rng = np.random.default_rng(seed)
    counts = random_counts(rng, int(rng.integers(2, 6)), spread=2)
    temperature = float(rng.choice([0.1, 0.5, 2.0]))
    objective = gs.SupCon(counts, temperature=temperature)
    certificate = gs.certify(objective, random_gram(rng, class_orbits(gs.as_counts(counts))))
    for _ in range(10):
        points = rng.normal(size=(len(counts), len(counts)))
        points *= rng.uniform(0, 1, (len(counts), 1)) ** rng.choice([0.1, 1]) / np.linalg.norm(
            points, axis=1, keepdims=True
        )
        bound = certificate.value - certificate.ball_gap
        assert bound <= ball_loss(counts, temperature, points) + 1e-14 * (abs(certificate.value) + certificate.ball_gap)
