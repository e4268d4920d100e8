"""SupCL without a self-supervised part and without self-pairs: views of an instance, which only repel, part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from ...arrays import Array
from ...errors import BackendError
from ...geometry.orbit_gram import OrbitGram
from ..base import Objective, RowModel


@dataclass(frozen=True, eq=False, kw_only=True)
class FreeViews(Objective):
    """A supervised loss whose positives are samples of other instances, while an own view is a negative.

    A class of n instances with p views each is an orbit of N = n p samples. Every instance of it has the same mean
    over its views (proved afterwards by `untied`), so with q^2 what a sample has to itself, two samples have the
    cosine 1 - q^2, two views of an instance 1 - q^2 p/(p - 1), and any two of the N, on average,

        1 + t,    t = -q^2 N/(N - 1),

    which is the cosine inside the orbit. With k = (N - 1)/N the loss of one sample is

        log( (n - 1) p + (p - 1) e^{k t / ((p-1) tau)} + sum_{j of other classes} e^{(t_j - k t)/tau} ).

    """

    instances: Array  # (K,) n, the instances of the class of each orbit
    views: int  # p, at least 2

    @property
    def _share(self) -> Array:
        """(K,) k above."""
        return (self.orbits.sizes - 1.0) / self.orbits.sizes

    @property
    def _others(self) -> Array:
        """(K,) the positives of a sample."""
        return (self.instances - 1.0) * self.views

    def _terms(self, gram: OrbitGram) -> tuple[Array, Array, Array, Array]:
        """(K,) the term of own views, (K, K) that of one sample of each other class, (K,) their sum and m / (Z tau)."""
        t = self._share * (np.diag(gram.cosines) - 1.0) / self.temperature
        views = (self.views - 1.0) * np.exp(t / (self.views - 1.0))
        foreign = np.exp((gram.cosines - 1.0) / self.temperature - t[:, None])
        np.fill_diagonal(foreign, 0.0)
        far = foreign @ self.orbits.sizes
        return views, foreign, far, self.masses / (self._others + views + far) / self.temperature

    @property
    def _row_floors(self) -> Array:
        """Log((n - 1) p): everything but the positives infinitely far away."""
        return np.log(self._others)

    def _row_excess(self, gram: OrbitGram) -> Array:
        views, _, far, _ = self._terms(gram)
        return np.log1p((views + far) / self._others)

    def row_gradient(self, gram: OrbitGram) -> Array:
        """The derivative in the cosine with one partner, with no large terms subtracted."""
        views, foreign, far, unit = self._terms(gram)
        row = unit[:, None] * foreign
        own = self._share * (views / (self.views - 1.0) - far) / (self.orbits.sizes - 1.0)
        np.fill_diagonal(row, unit * own)
        return row

    def rows(self, gram: OrbitGram) -> RowModel:
        """Of the loss as -k t/tau + log(...): what repels, and what `attraction` takes from it is constant."""
        views, foreign, _, unit = self._terms(gram)
        further = self._share * self.views / (self.views - 1.0)
        repulsion, curvature = unit[:, None] * foreign, unit[:, None] * foreign / self.temperature
        inside = unit / (self.orbits.sizes - 1.0)
        np.fill_diagonal(repulsion, inside * (self._share * self._others + further * views))
        bent = inside * (self._share**2 * self._others + further**2 * views) / self.temperature
        np.fill_diagonal(curvature, bent)
        answer = np.sum(self.orbits.partners * repulsion, axis=1) / self.masses
        softness = repulsion / np.where(curvature > 0, curvature, 1.0)
        return RowModel(repulsion, np.where(curvature > 0, softness, self.temperature), answer[:, None])

    @property
    def attraction(self) -> Array | float:
        """M k / tau, shared among the partners of a sample in its class."""
        return np.diag(self.masses * self._share / (self.orbits.sizes - 1.0) / self.temperature)

    def row_terms(self, gram: OrbitGram) -> tuple[Array, Array]:
        """Nothing is subtracted but the two kinds of own partners."""
        size, (views, _, far, unit) = np.abs(self.row_gradient(gram)), self._terms(gram)
        own = unit * self._share * (views / (self.views - 1.0) + far) / (self.orbits.sizes - 1.0)
        np.fill_diagonal(size, own)
        return size, np.zeros_like(size)

    def untied(self, gram: OrbitGram) -> float:
        """What instances of a class could gain by parting, in the bound of `ViewedRows`.

        On differences between the means of instances S has the eigenvalue s + (p - 1) d - p e, with d and e the
        derivatives in the cosine of two views and of two samples of a class, and s minus the multiplier of a sample.
        """
        views, _, far, unit = self._terms(gram)
        row, sizes = self.row_gradient(gram), self.orbits.sizes
        d = unit * views / (self.views - 1.0)
        e = unit * -(views + far) / self._others
        t = np.diag(gram.cosines) - 1.0
        twin, other = 1.0 + self._share * t * self.views / (self.views - 1.0), 1.0 + self._share * t
        forces = (row + row.T) / 2.0
        np.fill_diagonal(forces, 0.0)
        outside = np.einsum("ab,ab->a", sizes * forces, gram.cosines)
        s = -(outside + (self.views - 1.0) * d * twin + self._others * e * other)
        left = s + (self.views - 1.0) * d - self.views * e + 1e-12 * unit
        return float(self.orbits.atoms * max(0.0, -left.min()))

    def ungrouped(self) -> NoReturn:
        """Not to be had: two samples of a class are views of one instance or not, which an orbit does not tell."""
        raise BackendError(f"{self.name} is solved by classes only, not sample by sample")
