"""Training reaches the certified optimum, in seconds: the scripts of benchmarks/train on a few digits."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import geomsolve as gs

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="installed without the repository")
pytest.importorskip("sklearn")


def run(out, *studies):
    command = [sys.executable, str(BENCHMARKS / "train"), "--quick", "--out", str(out), "--only", *studies]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.fixture
def train(monkeypatch):
    """The package of the scripts; `record` is beside it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import importlib

    return lambda name: importlib.import_module(f"train.{name}")


def test_class_means_come_to_the_certified_optimum(tmp_path):
    run(tmp_path, "supcon", "curve", "picture")
    data = json.loads((tmp_path / "train.json").read_text())
    whole, batches = data["rows"]
    counts = data["settings"]["rules"]["long tail"]
    solution = gs.solve(gs.SupCon(counts, temperature=0.5, views=1))
    pairs = np.triu_indices(len(counts), 1)
    np.testing.assert_allclose(whole["predicted"], solution.gram[pairs], atol=1e-6)
    error = np.asarray(whole["cosines"]) - solution.gram[pairs]
    assert np.sqrt(np.mean(error**2)) == pytest.approx(whole["rms"], rel=1e-3, abs=1e-6)
    assert whole["rms"] < 2e-3 < 0.1 < whole["simplex_rms"]
    assert whole["verdict"] == "at the optimum"
    assert whole["excess"] >= 0
    # Batches go to their own optimum.
    assert batches["rms"] < 0.03
    assert batches["rms"] < 0.7 * batches["rms_to_full_batch"]

    curve = json.loads((tmp_path / "train_curve.json").read_text())
    open_, collapsed = curve["rows"]
    assert open_["ratio"] < curve["summary"]["threshold"] < collapsed["ratio"]
    assert curve["summary"]["threshold"] == pytest.approx(10.23, abs=0.01)
    assert open_["minority_cosine"] == pytest.approx(open_["minority_predicted"], abs=0.02)
    assert collapsed["minority_cosine"] > 0.99
    assert collapsed["merged"] == [[1, 2, 3]]
    assert (tmp_path / "train.png").stat().st_size > 1000


def test_splits_are_imbalanced_in_training_and_balanced_in_test(train):
    data = train("data")
    split = data.digits([150, 40, 7])
    assert split.counts.tolist() == [150, 40, 7]
    assert np.bincount(split.test_labels).tolist() == [data.HELD_OUT] * 3
    seen = {image.tobytes() for image in split.images}
    assert not any(image.tobytes() in seen for image in split.test_images)
    two = data.halves(500, 5)
    assert two.counts.tolist() == [495, 5]
    with pytest.raises(ValueError, match="are wanted"):
        data.digits([150, 160])


def test_the_mean_cosine_of_instances_leaves_out_the_instance_itself(train):
    points, labels = train("measure").unit(np.random.default_rng(0).normal(size=(7, 3))), np.array([0] * 4 + [1] * 3)
    cosines, found = points @ points.T, train("losses").instance_cosines(points, labels)
    assert found[0, 1] == pytest.approx(cosines[:4, 4:].mean())
    assert found[0, 0] == pytest.approx(cosines[:4, :4][~np.eye(4, dtype=bool)].mean())
