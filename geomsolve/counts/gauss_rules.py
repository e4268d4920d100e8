"""Counts on a line of logarithms, and Gauss rules of them: a few nodes that stand for a million classes."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.linalg import eigh_tridiagonal

from ..arrays import Array
from .counts import Counts

# Nodes of the finest rule. A certificate uses it; solvers take coarser ones.
MOST_NODES = 112
# For how many nodes the recurrence is run: a start, the usual, all.
_RUNS = (12, 64, MOST_NODES)


@dataclass(frozen=True, eq=False)
class CountLine:
    """The distinct counts n placed in [-1, 1] by x = 2 log(n / n_min) / log(n_max / n_min) - 1.

    Attributes:
        counts: the distinct counts and how many classes have each.
    """

    counts: Counts
    _rules: dict[int, tuple[Array, Array]] = field(default_factory=dict, init=False, repr=False)
    _runs: dict[int, tuple[Array, Array]] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def places(self) -> Array:
        """(K,) x of the distinct counts."""
        low, _, width = self._ends
        return np.clip(2.0 * (np.log(self.counts.distinct) - np.log(low)) / width - 1.0, -1.0, 1.0)

    @cached_property
    def _ends(self) -> tuple[float, float, float]:
        low, high = float(self.counts.distinct.min()), float(self.counts.distinct.max())
        return low, high, float(np.log(high / low))

    def values_at(self, places: Array) -> Array:
        """(n,) the counts at places in [-1, 1]."""
        low, high, width = self._ends
        return np.clip(np.sqrt(low) * np.sqrt(high) * np.exp(0.5 * width * places), low, high)

    def rule(self, order: int) -> tuple[Array, Array]:
        """Nodes and weights with sum_k w_k f(y_k) = sum_a n_a f(x_a) for polynomials f of degree below 2 order.

        The nodes are the eigenvalues of the leading part of the tridiagonal matrix of the recurrence of orthonormal
        polynomials, the weights come from its eigenvectors (Golub & Welsch 1969). Fewer than `order` nodes come back
        where there are fewer counts, and weights below 1e-30 of all are left out. Kept, for the next to ask.
        """
        if order in self._rules:
            return self._rules[order]
        size = next(size for size in _RUNS if size >= order)
        if size not in self._runs:
            self._runs[size] = self._recurrence(size)
        diagonal, beside = self._runs[size]
        total = float(self.counts.multiplicity.sum())
        nodes, vectors = eigh_tridiagonal(diagonal[:order], beside[: min(order, len(diagonal)) - 1])
        weights = total * vectors[0] ** 2
        # A class far from all others is a node by itself, and what rounding leaves of its weight may outweigh the rest.
        whole = np.rint(weights)
        weights = np.where(np.abs(weights - whole) <= 1e-13 * whole, whole, weights)
        kept = weights > 1e-30 * total
        self._rules[order] = np.clip(nodes[kept], -1.0, 1.0), weights[kept]
        return self._rules[order]

    def _recurrence(self, nodes: int) -> tuple[Array, Array]:
        """So many a and b of b_{j+1} p_{j+1} = (x - a_j) p_j - b_j p_{j-1}, by the Stieltjes procedure.

        It is run as it stands, a few passes over the counts per node. Where it loses orthogonality, nodes appear twice
        with the weight shared between them, and the rule stays as accurate (Greenbaum 1989).
        """
        x, sizes = self.places, self.counts.multiplicity
        diagonal: list[float] = []
        beside: list[float] = []
        before, now, link = np.zeros_like(x), np.full_like(x, 1.0 / np.sqrt(sizes.sum())), 0.0
        image, weighted = np.empty_like(x), np.empty_like(x)
        while True:
            np.multiply(sizes, now, out=weighted)
            np.multiply(x, now, out=image)
            diagonal.append(float(weighted @ image))
            if len(diagonal) == min(nodes, len(x)):
                break
            before *= -link
            before += image
            before -= np.multiply(diagonal[-1], now, out=image)
            np.multiply(sizes, before, out=weighted)
            link = math.sqrt(max(float(weighted @ before), 0.0))
            if link <= 1e-14:  # the counts are used up
                break
            beside.append(link)
            before /= link
            before, now = now, before
        return np.array(diagonal), np.array(beside)
