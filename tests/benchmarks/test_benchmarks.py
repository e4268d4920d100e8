"""The benchmarks run, record what a number needs to mean something, and judge answers independently."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import geomsolve as gs

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="installed without the repository")
QUESTIONS = ("practical", "truth", "answers", "zoo", "expectation", "thresholds", "sweeps", "logits", "routes")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmarks")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--out", str(out), *QUESTIONS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return out


def test_a_result_says_where_it_comes_from_and_the_report_has_it_all(results):
    found = [json.loads(path.read_text()) for path in results.glob("*/*.json")]
    assert len(found) == len(QUESTIONS)
    report = (results / "REPORT.md").read_text()
    for data in found:
        assert data["machine"]["cores"] >= 1
        assert data["versions"]["numpy"] == np.__version__
        assert data["commit"] is None or data["commit"] in report
        assert data["command"].startswith("python -m benchmarks.")
        assert data["date"] <= data["finished"]
        assert data["quick"]
        assert f"## {data['about'].partition(chr(10))[0].rstrip('.')}" in report
        assert any(table["rows"] for table in data["tables"])
        for table in data["tables"]:
            assert f"### {table['title']}" in report
            assert {len(row) for row in table["rows"]} <= {len(table["columns"])}


def test_what_is_stored_is_small_and_the_report_is_made_of_it(tmp_path):
    from benchmarks import report

    stored = sorted((ROOT / "benchmarks").glob("*/*.json"))
    assert all(path.stat().st_size < 200_000 for path in stored)
    assert sum(path.stat().st_size for path in stored) < 1_000_000
    for path in stored:
        data = json.loads(path.read_text())
        assert data["commit"], path
        assert not data["quick"], path
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.name / path.name).write_bytes(path.read_bytes())
    assert report.write(tmp_path).read_text() == (ROOT / "benchmarks" / "REPORT.md").read_text()


def test_practical_problems_are_certified_and_judged_twice(results):
    data = json.loads((results / "practical" / "result.json").read_text())
    assert data["summary"]["certified"] == "11, 100.00 %"
    assert data["summary"]["of these wrong"] == 0
    assert len(data["tables"][0]["rows"]) == 11


def test_the_second_gap_is_a_gap():
    """It encloses the optimum where the answer is wrong, and vanishes where it is right."""
    from benchmarks.solving import dense_gap

    objective = gs.SupCon([30, 20, 20, 5], temperature=0.3)
    best = gs.solve(objective)
    simplex = gs.OrbitGram.simplex(objective.orbits)
    assert dense_gap(objective, simplex) >= objective.value(simplex) - best.value > 1e-3
    assert dense_gap(objective, best.orbits) < 1e-13


def test_a_problem_out_of_time_is_counted_and_named(monkeypatch):
    from benchmarks.solving import solve_one, summary, uncertified

    def endless(objective, throw):
        while True:
            pass

    monkeypatch.setattr(gs, "solve", endless)
    row = solve_one("practical", 0, limit=0.05)
    assert row["quality"] == "out of time"
    assert summary([row])["certified"] == "0, 0.00 %"
    assert uncertified([row]).rows[0][-1] == "not within 0.05 processor seconds"


def test_a_draw_depends_on_its_number_alone():
    from benchmarks.practical.problems import draw

    first, again, other = draw(23), draw(23), draw(34)
    assert first[2] == again[2]
    assert first[0] == other[0] != draw(24)[0]
    np.testing.assert_array_equal(first[1].masses, again[1].masses)


def test_a_run_is_taken_up_where_it_stopped_unless_something_changed(tmp_path, monkeypatch):
    from benchmarks import record

    monkeypatch.setattr(record, "JOURNALS", tmp_path)
    options = record.parser("x").parse_args(["--out", str(tmp_path), "--resume"])

    def start(sizes):
        return record.Record("some", "Some question.", options, key=("size",), settings={"sizes": sizes})

    start((1, 2)).add(size=1, seconds=0.5)
    again = start((1, 2))
    assert again.has(size=1)
    assert not again.has(size=2)
    assert not start((1, 3)).has(size=1)
    again.finish({"a": 1.23456}, record.Table("T", ("x", "y"), [(1, None), (0.5, 'a "b", [c]')]))
    data = json.loads((tmp_path / "some" / "result.json").read_text())
    assert data["tables"][0]["rows"] == [[1, None], [0.5, 'a "b", [c]']]


def test_an_unknown_question_is_named():
    command = [sys.executable, "-m", "benchmarks", "practicle"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "no question practicle; there are practical," in done.stderr
