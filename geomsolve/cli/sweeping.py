"""Verbs of many problems: sweep a grid into a store, export what a store has."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..files import check_file
from .app import NOT_CERTIFIED, OK, app
from .options import JsonOption, TolOption
from .terminal import Outputs, reporting

if TYPE_CHECKING:
    from ..sweeps.running import SweepProgress


@app.command()
def sweep(
    spec: Annotated[
        Path, typer.Argument(help="A TOML file with the tables objective, counts and grid.", show_default=False)
    ],
    *,
    store: Annotated[Path, typer.Option(help="The journal; the same command again goes on where it was stopped.")],
    workers: Annotated[
        int | None, typer.Option(help="Processes to spawn (one a core); 1 works in this process.", show_default=False)
    ] = None,
    dask: Annotated[
        str | None, typer.Option(help="Instead: a dask scheduler, such as tcp://127.0.0.1:8786.", show_default=False)
    ] = None,
    tol: TolOption = 1e-9,
    json: JsonOption = None,
) -> int:
    """Solve every point of a grid, resumably."""
    from ..sweeps.running import sweep as run_sweep
    from .reports.sweeps import sweep_report, sweep_text

    outputs = Outputs(json)
    try:
        with _bar() as progress:
            result = run_sweep(spec, store, workers=workers, dask=dask, progress=progress, tol=tol)
    except KeyboardInterrupt:
        print(f"geomsolve: the answers so far are in {store}; the same command goes on from there", file=sys.stderr)
        raise
    outputs.emit(sweep_report(result), lambda: sweep_text(result))
    return OK if result.ok else NOT_CERTIFIED


@contextmanager
def _bar() -> Iterator[Callable[[SweepProgress], None]]:
    """A bar with rate and time left on stderr in a terminal, else a line after each ten seconds."""
    if not sys.stderr.isatty():
        with reporting() as report:
            yield lambda state: report(str(state))
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (BarColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting")
        yield lambda state: bar.update(task, total=state.total, completed=state.done, description=str(state))


@app.command()
def export(
    store: Annotated[Path, typer.Argument(help="A store that a sweep has written.", show_default=False)],
    *,
    to: Annotated[str, typer.Option(help="csv, npz or parquet.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    every: Annotated[
        bool, typer.Option("--all", help="All sweeps of the store, not only the one that ran last.")
    ] = False,
    json: JsonOption = None,
) -> int:
    """Write the answers of a sweep to one table."""
    from ..sweeps.tables import export_sweep

    outputs = Outputs(json)
    check_file("out", out)
    table = export_sweep(store, out, to, every=every)
    if table.missing:
        print(f"geomsolve: {table.missing} points have no answer yet and are left out", file=sys.stderr)
    report = {"store": str(store), "out": str(out), "to": to, "rows": len(table), "missing": table.missing}
    outputs.emit({**report, "columns": list(table.columns)}, lambda: f"wrote {len(table)} rows to {out}")
    return OK
