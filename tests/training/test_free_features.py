"""Free features under the losses per sample arrive at the certified optimum.

One vector per sample, prototype and classifier, from a random start: L-BFGS, then Newton's method with the Hessian of
them all, in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import factorial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import geomsolve as gs
from geomsolve.training import losses

LBFGS = {"maxiter": 3000, "maxfun": 3000, "maxcor": 30, "ftol": 0.0, "gtol": 1e-13}
DRAWN, SCALE, EPSILON = 3, 8.0, 0.05
# How far a target for `design` is from the regular simplex.
PUSHED = 0.5


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

    def problem(
        self, counts: list[int], temperature: float, seed: int
    ) -> tuple[gs.Objective, dict[str, Any], np.ndarray]:
        """An objective over the atoms whose optimal Gram matrix is known, what the loss takes beside the free features
        of these counts, and which of the atoms each vector comes to.
        """
        counts = np.array(counts)
        labels, classes = np.repeat(np.arange(len(counts)), counts), len(counts)
        data = {"y": labels, "tau": np.float64(temperature), "counts": counts.astype(float)}
        made = self.objective(counts, data, np.random.default_rng(seed))
        of = np.arange(len(labels)) if self.instances else labels
        atoms = np.concatenate([np.tile(of, self.views), of.max() + 1 + np.arange(self.kinds * classes)])
        return made, data | {"floor": np.float64(made.floor)}, atoms

    def value(self, flat: jax.Array, data: dict[str, Any]) -> jax.Array:
        """The loss above its floor, of all free vectors in one array: of any length, for the losses normalise them."""
        examples, classes = len(data["y"]), len(data["counts"])
        many = self.views * examples
        rows = flat.reshape(many + self.kinds * classes, -1)
        dim = rows.shape[1]
        samples = rows[:many].reshape(self.views, examples, dim)
        return self.loss(samples, *rows[many:].reshape(self.kinds, classes, dim), data) - data["floor"]


def in_batches(size: int, views: int) -> Family:
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


def kcl() -> Family:
    return Family(
        lambda z, d: losses.kcl(z, d["y"], temperature=d["tau"], positives=DRAWN),
        lambda counts, d, _: gs.KCL(counts, temperature=d["tau"], positives=DRAWN, views=2),
        views=2,
        instances=True,
    )


def ecl() -> Family:
    return Family(
        lambda z, centres, classifiers, d: losses.ecl(
            z, d["y"], centres, classifiers, temperature=d["tau"], counts=d["counts"], scale=SCALE
        ),
        lambda counts, d, _: gs.ECL(counts, temperature=d["tau"], scale=SCALE, views=1, tied=False),
        kinds=2,
        instances=True,
    )


def weighted() -> Family:
    def objective(counts: np.ndarray, d: dict, _: np.random.Generator) -> gs.Objective:
        weights = gs.similarities.soft_supcon_weights(d["y"], epsilon=EPSILON)
        d["weights"] = np.array(weights.expand())
        return gs.WeightedInfoNCE(weights, temperature=d["tau"])

    return Family(
        lambda z, d: losses.weighted_info_nce(z[0], d["weights"], temperature=d["tau"]), objective, instances=True
    )


def designed(anchors: str) -> Family:
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


def gcl(k: int) -> Family:
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


# Losses of each kind, and two counts that a shape shares: what is compiled takes longer than what is trained.
CASES = {
    "sup_con, batches of 3, 2 views": (in_batches(3, 2), [3, 1, 1], [1, 2, 2]),
    "kcl": (kcl(), [5, 1, 2], [2, 3, 3]),
    "ecl, classifiers": (ecl(), [6, 2, 2], [2, 3, 5]),
    "weighted_info_nce, soft-supcon": (weighted(), [5, 2, 3], [2, 6, 2]),
    "weighted_sup_con, class": (designed("class"), [7, 2, 1], [1, 5, 4]),
    "gcl, supervised, k = 2": (gcl(2), [3, 1, 1], [1, 2, 2]),
}


@pytest.mark.parametrize("name", CASES)
def test_descent_arrives_at_the_certified_optimum(name):
    family, *both_counts = CASES[name]
    with jax.enable_x64(True):
        both, bend = jax.jit(jax.value_and_grad(family.value)), jax.jit(jax.hessian(family.value))
        for seed, counts in enumerate(both_counts):
            objective, data, atoms = family.problem(counts, (0.5, 0.25)[seed], seed)
            solution = gs.solve(objective)
            # One dimension more than there are atoms: any Gram matrix fits, and nothing is in the way.
            rows = np.random.default_rng(seed).normal(size=(len(atoms), atoms.max() + 2))
            x = minimize(both, rows.ravel(), data, jac=True, method="L-BFGS-B", options=LBFGS).x
            for _ in range(8):
                x = x - np.linalg.lstsq(bend(x, data), both(x, data)[1], rcond=1e-8)[0]
            points = x.reshape(rows.shape) / np.linalg.norm(x.reshape(rows.shape), axis=1, keepdims=True)
            reached, (_, first) = points @ points.T, np.unique(atoms, return_index=True)
            assert np.abs(reached - solution.gram[np.ix_(atoms, atoms)]).max() <= 1e-7
            value = both(x, data)[0] + objective.floor
            assert solution.certificate.lower_bound - 1e-12 <= value <= solution.value + 1e-12
            assert gs.certify(objective, reached[np.ix_(first, first)]).relative_gap < 1e-6


@pytest.mark.parametrize("name", CASES)
def test_points_a_millionth_out_of_their_span_are_seen(name):
    """Cosines move by 1e-12: the loss hardly does, and the equations of the certificate are all but singular."""
    with jax.enable_x64(True):
        family, counts, _ = CASES[name]
        objective, *_ = family.problem(counts, 0.5, 0)
    solution = gs.solve(objective)
    points = solution.embed().points
    points = np.hstack([points, 1e-6 * np.random.default_rng(0).normal(size=(len(points), len(points)))])
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    proof = gs.certify(objective, points @ points.T)
    assert proof.relative_gap < 1e-10
    assert proof.cosine_residual > np.abs(points @ points.T - solution.gram).max() / 2
