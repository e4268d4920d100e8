"""The rows' Hessians in their cosines."""

import numpy as np
import pytest
from loss_families import OBJECTIVES
from mpmath import mp, mpf

from geomsolve.geometry.orbit_gram import OrbitGram
from geomsolve.objectives.rows.row_softmax import softmax_forms
from geomsolve.solvers.spheres.spheres import gram_of, retract


def some_point(objective, width=4, seed=0):
    orbits = objective.orbits
    point = np.random.default_rng(seed).normal(size=(len(orbits.sizes), width + 1))
    point[:, -1] *= orbits.plural
    return retract(point, 0.0)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_row_hessians_are_derivatives_of_the_row_gradient(name):
    objective = OBJECTIVES[name]()
    orbits = objective.orbits
    gram = gram_of(orbits, some_point(objective))
    change = np.random.default_rng(2).normal(size=gram.cosines.shape)
    change = (change + change.T) * (orbits.partners > 0)
    h = 1e-5

    def row(shift):
        return objective.row_gradient(OrbitGram(orbits, gram.cosines + shift * change))

    difference = (row(h) - row(-h)) / (2.0 * h) * orbits.sizes[:, None] * orbits.partners
    expected = np.einsum("abc,ac->ab", objective.row_hessians(gram), change)
    np.testing.assert_allclose(difference, expected, atol=2e-8 * np.abs(expected).max())


def test_what_bends_a_denominator_has_all_its_digits():
    """One partner has all but 1e-21 of it: 1 - q is no number, q (1 - q) is."""
    with mp.workdps(60):
        terms = [mpf(1), mpf(10) ** -21, 3 * mpf(10) ** -23]
        own = mpf(10) ** -22
        shares = [t / (sum(terms) + own) for t in terms]
        expected = np.array([[float(q * ((i == j) - r)) for j, r in enumerate(shares)] for i, q in enumerate(shares)])
        got = softmax_forms(np.array([[float(q) for q in shares]] * 3), np.full(3, float(own)), np.ones(3))
    np.testing.assert_allclose(got[0], expected, rtol=1e-14)
