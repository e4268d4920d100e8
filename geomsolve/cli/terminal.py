"""Where the results of a command go, and its progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ProblemError
from ..files import check_file

if TYPE_CHECKING:
    from ..arrays import Progress


@dataclass(frozen=True)
class Outputs:
    """Where results go. Making one checks that all of it can be written, before any long computation.

    Raises:
        ProblemError: a picture of unknown kind, or a path that cannot be written.
    """

    json: str | None = None
    plot: Path | None = None
    out: Path | None = None

    def __post_init__(self) -> None:
        if self.plot is not None:
            from ..figures.style import check_suffix

            check_suffix(self.plot)
            check_file("plot", self.plot)
        if self.json not in (None, "-"):
            check_file("json", Path(str(self.json)))
        if self.out is not None:
            try:
                self.out.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ProblemError(
                    f"out: must be a folder that can be made; got {self.out} ({error.strerror})"
                ) from None
            check_file("out", self.out / "solution.json")

    @property
    def quiet(self) -> bool:
        """Whether stdout is for JSON alone."""
        return self.json == "-"

    def emit(self, report: dict[str, Any], text: Callable[[], str]) -> None:
        """The report as JSON where that was asked for, and for people unless stdout is for JSON alone."""
        from .reports.basics import dumps

        if self.json == "-":
            print(dumps(report))
            return
        if self.json is not None:
            Path(self.json).write_text(dumps(report) + "\n", encoding="utf-8")
        print(text())


@contextmanager
def reporting() -> Iterator[Progress]:
    """A callable for lines of progress: a spinner on stderr in a terminal, else a line after each ten seconds."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.markup import escape

        with Console(stderr=True).status("working") as status:
            yield lambda line: status.update(escape(line))
        return
    due = time.monotonic() + 10.0

    def report(line: str) -> None:
        nonlocal due
        if time.monotonic() >= due:
            print(f"geomsolve: {line}", file=sys.stderr)
            due = time.monotonic() + 10.0

    yield report
