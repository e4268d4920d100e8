"""Classes as points: the loss over them, and where their parts rest."""

import numpy as np
import pytest
from mpmath import mp, mpf

import geomsolve as gs
from geomsolve.geometry.orbits import OrbitGram
from geomsolve.objectives.parts import PartedSum
from geomsolve.solvers.merging import class_points, classes_of, merged, opened_classes
from geomsolve.solvers.spheres import gram_of

COUNTS = [9, 5, 3, 3]
LOSSES = {
    "bcl": lambda: gs.BCL(COUNTS, temperature=0.3),
    "ecl": lambda: gs.ECL(COUNTS, temperature=0.3, classifier=False),
    "ecl with classifier": lambda: gs.ECL(COUNTS, temperature=0.3, scale=5.0),
    "classifier": lambda: gs.LogitCompensated(COUNTS, scale=4.0),
}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_over_classes_is_the_loss_with_equal_parts_but_for_a_constant(name):
    objective = LOSSES[name]()
    classes = classes_of(objective)
    small = merged(objective, classes)
    left = []
    for seed in range(3):
        points = unit(np.random.default_rng(seed).normal(size=(len(COUNTS), 3)))
        cosines = points @ points.T
        np.fill_diagonal(cosines, 1.0)
        parts = OrbitGram(objective.orbits, cosines[np.ix_(classes, classes)])
        left.append(objective.value(parts) - small.value(OrbitGram(small.orbits, cosines)))
    np.testing.assert_allclose(left, left[0], atol=1e-13)


def test_losses_without_parts_have_no_classes():
    assert classes_of(gs.SupCon(COUNTS, temperature=0.3)) is None
    assert classes_of(gs.KCL(COUNTS, temperature=0.3)) is None
    assert class_points(gs.SupCon(COUNTS, temperature=0.3), gs.solvers.Newton()) is None


def test_two_terms_of_classes_are_a_sum():
    objective = LOSSES["ecl with classifier"]()
    small = merged(objective, classes_of(objective))
    assert isinstance(small, PartedSum)
    assert len(small.terms.losses) == 2  # alignment is a constant


def test_balanced_classes_are_at_rest_as_points():
    objective = gs.BCL([6, 6, 6], temperature=0.1)
    assert opened_classes(objective, class_points(objective, gs.solvers.Newton())) is None


@pytest.mark.parametrize("name", LOSSES)
def test_opening_lowers_the_loss(name):
    objective = LOSSES[name]()
    points = class_points(objective, gs.solvers.Newton())
    opened = opened_classes(objective, points)
    before, after = (objective.resolved(gram_of(objective.orbits, point)) for point in (points, opened))
    assert after < before
    best = gs.solve(objective)
    assert before - after > 0.5 * (before - objective.resolved(best.orbits))


def test_a_prototype_rests_at_the_cube_root_of_what_draws_it():
    """Three classes at low temperature: the prototype's angle, against the loss along a great circle in 60 digits."""
    counts, tau = [40, 9, 4], 0.03
    objective = gs.BCL(counts, temperature=tau)
    points = class_points(objective, gs.solvers.Newton())
    opened = opened_classes(objective, points)
    angle = np.linalg.norm(opened[3:] - points[3:], axis=1)
    assert 1e-9 < angle.max() < 1e-4
    with mp.workdps(60):
        means = [[mpf(x) for x in row] for row in points[:3].tolist()]
        means = [[x / mp.sqrt(sum(y * y for y in row)) for x in row] for row in means]
        c = int(np.argmax(angle))
        outward = [mpf(x) for x in (opened[3 + c] - points[3 + c]).tolist()]
        along = sum(x * y for x, y in zip(outward, means[c], strict=True))
        outward = [x - along * y for x, y in zip(outward, means[c], strict=True)]
        size = mp.sqrt(sum(x * x for x in outward))

        def loss(theta):
            place = [mp.cos(theta) * x + mp.sin(theta) * y / size for x, y in zip(means[c], outward, strict=True)]
            total = mpf(0)
            for i, row in enumerate(means):
                near = [mp.exp((sum(x * y for x, y in zip(row, other, strict=True)) - 1) / tau) for other in means]
                own = mp.exp((sum(x * y for x, y in zip(row, place, strict=True)) - 1) / tau)
                below = mpf(counts[i] - 1) / counts[i]
                for j in range(3):
                    n = counts[j]
                    proto = own if j == c else near[j]
                    below += proto / n if j == i else (n * near[j] + proto) / (n + 1)
                pulled = mp.log(own if i == c else near[i]) / counts[i]
                total += mpf(counts[i]) / sum(counts) * (mp.log(below) - pulled)
            return total

        best = mp.findroot(lambda log: mp.diff(lambda t: loss(mp.exp(t)), log), mp.log(mpf(float(angle[c]))))
    np.testing.assert_allclose(np.log(angle[c]), float(best), atol=0.1)


@pytest.mark.parametrize("tau", [0.02, 0.025, 0.035])
@pytest.mark.parametrize("counts", [[98300, 2, 2], [3000, 700, 41, 12, 5, 2, 2]])
def test_prototypes_at_low_temperature_are_certified(counts, tau):
    for objective in (gs.BCL(counts, temperature=tau), gs.ECL(counts, temperature=tau, classifier=False)):
        assert gs.solve(objective, gs.solvers.Newton()).quality is gs.Quality.CERTIFIED
