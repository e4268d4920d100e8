"""SupCon of two classes, one of them rare: does training leave the full collapse, and what does it take?

The setting of `two_classes`, changed one thing at a time: steps, rate, temperature, augmentation, share of the
minority. The loss is measured over fresh batches and held against `geomsolve.loss_levels`: all classes in one point,
and the certified optimum.
"""

from __future__ import annotations

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
from record import Record, say

import geomsolve as gs
from geomsolve.training import losses_jax as losses

from .data import Split, halves
from .encoder import SIZES, Trainer, embed, start, two_views
from .measure import mean_cosines
from .scale import scale_of

TOTAL, BATCH = 500, 128
# minority, temperature, steps, first learning rate, whether views are augmented
RUNS = (
    (5, 0.07, 4000, 1e-3, True),
    (5, 0.07, 2000, 5e-3, True),
    (5, 0.5, 2000, 1e-3, True),
    (5, 0.07, 2000, 1e-3, False),
    (25, 0.07, 4000, 1e-3, True),
)
KEY = ("minority", "temperature", "steps", "rate", "augmented", "seed")


def loss_of(split: Split, temperature: float, batch: int, augmented: bool):
    """SupCon of the layers over one batch, two views an image."""
    images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)

    def loss(layers, key):
        draw, noise = jax.random.split(key)
        drawn = jax.random.randint(draw, (batch,), 0, len(labels))
        views = two_views(noise, images[drawn]) if augmented else jnp.stack([images[drawn]] * 2)
        return losses.sup_con(embed(layers, views), labels[drawn], temperature=temperature)

    return loss


def main(options: argparse.Namespace, settings: dict) -> None:
    scale, runs, seeds, total, batch, tests = scale_of(options), RUNS, (0, 1, 2), TOTAL, BATCH, 400
    if options.quick:
        runs, seeds, total, batch, tests = ((5, 0.5, 100, 2e-3, True),), (0,), 60, 32, 20
    seeds = scale.seeds(seeds)
    settings = settings | {"total": total, "batch": batch, "views": 2, "seeds": seeds, "batches measured": tests}
    record = Record("train_escape", options, key=KEY, settings=settings, any_commit=True)
    flat = {}
    for minority, temperature, steps, rate, augmented in runs:
        split = halves(total, minority)
        flat[f"{100.0 * minority / total:g} %, {temperature:g}"] = above(total, minority, temperature, batch)
        levels = gs.loss_levels([total - minority, minority], temperature=temperature, views=2, batch=batch)
        loss = loss_of(split, temperature, batch, augmented)
        trainer = Trainer(loss, steps=scale.steps(steps), rate=rate)
        mean_loss = jax.jit(lambda layers, keys, loss=loss: jnp.mean(jax.lax.map(lambda key: loss(layers, key), keys)))

        def cosine(layers, split=split) -> float:
            return float(mean_cosines(embed(layers, split.images), split.labels)[0, 1])

        for seed in seeds:
            identity = dict(zip(KEY, (minority, temperature, trainer.steps, rate, augmented, seed), strict=True))
            if record.has(**identity):
                continue
            keys = jax.random.split(jax.random.key(seed), 3)
            layers = start(keys[0], scale.sizes(SIZES))
            before, begun = cosine(layers), time.perf_counter()
            layers, seen = trainer.run(layers, keys[2], cosine)
            seconds = time.perf_counter() - begun
            reached = float(mean_loss(layers, jax.random.split(jax.random.key(1000 + seed), tests)))
            record.add(
                **identity,
                share=100.0 * minority / total,
                seconds=seconds,
                loss=reached,
                collapsed=levels.collapsed,
                optimum=levels.optimum,
                quality=levels.quality.value,
                gained=(levels.collapsed - reached) / (levels.collapsed - levels.optimum),
                cosine_before=before,
                cosine=cosine(layers),
                test_cosine=float(mean_cosines(embed(layers, split.test_images), split.test_labels)[0, 1]),
                history=seen,
                commit=record.data["versions"]["commit"],
            )
            row = record.rows[-1]
            say(
                f"{row['share']:g} % tau={temperature} steps={steps} rate={rate:g} augmented={augmented} seed={seed}: "
                f"cosine {before:.3f} -> {row['cosine']:.3f}, loss {reached:.4f} (collapsed {levels.collapsed:.4f}, "
                f"optimum {levels.optimum:.4f}), {seconds:.0f} s; {np.round(seen['watched'], 3).tolist()}"
            )
    record.finish(worst_cosine=max(row["cosine"] for row in record.rows), orthogonal_above_optimum=flat)


def above(total: int, minority: int, temperature: float, batch: int) -> float:
    """The loss of two class means at a right angle, nats above the optimum, where they are opposite."""
    objective = gs.SupCon([total - minority, minority], temperature=temperature, views=2, batch=batch)
    return gs.certify(objective, np.eye(2)).value - gs.solve(objective).value
