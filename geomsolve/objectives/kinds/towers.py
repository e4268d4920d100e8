"""Two towers, image and text, trained by pairs: the losses of CLIP and SigLIP over concepts of unequal frequency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from ...arrays import Array
from ...counts.counts import Counts, as_counts
from ...geometry.orbit_gram import OrbitGram, Orbits
from ..base import RowModel, check_number, check_temperature, ratio
from .parts import Parted, PartedSoftmax, Parts, kinds_of, parts_in, points


def CLIP(counts: Counts | ArrayLike, *, temperature: float, negatives: float | None = None) -> PartedSoftmax:
    """The loss of CLIP over concepts: every image is to find its text among all, and every text its image.

        L = -1/2 sum_i p_i [ log( e^{u_i.v_i/tau} / D(u_i) ) + log( e^{v_i.u_i/tau} / D(v_i) ) ],
        D(u_i) = e^{u_i.v_i/tau} + negatives * sum_{j != i} p_j e^{u_i.v_j/tau}

    with unit u_i and v_i for the images and the texts of concept i, p = counts / their sum. A pair of the same concept
    in a batch counts as no negative.

    Args:
        counts: how many pairs there are of each concept, or proportions.
        temperature: tau.
        negatives: how many there are for one positive before those of the same concept are left out: the batch less
            one; None: as many as concepts, so that equal counts give the loss of one batch of all pairs.

    Returns:
        A PartedSoftmax over C images and C texts, in this order.

    Raises:
        ProblemError: a temperature or number that is not above 0, or more than 500 concepts.

    Source: Radford et al. 2021 (arXiv 2103.00020).
    """
    temperature = check_temperature(temperature)
    counts, shares, met, both, parts = _pairs("CLIP", counts, negatives)
    nothing = np.zeros_like(met)
    rows = np.eye(counts.classes) + met / shares[:, None]
    return PartedSoftmax(
        orbits=both,
        masses=np.tile(shares / 2.0, 2),
        weights=np.block([[nothing, rows], [rows, nothing]]),
        offsets=np.zeros(2 * counts.classes),
        positives=np.block([[nothing, np.eye(counts.classes)], [np.eye(counts.classes), nothing]]),
        temperature=temperature,
        name="CLIP",
        counts=counts,
        parts=parts,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class PairSigmoid(Parted):
    """A logistic loss of pairs of atoms, each pair by itself. See `SigLIP`.

    L(G) = sum_{i != j} [ pull_ij log(1 + e^{-x_ij}) + push_ij log(1 + e^{x_ij}) ],   x_ij = G_ij/tau + b
    """

    pull: Array  # (m, m) the weights of pairs that belong together
    push: Array  # (m, m) of all others
    bias: float

    @property
    def floor(self) -> float:
        """0, which no pair reaches."""
        return 0.0

    def _logits(self, gram: OrbitGram) -> Array:
        return gram.cosines / self.temperature + self.bias

    def excess(self, gram: OrbitGram) -> float:
        """The loss."""
        x = self._logits(gram)
        return float(np.sum(self.pull * np.logaddexp(0.0, -x)) + np.sum(self.push * np.logaddexp(0.0, x)))

    def rows(self, gram: OrbitGram) -> RowModel:
        """The derivative as if all pairs pushed; `attraction` makes up for it."""
        x, tau = self._logits(gram), self.temperature
        slope = (self.pull + self.push) * expit(x) / tau
        return RowModel(slope, ratio(slope, slope * expit(-x) / tau), 0.0)

    def row_gradient(self, gram: OrbitGram) -> Array:
        """The derivative, a pull not as a difference."""
        x = self._logits(gram)
        return np.asarray(self.push * expit(x) - self.pull * expit(-x)) / self.temperature

    def row_terms(self, gram: OrbitGram) -> tuple[Array, Array]:
        """The size of the derivative, and how it follows the last digit of a cosine."""
        return np.abs(self.row_gradient(gram)), self.rows(gram).curvature * np.finfo(float).eps

    @cached_property
    def attraction(self) -> Array:
        """Half of pull / tau in either triangle."""
        return np.asarray(self.pull + self.pull.T) / (2.0 * self.temperature)

    @property
    def joined(self) -> PairSigmoid:
        """The loss with u_i = v_i, less its constant: over one atom a concept."""
        half = len(self.push) // 2
        push, parts = self.push[:half, half:], Parts(("pair",) * half, tuple(range(half)))
        masses, orbits = self.masses[:half], points(half)
        return replace(self, orbits=orbits, masses=masses, pull=0.0 * push, push=push, parts=parts)


def SigLIP(
    counts: Counts | ArrayLike, *, temperature: float, bias: float, negatives: float | None = None
) -> PairSigmoid:
    """The sigmoid loss of SigLIP over concepts: of every image and every text, whether they belong together.

        L = sum_i p_i log(1 + e^{-x_ii}) + negatives * sum_{i != j} p_i p_j log(1 + e^{x_ij}),   x_ij = u_i.v_j/tau + b

    For n equal counts the towers meet in a regular simplex, u_i = v_i, unless
    (1 + e^{1/(tau (n - 1)) - b}) / (1 + e^{1/tau + b}) < (n - 2)/2: then positives are misaligned.

    Arguments and errors are those of `CLIP`; b is within 500 of 0, and -10 is where SigLIP starts.

    Returns:
        A PairSigmoid over C images and C texts, in this order.

    Source: Zhai et al. 2023 (arXiv 2303.15343); Lee et al. 2025 (arXiv 2506.09781) for equal counts, with -b for b.
    """
    temperature = check_temperature(temperature)
    counts, shares, met, both, parts = _pairs("SigLIP", counts, negatives)
    bias = check_number("bias", bias, -500.0, 500.0, hint="-10 is usual")
    nothing = np.zeros_like(met)
    return PairSigmoid(
        orbits=both,
        masses=np.concatenate([shares, 0.0 * shares]),
        pull=np.block([[nothing, np.diag(shares)], [nothing, nothing]]),
        push=np.block([[nothing, met], [nothing, nothing]]),
        bias=float(bias),
        temperature=temperature,
        name=f"SigLIP(bias={bias:g})",
        counts=counts,
        parts=parts,
    )


def _pairs(loss: str, counts: Any, negatives: float | None) -> tuple[Counts, Array, Array, Orbits, Parts]:
    """Counts, shares, how often image i meets text j, the atoms of both towers, and what these are."""
    counts = as_counts(counts)
    size = counts.classes
    kinds = kinds_of(loss, counts, {"image": 1.0, "text": 1.0}, by_class=True)
    negatives = float(size) if negatives is None else check_number("negatives", negatives, 1e-9, 1e9)
    shares = counts.per_class / counts.total
    met = negatives * shares[:, None] * shares * (1.0 - np.eye(size))
    return counts, shares, met, kinds.by_class, parts_in(kinds)
