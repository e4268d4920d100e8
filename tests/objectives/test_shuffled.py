"""Batches without replacement, against enumeration."""

import itertools
import math
from math import comb

import numpy as np
import pytest
from atoms import check_derivatives, gram_of, unit_rows

import geomsolve as gs


def enumerated(counts, temperature, views, batch, gram):
    total, loss = sum(counts), 0.0
    for c in range(len(counts)):
        left = list(counts)
        left[c] -= 1
        for drawn in itertools.product(*[range(min(batch - 1, n) + 1) for n in left]):
            if sum(drawn) != batch - 1 or (views == 1 and drawn[c] == 0):
                continue
            chance = math.prod(comb(n, m) for n, m in zip(left, drawn, strict=True)) / comb(total - 1, batch - 1)
            terms = [m * math.exp((gram[c, j] - 1.0) / temperature) for j, m in enumerate(drawn)]
            loss += counts[c] / total * chance * math.log(views - 1 + views * sum(terms))
    return loss


@pytest.mark.parametrize("counts", [[5, 3, 2], [4, 4, 2, 1]], ids=str)
@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("batch", [3, 6, -1])
def test_value_and_derivatives(counts, views, batch):
    batch = batch if batch > 0 else sum(counts) - 1
    rng = np.random.default_rng([batch, views])
    points = unit_rows(rng, len(counts), 4)
    objective = gs.SupCon(counts, temperature=0.4, views=views, batch=batch, draw="shuffle").ungrouped()
    gram = gram_of(objective, points)
    assert objective.value(gram) == pytest.approx(enumerated(counts, 0.4, views, batch, points @ points.T), abs=1e-12)
    check_derivatives(objective, gram, rng)
    assert objective.rows(gram).repulsion == pytest.approx(objective.row_gradient(gram), rel=1e-12)


def test_digits_in_shuffled_epochs():
    """507 images in batches of 128: what training logs, in units of temperature/0.07, beside independent draws."""
    counts = [int(150 * 20 ** (-c / 9)) for c in range(10)]
    independent = gs.solve(gs.SupCon(counts, temperature=0.1, batch=128))
    shuffled = gs.solve(gs.SupCon(counts, temperature=0.1, batch=128, draw="shuffle"))
    assert independent.value / 0.7 == pytest.approx(5.1507, abs=5e-5)
    assert shuffled.value / 0.7 == pytest.approx(5.1375, abs=5e-4)


def test_classes_of_examples_are_a_simplex_and_their_value_that_of_their_draw():
    solution = gs.solve(gs.SupCon([300, 100, 40, 10], temperature=0.2, sampler="3x4"))
    off = solution.gram[np.triu_indices(4, 1)]
    assert off == pytest.approx(np.full(6, -1 / 3), abs=1e-10)
    # Two other classes of four examples in two views each, wherever they stand: the simplex has one cosine.
    assert solution.value == pytest.approx(math.log(7.0 + 2 * 8 * math.exp((-1 / 3 - 1) / 0.2)), abs=1e-12)


def test_exponents_are_shares():
    counts = np.array([300, 100, 40, 10])
    root = np.sqrt(counts) / np.sqrt(counts).sum()
    powers = gs.solve(gs.SupCon(counts, temperature=0.2, batch=64, sampler=0.5))
    assert powers.value == pytest.approx(gs.solve(gs.SupCon(root, temperature=0.2, batch=64)).value, abs=1e-12)
    for loss, more in ((gs.GCL, {}), (gs.SINCERE, {"batch": 8})):
        drawn = gs.solve(loss(counts, temperature=0.5, sampler="sqrt", **more))
        assert drawn.value == pytest.approx(gs.solve(loss(root, temperature=0.5, **more)).value, abs=1e-12)
    given = gs.solve(gs.SupCon(counts, temperature=0.2, batch=64, sampler=root))
    assert given.gram == pytest.approx(powers.gram, abs=1e-10)
