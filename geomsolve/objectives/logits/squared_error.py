"""The squared error of one-hot labels over unconstrained features with weight decay."""

from functools import cached_property

import numpy as np

from ...arrays import Array
from ...geometry.class_matrices import ClassMatrix
from .cross_entropy import CrossEntropy, Softmax


class SquaredError(CrossEntropy):
    """The squared error of one-hot labels in place of cross-entropy, CE_k(z) = |z - e_k|^2 / 2.

    The optimum is diagonal for any counts: Z_kk = max(0, 1 - N lambda / sqrt(n_k)), an orthogonal frame whose features
    are not negative already; a class vanishes from the decay lambda = sqrt(n_k) / N on.

    Args: those of `CrossEntropy` but for the options that change logits or labels, and no bias.

    Raises:
        ProblemError: such an option.

    Source: the orthogonal frame, Dang et al. 2023 (deep linear networks); this form and its proof are ours.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._refuse("squared error goes without; leave it out")
        if self.name == "cross-entropy":
            object.__setattr__(self, "name", "squared error")

    def softmax(self, logits: ClassMatrix, bias: Array) -> Softmax:
        """The residual in the place of the softmax: the gradient has the same form."""
        missing = 1.0 - logits.own
        squares = missing**2 + np.sum(self.orbits.partners.T * logits.between**2, axis=0)
        return Softmax(squares / 2.0, logits.between, missing)

    def entropies(self, found: Softmax) -> Array:
        """(K,) minus the conjugate of an example's loss at the residual."""
        return found.missing - (found.missing**2 + np.sum(self.orbits.partners.T * found.wrong**2, axis=0)) / 2.0

    @cached_property
    def closed_form(self) -> ClassMatrix:
        """The optimal logits."""
        own = np.maximum(0.0, 1.0 - self.root * self.decay / self.shares)
        return ClassMatrix(self.orbits, own, np.zeros((len(own),) * 2))

    @property
    def vanishing_decays(self) -> Array:
        """(C,) the lambda from which each class vanishes: sqrt(n) / N."""
        return (self.shares / self.root)[self.orbits.listed()]
