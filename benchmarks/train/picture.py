"""The picture: trained against certified cosines, and the minority cosine through its threshold."""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from record import QUICK_RESULTS, RESULTS, say

from geomsolve.figures.style import ACCENT, GREY, HEAD, MEAN, TAIL

from .measure import matrix

# temperature and whether in batches: colour, marker
LOOKS = {
    (0.5, False): (HEAD, "o"),
    (0.1, False): (TAIL, "s"),
    (0.5, True): (ACCENT, "^"),
    (0.1, True): ("#CC79A7", "D"),  # of the same palette
}


def main(options: argparse.Namespace, settings: dict) -> None:
    from matplotlib.figure import Figure

    folder = options.out or (QUICK_RESULTS if options.quick else RESULTS)
    trained, curve = (json.loads((folder / f"{name}.json").read_text()) for name in ("train", "train_curve"))
    figure = Figure(figsize=(13.5, 6.4), dpi=150, layout="constrained")
    panels: Any = figure.subplots(2, 2, height_ratios=(3.2, 1), sharex="col")
    rule = trained["rows"][0]["rule"]
    again = folder / "train_fresh.json"
    fresh = json.loads(again.read_text())["rows"] if again.exists() else []
    rows, fresh = ([row for row in part if row["rule"] == rule] for part in (trained["rows"], fresh))
    _scatter(panels[0, 0], panels[1, 0], rows, fresh)
    counts = trained["settings"]["rules"][rule]
    panels[0, 0].set_title(f"SupCon on {sum(counts)} images of digits, {counts[0]} to {counts[-1]} a class")
    _curve(panels[0, 1], panels[1, 1], curve)
    panels[0, 1].set_title("One class of 150 images, three of 150/R, τ = 2")
    for axis in panels.flat:
        axis.spines[["top", "right"]].set_visible(False)
    path = folder / "train.png"
    figure.savefig(path)
    say(f"wrote {path}")


def _scatter(above: Any, below: Any, rows: list[dict], fresh: list[dict]) -> None:
    ends = [min(min(row["predicted"]) for row in rows), max(max(row["predicted"]) for row in rows)]
    above.plot(ends, ends, color=GREY, lw=1, zorder=1)
    below.axhline(0.0, color=GREY, lw=1, zorder=1)
    simplex = -1.0 / (len(matrix(rows[0]["predicted"])) - 1.0)
    above.axhline(simplex, color=GREY, lw=1, ls=":", zorder=1)
    above.annotate(
        "regular simplex, for balanced classes",
        (ends[1], simplex),
        xytext=(0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        color=GREY,
    )
    # Full batch before batches, where `rows` may have them in the order in which they were repeated.
    runs = sorted({(row["temperature"], row["batch"]) for row in rows}, key=lambda run: (run[1] or 0, -run[0]))
    for run in runs:
        colour, marker = LOOKS[run[0], run[1] is not None]
        what = "full batch" if run[1] is None else f"batches of {run[1]}"
        label = f"τ = {run[0]:g}, {what}: rms ≤ {_worst(rows, run):.1e}"
        if fresh:
            label += f", fresh ≤ {_worst(fresh, run):.1e}"
        open_ = {"s": 22, "facecolors": "none", "edgecolors": colour, "linewidths": 0.9, "zorder": 2}
        filled = {"s": 7, "facecolors": colour, "edgecolors": "none", "zorder": 3}
        for part, style, text in ((rows, open_, label), (fresh, filled, None)):
            mine = [row for row in part if (row["temperature"], row["batch"]) == run]
            if mine:
                predicted, cosines = (np.concatenate([row[name] for row in mine]) for name in ("predicted", "cosines"))
                above.scatter(predicted, cosines, label=text, marker=marker, **style)
                below.scatter(predicted, cosines - predicted, marker=marker, **style)
    title = f"{len({row['seed'] for row in rows})} seeds each, rms of the worst"
    if fresh:
        title += f"; filled: {len({row['seed'] for row in fresh})} fresh seeds"
    above.legend(loc="upper left", frameon=False, title=title, alignment="left", fontsize=9)
    above.set_ylabel("cosine of two class means, trained")
    below.set_ylabel("trained − certified")
    below.set_xlabel("cosine of two class means, certified optimum of the loss that was trained")


def _worst(rows: list[dict], run: tuple) -> float:
    return max(row["rms"] for row in rows if (row["temperature"], row["batch"]) == run)


def _curve(above: Any, below: Any, curve: dict) -> None:
    summary, rows = curve["summary"], curve["rows"]
    ratios, cosines = (np.array(summary["curve"][name]) for name in ("ratio", "cosine"))
    above.plot(ratios, cosines, color=MEAN, lw=1.3, label="certified optimum", zorder=1)
    trained = np.array([[row["ratio"], row["minority_cosine"], row["minority_predicted"]] for row in rows])
    style = {"s": 26, "facecolors": "none", "edgecolors": TAIL, "linewidths": 1.1, "zorder": 2}
    above.scatter(trained[:, 0], trained[:, 1], label="trained, every seed", **style)
    below.scatter(trained[:, 0], trained[:, 1] - trained[:, 2], **style)
    below.axhline(0.0, color=GREY, lw=1, zorder=1)
    for axis in (above, below):
        axis.axvline(summary["threshold"], color=HEAD, lw=1, ls="--", zorder=0)
    above.annotate(
        f"threshold\nR = {summary['threshold']:.2f}",
        (summary["threshold"], -0.15),
        xytext=(6, 0),
        textcoords="offset points",
        color=HEAD,
    )
    above.legend(loc="upper left", frameon=False)
    above.set_ylabel("cosine of two minority classes")
    below.set_ylabel("trained − certified")
    below.set_xlabel("imbalance ratio R")
    below.set_xscale("log")
    ticks = [tick for tick in (1, 2, 3, 5, 10, 15, 25) if trained[:, 0].min() <= tick <= trained[:, 0].max()]
    below.set_xticks(ticks, [str(tick) for tick in ticks])
    below.minorticks_off()
