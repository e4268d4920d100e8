"""What is no convex loss over Gram matrices is refused, and what was made cannot change."""

import dataclasses
import math

import numpy as np
import pytest

import geomsolve as gs


@pytest.mark.parametrize("tol", [0, math.nan, "tight"])
def test_bad_tolerance(tol):
    with pytest.raises(gs.ProblemError, match="tol: must be a number between 0 and 1"):
        gs.solve(gs.SupCon([3, 4], temperature=1), tol=tol)


def test_objective_must_be_one():
    with pytest.raises(gs.ProblemError, match=r"objective: .*got list"):
        gs.solve([1000, 100, 10])


def test_a_gram_matrix_cannot_change_under_its_certificate():
    objective = gs.SupCon([1000, 100, 10], temperature=0.5)
    solution = gs.solve(objective)
    with pytest.raises(ValueError, match="read-only"):
        solution.orbits.cosines[0, 1] = 0.5
    mine = np.eye(3)
    gram = gs.OrbitGram(objective.orbits, mine)
    with pytest.raises(ValueError, match="read-only"):
        mine[0, 1] = 0.5
    assert not gs.certify(objective, gram).holds()
    solution.gram[0, 1] = solution.gram[1, 0] = 0.5
    assert not gs.certify(objective, solution.gram).holds()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": -np.ones((3, 3))}, "weights: must be finite and not negative"),
        ({"weights": np.full((3, 3), np.nan)}, "weights: must be finite and not negative"),
        ({"offsets": np.array([1.0, -1.0, 1.0])}, "offsets: must be finite and not negative"),
        ({"masses": np.array([1.0, -1.0, 1.0])}, "masses: must be finite and not negative"),
        ({"positives": -np.ones((3, 3))}, "positives: must be finite and not negative"),
        ({"temperature": 0.0}, "temperature: must be finite and above 0"),
        ({"weights": np.zeros((3, 3)), "offsets": np.zeros(3)}, "every row needs an offset or a weight above 0"),
    ],
)
def test_an_objective_that_is_no_convex_loss_is_refused(change, message):
    objective = dataclasses.replace(gs.SupCon([1000, 100, 10], temperature=0.5), **change)
    with pytest.raises(gs.ProblemError, match=message):
        gs.certify(objective, np.eye(3))


def test_an_objective_cannot_change_after_it_was_made():
    weights, offsets = np.array([[0, 3.0, 2], [1, 0, 5], [2, 1, 0]]), np.ones(3)
    objective = gs.RowSoftmax(
        orbits=gs.geometry.Orbits(np.ones(3), np.arange(3)),
        masses=[0.5, 0.3, 0.2],
        weights=weights,
        offsets=offsets,
        temperature=0.5,
    )
    before = gs.solve(objective).value
    weights[0, 1], offsets[:] = 50.0, 5.0
    assert gs.solve(objective).value == before
    with pytest.raises(ValueError, match="read-only"):
        objective.offsets[:] = 9.0
    counts = gs.as_counts([10, 5, 2])
    with pytest.raises(ValueError, match="read-only"):
        counts.multiplicity[0] = 7


@pytest.mark.parametrize(
    ("sizes", "labels", "message"),
    [
        ([2.0, 1.0], [0, 1, 1], "must list as many atoms of every orbit"),
        ([1.0, 1.0], [0, 3], "must be orbit numbers from 0 to 1"),
        ([0.0, 2.0], [1, 1], "finite and above 0"),
        ([1.0], [0], "two atoms or more"),
    ],
)
def test_orbits_that_contradict_themselves_are_refused(sizes, labels, message):
    count = len(sizes)
    objective = gs.RowSoftmax(
        orbits=gs.geometry.Orbits(np.array(sizes), np.array(labels)),
        masses=np.ones(count),
        weights=np.ones((count, count)),
        offsets=np.ones(count),
    )
    with pytest.raises(gs.ProblemError, match=message):
        gs.solve(objective)


def test_draws_that_are_no_probabilities_are_refused():
    objective = gs.GCL([10, 5, 2], negatives=3)
    with pytest.raises(gs.ProblemError, match="probabilities of one draw must sum to 1; they are off by 1"):
        gs.certify(dataclasses.replace(objective, own=objective.own + 1.0), np.eye(3))
