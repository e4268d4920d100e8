"""The section of the report on fewer dimensions than the rank."""

from __future__ import annotations

from pathlib import Path

from report_basics import origin, seconds, table

PUBLISHED = ((10, 3), (12, 3), (20, 3))


def dimensions(data: dict, folder: Path) -> list[str]:
    rows, settings = data["rows"], data["settings"]
    lines = [
        "## Below the rank",
        "",
        "`Solution.embed(d)` for d < C − 1, where the problem is not convex: SupCon (2 views) at τ = "
        f"{settings['temperature']:g}, 500 examples a class or a long tail from 500 down to 5, and the loss of TSC's "
        f"targets at {settings['tsc_temperature']:g}. All losses are nats above their floor (every other class "
        "infinitely far away). `any d` is the certificate's bound, of every dimension; `this d` the bound by positive "
        "definite functions; `best / this d` says how far apart the best value and the bound are. `reached` is how "
        "many starts ended within 1e-6 of the best value. `second order`: forces balance to 1e-6 and no curvature is "
        "negative; `curvature` is the smallest one, rotations apart.",
        "",
    ]
    picture = plot(rows, folder)
    if picture:
        lines += [f"![The best values and the bounds against the dimension]({picture})", ""]
    head = [
        "loss", "counts", "C", "d", "best", "any d", "this d", "best / this d", "reached", "second order", "curvature",
        "smallest angle", "took",
    ]  # fmt: skip
    found = [row for row in rows if "dimension_bound" in row]
    cells = []
    for row in found:
        ratio = row["excess"] / row["dimension_bound"] if row["dimension_bound"] > 0 else None
        cells.append(
            [
                row["loss"],
                row["counts"],
                row["classes"],
                row["dim"],
                f"{row['excess']:.6g}" + " (exact)" * row["exact"],
                f"{row['sdp_bound']:.3g}",
                f"{row['dimension_bound']:.6g}",
                "–" if ratio is None else f"{ratio:.7g}" if ratio < 1.0001 else f"{ratio:.3g}",
                f"{row['reached']} of {row['restarts']}",
                {True: "yes", False: "no", None: "–"}[row["second_order"]],
                "–" if row["curvature"] is None else f"{row['curvature']:.1e}",
                f"{row['smallest_angle']:.4f}°",
                seconds(row["seconds"]),
            ]
        )
    lines += table(head, cells)
    lines += _recipes(rows, settings) + _angles(rows, settings)
    return lines + origin(data)


def _recipes(rows: list[dict], settings: dict) -> list[str]:
    ours = {
        (row["classes"], row["dim"]): row for row in rows if (row["loss"], row["counts"]) == ("TSC targets", "equal")
    }
    cells = []
    for row in rows:
        mine = ours.get((row["classes"], row["dim"]))
        if row["counts"] == "authors' recipe" and mine:
            angles = [f"{one['smallest_angle']:.3f}°" for one in (row, mine)]
            took = [seconds(one["seconds"]) for one in (row, mine)]
            cells.append([row["classes"], row["dim"], f"{row['excess']:.6g}", f"{mine['excess']:.6g}", *angles, *took])
    if not cells:
        return []
    text = (
        f"TSC's targets as its script makes them (Adam, rate {settings['tsc_rate']:g}, {settings['tsc_steps']} steps "
        "in float32 from one random start, the best on the way) and ours, at the same loss:"
    )
    head = ["C", "d", "recipe", "ours", "recipe's smallest angle", "ours", "recipe took", "ours took"]
    return [text, "", *table(head, cells)]


def _angles(rows: list[dict], settings: dict) -> list[str]:
    known = dict(zip(PUBLISHED, settings["published_angles"], strict=True))
    cells = []
    for row in rows:
        if row["loss"] == "largest angle":
            size = row["classes"], row["dim"]
            mine = next((one for one in rows if (one["classes"], one["dim"]) == size and one["loss"] == "SupCon"), None)
            cells.append(
                [
                    *size,
                    f"{row['smallest_angle']:.4f}°",
                    f"{row['reached']} of {row['restarts']}",
                    f"{known[size]:.4f}°" if size in known else "–",
                    f"{mine['smallest_angle']:.4f}°" if mine else "–",
                ]
            )
    if not cells:
        return []
    text = (
        "The largest smallest angle (Tammes' problem), from sums of e^{t/τ} over pairs as τ falls to 0.0001, beside "
        "the published optimum (10, 20 points) or the icosahedron's, and the smallest angle of SupCon's best geometry:"
    )
    return [text, "", *table(["C", "d", "found", "reached", "known", "of SupCon"], cells)]


def plot(rows: list[dict], folder: Path) -> str | None:
    """Best values and both bounds against the dimension, for equal and long-tailed counts."""
    from matplotlib.figure import Figure

    rows = [row for row in rows if row["loss"] == "SupCon"]
    kinds = list(dict.fromkeys(row["counts"] for row in rows))
    if not kinds:
        return None
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    axes = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axis, kind in zip(axes, kinds, strict=True):
        for number, classes in enumerate(sorted({row["classes"] for row in rows})):
            mine = sorted((r for r in rows if (r["counts"], r["classes"]) == (kind, classes)), key=lambda r: r["dim"])
            dims = [r["dim"] for r in mine]
            color = f"C{number}"
            axis.loglog(dims, [r["excess"] for r in mine], "o-", color=color, label=f"C = {classes}", markersize=4)
            axis.loglog(dims, [r["dimension_bound"] for r in mine], "--", color=color)
            axis.loglog(dims, [r["sdp_bound"] for r in mine], ":", color=color)
        axis.set_xticks([2, 3, 8, 16, 32], ["2", "3", "8", "16", "32"])
        axis.set_xticks([], minor=True)
        axis.set(title=f"SupCon, {kind} counts", xlabel="dimension d")
        axis.grid(True, which="major", color="0.9")
    axes[0].set_ylabel("nats above the floor")
    for style, label in (("-", "best found"), ("--", "bound in d dimensions"), (":", "bound in any dimension")):
        axes[-1].plot([], [], style, color="0.3", label=label)
    axes[-1].legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.savefig(folder / "dimensions.png", dpi=130)
    return "dimensions.png"
