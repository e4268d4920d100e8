"""What sections of the report are made of: times, tables, and where the numbers come from."""

from __future__ import annotations

from typing import Any


def seconds(value: float | None) -> str:
    """Three digits and a unit."""
    if value is None:
        return "–"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def short(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}"


def table(head: list[str], rows: list[list[Any]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows] + [""]


def origin(data: dict) -> list[str]:
    """Where the numbers come from: machine, versions, command, date."""
    machine, versions = data["machine"], data["versions"]
    packages = ", ".join(f"{name} {number}" for name, number in versions.items() if number and name != "commit")
    load = data["load"]
    # Rows that were measured again after a change say so.
    commits = ", ".join(dict.fromkeys(row.get("commit") or versions["commit"] or "unknown" for row in data["rows"]))
    lines = [
        f"`{data['command']}`, {data['date']} to {data['finished'] or 'unfinished'}; "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['os']}, "
        f"Python {machine['python']}; {packages}, commit {commits}; "
        f"load average at the start {load['start'][0]:.2f}"
        + (f", at the end {load['end'][0]:.2f}." if "end" in load else "."),
        "",
    ]
    if data["quick"]:
        lines = ["**A quick run: it shows that the scripts work and measures nothing.**", "", *lines]
    return lines
