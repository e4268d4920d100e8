"""Within- and between-class variance of a geometry of instances."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..arrays import Array
from .orbit_gram import OrbitGram


@dataclass(frozen=True, eq=False)
class ClassVariances:
    """How instances on the unit sphere vary, split by class; instances weigh alike.

    Attributes:
        within: the mean over instances of |z - mean of its class|^2.
        between: the mean over instances of |mean of its class - mean of all|^2.
        per_class: (K,) the variance within the class of every orbit.
    """

    within: float
    between: float
    per_class: Array = field(repr=False)

    @property
    def total(self) -> float:
        """The mean of |z - mean of all|^2, within + between: 1 where everything balances around the centre."""
        return self.within + self.between


def class_variances(gram: OrbitGram) -> ClassVariances:
    """The variances of a Gram matrix of instances in which every orbit is a class.

    With rho_c the cosine inside class c of n_c instances, |mean of c|^2 = 1 - V_c with V_c = (1 - rho_c)(n_c - 1)/n_c.
    """
    sizes = gram.sizes
    # Through 1 - rho: exactly 0 for a collapsed class.
    per_class = np.where(gram.orbits.plural, (1.0 - np.diag(gram.cosines)) * (sizes - 1.0) / sizes, 0.0)
    shares = sizes / sizes.sum()
    within = float(shares @ per_class)
    means = gram.cosines.copy()
    np.fill_diagonal(means, 1.0 - per_class)
    between = float(shares @ np.diag(means) - shares @ means @ shares)
    return ClassVariances(within=within, between=max(0.0, between), per_class=per_class)
