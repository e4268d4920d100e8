"""What every benchmark shares: the machine, the versions, the command line and one JSON file per benchmark.

Imports nothing outside the standard library, so that a script that measures memory stays small.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "results"
# What is timed is this checkout, whose commit is recorded, not an installed copy.
sys.path.insert(0, str(ROOT))
# A quick run only shows that the scripts work; it must not replace numbers that mean something.
QUICK_RESULTS = ROOT / "out" / "benchmarks-quick"
PACKAGES = ("numpy", "scipy", "cvxpy", "clarabel", "scs", "jax", "optax", "pymanopt")


def machine() -> dict[str, Any]:
    """The processor, the cores this process may use, memory, system and Python."""
    model = platform.processor() or platform.machine()
    memory = None
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            memory = round(int(line.split()[1]) / 2**20, 1)
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return {
        "cpu": model,
        "cores": min(cores, os.cpu_count() or cores),
        "memory_gib": memory,
        "os": platform.platform(),
        "python": platform.python_version(),
        "threads": {name: os.environ[name] for name in os.environ if name.endswith("_NUM_THREADS")},
    }


def versions() -> dict[str, str | None]:
    """The versions of everything that is timed, and of geomsolve with its commit ("+" for uncommitted changes)."""
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    for line in _lines(ROOT / "geomsolve" / "__init__.py"):
        if line.startswith("__version__"):
            found["geomsolve"] = line.split('"')[1]
    commit = _git("rev-parse", "--short=12", "HEAD")
    found["commit"] = commit and commit + ("+" if _git("status", "--porcelain", "--", "geomsolve") else "")
    return found


def _lines(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def parser(text: str) -> argparse.ArgumentParser:
    """The options that every benchmark has: --quick, --out, --resume."""
    options = argparse.ArgumentParser(description=text.partition("\n")[0])
    options.add_argument(
        "--quick", action="store_true", help="tiny sizes: shows that the script works, measures nothing"
    )
    options.add_argument("--out", type=Path, help=f"folder of the JSON (default {RESULTS.relative_to(ROOT)})")
    options.add_argument("--resume", action="store_true", help="keep the rows that the JSON already has")
    return options


class Record:
    """The JSON of one benchmark, written anew after every row, so that an interrupted run loses one row."""

    def __init__(
        self,
        name: str,
        options: argparse.Namespace,
        *,
        key: tuple[str, ...],
        settings: dict[str, Any],
        any_commit: bool = False,
    ):
        """Start a record.

        Args:
            name: of the benchmark and its file.
            options: what `parser` gave.
            key: the fields that identify a row (for --resume).
            settings: whatever else decides the numbers.
            any_commit: whether rows of another geomsolve may stay; every row then carries its commit.
        """
        self.path = (options.out or (QUICK_RESULTS if options.quick else RESULTS)) / f"{name}.json"
        self.key = key
        rows: list[dict[str, Any]] = []
        started = stamp()
        if options.resume and self.path.exists():
            before = json.loads(self.path.read_text())
            own = ("geomsolve", "commit") if any_commit else ()
            same = before["settings"] == json.loads(json.dumps(settings)) and all(
                before["versions"].get(name) == number for name, number in versions().items() if name not in own
            )
            if same and before["machine"] == machine():
                rows, started = before["rows"], before["date"]
            else:
                say(f"{name}: other settings, versions or machine than in {self.path}: starting afresh")
        self.data: dict[str, Any] = {
            "benchmark": name,
            "date": started,
            "finished": None,
            "command": " ".join(["python", *sys.argv]),
            "quick": options.quick,
            "machine": machine(),
            "versions": versions(),
            "load": {"start": os.getloadavg()},
            "settings": settings,
            "rows": rows,
            "summary": {},
        }

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows so far."""
        return self.data["rows"]

    def has(self, **row: Any) -> bool:
        """Whether there is a row of this identity already."""
        return any(all(old[name] == row[name] for name in self.key) for old in self.rows)

    def add(self, **row: Any) -> None:
        """Append a row and write the file."""
        self.rows.append(row)
        self._write()

    def finish(self, **summary: Any) -> None:
        """Write the file for the last time."""
        self.data["summary"] = summary
        self.data["finished"] = stamp()
        self.data["load"]["end"] = os.getloadavg()
        self._write()
        say(f"wrote {self.path}")

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".part")
        draft.write_text(json.dumps(self.data, indent=1) + "\n")
        draft.replace(self.path)


def stamp() -> str:
    """The time now, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def say(text: str) -> None:
    """A line of progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def seconds_of(call: Any) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def spread(samples: list[float]) -> dict[str, Any]:
    """Median, extremes and number of timings."""
    return {"median": median(samples), "min": min(samples), "max": max(samples), "runs": len(samples)}


def exponent(sizes: list[float], seconds: list[float]) -> float | None:
    """The slope of log seconds against log size, by least squares."""
    import numpy as np

    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
