"""The interval of the excess: it contains the tight value, whatever the time; derivatives; Ctrl-C."""

import numpy as np
import pytest
from rows_of_weights import excess_and_slope, mean_divergence, softmax
from scipy.optimize import minimize
from test_bounds import random_weights

from geomsolve.certificates.certificate import certify
from geomsolve.geometry.orbit_gram import OrbitGram
from geomsolve.geometry.unit_rows import tangent, unit
from geomsolve.objectives.weighted.weighted import WeightedInfoNCE
from geomsolve.similarities import representatives
from geomsolve.similarities.factors import FactorLoss, descend
from geomsolve.similarities.feasibility import LogGram
from geomsolve.similarities.intervals import excess_interval
from geomsolve.similarities.kernels import y_aware_weights
from geomsolve.similarities.realizations import realize
from geomsolve.solvers.solving import solve


def interval(objective, seconds=20.0, progress=None):
    start = OrbitGram.simplex(objective.orbits)
    return excess_interval(objective, start, tol=0.01, seconds=seconds, progress=progress)


def test_random_weightings():
    """The tight value: of an independent certificate at the end of a long search; early intervals must contain it."""
    rng, tight, wide = np.random.default_rng(0), 0, 0
    for _ in range(60):
        weighting, temperature = random_weights(rng)
        objective = WeightedInfoNCE(weighting, temperature=max(temperature, 0.2))
        best = interval(objective)
        certificate = certify(objective, best.gram)
        excess = objective.divergence(certificate_gram := best.gram.repaired()[0])
        assert best.excess == pytest.approx(excess, rel=1e-9, abs=1e-14)
        tight += certificate.gap <= 1e-7 * max(excess, 1e-9)
        early = interval(objective, seconds=0.0)
        wide += not early.finished
        slack = 1e-13 * (1.0 + certificate.value)
        assert early.lower <= excess + slack
        assert early.excess >= excess - certificate.gap - slack
        assert best.lower <= early.excess + slack
        assert certificate_gram.smallest_eigenvalue > -1e-9
    assert tight > 54
    assert wide > 6


@pytest.mark.parametrize("self_pairs", [True, False])
def test_derivatives_by_differences(self_pairs):
    rng = np.random.default_rng(0)
    weighting = y_aware_weights([0.0, 0.0, 0.0, 1.0, 2.0, 2.0, 3.5], sigma=0.8, self_pairs=self_pairs)
    objective = WeightedInfoNCE(weighting, temperature=0.3)
    loss = FactorLoss(objective)
    rows = rng.normal(size=(4, 4))
    rows[:, -1] *= weighting.orbits.plural
    rows = unit(rows)
    along = rng.normal(size=rows.shape)
    along[:, -1] *= weighting.orbits.plural
    along = tangent(rows, along)
    value, slope = loss(rows)
    assert value == pytest.approx(objective.divergence(loss.gram(rows)), rel=1e-12)
    step = 1e-6
    ahead, behind = (unit(rows + side * step * along) for side in (1.0, -1.0))
    assert (loss(ahead)[0] - loss(behind)[0]) / (2 * step) == pytest.approx(np.sum(slope * along), rel=1e-7)


def test_an_interruption_leaves_what_there_is():
    weighting = y_aware_weights(np.random.default_rng(0).uniform(20.0, 80.0, 150), sigma=10.0)
    lines = []

    def stop(line):
        lines.append(line)
        if len(lines) == 40:
            raise KeyboardInterrupt

    found = realize(weighting, temperature=0.1, progress=stop)
    assert found.verdict.value == "inconsistent"
    assert not found.finished
    assert 0.0 <= found.excess_lower <= found.excess < 1e-2
    assert (found.min_dim, found.unique) == (None, True)
    points = found.points
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0)


def test_descent_stops_where_nothing_is_gained():
    objective = WeightedInfoNCE(y_aware_weights(np.linspace(-1.0, 1.0, 12), sigma=0.3), temperature=0.5)
    loss, told = FactorLoss(objective), []
    start = unit(np.column_stack([np.random.default_rng(0).normal(size=(12, 5)), np.zeros(12)]))
    rows, still = descend(loss, start, 3000, 1e-12, np.inf, lambda value, _: told.append(value))
    assert still
    assert len(told) < 3000
    assert loss(rows)[0] == min(told)


def test_different_ages_to_a_millionth_and_no_descent_comes_below():
    """In full rank, beside the formula written down and descended once more from near the answer."""
    ages = np.random.default_rng(0).uniform(20, 80, 110)
    weighting = y_aware_weights(ages, sigma=10)
    found = realize(weighting, temperature=0.1, tol=1e-6, seconds=120.0)
    assert found.finished
    assert found.gap <= 1e-6 * found.excess
    near = found.points + 1e-3 * np.random.default_rng(1).standard_normal(found.points.shape)
    options = {"maxiter": 100, "ftol": 0.0, "gtol": 0.0}
    excess = excess_and_slope(weighting.expand(), 0.1, True)
    best = minimize(excess, near.ravel(), jac=True, method="L-BFGS-B", options=options).fun
    assert found.excess_lower - 1e-13 <= best <= 1.05 * found.excess


def test_self_pairs_out_from_representatives(monkeypatch):
    """Full rank: the bound from twelve is the optimum of the interior point over all, and the points are near it."""
    monkeypatch.setattr(representatives, "_MOST", 12)
    monkeypatch.setattr(representatives, "_LEAST", 12)
    ages = np.random.default_rng(0).uniform(20, 80, 16)
    weighting = y_aware_weights(ages, sigma=10, self_pairs=False)
    objective = WeightedInfoNCE(weighting, temperature=0.1)
    known = representatives.bracket(FactorLoss(objective), LogGram.of(weighting), np.inf, lambda _: None)
    assert known is not None
    points, lower = known
    solution = solve(objective)
    excess = solution.value - weighting.entropy_bound
    assert lower - weighting.entropy_bound == pytest.approx(excess, rel=1e-3)
    assert lower <= solution.value + 1e-14
    found = mean_divergence(weighting.expand(), softmax(points[:, :-1] @ points[:, :-1].T, 0.1, self_pairs=False))
    assert excess - 1e-12 <= found <= 1.05 * excess
