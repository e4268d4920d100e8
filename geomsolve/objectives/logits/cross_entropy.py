"""Cross-entropy over unconstrained features with weight decay: a convex function of the logits."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import Array
from ...counts.counts import Counts, as_counts
from ...errors import ProblemError
from ...geometry.class_matrices import ClassMatrix
from ...geometry.orbit_gram import Orbits
from ..base import check_array, check_number
from ..descriptions import KindsOfAtoms
from ..sampling import ClassTable


class Softmax(NamedTuple):
    """The softmax of every class's logits, by orbits."""

    losses: Array  # (K,) the cross-entropy of an example of each orbit
    wrong: Array  # (K, K) the probability that an example of a class in orbit b is given to one other class of orbit a
    missing: Array  # (K,) one minus the probability of the own class


@dataclass(frozen=True, eq=False)
class CrossEntropy:
    """Cross-entropy with unconstrained features: the last layer and its input, both free and both decayed.

        minimise  (1/N) sum_k n_k CE_k(W h_k + b) + classifier_decay/2 |W|^2 + feature_decay/2 sum_k n_k |h_k|^2
                  [ + bias_decay/2 |b|^2 ]

        CE_k(z) = log sum_c e^{x_c} - sum_c t_ck x_c,   x_c = delta_c z_c + iota_c + kappa_ck - mu_k [c = k]

    over W (C x d), one feature h_k for all n_k examples of class k (at the optimum they coincide) and the bias b, for
    d >= C. With Z = W H, D = Diag(n) and lambda = sqrt(feature_decay * classifier_decay) this is the convex problem

        minimise  f(Z + b 1^T) + lambda |Z D^{1/2}|_*  [ + bias_decay/2 |b|^2 ]

    in the logits Z (C x C, a column a class), |.|_* the nuclear norm. `solve` gives its optimum with a certificate.

    Args:
        counts: examples per class (numbers, not proportions: the decay of features is counted by examples).
        feature_decay: lambda_H > 0, the weight decay of one example's features.
        classifier_decay: lambda_W > 0, of the classifier.
        bias_decay: lambda_b > 0; None: no bias.
        relu: features that are not negative.
        additive: (C,) iota, added to the logits; log of the class shares is logit adjustment.
        multiplicative: (C,) delta > 0, which multiplies the logits; with `additive` the vector-scaling loss.
        margins: (C,) mu, subtracted from the logit of the own class, as LDAM does.
        offsets: (C, C) kappa, added to logit c of the examples of class k, see `design_logits`; no two classes are
            exchangeable then.
        smoothing: epsilon in [0, 1) of label smoothing: t_ck = (1 - epsilon) [c = k] + epsilon / C.
        per_class: the decay of features is feature_decay/2 sum_k |h_k|^2, once a class: D = I, and proportions do.

    Raises:
        ProblemError: proportions, a decay that is not above 0, arrays of another length, or any other option than
            these together with relu, whose optimum is known without them only.

    The focal loss -(1 - p)^gamma log p is no case of it: for every gamma > 0 it is concave in the logit of an example
    that is wrong enough, and no certificate of this kind exists.

    Source: Thrampoulidis et al. 2022 (arXiv 2208.05512) for the model, Kini et al. for vector scaling, Dang et al. 2023
    for ReLU; convex form, orbits and certificate are ours, see the theory page.
    """

    counts: Any
    feature_decay: float = field(kw_only=True)
    classifier_decay: float = field(kw_only=True)
    bias_decay: float | None = field(default=None, kw_only=True)
    relu: bool = field(default=False, kw_only=True)
    additive: Any = field(default=None, kw_only=True)
    multiplicative: Any = field(default=None, kw_only=True)
    margins: Any = field(default=None, kw_only=True)
    offsets: Any = field(default=None, kw_only=True)
    smoothing: float = field(default=0.0, kw_only=True)
    per_class: bool = field(default=False, kw_only=True)
    name: str = field(default="cross-entropy", kw_only=True)

    def __post_init__(self) -> None:
        counts = as_counts(self.counts)
        if counts.are_proportions and not self.per_class:
            raise ProblemError("counts: must be numbers of examples, by which decay is counted; got proportions")
        object.__setattr__(self, "counts", counts)
        if [self.feature_decay, self.classifier_decay] == [0, 0]:
            raise ProblemError(
                "feature_decay, classifier_decay: must be above 0; without decay norms grow for ever (the limit of "
                "their directions is geomsolve.max_margin)"
            )
        for name in ("feature_decay", "classifier_decay", *(["bias_decay"] if self.bias_decay is not None else [])):
            object.__setattr__(self, name, check_number(name, getattr(self, name), 1e-30, 1e30))
        for name in ("additive", "multiplicative", "margins", "offsets"):
            if getattr(self, name) is not None:
                shape = (counts.classes,) * (2 if name == "offsets" else 1)
                above = 0.0 if name == "multiplicative" else -math.inf
                object.__setattr__(self, name, check_array(name, getattr(self, name), shape, above))
        if check_number("smoothing", self.smoothing) >= 1.0:
            raise ProblemError(f"smoothing: must be below 1; got {self.smoothing:g} (0.1 is usual)")
        if self.relu:
            self._refuse("with relu the optimum is known without it only; leave it out, or relu")

    def _refuse(self, reason: str) -> None:
        for name in ("bias_decay", "additive", "multiplicative", "margins", "offsets"):
            if getattr(self, name) is not None:
                raise ProblemError(f"{name}: {reason}")
        if self.smoothing:
            raise ProblemError(f"smoothing: {reason}")

    # As objectives have them: norms are free, and the loss is above 0.
    temperature: ClassVar[float] = 1.0
    floor: ClassVar[float] = 0.0

    def check(self) -> None:
        """Nothing: all was looked at when it was built."""

    @property
    def description(self) -> KindsOfAtoms:
        """A feature and a classifier a class."""
        return KindsOfAtoms(self.counts, ("feature", "classifier"), (0, 0))

    @cached_property
    def orbits(self) -> Orbits:
        """Which classes are exchangeable: those of equal count, delta, iota and mu; the largest counts first."""
        apart = None if self.offsets is None else np.arange(float(self.counts.classes))
        return ClassTable.of(self.counts, self.multiplicative, self.additive, self.margins, apart).orbits

    def _by_orbit(self, values: Array | None, default: float) -> Array:
        found = np.full(len(self.orbits.sizes), default)
        if values is not None:
            found[self.orbits.listed()] = values
        return found

    @cached_property
    def examples(self) -> Array:
        """(K,) n, the examples of a class of each orbit."""
        return self._by_orbit(self.counts.per_class, 0.0)

    @cached_property
    def root(self) -> Array:
        """(K,) the diagonal of D^{1/2}, by which the decay of features is weighed: sqrt(n), or 1."""
        return np.ones_like(self.examples) if self.per_class else np.sqrt(self.examples)

    @cached_property
    def scale(self) -> Array:
        """(K,) delta."""
        return self._by_orbit(self.multiplicative, 1.0)

    @cached_property
    def offset(self) -> ClassMatrix:
        """Iota + kappa - mu, what is added to logit c of the examples of class k."""
        rows = self._by_orbit(self.additive, 0.0)
        own, between = rows - self._by_orbit(self.margins, 0.0), np.repeat(rows[:, None], len(rows), axis=1)
        if self.offsets is not None:
            extra = ClassMatrix.gathered(self.orbits, self.offsets)
            own, between = own + extra.own, between + extra.between
        return ClassMatrix(self.orbits, own, between)

    @property
    def shares(self) -> Array:
        """(K,) n / N."""
        return self.examples / self.counts.total

    @property
    def decay(self) -> float:
        """Lambda, the weight of the nuclear norm."""
        return math.sqrt(self.feature_decay * self.classifier_decay)

    @property
    def vanishing_decays(self) -> Array:
        """(C,) the lambda from which each class vanishes under ReLU features: sqrt(n (C - 1)/C) / N.

        Raises:
            ProblemError: features that may be negative, for which this has no closed form.
        """
        if not self.relu:
            raise ProblemError("relu: the decay at which a class vanishes is known for ReLU features; write relu=True")
        reach = self.shares / self.root * math.sqrt(1.0 - 1.0 / self.counts.classes)
        return reach[self.orbits.listed()]

    def softmax(self, logits: ClassMatrix, bias: Array) -> Softmax:
        """The softmax of logits and bias, (K,) by orbits."""
        own = self.scale * (logits.own + bias) + self.offset.own
        others = self.orbits.partners.T
        gaps = self.scale[:, None] * (logits.between + bias[:, None]) + self.offset.between - own
        top = np.maximum(np.where(others > 0, gaps, -np.inf).max(axis=0), 0.0)
        powers = others * np.exp(np.where(others > 0, gaps - top, -np.inf))
        wrongs = powers.sum(axis=0)
        right = np.exp(-top)
        total = wrongs + right
        losses = np.where(top > 0, top + np.log(total), np.log1p(wrongs))
        losses = losses - self.smoothing / self.counts.classes * np.sum(others * gaps, axis=0)
        return Softmax(losses, powers / np.maximum(others, 1.0) / total, wrongs / total)

    def loss(self, found: Softmax) -> float:
        """F, the mean cross-entropy of all examples."""
        return float((self.orbits.sizes * self.shares) @ found.losses)

    def gradient(self, found: Softmax) -> ClassMatrix:
        """Theta = df/dZ, an entry a pair of classes."""
        wrong, missing = self._target
        return self.weighed(found.wrong - wrong, found.missing - missing)

    def weighed(self, wrong: Array, missing: Array) -> ClassMatrix:
        """The gradient for what the softmax has too much of other classes, and lacks of the own."""
        return ClassMatrix(self.orbits, -self.shares * self.scale * missing, self.shares * self.scale[:, None] * wrong)

    @property
    def _target(self) -> tuple[float, float]:
        """What the labels give to each other class, and to all of them."""
        share = self.smoothing / self.counts.classes
        return share, share * (self.counts.classes - 1)

    def mixed(self, found: Softmax, share: float) -> Softmax:
        """The softmax with weight `share`, and the labels with the rest: the gradient is `share` as large."""
        wrong, missing = self._target
        rest = 1.0 - share
        return found._replace(wrong=share * found.wrong + rest * wrong, missing=share * found.missing + rest * missing)

    def entropies(self, found: Softmax) -> Array:
        """(K,) what the dual bound says of an example: H(q) + sum_c offset_c (q_c - t_c)."""
        others, right = self.orbits.partners.T, 1.0 - found.missing
        wrong = found.wrong
        entropy = -np.sum(others * wrong * np.log(np.where(wrong > 0, wrong, 1.0)), axis=0)
        few = np.minimum(found.missing, 0.5)
        entropy -= right * np.where(right > 0.5, np.log1p(-few), np.log(np.maximum(right, 1e-300)))
        to_other, to_others = self._target
        shifted = np.sum(others * (wrong - to_other) * self.offset.between, axis=0)
        return entropy + shifted - self.offset.own * (found.missing - to_others)

    @cached_property
    def closed_form(self) -> ClassMatrix | None:
        """The optimal logits, where a formula gives them: with ReLU features m_k (e_k - 1/C), else None."""
        return self.frame(self.heights) if self.relu else None

    def frame(self, heights: Array) -> ClassMatrix:
        """Logits m_k (e_k - 1/C)."""
        classes = self.counts.classes
        other = np.broadcast_to(-heights / classes, (len(heights),) * 2).copy()
        return ClassMatrix(self.orbits, heights * (1.0 - 1.0 / classes), other)

    @property
    def heights(self) -> Array:
        """(K,) m of the optimum for features that are not negative; 0 where a class vanishes.

        m_k = log( (C - 1) [ sqrt(n_k) / (N lambda sqrt((C - 1)/C)) - 1 ] ), or 0 where that is negative
        """
        classes = self.counts.classes
        reach = self.shares / (self.root * self.decay * np.sqrt(1.0 - 1.0 / classes)) - 1.0
        return np.log(np.maximum((classes - 1.0) * reach, 1.0))


def logit_adjusted(counts: Counts | ArrayLike, *, strength: float = 1.0, **options: Any) -> CrossEntropy:
    """Cross-entropy with logit adjustment: additive = strength * log(class shares). Options as in `CrossEntropy`.

    Source: Menon et al. 2021, *Long-tail learning via logit adjustment*.
    """
    counts = as_counts(counts)
    additive = strength * np.log(counts.per_class / counts.total)
    return CrossEntropy(counts, additive=additive, name="logit-adjusted cross-entropy", **options)


def ldam(counts: Counts | ArrayLike, *, largest_margin: float = 0.5, **options: Any) -> CrossEntropy:
    """Cross-entropy with LDAM's margins: proportional to n^(-1/4), the largest that of the rarest class.

    Source: Cao et al. 2019, *Learning imbalanced datasets with label-distribution-aware margin loss*.
    """
    counts = as_counts(counts)
    rare = (counts.per_class / counts.distinct[-1]) ** -0.25
    return CrossEntropy(counts, margins=largest_margin * rare, name="LDAM cross-entropy", **options)


def vector_scaling(
    counts: Counts | ArrayLike, *, gamma: float = 0.2, strength: float = 1.0, **options: Any
) -> CrossEntropy:
    """The vector-scaling loss: additive = strength * log(shares), multiplicative = (n / largest)^gamma.

    Source: Kini et al. 2021, *Label-imbalanced and group-sensitive classification under overparameterization*.
    """
    counts = as_counts(counts)
    additive = strength * np.log(counts.per_class / counts.total)
    multiplicative = (counts.per_class / counts.distinct[0]) ** gamma
    name = "vector-scaling loss"
    return CrossEntropy(counts, additive=additive, multiplicative=multiplicative, name=name, **options)
