import contextlib
import csv
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from command_line import run

import geomsolve as gs
from geomsolve.sweeps import chains
from geomsolve.sweeps.executors import cores

TOML = """
[objective]
name = "gcl"
sampling = "unsupervised"
[counts]
majority = 1
minority = 9
per_class = 10
[grid]
ratio = [1, 2, 5, 10, 100]
temperature = [0.1, 0.5, 1.0]
negatives = [1, inf]
"""
SPEC = {
    "objective": {"name": "supcon"},
    "counts": {"rule": "long_tail", "classes": 6, "largest": 5000},
    "grid": {"ratio": [1, 3, 10, 30, 100], "temperature": {"from": 0.05, "to": 1, "num": 8, "scale": "log"}},
}
# 800 cheap points.
LARGE = """
[objective]
name = "supcon"
[counts]
majority = 2
minority = 3
per_class = 10
[grid]
ratio = { from = 1.5, to = 200, num = 20, scale = "log" }
temperature = { from = 0.1, to = 1, num = 20, scale = "log" }
views = [2, 3]
"""
SOLUTION = ("value", "gap", "lower_bound", "relative_gap", "cosine_residual", "rank", "cosine_min", "cosine_max")


def assert_same(one, two):
    """Equal to the last bit in every column except seconds."""
    assert list(one.columns) == list(two.columns)
    for name in one.columns:
        if name != "seconds":
            np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    for a, b in zip(one.cosines, two.cosines, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """SPEC solved in this process."""
    store = tmp_path_factory.mktemp("small") / "runs.db"
    assert gs.sweep(SPEC, store, workers=1).ok
    return gs.sweeps.load_sweep(store)


def test_every_point_is_what_solve_gives(small):
    assert len(small) == 40
    assert small.missing == 0
    assert set(small["quality"]) == {"certified"}
    expected = [(ratio, temperature) for ratio in SPEC["grid"]["ratio"] for temperature in np.geomspace(0.05, 1, 8)]
    np.testing.assert_allclose(np.stack([small["ratio"], small["temperature"]], axis=1), expected, rtol=1e-14)
    for i, (ratio, temperature) in enumerate(expected):
        counts = gs.long_tail_counts(6, 5000, ratio)
        solution = gs.solve(gs.SupCon(counts, temperature=temperature))
        assert small["value"][i] == pytest.approx(solution.value, rel=1e-9)
        assert small["rank"][i] == solution.rank
        assert small["collapsed"][i] == sum(map(len, solution.collapsed))
        assert small["head_tail"][i] == pytest.approx(solution.gram[0, -1], abs=1e-7)
        assert small["tail_tail"][i] == pytest.approx(solution.gram[-1, -2], abs=1e-7)
        off = solution.gram[~np.eye(6, dtype=bool)]
        assert small["cosine_min"][i] == pytest.approx(off.min(), abs=1e-7)
        assert small["cosine_max"][i] == pytest.approx(off.max(), abs=1e-7)
        assert small.counts[i].tolist() == counts.distinct.tolist()
        assert small.sizes[i].tolist() == counts.multiplicity.tolist()
        np.testing.assert_allclose(small.cosines[i], solution.orbits.cosines, atol=1e-7)


def test_a_collapse_is_counted(tmp_path):
    grid = {"temperature": [0.1, 1.0], "ratio": [2, 1000]}
    spec = {"objective": {"name": "gcl"}, "counts": {"majority": 1, "minority": 5}, "grid": grid}
    gs.sweep(spec, tmp_path / "a.db", workers=1)
    table = gs.sweeps.load_sweep(tmp_path / "a.db")
    assert table["collapsed"].tolist() == [0, 0, 0, 5]
    assert table["largest_group"].tolist() == [0, 0, 0, 5]
    assert table["tail_tail"][3] == pytest.approx(1)


def test_warm_starts_change_nothing_that_is_certified(small, tmp_path, monkeypatch):
    monkeypatch.setattr(chains, "start_after", lambda point, row: None)
    gs.sweep(SPEC, tmp_path / "cold.db", workers=1)
    cold = gs.sweeps.load_sweep(tmp_path / "cold.db")
    np.testing.assert_allclose(small["value"], cold["value"], rtol=1e-9)
    for one, two in zip(small.cosines, cold.cosines, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-7)


def test_packed_cosines_come_back_to_the_bit():
    matrix = np.random.default_rng(1).normal(size=(7, 7))
    matrix += matrix.T
    assert np.array_equal(chains.unpack_cosines(chains.pack_cosines(matrix)), matrix)


@contextlib.contextmanager
def loky():
    import loky

    pool = loky.get_reusable_executor(max_workers=2)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, kill_workers=True)


EXECUTORS = {"threads": lambda: ThreadPoolExecutor(2), "loky": loky}


@pytest.mark.parametrize("kind", EXECUTORS)
def test_any_executor_gives_the_same(small, tmp_path, kind):
    with EXECUTORS[kind]() as executor:
        states = []
        result = gs.sweep(SPEC, tmp_path / "a.db", executor=executor, progress=states.append)
        assert executor.submit(int, "3").result(timeout=60) == 3, "it is the caller's, and stays open"
    assert (result.points, result.certified, result.solved, result.ok) == (40, 40, 40, True)
    assert_same(gs.sweeps.load_sweep(tmp_path / "a.db"), small)
    assert (states[-1].done, states[-1].total, states[-1].failed) == (40, 40, 0)
    assert re.fullmatch(r"40 of 40 problems, \d+/s, 0 s left", str(states[-1]))


def test_spawned_processes_give_the_same(small, tmp_path):
    assert gs.sweep(SPEC, tmp_path / "a.db", workers=2).solved == 40
    assert_same(gs.sweeps.load_sweep(tmp_path / "a.db"), small)


class Counting(Executor):
    """Runs everything at once, counts problems, and fails when it is told to."""

    def __init__(self, fail_after=None):
        self.keys, self.fail_after, self.tasks = [], fail_after, 0

    def submit(self, function, task):
        future = Future()
        self.tasks += 1
        if self.fail_after is not None and self.tasks > self.fail_after:
            future.set_exception(RuntimeError("a worker died"))
            return future
        assert json.loads(json.dumps({k: v for k, v in task.items() if k != "start"})), "plain things only"
        future.set_result(function(task))
        self.keys += [row["key"] for row in future.result()]
        return future


def test_what_is_answered_is_not_handed_out_again(small, tmp_path, monkeypatch):
    monkeypatch.setattr("geomsolve.sweeps.running._SECONDS", 1e9)  # however busy the machine: a chain at a time
    store = tmp_path / "a.db"
    first = Counting(fail_after=1)
    with pytest.raises(
        gs.BackendError, match=r"the workers are lost \(RuntimeError: a worker died\); 16 of 40 answers"
    ):
        gs.sweep(SPEC, store, executor=first)
    second = Counting()
    assert gs.sweep(SPEC, store, executor=second).solved == 24
    assert len(first.keys) == 16
    assert len({*first.keys, *second.keys}) == len(first.keys + second.keys) == 40
    third = Counting(fail_after=0)
    assert gs.sweep(SPEC, store, executor=third).certified == 40
    assert third.tasks == 0
    assert_same(gs.sweeps.load_sweep(store), small)


def test_a_slow_chain_comes_back_in_parts(small, tmp_path, monkeypatch):
    monkeypatch.setattr("geomsolve.sweeps.running._SECONDS", 0.0)
    executor = Counting()
    gs.sweep(SPEC, tmp_path / "a.db", executor=executor)
    assert executor.tasks == 40
    assert_same(gs.sweeps.load_sweep(tmp_path / "a.db"), small)


def test_sweeps_share_a_store_and_answers(tmp_path):
    store = tmp_path / "a.db"
    gs.sweep(SPEC, store, workers=1)
    wider = SPEC | {"grid": SPEC["grid"] | {"ratio": [10, 100, 300]}}
    assert gs.sweep(wider, store, workers=1).solved == 8
    assert len(gs.sweeps.load_sweep(store)) == 24
    every = gs.sweeps.load_sweep(store, every=True)
    assert next(iter(every.columns)) == "sweep"
    assert np.bincount(every["sweep"].astype(int)).tolist() == [0, 40, 24]
    assert gs.sweep(SPEC, store, workers=1, tol=1e-8).solved == 40, "another tolerance is another problem"


def test_a_failed_point_is_recorded_and_does_not_stop_the_sweep(tmp_path, capsys):
    (tmp_path / "a.toml").write_text(TOML.replace("[grid]", '[grid]\nnormalization = ["mean", "sum"]'))
    code, out, _ = run(
        capsys, "sweep", tmp_path / "a.toml", "--store", tmp_path / "a.db", "--workers", "1", "--json", "-"
    )
    report = json.loads(out)
    assert code == 3
    assert (report["points"], report["certified"], report["failed"], report["uncertified"]) == (60, 45, 15, 0)
    assert report["reasons"] == [{"error": report["reasons"][0]["error"], "points": 15}]
    assert report["reasons"][0]["error"].startswith('normalization: "sum" has no limit')
    table = gs.sweeps.load_sweep(tmp_path / "a.db")
    failed = table["quality"] == "failed"
    assert np.array_equal(failed, (table["normalization"] == "sum") & np.isinf(table["negatives"]))
    assert np.array_equal(failed, table["error"] != "")
    assert np.isnan(table["value"][failed]).all()
    assert table.cosines[np.flatnonzero(failed)[0]].shape == (0, 0)
    code, out, _ = run(capsys, "export", tmp_path / "a.db", "--to", "csv", "--out", tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert {row["value"] == "" for row in rows if row["quality"] == "failed"} == {True}
    assert {row["rank"] for row in rows if row["quality"] == "certified"} <= {"1", "9"}


def test_counts_that_fail_only_together_are_recorded(tmp_path):
    counts, grid = (
        {"rule": "long_tail", "classes": 5},
        {"ratio": [10, 100], "largest": [50, 5000], "temperature": [0.5]},
    )
    result = gs.sweep({"objective": {"name": "supcon"}, "counts": counts, "grid": grid}, tmp_path / "a.db", workers=1)
    assert (result.certified, result.failed) == (3, 1)
    assert "leaves class" in result.reasons[0][0]


def test_an_exception_in_a_solver_is_a_failed_point(tmp_path, monkeypatch):
    def broken(objective, *arguments, **options):
        if objective.temperature == 0.5:
            raise FloatingPointError("too\nbad")
        return gs.solve(objective, *arguments, **options)

    monkeypatch.setattr(chains, "solve", broken)
    spec = {"objective": {"name": "supcon"}, "counts": {"values": [9, 5, 2]}, "grid": {"temperature": [0.3, 0.5, 0.7]}}
    result = gs.sweep(spec, tmp_path / "a.db", workers=1)
    assert (result.certified, result.failed) == (2, 1)
    assert result.reasons == (("FloatingPointError: too bad", 1),)


def test_an_answer_without_proof_is_no_success(tmp_path, capsys):
    spec = '[objective]\nname = "supcon"\n[counts]\nvalues = [1e5, 10, 10]\n[grid]\ntemperature = [0.001, 0.5]\n'
    (tmp_path / "a.toml").write_text(spec)
    code, out, _ = run(capsys, "sweep", tmp_path / "a.toml", "--store", tmp_path / "a.db", "--workers", "1")
    assert code == 3
    assert "not certified       1" in out
    table = gs.sweeps.load_sweep(tmp_path / "a.db")
    assert table["quality"].tolist() == ["uncertified", "certified"]
    assert table["error"][0].startswith("not certified: newton: ")


def test_below_the_rank_embeddings_have_a_value_and_a_gap(tmp_path):
    spec = {"objective": {"name": "supcon"}, "counts": {"values": [9, 5, 2, 2]}, "grid": {"dim": [1, 5]}}
    spec["objective"]["temperature"] = 0.5
    assert gs.sweep(spec, tmp_path / "a.db", workers=1).ok
    table = gs.sweeps.load_sweep(tmp_path / "a.db")
    assert table["embedding_value"][0] > table["value"][0]
    assert table["embedding_gap"][0] >= table["embedding_value"][0] - table["value"][0]
    assert table["embedding_value"][1] == pytest.approx(table["value"][1])


@pytest.mark.parametrize("to", ["csv", "npz", "parquet"])
def test_every_export_is_what_load_sweep_gives(tmp_path, small, capsys, to):
    store, out = tmp_path / "a.db", tmp_path / f"a.{to}"
    gs.sweep(SPEC, store, workers=1)
    code, _, err = run(capsys, "export", store, "--to", to, "--out", out)
    assert (code, err) == (0, "")
    table = gs.sweeps.load_sweep(store)
    if to == "csv":
        with out.open() as handle:
            names, *rows = csv.reader(handle)
        got = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    elif to == "npz":
        got = dict(np.load(out))
        for i in (0, 17, 39):
            start, end = got["cosines_start"][i : i + 2]
            np.testing.assert_array_equal(got["cosines"][start:end].reshape(table.cosines[i].shape), table.cosines[i])
            assert got["counts"][got["counts_start"][i]] == table.counts[i][0]
    else:
        import pyarrow.parquet

        got = pyarrow.parquet.read_table(out).to_pydict()
    assert list(got)[:5] == ["ratio", "temperature", "value", "gap", "quality"]
    for name, column in table.columns.items():
        if column.dtype.kind in "fi":
            values = [np.nan if value in ("", None) else float(value) for value in got[name]]
            np.testing.assert_array_equal(values, column)
        else:
            assert [value or "" for value in got[name]] == column.tolist()


def test_an_unfinished_sweep_can_be_exported(tmp_path, capsys):
    with pytest.raises(gs.BackendError):
        gs.sweep(SPEC, tmp_path / "a.db", executor=Counting(fail_after=1))
    code, out, err = run(capsys, "export", tmp_path / "a.db", "--to", "csv", "--out", tmp_path / "a.csv", "--json", "-")
    assert code == 0
    assert (json.loads(out)["rows"], json.loads(out)["missing"]) == (16, 24)
    assert "24 points have no answer yet" in err


BAD = {
    "unknown key": (["{tmp}/typo.toml", "--store", "{tmp}/a.db"], r"raito: \[grid\] has no such key"),
    "no spec": (["{tmp}/none.toml", "--store", "{tmp}/a.db"], r"spec: cannot read .*none.toml"),
    "no store": (["{tmp}/a.toml"], r"store: must be given"),
    "foreign store": (["{tmp}/a.toml", "--store", "{tmp}/a.toml"], r"store: .* cannot be used as a database"),
    "no workers": (
        ["{tmp}/a.toml", "--store", "{tmp}/a.db", "--workers", "0"],
        r"workers: must be .*at least 1; got 0",
    ),
    "both": (["{tmp}/a.toml", "--store", "{tmp}/a.db", "--workers", "1", "--dask", "x"], r"workers: give one of"),
    "tol": (["{tmp}/a.toml", "--store", "{tmp}/a.db", "--tol", "2"], r"tol: must be a number between 0 and 1"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_input_is_one_line_and_exit_2(capsys, tmp_path, fault):
    arguments, message = BAD[fault]
    (tmp_path / "a.toml").write_text(TOML)
    (tmp_path / "typo.toml").write_text(TOML.replace("ratio", "raito"))
    code, out, err = run(capsys, "sweep", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(message, err), err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/none.db", "--to", "csv", "--out", "{tmp}/a.csv"], r"store: .*none.db does not exist"),
        (["{tmp}/a.db", "--to", "xlsx", "--out", "{tmp}/a.xlsx"], r"to: must be one of csv, npz, parquet; got 'xlsx'"),
        (["{tmp}/a.db", "--to", "csv", "--out", "{tmp}/no/a.csv"], r"out: must be a path that can be written"),
        (["{tmp}/a.db", "--to", "csv", "--out", "{tmp}/a.db"], r"out: must not be the store itself"),
    ],
)
def test_a_bad_export_is_one_line_and_exit_2(capsys, tmp_path, arguments, message):
    gs.sweep(SPEC | {"grid": {"temperature": [0.5], "ratio": [2]}}, tmp_path / "a.db", workers=1)
    code, out, err = run(capsys, "export", *(argument.format(tmp=tmp_path) for argument in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(message, err), err
    assert not (tmp_path / "a.csv").exists()
    assert len(gs.sweeps.load_sweep(tmp_path / "a.db")) == 1


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(gs.BackendError, match=r"dask: is not installed; pip install '\.\[dask\]'"):
        gs.sweep(SPEC, tmp_path / "a.db", dask="tcp://127.0.0.1:8786")
    with pytest.raises(gs.BackendError, match=r"pip install '\.\[parquet\]'"):
        gs.sweeps.export_sweep(tmp_path / "a.db", tmp_path / "a.parquet", "parquet")


def test_an_interrupt_keeps_what_there_is_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    (tmp_path / "a.toml").write_text(TOML)
    solve_chain, calls = chains.solve_chain, []

    def interrupted(task):
        calls.append(task)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return solve_chain(task)

    monkeypatch.setattr("geomsolve.sweeps.running.solve_chain", interrupted)
    code, _, err = run(capsys, "sweep", tmp_path / "a.toml", "--store", tmp_path / "a.db", "--workers", "1")
    assert code == 130
    assert re.search(r"the answers so far are in .*a\.db; the same command goes on from there", err)
    assert len(gs.sweeps.load_sweep(tmp_path / "a.db")) == 16
    assert gs.sweep(tmp_path / "a.toml", tmp_path / "a.db", workers=1).solved == 14


def die(task):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr("geomsolve.sweeps.running.solve_chain", die)
    with pytest.raises(
        gs.BackendError, match=r"executor: the workers are lost \(BrokenProcessPool: .*goes on from there"
    ):
        gs.sweep(SPEC, tmp_path / "a.db", workers=2)
    monkeypatch.undo()
    assert gs.sweep(SPEC, tmp_path / "a.db", workers=1).solved == 40


def command(*arguments):
    return [sys.executable, "-W", "ignore", "-m", "geomsolve", *map(str, arguments)]


def answered(store):
    """Keys and times of every answer there is; one that is solved twice would have another time."""
    if not store.exists():
        return {}
    with contextlib.closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return dict(connection.execute("SELECT key, seconds FROM problems"))
        except sqlite3.OperationalError:  # killed before there was a table
            return {}


def kill_again_and_again(start, store, seed, kills=4):
    """Starts the sweep and kills it, at moments drawn from its progress and from its start-up."""
    rng = random.Random(seed)
    before = answered(store)
    for kill in range(kills):
        process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with process:
            if kill == 0:
                time.sleep(rng.uniform(0, 1))  # while it is starting, mostly
            else:
                enough, deadline = len(before) + rng.randint(1, 150), time.monotonic() + 60
                while len(answered(store)) < enough:
                    assert process.poll() is None, process.stderr.read()
                    assert time.monotonic() < deadline
                    time.sleep(rng.uniform(0, 0.02))
            assert process.poll() is None, "it must not end before it is killed"
            process.kill()
        now = answered(store)
        assert before.items() <= now.items(), "nothing is lost, and nothing is solved again"
        before = now
    return before


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    (folder / "a.toml").write_text(LARGE)
    assert gs.sweep(folder / "a.toml", folder / "a.db", workers=2).certified == 800
    return gs.sweeps.load_sweep(folder / "a.db")


def children(pid):
    """The processes whose parent is, or was when they were started, this one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_workers_of_a_killed_sweep_end_too(tmp_path):
    (tmp_path / "a.toml").write_text(LARGE)
    start = command("sweep", tmp_path / "a.toml", "--store", tmp_path / "a.db", "--workers", 2)
    with subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not answered(tmp_path / "a.db"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        workers = children(process.pid)
        process.kill()
    assert len(workers) >= 2
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "workers outlive their parent"
        time.sleep(0.05)


def test_killed_again_and_again_it_ends_equal_to_an_uninterrupted_one(tmp_path, uninterrupted):
    (tmp_path / "a.toml").write_text(LARGE)
    store = tmp_path / "a.db"
    done = kill_again_and_again(command("sweep", tmp_path / "a.toml", "--store", store, "--workers", 2), store, seed=1)
    result = gs.sweep(tmp_path / "a.toml", store, workers=1)
    assert result.certified == 800
    assert result.solved == 800 - len(done)
    assert_same(gs.sweeps.load_sweep(store), uninterrupted)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A dask scheduler and two workers, processes of their own on loopback."""
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("dask")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(gs.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    )
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "dask", *map(str, arguments)],
                cwd=folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)

        start("scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", folder / "s.json")
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, ValueError):
                address = json.loads((folder / "s.json").read_text())["address"]
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for _ in range(2):
            start("worker", address, "--nthreads", 1, "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        yield address


def test_dask_gives_the_same(small, tmp_path, capsys, cluster):
    assert gs.sweep(SPEC, tmp_path / "a.db", dask=cluster).certified == 40
    assert_same(gs.sweeps.load_sweep(tmp_path / "a.db"), small)


def test_killed_through_dask_it_ends_equal_too(tmp_path, uninterrupted, cluster):
    (tmp_path / "a.toml").write_text(LARGE)
    store = tmp_path / "a.db"
    start = command("sweep", tmp_path / "a.toml", "--store", store, "--dask", cluster)
    done = kill_again_and_again(start, store, seed=2, kills=2)
    last = subprocess.run(start, capture_output=True, text=True, timeout=120)
    assert last.returncode == 0, last.stderr
    assert len(done) < 800
    assert done.items() <= answered(store).items()
    assert_same(gs.sweeps.load_sweep(store), uninterrupted)


def test_a_dask_scheduler_that_does_not_answer(tmp_path, capsys, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("geomsolve.sweeps.executors._PATIENCE", 0.5)
    (tmp_path / "a.toml").write_text(TOML)
    for address in ("tcp://127.0.0.1:1", "nowhere", "ftp://127.0.0.1"):
        code, out, err = run(capsys, "sweep", tmp_path / "a.toml", "--store", tmp_path / "a.db", "--dask", address)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert f"dask: no scheduler answers at '{address}'" in err


def test_cores_are_at_least_one():
    assert cores() >= 1
