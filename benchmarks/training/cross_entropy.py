"""Cross-entropy with weight decay on ten digits: a trained network's logits, features and classifier at the optimum?

The classifier and the last features of all images are decayed, inner layers are not; no bias, full batch. Beside plain
cross-entropy its logit adjustment, and the margins of `design_logits` under which the optimum is the simplex. The
excess is the trained loss with its decay over the certified optimum, less 1: no network can be below it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import geomsolve as gs

from ..record import Record, Table, say
from .data import Split, digits
from .encoder import SIZES, Trainer, embed, start
from .judging import nearest_mean_accuracy, off_by, simplex
from .supcon import RULES

FEATURE_DECAY, CLASSIFIER_DECAY = 1e-5, 5e-3
DECAYS = {"feature_decay": FEATURE_DECAY, "classifier_decay": CLASSIFIER_DECAY}
LOSSES: dict[str, Callable[[list[int]], gs.CrossEntropy]] = {
    "cross-entropy": lambda counts: gs.CrossEntropy(counts, **DECAYS),
    "logit-adjusted": lambda counts: gs.objectives.logit_adjusted(counts, **DECAYS),
    "designed margins": lambda counts: gs.choosing.design_logits(counts, **DECAYS).objective,
}
KEY = ("rule", "loss", "steps", "rate", "seed")


def loss_of(split: Split, problem: gs.CrossEntropy) -> Callable[[Any, jax.Array], jax.Array]:
    """The decayed loss of encoder and classifier, over all images, as a training code has it."""
    images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)
    classes = problem.counts.classes
    additive = jnp.zeros(classes) if problem.additive is None else jnp.asarray(problem.additive, jnp.float32)
    margins = jnp.zeros(classes) if problem.margins is None else jnp.asarray(problem.margins, jnp.float32)
    own = jax.nn.one_hot(labels, classes)

    def loss(parameters, key):
        layers, classifier = parameters
        features = embed(layers, images)
        logits = features @ classifier.T + additive - own * margins
        mean = jnp.mean(jax.nn.logsumexp(logits, axis=1) - jnp.sum(own * logits, axis=1))
        decay = CLASSIFIER_DECAY * jnp.sum(classifier**2) + FEATURE_DECAY * jnp.sum(features**2)
        return mean + decay / 2.0

    return loss


def means_of(layers: Any, split: Split) -> np.ndarray:
    """(C, d) the mean features of the classes."""
    points = np.asarray(embed(layers, split.images), dtype=np.float64)
    return np.stack([points[split.labels == c].mean(axis=0) for c in range(len(split.counts))])


def cosines(rows: np.ndarray) -> np.ndarray:
    """(C, C)."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit @ unit.T


def logit_error(parameters: Any, split: Split, wanted: np.ndarray) -> float:
    """|(Z - Z*) D^{1/2}| / |Z* D^{1/2}|, Z the mean logits of a class."""
    layers, classifier = parameters
    root = np.sqrt(split.counts)
    error = np.asarray(classifier, dtype=np.float64) @ means_of(layers, split).T - wanted
    return float(np.linalg.norm(error * root) / np.linalg.norm(wanted * root))


def measure(trainer: Trainer, loss: Callable, seed: int, split: Split, solution: Any, sizes=SIZES) -> dict[str, Any]:
    """One training run, and how far its logits and angles are from the optimum of its loss."""
    keys = jax.random.split(jax.random.key(seed), 3)
    classes = len(split.counts)
    first = start(keys[0], sizes), jax.random.normal(keys[2], (classes, sizes[-1])) / np.sqrt(sizes[-1])
    begun = time.perf_counter()
    parameters, seen = trainer.run(first, keys[1], lambda one: logit_error(one, split, solution.logits))
    seconds = time.perf_counter() - begun
    layers, classifier = parameters
    points, tests = (np.asarray(embed(layers, images), np.float64) for images in (split.images, split.test_images))
    means, rows = means_of(layers, split), np.asarray(classifier, np.float64)
    right = np.argmax(tests @ rows.T, axis=1) == split.test_labels
    return {
        "seconds": seconds,
        "value": float(loss(parameters, keys[1])),
        "optimum": solution.value,
        "logits": logit_error(parameters, split, solution.logits),
        "features": off_by(cosines(means), solution.feature_cosines)[0],
        "classifier": off_by(cosines(rows), solution.classifier_cosines)[0],
        "simplex": off_by(simplex(classes), solution.feature_cosines)[0],
        "simplex_classifier": off_by(simplex(classes), solution.classifier_cosines)[0],
        "within": float(np.sum((points - means[split.labels]) ** 2) / np.sum(points**2)),
        "accuracy": 100.0 * float(np.mean([right[split.test_labels == c].mean() for c in range(classes)])),
        "nearest_mean": nearest_mean_accuracy(points, split.labels, tests, split.test_labels),
        "history": seen,
    }


def main(options: argparse.Namespace, settings: dict) -> None:
    rules, steps, rate, seeds = RULES, 3000, 5e-3, (0, 1, 2)
    if options.quick:
        rules, steps, seeds = {"long tail": [20, 14, 9, 6, 4]}, 300, (0,)
    settings = settings | {"rules": rules, "seeds": seeds, **DECAYS}
    record = Record("training/cross_entropy", __doc__, options, key=KEY, settings=settings)
    for rule, counts in rules.items():
        split = digits(counts)
        for name, build in LOSSES.items():
            problem = build(counts)
            solution, loss = gs.solve(problem), loss_of(split, problem)
            trainer = Trainer(loss, steps=steps, rate=rate)
            for seed in seeds:
                identity = dict(zip(KEY, (rule, name, steps, rate, seed), strict=True))
                if record.has(**identity):
                    continue
                found = measure(trainer, loss, seed, split, solution)
                record.add(**identity, **found)
                say(f"{rule} {name} seed={seed}: logits off by {found['logits']:.1e}, {found['seconds']:.0f} s")
    record.finish(*result(record.rows))


def result(rows: list[dict]) -> tuple[dict, Table]:
    """The summary and the table."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["rule"], row["loss"]), []).append(row)
    table = []
    for (rule, loss), mine in groups.items():
        most = {key: max(row[key] for row in mine) for key in ("logits", "features", "classifier", "within")}
        excess = max(row["value"] / row["optimum"] - 1.0 for row in mine)
        off = mine[0]["simplex"], mine[0]["simplex_classifier"]
        table.append((rule, loss, len(mine), excess, *most.values(), *off, min(row["accuracy"] for row in mine)))
    head = (
        "counts", "loss", "seeds", "excess over the optimum", "logits off by", "feature cosines, rms",
        "classifier cosines, rms", "within classes", "the simplex is off by", "of the classifier", "least accuracy, %",
    )  # fmt: skip
    summary = {
        "largest error of the logits": max(row["logits"] for row in rows),
        "largest rms of cosines": max(max(row["features"], row["classifier"]) for row in rows),
        "least excess": min(row["value"] / row["optimum"] - 1.0 for row in rows),
    }
    return summary, Table("Trained against certified, worst seed", head, table)
