"""A lower bound of weighted InfoNCE, sharper than the certificate's: its tangent at a matrix off the cone."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, cg

from ..arrays import Array
from ..certificates.slack import Slack
from ..geometry.orbit_gram import OrbitGram, Orbits
from ..objectives.weighted.weighted import WeightedSoftmax

_EPS = float(np.finfo(np.float64).eps)
# Steps of Newton's method for the softmax rows of a dual point, and products with the Hessian for one.
_STEPS, _PRODUCTS = 30, 200
# What makes an axis of a Gram matrix large: its eigenvalues have mean 1.
_LARGE = 0.1


class DualBound(NamedTuple):
    """What the derivative of the loss at a Gram matrix proves, and where it asks for more rank."""

    value: float  # proved to lie below the loss of every Gram matrix, in nats
    # (K, r) orthonormal eigenvectors of the slack matrix's negative eigenvalues on means of orbits, most negative
    # first, as values of a sample; large axes of the Gram matrix are left out.
    directions: Array
    apart: NDArray[np.bool_]  # (K,) whether samples of one orbit want to part: S is negative on their differences


def dual_bound(objective: WeightedSoftmax, gram: OrbitGram) -> DualBound:
    """A bound below the loss of every Gram matrix, near the loss of one that is nearly optimal.

    The loss is a convex function of the entries off the diagonal of any symmetric matrix V, so for every Gram matrix H,
    with D = dL/dV and any diagonal d for which S = D + Diag(d) (D without diagonal),

        L(H) >= L(V) + <D, H - V> >= L(V) - <D, V> - sum_i d_i + N min(0, lambda_min(S)).

    The certificate takes V = G, whose S has small negative eigenvalues, and pays N times the smallest. Here V is where
    the derivative is S without these, and without its part on the large axes of G, which vanishes at the optimum. With
    S_+ and the attraction A, the softmax rows of V are 2 tau (S_+ + A)_ij / (zeta_i + zeta_j), the zeta = m / Z being
    the minimum of a convex function of their logarithms. V itself need not be a Gram matrix, nor must it solve these
    equations exactly: the bound holds at any V, and rounding is allowed for.

    Cost: two eigendecompositions of size K, one in part, and some hundred products with K x K matrices.
    Source: ours.
    """
    orbits, plural, root = gram.orbits, gram.orbits.plural, np.sqrt(gram.sizes)
    found = Slack.of(objective, gram)
    quotient, spread = found.quotient, found.spread
    apart = plural & (spread < 0)
    # What is clipped costs <S_+, G>: S first loses what it should not have, its part on the large axes of G.
    axes = eigh(gram.quotient, subset_by_value=(_LARGE, np.inf), driver="evr", check_finite=False)[1]
    image = quotient @ axes
    mixed = image @ axes.T
    wanted = quotient - mixed - mixed.T + axes @ (axes.T @ image) @ axes.T
    values, vectors = np.linalg.eigh(wanted)  # all: those below 0 alone, among rounding, LAPACK may fail to find
    wanted -= (vectors * np.minimum(values, 0.0)) @ vectors.T
    kept = plural & (1.0 - np.diag(gram.cosines) <= _LARGE)
    forces, diagonal = _entries(objective, orbits, wanted, np.where(kept, np.maximum(spread, 0.0), 0.0))
    total = forces + objective.attraction
    # Repulsion must stay positive: where clipping leaves none, a thousandth of what there is at the Gram matrix.
    repulsion = objective.rows(gram).repulsion
    total = np.where(total > 0, total, 1e-3 * (repulsion + repulsion.T) / 2.0)
    total = np.where(orbits.partners > 0, np.maximum(total, 1e-300), 0.0)
    virtual = _where(objective, gram, total)
    value = tangent(objective, virtual, diagonal, wanted)
    return DualBound(value, vectors[:, values < 0.0] / root[:, None], apart)


def _entries(objective: WeightedSoftmax, orbits: Orbits, quotient: Array, spread: Array) -> tuple[Array, Array]:
    """(K, K) entries and (K,) diagonal of the matrix with this quotient and spread.

    Without self-pairs L does not change when all entries grow alike, so D has sum 0, and 1^T S 1 = trace S. Clipping
    breaks that; S -> C S C with C = I - alpha 1 1^T / N mends it at a cost that is second order in alpha, since S G is
    nearly 0. What rounding leaves is made up for by a multiple of 1 1^T or of N I - 1 1^T. `quotient` changes in place.
    """
    sizes, plural, root = orbits.sizes, orbits.plural, np.sqrt(orbits.sizes)
    if not objective.weighting.self_pairs:
        atoms, image = orbits.atoms, quotient @ root
        whole, trace = float(root @ image), float(np.trace(quotient) + (sizes - 1.0) @ spread)
        share = (trace - whole / atoms) / (whole * (1.0 - 1.0 / atoms)) if whole > 0 else -1.0
        if share > 0:
            alpha = (1.0 - np.sqrt(share)) / atoms
            quotient -= alpha * (np.outer(image, root) + np.outer(root, image))
            quotient += alpha**2 * whole * np.outer(root, root)
    # Of an orbit: quotient_aa = d + (n - 1) w and spread = d - w.
    within = np.where(plural, (np.diag(quotient) - spread) / sizes, 0.0)
    diagonal = np.where(plural, within + spread, np.diag(quotient))
    entries = quotient / root / root[:, None]
    np.fill_diagonal(entries, within)
    if not objective.weighting.self_pairs:
        atoms = orbits.atoms
        over = float(np.sum(sizes[:, None] * orbits.partners * entries)) / (atoms * (atoms - 1.0))
        entries -= over
        diagonal = diagonal + (max(over, 0.0) * (atoms - 1.0) + max(-over, 0.0))
        quotient[:] = orbits.quotient(entries, diagonal)
    return entries, diagonal


def _where(objective: WeightedSoftmax, gram: OrbitGram, total: Array) -> OrbitGram:
    """The symmetric matrix whose repulsion is `total`, as nearly as there is one: a convex problem in u = log zeta.

    sum_ab n_a p_ab tau T_ab log(e^u_a + e^u_b) + sum_a n_a (a_a e^u_a - m_a u_a) is least where rows have their sums.
    """
    sizes, partners, tau = gram.sizes, gram.orbits.partners, objective.temperature
    masses, offsets = objective.masses, objective.offsets
    pairs = 2.0 * tau * sizes[:, None] * partners * total
    logs = np.log(masses / (offsets + np.einsum("ab,ab->a", partners, gram.exponentials(tau))))
    for _ in range(_STEPS):
        zeta = np.exp(logs)
        softmax = pairs / (zeta[:, None] + zeta)
        slope = sizes * (zeta * offsets - masses) + zeta * softmax.sum(axis=1)
        links = softmax * zeta / (zeta[:, None] + zeta) * zeta[:, None]
        step = -_solved(links, sizes * offsets * zeta, slope)
        largest = float(np.abs(step).max())
        if not np.isfinite(largest):
            break
        logs = logs + min(1.0, 1.0 / max(largest, 1e-300)) * step
        if largest < 1e-13:
            break
    zeta = np.exp(logs)
    with np.errstate(divide="ignore"):
        cosines = np.log(np.where(partners > 0, 2.0 * tau * total, 1.0))
    cosines -= np.where(partners > 0, np.log(zeta[:, None] + zeta), 0.0)
    cosines = 1.0 + tau * np.maximum(cosines, -700.0)
    return OrbitGram(gram.orbits, (cosines + cosines.T) / 2.0)


def _solved(links: Array, own: Array, right: Array) -> Array:
    """(Lap(links) + Diag(own)) x = right, by conjugate gradients; without self-pairs up to a constant."""
    degrees = links.sum(axis=1) + own
    system = LinearOperator(links.shape, lambda x: degrees * x - links @ x)
    scale = LinearOperator(links.shape, lambda x: x / np.maximum(degrees, 1e-300))
    right = right if own.any() else right - right.mean()
    found = cg(system, right, rtol=1e-10, maxiter=_PRODUCTS, M=scale)[0]
    return found if own.any() else found - found.mean()


def tangent(objective: WeightedSoftmax, virtual: OrbitGram, diagonal: Array, wanted: Array) -> float:
    """The bound at V with the diagonal d, where S should be `wanted` (as `OrbitGram.quotient`), of eigenvalues >= 0."""
    orbits, sizes = virtual.orbits, virtual.sizes
    row = objective.row_gradient(virtual)
    forces = np.where(orbits.partners > 0, (row + row.T) / 2.0, 0.0)
    quotient = orbits.quotient(forces, diagonal)
    spread = np.where(orbits.plural, diagonal - np.diag(forces), np.inf)
    largest = float(np.abs(quotient).sum(axis=1).max())
    rounding = (8.0 + 2.0 / objective.temperature) * _EPS
    pairs = sizes[:, None] * orbits.partners * forces * virtual.cosines
    value = objective.value(virtual)
    noise = rounding * (1.0 + abs(value) + float(np.abs(pairs).sum()) + float(np.abs(sizes @ diagonal)))
    # The smallest eigenvalue is at least minus the largest sum of a row of what S lacks; where that is much, ask.
    lowest = -float(np.abs(quotient - wanted).sum(axis=1).max())
    if len(wanted) < 200 or orbits.atoms * -lowest > max(noise, 1e-13):
        values = eigh(quotient, eigvals_only=True, subset_by_index=(0, 0), check_finite=False)
        lowest = float(values[0])
    lowest = min(lowest, float(spread.min())) - rounding * largest
    return float(value - pairs.sum() - sizes @ diagonal + orbits.atoms * min(0.0, lowest) - noise)
