"""The section of the report on random problems."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from report_basics import origin, seconds, table


def random_problems(data: dict, folder: Path) -> list[str]:
    del folder
    settings, summary = data["settings"], data["summary"]
    failures = [row for batch in data["rows"] for row in batch["failures"]]
    low, high = settings["temperatures"]
    lines = [
        "## Random problems",
        "",
        "Every convex loss with random options, 2 to 60 distinct counts over 0 to 10 decades, a third of them with "
        f"several classes of a count, temperatures log-uniform from {low:g} to {high:g} "
        "(`random_problems.draw(number)` gives each again). Failed is whatever is not certified at 1e-9, refused "
        f"problems and those beyond {settings['limit_seconds']:g} processor seconds among them. Seconds are processor "
        "time of a `solve`.",
        "",
    ]
    if summary:
        lines += [
            f"**{summary['certified']} of {summary['problems']} certified ({100 * summary['share']:.2f} %)**; the aim "
            "is 99.9 %.",
            "",
        ]
        rows = []
        for name, one in summary["families"].items():
            took = [seconds(one["seconds"][part]) for part in ("median", "99%", "max")]
            share = f"{100 * one['certified'] / one['problems']:.1f} %"
            rows.append([name, one["problems"], one["certified"], share, *took])
        lines += table(["loss", "problems", "certified", "share", "median", "99 %", "slowest"], rows)
    reasons = Counter((row.get("family", "unknown"), kind(row)) for row in failures)
    rows = [[family, reason, count] for (family, reason), count in sorted(reasons.items())]
    return [*lines, "Why the others failed:", "", *table(["loss", "what is missing", "problems"], rows), *origin(data)]


def kind(row: dict) -> str:
    """What a failed problem lacks, in a few words."""
    if "relative_gap" not in row or row["quality"] == "crashed":
        return row["reason"].partition(":")[0]
    gap, residual = row["relative_gap"] <= 1e-9, row["cosine_residual"] <= 1e-6
    if gap and row["cosine_residual"] == float("inf"):
        return "the value is proved; forces on cosines are below rounding"
    if gap and not residual:
        return "the value is proved, cosines are not"
    return "neither value nor cosines are proved" if not residual else "cosines are proved, the value is not"
