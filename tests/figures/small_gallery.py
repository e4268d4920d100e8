"""Every figure of the catalogue, small, and closed forms of what it must show."""

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import geomsolve as gs
from geomsolve import cli
from geomsolve.figures.gallery import catalogue


def supervised(classes, temperature=1.0):
    """The threshold of one majority class under the logistic loss, supervised negatives."""
    rho = (1 + math.exp(2 / temperature)) / 2
    return (-(2 * classes - 3) + math.sqrt((2 * classes - 3) ** 2 + 8 * (classes - 1) ** 2 * rho)) / 2


def unsupervised(classes, temperature=1.0):
    return (classes - 1) * (1 + math.exp(2 / temperature)) / 2


# The decays beyond which the first and the last of 100, 20 and 4 examples vanish, and both sides of them.
EDGES = np.sqrt(np.array([100, 4]) * 2 / 3) / 124
DECAYS = np.outer(EDGES, [1 - 1e-9, 1 + 1e-9]).ravel()
# The two ratios at which the minority of the first mix collapses.
COLLAPSES = {"supervised": supervised(4), "unsupervised": unsupervised(4)}
# A figure by name, cut down to what a test can wait for.
SMALL = {
    "cosines": {
        "mixes": ((1, 3), (2, 8), (5, 5)),
        "ratios": (1.0, *(ratio * factor for ratio in COLLAPSES.values() for factor in (0.9, 1.1))),
    },
    "threshold-negatives": {"negatives": (1, 2, 16, 256)},
    "threshold-temperature": {"coldnesses": (0.5, 2.0, 7.0), "minority": 3},
    "phase-diagrams": {"grid": (4, 3)},
    "collapse-window": {"grid": (3, 2)},
    "critical-ratios": {"majorities": (1, 3), "minorities": (2, 4)},
    "sphere": {},
    "long-tails": {"names": ("isic2019", "places_lt")},
    "layer-peeled": {"each": 2, "feature_energy": 1.0, "ratios": (1.0, 2.0)},
    "seli": {"ratios": (1.0, 30.0)},
    "relu-vanishing": {"counts": gs.long_tail_counts(3, 100, 25.0), "decays": sorted(DECAYS)},
    "soft-supcon": {"ratios": (1.0, 3.0, 300.0)},
    "y-aware-gap": {"samples": 6, "radii": (0.3, 0.999, 2.0)},
    "x-clr-boundary": {"cells": 4},
    "label-circle": {},
}


@dataclass
class Gallery:
    """What the command reported and wrote, and the pictures it drew, by name."""

    report: list
    out: Path
    pictures: dict


def draw_gallery(out):
    """The gallery as one command draws it into a folder."""
    pictures = {}

    def cheap(name, draw):
        @functools.wraps(draw)
        def drawn(progress):
            return pictures.setdefault(name, draw(**SMALL[name], progress=progress))

        return drawn

    with pytest.MonkeyPatch.context() as patched:
        for name, draw in list(catalogue.FIGURES.items()):
            patched.setitem(catalogue.FIGURES, name, cheap(name, draw))
        report = out.parents[1] / "report.json"
        assert cli.run(["figures", "--out", str(out), "--json", str(report)]) == 0
    return Gallery(json.loads(report.read_text())["figures"], out, pictures)
