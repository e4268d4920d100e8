"""`geomsolve realize`: its JSON and its files, which are what Python says, and one line for every bad input."""

from pathlib import Path

import numpy as np
import pytest
from command_line import printed, refuses, run, strict
from rows_of_weights import mean_divergence, softmax

from geomsolve.objectives.weighted.weightings import weighting_from_matrix
from geomsolve.similarities import kernels, realizations, schemes
from geomsolve.similarities.remedies import suggest_remedies

TEN = np.linspace(-1.0, 1.0, 10)
VECTORS = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.1], [0.2, -1.0], [1.0, 1.0]])
ASYMMETRIC = np.array([[1, 2, 1], [1, 1, 2], [2, 1, 1.0]])
HOLLOW, DISTANCES = np.array([[0, 2, 1], [2, 0, 3], [1, 3, 0.0]]), np.abs(TEN[:, None] - TEN)
TREE = {"pug": "dog", "poodle": "dog", "siamese": "cat", "dog": "animal", "cat": "animal"}
HIERARCHY = schemes.hierarchy_weights(["pug", "poodle", "siamese"], epsilon=0.4, tree=TREE)
HOURS = kernels.y_aware_weights([0, 6, 12, 18, 24, -6], sigma=9, period=24)
XCLR = kernels.x_clr_weights(VECTORS, label_temperature=0.4)
CONTRACT = {
    "verdict", "reason", "entropy_bound", "value", "lower_bound", "excess", "excess_lower", "unique", "min_dim", "gap",
    "weights", "self_pairs", "similarity", "temperature", "samples", "version", "worst_samples",
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The working folder, with what the tests read."""
    monkeypatch.chdir(tmp_path)
    arrays = {
        "ten": TEN, "vectors": VECTORS, "asymmetric": ASYMMETRIC, "hollow": HOLLOW, "distances": DISTANCES,
        "object": np.array([[1.0, None], [2.0, 3.0]], dtype=object),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)
    rows = "".join(f"x{i}\t{label!r}\tpug|dog\n" for i, label in enumerate(TEN.tolist()))
    Path("t.tsv").write_text("name\tage\ttags\n" + rows)
    Path("tags.csv").write_text("label\ncat|dog\ndog\ncat|bird\n")
    Path("leaves.csv").write_text("label\npug\npoodle\nsiamese\n")
    Path("tree.csv").write_text("child,parent\n" + "".join(f"{one},{above}\n" for one, above in TREE.items()))


def realize(capsys, *arguments):
    """The report."""
    code, out, err = run(capsys, "realize", *arguments, "--json", "-")
    assert code == 0
    assert all(line.startswith("geomsolve: ") for line in err.splitlines())  # progress, on a slow machine
    report = strict(out)
    assert set(report) >= CONTRACT
    return report


def ten(capsys, *arguments, sigma=0.3, temperature=0.5):
    given = ["--labels", "ten.npy", "--scheme", "y-aware", "--sigma", sigma, "--temperature", temperature]
    return realize(capsys, *given, *arguments)


# What Python says. ----------------------------------------------------------------------------------------------------

Y = "--labels ten.npy --scheme y-aware --sigma "
TAGS = "--labels tags.csv --scheme jaccard"
ASKED = [
    (Y + "0.3", kernels.y_aware_weights(TEN, sigma=0.3)),
    (Y + "0.3 --no-self-pairs", kernels.y_aware_weights(TEN, sigma=0.3, self_pairs=False)),
    (Y + "1 --no-self-pairs", kernels.y_aware_weights(TEN, sigma=1.0, self_pairs=False)),
    (Y + "1 --kernel laplacian", kernels.y_aware_weights(TEN, sigma=1.0, kernel="laplacian")),
    (Y + "1 --views 2", schemes.build_weighting("y-aware", TEN, {"sigma": 1.0, "views": 2})),
    ("--labels 0,6,12,18,24,-6 --scheme y-aware --sigma 9 --period 24", HOURS),
    ("--labels t.tsv --column age --scheme y-aware --sigma 0.3", kernels.y_aware_weights(TEN, sigma=0.3)),
    ("--distances distances.npy --sigma 0.3", kernels.distance_weights(DISTANCES, sigma=0.3)),
    ("--distances distances.npy --variance 0.09", kernels.distance_weights(DISTANCES, sigma=0.3)),
    ("--labels vectors.npy --scheme x-clr --label-temperature 0.4", XCLR),
    ("--labels 0,0,1,1 --scheme supcon", schemes.supcon_weights([0, 0, 1, 1])),
    ("--labels 0,0,1 --scheme soft-supcon --epsilon 0.1", schemes.soft_supcon_weights([0, 0, 1], epsilon=0.1)),
    (TAGS, schemes.set_weights(["cat|dog", "dog", "cat|bird"])),
    (TAGS + " --epsilon 0.5", schemes.set_weights(["cat|dog", "dog", "cat|bird"], epsilon=0.5)),
    ("--labels leaves.csv --scheme hierarchy --tree tree.csv --epsilon 0.4", HIERARCHY),
    ("--weights asymmetric.npy", weighting_from_matrix(ASYMMETRIC)),
    ("--weights hollow.npy", weighting_from_matrix(HOLLOW, self_pairs=False)),  # no diagonal, no self-pairs
]


@pytest.mark.parametrize(("words", "weighting"), ASKED, ids=[words for words, _ in ASKED])
def test_report_and_files_are_what_python_says(capsys, words, weighting):
    report = realize(capsys, *words.split(), "--temperature", "0.41", "--out", "out")
    found = realizations.realize(weighting, temperature=0.41)
    assert (report["verdict"], report["reason"], report["unique"]) == (str(found.verdict), found.reason, found.unique)
    assert (report["min_dim"], report["components"]) == (found.min_dim, found.components)
    assert isinstance(report["unique"], bool)
    assert report["self_pairs"] is found.weighting.self_pairs
    assert (report["temperature"], report["similarity"], report["quality"]) == (0.41, "cosine", "certified")
    assert (report["samples"], report["distinct_samples"]) == (len(found.points), len(found.gram.cosines))
    for name in ("entropy_bound", "value", "lower_bound", "excess", "excess_lower", "shifts", "largest_temperature"):
        value = getattr(found, name)
        assert report[name] == (None if value is None else pytest.approx(value, rel=1e-9, abs=1e-15)), name
    worst = [found.excess_per_sample[one["sample"]] for one in report["worst_samples"]]
    assert worst[0] == found.excess_per_sample.max()
    assert [remedy["works"] for remedy in report["remedies"]] == [one.works for one in suggest_remedies(found)]
    files = {
        "points": found.points, "excess_per_sample": found.excess_per_sample,
        "nearest_weights": found.nearest_weights(),
    }  # fmt: skip
    assert ("witness" in report) == (found.witness is not None)
    if found.witness is not None:
        files |= {"witness": found.witness.matrix, "required": found.witness.required}
        for name in ("kind", "value", "margin"):
            assert report["witness"][name] == getattr(found.witness, name), name
    for name, array in files.items():
        np.testing.assert_allclose(np.load(f"out/{name}.npy"), array, atol=1e-9)
    names = {path.name for path in Path("out").iterdir()}
    assert names == {*(f"{name}.npy" for name in files), "realization.json"}
    assert {f"out/{name}" for name in names} == set(report["files"])
    assert strict(Path("out/realization.json").read_text()) == report


@pytest.mark.parametrize("how", [["--scheme", "euclidean"], ["--scheme", "y-aware", "--similarity", "euclidean"]])
def test_squared_distances_attain_any_gaussian_kernel(capsys, how):
    given = ["--labels", "ten.npy", "--sigma", "0.3", "--temperature", "0.5", "--out", "out", *how]
    report = realize(capsys, *given)
    assert (report["verdict"], report["min_dim"], report["similarity"]) == ("realizable", 1, "euclidean")
    assert report["excess"] <= 1e-12
    points = np.load("out/points.npy")
    apart = np.sum((points[:, None] - points) ** 2, axis=2)
    np.testing.assert_allclose(apart, 0.5 / 0.09 * (TEN[:, None] - TEN) ** 2, atol=1e-9)


# Weights, dimensions, proofs. ----------------------------------------------------------------------------------------


def test_a_number_of_coordinates(capsys):
    given = ["--no-self-pairs", "--out", "out", "--dim"]
    plane = ten(capsys, *given, "2")
    assert plane["in_dimension"]["excess"] == plane["excess"] >= 0.061156
    points = np.load("out/points_in_dimension.npy")
    shares = softmax(points @ points.T, 0.5, self_pairs=False)
    weights = kernels.y_aware_weights(TEN, sigma=0.3, self_pairs=False).expand()
    assert mean_divergence(weights, shares) == pytest.approx(plane["excess"], rel=1e-9)
    attained = ten(capsys, *given, "12", sigma=1)["in_dimension"]
    assert attained["realizable"] is True
    assert np.load("out/points_in_dimension.npy").shape == (10, 12)


def test_text_picture_and_json_file_at_once(capsys):
    out = printed(capsys, "realize", *LINE, "--plot", "a.png", "--json", "a.json", "--out", "out")
    assert "INCONSISTENT" in out
    assert "0.042715 nats" in out
    assert "wrote a.png" in out
    assert "wrote out/witness.npy" in out
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    report = strict(Path("a.json").read_text())
    assert report["files"][0] == "a.png"
    assert len(report["files"]) == 7


def test_a_random_subset(capsys):
    part = ten(capsys, "--subset", "5")
    assert part["samples"] == 5
    assert part["weights"].endswith("random subset of 5 samples")


def test_a_map_in_two_euclidean_coordinates(capsys):
    given = ["--labels", "vectors.npy", "--scheme", "y-aware", "--sigma", "1", "--temperature", "0.5"]
    given += ["--similarity", "euclidean", "--out", "out", "--plot", "map.png", "--dim"]
    best = realize(capsys, *given, "2")
    assert Path("map.png").read_bytes()[:4] == b"\x89PNG"
    assert (best["verdict"], best["min_dim"], best["dim"]) == ("realizable", 2, 2)
    line = realize(capsys, *given, "1")
    assert (line["verdict"], line["min_dim"], line["dim"]) == ("realizable", 2, 1)
    assert line["excess"] > 1e-3 > best["excess"]
    assert np.load("out/points.npy").shape == (5, 1)


# Bad input. -----------------------------------------------------------------------------------------------------------

LINE = ["--labels", "ten.npy", "--scheme", "y-aware", "--sigma", "0.3", "--temperature", "0.5"]
WEIGHTS = ["--weights", "asymmetric.npy", "--temperature", "0.5"]
CLR = ["--labels", "vectors.npy", "--scheme", "x-clr", "--label-temperature", "0.4", "--temperature", "0.5"]
SOFT = ["--labels", "0,0,1,1", "--scheme", "soft-supcon", "--epsilon", "0.1", "--temperature", "0.5"]

# What replaces or joins the options of a valid command, "!option" taking one away, and the message.
BAD = {
    "weights of objects": (WEIGHTS, ["--weights", "object.npy"], r"weights: .*object.npy must be a .npy file"),
    "missing weights": (WEIGHTS, ["--weights", "none.npy"], r"weights: cannot read .*none.npy: No such file"),
    "neither": (WEIGHTS, ["!weights"], r"weights: exactly one of weights, distances, labels .*; got none"),
    "both": (LINE, ["--weights", "asymmetric.npy"], r"weights: exactly one .*; got weights and labels"),
    "scheme with weights": (WEIGHTS, ["--scheme", "supcon"], r"scheme: goes with --labels; got supcon with --weights"),
    "no scheme": (LINE, ["!scheme"], r"scheme: must be given with --labels; got none"),
    "unknown scheme": (LINE, ["--scheme", "simclr"], r"scheme: must be one of supcon, .*; got 'simclr'"),
    "no sigma": (LINE, ["!sigma"], r"sigma: y-aware needs it; got none"),
    "epsilon with y-aware": (LINE, ["--epsilon", "0.1"], r"epsilon: y-aware has no such option; got 0.1"),
    "no label temperature": (CLR, ["!label-temperature"], r"label-temperature: x-clr needs it; got none"),
    "no temperature": (LINE, ["!temperature"], r"temperature: must be given; got none"),
    "unknown similarity": (LINE, ["--similarity", "dot"], r"similarity: must be cosine or euclidean; got 'dot'"),
    "distances and labels": (LINE, ["--distances", "weights.npy"], r"exactly one .*; got distances and labels"),
    "three views": (LINE, ["--views", "3"], r"views: must be 1 or 2; got 3"),
    "sigma twice": (LINE, ["--variance", "1"], r"variance: stands in place of sigma; got 1.0 beside sigma 0.3"),
    "a subset of all too many": (LINE, ["--subset", "99"], r"subset: must be from 2 to the 10 samples; got 99"),
    "no seconds": (LINE, ["--seconds", "-1"], r"seconds: must be a finite number of at least 0; got -1"),
    "points are a folder": (LINE, ["--out", "taken"], r"out: must be a path that can be written; .*points.npy"),
    "unknown option": (LINE, ["--sigmas", "1"], r"[Nn]o such option: --sigmas"),
}  # fmt: skip


def command(base, changes):
    gone = {f"--{change[1:]}" for change in changes if change.startswith("!")}
    added = [change for change in changes if not change.startswith("!")]
    kept = [pair for pair in zip(base[::2], base[1::2], strict=True) if pair[0] not in gone.union(added)]
    return ["realize", *(word for pair in kept for word in pair), *added]


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line_and_exit_2(capsys, fault):
    Path("taken/points.npy").mkdir(parents=True)
    base, changes, message = BAD[fault]
    refuses(capsys, command(base, changes), message)


@pytest.mark.parametrize("base", [LINE, WEIGHTS, CLR, SOFT])
def test_without_the_fault_the_command_is_fine(capsys, base):
    code, _, err = run(capsys, *command(base, []))
    assert (code, err) == (0, "")


def test_a_verdict_is_proved_however_wide_the_interval_of_the_excess(capsys):
    labels = ",".join(str(x) for x in np.linspace(0.0, 50.0, 120))
    given = ["--labels", labels, "--scheme", "y-aware", "--sigma", "10", "--temperature", "0.1", "--seconds", "0"]
    out = printed(capsys, "realize", *given)
    assert "INCONSISTENT" in out
    assert "would narrow further" in out
    assert "not known yet" in out
