"""Designed loss weights: a dictionary, arrays for training code, and text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ... import __version__
from .basics import counts_line, row, table

if TYPE_CHECKING:
    from ...choosing.designs import Design

# Tables of more classes than this are left to the files.
_MOST_ROWS = 10


def design_arrays(found: Design) -> dict[str, NDArray[np.float64]]:
    """What a training code needs, by class in the caller's order."""
    return {
        "anchor_weights": found.anchor_weights,
        "negative_weights": found.weights,
        "own_weights": found.offsets,
        "target": found.target,
        "balance": found.balance,
        "temperature": np.array(found.objective.temperature),
    }


def design_report(found: Design, tol: float = 1e-9) -> dict[str, Any]:
    """The design as a dictionary, ready for `dumps`."""
    certificate = found.certificate
    return {
        **design_arrays(found),
        "masses": found.masses,
        "moved": found.moved,
        "value": certificate.value,
        "lower_bound": certificate.lower_bound,
        "gap": certificate.gap,
        "relative_gap": certificate.relative_gap,
        "cosine_residual": certificate.cosine_residual,
        "quality": "certified" if certificate.holds(tol) else "uncertified",
        "counts": found.counts.name,
        "classes": found.counts.classes,
        "version": __version__,
    }


def design_text(found: Design, tol: float = 1e-9) -> str:
    """The design as text: the proof, and the weights where they fit a screen."""
    certificate, classes = found.certificate, found.counts.classes
    proof = "CERTIFIED: the target is the only optimum" if certificate.holds(tol) else "NOT CERTIFIED"
    lines = [
        f"loss weights for a wanted geometry, temperature {found.objective.temperature:g}",
        counts_line(found.counts),
        "",
        f"{proof} (relative gap {certificate.relative_gap:.1e}, cosine residual {certificate.cosine_residual:.1e})",
        row("loss there", f"{certificate.value:.12g} nats"),
    ]
    if found.moved:
        lines.append(row("target moved by", f"{found.moved:.1e} (to be exactly singular)"))
    lines += ["", "one example of class y, in the mean over all examples:"]
    lines.append("  anchor_y [ -mean_p z.z_p/tau + log( mean_own e^(z.z_k/tau) + sum_j W_yj mean_j e^(z.z_k/tau) ) ]")
    if classes > _MOST_ROWS:
        shown = found.weights[~np.eye(classes, dtype=bool)]
        lines.append(row("anchor weights", f"{found.anchor_weights.min():.6g} to {found.anchor_weights.max():.6g}"))
        lines.append(row("W", f"{shown.min():.6g} to {shown.max():.6g} ({classes} x {classes}: --json or --out)"))
        return "\n".join(lines)
    rows: list[tuple[str, ...]] = [("class", "count", "anchor", *(f"W to {j}" for j in range(classes)))]
    for i in range(classes):
        weights = ("-" if j == i else f"{found.weights[i, j]:.6g}" for j in range(classes))
        rows.append((str(i), f"{found.counts.per_class[i]:g}", f"{found.anchor_weights[i]:.6g}", *weights))
    return "\n".join([*lines, "", *(f"  {line}" for line in table(rows))])
