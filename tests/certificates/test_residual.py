"""Each part of the cosine residual beside the smallest problem that needs it."""

import numpy as np
import pytest
from atoms import softmax_of_atoms

import geomsolve as gs
from geomsolve.certificates import residual
from geomsolve.certificates.kkt import Conditions, dual_factor, rank_one_residual
from geomsolve.certificates.slack import Slack


def slack_of(objective):
    return Slack.of(objective, gs.solve(objective).orbits)


def test_a_loss_that_only_pushes_needs_the_step_of_rank_one_only(monkeypatch):
    """Three classes, no collapse: O(K^2), nothing else is asked."""
    slack = slack_of(gs.SupCon([1000, 100, 10], temperature=0.1))
    for part in ("kkt_residual", "complementarity"):
        monkeypatch.setattr(residual, part, lambda *_: pytest.fail("was asked"))
    assert residual.cosine_residual(slack) < 1e-9


def test_weights_that_a_geometry_attains_need_the_step_without_factor():
    """Labels 0, 0, 1 with soft weights: S = 0, and complementarity holds of nothing but rounding."""
    weights = gs.similarities.soft_supcon_weights([0, 0, 1], epsilon=0.1, self_pairs=True)
    slack = slack_of(gs.WeightedInfoNCE(weights, temperature=0.3))
    assert dual_factor(slack).shape[1] == 0
    assert Conditions.of(slack).residual(np.zeros((len(slack.entries), 0))) < 1e-12
    assert residual.complementarity(slack) == np.inf


def test_a_collapsed_tail_needs_the_step_with_a_closed_orbit():
    """Of 100, 1 and 1 at temperature 2 the two rare classes share a point: S is of rank one only outside it."""
    slack = slack_of(gs.SupCon([100, 1, 1], temperature=2.0))
    assert rank_one_residual(slack) > 1e-3
    assert slack.closed.any()
    assert residual.cosine_residual(slack) < 1e-9


@pytest.mark.parametrize(
    "objective", [gs.LogitCompensated([2, 1], scale=2.0), gs.LogitCompensated([9, 3, 1], scale=5.0)]
)
def test_two_prototypes_need_complementarity(objective):
    """The loss sees no cosine of two prototypes, which has no curvature then: there is no step."""
    slack = slack_of(objective)
    assert Conditions.of(slack).residual(dual_factor(slack)) == np.inf
    assert residual.complementarity(slack) < 1e-12


def test_two_classes_tied_to_prototypes_need_blocks(monkeypatch):
    """At temperature 0.02 ties of class and prototype are a billion times what holds the classes apart.

    BCL of ten samples a class, each class in one point: rows of two class means, then two prototypes, which are no
    anchors. A mean pulls its prototype with 1/10 and pushes its own class with 10/10, the other with 10/11 + 1/11.
    """
    own, other = np.eye(2), 1.0 - np.eye(2)
    none = np.zeros((2, 2))
    weights = np.block([[10 / 11 * other, own / 10 + other / 11], [none, none]])
    positives = np.block([[none, own / 10], [none, none]])
    objective = softmax_of_atoms(0.02, [0.5, 0.5, 0.0, 0.0], weights, [0.9, 0.9, 1.0, 1.0], positives)
    opened = [np.tile([[1.0, -c], [-c, 1.0]], (2, 2)) for c in (0.9, 0.95, 0.97, 0.98)]
    assert not any(gs.certify(objective, gram).holds() for gram in opened)
    monkeypatch.setattr(residual, "block_residual", lambda _: 0.0)
    # Which of them the other estimates see by luck is a matter of rounding.
    least = min(gs.certify(objective, gram).cosine_residual for gram in opened)
    assert least < 1e-6, "nothing else sees it"
