"""Training reaches the certified optimum, in seconds: the studies of benchmarks/training on a few digits."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

pytest.importorskip("sklearn")
pytest.importorskip("benchmarks", reason="installed without the repository")


def test_class_means_come_to_the_certified_optimum(tmp_path):
    command = [
        sys.executable,
        "-m",
        "benchmarks.training",
        "--quick",
        "--out",
        str(tmp_path),
        "--only",
        "supcon",
        "curve",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    data = json.loads((tmp_path / "training" / "supcon.json").read_text())
    whole, batches = (dict(zip(data["tables"][0]["columns"], row, strict=True)) for row in data["tables"][0]["rows"])
    assert whole["rms, worst"] < 2e-3 < 0.1 < whole["the simplex is off by"]
    # Batches go to their own optimum.
    assert batches["rms, worst"] < 0.03
    assert batches["rms, worst"] < 0.7 * batches["rms to the full batch"]
    curve = json.loads((tmp_path / "training" / "curve.json").read_text())
    critical = float(curve["summary"]["critical ratio"])
    assert critical == pytest.approx(10.23, abs=0.01)
    (below, _, predicted, trained, _), (above, *_, collapsed, _) = curve["tables"][0]["rows"]
    assert float(below) < critical < float(above)
    assert float(trained) == pytest.approx(float(predicted), abs=0.02)
    assert float(collapsed) > 0.99


def test_splits_are_imbalanced_in_training_and_balanced_in_test():
    from benchmarks.training import data

    split = data.digits([150, 40, 7])
    assert split.counts.tolist() == [150, 40, 7]
    assert np.bincount(split.test_labels).tolist() == [data.HELD_OUT] * 3
    seen = {image.tobytes() for image in split.images}
    assert not any(image.tobytes() in seen for image in split.test_images)
    two = data.halves(500, 5)
    assert two.counts.tolist() == [495, 5]
    even = data.balanced_halves(250)
    assert even.counts.tolist() == [250, 250]
    np.testing.assert_array_equal(even.images[250:255], two.images[495:])
    np.testing.assert_array_equal(even.test_images, two.test_images)
    with pytest.raises(ValueError, match="are wanted"):
        data.digits([150, 160])


def test_the_mean_cosine_of_instances_leaves_out_the_instance_itself():
    from benchmarks.training import judging, losses

    points, labels = judging.unit(np.random.default_rng(0).normal(size=(7, 3))), np.array([0] * 4 + [1] * 3)
    cosines, found = points @ points.T, losses.instance_cosines(points, labels)
    assert found[0, 1] == pytest.approx(cosines[:4, 4:].mean())
    assert found[0, 0] == pytest.approx(cosines[:4, :4][~np.eye(4, dtype=bool)].mean())


def test_how_much_a_metric_explains_is_the_squared_correlation():
    from benchmarks.training.two_classes import r_squared

    rows = [{"cac": x, "accuracy": 5.0 - 2.0 * x, "other": x * x} for x in (0.0, 1.0, 3.0)]
    assert r_squared(rows, "cac", "accuracy") == pytest.approx(1.0)
    assert r_squared(rows, "cac", "other") == pytest.approx((44 / 3) ** 2 / (14 / 3 * (82 - 100 / 3)))
    assert r_squared(rows[:2], "cac", "accuracy") is None
