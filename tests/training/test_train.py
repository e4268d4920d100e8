"""Training reaches the certified optimum, in seconds: the scripts of benchmarks/train on a few digits."""

import argparse
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import geomsolve as gs

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

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


def test_class_means_come_to_the_certified_optimum(tmp_path, monkeypatch):
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

    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from report_train import training

    report = "\n".join(training(data, tmp_path))
    for part in ("![", f"R = {curve['summary']['threshold']:.4f}"):
        assert part in report
    assert "### The other losses" not in report


def test_splits_are_imbalanced_in_training_and_balanced_in_test(train):
    data = train("data")
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


def test_the_mean_cosine_of_instances_leaves_out_the_instance_itself(train):
    points, labels = train("measure").unit(np.random.default_rng(0).normal(size=(7, 3))), np.array([0] * 4 + [1] * 3)
    cosines, found = points @ points.T, train("losses").instance_cosines(points, labels)
    assert found[0, 1] == pytest.approx(cosines[:4, 4:].mean())
    assert found[0, 0] == pytest.approx(cosines[:4, :4][~np.eye(4, dtype=bool)].mean())


def test_the_optimum_over_all_batches_is_the_exact_one(train):
    batches, counts, size, temperature = train("batches"), [3, 2, 2], 4, 0.5
    labels = np.repeat(np.arange(3), counts)
    drawn = np.array(list(itertools.product(labels, repeat=size)))
    every = (drawn[:, :, None] == np.arange(3)).sum(axis=1)
    exact = gs.solve(gs.SupCon(counts, temperature=temperature, views=1, batch=size)).gram
    np.testing.assert_allclose(batches.least(every, temperature, counts), exact, atol=1e-5)
    # Without replacement there are fewer batches, and another optimum.
    subsets = np.array(list(itertools.combinations(labels, size)))
    fewer = (subsets[:, :, None] == np.arange(3)).sum(axis=1)
    sampled = batches.draw_members(counts, size, "without replacement", 20_000)
    np.testing.assert_allclose(sampled.mean(axis=0), fewer.mean(axis=0), atol=0.02)
    assert (sampled <= counts).all()
    np.testing.assert_allclose(np.cov(sampled.T), np.cov(fewer.T, bias=True), atol=0.02)
    assert np.abs(batches.least(fewer, temperature, counts) - exact).max() > 0.03


def test_a_larger_run_changes_what_it_says_and_goes_elsewhere(train):
    scale = train("scale")

    def options(*words):
        parser = argparse.ArgumentParser()
        for flag in ("--out", "--quick"):
            parser.add_argument(flag, default=None)
        scale.add_options(parser)
        return parser.parse_args(words)

    stored, large = (scale.scale_of(options(*words)) for words in ((), ("--large", "--width", "32")))
    assert stored.sizes((64, 256, 256, 10)) == (64, 256, 256, 10)
    assert (stored.seeds((3, 4, 5)), stored.steps(100)) == ((3, 4, 5), 100)
    assert large.sizes((64, 256, 256, 10)) == (64, 32, 32, 10)
    assert large.seeds((3, 4, 5)) == tuple(range(3, 13))
    assert large.steps(100) == 400
    assert scale.folder(options()) is None
    assert scale.folder(options("--longer", "2")) == scale.LARGE_RESULTS
    with pytest.raises(SystemExit):
        options("--seeds", "0")


def test_a_metric_that_falls_with_accuracy_is_told_from_one_that_rises(train):
    two = train("two_classes")
    rows = [{"cac": x, "accuracy": 5.0 - 2.0 * x, "other": x * x} for x in (0.0, 1.0, 3.0)]
    assert two.r_squared(rows, "cac") == pytest.approx(1.0)
    assert two.slope(rows, "cac", "accuracy") == pytest.approx(-2.0)
    assert two.slope(rows, "cac", "other") == pytest.approx(22 / 7)
    assert two.r_squared(rows, "cac", "other") == pytest.approx((44 / 3) ** 2 / (14 / 3 * (82 - 100 / 3)))
    assert two.r_squared(rows[:2], "cac") is None
