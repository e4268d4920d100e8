"""Sections of the report on collapse: sweeps, thresholds and mini-batches."""

from __future__ import annotations

from pathlib import Path

from report_basics import origin, seconds, short, table


def sweeps(data: dict, folder: Path) -> list[str]:
    del folder
    settings = data["settings"]
    aims = ", ".join(f"{aim} at C = {size}" for size, aim in settings["aims"].items())
    lines = [
        "## Sweeps",
        "",
        f"Points per second and core of `geomsolve.sweep`, journal included, medians of {settings['rounds']} sweeps "
        f"after one that warms up; one BLAS thread a process. Aim: at least {aims}. `here` is one process, `spawned` "
        "one a core.",
        "",
        f"`cvxpy` is a loop over {settings['rival_points']} points of the same grid with Clarabel at tolerance "
        f"{settings['rival_tol']:g}, at most {settings['limit_seconds']:g} s a point: one model with parameters, "
        "compiled once (the first point, which compiles, is not in its rate), or a model a point where that is too "
        "large. At low temperature the loss above its floor is smaller than what such a tolerance resolves.",
        "",
    ]
    rows = []
    for row in data["rows"]:
        start = [row["classes"], row["grid"], row["how"], row["points"]]
        if row["how"] == "cvxpy":
            gap, once = row["relative_gap"], "compiled once" if row["compiled_once"] else "a model a point"
            proved = f"{row['within_1e-6']} within 1e-6, median gap {short(gap and gap['median'])}; {once}"
            rows.append([*start, f"{row['rate']:.3g}", proved])
        else:
            rate = row["rate_per_core"]
            cell = f"**{rate['median']:.0f}** ({rate['min']:.0f} to {rate['max']:.0f})"
            rows.append([*start, cell, f"{row['certified']} certified"])
    return lines + table(["C", "grid", "how", "points", "points/s/core", "answers"], rows) + origin(data)


def thresholds(data: dict, folder: Path) -> list[str]:
    del folder
    settings = data["settings"]
    lines = [
        "## Thresholds",
        "",
        f"`geomsolve.threshold`, medians of {settings['rounds']}, warm; `with both sides` also solves and certifies a "
        f"thousandth below and above. Aim: at most {seconds(settings['aim_seconds'])}. `cvxpy` halves the bracket "
        f"[1, 1000] of the ratio {settings['halvings']} times by full solves with Clarabel (one model, compiled once) "
        "and calls the minority collapsed where its cosine is within 1e-4 of 1.",
        "",
    ]
    rows = []
    for row in data["rows"]:
        ratio = "never" if row["ratio"] is None else f"{row['ratio']:.13g}"
        if row["how"] == "cvxpy":
            rows.append([f"{row['problem']}, cvxpy", f"{row['ratio']:.6g}", seconds(row["seconds"]), "", ""])
            continue
        times = [seconds(row[name]["median"]) for name in ("seconds", "seconds_certified")]
        proved = {True: "certified", False: "not certified", None: "–"}[row["confirmed"]]
        rows.append([row["problem"], ratio, f"**{times[0]}**", times[1], proved])
    return lines + table(["problem", "critical ratio", "time", "with both sides", "both sides"], rows) + origin(data)


def minibatch(data: dict, folder: Path) -> list[str]:
    settings = data["settings"]
    lines = [
        "## Mini-batches",
        "",
        f"The certified optimum of SupCon at τ = {settings['temperature']} with batches of B examples drawn from the "
        "class proportions, exact in expectation, and with all examples in one batch (`full`). `head-tail` is the "
        "cosine of the largest and a smallest class, `tail-tail` that of two smallest; gap is relative to the loss "
        f"above its floor; seconds of a whole certified solve, warm, medians of {settings['rounds']}"
        + (f"; peak memory {data['summary']['peak_mib']:.0f} MiB for all of it." if data["summary"] else "."),
        "",
    ]
    picture = plot_minibatch(data, folder)
    if picture:
        lines += [f"![Cosines of the optimum against the batch size]({picture})", ""]
    rows = []
    for row in data["rows"]:
        took = seconds(row["seconds"]["median"])
        cosines = [f"{row[name]:+.4f}" for name in ("head_tail", "tail_tail")]
        start = [row["profile"], row["distinct"], row["views"], row["batch"] or "full", f"{row['value']:.9f}"]
        rows.append([*start, *cosines, row["quality"], short(row["relative_gap"]), took])
    head = ["counts", "K", "views", "B", "value", "head-tail", "tail-tail", "quality", "relative gap", "time"]
    return lines + table(head, rows) + origin(data)


def plot_minibatch(data: dict, folder: Path) -> str | None:
    from matplotlib.figure import Figure

    if not data["rows"]:
        return None
    profiles = data["settings"]["profiles"]
    figure = Figure(figsize=(1.5 + 4.2 * len(profiles), 3.8), layout="constrained")
    axes = figure.subplots(1, len(profiles), squeeze=False, sharey=True)[0]
    for axis, profile in zip(axes, profiles, strict=True):
        for views, style in ((2, "-"), (1, "--")):
            rows = [r for r in data["rows"] if (r["profile"], r["views"]) == (profile, views)]
            for color, name in (("C0", "tail_tail"), ("C3", "head_tail")):
                batches = [r for r in rows if r["batch"]]
                label = f"{name.replace('_', '-')}, {views} view{'s' * (views > 1)}"
                points = [r["batch"] for r in batches], [r[name] for r in batches]
                axis.semilogx(*points, style, marker=".", color=color, label=label)
                for full in (r for r in rows if not r["batch"]):
                    axis.axhline(full[name], color=color, linestyle=style, linewidth=0.7, alpha=0.6)
        if rows:
            simplex = -1.0 / (rows[0]["classes"] - 1)
            axis.axhline(simplex, color="0.5", linestyle=":", linewidth=1, label="regular simplex")
        axis.set(xlabel="batch size B", title=profile)
        axis.grid(True, which="major", color="0.9")
    axes[0].set_ylabel("cosine at the optimum")
    axes[-1].plot([], [], color="0.4", linewidth=0.7, label="full batch: level lines")
    axes[-1].legend(fontsize=7, handlelength=3.2, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(folder / "minibatch.png", dpi=130)
    return "minibatch.png"
