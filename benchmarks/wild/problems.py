"""Random problems of every convex loss, far beyond what is trained: `draw(number)` gives (family, objective, options).

Problem number n is drawn from numpy's default_rng([DRAWS, n]) alone: a loss, all families alike; 2 to 60 distinct
counts (log-uniform) over 0 to 10 decades (uniform; the losses that list every example end at 10 million), a third of
the problems with several classes of a count; a temperature, log-uniform from 0.02 to 10; every option of the loss.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import geomsolve as gs

from ..practical.problems import LISTED, log_uniform

DRAWS = 1
TEMPERATURES = (0.02, 10.0)


def draw_counts(
    rng: np.random.Generator, *, most: float = 2e10, total: float = math.inf, repeats: int = 100, distinct: int = 60
) -> Any:
    """(C,) whole counts of at least 2 in random order, with at most `distinct` different ones and `total` examples."""
    count = round(log_uniform(rng, 2, distinct + 0.49))
    share = min(most, total / count) / 2.0
    span = rng.uniform(0.0, math.log10(share))
    least = 2.0 * log_uniform(rng, 1.0, share / 10.0**span)
    places = np.concatenate([[0.0, 1.0], rng.uniform(0.0, 1.0, count - 2)])
    values = np.unique(np.maximum(np.rint(least * 10.0 ** (span * places)), 2.0))
    if len(values) == 1:
        values = np.array([values[0], values[0] + 1.0])
    times = np.ones(len(values), int)
    if rng.uniform() < 1 / 3:
        times = np.array([int(log_uniform(rng, 1, repeats + 0.99)) for _ in values])
        if float(times @ values) > total:
            times[:] = 1
    return rng.permutation(np.repeat(values, times))


def supcon(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """SupCon, full batch."""
    options = {"temperature": tau, "views": int(rng.integers(1, 4))}
    return gs.SupCon(draw_counts(rng), **options), options


def supcon_batch(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """SupCon in mini-batches of 4 to a million."""
    views = int(rng.integers(1, 4))
    options = {"temperature": tau, "views": views, "batch": int(log_uniform(rng, 4, 1e6))}
    return gs.SupCon(draw_counts(rng), **options), options


def gcl(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """GCL: InfoNCE of 1 to infinitely many negatives, logistic."""
    options = {"temperature": tau, "sampling": str(rng.choice(["supervised", "unsupervised"]))}
    if rng.uniform() < 0.15:
        options["loss"] = "logistic"
    else:
        options["negatives"] = float(rng.choice([1, 2, 16, 256, math.inf]))
        options["normalization"] = "mean" if options["negatives"] == math.inf else str(rng.choice(["mean", "sum"]))
    return gs.GCL(draw_counts(rng), **options), options


def hinge(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """GCL with the hinge, which has a margin and no temperature."""
    options = {"sampling": str(rng.choice(["supervised", "unsupervised"])), "margin": log_uniform(rng, 0.1, 3.0)}
    return gs.GCL(draw_counts(rng), loss="hinge", **options), options


def supcl(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """SupCL, any mix, with and without self-pairs."""
    alpha = float(rng.choice([0.0, 1.0, rng.uniform()], p=[0.1, 0.1, 0.8]))
    self_pairs = bool(rng.integers(2))
    views = int(rng.integers(1 if self_pairs else 2, 4))
    options = {"temperature": tau, "alpha": alpha, "self_pairs": self_pairs, "views": views}
    return gs.SupCL(draw_counts(rng, total=LISTED, repeats=5), **options), options


def bcl(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """BCL, both ways to average anchors."""
    anchors, views = str(rng.choice(["instance", "class"])), int(rng.integers(1, 4))
    options = {"temperature": tau, "anchors": anchors, "views": views}
    return gs.BCL(draw_counts(rng, repeats=2), **options), options


def kcl(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """KCL, 1 to 64 positives."""
    options = {"temperature": tau, "positives": int(log_uniform(rng, 1, 64)), "views": int(rng.integers(2, 4))}
    return gs.KCL(draw_counts(rng, total=LISTED, repeats=5), **options), options


def ecl(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """ECL, with and without classifier."""
    options: dict = {"temperature": tau, "anchors": str(rng.choice(["instance", "class"]))}
    options["classifier"] = bool(rng.integers(2))
    if options["classifier"]:
        options |= {"contrast": log_uniform(rng, 0.1, 10), "align": log_uniform(rng, 0.1, 10)}
        options["scale"] = log_uniform(rng, 3, 30)
    return gs.ECL(draw_counts(rng, repeats=2), **options), options


def lc(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """Logit-compensated cross-entropy, whose temperature is 1/scale."""
    options = {"scale": 1.0 / tau}
    return gs.LogitCompensated(draw_counts(rng, repeats=2), **options), options


def supmin(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """SupMin: two classes."""
    options = {"temperature": tau, "views": int(rng.integers(2, 4))}
    counts = draw_counts(rng, total=LISTED, repeats=1, distinct=2)
    return gs.SupMin(counts, **options), options


def examples(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """SupCon over single examples."""
    options = {"temperature": tau, "views": int(rng.integers(2, 4))}
    return gs.SupConInstances(draw_counts(rng, total=LISTED, repeats=5), **options), options


def design(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """A row softmax designed for the simplex, or for random points whose weighted mean is 0."""
    counts = draw_counts(rng, repeats=2)
    options: dict = {"temperature": tau, "anchors": str(rng.choice(["class", "instance"]))}
    target = None
    if rng.uniform() < 0.5:
        weights = rng.uniform(0.5, 1.0, len(counts))
        weights = np.minimum(weights, 0.4 * weights.sum())
        target = np.full((len(counts), len(counts)), np.nan)
        while not np.isfinite(target).all():  # points that are all at their mean have no directions: drawn anew
            points = rng.normal(size=(len(counts), int(rng.integers(1 + (len(counts) > 2), len(counts) + 1))))
            with np.errstate(invalid="ignore"):
                for _ in range(2000):
                    points /= np.linalg.norm(points, axis=1, keepdims=True)
                    points -= weights @ points / weights.sum()
                points /= np.linalg.norm(points, axis=1, keepdims=True)
            target = points @ points.T
        options["target"] = "random"
    return gs.design(counts, target, temperature=tau, anchors=options["anchors"]).objective, options


def weighted(rng: np.random.Generator, tau: float) -> tuple[Any, dict]:
    """Weighted InfoNCE: Soft SupCon, y-Aware and X-CLR weights."""
    scheme, self_pairs = str(rng.choice(["soft-supcon", "y-aware", "x-clr"])), bool(rng.integers(2))
    options: dict = {"temperature": tau, "scheme": scheme, "self_pairs": self_pairs}
    if scheme == "soft-supcon":
        counts = draw_counts(rng, total=1e6, repeats=5)
        options["epsilon"] = float(rng.choice([0.0, log_uniform(rng, 1e-6, 1.0)], p=[0.2, 0.8]))
        labels = np.repeat(np.arange(len(counts)), counts.astype(int))
        weighting = gs.similarities.soft_supcon_weights(labels, epsilon=options["epsilon"], self_pairs=self_pairs)
    else:
        samples, width = round(log_uniform(rng, 3, 60)), int(rng.integers(1, 4)) + (scheme == "x-clr")
        labels = rng.normal(size=(samples, width))
        options |= {"samples": samples, "width": width, "bandwidth": log_uniform(rng, 0.1, 10)}
        if scheme == "y-aware":
            weighting = gs.similarities.y_aware_weights(labels, sigma=options["bandwidth"], self_pairs=self_pairs)
        else:
            weighting = gs.similarities.x_clr_weights(
                labels, label_temperature=options["bandwidth"], self_pairs=self_pairs
            )
    return gs.WeightedInfoNCE(weighting, temperature=tau), options


FAMILIES = (supcon, supcon_batch, gcl, hinge, supcl, bcl, kcl, ecl, lc, supmin, examples, design, weighted)


def draw(number: int) -> tuple[str, Any, dict]:
    """The name of the family, the objective and its options, of the problem of that number."""
    rng = np.random.default_rng([DRAWS, number])
    family = FAMILIES[int(rng.integers(len(FAMILIES)))]
    objective, options = family(rng, log_uniform(rng, *TEMPERATURES))
    return family.__name__, objective, options
