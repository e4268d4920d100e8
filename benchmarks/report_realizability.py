"""The section of the report on verdicts of `realize`."""

from __future__ import annotations

from pathlib import Path

from report_basics import origin, seconds, short, table


def realizability(data: dict, folder: Path) -> list[str]:
    del folder
    settings = data["settings"]
    lines = [
        "## Realizability",
        "",
        "`geomsolve.realize` on N different samples. `verdict` is the eigendecomposition, largest temperature and "
        "witness, beside one `numpy.linalg.eigh` of an N x N matrix (medians of three; aim: at most "
        f"{settings['aim_ratio']:g} times). `realize` is all of it, with the best geometry where the bound is not "
        "attained; excess and its proved lower bound are mean nats above the entropy bound. A gap is certified at "
        f"{settings['tol']:g} of the loss above its floor ({settings['tol_noise']:g} in the last problem). Memory is "
        f"the process's peak (aim: {settings['aim_gib']:g} GiB).",
        "",
    ]
    rows = []
    for row in data["rows"]:
        if "failed" in row:
            rows.append([row["problem"], row["samples"], row["failed"], "", "", "", "", "", ""])
            continue
        rows.append(
            [
                row["problem"],
                row["samples"],
                f"{row['verdict']}, {row['quality']}",
                f"{row['verdict_ratio']:.1f} eigh",
                f"**{seconds(row['realize_seconds'])}**",
                short(row["excess"]),
                short(row["excess_lower_bound"]),
                row["min_dim"],
                f"{row['peak_gib']:.2f} GiB",
            ]
        )
    head = ["weights", "N", "answer", "verdict", "realize", "excess", "at least", "dimensions", "memory"]
    return lines + table(head, rows) + origin(data)
