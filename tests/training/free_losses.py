"""Every convex loss of `geomsolve.training.losses` over free features, and the objective that is certified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import factorial, inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import geomsolve as gs
from geomsolve.training import losses

ALPHA, DRAWN, SCALE, EPSILON, SIGMA, LABEL_TEMPERATURE = 0.5, 3, 8.0, 0.05, 0.5, 0.3
# How far a target for `design` is from the regular simplex.
PUSHED = 0.5
# (classes, examples): losses over class means, over single examples, and those whose draws are enumerated.
WIDE = ((4, 36), (8, 60))
PAIRS = ((2, 10), (2, 24))
NARROW = ((2, 9), (4, 18))
FEW = ((2, 6), (4, 8))
# What the numbers from 1 to 8 divide: repeated so often, lists of negatives of different lengths get one length.
EVENLY = 840


@dataclass(frozen=True, eq=False)
class Problem:
    """One loss over the free features of some counts.

    Attributes:
        objective: over the atoms whose optimal Gram matrix is known.
        data: the arrays that the loss takes beside the features; problems of one shape share what JAX compiles.
        atoms: (rows,) the atom that every free vector should come to lie at.
        classes: (rows,) that atom if every class were one point.
    """

    objective: gs.Objective
    data: dict[str, Any]
    atoms: np.ndarray
    classes: np.ndarray

    @property
    def dim(self) -> int:
        """One more than there are atoms: any Gram matrix fits, and nothing is in the way."""
        return int(self.atoms.max()) + 2


@dataclass(frozen=True, eq=False)
class Family:
    """A loss with its options, and the counts it is tried on.

    Attributes:
        loss: of samples (views, examples, d), of one (classes, d) array per kind of prototype, and of the data.
        objective: of counts, data and a generator for whatever else is drawn; it may add to the data.
        text: its setting, for the report.
        views: free samples per example.
        kinds: how many arrays of prototypes or classifiers there are.
        instances: whether every example is an atom of its own, rather than every class.
        least: the smallest count.
        shapes: (classes, examples) of the counts.
        annealed: whether training begins at a higher temperature, where classes repel one another enough to part.
        patience: of the finish by slopes, where curvatures are many orders of magnitude apart.
    """

    loss: Callable[..., jax.Array]
    objective: Callable[[np.ndarray, dict[str, Any], np.random.Generator], gs.Objective]
    text: str
    views: int = 1
    kinds: int = 0
    instances: bool = False
    least: int = 1
    shapes: tuple[tuple[int, int], ...] = WIDE
    annealed: bool = False
    patience: int | None = None

    def counts(self, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """Random counts of this shape, alike on a logarithmic scale before they are cut to their sum."""
        classes, examples = shape
        while True:
            parts = np.exp(rng.uniform(0.0, np.log(40.0), classes))
            counts = np.maximum(np.floor(parts / parts.sum() * examples), self.least).astype(int)
            counts[np.argmax(counts)] += examples - counts.sum()
            if counts.min() >= self.least and len(set(counts)) > 1:
                return counts

    def problem(self, counts: np.ndarray, temperature: float, seed: int) -> Problem:
        """The problem of these counts."""
        labels, classes = np.repeat(np.arange(len(counts)), counts), len(counts)
        data = {"y": labels, "tau": np.float64(temperature), "counts": counts.astype(float)}
        made = self.objective(counts, data, np.random.default_rng(seed))
        of = np.arange(len(labels)) if self.instances else labels
        atoms, means = (
            np.concatenate([np.tile(each, self.views), each.max() + 1 + np.arange(self.kinds * classes)])
            for each in (of, labels)
        )
        return Problem(made, data | {"floor": np.float64(made.floor)}, atoms, means)

    def value(self, rows: jax.Array, data: dict[str, Any]) -> jax.Array:
        """The loss above its floor, of all free vectors in one array."""
        examples, classes = len(data["y"]), len(data["counts"])
        many = self.views * examples
        samples = rows[:many].reshape(self.views, examples, rows.shape[1])
        return self.loss(samples, *rows[many:].reshape(self.kinds, classes, rows.shape[1]), data) - data["floor"]


def families() -> dict[str, Family]:
    """All of them by name."""
    found = {f"sup_con, {_views(v)}": _sup_con(v) for v in (1, 2)}
    found |= {f"sup_con, batches of {b}, {_views(v)}": _in_batches(b, v) for b, v in ((4, 1), (3, 2))}
    found["sup_min"] = _minority()
    found |= {"sup_cl": _sup_cl(1, True), "sup_cl, no self-pairs": _sup_cl(2, False), "kcl": _kcl()}
    for anchors in ("instance", "class"):
        found[f"bcl, {anchors}"] = _prototypes(losses.bcl, gs.BCL, anchors)
        found[f"ecl, {anchors}"] = _prototypes(losses.ecl, gs.ECL, anchors, classifier=False)
        found[f"weighted_sup_con, {anchors}"] = _designed(anchors)
    found |= {"ecl, classifiers": _ecl(), "cosine_cross_entropy": _compensated()}
    found |= {f"weighted_info_nce, {s}": _weighted(s) for s in ("supcon", "soft-supcon", "y-aware", "x-clr")}
    for sampling, k in product(("supervised", "unsupervised"), (1, 2, inf)):
        found[f"gcl, {sampling}, k = {k}"] = _gcl(sampling, k)
    return found


def _views(count: int) -> str:
    return f"{count} view{'s' * (count > 1)}"


def _sup_con(views: int) -> Family:
    return Family(
        lambda z, d: losses.sup_con(z, d["y"], temperature=d["tau"]),
        lambda counts, d, _: gs.SupCon(counts, temperature=d["tau"], views=views),
        "full batch",
        views=views,
        least=1 if views > 1 else 2,
    )


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

    return Family(loss, objective, "all batches enumerated", views=views, shapes=FEW)


def _minority() -> Family:
    def objective(counts: np.ndarray, d: dict, _: np.random.Generator) -> gs.Objective:
        d["minority"] = np.int64(counts[1] <= counts[0])
        return gs.SupMin(counts, temperature=d["tau"], views=2)

    return Family(
        lambda z, d: losses.sup_min(z, d["y"], temperature=d["tau"], minority=d["minority"]),
        objective,
        "two classes, 2 views",
        views=2,
        instances=True,
        shapes=PAIRS,
    )


def _sup_cl(views: int, self_pairs: bool) -> Family:
    options = {"alpha": ALPHA, "self_pairs": self_pairs}
    return Family(
        lambda z, d: losses.sup_cl(z, d["y"], temperature=d["tau"], **options),
        lambda counts, d, _: gs.SupCL(counts, temperature=d["tau"], views=views, **options),
        f"α = {ALPHA:g}, {_views(views)}, annealed",
        views=views,
        instances=True,
        least=2,
        shapes=NARROW,
        annealed=True,
    )


def _kcl() -> Family:
    return Family(
        lambda z, d: losses.kcl(z, d["y"], temperature=d["tau"], positives=DRAWN),
        lambda counts, d, _: gs.KCL(counts, temperature=d["tau"], positives=DRAWN, views=2),
        f"k = {DRAWN}, 2 views, annealed",
        views=2,
        instances=True,
        shapes=NARROW,
        annealed=True,
    )


def _prototypes(function: Callable[..., Any], build: Callable[..., Any], anchors: str, **more: Any) -> Family:
    """Over single examples: a prototype that stands apart from its class may make them repel one another."""

    return Family(
        lambda z, centres, d: function(z, d["y"], centres, temperature=d["tau"], anchors=anchors),
        lambda counts, d, _: build(counts, temperature=d["tau"], anchors=anchors, views=1, **more),
        "examples and prototypes",
        kinds=1,
        instances=True,
        least=2 if more else 1,
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

    return Family(loss, objective, "`design` of a random geometry")


def random_target(classes: int, rng: np.random.Generator) -> np.ndarray:
    """(C, C) cosines of the points of a regular simplex, pushed about, some positive multiples of which balance."""
    points = np.eye(classes) - 1.0 / classes
    points += PUSHED * rng.uniform(-1.0, 1.0, points.shape) / np.sqrt(classes)
    shares = rng.uniform(0.5, 1.5, classes)
    points -= shares @ points / shares.sum()
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points @ points.T


def _ecl() -> Family:
    return Family(
        lambda z, centres, classifiers, d: losses.ecl(
            z, d["y"], centres, classifiers, temperature=d["tau"], counts=d["counts"], scale=SCALE
        ),
        lambda counts, d, _: gs.ECL(counts, temperature=d["tau"], scale=SCALE, views=1, tied=False),
        f"examples, prototypes, classifiers of scale {SCALE:g}, patient",
        patience=2000,
        kinds=2,
        instances=True,
        least=2,
    )


def _compensated() -> Family:
    return Family(
        lambda z, classifiers, d: losses.cosine_cross_entropy(
            z, d["y"], classifiers, scale=1.0 / d["tau"], counts=d["counts"]
        ),
        lambda counts, d, _: gs.LogitCompensated(counts, scale=1.0 / d["tau"]),
        "compensated logits, scale 1/τ",
        kinds=1,
    )


def _weighted(scheme: str) -> Family:
    """Samples of a class have one label: its number, a number on [-1, 1], or a direction."""

    def objective(counts: np.ndarray, d: dict, rng: np.random.Generator) -> gs.Objective:
        labels, classes = d["y"], len(counts)
        if scheme == "supcon":
            weights = gs.similarities.supcon_weights(labels)
        elif scheme == "soft-supcon":
            weights = gs.similarities.soft_supcon_weights(labels, epsilon=EPSILON)
        elif scheme == "y-aware":
            weights = gs.similarities.y_aware_weights(rng.uniform(-1.0, 1.0, classes)[labels], sigma=SIGMA)
        else:
            weights = gs.similarities.x_clr_weights(
                rng.normal(size=(classes, 3))[labels], label_temperature=LABEL_TEMPERATURE
            )
        d["weights"] = np.array(weights.expand())
        return gs.WeightedInfoNCE(weights, temperature=d["tau"])

    own = scheme != "supcon"
    setting = {"soft-supcon": f"ε = {EPSILON:g}", "y-aware": f"σ = {SIGMA:g}", "x-clr": f"τ_s = {LABEL_TEMPERATURE:g}"}
    return Family(
        lambda z, d: losses.weighted_info_nce(z[0], d["weights"], temperature=d["tau"], self_pairs=own),
        objective,
        setting.get(scheme, "no self-pairs"),
        instances=True,
        least=2,
        shapes=NARROW,
    )


def _gcl(sampling: str, k: float) -> Family:
    """The mean over all positives of the anchor's class and all negatives that may be drawn; k = inf: all at once."""

    def loss(z: jax.Array, d: dict) -> jax.Array:
        anchors, near, far = (z[0][d[name]] for name in ("anchors", "near", "far"))
        one = jax.vmap(lambda *term: losses.gcl(*(each[None] for each in term), temperature=d["tau"]))
        return jnp.sum(d["chances"] * one(anchors, near, far))

    def objective(counts: np.ndarray, d: dict, _: np.random.Generator) -> gs.Objective:
        labels, total = d["y"], int(counts.sum())
        samples = np.arange(total)
        pairs = np.array(list(product(samples, samples)))
        same = (labels[pairs[:, 0]] == labels[pairs[:, 1]]) / counts[labels[pairs[:, 0]]]
        allowed = {i: samples[labels != labels[i]] if sampling == "supervised" else samples for i in samples}
        if k == inf:
            length = EVENLY if sampling == "supervised" else total
            draws = np.array([np.resize(allowed[i], length) for i, _ in pairs])
            chances = same / total
        else:
            every = np.array(list(product(samples, repeat=int(k))))
            draws = np.tile(every, (len(pairs), 1))
            fits = np.array([np.isin(every, allowed[i]).all(axis=1) / len(allowed[i]) ** k for i, _ in pairs])
            chances = (same[:, None] * fits / total).ravel()
            pairs = np.repeat(pairs, len(every), axis=0)
        d |= {"anchors": pairs[:, 0], "near": pairs[:, 1], "far": draws, "chances": chances}
        return gs.GCL(counts, temperature=d["tau"], sampling=sampling, negatives=k)

    shapes = {1: ((2, 8), (5, 14)), 2: FEW, inf: FEW}[k]
    text = "all draws enumerated" if k < inf else "all negatives at once"
    return Family(loss, objective, text, shapes=shapes)
