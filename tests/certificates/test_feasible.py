"""Cosines that no vectors have are never proved optimal; a diagonal near 1 is rescaled; an empty bound says so."""

import numpy as np
import pytest

import geomsolve as gs


def test_an_infeasible_matrix_is_never_certified():
    """Repaired it is the regular simplex, which is optimal: but it is not the matrix that was asked about."""
    objective = gs.SupCon([10, 10, 10], temperature=0.1)
    wrong = np.full((3, 3), -0.9) + 1.9 * np.eye(3)
    found = gs.certify(objective, wrong)
    assert not found.feasible
    assert not found.holds()
    assert found.relative_gap < 1e-9, "of the repaired matrix"
    assert found.smallest_eigenvalue == pytest.approx(-0.8)
    assert found.repair == pytest.approx(0.8 / 1.8)
    text = "\n".join(found.lines())
    assert "smallest eigenvalue is -0.8" in text
    assert "0.44 of the way to the identity" in text
    assert found.to_dict()["feasible"] is False


@pytest.mark.parametrize(("below", "feasible"), [(0.0, True), (5e-7, True), (2e-6, False)])
def test_feasible_is_a_repair_of_at_most_a_millionth(below, feasible):
    simplex = np.full((3, 3), -0.5 - below / 2.0) + (1.5 + below / 2.0) * np.eye(3)
    found = gs.certify(gs.SupCon([10, 10, 10], temperature=0.1), simplex)
    assert found.repair == pytest.approx(below, rel=1e-5, abs=1e-15)
    assert found.feasible is feasible
    assert found.holds() is feasible


def test_a_diagonal_off_by_a_solver_s_tolerance_is_rescaled():
    objective = gs.SupCon([1000, 100, 10], temperature=0.5)
    gram = gs.solve(objective).gram
    scale = np.sqrt(1.0 + np.array([3e-6, -5e-5, 9e-5]))
    found = gs.certify(objective, gram * scale * scale[:, None])
    assert found.holds()
    assert found.rescaled == pytest.approx(9e-5)
    assert "off 1 by up to 9e-05" in "\n".join(found.lines())
    assert gs.certify(objective, gram).rescaled < 1e-12
    with pytest.raises(gs.ProblemError, match=r"off by 0\.0002, and at most 0\.0001 is rescaled"):
        gs.certify(objective, gram * (1.0 + 2e-4))


def test_a_bound_below_the_floor_proves_nothing():
    found = gs.certify(gs.SupCon([10, 10, 10], temperature=0.1), 0.9 + 0.1 * np.eye(3))
    assert found.relative_gap > 1.0
    assert "times the loss above its floor: this proves nothing" in "\n".join(found.lines())
