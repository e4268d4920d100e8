"""Cross-entropy with weight decay by its Burer-Monteiro factors, kept by orbits: L-BFGS, then Newton steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, minres

from ..arrays import Array, Progress
from ..certificates.logits import certify_logits
from ..geometry.class_matrices import ClassMatrix
from ..objectives.cross_entropy import CrossEntropy, Softmax

# Directions of the inner solver at most, and Newton steps.
_MOST_DIRECTIONS = 400
_MOST_STEPS = 30


@dataclass(frozen=True)
class LogitFactors:
    """Minimises over factors of Z D^{1/2} instead of over Z.

    With Z D^{1/2} = A B^T on the means of orbits and u_a^2/(n_a - 1) on the differences inside orbit a, the nuclear
    norm is the least of (|A|^2 + |B|^2)/2 + sum u_a^2. The problem in A, B, u and the bias is not convex, but with as
    many columns as the optimum's rank (at most K - 1: the gradient's columns sum to 0) it has no other local minimum
    that is stable. L-BFGS comes near; Newton steps, by MINRES because rotations of the columns change nothing, finish.

    Attributes:
        tol: the relative gap to stop at.
        max_steps: of L-BFGS.
    """

    tol: float = 1e-12
    max_steps: int = 2000
    name: str = "factors"

    def run(self, problem: CrossEntropy, *, progress: Progress | None = None) -> tuple[ClassMatrix, Array, int]:
        """The logits, the bias (K,), and the number of steps."""
        factored = _Factored(problem)
        start = factored.start()
        options = {"maxiter": self.max_steps, "maxfun": 2 * self.max_steps, "maxcor": 30, "ftol": 0.0, "gtol": 1e-9}
        scale = 1.0 / max(factored.value(start)[0], 1e-300)

        def descent(x: Array) -> tuple[float, Array]:
            value, slope = factored.value(x)
            return value * scale, slope * scale

        found = minimize(descent, start, jac=True, method="L-BFGS-B", options=options)
        x, steps = found.x, int(found.nit)
        slope = factored.value(x)[1]
        for _ in range(_MOST_STEPS):
            logits, bias = factored.logits(x)
            gap = certify_logits(problem, logits, bias).relative_gap
            if progress is not None:
                progress(f"cross-entropy: {steps} steps, relative gap {gap:.1e}")
            if gap <= self.tol:
                break
            trial = x + factored.newton(x, slope)
            after = factored.value(trial)[1]
            if not np.linalg.norm(after) < 0.9 * np.linalg.norm(slope):
                break
            x, slope, steps = trial, after, steps + 1
        return *factored.logits(x), steps


class _Factored:
    """The problem in one vector: u, A, B, bias."""

    def __init__(self, problem: CrossEntropy) -> None:
        self.problem = problem
        self.sizes, self.root = problem.orbits.sizes, np.sqrt(problem.examples)
        self.spread = np.sqrt(self.sizes - 1.0)
        self.count = len(self.sizes)
        self.others = problem.orbits.partners.T
        self.biased = problem.bias_decay is not None

    def start(self) -> Array:
        """The optimum that ReLU features would have, a little of it where that is nothing."""
        classes = self.problem.counts.classes
        heights = np.maximum(relu_heights(self.problem), 0.3)
        own, other = (1.0 - 1.0 / classes) * heights, -heights / classes
        logits = ClassMatrix(self.problem.orbits, own, np.broadcast_to(other, (self.count,) * 2).copy())
        weighted = logits.scaled(columns=self.root)
        left, values, right = np.linalg.svd(weighted.means)
        rank = max(self.count - 1, 0) if self.count > 1 else 0
        half = np.sqrt(np.maximum(values[:rank], 1e-6 * max(values[0], 1.0)))
        self.rank = rank
        # In an orbit of one class there are no differences.
        inside = np.where(self.spread > 0, np.sqrt(np.abs(weighted.scalars)), 0.0) * self.spread
        parts = [inside, (left[:, :rank] * half).ravel(), (right[:rank].T * half).ravel()]
        return np.concatenate([*parts, np.zeros(self.count if self.biased else 0)])

    def parts(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """The vector taken apart: u, A, B, bias."""
        k, size = self.count, self.count * self.rank
        bias = x[k + 2 * size :] if self.biased else np.zeros(k)
        return x[:k], x[k : k + size].reshape(k, -1), x[k + size : k + 2 * size].reshape(k, -1), bias

    def _logits(self, scalars: Array, means: Array) -> ClassMatrix:
        return ClassMatrix.of_blocks(self.problem.orbits, scalars, means).scaled(columns=1.0 / self.root)

    def _inside(self, u: Array) -> Array:
        return u / np.maximum(self.spread, 1.0) ** 2

    def logits(self, x: Array) -> tuple[ClassMatrix, Array]:
        """Z and the bias."""
        u, left, right, bias = self.parts(x)
        return self._logits(u * self._inside(u), left @ right.T), bias

    def _joined(self, u: Array, left: Array, right: Array, bias: Array) -> Array:
        return np.concatenate([u, left.ravel(), right.ravel(), bias if self.biased else bias[:0]])

    def value(self, x: Array) -> tuple[float, Array]:
        """The value and its gradient."""
        problem, (u, left, right, bias) = self.problem, self.parts(x)
        found = problem.softmax(self._logits(u * self._inside(u), left @ right.T), bias)
        decay, bias_decay = problem.decay, problem.bias_decay or 0.0
        value = problem.loss(found) + decay * float(u @ u + (np.sum(left**2) + np.sum(right**2)) / 2.0)
        value += bias_decay / 2.0 * float(self.sizes @ bias**2)
        gradient = problem.gradient(found)
        blocks = gradient.scaled(columns=1.0 / self.root)
        means = blocks.means
        slope = self._joined(
            2.0 * u * (decay + (self.spread > 0) * blocks.scalars),
            decay * left + means @ right,
            decay * right + means.T @ left,
            self.sizes * (gradient.row_sums + bias_decay * bias),
        )
        return value, slope

    def newton(self, x: Array, slope: Array) -> Array:
        """The Newton step of the gradient, to a tenth of it squared at best."""
        problem, (u, left, right, bias) = self.problem, self.parts(x)
        found = problem.softmax(self._logits(u * self._inside(u), left @ right.T), bias)
        blocks = problem.gradient(found).scaled(columns=1.0 / self.root)
        scalars, means = (self.spread > 0) * blocks.scalars, blocks.means
        decay, bias_decay = problem.decay, problem.bias_decay or 0.0

        def product(direction: Array) -> Array:
            du, dleft, dright, dbias = self.parts(np.ravel(direction))
            moved = self._logits(2.0 * du * self._inside(u), dleft @ right.T + left @ dright.T)
            change = self._change(found, moved, dbias)
            inner = change.scaled(columns=1.0 / self.root)
            turned = inner.means
            return self._joined(
                2.0 * du * (decay + scalars) + 2.0 * u * (self.spread > 0) * inner.scalars,
                decay * dleft + means @ dright + turned @ right,
                decay * dright + means.T @ dleft + turned.T @ left,
                self.sizes * (change.row_sums + bias_decay * dbias),
            )

        operator = LinearOperator((len(x), len(x)), matvec=product, dtype=np.float64)
        step, _ = minres(operator, -slope, rtol=1e-6, maxiter=_MOST_DIRECTIONS)
        return np.asarray(step)

    def _change(self, found: Softmax, moved: ClassMatrix, bias: Array) -> ClassMatrix:
        """The derivative of the gradient along a change of logits and bias."""
        problem = self.problem
        own = problem.scale * (moved.own + bias)
        between = problem.scale[:, None] * (moved.between + bias[:, None]) - own
        mean = np.sum(self.others * found.wrong * between, axis=0)
        wrong = found.wrong * (between - mean)
        missing = np.sum(self.others * wrong, axis=0)
        return problem.gradient(found._replace(wrong=wrong, missing=missing))


def relu_heights(problem: CrossEntropy) -> Array:
    """(K,) m with Z_k = m_k (e_k - 1/C): the optimum for features that are not negative; 0 where a class vanishes.

    m_k = log( (C - 1) [ sqrt(n_k) / (N lambda sqrt((C - 1)/C)) - 1 ] ), or 0 where that is negative
    """
    classes = problem.counts.classes
    reach = np.sqrt(problem.examples) / (problem.counts.total * problem.decay * np.sqrt(1.0 - 1.0 / classes)) - 1.0
    return np.log(np.maximum((classes - 1.0) * reach, 1.0))
