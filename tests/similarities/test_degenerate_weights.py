"""`realize` of asymmetric weights and of weights of zero: no geometry attains the bound, and the reason is named."""

import re

import numpy as np
import pytest
from test_realizability import check

from geomsolve.objectives.weighted.weightings import weighting_from_matrix
from geomsolve.similarities.realizations import realize
from geomsolve.similarities.verdicts import Verdict


def test_asymmetric_weights():
    weights = np.array([[1.0, 0.5, 0.4], [0.25, 1.0, 0.3], [0.4, 0.3, 1.0]])
    found = realize(weighting_from_matrix(weights), temperature=0.5)
    check(found)
    assert found.verdict is Verdict.INCONSISTENT
    assert found.witness.kind == "asymmetric"
    assert "differ by a factor 2 for samples 0 and 1" in found.reason
    assert found.largest_temperature is None
    out = realize(weighting_from_matrix(weights, self_pairs=False), temperature=0.5)
    check(out)
    assert out.witness.kind == "asymmetric"
    assert "products of weights in the two directions differ by a factor 2" in out.reason
    # Rows may have any factor: w_ij = K_ij / r_i is as good as K.
    kernel = np.array([[1.0, 0.5, 0.4], [0.5, 1.0, 0.3], [0.4, 0.3, 1.0]]) * np.array([[1.0], [7.0], [0.1]])
    for self_pairs in (True, False):
        assert realize(weighting_from_matrix(kernel, self_pairs=self_pairs), temperature=0.2).witness is None


@pytest.mark.parametrize(
    ("place", "reason"),
    [((1, 2), "the weight of samples 1 and 2 is 0"), ((1, 1), "sample 1 with itself is 0.*leave self-pairs out")],
    ids=["of a pair", "with oneself"],
)
def test_a_weight_of_zero(place, reason):
    weights = np.array([[1.0, 0.5, 0.5], [0.5, 1.0, 0.3], [0.5, 0.3, 1.0]])
    weights[place] = weights[place[::-1]] = 0.0
    found = realize(weighting_from_matrix(weights), temperature=0.5)
    check(found)
    assert found.verdict is Verdict.DEGENERATE
    assert re.search(reason, found.reason)
    assert found.components == 1
    assert found.excess_lower > 0.01


@pytest.mark.parametrize("self_pairs", [True, False])
def test_groups_of_samples(self_pairs):
    weights = np.zeros((6, 6))
    weights[:2, :2], weights[2:5, 2:5] = 1.0, 1.0
    weights[2, 3] = weights[3, 2] = 0.5
    weights[5, 5] = 1.0
    if not self_pairs:
        weights[4, 5] = weights[5, 4] = 0.5
    found = realize(weighting_from_matrix(weights, self_pairs=self_pairs), temperature=0.5)
    check(found)
    assert found.verdict is Verdict.DEGENERATE
    assert found.components == (3 if self_pairs else 2)


def test_samples_alone_are_groups_of_their_own():
    """Instance discrimination: every sample has weight with itself alone."""
    found = realize(weighting_from_matrix(np.eye(5)), temperature=0.5)
    assert found.components == 5
    np.testing.assert_allclose(found.gram.expand(), 1.25 * np.eye(5) - 0.25, atol=1e-9)
