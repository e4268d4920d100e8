"""A local minimum over unit vectors to the last digit, and the smallest curvature there."""

import math
from collections.abc import Callable

import numpy as np
from scipy.linalg import LinAlgError
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, cg, eigsh

from ...arrays import Array
from ...geometry.unit_rows import tangent, unit
from .point_losses import PointLoss

# Steps of Newton's method, and coordinates up to which all of a Hessian is cheaper than Lanczos.
_NEWTON_STEPS, _DENSE = 20, 600
# Half the width of a central difference of gradients, on the unit sphere.
_STEP = 3e-6


def balance(loss: PointLoss, points: Array) -> tuple[float, Array, Array]:
    """The largest share of unbalanced force, (m, d) the net forces, and (m, 1) all forces on every point."""
    force = tangent(points, np.asarray(loss.slope(points)[1]))
    pulls = np.asarray(loss.pulls(points))[:, None]
    pulls = np.maximum(pulls, 1e-12 * (pulls.max() or 1.0))
    return float(np.max(np.linalg.norm(force, axis=1) / pulls[:, 0])), force, pulls


def newton(loss: PointLoss, points: Array, tol: float, check: Callable[[], None]) -> Array:
    """The points after Newton steps by conjugate gradients, as long as forces come closer to balance and nothing rises.

    `check` is called before each product with the Hessian.
    """
    residual, force, pulls = balance(loss, points)
    value = loss.slope(points)[0]
    for _ in range(_NEWTON_STEPS):
        if residual <= tol:
            break
        root, apply = np.sqrt(pulls), _hessian(loss, points, pulls, check)
        step, _ = cg(_operator(apply, points.shape), -(force / root).ravel(), rtol=min(0.1, residual**0.5), maxiter=500)
        trial = unit(points + tangent(points, step.reshape(points.shape)) / root)
        there, after = balance(loss, trial), loss.slope(trial)[0]
        if not (there[0] < 0.5 * residual and after <= value + 1e-9 * abs(value)):
            break
        points, value, (residual, force, pulls) = trial, after, there
    return points


def smallest_curvature(loss: PointLoss, points: Array, check: Callable[[], None]) -> tuple[float | None, Array]:
    """The smallest eigenvalue of the scaled Hessian, rotations apart, and its direction; None if not found.

    With H the Riemannian Hessian and f_i the sum of all forces on point i, that of F^{-1/2} H F^{-1/2}, F = diag(f_i),
    from differences of gradients: of all of it where it is small, by Lanczos otherwise.
    """
    pulls = balance(loss, points)[2]
    root, apply = np.sqrt(pulls), _hessian(loss, points, pulls, check)
    scaled = root * points
    values, axes = np.linalg.eigh(scaled.T @ scaled)
    pairs = values[:, None] + values
    inverse = np.where(pairs > 1e-10 * values[-1], 1.0 / np.where(pairs > 0, pairs, 1.0), 0.0)

    def turned(vectors: Array) -> Array:
        """The part of tangent vectors that is a rotation of all points: the nearest scaled @ A, A = -A^T."""
        product = axes.T @ (scaled.T @ vectors) @ axes
        return scaled @ (axes @ (inverse * (product - product.T)) @ axes.T)

    def shifted(vectors: Array) -> Array:
        radial = vectors - tangent(points, vectors)
        # One more than the Hessian, so that ARPACK's relative tolerance is not one to 0.
        return apply(vectors) + vectors + 10.0 * (radial + turned(vectors))

    size = points.size
    try:
        if size <= _DENSE:
            matrix = np.stack([shifted(one.reshape(points.shape)).ravel() for one in np.eye(size)])
            values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
        else:
            options = {"tol": 1e-6, "maxiter": 30 * size, "v0": np.random.default_rng(0).standard_normal(size)}
            values, vectors = eigsh(_operator(shifted, points.shape), k=1, which="SA", ncv=40, **options)
    except ArpackNoConvergence as error:
        values, vectors = error.eigenvalues, error.eigenvectors
    except (ArpackError, LinAlgError):
        return None, points
    return (float(values[0]) - 1.0, vectors[:, 0].reshape(points.shape) / root) if len(values) else (None, points)


def _hessian(loss: PointLoss, points: Array, pulls: Array, check: Callable[[], None]) -> Callable[[Array], Array]:
    """F^{-1/2} H F^{-1/2} on tangent vectors, by central differences of the derivative on normalised rows."""
    root = np.sqrt(pulls)

    def derivative(x: Array) -> Array:
        lengths = np.linalg.norm(x, axis=1, keepdims=True)
        return tangent(x / lengths, np.asarray(loss.slope(x / lengths)[1])) / lengths

    def apply(vectors: Array) -> Array:
        check()
        move = tangent(points, vectors) / root
        size = np.linalg.norm(move, axis=1).max()
        if size == 0.0:
            return np.zeros_like(move)
        step = _STEP / size
        bent = (derivative(points + step * move) - derivative(points - step * move)) / (2.0 * step)
        return tangent(points, bent) / root

    return apply


def _operator(apply: Callable[[Array], Array], shape: tuple[int, ...]) -> LinearOperator:
    size = math.prod(shape)
    return LinearOperator((size, size), matvec=lambda flat: apply(flat.reshape(shape)).ravel(), dtype=np.float64)
