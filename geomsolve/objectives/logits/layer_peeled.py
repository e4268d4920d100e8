"""The Layer-Peeled Model: cross-entropy over features and classifier of bounded energy."""

import math
from dataclasses import dataclass
from typing import Any

from ...counts.counts import as_counts
from ..base import check_number
from .cross_entropy import CrossEntropy


@dataclass(frozen=True, eq=False)
class LayerPeeled:
    """The Layer-Peeled Model: features and classifier are free vectors of bounded mean energy.

        minimise  sum_k n_k/N CE_k(W h_k)   over   sum_k |h_k|^2 <= C E_H,  sum_c |w_c|^2 <= C E_W

    It is convex in the logits Z = W H, whose nuclear norm may be C sqrt(E_H E_W).

    Args:
        counts: examples per class, or proportions.
        feature_energy: E_H > 0.
        classifier_energy: E_W > 0.

    Raises:
        ProblemError: an energy that is not above 0.

    Source: Fang, He, Long, Su, *Exploring deep neural networks via layer-peeled model: minority collapse in imbalanced
    training*, PNAS 2021 (arXiv 2101.12699).
    """

    counts: Any
    feature_energy: float
    classifier_energy: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", as_counts(self.counts))
        for name in ("feature_energy", "classifier_energy"):
            check_number(name, getattr(self, name), 1e-12, 1e12)

    @property
    def radius(self) -> float:
        """The nuclear norm that the logits may have."""
        return self.counts.classes * math.sqrt(self.feature_energy * self.classifier_energy)

    def decayed(self, multiplier: float) -> CrossEntropy:
        """The problem in which a multiplier, weight decay, stands for the two bounds."""
        tilt = math.sqrt(self.classifier_energy / self.feature_energy)
        return CrossEntropy(
            self.counts,
            feature_decay=multiplier * tilt,
            classifier_decay=multiplier / tilt,
            per_class=True,
            name="Layer-Peeled Model",
        )
