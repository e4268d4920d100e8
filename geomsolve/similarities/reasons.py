"""Verdicts on weightings in a sentence."""

from __future__ import annotations

import numpy as np

from ..objectives.weighted.weightings import Weighting
from .feasibility import LogGram
from .witnesses import Witness


def degenerate_reason(weighting: Weighting, components: int) -> str:
    """Why some weight of 0 keeps the bound from being attained."""
    labels = weighting.orbits.listed()
    if weighting.self_pairs and np.isneginf(weighting.own).any():
        a = int(np.flatnonzero(np.isneginf(weighting.own))[0])
        first = int(np.flatnonzero(labels == a)[0])
        return (
            f"the weight of sample {first} with itself is 0, but its similarity to itself is the largest there is "
            "(leave self-pairs out)"
        )
    a, b = np.argwhere(weighting.zeros)[0]
    first = int(np.flatnonzero(labels == a)[0])
    second = int(np.flatnonzero(labels == b)[int(a == b)])
    reason = f"the weight of samples {first} and {second} is 0, which no finite similarity gives"
    if components > 1:
        reason += (
            f"; the weights fall into {components} groups with nothing between them, which only the denominators place"
        )
    return reason


def inconsistent_reason(logs: LogGram, witness: Witness, temperature: float) -> str:
    """Why positive weights have no Gram matrix."""
    if witness.kind == "asymmetric":
        labels = logs.orbits.listed()
        names = [int(np.flatnonzero(labels == a)[0]) for a in logs.worst]
        if len(names) == 2:
            i, j = names
            return (
                f"the weights are asymmetric: w_ij/w_ii and w_ji/w_jj differ by {_factor(logs.asymmetry)} for "
                f"samples {i} and {j}, and a cosine has one value"
            )
        return (
            "the weights are asymmetric: around samples "
            f"{', '.join(map(str, names))} the products of weights in the two directions differ by "
            f"{_factor(logs.asymmetry)}"
        )
    reason = "the matrix of wanted cosines has a negative eigenvalue"
    if not logs.weighting.self_pairs:
        reason += ", whatever the free constant"
    largest = logs.largest_temperature
    if largest > 0:
        down = largest * (1.0 - 1e-6)  # six digits, none too many
        return f"{reason}; it has none at temperatures up to {down:.6g} (here {temperature:g})"
    return f"{reason}, at every temperature"


def _factor(logarithm: float) -> str:
    """What e^logarithm is, in words."""
    if logarithm < 1e-2:
        return f"a share {np.expm1(logarithm):.3g}"
    return f"a factor {np.exp(logarithm):.6g}" if logarithm < 600.0 else f"a factor e^{logarithm:.6g}"
