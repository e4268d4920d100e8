"""Random problems as users meet them: `draw(number)` gives (family, objective, options).

Eleven losses with the hyperparameters their papers use, in turn. 2 to 300 classes (log-uniform; one problem in eight
has 60 or more) with exponential, step, Zipf or log-normal counts; imbalance 1 to 10⁴, log-uniform, and every tenth
problem balanced; the rarest class has 2 to 100 examples; temperature 0.05 to 1, log-uniform. Weighted InfoNCE of 10 to
60 samples, or of the examples of 2 to 30 classes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import geomsolve as gs

LISTED = 1e7  # examples at most of losses over single examples
Drawn = tuple[Any, Any, dict[str, Any]]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two others, its logarithm uniform."""
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def draw_counts(
    rng: np.random.Generator, most: float = 300, total: float = math.inf, classes: int | None = None
) -> np.ndarray:
    """(C,) whole counts of at least 2, in random order."""
    if classes is None:
        small = rng.uniform() > 0.12
        classes = round(log_uniform(rng, 2, 60.49) if small else log_uniform(rng, 60, most))
    ratio = log_uniform(rng, 1.0, 1e4) if rng.uniform() > 0.1 else 1.0
    least = log_uniform(rng, 2, 100)
    if classes * least * ratio > total:
        least, ratio = 2.0, min(ratio, total / classes / 2)
    law = rng.choice(["exponential", "step", "zipf", "lognormal"])
    place = np.arange(classes) / max(classes - 1, 1)
    if law == "exponential":
        share = ratio**-place
    elif law == "step":
        share = np.where(np.arange(classes) < rng.integers(1, max(classes, 2)), 1.0, 1.0 / ratio)
    elif law == "zipf":
        share = (1.0 + np.arange(classes)) ** (-math.log(ratio) / math.log(max(classes, 2)))
    else:
        normal = rng.normal(size=classes)
        share = ratio ** ((normal - normal.min()) / max(np.ptp(normal), 1e-9) - 1)
    return rng.permutation(np.maximum(np.rint(least * ratio * share), 2.0))


def supcon(rng: np.random.Generator, tau: float) -> Drawn:
    """SupCon, full batch."""
    return gs.SupCon, draw_counts(rng), {"temperature": tau, "views": int(rng.integers(1, 3))}


def supcon_batch(rng: np.random.Generator, tau: float) -> Drawn:
    """SupCon in batches of 32 to 1024."""
    counts, views = draw_counts(rng), int(rng.integers(1, 3))
    return gs.SupCon, counts, {"temperature": tau, "views": views, "batch": int(2 ** rng.integers(5, 11))}


def gcl(rng: np.random.Generator, tau: float) -> Drawn:
    """InfoNCE of 1 to infinitely many negatives."""
    negatives = float(rng.choice([1, 16, 256, math.inf]))
    norm = "mean" if negatives == math.inf else str(rng.choice(["mean", "sum"]))
    options = {"temperature": tau, "sampling": str(rng.choice(["supervised", "unsupervised"]))}
    return gs.GCL, draw_counts(rng), options | {"negatives": negatives, "normalization": norm}


def hinge(rng: np.random.Generator, tau: float) -> Drawn:
    """The hinge, which has a margin and no temperature."""
    del tau
    sampling = str(rng.choice(["supervised", "unsupervised"]))
    return gs.GCL, draw_counts(rng, 100), {"loss": "hinge", "sampling": sampling, "margin": float(rng.uniform(0.5, 1))}


def supcl(rng: np.random.Generator, tau: float) -> Drawn:
    """SupCL, any mix, with and without self-pairs."""
    own = bool(rng.integers(2))
    alpha = float(rng.choice([0.0, 0.5, 1.0, rng.uniform()]))
    views = int(rng.integers(1 if own else 2, 3))
    counts = draw_counts(rng, total=LISTED)
    return gs.SupCL, counts, {"temperature": tau, "alpha": alpha, "self_pairs": own, "views": views}


def bcl(rng: np.random.Generator, tau: float) -> Drawn:
    """BCL, both ways to average anchors."""
    anchors = str(rng.choice(["instance", "class"]))
    return gs.BCL, draw_counts(rng, 120), {"temperature": tau, "anchors": anchors, "views": int(rng.integers(1, 3))}


def kcl(rng: np.random.Generator, tau: float) -> Drawn:
    """KCL, 1 to 16 positives."""
    counts = draw_counts(rng, total=LISTED)
    return gs.KCL, counts, {"temperature": tau, "positives": int(rng.choice([1, 2, 3, 6, 16])), "views": 2}


def ecl(rng: np.random.Generator, tau: float) -> Drawn:
    """ECL, with and without classifier."""
    options: dict[str, Any] = {"temperature": tau, "anchors": str(rng.choice(["instance", "class"]))}
    options["classifier"] = bool(rng.integers(2))
    if options["classifier"]:
        options |= {"contrast": log_uniform(rng, 0.1, 10), "align": log_uniform(rng, 0.1, 10)}
        options["scale"] = log_uniform(rng, 3, 30)
    return gs.ECL, draw_counts(rng, 100), options


def logit_compensated(rng: np.random.Generator, tau: float) -> Drawn:
    """Logit-compensated cross-entropy, whose temperature is 1/scale."""
    return gs.LogitCompensated, draw_counts(rng, 120), {"scale": 1 / tau}


def supmin(rng: np.random.Generator, tau: float) -> Drawn:
    """Supervised Minority: two classes."""
    return gs.SupMin, draw_counts(rng, total=LISTED, classes=2), {"temperature": tau, "views": 2}


def weighted(rng: np.random.Generator, tau: float) -> Drawn:
    """Weighted InfoNCE: Soft SupCon, y-Aware and X-CLR weights."""
    scheme, own = str(rng.choice(["soft-supcon", "y-aware", "x-clr"])), bool(rng.integers(2))
    if scheme == "soft-supcon":
        counts = draw_counts(rng, total=3e4, classes=round(log_uniform(rng, 2, 30)))
        epsilon = float(rng.choice([0.0, 0.01, 0.1, log_uniform(rng, 1e-3, 0.5)]))
        labels = np.repeat(np.arange(len(counts)), counts.astype(int))
        weights = gs.similarities.soft_supcon_weights(labels, epsilon=epsilon, self_pairs=own)
    else:
        labels = rng.normal(size=(int(rng.integers(10, 61)), int(rng.integers(1, 4)) + (scheme == "x-clr")))
        width = log_uniform(rng, 0.1, 10 if scheme == "y-aware" else 2)
        if scheme == "y-aware":
            weights = gs.similarities.y_aware_weights(labels, sigma=width, self_pairs=own)
        else:
            weights = gs.similarities.x_clr_weights(labels, label_temperature=width, self_pairs=own)
    return gs.WeightedInfoNCE, weights, {"temperature": tau}


FAMILIES = (supcon, supcon_batch, gcl, hinge, supcl, bcl, kcl, ecl, logit_compensated, supmin, weighted)


def draw(number: int) -> tuple[str, Any, dict[str, Any]]:
    """The family, the objective and the options of the problem of that number, from the number alone."""
    rng = np.random.default_rng([0, number])
    family = FAMILIES[number % len(FAMILIES)]
    builder, data, options = family(rng, log_uniform(rng, 0.05, 1.0))
    return family.__name__, builder(data, **options), options
