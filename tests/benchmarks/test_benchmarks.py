"""The benchmark scripts run, and record what a number needs to mean something."""

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import geomsolve as gs

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# Those that compile little: gpu, dimensions and free_features take minutes even when quick.
NAMES = (
    "newton_vs_solve", "solvers", "cold", "scaling", "sweeps", "thresholds", "minibatch", "realizability",
    "fails_safely", "random_problems", "many_counts",
)  # fmt: skip

pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="installed without the repository")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, str(BENCHMARKS / "run.py"), "--quick", "--out", str(out), "--only", *NAMES, "zoo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return out


@pytest.fixture
def script(monkeypatch):
    """A benchmark script as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their module up by name.
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize("name", NAMES)
def test_a_result_says_where_it_comes_from(results, name):
    data = json.loads((results / f"{name}.json").read_text())
    assert data["machine"]["cpu"]
    assert data["machine"]["cores"] >= 1
    assert data["versions"]["numpy"] == np.__version__
    assert data["versions"]["geomsolve"] == gs.__version__
    assert "commit" in data["versions"]
    assert f"{name}.py" in data["command"]
    assert data["date"] <= data["finished"]
    assert data["quick"]
    assert data["rows"]


def test_the_report_has_every_section_and_picture(results):
    report = (results / "REPORT.md").read_text()
    headings = (
        "Against one dense linear solve",
        "Against general solvers",
        "Cold",
        "Growth",
        "Sweeps",
        "Realizability",
        "The zoo",
        "Does it fail safely?",
    )
    for heading in headings:
        assert f"## {heading}" in report
    for picture in ("solvers.png", "scaling.png", "minibatch.png", "zoo.png"):
        assert f"]({picture})" in report
        assert (results / picture).stat().st_size > 1000
    for row in json.loads((results / "solvers.json").read_text())["rows"]:
        assert row["solver"] in report


def test_the_lines_of_the_zoo_say_where_they_come_from(results):
    header, *cells, end = [json.loads(line) for line in (results / "zoo.jsonl").read_text().splitlines()]
    assert header["machine"]["cores"] >= 1
    assert header["versions"]["numpy"] == np.__version__
    assert "zoo.py" in header["command"]
    assert header["date"] <= end["finished"]
    assert {cell["solver"] for cell in cells} == {"newton", "scipy-lbfgs"}
    for cell in cells:
        assert cell["commit"]
        assert cell["outcome"] == "proved", cell
        assert cell["cosines_off"] < 1e-6


def test_the_gaps_of_solvers_are_the_certificates(results, script):
    rows = json.loads((results / "solvers.json").read_text())["rows"]
    solvers = script("solvers")
    exact = gs.solve(gs.SupCon(solvers.counts_of("distinct", 6), temperature=0.5))
    for row in rows:
        best = row["best"]
        assert best is not None, row["end"]
        # What only certify can know: the value and the gap enclose the optimum.
        assert best["value"] - best["gap"] <= exact.value + 1e-12
        assert best["value"] >= exact.certificate.lower_bound - 1e-12
        assert best["relative_gap"] < 1e-3
    newton = rows[0]
    assert newton["solver"] == "geomsolve-newton"
    assert all(newton["times"].values())


def test_a_judgement_is_certifys_and_stops_the_clock(script, capsys, monkeypatch):
    rivals = script("rivals")
    problem = rivals.Problem(np.array([30.0, 20.0, 10.0]), 0.5)
    watch = rivals.Watch(problem, limit=60.0, step=1.1)
    points = problem.start()
    proof = gs.certify(problem.objective, points @ points.T)
    certify = gs.certify

    def slow(*arguments):
        rivals.time.sleep(0.2)
        return certify(*arguments)

    monkeypatch.setattr(rivals.gs, "certify", slow)
    watch.judge(points @ points.T)
    assert watch.seconds < 0.15
    line = json.loads(capsys.readouterr().out)
    assert line["relative_gap"] == pytest.approx(proof.relative_gap, rel=1e-9)
    assert line["value"] == pytest.approx(proof.value, rel=1e-12)


def test_a_wrong_answer_is_not_timed_as_success(script):
    solvers = script("solvers")
    lines = [
        {"run": "a", "seconds": 1.0, "calls": 1, "relative_gap": 1e-3},
        {"run": "a", "seconds": 2.0, "calls": 2, "relative_gap": 1e-5},
        {"run": "a", "seconds": 9.0, "calls": 3, "relative_gap": 1e-12},
        {"run": "b", "seconds": 1.5, "calls": 4, "relative_gap": 1e-5},
    ]
    assert solvers.first_time(lines, 1e-4, limit=5.0) == {"seconds": 1.5, "not_yet": 0.0, "run": "b", "calls": 4}
    assert solvers.first_time(lines[:3], 1e-4, limit=5.0)["not_yet"] == 1.0
    assert solvers.first_time(lines, 1e-9, limit=5.0) is None


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_rivals_loss_is_the_objective_and_its_derivatives(script, temperature):
    rivals = script("rivals")
    problem = rivals.Problem(np.array([50.0, 20.0, 10.0, 10.0]), temperature)
    points = problem.start()
    gram = gs.OrbitGram.from_matrix(points @ points.T, problem.objective.orbits)
    assert problem.loss(points) * problem.unit == pytest.approx(problem.objective.ungrouped().excess(gram), rel=1e-12)
    rng = np.random.default_rng(1)
    direction = rng.standard_normal(points.shape)
    step = 1e-5
    change = (problem.loss(points + step * direction) - problem.loss(points - step * direction)) / (2 * step)
    assert change == pytest.approx(np.sum(problem.gradient(points) * direction), rel=1e-6)
    bend = (problem.gradient(points + step * direction) - problem.gradient(points - step * direction)) / (2 * step)
    np.testing.assert_allclose(problem.hessian(points, direction), bend, rtol=1e-5, atol=1e-7)


def test_a_silent_child_is_killed_and_a_dead_one_reported(script):
    solvers = script("solvers")
    lines, killed = solvers.watch([sys.executable, "-c", "import time; time.sleep(60)"], 0.5, None)
    assert lines == []
    assert killed.startswith("killed")
    lines, killed = solvers.watch([sys.executable, "-c", "print('{\"ready\": true}'); raise SystemExit(7)"], 30, 1)
    assert lines == [{"ready": True}]
    assert "exit code 7" in killed


def test_a_run_is_taken_up_where_it_stopped_unless_something_changed(script, tmp_path):
    record = script("record")
    options = record.parser("x").parse_args(["--out", str(tmp_path), "--resume"])
    first = record.Record("some", options, key=("size",), settings={"sizes": (1, 2)})
    first.add(size=1, seconds=0.5)
    again = record.Record("some", options, key=("size",), settings={"sizes": (1, 2)})
    assert again.has(size=1)
    assert not again.has(size=2)
    assert not record.Record("some", options, key=("size",), settings={"sizes": (1, 3)}).has(size=1)


def test_the_exponent_is_the_slope(script):
    record = script("record")
    assert math.isclose(record.exponent([1, 10, 100], [3.0, 300.0, 30000.0]), 2.0, rel_tol=1e-12)
    assert record.exponent([1], [3.0]) is None
