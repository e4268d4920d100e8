"""Verbs that show what is built in: class counts, and the figures of the theory."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..choosing.named import loss_names, loss_settings, loss_words
from ..counts.sources import load_counts, profile_names
from ..errors import ProblemError
from ..figures.gallery.catalogue import FIGURES, described, draw_figures
from ..objectives.registry import REQUIRED
from ..text import table, whole
from .app import code, verb
from .options import HELP, JsonOption, option
from .outputs import Outputs, reporting


@verb(
    "geomsolve profiles",
    "geomsolve profiles --json -",
)
def profiles(json: JsonOption = None) -> int:
    """The built-in class counts."""
    rules = [name for name in profile_names() if name.endswith(":IR")]
    listed: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = [("profile", "classes", "distinct", "largest", "smallest", "ratio", "examples")]
    for counts in (load_counts(name) for name in profile_names() if name not in rules):
        ends = {"largest": whole(counts.distinct[0]), "smallest": whole(counts.distinct[-1])}
        told = {"name": counts.name, "classes": counts.classes, "distinct": len(counts.distinct), **ends}
        listed.append({**told, "imbalance_ratio": counts.imbalance_ratio, "total": whole(counts.total)})
        rows.append((*map(str, told.values()), f"{counts.imbalance_ratio:.4g}", f"{whole(counts.total)}"))
    note = f"and by rule: {', '.join(rules)} (IR: largest count over smallest, as in {rules[0].replace('IR', '100')})"
    order = "Profiles are histograms: their classes are sorted by count, largest first."
    Outputs(json).emit({"profiles": listed, "rules": rules}, [*table(rows), "", note, order])
    return code(True)


@verb(
    "geomsolve figures --list",
    "geomsolve figures --out folder",
)
def figures(
    names: Annotated[list[str] | None, typer.Argument(help="Which figures; all of them without names.")] = None,
    *,
    out: Annotated[Path | None, option("Write NAME.pdf, NAME.png and NAME.csv to this folder.")] = None,
    only_list: Annotated[bool, option("Print the names of the figures and what they show.", "--list")] = False,
    json: JsonOption = None,
) -> int:
    """The figures of the theory, each with the certified data behind it."""
    if only_list:
        told = {name: described(name) for name in FIGURES}
        listed = [{"name": name, "description": words} for name, words in told.items()]
        Outputs(json).emit({"figures": listed}, [f"{name:<24}{words}" for name, words in told.items()])
        return code(True)
    if out is None:
        raise ProblemError("out: must be given; got none (a folder for the files, or --list for the names)")
    outputs = Outputs(json)
    with reporting() as progress:
        drawn = draw_figures(out, names or None, progress=progress)
    cells: list[tuple[str, ...]] = [("figure", "points", "not certified")]
    cells += [(figure.name, f"{figure.points}", f"{figure.uncertified}") for figure in drawn]
    outputs.emit(
        {"figures": [asdict(figure) for figure in drawn]},
        [*table(cells), "", f"  wrote a .pdf, .png and .csv of each to {out}"],
    )
    return code(not any(figure.uncertified for figure in drawn))


@verb("geomsolve losses", "geomsolve losses gcl")
def losses(
    names: Annotated[list[str] | None, typer.Argument(help="Which losses; all of them without names.")] = None,
    *,
    json: JsonOption = None,
) -> int:
    """The losses by name, their settings and what these are."""
    told: list[str] = []
    listed: list[dict[str, Any]] = []
    for name in names or loss_names():
        defaults: dict[str, Any] = {}
        told += [""] * bool(told) + [name, f"  {loss_words(name)}"]
        for setting, default in loss_settings(name).items():
            needed = default is REQUIRED
            defaults[setting] = None if needed or callable(default) else default
            start = f"    --{setting.replace('_', '-')}"
            told.append(f"{start:<22}{'needed' if needed else f'{default}':<14}{HELP.get(setting, '')}")
        listed.append({"name": name, "description": loss_words(name), "settings": defaults})
    Outputs(json).emit({"losses": listed}, told)
    return code(True)
