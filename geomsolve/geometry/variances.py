"""Within- and between-class variance of a geometry of instances."""

import numpy as np

from .orbit_gram import OrbitGram


class ClassVariances:
    """How instances on the unit sphere vary, split by class: of a Gram matrix in which every orbit is a class.

    With rho_c the cosine inside class c of n_c instances, |mean of c|^2 = 1 - V_c with V_c = (1 - rho_c)(n_c - 1)/n_c.
    Instances weigh alike.

    Attributes:
        per_class: (K,) V, the variance within the class of every orbit.
        within: the mean over instances of |z - mean of its class|^2.
        between: the mean over instances of |mean of its class - mean of all|^2.
        total: the mean of |z - mean of all|^2, within + between: 1 where everything balances around the centre.
    """

    def __init__(self, gram: OrbitGram):
        sizes, shares = gram.sizes, gram.sizes / gram.atoms
        # Through 1 - rho: exactly 0 for a collapsed class.
        spread = (1.0 - np.diag(gram.cosines)) * (sizes - 1.0) / sizes
        self.per_class = np.where(gram.orbits.plural, spread, 0.0)
        self.within = float(shares @ self.per_class)
        means = gram.cosines.copy()
        np.fill_diagonal(means, 1.0 - self.per_class)
        self.between = max(0.0, float(shares @ np.diag(means) - shares @ means @ shares))
        self.total = self.within + self.between
