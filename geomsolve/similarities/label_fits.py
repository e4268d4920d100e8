"""Whether labels fit on the sphere that Gaussian weights ask for, and up to which temperature."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from ..objectives.base import check_temperature
from ..objectives.weighted.weightings import Weighting
from .feasibility import LogGram


@dataclass(frozen=True, eq=False)
class LabelFit:
    """Labels with Gaussian weights of bandwidth sigma, beside the sphere of embeddings at temperature tau.

    Attributes:
        self_pairs: the convention of the weighting.
        temperature: tau.
        bandwidth: sigma.
        needed_radius: of the smallest sphere on which all labels lie; infinite where there is none.
        allowed_radius: sigma / sqrt(tau), the largest that fits.
        largest_ratio_with: the largest tau / sigma^2 at which the bound is attained with self-pairs in,
            1 / needed_radius^2: 0 where at none, infinite where at all.
        largest_ratio_without: the same with self-pairs out; never smaller.
    """

    self_pairs: bool
    temperature: float
    bandwidth: float
    needed_radius: float
    allowed_radius: float
    largest_ratio_with: float
    largest_ratio_without: float

    @property
    def ratio(self) -> float:
        """Tau / sigma^2."""
        return self.temperature / self.bandwidth**2

    @property
    def sentence(self) -> str:
        """The fit in a sentence or two."""
        if math.isinf(self.needed_radius):
            first = "The labels lie on no sphere, so with self-pairs no temperature attains the bound."
        else:
            first = (
                f"All labels lie on a sphere of radius {self.needed_radius:.4g}; self-pairs allow sigma/sqrt(tau) = "
                f"{self.allowed_radius:.4g}."
            )
        if self.self_pairs:
            return first
        limit = self.largest_ratio_without
        most = "any tau/sigma^2" if math.isinf(limit) else f"tau/sigma^2 up to {limit:.4g}"
        return f"{first} Self-pairs are out here, which attains the bound at {most}; here it is {self.ratio:.4g}."


def label_fit(weighting: Weighting, temperature: float) -> LabelFit | None:
    """How the labels behind Gaussian weights lie beside the sphere on which the entropy bound wants them, if there are.

        needed_radius = 1 / sqrt(t),   t = the largest tau/sigma^2 with 1 1^T - (t / 2) D >= 0,   D_ij = |y_i - y_j|^2

    for 1 1^T - (t/2) D is the Gram matrix of sqrt(t) times the labels about the centre of a sphere of radius 1/sqrt(t).
    None for weights that are neither `y_aware_weights` with the Gaussian kernel (a cyclic label: its points on the
    circle) nor `x_clr_weights` (labels of length 1, sigma^2 = label temperature).

    Raises:
        ProblemError: a bad temperature.

    Cost: two eigendecompositions of size K, the distinct labels.
    Source: the sphere of labels: the paper on the distance geometry of weighted InfoNCE; the radius from the largest
    temperature of `LogGram` is ours, and equals 1/sqrt(2 1^T D^+ 1) of distance geometry (Gower 1985).
    """
    temperature = check_temperature(temperature)
    labels, sigma = weighting.labels, weighting.bandwidth
    if labels is None or sigma is None or weighting.kernel != "gaussian":
        return None
    square = cdist(labels, labels, "sqeuclidean")
    # From weights of bandwidth equal to the size of the labels: no kernel underflows.
    size = float(np.max(square, initial=0.0)) or 1.0

    def largest_ratio(self_pairs: bool) -> float:
        logs, own = -square / (2.0 * size), np.zeros(len(labels))
        alike = Weighting.normalised(weighting.orbits, logs, own, self_pairs, "labels")
        return LogGram.of(alike).largest_temperature / size

    inside = largest_ratio(True)
    needed = 1.0 / math.sqrt(inside) if inside > 0 else math.inf
    allowed = sigma / math.sqrt(temperature)
    without = max(inside, largest_ratio(False))
    return LabelFit(weighting.self_pairs, temperature, sigma, needed, allowed, inside, without)
