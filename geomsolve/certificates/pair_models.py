"""Losses of pairs below other losses: row softmax and its expectations, taken apart by Jensen's inequality."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..objectives.base import Objective
from ..objectives.batches.expectation import ExpectedSoftmax
from ..objectives.batches.pairwise import Logistic, PairLoss
from ..objectives.rows.row_softmax import RowSoftmax

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class PairModel:
    """A loss of pairs that lies below an objective's excess, by orbits.

        L - floor >= constant + sum over ordered pairs (i, j) of
            weights_ij g_ij sum_m chances_im log(1 + ratios_im e^{s_ij} / g_ij) + pulls_ij s_ij,     s = (G - 1)/tau

    for any tilts g > 0 of mean 1 in every row, sum_j weights_ij g_ij = sum_j weights_ij.

    Attributes:
        sizes: (K,) atoms per orbit.
        ratios: (K, M).
        chances: (K, M).
        weights: (K, K), of one partner.
        pulls: (K, K).
        tilts: (K, K) g.
        tilted: (K,) which rows may have tilts other than 1.
        constant: in nats.
        temperature: tau.
    """

    sizes: Array
    ratios: Array
    chances: Array
    weights: Array
    pulls: Array
    tilts: Array
    tilted: NDArray[np.bool_]
    constant: float
    temperature: float

    @property
    def partners(self) -> Array:
        """(K, K) partners of one atom of an orbit in another."""
        return np.maximum(self.sizes - np.eye(len(self.sizes)), 0.0)

    @cached_property
    def pairs(self) -> tuple[Indices, Indices, Array]:
        """First and second orbit of every kind of pair, and how many pairs are of it."""
        first, second = np.triu_indices(len(self.sizes))
        times = self.sizes[first] * self.partners[first, second] / np.where(first == second, 2.0, 1.0)
        there = times > 0
        return first[there], second[there], times[there]

    @property
    def slopes(self) -> Array:
        """(n,) what is linear in s of every kind of pair."""
        first, second, _ = self.pairs
        return np.asarray(self.pulls[first, second] + self.pulls[second, first])

    def at(self, kinds: Indices, cosines: Array) -> tuple[Array, Array]:
        """(n, ...) what pairs of these kinds pay, and its part in logarithms; cosines (..., T) or (n, T) each's own."""
        drift = np.exp((cosines - 1.0) / self.temperature)
        part = np.zeros((len(kinds), cosines.shape[-1]))
        first, second, _ = self.pairs
        for one, other in ((first[kinds], second[kinds]), (second[kinds], first[kinds])):
            tilt, weight = self.tilts[one, other], self.weights[one, other] * self.tilts[one, other]
            for m in range(self.ratios.shape[1]):
                ratio, chance = self.ratios[one, m] / tilt, self.chances[one, m]
                part += (weight * chance)[:, None] * np.log1p(ratio[:, None] * drift)
        return part + self.slopes[kinds, None] * ((cosines - 1.0) / self.temperature), part

    def table(self, cosines: Array) -> Array:
        """(n, T) what every kind of pair pays at every cosine."""
        return self.at(np.arange(len(self.pairs[0])), cosines)[0]

    def tilted_by(self, wanted: Array) -> PairModel:
        """The same with tilts in proportion to the wanted ones, (K, K) and above 0."""
        scaled = self.partners * self.weights
        total, got = scaled.sum(axis=1), np.sum(scaled * wanted, axis=1)
        fits = self.tilted & (total > 0) & (got > 0)
        tilts = np.where(fits[:, None], wanted * (total / np.where(got > 0, got, 1.0))[:, None], 1.0)
        return replace(self, tilts=tilts)


def pair_model(objective: Objective) -> PairModel | None:
    """The model of an objective with tilts of 1; None where there is none.

    **Row softmax.** With q_ij = W_ij g_ij / W_i, W_i = sum_j W_ij, summing to 1 in a row, Jensen's inequality has

        log(a_i + sum_j W_ij e^{s_ij}) = log sum_j q_ij (a_i + W_i e^{s_ij} / g_ij)
                                      >= sum_j q_ij log(a_i + W_i e^{s_ij} / g_ij),

    with equality where all a_i + W_i e^{s_ij} / g_ij of a row are equal. Rows with a_i = 0 become linear in s.

    **Its expectation over k draws.** Given that l draws are of the anchor's own class, the others are independent and

        log(alpha + beta l + beta sum X) >= mean of log(alpha + beta l + beta (k - l) X) over the k - l others.
    """
    orbits, count = objective.orbits, len(objective.orbits.sizes)
    masses = objective.masses
    chances, pulls = np.ones((count, 1)), np.zeros((count, count))
    tilted, constant = np.zeros(count, dtype=bool), 0.0
    if isinstance(objective, PairLoss) and isinstance(objective.shape, Logistic):
        ratios, weights = np.ones((count, 1)), masses[:, None] * objective.partner
    elif type(objective) is ExpectedSoftmax:
        if np.any(objective.own >= 1.0):
            return None
        ratios, chances = _own_draws(objective)
        weights = masses[:, None] * objective.partner / (1.0 - objective.own)[:, None]
    elif isinstance(objective, RowSoftmax):
        full = np.broadcast_to(objective.weights, (count, count))
        total = np.sum(orbits.partners * full, axis=1)
        tilted = objective.offsets > 0
        ratios = np.where(tilted, total / np.where(tilted, objective.offsets, 1.0), 0.0)[:, None]
        weights = masses[:, None] * full / np.where(total > 0, total, 1.0)[:, None]
        with np.errstate(divide="ignore"):
            constant = float(orbits.sizes * masses @ np.where(tilted, 0.0, np.log(total) - objective._row_floors))
        pulls = np.where(tilted[:, None], 0.0, weights)
        if objective.positives is not None:
            pulls = pulls - masses[:, None] * objective.positives
    else:
        return None
    return PairModel(
        orbits.sizes, ratios, chances, np.broadcast_to(weights, (count, count)), pulls, np.ones((count, count)), tilted,
        constant, objective.temperature,
    )  # fmt: skip


def _own_draws(objective: ExpectedSoftmax) -> tuple[Array, Array]:
    """(K, M) beta (k - l) / (alpha + beta l) for the likeliest numbers l of own draws, and their chances.

    What is left out would only add to the loss.
    """
    from scipy.stats import binom  # as long to import as all of this package, and few losses get here

    k, own = objective.count, objective.own
    spread = 8.0 * np.sqrt(k * own * (1.0 - own)) + 8.0
    first = np.maximum(np.floor(k * own - spread), 0.0)
    draws = first[:, None] + np.arange(min(math.ceil(2.0 * spread.max()), k) + 1.0)
    inside = np.minimum(draws, k)
    # A relative error of 1e-12 is far above that of the binomial probabilities.
    chances = np.where(draws <= k, (1.0 - 1e-12) * binom.pmf(inside, k, own[:, None]), 0.0)
    return objective.beta * (k - inside) / (objective.alpha + objective.beta * inside), chances


def grouped(model: PairModel, masses: Array, count: int) -> tuple[PairModel, Indices]:
    """The model on `count` orbits in place of all, the heaviest first, and which: neighbours by mass are a group."""
    groups = np.array_split(np.argsort(-masses, kind="stable"), count)
    # The first and the last stand for themselves, so that nothing is ever beyond them.
    middle = [group[0 if i == 0 else -1 if i == count - 1 else len(group) // 2] for i, group in enumerate(groups)]
    chosen, sizes = np.array(middle), np.array([model.sizes[group].sum() for group in groups])
    square = np.ix_(chosen, chosen)
    return replace(
        model, sizes=sizes, ratios=model.ratios[chosen], chances=model.chances[chosen], weights=model.weights[square],
        pulls=model.pulls[square], tilts=model.tilts[square], tilted=model.tilted[chosen],
    ), chosen  # fmt: skip
