"""Weighted InfoNCE: the loss of samples whose pairs have weights, and how far it stays above the entropy of these."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ...arrays import Array
from ...errors import ProblemError
from ...geometry.orbit_gram import OrbitGram
from ..base import check_temperature
from ..rows.row_softmax import RowSoftmax
from .logweights import divergence_terms
from .weightings import Weighting

# e^{-2/tau} is a number in float64 from 0.0027 on.
_COLDEST = 0.003


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightedSoftmax(RowSoftmax):
    """Row softmax over samples with a weighting."""

    weighting: Weighting = field(repr=False)

    @cached_property
    def _row_floors(self) -> Array:
        """The plain ones: the entropy of the weights can be attained, and no gap may be measured against 0."""
        return self._plain_floors

    def resolved(self, gram: OrbitGram) -> float:
        """The mean divergence, which is the loss less the entropy of the weights: it has digits down to 0."""
        return self.divergence(gram)

    def log_softmax(self, gram: OrbitGram) -> tuple[Array, Array]:
        """(K, K) log p_ij for one partner j in orbit b of a sample in orbit a, and (K,) log p_ii (-inf if out)."""
        with np.errstate(divide="ignore"):
            log_sums = np.log(self.offsets + self._sums(gram))
            own = np.log(self.offsets) - log_sums
        return (gram.cosines - 1.0) / self.temperature - log_sums[:, None], own

    def divergences(self, gram: OrbitGram) -> Array:
        """(K,) KL(w_i || p_i) of one sample of each orbit: the loss above the entropy, with relative accuracy."""
        weighting = self.weighting
        logs, own = self.log_softmax(gram)
        there = weighting.orbits.partners > 0
        terms = weighting.orbits.partners * divergence_terms(np.where(there, weighting.logs, -np.inf), logs)
        return np.asarray(terms.sum(axis=1) + divergence_terms(weighting.own, own), dtype=np.float64)

    def divergence(self, gram: OrbitGram) -> float:
        """Mean KL(w_i || p_i) = loss - mean H(w_i), in nats."""
        return float(self.orbits.sizes @ self.divergences(gram) / self.orbits.atoms)


def WeightedInfoNCE(weighting: Weighting, *, temperature: float) -> WeightedSoftmax:
    """Weighted InfoNCE over N samples, every pair with a weight of its own.

        L = -1/N sum_i sum_j w_ij log p_ij,      p_ij = e^{z_i.z_j/tau} / sum_k e^{z_i.z_k/tau}

    both sums over all samples with self-pairs, over all but i without; rows of w sum to 1. L is mean H(w_i) plus mean
    KL(w_i || p_i), so no geometry goes below the mean entropy; whether one attains it, `realize` decides.

    Args:
        weighting: from `weighting_from_matrix`, `y_aware_weights`, `x_clr_weights` or `soft_supcon_weights`.
        temperature: tau > 0.

    Returns:
        An objective over the N samples, orbits being those of the weighting.

    Raises:
        ProblemError: a bad temperature; without self-pairs, one below 0.003.

    Source: the paper on the distance geometry of weighted InfoNCE; SupCon, y-Aware, Soft SupCon and X-CLR are cases.
    """
    temperature = check_temperature(temperature)
    if not weighting.self_pairs and temperature < _COLDEST:
        raise ProblemError(
            f"temperature: without self-pairs it must be at least {_COLDEST:g}, or denominators underflow; got "
            f"{temperature:g}"
        )
    orbits = weighting.orbits
    count = len(orbits.sizes)
    return WeightedSoftmax(
        orbits=orbits,
        masses=np.full(count, 1.0 / orbits.atoms),
        weights=np.broadcast_to(1.0, (count, count)),
        offsets=np.full(count, 1.0 if weighting.self_pairs else 0.0),
        positives=np.exp(np.where(orbits.partners > 0, weighting.logs, -np.inf)),
        temperature=temperature,
        name=f"weighted InfoNCE, {weighting.name}, {weighting.convention}",
        weighting=weighting,
    )
