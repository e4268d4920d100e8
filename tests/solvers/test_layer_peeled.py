"""The Layer-Peeled Model: closed form, conic program, feasible points, and where the minority merges."""

import math

import numpy as np
import pytest

import geomsolve as gs
from geomsolve.collapse import layer_peeled_threshold
from geomsolve.objectives import LayerPeeled
from geomsolve.solvers.logits import layer_peeled

ENERGIES = {"feature_energy": 5.0, "classifier_energy": 1.0}


def test_balanced_classes_are_the_simplex():
    found = gs.solve(LayerPeeled([20] * 10, **ENERGIES))
    assert found.value == pytest.approx(math.log1p(9 * math.exp(-math.sqrt(5) * 10 / 9)), rel=1e-13)
    assert found.certificate.relative_gap < 1e-13
    np.testing.assert_allclose(found.classifier_cosines[np.triu_indices(10, 1)], -1 / 9, atol=1e-12)


@pytest.mark.parametrize("counts", [[50, 20, 5], [100, 100, 5, 5, 5], [0.6, 0.3, 0.1]])
def test_a_conic_program_finds_the_same(counts):
    """The published form, a Gram matrix of features and classifier with two traces."""
    import cvxpy as cp

    found, size = gs.solve(LayerPeeled(counts, **ENERGIES)), len(counts)
    gram = cp.Variable((2 * size, 2 * size), PSD=True)
    logits = gram[:size, size:]
    shares = np.array(counts) / np.sum(counts)
    value = cp.sum(cp.multiply(shares, cp.log_sum_exp(logits, axis=0) - cp.diag(logits)))
    bounds = [cp.trace(gram[:size, :size]) <= size * 1.0, cp.trace(gram[size:, size:]) <= size * 5.0]
    cp.Problem(cp.Minimize(value), bounds).solve(solver="CLARABEL")
    assert found.value == pytest.approx(value.value, abs=1e-7)
    assert found.certificate.relative_gap < 1e-12
    sums = np.log(np.exp(found.logits).sum(axis=0))
    assert found.value == pytest.approx(shares @ (sums - np.diag(found.logits)), rel=1e-13)
    np.testing.assert_allclose(found.logits, logits.value, atol=1e-3)
    assert np.trace(found.classifier) == pytest.approx(size * 1.0)
    assert np.trace(found.features) == pytest.approx(size * 5.0)


def test_the_bound_holds_where_logits_are_not_optimal(monkeypatch):
    problem, honest = LayerPeeled([50, 20, 5], **ENERGIES), layer_peeled.bounded
    best = gs.solve(problem)
    monkeypatch.setattr(layer_peeled, "bounded", lambda *given: (honest(*given)[0].scaled(0.9), 1.0))
    found = gs.solve(problem, throw=False)
    assert not found.certificate.holds()
    assert found.certificate.lower_bound <= best.value < found.value


def test_the_minority_merges_at_the_threshold():
    majority, minority, energies = 2, 3, {"feature_energy": 1.0, "classifier_energy": 1.0}
    found = layer_peeled_threshold(majority, minority, **energies)
    assert found.collapses == "above"
    assert found.bracket[1] - found.bracket[0] < 1e-9 * found.value
    for factor, merged in ((0.999, False), (1.001, True)):
        counts = gs.step_counts(majority, minority, 1.0, found.value * factor)
        solution = gs.solve(LayerPeeled(counts, **energies))
        assert bool(solution.classifier_cosines[-1, -2] > 1 - 1e-9) is merged
        assert bool(solution.spare[-1] > 1e-6) is merged
        assert solution.merged == ([list(range(majority, majority + minority))] if merged else [])
    beyond = np.array([1e-4, 2e-4])  # where the spare part of the solved problem is a straight line down to 0
    counts = [gs.step_counts(majority, minority, 1.0, found.value * (1.0 + more)) for more in beyond]
    spare = [gs.solve(LayerPeeled(each, **energies)).spare[-1] for each in counts]
    assert abs(beyond[0] - spare[0] * np.diff(beyond) / np.diff(spare)) < 5e-8
