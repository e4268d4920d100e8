"""SupCon on ten digits: class means of a trained encoder against the certified optimum, full batch and mini-batches.

One view of every image, itself no positive of its own. The batches of 128 are drawn independently with replacement,
which is what `geomsolve.SupCon(..., batch=128)` takes the expectation over.
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import jax
import numpy as np
from record import Record, say

import geomsolve as gs
from geomsolve.training import losses_jax as losses

from .data import Split, digits
from .encoder import SIZES, Trainer, embed, start
from .measure import geometry, matrix, mean_cosines, nearest_mean_accuracy, off_by, upper
from .scale import scale_of

# counts by rule: at an imbalance ratio of 20, 507 and 315 images.
RULES = {
    "long tail": [int(150 * 20 ** (-c / 9)) for c in range(10)],
    "step": [60] * 5 + [3] * 5,
}
# rule, temperature, batch (None: all images), batches averaged in a step, steps, first learning rate. At temperature
# 0.1 a pair of classes far apart hardly matters to the loss: more steps, or less noise, are needed to put it in place.
RUNS = (
    ("long tail", 0.5, None, 1, 1500, 1e-3),
    ("long tail", 0.1, None, 1, 4500, 3e-3),
    ("long tail", 0.5, 128, 4, 4000, 5e-4),
    ("long tail", 0.1, 128, 4, 4000, 3e-3),
    ("step", 0.5, None, 1, 1500, 1e-3),
    ("step", 0.1, None, 1, 3000, 3e-3),
    ("step", 0.5, 128, 4, 4000, 5e-4),
    ("step", 0.1, 128, 1, 4000, 2e-3),
)
KEY = ("rule", "temperature", "batch", "batches", "steps", "rate", "seed")


def loss_of(split: Split, temperature: float, batch: int | None, batches: int = 1):
    """SupCon of encoder parameters, over all images or the mean over some batches of them."""
    images, labels = jax.numpy.asarray(split.images), jax.numpy.asarray(split.labels)
    sup_con = partial(losses.sup_con, temperature=temperature)

    def loss(layers, key):
        if batch is None:
            return sup_con(embed(layers, images), labels)
        drawn = jax.random.randint(key, (batches, batch), 0, len(labels))
        return jax.numpy.mean(jax.vmap(sup_con)(embed(layers, images[drawn]), labels[drawn]))

    return loss


def measure(trainer: Trainer, seed: int, split: Split, objective: gs.Objective, sizes: tuple[int, ...] = SIZES) -> dict:
    """One training run, and how far its class means are from the optimum of their loss."""
    predicted = gs.solve(objective).gram

    def distance(layers) -> float:
        return off_by(mean_cosines(embed(layers, split.images), split.labels), predicted)[0]

    keys = jax.random.split(jax.random.key(seed))
    begun = time.perf_counter()
    layers, seen = trainer.run(start(keys[0], sizes), keys[1], distance)
    seconds = time.perf_counter() - begun
    points, tests = (np.asarray(embed(layers, images)) for images in (split.images, split.test_images))
    return {
        "seconds": seconds,
        **geometry(points, split.labels, objective),
        "accuracy": nearest_mean_accuracy(points, split.labels, tests, split.test_labels),
        "history": seen,
    }


def main(options: argparse.Namespace, settings: dict) -> None:
    study("train", options, settings, seeds=(0, 1, 2))


def study(name: str, options: argparse.Namespace, settings: dict, *, seeds: tuple[int, ...]) -> None:
    """Every run of RUNS from every seed, into the record `name`."""
    rules, runs, scale = RULES, RUNS, scale_of(options)
    if options.quick:
        rules, seeds = {"long tail": [20, 14, 9, 6, 4]}, seeds[:1]
        runs = (("long tail", 0.5, None, 1, 300, 3e-3), ("long tail", 0.5, 32, 4, 400, 2e-3))
    seeds = scale.seeds(seeds)
    # What a run was is in its row: one can be repeated with more steps, and the others stay.
    settings = settings | {"rules": rules, "seeds": seeds, "views": 1}
    record = Record(name, options, key=KEY, settings=settings, any_commit=True)
    for rule, temperature, batch, batches, steps, rate in runs:
        steps, counts, split = scale.steps(steps), rules[rule], digits(rules[rule])
        objective = gs.SupCon(counts, temperature=temperature, views=1, batch=batch)
        whole = gs.solve(gs.SupCon(counts, temperature=temperature, views=1)).gram
        trainer = Trainer(loss_of(split, temperature, batch, batches), steps=steps, rate=rate)
        for seed in seeds:
            identity = dict(zip(KEY, (rule, temperature, batch, batches, steps, rate, seed), strict=True))
            if record.has(**identity):
                continue
            found = measure(trainer, seed, split, objective, scale.sizes(SIZES))
            found["rms_to_full_batch"] = off_by(matrix(found["cosines"]), whole)[0]
            record.add(**identity, **found, full_batch=upper(whole), commit=record.data["versions"]["commit"])
            say(
                f"{rule} tau={temperature} batch={batch} seed={seed}: rms {found['rms']:.2e}, "
                f"simplex {found['simplex_rms']:.3f} away, {found['seconds']:.0f} s"
            )
    record.finish(worst_rms={f"{r['rule']}, {r['temperature']}, {r['batch']}": r["rms"] for r in worst(record.rows)})


def worst(rows: list[dict]) -> list[dict]:
    """Of the seeds of every run, the one farthest from the optimum."""
    groups: dict[tuple, dict] = {}
    for row in sorted(rows, key=lambda row: row["rms"]):
        groups[row["rule"], row["temperature"], row["batch"]] = row
    return list(groups.values())
