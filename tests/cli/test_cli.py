import re
import subprocess
import sys
import time

import numpy as np
import pytest
from command_line import printed, refuses, reported, run, strict

import geomsolve as gs
from geomsolve.choosing import named
from geomsolve.cli import outputs

BASE = ["solve", "--counts", "1000,100,10", "--temperature", "0.1"]
CONTRACT = {
    "value", "lower_bound", "gap", "cosine_residual", "quality", "solver", "seconds", "classes", "rank", "collapsed",
    "orbits", "between",
}  # fmt: skip


# Each row is the valid baseline with exactly one fault.
BAD = {
    "negative count": (["--counts", "1000,-5,10"], r"counts: .*above 0; class 1 has -5"),
    "missing file": (["--counts", "{tmp}/none.csv"], r"counts: cannot read .*none.csv: No such file"),
    "temperature in words, joined": (["--temperature=warm"], r"temperature: .*'warm'"),
    "no value": (["--temperature"], r"--temperature.* requires an argument"),
    "dim in words": (["--dim", "2.5"], r"dim: .*'2.5'"),
    "unknown objective": (["--objective", "triplet"], r"objective: must be one of supcon, gcl, .*; got 'triplet'"),
    "unknown option": (["--temprature", "1"], r"[Nn]o such option: --temprature"),
    "stray argument": (["imagenet_lt"], r"unexpected extra argument"),
    "loss with supcon": (["--loss", "hinge"], r"loss: supcon has no such option"),
    "views with gcl": (["--objective", "gcl", "--views", "2"], r"views: gcl has no such option; got 2"),
    "psi that is not there": (["--objective", "gcl", "--loss", "{tmp}/psi.py:none"], r"loss: .* defines no function"),
    "psi file that is not there": (["--objective", "gcl", "--loss", "{tmp}/no.py:psi"], r"loss: .* does not exist"),
    "no steps": (["--solver", "newton", "--max-steps", "0"], r"max-steps: must be at least 1; got 0"),
    "steps of no solver": (["--max-steps", "5"], r"max-steps: needs a solver"),
    "seed of nothing": (["--seed", "1"], r"seed: only --solver descent and --dim draw at random; got 1"),
    "negative seed": (["--dim", "2", "--seed", "-1"], r"seed: must be at least 0; got -1"),
    "unknown picture": (["--plot", "{tmp}/a.bmp"], r"plot: must end in .png, .pdf, .svg; got .*a.bmp"),
    "picture nowhere": (["--plot", "{tmp}/no/a.png"], r"plot: must be a path that can be written; got .*No such file"),
    "JSON to a folder": (["--json", "{tmp}"], r"json: must be a path that can be written; got .*directory"),
    "out on a file": (["--out", "{tmp}/words.csv"], r"out: must be a folder that can be made; got .*words.csv"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line_and_exit_2(capsys, tmp_path, fault):
    (tmp_path / "words.csv").write_text("name,count\na,10\nb,many\n")
    (tmp_path / "psi.py").write_text("")
    changes, message = BAD[fault]
    # Of an option given twice the second counts.
    refuses(capsys, [*BASE, *(word.replace("{tmp}", str(tmp_path)) for word in changes)], message)


def test_the_baseline_of_the_faults_is_good(capsys):
    code, out, err = run(capsys, *BASE)
    assert (code, err) == (0, "")
    assert "CERTIFIED: proved optimal" in out


def test_a_solver_that_is_not_installed_is_one_line(capsys, monkeypatch):
    from geomsolve.solvers.conic import conic

    monkeypatch.setitem(conic._PACKAGES, "MOSEK", "no_such_package")
    refuses(capsys, [*BASE, "--solver", "mosek"], "no_such_package is not installed")


def test_json_has_the_contracts_keys_and_the_solutions_numbers(capsys):
    report = reported(capsys, "solve", "--counts", "cifar10_lt:100", "--temperature", "0.1", "--views", "1")
    assert report.keys() >= CONTRACT
    assert report["value"] == pytest.approx(7.781503073508, abs=1e-9)
    assert report["lower_bound"] == pytest.approx(report["value"] - report["gap"], abs=1e-12)
    assert report["quality"] == "certified"
    assert (report["solver"], report["classes"], report["rank"], report["collapsed"]) == ("newton", 10, 9, [])
    assert [orbit["count"] for orbit in report["orbits"]] == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    assert all(orbit.keys() == {"size", "count", "proportion", "within"} for orbit in report["orbits"])
    assert all((orbit["size"], orbit["within"]) == (1, None) for orbit in report["orbits"])
    assert sum(orbit["proportion"] for orbit in report["orbits"]) == pytest.approx(1)
    assert report["between"][0][9] == pytest.approx(-0.199609077, abs=1e-9)
    assert [report["between"][a][a] for a in range(10)] == [None] * 10
    assert report["attempts"][0]["termination"] == "converged"
    assert (report["counts"], report["version"]) == ("cifar10_lt:100", gs.__version__)


def test_orbits_of_several_classes_come_largest_count_first(capsys):
    report = reported(capsys, "solve", "--counts", "10,500,10,10", "--temperature", "0.5")
    assert [(orbit["count"], orbit["size"]) for orbit in report["orbits"]] == [(500, 1), (10, 3)]
    gram = gs.solve(gs.SupCon([10, 500, 10, 10], temperature=0.5)).gram
    assert report["orbits"][1]["within"] == pytest.approx(gram[0, 2], abs=1e-12)
    assert report["between"] == [[None, pytest.approx(gram[0, 1])], [pytest.approx(gram[0, 1]), None]]
    assert report["class_orbit"] == [1, 0, 1, 1]


def test_a_csv_keeps_the_users_class_order(capsys, tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("class,count\nrare,1\ncommon,30\n" + "rare,1\n" * 8)
    line = ["solve", "--counts", path, "--objective", "gcl", "--negatives", "1"]
    report = reported(capsys, *line, "--out", tmp_path / "out")
    assert report["collapsed"] == [[0, 2, 3, 4, 5, 6, 7, 8, 9]]
    assert (report["rank"], report["counts"]) == (1, "classes.csv")
    gram, points = (np.load(tmp_path / "out" / name) for name in ("gram.npy", "points.npy"))
    assert gram[0, 1] == pytest.approx(-1)
    assert points.shape == (10, 1)
    np.testing.assert_allclose(points @ points.T, gram, atol=1e-7)
    assert strict((tmp_path / "out" / "solution.json").read_text()) == report
    assert report["files"][-1].endswith("solution.json")
    assert "9 classes of 1 in one point (classes 0, 2-9)" in printed(capsys, *line)


def test_several_thousand_classes_are_written_by_orbits(capsys, tmp_path):
    arguments = ["solve", "--counts", "inaturalist2018", "--temperature", "0.1"]
    assert "written by orbits" in printed(capsys, *arguments, "--out", tmp_path, "--json", tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "orbits.npz", "solution.json"]
    with np.load(tmp_path / "orbits.npz") as stored:
        assert stored["sizes"].sum() == 8142
        assert stored["cosines"].shape == (463, 463)
        assert stored["labels"].shape == (8142,)


@pytest.mark.parametrize(
    "options",
    [
        ["--negatives", "inf"],
        ["--negatives", "3", "--normalization", "sum"],
        ["--sampling", "unsupervised", "--loss", "logistic", "--temperature", "2"],
    ],
)
def test_gcl_takes_its_options(capsys, options):
    report = reported(capsys, "solve", "--counts", "0.6,0.3,0.1", "--objective", "gcl", *options)
    assert report["quality"] == "certified"
    assert report["temperature"] == (2.0 if "--temperature" in options else 1.0)
    assert [orbit["count"] for orbit in report["orbits"]] == pytest.approx([0.6, 0.3, 0.1])


def test_an_answer_that_is_not_certified_is_printed_written_and_exit_3(capsys, tmp_path):
    path = tmp_path / "a.json"
    short = ["--solver", "newton", "--max-steps", "1"]
    code, out, err = run(capsys, *BASE, *short, "--json", path, "--out", tmp_path / "out")
    assert (code, err) == (3, "")
    assert "NOT CERTIFIED" in out
    assert "stopped at max_steps" in out
    assert strict(path.read_text())["quality"] == "uncertified"
    assert strict((tmp_path / "out" / "solution.json").read_text())["attempts"][0]["termination"] == "step_limit"
    assert reported(capsys, *BASE, *short, code=3)["quality"] == "uncertified"


def test_an_embedding_below_the_rank_comes_with_its_gap_and_its_picture(capsys, tmp_path):
    line = ["solve", "--counts", "100,50,20,10", "--temperature", "0.5", "--dim", "1", "--out", tmp_path]
    report = reported(capsys, *line)
    assert report["embedding"].keys() == {
        "dim", "value", "lower_bound", "gap", "bound_in_dimension", "gap_in_dimension", "restarts", "reached",
        "second_order", "stopped", "seconds",
    }  # fmt: skip
    assert report["embedding"]["dim"] == 1
    assert report["embedding"]["value"] > report["value"]
    assert report["embedding"]["gap"] == pytest.approx(report["embedding"]["value"] - report["lower_bound"])
    assert np.load(tmp_path / "points.npy").shape == (4, 1)
    out = printed(capsys, *line, "--plot", tmp_path / "a.png")
    assert f"wrote {tmp_path / 'a.png'}" in out
    assert "that of the points is points @ points.T" in out
    assert (tmp_path / "a.png").stat().st_size > 10_000
    out = printed(capsys, *BASE, "--dim", "5")
    assert "5 dimensions" in out
    assert "(exact)" in out


def test_checking_that_a_path_can_be_written_leaves_files_alone(capsys, tmp_path):
    path = tmp_path / "kept.json"
    path.write_text("before")
    assert run(capsys, *BASE, "--json", path, "--plot", tmp_path / "new.png", "--tol", "0")[0] == 2
    assert path.read_text() == "before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.json"]


def test_progress_is_told_even_by_what_never_calls_back(capsys, monkeypatch):
    monkeypatch.setattr(outputs, "_PATIENCE", 0.01)
    with outputs.reporting() as tell:
        tell("certifying")
        while "certifying" not in (told := capsys.readouterr().err):
            time.sleep(0.01)
    assert re.fullmatch(r"(geomsolve: \w+ \(\d+ s\)\n)+", told)


def test_profiles_lists_what_counts_takes(capsys):
    out = printed(capsys, "profiles")
    assert all(name in out for name in gs.profile_names())
    report = reported(capsys, "profiles")
    assert {"name": "inaturalist2018", "classes": 8142}.items() <= report["profiles"][2].items()


def test_ctrl_c_is_exit_130(capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(named, "solve", interrupted)
    assert run(capsys, *BASE) == (130, "", "geomsolve: interrupted\n")


def process(*arguments, **options):
    code = "from geomsolve.cli import main; main()"
    command = [sys.executable, *options.pop("python", []), "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_the_process_exits_as_promised():
    bad = process("solve", "--counts", "1000,0", "--temperature", "0.1")
    assert (bad.returncode, bad.stdout, bad.stderr.count("\n")) == (2, "", 1)


def test_version_and_no_arguments(capsys):
    assert run(capsys, "--version") == (0, f"geomsolve {gs.__version__}\n", "")
    assert "Commands:" in printed(capsys, code=2)


def test_solving_a_large_profile_imports_no_heavy_package():
    words = ("solve", "--counts", "inaturalist2018", "--temperature", "0.1", "--json", "-")
    answer = process(*words, python=["-X", "importtime"])
    assert answer.returncode == 0
    assert strict(answer.stdout)["quality"] == "certified"
    imported = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert "geomsolve.solvers.newton.newton" in imported
    assert not imported & {"cvxpy", "jax", "optax", "matplotlib", "rich"}


def test_a_psi_of_ones_own_from_a_file_can_neither_exit_nor_print_on_stdout(capsys, tmp_path):
    gcl = ("--counts", "9,5,2", "--objective", "gcl", "--temperature", "0.5")
    (tmp_path / "exit.py").write_text("import sys\nsys.exit(0)\n")
    code, out, err = run(capsys, "solve", *gcl, "--loss", f"{tmp_path}/exit.py:psi")
    assert (code, out, err.count("\n")) == (2, "", 1)
    (tmp_path / "loud.py").write_text(
        "import jax.numpy as jnp\nprint('hello')\ndef psi(t):\n    print('called')\n"
        "    return jnp.log1p(jnp.exp(t[0]))\n"
    )
    own = reported(capsys, "solve", *gcl, "--loss", f"{tmp_path}/loud.py:psi")
    built_in = reported(capsys, "solve", *gcl, "--loss", "logistic")
    assert own["value"] == pytest.approx(built_in["value"], abs=1e-12)
