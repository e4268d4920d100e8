"""SupCon over mini-batches: exact expectations against enumeration and against the code people train with."""

import itertools
import math
from dataclasses import replace
from decimal import Decimal, localcontext

import numpy as np
import pytest
from helpers import random_gram

import geomsolve as gs
from geomsolve.objectives.batches import expectation
from geomsolve.objectives.batches.one_view import OneView
from geomsolve.objectives.classes.supcon import merged_supcon

DIGITS = [int(150 * 20 ** (-c / 9)) for c in range(10)]


def multinomials(shares, draws):
    """(chance, counts) of every outcome of so many draws."""
    for drawn in itertools.combinations_with_replacement(range(len(shares)), draws):
        times = [drawn.count(j) for j in range(len(shares))]
        chance = math.factorial(draws)
        for share, n in zip(shares, times, strict=True):
            chance *= share**n / math.factorial(n)
        yield chance, times


def enumerated(counts, dense, temperature, views, batch):
    """The loss as a sum over the multinomial counts of an anchor's batch."""
    shares = [n / math.fsum(counts) for n in counts]
    terms = []
    for chance, times in multinomials(shares, batch - 1):
        for c, share in enumerate(shares):
            near = [math.exp((dense[c][j] - 1) / temperature) if j != c else 1.0 for j in range(len(shares))]
            total = math.fsum(n * x for n, x in zip(times, near, strict=True))
            if views > 1:
                terms.append(share * chance * math.log(views - 1 + views * total))
            elif times[c] >= 1:
                terms.append(share * chance * math.log(total))
    return math.fsum(terms)


@pytest.mark.parametrize("views", [1, 2, 4])
@pytest.mark.parametrize("batch", [3, 9])
def test_the_expectation_is_the_enumerated_one(batch, views):
    rng = np.random.default_rng(batch)
    for counts in ([3, 2], [9, 1], [5, 2, 2], [60, 8, 8, 1], [1e6, 1, 1, 3]):
        for temperature in (0.1, 1.0, 5.0):
            objective = gs.SupCon(counts, temperature=temperature, views=views, batch=batch)
            objective.check()
            gram = random_gram(rng, objective.orbits)
            expected = enumerated(counts, gram.expand(), temperature, views, batch)
            assert math.isclose(objective.value(gram), expected, rel_tol=1e-13, abs_tol=1e-13)
            far = np.where(np.eye(len(counts)) > 0, 1.0, -1e9)
            floor = enumerated(counts, far, 1.0, views, batch)
            assert math.isclose(objective.floor, floor, rel_tol=1e-13, abs_tol=1e-13)


def test_weights_of_anchors_over_batches():
    """mean_i w_i L_i over every batch of three that shares can give, in the units of a weighted mean."""
    counts, weights, temperature, batch = [5, 2, 2], np.array([0.5, 2.0, 3.0]), 0.4, 3
    objective = gs.SupCon(counts, temperature=temperature, batch=batch, averaging=weights)
    gram = random_gram(np.random.default_rng(3), objective.orbits)
    assert len(gram.sizes) == 3  # equal counts of other weights are no orbit
    dense, shares, total = gram.expand(), np.array(counts) / 9.0, 0.0
    for drawn in itertools.product(range(3), repeat=batch):
        seen = np.exp((dense[np.ix_(drawn, drawn)] - 1.0) / temperature)
        losses = np.log(2.0 * seen.sum(axis=1) - 1.0)
        total += np.prod(shares[list(drawn)]) * np.mean(weights[list(drawn)] * losses)
    assert objective.value(gram) == pytest.approx(total / (shares @ weights), rel=1e-12)
    assert gs.solve(objective).quality is gs.Quality.CERTIFIED


@pytest.mark.parametrize(("batch", "rare"), [(3, 1e-9), (5, 1e-6)])
def test_rare_classes_keep_their_digits_at_low_temperature(rare, batch):
    """The excess of a rare class's row, of order 1e-35 and less, against 150-digit decimals."""
    temperature, cosine = 0.02, -0.625
    counts = [1.0, rare]
    objective = gs.SupCon([1 / rare, 1.0], temperature=temperature, views=1, batch=batch)
    cosines = np.array([[1.0, cosine], [cosine, 1.0]])
    gram = gs.OrbitGram(objective.orbits, cosines)
    with localcontext() as context:
        context.prec = 150
        total = sum(Decimal(n) / Decimal(rare) for n in counts)
        shares = [Decimal(n) / Decimal(rare) / total for n in counts]
        drift = ((Decimal(cosine) - 1) / Decimal(temperature)).exp()
        for row in (0, 1):
            expected = Decimal(0)
            for own in range(1, batch):
                ways = math.comb(batch - 1, own)
                chance = ways * shares[row] ** own * shares[1 - row] ** (batch - 1 - own)
                expected += chance * (1 + (batch - 1 - own) * drift / own).ln()
            found = replace(objective, masses=np.eye(2)[row]).excess(gram)
            assert 0 < expected < 1e-35
            assert math.isclose(found, float(expected), rel_tol=1e-13)


@pytest.mark.parametrize("views", [1, 2])
def test_blocks_of_nodes_change_nothing(monkeypatch, views):
    objective = gs.SupCon([60, 8, 8, 1], temperature=0.3, views=views, batch=20)
    gram = random_gram(np.random.default_rng(1), objective.orbits)
    value, row = objective.excess(gram), objective.row_gradient(gram)
    for block in (1, 9 * 7):  # one node at a time; seven, which does not divide their number
        monkeypatch.setattr(expectation, "_BLOCK", block)
        assert math.isclose(objective.excess(gram), value, rel_tol=1e-14)
        assert np.allclose(objective.row_gradient(gram), row, rtol=1e-13, atol=0)


# The optimum ----------------------------------------------------------------------------------------------------------


def test_the_optimum_of_a_long_tail_in_batches():
    """Rarest class of ten at imbalance 20, one view: three digits from a script older than this package."""
    known = {
        128: [-0.144, -0.087, -0.037, 0.008, 0.047, 0.076, 0.100, 0.117, 0.129],
        None: [-0.159, -0.096, -0.041, 0.007, 0.049, 0.080, 0.105, 0.125, 0.138],
    }
    for batch, cosines in known.items():
        solution = gs.solve(gs.SupCon(DIGITS, temperature=0.5, views=1, batch=batch))
        assert np.allclose(solution.gram[-1, :-1], cosines, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("batch", "temperature", "views"), [(3, 0.05, 2), (8, 5.0, 1), (256, 0.2, 1), (65536, 0.05, 1), (65536, 1.0, 2)]
)
def test_certified_across_the_board(batch, temperature, views):
    for counts in ([1e6, 1], [1000, 30, 1], [100] + [1] * 9, [5] * 5 + [1] * 5, 1e4 ** (-np.arange(40) / 39.0) * 1e5):
        solution = gs.solve(gs.SupCon(counts, temperature=temperature, views=views, batch=batch), gs.solvers.Newton())
        assert solution.quality is gs.Quality.CERTIFIED


@pytest.mark.parametrize("views", [1, 2])
def test_large_batches_tend_to_the_full_batch(views):
    """With so many examples that leaving out one's own means nothing; the difference falls like 1 / batch."""
    counts = np.array([500.0, 60, 60, 7]) * 1e9
    limit = gs.solve(gs.SupCon(counts, temperature=0.5, views=views)).gram
    away = [
        np.abs(gs.solve(gs.SupCon(counts, temperature=0.5, views=views, batch=batch)).gram - limit).max()
        for batch in (10**4, 10**5, 10**6)
    ]
    assert away[2] < 1e-4
    for more, fewer in itertools.pairwise(away):
        assert 9 < more / fewer < 11


# Classes in one point -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("views", "batch"), [(1, None), (1, 3), (2, 2), (3, 50)])
def test_merged_classes_are_the_loss_with_equal_points(views, batch):
    """On a Gram matrix that has them in one point the reduced loss is the loss, and so is its derivative."""
    rng = np.random.default_rng(3)
    counts = gs.as_counts([4, 60, 7, 7, 3, 60, 17])
    for members in ([0, 2, 3, 4], [4, 2], [0]):
        members = np.array(members)
        whole = gs.SupCon(counts, temperature=0.4, views=views, batch=batch)
        reduced = merged_supcon(counts, members, "instance", temperature=0.4, views=views, batch=batch)
        reduced.check()
        small = random_gram(rng, reduced.orbits)
        outside = np.delete(np.arange(7), members)
        place = np.empty(7, int)
        place[outside], place[members] = np.arange(len(outside)), len(outside)
        dense = small.expand()[np.ix_(place, place)]
        gram = gs.OrbitGram.from_matrix(dense, whole.orbits)
        each = whole.ungrouped()
        assert math.isclose(reduced.value(small), each.value(gram), rel_tol=1e-13)
        moved = random_gram(rng, reduced.orbits)
        away = moved.expand()[np.ix_(place, place)] - dense
        slope = np.sum(each.row_gradient(gram) * away * (1 - np.eye(7)))
        pairs = reduced.orbits.sizes[:, None] * reduced.orbits.partners
        assert math.isclose(
            np.sum(pairs * reduced.row_gradient(small) * (moved.cosines - small.cosines)), slope, rel_tol=1e-11
        )


def test_what_a_one_view_loss_must_be():
    objective = gs.SupCon([0.5, 0.3, 0.2], temperature=0.1, views=1, batch=8)
    assert isinstance(objective, OneView)
    with pytest.raises(gs.ProblemError, match="count: must be a whole number of at least 2"):
        replace(objective, count=1).check()
