"""The section of the report on free features: training with the sample-level losses against certified optima."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median

from report_basics import origin, seconds, short, table


def free_features(data: dict, folder: Path) -> list[str]:
    del folder
    settings, rows, aim = data["settings"], data["rows"], data["settings"]["aim"]
    lines = [
        "## Free features",
        "",
        "Every convex loss of `geomsolve.training.losses_jax` minimised over free unit vectors, one per sample, prototype and "
        f"classifier, from random starts in float64: {settings['adam_steps']} steps of Adam (optax, cosine schedule "
        f"from {settings['adam_rate']:g}), L-BFGS (SciPy), then L-BFGS that looks at slopes alone. `error` is the "
        "largest difference of a cosine between any two of these vectors, those of one class included, from the "
        f"certified optimum of the same loss. {settings['vectors']} random vectors of counts for each loss, "
        f"temperatures in turn. Aim: at most {aim:g}.",
        "",
    ]
    summary = data["summary"]
    if summary:
        lines += [
            f"Within the aim: {summary['within_aim']} of {summary['rows']} (optimum certified: "
            f"{summary['certified']}); the largest error is {summary['worst']:.1e}.",
            "",
        ]
    body = []
    for name in dict.fromkeys(row["loss"] for row in rows):
        mine = [row for row in rows if row["loss"] == name]
        errors = [row["error"] for row in mine]
        body.append(
            [
                name,
                mine[0]["text"],
                _span(len(row["counts"]) for row in mine),
                _span(sum(row["counts"]) for row in mine),
                f"**{short(max(errors))}**",
                short(median(errors)),
                short(max(row["relative_gap"] for row in mine)),
                f"{sum(row['error'] <= aim for row in mine)} of {len(mine)}",
                f"{sum(row['quality'] == 'certified' for row in mine)} of {len(mine)}",
                seconds(median(row["seconds"] for row in mine)),
            ]
        )
    head = ["loss", "setting", "classes", "examples", "worst error", "median", "worst relative gap", "within the aim"]
    lines += table([*head, "optimum certified", "median time"], body)
    lines += [*by_temperature(rows, settings["temperatures"]), *points(rows), *missed(rows, aim)]
    return lines + origin(data)


def by_temperature(rows: list[dict], temperatures: list[float]) -> list[str]:
    """How far each stage comes."""
    lines = [
        "By temperature, over all losses, the error after each stage. Forces between classes are of order "
        "e^(-C/((C - 1)τ)): the colder, the flatter the loss, and the further off the cosines at equal loss. Where the "
        "loss changes by less than its rounding a line search by values ends; slopes still have digits.",
        "",
    ]
    body = []
    for temperature in temperatures:
        mine = [row for row in rows if row["temperature"] == temperature]
        if not mine:
            continue
        cells = [temperature, len(mine)]
        for stage in ("error_after_adam", "error_after_lbfgs", "error"):
            errors = [row[stage] for row in mine]
            cells += [short(max(errors)), short(median(errors))]
        looks = [row["evaluations"] + row["finish_evaluations"] for row in mine]
        body.append([*cells, f"{median(looks):.0f}", max(looks)])
    head = ["τ", "runs", "worst after Adam", "median", "after L-BFGS", "median", "after the finish", "median"]
    return lines + table([*head, "median evaluations after Adam", "most"], body)


def points(rows: list[dict]) -> list[str]:
    """Where classes are no points at the optimum of the loss over samples."""
    apart = [row for row in rows if row["to_class_points"] is not None]
    if not apart:
        return []
    lines = [
        "BCL and ECL are held against their optimum over single examples, which is certified too. `geomsolve.BCL` and "
        "`geomsolve.ECL` hold every class in one point; that is the same optimum unless a prototype stands so far from "
        "its class that the examples repel one another more than they attract. How far the trained vectors are from "
        "the optimum over points:",
        "",
    ]
    body = []
    for name in dict.fromkeys(row["loss"] for row in apart):
        for temperature in sorted({row["temperature"] for row in apart}):
            mine = [row["to_class_points"] for row in apart if (row["loss"], row["temperature"]) == (name, temperature)]
            body.append([name, temperature, len(mine), short(max(mine)), short(median(mine))])
    return lines + table(["loss", "τ", "runs", "worst", "median"], body)


def missed(rows: list[dict], aim: float) -> list[str]:
    """The runs that are not within the aim."""
    beyond = [row for row in rows if row["error"] > aim]
    if not beyond:
        return []
    head = ["loss", "counts", "τ", "error", "relative gap", "loss above the optimum", "optimum"]
    body = [
        [
            row["loss"],
            ", ".join(map(str, row["counts"])),
            row["temperature"],
            short(row["error"]),
            short(row["relative_gap"]),
            short(row["above_optimum"]),
            row["quality"],
        ]
        for row in beyond
    ]
    return ["Not within the aim:", "", *table(head, body)]


def _span(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"
