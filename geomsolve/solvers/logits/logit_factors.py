"""Cross-entropy with weight decay by its Burer-Monteiro factors, kept by orbits: L-BFGS, then Newton steps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg

from ...arrays import Array, Progress
from ...certificates.logits import certify_logits
from ...geometry.class_matrices import ClassMatrix
from ...objectives.logits.cross_entropy import CrossEntropy, Softmax

# Directions of the inner solver at most, and Newton steps.
_MOST_DIRECTIONS = 250
_MOST_STEPS = 30
# Steps of L-BFGS at a time, and in all.
_BURST, _MOST_DESCENT_STEPS = 200, 2000
# Distinct counts that are enough to start from.
_COARSE = 48


def minimise_factors(
    problem: CrossEntropy, tol: float, progress: Progress | None = None, merged: int | None = None
) -> tuple[ClassMatrix, Array, int]:
    """The logits Z, the bias (K,), and the number of steps, by descent over factors of Z D^{1/2}.

    With Z D^{1/2} = A B^T on the means of orbits and u_a^2/(n_a - 1) on the differences inside orbit a, the nuclear
    norm is the least of (|A|^2 + |B|^2)/2 + sum u_a^2. The problem in A, B, u and the bias is not convex, but with as
    many columns as the optimum's rank (at most K - 1: the gradient's columns sum to 0) it has no other local minimum
    that is stable. L-BFGS comes near; Newton steps by conjugate gradients finish; to them it does not matter that
    rotations of the columns change nothing. It ends at a relative gap of `tol`. Logits of the orbit `merged` do not
    differ.
    """
    coarse = _coarser(problem)
    if coarse is None:
        # From the logits of ReLU features, a little where they are nothing.
        logits, bias, steps = problem.frame(np.maximum(problem.heights, 0.3)), 0.0 * problem.root, 0
    else:
        logits, bias, steps = minimise_factors(coarse, 1e-6, progress)
        logits, bias = _interpolated(coarse, logits, bias, problem)
    factored, best, idle = _Factored(problem, merged), math.inf, 0
    options = {"maxiter": _BURST, "maxfun": 2 * _BURST, "maxcor": 12, "ftol": 0.0, "gtol": 1e-8}
    while steps < _MOST_DESCENT_STEPS and idle < 3:
        x = factored.proximal(logits, bias)
        descent = minimize(factored.value, x, jac=True, method="L-BFGS-B", options=options)
        x, newton = _newton(factored, descent.x, tol)
        steps += int(descent.nit) + newton
        logits, bias = factored.logits(x)
        gap = certify_logits(problem, logits, bias).relative_gap
        if progress is not None:
            progress(f"cross-entropy: {steps} steps, relative gap {gap:.1e}")
        if gap <= tol:
            break
        best, idle = min(best, gap), idle + 1 if gap > best / 2.0 else 0
    return logits, bias, steps


def _newton(factored: _Factored, x: Array, tol: float) -> tuple[Array, int]:
    """Newton steps for as long as they shorten the gradient, and how many."""
    slope = factored.value(x)[1]
    for steps in range(_MOST_STEPS):
        trial = x + factored.newton(x, slope)
        after = factored.value(trial)[1]
        if not np.linalg.norm(after) < 0.5 * np.linalg.norm(slope):
            return x, steps
        x, slope = trial, after
        if certify_logits(factored.problem, *factored.logits(x)).relative_gap <= tol:
            return x, steps + 1
    return x, _MOST_STEPS


def _coarser(problem: CrossEntropy) -> CrossEntropy | None:
    """The same classes with near counts made equal; None where there are few, or they differ in more than counts."""
    examples = problem.examples
    if len(examples) <= 2 * _COARSE or len(np.unique(examples)) < len(examples) or problem.offsets is not None:
        return None
    logs = np.log(problem.counts.per_class)
    bins = np.minimum((_COARSE * (logs - logs.min()) / np.ptp(logs)).astype(int), _COARSE - 1)
    members = np.bincount(bins, minlength=_COARSE)

    def averaged(values: Array | None) -> Array | None:
        if values is None:
            return None
        return (np.bincount(bins, values, _COARSE) / np.maximum(members, 1))[bins]

    return replace(
        problem,
        counts=averaged(problem.counts.per_class),
        additive=averaged(problem.additive),
        multiplicative=averaged(problem.multiplicative),
        margins=averaged(problem.margins),
    )


def _interpolated(
    coarse: CrossEntropy, logits: ClassMatrix, bias: Array, fine: CrossEntropy
) -> tuple[ClassMatrix, Array]:
    """Logits and bias of other counts, as smooth functions of their logarithms."""
    nodes = np.log(coarse.examples[::-1])
    places = np.clip(np.log(fine.examples), nodes[0], nodes[-1])
    between = logits.between.copy()
    for a in np.flatnonzero(~coarse.orbits.plural):  # it has no entry for two classes of its own
        between[a, a] = between[a, a - 1 if a else 1]

    def at_places(values: Array) -> Array:
        return np.asarray(PchipInterpolator(nodes, values[::-1])(places))

    pairs = np.where(fine.orbits.partners > 0, at_places(at_places(between).T).T, 0.0)
    return ClassMatrix(fine.orbits, at_places(logits.own), pairs), at_places(bias)


class _Factored:
    """The problem in one vector, u, A, B and bias, and in units of its decay."""

    def __init__(self, problem: CrossEntropy, merged: int | None) -> None:
        self.problem, self.sizes, self.root = problem, problem.orbits.sizes, problem.root
        self.spread = np.sqrt(self.sizes - 1.0)
        if merged is not None:
            self.spread[merged] = 0.0
        self.count = len(self.sizes)
        self.others = problem.orbits.partners.T
        self.biased = problem.bias_decay is not None
        self.bias_decay = (problem.bias_decay or 0.0) / problem.decay
        # The bias in units in which its decay curves like that of the factors.
        self.unit = 1.0 / np.sqrt(self.sizes * (1.0 + self.bias_decay))

    def proximal(self, logits: ClassMatrix, bias: Array) -> Array:
        """The factors after a step of proximal gradient descent: columns go where they are not needed, or come."""
        problem = self.problem
        slope = problem.gradient(problem.softmax(logits, bias)).scaled(columns=1.0 / self.root)
        weighted = logits.scaled(columns=self.root)
        # The second derivative of an example's loss is at most delta^2 / 2.
        step = 2.0 / float((problem.shares / problem.root**2).max() * problem.scale.max() ** 2)
        left, values, right = np.linalg.svd(weighted.means - step * slope.means)
        kept = np.maximum(values - step * problem.decay, 0.0)
        self.rank = int(np.sum(kept > 0))
        half = np.sqrt(kept[: self.rank])
        inside = np.maximum(weighted.scalars - step * (slope.scalars + problem.decay), 0.0)
        inside = np.sqrt(inside) * self.spread
        return self._joined(inside, left[:, : self.rank] * half, right[: self.rank].T * half, bias / self.unit)

    def _parts(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """The vector taken apart: u, A, B, bias."""
        k, size = self.count, self.count * self.rank
        bias = x[k + 2 * size :] * self.unit if self.biased else np.zeros(k)
        return x[:k], x[k : k + size].reshape(k, -1), x[k + size : k + 2 * size].reshape(k, -1), bias

    def _joined(self, u: Array, left: Array, right: Array, bias: Array) -> Array:
        return np.concatenate([u, left.ravel(), right.ravel(), bias if self.biased else bias[:0]])

    def _logits(self, scalars: Array, means: Array) -> ClassMatrix:
        scalars = scalars / np.maximum(self.spread, 1.0) ** 2
        return ClassMatrix.of_blocks(self.problem.orbits, scalars, means).scaled(columns=1.0 / self.root)

    def logits(self, x: Array) -> tuple[ClassMatrix, Array]:
        """Z and the bias."""
        u, left, right, bias = self._parts(x)
        return self._logits(u**2, left @ right.T), bias

    def _blocks(self, gradient: ClassMatrix) -> tuple[Array, Array, Array]:
        """A gradient in Z on differences inside orbits, on their means, and summed for the bias, over the decay."""
        weighted = gradient.scaled(columns=1.0 / self.root)
        decay = self.problem.decay
        return weighted.scalars / decay, weighted.means / decay, gradient.row_sums / decay

    def value(self, x: Array) -> tuple[float, Array]:
        """The value and its gradient."""
        problem, (u, left, right, bias) = self.problem, self._parts(x)
        found = problem.softmax(*self.logits(x))
        norms = float(u @ u + (np.sum(left**2) + np.sum(right**2)) / 2.0)
        value = problem.loss(found) / problem.decay + norms + self.bias_decay / 2.0 * float(self.sizes @ bias**2)
        scalars, means, sums = self._blocks(problem.gradient(found))
        slope = self._joined(
            2.0 * u * (1.0 + scalars),
            left + means @ right,
            right + means.T @ left,
            self.sizes * self.unit * (sums + self.bias_decay * bias),
        )
        return value, slope

    def newton(self, x: Array, slope: Array) -> Array:
        """The Newton step towards a gradient of 0, by conjugate gradients."""
        problem, (u, left, right, _) = self.problem, self._parts(x)
        found, pull = problem.softmax(*self.logits(x)), self.sizes * self.unit
        scalars, means, _ = self._blocks(problem.gradient(found))

        def product(direction: Array) -> Array:
            du, dleft, dright, dbias = self._parts(np.ravel(direction))
            moved = self._logits(2.0 * du * u, dleft @ right.T + left @ dright.T)
            inside, turned, sums = self._blocks(self._change(found, moved, dbias))
            return self._joined(
                2.0 * du * (1.0 + scalars) + 2.0 * u * inside,
                dleft + means @ dright + turned @ right,
                dright + means.T @ dleft + turned.T @ left,
                pull * (sums + self.bias_decay * dbias),
            )

        # The diagonal, with the softmax of a column as if its entries were alone.
        curvature = found.wrong * (1.0 - found.wrong)
        np.fill_diagonal(curvature, found.missing * (1.0 - found.missing))
        curvature *= problem.scale[:, None] ** 2 * problem.shares / problem.root**2 / problem.decay
        diagonal = self._joined(
            2.0 + 4.0 * (u / np.maximum(self.spread, 1.0)) ** 2 * np.diag(curvature),
            1.0 + curvature @ right**2,
            1.0 + curvature.T @ left**2,
            pull * self.unit * (self.bias_decay + problem.shares * found.missing / problem.decay),
        )
        shape = (len(x), len(x))
        operator = LinearOperator(shape, matvec=product, dtype=np.float64)
        inverse = LinearOperator(shape, matvec=lambda direction: np.ravel(direction) / diagonal, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # at the last digit there is nothing left to divide by
            step, _ = cg(operator, -slope, rtol=1e-2, maxiter=_MOST_DIRECTIONS, M=inverse)
        return np.nan_to_num(step)

    def _change(self, found: Softmax, moved: ClassMatrix, bias: Array) -> ClassMatrix:
        """The derivative of the gradient along a change of logits and bias."""
        problem = self.problem
        own = problem.scale * (moved.own + bias)
        between = problem.scale[:, None] * (moved.between + bias[:, None]) - own
        mean = np.sum(self.others * found.wrong * between, axis=0)
        wrong = found.wrong * (between - mean)
        missing = np.sum(self.others * wrong, axis=0)
        return problem.weighed(wrong, missing)
