"""The journal of sweeps: one sqlite file that outlives any kill, and that one process at a time writes to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import ProblemError

_APPLICATION = 0x67656F6D  # "geom", in the file's header
_SCHEMA = 1
# What is known of a solved problem, in the order of exports; the cosines apart.
RESULTS = {
    "value": "REAL",
    "gap": "REAL",
    "quality": "TEXT",
    "lower_bound": "REAL",
    "relative_gap": "REAL",
    "cosine_residual": "REAL",
    "solver": "TEXT",
    "seconds": "REAL",
    "classes": "INTEGER",
    "rank": "INTEGER",
    "collapsed": "INTEGER",
    "largest_group": "INTEGER",
    "cosine_min": "REAL",
    "cosine_max": "REAL",
    "head_tail": "REAL",
    "tail_tail": "REAL",
    "embedding_value": "REAL",
    "embedding_gap": "REAL",
    "error": "TEXT",
}
_TABLES = (
    "CREATE TABLE counts (digest TEXT PRIMARY KEY, counts TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE problems (key TEXT PRIMARY KEY, statement TEXT NOT NULL, counts TEXT NOT NULL, "
    + ", ".join(f"{name} {kind}" for name, kind in RESULTS.items())
    + ", cosines BLOB)",
    "CREATE TABLE sweeps (id INTEGER PRIMARY KEY, digest TEXT UNIQUE NOT NULL, axes TEXT NOT NULL, "
    "fixed TEXT NOT NULL, tol REAL NOT NULL, started TEXT)",
    "CREATE TABLE points (sweep INTEGER NOT NULL, position INTEGER NOT NULL, key TEXT NOT NULL, "
    "settings TEXT NOT NULL, PRIMARY KEY (sweep, position)) WITHOUT ROWID",
)
# The points of one sweep with their answers, where there are any.
_ANSWERED = "FROM points JOIN problems USING (key) WHERE sweep = ?"


class Journal:
    """An open journal. Made by `writing` and `reading`; every method that writes commits before it returns."""

    def __init__(self, connection: sqlite3.Connection, path: Path):
        self.path = path
        self._connection = connection
        self.sweep = 0

    def begin(
        self,
        digest: str,
        settings: tuple[Mapping[str, Sequence[Any]], Mapping[str, Any], float],
        points: Iterable[tuple[str, Mapping[str, Any]]],
        counts: Mapping[str, str],
    ) -> None:
        """Enter a sweep by its hash, unless it is there already, and that it runs now.

        `settings` are the axes of the grid, what is the same at every point, and the tolerance; `points` are keys and
        settings in order, `counts` the texts of all counts by digest.
        """
        axes, fixed, tol = settings
        with self._transaction() as cursor:
            values = (digest, json.dumps(dict(axes)), json.dumps(dict(fixed), default=str), tol)
            cursor.execute("INSERT OR IGNORE INTO sweeps (digest, axes, fixed, tol) VALUES (?, ?, ?, ?)", values)
            entered = cursor.rowcount > 0
            cursor.execute("UPDATE sweeps SET started = ? WHERE digest = ?", (datetime.now(UTC).isoformat(), digest))
            (self.sweep,) = cursor.execute("SELECT id FROM sweeps WHERE digest = ?", (digest,)).fetchone()
            if entered:
                rows = ((self.sweep, i, key, json.dumps(settings)) for i, (key, settings) in enumerate(points))
                cursor.executemany("INSERT INTO points VALUES (?, ?, ?, ?)", rows)
                cursor.executemany("INSERT OR IGNORE INTO counts VALUES (?, ?)", counts.items())

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Commit answers: key, statement, counts (a digest), cosines, and RESULTS. An answer is never overwritten."""
        names = ("key", "statement", "counts", "cosines", *RESULTS)
        holes = ", ".join("?" * len(names))
        with self._transaction() as cursor:
            values = ([row.get(name) for name in names] for row in rows)
            cursor.executemany(f"INSERT INTO problems ({', '.join(names)}) VALUES ({holes})", values)

    def answered(self) -> set[str]:
        """The keys of this sweep that have an answer."""
        return {key for (key,) in self._query(f"SELECT DISTINCT key {_ANSWERED}", self.sweep)}

    def geometry(self, key: str) -> tuple[str, bytes] | None:
        """The counts (as text) and cosines of a certified answer, where they are kept."""
        found = self._query(
            "SELECT counts.counts, cosines FROM problems JOIN counts ON counts.digest = problems.counts "
            "WHERE key = ? AND quality = 'certified' AND cosines IS NOT NULL",
            key,
        )
        return found[0] if found else None

    def tally(self) -> dict[str, int]:
        """How many points of this sweep are of which quality."""
        return dict(self._query(f"SELECT quality, COUNT(*) {_ANSWERED} GROUP BY quality", self.sweep))

    def reasons(self, most: int) -> list[tuple[str, int]]:
        """The commonest reasons for which points are not certified, and how often each."""
        return self._query(
            f"SELECT error, COUNT(*) {_ANSWERED} AND quality != 'certified' GROUP BY error ORDER BY 2 DESC LIMIT ?",
            self.sweep,
            most,
        )

    def sweeps(self) -> list[tuple[int, list[str], int]]:
        """Every sweep, the one that ran last in front: id, names of axes, number of points."""
        rows = self._query(
            "SELECT id, axes, (SELECT COUNT(*) FROM points WHERE sweep = id) FROM sweeps ORDER BY started DESC"
        )
        return [(sweep, list(json.loads(axes)), count) for sweep, axes, count in rows]

    def answers(self, sweep: int) -> Iterator[tuple[dict[str, Any], dict[str, Any], str, bytes | None]]:
        """The grid's settings, RESULTS, counts (as text) and cosines of every answered point, in order."""
        names = ", ".join(RESULTS)
        rows = self._connection.execute(
            "SELECT settings, (SELECT counts FROM counts WHERE digest = problems.counts), cosines, "
            f"{names} {_ANSWERED} ORDER BY position",
            (sweep,),
        )
        for settings, counts, cosines, *values in rows:
            yield json.loads(settings), dict(zip(RESULTS, values, strict=True)), counts, cosines

    def _query(self, text: str, *values: Any) -> list[Any]:
        return self._connection.execute(text, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        cursor = self._connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            yield cursor
        except BaseException:
            cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")


@contextmanager
def writing(path: Path) -> Iterator[Journal]:
    """The journal in that file, made if it is not there, for the one process that may write to it."""
    if path.is_dir() or not path.parent.is_dir():
        what = "a file, and this is a folder" if path.is_dir() else "in a folder that exists"
        raise ProblemError(f"store: must be {what}; got {path}")
    with _locked(path), _complaining(path), closing(_connect(path, "rwc")) as connection:
        if _is_new(connection, path):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")  # all of it or nothing, whenever the process is killed
            for table in _TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA application_id = {_APPLICATION}")
            connection.execute(f"PRAGMA user_version = {_SCHEMA}")
            connection.execute("COMMIT")
        # Commits survive the death of the process; that of the machine may cost the last ones, never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        yield Journal(connection, path)


@contextmanager
def reading(path: Path) -> Iterator[Journal]:
    """The journal in that file, which a sweep may be writing to meanwhile."""
    if not path.is_file():
        raise ProblemError(f"store: {path} does not exist (geomsolve sweep SPEC.toml --store {path} makes it)")
    with _complaining(path), closing(_connect(path, "ro")) as connection:
        if _is_new(connection, path):
            raise ProblemError(f"store: {path} is empty: no sweep has been entered")
        yield Journal(connection, path)


def _connect(path: Path, mode: str, patience: float = 10.0) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=patience)


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether nothing is in the file yet; a ProblemError unless what there is, is ours."""
    what = ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
    application, schema, tables = (connection.execute(text).fetchone()[0] for text in what)
    if (application, schema, tables) == (0, 0, 0):
        return True
    if application != _APPLICATION:
        raise ProblemError(f"store: {path} is a database of something else, and stays as it is; name another file")
    if schema != _SCHEMA:
        raise ProblemError(
            f"store: {path} is of schema {schema}, and this geomsolve knows {_SCHEMA}; use the geomsolve that made it "
            "or a newer one"
        )
    return False


@contextmanager
def _complaining(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise ProblemError(f"store: {path} cannot be used as a database of sweeps: {error}") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A lock that dies with the process. Not on the database itself, whose own locks that would disturb."""
    with _complaining(path), closing(_connect(path.with_name(path.name + ".lock"), "rwc", 0.0)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise ProblemError(
                f"store: another sweep is writing to {path}; wait for it, or give this one a store of its own"
            ) from None
        yield
