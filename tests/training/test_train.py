"""Training reaches the certified optimum, in seconds: the studies of benchmarks/training on a few digits."""

import importlib
import json

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("benchmarks", reason="installed without the repository")


def test_class_means_come_to_the_certified_optimum(tmp_path, monkeypatch):
    arguments = ["benchmarks.training", "--quick", "--out", str(tmp_path), "--only", "supcon", "curve"]
    monkeypatch.setattr("sys.argv", arguments)
    importlib.import_module("benchmarks.training.__main__").main()
    data = json.loads((tmp_path / "training" / "supcon.json").read_text())
    (batches,) = (dict(zip(data["tables"][0]["columns"], row, strict=True)) for row in data["tables"][0]["rows"])
    # Batches go to their own optimum.
    assert batches["rms, worst"] < 0.03 < 0.1 < batches["the simplex is off by"]
    assert batches["rms, worst"] < 0.7 * batches["rms to the full batch"]
    curve = json.loads((tmp_path / "training" / "curve.json").read_text())
    critical = float(curve["summary"]["critical ratio"])
    assert critical == pytest.approx(10.23, abs=0.01)
    (below, _, predicted, trained, _), (above, *_, collapsed, _) = curve["tables"][0]["rows"]
    assert float(below) < critical < float(above)
    assert float(trained) == pytest.approx(float(predicted), abs=5e-3)
    assert float(collapsed) > 0.99


def test_splits_are_imbalanced_in_training_and_balanced_in_test():
    from benchmarks.training import data

    split = data.digits([150, 40, 7])
    assert split.counts.tolist() == [150, 40, 7]
    assert np.bincount(split.test_labels).tolist() == [data.HELD_OUT] * 3
    seen = {image.tobytes() for image in split.images}
    assert not any(image.tobytes() in seen for image in split.test_images)
    with pytest.raises(ValueError, match="are wanted"):
        data.digits([150, 160])
