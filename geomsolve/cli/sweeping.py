"""Verbs of many problems: sweep a grid into a store, export what a store has."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..files import check_file
from ..sweeps.running import sweep as run_sweep
from ..sweeps.tables import export_sweep
from .app import code, verb
from .options import JsonOption, TolOption, option
from .outputs import Outputs, reporting


@verb(
    "geomsolve sweep grid.toml --store grid.db",
    "geomsolve sweep grid.toml --store grid.db --dask tcp://127.0.0.1:8786",
)
def sweep(
    spec: Annotated[Path, typer.Argument(help="A TOML file with the tables objective, counts and grid.")],
    *,
    store: Annotated[Path, option("The journal; the same command again goes on where it was stopped.")],
    workers: Annotated[int | None, option("Processes to spawn (one a core); 1 works in this process.")] = None,
    dask: Annotated[str | None, option("Instead: a dask scheduler, such as tcp://127.0.0.1:8786.")] = None,
    tol: TolOption = 1e-9,
    json: JsonOption = None,
) -> int:
    """Solve every point of a grid, resumably."""
    outputs = Outputs(json)
    how: dict[str, Any] = {"workers": workers, "dask": dask, "tol": tol}
    try:
        with reporting() as progress:
            result = run_sweep(spec, store, **how, progress=progress)
    except KeyboardInterrupt:
        print(f"geomsolve: the answers so far are in {store}; the same command goes on from there", file=sys.stderr)
        raise
    return outputs.tell(result)


@verb(
    "geomsolve export grid.db --to csv --out grid.csv",
    "geomsolve export grid.db --to parquet --out grid.parquet",
)
def export(
    store: Annotated[Path, typer.Argument(help="A store that a sweep has written.")],
    *,
    to: Annotated[str, option("csv, npz or parquet.")],
    out: Annotated[Path, option("The file to write.")],
    json: JsonOption = None,
) -> int:
    """Write the answers of a sweep to one table."""
    outputs = Outputs(json)
    check_file("out", out)
    table = export_sweep(store, out, to)
    if table.missing:
        print(f"geomsolve: {table.missing} points have no answer yet and are left out", file=sys.stderr)
    report = {"store": str(store), "out": str(out), "to": to, "rows": len(table), "missing": table.missing}
    outputs.emit({**report, "columns": list(table.columns)}, [f"wrote {len(table)} rows to {out}"])
    return code(True)
