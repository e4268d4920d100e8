"""Losses whose anchors see only classifiers: what followers make of them, and the reading of the certificate."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import dense_simplex
from hypothesis import given, settings
from hypothesis import strategies as st

import geomsolve as gs
from geomsolve.certificates import residual
from geomsolve.certificates.ball_arithmetic import precision
from geomsolve.certificates.kind_slack import KindSlack
from geomsolve.certificates.logsums import log_sums
from geomsolve.certificates.refining import refine
from geomsolve.certificates.slack import Slack
from geomsolve.solvers.descent.jax_descent import Descent

# Ten decades, and scales from where all forces are alike to where they are 1e-30 of what ties a class.
RARE = [2e9, 1.5e9, 1e9, 6e4, 40, 3, 2]
PROBLEMS = [(RARE, 0.3), (RARE, 3.0), ([100, 10, 1], 30.0), ([9, 9, 5, 4, 4, 4, 2], 40.0)]


@pytest.mark.parametrize(("count", "scale"), [(3, 0.1), (8, 5.0), (3, 40.0)])
def test_equal_classes_are_a_simplex(count, scale):
    solution = gs.solve(gs.LogitCompensated([7] * count, scale=scale))
    assert np.abs(solution.gram - np.tile(dense_simplex(count), (2, 2))).max() <= 1e-13


@pytest.mark.parametrize(("counts", "scale"), PROBLEMS)
def test_digits_against_extended_precision(counts, scale):
    """The conditions S = V V^T, G V = 0 of `verify`, solved to 40 digits in other unknowns."""
    pytest.importorskip("flint")
    objective = gs.LogitCompensated(counts, scale=scale)
    solution = gs.solve(objective)
    gram = solution.orbits
    with precision(400):
        arb = __import__("flint").arb
        start = [[arb(x) for x in row] for row in gram.cosines.tolist()]
        loss = log_sums(objective, "binary")
        # Of 2 C points in C - 1 dimensions.
        found, _ = refine(loss, start, np.zeros(len(gram.sizes), bool), len(counts) + 1, 60)
        true = np.array([[float(x.mid()) for x in row] for row in found])
    assert np.abs(true - gram.cosines).max() <= 2e-13
    assert gs.verify(solution, digits=20, reading="binary").proved


def test_against_descent():
    """A method without dual factors, at masses it can see."""
    objective = gs.LogitCompensated([50, 20, 20, 9, 4, 1], scale=2.0)
    found = gs.solve(objective).gram
    assert np.abs(found - gs.solve(objective, Descent()).gram).max() <= 1e-8


@settings(max_examples=5, deadline=None)
@given(st.lists(st.floats(0.0, 8.0), min_size=3, max_size=9), st.floats(-1.0, 1.5), st.randoms())
def test_any_counts_in_any_order(logs, scale, random):
    counts = np.rint(10.0 ** np.array(logs)) + 1.0
    order = list(range(len(counts)))
    random.shuffle(order)
    found = gs.solve(gs.LogitCompensated(counts, scale=10.0**scale))
    other = gs.solve(gs.LogitCompensated(counts[order], scale=10.0**scale))
    both = np.concatenate([order, np.array(order) + len(counts)])
    assert np.abs(found.gram[np.ix_(both, both)] - other.gram).max() <= 1e-6
    assert found.certificate.relative_gap <= 1e-9


def test_merging_classes_are_left_to_others():
    """Where a class has most of the data, the rest may meet opposite to it."""
    solution = gs.solve(gs.LogitCompensated([8e6, 1e6, 1e4, 9e3, 50, 30, 2], scale=0.4))
    assert solution.quality is gs.Quality.CERTIFIED
    assert solution.collapsed
    assert solution.solver == "newton"


@pytest.mark.parametrize("builder", [gs.LogitCompensated, gs.objectives.NormFace])
def test_without_classifiers_is_the_formula(builder):
    """Diag(a) - F Diag(b)^{-1} F^T, F the derivative of the loss in X and a, b the multipliers, from the dense S."""
    objective = builder([5, 3, 2, 2, 1], scale=3.0)
    slack = Slack.of(objective, gs.solve(objective).orbits)
    dense = slack.entries + np.diag(slack.diagonal)
    schur = dense[:5, :5] - dense[:5, 5:] @ np.linalg.inv(dense[5:, 5:]) @ dense[5:, :5]
    reduced, moved = KindSlack.written_by(slack).reduced
    apart = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(reduced.entries[apart], schur[apart], rtol=1e-9)
    np.testing.assert_allclose(reduced.diagonal, np.diag(schur), rtol=1e-9)
    assert moved < 1e-9


def test_a_loss_of_the_users_own_of_this_form_is_not_certified():
    """Which atoms are the classifiers is known of losses from a builder only, and nothing else sees rare classes."""
    objective = gs.LogitCompensated([2e9, 1.5e9, 1e9, 4e8, 3, 2], scale=1.0)
    gram = gs.solve(objective).orbits
    names = ("orbits", "masses", "weights", "offsets", "positives", "temperature")
    plain = gs.RowSoftmax(**{name: getattr(objective, name) for name in names})
    assert gs.certify(objective, gram).holds()
    assert gs.certify(plain, gram).cosine_residual == np.inf


def test_rare_classes_at_a_wrong_angle_are_seen(monkeypatch):
    """Two rare classes that repel each other by a tenth more: that is 1e-10 of what ties one of them to its anchor."""
    objective = gs.LogitCompensated([2e9, 1.5e9, 1e9, 4e8, 3, 2], scale=1.0)
    # Of classes of distinct counts an orbit is a class, its mean and its classifier next to each other.
    weights = objective.grouped.weights.copy()
    weights[8, 11] *= 1.1
    weights[10, 9] *= 1.1
    wrong = gs.solve(replace(objective.grouped, weights=weights)).orbits
    right = gs.solve(objective).orbits
    off = np.abs(wrong.cosines - right.cosines).max()
    assert off > 0.05
    assert gs.certify(objective, right).cosine_residual <= 1e-6
    found = gs.certify(objective, wrong)
    assert off / 3 < found.cosine_residual < 3 * off
    assert found.relative_gap <= 1e-9
    monkeypatch.setattr(residual, "rank_one_residual", lambda _: 0.0)
    assert gs.certify(objective, wrong).cosine_residual < 1e-4 * off, "nothing else sees it"


def test_rare_classes_of_like_counts_at_wrong_angles_are_seen(monkeypatch):
    """The forces among three rare classes are off by some 2 %, in rows of S by 1e-8."""
    counts = [6.4e8, 9.8e7, 1.61e6, 1.6e6, 1.11e5, 1.1e5, 13, 12, 2]
    objective = gs.LogitCompensated(counts, scale=1.08)
    weights, rng = objective.grouped.weights.copy(), np.random.default_rng(0)
    weights[12:18:2, 13:18:2] *= np.exp(0.02 * rng.normal(size=(9, 9)))[6:, 6:]
    wrong = gs.solve(replace(objective.grouped, weights=weights), throw=False)
    right = gs.solve(objective)
    assert wrong.rank == right.rank == 8
    off = np.abs(wrong.orbits.cosines - right.orbits.cosines).max()
    assert off > 1e-3
    assert off / 3 < gs.certify(objective, wrong.orbits).cosine_residual < 10 * off
    monkeypatch.setattr(residual, "rank_one_residual", lambda _: 0.0)
    assert gs.certify(objective, wrong.orbits).cosine_residual < 1e-2 * off, "nothing else sees it"
