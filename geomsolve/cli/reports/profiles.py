"""The built-in class counts, as a dictionary and as a table."""

from __future__ import annotations

from typing import Any

from .basics import table, whole


def profiles_report() -> dict[str, Any]:
    """The built-in profiles, and the rules that make profiles, as a dictionary."""
    from ...counts.sources import load_counts, profile_names

    names = profile_names()
    loaded = {name: load_counts(name) for name in names if not name.endswith(":IR")}
    return {
        "profiles": [
            {
                "name": name,
                "classes": counts.classes,
                "distinct": len(counts.values),
                "largest": whole(counts.values[0]),
                "smallest": whole(counts.values[-1]),
                "imbalance_ratio": counts.imbalance_ratio,
                "total": whole(counts.total),
            }
            for name, counts in loaded.items()
        ],
        "rules": [name for name in names if name.endswith(":IR")],
    }


def profiles_text(report: dict[str, Any]) -> str:
    """The built-in profiles as a table."""
    rows: list[tuple[str, ...]] = [("profile", "classes", "distinct", "largest", "smallest", "ratio", "examples")]
    for profile in report["profiles"]:
        cells = [f"{profile[key]}" for key in ("name", "classes", "distinct", "largest", "smallest")]
        rows.append((*cells, f"{profile['imbalance_ratio']:.4g}", f"{profile['total']}"))
    rules = ", ".join(report["rules"])
    note = f"and by rule: {rules} (IR: largest count over smallest, as in {report['rules'][0].replace('IR', '100')})"
    order = "Profiles are histograms: their classes are sorted by count, largest first."
    return "\n".join([*table(rows), "", note, order])
