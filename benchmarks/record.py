"""The one way to record: a small JSON file a question, with the machine, the versions and the commit measured at.

    record = Record("practical", __doc__, options, settings={"count": 3000}, key=("number",))
    record.add(number=0, seconds=0.02)  # a raw row: kept in out/ for --resume, not in the result
    record.finish({"certified": 2999}, Table("By loss", ("loss", "problems"), [("supcon", 273)]))

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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).resolve().parent
ROOT = RESULTS.parent
# A quick run only shows that the scripts work; it must not replace numbers that mean something.
QUICK_RESULTS = ROOT / "out" / "benchmarks-quick"
JOURNALS = ROOT / "out" / "benchmarks"
PACKAGES = ("numpy", "scipy", "cvxpy", "clarabel", "jax", "torch")
DIGITS = 12


@dataclass(frozen=True)
class Table:
    """A table of a result.

    Attributes:
        title: what it shows.
        columns: their heads, with units.
        rows: of numbers, texts and None; numbers are shown to four digits, what needs more is given as text.
        note: what a reader must know to read it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


class Record:
    """What one question was answered, written to `benchmarks/QUESTION/result.json`."""

    def __init__(
        self, name: str, about: str, options: argparse.Namespace, *, settings: dict, key: tuple[str, ...] = ()
    ):
        """Start a record.

        Args:
            name: the folder of the question, or "folder/part" where it has several results.
            about: the docstring of the script: its first line is the heading, the rest says how.
            options: what `parser` gave.
            settings: whatever else decides the numbers.
            key: the fields that identify a raw row, for --resume.
        """
        self.path = (options.out or (QUICK_RESULTS if options.quick else RESULTS)) / f"{_file(name)}.json"
        self.key, self.rows = key, list[dict[str, Any]]()
        self.data: dict[str, Any] = {
            "question": name,
            "about": about.strip(),
            "date": stamp(),
            "command": " ".join(["python", "-m", _module(), *_arguments()]),
            "quick": options.quick,
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
            "load": [round(os.getloadavg()[0], 2)],
            "settings": json.loads(json.dumps(settings)),
        }
        self._journal = JOURNALS / f"{name.replace('/', '-')}{'-quick' * options.quick}.jsonl"
        same = json.dumps([self.data[part] for part in ("settings", "commit", "machine", "versions")])
        if options.resume and self._journal.exists():
            before, *lines = self._journal.read_text().splitlines()
            if before == same:
                self.rows = [json.loads(line) for line in lines]
            else:
                say(f"{name}: other settings, commit, versions or machine than before: starting afresh")
        if not self.rows:
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            self._journal.write_text(same + "\n")

    def has(self, **row: Any) -> bool:
        """Whether there is a raw row of this identity already."""
        return any(all(old[name] == row[name] for name in self.key) for old in self.rows)

    def add(self, **row: Any) -> None:
        """Keep a raw row."""
        self.rows.append(json.loads(json.dumps(row)))
        with self._journal.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def finish(self, summary: dict[str, Any], *tables: Table, pictures: Sequence[str] = ()) -> None:
        """Write the result: a summary in words and numbers, tables, and the names of pictures beside it."""
        self.data["load"].append(round(os.getloadavg()[0], 2))
        self.data |= {"finished": stamp(), "summary": summary, "tables": [asdict(table) for table in tables]}
        self.data["pictures"] = list(pictures)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(_text(_rounded(self.data)) + "\n", encoding="utf-8")
        say(f"wrote {self.path}: {summary}")


def parser(about: str) -> argparse.ArgumentParser:
    """The options that every benchmark has: --quick, --out, --resume."""
    options = argparse.ArgumentParser(description=about.partition("\n")[0])
    options.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, measures nothing")
    options.add_argument("--out", type=Path, help="folder of the results (default benchmarks/)")
    options.add_argument("--resume", action="store_true", help="go on after an interruption")
    return options


def one_thread() -> None:
    """One BLAS thread here and in the processes that are started from here. Call it before numpy is imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def machine() -> dict[str, Any]:
    """The processor, the cores this process may use, memory, system and Python."""
    model = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": model[0] if model else platform.processor() or platform.machine(),
        "cores": cores,
        "memory_gib": round(memory[0] / 2**20, 1) if memory else None,
        "os": platform.platform(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """The versions of what is timed, as far as it is installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The commit of the geomsolve that is measured, with "+" where its files were changed."""
    import importlib.util

    spec = importlib.util.find_spec("geomsolve")
    folder = Path(spec.origin).resolve().parents[1] if spec and spec.origin else ROOT
    found = _git(folder, "rev-parse", "--short=12", "HEAD")
    return found and found + ("+" if _git(folder, "status", "--porcelain", "--", "geomsolve") else "")


def stamp() -> str:
    """The time now, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def say(text: str) -> None:
    """A line of progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def seconds_of(call: Callable[[], Any]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def spread(samples: list[float]) -> dict[str, Any]:
    """Median, extremes and number of timings."""
    return {"median": median(samples), "min": min(samples), "max": max(samples), "runs": len(samples)}


def _text(data: Any) -> str:
    """JSON with a line a row of a table: small, and a difference can be read."""
    if isinstance(data, dict):
        inside = [f"{json.dumps(name)}: {_text(one)}" for name, one in data.items()]
        return "{" + ",\n".join(inside) + "}"
    if isinstance(data, list) and any(isinstance(one, (list, dict)) for one in data):
        return "[" + ",\n".join(map(_text, data)) + "]"
    return json.dumps(data, ensure_ascii=False)


def _file(name: str) -> str:
    return name if "/" in name else f"{name}/result"


def _module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name


def _arguments() -> list[str]:
    """The arguments without the folder of the results, which says nothing."""
    kept = sys.argv[1:]
    if "--out" in kept:
        place = kept.index("--out")
        kept = kept[:place] + kept[place + 2 :]
    return kept


def _rounded(data: Any) -> Any:
    if isinstance(data, float):
        return float(f"{data:.{DIGITS}g}")
    if isinstance(data, dict):
        return {name: _rounded(one) for name, one in data.items()}
    return [_rounded(one) for one in data] if isinstance(data, (list, tuple)) else data


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
