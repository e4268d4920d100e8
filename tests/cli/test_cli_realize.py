"""`geomsolve realize`: its JSON, its files checked by numpy alone, its exit codes, and one line for every bad input."""

import json

import numpy as np
import pytest

from geomsolve import cli
from geomsolve.similarities import kernels, realizations, schemes

TEN = np.linspace(-1.0, 1.0, 10)
VECTORS = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.1], [0.2, -1.0], [1.0, 1.0]])
CONTRACT = {
    "verdict", "reason", "entropy_bound", "value", "lower_bound", "excess", "excess_lower", "unique", "min_dim", "gap",
    "weights", "self_pairs", "similarity", "temperature", "samples", "version", "worst_samples",
}  # fmt: skip


@pytest.fixture
def tmp(tmp_path):
    """A folder with what the tests read."""
    np.save(tmp_path / "ten.npy", TEN)
    np.save(tmp_path / "vectors.npy", VECTORS)
    return tmp_path


def run(capsys, tmp, *arguments):
    words = [str(argument).replace("{tmp}", str(tmp)) for argument in arguments]
    code = cli.run(["realize", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def realize(capsys, tmp, *arguments, code=0):
    """The report; `tmp` in braces is the folder."""
    got, out, err = run(capsys, tmp, *arguments, "--json", "-")
    assert got == code
    assert all(line.startswith("geomsolve: ") for line in err.splitlines())  # progress, on a slow machine

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    report = json.loads(out, parse_constant=refuse)
    assert set(report) >= CONTRACT
    assert report["value"] == pytest.approx(report["entropy_bound"] + report["excess"], rel=1e-12)
    assert 0 <= report["excess_lower"] <= report["excess"]
    assert isinstance(report["unique"], bool)
    assert isinstance(report["min_dim"], int)
    return report


def ten(capsys, tmp, *arguments, sigma=0.3, temperature=0.5):
    given = ["--labels", "{tmp}/ten.npy", "--scheme", "y-aware", "--sigma", sigma, "--temperature", temperature]
    return realize(capsys, tmp, *given, *arguments)


def gaussian(labels, sigma, self_pairs=True):
    """(N, N) weights in plain numpy."""
    weights = np.exp(-((labels[:, None] - labels) ** 2) / (2 * sigma**2))
    if not self_pairs:
        np.fill_diagonal(weights, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def softmax(points, temperature, self_pairs=True):
    logits = points @ points.T / temperature
    if not self_pairs:
        np.fill_diagonal(logits, -np.inf)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def divergences(weights, shares):
    there = weights > 0
    return np.sum(weights * np.log(np.where(there, weights, 1.0) / np.where(there, shares, 1.0)), axis=1)


def entropy(weights):
    return float(-np.sum(weights * np.log(np.where(weights > 0, weights, 1.0))) / len(weights))


# Reference values. ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("convention", "excess"), [("--self-pairs", 0.042715), ("--no-self-pairs", 0.061156)])
def test_ten_labels_on_a_line_fall_short_of_the_bound(capsys, tmp, convention, excess):
    report = ten(capsys, tmp, convention)
    inside = convention == "--self-pairs"
    assert report["verdict"] == "inconsistent"
    assert report["excess"] == pytest.approx(excess, abs=6e-7)
    assert report["excess_lower"] == pytest.approx(report["excess"], rel=1e-7)
    assert report["entropy_bound"] == pytest.approx(entropy(gaussian(TEN, 0.3, inside)), rel=1e-13)
    assert report["self_pairs"] is inside
    assert report["unique"] is True
    assert report["shifts"] is None
    assert (report["quality"], report["samples"], report["distinct_samples"]) == ("certified", 10, 10)
    assert (report["temperature"], report["similarity"]) == (0.5, "cosine")
    assert {entry["sample"] for entry in report["worst_samples"][:2]} == {0, 9}


def test_a_wide_kernel_needs_self_pairs_out(capsys, tmp):
    within = ten(capsys, tmp, sigma=1)
    assert within["verdict"] == "inconsistent"
    assert within["excess"] == pytest.approx(1.4127e-4, abs=5e-9)
    assert within["self_pairs"] is True  # what y-Aware has by default
    assert within["largest_temperature"] == 0.0
    without = ten(capsys, tmp, "--no-self-pairs", sigma=1)
    assert without["verdict"] == "realizable"
    assert without["excess"] <= 1e-12
    assert without["unique"] is False
    low, high = without["shifts"]
    assert low < high
    # At both ends of the free constant a simple eigenvalue of the 10 is 0.
    assert without["min_dim"] == 9
    remedies = {remedy["change"]: remedy for remedy in within["remedies"]}
    assert remedies["self-pairs"]["works"] is True
    assert remedies["temperature"]["works"] is False


def test_the_period_folds_equal_hours(capsys, tmp):
    given = ["--scheme", "y-aware", "--sigma", "9", "--temperature", "0.25", "--period", "24"]
    report = realize(capsys, tmp, "--labels", "0,6,12,18,24,-6", *given)
    assert (report["samples"], report["distinct_samples"]) == (6, 4)


SCHEMES = {
    "--labels 0,0,1,1,2 --scheme soft-supcon --epsilon 0.1": schemes.soft_supcon_weights([0, 0, 1, 1, 2], epsilon=0.1),
    "--labels {tmp}/vectors.npy --scheme x-clr --label-temperature 0.4": kernels.x_clr_weights(
        VECTORS, label_temperature=0.4
    ),
    "--labels {tmp}/ten.npy --scheme y-aware --sigma 1 --kernel laplacian": kernels.y_aware_weights(
        TEN, sigma=1.0, kernel="laplacian"
    ),
}


@pytest.mark.parametrize("words", SCHEMES)
def test_schemes_are_those_of_python(capsys, tmp, words):
    report = realize(capsys, tmp, *words.split(), "--temperature", "0.41")
    found = realizations.realize(SCHEMES[words], temperature=0.41)
    assert (report["verdict"], report["min_dim"]) == (found.verdict.value, found.min_dim)
    assert report["excess"] == pytest.approx(found.excess, rel=1e-9, abs=1e-15)


def test_supcon_is_degenerate(capsys, tmp):
    report = realize(capsys, tmp, "--labels", "0,0,1,1", "--scheme", "supcon", "--temperature", "0.5")
    assert report["verdict"] == "degenerate"
    assert report["self_pairs"] is False  # what SupCon has by default
    assert report["components"] == 2
    assert report["entropy_bound"] == 0.0
    # Two antipodal points: -log of e^(1/tau) / (e^(1/tau) + 2 e^(-1/tau)).
    assert report["value"] == pytest.approx(np.log1p(2 * np.exp(-4.0)), rel=1e-9)
    assert report["min_dim"] == 1
    assert "witness" not in report


@pytest.mark.parametrize("how", [["--scheme", "euclidean"], ["--scheme", "y-aware", "--similarity", "euclidean"]])
def test_squared_distances_attain_any_gaussian_kernel(capsys, tmp, how):
    given = ["--labels", "{tmp}/ten.npy", "--sigma", "0.3", "--temperature", "0.5", "--out", "{tmp}/out", *how]
    report = realize(capsys, tmp, *given)
    assert (report["verdict"], report["min_dim"], report["similarity"]) == ("realizable", 1, "euclidean")
    assert report["excess"] <= 1e-12
    points = np.load(tmp / "out" / "points.npy")
    apart = np.sum((points[:, None] - points) ** 2, axis=2)
    np.testing.assert_allclose(apart, 0.5 / 0.09 * (TEN[:, None] - TEN) ** 2, atol=1e-9)


# Weights, dimensions, proofs. ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("self_pairs", [True, False])
def test_a_diagonal_of_weights_means_self_pairs(capsys, tmp, self_pairs):
    np.save(tmp / "w.npy", 7.0 * gaussian(TEN, 0.3, self_pairs))
    report = realize(capsys, tmp, "--weights", "{tmp}/w.npy", "--temperature", "0.5")
    assert report["self_pairs"] is self_pairs
    assert report["excess"] == pytest.approx(0.042715 if self_pairs else 0.061156, abs=6e-7)
    assert report["weights"] == "w.npy"


def test_a_number_of_coordinates(capsys, tmp):
    given = ["--no-self-pairs", "--out", "{tmp}/out", "--dim"]
    plane = ten(capsys, tmp, *given, "2")
    assert plane["in_dimension"]["excess"] == plane["excess"] >= 0.061156
    points = np.load(tmp / "out" / "points_in_dimension.npy")
    each = divergences(gaussian(TEN, 0.3, self_pairs=False), softmax(points, 0.5, self_pairs=False))
    assert each.mean() == pytest.approx(plane["excess"], rel=1e-9)
    attained = ten(capsys, tmp, *given, "12", sigma=1)["in_dimension"]
    assert attained["realizable"] is True
    assert np.load(tmp / "out" / "points_in_dimension.npy").shape == (10, 12)


def test_labels_of_a_csv_file(capsys, tmp):
    (tmp / "labels.csv").write_text("name,label\n" + "".join(f"x,{label!r}\n" for label in TEN.tolist()))
    given = ["--labels", "{tmp}/labels.csv", "--scheme", "y-aware", "--sigma", "0.3", "--temperature", "0.5"]
    assert realize(capsys, tmp, *given) | {"seconds": 0} == ten(capsys, tmp) | {"seconds": 0}
    (tmp / "labels.csv").write_text("label\ncat\ncat\ndog\ndog\n")
    given = ["--labels", "{tmp}/labels.csv", "--scheme", "supcon", "--temperature", "0.5"]
    assert realize(capsys, tmp, *given)["components"] == 2


def test_data_sets_of_scikit_learn(capsys, tmp):
    datasets = pytest.importorskip("sklearn.datasets")
    classes = ["--labels", "digits-classes", "--scheme", "soft-supcon", "--epsilon", "0.1", "--temperature", "0.48"]
    report = realize(capsys, tmp, *classes)
    assert (report["verdict"], report["samples"], report["distinct_samples"]) == ("realizable", 1797, 10)
    assert report["largest_temperature"] == pytest.approx(10 / 9 / np.log(10), rel=1e-9)
    target = datasets.load_diabetes().target
    laplacian = ["--labels", "diabetes", "--scheme", "y-aware", "--kernel", "laplacian", "--sigma", "400"]
    report = realize(capsys, tmp, *laplacian, "--temperature", "0.5")
    assert (report["verdict"], report["samples"]) == ("realizable", 442)
    assert report["distinct_samples"] == len(np.unique(target))


# Files. --------------------------------------------------------------------------------------------------------------


def test_points_attain_what_the_report_says(capsys, tmp):
    report = ten(capsys, tmp, "--out", "{tmp}/out")
    names = {path.name for path in (tmp / "out").iterdir()}
    assert {str(tmp / "out" / name) for name in names} == set(report["files"])
    assert names == {
        "points.npy", "witness.npy", "required.npy", "excess_per_sample.npy", "nearest_weights.npy", "realization.json",
    }  # fmt: skip
    points, each = (np.load(tmp / "out" / f"{name}.npy") for name in ("points", "excess_per_sample"))
    assert points.shape == (10, report["min_dim"])
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, rtol=1e-13)
    shares = softmax(points, 0.5)
    np.testing.assert_allclose(each, divergences(gaussian(TEN, 0.3), shares), rtol=1e-6)
    assert each.mean() == pytest.approx(report["excess"], rel=1e-12)
    np.testing.assert_allclose(np.load(tmp / "out" / "nearest_weights.npy"), shares, atol=1e-8)
    assert json.loads((tmp / "out" / "realization.json").read_text()) == report


@pytest.mark.parametrize("self_pairs", [True, False])
def test_the_saved_witness_proves_the_verdict(capsys, tmp, self_pairs):
    report = ten(capsys, tmp, "--self-pairs" if self_pairs else "--no-self-pairs", "--out", "{tmp}/out")
    witness, required = (np.load(tmp / "out" / f"{name}.npy") for name in ("witness", "required"))
    scale = np.abs(witness).max()
    assert np.linalg.eigvalsh((witness + witness.T) / 2).min() >= -1e-13 * scale
    assert report["witness"]["value"] == pytest.approx(np.sum(witness * required), rel=1e-12)
    assert 0 < report["witness"]["margin"] <= -np.sum(witness * required)
    # What is required follows from the weights: tau log w_ij up to what each convention leaves open.
    off = ~np.eye(10, dtype=bool)
    wanted = 1.0 - 0.5 * (TEN[:, None] - TEN) ** 2 / (2 * 0.09)
    np.testing.assert_allclose(np.diag(required), 1.0, rtol=1e-13)
    difference = (required - wanted)[off]
    if self_pairs:
        np.testing.assert_allclose(difference, 0.0, atol=1e-12)
    else:
        np.testing.assert_allclose(difference, difference[0], atol=1e-12)
        assert abs(witness[off].sum()) <= 1e-12 * np.abs(witness).sum()


def test_the_saved_witness_of_asymmetric_weights(capsys, tmp):
    weights = np.array([[1, 2, 1], [1, 1, 2], [2, 1, 1.0]])
    np.save(tmp / "w.npy", weights)
    report = realize(capsys, tmp, "--weights", "{tmp}/w.npy", "--temperature", "0.5", "--out", "{tmp}/out")
    assert report["witness"]["kind"] == "asymmetric"
    witness, required = (np.load(tmp / "out" / f"{name}.npy") for name in ("witness", "required"))
    np.testing.assert_array_equal(witness, -witness.T)
    np.testing.assert_allclose(required, 1.0 + 0.5 * np.log(weights / np.diag(weights)[:, None]), atol=1e-14)
    assert np.sum(witness * required) == pytest.approx(report["witness"]["value"], rel=1e-13)
    assert np.sum(witness * required) < -0.1


def test_no_witness_where_there_is_none(capsys, tmp):
    report = ten(capsys, tmp, "--no-self-pairs", "--out", "{tmp}/out", sigma=1)
    assert not (tmp / "out" / "witness.npy").exists()
    assert "witness" not in report
    points = np.load(tmp / "out" / "points.npy")
    np.testing.assert_allclose(softmax(points, 0.5, self_pairs=False), gaussian(TEN, 1.0, False), atol=1e-12)


def test_text_picture_and_json_file_at_once(capsys, tmp):
    given = ["--labels", "{tmp}/ten.npy", "--scheme", "y-aware", "--sigma", "0.3", "--temperature", "0.5"]
    code, out, err = run(capsys, tmp, *given, "--plot", "{tmp}/a.png", "--json", "{tmp}/a.json", "--out", "{tmp}/out")
    assert code == 0, err
    assert "INCONSISTENT" in out
    assert "0.042715 nats" in out
    assert f"wrote {tmp / 'a.png'}" in out
    assert f"wrote {tmp / 'out' / 'witness.npy'}" in out
    assert (tmp / "a.png").read_bytes().startswith(b"\x89PNG")
    report = json.loads((tmp / "a.json").read_text())
    assert report["files"][0] == str(tmp / "a.png")
    assert len(report["files"]) == 7


# What people have. ---------------------------------------------------------------------------------------------------


def test_distances_in_place_of_labels(capsys, tmp):
    np.save(tmp / "d.npy", np.abs(TEN[:, None] - TEN))
    given = ["--distances", "{tmp}/d.npy", "--sigma", "0.3", "--temperature", "0.5"]
    report = realize(capsys, tmp, *given)
    assert report["excess"] == pytest.approx(ten(capsys, tmp)["excess"], rel=1e-9)
    assert report["lower_bound"] == pytest.approx(report["entropy_bound"] + report["excess_lower"], rel=1e-12)
    by_variance = realize(capsys, tmp, *given[:2], "--variance", "0.09", *given[4:])
    assert by_variance["excess"] == pytest.approx(report["excess"], rel=1e-9)


def test_tables_columns_and_trees(capsys, tmp):
    rows = "".join(f"x{i}\t{label!r}\tpug|dog\n" for i, label in enumerate(TEN.tolist()))
    (tmp / "t.tsv").write_text("name\tage\ttags\n" + rows)
    table = ["--labels", "{tmp}/t.tsv", "--temperature", "0.5"]
    report = realize(capsys, tmp, *table, "--column", "age", "--scheme", "y-aware", "--sigma", "0.3")
    assert report["excess"] == pytest.approx(0.042715, abs=6e-7)
    (tmp / "tags.csv").write_text("label\ncat|dog\ndog\ncat|bird\n")
    tags = ["--labels", "{tmp}/tags.csv", "--scheme", "jaccard", "--temperature", "0.5"]
    assert realize(capsys, tmp, *tags)["verdict"] == "degenerate"
    assert realize(capsys, tmp, *tags, "--epsilon", "0.5")["verdict"] == "realizable"
    (tmp / "tree.csv").write_text("child,parent\npug,dog\npoodle,dog\nsiamese,cat\ndog,animal\ncat,animal\n")
    (tmp / "leaves.csv").write_text("label\npug\npoodle\nsiamese\n")
    tree = ["--labels", "{tmp}/leaves.csv", "--scheme", "hierarchy", "--tree", "{tmp}/tree.csv", "--epsilon", "0.4"]
    assert realize(capsys, tmp, *tree, "--temperature", "0.3")["verdict"] == "realizable"


def test_two_views_and_a_subset(capsys, tmp):
    two = ten(capsys, tmp, "--views", "2", sigma=1)
    assert (two["samples"], two["self_pairs"], two["verdict"]) == (20, False, "realizable")
    part = ten(capsys, tmp, "--subset", "5")
    assert part["samples"] == 5
    assert part["weights"].endswith("random subset of 5 samples")


def test_a_map_in_two_euclidean_coordinates(capsys, tmp):
    given = ["--labels", "{tmp}/vectors.npy", "--scheme", "y-aware", "--sigma", "1", "--temperature", "0.5"]
    given += ["--similarity", "euclidean", "--out", "{tmp}/out", "--plot", "{tmp}/map.png", "--dim"]
    best = realize(capsys, tmp, *given, "2")
    assert (tmp / "map.png").read_bytes()[:4] == b"\x89PNG"
    assert (best["verdict"], best["min_dim"], best["dim"]) == ("realizable", 2, 2)
    line = realize(capsys, tmp, *given, "1")
    assert (line["verdict"], line["min_dim"], line["dim"]) == ("realizable", 2, 1)
    assert line["excess"] > 1e-3 > best["excess"]
    assert np.load(tmp / "out" / "points.npy").shape == (5, 1)
