"""The sections of the report on the zoo: every solver on every problem, and how safely the certificate fails."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from report_basics import origin, seconds, short, table

# The constant that keeps a geometric mean from being ruled by times too short to matter.
SHIFT = 0.01
BARS = {"loss proved": (1e-6, np.inf), "certified": (1e-9, 1e-6)}


def zoo(lines: list[dict[str, Any]], folder: Path) -> list[str]:
    """The section on the suite, from its JSON lines."""
    header, cells, end = lines[0], [line for line in lines if "solver" in line], lines[-1]
    solvers = list(dict.fromkeys(cell["solver"] for cell in cells))
    problems = list(dict.fromkeys(cell["problem"] for cell in cells))
    limit, twice = header["settings"]["limit_seconds"], header["settings"]["twice_below_seconds"]
    out = [
        "## The zoo",
        "",
        f"Every solver on {len(problems)} problems of `geomsolve.zoo.names()`, whose optima are closed forms or were "
        "proved in ball arithmetic (`benchmarks/zoo_values.py`). What a solver says of itself is not used: an answer "
        "counts when `geomsolve.certify` proves it. Two bars: *loss proved*, a gap of at most 1e-6 of the loss above "
        "its floor; *certified*, as `solve` means it: 1e-9, and cosines within 1e-6.",
        "",
        f"- Time limit {limit:g} s a cell, one thread. Answers that took less than {twice:g} s are timed again and the "
        "second time taken. Imports and certificates do not count, cvxpy's modelling does.",
        "- `newton` is one call of `Newton`, `ladder` is `geomsolve.solve` with all its rungs and certificates. "
        "`orbit-…` is the conic program on distinct counts (to 40), `cvxpy-clarabel` that over all classes (to 20). "
        "`cvxpy-sqp` is of second order: quadratic models of the loss over Gram matrices, one semidefinite program "
        "with second-order cones each, by Clarabel through cvxpy, with a line search. `scipy-lbfgs` and "
        "`pymanopt-trust` (Hessians by differences; stopped by itself at 8 s) run over embeddings of m − 1 dimensions "
        "from one random start, at most 200 and 60 atoms, with the objective's own gradient.",
        f"- `jax-descent` is tried on {header['settings']['few']['jax-descent']} problems only and without its "
        "compilation, which takes longer than anything here (each loss and size anew), and not drawn. Where another "
        "solver is not tried it counts as having failed in the profile, and the table says how often.",
        "- Limits: one run a cell on a shared machine; one random start; tolerances are each solver's tightest, and "
        "the times those of the tight answer, also under the looser bar.",
        "",
    ]
    drawn = [solver for solver in solvers if solver not in header["settings"]["few"]]
    picture = plot(cells, drawn, problems, limit, folder)
    out += [f"![Performance profiles over the zoo]({picture})", ""]
    out += [
        "Share of the problems that a solver has proved within a factor of the fastest solver's time "
        "(Dolan and Moré 2002), all problems counted.",
        "",
    ]
    rows = []
    for solver in solvers:
        mine = [cell for cell in cells if cell["solver"] == solver]
        tried = [cell for cell in mine if cell["outcome"] != "not tried"]
        passed = {bar: [cell for cell in tried if passes(cell, bar, limit)] for bar in BARS}
        off = [cell["cosines_off"] for cell in tried if cell.get("cosines_off") is not None]
        common = [cell["seconds"] if passes(cell, "certified", limit) else limit for cell in tried]
        rows.append(
            [
                solver,
                f"{len(tried)} of {len(problems)}",
                *(len(passed[bar]) for bar in BARS),
                seconds(shifted_mean(common)),
                seconds(shifted_mean([cell["seconds"] for cell in passed["certified"]])),
                short(float(np.median(off))) if off else "–",
                short(
                    max((c["cosines_off"] for c in passed["certified"] if c["cosines_off"] is not None), default=None)
                ),
            ]
        )
    head = [
        "solver",
        "tried",
        *BARS,
        f"mean, failures at {limit:g} s",
        "mean where certified",
        "cosines off, median",
        "and at most where certified",
    ]
    out += table(head, rows)
    out += [
        f"Means are geometric, shifted by {SHIFT * 1e3:g} ms: exp(mean log(t + s)) − s; the first over all problems "
        f"that were tried, {limit:g} s for every one not certified. `cosines off` is the largest difference of a "
        "cosine from the zoo's optimum; its median is over answers of any quality.",
        "",
        "What was tried and not certified, with the last reason given:",
        "",
    ]
    failures = []
    for solver in solvers:
        bad = [
            c
            for c in cells
            if c["solver"] == solver and c["outcome"] != "not tried" and not passes(c, "certified", limit)
        ]
        for cell in bad:
            near = "loss proved" if passes(cell, "loss proved", limit) else ""
            off = cell.get("cosines_off")
            failures.append(
                [solver, cell["problem"], cell["outcome"], cell.get("reason", "too slow"), near, short(off)]
            )
    out += ["<details><summary>" + f"{len(failures)} cells" + "</summary>", ""]
    out += table(["solver", "problem", "outcome", "reason", "", "cosines off"], failures)
    out += ["</details>", ""]
    header["rows"] = cells
    header["versions"]["commit"] = None
    header["finished"] = end.get("finished")
    if "load_end" in end:
        header["load"]["end"] = end["load_end"]
    return out + origin(header)


def passes(cell: dict[str, Any], bar: str, limit: float) -> bool:
    """Whether an answer is proved to a bar, in time."""
    gap, cosine = BARS[bar]
    proved = "relative_gap" in cell and cell["relative_gap"] <= gap and cell["cosine_residual"] <= cosine
    return proved and cell["seconds"] <= limit


def shifted_mean(times: list[float]) -> float | None:
    """The shifted geometric mean."""
    if not times:
        return None
    return float(np.exp(np.mean(np.log(np.array(times) + SHIFT))) - SHIFT)


def plot(cells: list[dict[str, Any]], solvers: list[str], problems: list[str], limit: float, folder: Path) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    axes = figure.subplots(1, len(BARS), sharey=True, squeeze=False)[0]
    for axis, bar in zip(axes, BARS, strict=True):
        ratios, widest = profile(cells, solvers, problems, bar, limit)
        for number, solver in enumerate(solvers):
            reached = np.sort(ratios[solver][np.isfinite(ratios[solver])])
            steps = np.concatenate([[1.0], reached, [widest]])
            share = np.concatenate([[0.0], np.arange(1, len(reached) + 1), [len(reached)]]) / len(problems)
            width = 2.5 if solver == "newton" else 1.4
            axis.step(steps, share, where="post", color=f"C{number}", linewidth=width, label=solver)
        axis.set_xscale("log")
        axis.set(title=bar, xlabel="time over that of the fastest solver", ylim=(0, 1.02), xlim=(1, widest))
        axis.grid(True, which="major", color="0.9")
    axes[0].set_ylabel("share of problems")
    axes[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(folder / "zoo.png", dpi=130)
    return "zoo.png"


def profile(
    cells: list[dict[str, Any]], solvers: list[str], problems: list[str], bar: str, limit: float
) -> tuple[dict[str, np.ndarray], float]:
    """Each solver's times over the best of all, problem by problem (inf where it failed), and the largest."""
    times = {(c["solver"], c["problem"]): c["seconds"] for c in cells if passes(c, bar, limit)}
    table_of = np.array([[times.get((solver, problem), np.inf) for problem in problems] for solver in solvers])
    best = table_of.min(axis=0, initial=np.inf)
    with np.errstate(invalid="ignore"):
        ratios = np.where(np.isfinite(table_of), table_of / best, np.inf)
    finite = ratios[np.isfinite(ratios)]
    return dict(zip(solvers, ratios, strict=True)), float(max(10.0, finite.max(initial=1.0) * 1.2))


def fails_safely(data: dict[str, Any], folder: Path) -> list[str]:
    """The section on wrong answers."""
    del folder
    settings, rows, summary = data["settings"], data["rows"], data["summary"]
    out = [
        "## Does it fail safely?",
        "",
        f"`certify` at its defaults on right and wrong answers to the {settings['problems']} problems of the zoo with "
        f"one optimum and at most {settings['most_orbits']} distinct counts (every atom by itself: at most "
        f"{settings['most_atoms']}). A candidate is judged by its distance from the proved optimum, the largest "
        f"difference of a cosine after repair: *right* to {settings['right']:g}, *wrong* above "
        f"{settings['wrong']:g}; in between either verdict is fair.",
        "",
    ]
    if summary:
        wrong, right, near = (summary[kind] for kind in ("wrong", "right", "near"))
        farthest = max(row["distance"] for row in rows if row["certified"])
        out += [
            f"**Wrong answers certified: {wrong['certified']} of {wrong['candidates']}.** Right answers refused: "
            f"{right['candidates'] - right['certified']} of {right['candidates']}. In between, certified: "
            f"{near['certified']} of {near['candidates']}. The farthest answer certified is {farthest:.1e} off.",
            "",
        ]
    head = [
        "candidate",
        "wrong",
        "of these certified",
        "in between",
        "certified",
        "right",
        "refused",
        "least cosine residual of a wrong one",
    ]
    kinds = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        mine = [row for row in rows if row["kind"] == kind]
        count = Counter((row["class"], row["certified"]) for row in mine)
        total = Counter(row["class"] for row in mine)
        least = min((row["cosine_residual"] for row in mine if row["class"] == "wrong"), default=None)
        kinds.append(
            [
                kind,
                total["wrong"],
                f"**{count['wrong', True]}**",
                total["near"],
                count["near", True],
                total["right"],
                count["right", False],
                short(least),
            ]
        )
    out += table(head, kinds)
    refused = [row for row in rows if row["class"] == "right" and not row["certified"]]
    if refused:
        gaps, cosines = (
            sum(row[key] > bar for row in refused) for key, bar in (("relative_gap", 1e-9), ("cosine_residual", 1e-6))
        )
        truths = sum(row["kind"].startswith("truth") for row in refused)
        out += [
            f"Of the {len(refused)} right answers refused, {gaps} have a gap above 1e-9 of the loss above its floor, "
            f"{cosines} a cosine residual above 1e-6: the bound is of first order in the error, so what is right to "
            f"1e-8 need not be proved. The truth itself, rounded to float64, is refused {truths} times.",
            "",
        ]
    return out + origin(data)
