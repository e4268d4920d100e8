"""Answers as pictures for a browser: figures as Plotly takes them, and the Gram matrix as an image."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from ...arrays import Array
from ...figures.style import GREY, HEAD, MEAN, TAIL
from .model import Answer

HEIGHT = 260
_MARKS = ("circle", "diamond", "square", "cross")
_BARE: dict[str, Any] = {"visible": False, "range": [-1.05, 1.05]}
_CAMERA = {"eye": {"x": 0.62, "y": 0.62, "z": 0.4}, "projection": {"type": "orthographic"}}
_CONFIG = {"displaylogo": False, "displayModeBar": False}


def image(answer: Answer) -> str:
    """The Gram matrix as a data URI of a PNG."""
    return "data:image/png;base64," + base64.b64encode(answer.atoms.png()).decode()


def sphere(answer: Answer) -> tuple[dict[str, Any], str]:
    """The points in three dimensions, and what is seen in a sentence.

    Of a rank above 3 these are principal axes, drawn to the scale at which the farthest point is on the sphere.
    """
    atoms = answer.atoms
    points, share = atoms.axes()
    rank = answer.solution.rank if answer.embedding is None else answer.embedding.dim
    words = f"All {rank} dimensions of the geometry." if rank <= 3 else (
        f"Three principal axes of {rank} dimensions, {100 * share:.3g} % of the spread; drawn to the farthest point."
    )  # fmt: skip
    words += " Dark: many examples."
    points = points / max(1e-12, float(np.linalg.norm(points, axis=1).max()))
    colours = np.log10(atoms.numbers)
    traces = _wires()
    for kind, mark in zip(dict.fromkeys(atoms.kinds.tolist()), _MARKS, strict=False):
        mine = atoms.kinds == kind
        x, y, z = points[mine].T.round(5).tolist()
        hover = [
            f"{kind}, rank {r:.0f}, count {n:g}" for r, n in zip(atoms.ranks[mine], atoms.numbers[mine], strict=True)
        ]
        marker = {
            "size": 6, "symbol": mark, "color": colours[mine].tolist(), "colorscale": "Viridis", "reversescale": True,
            "cmin": float(colours.min()), "cmax": float(colours.max() + 1e-9), "line": {"width": 0.5, "color": "white"},
        }  # fmt: skip
        traces.append(
            {"type": "scatter3d", "mode": "markers", "name": kind, "x": x, "y": y, "z": z, "text": hover,
             "hoverinfo": "text", "marker": marker}
        )  # fmt: skip
    scene = {
        "xaxis": _BARE,
        "yaxis": _BARE,
        "zaxis": _BARE,
        "aspectmode": "manual",
        "aspectratio": dict.fromkeys("xyz", 1.4),
        "camera": _CAMERA,
    }
    several = len(traces) > 2
    layout = {"scene": scene, "showlegend": several, "legend": {"x": 0, "y": 1}, **_layout(HEIGHT)}
    return {"data": traces, "layout": layout, "config": _CONFIG}, words


def _wires() -> list[dict[str, Any]]:
    """Meridians and parallels of the sphere."""
    turn, steps = np.append(np.linspace(0.0, 2.0 * np.pi, 49), np.nan), np.arange(6) * np.pi / 6.0
    flat = np.zeros_like(turn)
    rings = [(np.cos(turn) * np.cos(a), np.cos(turn) * np.sin(a), np.sin(turn)) for a in steps]
    rings += [(np.cos(turn) * np.sin(a), np.sin(turn) * np.sin(a), flat + np.cos(a)) for a in steps[1:]]
    x, y, z = (
        [None if np.isnan(v) else round(float(v), 3) for v in np.concatenate(one)] for one in zip(*rings, strict=True)
    )
    style = {"color": "#e0e0e0", "width": 1.5}
    return [
        {"type": "scatter3d", "mode": "lines", "x": x, "y": y, "z": z, "line": style, "hoverinfo": "skip",
         "showlegend": False, "connectgaps": False}
    ]  # fmt: skip


def profile(answer: Answer) -> dict[str, Any]:
    """Cosines against class rank: with the largest, the smallest and all others; by kind where there are several."""
    atoms, lines = answer.atoms, []
    off = atoms.gram.copy()
    np.fill_diagonal(off, np.nan)
    kinds = list(dict.fromkeys(atoms.kinds.tolist()))
    for kind, dash in zip(kinds, ("solid", "dash", "dot", "dashdot"), strict=False):
        mine = np.flatnonzero(atoms.kinds == kind)
        own, ranks = off[np.ix_(mine, mine)], atoms.ranks[mine]
        alone = len(kinds) == 1
        if alone:
            lines += [_line(ranks, own[0], "with the largest", HEAD), _line(ranks, own[-1], "with the smallest", TAIL)]
        mean = np.nansum(own, axis=1) / max(1, len(mine) - 1)
        lines.append(_line(ranks, mean, "mean with others" if alone else f"{kind}: mean with others", MEAN, dash))
        if kind != "class means" and np.isfinite(atoms.spread[mine]).any():
            lines.append(_line(ranks, atoms.spread[mine], f"{kind}: within the class", HEAD, dash))
    classes = max(2, len(set(atoms.ranks.tolist())) if len(kinds) > 1 else atoms.total)
    flat = {"type": "line", "x0": 0, "x1": 1, "xref": "paper", "y0": -1 / (classes - 1), "y1": -1 / (classes - 1)}
    layout = {
        "xaxis": {"title": {"text": "class rank, largest count first", "standoff": 5}, "zeroline": False},
        "yaxis": {"title": {"text": "cosine", "standoff": 5}, "zeroline": False},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "shapes": [{**flat, "line": {"color": GREY, "dash": "dash", "width": 1}}],
        **_layout(HEIGHT + 40),
    }
    layout["margin"] = {"l": 55, "r": 10, "t": 45, "b": 40}
    return {"data": lines, "layout": layout, "config": _CONFIG}


def _line(x: Array, y: Array, name: str, colour: str, dash: str = "solid") -> dict[str, Any]:
    values = [None if np.isnan(v) else round(float(v), 6) for v in y]
    mode = "lines" if len(x) > 60 else "lines+markers"
    style = {"color": colour, "dash": dash, "width": 2}
    return {"type": "scatter", "mode": mode, "x": x.tolist(), "y": values, "name": name, "line": style}


def _layout(height: int) -> dict[str, Any]:
    # uirevision: a new figure leaves the camera and the zoom as the visitor has them.
    return {"height": height, "margin": {"l": 0, "r": 0, "t": 0, "b": 0}, "uirevision": "kept", "autosize": True,
            "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "font": {"size": 12}}  # fmt: skip
