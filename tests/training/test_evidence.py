"""One small cell of benchmarks/evidence: every choice trains, and its statistics are what they say."""

import importlib

import numpy as np
import pytest

pytest.importorskip("benchmarks", reason="installed without the repository")
pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def evidence():
    pytest.importorskip("torch", reason="needs PyTorch: make test-torch")
    pytest.importorskip("sklearn")
    return importlib.import_module("benchmarks.evidence.measure")


def test_every_choice_learns(evidence):
    cut = evidence.split("digits", 10, 0)
    assert cut.counts == (150, 116, 89, 69, 53, 41, 32, 25, 19, 15)
    assert np.bincount(cut.labels).tolist() == list(cut.counts)
    assert np.bincount(cut.test_labels).tolist() == [24] * 10
    for choice in evidence.CHOICES:
        wanted = evidence.aim(choice, cut.counts)
        assert np.allclose(np.diag(wanted), 1, atol=1e-6)
        found = evidence.measure(evidence.train(choice, cut, 0, 25), cut, wanted)
        assert found["all_mean"] > 0.5, choice
        assert 0 < found["distance"] < 2


def test_correlations_within_groups(evidence):
    """A slope of -1 within groups whose means rise together, beside what the draws of images do to all of them."""
    rows = [{"g": g, "d": d, "x": 10 * g + x + 5 * d, "y": 10 * g - x + 7 * d} for g, d, x in PLANTED]
    r, low, high = evidence.correlation(rows, "x", "y", (("g",), ("d",)), ("d",))
    assert np.allclose((r, low, high), -1)
    assert evidence.correlation(rows, "x", "y", (("g",),), ("d",))[0] > 0.5
    assert evidence.correlation(rows, "x", "y", (), ("d",))[0] > 0.8
    two = [{"c": c, "d": d, "x": d, "y": (-1) ** c * d} for c in (0, 1) for d in range(4)]
    assert [round(evidence.correlation(two, "x", "y", (), ("d",), c=c)[0], 9) for c in (0, 1)] == [1, -1]


# Group, draw and effect: of the effects every group and every draw has the mean 0.
PLANTED = [(g, d, x[(g + d) % 3]) for x in ((-1.0, -2.0, 3.0),) for g in range(3) for d in range(3)]
