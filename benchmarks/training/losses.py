"""The other losses, trained to their certified optimum: instances, prototypes and classifiers beside the class means.

A Gram matrix is measured over the same atoms as it was predicted over: class means first, then prototypes and
classifiers where the loss trains them. For losses over instances it has one row per class, the mean cosine of two
instances of the class on the diagonal.

Only SupCon's optimum is known for batches (`supcon`), and GCL's, whose negatives are drawn anyway. The others are
trained in batches too, drawn without replacement as a loader does, and held against the optimum of all images: how far
batches take them from it.
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

import geomsolve as gs
from geomsolve.training import losses

from ..record import Record, Table, say
from .data import Split, digits
from .encoder import SIZES, Trainer, embed, start
from .judging import unit

# Ten classes, about 200 images; imbalance ratios 20 and 9. SupCL has an atom for every image: fewer.
RULES = {"long tail": tuple(int(60 * 20 ** (-c / 9)) for c in range(10)), "step": (36,) * 5 + (4,) * 5}
FEW = {"long tail": (30, 20, 13, 9, 6, 4), "step": (20, 20, 20, 5, 5, 5, 5)}
TWO = {"two classes": (40, 8)}
KEY = ("loss", "rule", "batch", "seed")


@dataclass(frozen=True, eq=False)
class Case:
    """One loss with its prediction.

    Attributes:
        name: of the loss.
        rule: of the counts.
        batch: images in one.
        settings: of it, for the record.
        counts: images per class.
        objective: what its optimum is certified of.
        loss: of (parameters, images, labels, key, which of the images are in the batch).
        kinds: of atoms, "mean" and those of the parameters, or "instances".
        sizes: of the encoder.
        steps: of training.
        rate: the first learning rate.
    """

    name: str
    rule: str
    batch: int
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
    return [
        *(_sup_cl(rule, counts) for rule, counts in FEW.items()),
        *(_minority(rule, counts) for rule, counts in TWO.items()),
        *(make(rule, counts) for make in (_bcl, _ecl, _gcl) for rule, counts in RULES.items()),
    ]


def _sup_cl(rule: str, counts: tuple[int, ...], tau: float = 0.5, alpha: float = 0.5) -> Case:
    def loss(p, images, labels, key, batch):
        return losses.sup_cl(embed(p["layers"], images[batch]), labels[batch], alpha=alpha, temperature=tau)

    objective = gs.SupCL(counts, temperature=tau, alpha=alpha, views=1)
    settings = {"temperature": tau, "alpha": alpha, "views": 1}
    return Case("sup_cl", rule, 40, settings, counts, objective, loss, ("instances",), (64, 256, 256, 128))


def _minority(rule: str, counts: tuple[int, ...], tau: float = 0.1) -> Case:
    def loss(p, images, labels, key, batch):
        points = embed(p["layers"], images[batch])
        return losses.sup_min(jnp.stack([points, points]), labels[batch], temperature=tau)

    objective = gs.SupMin(counts, temperature=tau, views=2)
    settings = {"temperature": tau, "views": 2}
    return Case("sup_min", rule, 24, settings, counts, objective, loss, ("instances",))


def _bcl(rule: str, counts: tuple[int, ...], tau: float = 0.5) -> Case:
    def loss(p, images, labels, key, batch):
        return losses.bcl(embed(p["layers"], images[batch]), labels[batch], p["prototype"], temperature=tau)

    objective = gs.BCL(counts, temperature=tau)
    return Case("bcl", rule, 64, {"temperature": tau}, counts, objective, loss, ("mean", "prototype"))


def _ecl(rule: str, counts: tuple[int, ...], tau: float = 0.5, scale: float = 8.0) -> Case:
    prior = np.array(counts)

    def loss(p, images, labels, key, batch):
        points, more = embed(p["layers"], images[batch]), (p["prototype"], p["classifier"])
        return losses.ecl(points, labels[batch], *more, temperature=tau, counts=prior, scale=scale)

    objective, settings = gs.ECL(counts, temperature=tau, scale=scale), {"temperature": tau, "scale": scale}
    return Case("ecl", rule, 64, settings, counts, objective, loss, ("mean", "prototype", "classifier"))


def _gcl(rule: str, counts: tuple[int, ...], tau: float = 0.5, negatives: int = 16) -> Case:
    def loss(p, images, labels, key, batch):
        points, (near, far) = embed(p["layers"], images), jax.random.split(key)
        # Labels are sorted: a class is one stretch, and any of it the positive.
        first, last = (jnp.searchsorted(labels, labels, side=side) for side in ("left", "right"))
        positives = points[jax.random.randint(near, labels.shape, first, last)]
        drawn = losses.draw_negatives(jax.random.uniform(far, (len(labels), negatives)), labels)
        return losses.gcl(points[batch], positives[batch], points[drawn[batch]], temperature=tau)

    settings = {"temperature": tau, "negatives": negatives, "sampling": "supervised"}
    objective = gs.GCL(counts, temperature=tau, negatives=negatives)
    return Case("gcl", rule, 64, settings, counts, objective, loss, steps=4000)


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
        chosen, seeds = [case for case in chosen if case.name == "sup_min"], (0,)
    settings = settings | {"seeds": seeds}
    for case in chosen:
        what = {name: getattr(case, name) for name in ("counts", "batch", "steps", "rate", "sizes")}
        settings[f"{case.name}, {case.rule}"] = case.settings | what
    record = Record("training/losses", __doc__, options, key=KEY, settings=settings)
    for case in chosen:
        split = digits(case.counts)
        predicted, quality = predict(case)
        for batch in (None, case.batch):
            steps = 300 if options.quick else case.steps
            trainer = Trainer(bound(case.loss, split, batch), steps=steps, rate=case.rate)
            for seed in seeds:
                identity = dict(zip(KEY, (case.name, case.rule, batch, seed), strict=True))
                if record.has(**identity):
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
                found = errors(measured, predicted, case)
                record.add(
                    **identity,
                    steps=steps,
                    seconds=seconds,
                    quality=quality,
                    **found,
                    predicted=np.round(predicted, 7).tolist(),
                    measured=np.round(measured, 7).tolist(),
                    history=seen,
                )
                listed = ", ".join(f"{name} {value:.1e}" for name, value in found.items())
                say(f"{case.name} {case.rule} batch={batch} ({quality}) seed={seed}: {listed}; {seconds:.0f} s")
    record.finish(*result(record.rows))


def result(rows: list[dict]) -> tuple[dict, Table]:
    """The summary and the table."""
    table = []
    for loss, rule, batch in dict.fromkeys((row["loss"], row["rule"], row["batch"]) for row in rows):
        mine = [row for row in rows if (row["loss"], row["rule"], row["batch"]) == (loss, rule, batch)]
        rms = [row["rms"] for row in mine]
        worst = max(row["worst"] for row in mine)
        table.append((loss, rule, batch or "all", mine[0]["quality"], len(mine), min(rms), max(rms), worst))
    head = ("loss", "counts", "batch", "optimum", "seeds", "rms, best", "rms, worst", "worst pair")
    whole = max(row["rms"] for row in rows if row["batch"] is None)
    return {"largest rms, full batch": whole}, Table("Cosines, trained minus certified", head, table)


def bound(loss: Callable[..., jax.Array], split: Split, batch: int | None) -> Callable[..., jax.Array]:
    """The loss with its images and labels filled in, of all of them or of a batch drawn without replacement."""
    images, labels = jnp.asarray(split.images), jnp.asarray(split.labels)
    if batch is None:
        return lambda parameters, key: loss(parameters, images, labels, key, slice(None))

    def drawn(parameters, key):
        draw, key = jax.random.split(key)
        # In order, so that labels stay sorted.
        chosen = jnp.sort(jax.random.permutation(draw, len(labels))[:batch])
        return loss(parameters, images, labels, key, chosen)

    return drawn


def watching(case: Case, split: Split, predicted: np.ndarray) -> Callable[[dict], float]:
    """What says how far off the parameters are."""
    return lambda parameters: errors(measure(parameters, case, split), predicted, case)["rms"]
