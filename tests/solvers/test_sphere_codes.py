"""Sphere codes against the table of Tammes' problem and closed forms."""

import math

import numpy as np
import pytest

from geomsolve.solvers import sphere_code
from geomsolve.solvers.points.sphere_codes import code_bound

# Smallest angles in degrees of the best codes known on the sphere in three dimensions (Sloane's tables).
TAMMES = {
    4: 109.4712206, 5: 90.0, 6: 90.0, 7: 77.8695421, 8: 74.8584922, 9: 70.5287794, 10: 66.1468220, 11: 63.4349488,
    12: 63.4349488, 13: 57.1367031, 14: 55.6705700, 20: 47.4310362, 24: 43.6907671,
}  # fmt: skip


@pytest.mark.parametrize("count", [7, 10, 14])
def test_the_table_of_tammes(count):
    found = sphere_code(count, 3, seed=1)
    assert found.degrees == pytest.approx(TAMMES[count], abs=1e-7)
    assert found.cosine >= found.bound - 1e-12
    np.testing.assert_allclose(np.linalg.norm(found.points, axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize(
    ("count", "dim", "cosine", "restarts"),
    [(12, 3, 1 / math.sqrt(5), 4), (24, 4, 1 / 2, None), (6, 5, -1 / 5, 4), (10, 5, 0, 4)],
)
def test_the_codes_of_closed_form(count, dim, cosine, restarts):
    """Icosahedron, 24-cell, simplex, cross-polytope."""
    assert sphere_code(count, dim, restarts=restarts).cosine == pytest.approx(cosine, abs=1e-12)


@pytest.mark.parametrize("count", TAMMES)
def test_the_bound_is_below_the_table_and_attained_by_sharp_codes(count):
    cosine = math.cos(math.radians(TAMMES[count]))
    assert code_bound(count, 3) <= cosine + 1e-8
    if count in (4, 6, 12):  # tetrahedron, octahedron, icosahedron
        assert code_bound(count, 3) == pytest.approx(cosine, abs=1e-7)


@pytest.mark.parametrize(
    ("count", "dim", "cosine"),
    [(27, 6, 1 / 4), (16, 5, 1 / 5), (240, 8, 1 / 2), (7, 2, math.cos(2 * math.pi / 7))],
)
def test_the_bound_against_sharp_codes_of_higher_dimensions(count, dim, cosine):
    """Schlaefli's 27 lines, Clebsch's 16, a polygon; of E8's 240 only that it is below."""
    assert code_bound(count, dim) <= cosine + 1e-12
    if count != 240:
        assert code_bound(count, dim) == pytest.approx(cosine, abs=1e-9)


def test_many_points_in_many_dimensions_have_a_value_and_a_bound():
    found = sphere_code(60, 24, restarts=1, seconds=2.0)
    assert 0 < found.bound <= found.cosine < found.bound + 0.1
    assert "60 points in 24 dimensions" in repr(found)
