"""The other losses, trained to their certified optimum: instances, prototypes and classifiers beside the class means.

A Gram matrix is measured over the same atoms as it was predicted over: class means first, then prototypes and
classifiers where the loss trains them. For losses over instances it has one row per class, the mean cosine of two
instances of the class on the diagonal.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from record import Record, say

import geomsolve as gs
from geomsolve import losses_jax

from .data import Split, digits
from .encoder import SIZES, Trainer, embed, start
from .measure import mean_cosines, unit, upper

# Ten classes, 200 images, imbalance ratio 20.
COUNTS = tuple(int(60 * 20 ** (-c / 9)) for c in range(10))


@dataclass(frozen=True, eq=False)
class Case:
    """One loss with its prediction.

    Attributes:
        name: of the loss.
        settings: of it, for the record.
        counts: images per class.
        objective: what its optimum is certified of.
        loss: of (parameters, images, labels, key).
        kinds: of atoms, "mean" and those of the parameters, or "instances".
        sizes: of the encoder.
        steps: of training.
        rate: the first learning rate.
    """

    name: str
    settings: dict[str, Any]
    counts: tuple[int, ...]
    objective: gs.Objective
    loss: Callable[..., jax.Array]
    kinds: tuple[str, ...] = ("mean",)
    sizes: tuple[int, ...] = field(default=SIZES)
    steps: int = 2000
    rate: float = 2e-3


def cases() -> list[Case]:
    """Every loss here, where it applies."""
    tau, alpha, negatives, scale = 0.5, 0.5, 16, 8.0
    several, two = (20, 20, 20, 5, 5, 5, 5), (40, 8)
    prior = np.array(COUNTS)

    def sup_cl(p, images, labels, key):
        return losses_jax.sup_cl(embed(p["layers"], images), labels, alpha=alpha, temperature=tau)

    def minority(p, images, labels, key):
        points = embed(p["layers"], images)
        return losses_jax.supervised_minority(jnp.stack([points, points]), labels, temperature=0.1)

    def bcl(p, images, labels, key):
        return losses_jax.bcl(embed(p["layers"], images), labels, p["prototype"], temperature=tau)

    def ecl(p, images, labels, key):
        points, more = embed(p["layers"], images), (p["prototype"], p["classifier"])
        return losses_jax.ecl(points, labels, *more, temperature=tau, counts=prior, scale=scale)

    def gcl(p, images, labels, key):
        points, (near, far) = embed(p["layers"], images), jax.random.split(key)
        # Labels are sorted: a class is one stretch, and any of it the positive.
        first, last = (jnp.searchsorted(labels, labels, side=side) for side in ("left", "right"))
        positives = points[jax.random.randint(near, labels.shape, first, last)]
        drawn = losses_jax.draw_negatives(far, labels, negatives)
        return losses_jax.gcl(points, positives, points[drawn], temperature=tau)

    return [
        Case(
            "sup_cl",
            {"temperature": tau, "alpha": alpha, "views": 1},
            several,
            gs.SupCL(several, temperature=tau, alpha=alpha, views=1),
            sup_cl,
            ("instances",),
            (64, 256, 256, 128),
        ),
        Case(
            "supervised_minority",
            {"temperature": 0.1, "views": 2},
            two,
            gs.SupMin(two, temperature=0.1, views=2),
            minority,
            ("instances",),
        ),
        Case("bcl", {"temperature": tau}, COUNTS, gs.BCL(COUNTS, temperature=tau), bcl, ("mean", "prototype")),
        Case(
            "ecl",
            {"temperature": tau, "scale": scale},
            COUNTS,
            gs.ECL(COUNTS, temperature=tau, scale=scale),
            ecl,
            ("mean", "prototype", "classifier"),
        ),
        Case(
            "gcl",
            {"temperature": tau, "negatives": negatives, "sampling": "supervised"},
            COUNTS,
            gs.GCL(COUNTS, temperature=tau, negatives=negatives),
            gcl,
            steps=4000,
        ),
    ]


def predict(case: Case) -> tuple[np.ndarray, str]:
    """The certified Gram matrix in the order of `measure`, and how far it is certified."""
    solution = gs.solve(case.objective, throw=False)
    gram = solution.orbits.cosines if case.kinds == ("instances",) else solution.gram
    return np.asarray(gram), solution.quality.value


def measure(parameters: dict, case: Case, split: Split) -> np.ndarray:
    """The Gram matrix of a trained encoder."""
    points = unit(embed(parameters["layers"], split.images))
    if case.kinds == ("instances",):
        return instance_cosines(points, split.labels)
    classes = len(case.counts)
    means = unit(np.stack([points[split.labels == c].mean(axis=0) for c in range(classes)]))
    atoms = np.concatenate([means] + [unit(parameters[kind]) for kind in case.kinds[1:]])
    return atoms @ atoms.T


def instance_cosines(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(C, C) the mean cosine of two instances, one of each class, never of one with itself."""
    members = (labels[:, None] == np.arange(labels.max() + 1)).astype(float)
    sums, sizes = members.T @ points, members.sum(axis=0)
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    return (sums @ sums.T - np.diag(members.T @ np.einsum("ij,ij->i", points, points))) / pairs


def errors(measured: np.ndarray, predicted: np.ndarray, case: Case) -> dict[str, float]:
    """Root mean square errors, over all cosines and by kinds of atoms."""
    off = measured - predicted
    if case.kinds == ("instances",):
        rows = np.triu_indices(len(off))
        return {"rms": rms(off[rows]), "within": rms(np.diag(off)), "worst": float(np.abs(off).max())}
    classes, rows = len(case.counts), np.triu_indices(len(off), 1)
    found = {"rms": rms(off[rows]), "worst": float(np.abs(off[rows]).max())}
    for i, first in enumerate(case.kinds):
        for j, second in enumerate(case.kinds[i:], i):
            block = off[i * classes : (i + 1) * classes, j * classes : (j + 1) * classes]
            found[f"{first}-{second}"] = rms(block[np.triu_indices(classes, 1)] if i == j else block)
    return found


def rms(values: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def main(options: argparse.Namespace, settings: dict) -> None:
    chosen, seeds = cases(), (0, 1, 2)
    if options.quick:
        chosen, seeds = [case for case in chosen if case.name == "supervised_minority"], (0,)
    settings = (
        settings
        | {"seeds": seeds}
        | {
            case.name: case.settings
            | {"counts": case.counts, "steps": case.steps, "rate": case.rate, "sizes": case.sizes}
            for case in chosen
        }
    )
    record = Record("train_losses", options, key=("loss", "seed"), settings=settings, any_commit=True)
    for case in chosen:
        split = digits(case.counts)
        images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)
        predicted, quality = predict(case)
        steps = 300 if options.quick else case.steps
        trainer = Trainer(bound(case.loss, images, labels), steps=steps, rate=case.rate)
        for seed in seeds:
            if record.has(loss=case.name, seed=seed):
                continue
            keys = jax.random.split(jax.random.key(seed), 4)
            # Only directions matter; Adam turns a row the faster the shorter it is.
            rows = {
                kind: jax.random.normal(key, (len(case.counts), case.sizes[-1])) / np.sqrt(case.sizes[-1])
                for kind, key in zip(case.kinds[1:], keys[2:], strict=False)
            }
            parameters = {"layers": start(keys[0], case.sizes), **rows}
            begun = time.perf_counter()
            parameters, seen = trainer.run(parameters, keys[1], watching(case, split, predicted))
            seconds = time.perf_counter() - begun
            measured = measure(parameters, case, split)
            points = np.asarray(embed(parameters["layers"], split.images))
            found = errors(measured, predicted, case)
            record.add(
                loss=case.name,
                seed=seed,
                steps=steps,
                seconds=seconds,
                quality=quality,
                **found,
                predicted=np.round(predicted, 7).tolist(),
                measured=np.round(measured, 7).tolist(),
                means=upper(mean_cosines(points, split.labels)),
                history=seen,
                commit=record.data["versions"]["commit"],
            )
            listed = ", ".join(f"{name} {value:.1e}" for name, value in found.items())
            say(f"{case.name} ({quality}) seed={seed}: {listed}; {seconds:.0f} s")
    record.finish(worst_rms={c.name: max(r["rms"] for r in record.rows if r["loss"] == c.name) for c in chosen})


def bound(loss: Callable[..., jax.Array], images: jax.Array, labels: jax.Array) -> Callable[..., jax.Array]:
    """The loss with its images and labels filled in."""
    return lambda parameters, key: loss(parameters, images, labels, key)


def watching(case: Case, split: Split, predicted: np.ndarray) -> Callable[[dict], float]:
    """What says how far off the parameters are."""
    return lambda parameters: errors(measure(parameters, case, split), predicted, case)["rms"]
