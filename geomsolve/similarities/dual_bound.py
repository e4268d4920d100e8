"""A lower bound of weighted InfoNCE, sharper than the certificate's: its tangent at a matrix off the cone."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..certificates.slack import Slack
from ..geometry.orbits import OrbitGram
from ..objectives.weighted import WeightedSoftmax

_EPS = float(np.finfo(np.float64).eps)


def dual_bound(objective: WeightedSoftmax, gram: OrbitGram) -> float:
    """Proved to lie below the loss of every Gram matrix, near the loss of one that is nearly optimal.

    The loss is a convex function of the entries off the diagonal of any symmetric matrix V, so for every Gram matrix H,
    with D = dL/dV and any diagonal d for which S = D + Diag(d) (D without diagonal),

        L(H) >= L(V) + <D, H - V> >= L(V) - <D, V> - sum_i d_i + N min(0, lambda_min(S)).

    The certificate takes V = G, whose S has small negative eigenvalues, and pays N times the smallest. Here V is where
    the derivative is S without these: with S_+ and attraction A, e^{(V_ij - 1)/tau} = 2 tau (S_+ + A)_ij /
    (zeta_i + zeta_j), the zeta = m / Z by Newton's method from Z_i = a_i + sum_j e^{(V_ij - 1)/tau}. V itself need not
    be a Gram matrix, nor must it solve these equations exactly: the bound holds at any V, and rounding is allowed for.

    Cost: two eigendecompositions of size K and a few linear systems.
    Source: ours.
    """
    slack = Slack.of(objective, gram)
    wanted, diagonal = _without_negative(objective, slack)
    virtual = _where(objective, gram, wanted)
    sizes, partners, plural = gram.sizes, gram.orbits.partners, gram.orbits.plural
    row = objective.row_gradient(virtual)
    forces = np.where(partners > 0, (row + row.T) / 2.0, 0.0)
    root = np.sqrt(sizes)
    quotient = forces * root * root[:, None]
    np.fill_diagonal(quotient, diagonal + np.where(plural, (sizes - 1.0) * np.diag(forces), 0.0))
    values = np.linalg.eigvalsh(quotient)
    spread = np.where(plural, diagonal - np.diag(forces), np.inf)
    largest = float(np.abs(values).max())
    rounding = (8.0 + 2.0 / objective.temperature) * _EPS
    lowest = min(float(values[0]), float(spread.min())) - rounding * largest
    pairs = sizes[:, None] * partners * forces * virtual.cosines
    value = objective.value(virtual)
    noise = rounding * (1.0 + abs(value) + float(np.abs(pairs).sum()) + float(np.abs(sizes @ diagonal)))
    return float(value - pairs.sum() - sizes @ diagonal + gram.orbits.atoms * min(0.0, lowest) - noise)


def _without_negative(objective: WeightedSoftmax, slack: Slack) -> tuple[Array, Array]:
    """(K, K) entries and (K,) diagonal of S without its negative eigenvalues.

    Without self-pairs L does not change when all entries grow alike, so D has sum 0: what clipping adds or takes is
    made up for by a multiple of 1 1^T or of N I - 1 1^T.
    """
    sizes, plural = slack.gram.sizes, slack.gram.orbits.plural
    root = np.sqrt(sizes)
    values, vectors = np.linalg.eigh(slack.quotient)
    quotient = (vectors * np.maximum(values, 0.0)) @ vectors.T
    spread = np.where(plural, np.maximum(slack.spread, 0.0), 0.0)
    # Of an orbit: quotient_aa = d + (n - 1) w and spread = d - w.
    within = np.where(plural, (np.diag(quotient) - spread) / sizes, 0.0)
    diagonal = np.where(plural, within + spread, np.diag(quotient))
    entries = quotient / root / root[:, None]
    np.fill_diagonal(entries, within)
    if not objective.weighting.self_pairs:
        atoms, partners = slack.gram.orbits.atoms, slack.gram.orbits.partners
        over = float(np.sum(sizes[:, None] * partners * entries)) / (atoms * (atoms - 1.0))
        entries -= over
        diagonal = diagonal + (max(over, 0.0) * (atoms - 1.0) + max(-over, 0.0))
    return entries, diagonal


def _where(objective: WeightedSoftmax, gram: OrbitGram, wanted: Array) -> OrbitGram:
    """The symmetric matrix at which D is `wanted`, as nearly as there is one."""
    partners, tau = gram.orbits.partners, objective.temperature
    there = partners > 0
    total = wanted + objective.attraction
    # Repulsion must stay positive: where clipping leaves none, a thousandth of what there is at the Gram matrix.
    repulsion = objective.rows(gram).repulsion
    total = np.where(there, np.where(total > 0, total, 1e-3 * (repulsion + repulsion.T) / 2.0), 0.0)
    total = np.maximum(total, np.where(there, 1e-300, 0.0))
    masses, offsets = objective.masses, objective.offsets
    zeta = masses / (offsets + np.einsum("ab,ab->a", partners, gram.exponentials(tau)))
    count = len(zeta)
    for _ in range(30):
        softmax = 2.0 * tau * total / (zeta[:, None] + zeta)
        sums = offsets + np.einsum("ab,ab->a", partners, softmax)
        system = -(softmax * partners) / (zeta[:, None] + zeta)
        system[np.diag_indices(count)] += system.sum(axis=1) + masses / zeta**2
        system *= zeta
        if not objective.weighting.self_pairs:
            system += np.abs(np.diag(system)).mean() / count  # scaling all zeta changes nothing: keep their mean
        try:
            step = np.linalg.solve(system, masses / zeta - sums)
        except np.linalg.LinAlgError:  # two samples alike without self-pairs: any zeta will do
            break
        largest = float(np.abs(step).max())
        if not np.isfinite(largest):
            break
        zeta = zeta * np.exp(min(1.0, 1.0 / max(largest, 1e-300)) * step)
        if largest < 1e-13:
            break
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(there, 2.0 * tau * total, 1.0) / np.where(there, zeta[:, None] + zeta, 1.0))
    cosines = 1.0 + tau * np.maximum(logs, -700.0)
    return OrbitGram(gram.orbits, (cosines + cosines.T) / 2.0)
