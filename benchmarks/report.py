"""The one way to report: every result is rendered into REPORT.md by the tables that it carries; no number is here.

python -m benchmarks.report
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .record import RESULTS, say

ORDER = (
    "practical", "wild", "truth", "zoo", "profiles", "kinds", "million", "expectation", "thresholds", "sweeps",
    "descent", "logits", "realizability", "dimensions", "training", "monitor", "evidence", "page",
)  # fmt: skip


def write(folder: Path = RESULTS) -> Path:
    """Write REPORT.md of all results in the folders of `folder`."""
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*/*.json"))]
    results.sort(key=lambda data: ORDER.index(data["question"].partition("/")[0]))
    lines = [
        "# What was measured",
        "",
        "Made by `python -m benchmarks.report` from the results in the folders beside it.",
        "",
    ]
    lines += [f"- [{title(data)}](#{anchor(title(data))})" for data in results]
    for data in results:
        lines += ["", *section(data)]
    target = folder / "REPORT.md"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    say(f"wrote {target}")
    return target


def section(data: dict[str, Any]) -> list[str]:
    """One question: what, how, summary, tables, where the numbers come from."""
    first, _, how = data["about"].partition("\n")
    lines = [f"## {first.rstrip('.')}", "", *how.strip().splitlines(), ""]
    lines += [f"- {name}: **{shown(value)}**" for name, value in data["summary"].items()] + [""]
    for table in data["tables"]:
        lines += [f"### {table['title']}", ""] + ([table["note"], ""] if table["note"] else [])
        lines += ["| " + " | ".join(table["columns"]) + " |", "|" + "---|" * len(table["columns"])]
        lines += ["| " + " | ".join(shown(cell).replace("|", "/") for cell in row) + " |" for row in table["rows"]] + [
            ""
        ]
    folder = data["question"].partition("/")[0]
    lines += [f"![{title(data)}]({folder}/{name})\n" for name in data["pictures"]]
    machine, load = data["machine"], data["load"]
    versions = ", ".join(f"{name} {number}" for name, number in data["versions"].items())
    lines += [
        f"Commit `{data['commit']}`: `{data['command']}`, {data['date']} to {data['finished']}; {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory_gib']} GiB, Python {machine['python']}; {versions}; "
        f"load average {load[0]} at the start, {load[-1]} at the end."
    ]
    return [*lines, "", "**A quick run: it measures nothing.**"] if data["quick"] else lines


def title(data: dict[str, Any]) -> str:
    """The heading of a result."""
    return data["about"].partition("\n")[0].rstrip(".")


def anchor(heading: str) -> str:
    """The anchor that code hosts give a heading."""
    return "".join(c for c in heading.lower().replace(" ", "-") if c.isalnum() or c in "-_")


def shown(value: Any) -> str:
    """A cell as text: numbers to four digits."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(write() is None)
