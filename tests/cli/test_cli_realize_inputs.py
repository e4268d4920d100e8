"""`geomsolve realize`: every row is a valid command with exactly one fault; one line on stderr, exit code 2."""

import numpy as np
import pytest
from command_line import refuses

from geomsolve import cli

TEN = ["--labels", "{tmp}/ten.npy", "--scheme", "y-aware", "--sigma", "0.3", "--temperature", "0.5"]
WEIGHTS = ["--weights", "{tmp}/good.npy", "--temperature", "0.5"]
XCLR = ["--labels", "{tmp}/vectors.npy", "--scheme", "x-clr", "--label-temperature", "0.4", "--temperature", "0.5"]
SOFT = ["--labels", "0,0,1,1", "--scheme", "soft-supcon", "--epsilon", "0.1", "--temperature", "0.5"]
EUCLIDEAN = [*TEN, "--similarity", "euclidean"]

# What replaces or joins the options of a valid command, "!option" taking one away, and the message.
BAD = {
    "negative weight": (WEIGHTS, ["--weights", "{tmp}/negative.npy"], r"weights: .*not negative; entry \[0, 1\] is -1"),
    "weights of objects": (WEIGHTS, ["--weights", "{tmp}/object.npy"], r"weights: .*object.npy must be a .npy file"),
    "missing weights": (WEIGHTS, ["--weights", "{tmp}/none.npy"], r"weights: cannot read .*none.npy: No such file"),
    "neither": (WEIGHTS, ["!weights"], r"weights: exactly one of weights, distances, labels .*; got none"),
    "both": (TEN, ["--weights", "{tmp}/good.npy"], r"weights: exactly one .*; got weights and labels"),
    "scheme with weights": (WEIGHTS, ["--scheme", "supcon"], r"scheme: goes with --labels; got supcon with --weights"),
    "sigma with weights": (WEIGHTS, ["--sigma", "0.3"], r"sigma: goes with --labels; got 0.3 with --weights"),
    "no scheme": (TEN, ["!scheme"], r"scheme: must be given with --labels; got none"),
    "unknown scheme": (TEN, ["--scheme", "simclr"], r"scheme: must be one of supcon, .*; got 'simclr'"),
    "no sigma": (TEN, ["!sigma"], r"sigma: y-aware needs it; got none"),
    "epsilon with y-aware": (TEN, ["--epsilon", "0.1"], r"epsilon: y-aware has no such option; got 0.1"),
    "sigma with x-clr": (XCLR, ["--sigma", "1"], r"sigma: x-clr has no such option; got 1"),
    "no label temperature": (XCLR, ["!label-temperature"], r"label-temperature: x-clr needs it; got none"),
    "zero label temperature": (XCLR, ["--label-temperature", "0"], r"label.temperature: must be finite and above 0"),
    "no epsilon": (SOFT, ["!epsilon"], r"epsilon: soft-supcon needs it; got none"),
    "no temperature": (TEN, ["!temperature"], r"temperature: must be given; got none"),
    "zero temperature": (TEN, ["--temperature", "0"], r"^geomsolve: temperature: must be finite and above 0; got 0"),
    "unknown similarity": (TEN, ["--similarity", "dot"], r"similarity: must be cosine or euclidean; got 'dot'"),
    "dim 0": (TEN, ["--dim", "0"], r"dim: must be a whole number of at least 1; got 0"),
    "distances and labels": (TEN, ["--distances", "{tmp}/weights.npy"], r"exactly one .*; got distances and labels"),
    "three views": (TEN, ["--views", "3"], r"views: must be 1 or 2; got 3"),
    "sigma twice": (TEN, ["--variance", "1"], r"variance: stands in place of sigma; got 1.0 beside sigma 0.3"),
    "a subset of all too many": (TEN, ["--subset", "99"], r"subset: must be from 2 to the 10 samples; got 99"),
    "no seconds": (TEN, ["--seconds", "-1"], r"seconds: must be a number from 0; got -1"),
    "points are a folder": (TEN, ["--out", "{tmp}/taken"], r"out: must be a path that can be written; .*points.npy"),
    "unknown option": (TEN, ["--sigmas", "1"], r"[Nn]o such option: --sigmas"),
}  # fmt: skip


def write(tmp_path):
    good = np.array([[3.0, 1.0, 2.0], [1.0, 3.0, 1.0], [2.0, 1.0, 3.0]])
    np.save(tmp_path / "good.npy", good)
    np.save(tmp_path / "negative.npy", good - 2.0)
    np.save(tmp_path / "ten.npy", np.linspace(-1, 1, 10))
    np.save(tmp_path / "vectors.npy", np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.1], [0.2, -1.0], [1.0, 1.0]]))
    np.save(tmp_path / "object.npy", np.array([[1.0, None], [2.0, 3.0]], dtype=object), allow_pickle=True)
    (tmp_path / "taken" / "points.npy").mkdir(parents=True)


def command(tmp_path, base, changes):
    gone = {f"--{change[1:]}" for change in changes if change.startswith("!")}
    added = [change for change in changes if not change.startswith("!")]
    kept = [pair for pair in zip(base[::2], base[1::2], strict=True) if pair[0] not in gone.union(added)]
    words = [word for pair in kept for word in pair] + added
    return ["realize", *(word.replace("{tmp}", str(tmp_path)) for word in words)]


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line_and_exit_2(capsys, tmp_path, fault):
    write(tmp_path)
    base, changes, message = BAD[fault]
    refuses(capsys, command(tmp_path, base, changes), message)


@pytest.mark.parametrize("base", [TEN, WEIGHTS, XCLR, SOFT, EUCLIDEAN])
def test_without_the_fault_the_command_is_fine(capsys, tmp_path, base):
    write(tmp_path)
    assert cli.run(command(tmp_path, base, [])) == 0
    assert capsys.readouterr().err == ""


def test_a_verdict_is_proved_however_wide_the_interval_of_the_excess(capsys, tmp_path):
    write(tmp_path)
    labels = ",".join(str(x) for x in np.linspace(0.0, 50.0, 120))
    given = ["realize", "--labels", labels, "--scheme", "y-aware", "--sigma", "10", "--temperature", "0.1"]
    assert cli.run([*given, "--seconds", "0"]) == 0
    out = capsys.readouterr().out
    assert "INCONSISTENT" in out
    assert "would narrow further" in out
    assert "not known yet" in out
