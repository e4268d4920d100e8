"""`geomsolve threshold` and `geomsolve phase`, as a user runs them."""

import pytest
from command_line import printed, reported, run, strict

import geomsolve as gs

GCL = ("threshold", "--objective", "gcl", "--temperature", "1", "--majority", "1")
SUPCON = ("threshold", "--objective", "supcon", "--temperature", "1", "--majority", "1", "--minority", "5")


def test_threshold_as_json(capsys):
    report = reported(capsys, *GCL, "--minority", "9", "--negatives", "16")
    assert report["ratio"] == pytest.approx(24.4662, abs=5e-5)
    assert report["ratio"] == report["value"]
    assert report["bracket"][0] <= report["ratio"] <= report["bracket"][1]
    assert report["residual"] < 1e-12
    assert report["confirmed"] is True
    assert [report[side]["quality"] for side in ("below", "above")] == ["certified"] * 2
    assert report["below"]["collapsed"] == []
    assert report["above"]["collapsed"] == [list(range(1, 10))]


def test_never_is_an_answer(capsys):
    options = ("--majority", 3, "--minority", 8, "--sampling", "unsupervised", "--negatives", 1)
    report = reported(capsys, "threshold", "--objective", "gcl", *options)
    assert report["ratio"] is None
    assert report["bracket"] is None
    assert report["reason"].startswith("never")


def test_threshold_of_supcon_in_words(capsys):
    out = printed(capsys, *SUPCON, "--per-class", "10", "--views", "1")
    assert "60.87528220645" in out
    assert "The 5 minority classes share one point above ratio" in out


def test_threshold_of_a_mini_batch_needs_no_sizes(capsys):
    assert reported(capsys, *SUPCON, "--batch", "64")["ratio"] > 1


def test_threshold_of_a_profile(capsys):
    report = reported(capsys, "threshold", "--counts", "isic2019", "--temperature", "1")
    assert (report["parameter"], report["ratio"]) == ("power", None)
    assert report["value"] == pytest.approx(2.8594, abs=1e-4)
    assert report["classes"] == list(range(1, 8))


def test_critical_temperature(capsys):
    options = ("--majority", 1, "--minority", 9, "--negatives", 1, "--ratio", 20, "--vary", "temperature")
    value = reported(capsys, "threshold", "--objective", "gcl", *options)["value"]
    assert value == pytest.approx(0.954073578938, abs=1e-11)


def test_psi_from_a_file(capsys, tmp_path):
    psi = tmp_path / "mine.py"
    psi.write_text("import jax.numpy as jnp\nprint('loading')\ndef psi(t):\n    return jnp.log1p(jnp.exp(t[0]))\n")
    code, out, err = run(capsys, *GCL, "--minority", "9", "--loss", f"{psi}:psi", "--json", "-")
    assert code == 0
    assert strict(out)["ratio"] == pytest.approx(18.91830673133, abs=1e-10)
    assert err.count("loading") == 1


ATTRACTING = {
    "supcl": (gs.SupCL, {"alpha": 0.5, "temperature": 0.1}, "geomsolve.choosing.smallest_critical_alpha"),
    "bcl": (gs.BCL, {"temperature": 0.1}, "geomsolve solve shows"),
    "kcl": (gs.KCL, {"temperature": 0.1}, "geomsolve solve shows"),
    "lc": (gs.LogitCompensated, {}, "geomsolve solve shows"),
    "ecl": (gs.ECL, {"temperature": 0.1}, "geomsolve solve shows"),
}


@pytest.mark.parametrize(("builder", "options", "instead"), ATTRACTING.values(), ids=ATTRACTING.keys())
@pytest.mark.parametrize(
    "classes", [{"majority": 2, "minority": 3, "per_class": 5}, {"counts": [30, 9, 4]}], ids=["two levels", "counts"]
)
def test_losses_without_critical_values_say_so(builder, options, instead, classes):
    with pytest.raises(gs.ProblemError) as caught:
        gs.threshold(builder, **classes, **options)
    assert str(caught.value).startswith("objective: critical values are those of losses that only push classes apart")
    assert instead in str(caught.value)
    options = {name: value for name, value in options.items() if name != "temperature"}
    varied = {**classes, "vary": "temperature"} | ({} if "counts" in classes else {"ratio": 3.0})
    if builder is not gs.LogitCompensated:
        with pytest.raises(gs.ProblemError, match="objective: critical values are those of"):
            gs.threshold(builder, **varied, **options)


def test_phase(capsys, tmp_path):
    arguments = ("phase", "--objective", "gcl", "--negatives", 1, "--grid", 4, 3, "--ratios", 1, 100)
    files = ("--plot", tmp_path / "phase.pdf", "--csv", tmp_path / "phase.csv")
    report = reported(capsys, *arguments, *files)
    assert len(report["minority_cosine"]) == 3
    assert len(report["minority_cosine"][0]) == 4
    assert all(all(row) for row in report["certified"])
    assert (tmp_path / "phase.csv").read_text().count("\n") == 13
    assert (tmp_path / "phase.pdf").read_bytes()[:4] == b"%PDF"
    assert "12 points, 12 certified" in printed(capsys, *arguments)


@pytest.mark.parametrize("sampler", ["square-root", "sqrt", "square_root", "0.5"])
def test_levels_leave_out_no_sampler(capsys, sampler):
    command = ["levels", "--counts", "300,40,7", "--batch", 64, "--temperature", 0.1, "--sampler", sampler]
    report = reported(capsys, *command)
    known = gs.solve(gs.SupCon([300, 40, 7], temperature=0.1, batch=64, sampler="square-root"))
    assert report["optimum"] == pytest.approx(known.value, rel=1e-12)
    assert report["minority"] == [1, 2]
