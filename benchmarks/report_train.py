"""The section of the report on training: what a small encoder does, beside the certified optimum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from report_basics import origin, short, table


def training(data: dict, folder: Path) -> list[str]:
    """All studies of `benchmarks/train` that the folder has."""
    settings = data["settings"]
    layers = "-".join(str(size) for size in settings["encoder"])
    lines = [
        "## Training",
        "",
        f"Does a network get to the certified optimum? A perceptron ({layers}; {settings['optimiser']}; float32) on "
        "scikit-learn's digits (8 x 8 pixels), trained with each loss. `rms` and `worst` are over the cosines of all "
        "pairs, trained minus certified. `python benchmarks/train` runs it again; it is not part of `run.py`.",
        "",
    ]
    if (folder / "train.png").exists():
        lines += ["![Trained class means against certified cosines, and through the threshold](train.png)", ""]
    lines += _supcon(data, _load(folder, "fresh")) + origin(data)
    parts = {"curve": _curve, "losses": _losses, "batches": _batches, "widths": _widths}
    parts |= {"two_classes": _two_classes, "escape": _escape}
    studies = {name: found for name in parts if (found := _load(folder, name))}
    for name, found in studies.items():
        lines += parts[name](found) + origin(found)
    return lines + _departures(data, studies)


def _load(folder: Path, name: str) -> dict | None:
    path = folder / f"train_{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def _groups(rows: list[dict], *names: str) -> dict[tuple, list[dict]]:
    """Rows by the values of some fields, in the order in which these first come."""
    found: dict[tuple, list[dict]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found


def _range(values: list[float], form: str = ".1e") -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def _order(item: tuple[tuple, list[dict]]) -> tuple:
    """Of counts, all images before batches, high temperature before low."""
    rule, temperature, batch = item[0]
    return rule, batch or 0, -temperature


def _batch(size: int | None) -> str:
    return "all images" if size is None else str(size)


def _supcon(data: dict, fresh: dict | None) -> list[str]:
    rules = "; ".join(f"{name}: {', '.join(map(str, counts))}" for name, counts in data["settings"]["rules"].items())
    lines = [
        "### SupCon, all images in one batch and mini-batches",
        "",
        f"One view; images per class: {rules}. Batches are drawn independently with replacement, as the exact "
        "mini-batch optimum assumes. Steps and rates were chosen on the seeds "
        f"{', '.join(map(str, data['settings']['seeds']))}"
        + (
            f"; the fresh seeds {', '.join(map(str, fresh['settings']['seeds']))} were run once afterwards, with "
            "nothing changed."
            if fresh
            else "."
        ),
        "",
    ]
    names = ("rule", "temperature", "batch")
    again, rows = _groups(fresh["rows"] if fresh else [], *names), []
    for key, mine in sorted(_groups(data["rows"], *names).items(), key=_order):
        others = again.get(key, [])
        rows.append(
            [
                key[0],
                key[1],
                _batch(key[2]),
                _range([row["rms"] for row in mine]),
                _range([row["rms"] for row in others]) if others else "–",
                short(max(row["worst"] for row in mine + others)),
                "–" if key[2] is None else _range([row["rms_to_full_batch"] for row in mine + others]),
                f"{mine[0]['simplex_rms']:.3f}",
                _range([row["accuracy"] for row in mine + others], ".0f") + " %",
            ]
        )
    head = [
        "counts",
        "τ",
        "batch",
        "rms, tuned seeds",
        "rms, fresh seeds",
        "worst pair",
        "rms to the full-batch optimum",
    ]
    return lines + table([*head, "regular simplex is off by", "held-out accuracy"], rows)


def _curve(data: dict) -> list[str]:
    settings, summary = data["settings"], data["summary"]
    lines = [
        "### Through the threshold of minority collapse",
        "",
        f"One class of 150 images, three of 150/R, τ = {settings['temperature']:g}, all images in one batch. The "
        "minority's certified threshold is at "
        f"R = {summary['threshold']:.4f}. Just below it the loss is flat in the minority's cosine, and training takes "
        "more steps."
        if summary
        else "Unfinished.",
        "",
    ]
    rows = []
    for (ratio,), mine in sorted(_groups(data["rows"], "ratio").items()):
        cosines = [row["minority_cosine"] for row in mine]
        predicted = mine[0]["minority_predicted"]
        errors = [abs(cosine - predicted) for cosine in cosines]
        rows.append([f"{ratio:.3g}", mine[0]["steps"], f"{predicted:.5f}", _range(cosines, ".5f"), short(max(errors))])
    return lines + table(["R", "steps", "certified cosine", "trained, all seeds", "largest error"], rows)


def _losses(data: dict) -> list[str]:
    lines = [
        "### The other losses",
        "",
        "Against the certified optimum over all images, atoms together: class means (images for SupCL and Supervised "
        "Minority), prototypes, classifiers. Batches are drawn without replacement. GCL draws its negatives at "
        "random, so its optimum is the same for batches; for the others no exact mini-batch optimum is known here, and "
        "the last column says how far batches take them from that of all images.",
        "",
    ]
    rows = []
    for (loss, rule), mine in sorted(_groups(data["rows"], "loss", "rule").items()):
        parts = _groups(mine, "batch")
        whole = parts.get((None,), [])
        drawn = [row for row in mine if row["batch"] is not None]
        settings = data["settings"][f"{loss}, {rule}"]
        rows.append(
            [
                loss,
                f"{rule}, {sum(settings['counts'])} images",
                settings["temperature"],
                mine[0]["quality"],
                _range([row["rms"] for row in whole]) if whole else "–",
                short(max(row["worst"] for row in whole)) if whole else "–",
                f"{_range([row['rms'] for row in drawn])} ({drawn[0]['batch']} images)" if drawn else "–",
            ]
        )
    head = ["loss", "counts", "τ", "optimum", "rms, all images", "worst pair", "rms, batches"]
    return lines + table(head, rows)


def _batches(data: dict) -> list[str]:
    settings = data["settings"]
    lines = [
        "### How batches are drawn",
        "",
        f"SupCon, one view, batches of {settings['batch']} of {sum(settings['counts'])} images (five classes of "
        f"{max(settings['counts'])}, five of {min(settings['counts'])}). The exact mini-batch optimum is that of "
        "batches drawn independently; a loader that shuffles draws without replacement, and a class of few images then "
        "meets itself less often. The optimum of such batches is minimised here over "
        f"{settings['draws']:,} drawn ones (not certified; the same with replacement tells the error of sampling). "
        "Averaging several batches in a step leaves the loss as it is and lessens the noise of the gradient.",
        "",
    ]
    rows = []
    for temperature, found in data["summary"].get("optima", {}).items():
        shown = (found["without_to_exact"], found["sampled_to_exact"], found["full_to_exact"])
        rows.append([temperature, *map(short, shown)])
    head = ["τ", "without replacement, to the exact optimum", "with, sampled, to the exact", "all images, to the exact"]
    lines += table(head, rows)
    rows = []
    for (temperature, draw, batches), mine in _groups(data["rows"], "temperature", "draw", "batches").items():
        exact, without = ([row[name] for row in mine] for name in ("rms", "rms_to_without"))
        rows.append([temperature, draw, batches, mine[0]["steps"], _range(exact), _range(without)])
    head = ["τ", "batches drawn", "in a step", "steps", "rms to the exact optimum", "rms to that without replacement"]
    return lines + table(head, rows)


def _widths(data: dict) -> list[str]:
    settings, rows = data["settings"], []
    for (width, dim), mine in _groups(data["rows"], "width", "dim").items():
        errors, losses = [row["rms"] for row in mine], [row["excess"] for row in mine]
        rows.append([width, dim, _range(errors), short(max(row["worst"] for row in mine)), _range(losses)])
    lines = [
        "### Width",
        "",
        f"SupCon, {settings['rule']}, τ = {settings['temperature']:g}, all images in one batch, {settings['steps']} "
        "steps. The optimum has rank "
        f"{data['summary'].get('rank', '–')}: an embedding of fewer dimensions cannot hold it.",
        "",
    ]
    head = ["hidden width", "dimension of the embedding", "rms", "worst pair", "loss above the certified optimum"]
    return lines + table(head, rows)


def _two_classes(data: dict) -> list[str]:
    settings, summary = data["settings"], data["summary"]
    lines = [
        "### Two classes",
        "",
        f"{settings['total']} images, two views, τ = {settings['temperature']:g}, batches of {settings['batch']}, "
        f"{settings['steps']} steps. Balanced accuracy on held-out images of two linear probes: one trained on the "
        f"same imbalanced images with balanced weights, one on {settings['probe']} images of each class (defined "
        "before it was first run). SAA and CAC are held out; means over seeds.",
        "",
    ]
    rows = []
    for (share, loss), mine in _groups(data["rows"], "share", "loss").items():
        names = ("mean_cosine", "test_saa", "test_cac", "train_cac", "accuracy", "balanced_accuracy")
        means = [sum(row[name] for row in mine) / len(mine) for name in names]
        rows.append([f"{share:g} %", loss, f"{means[0]:.3f}", *(f"{mean:.1f}" for mean in means[1:])])
    head = [
        "minority",
        "loss",
        "cosine of class means",
        "SAA",
        "CAC",
        "CAC, training images",
        "probe",
        "balanced probe",
    ]
    lines += table(head, rows)
    if not summary:
        return lines
    lines += [
        "R² of CAC and SAA with the accuracy of a probe over runs; * where the accuracy falls as they rise:",
        "",
    ]
    rows = []
    for group in summary["r_squared"]:
        both = [(name, ending) for name in ("test_cac", "train_cac", "test_saa") for ending in ("", "_balanced")]
        found = [(summary["r_squared" + end][group][name], summary["slope" + end][group][name]) for name, end in both]
        rows.append([group, *("–" if fit is None else f"{fit:.2f}" + "*" * (slope < 0) for fit, slope in found)])
    head = [f"{name}, {probe}" for name in ("CAC", "CAC of training images", "SAA") for probe in ("probe", "balanced")]
    return lines + table(["runs", *head], rows)


def _escape(data: dict) -> list[str]:
    settings, flat = data["settings"], data["summary"].get("orthogonal_above_optimum", {})
    lines = [
        "### Two classes: out of the full collapse",
        "",
        f"SupCon, two views, batches of {settings['batch']} of {settings['total']} images. All classes in one point is "
        "a stationary point, at the loss `collapsed`; the cosine of the class means is followed through training. Few "
        "images that are told apart need not tell about others (`held out`). "
        "`gained` is the share of what separating can gain, from `collapsed` to the certified optimum (cosine −1). "
        "At a low temperature the last half of the way from 1 to −1 gains next to nothing, and training stops in it: "
        "class means at a right angle are above the optimum by "
        + "; ".join(f"{value:.1e} nats (minority {case.replace(', ', ', τ = ')})" for case, value in flat.items())
        + ".",
        "",
    ]
    rows = []
    names = ("share", "temperature", "steps", "rate", "augmented")
    for key, mine in _groups(data["rows"], *names).items():
        tenths = [(step, _mean([row["history"]["watched"][step] for row in mine])) for step in (0, 1, 2, 4)]
        rows.append(
            [
                f"{key[0]:g} %",
                key[1],
                f"{key[2]}, {key[3]:g}",
                "yes" if key[4] else "no",
                f"{_mean([row['cosine_before'] for row in mine]):.3f}",
                ", ".join(f"{mine[0]['history']['step'][step]}: {cosine:.3f}" for step, cosine in tenths),
                _range([row["cosine"] for row in mine], ".3f"),
                _range([row["test_cosine"] for row in mine], ".3f"),
                f"{mine[0]['collapsed']:.4f}",
                _range([row["loss"] for row in mine], ".4f"),
                f"{mine[0]['optimum']:.4f}",
                _range([100 * row["gained"] for row in mine], ".0f") + " %",
            ]
        )
    head = ["minority", "τ", "steps, rate", "augmented", "cosine before", "mean cosine after steps", "at the end"]
    return lines + table([*head, "held out", "collapsed", "loss", "optimum", "gained"], rows)


def _mean(values: list[Any]) -> float:
    return sum(values) / len(values)


def _departures(data: dict, studies: dict[str, dict]) -> list[str]:
    lines = []
    drawn = [row for row in data["rows"] if row["batch"] is not None]
    if drawn:
        ratios = [row["rms_to_full_batch"] / row["rms"] for row in drawn]
        lines.append(
            f"- Batches: a network trained in batches is {min(ratios):.1f} to {max(ratios):.1f} times as far (rms) "
            "from the optimum of all images as from the exact mini-batch optimum."
        )
    batches = studies.get("batches")
    if batches and batches["summary"]:
        temperature, found = next(iter(batches["summary"]["optima"].items()))
        lines.append(
            f"- Drawing without replacement moves the optimum by {found['without_to_exact']:.1e} at τ = {temperature}, "
            f"where leaving batches out moves it by {found['full_to_exact']:.1e}."
        )
        averaged = [row for row in batches["rows"] if row["draw"] == "with replacement" and row["batches"] == 4]
        rule, counts = batches["settings"]["rule"], batches["settings"]["counts"]
        single = [
            row["rms"]
            for row in drawn
            if row["rule"] == rule and row["batches"] == 1 and f"{row['temperature']:g}" == temperature
        ]
        if averaged and single:
            lines.append(
                f"- Noise: with {max(counts)} and {min(counts)} images a class, rms {_range(single)} with one batch in "
                f"a step, {_range([row['rms'] for row in averaged])} with four averaged, steps and rate the same."
            )
    escape, two = studies.get("escape"), studies.get("two_classes")
    if escape and two:
        least = min(row["share"] for row in escape["rows"])
        stopped = [row["mean_cosine"] for row in two["rows"] if row["loss"] == "SupCon" and row["share"] == least]
        runs = _groups([row for row in escape["rows"] if row["share"] == least], "temperature", "rate", "augmented")
        tau, rate = two["settings"]["temperature"], two["settings"]["rate"]
        longer, plain = (runs.get((tau, rate, augmented)) for augmented in (True, False))
        if stopped and longer:
            ends = [row["cosine"] for row in longer]
            lines.append(
                f"- Finite training: SupCon with a minority of {least:g} % is fully collapsed after "
                f"{two['settings']['steps']} steps (cosine {_range(stopped, '.3f')}), and separated after "
                f"{longer[0]['steps']} at the same first rate ({_range(ends, '.3f')}; of held-out images "
                f"{_range([row['test_cosine'] for row in longer], '.3f')})."
            )
        if longer and plain:
            early = [_mean([row["history"]["watched"][0] for row in run]) for run in (longer, plain)]
            steps = [run[0]["history"]["step"][0] for run in (longer, plain)]
            lines.append(
                f"- Augmentation: the same images without it are apart early (mean cosine {early[1]:.2f} after "
                f"{steps[1]} steps; with it {early[0]:.3f} after {steps[0]})."
            )
    widths = studies.get("widths")
    if widths:
        runs = _groups(widths["rows"], "width", "dim")
        texts = [
            f"{width} wide, {dim} dimensions: {_range([r['rms'] for r in mine])}" for (width, dim), mine in runs.items()
        ]
        lines.append(f"- Width (rms): {'; '.join(texts)}.")
    return ["### Where training departs, and why", "", *lines, ""] if lines else []
