"""The section of the report on gradient descent in JAX, one per kind of device."""

from __future__ import annotations

from pathlib import Path

from report_basics import origin, seconds, short, table


def descent(data: dict, folder: Path) -> list[str]:
    del folder
    settings, rows = data["settings"], data["rows"]
    lines = [
        f"## Descent on the {settings['kind'].upper()}",
        "",
        f"`geomsolve.solvers.Descent` in JAX on {settings['devices']} device(s), which JAX calls {settings['device']}. It has "
        "the loss from a second formula and knows nothing of orbits, duals or multipliers. All times warm; compiling "
        "comes on top (`first`).",
        "",
    ]
    if data["summary"]:
        lines += [f"Checks that agree: {data['summary']['agree']} of {data['summary']['judged']}.", ""]
    profiles = [row for row in rows if row["check"] == "profile"]
    if profiles:
        lines += [
            f"Seconds to a certified relative gap, {settings['objective']}, τ = {settings['temperature']}, from random "
            f"points of full dimension: the shortest schedule of {', '.join(map(str, settings['schedules']))} steps "
            "that gets there. `cosines` is the largest difference from Newton's answer.",
            "",
        ]
        body = []
        for row in profiles:
            size = f"{row['classes']} of {row['of']}" if row["scaled_down"] else row["classes"]
            cells = [seconds(found["seconds"]) if found else "not reached" for found in row["times"].values()]
            last, peak = row["runs"][-1], row["peak_device_gib"] or row["peak_gib"]
            ends = [short(last["relative_gap"]), short(last["cosine_difference"]), f"{peak:.1f} GiB"]
            body.append([row["name"], size, row["dim"], *cells, seconds(row["first_seconds"]), *ends])
        head = ["profile", "classes", "dim", *(f"to {t}" for t in profiles[0]["times"])]
        lines += table([*head, "first", "last gap", "cosines", "peak memory"], body)
    for row in rows:
        if row["check"] == "restarts":
            rate = row["restarts_per_second"]
            lines += [
                f"Restarts: {row['restarts']} at once of {row['adam_steps']} Adam steps each, C = {row['classes']}, "
                f"d = {row['dim']}: **{rate['median']:.3g} a second** ({rate['min']:.3g} to {rate['max']:.3g}).",
                "",
            ]
        if row["check"] == "memory":
            lines += [
                f"{row['name']}: all {row['classes']} classes, in blocks of {row['block_rows']} rows of the Gram "
                f"matrix ({row['gram_gib']:.2f} GiB whole): loss and slope in {seconds(row['seconds'])}; peak memory "
                f"of the process {row['peak_gib']:.2f} GiB, {row['before']['peak_gib']:.2f} GiB before.",
                "",
            ]
    body = []
    for row in rows:
        if row["check"] == "threshold":
            where = "none" if row["value"] is None else f"{row['value']:.8g}"
            phases = ["collapsed" if side["predicted"] else "apart" for side in row["sides"]]
            sides = "; ".join(
                f"{side['value']:.6g}: {phase}, opening {short(side['opening'])}"
                for side, phase in zip(row["sides"], phases, strict=True)
            )
            body.append([row["name"], where, sides, "agrees" if row["agrees"] else "**does not agree**"])
    if body:
        lines += [
            f"Critical values, descent at {settings['delta']:.0%} below and above (prediction, and what descent found: "
            "opening 0 is collapse):",
            "",
            *table(["problem", "critical value", "sides", "descent"], body),
        ]
    body = [
        [
            row["name"],
            row["verdict"],
            f"{row['certified_excess']:.6g}",
            short(row["gap"]),
            short(row["difference"]),
            "agrees" if row["agrees"] else "**does not agree**",
        ]
        for row in rows
        if row["check"] == "verdict"
    ]
    if body:
        lines += ["Verdicts, and the excess over the entropy bound that descent reaches (nats):", ""]
        lines += table(["weights", "verdict", "certified excess", "gap", "descent minus it", "descent"], body)
    return lines + origin(data)
