"""The last digits on the spheres, exact row Hessians, and the interior-point method."""

import numpy as np
import pytest
from mpmath import mp, mpf

import geomsolve as gs
from geomsolve.geometry.orbits import OrbitGram
from geomsolve.objectives.row_hessians import softmax_forms
from geomsolve.solvers import settling
from geomsolve.solvers.curvature import Curvature
from geomsolve.solvers.interior import follow_path
from geomsolve.solvers.settling import settle
from geomsolve.solvers.spheres import State, gram_of, retract
from geomsolve.solvers.staircase import wide_start

COUNTS = [500, 300, 300, 20, 20, 4]
OBJECTIVES = {
    "supcon": lambda: gs.SupCon(COUNTS, temperature=0.3, views=2),
    "mini-batches": lambda: gs.SupCon(COUNTS, temperature=0.3, batch=64),
    "mini-batches, two views": lambda: gs.SupCon(COUNTS, temperature=0.3, batch=64, views=2),
    "drawn negatives": lambda: gs.GCL(COUNTS, temperature=0.2, negatives=16, sampling="unsupervised"),
    "one negative": lambda: gs.GCL(COUNTS, temperature=0.3, negatives=1),
    "logistic": lambda: gs.GCL(COUNTS, temperature=0.3, loss="logistic"),
    "classifier": lambda: gs.LogitCompensated(COUNTS, scale=5.0),
    "equilibrium": lambda: gs.ECL(COUNTS, temperature=0.4, scale=6.0),
    "examples": lambda: gs.SupCL([4, 3, 2], temperature=0.5, alpha=0.4),
}


def some_point(objective, width=4, seed=0):
    orbits = objective.orbits
    point = np.random.default_rng(seed).normal(size=(len(orbits.sizes), width + 1))
    point[:, -1] *= orbits.plural
    return retract(point, 0.0)


def some_step(state, seed=1):
    step = np.random.default_rng(seed).normal(size=state.point.shape)
    step[:, -1] *= state.orbits.plural
    return state.tangent(step)


def quiet(_):
    pass


@pytest.mark.parametrize("name", OBJECTIVES)
def test_row_hessians_are_derivatives_of_the_row_gradient(name):
    objective = OBJECTIVES[name]()
    orbits = objective.orbits
    gram = gram_of(orbits, some_point(objective))
    change = np.random.default_rng(2).normal(size=gram.cosines.shape)
    change = (change + change.T) * (orbits.partners > 0)
    h = 1e-5

    def row(shift):
        return objective.row_gradient(OrbitGram(orbits, gram.cosines + shift * change))

    difference = (row(h) - row(-h)) / (2.0 * h) * orbits.sizes[:, None] * orbits.partners
    expected = np.einsum("abc,ac->ab", objective.row_hessians(gram), change)
    np.testing.assert_allclose(difference, expected, atol=2e-8 * np.abs(expected).max())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_curvature_whole_is_what_its_product_gives(name):
    objective = OBJECTIVES[name]()
    state = State.at(objective, some_point(objective))
    curvature = Curvature.at(objective, state)
    step = some_step(state)
    whole = np.einsum("akbl,bl->ak", curvature.block(np.arange(len(state.point))), step)
    np.testing.assert_allclose(whole, curvature.product(step), atol=1e-13 * np.abs(whole).max())
    np.testing.assert_allclose(whole, state.hessian(step), atol=1e-13 * np.abs(whole).max())
    part = curvature.block(np.array([1, 2]))
    alone = np.zeros_like(step)
    alone[1:3] = step[1:3]
    np.testing.assert_allclose(
        np.einsum("akbl,bl->ak", part, step[1:3]), curvature.product(alone)[1:3], atol=1e-13 * np.abs(whole).max()
    )


def test_what_bends_a_denominator_has_all_its_digits():
    """One partner has all but 1e-21 of it: 1 - q is no number, q (1 - q) is."""
    with mp.workdps(60):
        terms = [mpf(1), mpf(10) ** -21, 3 * mpf(10) ** -23]
        own = mpf(10) ** -22
        shares = [t / (sum(terms) + own) for t in terms]
        expected = np.array([[float(q * ((i == j) - r)) for j, r in enumerate(shares)] for i, q in enumerate(shares)])
        got = softmax_forms(np.array([[float(q) for q in shares]] * 3), np.full(3, float(own)), np.ones(3))
    np.testing.assert_allclose(got[0], expected, rtol=1e-14)


def moved(gram, by):
    """Orbit vectors of a Gram matrix, shaken."""
    point = wide_start(gram, 0.0)
    noise = np.random.default_rng(5).normal(size=point.shape)
    noise[:, -1] = 0.0
    return retract(point, by * noise)


@pytest.mark.parametrize("most", [0, 2600])
def test_rare_classes_are_turned_to_their_last_digits(most, monkeypatch):
    """By a dense factor and by blocks: what turns the rare ones is 1e-4 of what holds them."""
    monkeypatch.setattr(settling, "_MOST_DENSE", most)
    counts = [3e5, 2e5, 8e4, 9e3, 70.0, 20.0]
    objective = gs.LogitCompensated(counts, scale=3.0)
    best = gs.solve(objective)
    history: list = []
    found = settle(objective, State.at(objective, moved(best.orbits, 1e-5)), 200, history, quiet)
    gram = gram_of(objective.orbits, found.point)
    np.testing.assert_allclose(gram.cosines, best.orbits.cosines, atol=1e-8)
    assert gs.certify(objective, gram).holds()
    assert len(history) < 30


def test_a_rare_pair_that_turns_about_a_heavy_class():
    """Straight steps of that turn bend what is stiff; these counts once took thousands of them."""
    counts = [2, 5, 13_000_000, 1_900_000, 33_000_000, 1_900_000, 33_000_000]
    solution = gs.solve(gs.LogitCompensated(counts, scale=3.443), gs.solvers.Newton())
    assert solution.quality is gs.Quality.CERTIFIED


@pytest.mark.parametrize("scale", [22.3, 30.0, 38.0])
def test_logit_compensated_at_low_temperature(scale):
    """Balanced classes are a simplex of means and classifiers; of others the certificate decides."""
    count = 5
    balanced = gs.solve(gs.LogitCompensated([7] * count, scale=scale))
    simplex = np.where(np.eye(count), 1.0, -1.0 / (count - 1.0))
    np.testing.assert_allclose(balanced.gram, np.tile(simplex, (2, 2)), atol=1e-7)
    assert gs.solve(gs.LogitCompensated([1e6, 1e4, 300.0, 20.0, 2.0], scale=scale)).quality is gs.Quality.CERTIFIED


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_interior_path_ends_where_newton_does(name):
    objective = OBJECTIVES[name]()
    history: list = []
    gram = follow_path(objective, OrbitGram.simplex(objective.orbits), 100, history, quiet)
    best = gs.solve(objective)
    assert gs.certify(objective, gram).relative_gap < 1e-5  # what rounding of cosines leaves, where G is singular
    np.testing.assert_allclose(objective.excess(gram), objective.excess(best.orbits), rtol=1e-6)
    assert 5 < len(history) < 60
    assert history[-1]["change"] < 1e-9


@pytest.mark.parametrize("name", OBJECTIVES)
def test_interior_is_certified_by_itself(name):
    solution = gs.solve(OBJECTIVES[name](), gs.solvers.Interior())
    assert solution.quality is gs.Quality.CERTIFIED
    assert solution.solver == "interior"
    best = gs.solve(OBJECTIVES[name](), gs.solvers.Newton())
    np.testing.assert_allclose(solution.orbits.cosines, best.orbits.cosines, atol=1e-6)


def test_interior_finds_low_rank_from_labels_on_a_line():
    """Where Newton on factors goes astray: weights from e^{-d^2} span 300 decades, and most directions vanish."""
    rng = np.random.default_rng(3)
    weights = gs.similarities.y_aware_weights(rng.normal(size=(14, 2)), sigma=0.2, self_pairs=False)
    solution = gs.solve(gs.WeightedInfoNCE(weights, temperature=0.03), gs.solvers.Interior(), throw=False)
    assert solution.certificate.relative_gap < 1e-10
    assert solution.rank < 14


def test_interior_says_what_it_is_not_for():
    kinks = gs.GCL([3, 2, 2], loss="hinge", margin=1.6)
    refused = gs.solve(kinks, gs.solvers.Interior(), throw=False)
    assert refused.quality is gs.Quality.UNCERTIFIED
    assert refused.stats[0].message == "not smooth: no Newton steps"
    many = gs.SupCon(np.arange(2, 202), temperature=0.5)
    refused = gs.solve(many, gs.solvers.Interior(), throw=False)
    assert refused.stats[0].message == "200 orbits are too many for a dense factor of all cosines"


@pytest.mark.parametrize("few", [0, 800])
def test_an_indefinite_hessian_is_inverted_as_one_that_is_not(few, monkeypatch):
    """By eigenvalues and, of many unknowns, by L D L^T: always downhill, and exact where nothing was negative."""
    monkeypatch.setattr(settling, "_FEW", few)
    rng = np.random.default_rng(0)
    turned, _ = np.linalg.qr(rng.normal(size=(30, 30)))
    right = rng.normal(size=(30, 8))
    values = np.linspace(1.0, 3.0, 30)
    definite = turned * values @ turned.T
    solve = settling._inverse(definite.copy())
    np.testing.assert_allclose(np.array([solve(v) for v in right.T]), right.T @ np.linalg.inv(definite), rtol=1e-12)
    values[::3] *= -1.0
    solve = settling._inverse(turned * values @ turned.T)
    inverse = np.array([solve(unit) for unit in np.eye(30)])
    np.testing.assert_allclose(inverse, inverse.T, atol=1e-13)
    assert np.linalg.eigvalsh(inverse)[0] > 0.0
    if few:
        np.testing.assert_allclose(inverse, turned / np.abs(values) @ turned.T, atol=1e-13)
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        settling._inverse(np.full((3, 3), np.nan))
