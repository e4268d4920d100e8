"""SupCon in batches: is what is left of the error noise of the last steps, or are batches drawn otherwise than assumed?

The exact mini-batch loss takes batches drawn independently, with replacement; a loader that shuffles draws without.
Both are trained here, with more and more batches averaged in a step (less noise), and held against the optimum of each:
the exact one, and that of batches without replacement, which is minimised over many drawn ones.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from record import Record, say

import geomsolve as gs
from geomsolve.training import losses_jax as losses

from .data import Split, digits
from .encoder import SIZES, Trainer, embed
from .measure import matrix, off_by, upper
from .scale import scale_of
from .supcon import RULES, measure

BATCH = 128
DRAWS = ("with replacement", "without replacement")
# temperature, how batches are drawn, batches averaged in a step, steps, first learning rate; one batch a step with
# replacement is in `supcon`.
RUNS = (
    (0.1, DRAWS[1], 1, 4000, 2e-3),
    (0.1, DRAWS[0], 4, 4000, 2e-3),
)
TEMPERATURES = (0.1, 0.5)
KEY = ("temperature", "draw", "batches", "steps", "rate", "seed")


def loss_of(split: Split, temperature: float, batch: int, batches: int, draw: str):
    """SupCon of encoder parameters, the mean over batches drawn with or without replacement."""
    images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)

    def one(key):
        if draw == DRAWS[0]:
            return jax.random.randint(key, (batch,), 0, len(labels))
        return jax.random.permutation(key, len(labels))[:batch]

    def loss(layers, key):
        drawn = jax.vmap(one)(jax.random.split(key, batches))
        each = jax.vmap(lambda points, classes: losses.sup_con(points, classes, temperature=temperature))
        return jnp.mean(each(embed(layers, images[drawn]), labels[drawn]))

    return loss


def draw_members(counts: list[int], batch: int, draw: str, draws: int) -> np.ndarray:
    """(draws, C) how many images of each class are in a batch."""
    rng, sizes = np.random.default_rng(0), np.asarray(counts)
    if draw == DRAWS[0]:
        return rng.multinomial(batch, sizes / sizes.sum(), size=draws)
    return rng.multivariate_hypergeometric(sizes, batch, size=draws, method="count")


def least(members: np.ndarray, temperature: float, counts: list[int]) -> np.ndarray:
    """(C, C) the Gram matrix of least mean one-view SupCon over some batches; cosines of equal counts averaged.

    Not certified. Over all batches there are, or many drawn with replacement, it is `geomsolve.SupCon(batch=...)`.
    """
    from scipy.optimize import minimize

    count = len(counts)
    with jax.enable_x64(True):
        found = jnp.asarray(members, dtype=float)
        # An image without another of its class in the batch adds nothing.
        anchors = jnp.where(found > 1, found, 0.0) / jnp.sum(found, axis=1, keepdims=True)

        def value(flat):
            rows = flat.reshape(count, count)
            rows = rows / jnp.linalg.norm(rows, axis=1, keepdims=True)
            near = jnp.exp((rows @ rows.T - 1.0) / temperature) * (1.0 - jnp.eye(count))
            others = jnp.maximum(found - 1.0, 0.0) + found @ near
            return jnp.mean(jnp.sum(anchors * jnp.log(jnp.where(anchors > 0, others, 1.0)), axis=1))

        slope = jax.jit(jax.value_and_grad(value))

        def both(flat):
            number, gradient = slope(flat)
            return float(number), np.asarray(gradient)

        start = np.random.default_rng(0).normal(size=count * count)
        limits = {"maxiter": 2000, "ftol": 1e-15, "gtol": 1e-9}
        best = minimize(both, start, jac=True, method="L-BFGS-B", options=limits)
    rows = best.x.reshape(count, count)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return by_counts(rows @ rows.T, np.asarray(counts))


def by_counts(gram: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The Gram matrix with cosines averaged over pairs of classes of the same two counts."""
    result = np.eye(len(gram))
    for first in np.unique(sizes):
        for second in np.unique(sizes):
            pairs = np.outer(sizes == first, sizes == second) & ~np.eye(len(gram), dtype=bool)
            if pairs.any():
                result[pairs] = gram[pairs].mean()
    return result


def main(options: argparse.Namespace, settings: dict) -> None:
    scale, rule, runs, seeds, batch, draws = scale_of(options), "step", RUNS, (0, 1, 2), BATCH, 100_000
    counts = RULES[rule]
    if options.quick:
        counts, runs, seeds, batch, draws = [12, 12, 3, 3], ((0.5, DRAWS[1], 2, 200, 2e-3),), (0,), 16, 5000
    seeds = scale.seeds(seeds)
    settings = settings | {"rule": rule, "counts": counts, "batch": batch, "seeds": seeds, "views": 1, "draws": draws}
    record = Record("train_batches", options, key=KEY, settings=settings, any_commit=True)
    split = digits(counts)
    optima: dict[str, dict] = {}
    for temperature in TEMPERATURES:
        objective = gs.SupCon(counts, temperature=temperature, views=1, batch=batch)
        exact = gs.solve(objective).gram
        sampled = {draw: least(draw_members(counts, batch, draw, draws), temperature, counts) for draw in DRAWS}
        whole = gs.solve(gs.SupCon(counts, temperature=temperature, views=1)).gram
        optima[f"{temperature:g}"] = {
            "sampled_to_exact": off_by(sampled[DRAWS[0]], exact)[0],
            "without_to_exact": off_by(sampled[DRAWS[1]], exact)[0],
            "full_to_exact": off_by(whole, exact)[0],
            "exact": upper(exact),
            "without": upper(sampled[DRAWS[1]]),
        }
        say(f"tau={temperature}: without replacement {optima[f'{temperature:g}']['without_to_exact']:.2e} away")
        for _, draw, batches, steps, rate in (run for run in runs if run[0] == temperature):
            loss = loss_of(split, temperature, batch, batches, draw)
            trainer = Trainer(loss, steps=scale.steps(steps), rate=rate)
            for seed in seeds:
                identity = dict(zip(KEY, (temperature, draw, batches, trainer.steps, rate, seed), strict=True))
                if record.has(**identity):
                    continue
                found = measure(trainer, seed, split, objective, scale.sizes(SIZES))
                found["rms_to_without"] = off_by(matrix(found["cosines"]), sampled[DRAWS[1]])[0]
                record.add(**identity, **found, commit=record.data["versions"]["commit"])
                say(
                    f"tau={temperature} {draw} batches={batches} seed={seed}: rms {found['rms']:.2e} to the exact, "
                    f"{found['rms_to_without']:.2e} to that without; {found['seconds']:.0f} s"
                )
    record.finish(optima=optima)
