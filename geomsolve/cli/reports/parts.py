"""Solutions over atoms of several kinds (instances, prototypes, classifiers of a class), in dictionaries and words."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from ...counts.counts import Counts
from .basics import row, table, whole

if TYPE_CHECKING:
    from ...objectives.parts import Parts
    from ...solvers.solution import Solution

# Tables of more orbits than this are left to the JSON.
_MOST_ROWS = 9


def part_rows(solution: Solution, parts: Parts, counts: Counts) -> list[dict[str, Any]]:
    """One dictionary per orbit: what its atoms are, of which class, how many, and the cosine among them."""
    each, gram = counts.per_class, solution.orbits
    return [
        {
            "part": name,
            "class": c,
            "size": whole(size),
            "count": whole(each[c]),
            "proportion": float(each[c] / counts.total),
            "within": float(within),
        }
        for name, c, size, within in zip(parts.names, parts.classes, gram.sizes, gram.within, strict=True)
    ]


def shared_classes(solution: Solution, parts: Parts) -> list[list[int]]:
    """Groups of classes with atoms in one point."""
    groups = [sorted({parts.classes[a] for a in group}) for group in solution.orbits.merged()]
    return [list(group) for group in dict.fromkeys(tuple(g) for g in groups if len(g) > 1)]


def part_lines(solution: Solution, parts: Parts) -> list[str]:
    """The cosines between kinds of atoms, and all of them where they fit a screen."""
    gram = solution.orbits
    names, classes = np.array(parts.names), np.array(parts.classes)
    same = classes[:, None] == classes
    lines = ["Cosines"]
    kinds = list(dict.fromkeys(parts.names))
    for first, second in itertools.combinations_with_replacement(kinds, 2):
        pairs = (names[:, None] == first) & (names == second) & (gram.orbits.partners > 0)
        for chosen, words in ((pairs & same, "same class"), (pairs & ~same, "two classes")):
            if chosen.any():
                found = gram.cosines[chosen]
                span = f"{found.min():+.9f}" + (f" to {found.max():+.9f}" if np.ptp(found) > 1e-9 else "")
                what = first if first == second else f"{first}, {second}"
                lines.append(row(words, f"{span}  ({what})"))
    if 2 < len(names) <= _MOST_ROWS:
        short = [f"{name[0]}{c}" for name, c in zip(parts.names, parts.classes, strict=True)]
        cells: list[tuple[str, ...]] = [("", *short)]
        for a, name in enumerate(short):
            cells.append((name, *(f"{cosine:+.4f}" for cosine in gram.cosines[a])))
        lines += ["", *(f"  {line}" for line in table(cells)), ""]
    shared = shared_classes(solution, parts)
    closed = [f"{parts.names[a]} of class {parts.classes[a]}" for a in _closed(solution)]
    lines += [
        row("rank", f"{solution.rank} of at most {gram.orbits.atoms:g}"),
        row("in one point", "; ".join(closed) if len(closed) <= _MOST_ROWS else f"{len(closed)} orbits"),
        row("classes together", "; ".join(map(str, shared)) if shared else "none"),
    ]
    return lines if closed else [line for line in lines if "in one point" not in line]


def _closed(solution: Solution) -> list[int]:
    gram = solution.orbits
    return np.flatnonzero(gram.orbits.plural & (np.diag(gram.cosines) >= 1.0 - 1e-8)).tolist()
