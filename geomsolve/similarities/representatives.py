"""A few samples that stand for all, and what their optimum says of all where G has nearly full rank."""

import time

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError
from scipy.sparse.linalg import LinearOperator, gmres

from ..arrays import Array, Progress
from ..certificates.slack import Slack
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..objectives.weighted.weighted import WeightedInfoNCE, WeightedSoftmax
from ..objectives.weighted.weightings import Weighting
from ..solvers.base import Iteration, Termination
from ..solvers.solving import solve
from ..solvers.spheres.riemannian import factor_of
from .bounds import tangent
from .factors import FactorLoss
from .feasibility import LogGram, of_pairs

# How many, at least and at most, and how far a sample may be from one of them, in nats of their weight.
_LEAST, _MOST, _APART = 20, 40, 0.05
# Newton's method: steps, idle ones, the last one's size and the largest in temperatures; accuracy of a linear solve.
_STEPS, _PATIENCE, _LAST, _CAP, _ACCURACY = 40, 8, 1e-4, 5.0, 1e-3
# Shares: of the largest repulsion, what hardly counts; of the kernel's largest eigenvalue, what interpolation leaves
# out; of the largest of S, what is noise of the conic program that may have solved the representatives.
_FAINT, _SMOOTH, _NOTHING = 1e-8, 1e-6, 1e-7


def bracket(loss: FactorLoss, logs: LogGram, deadline: float, report: Progress) -> tuple[Array, float] | None:
    """(K, K + 1) unit rows near the optimum, and a loss below that of every geometry; None where this is no way.

    Self-pairs out, a coordinate of its own for every sample is nearly free, so G has nearly full rank and the slack
    matrix S few columns: S = U U^T. 20 to 40 representatives, each with the size of those that it stands for, are
    solved exactly; G and U go on to all samples by interpolation in the kernel, and Newton's method solves

        S_ij = dL/dG_ij = u_i . u_j,    G U = 0.

    S has then no negative eigenvalue, and the loss's tangent at G is the bound. G may lack a column of U that hardly
    counts, and have a small negative eigenvalue, which the rows are without.

    Cost: about ten linear systems of K (q + 1) unknowns by GMRES, O(K^2 q) a product, q columns.
    Source: ours.
    """
    objective, chosen = loss.objective, _chosen(logs)
    if chosen is None:
        return None
    few, mixing = WeightedInfoNCE(chosen[0], temperature=objective.temperature), chosen[1]
    report(f"self-pairs out: the optimum of {len(few.orbits.sizes)} representatives")
    try:
        point = _extended(objective, few, mixing)
    except LinAlgError:
        return None
    (gram, factor), ended = Iteration(_STEPS, report).run(
        lambda at: None if time.monotonic() > deadline else _step(objective, *at),
        point,
        "self-pairs out: Newton's method on the slack matrix",
        tol=_LAST,
        patience=_PATIENCE,
    )
    if ended is not Termination.CONVERGED:
        return None
    quotient = np.sqrt(loss.sizes)[:, None] * factor
    lower = tangent(objective, gram, np.sum(factor**2, axis=1), quotient @ quotient.T)
    return factor_of(gram), lower


def _chosen(logs: LogGram) -> tuple[Weighting, Array] | None:
    """Representatives, each with the size of its own, and (K, k) the coefficients of interpolation in the kernel.

    None where 40 samples are all of them, or some would be too far from 40.
    """
    sizes = logs.orbits.sizes
    apart = -logs.entries
    np.fill_diagonal(apart, 0.0)
    places = None if len(sizes) <= _MOST else _medoids(apart, sizes)
    if places is None:
        return None
    counts = np.bincount(np.argmin(apart[:, places], axis=1), weights=sizes)
    orbits = Orbits(counts.astype(np.float64), np.repeat(np.arange(len(counts)), counts.astype(int)))
    few = -apart[np.ix_(places, places)]
    values, vectors = np.linalg.eigh(np.exp(few))
    kept = values > _SMOOTH * values[-1]
    mixing = (np.exp(-apart[:, places]) @ vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return Weighting.normalised(orbits, few, np.zeros(len(counts)), False, "representatives"), mixing


def _medoids(apart: Array, sizes: Array) -> NDArray[np.intp] | None:
    """(k,) places spread over all, each in the middle of its own; None where some would be far from 40 of them.

    The farthest from all so far, until there are 20 and none is far; then five rounds of k-medoids.
    """
    first = int(np.argmin(sizes @ apart))
    found, nearest = [first], apart[first].copy()
    while nearest.max() > _APART or len(found) < _LEAST:
        if len(found) == _MOST:
            return None
        found.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, apart[found[-1]])
    places = np.array(found)
    for _ in range(5):
        labels = np.argmin(apart[:, places], axis=1)
        parts = [np.flatnonzero(labels == k) for k in np.unique(labels)]
        places = np.array([part[np.argmin(sizes[part] @ apart[np.ix_(part, part)])] for part in parts])
    return places[np.unique(np.argmin(apart[:, places], axis=1))]


def _extended(objective: WeightedSoftmax, few: WeightedSoftmax, mixing: Array) -> tuple[OrbitGram, Array]:
    """G and U of all samples, interpolated from the optimum of the representatives."""
    solution = solve(few, throw=False)
    if not solution.ok:
        raise LinAlgError("no optimum of the representatives")
    gram = solution.orbits
    values, vectors = np.linalg.eigh(Slack.of(few, gram).quotient)
    kept = values > _NOTHING * values[-1]
    factor = mixing @ (vectors[:, kept] * np.sqrt(values[kept]) / np.sqrt(gram.sizes)[:, None])
    cosines = mixing @ gram.cosines @ mixing.T
    return of_pairs(objective.orbits, np.minimum((cosines + cosines.T) / 2.0, 1.0)), factor


def _step(objective: WeightedSoftmax, gram: OrbitGram, factor: Array) -> tuple[tuple[OrbitGram, Array], float] | None:
    """The next G and U, and the largest change of a cosine in temperatures; the equations are as in certificates.

    With R the symmetrised repulsion, r its rows, q the softmax and N the partners, the change tau x of the cosines is
    R_ab x_ab = (r_ab zeta_a + r_ba zeta_b) / 2 - (D - U U^T)_ab + dU_a . U_b + U_a . dU_b, and zeta_a = sum N q x.
    """
    orbits, tau, (count, rank) = gram.orbits, objective.temperature, factor.shape
    partners, there = orbits.partners, orbits.partners > 0
    repulsion, row = objective.rows(gram).repulsion, objective.row_gradient(gram)
    both = (repulsion + repulsion.T) / 2.0
    # Pairs that hardly count may be as they are.
    inverse = np.where(there, 1.0 / np.maximum(both, _FAINT * both[there].max()), 0.0)
    wrong = ((row + row.T) / 2.0 - factor @ factor.T) * inverse
    half = repulsion / 2.0
    softmax = partners * repulsion * (tau / objective.masses)[:, None]
    others = partners * gram.cosines
    means, turns = softmax * inverse, tau * partners * inverse
    scale = np.sqrt(np.mean(factor**2, axis=0))

    def parts(zeta: Array, change: Array) -> tuple[Array, Array, Array]:
        move = change @ factor.T + half * zeta[:, None]
        move += move.T
        return move, zeta - np.einsum("ab,ab->a", means, move), change + others @ change + (turns * move) @ factor

    def times(flat: Array) -> Array:
        given = flat.reshape(count, rank + 1)
        _, rows, balance = parts(given[:, 0], given[:, 1:] * scale)
        return np.column_stack([rows, balance / scale]).ravel()

    # What is left without the smooth part: of G, what sets a sample apart from its nearest.
    nearest = np.where(there, gram.cosines, -1.0).max(axis=1)
    blocks = np.zeros((count, rank + 1, rank + 1))
    blocks[:, 0, 0] = 1.0 - np.einsum("ab,ab->a", means, half)
    blocks[:, 0, 1:] = -(means @ factor) * scale
    blocks[:, 1:, 0] = (turns * half) @ factor / scale
    squares = (factor[:, :, None] * factor[:, None, :]).reshape(count, -1)
    blocks[:, 1:, 1:] = (turns @ squares).reshape(count, rank, rank) * scale / scale[:, None]
    blocks[:, 1:, 1:] += np.maximum(1.0 - nearest, 1e-3)[:, None, None] * np.eye(rank)
    try:
        inverses = np.linalg.inv(blocks)
    except LinAlgError:
        return None
    size = (count * (rank + 1),) * 2
    near = LinearOperator(size, lambda flat: np.einsum("aij,aj->ai", inverses, flat.reshape(count, -1)).ravel())
    missing = factor + others @ factor - tau * (partners * wrong) @ factor
    right = -np.column_stack([np.einsum("ab,ab->a", softmax, wrong), missing / scale]).ravel()
    flat = gmres(LinearOperator(size, times), right, rtol=_ACCURACY, restart=80, maxiter=3, M=near)[0]
    if not np.isfinite(flat).all():
        return None
    solved = flat.reshape(count, rank + 1)
    change = solved[:, 1:] * scale
    x = parts(solved[:, 0], change)[0] * inverse - wrong
    largest = float(np.abs(x).max())
    if largest > 20.0 * _CAP:  # lost
        return None
    share = min(1.0, _CAP / max(largest, _CAP))
    return (OrbitGram(orbits, gram.cosines + share * tau * (x + x.T) / 2.0), factor + share * change), largest
