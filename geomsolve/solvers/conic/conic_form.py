"""Objectives as conic programs: what they are made of, and their cvxpy expressions."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...arrays import Array
from ...errors import BackendError
from ...geometry.orbit_gram import Orbits
from ...objectives.base import Objective
from ...objectives.batches.pairwise import Hinge, Logistic, PairLoss
from ...objectives.rows.row_softmax import RowSoftmax

if TYPE_CHECKING:
    import cvxpy as cp

# Rows whose excess is below this are kept fixed in a first solve and corrected by a second: their curvature is beyond
# a conic solver's digits, and the erratic gaps it causes (up to 0.1 at tau = 0.07) are gone without it.
_TINY = 1e-4


def elliptope(orbits: Orbits) -> tuple[cp.Variable, list[cp.Constraint]]:
    """A cvxpy variable of (K, K) cosines, and the constraints that make it a Gram matrix (see `OrbitGram`)."""
    import cvxpy as cp

    sizes, count = orbits.sizes, len(orbits.sizes)
    cosines = cp.Variable((count, count), symmetric=True)
    scale = np.sqrt(sizes[:, None] * sizes)
    np.fill_diagonal(scale, np.where(orbits.plural, sizes - 1.0, 0.0))
    # Written with >>, not as PSD=True, which hides the dual.
    constraints: list[cp.Constraint] = [cp.multiply(scale, cosines) + np.eye(count) >> 0]
    within = cp.diag(cosines)
    if orbits.plural.any():
        constraints.append(within[np.flatnonzero(orbits.plural)] <= 1)
    if not orbits.plural.all():
        constraints.append(within[np.flatnonzero(~orbits.plural)] == 1)
    return cosines, constraints


@dataclass(frozen=True, eq=False, kw_only=True)
class Terms:
    """A loss as data for a conic program.

    With t = c - 1 read from the flattened (K, K) cosines c, the loss less a constant is

        linear . t + hinge . max(t + margin, 0) + sum_r mass_r log( own_r + sum_e weight_e e^{t_e/tau} )

    Only entries of positive weight are listed, so no zero has to pass for a very negative logarithm.

    Attributes:
        mass, own: (R,) per row; `own` may be 0.
        row, pair: (E,) the row of every entry, ascending, and its place in the flattened cosines.
        weight: (E,) above 0.
        linear, hinge: (K K,) or None.
    """

    temperature: float
    mass: Array = field(default_factory=lambda: np.zeros(0))
    own: Array = field(default_factory=lambda: np.zeros(0))
    row: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    pair: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    weight: Array = field(default_factory=lambda: np.zeros(0))
    linear: Array | None = None
    hinge: Array | None = None
    margin: float = 0.0


@singledispatch
def terms(objective: Objective) -> Terms:
    """The conic form of an objective; register a function here to teach the conic solver a new class of objectives.

    Raises:
        BackendError: there is none, as of expectations over draws.
    """
    raise BackendError(f"{objective.name}: no conic form is known for {type(objective).__name__}")


@terms.register
def _(objective: RowSoftmax) -> Terms:
    anchors = objective.orbits.sizes * objective.masses
    used = np.flatnonzero(anchors > 0)
    weights = (objective.orbits.partners * objective.weights)[used]
    row, column = np.nonzero(weights)
    linear = None
    if objective.positives is not None:
        linear = (-anchors[:, None] * objective.orbits.partners * objective.positives / objective.temperature).ravel()
    return Terms(
        temperature=objective.temperature,
        mass=anchors[used],
        own=np.broadcast_to(objective.offsets, anchors.shape)[used],
        row=row,
        pair=used[row] * len(anchors) + column,
        weight=weights[row, column],
        linear=linear,
    )


@terms.register
def _(objective: PairLoss) -> Terms:
    anchors = objective.orbits.sizes * objective.masses
    weights = anchors[:, None] * objective.orbits.partners * objective.partner
    # Both anchors of a pair see the same cosine: one term a pair.
    weights = np.triu(weights + weights.T) - np.diag(np.diag(weights))
    shape = objective.shape
    if isinstance(shape, Hinge):
        return Terms(
            temperature=1.0,
            hinge=weights.ravel(),
            margin=shape.margin,
        )
    if not isinstance(shape, Logistic):
        raise BackendError(f"{objective.name}: no conic form is known for the shape {type(shape).__name__}")
    pair = np.flatnonzero(weights)
    count = len(pair)
    return Terms(
        temperature=objective.temperature,
        mass=weights.ravel()[pair],
        own=np.ones(count),
        row=np.arange(count),
        pair=pair,
        weight=np.ones(count),
    )


def _linear_and_hinge(parts: Terms, flat: cp.Expression) -> cp.Expression:
    import cvxpy as cp

    total: cp.Expression = cp.Constant(0.0)
    if parts.linear is not None:
        total = total + parts.linear @ flat
    if parts.hinge is not None:
        pairs = np.flatnonzero(parts.hinge)
        total = total + parts.hinge[pairs] @ cp.pos(flat[pairs] + parts.margin)
    return total


def scaled_expression(parts: Terms, near: Array, cosines: cp.Variable) -> tuple[cp.Expression, bool]:
    """What is minimised: the loss less a constant, in units of its variation, so that tolerances mean something.

    Above log(own) a row is log(1 + s), with s ~ e^{-1/tau} far below any conic tolerance, and log_sum_exp hides it
    behind a 1. But log(1 + s) = min_w [ e^{-w} + w - 1 + s e^{-w} ], jointly convex, and with w = sigma v, sigma its
    value at `near`, every term is of order sigma, which then divides out. Where sigma is tiny, w = sigma is kept fixed:
    wrong by (w - sigma)^2 / 2, an upper bound that is tight at `near`, so solving again from the answer removes it.
    (Ours.) A plain log_sum_exp model loses the excess, of order e^{-1/tau}, in its tolerances.

    Args:
        parts: the loss.
        near: (K, K) cosines, the simplex or an answer to improve.
        cosines: the variable.

    Returns:
        The expression, and whether rows were kept fixed.
    """
    import cvxpy as cp

    t = near.ravel() - 1.0
    flat = cp.vec(cosines, order="C") - 1
    if not len(parts.row):
        scale = 0.0 if parts.hinge is None else float(parts.hinge @ np.maximum(t + parts.margin, 0.0))
        return _linear_and_hinge(parts, flat) / (scale or 1.0), False
    used, row = np.unique(parts.row, return_inverse=True)
    mass, own = parts.mass[used], parts.own[used]
    sums = np.maximum(np.bincount(row, parts.weight * np.exp(t[parts.pair] / parts.temperature)), 1e-300)
    # A row with own = 0 has no e^{-w}: it is counted from its value at `near`, and sigma = 1.
    opened = own > 0
    reference = np.where(opened, own, sums)
    sigma = np.where(opened, np.log1p(sums / reference), 1.0)
    fixed = sigma < _TINY
    scale = float(mass @ sigma)
    shift = cp.multiply(sigma, cp.Variable(len(used)))
    logs = np.log(parts.weight) - np.log(reference)[row] - np.log(sigma)[row]
    total = _linear_and_hinge(parts, flat) / scale
    for entries, shifts in ((np.flatnonzero(~fixed[row]), shift), (np.flatnonzero(fixed[row]), sigma)):
        if len(entries):
            exponents = flat[parts.pair[entries]] / parts.temperature + logs[entries] - shifts[row[entries]]
            total = total + (mass * sigma / scale)[row[entries]] @ cp.exp(exponents)
    free, curved = np.flatnonzero(~fixed), np.flatnonzero(~fixed & opened)
    if len(free):
        total = total + (mass / scale)[free] @ (shift[free] - 1)
    if len(curved):
        total = total + (mass / scale)[curved] @ cp.exp(-shift[curved])
    return total, bool(fixed.any())
