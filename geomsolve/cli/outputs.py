"""Where the results of a command go, and its progress."""

import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Progress
from ..figures.style import check_suffix
from ..files import check_file, make_folder
from ..results import Result
from ..text import dumps
from .app import code

# Seconds between two lines of progress where stderr is no terminal.
_PATIENCE = 10.0


@dataclass(frozen=True)
class Outputs:
    """Where results go: JSON to a file or (-) alone to stdout, a picture, and a record in the folder `out`.

    Making one checks that all of it can be written, before any long computation. `folder` is the option that gives the
    folder, for messages.
    """

    json: str | None = None
    plot: Path | None = None
    out: Path | None = None
    record: str = "solution.json"
    folder: str = "out"

    def __post_init__(self) -> None:
        if self.plot is not None:
            check_suffix(self.plot)
            check_file("plot", self.plot)
        if self.json not in (None, "-"):
            check_file("json", Path(str(self.json)))
        if self.out is not None:
            make_folder(self.folder, self.out)
            check_file(self.folder, self.out / self.record)

    def tell(self, found: Result, files: Sequence[Path] = ()) -> int:
        """Emit what the result says of itself; the exit code it deserves."""
        self.emit(found.to_dict(), found.lines(), files)
        return code(found.ok)

    def emit(self, report: Mapping[str, Any], lines: Sequence[str], files: Sequence[Path] = ()) -> None:
        """The report as JSON where that was asked for, and lines for people unless stdout is for JSON alone.

        `files` were written before, besides the picture; the record in the folder `out` is written here.
        """
        written = [str(file) for file in dict.fromkeys([*([] if self.plot is None else [self.plot]), *files])]
        if self.out is not None:
            written.append(str(self.out / self.record))
        report = {**report, "files": written} if written else dict(report)
        for place in (None if self.out is None else self.out / self.record, self.json):
            if place not in (None, "-"):
                Path(str(place)).write_text(dumps(report) + "\n", encoding="utf-8")
        print(dumps(report) if self.json == "-" else "\n".join([*lines, *(f"  wrote {file}" for file in written)]))

    def save(self, arrays: Mapping[str, Any], archive: str | None = None) -> list[Path]:
        """Write each array to a .npy file in the folder `out`, or all to one archive; the names of the files."""
        if self.out is None:
            return []
        if archive is not None:
            np.savez(self.out / f"{archive}.npz", allow_pickle=False, **arrays)
            return [self.out / f"{archive}.npz"]
        for name, array in arrays.items():
            np.save(self.out / f"{name}.npy", array, allow_pickle=False)
        return [self.out / f"{name}.npy" for name in arrays]


@contextmanager
def reporting() -> Iterator[Progress]:
    """A callable for lines of progress: a spinner on stderr in a terminal, else a line every ten seconds."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.markup import escape

        with Console(stderr=True).status("working") as status:
            yield lambda line: status.update(escape(line))
        return
    latest, done, start = ["working"], threading.Event(), time.monotonic()

    def tell() -> None:
        # In a thread of its own: what runs long may never call back.
        while not done.wait(_PATIENCE):
            print(f"geomsolve: {latest[0]} ({time.monotonic() - start:.0f} s)", file=sys.stderr, flush=True)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield lambda line: latest.__setitem__(0, line)
    finally:
        done.set()
        thread.join()
