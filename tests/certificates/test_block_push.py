"""Atoms tied to each other hide what moves them as one: `block_residual` must see it, and refuse no truth for it."""

from dataclasses import replace

import numpy as np
import pytest
from attacks import HEADS, attacked, planar, two_heads
from helpers import dense_simplex

import geomsolve as gs
from geomsolve.certificates.blocks import indefinite, linked
from geomsolve.geometry.orbit_gram import OrbitGram


@pytest.mark.parametrize("problem", HEADS)
def test_a_tied_pair_within_a_close_block_is_seen(problem):
    """The rare classes share a point; {prototype, classifier} of one slides out of it against next to nothing.

    The angles are from Newton's method in 90 digits, where S >= 0 and S G = 0 hold. The block of all six atoms feels
    no force, and in the rows of the four that move their ties are 1e8 times the force.
    """
    count, temperature, align = problem
    objective = gs.ECL([count, count, 1, 1], temperature=temperature, align=align, tied=True)
    angles = two_heads(*HEADS[problem])
    truth = planar(angles)
    assert gs.certify(objective, OrbitGram(objective.orbits, truth)).holds()
    for turn in (5e-6, 2e-5, 1.28e-4, 1e-3, 1e-2):
        moved = angles.copy()
        moved[[6, 10]] += turn
        moved[[7, 11]] -= turn
        found = gs.certify(objective, OrbitGram(objective.orbits, planar(moved)))
        assert not found.holds()
        assert found.cosine_residual > np.abs(planar(moved) - truth).max() / 3


def test_a_tied_pair_beside_a_heavy_mean_is_seen():
    """Prototype and classifier of the head turn together; 0.33 ties them to each other, 6e-9 to the head's mean."""
    objective = gs.ECL([1e6, 3, 2], temperature=0.08, tied=True)
    angles = gs.solve(objective, throw=False).gram
    values, vectors = np.linalg.eigh(angles)
    points = vectors[:, -2:] * np.sqrt(values[-2:])
    angles = np.arctan2(points[:, 1], points[:, 0])
    for turn in (2e-5, 1e-4, -1e-3):
        moved = angles.copy()
        moved[[3, 6]] += turn
        error = np.abs(planar(moved) - planar(angles)).max()
        found = gs.certify(objective, OrbitGram(objective.orbits, planar(moved)))
        assert not found.holds()
        assert found.cosine_residual > error / 3


def test_a_saddle_of_tied_blocks_is_seen():
    """Two rare classes wrongly in one point: no force is left, every block is stiff, and S between them is indefinite.

    Their own ties, align = 1e6, are what single rows measure S in: there its negative eigenvalue is 4e-8. The angles
    are from Newton's method in 90 digits; with 500 samples in the heads the same collapse is the truth.
    """
    wrong = planar(two_heads(2.1314493654646536, 1.9008865786988052))
    found = gs.certify(gs.ECL([300, 300, 1, 1], temperature=1.0, align=1e6, tied=True), wrong)
    assert np.isfinite(found.cosine_residual), "no block is without stiffness"
    assert found.cosine_residual > 0.1
    right = planar(two_heads(2.1312728122928495, 1.9003114670700432))
    assert gs.certify(gs.ECL([500, 500, 1, 1], temperature=1.0, align=1e6, tied=True), right).holds()


@pytest.mark.parametrize("classes", [3, 10, 30])
@pytest.mark.parametrize("temperature", [0.1, 0.2])
def test_collapsed_simplices_are_certified(classes, temperature):
    """Exact truths with ties 1e4 to 1e8 times what holds the classes apart: what rounds must not be mistaken."""
    counts = [10] * classes
    simplex = dense_simplex(classes)
    losses = (
        (2, gs.BCL(counts, temperature=temperature)),
        (3, gs.ECL(counts, temperature=temperature)),
        (3, gs.ECL(counts, temperature=temperature, scale=10.0)),
        (2, gs.ECL(counts, temperature=temperature, anchors="class", classifier=False)),
    )
    for kinds, objective in losses:
        assert gs.certify(objective, OrbitGram(objective.orbits, np.tile(simplex, (kinds, kinds)))).holds()


def test_single_linkage_by_hand():
    distances = np.array([[0, 1, 4, 9.0], [1, 0, 2, 9], [4, 2, 0, 9], [9, 9, 9, 0]])
    sets, roots, parts = linked(distances, 5.0)
    assert sets.tolist() == [*np.eye(4).tolist(), [1, 1, 0, 0], [1, 1, 1, 0]]
    assert sorted(roots) == [3, 5]
    assert [sorted(pair) for pair in parts] == [[0, 1], [2, 4]]
    assert len(linked(-distances, 0.0)[0]) == 7, "ties are negative distances"
    assert linked(np.zeros((1, 1)), 1.0)[0].tolist() == [[1.0]]


def test_a_negative_direction_counts_beyond_noise_and_in_its_own_units():
    form = np.diag([1.0, 1e-9, 1e-9])
    form[1, 2] = form[2, 1] = 1.5e-9
    assert indefinite(form, np.zeros((3, 3))) == pytest.approx(0.5)
    assert indefinite(form, np.full((3, 3), 1e-9)) == 0.0
    assert indefinite(np.ones((3, 3)), np.zeros((3, 3))) < 1e-12


def test_an_atom_held_by_less_than_the_rounding_of_its_tie_is_not_certified():
    """Classifiers tied to their means up to 1e-25 in units of the tie: turned away from them, they feel nothing."""
    objective = gs.ECL([10, 10], temperature=0.07, align=0.0, tied=True)
    signs = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    turned = 3.5e-3 * np.array([0.49, -0.49, 0.49, -0.49, -1.0, 1.0])
    found, error = attacked(objective, np.stack([signs, turned], axis=1), np.outer(signs, signs))
    assert error > 1e-5
    assert not found.holds()


def test_forces_that_rounding_made_are_not_certified(monkeypatch):
    """Ties saturate: one ulp of them is 1% of the stiffness, and a solver that subtracts attraction from repulsion
    comes to rest 4e-5 from the truth. Taken without subtraction both solver and certificate see it."""
    objective = gs.LogitCompensated([100, 10, 2], scale=20.0)
    right = gs.solve(objective)
    subtracted = gs.RowSoftmax.rows
    with monkeypatch.context() as patch:
        patch.setattr(gs.RowSoftmax, "row_terms", lambda *_: None)
        patch.setattr(gs.RowSoftmax, "resolved", gs.RowSoftmax.excess)
        patch.setattr(
            gs.RowSoftmax,
            "row_gradient",
            lambda self, gram: (
                subtracted(self, gram).repulsion
                - (0.0 if self.positives is None else self.masses[:, None] * self.positives * 20.0)
            ),
        )
        rough = gs.solve(replace(objective), gs.solvers.Newton(), throw=False)  # not by its orbits of classes
        assert not rough.certificate.holds()
        assert not gs.certify(objective, right.gram).holds(), "nothing is known of such forces"
    points = np.pad(right.orbits.embed(), ((0, 0), (0, 1)))
    points[1, -1] = points[4, -1] = 4e-3
    found, error = attacked(objective, points, right.gram)
    assert error > 4e-6
    assert not found.holds()
