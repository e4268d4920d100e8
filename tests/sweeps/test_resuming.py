"""Sweeps on any executor, interrupted and killed at any moment: nothing is lost, solved twice or different."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import refuses, run
from sweep_problems import LARGE, SPEC, TOML, Counting, assert_same

import geomsolve as gs
from geomsolve.sweeps import chains


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
    assert re.fullmatch(r"█{20} 40 of 40 problems, \d+/s, 0 s left", states[-1])


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


def test_an_interrupt_keeps_what_there_is_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("geomsolve.sweeps.running._SECONDS", 1e9)  # however busy the machine: a chain at a time
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


def children(pid):
    """The processes whose parent is, or was when they were started, this one."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(entry)
    return found


def wait_until(done, process=None):
    deadline = time.monotonic() + 300
    while not done():
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def killed(start, store, after, workers=0):
    """Starts the sweep and kills it at a moment after so many answers, with whatever it has started; its answers."""
    before = answered(store)
    with subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_until(lambda: store.exists() and len(answered(store)) >= len(before) + after, process)
        started = children(process.pid)
        assert process.poll() is None, "it must not end before it is killed"
        process.kill()
    now = answered(store)
    assert before.items() <= now.items(), "nothing is lost, and nothing is solved again"
    if sys.platform == "linux":
        assert len(started) >= workers
        wait_until(lambda: not any(map(Path.exists, started)))
    return now


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    (folder / "a.toml").write_text(LARGE)
    assert gs.sweep(folder / "a.toml", folder / "a.db", workers=1).certified == 400
    return gs.sweeps.load_sweep(folder / "a.db")


def test_killed_again_and_again_it_ends_equal_to_an_uninterrupted_one(tmp_path, uninterrupted):
    """And its spawned workers end with it."""
    (tmp_path / "a.toml").write_text(LARGE)
    store = tmp_path / "a.db"
    start = command("sweep", tmp_path / "a.toml", "--store", store, "--workers", 2)
    killed(start, store, 0)  # as soon as there is a file
    done = killed(start, store, 70, workers=2)
    result = gs.sweep(tmp_path / "a.toml", store, workers=1)
    assert result.certified == 400
    assert result.solved == 400 - len(done)
    assert_same(gs.sweeps.load_sweep(store), uninterrupted)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A dask scheduler and a worker, processes of their own on loopback."""
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
        deadline = time.monotonic() + 300
        while True:
            with contextlib.suppress(OSError, ValueError):
                address = json.loads((folder / "s.json").read_text())["address"]
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        start("worker", address, "--nthreads", 1, "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        yield address


def test_killed_through_dask_it_ends_equal_too(tmp_path, uninterrupted, cluster):
    (tmp_path / "a.toml").write_text(LARGE)
    store = tmp_path / "a.db"
    start = command("sweep", tmp_path / "a.toml", "--store", store, "--dask", cluster)
    done = killed(start, store, 50)
    last = subprocess.run(start, capture_output=True, text=True, timeout=120)
    assert last.returncode == 0, last.stderr
    assert len(done) < 400
    assert done.items() <= answered(store).items()
    assert_same(gs.sweeps.load_sweep(store), uninterrupted)


def test_a_dask_scheduler_that_does_not_answer(tmp_path, capsys, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("geomsolve.sweeps.executors._PATIENCE", 0.5)
    (tmp_path / "a.toml").write_text(TOML)
    for address in ("tcp://127.0.0.1:1", "nowhere", "ftp://127.0.0.1"):
        start = ["sweep", tmp_path / "a.toml", "--store", tmp_path / "a.db", "--dask", address]
        refuses(capsys, start, f"dask: no scheduler answers at '{address}'")
