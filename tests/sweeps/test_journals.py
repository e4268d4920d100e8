import os
import sqlite3
import subprocess
import sys

import pytest

import geomsolve as gs
from geomsolve.sweeps.journals import RESULTS, reading, writing

POINTS, COUNTS = (("a", {"ratio": 1}), ("b", {"ratio": 2})), "[[2.0], [3.0]]"
ROW = {"key": "a", "statement": "{}", "counts": COUNTS, "quality": "certified", "value": 1.5, "cosines": b"12345678"}


def test_what_is_added_is_there_when_the_file_is_opened_again_and_is_never_overwritten(tmp_path):
    with writing(tmp_path / "a.db") as journal:
        journal.begin(POINTS)
        assert journal.answered() == set()
        journal.add([ROW])
    with writing(tmp_path / "a.db") as journal:
        journal.begin(POINTS)
        assert journal.geometry("a") == (COUNTS, b"12345678")
        journal.add([ROW | {"key": "c", "quality": "uncertified"}])
        assert journal.geometry("c") is None, "not proved, no start for its neighbour"
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            journal.add([ROW | {"key": "b"}, ROW | {"value": 2.5}])
    with writing(tmp_path / "a.db") as journal:
        journal.begin(POINTS)
        assert journal.answered() == {"a"}, "all of a commit or nothing"
        assert journal.outcomes() == [("certified", None, 1)]
    with reading(tmp_path / "a.db") as journal:
        (row, counts, cosines), missing = journal.answers()
        assert (row["ratio"], counts, cosines) == (1, COUNTS, b"12345678")
        assert row["value"] == 1.5
        assert tuple(row) == ("ratio", *RESULTS)
        assert missing == ({"ratio": 2} | dict.fromkeys(RESULTS), None, None)


def make(path, *statements):
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


UNUSABLE = {
    "text": (
        lambda path: path.write_text("ratio,value\n" * 200),
        r"^store: .*a\.db cannot be used as a database .*not a database",
    ),
    "foreign": (lambda path: make(path, "CREATE TABLE t (a)"), "a database of something else, and stays as it is"),
    "foreign id": (lambda path: make(path, "PRAGMA application_id = 7", "CREATE TABLE t (a)"), "of something else"),
    "newer": (
        lambda path: make(path, "PRAGMA application_id = 1734700909", "PRAGMA user_version = 99", "CREATE TABLE t (a)"),
        "is of schema 99, and this geomsolve knows 2",
    ),
    "folder": (lambda path: path.mkdir(), "store: (must be a file, and this is a folder|.* does not exist)"),
}


@pytest.mark.parametrize("opening", [writing, reading])
@pytest.mark.parametrize("fault", UNUSABLE)
def test_a_file_that_is_none_of_ours_stays_as_it_is(tmp_path, fault, opening):
    path = tmp_path / "a.db"
    spoil, message = UNUSABLE[fault]
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(gs.ProblemError, match=message), opening(path):
        pass
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_truncated_file_is_a_clear_error(tmp_path):
    path = tmp_path / "a.db"
    with writing(path) as journal:
        journal.begin(POINTS)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(gs.ProblemError, match="cannot be used as a database"), writing(path) as journal:
        journal.begin(POINTS)


def test_a_new_file_may_be_empty_and_its_folder_must_be_there(tmp_path):
    (tmp_path / "empty.db").touch()
    with pytest.raises(gs.ProblemError, match="is empty: no sweep has been entered"), reading(tmp_path / "empty.db"):
        pass
    with writing(tmp_path / "empty.db") as journal:
        journal.begin(POINTS)
    with pytest.raises(gs.ProblemError, match="store: must be in a folder that exists"), writing(tmp_path / "no" / "a"):
        pass
    with pytest.raises(gs.ProblemError, match=r"store: .*none.db does not exist"), reading(tmp_path / "none.db"):
        pass


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    with writing(tmp_path / "a.db") as journal:
        journal.begin(POINTS)
    (tmp_path / "a.db").chmod(0)
    for opening in (writing, reading):
        with pytest.raises(gs.ProblemError, match=r"store: .*a\.db"), opening(tmp_path / "a.db"):
            pass


def test_one_writes_and_others_may_read(tmp_path):
    path = tmp_path / "a.db"
    with writing(path) as journal:
        journal.begin(POINTS)
        with pytest.raises(gs.ProblemError, match="store: another sweep is writing to"), writing(path):
            pass
        with reading(path) as reader:
            journal.add([ROW])
            assert sum(counts is not None for _, counts, _ in reader.answers()) == 1
    with writing(path):
        pass


def test_the_lock_dies_with_its_process(tmp_path):
    path = tmp_path / "a.db"
    code = (
        "import pathlib, sys\nfrom geomsolve.sweeps.journals import writing\n"
        "with writing(pathlib.Path(sys.argv[1])):\n    print('open', flush=True)\n    sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(gs.ProblemError, match="another sweep is writing"), writing(path):
            pass
        holder.kill()
        holder.wait()
        with writing(path) as journal:
            journal.begin(POINTS)
