"""What a journal holds, as columns: in memory, or as a file of another format."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ProblemError
from ..lazy import package
from ..objectives.rows.full_batch import check_word
from ..results import Result
from ..text import table as columns_of
from .chains import read_counts, unpack_cosines
from .journals import RESULTS, WHOLE, reading

# Of a table that is printed.
_MOST_ROWS = 30
_MOST_COLUMNS = 8


class SweepTable(Result):
    """The answered points of a sweep, one row each.

    Attributes:
        columns: the grid's names, then value, lower_bound, gap, quality and so on; every one an array. Numbers that
            there are none of are NaN, in columns of whole numbers too.
        cosines: per row the (K, K) cosines between classes of the K distinct counts, largest first, as in
            `Solution.orbits`; 0 x 0 where they are not kept (failed points, more than 200 distinct counts).
        counts: per row the K distinct counts.
        sizes: per row how many classes have each of them.
        missing: points of the grid that have no answer yet.
    """

    def __init__(self, points: list[tuple[dict[str, Any], str | None, bytes | None]]):
        rows = [(row, read_counts(counts), packed) for row, counts, packed in points if counts is not None]
        names = list(points[0][0]) if points else RESULTS
        self.columns = {name: _array([row[name] for row, *_ in rows]) for name in names}
        self.cosines = tuple(np.empty((0, 0)) if packed is None else unpack_cosines(packed) for *_, packed in rows)
        self.counts = tuple(counts.distinct for _, counts, _ in rows)
        self.sizes = tuple(counts.multiplicity for _, counts, _ in rows)
        self.missing = len(points) - len(rows)

    def __len__(self) -> int:
        return len(self.cosines)

    @property
    def ok(self) -> bool:
        """Whether every point has an answer."""
        return not self.missing

    @property
    def summary(self) -> str:
        """How many points there are, and the columns."""
        return f"{len(self)} points, {self.missing} missing; columns {', '.join(self.columns)}"

    def to_dict(self) -> dict[str, Any]:
        """The columns, each a list."""
        return {"points": len(self), "missing": self.missing, "columns": dict(self.columns)}

    def lines(self) -> list[str]:
        """The first points as a table."""
        names = [name for name in self.columns if name not in ("seconds", "error")][:_MOST_COLUMNS]
        shown = [self[name][:_MOST_ROWS] for name in names]
        cells = [[f"{value:.10g}" if column.dtype.kind == "f" else str(value) for value in column] for column in shown]
        rows = columns_of([tuple(names), *zip(*cells, strict=True)])
        more = [] if len(self) <= _MOST_ROWS else [f"  ... {len(self) - _MOST_ROWS} more points"]
        return [f"{len(self)} points, {self.missing} missing", "", *(f"  {row}" for row in rows), *more]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]


def load_sweep(store: str | Path) -> SweepTable:
    """The answers that a store has to the sweep that ran last, as arrays; a sweep may be writing to it meanwhile.

    Raises:
        ProblemError: a store that is missing, empty, or none of ours.
    """
    with reading(Path(store)) as journal:
        return SweepTable(list(journal.answers()))


def _array(values: list[Any]) -> NDArray[Any]:
    if any(isinstance(value, str) for value in values):
        return np.array(["" if value is None else str(value) for value in values])
    if values and all(isinstance(value, int) for value in values):
        return np.array(values, dtype=np.int64)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def export_sweep(store: str | Path, target: str | Path, to: str) -> SweepTable:
    """Writes `load_sweep(store)` to a file, and returns it. The file appears whole or not at all.

    Args:
        store: the journal.
        target: the file to write.
        to: "csv", "npz" (NumPy) or "parquet".

    Raises:
        ProblemError: an unknown format, or a store that `load_sweep` refuses.
        BackendError: parquet without pyarrow.
    """
    check_word("to", to, tuple(_WRITERS))
    target = Path(target)
    if target.resolve() == Path(store).resolve():
        raise ProblemError(f"out: must not be the store itself; got {target}")
    table = load_sweep(store)
    draft = target.with_name(f".{target.name}.part")
    try:
        _WRITERS[to](table, draft)
        os.replace(draft, target)
    except OSError as error:
        raise ProblemError(f"out: must be a path that can be written; got {target} ({error.strerror})") from None
    finally:
        draft.unlink(missing_ok=True)
    return table


def _cells(table: SweepTable) -> dict[str, list[Any]]:
    """The columns as Python values, None for NaN."""
    cells = {}
    for name, column in table.columns.items():
        kind = int if name in WHOLE else lambda value: value
        cells[name] = [None if value != value else kind(value) for value in column.tolist()]
    return cells


def _write_csv(table: SweepTable, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(table.columns)
        writer.writerows(zip(*_cells(table).values(), strict=True))


def _write_npz(table: SweepTable, path: Path) -> None:
    with path.open("wb") as handle:
        np.savez_compressed(handle, **table.columns)  # type: ignore[arg-type, unused-ignore]


def _write_parquet(table: SweepTable, path: Path) -> None:
    missing = "to: parquet needs pyarrow; pip install '.[parquet]', or write csv or npz"
    parquet, pyarrow = package("pyarrow.parquet", missing), package("pyarrow", missing)
    parquet.write_table(pyarrow.table(_cells(table)), path)


_WRITERS = {"csv": _write_csv, "npz": _write_npz, "parquet": _write_parquet}
