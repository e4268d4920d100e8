"""The journal of sweeps: one sqlite file that outlives any kill, and that one process at a time writes to."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ..errors import ProblemError

_APPLICATION = 0x67656F6D  # "geom", in the file's header
_SCHEMA = 2
# What is known of a solved problem, in the order of exports; the cosines apart. Four are whole numbers.
WHOLE = ("classes", "rank", "collapsed", "largest_group")
RESULTS: tuple[str, ...] = ("value", "gap", "quality", "lower_bound", "relative_gap", "cosine_residual", "solver")
RESULTS += ("seconds", *WHOLE, "cosine_min", "cosine_max", "head_tail", "tail_tail")
RESULTS += ("embedding_value", "embedding_gap", "error")
_MAKING = (
    f"CREATE TABLE problems (key TEXT PRIMARY KEY, statement TEXT, counts TEXT, {', '.join(RESULTS)}, cosines BLOB)",
    "CREATE TABLE points (position INTEGER PRIMARY KEY, key TEXT, settings TEXT)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_SCHEMA}",
)


class Journal:
    """An open journal. Made by `writing` and `reading`; every method that writes commits before it returns."""

    def __init__(self, connection: sqlite3.Connection, path: Path):
        self.path = path
        self._connection = connection

    def begin(self, points: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Enter the points of a sweep, keys and settings, in place of those of the one before; answers stay."""
        rows = ((i, key, json.dumps(settings)) for i, (key, settings) in enumerate(points))
        with self._connection as connection:
            connection.execute("DELETE FROM points")
            connection.executemany("INSERT INTO points VALUES (?, ?, ?)", rows)

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Commit answers: key, statement, counts, RESULTS and cosines. An answer is never overwritten."""
        names = ("key", "statement", "counts", *RESULTS, "cosines")
        with self._connection as connection:
            values = ([row.get(name) for name in names] for row in rows)
            connection.executemany(f"INSERT INTO problems VALUES ({', '.join('?' * len(names))})", values)

    def answered(self) -> set[str]:
        """The keys of points that have an answer."""
        return {key for (key,) in self._query("SELECT DISTINCT key FROM points JOIN problems USING (key)")}

    def geometry(self, key: str) -> tuple[str, bytes] | None:
        """The counts (as text) and cosines of a certified answer, where they are kept."""
        certified = "quality = 'certified' AND cosines IS NOT NULL"
        found = self._query(f"SELECT counts, cosines FROM problems WHERE key = ? AND {certified}", key)
        return found[0] if found else None

    def outcomes(self) -> list[tuple[str, str, int]]:
        """Quality and error of the points with an answer, and how many have them; the commonest first."""
        grouped = "GROUP BY quality, error ORDER BY 3 DESC"
        return self._query(f"SELECT quality, error, COUNT(*) FROM points JOIN problems USING (key) {grouped}")

    def answers(self) -> Iterator[tuple[dict[str, Any], str | None, bytes | None]]:
        """Settings with RESULTS, counts (as text; None: no answer yet) and cosines of every point, in order."""
        names = ", ".join(RESULTS)
        text = f"SELECT settings, counts, cosines, {names} FROM points LEFT JOIN problems USING (key) ORDER BY position"
        for settings, counts, cosines, *values in self._connection.execute(text):
            given = json.loads(settings)
            yield given | dict(zip(RESULTS, values, strict=True)) | given, counts, cosines

    def _query(self, text: str, *values: Any) -> list[Any]:
        return self._connection.execute(text, values).fetchall()


@contextmanager
def writing(path: Path) -> Iterator[Journal]:
    """The journal in that file, made if it is not there, for the one process that may write to it."""
    if path.is_dir() or not path.parent.is_dir():
        what = "a file, and this is a folder" if path.is_dir() else "in a folder that exists"
        raise ProblemError(f"store: must be {what}; got {path}")
    with _complaining(path), _locked(path), closing(_connect(path, "rwc")) as connection:
        if _is_new(connection, path):
            connection.execute("PRAGMA journal_mode = WAL")
            with connection:
                connection.execute("BEGIN IMMEDIATE")  # all of it or nothing, whenever the process is killed
                for statement in _MAKING:
                    connection.execute(statement)
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
    address = f"{path.resolve().as_uri()}?mode={mode}"
    return sqlite3.connect(address, uri=True, isolation_level="IMMEDIATE", timeout=patience)


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
            f"store: {path} is of schema {schema}, and this geomsolve knows {_SCHEMA}; use the geomsolve that made it, "
            "or another file"
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
    with closing(_connect(path.with_name(path.name + ".lock"), "rwc", 0.0)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise ProblemError(
                f"store: another sweep is writing to {path}; wait for it, or give this one a store of its own"
            ) from None
        yield
