"""Losses of `geomsolve.training.losses` over free features, one of each kind, and the objective that is certified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import factorial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import geomsolve as gs
from geomsolve.training import losses

DRAWN, SCALE, EPSILON = 3, 8.0, 0.05
# How far a target for `design` is from the regular simplex.
PUSHED = 0.5


@dataclass(frozen=True, eq=False)
class Problem:
    """One loss over the free features of some counts: `data` is what it takes beside them.

    `objective` is over the atoms whose optimal Gram matrix is known; `atoms` says which of them each vector comes to.
    """

    objective: gs.Objective
    data: dict[str, Any]
    atoms: np.ndarray


@dataclass(frozen=True, eq=False)
class Family:
    """A loss with its options.

    Attributes:
        loss: of samples (views, examples, d), of one (classes, d) array per kind of prototype, and of the data.
        objective: of counts, data and a generator for whatever else is drawn; it may add to the data.
        views: free samples per example.
        kinds: how many arrays of prototypes or classifiers there are.
        instances: whether every example is an atom of its own, rather than every class.
    """

    loss: Callable[..., jax.Array]
    objective: Callable[[np.ndarray, dict[str, Any], np.random.Generator], gs.Objective]
    views: int = 1
    kinds: int = 0
    instances: bool = False

    def problem(self, counts: np.ndarray, temperature: float, seed: int) -> Problem:
        """The problem of these counts."""
        labels, classes = np.repeat(np.arange(len(counts)), counts), len(counts)
        data = {"y": labels, "tau": np.float64(temperature), "counts": counts.astype(float)}
        made = self.objective(counts, data, np.random.default_rng(seed))
        of = np.arange(len(labels)) if self.instances else labels
        atoms = np.concatenate([np.tile(of, self.views), of.max() + 1 + np.arange(self.kinds * classes)])
        return Problem(made, data | {"floor": np.float64(made.floor)}, atoms)

    def value(self, flat: jax.Array, data: dict[str, Any]) -> jax.Array:
        """The loss above its floor, of all free vectors in one array: of any length, for the losses normalise them."""
        examples, classes = len(data["y"]), len(data["counts"])
        many = self.views * examples
        rows = flat.reshape(many + self.kinds * classes, -1)
        dim = rows.shape[1]
        samples = rows[:many].reshape(self.views, examples, dim)
        return self.loss(samples, *rows[many:].reshape(self.kinds, classes, dim), data) - data["floor"]


def families() -> dict[str, Family]:
    """All of them by name."""
    return {
        "sup_con, batches of 3, 2 views": _in_batches(3, 2),
        "kcl": _kcl(),
        "ecl, classifiers": _ecl(),
        "weighted_info_nce, soft-supcon": _weighted(),
        "weighted_sup_con, class": _designed("class"),
        "gcl, supervised, k = 2": _gcl(2),
    }


def _in_batches(size: int, views: int) -> Family:
    """The mean over all batches of so many independent draws, each with its chance."""

    def loss(z: jax.Array, d: dict) -> jax.Array:
        one = jax.vmap(lambda batch: losses.sup_con(z[:, batch], d["y"][batch], temperature=d["tau"]))
        return jnp.sum(d["chances"] * one(d["batches"]))

    def objective(counts: np.ndarray, d: dict, _: np.random.Generator) -> gs.Objective:
        total = int(counts.sum())
        d["batches"] = np.array(list(combinations_with_replacement(range(total), size)))
        ways = [factorial(size) / np.prod([factorial(n) for n in np.bincount(batch)]) for batch in d["batches"]]
        d["chances"] = np.array(ways) / float(total) ** size
        return gs.SupCon(counts, temperature=d["tau"], views=views, batch=size)

    return Family(loss, objective, views=views)


def _kcl() -> Family:
    return Family(
        lambda z, d: losses.kcl(z, d["y"], temperature=d["tau"], positives=DRAWN),
        lambda counts, d, _: gs.KCL(counts, temperature=d["tau"], positives=DRAWN, views=2),
        views=2,
        instances=True,
    )


def _ecl() -> Family:
    return Family(
        lambda z, centres, classifiers, d: losses.ecl(
            z, d["y"], centres, classifiers, temperature=d["tau"], counts=d["counts"], scale=SCALE
        ),
        lambda counts, d, _: gs.ECL(counts, temperature=d["tau"], scale=SCALE, views=1, tied=False),
        kinds=2,
        instances=True,
    )


def _weighted() -> Family:
    def objective(counts: np.ndarray, d: dict, _: np.random.Generator) -> gs.Objective:
        weights = gs.similarities.soft_supcon_weights(d["y"], epsilon=EPSILON)
        d["weights"] = np.array(weights.expand())
        return gs.WeightedInfoNCE(weights, temperature=d["tau"])

    return Family(
        lambda z, d: losses.weighted_info_nce(z[0], d["weights"], temperature=d["tau"]), objective, instances=True
    )


def _designed(anchors: str) -> Family:
    """Weights for a random geometry."""

    def loss(z: jax.Array, d: dict) -> jax.Array:
        return losses.weighted_sup_con(z, d["y"], temperature=d["tau"], **d["weights"])

    def objective(counts: np.ndarray, d: dict, rng: np.random.Generator) -> gs.Objective:
        made = gs.design(counts, random_target(len(counts), rng), temperature=d["tau"], anchors=anchors)
        weights = {"anchor_weights": made.anchor_weights, "negative_weights": made.weights, "offsets": made.offsets}
        d["weights"] = {name: np.array(each) for name, each in weights.items()}
        return made.objective

    return Family(loss, objective)


def random_target(classes: int, rng: np.random.Generator) -> np.ndarray:
    """(C, C) cosines of the points of a regular simplex, pushed about, some positive multiples of which balance."""
    points = np.eye(classes) - 1.0 / classes
    points += PUSHED * rng.uniform(-1.0, 1.0, points.shape) / np.sqrt(classes)
    shares = rng.uniform(0.5, 1.5, classes)
    points -= shares @ points / shares.sum()
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points @ points.T


def _gcl(k: int) -> Family:
    """The mean over all positives of the anchor's class and all negatives of other classes."""

    def loss(z: jax.Array, d: dict) -> jax.Array:
        anchors, near, far = (z[0][d[name]] for name in ("anchors", "near", "far"))
        one = jax.vmap(lambda *term: losses.gcl(*(each[None] for each in term), temperature=d["tau"]))
        return jnp.sum(d["chances"] * one(anchors, near, far))

    def objective(counts: np.ndarray, d: dict, _: np.random.Generator) -> gs.Objective:
        labels, total = d["y"], int(counts.sum())
        samples = np.arange(total)
        pairs = np.array(list(product(samples, samples)))
        same = (labels[pairs[:, 0]] == labels[pairs[:, 1]]) / counts[labels[pairs[:, 0]]]
        every = np.array(list(product(samples, repeat=k)))
        others = (labels[every][None] != labels[:, None, None]).all(axis=2) / (total - counts[labels])[:, None] ** k
        d["chances"] = (same[:, None] * others[pairs[:, 0]] / total).ravel()
        pairs = np.repeat(pairs, len(every), axis=0)
        d |= {"anchors": pairs[:, 0], "near": pairs[:, 1], "far": np.tile(every, (total**2, 1))}
        return gs.GCL(counts, temperature=d["tau"], negatives=k)

    return Family(loss, objective)
