"""Where attraction balances repulsion nothing is left of S to hold an atom: `balance`."""

import mpmath as mp
import numpy as np
import pytest
from attacks import attacked

import geomsolve as gs
from geomsolve.certificates.kkt import Conditions
from geomsolve.certificates.slack import Slack
from geomsolve.solvers.base import Iteration
from geomsolve.solvers.newton.factor_newton import balance


def soft(counts, epsilon, temperature, self_pairs):
    labels = np.repeat(np.arange(len(counts)), counts)
    weighting = gs.similarities.soft_supcon_weights(labels, epsilon=epsilon, self_pairs=self_pairs)
    return gs.WeightedInfoNCE(weighting, temperature=temperature)


def y_aware(seed, samples, width, sigma, temperature):
    labels = np.random.default_rng(seed).normal(size=(samples, width))
    return gs.WeightedInfoNCE(
        gs.similarities.y_aware_weights(labels, sigma=sigma, self_pairs=True), temperature=temperature
    )


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize("epsilon", [1e-4, 0.1, 0.98])
@pytest.mark.parametrize(("counts", "temperature"), [([9, 7, 7, 4], 0.1), ([3000, 400, 20], 0.03)])
def test_soft_labels_in_closed_form(counts, temperature, epsilon, self_pairs):
    """Weight 1 inside a class and epsilon outside: with self-pairs in one point a class, tau log(epsilon) between."""
    solution = gs.solve(soft(counts, epsilon, temperature, self_pairs), throw=False)
    assert solution.certificate.holds()
    cosines, step = solution.orbits.cosines, temperature * np.log(epsilon)
    wanted = step * (1 - np.eye(len(counts))) + (1.0 if self_pairs else cosines[0, 0])
    assert np.allclose(cosines, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("counts", [[3000, 400, 20], [5, 4, 3, 2]])
def test_soft_labels_that_nothing_attains_are_certified(counts):
    solution = gs.solve(soft(counts, 0.3, 3.0, True), throw=False)
    assert solution.certificate.holds()
    assert solution.certificate.cosine_residual < 1e-8


def test_a_shift_of_all_cosines_means_nothing_without_offset():
    """Self-pairs out, the loss sees differences of cosines only: every shift of an optimum that is PSD is another."""
    objective = soft([500, 60, 7], 0.01, 0.05, False)
    truth = gs.solve(objective, throw=False)
    assert truth.certificate.holds()
    cosines = truth.orbits.cosines + 0.02  # away from where a shift would not be PSD
    for shift in (1e-3, -1e-2):
        assert gs.certify(objective, gs.OrbitGram(truth.orbits.orbits, cosines + shift)).holds()
    for pair in ((0, 0), (0, 2), (1, 2), (2, 2)):
        for size in (2e-5, -2e-5, 1e-3):
            moved = cosines.copy()
            moved[pair] += size
            moved[pair[::-1]] = moved[pair]
            found = gs.certify(objective, gs.OrbitGram(truth.orbits.orbits, moved))
            assert not found.holds()
            assert 0.4 * abs(size) < found.cosine_residual < 3.0 * abs(size)


@pytest.mark.parametrize(("seed", "samples", "width"), [(3, 5, 3), (8, 6, 2), (0, 7, 2)])
def test_the_residual_is_the_distance(seed, samples, width):
    """S of any rank and of any signs: at 1e-5 to 1e-3 from the optimum, along any direction, the distance is read."""
    objective = y_aware(seed, samples, width, 1.0, 0.1)
    truth = gs.solve(objective, throw=False)
    assert truth.certificate.holds()
    points = truth.orbits.mean_factor(1e-9)
    rng = np.random.default_rng(seed)
    for size in (1e-5, 1e-4, 1e-3):
        for one in (False, True):
            step = rng.normal(size=points.shape)
            if one:
                step[1:] = 0.0
            found, distance = attacked(objective, points + size * step, truth.gram)
            assert not found.holds()
            assert found.cosine_residual > 0.7 * distance


def test_slack_of_mixed_signs_is_certified():
    """Samples of a y-aware weighting may be asked to be farther apart than a Gram matrix has them: u_i u_j < 0.

    Its one factor has entries of both signs, and S_ii are 1e-7 of the curvature that holds the cosines.
    """
    found = []
    for seed in range(12):
        objective = y_aware(seed, 5, 3, 1.04, 0.1)
        solution = gs.solve(objective, throw=False)
        assert solution.certificate.holds()
        entries = Slack.of(objective, solution.orbits).entries
        found.append(entries.min() < -1e-9 < 1e-9 < entries.max())
    assert any(found)


@pytest.mark.parametrize("temperature", [0.0204, 0.0224, 0.05])
def test_examples_at_low_temperature_are_the_classes(temperature):
    """Forces between classes are e^{-1.5/tau} = 1e-32 of those inside: all classes are points, and those of SupCon."""
    counts = [3, 160, 108, 20]
    solution = gs.solve(gs.SupConInstances(counts, temperature=temperature, views=3), gs.solvers.Newton(), throw=False)
    assert solution.certificate.holds()
    classes = gs.solve(gs.SupCon(counts, temperature=temperature, views=3), throw=False)
    assert classes.certificate.holds()
    first = np.cumsum([0, *counts[:-1]])
    assert np.abs(solution.gram[np.ix_(first, first)] - classes.gram).max() < 1e-9


def test_millions_of_examples_at_high_temperature():
    """What sits in one point with an atom does not move: 1 - Q of the others is far more than one over the atoms."""
    objective = gs.SupCL([222456, 210524, 136596, 7044], alpha=0.7, temperature=7.6, self_pairs=False)
    truth = gs.solve(objective, gs.solvers.Newton(), throw=False)
    assert truth.certificate.holds()
    assert truth.certificate.cosine_residual < 1e-7
    points = truth.orbits.mean_factor(1e-9)
    for size in (1e-5, 1e-4):
        moved = points.copy()
        moved[3] += size * np.array([1.0, -1.0, 0.5, 0.2])[: points.shape[1]]
        found, distance = attacked(objective, moved, truth.orbits)
        assert not found.holds()
        assert found.cosine_residual > 0.3 * distance


def forces_at(objective, gram, noise=0.0, counted=None):
    slack = Slack.of(objective, gram)
    return Conditions(
        gram,
        slack.entries,
        np.full_like(slack.entries, noise),
        gram.orbits.partners if counted is None else counted,
        objective.rows(gram),
        objective.temperature,
        objective.fine_rows(gram).rests[:, None],
    )


def test_rounding_goes_through_the_inverse():
    """Of 3420 examples nearly all of a denominator moves with a shift of all cosines: noise in D is read many times."""
    objective = soft([3000, 400, 20], 0.3, 0.5, True)
    gram = gs.solve(objective, throw=False).orbits
    none = np.zeros((3, 0))
    still = forces_at(objective, gram).residual(none)
    relative = 1e-12
    noisy = forces_at(objective, gram, relative * objective.attraction.min()).residual(none)
    assert still < 1e-8
    assert noisy > 20.0 * relative * objective.temperature, "more than a pair by itself would make of it"
    assert forces_at(objective, gram, np.inf).residual(none) == np.inf
    assert forces_at(objective, gram, counted=np.zeros((3, 3))).residual(none) == np.inf


def test_a_newton_step_in_free_cosines_is_that_of_the_loss():
    """Against differences of the gradient: the Hessian of a row softmax times the step is minus the gradient."""
    objective = soft([4, 3, 2], 0.2, 0.4, True)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, 3)) * 0.05
    gram = gs.OrbitGram(objective.orbits, 0.5 * np.eye(3) + 0.1 + (noise + noise.T) / 2)
    step = forces_at(objective, gram).step(np.zeros((3, 0))).x * objective.temperature

    def gradient(cosines):
        row = objective.row_gradient(gs.OrbitGram(objective.orbits, cosines))
        return (row + row.T) / 2.0

    small = 1e-5
    change = (gradient(gram.cosines + small * step) - gradient(gram.cosines - small * step)) / (2 * small)
    wanted = -gradient(gram.cosines)
    assert np.abs(change - wanted).max() < 1e-7 * np.abs(wanted).max()


def test_balance_is_refused_where_there_is_none():
    assert balance(gs.SupCL([9, 5, 4], alpha=0.5, temperature=0.5), Iteration(60)) is None, "classes do not attract"
    assert balance(gs.SupCon([9, 5, 4], temperature=0.5), Iteration(60)) is None, "no attraction"
    far = soft([5, 4, 3, 2], 0.001, 3.0, True)
    assert balance(far, Iteration(60)) is None, "3 log(weights) is farther apart than points can be"
    assert gs.solve(far, throw=False).certificate.holds()


def test_fine_rows_are_those_of_fifty_digits_within_what_they_say():
    """Also far below float64: of near points attraction and repulsion cancel to 1e-12 and less of either."""
    rng = np.random.default_rng(2)
    for temperature, self_pairs in ((0.02, True), (0.3, False), (5.0, True)):
        objective = soft([5, 4, 2], 0.2, temperature, self_pairs)
        asked = 1.0 + temperature * np.log(0.2) * (1 - np.eye(3)) + 1e-9 * temperature * np.diag(rng.uniform(-1, 0, 3))
        gram = gs.OrbitGram(objective.orbits, np.array(asked))
        fine, partners = objective.fine_rows(gram), objective.orbits.partners
        with mp.workdps(50):
            for a in range(3):
                drift = [mp.exp((mp.mpf(gram.cosines[a, b]) - 1) / mp.mpf(temperature)) for b in range(3)]
                total = mp.mpf(objective.offsets[a]) + mp.fsum(mp.mpf(partners[a, b]) * drift[b] for b in range(3))
                assert abs(fine.rests[a] - objective.offsets[a] / total) < 1e-15
                for b in range(3):
                    force = mp.mpf(objective.masses[a]) * (drift[b] / total - mp.mpf(objective.positives[a, b]))
                    error = abs(mp.mpf(fine.gradient[a, b]) - force / mp.mpf(temperature))
                    assert error <= fine.rounded[a, b]
                    assert fine.rounded[a, b] < 1e-12 * objective.attraction[a, b]


def test_few_cosines_that_answer_to_many():
    """A cosine of 69 examples among 13,000 at temperature 8: read row by row it was 9 times too small."""
    objective = gs.SupCL([6653, 6273, 69], alpha=0.34, temperature=8.2, views=3)
    truth = gs.solve(objective, gs.solvers.Newton()).orbits
    points = truth.mean_factor(1e-9)
    rng = np.random.default_rng(1)
    for size in (1e-5, 1e-4):
        for orbit in range(3):
            moved = points.copy()
            moved[orbit] += size * rng.normal(size=points.shape[1])
            found, distance = attacked(objective, moved, truth)
            assert found.cosine_residual == pytest.approx(distance, rel=0.02)
