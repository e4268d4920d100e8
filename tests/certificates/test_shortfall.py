"""Stationary cosines that no points have: the optimum gives way where the loss holds least."""

import numpy as np
import pytest
from atoms import softmax_of_atoms
from attacks import attacked, planar

import geomsolve as gs
from geomsolve.certificates.kkt import semidefinite_defect
from geomsolve.geometry.orbit_gram import OrbitGram, Orbits


def asked(wanted, masses, temperature):
    """A row softmax whose repulsion equals its attraction at the cosines wanted: its optimum, if they have points."""
    weights = (1.0 - np.eye(len(masses))) * masses
    pulls = weights * np.exp((wanted - 1.0) / temperature)
    positives = pulls / (1.0 + pulls.sum(axis=1))[:, None]
    return softmax_of_atoms(temperature, masses, weights, positives=positives)


@pytest.mark.parametrize("temperature", [0.2, 1.0])
@pytest.mark.parametrize(("rare", "apart", "more"), [(1e-6, 1e-2, 2e-5), (1e-9, 1e-3, 1e-4), (1e-9, 1e-3, 4e-4)])
def test_a_frequent_pair_that_gives_way_to_a_rare_class(rare, apart, more, temperature):
    """Two frequent classes are asked to be an angle apart, a rare one at angles to them that differ by more.

    With the frequent pair opened all cosines are those wanted but theirs, which is 1e-7 off; at the optimum it is the
    rare class that turns, by 1e-5 to 1e-4. 12 of 12 such Gram matrices were certified by the step of S = 0 alone.
    """
    masses = np.array([1.0, 1.0, rare])
    wanted = planar([0.0, apart, 1.3])
    wanted[0, 2] = wanted[2, 0] = np.cos(1.3 + more / 2)
    wanted[1, 2] = wanted[2, 1] = np.cos(1.3 - apart - more / 2)
    objective = asked(wanted, masses, temperature)
    truth = gs.solve(objective)
    opened = planar([-more / 2, apart + more / 2, 1.3])
    assert 0 < np.abs(opened - wanted).max() < 6e-7
    assert np.abs(opened - truth.gram).max() > 9e-6
    found = gs.certify(objective, opened)
    assert found.relative_gap < 1e-9
    assert not found.holds()
    assert found.cosine_residual > 0.99999 * np.abs(opened - truth.gram).max()


def test_balanced_classes_that_give_way_to_a_rare_one():
    """S = u u^T, G u = 0 to 1e-8, and yet the rare class is over 5e-5 off: four frequent ones are lifted off a plane.

    They are in a plane at the optimum, and the rare class is asked cosines to them that no point has, by p = 1e-4.
    Lifted by p they change their own by p^2. Of 18 such Gram matrices (temperatures 0.2 and 1, rare classes of 1e-6 to
    1e-12, p of 2e-5 to 5e-4) 9 were certified by the logarithms of S alone, 3 of them 3e-6 to 5.8e-5 from an optimum
    that is certified.
    """
    temperature, rare, short = 1.0, 3e-9, 1e-4
    angles = np.array([0.0, 1.1, 2.4, 4.4])
    plane, point = np.stack([np.cos(angles), np.sin(angles)]), np.array([0.5, 0.4])
    u = np.append(np.linalg.lstsq(np.vstack([plane, np.ones(4)]), np.array([*(-rare * point), 4.0]))[0], rare)
    empty = np.linalg.svd(np.vstack([plane, u[:4]]))[2][-1]
    towards = point @ plane + short * empty
    towards -= u[:4] * (u[:4] @ towards + rare) / (u[:4] @ u[:4])
    wanted = np.block([[planar(angles), towards[:, None]], [towards[None, :], np.ones((1, 1))]])
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]

    def lifted(gram, by):
        """G u = 0 with other cosines of the frequent classes, and empty' G empty changed."""
        rows = np.zeros((5, len(pairs)))
        for k, (i, j) in enumerate(pairs):
            rows[i, k], rows[j, k], rows[4, k] = u[j], u[i], 2.0 * empty[i] * empty[j]
        moved = gram.copy()
        for (i, j), change in zip(pairs, np.linalg.lstsq(rows, np.append(-(gram @ u)[:4], by))[0], strict=True):
            moved[i, j] = moved[j, i] = moved[i, j] + change
        return moved

    wanted = lifted(wanted, 0.0)
    assert np.linalg.eigvalsh(wanted)[0] < -1e-9, "no Gram matrix"
    forces = np.outer(u, u) * (1.0 - np.eye(5))
    sums, weights = forces.sum(axis=1), forces * np.exp((1.0 - wanted) / temperature)
    objective = softmax_of_atoms(temperature, 2.0 * sums * temperature, weights, sums)
    truth = gs.solve(objective)
    candidate = lifted(wanted, 2.0 * short**2)
    assert np.abs(candidate @ u).max() < 1e-14
    assert np.abs(candidate - wanted).max() < 2e-8
    assert np.abs(candidate - truth.gram).max() > 5e-5
    found = gs.certify(objective, candidate)
    assert found.relative_gap < 1e-9
    assert found.repair < 1e-15
    assert not found.holds()
    assert found.cosine_residual > np.abs(candidate - truth.gram).max()


def test_semidefinite_defect_by_hand():
    orbits = Orbits(np.array([1.0, 1.0]), np.arange(2))
    together = OrbitGram(orbits, np.ones((2, 2)))
    across = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert semidefinite_defect(together, 0.0) == 0.0
    assert semidefinite_defect(together, -1e-6 * across) == 0.0
    assert semidefinite_defect(together, 1e-6 * across) == pytest.approx(1e-3, rel=1e-6), "eigenvalues 1 -+ (1 + 1e-6)"
    kernel = np.array([[1.0], [-1.0]])
    assert semidefinite_defect(together, 0.0, kernel, 1e-6) == 0.0, "what G U = 0 leaves empty may stay so"
    assert semidefinite_defect(together, 0.0, None, 1e-6) == pytest.approx(1e-3, rel=1e-6), "the diagonal is 1"
    assert semidefinite_defect(together, np.nan) == np.inf
    many = OrbitGram(Orbits(np.array([1000.0, 500.0])), np.full((2, 2), 1.0))
    assert semidefinite_defect(many, 0.0) == 0.0, "rounding is that of unit vectors, however many atoms there are"
    assert semidefinite_defect(many, 1e-6 * across) == pytest.approx(1e-3, rel=1e-3)


def test_nothing_but_the_slack_holds_a_class_of_a_linear_loss():
    """Beyond margin 2 every pair of the hinge is linear, and has no curvature to hold the rare class with.

    The sum of the frequent classes all but vanishes, and with it what holds the rare one opposite to it. With the
    curvature of a softmax counted its distance was read 27 times too small, and 8.5e-6 passed for 3.1e-7.
    """
    objective = gs.GCL([51_200, 50_000, 30_000, 2000, 10], loss="hinge", margin=2.2)
    truth = gs.solve(objective)
    values, vectors = np.linalg.eigh(truth.gram)
    for size in (3e-6, 8e-6, 3e-5):
        points = vectors[:, -3:] * np.sqrt(np.maximum(values[-3:], 0.0))
        points[-1] += size * np.array([1.0, -1.0, 1.0])
        found, error = attacked(objective, points, truth.gram)
        assert found.relative_gap < 1e-9
        assert not found.holds()
        assert found.cosine_residual > error
