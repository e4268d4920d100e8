"""Renders the JSON files of the benchmarks into REPORT.md and its pictures; every number in it is read from them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from record import HERE, RESULTS, say
from report_basics import origin, seconds, short, table
from report_collapse import minibatch, sweeps, thresholds
from report_descent import descent
from report_dimensions import dimensions
from report_free_features import free_features
from report_many_counts import many_counts
from report_random import random_problems
from report_realizability import realizability
from report_train import training
from report_zoo import fails_safely, zoo

TARGETS = ("0.0001", "1e-06", "1e-09")


def newton_vs_solve(data: dict, folder: Path) -> list[str]:
    del folder
    summary = data["summary"]
    lines = [
        "## Against one dense linear solve",
        "",
        "Seconds of a whole certified `geomsolve.solve` (Newton and certificate, warm) and of one "
        "`numpy.linalg.solve` of size 2K, "
        f"alternating in one process, medians of {data['settings']['rounds']}. Aim: ratio at most 1. "
        "Certificate and Newton were also timed apart.",
        "",
    ]
    if summary:
        lines += [
            f"Within the aim: {summary['within_aim']} of {summary['rows']}; the worst ratio is "
            f"{summary['worst_ratio']:.2f}; "
            f"certified: {summary['certified']} of {summary['rows']}.",
            "",
        ]
    head = [
        "profile",
        "K",
        "τ",
        "solve 2K",
        "whole",
        "ratio",
        "Newton",
        "certificate",
        "first call",
        "steps",
        "quality",
        "gap",
        "cosine residual",
    ]
    rows = []
    for row in data["rows"]:
        times = [seconds(row[f"{name}_seconds"]["median"]) for name in ("solve", "whole", "newton", "certificate")]
        start = [row["profile"], row["orbits"], row["temperature"], times[0], times[1]]
        middle = [f"**{row['ratio_of_medians']:.2f}**", *times[2:], seconds(row["first_seconds"])]
        proof = [row["steps"], row["quality"], short(row["gap"]), short(row["cosine_residual"])]
        rows.append([*start, *middle, *proof])
    lines += table(head, rows)
    return lines + origin(data)


def solvers(data: dict, folder: Path) -> list[str]:
    settings = data["settings"]
    limit, longer = settings["limit_seconds"], settings["longer"]
    lines = [
        "## Against general solvers",
        "",
        "Time to a proved relative gap, that is `geomsolve.certify`'s gap divided by the loss above its floor. No "
        "solver's own word is used. "
        f"SupCon, 2 views, long-tailed counts of imbalance ratio 100, time limit {limit:g} s a run "
        f"({limit * longer['factor']:g} s from C = {longer['from_classes']}).",
        "",
        "- The clock leaves out imports, compilation (JAX) and certificates. cvxpy's modelling and compilation "
        "count: they come with every new problem.",
        f"- Iterates are judged at times that grow by the factor {settings['judged_every_factor']} (Adam: 20 "
        "times a run), "
        "so a time may be that much too long; the JSON also has the last time at which it was not yet proved.",
        "- Rivals get the best of their settings, target by target: the loosest conic tolerance that proves it, of "
        f"{', '.join(f'{t:g}' for t in settings['conic_tolerances'])}; the shortest of Adam's cosine schedules, "
        f"from {settings['adam_steps'][0]} to {settings['adam_steps'][-1]} steps in factors of 2; L-BFGS "
        "started again where it stops. Newton is the median of several runs at its default.",
        "- Descent runs over embeddings of dimension C − 1 from the same random points, with analytic gradients (and "
        f"Hessians for trust regions) in NumPy; Adam in JAX, float64, at rate {settings['adam_rate']:g}, chosen "
        "by trial. The loss is scaled to 1 at the start.",
        f"- One BLAS thread up to C = {settings['one_thread_up_to']} (more slow everybody down), all beyond. "
        "JAX uses its own threads.",
        "- A run of descent is ended as stalled when no better gap is judged for five times as long as the best "
        "took. Methods that compare loss values end early: the gap is of first order in the error and the loss of "
        "second, so the loss stops changing in float64 while the gap could still shrink.",
        '- "distinct": all counts differ, so K = C and orbits save nothing. "levels": ten distinct counts; `orbit-…` '
        "is the conic program on them, `cvxpy-…` on all classes.",
        "",
    ]
    picture = plot_solvers(data, folder)
    if picture:
        lines += [f"![Time to a proved gap against the number of classes]({picture})", ""]
    problems = sorted({(row["problem"], row["temperature"]) for row in data["rows"]})
    for problem, temperature in problems:
        lines += [f"### {problem}, τ = {temperature}", ""]
        rows = []
        for row in sorted(data["rows"], key=lambda row: row["classes"]):
            if (row["problem"], row["temperature"]) != (problem, temperature):
                continue
            times = [row["times"][target] for target in TARGETS]
            cells = [seconds(found["seconds"]) if found else "not reached" for found in times]
            best = row["best"]
            missing = "" if all(times) else row["end"]
            rows.append([row["classes"], row["solver"], *cells, short(best and best["relative_gap"]), missing])
        lines += table(["C", "solver", "1e-4", "1e-6", "1e-9", "best gap judged", "why not all"], rows)
    return lines + origin(data)


def plot_solvers(data: dict, folder: Path) -> str | None:
    from matplotlib.figure import Figure

    rows = [row for row in data["rows"] if row["problem"] == "distinct"]
    temperatures = sorted({row["temperature"] for row in rows})
    if not temperatures:
        return None
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    axes = figure.subplots(1, len(temperatures), sharey=True, squeeze=False)[0]
    names = list(dict.fromkeys(row["solver"] for row in rows))
    limit = data["settings"]["limit_seconds"]
    for axis, temperature in zip(axes, temperatures, strict=True):
        for number, name in enumerate(names):
            mine = [r for r in rows if r["solver"] == name and r["temperature"] == temperature]
            reached = [(r["classes"], r["times"]["1e-06"]["seconds"]) for r in mine if r["times"]["1e-06"]]
            failed = [r["classes"] for r in mine if not r["times"]["1e-06"]]
            style = {"color": f"C{number}", "linewidth": 2.5 if number == 0 else 1.3}
            axis.loglog(
                *(zip(*reached, strict=True) if reached else ([], [])), marker="o", markersize=4, label=name, **style
            )
            # Failures sit above the limit, a little apart so that none hides another.
            axis.loglog(failed, [limit * 1.35 * 1.25**number] * len(failed), "x", color=f"C{number}")
        sizes = sorted({row["classes"] for row in rows})
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.set_xticks([], minor=True)
        axis.axhline(limit, color="0.6", linewidth=0.8, linestyle=":")
        axis.set(title=f"τ = {temperature}", xlabel="classes C (all counts distinct)")
        axis.grid(True, which="major", color="0.9")
    axes[0].set_ylabel("seconds to a proved relative gap of 1e-6\n(× above the dotted limit: not reached)")
    axes[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(folder / "solvers.png", dpi=130)
    return "solvers.png"


def cold(data: dict, folder: Path) -> list[str]:
    del folder
    aim = data["settings"]["aim"]
    lines = [
        "## Cold, from the command line",
        "",
        "`geomsolve solve …` as a process of its own: wall seconds and peak resident memory (`ru_maxrss`). Aim: "
        f"{aim['seconds']:g} s and {aim['gib']:g} GiB. "
        "The first run may read files from disk; it is not in the median.",
        "",
    ]
    head = [
        "profile",
        "median",
        "fastest",
        "slowest",
        "runs",
        "first run",
        "peak memory",
        "solve inside",
        "quality",
        "exit codes",
    ]
    rows = []
    for row in data["rows"]:
        took, answer, memory = row["seconds"], row["runs"][-1]["answer"], row["peak_mib"]["max"]
        start = [
            row["profile"],
            f"**{seconds(took['median'])}**",
            seconds(took["min"]),
            seconds(took["max"]),
            took["runs"],
        ]
        middle = [seconds(row["first_seconds"]), f"{memory:.0f} MiB", seconds(answer["seconds"])]
        rows.append([*start, *middle, answer["quality"] or row["runs"][-1]["failure"], row["exit_codes"]])
    return lines + table(head, rows) + origin(data)


def scaling(data: dict, folder: Path) -> list[str]:
    lines = [
        "## Growth",
        "",
        "Against K: counts 1 … K, one class each. Against C: "
        f"{data['settings']['fixed_orbits']} distinct counts, equally many classes each; `build` reads all C counts. "
        f"Medians of {data['settings']['rounds']}.",
        "",
    ]
    picture = plot_scaling(data, folder)
    if picture:
        lines += [f"![Seconds against K and against C]({picture})", ""]
    for against in ("K", "C"):
        rows = []
        for row in data["rows"]:
            if row["against"] == against:
                parts = [
                    seconds(row[f"{part}_seconds"]["median"]) for part in ("whole", "newton", "certificate", "build")
                ]
                rows.append(
                    [row["size"], row["temperature"], *parts, row["steps"], row["quality"], short(row["relative_gap"])]
                )
        lines += table(
            [against, "τ", "whole", "Newton", "certificate", "build", "steps", "quality", "relative gap"], rows
        )
    if data["summary"]:
        lines += [f"Fitted exponents (least squares in the logarithms, {data['summary']['fitted']}):", ""]
        fits = data["summary"]["exponents"]
        lines += table(
            ["seconds of", "exponent"], [[name, "–" if v is None else f"{v:.2f}"] for name, v in fits.items()]
        )
    return lines + origin(data)


def plot_scaling(data: dict, folder: Path) -> str | None:
    from matplotlib.figure import Figure

    if not data["rows"]:
        return None
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, against in zip(axes, ("K", "C"), strict=True):
        for style, temperature in zip(("-", "--", ":", "-."), data["settings"]["temperatures"], strict=False):
            rows = [r for r in data["rows"] if (r["against"], r["temperature"]) == (against, temperature)]
            for color, part in enumerate(("whole", "newton", "certificate", "build")):
                points = [r["size"] for r in rows], [r[f"{part}_seconds"]["median"] for r in rows]
                axis.loglog(*points, style, marker=".", color=f"C{color}", label=f"{part}, τ = {temperature}")
        axis.grid(True, which="major", color="0.9")
    axes[0].set(xlabel="distinct counts K (K classes)", ylabel="seconds")
    axes[1].set(xlabel=f"classes C ({data['settings']['fixed_orbits']} distinct counts)")
    axes[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(folder / "scaling.png", dpi=130)
    return "scaling.png"


SECTIONS = {
    "newton_vs_solve": newton_vs_solve,
    "solvers": solvers,
    "cold": cold,
    "scaling": scaling,
    "sweeps": sweeps,
    "thresholds": thresholds,
    "minibatch": minibatch,
    "many_counts": many_counts,
    "realizability": realizability,
    "random_problems": random_problems,
    "descent_cpu": descent,
    "descent_gpu": descent,
    "dimensions": dimensions,
    "zoo": zoo,
    "fails_safely": fails_safely,
    "free_features": free_features,
    "train": training,
}


def render(folder: Path, target: Path) -> None:
    """Write the report of a folder of results."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python benchmarks/report.py` from the JSON files beside it; do not edit. `python "
        "benchmarks/run.py` runs everything again.",
        "",
        "Limits: one machine, wall-clock times; the load average tells whether something else was running. "
        "A time below a millisecond is mostly Python's overhead.",
        "",
    ]
    for name, section in SECTIONS.items():
        source = folder / (f"{name}.jsonl" if name == "zoo" else f"{name}.json")
        if source.exists():
            text = source.read_text()
            data = [json.loads(line) for line in text.splitlines()] if source.suffix == ".jsonl" else json.loads(text)
            body = section(data, folder)
        else:
            body = [f"## {name}", "", f"Not run: there is no {source.name}.", ""]
        prefix = f"{folder.relative_to(target.parent)}/" if folder != target.parent else ""
        lines += [line.replace("](", f"]({prefix}") if line.startswith("![") else line for line in body]
    target.write_text("\n".join(lines).rstrip() + "\n")
    say(f"wrote {target}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON files")
    folder = options.parse_args().out.resolve()
    render(folder, HERE / "REPORT.md" if folder == RESULTS else folder / "REPORT.md")


if __name__ == "__main__":
    sys.exit(main())
