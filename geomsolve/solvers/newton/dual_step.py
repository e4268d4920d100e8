"""One step of Newton's method on the dual factor, and the linear system it takes."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, bicgstab

from ...arrays import Array
from ...geometry.orbit_gram import OrbitGram
from ...objectives.base import Objective
from ...objectives.count_laws import NOTHING

# Up to this many orbits one dense solve is cheaper than an iteration, which is of at most so many products.
DENSE, _PRODUCTS = 64, 60


def dual_step(
    objective: Objective, gram: OrbitGram, held: NDArray[np.bool_], log_u: Array, tol: float
) -> tuple[Array, Array] | None:
    """The Newton step in log u and in cosines / tau, the cosines eliminated.

    With D the symmetrised derivative, d its diagonal curvature and zeta_a the scalar by which row a's coupling answers,

        delta_ab = kappa_ab [ e_ab + theta_ab (dl_a + dl_b) + r_ab zeta_a + r_ba zeta_b ],
        e = log((u_a u_b + attraction)/D),    theta = u_a u_b/(u_a u_b + attraction),
        tau kappa = D/d,                      r_ab = tau p_ab/(2D),

    and the 2K equations say that zeta_a is the coupling's mean of delta in row a, and that G u = 0 after the step.
    K x K arrays are overwritten as soon as they have served, and come out of one block: page faults on fresh ones cost
    more than the arithmetic.
    """
    model, tau, sizes = objective.rows(gram), objective.temperature, objective.orbits.sizes
    count, repulsion = len(log_u), model.repulsion
    slope, response, upper_right, lower_left = np.empty((4, count, count))
    np.add(repulsion, repulsion.T, out=slope)
    _diagonal_of(slope)[held] = 1.0
    if not slope.min() > 0:
        return None
    if np.ndim(model.softness) == 0:
        kappa = model.softness / tau
    else:
        curvature = model.curvature
        curvature = curvature + curvature.T
        _diagonal_of(curvature)[held] = 1.0
        if not curvature.min() > 0:
            return None
        kappa = slope / curvature / tau
    np.divide(repulsion, slope, out=response)  # becomes kappa r
    response *= tau * kappa * model.answer
    mean = repulsion
    mean *= objective.orbits.partners
    mean *= model.answer
    total = mean.sum(axis=1)
    mean /= np.where(total != 0, total, 1.0)[:, None]

    move = slope  # becomes kappa e
    peak = float(slope.max())  # taken out, for large logarithms are rounded by much
    low = log_u - (np.log(peak) - np.log(2.0)) / 2.0
    np.log(np.divide(slope, peak, out=move), out=move)
    np.subtract(low, move, out=move)
    move += low[:, None]
    stiff = kappa
    if not isinstance(objective.attraction, float):
        pulled = 1.0 + objective.attraction * np.exp(-log_u[:, None] - log_u)
        move += np.log(pulled)
        stiff = kappa / pulled
    move *= kappa
    for matrix in (mean, response, move):
        _diagonal_of(matrix)[held] = 0.0

    # Row equations (zeta) above, balance equations (log u), times u, below; columns dl then zeta. Sums over the
    # partners of an atom run over whole orbits, less the atom itself.
    u = np.exp(log_u - log_u.max())
    weights = sizes * u
    middle = np.einsum("ab,ab->a", mean, response) - 1.0
    np.multiply(mean, response.T, out=upper_right)
    np.add(gram.cosines, tau * stiff, out=lower_left)
    _diagonal_of(lower_left)[:] = own = gram.cosines.diagonal()
    direct = gram.cosines @ weights
    right = -np.concatenate(
        [
            np.einsum("ab,ab->a", mean, move),
            u * (1.0 - own) + direct + tau * (move @ weights - move.diagonal() * u),
        ]
    )
    mean *= stiff
    inside = np.where(held, 0.0, stiff.diagonal() if isinstance(stiff, np.ndarray) else stiff) * tau * (weights - u)
    beside = np.array(  # what multiplies an orbit's own unknowns besides the matrices' diagonals
        [
            [mean.sum(axis=1), middle],
            [
                u * (1.0 - own) + lower_left @ weights - direct + 2.0 * inside,
                tau * (response @ weights - 2.0 * response.diagonal() * u),
            ],
        ]
    )
    diagonal = np.array(
        [[mean.diagonal(), upper_right.diagonal()], [own * weights, tau * response.diagonal() * weights]]
    )

    def jacobian(vector: Array) -> Array:
        dl, zeta = vector[:count], vector[count:]
        top = mean @ dl + upper_right @ zeta
        bottom = lower_left @ (weights * dl) + response.T @ (tau * weights * zeta)
        return np.concatenate([top, bottom]) + np.einsum("ija,ja->ia", beside, vector.reshape(2, count)).ravel()

    try:
        if count <= DENSE:
            n = int(np.sum(sizes > NOTHING))
            columns = np.empty((2, count, 2, n))
            columns[0, :, 0], columns[0, :, 1] = mean[:, :n], upper_right[:, :n]
            np.multiply(lower_left[:, :n], weights[:n], out=columns[1, :, 0])
            np.multiply(response.T[:, :n], tau * weights[:n], out=columns[1, :, 1])
            np.einsum("iaja->ija", columns[:, :n])[:] += beside[:, :, :n]
            solution = _direct(columns, beside + diagonal, right)
        else:
            solution = _iterated(jacobian, beside + diagonal, right, tol)
    except np.linalg.LinAlgError:
        return None
    dl, zeta = solution[:count], solution[count:]
    response *= zeta[:, None]
    response += stiff * dl[:, None]
    move += response
    move += response.T
    _diagonal_of(move)[held] = 0.0
    return dl, move


def _diagonal_of(matrix: Array) -> Array:
    """The diagonal, to be written to."""
    diagonal: Array = matrix.diagonal()
    diagonal.flags.writeable = True
    return diagonal


def _direct(columns: Array, blocks: Array, right: Array) -> Array:
    """The solution of a Newton system of 2K equations, first for the orbits that are there, as others answer to them.

    Args:
        columns: (2, K, 2, n) of the first n orbits; the others have no size, and do nothing to each other.
        blocks: (2, 2, K) its 2 x 2 diagonal blocks.
        right: (2K,) the right-hand side.
    """
    n, right = columns.shape[3], right.reshape(2, -1)
    matrix = columns[:, :n].reshape(2 * n, 2 * n)
    scale = np.abs(matrix).max(axis=1)
    first = np.linalg.solve(matrix / scale[:, None], right[:, :n].ravel() / scale)
    left = right[:, n:] - columns[:, n:].reshape(2, -1, 2 * n) @ first
    return np.hstack([first.reshape(2, n), _by_pairs(blocks[:, :, n:], left)]).ravel()


def _by_pairs(blocks: Array, right: Array) -> Array:
    """(2, K) the solutions of K systems of two equations, (2, 2, K) and (2, K)."""
    (d11, d12), (d21, d22) = blocks
    return np.array([d22 * right[0] - d12 * right[1], d11 * right[1] - d21 * right[0]]) / (d11 * d22 - d12 * d21)


def _iterated(apply: Callable[[Array], Array], blocks: Array, right: Array, tol: float) -> Array:
    """The solution of a Newton system of 2K equations by iteration, to the accuracy a Newton step deserves.

    Args:
        apply: the matrix times a vector.
        blocks: (2, 2, K) its 2 x 2 diagonal blocks. The rest of it is smooth, so they precondition it almost perfectly.
        right: (2K,) the right-hand side.
        tol: the accuracy that Newton's method is after.
    """

    def precondition(vector: Array) -> Array:
        return _by_pairs(blocks, vector.reshape(2, -1)).ravel()

    start = precondition(right)
    peak = np.abs(start).max()
    # What is left of the residual may be as large as what the step leaves anyway, about its square.
    goal = 0.1 * max(tol, peak * min(peak, 0.1))
    operator = LinearOperator((len(right),) * 2, lambda vector: precondition(apply(vector)), dtype=np.float64)
    return np.asarray(bicgstab(operator, start, rtol=0.0, atol=goal, maxiter=_PRODUCTS // 2)[0])
