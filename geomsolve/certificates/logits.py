"""The certificate of logits: how far they can be from optimal, from (problem, logits) alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import Array
from ..errors import ProblemError
from ..geometry.class_matrices import ClassMatrix
from ..objectives.logits.cross_entropy import CrossEntropy


@dataclass(frozen=True)
class LogitCertificate:
    """What is proved of logits: no classifier, features and bias have a smaller value than value - gap.

    Attributes:
        value: the decayed loss at the logits, with the least decay that any classifier and features have there.
        gap: an upper bound of value - optimum: absolute, in nats.
    """

    value: float
    gap: float

    @property
    def lower_bound(self) -> float:
        """Below the value of every classifier, features and bias."""
        return self.value - self.gap

    @property
    def relative_gap(self) -> float:
        """The gap over the value (the infimum of cross-entropy is 0)."""
        return self.gap / self.value

    def holds(self, tol: float = 1e-9) -> bool:
        """Whether the logits are proved optimal to that relative gap."""
        return bool(self.relative_gap <= tol)


def certify_logits(
    problem: CrossEntropy, logits: ClassMatrix | ArrayLike, bias: ArrayLike | None = None
) -> LogitCertificate:
    """The certificate of logits, whichever solver, training run or guess they come from.

    With Theta = df/dZ at the logits and b, P their softmax, every Z and b have, by Fenchel's inequality in Theta,

        f(Z + b 1^T) >= <Theta, Z + b 1^T> + sum_k n_k/N [ H(P_k) + <iota'_k, P_k - t_k> ],

    iota' all that is added to logits and t the labels, and <Theta, Z> + lambda |Z D^{1/2}|_* >= 0 for all Z iff
    |Theta D^{-1/2}| <= lambda in the spectral norm. Else the columns of Q = c P + (1 - c) t,
    c = lambda / |Theta D^{-1/2}|, are probabilities too and c Theta is feasible. The bias costs at most
    |c Theta 1|^2 / (2 bias_decay). With relu the least of <Theta, W H> + decays over H >= 0 is 0 if lambda^2 I - A,
    A = D^{-1/2} Theta^T Theta D^{-1/2}, is copositive; that holds if it is positive semidefinite after A's negative
    entries are set to 0.

    Args:
        problem: the loss.
        logits: a ClassMatrix on the problem's orbits, or any (C, C) matrix, a column a class; without the bias.
        bias: (C,), or (K,) with a ClassMatrix; None for 0.

    Raises:
        ProblemError: logits or a bias of another shape, or not finite.

    Cost: two singular value decompositions of size K.
    """
    logits, offsets = _checked(problem, logits, bias)
    sizes, decay, shares = problem.orbits.sizes, problem.decay, problem.shares
    found = problem.softmax(logits, offsets)
    gradient = problem.gradient(found)
    value = problem.loss(found) + decay * norm(problem, logits)
    if problem.bias_decay is not None:
        value += problem.bias_decay / 2.0 * float(sizes @ offsets**2)
    # Never claimed below the rounding of the sums.
    rounding = (16.0 + 4.0 * len(sizes)) * np.finfo(float).eps
    shrink = min(1.0, decay / (dual_norm(problem, gradient) * (1.0 + rounding) + 1e-300))
    lower = float((sizes * shares) @ problem.entropies(problem.mixed(found, shrink)))
    if problem.bias_decay is not None:
        lower -= float(sizes @ (shrink * gradient.row_sums) ** 2) / (2.0 * problem.bias_decay)
    return LogitCertificate(value, float(max(value - lower, 0.0) + rounding * value))


def norm(problem: CrossEntropy, logits: ClassMatrix) -> float:
    """The least |W| |H D^{1/2}| of any factors of the logits: |Z D^{1/2}|_*; with relu, that of orthogonal features."""
    sizes = problem.orbits.sizes
    weighted = logits.scaled(columns=problem.root)
    if problem.relu:
        return float(sizes @ column_lengths(weighted))
    singular = np.linalg.svd(weighted.means, compute_uv=False)
    return float((sizes - 1.0) @ np.abs(weighted.scalars) + singular.sum())


def column_lengths(matrix: ClassMatrix) -> Array:
    """(K,) the length of a column of each orbit."""
    return np.sqrt(matrix.own**2 + np.sum(matrix.orbits.partners.T * matrix.between**2, axis=0))


def dual_norm(problem: CrossEntropy, gradient: ClassMatrix) -> float:
    """The least lambda for which the gradient is dual feasible, or a little more."""
    weighted = gradient.scaled(columns=1.0 / problem.root)
    scalars, means = weighted.scalars, weighted.means
    if problem.relu:
        squares = ClassMatrix.of_blocks(problem.orbits, scalars**2, means.T @ means)
        squares = ClassMatrix(squares.orbits, squares.own, np.maximum(squares.between, 0.0))
        return float(np.sqrt(max(squares.scalars.max(), np.linalg.eigvalsh(squares.means)[-1])))
    return float(max(np.abs(scalars).max(), np.linalg.svd(means, compute_uv=False)[0]))


def _checked(
    problem: CrossEntropy, logits: ClassMatrix | ArrayLike, bias: ArrayLike | None
) -> tuple[ClassMatrix, Array]:
    classes, labels = problem.counts.classes, problem.orbits.listed()
    listed = not isinstance(logits, ClassMatrix)
    length = classes if listed else len(problem.orbits.sizes)
    offsets = np.zeros(length) if bias is None else np.asarray(bias, dtype=np.float64)
    if offsets.shape != (length,) or not np.isfinite(offsets).all():
        raise ProblemError(f"bias: must be finite and of shape ({length},); got shape {offsets.shape}")
    if problem.bias_decay is None and offsets.any():
        raise ProblemError("bias: this loss has none (bias_decay=None); got one that is not 0")
    if isinstance(logits, ClassMatrix):
        return logits, offsets
    matrix = np.asarray(logits, dtype=np.float64)
    if matrix.shape != (classes, classes) or not np.isfinite(matrix).all():
        raise ProblemError(f"logits: must be finite and of shape ({classes}, {classes}); got shape {matrix.shape}")
    # The mean over exchanges of classes has no larger value.
    return ClassMatrix.gathered(problem.orbits, matrix), np.bincount(labels, offsets) / problem.orbits.sizes
