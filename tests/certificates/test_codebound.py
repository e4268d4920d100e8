"""Lower bounds in few dimensions: proved minima, codes where they are attained, and no embedding below them."""

import itertools
import math

import numpy as np
import pytest
from helpers import unit_rows as unit
from rows_of_weights import circle
from scipy.special import eval_chebyt, eval_gegenbauer

import geomsolve as gs
from geomsolve.certificates.code_bounds import dimension_bound
from geomsolve.certificates.gegenbauer import gegenbauer, least_of_pairs
from geomsolve.certificates.pair_models import PairModel, pair_model

TAILED = [120, 60, 30, 12, 5, 5]
LABELS = np.array([0.0, 0.4, 1.0, 1.7, 2.0, 3.0])
LOSSES = {
    "SupCon": gs.SupCon(TAILED, temperature=0.2),
    "SupCon, one view, cold": gs.SupCon(TAILED, temperature=0.07, views=1),
    "SupCon, batches": gs.SupCon(TAILED, temperature=0.2, batch=16),
    "InfoNCE, unsupervised": gs.GCL(TAILED, temperature=0.3, sampling="unsupervised"),
    "InfoNCE, k = 1": gs.GCL(TAILED, temperature=0.1, negatives=1),
    "InfoNCE, k = 5, unsupervised": gs.GCL(TAILED, temperature=0.2, negatives=5, sampling="unsupervised"),
    "weighted InfoNCE": gs.WeightedInfoNCE(gs.similarities.y_aware_weights(LABELS, sigma=0.5), temperature=0.3),
    "weighted InfoNCE, self-pairs out": gs.WeightedInfoNCE(
        gs.similarities.y_aware_weights(LABELS, sigma=0.5, self_pairs=False), temperature=0.3
    ),
}


def excess(objective, points):
    gram = gs.OrbitGram.from_matrix(points @ points.T, objective.orbits)
    return objective.ungrouped().excess(gram)


def icosahedron():
    golden = (1 + math.sqrt(5)) / 2
    signs = itertools.product((-1.0, 1.0), (-golden, golden))
    return unit(np.array([np.roll([0.0, a, b], turn) for a, b in signs for turn in range(3)]))


def simplex(count):
    return unit(np.linalg.eigh(np.eye(count) - 1.0 / count)[1][:, 1:])


@pytest.mark.parametrize("dim", [2, 3, 4, 9])
def test_gegenbauer_polynomials_are_scipys_and_positive_definite(dim):
    cosines = np.linspace(-1, 1, 41)
    ours = gegenbauer(dim, 9, cosines)
    for k in range(10):
        alpha = (dim - 2) / 2
        theirs = (
            eval_chebyt(k, cosines) if dim == 2 else eval_gegenbauer(k, alpha, cosines) / eval_gegenbauer(k, alpha, 1)
        )
        np.testing.assert_allclose(ours[k], theirs, atol=1e-12)
    points = unit(np.random.default_rng(dim).normal(size=(30, dim)))
    for matrix in gegenbauer(dim, 9, np.clip(points @ points.T, -1, 1)):
        assert np.linalg.eigvalsh(matrix)[0] > -1e-10


@pytest.mark.parametrize("seed", range(3))
def test_least_of_pairs_is_below_every_value_and_near_the_smallest(seed):
    rng = np.random.default_rng(seed)
    dim, degree, pairs, tau = int(rng.integers(2, 9)), 12, 6, float(rng.choice([0.05, 0.2, 1.0]))
    weights, tilts = rng.uniform(0, 1, (3, 3)), np.exp(rng.normal(size=(3, 3)))
    ratios, chances = 10.0 ** rng.uniform(-2, 3, (3, 2)), rng.uniform(0, 1, (3, 2))
    pulls, free = rng.normal(size=(3, 3)) * tau, np.ones(3, dtype=bool)
    model = PairModel(np.full(3, 2.0), ratios, chances, weights, pulls, tilts, free, 0.0, tau)
    coefficients = rng.normal(size=(pairs, degree + 1)) / (1 + np.arange(degree + 1))
    least = least_of_pairs(model, coefficients, dim, np.full(pairs, 1e-9))
    cosines = np.cos(np.linspace(0, np.pi, 200_001))
    values = model.table(cosines) - coefficients @ gegenbauer(dim, degree, cosines)
    smallest = values.min(axis=1)
    assert np.all(least <= smallest)
    # The grid itself misses the minimum by the square of its step.
    assert np.all(least >= smallest - 1e-6)


@pytest.mark.parametrize(
    ("points", "temperature"),
    [(circle(10), 0.1), (icosahedron(), 0.1), (np.vstack([np.eye(4), -np.eye(4)]), 0.1), (simplex(6), 1.0)],
    ids=["decagon", "icosahedron", "cross-polytope", "simplex, warm"],
)
def test_sharp_codes_attain_the_bound_for_one_negative(points, temperature):
    """Cohn & Kumar 2007: sharp codes minimise every absolutely monotone potential, which e^{t/tau} is, and the logistic
    loss nearly where e^{t/tau} is small.
    """
    count, dim = points.shape
    objective = gs.GCL([1] * count, negatives=1, temperature=temperature)
    value, bound = objective.floor + excess(objective, points), dimension_bound(objective, dim)
    assert bound <= value
    assert bound == pytest.approx(value, rel=1e-6)


def test_the_simplex_attains_the_bound_of_row_softmax():
    objective = gs.SupCon([40] * 7, temperature=0.2)
    bound = dimension_bound(objective, 6)
    assert bound <= gs.solve(objective).value
    assert bound - objective.floor == pytest.approx(excess(objective, simplex(7)), rel=1e-6)


@pytest.mark.parametrize(("name", "dim"), list(zip(LOSSES, [2, 3] * 4, strict=True)))
def test_no_embedding_is_below_the_bound(name, dim):
    objective = LOSSES[name]
    bound = dimension_bound(objective, dim)
    rng = np.random.default_rng(0)
    count = len(objective.orbits.listed())
    starts = [unit(rng.normal(size=(count, dim))) for _ in range(30)]
    best = min(starts, key=lambda points: excess(objective, points))
    # The best of them walks on, to where a bound that is too high would show.
    value = excess(objective, best)
    for step in 0.3 * 0.97 ** np.arange(200):
        moved = unit(best + step * rng.normal(size=best.shape) * (rng.random((count, 1)) < 0.4))
        after = excess(objective, moved)
        if after < value:
            best, value = moved, after
    assert bound - objective.floor <= value


def test_the_bound_is_much_better_than_the_certificates():
    objective = gs.SupCon([40] * 7, temperature=0.1)
    solution = gs.solve(objective)
    assert dimension_bound(objective, 3) - objective.floor > 10 * (solution.certificate.lower_bound - objective.floor)


def test_many_orbits_share_what_few_of_them_taught():
    """All different, so the search begins on 14 of them; an embedding is above, the bound of any dimension below."""
    solution = gs.solve(gs.SupCon(np.unique(np.geomspace(3, 600, 90).astype(int)), temperature=0.1))
    found = solution.embed(8, restarts=1)
    floor = solution.objective.floor
    assert len(solution.orbits.orbits.sizes) > 60
    assert 0.6 < (found.bound_in_dimension - floor) / (found.value - floor) < 1.0
    assert found.bound_in_dimension - floor > 2.0 * solution.certificate.excess


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("tilted", [False, True])
def test_the_model_of_pairs_lies_below_the_loss(name, tilted):
    objective = LOSSES[name]
    model = pair_model(objective)
    rng = np.random.default_rng(1)
    if tilted:
        model = model.tilted_by(np.exp(rng.normal(size=model.tilts.shape)))
        np.testing.assert_allclose(
            (model.partners * model.weights * model.tilts).sum(axis=1), (model.partners * model.weights).sum(axis=1)
        )
    first, second, times = model.pairs
    labels = objective.orbits.listed()
    for _ in range(20):
        points = unit(rng.normal(size=(len(labels), rng.integers(2, 5))))
        gram, total = points @ points.T, model.constant
        for i, j in itertools.combinations(range(len(labels)), 2):
            a, b = sorted((labels[i], labels[j]))
            kind = np.flatnonzero((first == a) & (second == b))
            total += model.at(kind, gram[i, j : j + 1])[0].item()
        assert total <= excess(objective, points) + 1e-12
    assert times.sum() == len(labels) * (len(labels) - 1) / 2


def test_the_model_is_the_loss_where_there_is_nothing_to_take_apart():
    objective = LOSSES["InfoNCE, k = 1"]
    model = pair_model(objective)
    gram = np.full((6, 6), 0.3) + 0.7 * np.eye(6)
    _, _, times = model.pairs
    total = times @ model.table(np.array([0.3]))[:, 0]
    gram = gs.OrbitGram.from_matrix(gram, objective.orbits)
    assert total == pytest.approx(objective.ungrouped().excess(gram), rel=1e-13)


def test_losses_without_a_model_have_no_bound():
    assert dimension_bound(gs.GCL([1] * 5, loss="hinge", margin=1.0), 2) is None
    assert dimension_bound(gs.SupCon(np.arange(2, 503), temperature=0.1), 2) is None


@pytest.mark.parametrize("dim", [1, 2.5, True, None])
def test_bad_dimensions(dim):
    with pytest.raises(gs.ProblemError, match="dim: must be a whole number of at least 2; got"):
        dimension_bound(LOSSES["SupCon"], dim)


def test_a_polygon_need_not_be_optimal():
    """The logistic loss is not absolutely monotone: warm, nine classes in the plane have a better place."""
    objective = gs.GCL([1] * 9, negatives=1, temperature=1.0)
    found = gs.solve(objective).embed(dim=2)
    regular = objective.floor + excess(objective, circle(9))
    assert dimension_bound(objective, 2) <= found.value < regular - 1e-5
