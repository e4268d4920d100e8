"""A problem of many orbits on a few quadrature nodes: where Newton's method starts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from ..arrays import Array
from ..geometry.orbits import Orbits
from ..objectives.base import Objective

_NODES = 24


class Coarse(NamedTuple):
    """A problem on nodes, and the matrix that extends functions on them to all orbits."""

    objective: Objective
    extension: Array  # (K, r)


def coarsen(objective: Objective) -> Coarse | None:
    """The problem on a Gauss rule of its distribution of log masses; None where there are too few of them.

    Where a loss sees an orbit only through its mass, cosines and dual factor are smooth functions of it, and sums over
    orbits are integrals against the distribution of log masses. Its r-point Gauss rule (nodes y with weights w, the
    orbit sizes of the coarse problem) is exact for polynomials of degree 2r - 1, so r = 24 nodes give the optimum at
    every orbit to many digits. With Q the orthonormal polynomials of degree < r, (K, r) and weighted with root sizes,
    and Q^T diag(x) Q = V diag(y) V^T, the matrix Q V carries functions between orbits and nodes both ways.

    Source: ours; the rule is Golub & Welsch 1969.
    """
    if np.any(objective.masses <= 0) or len(np.unique(objective.masses)) < 2 * _NODES:
        return None
    x = np.log(objective.masses)
    x = (2.0 * x - x.max() - x.min()) / np.ptp(x)
    root = np.sqrt(objective.orbits.sizes)
    polynomials, _ = np.linalg.qr(root[:, None] * chebvander(x, _NODES - 1))
    _, vectors = np.linalg.eigh(polynomials.T @ (x[:, None] * polynomials))
    carry = polynomials @ vectors
    node_root = carry.T @ root
    restriction = (carry / node_root).T * root
    coarse = objective.coarsened(Orbits(node_root**2), restriction)
    return None if coarse is None else Coarse(coarse, carry * node_root / root[:, None])
