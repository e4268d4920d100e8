"""Riemannian Newton: derivatives on unit vectors, and the same optima from starts that miss directions."""

import numpy as np
import pytest
from helpers import unit_rows

import geomsolve as gs
from geomsolve.certificates.slack import Slack
from geomsolve.solvers.base import Iteration, Termination
from geomsolve.solvers.newton.newton import Newton
from geomsolve.solvers.spheres.riemannian import factor_of, staircase, start_at
from geomsolve.solvers.spheres.spheres import State, gram_of, retract


def y_aware(labels, sigma, temperature=0.5, **options):
    return gs.WeightedInfoNCE(gs.similarities.y_aware_weights(labels, sigma=sigma, **options), temperature=temperature)


def narrow(objective, columns, seed=0):
    """The staircase from random points of so many columns."""
    point = np.random.default_rng(seed).normal(size=(len(objective.orbits.sizes), columns + 1))
    point[:, -1] *= objective.orbits.plural
    return staircase(objective, retract(point, 0.0), Iteration(300))


PROBLEMS = {
    "line": lambda: y_aware(np.linspace(-1, 1, 10), 0.3),
    "line, wide": lambda: y_aware(np.linspace(-1, 1, 10), 2.0, 0.3),
    "line, no self-pairs": lambda: y_aware(np.linspace(-1, 1, 10), 0.3, self_pairs=False),
    "plane": lambda: y_aware(np.random.default_rng(0).normal(size=(14, 2)), 0.5),
    "repeated labels": lambda: y_aware(np.repeat(np.linspace(-1, 1, 8), [1, 3, 2, 1, 5, 2, 1, 4]), 0.4, 0.4),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_narrow_and_full_agree(name):
    """From two columns, though most optima have more: what is missing is found, and proved not to be."""
    objective = PROBLEMS[name]()
    gram, termination = narrow(objective, 2)
    certificate = gs.certify(objective, gram)
    assert termination is Termination.CONVERGED
    assert certificate.holds()
    full = gs.certify(objective, Newton().run(objective).gram)
    assert full.holds()
    assert certificate.value == pytest.approx(full.value, abs=1e-12)


def test_a_stationary_point_of_too_few_columns_is_left():
    """All points in one: no force acts there, whatever the weights, and only the slack matrix says it is no optimum."""
    objective = PROBLEMS["plane"]()
    point = np.zeros((14, 2))
    point[:, 0] = 1.0
    assert State.at(objective, point).force() < 1e-14
    assert not gs.certify(objective, gram_of(objective.orbits, point)).holds()
    gram, termination = staircase(objective, point, Iteration(300))
    assert termination is Termination.CONVERGED
    assert gs.certify(objective, gram).holds()


def test_closed_orbits_open():
    """Orbits that start as points (no spread, so no force on it) are opened where that lowers the loss."""
    objective = gs.SupCon([10, 10, 10, 10, 2, 2, 2], temperature=0.5)
    count = len(objective.orbits.sizes)
    gram, _ = staircase(objective, np.eye(count, count + 1), Iteration(300))
    assert gs.certify(objective, gram).holds()
    assert np.all(np.diag(gram.cosines) < 0.5)


def test_the_slack_matrix_of_a_state():
    """The one the certificate makes from scratch."""
    objective = PROBLEMS["repeated labels"]()
    rng = np.random.default_rng(1)
    point = rng.normal(size=(8, 4))
    point[:, -1] *= objective.orbits.plural
    state = State.at(objective, retract(point, 0.0))
    slack = Slack.of(objective, gram_of(objective.orbits, state.point))
    quotient, inside = state.slack()
    np.testing.assert_allclose(quotient, slack.quotient, atol=1e-14)
    plural = objective.orbits.plural
    np.testing.assert_allclose(inside[plural], slack.spread[plural], atol=1e-14)


LOSSES = {
    "supcon": lambda: gs.SupCon(COUNTS, temperature=0.3, views=2),
    "logistic": lambda: gs.GCL(COUNTS, temperature=0.3, loss="logistic"),
    "classifier": lambda: gs.LogitCompensated(COUNTS, scale=5.0),
    "equilibrium": lambda: gs.ECL(COUNTS, temperature=0.4, scale=6.0),
    "examples": lambda: gs.SupCL([4, 3, 2], temperature=0.5, alpha=0.4),
}
COUNTS = [500, 300, 300, 20, 20, 4]


@pytest.mark.parametrize("name", LOSSES)
def test_hessian_is_the_derivative_of_the_gradient(name):
    objective = LOSSES[name]()
    rng = np.random.default_rng(2)
    point = rng.normal(size=(len(objective.orbits.sizes), 5))
    point[:, -1] *= objective.orbits.plural
    state = State.at(objective, retract(point, 0.0))
    direction = rng.normal(size=point.shape)
    direction[:, -1] *= objective.orbits.plural
    direction = state.tangent(direction)
    step = 1e-5
    ahead, behind = (State.at(objective, retract(state.point, s * direction)).gradient for s in (step, -step))
    expected = state.tangent((ahead - behind) / (2.0 * step))
    np.testing.assert_allclose(state.hessian(direction), expected, atol=1e-7 * np.abs(expected).max())


def test_many_orbits_start_from_as_few_dimensions_as_the_guess_has():
    objective = y_aware(np.linspace(-1, 1, 120), 0.3)
    points = unit_rows(np.random.default_rng(0).normal(size=(120, 3)))
    low = gs.OrbitGram.from_matrix(points @ points.T, objective.orbits)
    assert start_at(low).shape == (120, 4)
    assert start_at(gs.OrbitGram.simplex(objective.orbits)).shape == (120, 121)
    solution = gs.solve(objective, start=low)
    assert solution.quality is gs.Quality.CERTIFIED
    assert solution.rank < 10


def test_a_guess_without_a_strong_direction_keeps_its_strongest():
    """Among ten million classes a regular simplex has no direction that stands out."""
    orbits = gs.geometry.Orbits(np.array([1e7, 2e7, 3e7]))
    start = factor_of(gs.OrbitGram.simplex(orbits))
    assert start.shape == (3, 2)
    np.testing.assert_allclose(np.linalg.norm(start, axis=1), 1.0, rtol=1e-14)


@pytest.mark.parametrize(
    "objective",
    [
        gs.objectives.NormFace([100] * 10, scale=64.0, margin=0.35),
        gs.objectives.NormFace([20, 7, 7, 3], scale=30.0),
        gs.objectives.CLIP([9, 5], temperature=1 / 64),
    ],
    ids=["CosFace", "NormFace", "CLIP"],
)
def test_rows_that_one_partner_has_but_for_the_last_digits_bend_by_the_rest(objective):
    assert gs.solve(objective).certificate.holds()
