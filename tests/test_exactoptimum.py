"""Where the value is proved and forces below the rounding of float64 decide the cosines: the optimum in decimals."""

from dataclasses import replace
from decimal import Decimal

import mpmath as mp
import numpy as np
import pytest

import geomsolve as gs
from geomsolve.certificate import certify
from geomsolve.decimals import backward, cholesky, decimals, digits, floats, forward, solve
from geomsolve.exactoptimum import exact_optimum, exact_reading
from geomsolve.orbits import OrbitGram
from geomsolve.solvers.exact import Exact
from geomsolve.solvers.interior import Interior


def y_aware(labels, sigma, temperature):
    weighting = gs.y_aware_weights(np.array(labels), sigma=sigma, self_pairs=False)
    return gs.WeightedInfoNCE(weighting, temperature=temperature)


def near():
    """Seven samples in the plane: float64 comes to within 1e-3 of their cosines."""
    rng = np.random.default_rng(1)
    rng.integers(5, 10), rng.integers(1, 3)
    return y_aware(rng.normal(size=(7, 2)), 0.15, 0.02)


def line():
    """Five samples on a line, at a temperature where the far ones push by 1e-20: float64 is off by 0.1 and more."""
    rng = np.random.default_rng(49)
    rng.integers(5, 10), rng.integers(1, 3)
    return y_aware(rng.normal(size=(5, 1)), 0.25, 0.025)


def test_factors_and_solutions_have_sixty_digits():
    rng = np.random.default_rng(0)
    with digits():
        units = decimals(10.0 ** rng.integers(-20, 20, 8))
        plain = decimals(rng.normal(size=(8, 8)))
        matrix = plain @ plain.T * units * units[:, None]
        root, right = cholesky(matrix), decimals(rng.normal(size=8)) * units
        assert np.abs(floats((root @ root.T - matrix) / units / units[:, None])).max() < 1e-57
        for found in (solve(matrix.copy(), right.copy()), backward(root, forward(root, right))):
            assert np.abs(floats((matrix @ found - right) / units)).max() < 1e-50
        assert cholesky(-matrix) is None
        assert cholesky(matrix - Decimal("1.1") * np.diag(np.diag(root) ** 2)) is None
        with pytest.raises(np.linalg.LinAlgError):
            solve(decimals(np.ones((3, 3))), decimals(np.ones(3)))


@pytest.mark.parametrize("problem", [near, line])
def test_what_is_found_is_an_optimum_in_eighty_digits(problem):
    objective = problem()
    start = Interior().run(objective).gram
    before = certify(objective, start)
    assert before.relative_gap < 1e-9
    assert not before.holds()
    attempt = Exact().run(objective, start=start)
    assert np.abs(attempt.gram.cosines - start.cosines).max() > 1e-4
    assert certify(objective, attempt.gram).cosine_residual < 1e-14
    best = exact_optimum(objective, attempt.gram)
    count, weighting = len(best.cosines), objective.weighting
    with mp.workdps(80):
        tau = mp.mpf(objective.temperature)
        gram = mp.matrix(count, count)
        wanted, shares, slack = gram.copy(), gram.copy(), gram.copy()
        for a in range(count):
            for b in range(count):
                gram[a, b] = mp.mpf(str(best.cosines[a, b]))
                if a != b:
                    wanted[a, b] = mp.exp(mp.mpf(float(weighting.logs[a, b])))
                    shares[a, b] = mp.exp(gram[a, b] / tau)
        for rows in (wanted, shares):
            for a in range(count):
                total = mp.fsum(rows[a, b] for b in range(count))
                for b in range(count):
                    rows[a, b] /= total
        for a in range(count):
            for b in range(count):
                slack[a, b] = (shares[a, b] - wanted[a, b] + shares[b, a] - wanted[b, a]) / (2 * count * tau)
        for a in range(count):
            slack[a, a] = -mp.fsum(slack[a, b] * gram[a, b] for b in range(count) if b != a)
        scale = max(slack[a, a] for a in range(count))
        assert mp.norm(slack * gram, mp.inf) < scale * mp.mpf(10) ** -25
        assert min(mp.eigsy(slack, eigvals_only=True)) > -scale * mp.mpf(10) ** -25
        assert min(mp.eigsy(gram, eigvals_only=True)) > -(mp.mpf(10) ** -28)


def test_the_reading_is_the_distance_however_faint_what_holds_the_cosines():
    """Far pairs that push a little differently: the value cannot tell, and cosines are elsewhere."""
    objective = near()
    true = Exact().run(objective, start=Interior().run(objective).gram).gram
    rng = np.random.default_rng(0)
    twist = rng.normal(size=true.cosines.shape)
    for size in (3e-6, 1e-4, 1e-3, 1e-2):
        weights = np.where(objective.positives < 1e-12, np.exp(size * (twist + twist.T)), 1.0)
        other = exact_optimum(replace(objective, weights=weights), true, beside=1.0)
        gram = OrbitGram(objective.orbits, floats(other.cosines))
        distance, proved = float(np.abs(gram.cosines - true.cosines).max()), certify(objective, gram)
        assert proved.relative_gap < 1e-9
        assert proved.cosine_residual >= 0.99 * distance or distance < 1e-8
        assert proved.holds() == (distance <= 1e-6)
        if distance < 1e-5:
            assert proved.cosine_residual == pytest.approx(distance, rel=1e-6)


def test_turned_and_moved_points_are_not_certified():
    objective = line()
    true = Exact().run(objective, start=Interior().run(objective).gram).gram
    values, vectors = np.linalg.eigh(true.cosines)
    points = vectors[:, values > 1e-9] * np.sqrt(values[values > 1e-9])
    rng = np.random.default_rng(0)
    for size in (1e-5, 1e-4, 1e-2, 0.3, 1.0):
        for moved in range(len(points)):
            turned = points.copy()
            turned[moved:] += size * rng.normal(size=points.shape[1])
            turned /= np.linalg.norm(turned, axis=1, keepdims=True)
            assert not certify(objective, turned @ turned.T).holds()


@pytest.mark.parametrize(
    "objective",
    [
        gs.KCL([200, 30, 30, 5], temperature=0.3, positives=4, views=2),
        gs.SupCL([40, 10, 4], temperature=0.2, alpha=0.5, self_pairs=True, views=2),
        gs.SupCL([40, 10, 4], temperature=2.0, alpha=0.2, self_pairs=False, views=2),
    ],
)
def test_orbits_open_and_closed_are_where_newton_finds_them(objective):
    solution = gs.solve(objective)
    assert exact_reading(objective, solution.orbits) < 1e-9


def test_where_attraction_balances_repulsion_every_pair_is_as_its_weight_says():
    """G_ij = tau log w_ij + c: one constant for all, which nothing holds."""
    rng = np.random.default_rng(24)
    rng.integers(5, 10), rng.integers(1, 3)
    objective = y_aware(rng.normal(size=(6, 1)), 0.2, 0.03)
    start = Interior().run(objective).gram
    assert not certify(objective, start).holds()
    gram = Exact().run(objective, start=start).gram
    assert certify(objective, gram).holds()
    pairs = np.triu_indices(6, 1)
    squares = np.subtract.outer(objective.weighting.labels[:, 0], objective.weighting.labels[:, 0]) ** 2
    shift = (gram.cosines + 0.03 * squares / (2 * 0.2**2))[pairs]
    assert np.ptp(shift) < 1e-14
    moved = start.cosines.copy()
    moved[0, 1] = moved[1, 0] = gram.cosines[0, 1] + 1e-5
    assert not certify(objective, moved).holds()


def test_nothing_is_read_where_no_force_acts_in_some_pair():
    objective = gs.LogitCompensated([30, 10, 3], scale=2.0)
    solution = gs.solve(objective)
    assert exact_reading(objective, solution.orbits) == np.inf


def test_samples_one_by_one_are_the_same_loss():
    weighting = gs.soft_supcon_weights(np.array([0, 0, 0, 1, 1, 2]), epsilon=0.01, self_pairs=True)
    objective = gs.WeightedInfoNCE(weighting, temperature=0.3)
    gram, single = OrbitGram.simplex(objective.orbits), objective.ungrouped()
    assert single.resolved(OrbitGram.simplex(single.orbits)) == pytest.approx(objective.resolved(gram), rel=1e-12)
    rows, labels = objective.decimal_rows, objective.orbits.labels
    spread = floats(rows.positives)[labels[:, None], labels]
    np.testing.assert_allclose(floats(single.decimal_rows.positives), np.where(np.eye(6) > 0, 0.0, spread), rtol=1e-15)
    assert rows.positives.dtype == object
