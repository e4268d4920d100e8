"""The matrix that proves that weights are inconsistent, checkable by one inner product."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array


@dataclass(frozen=True, eq=False)
class Witness:
    """A matrix X that proves that no embedding attains the entropy bound.

    Every Gram matrix G that attains it has <X, G> = <X, required> < 0, whatever the constants that the bound leaves
    open. But the symmetric part of X is positive semidefinite, so <X, G> >= 0.

        kind         X                                         required                  left open by the bound
        indefinite   sum_k x_k x_k^T, self-pairs out: sum of   the symmetric matrix of   self-pairs out: one constant
                     the entries off the diagonal 0            wanted cosines            off the diagonal
        asymmetric   antisymmetric: its symmetric part is 0;   tau log w_ij; with        self-pairs out: one constant
                     self-pairs out: rows of sum 0             self-pairs 1 + tau        a row
                                                               log(w_ij / w_ii)

    Attributes:
        kind: "indefinite" or "asymmetric".
        asked: (K, K) `required` for two different samples, by orbit.
        labels: (N,) the orbit of every sample.
        factor: (N, r) the columns x_k; none where X is antisymmetric.
        antisymmetric: (N, N) X where it is, else None.
        value: <X, required>, below 0.
        margin: by how much it is below 0 beyond what rounding and the open constants allow.
    """

    kind: str
    asked: Array = field(repr=False)
    labels: NDArray[np.intp] = field(repr=False)
    factor: Array = field(repr=False)
    antisymmetric: Array | None = field(repr=False)
    value: float
    margin: float

    @property
    def required(self) -> Array:
        """(N, N), in the caller's order; 1 on the diagonal."""
        required = self.asked[self.labels[:, None], self.labels]
        np.fill_diagonal(required, 1.0)
        return required

    @property
    def matrix(self) -> Array:
        """(N, N) X."""
        if self.antisymmetric is not None:
            return self.antisymmetric
        return self.factor @ self.factor.T
