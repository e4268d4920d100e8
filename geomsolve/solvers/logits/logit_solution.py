"""What `solve` returns for cross-entropy: logits, and the features and classifier behind them."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from ...arrays import Array, Progress
from ...certificates.certificate import check_tol
from ...certificates.logits import LogitCertificate, certify_logits, column_lengths
from ...counts.counts import Counts
from ...errors import NotCertified, ProblemError
from ...geometry.class_matrices import ClassMatrix
from ...geometry.orbit_gram import OrbitGram
from ...objectives.logits.cross_entropy import CrossEntropy
from ...results import Result
from ...text import attributes, entry, whole
from ..solution import Quality
from .logit_factors import minimise_factors

# Logits of a class that are all below this are nothing, and two features with a cosine so near 1 are one.
_NOTHING = 1e-7


@dataclass(frozen=True, eq=False, repr=False)
class LogitFactorization(Result):
    """Logits and the factors W H of them that weight decay likes best, by orbits of exchangeable classes.

    Attributes:
        named: the problem in words.
        orbit_logits: Z = W H, without the bias.
        orbit_features: H^T H, one feature a class.
        orbit_classifier: W W^T.
        certificate: what is proved of the value, from the problem and the logits (and bias) alone.
        tol: the relative gap asked for.
    """

    named: str
    orbit_logits: ClassMatrix
    orbit_features: ClassMatrix
    orbit_classifier: ClassMatrix
    certificate: LogitCertificate
    tol: float

    @property
    def quality(self) -> Quality:
        """CERTIFIED or UNCERTIFIED, by the certificate at the tolerance asked for."""
        return Quality.CERTIFIED if self.ok else Quality.UNCERTIFIED

    def checked(self, throw: bool) -> Self:
        """The answer itself, or NotCertified where it is not proved and `throw` is True."""
        if throw and not self.ok:
            text = f"not certified at tol={self.tol:g}: relative gap {self.certificate.relative_gap:.2g}"
            raise NotCertified(f"{text}; pass throw=False for the uncertified answer", self)
        return self

    @property
    def value(self) -> float:
        """What is minimised, in nats: the loss with its decay; of `max_margin`, the norm."""
        return self.certificate.value

    @property
    def ok(self) -> bool:
        """Whether the logits are proved optimal to the tolerance asked for."""
        return self.certificate.holds(self.tol)

    @property
    def summary(self) -> str:
        """The answer in a sentence."""
        proved, gone = self.certificate, f", {len(self.vanished)} vanished" if self.vanished else ""
        return (
            f"{self.quality.value} solution of {self.named}: value {proved.value:.12g}, gap "
            f"{proved.gap:.1e}, {self.orbit_logits.orbits.atoms:g} classes{gone}, rank {self.rank}"
        )

    def lines(self) -> list[str]:
        """The answer on a page."""
        proved, counts = self.certificate, self.orbit_logits.orbits
        rows = [
            ("value", f"{proved.value:.12g}"),
            ("lower bound", f"{proved.lower_bound:.12g} for every classifier and features"),
            ("gap", f"{proved.gap:.1e} ({proved.relative_gap:.1e} of the value)"),
            ("own logits", _span(self.orbit_logits.own)),
            ("feature norms", _span(_norms(self.orbit_features))),
            ("classifier norms", _span(_norms(self.orbit_classifier))),
            ("rank", f"{self.rank} for {counts.atoms:g} classes"),
            ("vanished", f"{len(self.vanished)} classes" if self.vanished else "none: every class has features"),
            ("merged", f"{len(self.merged)} groups" if self.merged else "none: no two classes have one direction"),
        ]
        state = "CERTIFIED: proved optimal" if self.ok else "NOT CERTIFIED: the best answer found"
        return [self.named, "", state, *(entry(*row) for row in rows)]

    def to_dict(self) -> dict[str, Any]:
        """The answer as a dictionary; orbits are those of exchangeable classes, largest counts first."""
        proved = self.certificate
        norms = _norms(self.orbit_features), _norms(self.orbit_classifier)
        columns = self.orbit_logits.orbits.sizes, self.orbit_logits.own, *norms
        names = ("size", "logit", "feature_norm", "classifier_norm")
        orbits = [dict(zip(names, map(whole, row), strict=True)) for row in np.array(columns).T.tolist()]
        return {
            **attributes(proved, "value", "lower_bound", "gap", "relative_gap"),
            "quality": self.quality.value,
            "classes": whole(self.orbit_logits.orbits.atoms),
            **attributes(self, "rank", "vanished", "merged"),
            "orbits": orbits,
        }

    @property
    def logits(self) -> Array:
        """(C, C) Z, a column a class in the caller's order: the logits of its examples, without the bias."""
        return self.orbit_logits.expand()

    @property
    def features(self) -> Array:
        """(C, C) the Gram matrix H^T H of the features."""
        return self.orbit_features.expand()

    @property
    def classifier(self) -> Array:
        """(C, C) the Gram matrix W W^T of the classifier."""
        return self.orbit_classifier.expand()

    @property
    def feature_norms(self) -> Array:
        """(C,) |h_k|; 0 for a class that vanishes."""
        return _norms(self.orbit_features)[self.orbit_features.orbits.listed()]

    @property
    def classifier_norms(self) -> Array:
        """(C,) |w_c|."""
        return _norms(self.orbit_classifier)[self.orbit_classifier.orbits.listed()]

    @property
    def feature_cosines(self) -> Array:
        """(C, C) the cosines of the features; NaN where one vanishes."""
        return _cosines(self.orbit_features).expand()

    @property
    def classifier_cosines(self) -> Array:
        """(C, C) the cosines of the classifier's rows; NaN where one vanishes."""
        return _cosines(self.orbit_classifier).expand()

    @cached_property
    def vanished(self) -> list[int]:
        """The classes whose features are 0: their examples are given to the others."""
        gone = column_lengths(self.orbit_logits) <= _NOTHING
        return np.flatnonzero(gone[self.orbit_logits.orbits.listed()]).tolist()

    @cached_property
    def merged(self) -> list[list[int]]:
        """Groups of classes whose features have one direction."""
        cosines, orbits = _cosines(self.orbit_features), self.orbit_features.orbits
        near = cosines.between >= 1.0 - _NOTHING
        alone = ~np.diag(near) & orbits.plural  # classes of one count that are apart
        first = np.argmax(near | np.eye(len(near), dtype=bool), axis=1)[orbits.listed()]
        groups = [np.flatnonzero(first == a) for a in np.unique(first) if not alone[a]]
        return [group.tolist() for group in groups if len(group) > 1]

    @cached_property
    def rank(self) -> int:
        """The dimension that features and classifier need."""
        logits = self.orbit_logits
        means = np.linalg.svd(logits.means, compute_uv=False)
        values = np.append(np.abs(logits.scalars), means)
        times = np.append(logits.orbits.sizes - 1.0, np.ones(len(means)))
        return round(float(times[values > _NOTHING * values.max()].sum()))


def _norms(gram: ClassMatrix) -> Array:
    return np.sqrt(np.maximum(gram.own, 0.0))


def _span(values: Array) -> str:
    return f"{values[0]:.6g} (largest count) to {values[-1]:.6g} (smallest)"


def _cosines(gram: ClassMatrix) -> ClassMatrix:
    norms = np.sqrt(np.where(gram.own > _NOTHING**2 * gram.own.max(), gram.own, np.nan))
    return gram.scaled(1.0 / norms, 1.0 / norms)


def balanced_factors(problem: CrossEntropy, logits: ClassMatrix) -> tuple[ClassMatrix, ClassMatrix, ClassMatrix]:
    """Z, H^T H and W W^T of the factors of least decay.

    With Z D^{1/2} = U S V^T, W W^T is a multiple of U S U^T and H^T H one of D^{-1/2} V S V^T D^{-1/2}. With ReLU
    features these are orthogonal, and column k of Z is w_k |h_k|.
    """
    orbits, root = problem.orbits, problem.root
    ratio = math.sqrt(problem.feature_decay / problem.classifier_decay)
    weighted = logits.scaled(columns=root)
    if problem.relu:
        lengths = column_lengths(logits)
        squares = lengths / (ratio * root)
        part = logits.scaled(columns=1.0 / np.sqrt(np.maximum(squares, 1e-300)))
        classifier = ClassMatrix.of_blocks(orbits, part.scalars**2, part.means @ part.means.T)
        return logits, ClassMatrix(orbits, squares, np.zeros_like(logits.between)), classifier
    left, values, right = np.linalg.svd(weighted.means)
    inside = np.abs(weighted.scalars)
    classifier = ClassMatrix.of_blocks(orbits, ratio * inside, ratio * (left * values) @ left.T)
    features = ClassMatrix.of_blocks(orbits, inside / ratio, (right.T * values) @ right / ratio)
    return logits, features.scaled(1.0 / root, 1.0 / root), classifier


@dataclass(frozen=True, eq=False, repr=False)
class LogitSolution(LogitFactorization):
    """The optimum of cross-entropy with weight decay, and what is proved of it.

    Attributes:
        objective: the problem.
        orbit_bias: (K,) the bias of a class of each orbit.
        solver: "factors", or "closed form" for ReLU features and squared error.
        steps: iterations.
    """

    objective: CrossEntropy
    orbit_bias: Array
    solver: str
    steps: int

    @property
    def counts(self) -> Counts:
        """Examples per class."""
        return self.objective.counts

    def directions(self, part: str = "feature") -> OrbitGram:
        """The cosines of features, or of the rows of the classifier, as the Gram matrix of class targets.

        Raises:
            ProblemError: a class that vanishes at the optimum, and has no direction.
        """
        found = _cosines(self.orbit_features if part == "feature" else self.orbit_classifier)
        lost = np.flatnonzero(np.isnan(found.own)[found.orbits.listed()])
        if lost.size:
            raise ProblemError(
                f"source: the {part} of class {lost[0]} is 0 at the optimum of {self.named}, so it has no direction; "
                "take less decay"
            )
        cosines = np.clip((found.between + found.between.T) / 2.0, -1.0, 1.0)
        np.fill_diagonal(cosines, np.where(found.orbits.plural, np.diag(cosines), 1.0))
        return OrbitGram(found.orbits, cosines)

    @property
    def bias(self) -> Array | None:
        """(C,) the bias; None where the loss has none."""
        return None if self.objective.bias_decay is None else self.orbit_bias[self.objective.orbits.listed()]


def solve_logits(
    problem: CrossEntropy, *, tol: float = 1e-9, throw: bool = True, progress: Progress | None = None
) -> LogitSolution:
    """The optimal logits, features and classifier of cross-entropy with weight decay: what `solve` gives of it.

    Raises:
        NotCertified: the relative gap is above tol, and throw is True.

    Cost: O(K^3) a step for K distinct counts, tens of steps.
    """
    bias, steps, solver = np.zeros(len(problem.orbits.sizes)), 0, "closed form"
    logits = problem.closed_form
    if logits is None:
        solver = "factors"
        logits, bias, steps = minimise_factors(problem, check_tol(tol) / 10.0, progress)
    certificate = certify_logits(problem, logits, bias)
    return LogitSolution(
        f"{problem.name}, {problem.counts.name}",
        *balanced_factors(problem, logits),
        objective=problem,
        orbit_bias=bias,
        certificate=certificate,
        tol=check_tol(tol),
        solver=solver,
        steps=steps,
    ).checked(throw)
