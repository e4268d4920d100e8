"""Lower bounds of smallest eigenvalues by one factorisation or none, for the two matrices a certificate is about."""

import numpy as np

from ..arrays import Array


def smallest_alone(matrix: Array, vector: Array) -> float | None:
    """The smallest eigenvalue where it is the only one near zero and `vector` belongs to it; None elsewhere.

    As sharp as an eigenvalue decomposition, and a lower bound whatever the vector. With v its unit vector,
    theta = v.M v and rho = |M v - theta v|: if M + a v v^T - 2s I has a Cholesky factor, at most one eigenvalue of M is
    below s (interlacing; the other s is far more than the factor's rounding), and that one is at least
    theta - rho^2 / (s - theta) (Kato and Temple).
    """
    scale = float(np.trace(matrix)) / len(matrix)
    shift = 1e-6 * scale
    vector = vector / np.linalg.norm(vector)
    image = matrix @ vector
    value = float(vector @ image)
    residual = image - value * vector
    if not value < shift / 2.0:
        return None
    below = float(residual @ residual) / (shift - value)
    if not below <= 1e-16 * scale:
        return None
    shifted = (scale * vector)[:, None] * vector
    shifted += matrix
    shifted[np.diag_indices_from(shifted)] -= 2.0 * shift
    try:
        # numpy's: scipy brings a BLAS of its own, and the two wait for each other's threads.
        np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return None
    return value - below


def near_rank_one(matrix: Array) -> float:
    """A lower bound of the smallest eigenvalue, sharp where the matrix is nearly f f^T.

    f f^T only adds to eigenvalues, so those of the remainder are a bound: its least diagonal entry, less the Frobenius
    norm of what is off its diagonal.
    """
    factor = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    image = matrix @ factor
    power = float(factor @ image)
    if not power > 0:
        return -np.inf
    factor = image / np.sqrt(power)
    rest = factor[:, None] * factor
    np.subtract(matrix, rest, out=rest)
    least = float(np.diag(rest).min())
    np.fill_diagonal(rest, 0.0)
    return least - float(np.linalg.norm(rest))
