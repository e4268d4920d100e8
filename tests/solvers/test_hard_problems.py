"""Problems on which random draws showed a solver to fail, and the truth in more digits where float64 is not enough."""

import math

import mpmath as mp
import numpy as np
import pytest
from attacks import planar
from helpers import unit_rows

import geomsolve as gs
from geomsolve.objectives.kinds.parts import closed_orbits


def stationary(counts, scale, angles):
    """The stationary Gram matrix near by of means and classifiers in the plane, in 60 digits, from the formula."""
    shares, several = [mp.mpf(n) / sum(counts) for n in counts], range(len(counts))

    def forces(*x):
        means, classifiers = [mp.mpf(angles[0]), *x[: len(counts) - 1]], x[len(counts) - 1 :]
        turns = np.zeros((len(counts), len(counts)), dtype=object)
        for i in several:
            near = [shares[j] * mp.exp(scale * (mp.cos(means[i] - classifiers[j]) - 1)) for j in several]
            total = mp.fsum(near)
            for j in several:
                left = mp.fsum(near[:i] + near[i + 1 :]) if i == j else -near[j]
                turns[i, j] = shares[i] * left / total * mp.sin(means[i] - classifiers[j])
        return [*turns.sum(axis=1)[1:], *turns.sum(axis=0)]

    with mp.workdps(60):
        found = mp.findroot(forces, [mp.mpf(angle) for angle in angles[1:]], tol=mp.mpf(10) ** -90)
        return planar(np.array([angles[0], *found], dtype=float))


def test_forces_far_below_the_rounding_of_attraction():
    """At scale 20 repulsion is attraction but for 1e-13 of it: their difference had no digits."""
    objective = gs.LogitCompensated([100, 10, 2], scale=20.0)
    solution = gs.solve(objective, gs.solvers.Newton())
    points = solution.orbits.embed()
    assert points.shape == (6, 2)
    truth = stationary([100, 10, 2], 20, np.arctan2(points[:, 1], points[:, 0]))
    assert np.abs(truth - solution.orbits.cosines).max() < 1e-12
    turned = np.pad(points, ((0, 0), (0, 1)))
    turned[0, -1] = 0.01
    turned = unit_rows(turned)
    assert not gs.certify(objective, turned @ turned.T).holds()


def test_prototypes_nearer_to_their_class_than_cosines_can_tell():
    """1 - c is 1e-14 at tau = 0.03: cosines keep two digits of it."""
    objective = closed_orbits(gs.BCL([50, 40, 5, 4, 3], temperature=0.03))
    solution = gs.solve(objective, gs.solvers.Newton())
    proved = gs.verify(solution, digits=10, reading="binary")
    cosines = np.array([[float(text or "nan") for text in row] for row in proved.cosines])
    known = np.array(proved.cosine_errors) < 1e-9
    known &= ~np.isnan(cosines)
    assert known[:5, 5:].sum() + known[5:, :5].sum() >= 40, "those between classes and prototypes"
    assert np.abs(cosines - solution.orbits.cosines)[known].max() < 1e-8


@pytest.mark.parametrize("apart", [1e-12, 1e-5, 0.3])
def test_what_solvers_compare_is_the_loss(apart):
    """Up to a constant, and to more digits than the loss has: against 60 digits, at differences of all sizes."""
    objective = closed_orbits(gs.BCL([6, 3, 2], temperature=0.05))
    rng = np.random.default_rng(1)
    simplex = np.linalg.cholesky((3 * np.eye(3) - 0.999) / 2)
    found, wanted = [], []
    for _ in range(2):
        points = unit_rows(np.vstack([simplex, simplex + math.sqrt(apart) * rng.normal(size=(3, 3))]))
        gram = gs.OrbitGram(objective.orbits, (points @ points.T + (points @ points.T).T) / 2)
        found.append(objective.resolved(gram))
        with mp.workdps(60):
            exact = [[mp.mpf(float(v)) for v in row] for row in points]
            exact = [[v / mp.sqrt(mp.fsum(w * w for w in row)) for v in row] for row in exact]
            loss = mp.mpf(0)
            for i in range(3):
                t = [(mp.fsum(a * b for a, b in zip(exact[i], exact[j], strict=True)) - 1) / 0.05 for j in range(6)]
                total = mp.fsum(mp.mpf(objective.weights[i, j]) * mp.exp(t[j]) for j in range(6) if j != i)
                n = (6, 3, 2)[i]
                # Weights and offset of an anchor are (1 - 1/n) + 1/n = 1 only up to rounding.
                loss += mp.mpf(n) / 11 * (mp.log(mp.mpf(n - 1) / n + total) - t[3 + i] / n)
            wanted.append(loss)
    assert abs((found[0] - found[1]) / float(wanted[0] - wanted[1]) - 1) < 1e-4
    assert abs(found[0] / float(wanted[0]) - 1) < 1e-4


def test_many_examples_in_one_point_stay_there():
    """Rounding makes the Gram matrix of m atoms indefinite by m ulps; mixing in the identity opened closed orbits."""
    solution = gs.solve(gs.KCL([2, 5, 212126], temperature=0.9, positives=8), gs.solvers.Newton())
    assert np.array_equal(solution.orbits.within[:2], [1.0, 1.0])
    objective = gs.SupMin([7110, 501435], temperature=5.5)
    solution = gs.solve(objective, gs.solvers.Newton())
    # Without points, as from a file: the repair itself must leave them closed.
    again = gs.OrbitGram(objective.orbits, solution.orbits.cosines)
    assert gs.certify(objective, again).holds()


def test_a_repaired_gram_matrix_is_positive_semidefinite():
    rng = np.random.default_rng(0)
    for _ in range(20):
        sizes = np.array([1.0, 3.0, 1e6, 4e6])
        means = unit_rows(rng.normal(size=(4, 3)))
        means[3] *= rng.choice([1.0, 0.5, 0.0])
        cosines = means @ means.T
        inside = np.diag(cosines) - (1 - np.diag(cosines)) / np.maximum(sizes - 1, 1)
        np.fill_diagonal(cosines, np.where(sizes > 1, inside, 1.0))
        cosines += 1e-15 * rng.normal() * (cosines != 1.0)
        gram = gs.OrbitGram(gs.geometry.Orbits(sizes), (cosines + cosines.T) / 2)
        fixed, step = gram.repaired()
        assert step < 1e-8
        own = np.sqrt(np.maximum(np.diag(fixed.quotient), 1.0))
        assert np.linalg.eigvalsh(fixed.quotient / own / own[:, None])[0] > -1e-14
        assert np.diag(fixed.cosines).max() <= 1.0


@pytest.mark.parametrize(
    "build",
    [
        lambda: gs.SupCon([28429, 223, 109814204, 3718214864], temperature=0.4859, views=3, batch=726),
        lambda: gs.LogitCompensated([6649682900, 528245, 439, 10, 2, 19856536174], scale=8.3227),
        lambda: gs.LogitCompensated([2, 5, 13e6, 19e5, 33e6, 19e5, 33e6], scale=3.443),
    ],
    ids=["supcon-batch", "lc", "lc, a pair, once in thousands of steps"],
)
def test_rare_classes_that_turn_about_heavy_ones(build):
    """A right step bends what is stiff, and the force grows although the next step is shorter."""
    assert gs.solve(build()).certificate.holds()


def test_parts_of_a_class_start_in_one_point():
    """43 classes at temperature 0.05: anywhere else the loss is many orders of magnitude higher."""
    counts = np.unique(np.rint(np.geomspace(3, 1e4, 44)))
    solution = gs.solve(gs.BCL(counts, temperature=0.05, anchors="class"))
    assert np.allclose(np.diag(solution.orbits.cosines, len(counts)), 1.0, rtol=0, atol=1e-6)
    assert solution.certificate.holds()


@pytest.mark.parametrize("scale", [22.3, 30.0, 38.0])
def test_logit_compensated_at_low_temperature(scale):
    assert gs.solve(gs.LogitCompensated([1e6, 1e4, 300.0, 20.0, 2.0], scale=scale)).quality is gs.Quality.CERTIFIED


@pytest.mark.parametrize("tau", [0.035, 0.05])
@pytest.mark.parametrize("counts", [[98300, 2, 2], [3000, 700, 41, 12, 5, 2, 2]])
def test_prototypes_at_low_temperature_are_certified(counts, tau):
    """Of classes in one point each; single instances, which part by little, often stay uncertified here."""
    for objective in (gs.BCL(counts, temperature=tau), gs.ECL(counts, temperature=tau, classifier=False)):
        assert gs.solve(closed_orbits(objective)).quality is gs.Quality.CERTIFIED


@pytest.mark.parametrize("counts", [[50, 50, 50, 5, 5, 5], [12, 5, 3, 2, 2, 1]])
def test_prototypes_at_low_temperature(counts):
    """Instances part from each other by less than their prototype holds: the two are found together."""
    assert gs.solve(gs.BCL(counts, temperature=0.03)).value < 1e-16


@pytest.mark.parametrize("temperature", [1 / 64, 0.01])
def test_examples_of_a_class_start_together_at_low_temperature(temperature):
    solution = gs.solve(gs.SupConInstances([20, 7, 7, 3], temperature=temperature))
    np.testing.assert_allclose(np.diag(solution.orbits.cosines), 1.0, rtol=0, atol=1e-12)
