"""Answers as pictures for a browser: points for a sphere, lines for ECharts, and the Gram matrix as an image."""

import base64
from typing import Any

import numpy as np

from ...arrays import Array
from ...figures.style import GREY, HEAD, MEAN, TAIL
from .model import Answer


def image(answer: Answer) -> str:
    """The Gram matrix as a data URI of a PNG."""
    return "data:image/png;base64," + base64.b64encode(answer.atoms.png()).decode()


def sphere(answer: Answer) -> tuple[dict[str, Any], str]:
    """The points in three dimensions with their colours, marks and words, and what is seen in a sentence.

    Of a rank above 3 these are principal axes, drawn to the scale at which the farthest point is on the sphere.
    """
    atoms = answer.atoms
    points, share = atoms.axes()
    rank = answer.solution.rank if answer.embedding is None else answer.embedding.dim
    words = f"All {rank} dimensions of the geometry." if rank <= 3 else (
        f"Three principal axes of {rank} dimensions, {100 * share:.3g} % of the spread, drawn to the farthest point."
    )  # fmt: skip
    kinds = list(dict.fromkeys(atoms.kinds.tolist()))
    if len(kinds) > 1:
        words += f" Circles, squares, frames: {', '.join(kinds)}."
    low, high = np.log(atoms.numbers.min()), np.log(atoms.numbers.max())
    shares = (np.log(atoms.numbers) - low) / (high - low if high > low else 1.0)
    told = zip(atoms.kinds, atoms.ranks, atoms.numbers, strict=True)
    return {
        "points": (points / max(1e-12, float(np.linalg.norm(points, axis=1).max()))).round(4).tolist(),
        # From yellow, few examples, by green to dark blue, many.
        "colours": [f"hsl({60 + 180 * share:.0f} 85% {52 - 27 * share:.0f}%)" for share in shares],
        "marks": [kinds.index(kind) for kind in atoms.kinds],
        "words": [f"{kind}, rank {rank:.0f}, {number:g} examples" for kind, rank, number in told],
        "label": words,
    }, f"{words} Dark: many examples."


def profile(answer: Answer) -> dict[str, Any]:
    """Cosines against class rank: of one kind of atoms also with the largest class and with the smallest."""
    atoms, dashes = answer.atoms, {"-": "solid", "--": "dashed", ":": "dotted"}
    classes = max(2.0, float(atoms.ranks.max()))
    lines = [
        _line(ranks, cosines, name, (MEAN, TAIL, HEAD)[i % 3], dashes[dash])
        for name, i, dash, ranks, cosines in atoms.lines()
    ]
    if len(set(atoms.kinds.tolist())) == 1:
        off = np.where(np.eye(len(atoms.gram), dtype=bool), np.nan, atoms.gram)
        lines.append(_line(atoms.ranks, off[0], "with the largest", HEAD))
        lines.append(_line(atoms.ranks, off[-1], "with the smallest", TAIL))
    flat = {"silent": True, "symbol": "none", "label": {"show": False}, "data": [{"yAxis": -1.0 / (classes - 1.0)}]}
    lines[-1]["markLine"] = {**flat, "lineStyle": {"color": GREY, "type": "dashed"}, "animation": False}
    axis = {"nameLocation": "middle", "type": "value"}
    return {
        "animation": False,
        "tooltip": {"trigger": "axis"},
        "legend": {"top": 0, "itemWidth": 14, "itemHeight": 3, "icon": "rect", "textStyle": {"fontSize": 11}},
        "grid": {"left": 56, "right": 12, "top": 50, "bottom": 42},
        "xAxis": {**axis, "name": "class rank, largest count first", "nameGap": 26, "min": 1, "max": classes},
        "yAxis": {**axis, "name": "cosine", "nameGap": 38, "scale": True},
        "series": lines,
    }


def _line(x: Array, y: Array, name: str, colour: str, dash: str = "solid") -> dict[str, Any]:
    points = [[float(a), None if np.isnan(b) else round(float(b), 6)] for a, b in zip(x, y, strict=True)]
    style = {"lineStyle": {"color": colour, "type": dash, "width": 2}, "itemStyle": {"color": colour}}
    return {"type": "line", "name": name, "data": points, "showSymbol": len(x) <= 60, "symbolSize": 5, **style}
