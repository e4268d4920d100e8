"""The section of the report on a million distinct counts."""

from __future__ import annotations

from pathlib import Path

from report_basics import origin, seconds, short, table


def many_counts(data: dict, folder: Path) -> list[str]:
    del folder
    aim, summary = data["settings"]["aim"], data["summary"]
    lines = [
        "## A million distinct counts",
        "",
        f"`geomsolve.solve` on {data['settings']['classes']:,} classes, no two of the same count (and on Zipf's law "
        "without end, as a distribution): from counts in memory to the certified answer, in a process of its own, "
        f"imports not counted. Aim: {aim['seconds']:g} s, {aim['gib']:g} GiB, a gap of {aim['gap']:g} of the loss "
        f"above its floor and a cosine residual of {aim['cosine_residual']:g}. `points`: time to the embedding in "
        "factored form. With one or two heads (of 2e16 and 1.9e16 examples, beside counts 2, 3, 4, ...) all other "
        "classes meet in one point.",
        "",
    ]
    if summary:
        lines += [
            f"Certified: {summary['certified']} of {summary['cases']}; within the aim: {summary['within_aim']}.",
            "",
        ]
    rows = []
    for row in data["rows"]:
        if "law" not in row:
            continue
        start = [row["law"], row["loss"], row["temperature"]]
        if "seconds" not in row:
            rows.append([*start, "failed", "", "", row["failure"].splitlines()[-1][:80], "", ""])
            continue
        how = row["message"] if row["quality"] == "certified" else f"**uncertified**: {row['message']}"
        cost = [seconds(row["seconds"]), seconds(row["points_seconds"]), f"{row['peak_gib']:.2f} GiB"]
        rows.append([*start, *cost, how, short(row["relative_gap"]), short(row["cosine_residual"])])
    head = ["law", "loss", "τ", "solve", "points", "peak memory", "how", "relative gap", "cosine residual"]
    lines += table(head, rows)
    lines += [
        "Shipped profiles, warm, SupCon at τ = 0.1, the problem built anew each time; the two solvers take turns "
        f"in one process, medians of {data['settings']['rounds']}. Aim: {seconds(aim['warm_seconds'])}.",
        "",
    ]
    rows = []
    for row in data["rows"]:
        if "quadrature" in row:
            medians = [f"**{seconds(row['quadrature']['median'])}**", seconds(row["newton"]["median"])]
            rows.append(
                [row["case"], row["distinct"], *medians, short(row["relative_gap"]), short(row["cosines_apart"])]
            )
    head = ["profile", "K", "quadrature", "Newton on all counts", "relative gap", "cosines apart"]
    return lines + table(head, rows) + origin(data)
