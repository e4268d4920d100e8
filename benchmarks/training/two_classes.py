"""Two classes of digits: what supervision does to the neighbourhoods of a rare class, and whether that tells accuracy.

Digits 0 to 4 against 5 to 9, 500 images in all, with a minority of 50, 5 and 1 percent; two noisy shifted views of
every image, temperature 0.07. SAA and CAC are those of `geomsolve.diagnose` over two fresh views, of the training
images and of balanced held-out ones. Two linear probes tell the accuracy, balanced, on the held-out images: logistic
regression with balanced class weights on the same imbalanced images, `accuracy`; and, as defined before it was first
run, plain logistic regression on 250 images of each class, the same for every encoder, `balanced_accuracy`.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import geomsolve as gs
from geomsolve.training import losses

from ..record import Record, Table, say
from .data import Split, balanced_halves, halves
from .encoder import SIZES, Trainer, embed, start, two_views
from .judging import mean_cosines, metrics, unit

TEMPERATURE = 0.07
LOSSES = ("SupCon", "Supervised Minority", "Supervised Prototypes", "weighted cross-entropy")
PROTOTYPES = np.eye(2, SIZES[-1], dtype=np.float32)[:1] * np.array([[1.0], [-1.0]], np.float32)


def loss_of(name: str, split: Split, batch: int):
    """The loss of the parameters over one batch of `batch` images, two views each."""
    images, labels, weights = jnp.asarray(split.images), jnp.asarray(split.labels), 1.0 / split.counts

    def loss(parameters, key):
        draw, noise = jax.random.split(key)
        drawn = jax.random.randint(draw, (batch,), 0, len(labels))
        points, classes = embed(parameters["layers"], two_views(noise, images[drawn])), labels[drawn]
        if name == "SupCon":
            return losses.sup_con(points, classes, temperature=TEMPERATURE)
        if name == "Supervised Minority":
            return losses.sup_min(points, classes, temperature=TEMPERATURE, minority=1)
        if name == "Supervised Prototypes":
            return losses.prototypes(points, classes, PROTOTYPES, temperature=TEMPERATURE)
        return losses.cosine_cross_entropy(
            points, classes, parameters["classifiers"], scale=1.0 / TEMPERATURE, class_weights=weights
        )

    return loss


def measure(parameters: dict, split: Split, balanced: Split) -> dict[str, Any]:
    """SAA and CAC of training and held-out images, class means, and the balanced accuracies of both linear probes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score

    key, found = jax.random.key(99), {}
    for part, images, labels in (
        ("train", split.images, split.labels),
        ("test", split.test_images, split.test_labels),
    ):
        views = np.asarray(embed(parameters["layers"], two_views(key, jnp.asarray(images))))
        diagnosis = gs.diagnose(views, labels)
        found |= {f"{part}_{name}": value for name, value in metrics(diagnosis).items() if name not in ("ms", "sd")}
        found[f"{part}_saa_by_class"] = diagnosis.local.saa.tolist()
        found[f"{part}_cac_by_class"] = diagnosis.local.cac.tolist()
    train, test, even = (
        unit(embed(parameters["layers"], images)) for images in (split.images, split.test_images, balanced.images)
    )
    probe = LogisticRegression(class_weight="balanced", max_iter=5000).fit(train, split.labels)
    found["mean_cosine"] = float(mean_cosines(train, split.labels)[0, 1])
    found["accuracy"] = 100.0 * float(balanced_accuracy_score(split.test_labels, probe.predict(test)))
    probe = LogisticRegression(max_iter=5000).fit(even, balanced.labels)
    found["balanced_accuracy"] = 100.0 * float(balanced_accuracy_score(split.test_labels, probe.predict(test)))
    return found


def r_squared(rows: list[dict], name: str, accuracy: str = "accuracy") -> float | None:
    """The squared correlation of a metric with the accuracy of a probe over runs."""
    pairs = np.array([[row[name], row[accuracy]] for row in rows], dtype=float)
    if len(pairs) < 3 or not (pairs.std(axis=0) > 0).all():
        return None
    return float(np.corrcoef(pairs.T)[0, 1] ** 2)


def main(options: argparse.Namespace, settings: dict) -> None:
    minorities, steps, rate, batch, seeds = (250, 25, 5), 1000, 1e-3, 128, (0, 1, 2)
    total, each = 500, 250
    if options.quick:
        minorities, steps, batch, seeds, total, each = (5,), 100, 32, (0,), 60, 55
    balanced = balanced_halves(each)
    settings = settings | {
        "minorities": minorities,
        "total": total,
        "probe": each,
        "steps": steps,
        "rate": rate,
        "batch": batch,
    }
    settings |= {"seeds": seeds, "temperature": TEMPERATURE, "views": 2, "augmentation": "shift 1 px, noise 0.1"}
    record = Record("training/two_classes", __doc__, options, key=("minority", "loss", "seed"), settings=settings)
    for minority in minorities:
        split = halves(total, minority)
        for name in LOSSES:
            trainer = Trainer(loss_of(name, split, batch), steps=steps, rate=rate)
            for seed in seeds:
                if record.has(minority=minority, loss=name, seed=seed):
                    continue
                keys = jax.random.split(jax.random.key(seed), 3)
                parameters = {
                    "layers": start(keys[0], SIZES),
                    "classifiers": jax.random.normal(keys[1], (2, SIZES[-1])),
                }
                begun = time.perf_counter()
                parameters, _ = trainer.run(parameters, keys[2], lambda _: 0.0)
                seconds = time.perf_counter() - begun
                found = measure(parameters, split, balanced)
                share = 100.0 * minority / total
                record.add(minority=minority, share=share, loss=name, seed=seed, seconds=seconds, **found)
                say(
                    f"{share:g} % {name} seed={seed}: accuracy {found['accuracy']:.1f}, "
                    f"balanced probe {found['balanced_accuracy']:.1f}, "
                    f"CAC {found['test_cac']:.1f}, SAA {found['test_saa']:.1f}, {seconds:.0f} s"
                )
    record.finish(*result(record.rows))


def result(rows: list[dict]) -> tuple[dict, Table]:
    """The summary and the table."""
    table = []
    for share, loss in dict.fromkeys((row["share"], row["loss"]) for row in rows):
        mine = [row for row in rows if (row["share"], row["loss"]) == (share, loss)]
        names = ("test_cac", "test_saa", "accuracy", "balanced_accuracy")
        table.append((share, loss, len(mine), *(float(np.mean([row[name] for row in mine])) for name in names)))
    head = ("minority, %", "loss", "seeds", "CAC, held out", "SAA, held out", "probe", "balanced probe")
    contrastive = [row for row in rows if row["loss"] != LOSSES[-1]]
    summary = {
        f"R² of {part} {metric.upper()} and the balanced probe, {what}": r_squared(
            of, f"{part}_{metric}", "balanced_accuracy"
        )
        for what, of in (("all losses", rows), ("without cross-entropy", contrastive))
        for part in ("test", "train")
        for metric in ("cac", "saa")
    }
    return summary, Table("Means over seeds, percent", head, table)
